/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "tool/registry_session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Options and exactly `n_args` operands. 0, or an exit code + 1. */
static int parse(int argc, char **argv, const char *usage, const struct cli_option *options,
        const char **args, size_t n_args)
{
        size_t n;
        int code;
        if (cli_parse(argc, argv, usage, options, args, n_args, &n, &code))
                return code + 1;
        if (n == n_args)
                return 0;
        fprintf(stderr, "driveline policy %s: an argument is missing; see --help\n", argv[0]);
        return CLI_MISUSE + 1;
}

/* What all these verbs do first: the same, and the registry. */
static int begin(struct verb_context *v, int argc, char **argv, const char *usage,
        const struct cli_option *options, const char **args, size_t n_args,
        struct registry_session *s)
{
        int code = parse(argc, argv, usage, options, args, n_args);
        if (code)
                return code;
        struct err err = ERR_INIT;
        if (registry_session_open(s, v, &err) < 0)
                return cli_fail("driveline policy", &err) + 1;
        return 0;
}

static int failed(char **argv, const struct err *err)
{
        fprintf(stderr, "driveline policy %s: %s\n", argv[0], err->text);
        return CLI_FAILED;
}

/* ── create, update, delete ── */

static int put(struct verb_context *v, int argc, char **argv, bool update)
{
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        const char *args[2];
        CLEAN_SESSION struct registry_session s = {0};
        int code = begin(v, argc, argv,
                update ? "driveline policy update NAME FILE\n\nMakes the document in FILE the "
                         "policy's "
                         "next version, which counts at once."
                       : "driveline policy create NAME FILE\n\nCreates a policy from the JSON "
                         "document "
                         "in FILE ('-': standard input).\nThe grammar is in docs/policies.md.",
                options, args, 2, &s);
        if (code)
                return code - 1;
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_DOCUMENT_BYTES + 1);
        struct err err = ERR_INIT;
        int version = 0;
        int r = fs_read(strcmp(args[1], "-") ? args[1] : "/dev/stdin", &text, &err);
        if (!r && registry_policy_put(s.registry, args[0], buf_text(&text), text.len, update,
                          &version, &err) < 0)
                r = err.code == -EINVAL ? err_prefix(&err, "'%s'", args[1]) : err.code;
        if (r < 0)
                return failed(argv, &err);
        printf("policy '%s' has version %d\n", args[0], version);
        return CLI_OK;
}

static int create(void *context, int argc, char **argv)
{
        return put(context, argc, argv, false);
}

static int update(void *context, int argc, char **argv)
{
        return put(context, argc, argv, true);
}

static int delete (void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        const char *name;
        CLEAN_SESSION struct registry_session s = {0};
        int code = begin(v, argc, argv,
                "driveline policy delete NAME\n\nRemoves a policy with all its versions. It must "
                "not be "
                "attached to any thing.",
                options, &name, 1, &s);
        if (code)
                return code - 1;
        struct err err = ERR_INIT;
        if (registry_policy_delete(s.registry, name, &err) < 0)
                return failed(argv, &err);
        printf("deleted policy '%s'\n", name);
        return CLI_OK;
}

/* ── attach and detach ── */

static int connect(struct verb_context *v, int argc, char **argv, bool attach)
{
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        const char *args[2];
        CLEAN_SESSION struct registry_session s = {0};
        int code = begin(v, argc, argv,
                attach ? "driveline policy attach POLICY THING\n\nThe policy counts for the thing "
                         "from "
                         "now on, also for the session that it has."
                       : "driveline policy detach POLICY THING\n\nThe policy no longer counts for "
                         "the "
                         "thing, also not for the session that it has.",
                options, args, 2, &s);
        if (code)
                return code - 1;
        struct err err = ERR_INIT;
        int r = attach ? registry_policy_attach(s.registry, args[0], args[1], &err)
                       : registry_policy_detach(s.registry, args[0], args[1], &err);
        if (r < 0)
                return failed(argv, &err);
        printf("policy '%s' is %s '%s'\n", args[0], attach ? "attached to" : "detached from",
                args[1]);
        return CLI_OK;
}

static int attach(void *context, int argc, char **argv)
{
        return connect(context, argc, argv, true);
}

static int detach(void *context, int argc, char **argv)
{
        return connect(context, argc, argv, false);
}

/* ── list and show ── */

static int list_row(void *arg, const struct registry_policy *p)
{
        (void)arg;
        char created[CLOCK_ISO8601_SIZE];
        clock_iso8601(p->created_at_ms, created);
        printf("%-24s %7d %7d %s\n", p->name, p->version, p->n_things, created);
        return 0;
}

static int list_json(void *arg, const struct registry_policy *p)
{
        char created[CLOCK_ISO8601_SIZE];
        clock_iso8601(p->created_at_ms, created);
        return json_array_append_new(
                arg, json_pack("{s:s, s:i, s:i, s:s}", "name", p->name, "version", p->version,
                             "things", p->n_things, "createdAt", created));
}

