/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the files of the HTTP server share: server, connections, exchanges, streams.
 *
 * A connection goes round: HEAD (reads a head) → BODY (reads its body, if there is one) → WAIT (the
 * handler has the exchange) → ANSWER (the answer is on its way out) → HEAD, or LINGER and the end.
 * It reads in HEAD, BODY and LINGER only, so that a client can't make us hold more than one read
 * beyond its request. A connection that fails while its own event is handled is only marked
 * (`is_dead`) and freed by that event at its end; from elsewhere nothing fails, writes wait for the
 * event.
 */
#include "base/hash.h"
#include "base/http_chunks.h"
#include "base/http_head.h"
#include "base/http_peers.h"
#include "base/http_server.h"

#include <event2/event_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <time.h>

#define HTTP_DATE_LINE_SIZE 48

struct http_listener {
        struct http_server *server;
        struct evconnlistener *socket;
        SSL_CTX *tls;
        SLIST_ENTRY(http_listener) link;
};

struct http_server {
        struct event_base *base;
        struct http_server_options options;
        struct http_peers *peers;
        struct event *sweep;
        bool is_closing;
        int64_t now_ms;  /* monotonic, of the event that is handled */
        int64_t told_ms; /* when it was last logged that connections are refused */
        size_t n_connections, max_connections;
        time_t date_at;
        char date_line[HTTP_DATE_LINE_SIZE];
        SLIST_HEAD(, http_listener) listeners;
        LIST_HEAD(, http_connection) connections;
        LIST_HEAD(, http_exchange) exchanges;
        LIST_HEAD(, http_stream) streams;
        char scratch[64 * 1024]; /* what was read last */
};

enum http_state { HTTP_HEAD, HTTP_BODY, HTTP_WAIT, HTTP_ANSWER, HTTP_LINGER };

struct http_connection {
        struct http_server *server;
        int fd;
        SSL *ssl; /* NULL: plain */
        struct event event;
        short wants; /* what `event` waits for */
        enum http_state state;
        bool is_busy, is_dead;
        bool has_unread;                         /* the client still sends what nobody reads */
        bool has_token;                          /* the next request is counted already */
        bool closes;                             /* after this answer */
        bool is_answer_whole;                    /* nothing will be added to `out` */
        bool read_wants_write, write_wants_read; /* TLS does as it likes */
        bool has_served;
        struct evbuffer *in, *out;
        size_t scanned; /* of a head that isn't whole */
        int file;       /* sent after `out`; -1: none */
        int64_t file_offset, file_left;
        int64_t began_ms; /* of this state, or of the head's first byte */
        int64_t moved_ms; /* when bytes came or went last */
        int64_t moved;    /* bytes in this state */
        struct http_exchange *x;
        struct http_stream *stream;
        struct http_peer *peer;
        char address[INET6_ADDRSTRLEN];
        bool has_identity; /* the two below were looked for */
        char *cn, *serial;
        LIST_ENTRY(http_connection) link;
};

struct http_exchange {
        struct http_server *server;
        struct http_connection *c; /* NULL: the client went */
        struct http_head head;
        char *text; /* the head cut into words, then the head as it came */
        size_t head_len;
        bool is_tls;
        char *path;  /* within `text` */
        char *query; /* within `text` */
        bool has_query_values;
        struct evkeyvalq query_values;
        char *origin;
        char peer[INET6_ADDRSTRLEN];
        char *cn, *serial;
        char fingerprint[HASH_SHA256_HEX_SIZE];
        struct evbuffer *body;
        struct http_sink sink;
        struct http_chunks chunks;
        int64_t body_left, body_max, body_len;
        struct buf headers; /* of the answer */
        LIST_ENTRY(http_exchange) link;
};

struct http_stream {
        struct http_server *server;
        struct http_connection *c; /* NULL: the client went */
        bool is_chunked, is_silent;
        void (*on_close)(void *arg);
        void *arg;
        LIST_ENTRY(http_stream) link;
};

/* ── http_connection.c ── */
void http_connection_new(struct http_listener *l, int fd, const struct sockaddr *address);
void http_connection_free(struct http_connection *c);
/* Ends it now, or at the end of its event. */
void http_connection_kill(struct http_connection *c);
/* There is something in `out`, or the answer is whole: sends it now or in the next event. */
void http_connection_send(struct http_connection *c);
/* Cuts it if its client stands still for too long. */
void http_connection_check(struct http_connection *c);
/* ── http_exchange.c ── */
/* Of the head's `len` bytes; *ret_status is 0 or what to refuse it with. NULL: no memory. */
struct http_exchange *http_exchange_new(
        struct http_connection *c, const char *head, size_t len, int *ret_status);
void http_exchange_free(struct http_exchange *x);
/* Takes bytes of the body: how many were used up; -EINVAL bad chunks, -E2BIG too large. */
int64_t http_exchange_take(struct http_exchange *x, const char *data, size_t len);
bool http_exchange_is_whole(const struct http_exchange *x);
/* ── http_reply.c ── */
void http_stream_lose(struct http_stream *s); /* its connection ended */
