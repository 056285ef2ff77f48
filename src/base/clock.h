/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* Time: wall-clock in ms since 1970-01-01 UTC, monotonic in ms, and ISO 8601 text. */
#include <stdint.h>

#define CLOCK_ISO8601_SIZE 32

int64_t clock_now_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Writes `2026-11-22T19:00:00.000Z`. */
void clock_iso8601(int64_t ms, char text[CLOCK_ISO8601_SIZE]);

/* Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)` (RFC 3339; a blank for the T and no zone, which
 * means UTC, are taken too). Digits beyond the millisecond are dropped. -EINVAL for anything else.
 */
int clock_parse_iso8601(const char *text, int64_t *ret_ms);

/* Reads a duration `90`, `90s`, `15m`, `12h`, `7d` or `250ms`; a bare number is seconds. -EINVAL.
 */
int clock_parse_duration_ms(const char *text, int64_t *ret_ms);
