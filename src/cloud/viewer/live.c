/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/live.h"

#include "base/clock.h"
#include "base/http_server.h"
#include "base/log.h"
#include "cloud/stream/stream.h"
#include "cloud/viewer/sse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Records that are taken before the loop gets to its other work. */
#define RECORDS_PER_TURN 500
#define FEED_MS 300
#define FLEET_MS 1000
#define PING_MS 5000

struct subscriber {
        struct live *live;
        struct http_stream *stream;
        struct live_request request;
        uint64_t fleet_generation;
        int64_t fleet_at; /* monotonic ms of the last page that was sent */
        bool is_gone;     /* freed at the end of the turn: it may be in the middle of a list walk */
        LIST_ENTRY(subscriber) link;
};

struct live {
        struct live_options options;
        struct stream_reader *reader;
        struct event *readable, *tick;
        LIST_HEAD(, subscriber) subscribers;
        unsigned n_subscribers;
        unsigned wanted; /* feeds that somebody watches */
        uint64_t feed_generations[LIVE_FEEDS_MAX];
        char *counts; /* as last sent */
        uint64_t first_offset;
        int64_t boot_ms;
        int64_t pinged_at, counted_at;
};

/* ── sending ── */

/* A client that takes nothing more is marked and swept later. */
static void send_bytes(struct subscriber *s, const struct buf *b)
{
        if (s->is_gone || b->error)
                return;
        int r = http_stream_send(s->stream, b->data, b->len);
        if (r == -EAGAIN)
                log_warning("a client reads too slowly: its event stream is cut off");
        if (r < 0)
                s->is_gone = true;
}

static void send_event(
        struct subscriber *s, const char *name, const uint64_t *id, const char *data, size_t len)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MESSAGE_BYTES * 8);
        sse_add_event(&b, name, id, data, len);
        send_bytes(s, &b);
}

/* Takes the reference. */
static void send_json(struct subscriber *s, const char *name, json_t *value)
{
        CLEAN_JSON json_t *v = value;
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
        if (v && json_append(&b, v) == 0)
                send_event(s, name, NULL, b.data, b.len);
}

static void update_wanted(struct live *l)
{
        struct subscriber *s;
        l->wanted = 0;
        LIST_FOREACH(s, &l->subscribers, link)
        l->wanted |= s->request.feeds;
}

static void sweep(struct live *l)
{
        struct subscriber *s = LIST_FIRST(&l->subscribers);
        while (s) {
                struct subscriber *next = LIST_NEXT(s, link);
                if (s->is_gone) {
                        LIST_REMOVE(s, link);
                        l->n_subscribers--;
                        http_stream_abort(s->stream);
                        free(s);
                }
                s = next;
        }
        update_wanted(l);
}

/* ── the stream ── */

/* Only whole JSON documents go on: the page parses what it gets. */
static void send_record(struct subscriber *s, const struct stream_record *r, const char *kind)
{
        uint64_t next = r->offset + 1;
        CLEAN_JSON json_t *document = json_parse(r->payload, r->len, NULL);
        if (json_is_object(document))
                send_event(s, kind, &next, r->payload, r->len);
}

static bool is_shown(const char *kind)
{
        return kind && (strcmp(kind, "telemetry") == 0 || strcmp(kind, "update") == 0);
}

static void spread_record(struct live *l, const struct stream_record *r)
{
        char name[LIMIT_THING_NAME_BYTES + 1];
        const char *kind = fleet_split_topic(r->topic, name);
        struct subscriber *s;
        if (!is_shown(kind))
                return;
        LIST_FOREACH(s, &l->subscribers, link)
        {
                if (strcmp(s->request.device, name) == 0)
                        send_record(s, r, kind);
        }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        struct live *l = arg;
        struct err err = ERR_INIT;
        struct stream_record record;
        int r = 0;
        for (int i = 0; i < RECORDS_PER_TURN; i++) {
                r = stream_next(l->reader, &record, &err);
                if (r != 0)
                        break;
                fleet_note_record(l->options.fleet, &record);
                if (l->n_subscribers)
                        spread_record(l, &record);
        }
        if (r < 0)
                log_error("cannot read the stream: %s", err.text);
        else if (r == 0)
                event_active(l->readable, EV_READ, 0); /* more is there: after the others' turn */
        sweep(l);
}

