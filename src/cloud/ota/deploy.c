/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/deploy.h"

#include "base/limits.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/events.h"
#include "cloud/ota/settings.h"

/* ── superseding ── */

static void close_obsolete(struct tx *tx, struct action *a)
{
        action_log_text(tx, a->id, ACTION_CANCELED, OBSOLETE_CLOSE);
        action_set_status(tx, a, ACTION_CANCELED, false);
}

void deploy_supersede(struct tx *tx, int64_t target, int64_t except)
{
        bool closes = settings_bool(tx, SETTING_AUTO_CLOSE);
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " ACTION_COLUMNS
                " FROM action a JOIN ds s ON s.id=a.ds WHERE a.target=? AND a.id<>?"
                " AND ((a.active=1 AND s.migration=0) OR a.status=?) ORDER BY a.id",
                SQL_I(target), SQL_I(except), SQL_I(ACTION_SCHEDULED));
        while (sql_next(&r)) {
                struct action a;
                action_read(&r, &a);
                if (!a.is_active)
                        action_set_status(tx, &a, ACTION_CANCELED, false);
                else if (closes)
                        close_obsolete(tx, &a);
                else if (a.status != ACTION_CANCELING)
                        action_ask_cancel(tx, &a, OBSOLETE_CANCEL);
        }
}

/* ── confirmation ── */

static const char *auto_confirmed_text(struct tx *tx, const struct target *t)
{
        return arena_printf(tx->arena,
                "Assignment automatically confirmed by initiator '%s'. \n\nAuto confirmation "
                "activated by"
                " system user: '%s' \n\nRemark: %s",
                t->auto_confirm_initiator ? t->auto_confirm_initiator : "null", t->auto_confirm_by,
                t->auto_confirm_remark ? t->auto_confirm_remark : "null");
}

const char *confirmed_text(struct tx *tx)
{
        return arena_printf(tx->arena, "Assignment confirmed by initiator [%s].", tx->user);
}

/* What a new action starts as, and the first row of its history. */
static enum action_status first_status(struct tx *tx, const struct target *t, int confirm,
        const char *why, struct messages *m, enum action_status *ret_row)
{
        *ret_row = ACTION_RUNNING;
        messages_add(tx, m, why);
        if (!settings_bool(tx, SETTING_CONFIRMATION))
                return ACTION_RUNNING;
        *ret_row = ACTION_WAIT_FOR_CONFIRMATION;
        if (confirm == 0) {
                messages_add(tx, m, confirmed_text(tx));
                return ACTION_RUNNING;
        }
        if (t->auto_confirm_at) {
                messages_add(tx, m, auto_confirmed_text(tx, t));
                return ACTION_RUNNING;
        }
        messages_add(tx, m, WAITING_TEXT);
        return ACTION_WAIT_FOR_CONFIRMATION;
}

void deploy_confirm_waiting(struct tx *tx, const struct target *t)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " ACTION_COLUMNS
                " FROM action a WHERE a.target=? AND a.active=1 AND a.status=?",
                SQL_I(t->id), SQL_I(ACTION_WAIT_FOR_CONFIRMATION));
        while (sql_next(&r)) {
                struct action a;
                action_read(&r, &a);
                action_log_text(tx, a.id, ACTION_RUNNING, auto_confirmed_text(tx, t));
                action_set_status(tx, &a, ACTION_RUNNING, true);
                tx_tell(tx, t->controller_id);
        }
}

int auto_confirm_activate(
        struct tx *tx, const struct target *t, const char *initiator, const char *remark)
{
        struct target now = *t;
        if (t->auto_confirm_at)
                return tx_problem(tx, PROBLEM_AUTO_CONFIRM_ACTIVE,
                        "Auto confirmation is active already for '%s'", t->controller_id);
        sql_run(tx,
                "UPDATE target SET auto_confirm_at=?, auto_confirm_initiator=?, "
                "auto_confirm_remark=?,"
                " auto_confirm_by=? WHERE id=?",
                SQL_I(tx->now), SQL_T(initiator), SQL_T(remark), SQL_T(tx->user), SQL_I(t->id));
        now.auto_confirm_at = tx->now;
        now.auto_confirm_initiator = initiator;
        now.auto_confirm_remark = remark;
        now.auto_confirm_by = tx->user;
        deploy_confirm_waiting(tx, &now);
        return 0;
}

void auto_confirm_deactivate(struct tx *tx, const struct target *t)
{
        sql_run(tx,
                "UPDATE target SET auto_confirm_at=NULL, auto_confirm_initiator=NULL,"
                " auto_confirm_remark=NULL, auto_confirm_by=NULL WHERE id=?",
                SQL_I(t->id));
}

void deploy_confirm(struct tx *tx, struct action *a, bool is_confirmed, int64_t code,
        const struct messages *details)
{
        struct messages m = {0};
        for (size_t i = 0; i < details->n; i++)
                messages_add(tx, &m, details->texts[i]);
        messages_add(tx, &m,
                is_confirmed
                        ? "Update Server: Target confirmed action. Therefore, it will be set to the"
                          " running state to proceed with the deployment."
                        : "Update Server: Target rejected action. Action will stay in confirmation"
                          " pending state.");
        if (code != ACTION_NO_CODE)
                messages_add(tx, &m,
                        arena_printf(tx->arena, "Confirmation status code: %lld", (long long)code));
        action_log(tx, a->id, is_confirmed ? ACTION_RUNNING : ACTION_WAIT_FOR_CONFIRMATION, tx->now,
                code, &m);
        action_set_code(tx, a, code);
        if (is_confirmed)
                action_set_status(tx, a, ACTION_RUNNING, true);
}

