/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/bulk.h"

#include "base/limits.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/events.h"
#include "cloud/ota/settings.h"

/* What is open stands in one of these; in the last it is withdrawn already. */
static const enum action_status open_states[] = {
        ACTION_RUNNING, ACTION_RETRIEVED, ACTION_WAIT_FOR_CONFIRMATION, ACTION_CANCELING};
#define N_OPEN N_ELEMENTS(open_states)
#define N_NOT_WITHDRAWN (N_OPEN - 1)

static const char *const columns[] = {"rollout", "rollout_group", "ds"};

/* ── pages ── */

struct page {
        const char *in; /* the condition on alias a; PAGE_ARGS are its arguments 1 to 4 */
        int64_t id, last, n;
        enum action_status status;
        bool is_active;
};
#define PAGE_ARGS(p) SQL_I((p)->id), SQL_I((p)->status), SQL_I((p)->is_active), SQL_I((p)->last)

static bool find_page(struct tx *tx, enum bulk_owner owner, int64_t id, enum action_status status,
        struct page *ret)
{
        const char *column = columns[owner];
        *ret = (struct page){.id = id, .status = status, .is_active = status != ACTION_SCHEDULED};
        const char *sql = arena_printf(tx->arena,
                "SELECT max(x.id), count(*) FROM (SELECT a.id FROM action a WHERE a.%s=? AND"
                " a.status=? AND a.active=? ORDER BY a.id LIMIT ?) x",
                column);
        CLEAN_ROWS struct sql_rows r = sql_open(tx, sql, SQL_I(id), SQL_I(status),
                SQL_I(ret->is_active), SQL_I(LIMIT_OTA_BULK_PAGE));
        if (!sql_next(&r) || sql_col_int(&r, 1) == 0)
                return false;
        ret->last = sql_col_int(&r, 0);
        ret->n = sql_col_int(&r, 1);
        ret->in = arena_printf(
                tx->arena, "a.%s=?1 AND a.status=?2 AND a.active=?3 AND a.id<=?4", column);
        return true;
}

static bool find_open_page(
        struct tx *tx, enum bulk_owner owner, int64_t id, size_t n_states, struct page *ret)
{
        for (size_t i = 0; i < n_states; i++) {
                if (find_page(tx, owner, id, open_states[i], ret))
                        return true;
        }
        return false;
}

/* The page, less what `more` excludes. */
static struct page page_and(struct tx *tx, const struct page *p, const char *more)
{
        struct page part = *p;
        part.in = arena_printf(tx->arena, "%s AND %s", p->in, more);
        return part;
}

/* ── history: one row with one text each ── */

/* `whose` is the alias of what the rows are about, `from` what follows FROM. */
static void log_rows(struct tx *tx, const struct page *p, const char *whose, const char *from,
        enum action_status type, const char *text)
{
        int64_t before = sql_int(tx, 0, "SELECT max(id) FROM action_status");
        sql_run(tx,
                arena_printf(tx->arena,
                        "INSERT INTO action_status(action, type, occurred_at, created_by, "
                        "created_at)"
                        " SELECT %s.id, ?5, ?6, ?7, ?6 FROM %s WHERE %s ORDER BY %s.id",
                        whose, from, p->in, whose),
                PAGE_ARGS(p), SQL_I(type), SQL_I(tx->now), SQL_T(tx->user));
        sql_run(tx,
                arena_printf(tx->arena,
                        "INSERT INTO action_message(status, n, text) SELECT x.id, 0, ?5 FROM %s "
                        "JOIN"
                        " action_status x ON x.action=%s.id AND x.id>?6 WHERE %s",
                        from, whose, p->in),
                PAGE_ARGS(p), SQL_T(text), SQL_I(before));
}

/* A second text in the row that log_rows() just made; scheduled actions had no row before. */
static void log_second_text(struct tx *tx, const struct page *p, const char *text)
{
        sql_run(tx,
                arena_printf(tx->arena,
                        "INSERT INTO action_message(status, n, text) SELECT x.id, 1, ?5 FROM "
                        "action a JOIN"
                        " action_status x ON x.action=a.id WHERE %s",
                        p->in),
                PAGE_ARGS(p), SQL_T(text));
}

