/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/rollout_rule.h"

#include "cloud/ota/cron.h"
#include "cloud/ota/polling.h"

#include <string.h>

const struct shape rule_window_members[] = {
        {.name = "schedule", .type = SHAPE_TEXT},
        {.name = "duration", .type = SHAPE_TEXT},
        {.name = "timezone", .type = SHAPE_TEXT},
        {0},
};

/* ── writing ── */

static int read_window(
        struct tx *tx, const json_t *body, const char *member, struct rule_window *ret)
{
        struct cron_window w;
        const json_t *window = json_object_get(body, member);
        ret->schedule = json_text(window, "schedule", NULL);
        ret->duration = json_text(window, "duration", NULL);
        ret->timezone = json_text(window, "timezone", NULL);
        if (!ret->schedule && !ret->duration && !ret->timezone)
                return 0;
        if (cron_window_at(ret->schedule, ret->duration, ret->timezone, tx->now, &w) < 0)
                return tx_problem(tx, PROBLEM_MAINTENANCE,
                        "%s is not valid or has no time to come: it needs schedule (\"0 0 2 ? * "
                        "SUN\"), duration (\"04:00:00\") and timezone (\"+01:00\")",
                        member);
        return 0;
}

static int check_timeout(struct tx *tx, const char *text)
{
        int64_t ms = 0;
        if (text && *text && (polling_parse_interval(text, &ms) < 0 || ms < 0))
                return tx_problem(tx, PROBLEM_CONSTRAINT,
                        "actionTimeout '%s' is no duration; write 36:00:00 or PT36H", text);
        return 0;
}

int rollout_rule_put(struct tx *tx, int64_t rollout, int64_t group, const json_t *body)
{
        struct rollout_rule rule = {.timeout = json_text(body, "actionTimeout", NULL),
                .allows_downgrade = json_bool(body, "allowDowngrade", false),
                .is_reinstall = json_bool(body, "reinstall", false)};
        if (read_window(tx, body, "startWindow", &rule.start) < 0 ||
                read_window(tx, body, "maintenanceWindow", &rule.maintenance) < 0 ||
                check_timeout(tx, rule.timeout) < 0)
                return -1;
        if (!rule.start.schedule && !rule.maintenance.schedule && !rule.timeout &&
                !rule.allows_downgrade && !rule.is_reinstall)
                return 0;
        sql_run(tx,
                "INSERT INTO rollout_rule(rollout, rollout_group, start_schedule, start_duration,"
                " start_timezone, schedule, duration, timezone, timeout, allows_downgrade,"
                " reinstall) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                SQL_I(rollout), SQL_I(group), SQL_T(rule.start.schedule),
                SQL_T(rule.start.duration), SQL_T(rule.start.timezone),
                SQL_T(rule.maintenance.schedule), SQL_T(rule.maintenance.duration),
                SQL_T(rule.maintenance.timezone), SQL_T(rule.timeout), SQL_I(rule.allows_downgrade),
                SQL_I(rule.is_reinstall));
        return 0;
}

void rollout_want_next(struct tx *tx, int64_t rollout, bool wants)
{
        sql_run(tx, "UPDATE rollout_rule SET wants_next=? WHERE rollout=?", SQL_I(wants),
                SQL_I(rollout));
}

bool rollout_wants_next(struct tx *tx, int64_t rollout)
{
        return sql_int(tx, 0, "SELECT 1 FROM rollout_rule WHERE rollout=? AND wants_next=1 LIMIT 1",
                SQL_I(rollout));
}

void rollout_hand_down_windows(struct tx *tx, int64_t rollout)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT rollout_group, schedule, duration, timezone FROM rollout_rule WHERE"
                " rollout=? AND schedule IS NOT NULL ORDER BY rollout_group",
                SQL_I(rollout));
        while (sql_next(&r)) /* the rollout's comes first, so that a group's takes its place */
                sql_run(tx,
                        "UPDATE action SET schedule=?1, duration=?2, timezone=?3 WHERE rollout=?4"
                        " AND status=?5 AND (?6=0 OR rollout_group=?6)",
                        SQL_T(sql_col_text(&r, 1)), SQL_T(sql_col_text(&r, 2)),
                        SQL_T(sql_col_text(&r, 3)), SQL_I(rollout), SQL_I(ACTION_SCHEDULED),
                        SQL_I(sql_col_int(&r, 0)));
}

/* ── reading ── */

bool rollout_rule_get(struct tx *tx, int64_t rollout, int64_t group, struct rollout_rule *ret)
{
        *ret = (struct rollout_rule){0};
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT start_schedule, start_duration, start_timezone, schedule, duration,"
                " timezone, timeout, allows_downgrade, reinstall FROM rollout_rule"
                " WHERE rollout=? AND rollout_group=?",
                SQL_I(rollout), SQL_I(group));
        if (!sql_next(&r))
                return false;
        *ret = (struct rollout_rule){
                .start = {sql_col_text(&r, 0), sql_col_text(&r, 1), sql_col_text(&r, 2)},
                .maintenance = {sql_col_text(&r, 3), sql_col_text(&r, 4), sql_col_text(&r, 5)},
                .timeout = sql_col_text(&r, 6),
                .allows_downgrade = sql_col_int(&r, 7) != 0,
                .is_reinstall = sql_col_int(&r, 8) != 0,
        };
        return true;
}

static void show_window(json_t *j, const char *member, const struct rule_window *w)
{
        if (w->schedule)
                json_object_set_new(j, member,
                        json_pack("{s:s, s:s, s:s}", "schedule", w->schedule, "duration",
                                w->duration, "timezone", w->timezone));
}

void rollout_rule_show(struct tx *tx, json_t *j, int64_t rollout, int64_t group)
{
        struct rollout_rule rule;
        if (!rollout_rule_get(tx, rollout, group, &rule))
                return;
        show_window(j, "startWindow", &rule.start);
        show_window(j, "maintenanceWindow", &rule.maintenance);
        if (rule.timeout)
                json_object_set_new(j, "actionTimeout", json_string(rule.timeout));
        if (rule.allows_downgrade)
                json_object_set_new(j, "allowDowngrade", json_true());
        if (rule.is_reinstall)
                json_object_set_new(j, "reinstall", json_true());
}

bool rollout_may_start(struct tx *tx, int64_t rollout, int64_t group, int64_t *ret_opens_at)
{
        struct rollout_rule rule;
        struct cron_window w;
        *ret_opens_at = 0;
        if (!rollout_rule_get(tx, rollout, group, &rule) || !rule.start.schedule)
                rollout_rule_get(tx, rollout, 0, &rule);
        if (!rule.start.schedule)
                return true;
        if (cron_window_at(
                    rule.start.schedule, rule.start.duration, rule.start.timezone, tx->now, &w) < 0)
                return false;
        *ret_opens_at = w.start;
        return w.start <= tx->now;
}
