/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/rollout.h"

#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/bulk.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/downgrade.h"
#include "cloud/ota/events.h"
#include "cloud/ota/rollout_rule.h"

#include <stdlib.h>
#include <string.h>

const char *const rollout_status_words[] = {"creating", "ready", "paused", "starting", "stopped",
        "running", "finished", "deleting", "deleted", "waiting_for_approval", "approval_denied",
        "stopping", NULL};
const char *const group_status_words[] = {
        "ready", "scheduled", "finished", "error", "running", "creating", NULL};
const char *const success_action_words[] = {"NEXTGROUP", "PAUSE", NULL};
const char *const error_action_words[] = {"PAUSE", NULL};
const char *const condition_words[] = {"THRESHOLD", NULL};

/* ── rows ── */

static int64_t int_or(struct sql_rows *r, int column, int64_t fallback)
{
        return sql_col_is_null(r, column) ? fallback : sql_col_int(r, column);
}

void rollout_read(struct sql_rows *r, struct rollout *ret)
{
        *ret = (struct rollout){
                .id = sql_col_int(r, 0),
                .ds = sql_col_int(r, 1),
                .name = sql_col_text(r, 2),
                .description = sql_col_text(r, 3),
                .query = sql_col_text(r, 4),
                .status = (enum rollout_status)sql_col_int(r, 5),
                .type = (enum action_type)sql_col_int(r, 6),
                .forced_time = sql_col_int(r, 7),
                .start_at = int_or(r, 8, -1),
                .weight = sql_col_int(r, 9),
                .is_dynamic = sql_col_int(r, 10),
                .is_deleted = sql_col_int(r, 11),
                .is_self_approved = sql_col_int(r, 12),
                .dynamic_suffix = sql_col_text(r, 13),
                .dynamic_count = sql_col_int(r, 14),
                .confirm = (int)int_or(r, 15, -1),
                .created_before = sql_col_int(r, 16),
                .total_targets = sql_col_int(r, 17),
                .filled_at = sql_col_int(r, 18),
                .approval_remark = sql_col_text(r, 19),
                .decided_by = sql_col_text(r, 20),
                .started_by = sql_col_text(r, 21),
                .created_by = sql_col_text(r, 22),
        };
}

bool rollout_find(struct tx *tx, int64_t id, struct rollout *ret)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " ROLLOUT_COLUMNS " FROM rollout r WHERE r.tenant=? AND r.id=?",
                SQL_I(tx->tenant), SQL_I(id));
        if (!sql_next(&r))
                return false;
        rollout_read(&r, ret);
        return true;
}

int rollout_require(struct tx *tx, int64_t id, struct rollout *ret)
{
        return rollout_find(tx, id, ret) ? 0 : tx_not_found(tx, "Rollout", id);
}

void group_read(struct sql_rows *r, struct group *ret)
{
        *ret = (struct group){
                .id = sql_col_int(r, 0),
                .rollout = sql_col_int(r, 1),
                .name = sql_col_text(r, 2),
                .description = sql_col_text(r, 3),
                .query = sql_col_text(r, 4),
                .status = (enum group_status)sql_col_int(r, 5),
                .percentage = sql_col_real(r, 6),
                .success_condition = sql_col_text(r, 7),
                .success_expression = sql_col_text(r, 8),
                .success_action = (enum group_action)sql_col_int(r, 9),
                .error_condition = sql_col_text(r, 10),
                .error_expression = sql_col_text(r, 11),
                .confirm = (int)int_or(r, 12, -1),
                .is_dynamic = sql_col_int(r, 13),
                .total_targets = sql_col_int(r, 14),
                .has_fired = sql_col_int(r, 15),
        };
}

void rollout_set_status(struct tx *tx, struct rollout *r, enum rollout_status status)
{
        r->status = status;
        sql_run(tx, "UPDATE rollout SET status=?, modified_by=?, modified_at=? WHERE id=?",
                SQL_I(status), SQL_T(tx->user), SQL_I(tx->now), SQL_I(r->id));
        tx_due(tx, DUE_ROLLOUT, r->id, 0);
        event_rollout(tx, r);
        log_info(
                "rollout %lld '%s' is %s", (long long)r->id, r->name, rollout_status_words[status]);
}

void group_set_status(struct tx *tx, int64_t group, enum group_status status)
{
        sql_run(tx, "UPDATE rollout_group SET status=?, modified_by=?, modified_at=? WHERE id=?",
                SQL_I(status), SQL_T(tx->user), SQL_I(tx->now), SQL_I(group));
        event_group(tx, group, status);
}

