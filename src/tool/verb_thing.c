/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "base/json.h"
#include "tool/registry_session.h"

#include <stdio.h>
#include <string.h>

#define MAX_NAMES 256

/* ── create and renew ── */

static void print_files(const struct registry_session *s, const char *name,
        const struct registry_files *files, const char *what)
{
        CLEAN_MEM char *things = cloud_path(&s->config, "things");
        char after[CLOCK_ISO8601_SIZE] = "";
        struct registry_thing thing;
        if (!registry_thing_get(s->registry, name, &thing, NULL))
                clock_iso8601(thing.newest.not_after_ms, after);
        printf("%s '%s', certificate valid until %.10s, files in '%s%s%s'\n", what, name, after,
                files->out_dir ? files->out_dir : things, files->out_dir ? "" : "/",
                files->out_dir ? "" : name);
}

static int create(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *names[MAX_NAMES];
        size_t n;
        int code;
        struct registry_files files = {0};
        struct cli_list policies = {0};
        const struct cli_option options[] = {
                {"out", 'o', CLI_TEXT, &files.out_dir, "DIR",
                        "where the files go (default: DATA/things/NAME)"},
                {"days", 0, CLI_INT, &files.days, "N",
                        "validity of the certificate (default: 3650)"},
                {"policy", 0, CLI_LIST, &policies, "NAME",
                        "policy to attach, may be repeated (default: " REGISTRY_DEFAULT_POLICY ")"},
                OPTION_DATA(v),
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline thing create [options] NAME...\n\n"
                    "Registers things and writes NAME.private.key, NAME.public.key, NAME.cert.pem "
                    "and\n"
                    "root-CA.crt for each: what a device needs to connect. The private key is "
                    "nowhere\n"
                    "else. A name is 1 to 64 of A-Z a-z 0-9 _ . : - and is the device's MQTT "
                    "client id.",
                    options, names, MAX_NAMES, &n, &code))
                return code;
        if (!n) {
                fprintf(stderr, "driveline thing create: a name is missing; see --help\n");
                return CLI_MISUSE;
        }
        CLEAN_SESSION struct registry_session s = {0};
        struct err err = ERR_INIT;
        int r = registry_session_open(&s, v, &err);
        for (size_t i = 0; !r && i < n; i++) {
                r = registry_thing_create(
                        s.registry, names[i], &files, policies.items, policies.n, &err);
                if (!r)
                        print_files(&s, names[i], &files, "created thing");
        }
        return r < 0 ? cli_fail("driveline thing create", &err) : CLI_OK;
}

static int renew(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *name;
        size_t n;
        int code;
        bool revoke = false;
        struct registry_files files = {0};
        const struct cli_option options[] = {
                {"out", 'o', CLI_TEXT, &files.out_dir, "DIR",
                        "where the files go (default: DATA/things/NAME, over the old ones)"},
                {"days", 0, CLI_INT, &files.days, "N",
                        "validity of the certificate (default: 3650)"},
                {"revoke", 0, CLI_FLAG, &revoke, NULL,
                        "delete the thing's older certificates at once"},
                OPTION_DATA(v),
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline thing renew [options] NAME\n\n"
                    "Makes a new key and certificate for a thing. The older certificates stay "
                    "active until\n"
                    "they expire, so that the device stays connected until it has the new files; "
                    "with\n"
                    "--revoke they are deleted and the device's session ends.",
                    options, &name, 1, &n, &code))
                return code;
        if (!n) {
                fprintf(stderr, "driveline thing renew: the name is missing; see --help\n");
                return CLI_MISUSE;
        }
        CLEAN_SESSION struct registry_session s = {0};
        struct err err = ERR_INIT;
        int r = registry_session_open(&s, v, &err);
        if (!r)
                r = registry_thing_renew(s.registry, name, &files, revoke, &err);
        if (r < 0)
                return cli_fail("driveline thing renew", &err);
        print_files(&s, name, &files, "renewed thing");
        return CLI_OK;
}

/* ── list and show ── */

static const char *state_of(const struct registry_certificate *c)
{
        if (!*c->serial)
                return "no certificate";
        if (c->state == CERTIFICATE_ACTIVE && c->not_after_ms <= clock_now_ms())
                return "expired";
        return certificate_state_to_string(c->state);
}

