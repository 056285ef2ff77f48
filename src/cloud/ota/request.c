/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/request.h"

#include "base/limits.h"

#include <string.h>
#include <strings.h>

/* ── what came in ── */

const char *request_param(const struct request *q, const char *name)
{
        for (size_t i = 0; i < q->n_params; i++) {
                if (strcmp(q->params[i].name, name) == 0)
                        return q->params[i].value;
        }
        return NULL;
}

const char *request_query(struct request *q)
{
        const char *all = NULL;
        for (size_t i = 0; i < q->n_params; i++) {
                if (strcmp(q->params[i].name, "q") != 0)
                        continue;
                all = all ? arena_printf(&q->arena, "%s,%s", all, q->params[i].value)
                          : q->params[i].value;
        }
        return all;
}

bool request_flag(const struct request *q, const char *name)
{
        const char *v = request_param(q, name);
        return v && (strcasecmp(v, "true") == 0 || strcasecmp(v, "on") == 0 ||
                            strcasecmp(v, "yes") == 0 || strcmp(v, "1") == 0);
}

bool request_may(const struct request *q, uint64_t permissions)
{
        return q->user && (q->user->permissions & permissions) == permissions;
}

int request_forbid(struct request *q)
{
        return tx_problem(&q->tx, PROBLEM_PERMISSION, "Insufficient Permission");
}

/* ── proxies ── */

/* True if the peer may say what the client asked for, and does. */
static bool read_forwarded(struct request *q, struct forwarded *ret)
{
        const char *header = http_header(q->x, "Forwarded");
        if (!q->ota->uses_forwarded || !proxy_list_has(&q->ota->proxies, http_peer(q->x)))
                return false;
        if (header)
                return forwarded_parse(header, &q->arena, ret);
        forwarded_from_x(http_header(q->x, "X-Forwarded-Proto"),
                http_header(q->x, "X-Forwarded-Host"), http_header(q->x, "X-Forwarded-Port"),
                http_header(q->x, "X-Forwarded-Prefix"), http_header(q->x, "X-Forwarded-For"),
                &q->arena, ret);
        return true;
}

const char *request_origin(struct request *q)
{
        struct forwarded f;
        const char *host = http_header(q->x, "Host");
        if (q->origin)
                return q->origin;
        if (read_forwarded(q, &f))
                q->origin = forwarded_origin(&f, http_is_tls(q->x) ? "https" : "http",
                        host ? host : "localhost", &q->arena);
        else
                q->origin = http_origin(q->x);
        return q->origin;
}

const char *request_peer(struct request *q)
{
        struct forwarded f;
        return read_forwarded(q, &f) && f.client ? f.client : http_peer(q->x);
}

/* ── what goes out ── */

int reply_json(struct request *q, int status, json_t *value)
{
        q->status = status;
        json_decref(q->reply);
        q->reply = value;
        return 0;
}

int reply_none(struct request *q, int status)
{
        q->status = status;
        return 0;
}

const char *url_part(struct request *q, const char *text)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_KIB(64));
        buf_add_url(&b, text);
        return arena_strdup(&q->arena, buf_text(&b));
}

__attribute__((format(printf, 3, 0))) static json_t *make_link(
        struct request *q, const char *name, const char *fmt, va_list ap)
{
        const char *tail = arena_vprintf(&q->arena, fmt, ap);
        const char *href = arena_printf(&q->arena, "%s/rest/v1/%s", request_origin(q), tail);
        return json_pack("{s:s, s:s*}", "href", href, "name", name);
}

json_t *link_to(struct request *q, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        json_t *link = make_link(q, NULL, fmt, ap);
        va_end(ap);
        return link;
}

json_t *named_link_to(struct request *q, const char *name, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        json_t *link = make_link(q, name, fmt, ap);
        va_end(ap);
        return link;
}

void add_text(json_t *object, const char *key, const char *value)
{
        if (value)
                json_object_set_new(object, key, json_string(value));
}

void add_int(json_t *object, const char *key, int64_t value)
{
        json_object_set_new(object, key, json_integer(value));
}

void add_bool(json_t *object, const char *key, bool value)
{
        json_object_set_new(object, key, json_boolean(value));
}

void add_audit(json_t *object, struct sql_rows *r, int column)
{
        add_text(object, "createdBy", sql_col_text(r, column));
        add_int(object, "createdAt", sql_col_int(r, column + 1));
        add_text(object, "lastModifiedBy", sql_col_text(r, column + 2));
        add_int(object, "lastModifiedAt", sql_col_int(r, column + 3));
}

/* ── lists ── */

json_t *page_of(json_t *content, int64_t total)
{
        return json_pack("{s:o, s:I, s:i}", "content", content, "total", (json_int_t)total, "size",
                (int)json_array_size(content));
}

static struct sql_arg *all_args(
        struct request *q, const struct listing *l, const struct filter *f, size_t extra)
{
        struct sql_arg *args =
                arena_alloc(&q->arena, (l->n_args + f->n_args + extra) * sizeof(*args) + 1);
        memcpy(args, l->args, l->n_args * sizeof(*args));
        if (f->n_args)
                memcpy(args + l->n_args, f->args, f->n_args * sizeof(*args));
        return args;
}

static int64_t count_rows(struct request *q, const struct listing *l, const struct filter *f)
{
        const char *where = l->is_total_unfiltered ? "1=1" : f->sql;
        const char *text = arena_printf(&q->arena, "SELECT count(*) FROM %s WHERE %s AND (%s)",
                l->count_from ? l->count_from : l->from, l->where, where);
        size_t n = l->n_args + (l->is_total_unfiltered ? 0 : f->n_args);
        return sql_int_args(&q->tx, 0, text, all_args(q, l, f, 0), n);
}

static json_t *read_page(struct request *q, const struct listing *l, const struct filter *f)
{
        const char *order = q->sort ? q->sort : l->order;
        const char *text =
                arena_printf(&q->arena, "SELECT %s FROM %s WHERE %s AND (%s)%s%s LIMIT ? OFFSET ?",
                        l->columns, l->from, l->where, f->sql, *order ? " ORDER BY " : "", order);
        size_t n = l->n_args + f->n_args;
        struct sql_arg *args = all_args(q, l, f, 2);
        args[n] = (struct sql_arg)SQL_I(q->limit);
        args[n + 1] = (struct sql_arg)SQL_I(q->offset);
        json_t *content = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open_args(&q->tx, text, args, n + 2);
        while (sql_next(&r)) {
                if (f->complete >= 0 && l->is_complete &&
                        l->is_complete(q, &r) != (f->complete == 1))
                        continue;
                json_array_append_new(content, l->row(q, &r));
        }
        return content;
}

int list_reply(struct request *q, const struct listing *l)
{
        struct filter f;
        if (filter_compile(&q->tx, q->route->entity->fields, request_query(q), &f) < 0)
                return -1;
        int64_t total = count_rows(q, l, &f);
        json_t *content = read_page(q, l, &f);
        int64_t n = (int64_t)json_array_size(content);
        if (f.complete >= 0 && n > 0 && q->offset + q->limit > total)
                total = q->offset +
                        n; /* what hawkBit's page makes of a count that it can see the end of */
        return reply_json(q, 200, page_of(content, total));
}
