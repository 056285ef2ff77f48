/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Pipelines: a push to a repository becomes an update that cars install.
 *
 * A pipeline is a bare git repository, a branch that is watched and the settings below. A push to
 * the branch adds a *run* to the ledger (pipeline.db) in state `queued`; the role takes queued runs
 * in order, one at a time for each pipeline and a few in parallel over all of them:
 *
 *   source → build (C) or test (Python) → deploy → rollout or assignment
 *
 * The ledger is the queue, so runs survive the end of any process: whoever adds or changes a run
 * drops a file into the inbox folder, which only wakes the role (inotify). A run that was under way
 * when the role ended goes on: before `deploy` from its source again, after it with the same module
 * and set. A failing stage ends the run; its cause names phase, command and status.
 * A run is `succeeded` when its rollout has started. What the cars then do is recorded with it as
 * the `deployment` and changes no state of the run.
 *
 * All functions but pipeline_serve() work on the data folder's files, with or without the role.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "cloud/config/config.h"
#include <stdbool.h>
#include <stdint.h>

#define PIPELINE_NAME_SIZE 65 /* letters, digits, '.', '_', '-'; the repository is NAME.git */

struct pipeline {
        char name[PIPELINE_NAME_SIZE];
        char language[16];    /* "c" or "python" */
        char branch[129];     /* main */
        char environment[32]; /* gcc-x86_64, gcc-aarch64 or python; a buildspec.yml may say another
                               */
        char deploy[16];      /* "rollout" or "assignment" */
        char target_filter[1025]; /* which cars, in the update server's query language */
        int groups;               /* of a rollout, 1..500 */
        int success_threshold;    /* percent of a group that starts the next one */
        int error_threshold;      /* percent of a group that pauses the rollout */
        char module_type[65];     /* "application" or "os" */
        char server[256];         /* "" is our own update server; else the URL of another */
        char server_user[129];
        char password_file[1025]; /* "" is CLOUD_ADMIN_PASSWORD */
};

/* The defaults for a language; -EINVAL names the languages that there are. */
int pipeline_defaults(const char *language, struct pipeline *ret, struct err *err);

/* Makes the repository and the ledger's entry. With `seed_dir` that folder's files are the first
 * commit, which starts no run: it is what the cars came with. *ret_repo is malloc()ed. */
int pipeline_create(const struct cloud_config *config, const struct pipeline *p,
        const char *seed_dir, char **ret_repo, struct err *err);
/* Removes repository, runs and logs; -EBUSY while a run of it is queued or running. */
int pipeline_delete(const struct cloud_config *config, const char *name, struct err *err);

/* Each adds or changes a run and wakes the role. */
int pipeline_start(
        const struct cloud_config *config, const char *name, int64_t *ret_run, struct err *err);
int pipeline_retry(
        const struct cloud_config *config, int64_t run, int64_t *ret_run, struct err *err);
int pipeline_cancel(const struct cloud_config *config, int64_t run, struct err *err);

/* What git calls after a push (the hook `post-receive` of a repository is a link to the program):
 * reads `old new ref` lines from stdin in the repository's folder; answers the pusher on stdout.
 * An exit code; the push is already done, so a failure is told and changes nothing. */
int pipeline_hook(void);

/* For people and the page. NULL with `err` set on failure; an empty array when there is none yet.
 * A pipeline: the settings, `repository`, `last_run` {…} or null.
 * A run: id, pipeline, commit, author, message, origin, state, cause, queued_at, started_at,
 * ended_at (ms), stages [{name, state, started_at, ended_at, cause}], artifacts [{name, size,
 * sha256}], deployment {module_id, set_id, rollout_id, state, targets, finished, failed, …} or
 * null. */
json_t *pipeline_list(const struct cloud_config *config, struct err *err);
json_t *pipeline_runs(
        const struct cloud_config *config, const char *name, int max, struct err *err);
json_t *pipeline_run(const struct cloud_config *config, int64_t run, struct err *err);
/* Path of a stage's log, malloc()ed; `stage` NULL: the latest stage that has one. -ENOENT if none.
 */
int pipeline_log(const struct cloud_config *config, int64_t run, const char *stage, char **ret_path,
        struct err *err);
/* What the run waits for or failed at, and which command would move it. */
int pipeline_why(const struct cloud_config *config, int64_t run, struct buf *ret, struct err *err);

/* The role: runs until SIGTERM or SIGINT. */
int pipeline_serve(const struct cloud_config *config, struct err *err);
