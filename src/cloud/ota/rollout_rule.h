/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What a rollout may be told beyond hawkBit: optional members of its body, and of its groups'.
 *
 *   startWindow        {schedule, duration, timezone}: groups start (and a dynamic group takes
 *                      targets in) only while it is open. A group's own counts before the
 * rollout's. maintenanceWindow  the same members, handed down to the actions: devices install only
 * then actionTimeout      in place of `driveline.action.timeout` (rollout only) allowDowngrade in
 * spite of `driveline.downgrade.prevent` (rollout only) reinstall          also where the set is
 * assigned already (rollout only)
 *
 * A row exists only where one of them was given. Persons are not bound by a start window:
 * triggerNextGroup starts at once. A resumption is no such order: the next group waits for its
 * window.
 */
#include "cloud/ota/rollout.h"
#include "cloud/ota/shape.h"

struct rule_window {
        const char *schedule, *duration, *timezone; /* NULL: none */
};

struct rollout_rule {
        struct rule_window start, maintenance;
        const char *timeout; /* NULL: as the tenant has it */
        bool allows_downgrade, is_reinstall;
};

/* Members for the shapes of a rollout's body and of a group's. */
extern const struct shape rule_window_members[];
#define RULE_WINDOW_SHAPES                                                                         \
        {.name = "startWindow", .type = SHAPE_OBJECT, .sub = rule_window_members},                 \
        {                                                                                          \
                .name = "maintenanceWindow", .type = SHAPE_OBJECT, .sub = rule_window_members      \
        }
#define RULE_SHAPES                                                                                \
        RULE_WINDOW_SHAPES, {.name = "actionTimeout", .type = SHAPE_TEXT, .max = 32},              \
                {.name = "allowDowngrade", .type = SHAPE_BOOL},                                    \
        {                                                                                          \
                .name = "reinstall", .type = SHAPE_BOOL                                            \
        }

/* Stores what `body` has of it; `group` 0: for the whole rollout. Sets a problem and returns -1 if
 * a window or a duration is none. */
int rollout_rule_put(struct tx *tx, int64_t rollout, int64_t group, const json_t *body);
/* False (and an empty rule) if nothing was given. */
bool rollout_rule_get(struct tx *tx, int64_t rollout, int64_t group, struct rollout_rule *ret);
/* Adds the members that are set. */
void rollout_rule_show(struct tx *tx, json_t *j, int64_t rollout, int64_t group);

/* The start window of the group (or the rollout's): true if it is open or there is none; else
 * *ret_opens_at is when it opens, 0 if it never does. */
bool rollout_may_start(struct tx *tx, int64_t rollout, int64_t group, int64_t *ret_opens_at);
/* A person resumed the rollout and the next group waits for its window. */
void rollout_want_next(struct tx *tx, int64_t rollout, bool wants);
bool rollout_wants_next(struct tx *tx, int64_t rollout);
/* Gives the scheduled actions of a rollout their maintenance windows. */
void rollout_hand_down_windows(struct tx *tx, int64_t rollout);
