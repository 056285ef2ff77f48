/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/store/sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Declared types are what a column's type is remembered by. */
static const char *const declared[TELEMETRY_TYPE_N] = {"", "BOOLEAN", "REAL", "TEXT"};

static enum telemetry_type type_of(const char *declaration)
{
        for (int i = 1; i < TELEMETRY_TYPE_N; i++)
                if (declaration && !strcmp(declaration, declared[i]))
                        return (enum telemetry_type)i;
        return TELEMETRY_NULL;
}

int store_exec_made(struct store *s, char *sql, struct err *err)
{
        if (!sql)
                return err_set(err, -ENOMEM, "out of memory");
        int r = db_exec(s->db, sql, err);
        sqlite3_free(sql);
        return r;
}

/* ── what is known ── */

static void table_fini(struct table *t)
{
        for (size_t i = 0; i < t->n_columns; i++)
                free(t->columns[i].name);
        free(t->columns);
        free(t->hints);
        free(t->name);
        sqlite3_finalize(t->insert);
}

void schema_forget(struct store *s)
{
        for (size_t i = 0; i < s->n_tables; i++)
                table_fini(&s->tables[i]);
        free(s->tables);
        s->tables = NULL;
        s->n_tables = 0;
}

static struct table *remember_table(struct store *s, const char *name, size_t len, int64_t rows)
{
        struct table *more = realloc(s->tables, (s->n_tables + 1) * sizeof(*more));
        if (!more)
                return NULL;
        s->tables = more;
        struct table *t = &s->tables[s->n_tables];
        *t = (struct table){
                .name = strndup(name, len), .hash = telemetry_hash(name, len), .rows = rows};
        if (!s->is_reader)
                t->hints = calloc(LIMIT_TELEMETRY_COLUMNS, sizeof(*t->hints));
        if (!t->name || (!s->is_reader && !t->hints)) {
                table_fini(t);
                return NULL;
        }
        s->n_tables++;
        return t;
}

static int remember_column(struct table *t, const char *name, size_t len, enum telemetry_type type)
{
        struct column *more = realloc(t->columns, (t->n_columns + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;
        t->columns = more;
        char *copy = strndup(name, len);
        if (!copy)
                return -ENOMEM;
        t->columns[t->n_columns++] = (struct column){copy, telemetry_hash(name, len), type};
        return 0;
}

static int load_columns(struct store *s, struct table *t, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db,
                "SELECT name, type FROM pragma_table_info('_data_' || ?1) WHERE cid > 0 ORDER BY "
                "cid",
                &st, err);
        if (r)
                return r;
        sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
        int step;
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
                const char *name = (const char *)sqlite3_column_text(st, 0);
                if (!name || remember_column(t, name, strlen(name),
                                     type_of((const char *)sqlite3_column_text(st, 1))))
                        return err_set(err, -ENOMEM, "out of memory");
        }
        return step == SQLITE_DONE ? 0 : db_error(s->db, err, "read the columns of the store");
}

int schema_load(struct store *s, struct err *err)
{
        schema_forget(s);
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db, "SELECT name, rows FROM _tables ORDER BY name", &st, err);
        if (r)
                return r;
        int step;
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
                const char *name = (const char *)sqlite3_column_text(st, 0);
                struct table *t =
                        name ? remember_table(s, name, strlen(name), sqlite3_column_int64(st, 1))
                             : NULL;
                if (!t)
                        return err_set(err, -ENOMEM, "out of memory");
                r = load_columns(s, t, err);
                if (r)
                        return r;
        }
        return step == SQLITE_DONE ? 0 : db_error(s->db, err, "read the tables of the store");
}

static int read_version(struct store *s, int64_t *ret, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db, "PRAGMA schema_version", &st, err);
        if (!r && sqlite3_step(st) != SQLITE_ROW)
                r = db_error(s->db, err, "read the store");
        if (!r)
                *ret = sqlite3_column_int64(st, 0);
        return r;
}

int schema_refresh(struct store *s, struct err *err)
{
        int64_t version = 0;
        int r = read_version(s, &version, err);
        if (r || version == s->schema_version)
                return r;
        r = schema_load(s, err);
        if (!r)
                s->schema_version = version;
        return r;
}

struct table *schema_table(const struct store *s, struct telemetry_text name, uint32_t hash)
{
        for (size_t i = 0; i < s->n_tables; i++) {
                struct table *t = &s->tables[i];
                if (t->hash == hash &&
                        telemetry_same_name(
                                (struct telemetry_text){t->name, strlen(t->name)}, name))
                        return t;
        }
        return NULL;
}

uint16_t schema_column(const struct table *t, struct telemetry_text name, uint32_t hash)
{
        for (size_t i = 0; i < t->n_columns; i++) {
                const struct column *c = &t->columns[i];
                if (c->hash == hash &&
                        telemetry_same_name(
                                (struct telemetry_text){c->name, strlen(c->name)}, name))
                        return (uint16_t)i;
        }
        return NO_COLUMN;
}

/* ── what may be made ── */

static bool is_one_of(struct telemetry_text name, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (telemetry_same_name(name, (struct telemetry_text){list[i], strlen(list[i])}))
                        return true;
        return false;
}

