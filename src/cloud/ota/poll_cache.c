/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/poll_cache.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/siphash.h"
#include "cloud/ota/request.h"
#include "cloud/ota/seen.h"
#include "cloud/ota/stamps.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS ((size_t)1024)
/* What all answers of one kind have in common: kinds differ in type and in headers. */
#define MAX_KINDS 32
/* Heads beyond this are no poll of a device. */
#define MAX_HEAD 2048
#define MAX_BODY 1024
#define ETAG_SIZE 40

struct kind {
        char *headers; /* all but Date, ETag, Content-Length and Connection */
        size_t len;
};

struct entry {
        struct entry *next;
        uint64_t key[2];
        int64_t tenant, target;
        struct stamp stamp;
        uint16_t body_len;
        uint8_t kind, etag_len;
        bool closes;
        bool depends_on_any; /* on what a filter can ask for */
        char data[];         /* the ETag, then the body */
};

struct poll_cache {
        struct stamps *stamps;
        struct siphash_key key;
        struct entry **buckets;
        size_t n_buckets, n, bytes;
        size_t oldest;            /* the bucket that is emptied next */
        uint64_t foreign_changes; /* of the database, when it was asked last */
        struct kind kinds[MAX_KINDS];
        size_t n_kinds;
};

struct poll_cache *poll_cache_new(void)
{
        struct poll_cache *c = calloc(1, sizeof(*c));
        if (!c)
                return NULL;
        c->stamps = stamps_new();
        c->n_buckets = FIRST_BUCKETS;
        c->buckets = calloc(c->n_buckets, sizeof(struct entry *));
        if (!c->stamps || !c->buckets || hash_random(&c->key, sizeof(c->key)) < 0) {
                poll_cache_free(c);
                return NULL;
        }
        return c;
}

static size_t size_of(const struct entry *e)
{
        return sizeof(*e) + e->etag_len + e->body_len + 16; /* and what malloc() needs */
}

static void unlink_entry(struct poll_cache *c, struct entry **link)
{
        struct entry *e = *link;
        *link = e->next;
        c->n--;
        c->bytes -= size_of(e);
        free(e);
}

void poll_cache_free(struct poll_cache *c)
{
        if (!c)
                return;
        for (size_t i = 0; c->buckets && i < c->n_buckets; i++) {
                while (c->buckets[i])
                        unlink_entry(c, &c->buckets[i]);
        }
        for (size_t i = 0; i < c->n_kinds; i++)
                free(c->kinds[i].headers);
        free(c->buckets);
        stamps_free(c->stamps);
        free(c);
}

struct stamps *poll_cache_stamps(const struct poll_cache *c)
{
        return c->stamps;
}

/* ── places ── */

/* The hash of a head and of who sent it; false: too long to be kept. */
static bool make_key(const struct poll_cache *c, const struct http_quick *r, uint64_t ret[2])
{
        char text[MAX_HEAD + 256];
        if (r->head_len > MAX_HEAD)
                return false;
        int n = snprintf(text, 256, "%d\n%s\n%s\n%s\n", r->is_tls, r->peer, r->cn ? r->cn : "",
                r->serial ? r->serial : "");
        if (n < 0 || n >= 256)
                return false;
        memcpy(text + n, r->head, r->head_len);
        siphash128(&c->key, text, (size_t)n + r->head_len, ret);
        return true;
}

static struct entry **find(struct poll_cache *c, const uint64_t key[2])
{
        struct entry **link = &c->buckets[key[0] & (c->n_buckets - 1)];
        while (*link && ((*link)->key[0] != key[0] || (*link)->key[1] != key[1]))
                link = &(*link)->next;
        return link;
}

static void grow(struct poll_cache *c)
{
        size_t n = c->n_buckets * 2;
        struct entry **more = calloc(n, sizeof(struct entry *));
        if (!more)
                return; /* longer chains are slower, and no more */
        for (size_t i = 0; i < c->n_buckets; i++) {
                while (c->buckets[i]) {
                        struct entry *e = c->buckets[i];
                        c->buckets[i] = e->next;
                        e->next = more[e->key[0] & (n - 1)];
                        more[e->key[0] & (n - 1)] = e;
                }
        }
        free(c->buckets);
        c->buckets = more;
        c->n_buckets = n;
}

static void make_room(struct poll_cache *c)
{
        while (c->bytes > LIMIT_OTA_POLL_CACHE_BYTES && c->n > 0) {
                struct entry **bucket = &c->buckets[c->oldest++ & (c->n_buckets - 1)];
                while (*bucket)
                        unlink_entry(c, bucket);
        }
}

/* ── answering ── */

static bool is_true(const struct stamps *s, const struct entry *e)
{
        struct stamp now = stamps_now(s, e->tenant, e->target);
        return now.target == e->stamp.target && now.tenant == e->stamp.tenant &&
               (!e->depends_on_any || now.any == e->stamp.any);
}

static char *put(char *out, const char *data, size_t len)
{
        memcpy(out, data, len);
        return out + len;
}

