/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Live data: one tail of the stream, and the open event streams that get what they asked for.
 *
 * An event about a car carries its record's offset in the stream plus one as its id, which is where
 * to go on. So a client that lost its connection says how far it came (Last-Event-ID), and a client
 * that just loaded a series says up to which offset the store had come (`from`), and both get
 * exactly what followed. Who is further behind than LIMIT_VIEWER_REPLAY_RECORDS gets a `reset` and
 * loads again.
 *
 *   hello {now, boot}   at the start; another boot means another program: load everything again
 *   telemetry, update   the message as the car sent it, for the one device that was asked for
 *   counts, fleet       of the fleet, at most once a second and only when they changed
 *   <a feed's name>     a feed's document, when it changed
 *   ping {now}          every 5 s, so that a client notices a dead connection
 *
 * A client that doesn't read is cut off once 1 MiB waits for it.
 */
#include "base/clean.h"
#include "base/err.h"
#include "cloud/viewer/fleet.h"
#include <event2/event.h>

struct http_exchange;
struct live;

/* Something that is looked at while somebody watches, a few times a second. */
struct live_feed {
        const char *name;
        bool only_news; /* its document is what is new, not the whole: nothing is sent at the start
                         */
        /* Grows or changes whenever read() would say something else. Cheap. */
        uint64_t (*generation)(void *arg);
        json_t *(*read)(void *arg);
        void *arg;
};

#define LIVE_FEEDS_MAX 8

struct live_options {
        struct event_base *base;
        struct fleet *fleet; /* borrowed; kept up to date with the stream */
        const char *stream_dir;
        const struct live_feed *feeds; /* borrowed */
        size_t n_feeds;
};

int live_new(const struct live_options *options, struct live **ret_live, struct err *err);
void live_free(struct live *l);
CLEAN_DEFINE(live, live_free);

struct live_request {
        unsigned feeds; /* bit i: options.feeds[i] */
        bool wants_fleet;
        struct fleet_query fleet;
        char device[LIMIT_THING_NAME_BYTES + 1]; /* empty: none */
        bool has_from;
        uint64_t from; /* the first offset that the client has not seen */
};

/* Answers `x` with an event stream, or with 503 when there are LIMIT_VIEWER_STREAMS already. */
void live_subscribe(struct live *l, struct http_exchange *x, const struct live_request *request);
/* Where the tail began: what is before it has to come from the store. */
uint64_t live_first_offset(const struct live *l);
/* Bit of the feed with that name; 0 if there is none. */
unsigned live_feed_bit(const struct live *l, const char *name);
