/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/clean.h"
#include "base/cli.h"
#include "base/clock.h"
#include "base/limits.h"
#include "tool/mgmt.h"
#include "tool/registry_session.h"
#include "tool/verb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Verbs of the update server: rollout, target, action. Each is a call of its Management API. */

static void print_json(const json_t *value)
{
        json_dumpf(value, stdout, JSON_INDENT(2));
        putchar('\n');
}

static int missing(const char *program, const char *what)
{
        fprintf(stderr, "%s: %s is missing; see --help\n", program, what);
        return CLI_MISUSE;
}

static const char *time_of(const json_t *j, const char *key, char text[CLOCK_ISO8601_SIZE])
{
        int64_t ms = json_int(j, key, 0);
        if (!ms)
                return "never";
        clock_iso8601(ms, text);
        return text;
}

/* Parses the options that all these verbs have. Returns an exit code, or -1: go on. */
static int parse(struct verb_context *v, int argc, char **argv, const char *usage, bool *json,
        const char **args, size_t max, size_t *n)
{
        int code;
        const char *output = "table";
        const struct cli_option options[] = {OPTION_DATA(v), OPTION_OUTPUT(&output), {0}};
        if (cli_parse(argc, argv, usage, options, args, max, n, &code))
                return code;
        int is_json = output_is_json("driveline", output);
        *json = is_json == 1;
        return is_json < 0 ? CLI_MISUSE : -1;
}

/* A call whose target is made of one path part that needs escaping. */
static int call(struct verb_context *v, const char *method, const char *before, const char *part,
        const char *after, json_t **ret, struct err *err)
{
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(4));
        buf_adds(&target, before);
        buf_add_url(&target, part);
        buf_adds(&target, after);
        return mgmt_call(v, method, buf_text(&target), NULL, ret, err);
}

/* ── rollouts ── */

static void print_rollout(const json_t *r)
{
        const json_t *c = json_object_get(r, "totalTargetsPerStatus");
        printf("%-5lld %-20s %-10s %lld targets: %lld finished, %lld running, %lld failed, %lld "
               "waiting\n",
                (long long)json_int(r, "id", 0), json_text(r, "name", ""),
                json_text(r, "status", ""), (long long)json_int(r, "totalTargets", 0),
                (long long)json_int(c, "finished", 0), (long long)json_int(c, "running", 0),
                (long long)json_int(c, "error", 0),
                (long long)(json_int(c, "scheduled", 0) + json_int(c, "notstarted", 0)));
}

static int rollout_list(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        bool json = false;
        size_t n, i;
        json_t *one;
        int code = parse(context, argc, argv,
                "driveline rollout list [--output json]\n\nLists the rollouts, newest first (at "
                "most "
                "500).",
                &json, NULL, 0, &n);
        if (code >= 0)
                return code;
        CLEAN_JSON json_t *page = NULL;
        if (mgmt_call(context, "GET", "rollouts?representation=full&limit=500&sort=id:DESC", NULL,
                    &page, &err) < 0)
                return cli_fail("driveline rollout list", &err);
        if (json)
                print_json(json_object_get(page, "content"));
        json_array_foreach(json_object_get(page, "content"), i, one)
        {
                if (!json)
                        print_rollout(one);
        }
        return CLI_OK;
}

static int rollout_show(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        bool json = false;
        const char *id;
        size_t n, i;
        json_t *one;
        int code = parse(context, argc, argv,
                "driveline rollout show [--output json] ID\n\nShows a rollout and its groups.",
                &json, &id, 1, &n);
        if (code >= 0)
                return code;
        if (!n)
                return missing("driveline rollout show", "the rollout's number");
        CLEAN_JSON json_t *rollout = NULL;
        CLEAN_JSON json_t *groups = NULL;
        if (call(context, "GET", "rollouts/", id, "", &rollout, &err) < 0 ||
                call(context, "GET", "rollouts/", id, "/deploygroups?representation=full&limit=500",
                        &groups, &err) < 0)
                return cli_fail("driveline rollout show", &err);
        if (json) {
                json_object_set(rollout, "groups", json_object_get(groups, "content"));
                print_json(rollout);
                return CLI_OK;
        }
        print_rollout(rollout);
        json_array_foreach(json_object_get(groups, "content"), i, one)
        {
                print_rollout(one);
        }
        return CLI_OK;
}

