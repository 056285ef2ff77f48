/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_peers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define N_BUCKETS 1024
/* Tokens are kept in thousandths, so that every ms brings a whole number of them. */
#define TOKEN 1000

struct http_peer {
        struct http_peer *next;
        uint8_t key[9]; /* family, then the address */
        bool is_spared;
        int n_connections;
        int64_t tokens[2]; /* writes, reads */
        int64_t filled_ms;
};

struct http_peers {
        struct http_limits limits;
        struct http_peer *buckets[N_BUCKETS];
};

struct http_peers *http_peers_new(const struct http_limits *limits)
{
        struct http_peers *p = calloc(1, sizeof(*p));
        if (p)
                p->limits = *limits;
        return p;
}

void http_peers_free(struct http_peers *p)
{
        for (size_t i = 0; p && i < N_BUCKETS; i++) {
                while (p->buckets[i]) {
                        struct http_peer *peer = p->buckets[i];
                        p->buckets[i] = peer->next;
                        free(peer);
                }
        }
        free(p);
}

static void make_key(const struct sockaddr *address, uint8_t key[9], bool *ret_is_loopback)
{
        memset(key, 0, 9);
        *ret_is_loopback = false;
        if (address->sa_family == AF_INET) {
                struct sockaddr_in in;
                memcpy(&in, address, sizeof(in));
                key[0] = 4;
                memcpy(key + 1, &in.sin_addr, 4);
                *ret_is_loopback = key[1] == 127;
        } else if (address->sa_family == AF_INET6) {
                struct sockaddr_in6 in;
                memcpy(&in, address, sizeof(in));
                bool is_mapped = IN6_IS_ADDR_V4MAPPED(&in.sin6_addr);
                key[0] = is_mapped ? 4 : 6;
                memcpy(key + 1, in.sin6_addr.s6_addr + (is_mapped ? 12 : 0), is_mapped ? 4 : 8);
                *ret_is_loopback = is_mapped ? key[1] == 127 : IN6_IS_ADDR_LOOPBACK(&in.sin6_addr);
        }
}

static struct http_peer **bucket_of(struct http_peers *p, const uint8_t key[9])
{
        uint32_t h = 2166136261u; /* FNV-1a */
        for (size_t i = 0; i < 9; i++)
                h = (h ^ key[i]) * 16777619u;
        return &p->buckets[h % N_BUCKETS];
}

struct http_peer *http_peers_enter(struct http_peers *p, const struct sockaddr *address)
{
        uint8_t key[9];
        bool is_loopback;
        make_key(address, key, &is_loopback);
        struct http_peer **bucket = bucket_of(p, key), *peer = *bucket;
        while (peer && memcmp(peer->key, key, sizeof(key)) != 0)
                peer = peer->next;
        if (!peer) {
                peer = calloc(1, sizeof(*peer));
                if (!peer)
                        return NULL;
                memcpy(peer->key, key, sizeof(key));
                peer->is_spared = is_loopback && p->limits.spares_loopback;
                peer->tokens[0] = (int64_t)p->limits.writes * TOKEN;
                peer->tokens[1] = (int64_t)p->limits.reads * TOKEN;
                peer->next = *bucket;
                *bucket = peer;
        }
        if (!peer->is_spared && p->limits.connections &&
                peer->n_connections >= p->limits.connections)
                return NULL;
        peer->n_connections++;
        return peer;
}

void http_peers_leave(struct http_peers *p, struct http_peer *peer, int64_t now_ms)
{
        (void)p;
        peer->n_connections--;
        if (peer->filled_ms == 0)
                peer->filled_ms = now_ms;
}

static void fill(const struct http_peers *p, struct http_peer *peer, int64_t now_ms)
{
        int64_t ms = now_ms - peer->filled_ms;
        const int rates[2] = {p->limits.writes, p->limits.reads};
        peer->filled_ms = now_ms;
        for (int i = 0; i < 2; i++) {
                int64_t room = (int64_t)rates[i] * TOKEN - peer->tokens[i];
                int64_t more = ms < TOKEN ? ms * rates[i] : room;
                peer->tokens[i] += more < room ? more : room;
        }
}

bool http_peer_may(struct http_peers *p, struct http_peer *peer, bool is_read, int64_t now_ms)
{
        int rate = is_read ? p->limits.reads : p->limits.writes;
        if (rate == 0 || peer->is_spared)
                return true;
        fill(p, peer, now_ms);
        if (peer->tokens[is_read] < TOKEN)
                return false;
        peer->tokens[is_read] -= TOKEN;
        return true;
}

void http_peers_tidy(struct http_peers *p, int64_t now_ms)
{
        for (size_t i = 0; i < N_BUCKETS; i++) {
                struct http_peer **link = &p->buckets[i];
                while (*link) {
                        struct http_peer *peer = *link;
                        if (peer->n_connections > 0 || now_ms - peer->filled_ms < TOKEN) {
                                link = &peer->next;
                                continue;
                        }
                        *link = peer->next;
                        free(peer);
                }
        }
}