/* What the client missed between its last record and now. Too much of it: it loads its history
 * again. */
static void replay(struct live *l, struct subscriber *s)
{
        uint64_t end = stream_reader_offset(l->reader);
        if (!s->request.device[0] || !s->request.has_from || s->request.from >= end)
                return;
        if (end - s->request.from > LIMIT_VIEWER_REPLAY_RECORDS) {
                send_event(s, "reset", &end, "{}", 2);
                return;
        }
        struct stream_position at = {.from = STREAM_FROM_OFFSET, .offset = s->request.from};
        CLEAN(stream_reader) struct stream_reader *reader = NULL;
        struct err err = ERR_INIT;
        struct stream_record record;
        if (stream_reader_open(l->options.stream_dir, &at, &reader, &err) < 0) {
                log_error("cannot read the stream again: %s", err.text);
                return;
        }
        while (!s->is_gone && stream_next(reader, &record, &err) == 0 && record.offset < end) {
                char name[LIMIT_THING_NAME_BYTES + 1];
                const char *kind = fleet_split_topic(record.topic, name);
                if (is_shown(kind) && strcmp(name, s->request.device) == 0)
                        send_record(s, &record, kind);
        }
}

/* ── fleet and feeds ── */

static void send_fleet(struct live *l, struct subscriber *s, int64_t now_ms)
{
        s->fleet_generation = fleet_generation(l->options.fleet);
        s->fleet_at = clock_mono_ms();
        send_json(s, "fleet", fleet_page(l->options.fleet, &s->request.fleet, now_ms));
}

/* Counts change with time alone, when a car goes quiet, so they are made anew each second. */
static void send_counts(struct live *l, int64_t now_ms)
{
        CLEAN_JSON json_t *counts = fleet_counts(l->options.fleet, now_ms);
        CLEAN_MEM char *text = counts ? json_dumps(counts, JSON_COMPACT) : NULL;
        struct subscriber *s;
        if (!text || (l->counts && strcmp(l->counts, text) == 0))
                return;
        free(l->counts);
        l->counts = TAKE(text);
        LIST_FOREACH(s, &l->subscribers, link)
        send_event(s, "counts", NULL, l->counts, strlen(l->counts));
}

static void tick_fleet(struct live *l, int64_t mono)
{
        int64_t now_ms = clock_now_ms();
        struct subscriber *s;
        if (mono - l->counted_at >= FLEET_MS) {
                l->counted_at = mono;
                send_counts(l, now_ms);
        }
        LIST_FOREACH(s, &l->subscribers, link)
        {
                /* A car that went quiet changes its state without a message, hence the 5 s. */
                bool news = s->fleet_generation != fleet_generation(l->options.fleet);
                if (s->request.wants_fleet && mono - s->fleet_at >= (news ? FLEET_MS : PING_MS))
                        send_fleet(l, s, now_ms);
        }
}

static void tick_feed(struct live *l, unsigned i)
{
        const struct live_feed *feed = &l->options.feeds[i];
        uint64_t generation = feed->generation(feed->arg);
        struct subscriber *s;
        if (generation == l->feed_generations[i])
                return;
        l->feed_generations[i] = generation;
        CLEAN_JSON json_t *news = feed->read(feed->arg);
        LIST_FOREACH(s, &l->subscribers, link)
        {
                if (news && (s->request.feeds & 1u << i))
                        send_json(s, feed->name, json_incref(news));
        }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
        struct live *l = arg;
        int64_t mono = clock_mono_ms();
        struct subscriber *s;
        if (!l->n_subscribers)
                return;
        for (unsigned i = 0; i < l->options.n_feeds; i++) {
                if (l->wanted & 1u << i)
                        tick_feed(l, i);
        }
        tick_fleet(l, mono);
        if (mono - l->pinged_at >= PING_MS) {
                l->pinged_at = mono;
                LIST_FOREACH(s, &l->subscribers, link)
                send_json(s, "ping", json_pack("{s:I}", "now", (json_int_t)clock_now_ms()));
        }
        sweep(l);
}

/* ── life ── */

