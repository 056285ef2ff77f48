/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Command lines from tables: one table of options drives parsing and --help, one table of verbs
 * drives dispatch and the list of commands. Errors are one line on stderr; exit 0 worked, 1 failed,
 * 2 misuse.
 */
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_MISUSE 2

enum cli_type {
        CLI_FLAG /* bool */,
        CLI_TEXT /* const char * */,
        CLI_INT /* int */,
        CLI_DURATION /* int64_t ms */,
        CLI_LIST /* struct cli_list */
};

struct cli_list {
        const char *items[64];
        size_t n;
};

struct cli_option {
        const char *name; /* long name without the dashes */
        char letter;      /* 0: none */
        enum cli_type type;
        void *value;     /* of the type above; holds the default before, the given value after */
        const char *arg; /* name of the argument in --help, e.g. "DIR"; NULL for flags */
        const char *help;
};

/* Parses argv[1…] into the options and `ret_args` (up to `max_args` operands, borrowed from argv).
 * `--help` prints `usage` (first line: `driveline thing create [options] NAME`, then a paragraph or
 * more) and the options, and returns 1 with *ret_exit = 0. Misuse prints one line and returns 1
 * with *ret_exit = 2. 0: go on. `--` ends the options. `options` ends with a zero entry. */
int cli_parse(int argc, char **argv, const char *usage, const struct cli_option *options,
        const char **ret_args, size_t max_args, size_t *ret_n_args, int *ret_exit);

struct cli_verb {
        const char *name;
        const char *summary; /* one line */
        int (*run)(void *context, int argc,
                char **argv); /* argv[0] is the verb; returns an exit code */
};

/* Finds and runs a verb; prints the table for `--help` or none. `verbs` ends with a zero entry. */
int cli_dispatch(
        const char *program, const struct cli_verb *verbs, void *context, int argc, char **argv);
/* Prints `program: <text>` to stderr and returns CLI_FAILED. */
int cli_fail(const char *program, const struct err *err);
