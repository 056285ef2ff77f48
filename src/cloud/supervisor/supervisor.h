/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Starts the parts of the cloud on one machine and watches them.
 *
 * A part is a program with its arguments. It is *ready* once a line of its stderr holds its ready
 * text. A part that ends before it was ever ready stops everything: its last line is the reason.
 * One that ends later is started again after a back-off from 0.2 s to 5 s, which a minute of life
 * resets. What the parts write to stderr goes to one log file, which is rotated at
 * SUPERVISOR_LOG_BYTES. On SIGINT or SIGTERM the parts are stopped in the reverse order of the
 * list, each with SIGTERM and a grace of 5 s. If the supervisor itself is killed, the kernel ends
 * the parts (see base/proc.h).
 */
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define SUPERVISOR_LOG_BYTES (10 * 1024 * 1024)
#define SUPERVISOR_LOG_FILES 3
#define SUPERVISOR_MAX_PARTS 8
#define SUPERVISOR_MAX_ARGS 16

struct supervisor_part {
        const char *name;
        const char *argv[SUPERVISOR_MAX_ARGS]; /* NULL-terminated */
        const char *ready_text;
};

struct supervisor_options {
        const struct supervisor_part
                *parts; /* at most SUPERVISOR_MAX_PARTS, in the order of starting */
        size_t n_parts;
        const char *log_file;
        bool echo; /* log lines to our own stderr too */
        /* Called once when all parts are ready. */
        void (*on_ready)(void *arg);
        void *arg;
};

/* Runs until a signal or a part that can't start. 0 after a signal. */
int supervisor_run(const struct supervisor_options *options, struct err *err);