static int set_up_events(struct live *l)
{
        struct timeval every = {.tv_usec = FEED_MS * 1000};
        l->readable = event_new(
                l->options.base, stream_reader_fd(l->reader), EV_READ | EV_PERSIST, on_readable, l);
        l->tick = event_new(l->options.base, -1, EV_PERSIST, on_tick, l);
        if (!l->readable || !l->tick || event_add(l->readable, NULL) < 0 ||
                event_add(l->tick, &every) < 0)
                return -ENOMEM;
        event_active(l->readable, EV_READ, 0); /* the first look arms the descriptor */
        return 0;
}

int live_new(const struct live_options *options, struct live **ret_live, struct err *err)
{
        CLEAN(live) struct live *l = calloc(1, sizeof(*l));
        if (!l)
                return err_set(err, -ENOMEM, "out of memory");
        l->options = *options;
        l->boot_ms = clock_now_ms();
        LIST_INIT(&l->subscribers);
        struct stream_position at = {.from = STREAM_FROM_LATEST};
        int r = stream_reader_open(options->stream_dir, &at, &l->reader, err);
        if (r < 0)
                return r;
        l->first_offset = stream_reader_offset(l->reader);
        if (set_up_events(l) < 0)
                return err_set(err, -ENOMEM, "out of memory");
        *ret_live = TAKE(l);
        return 0;
}

void live_free(struct live *l)
{
        if (!l)
                return;
        struct subscriber *s;
        LIST_FOREACH(s, &l->subscribers, link)
        s->is_gone = true;
        sweep(l);
        if (l->readable)
                event_free(l->readable);
        if (l->tick)
                event_free(l->tick);
        stream_reader_free(l->reader);
        free(l->counts);
        free(l);
}

static void on_close(void *arg)
{
        struct subscriber *s = arg;
        s->is_gone = true;
        event_active(s->live->readable, EV_READ, 0); /* swept there, outside of the server's call */
}

static void send_start(struct live *l, struct subscriber *s)
{
        static const char retry[] = "retry: 1000\n\n";
        struct buf b = {.data = (char *)retry, .len = sizeof(retry) - 1};
        int64_t now_ms = clock_now_ms();
        send_bytes(s, &b);
        send_json(s, "hello",
                json_pack("{s:I, s:I}", "now", (json_int_t)now_ms, "boot", (json_int_t)l->boot_ms));
        send_json(s, "counts", fleet_counts(l->options.fleet, now_ms));
        if (s->request.wants_fleet)
                send_fleet(l, s, now_ms);
        for (unsigned i = 0; i < l->options.n_feeds; i++) {
                const struct live_feed *feed = &l->options.feeds[i];
                if (!(s->request.feeds & 1u << i))
                        continue;
                if (l->wanted & 1u << i) {
                        if (!feed->only_news)
                                send_json(s, feed->name, feed->read(feed->arg));
                        continue;
                }
                l->feed_generations[i] = feed->generation(feed->arg); /* nobody watched until now */
                json_t *document = feed->read(feed->arg); /* of news: what nobody waited for */
                if (feed->only_news)
                        json_decref(document);
                else
                        send_json(s, feed->name, document);
        }
        replay(l, s);
}

void live_subscribe(struct live *l, struct http_exchange *x, const struct live_request *request)
{
        struct subscriber *s =
                l->n_subscribers < LIMIT_VIEWER_STREAMS ? calloc(1, sizeof(*s)) : NULL;
        if (!s) {
                static const char text[] = "{\"error\":\"too many pages are open: close one\"}";
                http_add_header(x, "Retry-After", "5");
                http_reply(x, 503, "application/json;charset=UTF-8", text, sizeof(text) - 1);
                return;
        }
        s->live = l;
        s->request = *request;
        http_add_header(x, "Cache-Control", "no-store");
        s->stream = http_stream_begin(x, "text/event-stream", on_close, s);
        if (!s->stream) {
                free(s);
                return;
        }
        send_start(l, s);
        LIST_INSERT_HEAD(&l->subscribers, s, link);
        l->n_subscribers++;
        update_wanted(l);
}

uint64_t live_first_offset(const struct live *l)
{
        return l->first_offset;
}

unsigned live_feed_bit(const struct live *l, const char *name)
{
        for (unsigned i = 0; i < l->options.n_feeds; i++) {
                if (strcmp(l->options.feeds[i].name, name) == 0)
                        return 1u << i;
        }
        return 0;
}
