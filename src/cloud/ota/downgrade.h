/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * With `driveline.downgrade.prevent` no device goes back: a set is refused for a target if one of
 * its modules is older (version.h) than the module of the same type and name that the target has
 * installed. Modules that only one of the two sets has say nothing.
 *
 * A person's assignment is refused as a whole (409), or passes with `allowDowngrade`. A rollout
 * goes on without such targets: their actions are closed as canceled, with the reason in the
 * history, and are counted as cancelled. So does an auto-assignment.
 */
#include "cloud/ota/deploy.h"
#include "cloud/ota/rollout.h"

/* Sets the problem and returns -1 if one of the orders would lead back. */
int downgrade_check(
        struct tx *tx, const struct dset *s, const struct deploy_order *orders, size_t n);
/* Writes down, as a canceled action, that the target doesn't get the set. False: it may have it. */
bool downgrade_skip(struct tx *tx, const struct dset *s, const struct deploy_order *o);
/* Closes those scheduled actions of a group that would lead back. Returns how many. */
int64_t downgrade_skip_group(struct tx *tx, const struct rollout *r, int64_t group);
