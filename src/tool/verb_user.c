/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/clean.h"
#include "base/cli.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "tool/mgmt.h"
#include "tool/registry_session.h"
#include "tool/verb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

/* Verbs of those who may call the update server: user and token. */

#define DAY_MS INT64_C(86400000)

struct options {
        bool json, prompt;
        int days;
        const char *output, *password_file, *roles, *tenant, *owner, *description;
};

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

/* ── passwords ── */

static int read_line(FILE *in, struct buf *password, struct err *err)
{
        char line[LIMIT_PASSWORD_BYTES + 3];
        if (!fgets(line, sizeof(line), in))
                return err_set(err, -ENODATA, "there is no password to read");
        line[strcspn(line, "\r\n")] = '\0';
        return buf_adds(password, line);
}

static int ask(struct buf *password, struct err *err)
{
        struct termios before, quiet;
        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return err_set(err, -ENOTTY,
                        "--prompt needs a terminal; use --password-file - to read from a pipe");
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fputs("Password: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
        int r = read_line(stdin, password, err);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
        return r;
}

/* Leaves `password` empty if the server shall make one. */
static int read_password(const struct options *o, struct buf *password, struct err *err)
{
        if (o->prompt)
                return ask(password, err);
        if (!o->password_file)
                return 0;
        if (strcmp(o->password_file, "-") == 0)
                return read_line(stdin, password, err);
        CLEAN_FILE FILE *in = fopen(o->password_file, "re");
        if (!in)
                return err_errno(err, -errno, "cannot read '%s'", o->password_file);
        return read_line(in, password, err);
}

/* ── bodies and answers ── */

/* "A,B" as ["A","B"]; NULL stays NULL. */
static json_t *list_of(const char *roles)
{
        json_t *list = roles ? json_array() : NULL;
        for (const char *p = roles; p && *p;) {
                size_t len = strcspn(p, ",");
                if (len)
                        json_array_append_new(list, json_stringn(p, len));
                p += len + (p[len] == ',');
        }
        return list;
}

static void print_list(const char *before, const json_t *list)
{
        size_t i;
        json_t *one;
        json_array_foreach((json_t *)list, i, one)
                printf("%s%s", i ? "," : before, json_string_value(one));
}

/* Sends `body` (taken). */
static int send(struct verb_context *v, const char *method, const char *target, json_t *body,
        json_t **ret, struct err *err)
{
        CLEAN_JSON json_t *owned = body;
        CLEAN_MEM char *text = json_dumps(owned, JSON_COMPACT);
        return text ? mgmt_call(v, method, target, text, ret, err)
                    : err_set(err, -ENOMEM, "out of memory");
}

/* The entry of `resource` with this name; a look-up ignores case and takes *, a name does not. */
static int find(struct verb_context *v, const char *resource, const char *name, int64_t *ret_id,
        struct err *err)
{
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(4));
        CLEAN_JSON json_t *page = NULL;
        size_t i;
        json_t *one;
        buf_addf(&target, "%s?limit=500&q=name%%3D%%3D%%22", resource);
        buf_add_url(&target, name);
        buf_adds(&target, "%22");
        int r = mgmt_call(v, "GET", buf_text(&target), NULL, &page, err);
        if (r < 0)
                return r;
        json_array_foreach(json_object_get(page, "content"), i, one)
        {
                if (strcmp(json_text(one, "name", ""), name) == 0) {
                        *ret_id = json_int(one, "id", 0);
                        return 0;
                }
        }
        return err_set(
                err, -ENOENT, "there is no %.*s '%s'", (int)strlen(resource) - 1, resource, name);
}