bool group_find(struct tx *tx, const struct rollout *r, enum group_status status, int64_t after,
        struct group *ret)
{
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS
                " FROM rollout_group g WHERE g.rollout=? AND g.status=? AND g.id>?"
                " ORDER BY g.id LIMIT 1",
                SQL_I(r->id), SQL_I(status), SQL_I(after));
        if (!sql_next(&rows))
                return false;
        group_read(&rows, ret);
        return true;
}

/* ── counting ── */

static void count_one(
        const struct rollout *r, enum action_status status, int64_t n, struct rollout_counts *c)
{
        c->total += n;
        if (status == (r->type == ACTION_DOWNLOAD_ONLY ? ACTION_DOWNLOADED : ACTION_FINISHED))
                c->succeeded += n;
        switch (status) {
        case ACTION_SCHEDULED:
                c->scheduled += n;
                break;
        case ACTION_ERROR:
                c->error += n;
                break;
        case ACTION_CANCELED:
                c->cancelled += n;
                break;
        case ACTION_FINISHED:
                c->finished += n;
                break;
        case ACTION_DOWNLOADED:
                *(r->type == ACTION_DOWNLOAD_ONLY ? &c->finished : &c->running) += n;
                break;
        default:
                c->running += n;
        }
}

void rollout_count(
        struct tx *tx, const struct rollout *r, int64_t group, struct rollout_counts *ret)
{
        *ret = (struct rollout_counts){0};
        CLEAN_ROWS struct sql_rows rows = group ? sql_open(tx,
                                                          "SELECT status, count(*) FROM action "
                                                          "WHERE rollout_group=? GROUP BY status",
                                                          SQL_I(group))
                                                : sql_open(tx,
                                                          "SELECT status, count(*) FROM action "
                                                          "WHERE rollout=? GROUP BY status",
                                                          SQL_I(r->id));
        while (sql_next(&rows))
                count_one(r, (enum action_status)sql_col_int(&rows, 0), sql_col_int(&rows, 1), ret);
}

/* Whole numbers only; anything else never fires. */
bool rollout_read_threshold(const char *text, int64_t *ret)
{
        char *end = NULL;
        *ret = strtoll(text, &end, 10);
        return end != text && *end == '\0';
}

/* ── starting groups ── */

bool rollout_go_on_starting(struct tx *tx, const struct rollout *r, const struct group *g)
{
        const char *why =
                arena_printf(tx->arena, "Initiated by Rollout Group '%s' [Rollout %s:%lld]",
                        g->name, r->name, (long long)r->id);
        const char *before = tx->user;
        struct rollout_rule rule;
        rollout_rule_get(tx, r->id, 0, &rule);
        tx->user = r->started_by ? r->started_by : r->created_by;
        int64_t n = bulk_start(tx, g->id, r->ds, g->confirm >= 0 ? g->confirm : r->confirm,
                rule.is_reinstall, why);
        deadline_arm_group(tx, r->id, g->id);
        tx->user = before;
        if (n < LIMIT_OTA_BULK_PAGE)
                return false;
        tx_due(tx, DUE_ROLLOUT, r->id, 0);
        return true;
}

void rollout_start_group(struct tx *tx, const struct rollout *r, const struct group *g)
{
        downgrade_skip_group(tx, r, g->id);
        group_set_status(tx, g->id, GROUP_RUNNING);
        rollout_go_on_starting(tx, r, g);
        log_info("rollout %lld '%s': group '%s' started", (long long)r->id, r->name, g->name);
}

enum next_group rollout_start_next_group(struct tx *tx, const struct rollout *r, bool is_order)
{
        struct group g;
        int64_t opens_at;
        int64_t latest = sql_int(tx, 0,
                "SELECT max(id) FROM rollout_group WHERE rollout=? AND status IN (?, ?, ?)",
                SQL_I(r->id), SQL_I(GROUP_RUNNING), SQL_I(GROUP_FINISHED), SQL_I(GROUP_ERROR));
        if (!group_find(tx, r, GROUP_SCHEDULED, latest, &g))
                return NEXT_NONE;
        if (!is_order && !rollout_may_start(tx, r->id, g.id, &opens_at))
                return NEXT_WAITS;
        rollout_start_group(tx, r, &g);
        rollout_want_next(tx, r->id, false);
        return NEXT_STARTED;
}

/* ── requests ── */

static int illegal(struct tx *tx, const struct rollout *r, const char *verb)
{
        return tx_problem(tx, PROBLEM_ROLLOUT_STATE, "Rollout %lld cannot be %s: it is %s",
                (long long)r->id, verb, rollout_status_words[r->status]);
}

