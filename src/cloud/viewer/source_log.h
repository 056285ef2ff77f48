/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The viewer's window to the log files of the cloud's parts (CLOUD_LOG_DIR, one `part.log` each):
 * the end of one or of all of them in the order of time, and what was written since the last look.
 * A line is {"part", "text"}; bytes that are no UTF-8 are replaced.
 */
#include "base/clean.h"
#include "base/err.h"
#include "base/json.h"
#include <stdint.h>

struct cloud_config;
struct source_log;

int source_log_new(
        const struct cloud_config *config, struct source_log **ret_source, struct err *err);
void source_log_free(struct source_log *s);
CLEAN_DEFINE(source_log, source_log_free);

/* {"parts": […], "lines": […]}: the last `max` lines of `part`, NULL: of all. NULL with `err`. */
json_t *source_log_tail(struct source_log *s, const char *part, size_t max, struct err *err);
/* Changes when something was written. */
uint64_t source_log_generation(struct source_log *s);
/* {"lines": […]}: what was written since the last call; the first call only takes the position. */
json_t *source_log_news(struct source_log *s);
/* The last `max` lines of any file, as an array of texts; for a run's log. NULL with `err`. */
json_t *source_log_file(const char *path, size_t max, struct err *err);
