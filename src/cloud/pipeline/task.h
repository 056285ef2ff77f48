/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A program that is run to its end: its output arrives piece by piece, its end in one call, and a
 * time limit ends it with SIGKILL. Everything it started in its process group goes with it.
 */
#include "base/buf.h"
#include "base/clean.h"
#include "base/proc.h"
#include <sys/types.h>

struct task;

struct task_options {
        const char *const *argv;
        const char *const *envp; /* NULL: ours */
        const char *cwd;         /* NULL: ours */
        int64_t timeout_ms;      /* 0: none */
        /* stdout and stderr as they come, in one stream; optional. */
        void (*on_output)(void *arg, const char *data, size_t len);
        /* Once, after the last output, from the loop. `status` as of waitpid(2). It may
         * task_free(). */
        void (*on_done)(void *arg, int status, bool timed_out);
        void *arg;
};

int task_start(struct event_base *base, const struct task_options *options, struct task **ret_task,
        struct err *err);
/* Kills what still runs; on_done isn't called. */
void task_free(struct task *t);
CLEAN_DEFINE(task, task_free);
pid_t task_pid(const struct task *t);
/* Ends it now; on_done tells. */
void task_kill(struct task *t);

/* Runs to the end in a loop of its own, for short commands. `ret_output` (may be NULL) gets what it
 * printed; an exit status other than 0 is -EIO with its last line. */
int task_run(const char *const *argv, const char *const *envp, const char *cwd,
        struct buf *ret_output, struct err *err);
/* The last line of `text` that is not empty, cut to `size`. */
void task_last_line(const struct buf *text, char *line, size_t size);