int rollout_start(struct tx *tx, struct rollout *r)
{
        if (r->status != ROLLOUT_READY)
                return illegal(tx, r, "started");
        sql_run(tx, "UPDATE rollout SET started_by=? WHERE id=?", SQL_T(tx->user), SQL_I(r->id));
        rollout_set_status(tx, r, ROLLOUT_STARTING);
        return 0;
}

int rollout_pause(struct tx *tx, struct rollout *r)
{
        if (r->status != ROLLOUT_RUNNING)
                return illegal(tx, r, "paused");
        rollout_set_status(tx, r, ROLLOUT_PAUSED);
        return 0;
}

bool rollout_meets_success(const struct group *g, const struct rollout_counts *c)
{
        int64_t threshold = 0;
        if (c->total == 0)
                return true;
        return rollout_read_threshold(g->success_condition, &threshold) &&
               c->succeeded * 100 >= threshold * c->total;
}

/* What paused it is passed by: the group after one in error, or after one that paused on purpose.
 */
static void pass_pausing_group(struct tx *tx, const struct rollout *r)
{
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS
                " FROM rollout_group g WHERE g.rollout=? AND g.status IN (?, ?, ?)"
                " ORDER BY g.id DESC LIMIT 1",
                SQL_I(r->id), SQL_I(GROUP_RUNNING), SQL_I(GROUP_FINISHED), SQL_I(GROUP_ERROR));
        struct group g;
        struct rollout_counts c;
        if (!sql_next(&rows))
                return;
        group_read(&rows, &g);
        rollout_count(tx, r, g.id, &c);
        bool passes = g.status == GROUP_ERROR ||
                      (g.success_action == GROUP_PAUSE && rollout_meets_success(&g, &c));
        if (passes && rollout_start_next_group(tx, r, false) == NEXT_WAITS)
                rollout_want_next(tx, r->id, true);
}

int rollout_resume(struct tx *tx, struct rollout *r)
{
        if (r->status != ROLLOUT_PAUSED)
                return illegal(tx, r, "resumed");
        rollout_set_status(tx, r, ROLLOUT_RUNNING);
        pass_pausing_group(tx, r);
        return 0;
}

int rollout_stop(struct tx *tx, struct rollout *r)
{
        switch (r->status) {
        case ROLLOUT_CREATING:
        case ROLLOUT_READY:
        case ROLLOUT_WAITING_FOR_APPROVAL:
        case ROLLOUT_APPROVAL_DENIED:
        case ROLLOUT_STARTING:
        case ROLLOUT_RUNNING:
        case ROLLOUT_PAUSED:
                rollout_set_status(tx, r, ROLLOUT_STOPPING);
                return 0;
        default:
                return illegal(tx, r, "stopped");
        }
}

int rollout_next_group(struct tx *tx, struct rollout *r)
{
        if (r->status != ROLLOUT_RUNNING || rollout_start_next_group(tx, r, true) != NEXT_STARTED)
                return illegal(tx, r, "advanced");
        return 0;
}

int rollout_decide(struct tx *tx, struct rollout *r, bool is_approved, const char *remark)
{
        if (r->status != ROLLOUT_WAITING_FOR_APPROVAL)
                return illegal(tx, r, "decided on");
        sql_run(tx, "UPDATE rollout SET approval_remark=?, decided_by=? WHERE id=?", SQL_T(remark),
                SQL_T(tx->user), SQL_I(r->id));
        rollout_set_status(tx, r, is_approved ? ROLLOUT_READY : ROLLOUT_APPROVAL_DENIED);
        return 0;
}

void rollout_delete(struct tx *tx, struct rollout *r)
{
        if (r->status != ROLLOUT_DELETED && r->status != ROLLOUT_DELETING)
                rollout_set_status(tx, r, ROLLOUT_DELETING);
}

void rollout_withdraw_set(struct tx *tx, int64_t ds, bool is_forced)
{
        struct rollout r;
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " ROLLOUT_COLUMNS " FROM rollout r WHERE r.ds=? AND r.deleted=0",
                SQL_I(ds));
        while (sql_next(&rows)) {
                rollout_read(&rows, &r);
                if (r.status == ROLLOUT_STOPPED || r.status == ROLLOUT_FINISHED ||
                        r.status == ROLLOUT_STOPPING || r.status == ROLLOUT_DELETING)
                        continue;
                rollout_set_status(tx, &r, is_forced ? ROLLOUT_DELETING : ROLLOUT_STOPPING);
        }
}
