/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_server.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/tls.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* Bytes of a file that are read ahead of the client. */
#define FILE_PIECE ((size_t)64 * 1024)

/* What evhttp calls a method that it doesn't know (EVHTTP_REQ_UNKNOWN_, private): such requests
 * shall reach the handler, which answers them as it answers TRACE. */
#define UNKNOWN_METHOD (1 << 15)

/* evhttp makes a connection's bufferevent by one callback per evhttp: a listener each. */
struct listener {
        struct http_server *server;
        struct evhttp *http;
        SSL_CTX *tls;
        SLIST_ENTRY(listener) link;
};

struct http_server {
        struct event_base *base;
        struct http_server_options options;
        bool is_closing;
        SLIST_HEAD(, listener) listeners;
        LIST_HEAD(, http_exchange) exchanges;
        LIST_HEAD(, http_stream) streams;
};

struct http_exchange {
        struct http_server *server;
        struct evhttp_request *req;
        bool is_tls;
        bool has_query_values;
        struct evkeyvalq query_values;
        char *path;
        char *query; /* within `path`'s memory */
        char *origin;
        char peer[64];
        char cn[LIMIT_THING_NAME_BYTES + 1];
        char serial[80];
        char fingerprint[HASH_SHA256_HEX_SIZE];
        LIST_ENTRY(http_exchange) link;
};

/* An answer that is sent piece by piece: a file, or events. */
struct http_stream {
        struct http_server *server;
        struct evhttp_request *req;
        bool is_closed;
        void (*on_close)(void *arg);
        void *arg;
        int fd; /* of a file; -1: events */
        int64_t offset, left;
        LIST_ENTRY(http_stream) link;
};

static void exchange_free(struct http_exchange *x)
{
        LIST_REMOVE(x, link);
        if (x->has_query_values)
                evhttp_clear_headers(&x->query_values);
        free(x->path);
        free(x->origin);
        free(x);
}

static void stream_free(struct http_stream *s)
{
        LIST_REMOVE(s, link);
        if (s->fd >= 0)
                close(s->fd);
        free(s);
}

/* ── server and listeners ── */

static struct bufferevent *make_connection(struct event_base *base, void *arg)
{
        struct listener *l = arg;
        if (!l->tls)
                return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
        SSL *ssl = SSL_new(l->tls);
        if (!ssl)
                return NULL;
        struct bufferevent *b = bufferevent_openssl_socket_new(
                base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
        if (!b)
                SSL_free(ssl);
        else
                bufferevent_openssl_set_allow_dirty_shutdown(b, 1);
        return b;
}

static void take_identity(struct http_exchange *x)
{
        struct evhttp_connection *con = evhttp_request_get_connection(x->req);
        if (!con)
                return;
        char *address = NULL;
        ev_uint16_t port = 0;
        evhttp_connection_get_peer(con, &address, &port);
        if (address)
                strncpy(x->peer, address, sizeof(x->peer) - 1);
        SSL *ssl = x->is_tls ? bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(con))
                             : NULL;
        if (ssl && !tls_peer_identity(ssl, x->cn, sizeof(x->cn), x->serial, sizeof(x->serial)))
                x->cn[0] = x->serial[0] = '\0';
}

static int split_target(struct http_exchange *x)
{
        const char *uri = evhttp_request_get_uri(x->req);
        const char *scheme = strstr(uri, "://");
        const char *path = uri;
        if (uri[0] != '/' && scheme) { /* absolute form, as a proxy sends it */
                path = strchr(scheme + 3, '/');
                if (!path)
                        path = "/";
        }
        x->path = strdup(path);
        if (!x->path)
                return -ENOMEM;
        x->query = strchr(x->path, '?');
        if (x->query)
                *x->query++ = '\0';
        return 0;
}

static void on_request(struct evhttp_request *req, void *arg)
{
        struct listener *l = arg;
        struct http_exchange *x = calloc(1, sizeof(*x));
        if (!x) {
                evhttp_send_error(req, 503, NULL);
                return;
        }
        x->server = l->server;
        x->req = req;
        x->is_tls = l->tls;
        LIST_INSERT_HEAD(&l->server->exchanges, x, link);
        if (split_target(x) < 0) {
                exchange_free(x);
                evhttp_send_error(req, 503, NULL);
                return;
        }
        take_identity(x);
        l->server->options.handle(l->server->options.arg, x);
}

