/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/poll_cache.h"

#include "base/hash.h"
#include "base/limits.h"
#include "cloud/ota/request.h"
#include "cloud/ota/seen.h"

#include <stdlib.h>
#include <string.h>

#define N_BUCKETS 8192

struct entry {
        struct entry *next;
        uint64_t hash;
        uint64_t revision;
        int64_t target;
        enum media media;
        char etag[HASH_MD5_HEX_SIZE + 8];
        size_t key_len, body_len;
        char data[]; /* the key, then the body and a NUL */
};

struct poll_cache {
        struct entry *buckets[N_BUCKETS];
        size_t n;
};

struct poll_cache *poll_cache_new(void)
{
        return calloc(1, sizeof(struct poll_cache));
}

static void clear(struct poll_cache *c)
{
        for (size_t i = 0; i < N_BUCKETS; i++) {
                while (c->buckets[i]) {
                        struct entry *e = c->buckets[i];
                        c->buckets[i] = e->next;
                        free(e);
                }
        }
        c->n = 0;
}

void poll_cache_free(struct poll_cache *c)
{
        if (!c)
                return;
        clear(c);
        free(c);
}

/* Everything in a request that its answer could depend on; false: such a request is not for us. */
static bool make_key(struct request *q, struct buf *key)
{
        static const char *const without[] = {"If-None-Match", "X-Controller-Id", "X-Authority",
                "X-Authority-0", "X-Authority-1", "X-Ssl-Client-Cn"};
        static const char *const with[] = {"Host", "Authorization", "Accept", "X-Forwarded-For",
                "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
                "Forwarded"};
        const char *name = http_peer_cn(q->x);
        if (http_query(q->x) || strcmp(http_method(q->x), "GET") != 0)
                return false;
        for (size_t i = 0; i < N_ELEMENTS(without); i++) {
                if (http_header(q->x, without[i]))
                        return false;
        }
        buf_addf(key, "%s\n%s\n%s\n%d", q->path, http_peer(q->x), name ? name : "",
                http_is_tls(q->x));
        for (size_t i = 0; i < N_ELEMENTS(with); i++) {
                const char *value = http_header(q->x, with[i]);
                buf_addf(key, "\n%c%s", value ? '+' : '-', value ? value : "");
        }
        return !key->error;
}

static uint64_t hash_of(const struct buf *key)
{
        uint64_t h = 1469598103934665603u; /* FNV-1a */
        for (size_t i = 0; i < key->len; i++)
                h = (h ^ (unsigned char)key->data[i]) * 1099511628211u;
        return h;
}

static struct entry **find(struct poll_cache *c, const struct buf *key, uint64_t hash)
{
        struct entry **link = &c->buckets[hash % N_BUCKETS];
        while (*link && ((*link)->hash != hash || (*link)->key_len != key->len ||
                                memcmp((*link)->data, key->data, key->len) != 0))
                link = &(*link)->next;
        return link;
}

bool poll_cache_answer(struct poll_cache *c, struct request *q)
{
        CLEAN_BUF struct buf key = BUF_INIT(LIMIT_HTTP_HEADER_BYTES);
        if (c->n == 0 || !make_key(q, &key))
                return false;
        struct entry *e = *find(c, &key, hash_of(&key));
        if (!e || e->revision != tx_revision(&q->tx))
                return false;
        seen_note(q->ota->seen, e->target, q->tx.now);
        q->status = 200;
        q->text = arena_strndup(&q->arena, e->data + e->key_len, e->body_len);
        q->text_length = e->body_len;
        q->text_type = media_type(e->media);
        q->etag = arena_strdup(&q->arena, e->etag);
        return true;
}

static struct entry *entry_new(const struct buf *key, uint64_t hash, const struct buf *body)
{
        struct entry *e = malloc(sizeof(*e) + key->len + body->len + 1);
        char md5[HASH_MD5_HEX_SIZE];
        if (!e)
                return NULL;
        *e = (struct entry){.hash = hash, .key_len = key->len, .body_len = body->len};
        memcpy(e->data, key->data, key->len);
        memcpy(e->data + key->len, body->data, body->len + 1);
        hash_md5_hex(body->data, body->len, md5);
        snprintf(e->etag, sizeof(e->etag), "\"0%s\"", md5);
        return e;
}

void poll_cache_keep(struct poll_cache *c, struct request *q, int64_t target)
{
        CLEAN_BUF struct buf key = BUF_INIT(LIMIT_HTTP_HEADER_BYTES);
        CLEAN_BUF struct buf body = BUF_INIT(LIMIT_KIB(16));
        if (q->tx.failure || q->is_never_kept || q->media == MEDIA_CBOR || !make_key(q, &key) ||
                json_append(&body, q->reply) < 0)
                return;
        uint64_t hash = hash_of(&key);
        struct entry **link = find(c, &key, hash);
        struct entry *old = *link, *e = entry_new(&key, hash, &body);
        if (!e)
                return;
        e->revision = tx_revision(&q->tx);
        e->target = target;
        e->media = q->media;
        e->next = old ? old->next : NULL;
        *link = e;
        free(old);
        c->n += !old;
        if (c->n > POLL_CACHE_MAX)
                clear(c);
}
