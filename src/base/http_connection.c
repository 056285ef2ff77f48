/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_impl.h"

#include "base/clock.h"
#include "base/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* Reads and pieces of a file of one connection before the others have their turn. */
#define TURNS 16
/* One TLS record; the same piece is offered again if the client didn't take it. */
#define TLS_PIECE ((size_t)16 * 1024)
#define FILE_PIECE ((size_t)256 * 1024)

static void on_event(evutil_socket_t fd, short what, void *arg);

/* ── bytes in and out ── */

static ssize_t tls_failed(struct http_connection *c, int r, bool *ret_wants_other, int other)
{
        int code = SSL_get_error(c->ssl, r);
        *ret_wants_other = code == other;
        if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
                return -EAGAIN;
        ERR_clear_error();
        return code == SSL_ERROR_ZERO_RETURN ? 0 : -EPIPE;
}

/* Like read(2), but for -errno. */
static ssize_t receive(struct http_connection *c, char *data, size_t size)
{
        if (!c->ssl) {
                ssize_t n = recv(c->fd, data, size, 0);
                return n < 0 ? -errno : n;
        }
        ERR_clear_error();
        int n = SSL_read(c->ssl, data, (int)size);
        return n > 0 ? n : tls_failed(c, n, &c->read_wants_write, SSL_ERROR_WANT_WRITE);
}

static ssize_t transmit(struct http_connection *c, const char *data, size_t len)
{
        if (!c->ssl) {
                ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
                return n < 0 ? -errno : n;
        }
        ERR_clear_error();
        int n = SSL_write(c->ssl, data, (int)len);
        if (n > 0)
                return n;
        ssize_t r = tls_failed(c, n, &c->write_wants_read, SSL_ERROR_WANT_READ);
        return r ? r : -EPIPE;
}

static void moved(struct http_connection *c, ssize_t n)
{
        c->moved += n;
        c->moved_ms = c->server->now_ms;
}

static int send_buffer(struct http_connection *c)
{
        size_t len;
        while ((len = evbuffer_get_length(c->out)) > 0) {
                ssize_t n = 0;
                if (c->ssl) {
                        size_t piece = len < TLS_PIECE ? len : TLS_PIECE;
                        const unsigned char *data = evbuffer_pullup(c->out, (ev_ssize_t)piece);
                        n = data ? transmit(c, (const char *)data, piece) : -ENOMEM;
                        if (n > 0)
                                evbuffer_drain(c->out, (size_t)n);
                } else {
                        n = evbuffer_write(c->out, c->fd);
                        n = n < 0 ? -errno : n;
                }
                if (n < 0)
                        return (int)n;
                moved(c, n);
        }
        return 0;
}

static ssize_t send_piece(struct http_connection *c)
{
        if (!c->ssl) {
                off_t at = c->file_offset;
                size_t len = c->file_left < (int64_t)FILE_PIECE ? (size_t)c->file_left : FILE_PIECE;
                ssize_t n = sendfile(c->fd, c->file, &at, len);
                return n < 0 ? -errno : n > 0 ? n : -EPIPE;
        }
        char piece[TLS_PIECE];
        size_t len = c->file_left < (int64_t)TLS_PIECE ? (size_t)c->file_left : TLS_PIECE;
        ssize_t n = pread(c->file, piece, len, c->file_offset);
        return n > 0 ? transmit(c, piece, (size_t)n) : -EPIPE;
}

/* A file that is shorter than promised can only be told by cutting the connection. */
static int send_file(struct http_connection *c)
{
        for (int i = 0; c->file_left > 0; i++) {
                if (i == TURNS)
                        return -EAGAIN;
                ssize_t n = send_piece(c);
                if (n < 0)
                        return (int)n;
                c->file_offset += n;
                c->file_left -= n;
                moved(c, n);
        }
        if (c->file >= 0)
                close(c->file);
        c->file = -1;
        return 0;
}

