/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/tx.h"

#include "base/db.h"
#include "base/log.h"
#include "cloud/ota/schema.h"
#include "cloud/ota/settings.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* Filters make statement texts of their own; the fixed ones are about 300. */
#define CACHE_BUCKETS 512
#define CACHE_MAX 1500

struct sql_cached {
        struct sql_cached *next;
        char *text;
        sqlite3_stmt *stmt;
        bool is_busy;
};

struct database {
        sqlite3 *db;
        struct sql_cached *buckets[CACHE_BUCKETS];
        size_t n_cached;
        locale_t locale;
        struct settings_cache *settings;
        uint64_t ignored_changes;
};

/* ── the function fold(text): lower case as hawkBit's queries see it, beyond ASCII too ── */

static void fold_text(sqlite3_context *ctx, struct database *s, const char *in)
{
        mbstate_t from = {0}, to = {0};
        size_t left = strlen(in);
        struct buf out CLEAN_BUF = BUF_INIT((size_t)sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, -1));
        locale_t before = uselocale(s->locale);
        while (left > 0) {
                wchar_t w;
                char bytes[16];
                size_t n = mbrtowc(&w, in, left, &from);
                if (n == 0 || n > left) { /* not UTF-8: as it is */
                        buf_addc(&out, *in);
                        from = (mbstate_t){0};
                        n = 1;
                } else {
                        size_t k = wcrtomb(bytes, towlower_l((wint_t)w, s->locale), &to);
                        buf_add(&out, bytes, k > sizeof(bytes) ? 0 : k);
                }
                in += n;
                left -= n;
        }
        uselocale(before);
        if (out.error)
                sqlite3_result_error_nomem(ctx);
        else
                sqlite3_result_text(ctx, buf_text(&out), (int)out.len, SQLITE_TRANSIENT);
}

static void sql_fold(sqlite3_context *ctx, int n, sqlite3_value **args)
{
        (void)n;
        const char *text = (const char *)sqlite3_value_text(args[0]);
        if (text)
                fold_text(ctx, sqlite3_user_data(ctx), text);
}

/* ── the store ── */

static int open_database(
        const char *path, bool is_readonly, struct database **ret_database, struct err *err)
{
        struct database *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        int r = is_readonly ? db_open_readonly(path, &s->db, err)
                            : db_open(path, ota_migrations, ota_n_migrations, true, &s->db, err);
        if (r < 0) {
                free(s);
                return r;
        }
        s->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
        sqlite3_create_function(
                s->db, "fold", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, s, sql_fold, NULL, NULL);
        *ret_database = s;
        return 0;
}

int database_open(const char *path, struct database **ret_database, struct err *err)
{
        return open_database(path, false, ret_database, err);
}

int database_open_readonly(const char *path, struct database **ret_database, struct err *err)
{
        return open_database(path, true, ret_database, err);
}

static void drop_statements(struct database *s)
{
        for (size_t i = 0; i < CACHE_BUCKETS; i++) {
                struct sql_cached **link = &s->buckets[i];
                while (*link) {
                        struct sql_cached *c = *link;
                        if (c->is_busy) {
                                link = &c->next;
                                continue;
                        }
                        *link = c->next;
                        sqlite3_finalize(c->stmt);
                        free(c->text);
                        free(c);
                        s->n_cached--;
                }
        }
}

void database_free(struct database *s)
{
        if (!s)
                return;
        drop_statements(s);
        settings_forget(s);
        sqlite3_close(s->db);
        if (s->locale)
                freelocale(s->locale);
        free(s);
}

struct settings_cache **database_settings(struct database *s)
{
        return &s->settings;
}

/* ── failures ── */

static int failed(struct tx *tx, const char *text)
{
        struct err err = ERR_INIT;
        int code = db_error(tx->database->db, &err, "use the database");
        log_error("%s (in: %.200s)", err.text, text);
        if (code == -ENOSPC)
                return tx_problem(tx, PROBLEM_STORAGE_FAILED,
                        "The disk is full: nothing of this request was stored");
        return tx_problem(tx, PROBLEM_STORAGE_FAILED, "%s", err.text);
}

static bool has_failed(const struct tx *tx)
{
        return tx->problem->code == PROBLEM_STORAGE_FAILED;
}

/* ── units ── */