/* One event each, where somebody wants them; a group that starts is one for all (events.h). */
static void put_events(struct tx *tx, const struct page *p, const char *whose, const char *from,
        enum action_status status, bool is_active)
{
        if (!events_are_on(tx))
                return;
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                arena_printf(tx->arena,
                        "SELECT " ACTION_COLUMNS
                        " FROM action a WHERE a.id IN (SELECT %s.id FROM %s WHERE %s) ORDER BY "
                        "a.id",
                        whose, from, p->in),
                PAGE_ARGS(p));
        while (sql_next(&r)) {
                struct action a;
                action_read(&r, &a);
                a.status = status;
                a.is_active = is_active;
                event_action(tx, is_active ? "action.status" : "action.finished", &a);
        }
}

static void set_status(
        struct tx *tx, const struct page *p, enum action_status status, bool is_active)
{
        if (p->is_active || !is_active)
                put_events(tx, p, "a", "action a", status, is_active);
        sql_run(tx,
                arena_printf(tx->arena,
                        "UPDATE action SET status=?5, active=?6, modified_by=?7, modified_at=?8, "
                        "proving_since=NULL, due_at=CASE WHEN ?6=1 THEN due_at ELSE NULL END "
                        "WHERE id IN"
                        " (SELECT a.id FROM action a WHERE %s)",
                        p->in),
                PAGE_ARGS(p), SQL_I(status), SQL_I(is_active), SQL_T(tx->user), SQL_I(tx->now));
}

static void tell_page(struct tx *tx, const struct page *p)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                arena_printf(tx->arena,
                        "SELECT t.controller_id FROM action a JOIN target t ON t.id=a.target WHERE "
                        "%s",
                        p->in),
                PAGE_ARGS(p));
        while (sql_next(&r))
                tx_tell(tx, sql_col_text(&r, 0));
}

/* ── starting ── */

/* Targets that have the set assigned already: their actions are over at once. */
static void skip_assigned(struct tx *tx, const struct page *p)
{
        struct page done = page_and(
                tx, p, "EXISTS(SELECT 1 FROM target t WHERE t.id=a.target AND t.assigned_ds=a.ds)");
        if (!sql_int(tx, 0,
                    arena_printf(tx->arena, "SELECT 1 FROM action a WHERE %s LIMIT 1", done.in),
                    PAGE_ARGS(p)))
                return;
        log_rows(tx, &done, "a", "action a", ACTION_RUNNING,
                "Update Server: Distribution Set is already assigned. Skipping this action.");
        set_status(tx, &done, ACTION_FINISHED, false);
}

/* What the new actions push aside, as deploy_supersede() has it for one. */
#define OTHERS "action a JOIN action o ON o.target=a.target AND o.id<>a.id JOIN ds s ON s.id=o.ds"

static void set_others(
        struct tx *tx, const struct page *p, enum action_status status, bool is_active)
{
        put_events(tx, p, "o", OTHERS, status, is_active);
        sql_run(tx,
                arena_printf(tx->arena,
                        "UPDATE action SET status=?5, active=?6, modified_by=?7, modified_at=?8, "
                        "proving_since=NULL, due_at=CASE WHEN ?6=1 THEN due_at ELSE NULL END "
                        "WHERE id IN"
                        " (SELECT o.id FROM " OTHERS " WHERE %s)",
                        p->in),
                PAGE_ARGS(p), SQL_I(status), SQL_I(is_active), SQL_T(tx->user), SQL_I(tx->now));
}

static bool has_others(struct tx *tx, const struct page *p)
{
        return sql_int(tx, 0,
                arena_printf(tx->arena, "SELECT 1 FROM " OTHERS " WHERE %s LIMIT 1", p->in),
                PAGE_ARGS(p));
}

static void supersede(struct tx *tx, const struct page *p)
{
        bool closes = settings_bool(tx, SETTING_AUTO_CLOSE);
        struct page scheduled = page_and(tx, p, "o.active=0 AND o.status=8");
        struct page open = page_and(tx, p,
                closes ? "o.active=1 AND s.migration=0"
                       : "o.active=1 AND s.migration=0 AND o.status<>5");
        if (has_others(tx, &scheduled))
                set_others(tx, &scheduled, ACTION_CANCELED, false);
        if (!has_others(tx, &open))
                return;
        log_rows(tx, &open, "o", OTHERS, closes ? ACTION_CANCELED : ACTION_CANCELING,
                closes ? OBSOLETE_CLOSE : OBSOLETE_CANCEL);
        set_others(tx, &open, closes ? ACTION_CANCELED : ACTION_CANCELING, !closes);
}

/* With the confirmation flow on, targets that confirm by themselves each have a text of their own.
 */