/* start, pause, resume, stop, approve, deny, next and delete: argv[0] says which. */
static int rollout_change(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        bool json = false;
        const char *id, *verb = argv[0];
        size_t n;
        char after[64], program[64];
        int code = parse(context, argc, argv,
                "driveline rollout start|pause|resume|stop|next|approve|deny|delete ID\n\n"
                "Steers a rollout. 'next' starts the next group whatever the thresholds say; "
                "'stop' withdraws\n"
                "what is not finished; 'delete' does so without asking the devices.",
                &json, &id, 1, &n);
        if (code >= 0)
                return code;
        snprintf(program, sizeof(program), "driveline rollout %s", verb);
        if (!n)
                return missing(program, "the rollout's number");
        bool is_delete = strcmp(verb, "delete") == 0;
        snprintf(
                after, sizeof(after), "/%s", strcmp(verb, "next") == 0 ? "triggerNextGroup" : verb);
        if (call(context, is_delete ? "DELETE" : "POST", "rollouts/", id, is_delete ? "" : after,
                    NULL, &err) < 0)
                return cli_fail(program, &err);
        return CLI_OK;
}

int verb_rollout(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"list", "list the rollouts", rollout_list},
                {"show", "show a rollout and its groups", rollout_show},
                {"start", "start a rollout that is ready", rollout_change},
                {"pause", "start no further group", rollout_change},
                {"resume", "go on after a pause", rollout_change},
                {"next", "start the next group now", rollout_change},
                {"stop", "withdraw what is not finished", rollout_change},
                {"approve", "approve a rollout that waits for it", rollout_change},
                {"deny", "deny a rollout that waits for approval", rollout_change},
                {"delete", "remove a rollout", rollout_change},
                {0},
        };
        return cli_dispatch("driveline rollout", verbs, context, argc - 1, argv + 1);
}

/* ── targets ── */

static void print_target(const json_t *t)
{
        char text[CLOCK_ISO8601_SIZE];
        printf("%-24s %-10s last seen %s\n", json_text(t, "controllerId", ""),
                json_text(t, "updateStatus", ""), time_of(t, "lastControllerRequestAt", text));
}

static int target_list(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        bool json = false;
        size_t n, i;
        const char *query = NULL;
        json_t *one;
        int code = parse(context, argc, argv,
                "driveline target list [--output json] [QUERY]\n\nLists the cars that the update "
                "server "
                "knows (at most 500),\n"
                "all or those that an RSQL query matches, for example 'updatestatus==error'.",
                &json, &query, 1, &n);
        if (code >= 0)
                return code;
        CLEAN_JSON json_t *page = NULL;
        int r = n ? call(context, "GET", "targets?limit=500&q=", query, "", &page, &err)
                  : mgmt_call(context, "GET", "targets?limit=500", NULL, &page, &err);
        if (r < 0)
                return cli_fail("driveline target list", &err);
        if (json)
                print_json(json_object_get(page, "content"));
        json_array_foreach(json_object_get(page, "content"), i, one)
        {
                if (!json)
                        print_target(one);
        }
        return CLI_OK;
}

static void print_set(const char *what, const json_t *set)
{
        if (set)
                printf("  %s: %s %s\n", what, json_text(set, "name", ""),
                        json_text(set, "version", ""));
}

static int target_show(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        bool json = false;
        const char *id;
        size_t n;
        int code = parse(context, argc, argv,
                "driveline target show [--output json] NAME\n\nShows a car: its state, what it "
                "should "
                "have and has.",
                &json, &id, 1, &n);
        if (code >= 0)
                return code;
        if (!n)
                return missing("driveline target show", "the car's name");
        CLEAN_JSON json_t *target = NULL;
        CLEAN_JSON json_t *assigned = NULL;
        CLEAN_JSON json_t *installed = NULL;
        if (call(context, "GET", "targets/", id, "", &target, &err) < 0 ||
                call(context, "GET", "targets/", id, "/assignedDS", &assigned, &err) < 0 ||
                call(context, "GET", "targets/", id, "/installedDS", &installed, &err) < 0)
                return cli_fail("driveline target show", &err);
        if (json) {
                if (assigned)
                        json_object_set(target, "assigned", assigned);
                if (installed)
                        json_object_set(target, "installed", installed);
                print_json(target);
                return CLI_OK;
        }
        print_target(target);
        print_set("assigned", assigned);
        print_set("installed", installed);
        return CLI_OK;
}

int verb_target(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"list", "list the cars that the update server knows", target_list},
                {"show", "show one car", target_show},
                {0},
        };
        return cli_dispatch("driveline target", verbs, context, argc - 1, argv + 1);
}

/* ── actions ── */

