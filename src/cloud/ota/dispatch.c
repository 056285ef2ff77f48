/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/answer.h"
#include "cloud/ota/caller.h"
#include "cloud/ota/cbor.h"
#include "cloud/ota/ddi.h"
#include "cloud/ota/openapi.h"
#include "cloud/ota/page.h"
#include "cloud/ota/request.h"
#include "cloud/ota/seen.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PARTS 16
#define DEFAULT_LIMIT 50
#define MAX_LIMIT 500

/* ── paths ── */

/* An escape that hawkBit's firewall refuses: % / \ ; and line ends, hidden. */
static bool is_refused_escape(const char *p)
{
        static const char *const refused[] = {"25", "2f", "5c", "3b", "0a", "0d", "00", "2e%2e"};
        for (size_t i = 0; i < N_ELEMENTS(refused); i++) {
                if (strncasecmp(p, refused[i], strlen(refused[i])) == 0)
                        return true;
        }
        return false;
}

/* What that firewall refuses before anything is looked at. */
static bool is_refused_path(const char *path)
{
        for (const char *p = path; *p; p++) {
                if (*p == ';' || *p == '\\' || (*p == '%' && is_refused_escape(p + 1)))
                        return true;
                if (*p == '/' && (p[1] == '/' || strncmp(p + 1, "./", 2) == 0 ||
                                         strncmp(p + 1, "../", 3) == 0))
                        return true;
        }
        return false;
}

static int hex_value(char c)
{
        static const char digits[] = "0123456789abcdef";
        const char *at = c ? strchr(digits, c | ((c >= 'A' && c <= 'F') ? 0x20 : 0)) : NULL;
        return at ? (int)(at - digits) : -1;
}

static char *url_decode(struct request *q, const char *text, size_t len, bool plus_is_blank)
{
        char *out = arena_alloc(&q->arena, len + 1);
        size_t n = 0;
        for (size_t i = 0; i < len; i++) {
                int high = text[i] == '%' && i + 2 < len ? hex_value(text[i + 1]) : -1;
                int low = high >= 0 ? hex_value(text[i + 2]) : -1;
                if (low >= 0) {
                        out[n++] = (char)(high << 4 | low);
                        i += 2;
                } else {
                        out[n++] = plus_is_blank && text[i] == '+' ? ' ' : text[i];
                }
        }
        return out;
}

static size_t split_path(struct request *q, const char *path, const char *parts[MAX_PARTS])
{
        size_t n = 0;
        for (const char *p = path + (*path == '/'); n < MAX_PARTS; n++) {
                size_t len = strcspn(p, "/");
                parts[n] = url_decode(q, p, len, false);
                if (!p[len])
                        return n + 1;
                p += len + 1;
        }
        return n;
}

/* ── parameters ── */

static void read_params(struct request *q)
{
        const char *query = http_query(q->x);
        size_t room = 1;
        for (const char *p = query; p && *p; p++)
                room += *p == '&';
        q->params = arena_alloc(&q->arena, room * sizeof(*q->params));
        for (const char *p = query; p && *p;) {
                size_t len = strcspn(p, "&");
                size_t name = strcspn(p, "=&");
                if (len > 0) {
                        struct param *one = &q->params[q->n_params++];
                        one->name = url_decode(q, p, name, true);
                        one->value =
                                name < len ? url_decode(q, p + name + 1, len - name - 1, true) : "";
                }
                p += len + (p[len] == '&');
        }
}

static int bad_param(struct request *q, const char *name)
{
        return tx_problem(&q->tx, PROBLEM_BODY, "The parameter '%s' is not of its type", name);
}

static int integer_of(const char *text, int64_t min, int64_t max, int64_t *ret)
{
        char *end = NULL;
        errno = 0;
        text += strspn(text, " ");
        long long v = strtoll(text, &end, 10);
        if (errno || end == text || end[strspn(end, " ")] || v < min || v > max)
                return -EINVAL;
        *ret = v;
        return 0;
}

static bool is_boolean(const char *text)
{
        static const char *const words[] = {
                "true", "on", "yes", "1", "false", "off", "no", "0", ""};
        for (size_t i = 0; i < N_ELEMENTS(words); i++) {
                if (strcasecmp(words[i], text) == 0)
                        return true;
        }
        return false;
}

