/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Named build environments: which tools a build sees and what they are called.
 *
 * In a gcc environment `gcc`, `cc`, `ar`, `strip`, … are links to the tools of its target, so that
 * one manifest builds for each kind of car unchanged; CC, AR and STRIP name them too. The tools are
 * those of Debian's packages on this machine.
 */
#include "base/buf.h"
#include "base/err.h"

struct environment {
        const char *name;
        const char *language;
        const char *triplet;  /* NULL: no compiler */
        const char *packages; /* what `apt-get install` needs, for messages */
        const char *needs[3]; /* files that must be there */
};

/* -EINVAL lists those that there are. */
int environment_find(const char *name, const struct environment **ret, struct err *err);
/* -ENOENT names the missing tool and the packages. */
int environment_check(const struct environment *env, struct err *err);