static int refuse(struct err *err, const char *what, struct telemetry_text name, const char *why)
{
        (void)err_set(err, -EINVAL, "%s '%.*s' %s", what, (int)name.len, name.at, why);
        return STORE_REFUSED;
}

int schema_check_table(const struct store *s, struct telemetry_text name, struct err *err)
{
        static const char *const ours[] = {"dead_letter", "devices"};
        if (name.at[0] == '_' || (name.len >= 7 && !strncasecmp(name.at, "sqlite_", 7)) ||
                is_one_of(name, ours, N_ELEMENTS(ours)))
                return refuse(err, "subsystem", name, "has a reserved name");
        if (s->n_tables >= LIMIT_STORE_TABLES)
                return refuse(err, "subsystem", name, "is one too many for the store");
        return 0;
}

int schema_check_column(
        const struct table *t, size_t n_more, struct telemetry_text name, struct err *err)
{
        static const char *const ours[] = {
                "DeviceID", "time", "Sequence", "SoftwareVersion", "_id"};
        if (is_one_of(name, ours, N_ELEMENTS(ours)))
                return refuse(err, "column", name, "has a reserved name");
        if ((t ? t->n_columns : 0) + n_more > LIMIT_STORE_COLUMNS)
                return refuse(err, "column", name, "is one too many for its table");
        return 0;
}

/* ── making ── */

int schema_add_table(
        struct store *s, const struct telemetry_group *group, struct table **ret, struct err *err)
{
        int len = (int)group->name.len;
        const char *name = group->name.at;
        int r = store_exec_made(s,
                sqlite3_mprintf("CREATE TABLE \"_data_%.*w\" (_id INTEGER PRIMARY KEY);"
                                "INSERT INTO _tables(name, rows) VALUES('%.*q', 0)",
                        len, name, len, name),
                err);
        if (r)
                return r;
        struct table *t = remember_table(s, name, group->name.len, 0);
        if (!t)
                return err_set(err, -ENOMEM, "out of memory");
        *ret = t;
        return 0;
}

int schema_add_column(
        struct store *s, struct table *t, const struct telemetry_column *column, struct err *err)
{
        enum telemetry_type type = column->value.type;
        int r = store_exec_made(s,
                sqlite3_mprintf("ALTER TABLE \"_data_%w\" ADD COLUMN \"%.*w\" %s", t->name,
                        (int)column->name.len, column->name.at, declared[type]),
                err);
        if (r)
                return r;
        if (remember_column(t, column->name.at, column->name.len, type))
                return err_set(err, -ENOMEM, "out of memory");
        sqlite3_finalize(t->insert);
        t->insert = NULL;
        return 0;
}

int schema_publish(struct store *s, struct table *t, struct err *err)
{
        sqlite3_str *sql = sqlite3_str_new(s->db);
        sqlite3_str_appendf(sql,
                "DROP VIEW IF EXISTS \"%w\"; CREATE VIEW \"%w\" AS SELECT d.name AS DeviceID, "
                "m.time AS time, "
                "m.sequence AS Sequence, m.version AS SoftwareVersion",
                t->name, t->name);
        for (size_t i = 0; i < t->n_columns; i++)
                sqlite3_str_appendf(
                        sql, ", e.\"%w\" AS \"%w\"", t->columns[i].name, t->columns[i].name);
        sqlite3_str_appendf(sql,
                " FROM _messages m JOIN _devices d ON d.id = m.device JOIN \"_data_%w\" e ON e._id "
                "= m.id",
                t->name);
        return store_exec_made(s, sqlite3_str_finish(sql), err);
}

/* ── for readers ── */

int store_tables(struct store *s, struct store_tables *ret, struct err *err)
{
        CLEAN_STORE_TABLES struct store_tables all = {0};
        int r = schema_refresh(s, err);
        if (r)
                return r;
        all.tables = calloc(s->n_tables + 1, sizeof(*all.tables));
        for (size_t i = 0; all.tables && i < s->n_tables; i++) {
                const struct table *t = &s->tables[i];
                struct store_table *to = &all.tables[all.n++];
                to->name = strdup(t->name);
                to->columns = calloc(t->n_columns + 1, sizeof(*to->columns));
                for (size_t k = 0; to->columns && k < t->n_columns; k++) {
                        to->columns[k] = (struct store_column){
                                strdup(t->columns[k].name), t->columns[k].type};
                        to->n_columns++;
                        if (!to->columns[k].name)
                                return err_set(err, -ENOMEM, "out of memory");
                }
                if (!to->name || !to->columns)
                        return err_set(err, -ENOMEM, "out of memory");
        }
        if (!all.tables)
                return err_set(err, -ENOMEM, "out of memory");
        *ret = all;
        all = (struct store_tables){0};
        return 0;
}

void store_tables_fini(struct store_tables *t)
{
        for (size_t i = 0; i < t->n; i++) {
                for (size_t k = 0; t->tables[i].columns && k < t->tables[i].n_columns; k++)
                        free(t->tables[i].columns[k].name);
                free(t->tables[i].columns);
                free(t->tables[i].name);
        }
        free(t->tables);
        *t = (struct store_tables){0};
}