/* The common part of all: options and up to one operand. -1: go on. */
static int parse(struct verb_context *v, int argc, char **argv, const char *usage,
        const struct cli_option *more, struct options *o, const char **name, size_t *n)
{
        struct cli_option all[8] = {OPTION_DATA(v), OPTION_OUTPUT(&o->output)};
        size_t at = 2;
        int code;
        for (; more && more->name; more++)
                all[at++] = *more;
        o->output = "table";
        if (cli_parse(argc, argv, usage, all, name, 1, n, &code))
                return code;
        int is_json = output_is_json("driveline", o->output);
        o->json = is_json == 1;
        return is_json < 0 ? CLI_MISUSE : -1;
}

#define OPTION_PASSWORD_FILE(o)                                                                    \
        {                                                                                          \
                "password-file", 0, CLI_TEXT, &(o)->password_file, "FILE",                         \
                        "its first line is the password; -: standard input"                        \
        }
#define OPTION_PROMPT(o)                                                                           \
        {                                                                                          \
                "prompt", 0, CLI_FLAG, &(o)->prompt, NULL, "ask for the password, without echo"    \
        }
#define OPTION_ROLES(o, text)                                                                      \
        {                                                                                          \
                "roles", 0, CLI_TEXT, &(o)->roles, "LIST", text                                    \
        }

/* ── users ── */

static void print_user(const json_t *u)
{
        printf("%-24s %-12s", json_text(u, "name", ""), json_text(u, "tenant", ""));
        print_list(" ", json_object_get(u, "permissions"));
        if (json_object_get(u, "description"))
                printf("  (%s)", json_text(u, "description", ""));
        putchar('\n');
}

/* What was made: with a password that the server made, that alone, so that scripts can take it. */
static void print_made(const struct options *o, const json_t *made, const char *secret)
{
        const char *text = json_text(made, secret, NULL);
        if (o->json)
                print_json(made);
        else if (text)
                puts(text);
}

static int user_list(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        CLEAN_JSON json_t *page = NULL;
        size_t n, i;
        json_t *one;
        int code = parse(context, argc, argv,
                "driveline user list [--output json]\n\nLists the users in the update server's "
                "database (at most 500). The user 'admin' of\nsecrets/admin.password is there "
                "besides.",
                NULL, &o, NULL, &n);
        if (code >= 0)
                return code;
        if (mgmt_call(context, "GET", "users?limit=500&sort=name:ASC", NULL, &page, &err) < 0)
                return cli_fail("driveline user list", &err);
        if (o.json)
                print_json(json_object_get(page, "content"));
        json_array_foreach(json_object_get(page, "content"), i, one)
        {
                if (!o.json)
                        print_user(one);
        }
        return CLI_OK;
}

static int add(struct verb_context *v, const struct options *o, const char *name, struct err *err)
{
        CLEAN_BUF struct buf password = BUF_INIT(LIMIT_KIB(1));
        CLEAN_JSON json_t *made = NULL;
        int r = read_password(o, &password, err);
        if (r < 0)
                return r;
        json_t *body = json_pack("[{s:s, s:s*, s:s*, s:s*, s:o*}]", "name", name, "password",
                password.len ? buf_text(&password) : NULL, "tenant", o->tenant, "description",
                o->description, "permissions", list_of(o->roles));
        r = send(v, "POST", "users", body, &made, err);
        if (r == 0)
                print_made(o, json_array_get(made, 0), "password");
        return r;
}

static int user_add(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        const char *name;
        size_t n;
        const struct cli_option more[] = {
                OPTION_ROLES(&o, "roles and permissions, with commas between them"),
                {"tenant", 0, CLI_TEXT, &o.tenant, "NAME", "the tenant (default: admin's)"},
                {"description", 0, CLI_TEXT, &o.description, "TEXT", "who that is"},
                OPTION_PASSWORD_FILE(&o), OPTION_PROMPT(&o), {0}};
        int code = parse(context, argc, argv,
                "driveline user add [options] NAME\n\nLets somebody call the update server's "
                "Management API. Without a password one is made\nand printed, this once. ROLES "
                "are hawkBit's role or permission names (TENANT_ADMIN,\nREAD_TARGET, …).",
                more, &o, &name, &n);
        if (code >= 0)
                return code;
        if (!n)
                return missing("driveline user add", "the user's name");
        return add(context, &o, name, &err) < 0 ? cli_fail("driveline user add", &err) : CLI_OK;
}

