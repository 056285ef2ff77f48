/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/hook.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/http_client.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/tls.h"
#include "cloud/ota/event_hub.h"
#include "cloud/ota/events.h"
#include "cloud/ota/server.h"
#include "cloud/ota/settings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define TIMEOUT_MS 10000
/* A claimed hook is free again after this, should its process have ended. */
#define CLAIM_MS 30000
#define MAX_BACK_OFF_MS 300000
#define SCAN 1000 /* events looked through for those that a hook wants */
#define MAX_BODY LIMIT_KIB(256)

void hook_read(struct sql_rows *r, struct hook *ret)
{
        *ret = (struct hook){
                .id = sql_col_int(r, 0),
                .tenant = sql_col_int(r, 1),
                .url = sql_col_text(r, 2),
                .secret = sql_col_text(r, 3),
                .types = sql_col_text(r, 4),
                .is_enabled = sql_col_int(r, 5) != 0,
                .reason = sql_col_text(r, 6),
                .last_event = sql_col_int(r, 7),
                .failures = sql_col_int(r, 8),
                .failing_since = sql_col_int(r, 9),
                .next_at = sql_col_int(r, 10),
                .n_delivered = sql_col_int(r, 11),
                .n_lost = sql_col_int(r, 12),
        };
}

/* ── a delivery under way ── */

struct delivery {
        LIST_ENTRY(delivery) link;
        struct hook_sender *sender;
        struct http_client *client;
        int64_t hook, tenant, last, n; /* the events up to `last`, n of them */
        bool is_done;                  /* freed at the next look, outside of the client's call */
};

struct hook_sender {
        struct ota *ota;
        SSL_CTX *tls;
        LIST_HEAD(, delivery) deliveries;
        size_t n_deliveries;
        int64_t after; /* hooks are looked at in turns: the next is the one behind this */
};

struct hook_sender *hook_sender_new(struct ota *o)
{
        struct hook_sender *s = calloc(1, sizeof(*s));
        if (s) {
                s->ota = o;
                LIST_INIT(&s->deliveries);
        }
        return s;
}

static void delivery_free(struct delivery *d)
{
        LIST_REMOVE(d, link);
        d->sender->n_deliveries--;
        http_client_free(d->client);
        free(d);
}

void hook_sender_free(struct hook_sender *s)
{
        if (!s)
                return;
        while (!LIST_EMPTY(&s->deliveries))
                delivery_free(LIST_FIRST(&s->deliveries));
        SSL_CTX_free(s->tls);
        free(s);
}

/* ── what came of it ── */

static int64_t back_off(int64_t failures)
{
        int64_t ms = 1000;
        while (--failures > 0 && ms < MAX_BACK_OFF_MS)
                ms *= 2;
        return ms < MAX_BACK_OFF_MS ? ms : MAX_BACK_OFF_MS;
}

static void note_success(struct tx *tx, const struct delivery *d)
{
        sql_run(tx,
                "UPDATE web_hook SET last_event=?, delivered=delivered+?, failures=0,"
                " failing_since=NULL, reason=NULL, next_at=0 WHERE id=?",
                SQL_I(d->last), SQL_I(d->n), SQL_I(d->hook));
}

static void note_failure(struct tx *tx, int64_t hook, const char *reason)
{
        int64_t give_up = settings_duration(tx, SETTING_HOOK_GIVE_UP);
        int64_t failures =
                sql_int(tx, 0, "SELECT failures FROM web_hook WHERE id=?", SQL_I(hook)) + 1;
        int64_t since =
                sql_int(tx, tx->now, "SELECT failing_since FROM web_hook WHERE id=?", SQL_I(hook));
        bool is_over = give_up && tx->now - since >= give_up;
        if (is_over)
                reason = arena_printf(tx->arena, "disabled, it failed for too long: %s", reason);
        log_warning("web-hook %lld: %s", (long long)hook, reason);
        sql_run(tx,
                "UPDATE web_hook SET failures=?, failing_since=?, reason=?, next_at=?,"
                " enabled=CASE WHEN ?=1 THEN 0 ELSE enabled END WHERE id=?",
                SQL_I(failures), SQL_I(since), SQL_T(reason), SQL_I(tx->now + back_off(failures)),
                SQL_I(is_over), SQL_I(hook));
}

