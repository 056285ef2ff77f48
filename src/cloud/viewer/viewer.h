/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The viewer: one page that shows the fleet, a car's signals with its updates, rollouts, pipeline
 * runs and the log, and the JSON interface that the page uses (docs/viewer.md).
 *
 * It only reads: the stream (live), the store (history), the update server's and the pipeline's
 * state, the log files. It writes nothing, takes no lock and needs no password, so it answers on
 * loopback only and to loopback's names only. History and live data meet without a gap or an
 * overlap, because both are counted in the stream's offsets.
 */
#include "base/err.h"

struct cloud_config;

/* Serves config->viewer_listen until SIGTERM or SIGINT; returns 0 then. */
int viewer_serve(const struct cloud_config *config, struct err *err);