static bool has_output(const struct http_connection *c)
{
        return evbuffer_get_length(c->out) > 0 || c->file_left > 0;
}

/* ── what the event waits for ── */

static short due(const struct http_connection *c)
{
        short wants = EV_PERSIST;
        if (c->state == HTTP_HEAD || c->state == HTTP_BODY || c->state == HTTP_LINGER)
                wants |= c->read_wants_write ? EV_READ | EV_WRITE : EV_READ;
        if (has_output(c))
                wants |= c->write_wants_read ? EV_READ : EV_WRITE;
        if (c->stream)
                wants |= EV_CLOSED;
        return wants;
}

static void update(struct http_connection *c)
{
        short wants = due(c);
        if (wants == c->wants)
                return;
        if (c->wants)
                event_del(&c->event);
        event_assign(&c->event, c->server->base, c->fd, wants, on_event, c);
        event_add(&c->event, NULL);
        if (wants & ~c->wants & EV_WRITE)
                c->moved_ms = clock_mono_ms(); /* its client's time to read begins */
        c->wants = wants;
}

static void enter(struct http_connection *c, enum http_state state)
{
        c->state = state;
        c->began_ms = c->moved_ms = c->server->now_ms;
        c->moved = 0;
}

/* ── the end ── */

void http_connection_free(struct http_connection *c)
{
        struct http_server *s = c->server;
        LIST_REMOVE(c, link);
        s->n_connections--;
        if (c->x && c->state == HTTP_WAIT)
                c->x->c = NULL; /* the handler still has it */
        else if (c->x)
                http_exchange_free(c->x);
        if (c->wants)
                event_del(&c->event);
        if (c->ssl) {
                ERR_clear_error();
                SSL_shutdown(c->ssl); /* says goodbye, waits for nothing */
                ERR_clear_error();
                SSL_free(c->ssl);
        }
        close(c->fd);
        if (c->file >= 0)
                close(c->file);
        evbuffer_free(c->in);
        evbuffer_free(c->out);
        http_peers_leave(s->peers, c->peer, s->now_ms);
        free(c->cn);
        free(c->serial);
        struct http_stream *stream = c->stream;
        free(c);
        if (stream)
                http_stream_lose(stream);
}

void http_connection_kill(struct http_connection *c)
{
        if (c->is_busy)
                c->is_dead = true;
        else
                http_connection_free(c);
}

/* The client may still be sending what we don't want: reading that for a while lets our answer
 * reach it, where a reset would take it away. */
static void linger(struct http_connection *c)
{
        if (!c->has_unread) {
                c->is_dead = true;
                return;
        }
        if (c->ssl)
                SSL_shutdown(c->ssl);
        ERR_clear_error();
        shutdown(c->fd, SHUT_WR);
        enter(c, HTTP_LINGER);
        evbuffer_drain(c->in, evbuffer_get_length(c->in));
}

static void end_answer(struct http_connection *c)
{
        c->is_answer_whole = false;
        c->has_served = true;
        if (c->closes) {
                linger(c);
                return;
        }
        enter(c, HTTP_HEAD);
        if (!c->is_busy && evbuffer_get_length(c->in) > 0)
                event_active(&c->event, EV_READ, 0);
}

static void flush(struct http_connection *c)
{
        int r = send_buffer(c);
        if (r == 0)
                r = send_file(c);
        if (r == 0 && c->is_answer_whole)
                end_answer(c);
        else if (r < 0 && r != -EAGAIN && r != -EINTR)
                c->is_dead = true;
}

void http_connection_send(struct http_connection *c)
{
        if (c->is_busy)
                flush(c);
        else if (!c->is_dead && !has_output(c) && c->is_answer_whole)
                event_active(&c->event, EV_WRITE, 0);
        else
                update(c);
}

/* ── requests ── */

/* An answer that no handler gives. */
static void refuse(struct http_connection *c, struct http_exchange *x, int status)
{
        c->closes = c->has_unread = true;
        if (x)
                http_reply(x, status, NULL, NULL, 0);
        else
                c->is_dead = true;
}

