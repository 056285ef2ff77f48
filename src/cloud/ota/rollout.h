/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A rollout: one set for the targets of a query, group after group.
 *
 *   creating → ready → starting → running → finished
 *   creating → waiting_for_approval → ready | approval_denied
 *   running ⇄ paused
 *   almost any → stopping → stopped
 *   any → deleting → deleted, or gone
 * Groups: creating → ready → scheduled → running → finished | error.
 *
 * A person's request only changes the state where that is allowed; the scheduler does the work in
 * passes (rollout_pass), each one transaction over a page of targets: it fills the groups, makes
 * the actions, starts groups, compares the reports with the thresholds and goes on, pauses or ends.
 * How far it has come is to be seen in the rows themselves, so that a killed server goes on there.
 * The error threshold is looked at before the success threshold; a group that stands in error isn't
 * looked at again. A dynamic rollout opens group after group for targets that come later and never
 * ends by itself.
 */
#include "cloud/ota/action.h"
#include "cloud/ota/filter.h"

enum rollout_status {
        ROLLOUT_CREATING,
        ROLLOUT_READY,
        ROLLOUT_PAUSED,
        ROLLOUT_STARTING,
        ROLLOUT_STOPPED,
        ROLLOUT_RUNNING,
        ROLLOUT_FINISHED,
        ROLLOUT_DELETING,
        ROLLOUT_DELETED,
        ROLLOUT_WAITING_FOR_APPROVAL,
        ROLLOUT_APPROVAL_DENIED,
        ROLLOUT_STOPPING,
};
extern const char *const rollout_status_words[];

enum group_status {
        GROUP_READY,
        GROUP_SCHEDULED,
        GROUP_FINISHED,
        GROUP_ERROR,
        GROUP_RUNNING,
        GROUP_CREATING
};
extern const char *const group_status_words[];

enum group_action { GROUP_NEXT, GROUP_PAUSE };
extern const char *const success_action_words[], *const error_action_words[],
                                                         *const condition_words[];

struct rollout {
        int64_t id, ds;
        const char *name, *description, *query;
        enum rollout_status status;
        enum action_type type;
        int64_t forced_time, start_at, weight; /* start_at -1: by hand */
        bool is_dynamic, is_deleted, is_self_approved;
        const char *dynamic_suffix; /* NULL: no template */
        int64_t dynamic_count;
        int confirm; /* -1: as the tenant has it */
        int64_t created_before, total_targets, filled_at;
        const char *approval_remark, *decided_by, *started_by, *created_by;
};
#define ROLLOUT_COLUMNS                                                                            \
        "r.id, r.ds, r.name, r.description, r.query, r.status, r.type, r.forced_time, "            \
        "r.start_at, "                                                                             \
        "r.weight, r.dynamic, r.deleted, r.is_self_approved, r.dynamic_suffix, r.dynamic_count, "  \
        "r.confirm, r.created_before, r.total_targets, r.filled_at, r.approval_remark, "           \
        "r.decided_by, "                                                                           \
        "r.started_by, r.created_by, r.created_at, r.modified_by, r.modified_at"
#define ROLLOUT_AUDIT_COLUMN 22

struct group {
        int64_t id, rollout;
        const char *name, *description, *query;
        enum group_status status;
        double percentage;
        const char *success_condition, *success_expression; /* expressions: NULL in actions only */
        enum group_action success_action;
        const char *error_condition, *error_expression;
        int confirm;
        bool is_dynamic;
        int64_t total_targets;
        bool has_fired; /* its success action is done */
};
#define GROUP_COLUMNS                                                                              \
        "g.id, g.rollout, g.name, g.description, g.query, g.status, g.percentage, "                \
        "g.success_condition, "                                                                    \
        "g.success_action_expr, g.success_action, g.error_condition, g.error_action_expr, "        \
        "g.confirm, "                                                                              \
        "g.dynamic, g.total_targets, g.success_fired, g.created_by, g.created_at, g.modified_by, " \
        "g.modified_at"
#define GROUP_AUDIT_COLUMN 16