static int list(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *output = "table", *none[1];
        const struct cli_option options[] = {OPTION_OUTPUT(&output), OPTION_DATA(v), {0}};
        CLEAN_SESSION struct registry_session s = {0};
        struct err err = ERR_INIT;
        int code = parse(argc, argv,
                "driveline policy list [options]\n\nLists all policies with their current version "
                "and "
                "how many things have them.",
                options, none, 0);
        if (code)
                return code - 1;
        int as_json = output_is_json("driveline policy list", output);
        if (as_json < 0)
                return CLI_MISUSE;
        /* Only now: the first session of a data folder makes its keys and certificates. */
        if (registry_session_open(&s, v, &err) < 0)
                return failed(argv, &err);
        CLEAN_JSON json_t *array = json_array();
        if (!as_json)
                printf("%-24s %7s %7s %s\n", "POLICY", "VERSION", "THINGS", "SINCE");
        if (registry_policy_each(s.registry, NULL, as_json ? list_json : list_row, array, &err) < 0)
                return failed(argv, &err);
        if (as_json) {
                json_dumpf(array, stdout, JSON_INDENT(2));
                putchar('\n');
        }
        return CLI_OK;
}

struct wanted {
        int version; /* 0: the current one */
        bool found;
};

static int show_version(void *arg, const struct registry_policy *p)
{
        struct wanted *w = arg;
        if (w->version ? w->version != p->version : !p->is_current)
                return 0;
        w->found = true;
        size_t n = strlen(p->document);
        printf("%s%s", p->document, n && p->document[n - 1] == '\n' ? "" : "\n");
        return 0;
}

static int show(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        struct wanted w = {0};
        const struct cli_option options[] = {
                {"version", 0, CLI_INT, &w.version, "N",
                        "one of the last five (default: the current)"},
                OPTION_DATA(v),
                {0},
        };
        const char *name;
        CLEAN_SESSION struct registry_session s = {0};
        int code = begin(v, argc, argv,
                "driveline policy show [options] NAME\n\nPrints the policy's document.", options,
                &name, 1, &s);
        if (code)
                return code - 1;
        struct err err = ERR_INIT;
        if (!registry_policy_each(s.registry, name, show_version, &w, &err) && !w.found)
                err_set(&err, -ENOENT,
                        w.version ? "policy '%s' has no version %d (any more)"
                                  : "there is no policy '%s': 'driveline policy list' shows all",
                        name, w.version);
        return err.code ? failed(argv, &err) : CLI_OK;
}

/* ── the simulator ── */

static void print_decision(const char *thing, const struct registry_decision *d)
{
        if (d->no_certificate)
                printf("denied: thing '%s' has no active certificate\n", thing);
        else if (!d->statement)
                printf("denied: no statement of the policies of '%s' allows it\n", thing);
        else
                printf("%s: by statement %d%s%s%s of policy '%s'\n",
                        d->allowed ? "allowed" : "denied", d->statement, *d->sid ? " '" : "",
                        d->sid, *d->sid ? "'" : "", d->policy);
}

static void print_decision_json(const struct registry_decision *d)
{
        CLEAN_JSON json_t *value = json_pack("{s:b, s:s, s:i, s:s, s:b}", "allowed", d->allowed,
                "policy", d->policy, "statement", d->statement, "sid", d->sid, "activeCertificate",
                !d->no_certificate);
        json_dumpf(value, stdout, JSON_INDENT(2));
        putchar('\n');
}

static int test(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *thing = NULL, *action_text = NULL, *resource = NULL, *output = "table",
                   *none[1];
        const struct cli_option options[] = {
                {"thing", 0, CLI_TEXT, &thing, "NAME", "who asks"},
                {"action", 0, CLI_TEXT, &action_text, "ACTION",
                        "iot:Connect, iot:Publish, iot:Subscribe or iot:Receive"},
                {"resource", 0, CLI_TEXT, &resource, "TEXT", "client id, topic or topic filter"},
                OPTION_OUTPUT(&output),
                OPTION_DATA(v),
                {0},
        };
        CLEAN_SESSION struct registry_session s = {0};
        int code = parse(argc, argv,
                "driveline policy test --thing NAME --action ACTION --resource TEXT\n\n"
                "Says what the broker would decide, and by which statement. Exit status 0: "
                "allowed,\n"
                "1: denied, 2: the question is wrong.",
                options, none, 0);
        if (code)
                return code - 1;
        enum policy_action action;
        int as_json = output_is_json("driveline policy test", output);
        if (as_json < 0)
                return CLI_MISUSE;
        if (!thing || !action_text || !resource ||
                policy_action_from_string(action_text, &action) < 0) {
                fprintf(stderr,
                        "driveline policy test: --thing, --action (iot:Connect, iot:Publish, "
                        "iot:Subscribe, iot:Receive) and --resource are needed\n");
                return CLI_MISUSE;
        }
        struct registry_decision d;
        struct err err = ERR_INIT;
        /* Only now: the first session of a data folder makes its keys and certificates. */
        if (registry_session_open(&s, v, &err) < 0)
                return failed(argv, &err);
        if (registry_policy_test(s.registry, thing, action, resource, &d, &err) < 0) {
                failed(argv, &err);
                return CLI_MISUSE;
        }
        if (as_json)
                print_decision_json(&d);
        else
                print_decision(thing, &d);
        return d.allowed ? CLI_OK : CLI_FAILED;
}

int verb_policy(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"create", "create a policy from a file", create},
                {"update", "make a file the next version of a policy", update},
                {"list", "list all policies", list},
                {"show", "print a policy", show},
                {"attach", "let a policy count for a thing", attach},
                {"detach", "end that", detach},
                {"delete", "remove a policy that no thing has", delete},
                {"test", "say whether a thing may do something, and why", test},
                {0},
        };
        return cli_dispatch("driveline policy", verbs, context, argc - 1, argv + 1);
}
