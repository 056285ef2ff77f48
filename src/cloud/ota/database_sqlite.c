/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/db.h"
#include "cloud/ota/database_driver.h"
#include "cloud/ota/schema.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

struct sqlite {
        struct database base;
        sqlite3 *db;
        locale_t locale;
};

struct sqlite_statement {
        struct statement base;
        sqlite3_stmt *stmt;
};

static sqlite3 *db_of(struct database *d)
{
        return ((struct sqlite *)d)->db;
}

static sqlite3_stmt *stmt_of(struct statement *s)
{
        return ((struct sqlite_statement *)s)->stmt;
}

static int fail(struct database *d)
{
        struct err err = ERR_INIT;
        int code = db_error(db_of(d), &err, "use the database");
        return database_fail(d, code == -ENOSPC ? DATABASE_FULL : DATABASE_BROKEN, "%s", err.text);
}

/* ── the function fold(text): lower case as hawkBit's queries see it, beyond ASCII too ── */

static void fold_text(sqlite3_context *ctx, struct sqlite *s, const char *in)
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

/* Most text is short and ASCII: no locale is needed for it. False: it isn't. */
static bool fold_ascii(sqlite3_context *ctx, const char *in, size_t n)
{
        char out[256];
        if (n > sizeof(out))
                return false;
        for (size_t i = 0; i < n; i++) {
                if ((unsigned char)in[i] >= 0x80)
                        return false;
                out[i] = (char)(in[i] >= 'A' && in[i] <= 'Z' ? in[i] + 32 : in[i]);
        }
        sqlite3_result_text(ctx, out, (int)n, SQLITE_TRANSIENT);
        return true;
}

static void sql_fold(sqlite3_context *ctx, int n, sqlite3_value **args)
{
        (void)n;
        const char *text = (const char *)sqlite3_value_text(args[0]);
        if (text && !fold_ascii(ctx, text, (size_t)sqlite3_value_bytes(args[0])))
                fold_text(ctx, sqlite3_user_data(ctx), text);
}

/* ── life and units ── */

static void sqlite_close(struct database *d)
{
        struct sqlite *s = (struct sqlite *)d;
        sqlite3_close(s->db);
        if (s->locale)
                freelocale(s->locale);
        free(s);
}

static int run(struct database *d, const char *sql)
{
        return sqlite3_exec(db_of(d), sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(d);
}

/* One process writes, one unit at a time: there is nobody to wait for. */
static int sqlite_begin(struct database *d, enum database_unit unit, uint64_t key)
{
        (void)unit;
        (void)key;
        return run(d, "BEGIN");
}

static int sqlite_commit(struct database *d)
{
        return run(d, "COMMIT");
}

static void sqlite_rollback(struct database *d)
{
        if (!sqlite3_get_autocommit(db_of(d)))
                sqlite3_exec(db_of(d), "ROLLBACK", NULL, NULL, NULL);
}

static uint64_t sqlite_generation(struct database *d)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        bool has_row =
                sqlite3_prepare_v2(db_of(d), "PRAGMA data_version", -1, &stmt, NULL) == SQLITE_OK &&
                sqlite3_step(stmt) == SQLITE_ROW;
        return has_row ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
}

static bool sqlite_leads(struct database *d)
{
        (void)d;
        return true;
}

/* ── statements ── */

static struct statement *sqlite_prepare(struct database *d, const char *text, bool is_insert)
{
        struct sqlite_statement *s = calloc(1, sizeof(*s));
        (void)is_insert;
        if (!s)
                abort();
        if (sqlite3_prepare_v3(db_of(d), text, -1, SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL) ==
                SQLITE_OK)
                return &s->base;
        fail(d);
        free(s);
        return NULL;
}

static void sqlite_finalize(struct statement *s)
{
        sqlite3_finalize(stmt_of(s));
        free(s);
}

static void sqlite_bind(struct statement *s, const struct sql_arg *args, size_t n)
{
        sqlite3_stmt *stmt = stmt_of(s);
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

static int sqlite_step(struct statement *s)
{
        int code = sqlite3_step(stmt_of(s));
        if (code == SQLITE_ROW)
                return 1;
        return code == SQLITE_DONE ? 0 : fail(s->database);
}

static void sqlite_reset(struct statement *s)
{
        sqlite3_reset(stmt_of(s));
        sqlite3_clear_bindings(stmt_of(s));
}

static int64_t sqlite_changes(struct statement *s)
{
        return sqlite3_changes(db_of(s->database));
}

static int64_t sqlite_insert_id(struct statement *s)
{
        return sqlite3_last_insert_rowid(db_of(s->database));
}

static int64_t sqlite_int(struct statement *s, int column)
{
        return sqlite3_column_int64(stmt_of(s), column);
}

static double sqlite_real(struct statement *s, int column)
{
        return sqlite3_column_double(stmt_of(s), column);
}

static const char *sqlite_text(struct statement *s, int column)
{
        return (const char *)sqlite3_column_text(stmt_of(s), column);
}

static bool sqlite_is_null(struct statement *s, int column)
{
        return sqlite3_column_type(stmt_of(s), column) == SQLITE_NULL;
}

static const struct database_driver driver = {
        .close = sqlite_close,
        .begin = sqlite_begin,
        .commit = sqlite_commit,
        .rollback = sqlite_rollback,
        .prepare = sqlite_prepare,
        .finalize = sqlite_finalize,
        .bind = sqlite_bind,
        .step = sqlite_step,
        .reset = sqlite_reset,
        .changes = sqlite_changes,
        .insert_id = sqlite_insert_id,
        .column_int = sqlite_int,
        .column_real = sqlite_real,
        .column_text = sqlite_text,
        .column_is_null = sqlite_is_null,
        .generation = sqlite_generation,
        .leads = sqlite_leads,
};

int database_sqlite_open(
        const char *path, bool is_readonly, struct database **ret_database, struct err *err)
{
        struct sqlite *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        int r = is_readonly ? db_open_readonly(path, &s->db, err)
                            : db_open(path, ota_migrations, ota_n_migrations, true, &s->db, err);
        if (r < 0) {
                free(s);
                return r;
        }
        s->base.driver = &driver;
        s->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
        sqlite3_create_function(
                s->db, "fold", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, s, sql_fold, NULL, NULL);
        *ret_database = &s->base;
        return 0;
}