static void on_done(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct delivery *d = arg;
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        ota_tx(d->sender->ota, &tx, &arena, &problem, d->tenant, "system");
        tx.is_quiet = true; /* polls are answered as before */
        if (answer && answer->status >= 200 && answer->status < 300)
                note_success(&tx, d);
        else
                note_failure(&tx, d->hook,
                        answer ? arena_printf(&arena, "it answered %d", answer->status)
                               : arena_strdup(&arena, err->text));
        if (tx_commit(&tx) < 0)
                tx_rollback(&tx); /* sent again when the claim has run out */
        problem_fini(&problem);
        arena_fini(&arena);
        d->is_done = true;
        event_hub_wake(d->sender->ota->hub);
}

/* ── sending ── */

/* The next events for the hook. Returns their number; *ret_last is the last one looked at. */
static int64_t collect(struct tx *tx, const struct hook *h, json_t *list, int64_t *ret_last)
{
        int64_t n = 0;
        size_t bytes = 0;
        *ret_last = h->last_event;
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT id, type, at, data, hook FROM event WHERE tenant=? AND id>? ORDER BY id"
                " LIMIT ?",
                SQL_I(h->tenant), SQL_I(h->last_event), SQL_I(SCAN));
        while (n < LIMIT_OTA_HOOK_BATCH && bytes < MAX_BODY / 2 && sql_next(&r)) {
                const char *type = sql_col_text(&r, 1), *data = sql_col_text(&r, 3);
                int64_t only = sql_col_int(&r, 4);
                *ret_last = sql_col_int(&r, 0);
                if (only ? only != h->id : !event_fits(h->types, type))
                        continue;
                bytes += strlen(data);
                json_array_append_new(
                        list, json_pack("{s:I, s:s, s:I, s:o}", "id", (json_int_t)*ret_last, "type",
                                      type, "at", (json_int_t)sql_col_int(&r, 2), "data",
                                      json_loads(data, 0, NULL)));
                n++;
        }
        return n;
}

static int request(struct hook_sender *s, struct delivery *d, const struct hook *h,
        const char *body, struct err *err)
{
        char signature[8 + HASH_SHA256_HEX_SIZE] = "sha256=";
        hash_hmac_sha256_hex(h->secret, strlen(h->secret), body, strlen(body), signature + 7);
        if (!s->tls && strncmp(h->url, "https:", 6) == 0) {
                int r = tls_client_new(NULL, NULL, NULL, &s->tls, err);
                if (r < 0)
                        return r;
        }
        const char *headers[] = {"X-Driveline-Signature", signature, NULL};
        const struct http_client_options options = {.url = h->url, .tls = s->tls};
        int r = http_client_new(s->ota->base, &options, &d->client, err);
        if (r < 0)
                return r;
        const struct http_request post = {.method = "POST",
                .target = h->url,
                .headers = headers,
                .body = body,
                .body_len = strlen(body),
                .content_type = "application/json",
                .idle_timeout_ms = TIMEOUT_MS,
                .total_timeout_ms = TIMEOUT_MS,
                .max_body = LIMIT_KIB(64),
                .on_done = on_done,
                .arg = d};
        return http_client_request(d->client, &post, NULL, err);
}

static struct delivery *delivery_new(struct hook_sender *s, const struct hook *h)
{
        struct delivery *d = calloc(1, sizeof(*d));
        if (!d)
                abort(); /* out of memory (arena.h) */
        d->sender = s;
        d->hook = h->id;
        d->tenant = h->tenant;
        LIST_INSERT_HEAD(&s->deliveries, d, link);
        s->n_deliveries++;
        return d;
}

/* Runs one statement as a unit of its own. */
static void write_alone(struct hook_sender *s, int64_t tenant,
        bool (*write)(struct tx *tx, const void *arg), const void *arg, bool *ret_done)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        ota_tx(s->ota, &tx, &arena, &problem, tenant, "system");
        tx.is_quiet = true; /* polls are answered as before */
        *ret_done = write(&tx, arg);
        if (tx_commit(&tx) < 0) {
                tx_rollback(&tx);
                *ret_done = false;
        }
        problem_fini(&problem);
        arena_fini(&arena);
}

/* Nothing was for this hook: remembered now and then, so that the next look is short. */
static bool write_place(struct tx *tx, const void *arg)
{
        const struct hook *h = arg;
        return sql_run(tx, "UPDATE web_hook SET last_event=? WHERE id=?", SQL_I(h->last_event),
                       SQL_I(h->id)) == 1;
}