int http_server_new(struct event_base *base, const struct http_server_options *options,
        struct http_server **ret_server, struct err *err)
{
        struct http_server *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->base = base;
        s->options = *options;
        SLIST_INIT(&s->listeners);
        LIST_INIT(&s->exchanges);
        LIST_INIT(&s->streams);
        *ret_server = s;
        return 0;
}

void http_server_free(struct http_server *server)
{
        if (!server)
                return;
        server->is_closing = true;
        while (!SLIST_EMPTY(&server->listeners)) {
                struct listener *l = SLIST_FIRST(&server->listeners);
                SLIST_REMOVE_HEAD(&server->listeners, link);
                evhttp_free(l->http);
                free(l);
        }
        while (!LIST_EMPTY(&server->exchanges))
                exchange_free(LIST_FIRST(&server->exchanges));
        while (!LIST_EMPTY(&server->streams))
                stream_free(LIST_FIRST(&server->streams));
        free(server);
}

static int split_address(const char *address, char host[128], int *ret_port, struct err *err)
{
        const char *colon = strrchr(address, ':');
        if (!colon || colon == address)
                return err_set(
                        err, -EINVAL, "'%s' is no address: write it as 127.0.0.1:8080", address);
        const char *start = address;
        size_t len = (size_t)(colon - address);
        if (address[0] == '[' && len > 2 && colon[-1] == ']') {
                start++;
                len -= 2;
        }
        char *end = NULL;
        long port = strtol(colon + 1, &end, 10);
        if (len >= 128 || end == colon + 1 || *end || port < 0 || port > 65535)
                return err_set(
                        err, -EINVAL, "'%s' is no address: write it as 127.0.0.1:8080", address);
        memcpy(host, start, len);
        host[len] = '\0';
        *ret_port = (int)port;
        return 0;
}