/* PUT or DELETE of the user `name`; takes `body`. */
static int change(struct verb_context *v, const char *method, const char *resource,
        const char *name, json_t *body, json_t **ret, struct err *err)
{
        CLEAN_JSON json_t *owned = body;
        char target[64];
        int64_t id = 0;
        int r = find(v, resource, name, &id, err);
        if (r < 0)
                return r;
        snprintf(target, sizeof(target), "%s/%lld", resource, (long long)id);
        return owned ? send(v, method, target, TAKE(owned), ret, err)
                     : mgmt_call(v, method, target, NULL, ret, err);
}

static int set_password(
        struct verb_context *v, const struct options *o, const char *name, struct err *err)
{
        CLEAN_BUF struct buf password = BUF_INIT(LIMIT_KIB(1));
        CLEAN_JSON json_t *changed = NULL;
        int r = read_password(o, &password, err);
        if (r < 0)
                return r;
        json_t *body = password.len ? json_pack("{s:s}", "password", buf_text(&password))
                                    : json_pack("{s:b}", "generatePassword", 1);
        r = change(v, "PUT", "users", name, body, &changed, err);
        if (r == 0)
                print_made(o, changed, "password");
        return r;
}

static int user_passwd(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        const char *name;
        size_t n;
        const struct cli_option more[] = {OPTION_PASSWORD_FILE(&o), OPTION_PROMPT(&o), {0}};
        int code = parse(context, argc, argv,
                "driveline user passwd [options] NAME\n\nGives a user another password, at once. "
                "Without one it is made and printed.",
                more, &o, &name, &n);
        if (code >= 0)
                return code;
        if (!n)
                return missing("driveline user passwd", "the user's name");
        return set_password(context, &o, name, &err) < 0 ? cli_fail("driveline user passwd", &err)
                                                         : CLI_OK;
}

static int user_grant(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        const char *name;
        size_t n;
        const struct cli_option more[] = {
                OPTION_ROLES(&o, "all that the user may do from now on; '' is nothing"), {0}};
        int code = parse(context, argc, argv,
                "driveline user grant --roles LIST NAME\n\nSays what a user may do, in place of "
                "what it could, at once.",
                more, &o, &name, &n);
        if (code >= 0)
                return code;
        if (!n || !o.roles)
                return missing("driveline user grant", n ? "--roles" : "the user's name");
        json_t *body = json_pack("{s:o}", "permissions", list_of(o.roles));
        return change(context, "PUT", "users", name, body, NULL, &err) < 0
                       ? cli_fail("driveline user grant", &err)
                       : CLI_OK;
}

static int user_remove(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        const char *name;
        size_t n;
        int code = parse(context, argc, argv,
                "driveline user remove NAME\n\nRemoves a user with its API tokens.", NULL, &o,
                &name, &n);
        if (code >= 0)
                return code;
        if (!n)
                return missing("driveline user remove", "the user's name");
        return change(context, "DELETE", "users", name, NULL, NULL, &err) < 0
                       ? cli_fail("driveline user remove", &err)
                       : CLI_OK;
}

int verb_user(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"list", "list the users of the update server", user_list},
                {"add", "let somebody call the Management API", user_add},
                {"passwd", "give a user another password", user_passwd},
                {"grant", "say what a user may do", user_grant},
                {"remove", "remove a user with its API tokens", user_remove},
                {0},
        };
        return cli_dispatch("driveline user", verbs, context, argc - 1, argv + 1);
}

/* ── API tokens ── */

