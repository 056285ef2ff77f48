/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/openapi.h"

#include "cloud/ota/filter.h"

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

/* ── parameters ── */

static void add_parameter(
        json_t *list, const char *name, const char *in, const char *type, bool is_required)
{
        json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in", in,
                                            "required", is_required, "schema", "type", type));
}

/* `{n}` and `{s}` become {p1}, {p2}, …; a list of them is added to `parameters`. */
static void write_path(const struct route *r, struct buf *path, json_t *parameters)
{
        int n = 0;
        for (const char *p = r->path; *p; p++) {
                if (*p != '{') {
                        buf_addc(path, *p);
                        continue;
                }
                char name[8];
                snprintf(name, sizeof(name), "p%d", ++n);
                buf_addf(path, "{%s}", name);
                add_parameter(parameters, name, "path", p[1] == 'n' ? "integer" : "string", true);
                p += 2;
        }
}

static void add_query(const struct route *r, json_t *parameters)
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
        for (const char *p = r->params; p && *p;) {
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

/* ── operations ── */

static json_t *operation_of(const struct route *r, json_t *parameters)
{
        bool is_creation = strcmp(r->method, "POST") == 0 && !(r->flags & ROUTE_NO_ANSWER);
        const char *status = r->flags & ROUTE_NO_ANSWER ? "204" : is_creation ? "201" : "200";
        json_t *o = json_pack("{s:o, s:{s:{s:s}}}", "parameters", parameters, "responses", status,
                "description", "it worked");
        const char *type = r->flags & ROUTE_UPLOAD ? "multipart/form-data" : "application/json";
        json_t *schema = r->flags & ROUTE_UPLOAD ? json_pack("{s:s, s:{s:{s:s, s:s}}}", "type",
                                                           "object", "properties", "file", "type",
                                                           "string", "format", "binary")
                         : r->body               ? schema_of(r->body)
                                                 : NULL;
        if (schema)
                json_object_set_new(o, "requestBody",
                        json_pack("{s:{s:{s:o}}}", "content", type, "schema", schema));
        return o;
}

static void add_routes(json_t *paths, const struct route *table, const char *prefix)
{
        for (const struct route *r = table; r->method; r++) {
                CLEAN_BUF struct buf path = BUF_INIT(512);
                json_t *parameters = json_array();
                char method[8] = "";
                buf_addf(&path, "%s%s", prefix, *r->path ? "/" : "");
                write_path(r, &path, parameters);
                add_query(r, parameters);
                for (size_t i = 0; r->method[i] && i < sizeof(method) - 1; i++)
                        method[i] = (char)tolower((unsigned char)r->method[i]);
                if (!json_object_get(paths, buf_text(&path)))
                        json_object_set_new(paths, buf_text(&path), json_object());
                json_object_set_new(json_object_get(paths, buf_text(&path)), method,
                        operation_of(r, parameters));
        }
}

json_t *openapi_document(bool has_management, bool has_devices)
{
        json_t *paths = json_object();
        if (has_management)
                add_routes(paths, mgmt_routes, "/rest/v1");
        if (has_devices)
                add_routes(paths, ddi_routes, DDI_PREFIX);
        return json_pack("{s:s, s:{s:s, s:s}, s:o}", "openapi", "3.0.1", "info", "title",
                "Driveline update server", "version", DRIVELINE_VERSION, "paths", paths);
}

static void list_routes(struct buf *b, const struct route *table, const char *prefix)
{
        for (const struct route *r = table; r->method; r++)
                buf_addf(b, "<li><code>%s %s%s%s</code></li>\n", r->method, prefix,
                        *r->path ? "/" : "", r->path);
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