void rollout_read(struct sql_rows *r, struct rollout *ret);
bool rollout_find(struct tx *tx, int64_t id, struct rollout *ret);
int rollout_require(struct tx *tx, int64_t id, struct rollout *ret);
void group_read(struct sql_rows *r, struct group *ret);
void rollout_set_status(struct tx *tx, struct rollout *r, enum rollout_status status);
void group_set_status(struct tx *tx, int64_t group, enum group_status status);
/* The first group in a state, after the group `after`. */
bool group_find(struct tx *tx, const struct rollout *r, enum group_status status, int64_t after,
        struct group *ret);

/* How many actions stand where; of a group, or (group 0) of the whole rollout. */
struct rollout_counts {
        int64_t scheduled, running, error, finished, cancelled, total;
        int64_t succeeded; /* what the success threshold counts: of a download-only rollout the
                              downloads alone */
};
void rollout_count(
        struct tx *tx, const struct rollout *r, int64_t group, struct rollout_counts *ret);

/* ── what persons ask for: 0, or -1 with illegalState ── */
int rollout_start(struct tx *tx, struct rollout *r);
int rollout_pause(struct tx *tx, struct rollout *r);
int rollout_resume(struct tx *tx, struct rollout *r);
int rollout_stop(struct tx *tx, struct rollout *r);
int rollout_next_group(struct tx *tx, struct rollout *r);
int rollout_decide(struct tx *tx, struct rollout *r, bool is_approved, const char *remark);
void rollout_delete(struct tx *tx, struct rollout *r);
/* The set was invalidated: its open rollouts stop, or go. */
void rollout_withdraw_set(struct tx *tx, int64_t ds, bool is_forced);

/* ── starting groups ── */
/* The group runs from now on; of its scheduled actions the first page is started, the others follow
 * pass by pass. The group isn't compared with its thresholds before they are. */
void rollout_start_group(struct tx *tx, const struct rollout *r, const struct group *g);
/* One more page. True: there may be more. */
bool rollout_go_on_starting(struct tx *tx, const struct rollout *r, const struct group *g);
enum next_group { NEXT_STARTED, NEXT_NONE, NEXT_WAITS };
/* The scheduled group after the latest that was started. A person's order doesn't wait for its
 * window. */
enum next_group rollout_start_next_group(struct tx *tx, const struct rollout *r, bool is_order);
/* Whole numbers only; false for anything else, which never fires. */
bool rollout_read_threshold(const char *text, int64_t *ret);
bool rollout_meets_success(const struct group *g, const struct rollout_counts *c);

/* ── the scheduler's part (rollout_pass.c) ── */
/* One pass over one rollout, of at most LIMIT_OTA_BULK_PAGE actions; it asks for the next one with
 * tx_due() when there is more to do. */
void rollout_pass(struct tx *tx, struct rollout *r);
/* Fills open dynamic groups (rollout_dynamic.c). */
void rollout_fill_dynamic(struct tx *tx, struct rollout *r);
int64_t rollout_add_dynamic_group(
        struct tx *tx, const struct rollout *r, enum group_status status, int64_t size);

/* ── planning (rollout_plan.c) ── */
/* The targets that the rollout means: its query, made before it, of a type that takes the set; not
 * in one of its groups yet if `only_free`. A condition on alias t. */
int rollout_condition(struct tx *tx, const struct rollout *r, const char *group_query,
        bool only_free, struct filter *ret);
/* Runs `prefix` (a SELECT or INSERT … SELECT from target t WHERE …) with the condition and
 * `suffix`. */
int64_t rollout_run_on_targets(
        struct tx *tx, const char *prefix, const struct filter *f, const char *suffix);
/* Decides how many targets each group gets, and gives groups with a query of their own theirs at
 * once: who belongs where is known only then. Problems as in hawkBit. */
int rollout_plan(struct tx *tx, struct rollout *r);
/* Gives groups without a query of their own a page of their targets. True: there may be more. */
bool rollout_go_on_filling(struct tx *tx, struct rollout *r);