static int bound_port(struct evhttp_bound_socket *sock)
{
        struct sockaddr_storage ss = {0};
        socklen_t len = sizeof(ss);
        if (getsockname(evhttp_bound_socket_get_fd(sock), (struct sockaddr *)&ss, &len) < 0)
                return -1;
        if (ss.ss_family == AF_INET6)
                return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
        return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

static void set_up_http(struct listener *l)
{
        const struct http_server_options *o = &l->server->options;
        int ms = o->idle_timeout_ms ? o->idle_timeout_ms : 60000;
        struct timeval idle = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
        evhttp_set_timeout_tv(l->http, &idle);
        evhttp_set_max_headers_size(l->http, (ev_ssize_t)LIMIT_HTTP_HEADER_BYTES);
        evhttp_set_max_body_size(l->http, (ev_ssize_t)o->max_body);
        evhttp_set_flags(l->http, EVHTTP_SERVER_LINGERING_CLOSE); /* so that a 413 arrives */
        evhttp_set_default_content_type(l->http, NULL);
        evhttp_set_allowed_methods(l->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                                    EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                                    EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
                                                    EVHTTP_REQ_PATCH | UNKNOWN_METHOD);
        evhttp_set_bevcb(l->http, make_connection, l);
        evhttp_set_gencb(l->http, on_request, l);
}

int http_server_listen(struct http_server *server, const char *address, SSL_CTX *tls, int *ret_port,
        struct err *err)
{
        char host[128];
        int port = 0;
        int r = split_address(address, host, &port, err);
        if (r < 0)
                return r;
        struct listener *l = calloc(1, sizeof(*l));
        struct evhttp *http = l ? evhttp_new(server->base) : NULL;
        if (!http) {
                free(l);
                return err_set(err, -ENOMEM, "out of memory");
        }
        *l = (struct listener){.server = server, .http = http, .tls = tls};
        set_up_http(l);
        errno = 0;
        struct evhttp_bound_socket *sock =
                evhttp_bind_socket_with_handle(http, host, (ev_uint16_t)port);
        if (!sock) {
                int code = errno ? -errno : -EADDRNOTAVAIL;
                evhttp_free(http);
                free(l);
                if (code == -EADDRINUSE)
                        return err_set(err, code,
                                "cannot listen on %s: the port is taken; stop the program that "
                                "uses it "
                                "or set another one in driveline.conf",
                                address);
                return err_errno(err, code, "cannot listen on %s", address);
        }
        /* Accepted connections inherit it: the end of a long answer must not wait for the client's
         * delayed acknowledgement, which takes 40 ms. */
        setsockopt(
                evhttp_bound_socket_get_fd(sock), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        SLIST_INSERT_HEAD(&server->listeners, l, link);
        if (ret_port)
                *ret_port = bound_port(sock);
        return 0;
}

/* ── the request ── */

const char *http_method(const struct http_exchange *x)
{
        switch (evhttp_request_get_command(x->req)) {
        case EVHTTP_REQ_GET:
                return "GET";
        case EVHTTP_REQ_POST:
                return "POST";
        case EVHTTP_REQ_HEAD:
                return "HEAD";
        case EVHTTP_REQ_PUT:
                return "PUT";
        case EVHTTP_REQ_DELETE:
                return "DELETE";
        case EVHTTP_REQ_OPTIONS:
                return "OPTIONS";
        case EVHTTP_REQ_PATCH:
                return "PATCH";
        default:
                return "TRACE";
        }
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
        return evhttp_find_header(evhttp_request_get_input_headers(x->req), name);
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
        return evhttp_request_get_input_buffer(x->req);
}

const char *http_body(struct http_exchange *x, size_t *ret_len)
{
        struct evbuffer *in = http_body_buffer(x);
        *ret_len = evbuffer_get_length(in);
        return *ret_len ? (const char *)evbuffer_pullup(in, -1) : "";
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
        return x->cn[0] ? x->cn : NULL;
}

const char *http_peer_serial(const struct http_exchange *x)
{
        return x->serial[0] ? x->serial : NULL;
}

const char *http_peer_fingerprint(struct http_exchange *x)
{
        struct evhttp_connection *con = evhttp_request_get_connection(x->req);
        if (x->fingerprint[0] || !x->cn[0] || !con)
                return x->fingerprint[0] ? x->fingerprint : NULL;
        SSL *ssl = bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(con));
        X509 *cert = ssl ? SSL_get1_peer_certificate(ssl) : NULL;
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

/* ── the answer ── */

void http_add_header(struct http_exchange *x, const char *name, const char *value)
{
        evhttp_add_header(evhttp_request_get_output_headers(x->req), name, value);
}

void http_clear_headers(struct http_exchange *x)
{
        evhttp_clear_headers(evhttp_request_get_output_headers(x->req));
}

static void set_head(struct http_exchange *x, const char *content_type)
{
        if (x->server->options.server)
                http_add_header(x, "Server", x->server->options.server);
        if (content_type)
                http_add_header(x, "Content-Type", content_type);
}

static bool is_head(const struct http_exchange *x)
{
        return evhttp_request_get_command(x->req) == EVHTTP_REQ_HEAD;
}

static void set_length(struct http_exchange *x, int64_t len)
{
        char text[24];
        snprintf(text, sizeof(text), "%lld", (long long)len);
        http_add_header(x, "Content-Length", text);
}

void http_reply(
        struct http_exchange *x, int status, const char *content_type, const void *body, size_t len)
{
        set_head(x, content_type);
        if (is_head(x) && status != 204 && status != 304)
                set_length(x, (int64_t)len);
        else if (len)
                evbuffer_add(evhttp_request_get_output_buffer(x->req), body, len);
        struct evhttp_request *req = x->req;
        exchange_free(x);
        evhttp_send_reply(req, status, NULL, NULL);
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

/* evhttp calls this while it frees the connection; the request outlives it until its reply ends. */
static void on_connection_closed(struct evhttp_connection *con, void *arg)
{
        struct http_stream *s = arg;
        if (s->is_closed || s->server->is_closing)
                return;
        s->is_closed = true;
        if (s->fd >= 0) {
                evhttp_send_reply_end(s->req);
                stream_free(s);
        } else if (s->on_close) {
                s->on_close(s->arg);
        }
}

/* Turns an exchange into an answer in pieces; NULL: it was answered with 503. */
static struct http_stream *stream_begin(struct http_exchange *x, int status)
{
        struct http_stream *s = calloc(1, sizeof(*s));
        if (!s) {
                http_reply(x, 503, NULL, NULL, 0);
                return NULL;
        }
        s->server = x->server;
        s->req = x->req;
        s->fd = -1;
        exchange_free(x);
        LIST_INSERT_HEAD(&s->server->streams, s, link);
        struct evhttp_connection *con = evhttp_request_get_connection(s->req);
        s->is_closed = !con;
        if (con)
                evhttp_connection_set_closecb(con, on_connection_closed, s);
        evhttp_send_reply_start(s->req, status, NULL);
        return s;
}

static void stream_finish(struct http_stream *s)
{
        struct evhttp_connection *con = evhttp_request_get_connection(s->req);
        struct evhttp_request *req = s->req;
        if (con)
                evhttp_connection_set_closecb(con, NULL, NULL);
        stream_free(s);
        evhttp_send_reply_end(req);
}

/* A file that is shorter than promised can only be told by cutting the connection. */
static void abort_connection(struct http_stream *s)
{
        struct evhttp_connection *con = evhttp_request_get_connection(s->req);
        evhttp_connection_set_closecb(con, NULL, NULL);
        stream_free(s);
        evhttp_connection_free(con);
}

static void send_piece(struct evhttp_connection *con, void *arg)
{
        struct http_stream *s = arg;
        if (s->left == 0) {
                stream_finish(s);
                return;
        }
        size_t want = s->left < (int64_t)FILE_PIECE ? (size_t)s->left : FILE_PIECE;
        struct evbuffer *piece = evbuffer_new();
        struct evbuffer_iovec room;
        ssize_t n = -1;
        if (piece && evbuffer_reserve_space(piece, (ev_ssize_t)want, &room, 1) == 1)
                n = pread(s->fd, room.iov_base, want, s->offset);
        if (n <= 0) {
                if (piece)
                        evbuffer_free(piece);
                abort_connection(s);
                return;
        }
        room.iov_len = (size_t)n;
        evbuffer_commit_space(piece, &room, 1);
        s->offset += n;
        s->left -= n;
        evhttp_send_reply_chunk_with_cb(s->req, piece, send_piece, s);
        evbuffer_free(piece);
}

void http_reply_file(struct http_exchange *x, int status, const char *content_type, int fd,
        int64_t offset, int64_t len)
{
        if (is_head(x) || len == 0) {
                close(fd);
                set_head(x, content_type);
                set_length(x, len);
                struct evhttp_request *req = x->req;
                exchange_free(x);
                evhttp_send_reply(req, status, NULL, NULL);
                return;
        }
        set_head(x, content_type);
        set_length(x, len);
        struct http_stream *s = stream_begin(x, status);
        if (!s) {
                close(fd);
                return;
        }
        s->fd = fd;
        s->offset = offset;
        s->left = len;
        if (s->is_closed)
                stream_finish(s);
        else
                send_piece(NULL, s);
}

struct http_stream *http_stream_begin(
        struct http_exchange *x, const char *content_type, void (*on_close)(void *arg), void *arg)
{
        set_head(x, content_type);
        struct evhttp_connection *con = evhttp_request_get_connection(x->req);
        struct http_stream *s = stream_begin(x, 200);
        if (!s)
                return NULL;
        s->on_close = on_close;
        s->arg = arg;
        if (con) /* silence is normal on an endless answer */
                bufferevent_set_timeouts(evhttp_connection_get_bufferevent(con), NULL, NULL);
        return s;
}

int http_stream_send(struct http_stream *s, const void *data, size_t len)
{
        struct evhttp_connection *con = s->is_closed ? NULL : evhttp_request_get_connection(s->req);
        if (!con)
                return -EPIPE;
        struct evbuffer *out = bufferevent_get_output(evhttp_connection_get_bufferevent(con));
        if (evbuffer_get_length(out) > LIMIT_MIB(1))
                return -EAGAIN;
        struct evbuffer *piece = evbuffer_new();
        if (!piece || evbuffer_add(piece, data, len) < 0) {
                if (piece)
                        evbuffer_free(piece);
                return -ENOMEM;
        }
        evhttp_send_reply_chunk(s->req, piece);
        evbuffer_free(piece);
        return 0;
}

void http_stream_end(struct http_stream *s)
{
        if (s)
                stream_finish(s);
}

void http_stream_abort(struct http_stream *s)
{
        if (s && !s->is_closed && evhttp_request_get_connection(s->req))
                abort_connection(s);
        else
                http_stream_end(s);
}
