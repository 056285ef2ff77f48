/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/broker/gate.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_BUCKETS 64
#define LOG_EVERY_MS 1000

struct session {
        struct session *next;
        const void *client;
        char id[LIMIT_THING_NAME_BYTES + 1];
        char serial[REGISTRY_SERIAL_SIZE];
        const struct access_certificate *certificate; /* NULL: not in the snapshot any more */
        bool ended;
        int64_t logged_at_ms;
        unsigned hidden;
};

struct gate {
        char *path;
        struct stat seen; /* the file that the last try was about */
        struct access *access;
        struct session **buckets;
        size_t n_buckets; /* a power of two */
        size_t n_sessions;
};

/* ── the snapshot ── */

static bool same_file(const struct stat *a, const struct stat *b)
{
        return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void adopt(struct gate *g, struct access *access)
{
        for (size_t i = 0; i < g->n_buckets; i++)
                for (struct session *s = g->buckets[i]; s; s = s->next)
                        s->certificate = access_find(access, s->serial);
        access_free(g->access);
        g->access = access;
}

int gate_reload(struct gate *g, struct err *err)
{
        struct stat st;
        if (stat(g->path, &st) < 0) {
                bool known_missing = !g->seen.st_ino;
                int code = -errno;
                g->seen = (struct stat){0};
                return known_missing && g->access
                               ? GATE_UNCHANGED
                               : err_errno(err, code, "cannot read '%s'", g->path);
        }
        if (g->access && same_file(&st, &g->seen))
                return GATE_UNCHANGED;
        g->seen = st;
        struct access *access = NULL;
        int r = access_load(g->path, &access, err);
        if (r < 0)
                return r;
        adopt(g, access);
        return 0;
}

int gate_new(const char *access_path, struct gate **ret_gate, struct err *err)
{
        CLEAN(gate) struct gate *g = calloc(1, sizeof(*g));
        if (!g)
                return err_set(err, -ENOMEM, "out of memory");
        g->path = strdup(access_path);
        g->n_buckets = FIRST_BUCKETS;
        g->buckets = calloc(g->n_buckets, sizeof(struct session *));
        if (!g->path || !g->buckets)
                return err_set(err, -ENOMEM, "out of memory");
        int r = gate_reload(g, err);
        if (r < 0)
                return r;
        *ret_gate = TAKE(g);
        return 0;
}

void gate_free(struct gate *g)
{
        if (!g)
                return;
        for (size_t i = 0; g->buckets && i < g->n_buckets; i++)
                for (struct session *s = g->buckets[i], *next; s; s = next) {
                        next = s->next;
                        free(s);
                }
        free(g->buckets);
        access_free(g->access);
        free(g->path);
        free(g);
}

/* ── the sessions ── */

static struct session **bucket(struct session **buckets, size_t n, const void *client)
{
        /* Fibonacci hashing: addresses differ in their middle bits, the product in its upper ones.
         */
        uint64_t h = (uint64_t)(uintptr_t)client * UINT64_C(0x9e3779b97f4a7c15);
        return &buckets[(h >> 32) & (n - 1)];
}

static struct session *find(const struct gate *g, const void *client)
{
        struct session *s = *bucket(g->buckets, g->n_buckets, client);
        while (s && s->client != client)
                s = s->next;
        return s;
}

/* Without memory the table stays as it is, only slower. */
static void grow(struct gate *g)
{
        size_t n = g->n_buckets * 2;
        struct session **buckets = calloc(n, sizeof(struct session *));
        if (!buckets)
                return;
        for (size_t i = 0; i < g->n_buckets; i++)
                for (struct session *s = g->buckets[i], *next; s; s = next) {
                        next = s->next;
                        struct session **to = bucket(buckets, n, s->client);
                        s->next = *to;
                        *to = s;
                }
        free(g->buckets);
        g->buckets = buckets;
        g->n_buckets = n;
}

void gate_disconnect(struct gate *g, const void *client)
{
        for (struct session **p = bucket(g->buckets, g->n_buckets, client); *p; p = &(*p)->next)
                if ((*p)->client == client) {
                        struct session *gone = *p;
                        *p = gone->next;
                        free(gone);
                        g->n_sessions--;
                        return;
                }
}

static int add_session(struct gate *g, const void *client, const char *id, const char *serial,
        const struct access_certificate *certificate, struct err *err)
{
        gate_disconnect(g, client); /* the broker may use an address again */
        if (g->n_sessions >= g->n_buckets)
                grow(g);
        struct session *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->client = client;
        snprintf(s->id, sizeof(s->id), "%s", id);
        snprintf(s->serial, sizeof(s->serial), "%s", serial);
        s->certificate = certificate;
        struct session **to = bucket(g->buckets, g->n_buckets, client);
        s->next = *to;
        *to = s;
        g->n_sessions++;
        return 0;
}

int gate_connect(struct gate *g, const void *client, const char *common_name, const char *serial,
        const char *client_id, int64_t now_ms, struct err *err)
{
        if (!client_id || strcmp(common_name, client_id) ||
                strlen(client_id) > LIMIT_THING_NAME_BYTES)
                return err_set(err, -EACCES,
                        "client id '%.100s' is not the certificate's name '%s'",
                        client_id ? client_id : "", common_name);
        const struct access_certificate *c = access_find(g->access, serial);
        if (!c || strcmp(access_thing(c), common_name))
                return err_set(err, -EACCES, "certificate %s of '%s' is not registered", serial,
                        common_name);
        if (!access_is_active(c, now_ms))
                return err_set(
                        err, -EACCES, "certificate %s of '%s' is not active", serial, common_name);
        if (!access_allows(c, POLICY_CONNECT, client_id, client_id, NULL))
                return err_set(err, -EACCES, "no policy lets '%s' connect", common_name);
        return add_session(g, client, client_id, serial, c, err);
}

/* ── what they may do ── */

static bool is_reserved(enum policy_action action, const char *topic)
{
        if (*topic != '$')
                return false;
        if (action != POLICY_SUBSCRIBE || strncmp(topic, "$share/", 7))
                return true;
        const char *filter = strchr(topic + 7, '/');
        return !filter || filter[1] == '$';
}

bool gate_allows(struct gate *g, const void *client, const char *client_id,
        enum policy_action action, const char *topic, int64_t now_ms)
{
        if (!client_id || is_reserved(action, topic))
                return false;
        const struct session *s = find(g, client);
        const struct access_certificate *c =
                s ? s->certificate : access_find_thing(g->access, client_id, now_ms);
        return c && access_is_active(c, now_ms) && access_allows(c, action, topic, client_id, NULL);
}

bool gate_should_log(struct gate *g, const void *client, int64_t now_ms, unsigned *ret_hidden)
{
        struct session *s = find(g, client);
        *ret_hidden = s ? s->hidden : 0;
        if (!s)
                return true;
        if (s->logged_at_ms && now_ms - s->logged_at_ms < LOG_EVERY_MS) {
                s->hidden++;
                return false;
        }
        s->logged_at_ms = now_ms;
        s->hidden = 0;
        return true;
}

bool gate_next_dead(struct gate *g, int64_t now_ms, char client_id[LIMIT_THING_NAME_BYTES + 1])
{
        for (size_t i = 0; i < g->n_buckets; i++)
                for (struct session *s = g->buckets[i]; s; s = s->next) {
                        if (s->ended ||
                                (s->certificate && access_is_active(s->certificate, now_ms)))
                                continue;
                        s->ended = true;
                        memcpy(client_id, s->id, sizeof(s->id));
                        return true;
                }
        return false;
}

size_t gate_sessions(const struct gate *g)
{
        return g->n_sessions;
}

size_t gate_certificates(const struct gate *g)
{
        return access_count(g->access);
}