/* One process sends to a hook at a time. */
static bool write_claim(struct tx *tx, const void *arg)
{
        const struct hook *h = arg;
        return sql_run(tx, "UPDATE web_hook SET next_at=? WHERE id=? AND next_at=?",
                       SQL_I(tx->now + CLAIM_MS), SQL_I(h->id), SQL_I(h->next_at)) == 1;
}

struct failure {
        int64_t hook;
        const char *reason;
};

static bool write_failure(struct tx *tx, const void *arg)
{
        const struct failure *f = arg;
        note_failure(tx, f->hook, f->reason);
        return true;
}

/* What a look found for one hook. */
struct parcel {
        struct hook hook;
        json_t *events;
        int64_t n, last;
};

static void send_parcel(struct hook_sender *s, const struct parcel *p)
{
        struct err err = ERR_INIT;
        bool is_done = false;
        write_alone(s, p->hook.tenant, write_claim, &p->hook, &is_done);
        if (!is_done)
                return;
        CLEAN_JSON json_t *document =
                json_pack("{s:I, s:O}", "hook", (json_int_t)p->hook.id, "events", p->events);
        char *body = json_dumps(document, JSON_COMPACT);
        struct delivery *d = delivery_new(s, &p->hook);
        d->last = p->last;
        d->n = p->n;
        if (!body || request(s, d, &p->hook, body, &err) < 0) {
                struct failure f = {p->hook.id, body ? err.text : "out of memory"};
                write_alone(s, p->hook.tenant, write_failure, &f, &is_done);
                d->is_done = true;
        }
        free(body);
}

static void handle_parcel(struct hook_sender *s, struct parcel *p)
{
        bool is_done = false;
        if (p->n) {
                send_parcel(s, p);
        } else if (p->last - p->hook.last_event >= SCAN) {
                p->hook.last_event = p->last;
                write_alone(s, p->hook.tenant, write_place, &p->hook, &is_done);
        }
        json_decref(p->events);
}

static bool is_under_way(const struct hook_sender *s, int64_t hook)
{
        const struct delivery *d;
        LIST_FOREACH(d, &s->deliveries, link)
        {
                if (d->hook == hook)
                        return true;
        }
        return false;
}

static void sweep(struct hook_sender *s)
{
        struct delivery *d = LIST_FIRST(&s->deliveries);
        while (d) {
                struct delivery *next = LIST_NEXT(d, link);
                if (d->is_done)
                        delivery_free(d);
                d = next;
        }
}

/* Hooks whose time has come, a page of them in turn. */
static size_t read_turn(struct hook_sender *s, struct tx *tx, struct hook *ret, size_t max)
{
        size_t n = 0;
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " HOOK_COLUMNS
                " FROM web_hook h WHERE h.enabled=1 AND h.next_at<=? AND h.id>? ORDER BY h.id"
                " LIMIT ?",
                SQL_I(tx->now), SQL_I(s->after), SQL_I((int64_t)max));
        while (n < max && sql_next(&r))
                hook_read(&r, &ret[n++]);
        s->after = n == max ? ret[n - 1].id : 0;
        return n;
}

/* Those of this turn, with what is there for them. */
static size_t read_due(struct hook_sender *s, struct tx *tx, struct parcel *ret, size_t max)
{
        struct hook due[LIMIT_OTA_HOOKS_AT_ONCE];
        size_t n = 0, n_due = read_turn(s, tx, due, max);
        for (size_t i = 0; i < n_due && s->n_deliveries + n < max; i++) {
                struct parcel *p = &ret[n];
                if (is_under_way(s, due[i].id))
                        continue;
                *p = (struct parcel){.hook = due[i], .events = json_array()};
                p->n = collect(tx, &p->hook, p->events, &p->last);
                n++;
        }
        return n;
}

void hook_sender_look(struct hook_sender *s)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        struct parcel parcels[LIMIT_OTA_HOOKS_AT_ONCE];
        sweep(s);
        ota_tx(s->ota, &tx, &arena, &problem, 0, "system");
        tx.unit = DATABASE_READING;
        size_t n = read_due(s, &tx, parcels, N_ELEMENTS(parcels));
        (void)tx_commit(&tx); /* it only read */
        for (size_t i = 0; i < n; i++)
                handle_parcel(s, &parcels[i]);
        if (s->after)
                event_hub_wake(s->ota->hub);
        problem_fini(&problem);
        arena_fini(&arena);
}
