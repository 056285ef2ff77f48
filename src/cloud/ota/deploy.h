/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Assignment: a set becomes what a target should have.
 *
 * A new action supersedes the target's open ones (unless their set is a migration step): they are
 * withdrawn, with or without asking the device. A target that has the set assigned already gets no
 * new action. Offline assignment only writes down what somebody installed by hand.
 */
#include "cloud/ota/action.h"
#include "cloud/ota/set.h"

/* What the history says of superseded actions and of confirmation. */
#define OBSOLETE_CANCEL "Update Server: cancel obsolete action due to new update"
#define OBSOLETE_CLOSE "Update Server: close obsolete action due to new update"
#define WAITING_TEXT                                                                               \
        "Waiting for the confirmation by the device before processing with the deployment"
const char *confirmed_text(struct tx *tx);

struct deploy_order {
        struct target target;
        enum action_type type;
        int64_t forced_time, weight;
        const char *schedule, *duration, *timezone; /* NULL: no maintenance window */
        int confirm;           /* -1: as the tenant has it; 0: passes by itself; 1: waits */
        bool is_reinstall;     /* also if the target has the set assigned already */
        bool allows_downgrade; /* see downgrade.h */
};

/* Assigns and returns the new action; 0: the target has the set already, or a problem is set.
 * `why` is the first line of the action's history. */
int64_t deploy_online(
        struct tx *tx, const struct dset *s, const struct deploy_order *o, const char *why);
/* Writes down that the target has it. 0: it has it already, or another one is under way. */
int64_t deploy_offline(struct tx *tx, const struct dset *s, const struct target *t);
/* Makes a scheduled action of a rollout the target's business. Returns false if the target has the
 * set already (and is not to install it again): the action is finished then. */
bool deploy_scheduled(
        struct tx *tx, struct action *a, int confirm, bool is_reinstall, const char *why);
/* Withdraws the target's other open and scheduled actions. */
void deploy_supersede(struct tx *tx, int64_t target, int64_t except);
/* From now on the target's actions pass without being asked for, and those that wait pass at once.
 * Sets a problem and returns -1 if that is on already. */
int auto_confirm_activate(
        struct tx *tx, const struct target *t, const char *initiator, const char *remark);
void auto_confirm_deactivate(struct tx *tx, const struct target *t);
/* Opens what waits for this target's confirmation. */
void deploy_confirm_waiting(struct tx *tx, const struct target *t);
void deploy_confirm(struct tx *tx, struct action *a, bool is_confirmed, int64_t code,
        const struct messages *details);
/* No target of a type that doesn't take the set. Sets a problem and returns -1. */
int deploy_check_types(
        struct tx *tx, const struct dset *s, const struct deploy_order *orders, size_t n);
