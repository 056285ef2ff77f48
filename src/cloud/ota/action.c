/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/action.h"

#include "base/limits.h"
#include "cloud/ota/cron.h"
#include "cloud/ota/dmf_letter.h"
#include "cloud/ota/events.h"

#include <errno.h>
#include <string.h>

#define MAX_MESSAGE 512
/* Reports come in crowds: a rollout is looked at once for all of this time. */
#define ROLLOUT_LOOK_MS 100

const char *const action_status_words[] = {"finished", "error", "warning", "running", "canceled",
        "canceling", "retrieved", "download", "scheduled", "cancel_rejected", "downloaded",
        "wait_for_confirmation", NULL};
const char *const action_type_words[] = {"forced", "soft", "timeforced", "downloadonly", NULL};

enum action_type action_type_of(const char *word)
{
        for (int i = 0; word && action_type_words[i]; i++) {
                if (strcmp(action_type_words[i], word) == 0)
                        return (enum action_type)i;
        }
        return ACTION_FORCED;
}

void messages_add(struct tx *tx, struct messages *m, const char *text)
{
        if (m->n == m->cap) {
                size_t cap = m->cap ? m->cap * 2 : 8;
                const char **more = arena_alloc(tx->arena, cap * sizeof(*more));
                if (m->n)
                        memcpy(more, m->texts, m->n * sizeof(*more));
                m->texts = more;
                m->cap = cap;
        }
        m->texts[m->n++] = text;
}

void action_read(struct sql_rows *r, struct action *a)
{
        *a = (struct action){
                .id = sql_col_int(r, 0),
                .target = sql_col_int(r, 1),
                .ds = sql_col_int(r, 2),
                .is_active = sql_col_int(r, 3) != 0,
                .status = (enum action_status)sql_col_int(r, 4),
                .type = (enum action_type)sql_col_int(r, 5),
                .forced_time = sql_col_int(r, 6),
                .weight = sql_col_int(r, 7),
                .rollout = sql_col_int(r, 8),
                .group = sql_col_int(r, 9),
                .schedule = sql_col_text(r, 10),
                .duration = sql_col_text(r, 11),
                .timezone = sql_col_text(r, 12),
                .external_ref = sql_col_text(r, 13),
                .last_code = sql_col_is_null(r, 14) ? ACTION_NO_CODE : sql_col_int(r, 14),
                .proving_since = sql_col_int(r, 15),
                .modified_at = sql_col_int(r, 19),
        };
}

bool action_get(struct tx *tx, int64_t id, struct action *ret)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(tx, "SELECT " ACTION_COLUMNS " FROM action a WHERE a.tenant=? AND a.id=?",
                        SQL_I(tx->tenant), SQL_I(id));
        if (!sql_next(&r))
                return false;
        action_read(&r, ret);
        return true;
}

bool action_next(struct tx *tx, int64_t target, struct action *ret)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " ACTION_COLUMNS
                " FROM action a WHERE a.target=? AND a.active=1 AND a.proving_since IS NULL"
                " ORDER BY a.weight DESC, a.id LIMIT 1",
                SQL_I(target));
        if (!sql_next(&r))
                return false;
        action_read(&r, ret);
        return true;
}

int64_t action_insert(struct tx *tx, const struct action *a)
{
        return sql_insert(tx,
                "INSERT INTO action(tenant, target, ds, active, status, type, forced_time, weight, "
                "rollout,"
                " rollout_group, schedule, duration, timezone, initiated_by, from_version, "
                "created_by,"
                " created_at, modified_by, modified_at)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
                " (SELECT s.version FROM target t JOIN ds s ON s.id=t.installed_ds WHERE t.id=?2),"
                " ?14, ?15, ?14, ?15)",
                SQL_I(tx->tenant), SQL_I(a->target), SQL_I(a->ds), SQL_I(a->is_active),
                SQL_I(a->status), SQL_I(a->type), SQL_I(a->forced_time), SQL_I(a->weight),
                SQL_OPT(a->rollout), SQL_OPT(a->group), SQL_T(a->schedule), SQL_T(a->duration),
                SQL_T(a->timezone), SQL_T(tx->user), SQL_I(tx->now));
}

/* ── history ── */

/* Length of the first piece, in bytes, that is at most MAX_MESSAGE characters long. */
static size_t piece_length(const char *text)
{
        size_t n = 0, i = 0;
        for (; text[i]; i++) {
                if (((unsigned char)text[i] & 0xC0) != 0x80 && n++ == MAX_MESSAGE)
                        break;
        }
        return i;
}

