/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/event_hub.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/events.h"
#include "cloud/ota/hook.h"
#include "cloud/ota/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define TICK_MS 500
#define WAKE_MS 10 /* commits that follow one another are one look */
#define TRIM_MS 10000
#define HEARTBEAT_MS 15000
#define STREAM_LIFE_MS INT64_C(3600000)
#define PAGE 500 /* events for one stream in one look */

struct subscriber {
        LIST_ENTRY(subscriber) link;
        struct event_hub *hub;
        struct http_stream *stream;
        int64_t tenant, after;
        uint64_t permissions;
        char *types;
        int64_t opened_at, beat_at; /* monotonic */
        bool is_gone;
};

struct event_hub {
        struct ota *ota;
        struct event *tick, *wake;
        struct hook_sender *hooks;
        LIST_HEAD(, subscriber) subscribers;
        size_t n_subscribers;
        int64_t trimmed_at;
};

/* ── streams ── */

static void drop(struct subscriber *s)
{
        LIST_REMOVE(s, link);
        s->hub->n_subscribers--;
        free(s->types);
        free(s);
}

static void send_text(struct subscriber *s, const struct buf *b)
{
        if (s->is_gone || b->error || http_stream_send(s->stream, buf_text(b), b->len) == 0)
                return;
        http_stream_abort(s->stream);
        s->stream = NULL;
        s->is_gone = true;
}

static void append_event(struct buf *b, const struct subscriber *s, struct sql_rows *r)
{
        const char *type = sql_col_text(r, 1);
        if ((event_permission(type) & ~s->permissions) || !event_fits(s->types, type))
                return;
        buf_addf(b,
                "id: %lld\nevent: %s\ndata: "
                "{\"id\":%lld,\"type\":\"%s\",\"at\":%lld,\"data\":%s}\n\n",
                (long long)sql_col_int(r, 0), type, (long long)sql_col_int(r, 0), type,
                (long long)sql_col_int(r, 2), sql_col_text(r, 3));
}

/* Returns true if there is more. */
static bool feed(struct subscriber *s, struct tx *tx)
{
        int n = 0;
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT id, type, at, data FROM event WHERE tenant=? AND id>? AND hook IS NULL"
                " ORDER BY id LIMIT ?",
                SQL_I(s->tenant), SQL_I(s->after), SQL_I(PAGE));
        while (sql_next(&r)) {
                s->after = sql_col_int(&r, 0);
                append_event(&b, s, &r);
                n++;
        }
        int64_t now = clock_mono_ms();
        if (!b.len && now - s->beat_at < HEARTBEAT_MS)
                return n == PAGE;
        if (!b.len)
                buf_adds(&b, ": still here\n\n");
        s->beat_at = now;
        send_text(s, &b);
        return n == PAGE;
}

static void on_close(void *arg)
{
        struct subscriber *s = arg;
        s->is_gone = true; /* swept at the next look, outside of the server's call */
}

/* Streams that ended, or are old enough to ask for their permissions again. */
static void sweep(struct event_hub *h, bool is_all)
{
        struct subscriber *s = LIST_FIRST(&h->subscribers);
        while (s) {
                struct subscriber *next = LIST_NEXT(s, link);
                if (is_all || s->is_gone || clock_mono_ms() - s->opened_at > STREAM_LIFE_MS) {
                        if (s->stream)
                                http_stream_end(s->stream);
                        drop(s);
                }
                s = next;
        }
}

/* ── looks ── */

static void trim(struct event_hub *h)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        int64_t now = clock_mono_ms();
        if (now - h->trimmed_at < TRIM_MS)
                return;
        h->trimmed_at = now;
        ota_tx(h->ota, &tx, &arena, &problem, 0, "system");
        events_trim(&tx);
        if (tx_commit(&tx) < 0)
                log_warning("events: %s", problem.message ? problem.message : "failed");
        problem_fini(&problem);
        arena_fini(&arena);
}

