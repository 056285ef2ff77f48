/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/openapi.h"

#include "base/clean.h"
#include "cloud/ota/filter.h"
#include "cloud/ota/openapi_tables.h"
#include "cloud/ota/ota.h"

#include <ctype.h>
#include <string.h>

#define DDI_PREFIX "/{tenant}/controller/v1/{controllerId}"

/* ── bodies ── */

static json_t *words_schema(const char *const *words)
{
        json_t *list = json_array();
        for (; words && *words; words++)
                json_array_append_new(list, json_string(*words));
        return json_pack("{s:s, s:o}", "type", "string", "enum", list);
}

static json_t *schema_of(const struct shape *s);

static json_t *object_schema(const struct shape *s)
{
        json_t *members = json_object(), *required = json_array();
        for (const struct shape *m = s->sub; m && m->name; m++) {
                json_object_set_new(members, m->name, schema_of(m));
                if (m->flags & (SHAPE_REQUIRED | SHAPE_NEEDED))
                        json_array_append_new(required, json_string(m->name));
        }
        json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", members);
        if (json_array_size(required) > 0)
                json_object_set(schema, "required", required);
        json_decref(required);
        return schema;
}

static json_t *schema_of(const struct shape *s)
{
        switch (s->type) {
        case SHAPE_TEXT:
                return s->max > 0
                               ? json_pack("{s:s, s:i}", "type", "string", "maxLength", (int)s->max)
                               : json_pack("{s:s}", "type", "string");
        case SHAPE_LONG:
        case SHAPE_INT:
                return json_pack("{s:s, s:s}", "type", "integer", "format",
                        s->type == SHAPE_INT ? "int32" : "int64");
        case SHAPE_BOOL:
                return json_pack("{s:s}", "type", "boolean");
        case SHAPE_REAL:
                return json_pack("{s:s}", "type", "number");
        case SHAPE_WORD:
                return words_schema(s->words);
        case SHAPE_ARRAY:
                return json_pack("{s:s, s:o}", "type", "array", "items", schema_of(s->sub));
        case SHAPE_OBJECT:
                return object_schema(s);
        case SHAPE_MAP:
        case SHAPE_ANY_OBJECT:
                return json_pack("{s:s}", "type", "object");
        case SHAPE_ANY:
                break;
        }
        return json_object();
}

/* ── answers: the types of openapi_tables.h ── */

static json_t *type_schema(const char *type, size_t len);

static json_t *words_of(const char *type, size_t len)
{
        json_t *list = json_array();
        for (const char *p = type, *end = type + len; p < end;) {
                size_t n = strcspn(p, "|");
                n = n > (size_t)(end - p) ? (size_t)(end - p) : n;
                json_array_append_new(list, json_stringn(p, n));
                p += n + 1;
        }
        return json_pack("{s:s, s:o}", "type", "string", "enum", list);
}

static json_t *plain_schema(const char *type, size_t len)
{
        static const struct {
                const char *name, *type, *format;
        } plain[] = {{"text", "string", NULL}, {"int", "integer", "int32"},
                {"long", "integer", "int64"}, {"real", "number", NULL}, {"bool", "boolean", NULL},
                {"map", "object", NULL}};
        if (len == 3 && memcmp(type, "any", 3) == 0)
                return json_object();
        for (size_t i = 0; i < N_ELEMENTS(plain); i++) {
                if (strlen(plain[i].name) != len || memcmp(plain[i].name, type, len) != 0)
                        continue;
                return plain[i].format ? json_pack("{s:s, s:s}", "type", plain[i].type, "format",
                                                 plain[i].format)
                                       : json_pack("{s:s}", "type", plain[i].type);
        }
        return NULL;
}

static json_t *type_schema(const char *type, size_t len)
{
        if (*type == '[')
                return json_pack(
                        "{s:s, s:o}", "type", "array", "items", type_schema(type + 1, len - 2));
        if (*type == '{')
                return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                        type_schema(type + 1, len - 2));
        json_t *plain = plain_schema(type, len);
        if (plain)
                return plain;
        for (const struct document *d = documents; d->name; d++) {
                char path[96];
                if (strlen(d->name) != len || memcmp(d->name, type, len) != 0)
                        continue;
                snprintf(path, sizeof(path), "#/components/schemas/%s", d->name);
                return json_pack("{s:s}", "$ref", path);
        }
        return words_of(type, len);
}