void action_log(struct tx *tx, int64_t action, enum action_status type, int64_t occurred_at,
        int64_t code, const struct messages *m)
{
        struct sql_arg code_arg = {
                .kind = code == ACTION_NO_CODE ? SQL_KIND_NULL : SQL_KIND_INT, .i = code};
        int64_t id = sql_insert(tx,
                "INSERT INTO action_status(action, type, occurred_at, code, created_by, created_at)"
                " VALUES(?, ?, ?, ?, ?, ?)",
                SQL_I(action), SQL_I(type), SQL_I(occurred_at), code_arg, SQL_T(tx->user),
                SQL_I(tx->now));
        int n = 0;
        for (size_t i = 0; i < m->n; i++) {
                const char *text = m->texts[i];
                do {
                        size_t len = piece_length(text);
                        sql_run(tx, "INSERT INTO action_message(status, n, text) VALUES(?, ?, ?)",
                                SQL_I(id), SQL_I(n), SQL_T(arena_strndup(tx->arena, text, len)));
                        n++;
                        text += len;
                } while (*text);
        }
}

void action_log_text(struct tx *tx, int64_t action, enum action_status type, const char *text)
{
        struct messages m = {.texts = &text, .n = 1, .cap = 1};
        action_log(tx, action, type, tx->now, ACTION_NO_CODE, &m);
}

int64_t action_count_log(struct tx *tx, int64_t action)
{
        return sql_int(tx, 0, "SELECT count(*) FROM action_status WHERE action=?", SQL_I(action));
}

void action_set_status(struct tx *tx, struct action *a, enum action_status status, bool is_active)
{
        /* a group that starts is one event, not one for each of its actions */
        bool is_news = a->status != status && (a->status != ACTION_SCHEDULED || !is_active);
        a->status = status;
        a->is_active = is_active;
        a->modified_at = tx->now;
        if (!is_active || status == ACTION_CANCELING)
                a->proving_since = 0;
        sql_run(tx,
                "UPDATE action SET status=?1, active=?2, modified_by=coalesce(?3, modified_by), "
                "modified_at=?4, proving_since=?5,"
                " due_at=CASE WHEN ?2=1 THEN due_at ELSE NULL END WHERE id=?6",
                SQL_I(status), SQL_I(is_active), SQL_T(tx_author(tx)), SQL_I(tx->now),
                SQL_OPT(a->proving_since), SQL_I(a->id));
        if (!is_active && a->rollout) /* its group may be beyond a threshold now */
                tx_due(tx, DUE_ROLLOUT, a->rollout, ROLLOUT_LOOK_MS);
        if (is_news)
                event_action(tx, is_active ? "action.status" : "action.finished", a);
}

void action_set_code(struct tx *tx, struct action *a, int64_t code)
{
        struct sql_arg arg = {
                .kind = code == ACTION_NO_CODE ? SQL_KIND_NULL : SQL_KIND_INT, .i = code};
        if (a->last_code == code)
                return;
        a->last_code = code;
        sql_run(tx, "UPDATE action SET last_code=?, modified_at=? WHERE id=?", arg, SQL_I(tx->now),
                SQL_I(a->id));
}

/* ── ends ── */

void action_finish(struct tx *tx, struct action *a, int64_t occurred_at)
{
        struct target t;
        action_set_status(tx, a, ACTION_FINISHED, false);
        if (!target_get(tx, a->target, &t))
                return;
        /* by the device's clock, which may repeat itself: what isn't later counts as old */
        if (t.installed_at && occurred_at != tx->now && occurred_at <= t.installed_at)
                return;
        bool is_in_sync = t.assigned_ds == a->ds;
        sql_run(tx,
                "UPDATE target SET installed_ds=?, installed_at=?, request_attributes=1, status=? "
                "WHERE id=?",
                SQL_I(a->ds), SQL_I(occurred_at), SQL_I(is_in_sync ? TARGET_IN_SYNC : t.status),
                SQL_I(t.id));
        dmf_letter_write(tx, t.id, DMF_LETTER_ATTRIBUTES);
}

void action_fail(struct tx *tx, struct action *a)
{
        action_set_status(tx, a, ACTION_ERROR, false);
        sql_run(tx, "UPDATE target SET status=?, assigned_ds=NULL WHERE id=?", SQL_I(TARGET_ERROR),
                SQL_I(a->target));
}

