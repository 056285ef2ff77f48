/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/deadline.h"

#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/polling.h"
#include "cloud/ota/rollout_rule.h"
#include "cloud/ota/seen.h"
#include "cloud/ota/server.h"
#include "cloud/ota/settings.h"

#include <string.h>

/* A device that is to come back mostly does so soon: the longer it takes, the rarer the looks. An
 * hour is 80 of them. */
#define PROOF_LOOKS 10
#define PROOF_MIN_LOOK_MS 1000

static const char *duration_text(struct tx *tx, int64_t ms)
{
        char text[POLLING_TEXT_SIZE];
        polling_format(ms, text);
        return arena_strdup(tx->arena, text);
}

static int64_t earlier(int64_t a, int64_t b)
{
        return !a || (b && b < a) ? b : a;
}

/* ── limits ── */

static int64_t silence_of(struct tx *tx, int64_t rollout)
{
        struct rollout_rule rule;
        int64_t ms = 0;
        if (rollout && rollout_rule_get(tx, rollout, 0, &rule) && rule.timeout)
                return polling_parse_interval(rule.timeout, &ms) == 0 ? ms : 0;
        return settings_duration(tx, SETTING_TIMEOUT);
}

void deadline_limits(
        struct tx *tx, const struct action *a, int64_t *ret_silence, int64_t *ret_total)
{
        *ret_silence = silence_of(tx, a->rollout);
        *ret_total = settings_duration(tx, SETTING_TIMEOUT_TOTAL);
}

void deadline_signs(struct tx *tx, const struct action *a, int64_t *ret_sign, int64_t *ret_opened)
{
        *ret_opened = *ret_sign = a->modified_at;
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT min(x.created_at), max(x.created_at), (SELECT last_query_at FROM target"
                " WHERE id=?) FROM action_status x WHERE x.action=?",
                SQL_I(a->target), SQL_I(a->id));
        if (!sql_next(&r))
                return;
        if (!sql_col_is_null(&r, 0)) {
                *ret_opened = sql_col_int(&r, 0);
                *ret_sign = sql_col_int(&r, 1);
        }
        if (sql_col_int(&r, 2) > *ret_sign)
                *ret_sign = sql_col_int(&r, 2);
}

/* ── the clock starts ── */

void deadline_arm(struct tx *tx, const struct action *a)
{
        int64_t silence = 0, total = 0;
        deadline_limits(tx, a, &silence, &total);
        int64_t first = earlier(silence, total);
        if (first)
                sql_run(tx, "UPDATE action SET due_at=? WHERE id=?", SQL_I(tx->now + first),
                        SQL_I(a->id));
}

void deadline_arm_group(struct tx *tx, int64_t rollout, int64_t group)
{
        int64_t first =
                earlier(silence_of(tx, rollout), settings_duration(tx, SETTING_TIMEOUT_TOTAL));
        if (first)
                sql_run(tx,
                        "UPDATE action SET due_at=? WHERE rollout_group=? AND active=1 AND due_at "
                        "IS NULL",
                        SQL_I(tx->now + first), SQL_I(group));
}

void deadline_setting_changed(struct tx *tx, const char *key)
{
        if (strcmp(key, SETTING_TIMEOUT) == 0 || strcmp(key, SETTING_TIMEOUT_TOTAL) == 0)
                sql_run(tx,
                        "UPDATE action SET due_at=? WHERE tenant=? AND active=1 AND proving_since "
                        "IS NULL",
                        SQL_I(tx->now), SQL_I(tx->tenant));
}

/* ── proof ── */

int64_t proof_within(struct tx *tx)
{
        int64_t least = 2 * settings_duration(tx, SETTING_PROOF);
        int64_t within = settings_duration(tx, SETTING_PROOF_WITHIN);
        return within > least ? within : least;
}

bool proof_is_due(struct tx *tx, const struct action *a)
{
        return a->type != ACTION_DOWNLOAD_ONLY && settings_duration(tx, SETTING_PROOF) > 0;
}

const char *proof_text(struct tx *tx)
{
        return arena_printf(tx->arena,
                "Update Server: the target reported success. It is proved when the target polls "
                "again, at the earliest after %s and within %s.",
                duration_text(tx, settings_duration(tx, SETTING_PROOF)),
                duration_text(tx, proof_within(tx)));
}

void proof_begin(struct tx *tx, struct action *a)
{
        a->proving_since = tx->now;
        action_set_status(tx, a, ACTION_RUNNING, true);
        sql_run(tx, "UPDATE action SET due_at=? WHERE id=?",
                SQL_I(tx->now + settings_duration(tx, SETTING_PROOF)), SQL_I(a->id));
}

/* What is next for the device. */
static void tell_next(struct tx *tx, int64_t target)
{
        struct action next;
        struct target t;
        if (action_next(tx, target, &next) && target_get(tx, target, &t))
                tx_tell(tx, t.controller_id);
}

/* Has the target installed something later, and proved that before? */
static bool is_outdated(struct tx *tx, const struct action *a)
{
        return sql_int(tx, 0,
                "SELECT 1 FROM action WHERE target=? AND id>? AND status=? AND modified_at>=? "
                "LIMIT "
                "1",
                SQL_I(a->target), SQL_I(a->id), SQL_I(ACTION_FINISHED), SQL_I(a->proving_since));
}

void proof_end(struct tx *tx, struct action *a, bool is_proved, const char *text)
{
        action_log_text(tx, a->id, is_proved ? ACTION_FINISHED : ACTION_ERROR, text);
        if (!is_proved)
                action_fail(tx, a);
        else if (is_outdated(tx, a))
                action_set_status(tx, a, ACTION_FINISHED, false);
        else
                action_finish(tx, a, tx->now);
        tell_next(tx, a->target);
}

