/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * When targets polled last, held in memory until a batch is written: a poll that changes nothing
 * else costs no write. What a crash loses is about twice SEEN_FLUSH_MS of these times and nothing else.
 *
 * There are two batches: one takes new times, the other is written, a little at every tick, so that
 * no poll waits for thousands of rows. Who reads these times calls seen_flush() before.
 */
#include <stdint.h>

#define SEEN_TICK_MS 100
#define SEEN_FLUSH_MS 2500
#define SEEN_MAX 65536 /* targets in a batch; then the next tick writes all */

struct ota;
struct seen;

struct seen *seen_new(void);
void seen_free(struct seen *s);
/* O(1), also for a target that is noted already. */
void seen_note(struct seen *s, int64_t target, int64_t at);
/* Every SEEN_TICK_MS; not within a transaction. */
void seen_tick(struct seen *s, struct ota *o);
/* Writes all of it. */
void seen_flush(struct seen *s, struct ota *o);
