/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * The role: one loop that follows the stream. When something comes, it waits a moment for more, so
 * that a commit is for many messages; then it reads and commits until there is nothing left.
 * Between two batches no transaction is open.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "cloud/config/config.h"
#include "cloud/store/ingest.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define GATHER_MS 40
#define BATCH_MAX 4000
#define RETAIN_EVERY_S 60
#define RETAIN_PAUSE_MS 20
#define SYNC_EVERY_S 5
#define RETRY_MAX_S 30

struct server {
        const struct cloud_config *config;
        char *stream_dir, *store_path, *rules_dir;
        struct store *store;
        struct stream_reader *reader;
        struct ingest ingest;
        struct event_base *base;
        struct event *readable, *gathered, *retry, *retain, *sync, *rules_changed, *term,
                *interrupt;
        int rules_fd;
        int retry_s;
        bool is_synced, has_id;
        struct stream_skipped skipped; /* what was logged */
};

static void arm(struct event *e, long ms)
{
        struct timeval tv = {ms / 1000, ms % 1000 * 1000};
        event_add(e, &tv);
}

/* ── the stream ── */

static int newest_seen(void *arg, const struct store_device *d)
{
        int64_t *newest = arg;
        if (d->last_seen_ms > *newest)
                *newest = d->last_seen_ms;
        return 0;
}

/* Where to go on. In a stream that has been replaced, or that lost its end in a power cut and has
 * no writer yet, our offset says nothing; but the times of what we have do. */
static int find_position(struct server *s, struct stream_position *ret, struct err *err)
{
        struct stream_stat stat;
        uint64_t offset = store_offset(s->store), known = store_stream(s->store);
        *ret = (struct stream_position){
                offset ? STREAM_FROM_OFFSET : STREAM_FROM_START, .offset = offset};
        int r = stream_stat(s->stream_dir, &stat, err);
        if (r)
                return r;
        s->has_id = stat.id != 0;
        if (stat.next_offset < offset || (known && stat.id && stat.id != known)) {
                log_warning("the stream is not the one of the store's position, offset %" PRIu64
                            ": going on by time",
                        offset);
                ret->from = STREAM_FROM_TIME;
                r = store_devices(s->store, NULL, newest_seen, &ret->time_ms, err);
        }
        return r || !stat.id ? r : store_set_stream(s->store, stat.id, err);
}

/* A stream without a writer has no identity; it has one when there are records. */
static int learn_id(struct server *s, struct err *err)
{
        struct stream_stat stat;
        if (s->has_id)
                return 0;
        int r = stream_stat(s->stream_dir, &stat, err);
        if (!r && stat.id)
                r = store_set_stream(s->store, stat.id, err);
        s->has_id = !r && stat.id;
        return r;
}

static void on_readable(evutil_socket_t fd, short what, void *arg);

static int open_stream(struct server *s, struct err *err)
{
        struct stream_position position;
        int r = find_position(s, &position, err);
        if (!r)
                r = stream_reader_open(s->stream_dir, &position, &s->reader, err);
        if (r)
                return r;
        s->skipped = (struct stream_skipped){0};
        s->readable = event_new(s->base, stream_reader_fd(s->reader), EV_READ, on_readable, s);
        if (!s->readable)
                return err_set(err, -ENOMEM, "out of memory");
        arm(s->gathered, 0); /* there may be a backlog */
        return 0;
}

static void close_stream(struct server *s)
{
        if (s->readable)
                event_free(s->readable);
        s->readable = NULL;
        stream_reader_free(s->reader);
        s->reader = NULL;
}

static void report_skipped(struct server *s)
{
        struct stream_skipped now = stream_reader_skipped(s->reader);
        if (now.corrupt != s->skipped.corrupt || now.missing != s->skipped.missing)
                log_warning("the stream has lost %" PRIu64 " records (%" PRIu64 " damaged places)",
                        now.missing - s->skipped.missing, now.corrupt - s->skipped.corrupt);
        s->skipped = now;
}

/* The store can't write: say so once, let the stream keep the messages, and try again later. */
static void back_off(struct server *s, const struct err *err)
{
        s->retry_s = s->retry_s ? s->retry_s * 2 : 1;
        if (s->retry_s > RETRY_MAX_S)
                s->retry_s = RETRY_MAX_S;
        log_error("%s; trying again in %d s", err->text, s->retry_s);
        close_stream(s);
        arm(s->retry, s->retry_s * 1000L);
}