static size_t write_answer(
        const struct poll_cache *c, const struct entry *e, const char *date_line, char *out)
{
        static const char status[] = "HTTP/1.1 200 OK\r\n",
                          etag[] = "ETag: ", closes[] = "Connection: close\r\n";
        const struct kind *kind = &c->kinds[e->kind];
        char length[40];
        int n = snprintf(length, sizeof(length), "\r\nContent-Length: %u\r\n", e->body_len);
        char *p = put(out, status, sizeof(status) - 1);
        p = put(p, date_line, strlen(date_line));
        p = put(p, kind->headers, kind->len);
        p = put(p, etag, sizeof(etag) - 1);
        p = put(p, e->data, e->etag_len);
        p = put(p, length, (size_t)n);
        if (e->closes)
                p = put(p, closes, sizeof(closes) - 1);
        p = put(p, "\r\n", 2);
        p = put(p, e->data + e->etag_len, e->body_len);
        return (size_t)(p - out);
}

/* Another process may have written what answers depend on. */
static void hear_others(struct poll_cache *c, const struct ota *o)
{
        uint64_t changes = database_foreign_changes(o->database);
        if (changes != c->foreign_changes)
                stamps_end_all(c->stamps);
        c->foreign_changes = changes;
}

size_t poll_cache_quick(void *ota, struct http_quick *r, char *out, size_t size)
{
        struct ota *o = ota;
        struct poll_cache *c = o->polls;
        uint64_t key[2];
        if (c->n == 0 || !make_key(c, r, key))
                return 0;
        struct entry **link = find(c, key), *e = *link;
        if (!e)
                return 0;
        hear_others(c, o);
        if (!is_true(c->stamps, e)) {
                unlink_entry(c, link);
                return 0;
        }
        if (r->cn && o->is_certificate_active &&
                !o->is_certificate_active(o->arg, r->cn, r->serial))
                return 0;
        if (c->kinds[e->kind].len + e->body_len + 512 > size)
                return 0;
        seen_note(o->seen, e->target, clock_now_ms());
        r->closes = e->closes;
        return write_answer(c, e, r->date_line, out);
}

/* ── keeping ── */

/* The number of the kind with these headers; -1: there are too many. */
static int kind_of(struct poll_cache *c, const char *headers, size_t len)
{
        for (size_t i = 0; i < c->n_kinds; i++) {
                if (c->kinds[i].len == len && memcmp(c->kinds[i].headers, headers, len) == 0)
                        return (int)i;
        }
        char *copy = c->n_kinds < MAX_KINDS && len <= LIMIT_KIB(2) ? malloc(len) : NULL;
        if (!copy)
                return -1;
        memcpy(copy, headers, len);
        c->kinds[c->n_kinds] = (struct kind){copy, len};
        return (int)c->n_kinds++;
}

/* The headers that `q` has so far, less its ETag, and its type. */
static int find_kind(struct poll_cache *c, struct request *q, const char *type, const char *etag)
{
        const char *all = http_answer_headers(q->x);
        const char *line = arena_printf(&q->arena, "ETag: %s\r\n", etag);
        const char *at = strstr(all, line);
        if (!at)
                return -1;
        const char *text = arena_printf(&q->arena, "%.*s%sContent-Type: %s\r\n", (int)(at - all),
                all, at + strlen(line), type);
        return kind_of(c, text, strlen(text));
}

static bool make_key_of(struct poll_cache *c, struct request *q, uint64_t ret[2])
{
        size_t len = 0;
        char head[MAX_HEAD];
        const char *raw = http_raw_head(q->x, &len);
        if (len >= MAX_HEAD || http_has_body(q->x) || strcmp(http_method(q->x), "GET") != 0 ||
                !http_is_current(q->x))
                return false;
        memcpy(head, raw, len);
        head[len] = '\n';
        struct http_quick r = {.head = head,
                .head_len = len + 1,
                .is_tls = http_is_tls(q->x),
                .peer = http_peer(q->x),
                .cn = http_peer_cn(q->x),
                .serial = http_peer_serial(q->x)};
        return make_key(c, &r, ret);
}

static struct entry *entry_new(
        const char *etag, size_t etag_len, const char *body, size_t len, struct request *q)
{
        struct entry *e = malloc(sizeof(*e) + etag_len + len);
        if (!e)
                return NULL;
        *e = (struct entry){.tenant = q->tx.tenant,
                .target = q->idle_target,
                .stamp = stamps_now(q->ota->polls->stamps, q->tx.tenant, q->idle_target),
                .body_len = (uint16_t)len,
                .etag_len = (uint8_t)etag_len,
                .closes = !http_keeps_alive(q->x),
                .depends_on_any = q->is_idle_by_filter};
        memcpy(e->data, etag, etag_len);
        memcpy(e->data + etag_len, body, len);
        return e;
}

void poll_cache_keep(struct poll_cache *c, struct request *q, const char *type, const char *etag,
        const char *body, size_t len)
{
        uint64_t key[2];
        size_t etag_len = strlen(etag);
        int kind = find_kind(c, q, type, etag);
        hear_others(c, q->ota);
        /* What another process wrote while this run was under way may or may not be in it. */
        if (q->foreign_changes != c->foreign_changes || q->tx.failure || q->is_never_kept ||
                kind < 0 || len > MAX_BODY || etag_len > ETAG_SIZE || !make_key_of(c, q, key))
                return;
        struct entry *e = entry_new(etag, etag_len, body, len, q);
        if (!e)
                return;
        e->kind = (uint8_t)kind;
        e->key[0] = key[0];
        e->key[1] = key[1];
        struct entry **link = find(c, key);
        if (*link)
                unlink_entry(c, link);
        e->next = *link;
        *link = e;
        c->n++;
        c->bytes += size_of(e);
        if (c->n > c->n_buckets)
                grow(c);
        make_room(c);
}