static json_t *member_schema(const char *type, json_t *required, const char *name)
{
        size_t len = strlen(type);
        char mark = type[len - 1];
        if (mark == '!' || mark == '?') {
                json_array_append_new(required, json_string(name));
                len--;
        }
        json_t *schema = type_schema(type, len);
        if (mark == '?')
                json_object_set_new(schema, "nullable", json_true());
        return schema;
}

static json_t *document_schema(const struct document *d)
{
        json_t *members = json_object(), *required = json_array();
        for (const struct document_member *m = d->members; m->name; m++)
                json_object_set_new(members, m->name, member_schema(m->type, required, m->name));
        json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", members);
        if (json_array_size(required) > 0)
                json_object_set(schema, "required", required);
        json_decref(required);
        return schema;
}

static json_t *page_schema(json_t *element)
{
        return json_pack("{s:s, s:{s:{s:s, s:o}, s:{s:s}, s:{s:s}}, s:[s, s, s]}", "type", "object",
                "properties", "content", "type", "array", "items", element, "total", "type",
                "integer", "size", "type", "integer", "required", "content", "total", "size");
}

/* A body in the flavours that it is served in. */
static json_t *content_of(json_t *schema, unsigned flags, bool is_device)
{
        json_t *content = json_pack("{s:{s:O}}", "application/json", "schema", schema);
        if (!(flags & ROUTE_JSON_ONLY))
                json_object_set_new(
                        content, "application/hal+json", json_pack("{s:O}", "schema", schema));
        if (is_device) /* links are an array there, so the schema is not the same */
                json_object_set_new(content, "application/cbor", json_object());
        json_decref(schema);
        return content;
}

static json_t *bytes_content(const char *type)
{
        return json_pack("{s:{s:{s:s, s:s}}}", type, "schema", "type", "string", "format",
                *type == 't' ? "text" : "binary");
}

/* What comes after the statuses in struct route_doc.answer; NULL: nothing. */
static json_t *answer_content(const char *type, unsigned flags, bool is_device)
{
        if (!*type)
                return NULL;
        if (strcmp(type, "bytes") == 0)
                return bytes_content("application/octet-stream");
        if (strcmp(type, "events") == 0)
                return bytes_content("text/event-stream");
        if (strcmp(type, "md5") == 0)
                return bytes_content("text/plain");
        bool is_page = strncmp(type, "Page ", 5) == 0;
        const char *name = is_page ? type + 5 : type;
        json_t *schema = type_schema(name, strlen(name));
        return content_of(is_page ? page_schema(schema) : schema, flags, is_device);
}

static void add_answer(json_t *responses, const char *status, const char *text, json_t *content)
{
        json_t *answer = json_pack("{s:s}", "description", text);
        if (content)
                json_object_set(answer, "content", content);
        json_object_set_new(responses, status, answer);
}

static json_t *responses_of(const struct route *r, const struct route_doc *d, bool is_device)
{
        json_t *responses = json_object();
        const char *type = d->answer + strcspn(d->answer, " ");
        CLEAN_JSON json_t *content = answer_content(type + (*type == ' '), r->flags, is_device);
        for (const char *p = d->answer; p < type; p += 4) {
                char status[4];
                memcpy(status, p, 3);
                status[3] = '\0';
                bool is_empty = strcmp(status, "204") == 0;
                add_answer(responses, status, is_empty ? "done, or nothing is there" : "it worked",
                        is_empty ? NULL : content);
        }
        if (strcmp(r->method, "GET") == 0 && !(r->flags & (ROUTE_NO_ETAG | ROUTE_BYTES)))
                add_answer(responses, "304", "not modified (If-None-Match)", NULL);
        CLEAN_JSON json_t *error =
                content_of(type_schema("Error", 5), r->flags & ~ROUTE_JSON_ONLY, is_device);
        add_answer(responses, "4XX", "refused; without a body where hawkBit has none", error);
        return responses;
}

/* ── parameters ── */

