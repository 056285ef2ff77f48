/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Maintenance windows: a Quartz schedule (`second minute hour day-of-month month day-of-week
 * [year]`), a duration `HH:mm:ss` and an offset from UTC. Pure functions of text and time.
 *
 * Fields take `*`, `?`, lists, ranges, steps and names; days of the month `L`, `LW` and `15W`, days
 * of the week `6L` and `6#3` (1 is Sunday).
 */
#include <stdint.h>

struct cron_window {
        int64_t start, end; /* ms since 1970 */
};

/* The window that is open at `now` or else the next one. 0; -EINVAL: a part is malformed; -ENOENT:
 * no window is left. */
int cron_window_at(const char *schedule, const char *duration, const char *timezone, int64_t now,
        struct cron_window *ret);
