/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf_apply.h"

#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/dmf_order.h"

#include <string.h>

/* Which row of the history a report becomes. */
static enum action_status row_of(enum dmf_status status)
{
        static const enum action_status rows[] = {
                [DMF_DOWNLOAD] = ACTION_DOWNLOAD,
                [DMF_RETRIEVED] = ACTION_RETRIEVED,
                [DMF_RUNNING] = ACTION_RUNNING,
                [DMF_FINISHED] = ACTION_FINISHED,
                [DMF_ERROR] = ACTION_ERROR,
                [DMF_WARNING] = ACTION_WARNING,
                [DMF_CANCELED] = ACTION_CANCELED,
                [DMF_CANCEL_REJECTED] = ACTION_CANCEL_REJECTED,
                [DMF_DOWNLOADED] = ACTION_DOWNLOADED,
                [DMF_CONFIRMED] = ACTION_RUNNING,
                [DMF_DENIED] = ACTION_WAIT_FOR_CONFIRMATION,
        };
        return rows[status];
}

static void read_texts(struct tx *tx, const struct dmf_message *m, struct messages *ret)
{
        size_t i;
        json_t *text;
        json_array_foreach((json_t *)m->texts, i, text)
        {
                messages_add(tx, ret, json_string_value(text));
        }
        if (m->correlation_id)
                messages_add(tx, ret,
                        arena_printf(tx->arena, "Update Server: DMF message correlation-id %s",
                                m->correlation_id));
}

static int check_quota(
        struct tx *tx, const struct action *a, const struct messages *texts, bool is_end)
{
        if (texts->n > LIMIT_OTA_MESSAGES_PER_STATUS)
                return tx_problem(tx, PROBLEM_QUOTA, "too many messages in one report");
        if (!is_end && action_count_log(tx, a->id) >= LIMIT_OTA_STATUS_PER_ACTION)
                return tx_problem(
                        tx, PROBLEM_QUOTA, "too many reports on action %lld", (long long)a->id);
        return 0;
}

/* Was this report written before the server ended without acknowledging it? Without the device's
 * time only the newest row can tell. */
static bool is_known(struct tx *tx, const struct dmf_message *m, const struct action *a,
        const struct messages *texts)
{
        bool has_time = m->at != DMF_NO_NUMBER && m->status != DMF_CONFIRMED &&
                        m->status != DMF_DENIED; /* those are written with our time */
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT x.type, x.occurred_at, (SELECT t.text FROM action_message t"
                " WHERE t.status=x.id ORDER BY t.n LIMIT 1) FROM action_status x WHERE x.action=?"
                " ORDER BY x.id DESC LIMIT ?",
                SQL_I(a->id), SQL_I(has_time ? LIMIT_OTA_STATUS_PER_ACTION : 1));
        while (sql_next(&r)) {
                const char *first = sql_col_text(&r, 2);
                bool is_same_text =
                        texts->n == 0 || (first && strncmp(first, texts->texts[0], 512) == 0);
                if (sql_col_int(&r, 0) == (int64_t)row_of(m->status) && is_same_text &&
                        (!has_time || m->at == sql_col_int(&r, 1)))
                        return true;
        }
        return false;
}

/* ── answers to a withdrawal ── */

static int apply_cancel_answer(struct tx *tx, const struct dmf_message *m, struct action *a,
        struct messages *texts, int64_t at, int64_t code)
{
        bool is_canceled = m->status == DMF_CANCELED;
        if (a->status != ACTION_CANCELING && a->status != ACTION_CANCELED)
                return tx_problem(tx, PROBLEM_NOT_CANCELABLE, "action %lld is not being canceled",
                        (long long)a->id);
        if (is_canceled)
                messages_add(tx, texts,
                        "Update Server: Cancellation completion is finished successfully.");
        action_log(tx, a->id, row_of(m->status), at, code, texts);
        if (a->status != ACTION_CANCELING)
                return 0;
        if (is_canceled) {
                action_canceled(tx, a);
                sql_run(tx, "DELETE FROM dmf_told WHERE action=?", SQL_I(a->id));
        } else { /* its device goes on with what it was told; a later withdrawal is told again */
                action_set_status(tx, a, ACTION_RUNNING, true);
                sql_run(tx, "UPDATE dmf_told SET cancel=0 WHERE action=?", SQL_I(a->id));
        }
        return 0;
}