static const struct {
        const char *name, *text;
} parameter_texts[] = {{"offset", "how many to leave out; default 0"},
        {"limit", "how many at most; default 50, at most 500"},
        {"sort", "FIELD:ASC or FIELD:DESC, several with commas"}, {"q", "RSQL filter"},
        {"representation", "compact or full"}, {"offline", "only write down what is there already"},
        {"force", "at once, without asking the device"},
        {"keepLast", "how many of the newest to keep"},
        {"group", "the group; / before a sub-group"}, {"subgroups", "members of sub-groups too"},
        {"onNotFoundPolicy", "FAIL, ON_WHAT_FOUND_AND_FAIL or ON_WHAT_FOUND_AND_SUCCESS"},
        {"remark", "why"}, {"filename", "in place of the part's name"},
        {"md5sum", "checked if given"}, {"sha1sum", "checked if given"},
        {"sha256sum", "checked if given"}, {"c", "ignored"},
        {"actionHistory", "how many of the newest messages; negative: all"},
        {"useartifacturlhandler", "links from the URL handler in place of the server's"},
        {"reinstall", "an action even if the target has the set"},
        {"since", "after the event of this id"}, {"types", "of these types, with commas"},
        {"allowDowngrade", "an action even if the set is older than what is there"}};

static const char *parameter_text(const char *name)
{
        for (size_t i = 0; i < N_ELEMENTS(parameter_texts); i++) {
                if (strcmp(parameter_texts[i].name, name) == 0)
                        return parameter_texts[i].text;
        }
        return name;
}

static void add_parameter(
        json_t *list, const char *name, const char *in, const char *type, bool is_required)
{
        json_array_append_new(list,
                json_pack("{s:s, s:s, s:s, s:b, s:{s:s}}", "name", name, "in", in, "description",
                        parameter_text(name), "required", is_required, "schema", "type", type));
}

/* `{n}` and `{s}` get their names, which are added to `parameters`. */
static void write_path(const struct route *r, struct buf *path, json_t *parameters)
{
        int n = 0;
        for (const char *p = r->path; *p; p++) {
                if (*p != '{') {
                        buf_addc(path, *p);
                        continue;
                }
                const char *name = route_path_parameter(r->path, n++);
                buf_addf(path, "{%s}", name);
                add_parameter(parameters, name, "path", p[1] == 'n' ? "integer" : "string", true);
                p += 2;
        }
        if (r->flags & ROUTE_TEXT)
                buf_adds(path, ".MD5SUM");
}

/* "offline:b keepLast:i group:!" */
static void add_listed(const char *p, json_t *parameters)
{
        while (p && *p) {
                char name[32];
                size_t len = strcspn(p, ":");
                snprintf(name, sizeof(name), "%.*s", (int)len, p);
                char type = p[len + 1];
                add_parameter(parameters, name, "query",
                        type == 'b'   ? "boolean"
                        : type == 'i' ? "integer"
                                      : "string",
                        type == '!');
                p += len + 2;
                p += *p == ' ';
        }
}

static void add_query(const struct route *r, const struct route_doc *d, json_t *parameters)
{
        if (r->flags & ROUTE_LIST) {
                add_parameter(parameters, "offset", "query", "integer", false);
                add_parameter(parameters, "limit", "query", "integer", false);
                add_parameter(parameters, "sort", "query", "string", false);
                if (r->entity && r->entity->fields)
                        add_parameter(parameters, "q", "query", "string", false);
        }
        if (r->flags & ROUTE_REPRESENTATION)
                add_parameter(parameters, "representation", "query", "string", false);
        add_listed(r->params, parameters);
        add_listed(d->more, parameters);
}

/* ── operations ── */

static json_t *body_of(const struct route *r)
{
        bool is_upload = r->flags & ROUTE_UPLOAD;
        json_t *schema = is_upload ? json_pack("{s:s, s:{s:{s:s, s:s}}, s:[s]}", "type", "object",
                                             "properties", "file", "type", "string", "format",
                                             "binary", "required", "file")
                         : r->body ? schema_of(r->body)
                                   : NULL;
        return schema ? json_pack("{s:b, s:{s:{s:o}}}", "required",
                                !(r->flags & ROUTE_TYPE_OPTIONAL), "content",
                                is_upload ? "multipart/form-data" : "application/json", "schema",
                                schema)
                      : NULL;
}

