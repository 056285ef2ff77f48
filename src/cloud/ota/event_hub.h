/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Hands events (events.h) on: to open event streams, and to web-hooks.
 *
 * Both read the table, so that nothing is handed on before it is committed, and nothing of it is
 * lost when the process ends: a stream's client says by Last-Event-ID where it was, a hook's row
 * says what it has been sent. A look at the table follows each commit that wrote events, and every
 * half second for those that other processes wrote and for retries.
 *
 * Stream: `id:`, `event:` and `data:` lines; a comment each 15 s; `event: gap` when the place where
 * the client was is no longer kept. A client that reads too slowly is cut off; after an hour each
 * is, so that permissions are looked at again.
 *
 * Hook: up to LIMIT_OTA_HOOK_BATCH events in one POST, `{"hook": 3, "events": [{"id", "type", "at",
 * "data"}…]}`, signed: `X-Driveline-Signature: sha256=<HMAC-SHA256 of the body by the hook's
 * secret, hex>`. Any 2xx within 10 s is success. Else the same is sent again after 1 s, 2 s, 4 s …
 * 5 min; so an event may come twice, which its id tells. One request at a time is under way for a
 * hook. A hook that has failed for `driveline.webhook.giveup` is disabled, with the reason.
 * Redirects are failures, and what the answer says beyond its status is not read.
 */
#include "base/err.h"
#include "base/http_server.h"

#include <stdint.h>

struct ota;
struct event_hub;

int event_hub_new(struct ota *o, struct event_hub **ret_hub, struct err *err);
void event_hub_free(struct event_hub *h);
/* Events were committed. Safe with NULL. */
void event_hub_wake(struct event_hub *h);

struct event_stream_order {
        int64_t tenant, after; /* the last event that the client has */
        bool has_gap;          /* what came next is no longer kept */
        uint64_t permissions;
        const char *types; /* as for event_fits(); copied */
};
/* Answers the exchange with a stream; -EAGAIN: too many are open. */
int event_hub_stream(
        struct event_hub *h, struct http_exchange *x, const struct event_stream_order *order);
