/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/downgrade.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/rollout_rule.h"

/* Targets that come later need not come at once: hawkBit's dynamicRolloutsMinInvolvePeriodMS. */
#define FILL_PERIOD_MS 60000

int64_t rollout_add_dynamic_group(
        struct tx *tx, const struct rollout *r, enum group_status status, int64_t size)
{
        int64_t n =
                sql_int(tx, 0, "SELECT count(*) FROM rollout_group WHERE rollout=?", SQL_I(r->id));
        const char *name = arena_printf(tx->arena, "group-%lld%s", (long long)n + 1,
                r->dynamic_suffix ? r->dynamic_suffix : "");
        return sql_insert(tx,
                "INSERT INTO rollout_group(tenant, rollout, name, description, status, query, "
                "percentage,"
                " success_condition, success_action, success_action_expr, error_condition, "
                "error_action_expr,"
                " confirm, dynamic, total_targets, created_by, created_at, modified_by, "
                "modified_at)"
                " SELECT ?1, ?2, ?3, ?3, ?4, '', ?5, coalesce(success_condition, '50'), "
                "coalesce(success_action, 0),"
                " success_action_expr, coalesce(error_condition, '50'), error_action_expr, "
                "confirm, 1, 0, ?6, ?7,"
                " ?6, ?7 FROM (SELECT 1 AS one) o LEFT JOIN (SELECT * FROM rollout_group WHERE "
                "rollout=?2 "
                "ORDER BY id DESC"
                " LIMIT 1) p ON 1=1",
                SQL_I(tx->tenant), SQL_I(r->id), SQL_T(name), SQL_I(status), SQL_D((double)size),
                SQL_T(r->created_by), SQL_I(tx->now));
}

static bool find_open_group(struct tx *tx, const struct rollout *r, struct group *ret)
{
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS
                " FROM rollout_group g WHERE g.rollout=? AND g.dynamic=1 AND g.status IN"
                " (?, ?) AND g.total_targets < g.percentage ORDER BY g.id LIMIT 1",
                SQL_I(r->id), SQL_I(GROUP_SCHEDULED), SQL_I(GROUP_RUNNING));
        if (!sql_next(&rows))
                return false;
        group_read(&rows, ret);
        return true;
}

/* Scheduled actions for those that no rollout as new or as heavy has taken yet. */
static int64_t involve(struct tx *tx, struct rollout *r, const struct group *g, int64_t room)
{
        struct filter f;
        struct rollout open = *r;
        open.created_before = INT64_MAX;
        if (rollout_condition(tx, &open, NULL, true, &f) < 0)
                return 0;
        const char *author = r->started_by ? r->started_by : r->created_by;
        const char *free = arena_printf(tx->arena,
                "AND NOT EXISTS(SELECT 1 FROM action a WHERE a.target=t.id AND (a.rollout=%lld OR "
                "(a.active=1 AND"
                " a.rollout IS NOT NULL AND (a.weight>%lld OR (a.weight=%lld AND "
                "a.rollout>%lld)))))"
                " ORDER BY t.id LIMIT %lld",
                (long long)r->id, (long long)r->weight, (long long)r->weight, (long long)r->id,
                (long long)room);
        rollout_run_on_targets(tx,
                arena_printf(tx->arena,
                        "INSERT INTO rollout_target(rollout_group, target) SELECT %lld, t.id FROM "
                        "target t WHERE",
                        (long long)g->id),
                &f, free);
        return sql_run(tx,
                "INSERT INTO action(tenant, target, ds, active, status, type, forced_time, weight, "
                "rollout,"
                " rollout_group, initiated_by, created_by, created_at, modified_by, modified_at)"
                " SELECT ?1, p.target, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?9, ?10 FROM "
                "rollout_target p"
                " WHERE p.rollout_group=?8 AND NOT EXISTS(SELECT 1 FROM action a WHERE "
                "a.rollout_group=?8 AND"
                " a.target=p.target)",
                SQL_I(tx->tenant), SQL_I(r->ds), SQL_I(ACTION_SCHEDULED), SQL_I(r->type),
                SQL_I(r->forced_time), SQL_I(r->weight), SQL_I(r->id), SQL_I(g->id), SQL_T(author),
                SQL_I(tx->now));
}

/* Takes a page of targets into the group. True: there may be more. */
static bool fill(struct tx *tx, struct rollout *r, struct group *g)
{
        int64_t room = (int64_t)g->percentage - g->total_targets;
        if (room > LIMIT_OTA_BULK_PAGE)
                room = LIMIT_OTA_BULK_PAGE;
        int64_t n = involve(tx, r, g, room);
        if (n <= 0)
                return false;
        g->total_targets += n;
        sql_run(tx, "UPDATE rollout_group SET total_targets=? WHERE id=?", SQL_I(g->total_targets),
                SQL_I(g->id));
        sql_run(tx, "UPDATE rollout SET total_targets=total_targets+? WHERE id=?", SQL_I(n),
                SQL_I(r->id));
        rollout_hand_down_windows(tx, r->id);
        if (g->status == GROUP_RUNNING) {
                downgrade_skip_group(tx, r, g->id);
                rollout_go_on_starting(tx, r, g);
        }
        return n == LIMIT_OTA_BULK_PAGE;
}

void rollout_fill_dynamic(struct tx *tx, struct rollout *r)
{
        struct group g;
        int64_t opens_at;
        if (!r->is_dynamic)
                return;
        if (!find_open_group(tx, r, &g)) {
                int64_t size = sql_int(tx, 1,
                        "SELECT percentage FROM rollout_group WHERE rollout=? AND dynamic=1 ORDER "
                        "BY id DESC LIMIT 1",
                        SQL_I(r->id));
                rollout_add_dynamic_group(tx, r, GROUP_SCHEDULED, size);
                return;
        }
        if (tx->now - r->filled_at < FILL_PERIOD_MS ||
                !rollout_may_start(tx, r->id, g.id, &opens_at))
                return;
        if (fill(tx, r, &g)) {
                tx_due(tx, DUE_ROLLOUT, r->id, 0);
                return;
        }
        r->filled_at = tx->now;
        sql_run(tx, "UPDATE rollout SET filled_at=? WHERE id=?", SQL_I(tx->now), SQL_I(r->id));
}