static void feed_all(struct event_hub *h)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        struct subscriber *s;
        bool has_more = false;
        ota_tx(h->ota, &tx, &arena, &problem, 0, "system");
        tx.unit = DATABASE_READING;
        LIST_FOREACH(s, &h->subscribers, link)
        has_more |= feed(s, &tx);
        (void)tx_commit(&tx); /* it only read */
        problem_fini(&problem);
        arena_fini(&arena);
        if (has_more)
                event_hub_wake(h);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
        struct event_hub *h = arg;
        (void)fd;
        (void)what;
        sweep(h, false);
        if (h->n_subscribers)
                feed_all(h);
        if (!database_leads(h->ota->database)) /* of several servers one sends and tidies up */
                return;
        hook_sender_look(h->hooks);
        trim(h);
}

void event_hub_wake(struct event_hub *h)
{
        static const struct timeval soon = {.tv_usec = WAKE_MS * 1000};
        if (h && !event_pending(h->wake, EV_TIMEOUT, NULL))
                event_add(h->wake, &soon);
}

int event_hub_new(struct ota *o, struct event_hub **ret_hub, struct err *err)
{
        static const struct timeval every = {.tv_usec = TICK_MS * 1000};
        struct event_hub *h = calloc(1, sizeof(*h));
        if (!h)
                return err_set(err, -ENOMEM, "out of memory");
        LIST_INIT(&h->subscribers);
        h->ota = o;
        h->tick = event_new(o->base, -1, EV_PERSIST, on_look, h);
        h->wake = event_new(o->base, -1, 0, on_look, h);
        h->hooks = hook_sender_new(o);
        if (!h->tick || !h->wake || !h->hooks || event_add(h->tick, &every) < 0) {
                event_hub_free(h);
                return err_set(err, -ENOMEM, "out of memory");
        }
        *ret_hub = h;
        return 0;
}

void event_hub_free(struct event_hub *h)
{
        if (!h)
                return;
        sweep(h, true);
        hook_sender_free(h->hooks);
        if (h->tick)
                event_free(h->tick);
        if (h->wake)
                event_free(h->wake);
        free(h);
}

/* ── a new stream ── */

static struct subscriber *subscriber_new(
        struct event_hub *h, const struct event_stream_order *order)
{
        struct subscriber *s = calloc(1, sizeof(*s));
        if (!s)
                return NULL;
        s->hub = h;
        s->tenant = order->tenant;
        s->after = order->after;
        s->permissions = order->permissions;
        s->types = order->types ? strdup(order->types) : NULL;
        s->opened_at = s->beat_at = clock_mono_ms();
        return s;
}

/* No tenant takes all of them. */
static bool has_room(const struct event_hub *h, int64_t tenant)
{
        size_t n = 0;
        const struct subscriber *s;
        LIST_FOREACH(s, &h->subscribers, link)
        n += s->tenant == tenant;
        return h->n_subscribers < LIMIT_OTA_EVENT_STREAMS && n < LIMIT_OTA_EVENT_STREAMS / 2;
}

int event_hub_stream(
        struct event_hub *h, struct http_exchange *x, const struct event_stream_order *order)
{
        struct subscriber *s = h && has_room(h, order->tenant) ? subscriber_new(h, order) : NULL;
        if (!s)
                return -EAGAIN;
        http_add_header(x, "Cache-Control", "no-store");
        s->stream = http_stream_begin(x, "text/event-stream", on_close, s);
        if (!s->stream) { /* the client is gone, and the exchange with it */
                free(s->types);
                free(s);
                return 0;
        }
        LIST_INSERT_HEAD(&h->subscribers, s, link);
        h->n_subscribers++;
        struct buf hello = {.data = (char *)"retry: 1000\n\n", .len = 13};
        send_text(s, &hello);
        struct buf gap = {.data = (char *)"event: gap\ndata: {}\n\n", .len = 22};
        if (order->has_gap)
                send_text(s, &gap);
        event_hub_wake(h);
        return 0;
}
