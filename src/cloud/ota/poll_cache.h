/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Answers to polls that had nothing to tell, so that the next same poll needs neither a database
 * nor a request to be made of it.
 *
 * A request is recognized by its head, byte for byte, and by who sent it (address, TLS,
 * certificate): whatever its answer could depend on is in there or moves a counter of stamps.h.
 * Kept is not the head but its hash under a secret key. Polls with an action, a random interval or
 * an interval that depends on the time are never kept. A client's certificate is asked for each
 * time. An entry is about 110 bytes and the body; at LIMIT_OTA_POLL_CACHE_BYTES the oldest places
 * are made free.
 */
#include "base/http_server.h"

#include <stdint.h>

struct ota;
struct request;
struct poll_cache;
struct stamps;

struct poll_cache *poll_cache_new(void);
void poll_cache_free(struct poll_cache *c);
/* What every unit of work has to tell its writes to. */
struct stamps *poll_cache_stamps(const struct poll_cache *c);
/* http_server_options.quick: `ota` is the server. */
size_t poll_cache_quick(void *ota, struct http_quick *r, char *out, size_t size);
/* Keeps the answer that goes out for `q` now, for its target q->idle_target. `etag` with its quotes
 * is in the answer's headers; `type` lives for ever. */
void poll_cache_keep(struct poll_cache *c, struct request *q, const char *type, const char *etag,
        const char *body, size_t len);
