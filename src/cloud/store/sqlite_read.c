/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "cloud/store/sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int store_open_readonly(const char *path, struct store **ret_store, struct err *err)
{
        CLEAN(store) struct store *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->lock_fd = -1;
        s->is_reader = true;
        s->schema_version = -1;
        int r = db_open_readonly(path, &s->db, err);
        if (r)
                return r == -ENOENT ? err_set(err, r, "nothing has been stored in '%s' yet", path)
                                    : r;
        CLEAN_STMT sqlite3_stmt *st = NULL;
        if (db_prepare(s->db, "SELECT 1 FROM _position", &st, NULL))
                return err_set(err, -ENOENT, "nothing has been stored in '%s' yet", path);
        r = schema_refresh(s, err);
        if (r)
                return r;
        *ret_store = TAKE(s);
        return 0;
}

static int64_t read_position(const struct store *s, const char *sql)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        return db_prepare(s->db, sql, &st, NULL) || sqlite3_step(st) != SQLITE_ROW
                       ? -1
                       : sqlite3_column_int64(st, 0);
}

uint64_t store_offset(const struct store *s)
{
        if (!s->is_reader)
                return s->offset;
        int64_t offset = read_position(s, "SELECT next_offset FROM _position");
        return offset < 0 ? 0 : (uint64_t)offset;
}

int store_version(struct store *s, int64_t *ret_version, struct err *err)
{
        *ret_version = read_position(s, "SELECT commits FROM _position");
        return *ret_version < 0 ? db_error(s->db, err, "read the store") : 0;
}

static int find_device(struct store *s, const char *name, int64_t *ret_id, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db, "SELECT id FROM _devices WHERE name = ?1", &st, err);
        if (r)
                return r;
        sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
        int step = sqlite3_step(st);
        if (step == SQLITE_DONE)
                return err_set(err, -ENOENT, "no message of device '%s' has been stored", name);
        if (step != SQLITE_ROW)
                return db_error(s->db, err, "read the devices of the store");
        *ret_id = sqlite3_column_int64(st, 0);
        return 0;
}

/* ── rows ── */

/* A range with its names looked up. */
struct lookup {
        const struct table *table;
        const struct column **columns;
        size_t n_columns;
        int64_t device; /* 0: all */
        /* A table with few rows is read as a whole and its messages looked up; for the others it's
         * the other way round, along the index of time. SQLite has no statistics to choose by. */
        bool is_sparse;
};

#define CLEAN_LOOKUP __attribute__((cleanup(lookup_fini)))
static void lookup_fini(struct lookup *l)
{
        free(l->columns);
}

static bool is_sparse(struct store *s, const struct table *t)
{
        char *sql = sqlite3_mprintf(
                "SELECT coalesce((SELECT rows FROM _tables WHERE name = '%q') * 8"
                " < (SELECT max(id) FROM _messages) - (SELECT min(id) FROM _messages), 0)",
                t->name);
        int64_t answer = sql ? read_position(s, sql) : 0;
        sqlite3_free(sql);
        return answer > 0;
}

static int look_up_columns(const struct store_range *range, struct lookup *l, struct err *err)
{
        const struct table *t = l->table;
        l->n_columns = range->columns ? range->n_columns : t->n_columns;
        l->columns = calloc(l->n_columns + 1, sizeof(*l->columns));
        if (!l->columns)
                return err_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < l->n_columns; i++) {
                const char *name = range->columns ? range->columns[i] : t->columns[i].name;
                struct telemetry_text text = {name, strlen(name)};
                uint16_t at = schema_column(t, text, telemetry_hash(text.at, text.len));
                if (at == NO_COLUMN)
                        return err_set(
                                err, -ENOENT, "table '%s' has no column '%s'", t->name, name);
                l->columns[i] = &t->columns[at];
        }
        return 0;
}