/* ── assignment ── */

int deploy_check_types(
        struct tx *tx, const struct dset *s, const struct deploy_order *orders, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (!set_fits_target_type(tx, s->type, orders[i].target.type))
                        return tx_problem(tx, PROBLEM_TARGET_TYPE_INCOMPATIBLE,
                                "The type of target '%s' does not take sets of this type",
                                orders[i].target.controller_id);
        }
        return 0;
}

/* At the quota the oldest go, if the tenant wants that. */
static int check_quota(struct tx *tx, const struct target *t)
{
        int64_t n = sql_int(tx, 0, "SELECT count(*) FROM action WHERE target=?", SQL_I(t->id));
        int64_t percent = 0;
        if (n < LIMIT_OTA_ACTIONS_PER_TARGET)
                return 0;
        percent = settings_int(tx, SETTING_CLEANUP_PERCENT);
        if (percent <= 0 || percent > 100)
                return tx_problem(
                        tx, PROBLEM_QUOTA, "Target '%s' has too many actions", t->controller_id);
        sql_run(tx,
                "DELETE FROM action WHERE id IN (SELECT id FROM action WHERE target=? ORDER BY id "
                "LIMIT ?)",
                SQL_I(t->id), SQL_I(n * percent / 100));
        return 0;
}

static void make_pending(struct tx *tx, const struct target *t, int64_t ds)
{
        sql_run(tx, "UPDATE target SET assigned_ds=?, status=? WHERE id=?", SQL_I(ds),
                SQL_I(TARGET_PENDING), SQL_I(t->id));
        target_touch(tx, t->id);
        tx_tell(tx, t->controller_id);
}

int64_t deploy_online(
        struct tx *tx, const struct dset *s, const struct deploy_order *o, const char *why)
{
        const struct target *t = &o->target;
        struct messages m = {0};
        enum action_status row;
        if ((t->assigned_ds == s->id && !o->is_reinstall) || check_quota(tx, t) < 0)
                return 0;
        struct action a = {.target = t->id,
                .ds = s->id,
                .is_active = true,
                .type = o->type,
                .forced_time = o->forced_time,
                .weight = o->weight,
                .schedule = o->schedule,
                .duration = o->duration,
                .timezone = o->timezone};
        a.status = first_status(tx, t, o->confirm, why, &m, &row);
        deploy_supersede(tx, t->id, 0);
        a.id = action_insert(tx, &a);
        action_log(tx, a.id, row, tx->now, ACTION_NO_CODE, &m);
        event_action(tx, "action.created", &a);
        deadline_arm(tx, &a);
        make_pending(tx, t, s->id);
        return a.id;
}

int64_t deploy_offline(struct tx *tx, const struct dset *s, const struct target *t)
{
        if (t->assigned_ds == s->id || t->status == TARGET_PENDING)
                return 0;
        struct action a = {.target = t->id,
                .ds = s->id,
                .status = ACTION_FINISHED,
                .type = ACTION_FORCED,
                .weight = ACTION_DEFAULT_WEIGHT};
        struct messages m = {0};
        int64_t id = a.id = action_insert(tx, &a);
        event_action(tx, "action.created", &a);
        messages_add(
                tx, &m, arena_printf(tx->arena, "Assignment initiated by user '%s'", tx->user));
        messages_add(tx, &m, "Update Server: Action reported as offline deployment");
        action_log(tx, id, ACTION_FINISHED, tx->now, ACTION_NO_CODE, &m);
        sql_run(tx,
                "UPDATE target SET assigned_ds=?1, installed_ds=?1, installed_at=?2, status=?3,"
                " modified_by=?4, modified_at=?2 WHERE id=?5",
                SQL_I(s->id), SQL_I(tx->now), SQL_I(TARGET_IN_SYNC), SQL_T(tx->user), SQL_I(t->id));
        return id;
}

bool deploy_scheduled(
        struct tx *tx, struct action *a, int confirm, bool is_reinstall, const char *why)
{
        struct target t;
        struct messages m = {0};
        enum action_status row;
        if (!target_get(tx, a->target, &t))
                return false;
        if (t.assigned_ds == a->ds && !is_reinstall) {
                action_log_text(tx, a->id, ACTION_RUNNING,
                        "Update Server: Distribution Set is already assigned. Skipping this "
                        "action.");
                action_set_status(tx, a, ACTION_FINISHED, false);
                return false;
        }
        enum action_status status = first_status(tx, &t, confirm, why, &m, &row);
        deploy_supersede(tx, t.id, a->id);
        action_log(tx, a->id, row, tx->now, ACTION_NO_CODE, &m);
        action_set_status(tx, a, status, true);
        make_pending(tx, &t, a->ds);
        return true;
}