static int check_param(struct request *q, const char *name, char type)
{
        const char *value = request_param(q, name);
        int64_t v = 0;
        if (type == '!')
                return value ? 0 : problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 400);
        if (!value || !*value)
                return 0;
        if (type == 'b')
                return is_boolean(value) ? 0 : bad_param(q, name);
        return integer_of(value, INT32_MIN, INT32_MAX, &v) < 0 ? bad_param(q, name) : 0;
}

static int check_params(struct request *q)
{
        for (const char *p = q->route->params; p && *p;) {
                size_t len = strcspn(p, ":");
                const char *name = arena_strndup(&q->arena, p, len);
                if (check_param(q, name, p[len + 1]) < 0)
                        return -1;
                p += len + 2;
                p += *p == ' ';
        }
        return 0;
}

static int read_paging(struct request *q)
{
        const char *offset = request_param(q, "offset");
        const char *limit = request_param(q, "limit");
        q->limit = DEFAULT_LIMIT;
        if (offset && offset[strspn(offset, " ")] &&
                integer_of(offset, INT32_MIN, INT32_MAX, &q->offset) < 0)
                return bad_param(q, "offset");
        if (limit && limit[strspn(limit, " ")] &&
                integer_of(limit, INT32_MIN, INT32_MAX, &q->limit) < 0)
                return bad_param(q, "limit");
        if (q->offset < 0)
                q->offset = 0;
        if (q->limit < 1)
                q->limit = DEFAULT_LIMIT;
        if (q->limit > MAX_LIMIT)
                q->limit = MAX_LIMIT;
        const char *form = request_param(q, "representation");
        q->is_full = form && strcasecmp(form, "full") == 0;
        return 0;
}

static int read_sort(struct request *q)
{
        const char *sort = request_param(q, "sort");
        if (!q->route->entity || !sort)
                return 0;
        return sort_compile(&q->tx, q->route->entity->sorts, sort, &q->sort);
}

/* ── routes ── */

/* Does the pattern fit? Then its {n} and {s} are in q->ids and q->texts, from `first` on. */
static bool path_fits(
        struct request *q, const char *pattern, const char *const *parts, size_t n, size_t first)
{
        size_t i = 0, value = first;
        for (const char *p = pattern; *p; i++) {
                size_t len = strcspn(p, "/");
                if (i >= n)
                        return false;
                if (*p == '{') {
                        if (!*parts[i] || value >= REQUEST_MAX_IDS)
                                return false;
                        q->texts[value++] = parts[i];
                } else if (strlen(parts[i]) != len || strncmp(p, parts[i], len) != 0) {
                        return false;
                }
                p += len + (p[len] == '/');
        }
        return i == n;
}

static int read_ids(struct request *q, size_t first)
{
        size_t value = first;
        for (const char *p = strchr(q->route->path, '{'); p; p = strchr(p + 1, '{'), value++) {
                if (p[1] == 'n' &&
                        integer_of(q->texts[value], INT64_MIN, INT64_MAX, &q->ids[value]) < 0)
                        return bad_param(q, "id");
        }
        return 0;
}

static bool method_fits(const struct route *r, const char *method)
{
        return strcmp(r->method, method) == 0 ||
               (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

static void add_method(struct buf *allow, const char *method)
{
        if (!strstr(buf_text(allow), method))
                buf_addf(allow, "%s%s", allow->len ? ", " : "", method);
}

static bool admits_text(struct request *q, const struct route *r)
{
        return !(r->flags & ROUTE_TEXT) || media_choose(http_header(q->x, "Accept"), MEDIA_TEXT);
}

static bool is_md5sum(const char *name)
{
        size_t n = strlen(name);
        return n > 7 && strcmp(name + n - 7, ".MD5SUM") == 0;
}

static int no_route(struct request *q)
{
        http_add_header(q->x, "Vary", "Origin");
        http_add_header(q->x, "Vary", "Access-Control-Request-Method");
        http_add_header(q->x, "Vary", "Access-Control-Request-Headers");
        return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 404);
}

/* Finds the route; else sets 404 or 405, or answers OPTIONS. */
static int find_route(struct request *q, const struct route *table, const char *const *parts,
        size_t n, size_t first)
{
        const char *method = http_method(q->x);
        CLEAN_BUF struct buf allow = BUF_INIT(256);
        for (const struct route *r = table; r->method; r++) {
                if (!path_fits(q, r->path, parts, n, first))
                        continue;
                if ((r->flags & ROUTE_TEXT) && (!is_md5sum(parts[n - 1]) || !admits_text(q, r)))
                        continue;
                if (method_fits(r, method)) {
                        q->route = r;
                        return 0;
                }
                add_method(&allow, r->method);
        }
        if (!allow.len)
                return no_route(q);
        if (strcmp(method, "OPTIONS") == 0) {
                if (strstr(allow.data, "GET"))
                        buf_adds(&allow, ", HEAD");
                buf_adds(&allow, ", OPTIONS");
                http_add_header(q->x, "Allow", allow.data);
                http_add_header(q->x, "Accept-Patch", "");
                return reply_none(q, 200) + 1;
        }
        http_add_header(q->x, "Allow", allow.data);
        return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 405);
}

