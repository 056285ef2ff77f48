/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The bare git repository of a pipeline, by the `git` program.
 *
 * Git runs without anybody's configuration but the repository's own, which a push cannot change,
 * and with no hook but ours: `hooks/post-receive` is a link to this program. Commits leave the
 * repository as an archive, so no checkout filter runs either.
 */
#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

#define REPO_COMMIT_SIZE 65 /* a SHA-256 in hex, should git be set to it */

/* The environment for any git of ours. */
extern const char *const repo_environment[];

int repo_create(const char *path, const char *branch, struct err *err);
/* Points the hook to this program, wherever it stands now. */
int repo_set_hook(const char *path, struct err *err);
/* Makes the files of `dir` the first commit of the branch. */
int repo_seed(const char *path, const char *branch, const char *dir, struct err *err);
/* The branch's newest commit; 1 (REPO_EMPTY) when it has none. */
#define REPO_EMPTY 1
int repo_head(const char *path, const char *branch, char commit[REPO_COMMIT_SIZE], struct err *err);
/* Author (`Name <mail>`) and the first line of the message. */
int repo_describe(const char *path, const char *commit, struct buf *ret_author,
        struct buf *ret_message, struct err *err);
/* Seconds since 1970 at which it was committed. */
int repo_commit_time(const char *path, const char *commit, int64_t *ret_s, struct err *err);
/* Unpacks what `git archive` wrote into the new folder `dir`. */
int repo_unpack(const char *archive, const char *dir, struct err *err);