static void print_time(const char *before, const json_t *j, const char *key)
{
        char text[CLOCK_ISO8601_SIZE];
        int64_t ms = json_int(j, key, 0);
        if (ms)
                clock_iso8601(ms, text);
        printf("%s%s", before, ms ? text : "never");
}

static void print_token(const json_t *t)
{
        printf("%-5lld %-20s %-16s %-12s", (long long)json_int(t, "id", 0),
                json_text(t, "name", ""), json_text(t, "owner", ""), json_text(t, "tenant", ""));
        print_time(" used ", t, "lastUsedAt");
        print_time(", ends ", t, "expiresAt");
        print_list(", only ", json_object_get(t, "permissions"));
        putchar('\n');
}

static int token_list(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        CLEAN_JSON json_t *page = NULL;
        size_t n, i;
        json_t *one;
        int code = parse(context, argc, argv,
                "driveline token list [--output json]\n\nLists the API tokens (at most 500): whose "
                "they are, when they were used.",
                NULL, &o, NULL, &n);
        if (code >= 0)
                return code;
        if (mgmt_call(context, "GET", "tokens?limit=500", NULL, &page, &err) < 0)
                return cli_fail("driveline token list", &err);
        if (o.json)
                print_json(json_object_get(page, "content"));
        json_array_foreach(json_object_get(page, "content"), i, one)
        {
                if (!o.json)
                        print_token(one);
        }
        return CLI_OK;
}

static int create_token(
        struct verb_context *v, const struct options *o, const char *name, struct err *err)
{
        CLEAN_JSON json_t *made = NULL;
        json_t *expires = o->days ? json_integer(clock_now_ms() + o->days * DAY_MS) : NULL;
        json_t *body = json_pack("[{s:s, s:s*, s:o*, s:o*}]", "name", name, "owner", o->owner,
                "permissions", list_of(o->roles), "expiresAt", expires);
        int r = send(v, "POST", "tokens", body, &made, err);
        if (r == 0)
                print_made(o, json_array_get(made, 0), "token");
        return r;
}

static int token_create(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        const char *name;
        size_t n;
        const struct cli_option more[] = {
                {"owner", 0, CLI_TEXT, &o.owner, "NAME", "for whom it acts (default: admin)"},
                OPTION_ROLES(&o, "only these of the owner's permissions (default: all)"),
                {"days", 0, CLI_INT, &o.days, "N", "how long it holds (default: until revoked)"},
                {0}};
        int code = parse(context, argc, argv,
                "driveline token create [options] NAME\n\nMakes an API token and prints it, this "
                "once: a script sends it as\n'Authorization: Bearer TOKEN' in place of a name and "
                "a password.",
                more, &o, &name, &n);
        if (code >= 0)
                return code;
        if (!n)
                return missing("driveline token create", "the token's name");
        if (o.days < 0)
                return missing("driveline token create", "a positive number of days");
        return create_token(context, &o, name, &err) < 0 ? cli_fail("driveline token create", &err)
                                                         : CLI_OK;
}

static int token_revoke(void *context, int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct options o = {0};
        const char *id;
        char target[64];
        size_t n;
        int code = parse(context, argc, argv,
                "driveline token revoke ID\n\nEnds an API token, at once. 'driveline token list' "
                "shows its number.",
                NULL, &o, &id, &n);
        if (code >= 0)
                return code;
        if (!n || !*id || id[strspn(id, "0123456789")] || strlen(id) > 18)
                return missing("driveline token revoke", "the token's number");
        snprintf(target, sizeof(target), "tokens/%s", id);
        return mgmt_call(context, "DELETE", target, NULL, NULL, &err) < 0
                       ? cli_fail("driveline token revoke", &err)
                       : CLI_OK;
}

int verb_token(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"list", "list the API tokens of the update server", token_list},
                {"create", "make an API token", token_create},
                {"revoke", "end an API token", token_revoke},
                {0},
        };
        return cli_dispatch("driveline token", verbs, context, argc - 1, argv + 1);
}
