/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/bulk.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/rollout_rule.h"
#include "cloud/ota/settings.h"

static void all_groups(struct tx *tx, const struct rollout *r, enum group_status status)
{
        sql_run(tx,
                "UPDATE rollout_group SET status=?, modified_by=?, modified_at=? WHERE rollout=?",
                SQL_I(status), SQL_T(tx->user), SQL_I(tx->now), SQL_I(r->id));
}

static void pass_creating(struct tx *tx, struct rollout *r)
{
        bool waits = settings_bool(tx, SETTING_APPROVAL) && !r->is_self_approved;
        if (rollout_go_on_filling(tx, r)) {
                tx_due(tx, DUE_ROLLOUT, r->id, 0);
                return;
        }
        if (r->is_dynamic && !r->dynamic_suffix) {
                int64_t size = sql_int(tx, 1,
                        "SELECT total_targets FROM rollout_group WHERE rollout=? ORDER BY id DESC "
                        "LIMIT 1",
                        SQL_I(r->id));
                rollout_add_dynamic_group(tx, r, GROUP_READY, size);
        }
        all_groups(tx, r, GROUP_READY);
        rollout_set_status(tx, r, waits ? ROLLOUT_WAITING_FOR_APPROVAL : ROLLOUT_READY);
}

static void recount(struct tx *tx, struct rollout *r, const struct group *g, int64_t total)
{
        const char *before = tx->user;
        if (total == g->total_targets)
                return;
        tx->user = r->created_by; /* as hawkBit signs this change */
        sql_run(tx, "UPDATE rollout_group SET total_targets=? WHERE id=?", SQL_I(total),
                SQL_I(g->id));
        r->total_targets = sql_int(tx, 0,
                "SELECT sum(total_targets) FROM rollout_group WHERE rollout=?", SQL_I(r->id));
        sql_run(tx, "UPDATE rollout SET total_targets=?, modified_by=?, modified_at=? WHERE id=?",
                SQL_I(r->total_targets), SQL_T(tx->user), SQL_I(tx->now), SQL_I(r->id));
        tx->user = before;
}

/* Scheduled actions for at most `room` targets of a group, after the target `after`. (`+0`: a
 * target has few actions, a group may have thousands, so the look-up must not go by the group's
 * index.) */
static int64_t make_group_actions(
        struct tx *tx, const struct rollout *r, int64_t group, int64_t after, int64_t room)
{
        struct rollout_rule rule;
        if (!rollout_rule_get(tx, r->id, group, &rule) || !rule.maintenance.schedule)
                rollout_rule_get(tx, r->id, 0, &rule);
        const char *author = r->started_by ? r->started_by : r->created_by;
        return sql_run(tx,
                "INSERT INTO action(tenant, target, ds, active, status, type, forced_time, weight, "
                "rollout,"
                " rollout_group, initiated_by, from_version, created_by, created_at, modified_by, "
                "modified_at, schedule, duration, timezone)"
                " SELECT ?1, p.target, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                " (SELECT s.version FROM ds s WHERE s.id=t.installed_ds), ?9, ?10, ?9, ?10, ?13, "
                "?14, ?15"
                " FROM rollout_target p JOIN target t ON t.id=p.target WHERE p.rollout_group=?8 "
                "AND p.target>?11 AND"
                " NOT EXISTS(SELECT 1 FROM action a WHERE a.target=p.target AND "
                "a.rollout_group+0=?8) ORDER BY"
                " p.target LIMIT ?12",
                SQL_I(tx->tenant), SQL_I(r->ds), SQL_I(ACTION_SCHEDULED), SQL_I(r->type),
                SQL_I(r->forced_time), SQL_I(r->weight), SQL_I(r->id), SQL_I(group), SQL_T(author),
                SQL_I(tx->now), SQL_I(after), SQL_I(room), SQL_T(rule.maintenance.schedule),
                SQL_T(rule.maintenance.duration), SQL_T(rule.maintenance.timezone));
}

/* A page of them, in the order of groups and targets. The last one that is there says how far it
 * has come. True: there may be more. */