uint64_t tx_revision(struct tx *tx)
{
        return (uint64_t)sqlite3_total_changes64(tx->database->db) - tx->database->ignored_changes;
}

void tx_ignore_changes(struct tx *tx, uint64_t revision_before)
{
        tx->database->ignored_changes += tx_revision(tx) - revision_before;
}

int tx_begin(struct tx *tx)
{
        if (sqlite3_exec(tx->database->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
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
        if (tx->is_open &&
                sqlite3_exec(tx->database->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
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
        if (tx->is_open && !sqlite3_get_autocommit(tx->database->db))
                sqlite3_exec(tx->database->db, "ROLLBACK", NULL, NULL, NULL);
        tx->is_open = false;
        tx->tells = NULL;
        tx->unlinks = NULL;
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

static size_t bucket_of(const char *text)
{
        uint64_t h = 1469598103934665603u; /* FNV-1a */
        for (const char *p = text; *p; p++)
                h = (h ^ (unsigned char)*p) * 1099511628211u;
        return (size_t)(h % CACHE_BUCKETS);
}

static struct sql_cached *statement(struct tx *tx, const char *text)
{
        struct database *s = tx->database;
        size_t i = bucket_of(text);
        for (struct sql_cached *c = s->buckets[i]; c; c = c->next) {
                if (!c->is_busy && strcmp(c->text, text) == 0)
                        return c;
        }
        if (s->n_cached >= CACHE_MAX)
                drop_statements(s);
        struct sql_cached *c = calloc(1, sizeof(*c));
        if (!c || !(c->text = strdup(text)))
                abort();
        if (sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &c->stmt, NULL) !=
                SQLITE_OK) {
                failed(tx, text);
                free(c->text);
                free(c);
                return NULL;
        }
        c->next = s->buckets[i];
        s->buckets[i] = c;
        s->n_cached++;
        return c;
}

static void bind(sqlite3_stmt *stmt, const struct sql_arg *args, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int at = (int)i + 1;
                if (args[i].kind == SQL_KIND_INT)
                        sqlite3_bind_int64(stmt, at, args[i].i);
                else if (args[i].kind == SQL_KIND_REAL)
                        sqlite3_bind_double(stmt, at, args[i].d);
                else if (args[i].kind == SQL_KIND_TEXT && args[i].t)
                        sqlite3_bind_text(stmt, at, args[i].t, -1, SQLITE_TRANSIENT);
        }
}

struct sql_rows sql_open_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n)
{
        struct sql_rows r = {.tx = tx};
        if (has_failed(tx))
                return r;
        r.cached = statement(tx, text);
        if (!r.cached)
                return r;
        if (!tx->is_open && tx_begin(tx) < 0)
                return r;
        r.cached->is_busy = true;
        r.stmt = r.cached->stmt;
        bind(r.stmt, args, n);
        return r;
}

bool sql_next(struct sql_rows *r)
{
        if (!r->stmt || has_failed(r->tx))
                return false;
        int code = sqlite3_step(r->stmt);
        if (code == SQLITE_ROW)
                return true;
        if (code != SQLITE_DONE)
                failed(r->tx, r->cached->text);
        return false;
}

void sql_close(struct sql_rows *r)
{
        if (!r->stmt)
                return;
        sqlite3_reset(r->stmt);
        sqlite3_clear_bindings(r->stmt);
        r->cached->is_busy = false;
        r->stmt = NULL;
}

int64_t sql_col_int(struct sql_rows *r, int column)
{
        return sqlite3_column_int64(r->stmt, column);
}

double sql_col_real(struct sql_rows *r, int column)
{
        return sqlite3_column_double(r->stmt, column);
}

const char *sql_col_text(struct sql_rows *r, int column)
{
        return arena_strdup(r->tx->arena, (const char *)sqlite3_column_text(r->stmt, column));
}

bool sql_col_is_null(struct sql_rows *r, int column)
{
        return sqlite3_column_type(r->stmt, column) == SQLITE_NULL;
}

int64_t sql_run_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n)
{
        CLEAN_ROWS struct sql_rows r = sql_open_args(tx, text, args, n);
        while (sql_next(&r))
                ;
        return has_failed(tx) ? -1 : sqlite3_changes(tx->database->db);
}

int64_t sql_insert_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n)
{
        if (sql_run_args(tx, text, args, n) < 0)
                return 0;
        return sqlite3_last_insert_rowid(tx->database->db);
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