static json_t *json_time(int64_t ms)
{
        char text[CLOCK_ISO8601_SIZE];
        if (!ms)
                return json_null();
        clock_iso8601(ms, text);
        return json_string(text);
}

static json_t *certificate_json(const struct registry_certificate *c)
{
        return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "serial", c->serial, "fingerprint",
                c->fingerprint, "state", state_of(c), "createdAt", json_time(c->created_at_ms),
                "notBefore", json_time(c->not_before_ms), "notAfter", json_time(c->not_after_ms));
}

static int print_json(json_t *value)
{
        CLEAN_JSON json_t *owned = value;
        if (!owned || json_dumpf(owned, stdout, JSON_INDENT(2)) < 0)
                return CLI_FAILED;
        putchar('\n');
        return CLI_OK;
}

static int list_row(void *arg, const struct registry_thing *thing)
{
        (void)arg;
        char after[CLOCK_ISO8601_SIZE];
        clock_iso8601(thing->newest.not_after_ms, after);
        printf("%-24s %-9s %-20.10s %s\n", thing->name, state_of(&thing->newest), after,
                thing->newest.serial);
        return 0;
}

static int list_json(void *arg, const struct registry_thing *thing)
{
        json_t *value = json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", thing->name, "state",
                state_of(&thing->newest), "serial", thing->newest.serial, "createdAt",
                json_time(thing->created_at_ms), "notAfter", json_time(thing->newest.not_after_ms));
        return json_array_append_new(arg, value);
}

static int list(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *output = "table", *none[1];
        size_t n;
        int code;
        const struct cli_option options[] = {OPTION_OUTPUT(&output), OPTION_DATA(v), {0}};
        if (cli_parse(argc, argv,
                    "driveline thing list [options]\n\nLists all things with the state and the end "
                    "of "
                    "their newest certificate.",
                    options, none, 0, &n, &code))
                return code;
        int as_json = output_is_json("driveline thing list", output);
        if (as_json < 0)
                return CLI_MISUSE;
        CLEAN_SESSION struct registry_session s = {0};
        CLEAN_JSON json_t *array = json_array();
        struct err err = ERR_INIT;
        int r = registry_session_open(&s, v, &err);
        if (!r && !as_json)
                printf("%-24s %-9s %-20s %s\n", "THING", "STATE", "VALID UNTIL", "CERTIFICATE");
        if (!r)
                r = registry_thing_each(s.registry, as_json ? list_json : list_row, array, &err);
        if (r < 0)
                return cli_fail("driveline thing list", &err);
        return as_json ? print_json(TAKE(array)) : CLI_OK;
}

static int add_policy(void *arg, const char *name)
{
        return json_array_append_new(arg, json_string(name));
}

static int add_certificate(void *arg, const struct registry_certificate *c)
{
        return json_array_append_new(arg, certificate_json(c));
}

/* A thing as one document; the table is printed from it too. */
static json_t *describe(struct registry *registry, const char *name, struct err *err)
{
        struct registry_thing thing;
        CLEAN_JSON json_t *policies = json_array();
        CLEAN_JSON json_t *certificates = json_array();
        int r = registry_thing_get(registry, name, &thing, err);
        if (!r)
                r = registry_attachment_each(registry, name, NULL, add_policy, policies, err);
        if (!r)
                r = registry_certificate_each(registry, name, add_certificate, certificates, err);
        if (r < 0)
                return NULL;
        return json_pack("{s:s, s:s, s:o, s:O, s:O}", "name", thing.name, "state",
                state_of(&thing.newest), "createdAt", json_time(thing.created_at_ms), "policies",
                policies, "certificates", certificates);
}

static void print_thing(const json_t *thing)
{
        size_t i;
        json_t *value;
        printf("thing        %s\nstate        %s\ncreated      %s\npolicies    ",
                json_text(thing, "name", ""), json_text(thing, "state", ""),
                json_text(thing, "createdAt", ""));
        json_array_foreach(json_object_get(thing, "policies"), i, value)
                printf(" %s", json_string_value(value));
        json_array_foreach(json_object_get(thing, "certificates"), i, value) printf(
                "%scertificate  %s %s, valid until %s\n             SHA-256 %s\n", i ? "" : "\n",
                json_text(value, "serial", ""), json_text(value, "state", ""),
                json_text(value, "notAfter", ""), json_text(value, "fingerprint", ""));
}

