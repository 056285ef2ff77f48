/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/tx.h"

#include "base/log.h"
#include "cloud/ota/settings.h"
#include "cloud/ota/stamps.h"

#include <unistd.h>

/* ── failures ── */

static int failed(struct tx *tx, const char *text)
{
        const char *reason;
        tx->failure = database_failure(tx->database, &reason);
        switch (tx->failure) {
        case DATABASE_CONFLICT:
        case DATABASE_READ_ONLY:
                log_debug("%s (in: %.200s)", reason, text);
                return tx_problem(tx, PROBLEM_CONFLICT,
                        "Another request changed the same at the same time: try again");
        case DATABASE_LOST: /* which the database has logged, once */
                tx_problem(tx, PROBLEM_STORAGE_FAILED,
                        "The database does not answer: nothing of this request was stored");
                if (tx->problem->code == PROBLEM_STORAGE_FAILED)
                        tx->problem->status = 503;
                return -1;
        case DATABASE_FULL:
                log_error("%s (in: %.200s)", reason, text);
                return tx_problem(tx, PROBLEM_STORAGE_FAILED,
                        "The disk is full: nothing of this request was stored");
        default:
                log_error("%s (in: %.200s)", reason, text);
                return tx_problem(tx, PROBLEM_STORAGE_FAILED, "%s", reason);
        }
}

static bool has_failed(const struct tx *tx)
{
        return tx->failure || tx->problem->code == PROBLEM_STORAGE_FAILED;
}

/* ── units ── */

int tx_begin(struct tx *tx)
{
        if (database_begin(tx->database, tx->unit, tx->key) < 0)
                return failed(tx, "BEGIN");
        tx->is_open = true;
        return 0;
}

int tx_commit(struct tx *tx)
{
        if (has_failed(tx)) {
                tx_rollback(tx);
                return -1;
        }
        if (tx->is_open && database_commit(tx->database) < 0) {
                failed(tx, "COMMIT");
                tx_rollback(tx);
                return -1;
        }
        tx->is_open = false;
        for (struct tx_unlink *u = tx->unlinks; u; u = u->next)
                unlink(u->path);
        tx->unlinks = NULL;
        return 0;
}

void tx_rollback(struct tx *tx)
{
        settings_forget(tx->database); /* they may be those of what is undone */
        if (tx->is_open)
                database_rollback(tx->database);
        tx->is_open = false;
        tx->has_events = false;
        tx->tells = NULL;
        tx->unlinks = NULL;
        tx->dues = NULL;
}

void tx_due(struct tx *tx, enum due_kind kind, int64_t id, int64_t delay_ms)
{
        struct tx_due *d = arena_alloc(tx->arena, sizeof(*d));
        *d = (struct tx_due){.next = tx->dues, .kind = kind, .id = id, .delay_ms = delay_ms};
        tx->dues = d;
}

bool tx_needs_another_run(const struct tx *tx)
{
        return tx->failure == DATABASE_CONFLICT || tx->failure == DATABASE_READ_ONLY;
}

void tx_tell(struct tx *tx, const char *controller_id)
{
        struct tx_tell *t = arena_alloc(tx->arena, sizeof(*t));
        t->controller_id = arena_strdup(tx->arena, controller_id);
        t->next = tx->tells;
        tx->tells = t;
}

void tx_after_commit_unlink(struct tx *tx, const char *path)
{
        struct tx_unlink *u = arena_alloc(tx->arena, sizeof(*u));
        u->path = arena_strdup(tx->arena, path);
        u->next = tx->unlinks;
        tx->unlinks = u;
}

static int not_found(struct tx *tx, const char *type, const char *shown, json_t *id)
{
        if (!tx->problem->code) {
                tx_problem(tx, PROBLEM_NOT_FOUND, "%s with given identifier {%s} does not exist.",
                        type, shown);
                tx->problem->info = json_pack("{s:o, s:s}", "entityId", id, "type", type);
        } else {
                json_decref(id);
        }
        return -1;
}

int tx_not_found(struct tx *tx, const char *type, int64_t id)
{
        char shown[24];
        snprintf(shown, sizeof(shown), "%lld", (long long)id);
        return not_found(tx, type, shown, json_integer(id));
}

int tx_not_found_text(struct tx *tx, const char *type, const char *id)
{
        return not_found(tx, type, id, json_string(id));
}

int tx_not_found_list(struct tx *tx, const char *type, json_t *ids)
{
        return not_found(tx, type, "[…]", ids);
}

/* ── statements ── */

static struct sql_rows open_rows(
        struct tx *tx, const char *text, const struct sql_arg *args, size_t n, bool is_insert)
{
        struct sql_rows r = {.tx = tx};
        if (has_failed(tx) || (!tx->is_open && tx_begin(tx) < 0))
                return r;
        if (tx->stamps && !tx->is_quiet)
                stamps_note(tx->stamps, text, args, n, tx->tenant, tx->device);
        r.statement = database_prepare(tx->database, text, is_insert);
        if (r.statement)
                database_bind(r.statement, args, n);
        else
                failed(tx, text);
        return r;
}

struct sql_rows sql_open_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n)
{
        return open_rows(tx, text, args, n, false);
}

bool sql_next(struct sql_rows *r)
{
        if (!r->statement || has_failed(r->tx))
                return false;
        int has_row = database_step(r->statement);
        if (has_row < 0)
                failed(r->tx, database_text(r->statement));
        return has_row > 0;
}

void sql_close(struct sql_rows *r)
{
        if (r->statement)
                database_reset(r->statement);
        r->statement = NULL;
}

int64_t sql_col_int(struct sql_rows *r, int column)
{
        return database_column_int(r->statement, column);
}

double sql_col_real(struct sql_rows *r, int column)
{
        return database_column_real(r->statement, column);
}

const char *sql_col_text(struct sql_rows *r, int column)
{
        return arena_strdup(r->tx->arena, database_column_text(r->statement, column));
}

bool sql_col_is_null(struct sql_rows *r, int column)
{
        return database_column_is_null(r->statement, column);
}

static bool run_to_end(struct sql_rows *r)
{
        while (sql_next(r))
                ;
        return !has_failed(r->tx);
}

int64_t sql_run_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n)
{
        CLEAN_ROWS struct sql_rows r = open_rows(tx, text, args, n, false);
        return run_to_end(&r) ? database_changes(r.statement) : -1;
}

int64_t sql_insert_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n)
{
        CLEAN_ROWS struct sql_rows r = open_rows(tx, text, args, n, true);
        return run_to_end(&r) ? database_insert_id(r.statement) : 0;
}

int64_t sql_int_args(
        struct tx *tx, int64_t fallback, const char *text, const struct sql_arg *args, size_t n)
{
        CLEAN_ROWS struct sql_rows r = sql_open_args(tx, text, args, n);
        if (!sql_next(&r) || sql_col_is_null(&r, 0))
                return fallback;
        return sql_col_int(&r, 0);
}

const char *sql_text_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n)
{
        CLEAN_ROWS struct sql_rows r = sql_open_args(tx, text, args, n);
        return sql_next(&r) ? sql_col_text(&r, 0) : NULL;
}
