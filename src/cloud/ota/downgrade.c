/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/downgrade.h"

#include "base/log.h"
#include "cloud/ota/rollout_rule.h"
#include "cloud/ota/settings.h"
#include "cloud/ota/version.h"

/* What of `ds` is older than in `installed`, in words; NULL: nothing. */
static const char *find_older(struct tx *tx, int64_t installed, int64_t ds)
{
        if (!installed || installed == ds)
                return NULL;
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT n.name, o.version, n.version FROM ds_module e JOIN module n ON "
                "n.id=e.module"
                " JOIN module o ON o.type=n.type AND o.name=n.name AND o.tenant=n.tenant"
                " JOIN ds_module i ON i.module=o.id AND i.ds=? WHERE e.ds=? AND o.id<>n.id"
                " ORDER BY n.id",
                SQL_I(installed), SQL_I(ds));
        while (sql_next(&r)) {
                const char *from = sql_col_text(&r, 1), *to = sql_col_text(&r, 2);
                if (version_compare(to, from) < 0)
                        return arena_printf(tx->arena, "'%s' would go back from %s to %s",
                                sql_col_text(&r, 0), from, to);
        }
        return NULL;
}

int downgrade_check(
        struct tx *tx, const struct dset *s, const struct deploy_order *orders, size_t n)
{
        if (!settings_bool(tx, SETTING_NO_DOWNGRADE))
                return 0;
        for (size_t i = 0; i < n; i++) {
                const char *older = orders[i].allows_downgrade
                                            ? NULL
                                            : find_older(tx, orders[i].target.installed_ds, s->id);
                if (older)
                        return tx_problem(tx, PROBLEM_DOWNGRADE,
                                "On target '%s' %s; to assign it nevertheless: \"allowDowngrade\": "
                                "true",
                                orders[i].target.controller_id, older);
        }
        return 0;
}

static const char *skip_text(struct tx *tx, const char *older)
{
        return arena_printf(
                tx->arena, "Update Server: not started: %s (" SETTING_NO_DOWNGRADE ")", older);
}

bool downgrade_skip(struct tx *tx, const struct dset *s, const struct deploy_order *o)
{
        const char *older = settings_bool(tx, SETTING_NO_DOWNGRADE)
                                    ? find_older(tx, o->target.installed_ds, s->id)
                                    : NULL;
        if (!older)
                return false;
        struct action a = {.target = o->target.id,
                .ds = s->id,
                .status = ACTION_CANCELED,
                .type = o->type,
                .weight = o->weight};
        action_log_text(tx, action_insert(tx, &a), ACTION_CANCELED, skip_text(tx, older));
        return true;
}

/* Those actions of the group whose target has `installed`; the rows first, since they are found by
 * what the action is before. */
#define SCHEDULED_WITH                                                                             \
        " FROM action a JOIN target t ON t.id=a.target WHERE a.rollout_group=?1 AND a.status=?2"   \
        " AND t.installed_ds=?3"

static int64_t skip_those_with(struct tx *tx, int64_t group, int64_t installed, const char *text)
{
        sql_run(tx,
                "INSERT INTO action_status(action, type, occurred_at, created_by, created_at)"
                " SELECT a.id, ?4, ?5, ?6, ?5" SCHEDULED_WITH,
                SQL_I(group), SQL_I(ACTION_SCHEDULED), SQL_I(installed), SQL_I(ACTION_CANCELED),
                SQL_I(tx->now), SQL_T(tx->user));
        sql_run(tx,
                "INSERT INTO action_message(status, n, text) SELECT x.id, 0, ?4 FROM action_status "
                "x"
                " WHERE x.action IN (SELECT a.id" SCHEDULED_WITH ")",
                SQL_I(group), SQL_I(ACTION_SCHEDULED), SQL_I(installed), SQL_T(text));
        return sql_run(tx,
                "UPDATE action SET status=?4, modified_by=?5, modified_at=?6 WHERE id IN"
                " (SELECT a.id" SCHEDULED_WITH ")",
                SQL_I(group), SQL_I(ACTION_SCHEDULED), SQL_I(installed), SQL_I(ACTION_CANCELED),
                SQL_T(tx->user), SQL_I(tx->now));
}

int64_t downgrade_skip_group(struct tx *tx, const struct rollout *r, int64_t group)
{
        int64_t skipped = 0;
        struct rollout_rule rule;
        if (!settings_bool(tx, SETTING_NO_DOWNGRADE))
                return 0;
        if (rollout_rule_get(tx, r->id, 0, &rule) && rule.allows_downgrade)
                return 0;
        /* a fleet has few different sets installed: one look at each */
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT DISTINCT t.installed_ds FROM action a JOIN target t ON t.id=a.target WHERE"
                " a.rollout_group=? AND a.status=? AND t.installed_ds IS NOT NULL",
                SQL_I(group), SQL_I(ACTION_SCHEDULED));
        while (sql_next(&rows)) {
                int64_t installed = sql_col_int(&rows, 0);
                const char *older = find_older(tx, installed, r->ds);
                if (older)
                        skipped += skip_those_with(tx, group, installed, skip_text(tx, older));
        }
        if (skipped)
                log_info("rollout %lld '%s': %lld targets skipped, they would go back",
                        (long long)r->id, r->name, (long long)skipped);
        return skipped;
}