static int look_up(
        struct store *s, const struct store_range *range, struct lookup *l, struct err *err)
{
        int r = schema_refresh(s, err);
        if (r)
                return r;
        struct telemetry_text name = {range->table, strlen(range->table)};
        l->table = schema_table(s, name, telemetry_hash(name.at, name.len));
        if (!l->table)
                return err_set(err, -ENOENT, "there is no table '%s'", range->table);
        r = look_up_columns(range, l, err);
        if (!r && range->device)
                r = find_device(s, range->device, &l->device, err);
        l->is_sparse = !r && is_sparse(s, l->table);
        return r;
}

static void append_columns(sqlite3_str *sql, const struct lookup *l)
{
        for (size_t i = 0; i < l->n_columns; i++)
                sqlite3_str_appendf(sql, ", e.\"%w\"", l->columns[i]->name);
}

static void append_from(sqlite3_str *sql, const struct lookup *l)
{
        if (l->is_sparse)
                sqlite3_str_appendf(sql,
                        " FROM \"_data_%w\" e CROSS JOIN _messages m ON m.id = e._id",
                        l->table->name);
        else
                sqlite3_str_appendf(sql,
                        " FROM _messages m CROSS JOIN \"_data_%w\" e ON e._id = m.id",
                        l->table->name);
}

static int prepare_made(struct store *s, sqlite3_str *sql, sqlite3_stmt **ret, struct err *err)
{
        char *text = sqlite3_str_finish(sql);
        int r = text ? db_prepare(s->db, text, ret, err) : err_set(err, -ENOMEM, "out of memory");
        sqlite3_free(text);
        return r;
}

static struct telemetry_value value_of(sqlite3_stmt *st, int at, enum telemetry_type type)
{
        struct telemetry_value v = {.type = type};
        if (sqlite3_column_type(st, at) == SQLITE_NULL)
                v.type = TELEMETRY_NULL;
        else if (type == TELEMETRY_BOOL)
                v.boolean = sqlite3_column_int(st, at) != 0;
        else if (type == TELEMETRY_NUMBER)
                v.number = sqlite3_column_double(st, at);
        else {
                v.text.at = (const char *)sqlite3_column_text(st, at);
                v.text.len = (size_t)sqlite3_column_bytes(st, at);
        }
        return v;
}

/* Columns 0 … 3 are time, sequence, version and the device's name, then those of the table. */
#define N_KEY 4

/* Steps to the end or until `fn` has enough. */
static int walk_rows(struct store *s, sqlite3_stmt *st, const struct lookup *l, store_row_fn *fn,
        void *arg, struct err *err)
{
        CLEAN_MEM struct store_cell *cells = calloc(l->n_columns + 1, sizeof(*cells));
        if (!cells)
                return err_set(err, -ENOMEM, "out of memory");
        int step;
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
                const char *version = (const char *)sqlite3_column_text(st, 2);
                struct store_row row = {
                        .table = l->table->name,
                        .time_ms = sqlite3_column_int64(st, 0),
                        .sequence = sqlite3_column_int64(st, 1),
                        .software_version = version ? version : "",
                        .device = (const char *)sqlite3_column_text(st, 3),
                        .cells = cells,
                        .n_cells = l->n_columns,
                };
                for (size_t i = 0; i < l->n_columns; i++)
                        cells[i] = (struct store_cell){l->columns[i]->name,
                                value_of(st, (int)i + N_KEY, l->columns[i]->type)};
                int r = fn(arg, &row);
                if (r)
                        return r;
        }
        return step == SQLITE_DONE ? 0 : db_error(s->db, err, "read the store");
}

