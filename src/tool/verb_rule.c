/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "base/fs.h"
#include "cloud/config/config.h"
#include "cloud/rule/rule.h"
#include "tool/registry_session.h"
#include "tool/rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM "driveline rule"

static char *rules_dir(const struct verb_context *v, struct err *err)
{
        struct cloud_config config;
        if (cloud_config_load(v->data_dir, &config, err))
                return NULL;
        char *dir = cloud_path(&config, RULE_DIR);
        cloud_config_fini(&config);
        if (!dir)
                (void)err_set(err, -ENOMEM, "out of memory");
        return dir;
}

static struct telemetry_value text(const char *t)
{
        return (struct telemetry_value){.type = TELEMETRY_TEXT, .text = {t, strlen(t)}};
}

/* ── list ── */

static int print_rules(const struct rule_set *set, enum rows_format format)
{
        static const char *const names[] = {"name", "state", "sql"};
        CLEAN_ROWS struct rows rows = {0};
        int r = rows_begin(&rows, format, N_ELEMENTS(names), names);
        for (size_t i = 0; !r && i < set->n; i++) {
                const struct rule_entry *e = &set->entries[i];
                struct telemetry_value values[] = {
                        text(e->name), text(e->rule ? "active" : e->reason), text(e->sql)};
                r = rows_add(&rows, N_ELEMENTS(values), values);
        }
        rows_end(&rows);
        return r;
}

static int list(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *output = "table", *args[1];
        const struct cli_option options[] = {
                {"output", 'o', CLI_TEXT, &output, "FORMAT", "table (the default), json or csv"},
                OPTION_DATA(v),
                {0},
        };
        size_t n;
        int code;
        enum rows_format format;
        if (cli_parse(argc, argv,
                    "driveline rule list [options]\n\nShows the rules in the order in which they "
                    "are asked.",
                    options, args, 0, &n, &code))
                return code;
        if (rows_format_from_string(PROGRAM, output, &format))
                return CLI_MISUSE;
        struct err err = ERR_INIT;
        CLEAN_RULE_SET struct rule_set set = {0};
        CLEAN_MEM char *dir = rules_dir(v, &err);
        int r = dir ? rule_set_load(dir, &set, &err) : err.code;
        if (!r && print_rules(&set, format))
                r = err_set(&err, -ENOMEM, "out of memory");
        return r ? cli_fail(PROGRAM, &err) : CLI_OK;
}

/* ── create and delete ── */

static int create(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        bool replace = false;
        const struct cli_option options[] = {
                {"replace", 0, CLI_FLAG, &replace, NULL, "replace a rule of that name"},
                OPTION_DATA(v),
                {0},
        };
        const char *args[2];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline rule create [options] NAME SQL\n\nAdds a rule; it counts at once. "
                    "The grammar is in docs/rules.md:\n"
                    "    driveline rule create fast \"SELECT * FROM 'device/+/telemetry' WHERE "
                    "Engine.Speed > 50\"",
                    options, args, 2, &n, &code))
                return code;
        if (n != 2) {
                fprintf(stderr, "%s create: a name and the rule's SQL are needed; see --help\n",
                        PROGRAM);
                return CLI_MISUSE;
        }
        struct err err = ERR_INIT;
        CLEAN_MEM char *dir = rules_dir(v, &err);
        int r = dir ? rule_create(dir, args[0], args[1], replace, &err) : err.code;
        if (r)
                return cli_fail(PROGRAM " create", &err);
        printf("created rule '%s'\n", args[0]);
        return CLI_OK;
}

static int delete_verb(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        const char *args[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline rule delete [options] NAME\n\nRemoves a rule; what it stored stays.",
                    options, args, 1, &n, &code))
                return code;
        if (n != 1) {
                fprintf(stderr, "%s delete: a name is needed; see --help\n", PROGRAM);
                return CLI_MISUSE;
        }
        struct err err = ERR_INIT;
        CLEAN_MEM char *dir = rules_dir(v, &err);
        int r = dir ? rule_delete(dir, args[0], &err) : err.code;
        if (r)
                return cli_fail(PROGRAM " delete", &err);
        printf("deleted rule '%s'\n", args[0]);
        return CLI_OK;
}