void action_downloaded(struct tx *tx, struct action *a)
{
        action_set_status(tx, a, ACTION_DOWNLOADED, false);
        sql_run(tx, "UPDATE target SET status=?, request_attributes=1 WHERE id=?",
                SQL_I(TARGET_IN_SYNC), SQL_I(a->target));
        dmf_letter_write(tx, a->target, DMF_LETTER_ATTRIBUTES);
}

/* ── withdrawal ── */

static void tell_target(struct tx *tx, int64_t target)
{
        const char *id = sql_text(tx, "SELECT controller_id FROM target WHERE id=?", SQL_I(target));
        if (id)
                tx_tell(tx, id);
}

void action_ask_cancel(struct tx *tx, struct action *a, const char *why)
{
        action_set_status(tx, a, ACTION_CANCELING, true);
        action_log_text(tx, a->id, ACTION_CANCELING, why);
        tell_target(tx, a->target);
}

void action_canceled(struct tx *tx, struct action *a)
{
        action_set_status(tx, a, ACTION_CANCELED, false);
        int64_t open_ds = sql_int(tx, 0,
                "SELECT ds FROM action WHERE target=? AND active=1 ORDER BY id LIMIT 1",
                SQL_I(a->target));
        if (open_ds)
                sql_run(tx, "UPDATE target SET assigned_ds=? WHERE id=?", SQL_I(open_ds),
                        SQL_I(a->target));
        else
                sql_run(tx, "UPDATE target SET assigned_ds=installed_ds, status=? WHERE id=?",
                        SQL_I(TARGET_IN_SYNC), SQL_I(a->target));
        tell_target(tx, a->target); /* it may hold the withdrawn one, or wait for the next */
}

int action_cancel(struct tx *tx, struct action *a, bool is_forced)
{
        if (!is_forced) {
                if (!a->is_active || a->status == ACTION_CANCELING)
                        return tx_problem(tx, PROBLEM_NOT_CANCELABLE,
                                "Action %lld cannot be canceled", (long long)a->id);
                action_ask_cancel(tx, a, "Update Server: manual cancelation requested");
                return 0;
        }
        if (!a->is_active || a->status != ACTION_CANCELING)
                return tx_problem(tx, PROBLEM_NOT_FORCE_QUITABLE,
                        "Action %lld is not being canceled and cannot be force quit",
                        (long long)a->id);
        action_log_text(
                tx, a->id, ACTION_CANCELED, "Update Server: A force quit has been performed.");
        action_canceled(tx, a);
        return 0;
}

bool action_end_without_window(struct tx *tx, struct action *a)
{
        struct cron_window w;
        if (!a->schedule || !a->is_active ||
                cron_window_at(a->schedule, a->duration, a->timezone, tx->now, &w) != -ENOENT)
                return false;
        action_log_text(tx, a->id, ACTION_CANCELED, "Update Server: no maintenance window is left");
        action_canceled(tx, a);
        return true;
}

void action_delete(struct tx *tx, int64_t id)
{
        sql_run(tx, "DELETE FROM action WHERE id=?", SQL_I(id));
}

/* ── what the device is to do ── */

bool action_is_forced_now(const struct action *a, int64_t now)
{
        return a->type == ACTION_FORCED || (a->type == ACTION_TIMEFORCED && a->forced_time <= now);
}

bool action_make_forced(struct tx *tx, struct action *a)
{
        if (action_is_forced_now(a, tx->now))
                return false;
        a->type = ACTION_FORCED;
        a->forced_time = 0;
        sql_run(tx,
                "UPDATE action SET type=?, forced_time=0, modified_by=?, modified_at=? WHERE id=?",
                SQL_I(ACTION_FORCED), SQL_T(tx->user), SQL_I(tx->now), SQL_I(a->id));
        return true;
}

void action_handling(struct tx *tx, const struct action *a, const char **ret_download,
        const char **ret_update, const char **ret_window)
{
        bool is_forced = action_is_forced_now(a, tx->now) || a->type == ACTION_DOWNLOAD_ONLY;
        struct cron_window w;
        *ret_download = is_forced ? "forced" : "attempt";
        *ret_update = a->type == ACTION_DOWNLOAD_ONLY ? "skip" : *ret_download;
        *ret_window = NULL;
        if (!a->schedule)
                return;
        bool is_open = cron_window_at(a->schedule, a->duration, a->timezone, tx->now, &w) == 0 &&
                       w.start <= tx->now;
        *ret_window = is_open ? "available" : "unavailable";
        if (!is_open)
                *ret_update = "skip";
}