/* ── media types ── */

static int check_content_type(struct request *q, bool is_ddi)
{
        const char *type = http_header(q->x, "Content-Type");
        size_t len = evbuffer_get_length(http_body_buffer(q->x));
        bool is_fine = true;
        if (q->route->flags & ROUTE_UPLOAD)
                is_fine = media_is_type(type, "multipart/form-data");
        else if (q->route->body && ((q->route->flags & ROUTE_TYPE_OPTIONAL) && len == 0))
                is_fine = true;
        else if (q->route->body)
                is_fine = media_of_content_type(type) &
                          (is_ddi ? MEDIA_JSON | MEDIA_CBOR : MEDIA_JSON | MEDIA_HAL);
        if (is_fine)
                return 0;
        http_add_header(q->x, "Accept",
                q->route->flags & ROUTE_UPLOAD ? "multipart/form-data"
                : is_ddi                       ? "application/json, application/cbor"
                                               : "application/hal+json, application/json");
        return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 415);
}

static int check_accept(struct request *q, bool is_ddi)
{
        const char *accept = http_header(q->x, "Accept");
        unsigned offered = MEDIA_HAL | MEDIA_JSON | (is_ddi ? MEDIA_CBOR : 0);
        if (q->route->flags & ROUTE_JSON_ONLY)
                offered = MEDIA_JSON;
        if (q->route->flags & ROUTE_TEXT)
                offered = MEDIA_TEXT;
        q->media = media_choose(accept, offered);
        if (q->media || (q->route->flags & (ROUTE_NO_ANSWER | ROUTE_BYTES)))
                return 0;
        http_add_header(q->x, "Accept", "application/hal+json, application/json");
        if (media_choose(accept, MEDIA_HAL | MEDIA_JSON | MEDIA_CBOR) ||
                media_is_vendor_json(accept))
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 406);
        return problem_set_status(&q->problem, PROBLEM_EMPTY, 406);
}

/* ── bodies ── */

static json_t *parse_body(struct request *q, const char *data, size_t len)
{
        json_error_t e;
        if (media_of_content_type(http_header(q->x, "Content-Type")) == MEDIA_CBOR)
                return cbor_decode(data, len);
        if (len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) {
                data += 3;
                len -= 3;
        }
        return json_loadb(data, len, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &e);
}

static int read_body(struct request *q)
{
        const struct shape *shape = q->route->body;
        size_t len = 0;
        if (!shape)
                return 0;
        const char *data = http_body(q->x, &len);
        if (len > LIMIT_JSON_BODY_BYTES)
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 413);
        if (len == 0 && (shape->flags & SHAPE_OPTIONAL))
                return 0;
        CLEAN_JSON json_t *raw = len ? parse_body(q, data, len) : NULL;
        if (json_is_null(raw) && (shape->flags & SHAPE_OPTIONAL))
                return 0;
        if (raw && !json_is_null(raw))
                q->body = shape_read(shape, raw);
        if (!q->body || json_is_null(q->body))
                return tx_problem(
                        &q->tx, PROBLEM_BODY, "The given request body is not well formed");
        return 0;
}