static void on_gathered(evutil_socket_t fd, short what, void *arg)
{
        struct server *s = arg;
        struct err err = ERR_INIT;
        size_t n = 0;
        if (!s->reader)
                return;
        if (learn_id(s, &err) || ingest_batch(&s->ingest, s->reader, BATCH_MAX, &n, &err)) {
                back_off(s, &err);
                return;
        }
        s->retry_s = 0;
        s->is_synced = s->is_synced && !n;
        report_skipped(s);
        /* A full batch: there is more, but signals and timers get their turn. */
        if (n == BATCH_MAX)
                arm(s->gathered, 0);
        else
                event_add(s->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        struct server *s = arg;
        arm(s->gathered, GATHER_MS);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
        struct server *s = arg;
        struct err err = ERR_INIT;
        if (open_stream(s, &err))
                back_off(s, &err);
}

/* The broker never waits for the disk; we do it for it, so that a power cut takes seconds at most.
 */
static void on_sync(evutil_socket_t fd, short what, void *arg)
{
        struct server *s = arg;
        struct err err = ERR_INIT;
        if (s->reader && !s->is_synced) {
                s->is_synced = true;
                if (stream_reader_sync(s->reader, &err))
                        log_warning("%s", err.text);
        }
        arm(s->sync, SYNC_EVERY_S * 1000L);
}

/* ── retention ── */

static void on_retain(evutil_socket_t fd, short what, void *arg)
{
        struct server *s = arg;
        struct err err = ERR_INIT;
        long next_ms = RETAIN_EVERY_S * 1000L;
        if (s->config->store_max_age_ms) {
                int r = store_expire(s->store, clock_now_ms() - s->config->store_max_age_ms, &err);
                if (r < 0)
                        log_error("retention: %s", err.text);
                else if (r == STORE_MORE_TO_DELETE)
                        next_ms = RETAIN_PAUSE_MS;
        }
        if (store_tune(s->store, &err))
                log_warning("cannot count the store's rows: %s", err.text);
        arm(s->retain, next_ms);
}

/* ── rules ── */

static int load_rules(struct server *s, struct rule_set *ret, struct err *err)
{
        int r = rule_set_load(s->rules_dir, ret, err);
        for (size_t i = 0; !r && i < ret->n; i++)
                if (!ret->entries[i].rule)
                        log_warning("rule '%s' is left out: %s", ret->entries[i].name,
                                ret->entries[i].reason);
        return r;
}

static void on_rules_changed(evutil_socket_t fd, short what, void *arg)
{
        struct server *s = arg;
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        while (read(s->rules_fd, events, sizeof(events)) > 0)
                ;
        struct err err = ERR_INIT;
        struct rule_set rules = {0};
        if (load_rules(s, &rules, &err)) {
                log_error("the old rules stay: %s", err.text);
                return;
        }
        rule_set_fini(&s->ingest.rules);
        s->ingest.rules = rules;
        log_info("%zu rules are in force", rules.n);
}

static int watch_rules(struct server *s, struct err *err)
{
        s->rules_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (s->rules_fd < 0 || inotify_add_watch(s->rules_fd, s->rules_dir,
                                       IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_ONLYDIR) < 0)
                return err_errno(err, -errno, "cannot watch '%s'", s->rules_dir);
        s->rules_changed =
                event_new(s->base, s->rules_fd, EV_READ | EV_PERSIST, on_rules_changed, s);
        if (!s->rules_changed || event_add(s->rules_changed, NULL))
                return err_set(err, -ENOMEM, "out of memory");
        return 0;
}

/* ── the loop ── */

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
        struct server *s = arg;
        event_base_loopexit(s->base, NULL);
}

static int set_up_loop(struct server *s, struct err *err)
{
        s->base = event_base_new();
        if (!s->base)
                return err_set(err, -ENOMEM, "out of memory");
        s->gathered = evtimer_new(s->base, on_gathered, s);
        s->retry = evtimer_new(s->base, on_retry, s);
        s->retain = evtimer_new(s->base, on_retain, s);
        s->sync = evtimer_new(s->base, on_sync, s);
        s->term = evsignal_new(s->base, SIGTERM, on_signal, s);
        s->interrupt = evsignal_new(s->base, SIGINT, on_signal, s);
        if (!s->gathered || !s->retry || !s->retain || !s->sync || !s->term || !s->interrupt ||
                event_add(s->term, NULL) || event_add(s->interrupt, NULL))
                return err_set(err, -ENOMEM, "out of memory");
        arm(s->retain, RETAIN_PAUSE_MS);
        arm(s->sync, SYNC_EVERY_S * 1000L);
        return 0;
}

static int set_up_rules(struct server *s, struct err *err)
{
        struct rule_set rules = {0};
        int r = rule_set_init(s->rules_dir, err);
        if (!r)
                r = watch_rules(s, err);
        if (!r)
                r = load_rules(s, &rules, err);
        return r ? r : ingest_init(&s->ingest, s->store, &rules, err);
}

static int set_up(struct server *s, struct err *err)
{
        s->rules_fd = -1;
        s->is_synced = true;
        s->stream_dir = cloud_path(s->config, STREAM_TELEMETRY);
        s->store_path = cloud_path(s->config, CLOUD_STORE_DB);
        s->rules_dir = cloud_path(s->config, RULE_DIR);
        if (!s->stream_dir || !s->store_path || !s->rules_dir)
                return err_set(err, -ENOMEM, "out of memory");
        int r = set_up_loop(s, err);
        if (!r)
                r = store_open(s->store_path, &s->store, err);
        if (!r)
                r = set_up_rules(s, err);
        if (!r)
                r = open_stream(s, err);
        return r;
}

static void tear_down(struct server *s)
{
        struct event *events[] = {
                s->gathered, s->retry, s->retain, s->sync, s->rules_changed, s->term, s->interrupt};
        close_stream(s);
        for (size_t i = 0; i < N_ELEMENTS(events); i++)
                if (events[i])
                        event_free(events[i]);
        ingest_fini(&s->ingest);
        store_free(s->store);
        if (s->rules_fd >= 0)
                close(s->rules_fd);
        loop_free(s->base);
        free(s->stream_dir);
        free(s->store_path);
        free(s->rules_dir);
}

int store_serve(const struct cloud_config *config, struct err *err)
{
        struct server s = {.config = config};
        /* A limit on the size of files is a full disk like any other, nothing to die of. */
        signal(SIGXFSZ, SIG_IGN);
        int r = set_up(&s, err);
        if (!r) {
                log_ready("the store goes on at offset %" PRIu64 " of the stream",
                        store_offset(s.store));
                event_base_dispatch(s.base);
                log_info("the store stops: %" PRIu64 " messages stored, %" PRIu64
                         " duplicates, %" PRIu64 " refused, %" PRIu64 " ignored",
                        s.ingest.stored, s.ingest.duplicates, s.ingest.refused, s.ingest.ignored);
        }
        tear_down(&s);
        return r;
}