static json_t *operation_of(
        const struct route *r, const struct route_doc *d, json_t *parameters, bool is_device)
{
        size_t len = strcspn(d->name, " ");
        json_t *o = json_pack("{s:s, s:s, s:[o], s:O, s:o}", "operationId", d->name, "summary",
                d->summary, "tags", json_stringn(d->name, len), "parameters", parameters,
                "responses", responses_of(r, d, is_device));
        json_t *body = body_of(r);
        if (body)
                json_object_set_new(o, "requestBody", body);
        if (d->is_extension)
                json_object_set_new(o, "x-driveline-extension", json_true());
        if (is_device)
                json_object_set_new(o, "security", json_pack("[{s:[]}]", "token"));
        return o;
}

static void add_routes(json_t *paths, const struct route *table, const char *prefix)
{
        bool is_device = table == ddi_routes;
        for (const struct route *r = table; r->method; r++) {
                const struct route_doc *d = route_doc_find(r);
                if (!d)
                        continue;
                CLEAN_BUF struct buf path = BUF_INIT(512);
                CLEAN_JSON json_t *parameters = json_array();
                char method[8] = "";
                buf_addf(&path, "%s%s", prefix, *r->path ? "/" : "");
                if (is_device) {
                        add_parameter(parameters, "tenant", "path", "string", true);
                        add_parameter(parameters, "controllerId", "path", "string", true);
                }
                write_path(r, &path, parameters);
                add_query(r, d, parameters);
                for (size_t i = 0; r->method[i] && i < sizeof(method) - 1; i++)
                        method[i] = (char)tolower((unsigned char)r->method[i]);
                if (!json_object_get(paths, buf_text(&path)))
                        json_object_set_new(paths, buf_text(&path), json_object());
                json_object_set_new(json_object_get(paths, buf_text(&path)), method,
                        operation_of(r, d, parameters, is_device));
        }
}

static json_t *components(void)
{
        json_t *schemas = json_object();
        for (const struct document *d = documents; d->name; d++)
                json_object_set_new(schemas, d->name, document_schema(d));
        return json_pack("{s:o, s:{s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s, "
                         "s:s}}}",
                "schemas", schemas, "securitySchemes", "basic", "type", "http", "scheme", "basic",
                "bearer", "type", "http", "scheme", "bearer", "description", "an API token: dl_…",
                "token", "type", "apiKey", "in", "header", "name", "Authorization", "description",
                "TargetToken or GatewayToken, a blank, the token; or a client certificate");
}

json_t *openapi_document(bool has_management, bool has_devices)
{
        json_t *paths = json_object();
        if (has_management)
                add_routes(paths, mgmt_routes, "/rest/v1");
        if (has_devices)
                add_routes(paths, ddi_routes, DDI_PREFIX);
        return json_pack("{s:s, s:{s:s, s:s}, s:[{s:[]}, {s:[]}], s:o, s:o}", "openapi", "3.0.1",
                "info", "title", "Driveline update server", "version", DRIVELINE_VERSION,
                "security", "basic", "bearer", "paths", paths, "components", components());
}

json_t *ota_openapi(void)
{
        return openapi_document(true, true);
}

static void list_routes(struct buf *b, const struct route *table, const char *prefix)
{
        for (const struct route *r = table; r->method; r++) {
                const struct route_doc *d = route_doc_find(r);
                CLEAN_BUF struct buf path = BUF_INIT(512);
                CLEAN_JSON json_t *parameters = json_array();
                write_path(r, &path, parameters);
                buf_addf(b, "<li><code>%s %s%s%s</code> %s%s</li>\n", r->method, prefix,
                        *r->path ? "/" : "", buf_text(&path), d ? d->summary : "",
                        d && d->is_extension ? " (not in hawkBit)" : "");
        }
}

int openapi_page(struct buf *b)
{
        buf_adds(b,
                "<!DOCTYPE html><html lang=\"en\"><title>Driveline update server</title>"
                "<h1>Driveline update server</h1><p>The interface as it is served; for machines:"
                " <a href=\"/v3/api-docs\">/v3/api-docs</a>.</p><h2>Management</h2><ul>\n");
        list_routes(b, mgmt_routes, "/rest/v1");
        buf_adds(b, "</ul><h2>Devices</h2><ul>\n");
        list_routes(b, ddi_routes, DDI_PREFIX);
        buf_adds(b, "</ul></html>\n");
        return b->error;
}
