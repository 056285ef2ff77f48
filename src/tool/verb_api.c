/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * `driveline api ENTITY OPERATION …`: every route of the update server as a command, made from its
 * OpenAPI document. Path parameters are arguments; query parameters and the body's members are
 * options.
 */
#include "base/clean.h"
#include "base/cli.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/ota/ota.h"
#include "tool/api_call.h"
#include "tool/api_print.h"
#include "tool/registry_session.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "driveline api"
#define MAX_FIELDS 48 /* query parameters and members of one operation; the largest has 25 */
#define MAX_ARGS 64
#define BOUNDARY "----driveline-7d1c0f6e2b"

/* A query parameter or a member of the body. */
struct field {
        char option[64];
        const char *name, *value; /* NULL: not given */
        const json_t *schema;
        bool is_query;
};

struct api {
        struct verb_context *v;
        json_t *document;
        const char *path; /* "/rest/v1/targets/{controllerId}" */
        char method[8];
        const json_t *operation; /* NULL: none named */
        struct field fields[MAX_FIELDS];
        size_t n_fields;
        struct cli_option options[MAX_FIELDS + 16];
        struct api_server server;
        const char *tenant, *body, *file, *to, *output, *token;
        bool is_list;
        const char *args[MAX_ARGS];
        size_t n_args, n_path_args;
};

/* ── what the document says ── */

static bool is_device(const struct api *a)
{
        return strncmp(a->path, "/{tenant}", 9) == 0;
}

static const json_t *content_schema(const json_t *content)
{
        const char *type;
        json_t *one;
        json_object_foreach((json_t *)content, type, one) return json_object_get(one, "schema");
        return NULL;
}

static const json_t *body_schema(const struct api *a)
{
        return content_schema(
                json_object_get(json_object_get(a->operation, "requestBody"), "content"));
}

static bool is_upload(const struct api *a)
{
        return json_object_get(
                json_object_get(json_object_get(a->operation, "requestBody"), "content"),
                "multipart/form-data");
}

/* The answer is a file, or text as it comes. */
static bool is_download(const struct api *a)
{
        const json_t *ok = json_object_get(json_object_get(a->operation, "responses"), "200");
        const json_t *content = json_object_get(ok, "content");
        return content && !json_object_get(content, "application/json");
}

/* The members' schemas of the body, also if it is an array of such objects. */
static const json_t *body_members(const struct api *a, bool *ret_is_array)
{
        const json_t *schema = body_schema(a), *items = json_object_get(schema, "items");
        *ret_is_array = items;
        return json_object_get(items ? items : schema, "properties");
}

/* Finds "ENTITY OPERATION". */
static bool find_operation(struct api *a, const char *name)
{
        const char *path, *method;
        json_t *methods, *operation;
        json_object_foreach(json_object_get(a->document, "paths"), path, methods)
        {
                json_object_foreach(methods, method, operation)
                {
                        if (strcmp(json_text(operation, "operationId", ""), name) != 0)
                                continue;
                        a->path = path;
                        a->operation = operation;
                        for (size_t i = 0; method[i] && i < sizeof(a->method) - 1; i++)
                                a->method[i] = (char)toupper((unsigned char)method[i]);
                        return true;
                }
        }
        return false;
}

static void print_list(const struct api *a)
{
        const char *path, *method;
        json_t *methods, *operation;
        json_object_foreach(json_object_get(a->document, "paths"), path, methods)
        {
                json_object_foreach(methods, method, operation) printf("%-46s %s%s\n",
                        json_text(operation, "operationId", ""),
                        json_text(operation, "summary", ""),
                        json_object_get(operation, "x-driveline-extension") ? " (not in hawkBit)"
                                                                            : "");
        }
}

/* ── options ── */

