/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A link to an AMQP 0-9-1 broker on the event loop (librabbitmq): it consumes one queue and
 * publishes to exchanges that others name.
 *
 * Connecting and what may block with it (name service, TCP, TLS, login, declaring) is done by a
 * thread, each step with a time-out; a link that is ready is handed to the loop, which never waits
 * for it: it reads what is there, and writes only what the socket's buffer takes. The link connects
 * again after a loss, with a back-off from 0.25 s to 15 s with jitter, until it is freed.
 *
 * What is published is confirmed by the broker, at most AMQP_LINK_UNCONFIRMED messages at a time;
 * the caller keeps its messages until on_settled. A publication to an exchange that isn't there
 * would close the channel for all, so an exchange is asked for first. What is consumed is the
 * broker's until it is acknowledged or rejected.
 */
#include "base/clean.h"
#include "base/err.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Publications without the broker's word; with AMQP_LINK_BODY_BYTES it bounds what is in flight. */
#define AMQP_LINK_UNCONFIRMED 64
/* What the socket's buffer takes at once, so that a write never waits. */
#define AMQP_LINK_BODY_BYTES ((size_t)128 * 1024)
#define AMQP_LINK_TEXT_SIZE 256 /* AMQP's short strings, and a NUL */

/* ── the broker's address ── */

struct amqp_address {
        bool is_tls;
        char host[AMQP_LINK_TEXT_SIZE], user[AMQP_LINK_TEXT_SIZE], vhost[AMQP_LINK_TEXT_SIZE];
        int port;
};
/* `amqp://user@host:5672/vhost` or `amqps://…`. Without user `guest`, without vhost `/`; parts may
 * be percent-encoded. A password in it is refused. */
int amqp_address_parse(const char *url, struct amqp_address *ret, struct err *err) MUST_CHECK;

/* ── what is declared at each connection ── */

struct amqp_exchange { /* durable, fanout */
        const char *name;
};
struct amqp_queue { /* durable */
        const char *name;
        const char *dead_letter_exchange; /* NULL: what is rejected is dropped */
        int64_t ttl_ms;                   /* 0: messages stay */
        const char *bound_to;             /* an exchange */
};
struct amqp_topology {
        const struct amqp_exchange *exchanges;
        size_t n_exchanges;
        const struct amqp_queue *queues;
        size_t n_queues;
        const char *consume; /* the queue to read */
        int prefetch;        /* messages that may be unacknowledged */
};

/* ── messages ── */

struct amqp_header {
        const char *name, *value;
};

/* A message that came. All is borrowed for the call; texts that are absent are NULL. */
struct amqp_delivery {
        uint64_t tag;
        bool is_redelivered;
        const struct amqp_header *headers; /* those with a scalar value, as text */
        size_t n_headers;
        const char *content_type, *reply_to, *correlation_id;
        const char *body;
        size_t len;
        const char *fault; /* why the message is not whole (too large, …); NULL: it is */
};

struct amqp_message {
        const char *exchange; /* with an empty routing key */
        const struct amqp_header *headers;
        size_t n_headers;
        const char *content_type, *correlation_id; /* NULL: none */
        const void *body;
        size_t len; /* at most AMQP_LINK_BODY_BYTES */
};

enum amqp_result {
        AMQP_DELIVERED, /* the broker has it in a queue */
        AMQP_UNROUTED,  /* no queue is bound to the exchange */
        AMQP_LOST,      /* the broker may or may not have it */
};
enum amqp_presence { AMQP_THERE, AMQP_ASKING, AMQP_MISSING };

/* ── the link ── */

struct amqp_link;

struct amqp_link_options {
        struct amqp_address address;
        const char *password;
        const char *ca_file; /* TLS: whom the broker's certificate must come from */
        const struct amqp_topology *topology;
        size_t max_body; /* larger messages that come are not kept */
        /* All called from the loop, never from within a call of ours; all needed. */
        void (*on_connected)(void *arg);
        /* Everything that was published and not settled is lost. */
        void (*on_disconnected)(void *arg, const char *reason);
        void (*on_delivery)(void *arg, const struct amqp_delivery *d);
        void (*on_settled)(void *arg, uint64_t id, enum amqp_result result);
        /* Something that publishing waits for has changed: room, or an answer about an exchange. */
        void (*on_ready)(void *arg);
        void *arg;
};

/* Copies address and texts; `topology` is kept by pointer. Starts to connect at once. */
int amqp_link_new(struct event_base *base, const struct amqp_link_options *options,
        struct amqp_link **ret_link, struct err *err) MUST_CHECK;
void amqp_link_free(struct amqp_link *l);
CLEAN_DEFINE(amqp_link, amqp_link_free);

bool amqp_link_is_connected(const struct amqp_link *l);
/* False: wait for on_ready. */
bool amqp_link_may_publish(struct amqp_link *l);
/* Is that exchange there? Asks the broker if that isn't known; on_ready tells when it is. */
enum amqp_presence amqp_link_exchange(struct amqp_link *l, const char *name);
/* The id comes back in on_settled. -EAGAIN: it may not publish now, or the exchange isn't known to
 * be there; -E2BIG; else the link is lost. */
int amqp_link_publish(
        struct amqp_link *l, const struct amqp_message *m, uint64_t *ret_id) MUST_CHECK;
/* Of a connection that is gone: nothing happens, the broker delivers again. */
void amqp_link_ack(struct amqp_link *l, uint64_t tag);
void amqp_link_reject(struct amqp_link *l, uint64_t tag, bool requeue);
