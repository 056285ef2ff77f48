/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Actions by the thousand: what action.h and deploy.h do to one, done to a page of them with a few
 * statements, so that a rollout over 100 000 targets takes seconds and no poll waits for it.
 *
 * A page is the oldest actions of one owner (a rollout, one of its groups, or a set) that stand in
 * one status. Each call takes one page of at most LIMIT_OTA_BULK_PAGE in the caller's transaction
 * and returns how many it took; 0 means that none is left. What is done shows in the actions' own
 * status, so that a server that was killed between two pages goes on with the next one. Whoever
 * calls says with tx_due() that there is more.
 */
#include "cloud/ota/action.h"

enum bulk_owner { BULK_OF_ROLLOUT, BULK_OF_GROUP, BULK_OF_SET };

/* Makes scheduled actions of a group, all of the set `ds`, their targets' business, as
 * deploy_scheduled() does. `confirm` and `why` as there. */
int64_t bulk_start(
        struct tx *tx, int64_t group, int64_t ds, int confirm, bool is_reinstall, const char *why);
/* Open actions are withdrawn with the devices' consent, as action_ask_cancel() does. */
int64_t bulk_ask_cancel(struct tx *tx, enum bulk_owner owner, int64_t id, const char *why);
/* Open actions are closed as canceled without asking, as action_canceled() does. */
int64_t bulk_cancel(struct tx *tx, enum bulk_owner owner, int64_t id, const char *why);
/* Scheduled actions go, with what was written about them. */
int64_t bulk_delete_scheduled(struct tx *tx, enum bulk_owner owner, int64_t id);
