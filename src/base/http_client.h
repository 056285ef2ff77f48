/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * An HTTP/1.1 client on the event loop (evhttp), for one server at a time.
 *
 * A client holds the server's address, its TLS context and the headers of every request. Each
 * request is independent and ends in exactly one call of its `on_done`, also after a time-out, a
 * refused connection or an answer that is no HTTP; never from within http_client_request() itself.
 * With TLS, the certificate must match the URL's host name.
 */
#include "base/buf.h"
#include "base/err.h"
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdint.h>

struct http_client;
struct http_call; /* one request under way */

struct http_answer {
        int status;             /* 100..599 */
        const struct buf *body; /* what on_data did not take; never NULL */
        /* Value of a header (any case), NULL if absent; lives as long as the callback. */
        const char *(*header)(const struct http_answer *answer, const char *name);
        void *impl;
};

struct http_request {
        const char *method; /* "GET", "POST", "PUT", "DELETE", "HEAD" */
        const char *target; /* path and query, or an absolute URL of the same scheme, host and port;
                             * any other URL is refused with -EXDEV, so that no credential leaves */
        const char *const *headers; /* name, value, name, value, …, NULL; may be NULL */
        const void *body;           /* copied; NULL: none */
        size_t body_len;
        const char *content_type;
        int idle_timeout_ms;  /* without a byte for this long: -ETIMEDOUT; 0: 30 s */
        int total_timeout_ms; /* for the whole exchange; 0: none */
        size_t max_body;      /* ceiling of a collected body; 0: LIMIT_JSON_BODY_BYTES */
        /* Optional. Called once when status and headers are there, before any data; non-zero
         * aborts. */
        int (*on_headers)(void *arg, const struct http_answer *answer);
        /* Optional. Takes the body piece by piece in place of collecting it; non-zero (-errno)
         * aborts the exchange with that code. */
        int (*on_data)(void *arg, const void *data, size_t len);
        /* Required. `answer` is NULL when there is none, and `err` says why; otherwise `err` is
         * NULL. */
        void (*on_done)(void *arg, const struct http_answer *answer, const struct err *err);
        void *arg;
};

struct http_client_options {
        const char
                *url; /* `http://host[:port]` or `https://…`; a path is put before every target */
        SSL_CTX *tls; /* for https; borrowed, must outlive the client */
        const char *const *headers; /* for every request, as in http_request; copied */
};

int http_client_new(struct event_base *base, const struct http_client_options *options,
        struct http_client **ret_client, struct err *err);
/* Ends what is under way without calling back. Fine from within an on_done. */
void http_client_free(struct http_client *client);
CLEAN_DEFINE(http_client, http_client_free);

/* Starts a request. `ret_call` may be NULL; it is valid until on_done. -errno only for bad
 * arguments. */
int http_client_request(struct http_client *client, const struct http_request *request,
        struct http_call **ret_call, struct err *err);
/* Drops the request; on_done isn't called. */
void http_call_cancel(struct http_call *call);