/* ── answers to a question for confirmation ── */

static int apply_confirmation(struct tx *tx, const struct dmf_message *m, struct action *a,
        const struct messages *texts, int64_t code)
{
        if (!a->is_active || a->status != ACTION_WAIT_FOR_CONFIRMATION)
                return tx_problem(tx, PROBLEM_CONSTRAINT, "action %lld waits for no confirmation",
                        (long long)a->id);
        deploy_confirm(tx, a, m->status == DMF_CONFIRMED, code, texts);
        return 0;
}

/* ── reports ── */

/* One that has ended takes remarks still; of ends only the one that follows a download. */
static bool is_taken(const struct dmf_message *m, const struct action *a)
{
        bool is_end = m->status == DMF_FINISHED || m->status == DMF_ERROR;
        bool was_downloaded = a->type == ACTION_DOWNLOAD_ONLY && a->status == ACTION_DOWNLOADED;
        return a->is_active || !is_end || was_downloaded;
}

/* A download that became an installation after all: assigned and installed set are known again. */
static void finish_downloaded(struct tx *tx, struct action *a, int64_t at)
{
        sql_run(tx, "UPDATE target SET assigned_ds=? WHERE id=?", SQL_I(a->ds), SQL_I(a->target));
        action_finish(tx, a, at);
}

static void apply_report(struct tx *tx, const struct dmf_message *m, struct action *a,
        struct messages *texts, int64_t at, int64_t code)
{
        if (!is_taken(m, a)) {
                log_debug("DMF: action %lld has ended; the report is dropped", (long long)a->id);
                return;
        }
        bool proves = m->status == DMF_FINISHED && a->is_active && proof_is_due(tx, a);
        if (proves) /* the device's next THING_CREATED or poll is the proof */
                messages_add(tx, texts, proof_text(tx));
        action_log(tx, a->id, proves ? ACTION_RUNNING : row_of(m->status), at, code, texts);
        action_set_code(tx, a, code);
        if (proves)
                proof_begin(tx, a);
        else if (m->status == DMF_ERROR)
                action_fail(tx, a);
        else if (m->status == DMF_FINISHED && !a->is_active)
                finish_downloaded(tx, a, at);
        else if (m->status == DMF_FINISHED)
                action_finish(tx, a, at);
        else if (m->status == DMF_DOWNLOADED && a->is_active && a->type == ACTION_DOWNLOAD_ONLY)
                action_downloaded(tx, a);
}

static int apply(
        struct tx *tx, const struct dmf_message *m, struct action *a, struct messages *texts)
{
        int64_t at = m->at == DMF_NO_NUMBER ? tx->now : m->at;
        int64_t code = m->code == DMF_NO_NUMBER ? ACTION_NO_CODE : m->code;
        switch (m->status) {
        case DMF_CANCELED:
        case DMF_CANCEL_REJECTED:
                return apply_cancel_answer(tx, m, a, texts, at, code);
        case DMF_CONFIRMED:
        case DMF_DENIED:
                return apply_confirmation(tx, m, a, texts, code);
        default:
                apply_report(tx, m, a, texts, at, code);
                return 0;
        }
}

/* What is next for the device, if this moved something. */
static void tell_next(struct tx *tx, const struct action *a, bool was_active)
{
        const char *id =
                sql_text(tx, "SELECT controller_id FROM target WHERE id=?", SQL_I(a->target));
        if (was_active && !a->is_active)
                dmf_orders_forget(tx, a->target);
        if (id)
                tx_tell(tx, id);
}

int dmf_apply_status(struct tx *tx, const struct dmf_message *m, bool is_redelivered)
{
        struct action a;
        struct messages texts = {0};
        if (!action_get(tx, m->action, &a))
                return tx_not_found(tx, "Action", m->action);
        bool was_active = a.is_active;
        enum action_status before = a.status;
        read_texts(tx, m, &texts);
        if (is_redelivered && is_known(tx, m, &a, &texts))
                return 0;
        if (check_quota(tx, &a, &texts, m->status == DMF_FINISHED || m->status == DMF_ERROR) < 0 ||
                apply(tx, m, &a, &texts) < 0)
                return -1;
        if (a.is_active != was_active || a.status != before)
                tell_next(tx, &a, was_active);
        return 0;
}
