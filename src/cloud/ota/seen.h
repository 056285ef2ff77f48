/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * When targets polled last, held in memory until a batch is written: a poll that changes nothing
 * else costs no write. What a crash loses is at most SEEN_FLUSH_MS of these times and nothing else.
 */
#include <stdbool.h>
#include <stdint.h>

#define SEEN_FLUSH_MS 5000
#define SEEN_MAX 10000 /* then the batch is written after the request */

struct ota;
struct seen;

struct seen *seen_new(void);
void seen_free(struct seen *s);
void seen_note(struct seen *s, int64_t target, int64_t at);
/* Time to write; not within a transaction. */
bool seen_is_full(const struct seen *s);
void seen_flush(struct seen *s, struct ota *o);
