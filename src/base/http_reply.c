/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
        int status;
        const char *text;
} reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {423, "Locked"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
};

static const char *reason_of(int status)
{
        for (size_t i = 0; i < N_ELEMENTS(reasons); i++) {
                if (reasons[i].status == status)
                        return reasons[i].text;
        }
        return "Other";
}

/* Made once a second; not by strftime(), which speaks the locale's language. */
const char *http_date_line(struct http_server *s)
{
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t now = time(NULL);
        struct tm tm;
        if (now == s->date_at)
                return s->date_line;
        s->date_at = now;
        gmtime_r(&now, &tm);
        snprintf(s->date_line, sizeof(s->date_line),
                "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + (size_t)tm.tm_wday * 3,
                tm.tm_mday % 100, months + (size_t)tm.tm_mon * 3, (tm.tm_year + 1900) % 10000,
                tm.tm_hour, tm.tm_min, tm.tm_sec);
        return s->date_line;
}

/* ── heads ── */

/* A line end in a value would begin a header of its own: such a header is left out. */
void http_add_header(struct http_exchange *x, const char *name, const char *value)
{
        if (!strpbrk(value, "\r\n"))
                buf_addf(&x->headers, "%s: %s\r\n", name, value);
}

void http_clear_headers(struct http_exchange *x)
{
        buf_clear(&x->headers);
}

static bool is_head(const struct http_exchange *x)
{
        return strcmp(x->head.method, "HEAD") == 0;
}

static bool may_have_body(int status)
{
        return status >= 200 && status != 204 && status != 304;
}

/* `length` -1: not known before the end. */
static void write_head(
        struct http_exchange *x, int status, const char *content_type, int64_t length)
{
        struct http_connection *c = x->c;
        struct http_server *s = x->server;
        if (length < 0 && x->head.minor == 0)
                c->closes = true;
        evbuffer_add_printf(c->out, "HTTP/1.%d %d %s\r\n%s", x->head.minor ? 1 : 0, status,
                reason_of(status), http_date_line(s));
        evbuffer_add(c->out, buf_text(&x->headers), x->headers.len);
        if (s->options.server)
                evbuffer_add_printf(c->out, "Server: %s\r\n", s->options.server);
        if (content_type && !strpbrk(content_type, "\r\n"))
                evbuffer_add_printf(c->out, "Content-Type: %s\r\n", content_type);
        if (length < 0 && x->head.minor > 0)
                evbuffer_add_printf(c->out, "Transfer-Encoding: chunked\r\n");
        else if (length >= 0 && may_have_body(status))
                evbuffer_add_printf(c->out, "Content-Length: %lld\r\n", (long long)length);
        if (c->closes)
                evbuffer_add_printf(c->out, "Connection: close\r\n");
        else if (x->head.minor == 0)
                evbuffer_add_printf(c->out, "Connection: keep-alive\r\n");
        evbuffer_add(c->out, "\r\n", 2);
}

/* The exchange is over; its connection goes on with the answer. */
static void begin_answer(struct http_exchange *x, bool is_whole)
{
        struct http_connection *c = x->c;
        x->server->now_ms = clock_mono_ms();
        c->state = HTTP_ANSWER;
        c->began_ms = c->moved_ms = x->server->now_ms;
        c->moved = 0;
        c->is_answer_whole = is_whole;
        http_exchange_free(x);
        http_connection_send(c);
}

/* ── answers in one piece ── */

void http_reply(
        struct http_exchange *x, int status, const char *content_type, const void *body, size_t len)
{
        if (!x->c) {
                http_exchange_free(x);
                return;
        }
        write_head(x, status, content_type, (int64_t)len);
        if (len && !is_head(x) && may_have_body(status))
                evbuffer_add(x->c->out, body, len);
        begin_answer(x, true);
}

void http_reply_json(struct http_exchange *x, int status, json_t *value)
{
        CLEAN_JSON json_t *v = value;
        struct buf b CLEAN_BUF = BUF_INIT(LIMIT_MIB(64));
        if (!v || json_append(&b, v) < 0)
                http_reply(x, 500, NULL, NULL, 0);
        else
                http_reply(x, status, "application/json;charset=UTF-8", b.data, b.len);
}

void http_reply_file(struct http_exchange *x, int status, const char *content_type, int fd,
        int64_t offset, int64_t len)
{
        struct http_connection *c = x->c;
        if (!c || is_head(x) || len == 0) {
                close(fd);
                if (c)
                        write_head(x, status, content_type, len);
        } else {
                write_head(x, status, content_type, len);
                c->file = fd;
                c->file_offset = offset;
                c->file_left = len;
        }
        if (c)
                begin_answer(x, true);
        else
                http_exchange_free(x);
}

/* ── answers without end ── */

static void stream_free(struct http_stream *s)
{
        if (s->c)
                s->c->stream = NULL;
        LIST_REMOVE(s, link);
        free(s);
}

void http_stream_lose(struct http_stream *s)
{
        s->c = NULL;
        if (!s->server->is_closing && s->on_close)
                s->on_close(s->arg);
}

struct http_stream *http_stream_begin(
        struct http_exchange *x, const char *content_type, void (*on_close)(void *arg), void *arg)
{
        struct http_stream *s = calloc(1, sizeof(*s));
        if (!s) {
                http_reply(x, 503, NULL, NULL, 0);
                return NULL;
        }
        *s = (struct http_stream){.server = x->server,
                .c = x->c,
                .is_chunked = x->head.minor > 0,
                .is_silent = is_head(x),
                .on_close = on_close,
                .arg = arg};
        LIST_INSERT_HEAD(&x->server->streams, s, link);
        if (!s->c) {
                http_exchange_free(x);
                return s;
        }
        s->c->stream = s;
        write_head(x, 200, content_type, -1);
        begin_answer(x, false);
        return s;
}

int http_stream_send(struct http_stream *s, const void *data, size_t len)
{
        if (!s->c)
                return -EPIPE;
        struct evbuffer *out = s->c->out;
        if (evbuffer_get_length(out) > LIMIT_MIB(1))
                return -EAGAIN;
        if (len == 0 || s->is_silent)
                return 0;
        if ((s->is_chunked && evbuffer_add_printf(out, "%zx\r\n", len) < 0) ||
                evbuffer_add(out, data, len) < 0 ||
                (s->is_chunked && evbuffer_add(out, "\r\n", 2) < 0)) {
                http_connection_kill(s->c); /* half a chunk is no answer any more */
                return -ENOMEM;
        }
        http_connection_send(s->c);
        return 0;
}

void http_stream_end(struct http_stream *s)
{
        if (!s)
                return;
        struct http_connection *c = s->c;
        bool has_end = s->is_chunked && !s->is_silent;
        stream_free(s);
        if (!c)
                return;
        if (has_end)
                evbuffer_add(c->out, "0\r\n\r\n", 5);
        c->is_answer_whole = true;
        http_connection_send(c);
}

void http_stream_abort(struct http_stream *s)
{
        if (!s)
                return;
        struct http_connection *c = s->c;
        stream_free(s);
        if (c)
                http_connection_kill(c);
}
