/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What each address may do at once: open connections and requests a second.
 *
 * An address is an IPv4 address or the /64 of an IPv6 one (a customer gets that many). It has an
 * entry while it has a connection and until its second is over; so there are never many more
 * entries than connections. Requests are counted by two buckets of tokens, one for reads and one
 * for writes, which hold one second's worth and fill again with time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct http_limits {
        int connections;      /* open at once; 0: any number */
        int reads, writes;    /* requests a second (GET and HEAD, all others); 0: any number */
        bool spares_loopback; /* our own machine may do what it likes */
};

struct http_peers;
struct http_peer;

struct http_peers *http_peers_new(const struct http_limits *limits);
void http_peers_free(struct http_peers *p);
/* A new connection from there; NULL: it has too many, or there is no memory. */
struct http_peer *http_peers_enter(struct http_peers *p, const struct sockaddr *address);
void http_peers_leave(struct http_peers *p, struct http_peer *peer, int64_t now_ms);
/* Takes a token; false: none is left. */
bool http_peer_may(struct http_peers *p, struct http_peer *peer, bool is_read, int64_t now_ms);
/* Drops entries without connections whose buckets are full again. */
void http_peers_tidy(struct http_peers *p, int64_t now_ms);
