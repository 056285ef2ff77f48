/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * How often devices ask: the tenant's `pollingTime`, which is an interval and then overrides,
 * `00:05:00, group==lab -> 00:00:30~10%`; the first whose filter matches the target counts.
 */
#include "cloud/ota/tx.h"

/* Bounds of every interval that a tenant sets, and of the accelerated polls before a maintenance
 * window. */
#define POLLING_MIN_MS 30000
#define POLLING_MAX_MS 86399000
#define POLLING_TEXT_SIZE 32

/* `HH:mm:ss`, `mm:ss`, `ss` or an ISO-8601 duration; may be negative. -EINVAL. */
int polling_parse_interval(const char *text, int64_t *ret_ms);
/* Sets a problem and returns -1 if `text` is no valid pollingTime. */
int polling_check(struct tx *tx, const char *text);
int64_t polling_default_ms(struct tx *tx);
/* The interval for a target, and how far a device's may be off it (percent; 0 mostly). */
int64_t polling_interval_ms(struct tx *tx, int64_t target, int *ret_deviation);
/* A random interval within the deviation. */
int64_t polling_spread(int64_t ms, int deviation);
/* As devices read it: HH:mm:ss, from one day on an ISO-8601 duration. */
void polling_format(int64_t ms, char text[POLLING_TEXT_SIZE]);