static void start_auto_confirmed(
        struct tx *tx, const struct page *p, int confirm, bool is_reinstall, const char *why)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                arena_printf(tx->arena,
                        "SELECT " ACTION_COLUMNS
                        " FROM action a JOIN target t ON t.id=a.target WHERE %s AND"
                        " t.auto_confirm_at IS NOT NULL ORDER BY a.id",
                        p->in),
                PAGE_ARGS(p));
        while (sql_next(&r)) {
                struct action a;
                action_read(&r, &a);
                deploy_scheduled(tx, &a, confirm, is_reinstall, why);
        }
}

static void make_pending(struct tx *tx, const struct page *p, int64_t ds)
{
        sql_run(tx,
                arena_printf(tx->arena,
                        "UPDATE target SET assigned_ds=?5, status=?6, modified_by=?7, "
                        "modified_at=?8 WHERE id IN"
                        " (SELECT a.target FROM action a WHERE %s)",
                        p->in),
                PAGE_ARGS(p), SQL_I(ds), SQL_I(TARGET_PENDING), SQL_T(tx->user), SQL_I(tx->now));
}

static void start_rest(
        struct tx *tx, const struct page *p, int64_t ds, int confirm, const char *why)
{
        bool asks = settings_bool(tx, SETTING_CONFIRMATION);
        bool waits = asks && confirm != 0;
        supersede(tx, p);
        log_rows(tx, p, "a", "action a", asks ? ACTION_WAIT_FOR_CONFIRMATION : ACTION_RUNNING, why);
        if (asks)
                log_second_text(tx, p, waits ? WAITING_TEXT : confirmed_text(tx));
        make_pending(tx, p, ds);
        tell_page(tx, p);
        set_status(tx, p, waits ? ACTION_WAIT_FOR_CONFIRMATION : ACTION_RUNNING, true);
}

int64_t bulk_start(
        struct tx *tx, int64_t group, int64_t ds, int confirm, bool is_reinstall, const char *why)
{
        struct page p;
        if (!find_page(tx, BULK_OF_GROUP, group, ACTION_SCHEDULED, &p))
                return 0;
        if (!is_reinstall)
                skip_assigned(tx, &p);
        if (settings_bool(tx, SETTING_CONFIRMATION) && confirm != 0)
                start_auto_confirmed(tx, &p, confirm, is_reinstall, why);
        start_rest(tx, &p, ds, confirm, why);
        return p.n;
}

/* ── withdrawal ── */

int64_t bulk_ask_cancel(struct tx *tx, enum bulk_owner owner, int64_t id, const char *why)
{
        struct page p;
        if (!find_open_page(tx, owner, id, N_NOT_WITHDRAWN, &p))
                return 0;
        log_rows(tx, &p, "a", "action a", ACTION_CANCELING, why);
        tell_page(tx, &p);
        set_status(tx, &p, ACTION_CANCELING, true);
        return p.n;
}

/* The targets fall back to the oldest action that stays open, else to what is installed. */
static void fall_back(struct tx *tx, const struct page *p)
{
        const char *open = arena_printf(tx->arena,
                "FROM action o WHERE o.target=target.id AND o.active=1 AND NOT EXISTS(SELECT 1 "
                "FROM action a"
                " WHERE a.id=o.id AND %s)",
                p->in);
        sql_run(tx,
                arena_printf(tx->arena,
                        "UPDATE target SET status=CASE WHEN EXISTS(SELECT 1 %s) THEN status ELSE "
                        "?5 END,"
                        " assigned_ds=coalesce((SELECT o.ds %s ORDER BY o.id LIMIT 1), "
                        "installed_ds) WHERE id IN"
                        " (SELECT a.target FROM action a WHERE %s)",
                        open, open, p->in),
                PAGE_ARGS(p), SQL_I(TARGET_IN_SYNC));
}

int64_t bulk_cancel(struct tx *tx, enum bulk_owner owner, int64_t id, const char *why)
{
        struct page p;
        if (!find_open_page(tx, owner, id, N_OPEN, &p))
                return 0;
        log_rows(tx, &p, "a", "action a", ACTION_CANCELED, why);
        fall_back(tx, &p);
        set_status(tx, &p, ACTION_CANCELED, false);
        return p.n;
}

int64_t bulk_delete_scheduled(struct tx *tx, enum bulk_owner owner, int64_t id)
{
        struct page p;
        if (!find_page(tx, owner, id, ACTION_SCHEDULED, &p))
                return 0;
        sql_run(tx,
                arena_printf(tx->arena,
                        "DELETE FROM action WHERE id IN (SELECT a.id FROM action a WHERE %s)",
                        p.in),
                PAGE_ARGS(&p));
        return p.n;
}
