/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

/* ── life ── */

static char *copy_or_null(const char *text)
{
        return text ? strdup(text) : NULL;
}

static void split_target(struct http_exchange *x)
{
        static char root[] = "/";
        char *target = (char *)(uintptr_t)x->head.target; /* within x->text */
        char *scheme = strstr(target, "://");
        x->path = target;
        if (target[0] != '/' && scheme) { /* absolute form, as a proxy sends it */
                char *slash = strchr(scheme + 3, '/');
                x->path = slash ? slash : root;
        }
        x->query = strchr(x->path, '?');
        if (x->query)
                *x->query++ = '\0';
}

static struct http_exchange *allocate(struct http_connection *c, const char *head, size_t len)
{
        struct http_exchange *x = calloc(1, sizeof(*x));
        if (!x)
                return NULL;
        x->server = c->server;
        x->c = c;
        x->is_tls = c->ssl;
        x->head_len = len;
        x->headers = BUF_INIT(LIMIT_HTTP_HEADER_BYTES);
        x->text = malloc(2 * len + 1);
        x->body = evbuffer_new();
        x->cn = copy_or_null(c->cn);
        x->serial = copy_or_null(c->serial);
        memcpy(x->peer, c->address, sizeof(x->peer));
        LIST_INSERT_HEAD(&c->server->exchanges, x, link);
        if (!x->text || !x->body || (c->cn && !x->cn) || (c->serial && !x->serial)) {
                http_exchange_free(x);
                return NULL;
        }
        memcpy(x->text, head, len);
        memcpy(x->text + len + 1, head, len - 1); /* but for its last line feed */
        x->text[2 * len] = '\0';
        return x;
}

struct http_exchange *http_exchange_new(
        struct http_connection *c, const char *head, size_t len, int *ret_status)
{
        static char root[] = "/";
        struct http_exchange *x = allocate(c, head, len);
        *ret_status = 500;
        if (!x)
                return NULL;
        *ret_status = http_head_parse(x->text, len, &x->head);
        if (*ret_status) {
                x->head.method = "GET";
                x->path = root;
        } else {
                split_target(x);
        }
        x->body_left = x->head.length;
        return x;
}

void http_exchange_free(struct http_exchange *x)
{
        LIST_REMOVE(x, link);
        if (x->c)
                x->c->x = NULL;
        if (x->sink.free)
                x->sink.free(x->sink.arg);
        if (x->has_query_values)
                evhttp_clear_headers(&x->query_values);
        if (x->body)
                evbuffer_free(x->body);
        buf_fini(&x->headers);
        free(x->text);
        free(x->origin);
        free(x->cn);
        free(x->serial);
        free(x);
}

/* ── the body, while it comes ── */

bool http_exchange_is_whole(const struct http_exchange *x)
{
        return x->head.is_chunked ? x->chunks.state == CHUNK_DONE : x->body_left == 0;
}

static int64_t keep(struct http_exchange *x, const char *data, size_t len)
{
        x->body_len += (int64_t)len;
        if (x->body_len > x->body_max)
                return -E2BIG;
        if (x->sink.write)
                x->sink.write(x->sink.arg, data, len);
        else if (evbuffer_add(x->body, data, len) < 0)
                return -E2BIG;
        return (int64_t)len;
}

int64_t http_exchange_take(struct http_exchange *x, const char *data, size_t len)
{
        size_t skip = 0, body = 0;
        if (!x->head.is_chunked) {
                size_t n = (int64_t)len < x->body_left ? len : (size_t)x->body_left;
                x->body_left -= (int64_t)n;
                return keep(x, data, n);
        }
        int64_t used = http_chunks_step(&x->chunks, data, len, &skip, &body);
        if (used >= 0 && body > 0) {
                int64_t r = keep(x, data + skip, body);
                if (r < 0)
                        return r;
        }
        return used;
}

void http_set_sink(struct http_exchange *x, const struct http_sink *sink)
{
        x->sink = *sink;
}

void *http_sink_arg(const struct http_exchange *x)
{
        return x->sink.arg;
}

/* ── what was asked ── */

const char *http_method(const struct http_exchange *x)
{
        static const char *const known[] = {
                "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"};
        for (size_t i = 0; i < N_ELEMENTS(known); i++) {
                if (strcmp(known[i], x->head.method) == 0)
                        return known[i];
        }
        return "TRACE";
}

const char *http_path(const struct http_exchange *x)
{
        return x->path;
}

const char *http_query(const struct http_exchange *x)
{
        return x->query;
}

const char *http_header(const struct http_exchange *x, const char *name)
{
        return http_head_field(&x->head, name);
}

const char *http_raw_head(const struct http_exchange *x, size_t *ret_len)
{
        *ret_len = x->head_len - 1;
        return x->text + x->head_len + 1;
}

bool http_keeps_alive(const struct http_exchange *x)
{
        return x->head.keeps_alive;
}

bool http_is_current(const struct http_exchange *x)
{
        return x->head.minor > 0;
}

const char *http_answer_headers(const struct http_exchange *x)
{
        return buf_text(&x->headers);
}

bool http_has_body(const struct http_exchange *x)
{
        return x->head.is_chunked || x->head.length > 0;
}

const char *http_param(struct http_exchange *x, const char *name)
{
        if (!x->query)
                return NULL;
        if (!x->has_query_values) {
                x->has_query_values = true;
                TAILQ_INIT(&x->query_values);
                if (evhttp_parse_query_str(x->query, &x->query_values) < 0)
                        return NULL;
        }
        return evhttp_find_header(&x->query_values, name);
}

struct evbuffer *http_body_buffer(struct http_exchange *x)
{
        return x->body;
}

const char *http_body(struct http_exchange *x, size_t *ret_len)
{
        *ret_len = evbuffer_get_length(x->body);
        return *ret_len ? (const char *)evbuffer_pullup(x->body, -1) : "";
}

const char *http_peer(const struct http_exchange *x)
{
        return x->peer;
}

bool http_is_tls(const struct http_exchange *x)
{
        return x->is_tls;
}

const char *http_peer_cn(const struct http_exchange *x)
{
        return x->cn;
}

const char *http_peer_serial(const struct http_exchange *x)
{
        return x->serial;
}

const char *http_peer_fingerprint(struct http_exchange *x)
{
        if (x->fingerprint[0] || !x->cn || !x->c)
                return x->fingerprint[0] ? x->fingerprint : NULL;
        X509 *cert = SSL_get1_peer_certificate(x->c->ssl);
        unsigned char raw[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        if (cert && X509_digest(cert, EVP_sha256(), raw, &len))
                hash_hex(raw, len, x->fingerprint);
        X509_free(cert);
        return x->fingerprint[0] ? x->fingerprint : NULL;
}

const char *http_origin(struct http_exchange *x)
{
        if (x->origin)
                return x->origin;
        const char *host = http_header(x, "Host");
        struct buf b = BUF_INIT(LIMIT_HTTP_HEADER_BYTES);
        buf_addf(&b, "%s://%s", x->is_tls ? "https" : "http", host ? host : "localhost");
        x->origin = buf_take(&b);
        return x->origin ? x->origin : "";
}