static int show(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *output = "table", *name;
        size_t n;
        int code;
        const struct cli_option options[] = {OPTION_OUTPUT(&output), OPTION_DATA(v), {0}};
        if (cli_parse(argc, argv,
                    "driveline thing show [options] NAME\n\nShows a thing, its policies and all "
                    "its "
                    "certificates, deleted ones too.",
                    options, &name, 1, &n, &code))
                return code;
        int as_json = output_is_json("driveline thing show", output);
        if (as_json < 0 || !n) {
                if (!n)
                        fprintf(stderr, "driveline thing show: the name is missing; see --help\n");
                return CLI_MISUSE;
        }
        CLEAN_SESSION struct registry_session s = {0};
        struct err err = ERR_INIT;
        CLEAN_JSON json_t *thing =
                registry_session_open(&s, v, &err) < 0 ? NULL : describe(s.registry, name, &err);
        if (!thing)
                return cli_fail("driveline thing show", &err);
        if (as_json)
                return print_json(TAKE(thing));
        print_thing(thing);
        return CLI_OK;
}

/* ── activate, deactivate, delete ── */

static int set_active(struct verb_context *v, int argc, char **argv, bool active)
{
        const char *program = active ? "driveline thing activate" : "driveline thing deactivate";
        const char *name;
        size_t n;
        int code;
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        if (cli_parse(argc, argv,
                    active ? "driveline thing activate NAME\n\nLets the thing's certificates be "
                             "used "
                             "again."
                           : "driveline thing deactivate NAME\n\nRefuses the thing's certificates "
                             "from "
                             "now on; a session\nthat it has ends within a second.",
                    options, &name, 1, &n, &code))
                return code;
        if (!n) {
                fprintf(stderr, "%s: the name is missing; see --help\n", program);
                return CLI_MISUSE;
        }
        CLEAN_SESSION struct registry_session s = {0};
        struct err err = ERR_INIT;
        int r = registry_session_open(&s, v, &err);
        if (!r)
                r = registry_thing_set_active(s.registry, name, active, &err);
        if (r < 0)
                return cli_fail(program, &err);
        printf("thing '%s' is %s\n", name, active ? "active" : "inactive");
        return CLI_OK;
}

static int activate(void *context, int argc, char **argv)
{
        return set_active(context, argc, argv, true);
}

static int deactivate(void *context, int argc, char **argv)
{
        return set_active(context, argc, argv, false);
}

static int delete (void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *name;
        size_t n;
        int code;
        bool force = false;
        const struct cli_option options[] = {
                {"force", 'f', CLI_FLAG, &force, NULL,
                        "delete it although its certificate is active"},
                OPTION_DATA(v),
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline thing delete [options] NAME\n\n"
                    "Removes a thing, what is attached to it and its files below DATA/things; its\n"
                    "certificates are refused for ever.",
                    options, &name, 1, &n, &code))
                return code;
        if (!n) {
                fprintf(stderr, "driveline thing delete: the name is missing; see --help\n");
                return CLI_MISUSE;
        }
        CLEAN_SESSION struct registry_session s = {0};
        struct err err = ERR_INIT;
        int r = registry_session_open(&s, v, &err);
        if (!r)
                r = registry_thing_delete(s.registry, name, force, &err);
        if (r < 0)
                return cli_fail("driveline thing delete", &err);
        printf("deleted thing '%s'\n", name);
        return CLI_OK;
}

int verb_thing(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"create", "register a thing and write its key and certificate", create},
                {"list", "list all things", list},
                {"show", "show a thing, its policies and certificates", show},
                {"deactivate", "refuse a thing from now on", deactivate},
                {"activate", "let a deactivated thing in again", activate},
                {"renew", "make a new key and certificate for a thing", renew},
                {"delete", "remove a thing for ever", delete},
                {0},
        };
        return cli_dispatch("driveline thing", verbs, context, argc - 1, argv + 1);
}