int read_rows(struct store *s, const struct store_range *range, bool is_bare, store_row_fn *fn,
        void *arg, struct err *err)
{
        CLEAN_LOOKUP struct lookup l = {0};
        int r = look_up(s, range, &l, err);
        if (r)
                return r;
        sqlite3_str *sql = sqlite3_str_new(s->db);
        sqlite3_str_appendall(sql, is_bare ? "SELECT m.time, NULL, NULL, NULL"
                                           : "SELECT m.time, m.sequence, m.version, (SELECT name "
                                             "FROM _devices WHERE id = m.device)");
        append_columns(sql, &l);
        append_from(sql, &l);
        sqlite3_str_appendall(sql, " WHERE m.time BETWEEN ?1 AND ?2");
        if (l.device)
                sqlite3_str_appendall(sql, " AND m.device = ?3");
        sqlite3_str_appendall(sql, range->newest_first ? " ORDER BY m.time DESC, m.id DESC"
                                                       : " ORDER BY m.time, m.id");
        sqlite3_str_appendall(sql, " LIMIT ?4");
        CLEAN_STMT sqlite3_stmt *st = NULL;
        r = prepare_made(s, sql, &st, err);
        if (r)
                return r;
        sqlite3_bind_int64(st, 1, range->from_ms);
        sqlite3_bind_int64(st, 2, range->to_ms);
        sqlite3_bind_int64(st, 3, l.device);
        sqlite3_bind_int64(st, 4, range->limit ? (sqlite3_int64)range->limit : -1);
        return walk_rows(s, st, &l, fn, arg, err);
}

int store_rows(struct store *s, const struct store_range *range, store_row_fn *fn, void *arg,
        struct err *err)
{
        return read_rows(s, range, false, fn, arg, err);
}

static int last_of_table(struct store *s, const struct store_range *range, store_row_fn *fn,
        void *arg, struct err *err)
{
        CLEAN_LOOKUP struct lookup l = {0};
        int r = look_up(s, range, &l, err);
        if (r)
                return r;
        sqlite3_str *sql = sqlite3_str_new(s->db);
        sqlite3_str_appendall(sql, "SELECT m.time, m.sequence, m.version, ?2");
        append_columns(sql, &l);
        append_from(sql, &l);
        sqlite3_str_appendf(sql, " WHERE m.device = ?1 ORDER BY %s DESC LIMIT 1",
                l.is_sparse ? "e._id" : "m.time");
        CLEAN_STMT sqlite3_stmt *st = NULL;
        r = prepare_made(s, sql, &st, err);
        if (r)
                return r;
        sqlite3_bind_int64(st, 1, l.device);
        sqlite3_bind_text(st, 2, range->device, -1, SQLITE_STATIC);
        return walk_rows(s, st, &l, fn, arg, err);
}

int store_last(struct store *s, const char *device, store_row_fn *fn, void *arg, struct err *err)
{
        int64_t id;
        int r = schema_refresh(s, err);
        if (!r)
                r = find_device(s, device, &id, err);
        /* By name, since `fn` and the next look-up may find the tables read anew. */
        CLEAN_STORE_TABLES struct store_tables tables = {0};
        if (!r)
                r = store_tables(s, &tables, err);
        for (size_t i = 0; !r && i < tables.n; i++) {
                struct store_range range = {.device = device, .table = tables.tables[i].name};
                r = last_of_table(s, &range, fn, arg, err);
        }
        return r;
}

/* ── gaps ── */

struct gap_state {
        struct store_gap *gap;
        int64_t telemetry_time, telemetry_sequence;
        bool has_telemetry;
};

static void note_sequence(struct store_gap *g, int64_t sequence)
{
        if (!g->first_sequence)
                g->first_sequence = sequence;
        else if (sequence == g->last_sequence)
                g->stored_twice++;
        else if (sequence < g->last_sequence)
                g->restarts++;
        else
                g->lost += sequence - g->last_sequence - 1;
        g->last_sequence = sequence;
}

static void note_telemetry(struct gap_state *state, int64_t time_ms, int64_t sequence)
{
        struct store_gap *g = state->gap;
        if (state->has_telemetry && time_ms - state->telemetry_time > g->max_gap_ms) {
                g->max_gap_ms = time_ms - state->telemetry_time;
                g->gap_from_ms = state->telemetry_time;
                g->gap_to_ms = time_ms;
                g->gap_from_sequence = state->telemetry_sequence;
                g->gap_to_sequence = sequence;
        }
        state->has_telemetry = true;
        state->telemetry_time = time_ms;
        state->telemetry_sequence = sequence;
}