static int check_body(struct request *q)
{
        bool is_due = q->body && !(q->route->flags & ROUTE_LATE_CHECK);
        const char *broken = is_due ? shape_check(q->route->body, q->body, &q->arena) : NULL;
        return broken ? tx_problem(&q->tx, PROBLEM_CONSTRAINT, "%s", broken) : 0;
}

static int check_permission(struct request *q)
{
        uint64_t due = q->route->permission;
        if (!due || request_may(q, due))
                return 0;
        if ((q->route->flags & ROUTE_ANY_PERMISSION) && (q->user->permissions & due))
                return 0;
        return request_forbid(q);
}

/* ── the two interfaces ── */

/* A request that may only read is begun so, and again as a writer if it did write after all. */
static bool is_reader(const struct request *q)
{
        const char *method = http_method(q->x);
        return q->n_runs == 1 && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
}

static uint64_t hash_of(uint64_t h, const char *text)
{
        for (const char *p = text; *p; p++) /* FNV-1a, without case, as tenants are */
                h = (h ^ (unsigned char)tolower((unsigned char)*p)) * 1099511628211u;
        return h;
}

/* Of a device's requests only the poll (four parts) is likely to write nothing. */
static void choose_device_unit(struct request *q, size_t n)
{
        uint64_t tenant = hash_of(1469598103934665603u, q->tenant_in_path);
        q->tx.unit = n == 4 && is_reader(q) ? DATABASE_READING : DATABASE_DEVICE;
        q->tx.key = hash_of((tenant ^ '/') * 1099511628211u, q->texts[0]);
}

static int run_route(struct request *q, bool is_ddi, size_t first)
{
        if (check_content_type(q, is_ddi) < 0 || check_accept(q, is_ddi) < 0 ||
                read_ids(q, first) < 0 || check_params(q) < 0 || read_paging(q) < 0 ||
                read_body(q) < 0 || read_sort(q) < 0)
                return -1;
        if (q->route->first && q->route->first(q) < 0)
                return -1;
        if ((!is_ddi && check_permission(q) < 0) || check_body(q) < 0)
                return -1;
        return q->route->handle(q);
}

/* A browser's question whether another page may call us: no page may. */
static bool is_preflight(struct request *q)
{
        return strcmp(http_method(q->x), "OPTIONS") == 0 && http_header(q->x, "Origin") &&
               http_header(q->x, "Access-Control-Request-Method");
}

static int refuse_preflight(struct request *q)
{
        q->status = 403;
        q->text = "Invalid CORS request";
        return 0;
}

/* 1: the request waits. */
static int find_caller(struct request *q)
{
        int wait = 0;
        switch (caller_find(q, &wait)) {
        case CALLER_KNOWN:
                return 0;
        case CALLER_WAITS:
                q->is_waiting = true;
                return 1;
        case CALLER_LIMITED:
                http_add_header(q->x, "Retry-After", arena_printf(&q->arena, "%d", wait));
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 429);
        case CALLER_UNKNOWN:
                break;
        }
        http_add_header(q->x, "WWW-Authenticate", "Basic realm=\"hawkBit\"");
        return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 401);
}

static int run_management(struct request *q)
{
        const char *parts[MAX_PARTS];
        struct ota *o = q->ota;
        q->tx.unit = is_reader(q) ? DATABASE_READING : DATABASE_ALONE;
        int r = find_caller(q);
        if (r != 0)
                return r;
        size_t n = split_path(q, q->path, parts);
        q->tx.user = q->user->name;
        if (is_preflight(q))
                return refuse_preflight(q);
        if (n < 2 || strcmp(parts[1], "v1") != 0)
                return no_route(q);
        r = find_route(q, mgmt_routes, parts + 2, n - 2, 0);
        if (r != 0)
                return r;
        seen_flush(o->seen, o);
        q->tx.tenant = tenant_find(&q->tx, q->user->tenant, true, &q->tx.tenant_name);
        return q->tx.tenant ? run_route(q, false, 0) : -1;
}

static int run_device(struct request *q, const char *const *parts, size_t n)
{
        q->tenant_in_path = parts[0];
        q->texts[0] = parts[3];
        q->tx.user = "CONTROLLER_PLUG_AND_PLAY";
        choose_device_unit(q, n);
        if (!ddi_authenticate(q))
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 401);
        int r = find_route(q, ddi_routes, parts + 4, n - 4, 1);
        return r != 0 ? r : run_route(q, true, 1);
}

