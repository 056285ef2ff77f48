/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* The viewer's window to the pipelines: what they are, their runs, logs and what a run waits for.
 */
#include "base/clean.h"
#include "base/err.h"
#include "base/json.h"
#include <stddef.h>
#include <stdint.h>

struct cloud_config;

/* {"pipelines": […], "runs": […]}, newest run first; members as of pipeline.h. NULL with `err`. */
json_t *source_pipeline_read(const struct cloud_config *config, struct err *err);
/* Changes when the ledger was written. */
uint64_t source_pipeline_generation(const struct cloud_config *config);
/* {"run": {…}, "why": text, "log": [{"part": "", "text"}…]}; `stage` NULL: the latest with a log.
 */
json_t *source_pipeline_run(
        const struct cloud_config *config, int64_t run, const char *stage, struct err *err);
