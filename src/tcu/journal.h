/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * update.log: what an auditor asks later, one line for each start of the agent and for each update:
 *
 *   2026-11-22T19:00:00.000Z boot slot=a version=1.0.0 success
 *   2026-11-22T19:05:10.120Z update action=3 slot=b from=1.0.0 to=1.1.0 success
 *   2026-11-22T19:09:41.007Z update action=4 slot=a from=1.1.0 to=1.2.0 rolled_back: the app …
 *
 * A boot's line is written when its app has sent its first telemetry, or has failed before it did.
 * At JOURNAL_MAX_BYTES the file becomes update.log.1 and a new one begins, so two files bound it.
 */
#include "base/err.h"

#define JOURNAL_MAX_BYTES (256 * 1024)

/* Appends a line with the time before it; each is synced, since it is rare and must be there after
 * the crash that it may explain. `dir` is the agent's folder. */
int journal_write(const char *dir, struct err *err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
