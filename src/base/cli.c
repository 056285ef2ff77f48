/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "base/clean.h"
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_options(const struct cli_option *options)
{
        printf("\nOptions:\n");
        for (const struct cli_option *o = options; o->name; o++) {
                char left[64];
                snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
                        o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
                        o->arg ? " " : "", o->arg ? o->arg : "");
                printf("  %-30s %s\n", left, o->help);
        }
        printf("  %-30s %s\n", "-h, --help", "show this text");
}

static const struct cli_option *find(
        const struct cli_option *options, const char *name, size_t len, char letter)
{
        for (const struct cli_option *o = options; o->name; o++) {
                if (name && strlen(o->name) == len && !memcmp(o->name, name, len))
                        return o;
                if (letter && o->letter == letter)
                        return o;
        }
        return NULL;
}

static int parse_int(const char *text, int *ret)
{
        char *end = NULL;
        errno = 0;
        long v = strtol(text, &end, 10);
        if (errno || end == text || *end || v < INT_MIN || v > INT_MAX)
                return -EINVAL;
        *ret = (int)v;
        return 0;
}

/* NULL when fine, else what was expected. */
static const char *set_value(const struct cli_option *o, const char *text)
{
        switch (o->type) {
        case CLI_FLAG:
                *(bool *)o->value = true;
                return NULL;
        case CLI_TEXT:
                *(const char **)o->value = text;
                return NULL;
        case CLI_INT:
                return parse_int(text, o->value) < 0 ? "a whole number" : NULL;
        case CLI_DURATION:
                return clock_parse_duration_ms(text, o->value) < 0
                               ? "a duration such as 500ms, 30s, 15m, 12h or 7d"
                               : NULL;
        case CLI_LIST: {
                struct cli_list *list = o->value;
                if (list->n == N_ELEMENTS(list->items))
                        return "fewer repetitions";
                list->items[list->n++] = text;
                return NULL;
        }
        }
        return "something else";
}

static int misuse(int *ret_exit)
{
        *ret_exit = CLI_MISUSE;
        return 1;
}

int cli_parse(int argc, char **argv, const char *usage, const struct cli_option *options,
        const char **ret_args, size_t max_args, size_t *ret_n_args, int *ret_exit)
{
        size_t n_args = 0;
        bool only_args = false;
        for (int i = 1; i < argc; i++) {
                const char *a = argv[i];
                if (only_args || a[0] != '-' || !a[1]) {
                        if (n_args == max_args) {
                                fprintf(stderr, "%s: unexpected argument '%s'; see --help\n",
                                        argv[0], a);
                                return misuse(ret_exit);
                        }
                        ret_args[n_args++] = a;
                        continue;
                }
                if (!strcmp(a, "--")) {
                        only_args = true;
                        continue;
                }
                if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
                        printf("Usage: %s\n", usage);
                        print_options(options);
                        *ret_exit = CLI_OK;
                        return 1;
                }
                bool is_long = a[1] == '-';
                const char *equals = is_long ? strchr(a, '=') : NULL;
                size_t len = equals ? (size_t)(equals - a - 2) : strlen(a) - 2;
                const struct cli_option *o = is_long     ? find(options, a + 2, len, 0)
                                             : a[2] == 0 ? find(options, NULL, 0, a[1])
                                                         : NULL;
                if (!o) {
                        fprintf(stderr, "%s: unknown option '%s'; see --help\n", argv[0], a);
                        return misuse(ret_exit);
                }
                const char *value = equals ? equals + 1 : NULL;
                if (o->type == CLI_FLAG && value) {
                        fprintf(stderr, "%s: option '--%s' takes no value\n", argv[0], o->name);
                        return misuse(ret_exit);
                }
                if (o->type != CLI_FLAG && !value) {
                        if (i + 1 >= argc) {
                                fprintf(stderr, "%s: option '--%s' needs a value (%s)\n", argv[0],
                                        o->name, o->arg);
                                return misuse(ret_exit);
                        }
                        value = argv[++i];
                }
                const char *expected = set_value(o, value);
                if (expected) {
                        fprintf(stderr, "%s: option '--%s' needs %s, not '%s'\n", argv[0], o->name,
                                expected, value);
                        return misuse(ret_exit);
                }
        }
        *ret_n_args = n_args;
        return 0;
}

int cli_dispatch(
        const char *program, const struct cli_verb *verbs, void *context, int argc, char **argv)
{
        bool help = argc > 0 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h") ||
                                        !strcmp(argv[0], "help"));
        if (argc == 0 || help) {
                FILE *out = help ? stdout : stderr;
                fprintf(out, "Usage: %s COMMAND [options]\n\nCommands:\n", program);
                for (const struct cli_verb *v = verbs; v->name; v++)
                        fprintf(out, "  %-14s %s\n", v->name, v->summary);
                fprintf(out, "\n%s COMMAND --help tells more.\n", program);
                return help ? CLI_OK : CLI_MISUSE;
        }
        for (const struct cli_verb *v = verbs; v->name; v++)
                if (!strcmp(v->name, argv[0]))
                        return v->run(context, argc, argv);
        fprintf(stderr, "%s: unknown command '%s'; see %s --help\n", program, argv[0], program);
        return CLI_MISUSE;
}

int cli_fail(const char *program, const struct err *err)
{
        fprintf(stderr, "%s: %s\n", program, err->text);
        return CLI_FAILED;
}
