/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What becomes of deployments after their run: asks the update server for each open one in turn and
 * writes state and counts into the ledger. A paused rollout stays open, since it can be resumed.
 */
#include "cloud/pipeline/run.h"

struct watch;

int watch_new(struct run_host *host, struct watch **ret_watch, struct err *err);
void watch_free(struct watch *w);
CLEAN_DEFINE(watch, watch_free);
/* Looks soon: there is a new deployment. */
void watch_wake(struct watch *w);