void proof_by_installed(struct tx *tx, int64_t target, int64_t ds)
{
        int64_t since = settings_duration(tx, SETTING_PROOF);
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " ACTION_COLUMNS
                " FROM action a WHERE a.target=? AND a.active=1 AND a.proving_since IS NOT NULL",
                SQL_I(target));
        while (sql_next(&r)) {
                struct action a;
                action_read(&r, &a);
                if (a.ds != ds)
                        proof_end(tx, &a, false,
                                "Update Server: the target reported success, and then that it has "
                                "another set installed.");
                else if (tx->now >= a.proving_since + since)
                        proof_end(tx, &a, true,
                                "Update Server: proved: the target says that the set is "
                                "installed.");
        }
}

static void look_for_proof(struct tx *tx, struct action *a)
{
        int64_t earliest = a->proving_since + settings_duration(tx, SETTING_PROOF);
        int64_t latest = a->proving_since + proof_within(tx);
        int64_t polled =
                sql_int(tx, 0, "SELECT last_query_at FROM target WHERE id=?", SQL_I(a->target));
        if (polled >= earliest) {
                proof_end(tx, a, true,
                        arena_printf(tx->arena,
                                "Update Server: proved: the target polled again %s after it "
                                "reported success.",
                                duration_text(tx, polled - a->proving_since)));
                return;
        }
        if (tx->now >= latest && tx->now >= earliest) {
                proof_end(tx, a, false,
                        "Update Server: the target reported success and never came back.");
                return;
        }
        int64_t step = (tx->now - earliest) / PROOF_LOOKS;
        int64_t next = tx->now + (step > PROOF_MIN_LOOK_MS ? step : PROOF_MIN_LOOK_MS);
        next = next < earliest ? earliest : next > latest && latest > tx->now ? latest : next;
        sql_run(tx, "UPDATE action SET due_at=? WHERE id=?", SQL_I(next), SQL_I(a->id));
}

/* ── looks ── */

static void expire(struct tx *tx, struct action *a, const char *text)
{
        log_info("action %lld timed out: %s", (long long)a->id, text);
        if (a->status == ACTION_CANCELING) {
                action_log_text(tx, a->id, ACTION_CANCELED, text);
                action_canceled(tx, a);
        } else {
                action_log_text(tx, a->id, ACTION_ERROR, text);
                action_fail(tx, a);
        }
        tell_next(tx, a->target);
}

static void look_for_signs(struct tx *tx, struct action *a)
{
        int64_t silence = 0, total = 0, sign = 0, opened = 0;
        deadline_limits(tx, a, &silence, &total);
        deadline_signs(tx, a, &sign, &opened);
        if (silence && tx->now >= sign + silence) {
                expire(tx, a,
                        arena_printf(tx->arena,
                                "Update Server: timed out: no sign of the target for %s",
                                duration_text(tx, silence)));
        } else if (total && tx->now >= opened + total) {
                expire(tx, a,
                        arena_printf(tx->arena, "Update Server: timed out: not done after %s",
                                duration_text(tx, total)));
        } else {
                int64_t next = earlier(silence ? sign + silence : 0, total ? opened + total : 0);
                sql_run(tx, "UPDATE action SET due_at=? WHERE id=?", SQL_OPT(next), SQL_I(a->id));
        }
}

void deadline_look(struct tx *tx, struct action *a)
{
        if (!a->is_active)
                sql_run(tx, "UPDATE action SET due_at=NULL WHERE id=?", SQL_I(a->id));
        else if (a->proving_since)
                look_for_proof(tx, a);
        else
                look_for_signs(tx, a);
}

/* One look each; the rows are read first, since looking moves them in the index that is read. */
static void look_at_due(struct tx *tx)
{
        int64_t *ids = arena_alloc(tx->arena, LIMIT_OTA_DUE_PAGE * sizeof(*ids));
        int64_t *tenants = arena_alloc(tx->arena, LIMIT_OTA_DUE_PAGE * sizeof(*tenants));
        size_t n = 0;
        struct sql_rows r = sql_open(tx,
                "SELECT id, tenant FROM action WHERE due_at<=? ORDER BY due_at LIMIT ?",
                SQL_I(tx->now), SQL_I(LIMIT_OTA_DUE_PAGE));
        while (n < LIMIT_OTA_DUE_PAGE && sql_next(&r)) {
                ids[n] = sql_col_int(&r, 0);
                tenants[n++] = sql_col_int(&r, 1);
        }
        sql_close(&r);
        for (size_t i = 0; i < n; i++) {
                struct action a;
                tx->tenant = tenants[i];
                if (action_get(tx, ids[i], &a))
                        deadline_look(tx, &a);
        }
}

void deadline_round(struct ota *o)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        ota_tx(o, &tx, &arena, &problem, 0, "system");
        tx.unit = DATABASE_READING;
        bool is_any =
                sql_int(&tx, 0, "SELECT 1 FROM action WHERE due_at<=? LIMIT 1", SQL_I(tx.now));
        (void)tx_commit(&tx);
        if (is_any) {
                seen_flush(o->seen, o); /* the last polls are signs too */
                tx.unit = DATABASE_ALONE;
                look_at_due(&tx);
                if (problem.code || tx_commit(&tx) < 0) {
                        log_warning("deadlines: %s", problem.message ? problem.message : "failed");
                        tx_rollback(&tx);
                } else {
                        ota_tell(o, &tx);
                }
        }
        problem_fini(&problem);
        arena_fini(&arena);
}