static void add_field(struct api *a, const char *name, const json_t *schema, bool is_query)
{
        static const char *const taken[] = {"url", "user", "body", "file", "to", "output", "data",
                "list", "token", "tenant", "ca", "help", "password-file"};
        if (a->n_fields == MAX_FIELDS)
                return;
        struct field *f = &a->fields[a->n_fields++];
        *f = (struct field){.name = name, .schema = schema, .is_query = is_query};
        bool is_taken = false;
        for (size_t i = 0; i < N_ELEMENTS(taken); i++)
                is_taken |= strcmp(taken[i], name) == 0;
        for (size_t i = 0; i + 1 < a->n_fields; i++)
                is_taken |= strcmp(a->fields[i].option, name) == 0;
        snprintf(f->option, sizeof(f->option), "%s%s", is_taken ? "body-" : "", name);
}

static void add_fields(struct api *a)
{
        size_t i;
        const char *name;
        json_t *one;
        bool is_array;
        json_array_foreach(json_object_get(a->operation, "parameters"), i, one)
        {
                if (strcmp(json_text(one, "in", ""), "query") == 0)
                        add_field(a, json_text(one, "name", ""), json_object_get(one, "schema"),
                                true);
        }
        if (is_upload(a))
                return;
        json_object_foreach((json_t *)body_members(a, &is_array), name, one)
                add_field(a, name, one, false);
}

static const char *help_of(const struct api *a, const struct field *f)
{
        size_t i;
        json_t *one;
        json_array_foreach(json_object_get(a->operation, "parameters"), i, one)
        {
                if (f->is_query && strcmp(json_text(one, "name", ""), f->name) == 0)
                        return json_text(one, "description", "");
        }
        return "member of the body";
}

static void make_options(struct api *a)
{
        const struct cli_option common[] = {
                {"url", 0, CLI_TEXT, &a->server.url, "URL",
                        "any server with hawkBit's interfaces; default: the local cloud"},
                {"user", 0, CLI_TEXT, &a->server.user, "NAME", "default: admin"},
                {"password-file", 0, CLI_TEXT, &a->server.password_file, "FILE",
                        "the password; else it is asked for (of the local cloud: known)"},
                {"ca", 0, CLI_TEXT, &a->server.ca_file, "FILE", "certificates to trust for https"},
                {"token", 0, CLI_TEXT, &a->token, "TOKEN",
                        "of a device: 'TargetToken …' or 'GatewayToken …'"},
                {"tenant", 0, CLI_TEXT, &a->tenant, "NAME", "of a device; default: DEFAULT"},
                {"body", 0, CLI_TEXT, &a->body, "FILE", "the request's JSON; - is standard input"},
                {"file", 0, CLI_TEXT, &a->file, "FILE", "the file to upload"},
                {"to", 0, CLI_TEXT, &a->to, "FILE", "where a download goes; default: stdout"},
                {"list", 0, CLI_FLAG, &a->is_list, NULL, "list all operations"},
                OPTION_DATA(a->v),
                OPTION_OUTPUT(&a->output),
        };
        size_t n = 0;
        for (size_t i = 0; i < a->n_fields; i++) {
                struct field *f = &a->fields[i];
                a->options[n++] = (struct cli_option){
                        f->option, 0, CLI_TEXT, &f->value, "VALUE", help_of(a, f)};
        }
        memcpy(a->options + n, common, sizeof(common));
}

static void write_usage(const struct api *a, struct buf *usage)
{
        if (!a->operation) {
                buf_adds(usage, PROGRAM " ENTITY OPERATION [options] [ARGUMENT…]\n\n"
                                        "Calls a route of the update server: of the local cloud, "
                                        "or of any that speaks hawkBit's\n"
                                        "interfaces. --list names the operations; each has its own "
                                        "--help.");
                return;
        }
        buf_addf(usage, PROGRAM " %s [options]", json_text(a->operation, "operationId", ""));
        for (const char *p = strchr(a->path, '{'); p; p = strchr(p + 1, '{')) {
                size_t len = strcspn(p + 1, "}");
                if (strncmp(p, "{tenant}", 8) != 0)
                        buf_addf(usage, " %.*s", (int)len, p + 1);
        }
        buf_addf(usage, "\n\n%s.\n%s %s", json_text(a->operation, "summary", ""), a->method,
                a->path);
        bool is_array;
        const json_t *members = body_members(a, &is_array);
        if (is_array && !members)
                buf_adds(usage, "\nThe body is a list: further arguments, or --body.");
        else if (is_array)
                buf_adds(
                        usage, "\nThe body is a list: options make one element, --body gives all.");
}