static bool make_actions(struct tx *tx, const struct rollout *r)
{
        int64_t room = LIMIT_OTA_BULK_PAGE, group = 0, after = 0;
        CLEAN_ROWS struct sql_rows last = sql_open(tx,
                "SELECT rollout_group, target FROM action WHERE rollout=? AND status=? ORDER BY id "
                "DESC LIMIT 1",
                SQL_I(r->id), SQL_I(ACTION_SCHEDULED));
        if (sql_next(&last)) {
                group = sql_col_int(&last, 0);
                after = sql_col_int(&last, 1);
        }
        CLEAN_ROWS struct sql_rows groups =
                sql_open(tx, "SELECT id FROM rollout_group WHERE rollout=? AND id>=? ORDER BY id",
                        SQL_I(r->id), SQL_I(group));
        while (room > 0 && sql_next(&groups)) {
                int64_t id = sql_col_int(&groups, 0);
                int64_t n = make_group_actions(tx, r, id, id == group ? after : 0, room);
                room -= n > 0 ? n : 0;
        }
        return room == 0;
}

static bool has_scheduled(struct tx *tx, int64_t group)
{
        return sql_int(tx, 0, "SELECT 1 FROM action WHERE rollout_group=? AND status=? LIMIT 1",
                SQL_I(group), SQL_I(ACTION_SCHEDULED));
}

/* First the actions of all groups, then the first group; it runs when each of its devices is told.
 */
static void pass_starting(struct tx *tx, struct rollout *r)
{
        struct group g;
        if (group_find(tx, r, GROUP_READY, 0, &g)) {
                if (make_actions(tx, r)) {
                        tx_due(tx, DUE_ROLLOUT, r->id, 0);
                        return;
                }
                all_groups(tx, r, GROUP_SCHEDULED);
        }
        if (group_find(tx, r, GROUP_RUNNING, 0, &g))
                rollout_go_on_starting(tx, r, &g);
        else if (rollout_start_next_group(tx, r, false) != NEXT_STARTED ||
                 !group_find(tx, r, GROUP_RUNNING, 0, &g))
                g.id = 0; /* nothing is planned yet: a dynamic rollout may begin without targets */
        if (g.id && has_scheduled(tx, g.id))
                return;
        rollout_set_status(tx, r, ROLLOUT_RUNNING);
        rollout_fill_dynamic(tx, r);
}

static bool has_open_group(struct tx *tx, const struct rollout *r)
{
        return sql_int(tx, 0,
                "SELECT 1 FROM rollout_group WHERE rollout=? AND status IN (?, ?) LIMIT 1",
                SQL_I(r->id), SQL_I(GROUP_RUNNING), SQL_I(GROUP_SCHEDULED));
}

static bool is_in_error(const struct group *g, const struct rollout_counts *c)
{
        int64_t threshold = 0;
        return c->total > 0 && rollout_read_threshold(g->error_condition, &threshold) &&
               c->error * 100 > threshold * c->total;
}

static bool is_complete(const struct group *g, const struct rollout_counts *c)
{
        if (g->is_dynamic && c->total < (int64_t)g->percentage)
                return false; /* it still takes targets */
        return c->scheduled == 0 && c->running == 0;
}

static void fire_success(struct tx *tx, struct rollout *r, const struct group *g)
{
        struct group next;
        int64_t opens_at;
        if (g->has_fired)
                return;
        bool is_open_dynamic = g->is_dynamic && g->total_targets < (int64_t)g->percentage;
        if (is_open_dynamic)
                return;
        bool has_next =
                g->success_action == GROUP_NEXT && group_find(tx, r, GROUP_SCHEDULED, g->id, &next);
        if (has_next && !rollout_may_start(tx, r->id, next.id, &opens_at))
                return; /* asked again in each pass, until its window opens */
        sql_run(tx, "UPDATE rollout_group SET success_fired=1 WHERE id=?", SQL_I(g->id));
        if (g->success_action == GROUP_PAUSE)
                rollout_set_status(tx, r, ROLLOUT_PAUSED);
        else if (has_next)
                rollout_start_group(tx, r, &next);
}

/* One running group: error first, then success, then its end. */
static void evaluate_group(struct tx *tx, struct rollout *r, struct group *g)
{
        struct rollout_counts c;
        rollout_count(tx, r, g->id, &c);
        if (c.scheduled > 0) { /* it is still being started */
                rollout_go_on_starting(tx, r, g);
                return;
        }
        recount(tx, r, g, c.total);
        g->total_targets = c.total;
        if (is_in_error(g, &c)) {
                group_set_status(tx, g->id, GROUP_ERROR);
                rollout_set_status(tx, r, ROLLOUT_PAUSED);
                return;
        }
        bool is_end = is_complete(g, &c);
        if (is_end)
                group_set_status(tx, g->id, GROUP_FINISHED);
        if (is_end || rollout_meets_success(g, &c))
                fire_success(tx, r, g);
}