/* ── test ── */

static int add_column(
        struct rows *rows, const struct telemetry_group *g, const struct telemetry_column *c)
{
        struct telemetry_value values[] = {
                {.type = TELEMETRY_TEXT, .text = g->name},
                {.type = TELEMETRY_TEXT, .text = c->name},
                text(telemetry_type_to_string(c->value.type)),
                c->value,
        };
        return rows_add(rows, N_ELEMENTS(values), values);
}

static int print_message(const struct telemetry *t, enum rows_format format)
{
        static const char *const names[] = {"table", "column", "type", "value"};
        CLEAN_ROWS struct rows rows = {0};
        int r = rows_begin(&rows, format, N_ELEMENTS(names), names);
        for (size_t g = 0; !r && g < t->n_groups; g++)
                for (size_t i = t->groups[g].first; !r && i < t->groups[g].first + t->groups[g].n;
                        i++)
                        r = add_column(&rows, &t->groups[g], &t->columns[i]);
        rows_end(&rows);
        return r;
}

struct trial {
        const char *sql, *file, *topic, *output;
        enum rows_format format;
};

/* > 0: the rule does not take the message; says why. */
static int try_rule(const struct trial *trial, struct err *err)
{
        CLEAN(rule) struct rule *rule = NULL;
        CLEAN(telemetry) struct telemetry *in = telemetry_new();
        CLEAN(telemetry) struct telemetry *scratch = telemetry_new();
        CLEAN_BUF struct buf message = BUF_INIT(LIMIT_MESSAGE_BYTES + 1);
        const struct telemetry *out = NULL;
        if (!in || !scratch)
                return err_set(err, -ENOMEM, "out of memory");
        int r = rule_parse(trial->sql, &rule, err);
        if (r)
                return err_prefix(err, "rule");
        r = fs_read(strcmp(trial->file, "-") ? trial->file : "/dev/stdin", &message, err);
        if (r)
                return r;
        r = telemetry_parse(in, buf_text(&message), message.len, err);
        if (r)
                return err_prefix(err, "message");
        if (!rule_takes_topic(rule, trial->topic)) {
                printf("not taken: the topic filter does not match '%s'\n", trial->topic);
                return 1;
        }
        r = rule_apply(rule, trial->topic, clock_now_ms(), in, scratch, &out, err);
        if (r == RULE_NO_MATCH)
                printf("not taken: WHERE is not true\n");
        else if (!r && print_message(out, trial->format))
                r = err_set(err, -ENOMEM, "out of memory");
        return r;
}

static int test(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        struct trial trial = {.topic = "device/VIN1/telemetry", .output = "table"};
        const struct cli_option options[] = {
                {"topic", 't', CLI_TEXT, &trial.topic, "TOPIC",
                        "what the message comes on (device/VIN1/telemetry)"},
                {"output", 'o', CLI_TEXT, &trial.output, "FORMAT",
                        "table (the default), json or csv"},
                OPTION_DATA(v),
                {0},
        };
        const char *args[2];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline rule test [options] SQL FILE\n\nApplies a rule to the message in "
                    "FILE ('-': standard input) and shows what it\n"
                    "would store. Exit status 1: the rule does not take the message.",
                    options, args, 2, &n, &code))
                return code;
        if (n != 2 || rows_format_from_string(PROGRAM, trial.output, &trial.format)) {
                if (n != 2)
                        fprintf(stderr, "%s test: a rule and a file are needed; see --help\n",
                                PROGRAM);
                return CLI_MISUSE;
        }
        trial.sql = args[0];
        trial.file = args[1];
        struct err err = ERR_INIT;
        int r = try_rule(&trial, &err);
        return r < 0 ? cli_fail(PROGRAM " test", &err) : r ? CLI_FAILED : CLI_OK;
}

int verb_rule(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"list", "show the rules", list},
                {"test", "apply a rule to a message", test},
                {"create", "add a rule", create},
                {"delete", "remove a rule", delete_verb},
                {0},
        };
        return cli_dispatch(PROGRAM, verbs, context, argc - 1, argv + 1);
}