static bool may(struct http_connection *c, struct http_exchange *x)
{
        const struct http_server_options *o = &c->server->options;
        const char *method = x->head.method;
        bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
        bool has_token = c->has_token;
        c->has_token = false;
        if (is_read && has_token)
                return true;
        if (is_read && (http_header(x, "Range") || (o->is_download && o->is_download(o->arg, x))))
                return true; /* a download that was begun must be able to end */
        return http_peer_may(c->server->peers, c->peer, is_read, c->server->now_ms);
}

static void dispatch(struct http_connection *c)
{
        enter(c, HTTP_WAIT);
        c->server->options.handle(c->server->options.arg, c->x);
}

static void expect_body(struct http_connection *c)
{
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        struct http_exchange *x = c->x;
        const struct http_server_options *o = &c->server->options;
        if (o->on_body)
                o->on_body(o->arg, x);
        if (!c->x) /* it was answered already */
                return;
        x->body_max = x->sink.write ? x->sink.max : (int64_t)o->max_body;
        if (!x->head.is_chunked && x->head.length > x->body_max) {
                refuse(c, x, 413);
                return;
        }
        enter(c, HTTP_BODY);
        if (x->head.expects_continue && evbuffer_get_length(c->in) == 0) {
                evbuffer_add(c->out, go_on, sizeof(go_on) - 1);
                flush(c);
        }
}

static void begin(struct http_connection *c, const char *head, size_t len)
{
        int status = 0;
        struct http_exchange *x = c->x = http_exchange_new(c, head, len, &status);
        evbuffer_drain(c->in, len);
        c->scanned = 0;
        if (!x || status) {
                refuse(c, x, status);
                return;
        }
        c->closes = !x->head.keeps_alive;
        bool has_body = x->head.is_chunked || x->head.length > 0;
        if (!may(c, x)) {
                c->has_unread = has_body;
                c->closes |= has_body;
                http_add_header(x, "Retry-After", "1");
                http_reply(x, 429, NULL, NULL, 0);
        } else if (has_body) {
                c->closes = c->has_unread = true; /* until it is read */
                expect_body(c);
        } else {
                dispatch(c);
        }
}

/* False: more must come. */
static bool read_head(struct http_connection *c)
{
        size_t len = evbuffer_get_length(c->in);
        size_t most = len < LIMIT_HTTP_HEADER_BYTES ? len : LIMIT_HTTP_HEADER_BYTES;
        const char *data = len ? (const char *)evbuffer_pullup(c->in, (ev_ssize_t)most) : NULL;
        if (!data)
                return false;
        size_t blank = 0; /* lines before a request, as RFC 9112 asks */
        while (blank + 1 < most && data[blank] == '\r' && data[blank + 1] == '\n')
                blank += 2;
        if (blank) {
                evbuffer_drain(c->in, blank);
                return true;
        }
        size_t head = http_head_length(data, most, c->scanned);
        c->scanned = most;
        if (head) {
                begin(c, data, head);
                return true;
        }
        if (len < LIMIT_HTTP_HEADER_BYTES)
                return false;
        int status = 0;
        c->x = http_exchange_new(c, "GET / HTTP/1.1\r\n\r\n", 18, &status);
        refuse(c, c->x, 431);
        return false;
}

/* False: more must come. */
static bool read_body(struct http_connection *c)
{
        struct http_exchange *x = c->x;
        while (!http_exchange_is_whole(x)) {
                struct evbuffer_iovec piece;
                if (evbuffer_peek(c->in, -1, NULL, &piece, 1) < 1)
                        return false;
                int64_t n = http_exchange_take(x, piece.iov_base, piece.iov_len);
                if (n < 0) {
                        refuse(c, x, n == -E2BIG ? 413 : 400);
                        return true;
                }
                evbuffer_drain(c->in, (size_t)n);
        }
        c->has_unread = false;
        c->closes = !x->head.keeps_alive;
        dispatch(c);
        return true;
}