static void pass_running(struct tx *tx, struct rollout *r)
{
        bool has_running = false;
        int64_t after = 0;
        struct group g;
        if (r->is_dynamic)
                rollout_fill_dynamic(tx, r);
        while (r->status == ROLLOUT_RUNNING && group_find(tx, r, GROUP_RUNNING, after, &g)) {
                has_running = true;
                after = g.id;
                evaluate_group(tx, r, &g);
        }
        bool wants_next = rollout_wants_next(tx, r->id);
        if ((!has_running || wants_next) && r->status == ROLLOUT_RUNNING)
                rollout_start_next_group(tx, r, false);
        if (!has_open_group(tx, r))
                rollout_set_status(tx, r, ROLLOUT_FINISHED);
}

static void close_groups(struct tx *tx, const struct rollout *r)
{
        sql_run(tx,
                "UPDATE rollout_group SET status=?, modified_by=?, modified_at=? WHERE rollout=? "
                "AND status<>?",
                SQL_I(GROUP_FINISHED), SQL_T(tx->user), SQL_I(tx->now), SQL_I(r->id),
                SQL_I(GROUP_ERROR));
}

/* Does it page by page until nothing is left, or a pass is full. True: there may be more. */
static bool drop_scheduled(struct tx *tx, const struct rollout *r)
{
        if (bulk_delete_scheduled(tx, BULK_OF_ROLLOUT, r->id) < LIMIT_OTA_BULK_PAGE)
                return false;
        tx_due(tx, DUE_ROLLOUT, r->id, 0);
        return true;
}

typedef int64_t withdrawal(struct tx *tx, enum bulk_owner owner, int64_t id, const char *why);

static bool withdraw(struct tx *tx, const struct rollout *r, withdrawal *how, const char *why)
{
        int64_t done = 0, n;
        while ((n = how(tx, BULK_OF_ROLLOUT, r->id, why)) > 0) {
                done += n;
                if (done >= LIMIT_OTA_BULK_PAGE) {
                        tx_due(tx, DUE_ROLLOUT, r->id, 0);
                        return true;
                }
        }
        return false;
}

static void pass_stopping(struct tx *tx, struct rollout *r)
{
        if (drop_scheduled(tx, r) ||
                withdraw(tx, r, bulk_ask_cancel, "Update Server: manual cancelation requested"))
                return;
        close_groups(tx, r);
        rollout_set_status(tx, r, ROLLOUT_STOPPED);
}

/* One that nobody has noticed goes for good: its plan page by page, then itself. */
static void forget(struct tx *tx, const struct rollout *r)
{
        int64_t n = sql_run(tx,
                "DELETE FROM rollout_target WHERE rollout_group IN (SELECT id FROM rollout_group "
                "WHERE rollout=?1) AND target IN (SELECT p.target FROM rollout_group g JOIN "
                "rollout_target p ON p.rollout_group=g.id WHERE g.rollout=?1 LIMIT ?2)",
                SQL_I(r->id), SQL_I(LIMIT_OTA_BULK_PAGE));
        if (n >= LIMIT_OTA_BULK_PAGE) {
                tx_due(tx, DUE_ROLLOUT, r->id, 0);
                return;
        }
        sql_run(tx, "DELETE FROM rollout WHERE id=?", SQL_I(r->id));
        log_info("rollout %lld '%s' is gone", (long long)r->id, r->name);
}

static void pass_deleting(struct tx *tx, struct rollout *r)
{
        if (drop_scheduled(tx, r))
                return;
        if (!sql_int(tx, 0, "SELECT 1 FROM action WHERE rollout=? LIMIT 1", SQL_I(r->id))) {
                forget(tx, r);
                return;
        }
        if (withdraw(tx, r, bulk_cancel, "Update Server: the rollout was deleted"))
                return;
        close_groups(tx, r);
        sql_run(tx, "UPDATE rollout SET deleted=1 WHERE id=?", SQL_I(r->id));
        rollout_set_status(tx, r, ROLLOUT_DELETED);
}

void rollout_pass(struct tx *tx, struct rollout *r)
{
        switch (r->status) {
        case ROLLOUT_CREATING:
                pass_creating(tx, r);
                break;
        case ROLLOUT_READY:
                if (r->start_at >= 0 && r->start_at <= tx->now)
                        rollout_set_status(tx, r, ROLLOUT_STARTING);
                break;
        case ROLLOUT_STARTING:
                pass_starting(tx, r);
                break;
        case ROLLOUT_RUNNING:
                pass_running(tx, r);
                break;
        case ROLLOUT_STOPPING:
                pass_stopping(tx, r);
                break;
        case ROLLOUT_DELETING:
                pass_deleting(tx, r);
                break;
        default:
                break;
        }
}
