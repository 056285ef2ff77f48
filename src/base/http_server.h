/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * An HTTP/1.1 server on the event loop (evhttp): listeners with and without TLS, one handler.
 *
 * The handler gets a request that it must answer, now or later, with exactly one http_reply…() or
 * http_stream_begin(). Until then the request is its own; after it the pointer is dead. If the
 * client goes away before, the request stays valid and the reply is dropped quietly. Everything in
 * a request is hostile: sizes are bounded by the options, nothing else is checked.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdint.h>

struct http_server;
struct http_exchange; /* a request and its answer */
struct http_stream;   /* an answer without end: server-sent events */

struct http_server_options {
        size_t max_body;     /* larger bodies: 413 */
        int idle_timeout_ms; /* a connection without traffic is closed; 0: 60 s */
        const char *server;  /* value of the Server header; NULL: none */
        void (*handle)(void *arg, struct http_exchange *x);
        void *arg;
};

int http_server_new(struct event_base *base, const struct http_server_options *options,
        struct http_server **ret_server, struct err *err);
/* Closes every connection; unanswered exchanges die with it. */
void http_server_free(struct http_server *server);
CLEAN_DEFINE(http_server, http_server_free);

/* `address` is `127.0.0.1:8080`, `[::1]:8080` or `host:0` for any free port (*ret_port then says
 * which; may be NULL). `tls` NULL: plain; else borrowed. A taken port names itself and what to do.
 */
int http_server_listen(struct http_server *server, const char *address, SSL_CTX *tls, int *ret_port,
        struct err *err);

/* ── the request ── */
/* Upper case; a method that is none of HTTP's is shown as TRACE, which nobody serves either. */
const char *http_method(const struct http_exchange *x);
const char *http_path(const struct http_exchange *x); /* as sent, still percent-encoded, no query */
const char *http_query(const struct http_exchange *x); /* text after '?', NULL if none */
const char *http_header(const struct http_exchange *x, const char *name);
/* First value of a query parameter, decoded; NULL if absent. Lives as long as the exchange. */
const char *http_param(struct http_exchange *x, const char *name);
const char *http_body(struct http_exchange *x, size_t *ret_len);
/* The body where it lies, for uploads that are taken piece by piece. Borrowed; may be drained. */
struct evbuffer *http_body_buffer(struct http_exchange *x);
const char *http_peer(const struct http_exchange *x); /* numeric address */
bool http_is_tls(const struct http_exchange *x);
/* The common name and serial of the client's verified certificate; NULL without one. */
const char *http_peer_cn(const struct http_exchange *x);
const char *http_peer_serial(const struct http_exchange *x);
/* SHA-256 of that certificate as 64 hex digits; NULL without one. */
const char *http_peer_fingerprint(struct http_exchange *x);
/* `http://host:port` as the client wrote it (scheme of the listener, Host header). */
const char *http_origin(struct http_exchange *x);

/* ── the answer ── */
void http_add_header(struct http_exchange *x, const char *name, const char *value);
/* Forgets those that were added: the answer is made anew. */
void http_clear_headers(struct http_exchange *x);
/* `body` is copied; NULL content type: none is sent. HEAD sends the headers alone. */
void http_reply(struct http_exchange *x, int status, const char *content_type, const void *body,
        size_t len);
/* Takes the reference `value`. */
void http_reply_json(struct http_exchange *x, int status, json_t *value);
/* Sends `len` bytes of `fd` from `offset`, read as the client takes them; takes the descriptor. */
void http_reply_file(struct http_exchange *x, int status, const char *content_type, int fd,
        int64_t offset, int64_t len);

/* Starts an endless answer. on_close is called once when the client goes (not after
 * http_stream_end()). */
struct http_stream *http_stream_begin(
        struct http_exchange *x, const char *content_type, void (*on_close)(void *arg), void *arg);
/* -EAGAIN when the client reads too slowly (more than 1 MiB waits): drop the event or the client.
 */
int http_stream_send(struct http_stream *s, const void *data, size_t len);
/* Ends the answer and frees `s`; also after on_close. */
void http_stream_end(struct http_stream *s);
/* Cuts the connection instead, with all that the client has not read: for clients that are too
 * slow, which would hold that memory for as long as they like. */
void http_stream_abort(struct http_stream *s);