/* ── the request ── */

static bool add_path(struct api *a, struct buf *target)
{
        size_t used = 0;
        for (const char *p = a->path; *p; p++) {
                if (*p != '{') {
                        buf_addc(target, *p);
                        continue;
                }
                bool is_tenant = strncmp(p, "{tenant}", 8) == 0;
                if (!is_tenant && used == a->n_args) {
                        fprintf(stderr, PROGRAM ": %.*s is missing; see --help\n",
                                (int)strcspn(p + 1, "}"), p + 1);
                        return false;
                }
                buf_add_url(target, is_tenant ? a->tenant : a->args[used++]);
                p += strcspn(p, "}");
        }
        a->n_path_args = used;
        char mark = '?';
        for (size_t i = 0; i < a->n_fields; i++) {
                const struct field *f = &a->fields[i];
                if (!f->is_query || !f->value)
                        continue;
                buf_addf(target, "%c%s=", mark, f->name);
                buf_add_url(target, f->value);
                mark = '&';
        }
        return true;
}

/* The text of an option as what the schema asks for; NULL: it cannot be read. */
static json_t *value_of(const json_t *schema, const char *text)
{
        const char *type = json_text(schema, "type", "");
        if (strcmp(type, "string") == 0)
                return json_string(text);
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
        return value || *type ? value : json_string(text); /* anything: plain text too */
}

static bool members_body(struct api *a, bool is_array, struct buf *body)
{
        CLEAN_JSON json_t *object = json_object(), *list = json_array();
        for (size_t i = 0; i < a->n_fields; i++) {
                const struct field *f = &a->fields[i];
                if (f->is_query || !f->value)
                        continue;
                json_t *value = value_of(f->schema, f->value);
                if (!value) {
                        fprintf(stderr, PROGRAM ": --%s takes JSON (%s), not '%s'\n", f->option,
                                json_text(f->schema, "type", "any"), f->value);
                        return false;
                }
                json_object_set_new(object, f->name, value);
        }
        if (is_array && json_object_size(object) > 0)
                json_array_append(list, object);
        json_append(body, is_array ? list : object);
        return true;
}

/* Further arguments as a list of texts or numbers. */
static void arguments_body(struct api *a, struct buf *body)
{
        CLEAN_JSON json_t *list = json_array();
        const json_t *items = json_object_get(body_schema(a), "items");
        for (size_t i = a->n_path_args; i < a->n_args; i++) {
                json_t *value = value_of(items, a->args[i]);
                json_array_append_new(list, value ? value : json_string(a->args[i]));
        }
        json_append(body, list);
}

