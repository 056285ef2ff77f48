/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * An HTTP/1.1 server on the event loop: listeners with and without TLS, one handler.
 *
 * The handler gets a request that it must answer, now or later, with exactly one http_reply…() or
 * http_stream_begin(). Until then the request is its own; after it the pointer is dead. If the
 * client goes away before, the request stays valid and the reply is dropped quietly. Everything in
 * a request is hostile: sizes are bounded by the options, and what http_head.h says is checked.
 *
 * A connection that stands still is cut: before the first whole head, within a head or a body, or
 * because its client doesn't read. A file is sent by sendfile(2) (TLS: one record at a time), so
 * that a slow download holds a descriptor and no memory. Most requests of a fleet are the same ones
 * again and again: `quick` may answer them by the bytes of their head, before a request is made of
 * them.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/http_peers.h"
#include "base/json.h"
#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdint.h>

struct http_server;
struct http_exchange; /* a request and its answer */
struct http_stream;   /* an answer without end: server-sent events */

/* A whole head of a GET as it came, its empty line included. */
struct http_quick {
        const char *head;
        size_t head_len;
        bool is_tls;
        const char *peer, *cn, *serial; /* as http_peer() and so on */
        const char *date_line;          /* `Date: …` with its line end */
        bool closes;                    /* to be set: the connection ends after it */
};

struct http_server_options {
        size_t max_body;      /* larger bodies: 413 */
        int idle_timeout_ms;  /* a kept connection without a request is closed; 0: 60 s */
        int stall_timeout_ms; /* one that stands still within one is cut; 0: LIMIT_HTTP_STALL_MS */
        struct http_limits limits; /* of each address; beyond: 429 */
        const char *server;        /* value of the Server header; NULL: none */
        void (*handle)(void *arg, struct http_exchange *x);
        /* A head with a body to come is here: may give it a sink (http_set_sink()) or answer it.
         * NULL: bodies are gathered in memory. */
        void (*on_body)(void *arg, struct http_exchange *x);
        /* Is it a download, which no limit of requests may break off? NULL: only ranges are. */
        bool (*is_download)(void *arg, const struct http_exchange *x);
        /* Writes a whole answer to `out` and returns its length; 0: it goes the long way. NULL. */
        size_t (*quick)(void *arg, struct http_quick *r, char *out, size_t size);
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
struct evbuffer *http_body_buffer(struct http_exchange *x); /* the body where it lies; borrowed */
bool http_has_body(const struct http_exchange *x);          /* one was announced */
/* The head as it came, but for the last byte. */
const char *http_raw_head(const struct http_exchange *x, size_t *ret_len);
bool http_keeps_alive(const struct http_exchange *x);
/* It is HTTP/1.1: HTTP/1.0 is answered in its own form. */
bool http_is_current(const struct http_exchange *x);
/* The headers that were added so far, a line each. */
const char *http_answer_headers(const struct http_exchange *x);

/* Takes a body while it arrives; http_body() is empty then. `write` keeps its failures to itself:
 * the handler is called after the last byte and asks `arg`. */
struct http_sink {
        void (*write)(void *arg, const void *data, size_t len);
        void (*free)(void *arg); /* with the exchange, whatever became of it */
        void *arg;
        int64_t max; /* larger bodies: 413 */
};
void http_set_sink(struct http_exchange *x, const struct http_sink *sink);
void *http_sink_arg(const struct http_exchange *x);   /* NULL without one */
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
/* `Date: …` with its line end, as of now. */
const char *http_date_line(struct http_server *server);
void http_add_header(struct http_exchange *x, const char *name, const char *value);
/* Forgets those that were added: the answer is made anew. */
void http_clear_headers(struct http_exchange *x);
/* `body` is copied; NULL content type: none is sent. HEAD sends the headers alone. */
void http_reply(struct http_exchange *x, int status, const char *content_type, const void *body,
        size_t len);
/* Takes the reference `value`. */
void http_reply_json(struct http_exchange *x, int status, json_t *value);
/* Sends `len` bytes of `fd` from `offset`, as the client takes them; takes the descriptor. */
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