static void process(struct http_connection *c)
{
        bool goes_on = true;
        while (goes_on && !c->is_dead) {
                if (c->state == HTTP_HEAD)
                        goes_on = read_head(c);
                else if (c->state == HTTP_BODY)
                        goes_on = read_body(c);
                else
                        goes_on = false;
        }
        if (c->state == HTTP_LINGER)
                evbuffer_drain(c->in, evbuffer_get_length(c->in));
}

/* ── the short way: requests that are answered from memory, before anything is made of them ── */

static void take_identity(struct http_connection *c)
{
        char cn[LIMIT_THING_NAME_BYTES + 1], serial[80];
        c->has_identity = true;
        if (!c->ssl || !tls_peer_identity(c->ssl, cn, sizeof(cn), serial, sizeof(serial)))
                return;
        c->cn = strdup(cn);
        c->serial = strdup(serial);
        if (!c->cn || !c->serial)
                c->is_dead = true; /* not somebody else for want of memory */
}

static size_t answer_quickly(struct http_connection *c, const char *data, size_t len)
{
        struct http_server *s = c->server;
        char out[LIMIT_HTTP_QUICK_BYTES];
        size_t head = http_head_length(data, len, 0);
        if (head == 0)
                return 0;
        struct http_quick quick = {.head = data,
                .head_len = head,
                .is_tls = c->ssl,
                .peer = c->address,
                .cn = c->cn,
                .serial = c->serial,
                .date_line = http_date_line(s)};
        size_t n = s->options.quick(s->options.arg, &quick, out, sizeof(out));
        if (n == 0)
                return 0;
        ssize_t sent = evbuffer_get_length(c->out) > 0 ? -EAGAIN : transmit(c, out, n);
        if (sent < 0 && sent != -EAGAIN && sent != -EINTR)
                c->is_dead = true;
        size_t done = sent > 0 ? (size_t)sent : 0;
        moved(c, sent > 0 ? sent : 0);
        c->has_served = true;
        c->has_token = false;
        if (done < n) { /* it doesn't read: from here on the long way, which waits for it */
                evbuffer_add(c->out, out + done, n - done);
                c->state = HTTP_ANSWER;
                c->is_answer_whole = true;
        }
        c->closes = quick.closes;
        if (quick.closes && done == n)
                linger(c);
        return head;
}

static bool may_be_quick(struct http_connection *c, const char *data, size_t len)
{
        if (c->state != HTTP_HEAD || c->is_dead || !c->server->options.quick || len < 4 ||
                memcmp(data, "GET ", 4) != 0)
                return false;
        c->has_token = http_peer_may(c->server->peers, c->peer, true, c->server->now_ms);
        return c->has_token;
}

static void take(struct http_connection *c, const char *data, size_t len)
{
        moved(c, (ssize_t)len);
        if (!c->has_identity)
                take_identity(c);
        if (c->state == HTTP_LINGER)
                return;
        if (c->state == HTTP_HEAD && evbuffer_get_length(c->in) == 0) {
                size_t n = 1;
                while (len > 0 && n > 0) {
                        n = may_be_quick(c, data, len) ? answer_quickly(c, data, len) : 0;
                        data += n;
                        len -= n;
                }
                c->began_ms = c->server->now_ms;
        }
        if (len == 0 || c->is_dead || c->state == HTTP_LINGER)
                return;
        if (evbuffer_add(c->in, data, len) < 0)
                c->is_dead = true;
        else
                process(c);
}

static bool is_reading(const struct http_connection *c)
{
        return !c->is_dead &&
               (c->state == HTTP_HEAD || c->state == HTTP_BODY || c->state == HTTP_LINGER);
}