static int upload_body(struct api *a, struct buf *body, struct err *err)
{
        if (!a->file)
                return err_set(err, -1, "name the file to upload with --file FILE");
        const char *name = strrchr(a->file, '/');
        CLEAN_BUF struct buf quoted = BUF_INIT(LIMIT_KIB(2));
        for (const char *p = name ? name + 1 : a->file; *p; p++)
                buf_addf(&quoted, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        buf_addf(body,
                "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file\"; "
                "filename=\"%s\"\r\nContent-Type: application/octet-stream\r\n\r\n",
                buf_text(&quoted));
        int r = fs_read(a->file, body, err);
        buf_adds(body, "\r\n--" BOUNDARY "--\r\n");
        return r < 0 ? r : body->error;
}

/* 1: there is a body, 0: none, below 0 after a message. */
static int make_body(struct api *a, struct buf *body)
{
        struct err err = ERR_INIT;
        bool is_array;
        if (is_upload(a))
                return upload_body(a, body, &err) < 0 ? (cli_fail(PROGRAM, &err), -1) : 1;
        if (a->body) {
                const char *path = strcmp(a->body, "-") == 0 ? "/dev/stdin" : a->body;
                return fs_read(path, body, &err) < 0 ? (cli_fail(PROGRAM, &err), -1) : 1;
        }
        const json_t *schema = body_schema(a), *members = body_members(a, &is_array);
        if (!schema)
                return 0;
        size_t start = body->len;
        if (is_array && !members)
                arguments_body(a, body);
        else if (!members_body(a, is_array, body))
                return -1;
        bool is_required = json_is_true(
                json_object_get(json_object_get(a->operation, "requestBody"), "required"));
        bool is_empty = body->len - start <= 2;
        if (is_empty && !is_required)
                return 0;
        if (is_empty && is_array) {
                fprintf(stderr, PROGRAM ": the body is missing: options or --body; see --help\n");
                return -1;
        }
        return 1;
}

static int call(struct api *a)
{
        struct err err = ERR_INIT;
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_HTTP_HEADER_BYTES);
        CLEAN_BUF struct buf body = BUF_INIT(LIMIT_ARTIFACT_BYTES + LIMIT_KIB(4));
        CLEAN_BUF struct buf answer = BUF_INIT(LIMIT_API_ANSWER_BYTES);
        if (!add_path(a, &target))
                return CLI_MISUSE;
        int has_body = make_body(a, &body);
        if (has_body < 0)
                return CLI_MISUSE;
        bool is_array, takes_more = !a->body && !body_members(a, &is_array) && is_array;
        if (a->n_args > a->n_path_args && !takes_more) {
                fprintf(stderr, PROGRAM ": unexpected argument '%s'; see --help\n",
                        a->args[a->n_path_args]);
                return CLI_MISUSE;
        }
        struct api_request request = {.method = a->method,
                .target = buf_text(&target),
                .content_type = !has_body      ? NULL
                                : is_upload(a) ? "multipart/form-data; boundary=" BOUNDARY
                                               : "application/json",
                .body = has_body ? buf_text(&body) : NULL,
                .body_len = has_body ? body.len : 0,
                .to = is_download(a) ? (a->to ? a->to : "-") : NULL};
        a->server.authorization = is_device(a) ? a->token : NULL;
        if (api_call(a->v, &a->server, &request, &answer, &err) < 0)
                return cli_fail(PROGRAM, &err);
        return answer.len ? api_print(&answer, strcmp(a->output, "json") == 0) : CLI_OK;
}

/* ── the verb ── */

/* "targets" "list" …: the words before the first option that name an operation; how many. */
static int name_operation(struct api *a, int argc, char **argv)
{
        char name[128];
        for (int n = 2; n > 0; n--) {
                if (argc <= n || argv[1][0] == '-' || argv[n][0] == '-')
                        continue;
                snprintf(name, sizeof(name), n == 2 ? "%s %s" : "%s", argv[1],
                        n == 2 ? argv[2] : "");
                if (find_operation(a, name))
                        return n;
        }
        return 0;
}

static int run(struct api *a, int argc, char **argv)
{
        CLEAN_BUF struct buf usage = BUF_INIT(LIMIT_KIB(4));
        int code, n_words = name_operation(a, argc, argv);
        if (a->operation)
                add_fields(a);
        make_options(a);
        write_usage(a, &usage);
        argv[n_words] = argv[0];
        if (cli_parse(argc - n_words, argv + n_words, buf_text(&usage), a->options, a->args,
                    MAX_ARGS, &a->n_args, &code))
                return code;
        if (output_is_json(PROGRAM, a->output) < 0)
                return CLI_MISUSE;
        if (a->is_list) {
                print_list(a);
                return CLI_OK;
        }
        if (!a->operation) {
                fprintf(stderr, PROGRAM ": %s%s%s; --list names the operations\n",
                        a->n_args ? "no operation '" : "an operation is missing",
                        a->n_args ? a->args[0] : "", a->n_args ? "'" : "");
                return CLI_MISUSE;
        }
        return call(a);
}

int verb_api(void *context, int argc, char **argv)
{
        struct api *a = calloc(1, sizeof(*a));
        if (!a)
                return CLI_FAILED;
        a->v = context;
        a->tenant = "DEFAULT";
        a->output = "table";
        a->document = ota_openapi();
        int code = run(a, argc, argv);
        json_decref(a->document);
        free(a);
        return code;
}