int store_gap(struct store *s, const char *device, int64_t from_ms, int64_t to_ms,
        struct store_gap *ret, struct err *err)
{
        int64_t id;
        int r = find_device(s, device, &id, err);
        CLEAN_STMT sqlite3_stmt *st = NULL;
        if (!r)
                r = db_prepare(s->db,
                        "SELECT time, sequence, kind = (SELECT id FROM _kinds WHERE name = "
                        "'" STORE_KIND_TELEMETRY "') FROM _messages WHERE device = ?1 AND time "
                        "BETWEEN ?2 AND ?3 ORDER BY time, id",
                        &st, err);
        if (r)
                return r;
        sqlite3_bind_int64(st, 1, id);
        sqlite3_bind_int64(st, 2, from_ms);
        sqlite3_bind_int64(st, 3, to_ms);
        struct store_gap gap = {0};
        struct gap_state state = {.gap = &gap};
        int step;
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
                gap.messages++;
                if (sqlite3_column_type(st, 1) != SQLITE_NULL)
                        note_sequence(&gap, sqlite3_column_int64(st, 1));
                if (sqlite3_column_int(st, 2))
                        note_telemetry(
                                &state, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
        }
        if (step != SQLITE_DONE)
                return db_error(s->db, err, "read the store");
        *ret = gap;
        return 0;
}

/* ── any SQL ── */

static int is_over(void *arg)
{
        const int64_t *until_ms = arg;
        return clock_mono_ms() > *until_ms;
}

static int sql_error(struct store *s, struct err *err)
{
        if (sqlite3_errcode(s->db) == SQLITE_INTERRUPT)
                return err_set(err, -ETIMEDOUT, "the query took too long");
        return err_set(err, -EINVAL, "%s", sqlite3_errmsg(s->db));
}

static struct telemetry_value sql_value(sqlite3_stmt *st, int at)
{
        switch (sqlite3_column_type(st, at)) {
        case SQLITE_NULL:
                return (struct telemetry_value){.type = TELEMETRY_NULL};
        case SQLITE_INTEGER:
        case SQLITE_FLOAT:
                return value_of(st, at, TELEMETRY_NUMBER);
        default:
                return value_of(st, at, TELEMETRY_TEXT);
        }
}

static int walk_sql(struct store *s, const struct store_sql *q, sqlite3_stmt *st, struct err *err)
{
        size_t n = (size_t)sqlite3_column_count(st), n_rows = 0;
        CLEAN_MEM const char **names = calloc(n + 1, sizeof(*names));
        CLEAN_MEM struct telemetry_value *values = calloc(n + 1, sizeof(*values));
        if (!names || !values)
                return err_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++)
                names[i] = sqlite3_column_name(st, (int)i);
        int r = q->names(q->arg, n, names), step = SQLITE_DONE;
        while (!r && (step = sqlite3_step(st)) == SQLITE_ROW) {
                if (q->limit && n_rows++ == q->limit)
                        return STORE_MORE;
                for (size_t i = 0; i < n; i++)
                        values[i] = sql_value(st, (int)i);
                r = q->row(q->arg, n, values);
        }
        return r ? r : step == SQLITE_DONE ? 0 : sql_error(s, err);
}

int store_sql(struct store *s, const struct store_sql *q, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        const char *rest = NULL;
        if (sqlite3_prepare_v2(s->db, q->sql, -1, &st, &rest) != SQLITE_OK)
                return sql_error(s, err);
        if (!st || rest[strspn(rest, " \t\r\n;")])
                return err_set(err, -EINVAL, "one SELECT statement is expected");
        if (!sqlite3_stmt_readonly(st) || !sqlite3_column_count(st))
                return err_set(err, -EINVAL,
                        "only SELECT is allowed: the store is written by the stream alone");
        int64_t until_ms = clock_mono_ms() + q->timeout_ms;
        if (q->timeout_ms)
                sqlite3_progress_handler(s->db, 10000, is_over, &until_ms);
        int r = walk_sql(s, q, st, err);
        sqlite3_progress_handler(s->db, 0, NULL, NULL);
        return r;
}
