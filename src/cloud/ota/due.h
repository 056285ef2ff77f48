/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the server goes on with by itself as soon as it can, not at the scheduler's next round:
 * rollouts, filters and sets that tx_due() named, each once, with the moment from when on.
 *
 * One turn of the event loop takes one of them, for one pass, so that requests come in between.
 * What doesn't fit, and what a crash forgets, the scheduler's next round finds in the database.
 */
#include "cloud/ota/tx.h"

#include <event2/event.h>

struct due;
typedef void due_callback(void *arg, enum due_kind kind, int64_t id, int64_t tenant);

/* NULL: out of memory. */
struct due *due_new(struct event_base *base, due_callback *callback, void *arg);
void due_free(struct due *d);
/* One that is there already comes at the sooner of both moments. */
void due_add(struct due *d, enum due_kind kind, int64_t id, int64_t tenant, int64_t delay_ms);