static int show_interface(struct request *q)
{
        CLEAN_BUF struct buf page = BUF_INIT(LIMIT_MIB(1));
        if (openapi_page(&page) < 0)
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 500);
        q->status = 200;
        q->text = arena_strdup(&q->arena, buf_text(&page));
        q->text_type = "text/html;charset=UTF-8";
        return 0;
}

/* What is served to everybody, without credentials. */
static int run_other(struct request *q)
{
        bool is_get =
                strcmp(http_method(q->x), "GET") == 0 || strcmp(http_method(q->x), "HEAD") == 0;
        if (is_get && strcmp(q->path, "/actuator/health") == 0)
                return reply_json(q, 200, json_pack("{s:s}", "status", "UP"));
        if (is_get && strcmp(q->path, "/v3/api-docs") == 0)
                return reply_json(q, 200, openapi_document(true, true));
        if (is_get && strcmp(q->path, "/v3/api-docs/Management%20API") == 0)
                return reply_json(q, 200, openapi_document(true, false));
        if (is_get && strcmp(q->path, "/v3/api-docs/Direct%20Device%20Integration%20API") == 0)
                return reply_json(q, 200, openapi_document(false, true));
        if (is_get && strcmp(q->path, "/swagger-ui/index.html") == 0)
                return show_interface(q);
        if (is_get && (strcmp(q->path, "/") == 0 || strcmp(q->path, "/swagger-ui.html") == 0)) {
                http_add_header(q->x, "Location", "/swagger-ui/index.html");
                return reply_none(q, 302);
        }
        return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 404);
}

static int run(struct request *q)
{
        const char *parts[MAX_PARTS];
        if (is_refused_path(q->path))
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 400);
        if (strcmp(http_method(q->x), "TRACE") == 0)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 400);
        read_params(q);
        if (strncmp(q->path, "/rest/", 6) == 0 || strcmp(q->path, "/rest") == 0)
                return run_management(q);
        size_t n = split_path(q, q->path, parts);
        bool is_ddi = n >= 3 && strcmp(parts[1], "controller") == 0 && strcmp(parts[2], "v1") == 0;
        if (is_ddi && n == 3)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 401);
        if (is_ddi)
                return run_device(q, parts, n);
        q->media = MEDIA_JSON;
        return run_other(q);
}

static void request_fini(struct request *q)
{
        json_decref(q->body);
        json_decref(q->reply);
        problem_fini(&q->problem);
        if (q->file >= 0)
                close(q->file);
        free(q->bytes);
        user_fini(&q->caller);
        arena_fini(&q->arena);
}

static void run_in_unit(struct request *q)
{
        ota_tx(q->ota, &q->tx, &q->arena, &q->problem, 0, "");
        if (run(q) < 0 || q->is_waiting || tx_commit(&q->tx) < 0)
                tx_rollback(&q->tx);
        else
                ota_tell(q->ota, &q->tx);
}

/* Its body must still be there for another run; handlers read it without taking it away. */
static bool runs_again(struct request *q, size_t body_length)
{
        return tx_needs_another_run(&q->tx) && !q->is_waiting && !q->is_answered &&
               q->n_runs < LIMIT_DATABASE_RUNS &&
               evbuffer_get_length(http_body_buffer(q->x)) == body_length;
}

void dispatch_again(void *arg, struct http_exchange *x, struct login_result *result)
{
        size_t body_length = evbuffer_get_length(http_body_buffer(x));
        struct request q;
        for (int n = 1;; n++) {
                q = (struct request){.ota = arg,
                        .x = x,
                        .login = result,
                        .file = -1,
                        .media = MEDIA_HAL,
                        .path = http_path(x),
                        .foreign_changes = database_foreign_changes(((struct ota *)arg)->database),
                        .n_runs = n};
                run_in_unit(&q);
                if (!runs_again(&q, body_length))
                        break;
                request_fini(&q);
                http_clear_headers(x);
        }
        if (!q.is_waiting && !q.is_answered)
                answer(&q);
        request_fini(&q);
        login_result_free(result);
}

void dispatch(void *arg, struct http_exchange *x)
{
        if (!page_answer(arg, x))
                dispatch_again(arg, x, NULL);
}