static const char *target_of(const json_t *action)
{
        const json_t *link = json_object_get(json_object_get(action, "_links"), "target");
        const char *href = json_text(link, "href", "");
        const char *slash = strrchr(href, '/');
        return slash ? slash + 1 : href; /* percent-encoded, as paths want it */
}

static void print_action(const json_t *a)
{
        char text[CLOCK_ISO8601_SIZE];
        const json_t *set = json_object_get(json_object_get(a, "_links"), "distributionset");
        printf("%-5lld %-20s %-22s %-20s %s%s\n", (long long)json_int(a, "id", 0), target_of(a),
                json_text(a, "status", ""), json_text(set, "name", ""),
                time_of(a, "lastModifiedAt", text), json_bool(a, "active", false) ? "" : " closed");
}

static int action_list(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        bool json = false;
        size_t n, i;
        const char *query = NULL;
        json_t *one;
        int code = parse(context, argc, argv,
                "driveline action list [--output json] [QUERY]\n\nLists update actions, newest "
                "first (at "
                "most 100), all or\n"
                "those that an RSQL query matches, for example "
                "'target.controllerid==car-1;active==true'.",
                &json, &query, 1, &n);
        if (code >= 0)
                return code;
        CLEAN_JSON json_t *page = NULL;
        int r = n ? call(context, "GET", "actions?representation=full&limit=100&q=", query, "",
                            &page, &err)
                  : mgmt_call(context, "GET", "actions?representation=full&limit=100", NULL, &page,
                            &err);
        if (r < 0)
                return cli_fail("driveline action list", &err);
        if (json)
                print_json(json_object_get(page, "content"));
        json_array_foreach(json_object_get(page, "content"), i, one)
        {
                if (!json)
                        print_action(one);
        }
        return CLI_OK;
}

/* targets/ID/actions/N of an action, into `target`. `*ret_action` may be NULL. */
static int find_action(struct verb_context *v, const char *id, struct buf *target,
        json_t **ret_action, struct err *err)
{
        int r = call(v, "GET", "actions/", id, "", ret_action, err);
        if (r == 0)
                buf_addf(target, "targets/%s/actions/%lld", target_of(*ret_action),
                        (long long)json_int(*ret_action, "id", 0));
        return r;
}

static int cancel(struct verb_context *v, const char *id, bool force, struct err *err)
{
        CLEAN_JSON json_t *action = NULL;
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(4));
        int r = find_action(v, id, &target, &action, err);
        if (r < 0)
                return r;
        bool is_asked = strcmp(json_text(action, "status", ""), "canceling") == 0;
        if (!(force && is_asked))
                r = mgmt_call(v, "DELETE", buf_text(&target), NULL, NULL, err);
        if (r < 0 || !force)
                return r;
        buf_adds(&target, "?force=true");
        return mgmt_call(v, "DELETE", buf_text(&target), NULL, NULL, err);
}

static int action_cancel(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        struct err err = ERR_INIT;
        bool force = false;
        const char *id;
        size_t n;
        int code;
        const struct cli_option options[] = {
                OPTION_DATA(v),
                {"force", 0, CLI_FLAG, &force, NULL, "don't wait for the device's consent"},
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline action cancel [--force] ID\n\nWithdraws an update. The device is "
                    "asked; it may be done\n"
                    "already or refuse.",
                    options, &id, 1, &n, &code))
                return code;
        if (!n)
                return missing("driveline action cancel", "the action's number");
        return cancel(v, id, force, &err) < 0 ? cli_fail("driveline action cancel", &err) : CLI_OK;
}

static int action_confirm(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        bool json = false;
        const char *id;
        size_t n;
        int code = parse(context, argc, argv,
                "driveline action confirm ID\n\nConfirms an update that waits for it, in the "
                "device's place.",
                &json, &id, 1, &n);
        if (code >= 0)
                return code;
        if (!n)
                return missing("driveline action confirm", "the action's number");
        CLEAN_JSON json_t *action = NULL;
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(4));
        int r = find_action(context, id, &target, &action, &err);
        buf_adds(&target, "/confirmation");
        if (r == 0)
                r = mgmt_call(context, "PUT", buf_text(&target), "{\"confirmation\":\"confirmed\"}",
                        NULL, &err);
        return r < 0 ? cli_fail("driveline action confirm", &err) : CLI_OK;
}

int verb_action(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"list", "list update actions", action_list},
                {"cancel", "withdraw an update", action_cancel},
                {"confirm", "confirm an update that waits for it", action_confirm},
                {0},
        };
        return cli_dispatch("driveline action", verbs, context, argc - 1, argv + 1);
}