static void read_some(struct http_connection *c)
{
        struct http_server *s = c->server;
        if (evbuffer_get_length(c->in) > 0)
                process(c); /* what came with the request before */
        for (int i = 0; is_reading(c); i++) {
                if (i == TURNS) {
                        if (c->ssl && SSL_pending(c->ssl) > 0)
                                event_active(&c->event, EV_READ, 0);
                        return;
                }
                ssize_t n = receive(c, s->scratch, sizeof(s->scratch));
                if (n == -EAGAIN || n == -EINTR)
                        return;
                if (n <= 0)
                        c->is_dead = true;
                else
                        take(c, s->scratch, (size_t)n);
                if (!c->ssl && n < (ssize_t)sizeof(s->scratch))
                        return;
        }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
        struct http_connection *c = arg;
        (void)fd;
        c->server->now_ms = clock_mono_ms();
        c->is_busy = true;
        if (what & EV_CLOSED)
                c->is_dead = true;
        if (!c->is_dead && (has_output(c) || c->is_answer_whole))
                flush(c);
        if (is_reading(c))
                read_some(c);
        c->is_busy = false;
        if (c->is_dead)
                http_connection_free(c);
        else
                update(c);
}

/* ── the beginning, and clients that stand still ── */

static void name_peer(struct http_connection *c, const struct sockaddr *address)
{
        const struct sockaddr_in6 *six = (const void *)address;
        const struct sockaddr_in *four = (const void *)address;
        if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
                inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, c->address, sizeof(c->address));
        else if (address->sa_family == AF_INET6)
                inet_ntop(AF_INET6, &six->sin6_addr, c->address, sizeof(c->address));
        else
                inet_ntop(AF_INET, &four->sin_addr, c->address, sizeof(c->address));
}

static bool set_up_tls(struct http_connection *c, SSL_CTX *tls)
{
        c->ssl = SSL_new(tls);
        if (!c->ssl || !SSL_set_fd(c->ssl, c->fd))
                return false;
        SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_set_accept_state(c->ssl);
        return true;
}

void http_connection_new(struct http_listener *l, int fd, const struct sockaddr *address)
{
        struct http_server *s = l->server;
        struct http_connection *c = calloc(1, sizeof(*c));
        struct http_peer *peer = c ? http_peers_enter(s->peers, address) : NULL;
        struct evbuffer *in = evbuffer_new(), *out = evbuffer_new();
        int one = 1;
        s->now_ms = clock_mono_ms();
        if (!peer || !in || !out) {
                if (peer)
                        http_peers_leave(s->peers, peer, s->now_ms);
                if (in)
                        evbuffer_free(in);
                if (out)
                        evbuffer_free(out);
                free(c);
                close(fd);
                return;
        }
        *c = (struct http_connection){
                .server = s, .fd = fd, .file = -1, .in = in, .out = out, .peer = peer};
        LIST_INSERT_HEAD(&s->connections, c, link);
        s->n_connections++;
        name_peer(c, address);
        enter(c, HTTP_HEAD);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (l->tls && !set_up_tls(c, l->tls))
                http_connection_free(c);
        else
                update(c);
}

static bool is_late(const struct http_connection *c)
{
        const struct http_server_options *o = &c->server->options;
        int64_t now = c->server->now_ms, still = now - c->moved_ms, since = now - c->began_ms;
        int stall = o->stall_timeout_ms;
        if (c->state == HTTP_HEAD && c->has_served && evbuffer_get_length(c->in) == 0)
                return still > o->idle_timeout_ms;
        if (has_output(c))
                return still > stall ||
                       (!c->stream && since > stall + c->moved * 1000 / LIMIT_HTTP_MIN_OUT_RATE);
        switch (c->state) {
        case HTTP_HEAD:
        case HTTP_LINGER:
                return since > stall;
        case HTTP_BODY:
                return still > stall || since > stall + c->moved * 1000 / LIMIT_HTTP_MIN_IN_RATE;
        default:
                return false; /* it waits for us */
        }
}

void http_connection_check(struct http_connection *c)
{
        if (is_late(c))
                http_connection_free(c);
}
