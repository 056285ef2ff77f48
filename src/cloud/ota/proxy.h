/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Reverse proxies before the server: whose headers are believed, and what they say.
 *
 * Headers that name a device or the address that a client used can be written by anybody, so they
 * count only from peers that the operator named (addresses or networks). What they hold is still
 * checked: it becomes part of links.
 */
#include "base/err.h"
#include "cloud/ota/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_MAX_NETWORKS 64
#define PROXY_LOOPBACK "127.0.0.0/8,::1"

struct proxy_list {
        struct proxy_network {
                uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
                int bits;
        } networks[PROXY_MAX_NETWORKS];
        size_t n;
};

/* Adds `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`, several with commas between them. */
int proxy_list_add(struct proxy_list *l, const char *text, struct err *err);
/* `peer`: a numeric address. */
bool proxy_list_has(const struct proxy_list *l, const char *peer);

/* What the client asked for before the proxy; NULL: not said, or not believable. */
struct forwarded {
        const char *scheme; /* http or https */
        const char *host;   /* with its port, if it has one */
        const char *port;
        const char *prefix; /* of the path: "/ota", no slash at its end */
        const char *client; /* numeric address */
};

/* The header's first element (RFC 7239) for scheme and host, its last for the client: what was
 * written by the proxy next to us. False, and `ret` all NULL, if the header is malformed. */
bool forwarded_parse(const char *header, struct arena *a, struct forwarded *ret);
/* The same from X-Forwarded-Proto, -Host, -Port, -Prefix and -For; each may be NULL. */
void forwarded_from_x(const char *scheme, const char *host, const char *port, const char *prefix,
        const char *client, struct arena *a, struct forwarded *ret);
/* `scheme://host[:port][/prefix]`; what `f` doesn't say is as the request has it. */
const char *forwarded_origin(
        const struct forwarded *f, const char *scheme, const char *host, struct arena *a);
