/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/store/sqlite.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The smallest and the largest value of a column in one piece of time, and which came first. */
struct extreme {
        double low, high;
        int64_t low_at, high_at;
};

/* Rows are kept as they are until there are more than the limit; pieces are kept from the
 * beginning, since only then it is known whether they are needed. */
struct collector {
        struct store_series *series;
        size_t cap, max_points; /* 0: no limit */
        int64_t from_ms, width_ms;
        size_t n_rows;
        /* The piece that is being filled, and the finished ones as points. */
        int64_t piece, first_at, last_at;
        size_t n_in_piece;
        struct extreme *extremes;
        struct store_series pieces;
        size_t pieces_cap;
};

static int add_point(struct store_series *s, size_t *cap, int64_t time_ms, double **ret_values)
{
        if (s->n == *cap) {
                size_t more = *cap ? *cap * 2 : 256;
                int64_t *times = realloc(s->time_ms, more * sizeof(*times));
                if (!times)
                        return -ENOMEM;
                s->time_ms = times;
                double *values = realloc(s->values, more * (s->n_columns + 1) * sizeof(*values));
                if (!values)
                        return -ENOMEM;
                s->values = values;
                *cap = more;
        }
        s->time_ms[s->n] = time_ms;
        *ret_values = s->values + s->n++ * s->n_columns;
        return 0;
}

static double number_of(const struct telemetry_value *v)
{
        if (v->type == TELEMETRY_NUMBER)
                return v->number;
        return v->type == TELEMETRY_BOOL ? v->boolean : NAN;
}

/* One point for a piece with one row, two for more. */
static int finish_piece(struct collector *c)
{
        size_t n = c->series->n_columns;
        double *first, *last;
        if (!c->n_in_piece)
                return 0;
        int r = add_point(&c->pieces, &c->pieces_cap, c->first_at, &first);
        for (size_t i = 0; !r && i < n; i++)
                first[i] = c->extremes[i].low_at <= c->extremes[i].high_at ? c->extremes[i].low
                                                                           : c->extremes[i].high;
        if (!r && c->n_in_piece > 1) {
                r = add_point(&c->pieces, &c->pieces_cap, c->last_at, &last);
                for (size_t i = 0; !r && i < n; i++)
                        last[i] = c->extremes[i].low_at <= c->extremes[i].high_at
                                          ? c->extremes[i].high
                                          : c->extremes[i].low;
        }
        c->n_in_piece = 0;
        return r;
}

static void note_extreme(struct extreme *e, double v, int64_t at, bool is_first)
{
        if (is_first)
                *e = (struct extreme){NAN, NAN, at, at};
        if (isnan(v))
                return;
        if (isnan(e->low) || v < e->low) {
                e->low = v;
                e->low_at = at;
        }
        if (isnan(e->high) || v > e->high) {
                e->high = v;
                e->high_at = at;
        }
}

static int add_to_piece(struct collector *c, const struct store_row *row)
{
        int64_t piece = (row->time_ms - c->from_ms) / c->width_ms;
        if (piece != c->piece) {
                int r = finish_piece(c);
                if (r)
                        return r;
                c->piece = piece;
        }
        bool is_first = !c->n_in_piece++;
        if (is_first)
                c->first_at = row->time_ms;
        c->last_at = row->time_ms;
        for (size_t i = 0; i < row->n_cells; i++)
                note_extreme(
                        &c->extremes[i], number_of(&row->cells[i].value), row->time_ms, is_first);
        return 0;
}

static int collect(void *arg, const struct store_row *row)
{
        struct collector *c = arg;
        int r = 0;
        if (!c->max_points || ++c->n_rows <= c->max_points) {
                double *values;
                r = add_point(c->series, &c->cap, row->time_ms, &values);
                for (size_t i = 0; !r && i < row->n_cells; i++)
                        values[i] = number_of(&row->cells[i].value);
        }
        return !r && c->max_points ? add_to_piece(c, row) : r;
}

/* The names as the table has them, in the order asked for. */
static int name_columns(struct store *s, const struct store_range *range,
        struct store_series *series, struct err *err)
{
        struct telemetry_text name = {range->table, strlen(range->table)};
        int r = schema_refresh(s, err);
        const struct table *t = r ? NULL : schema_table(s, name, telemetry_hash(name.at, name.len));
        if (!t)
                return r ? r : err_set(err, -ENOENT, "there is no table '%s'", range->table);
        size_t n = range->columns ? range->n_columns : t->n_columns;
        series->columns = calloc(n + 1, sizeof(*series->columns));
        for (size_t i = 0; series->columns && i < n; i++) {
                series->columns[i] =
                        strdup(range->columns ? range->columns[i] : t->columns[i].name);
                if (!series->columns[i])
                        break;
                series->n_columns++;
        }
        return series->n_columns == n && series->columns ? 0
                                                         : err_set(err, -ENOMEM, "out of memory");
}

/* Replaces the rows by the pieces. */
static void use_pieces(struct collector *c)
{
        struct store_series *s = c->series;
        free(s->time_ms);
        free(s->values);
        s->time_ms = c->pieces.time_ms;
        s->values = c->pieces.values;
        s->n = c->pieces.n;
        c->pieces.time_ms = NULL;
        c->pieces.values = NULL;
}

/* Where a range without ends (INT64_MIN … INT64_MAX, or years of nothing) really begins and ends.
 */
static int clamp_range(struct store *s, const struct store_range *range, int64_t *from_ms,
        int64_t *to_ms, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db,
                "SELECT (SELECT time FROM _messages WHERE device = d.id AND time >= ?2 ORDER BY "
                "time LIMIT 1),"
                " (SELECT time FROM _messages WHERE device = d.id AND time <= ?3 ORDER BY time "
                "DESC LIMIT 1)"
                " FROM _devices d WHERE name = ?1",
                &st, err);
        if (r)
                return r;
        sqlite3_bind_text(st, 1, range->device, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 2, range->from_ms);
        sqlite3_bind_int64(st, 3, range->to_ms);
        int step = sqlite3_step(st);
        if (step == SQLITE_ROW) {
                *from_ms = sqlite3_column_int64(st, 0);
                *to_ms = sqlite3_column_int64(st, 1);
        }
        return step == SQLITE_ROW || step == SQLITE_DONE ? 0
                                                         : db_error(s->db, err, "read the store");
}

static int collect_all(
        struct store *s, const struct store_range *range, struct collector *c, struct err *err)
{
        int64_t from = 0, to = 0;
        struct store_range rows = *range;
        rows.limit = 0;
        rows.newest_first = false;
        int r = clamp_range(s, range, &from, &to, err);
        if (r)
                return r;
        size_t n_pieces = c->max_points / 2;
        c->from_ms = from;
        c->width_ms = n_pieces && to > from ? (to - from) / (int64_t)n_pieces + 1 : 1;
        c->piece = -1;
        r = read_rows(s, &rows, true, collect, c, err);
        if (!r && c->max_points)
                r = finish_piece(c);
        if (r == -ENOMEM)
                return err_set(err, r, "out of memory");
        if (!r && c->n_rows > c->max_points)
                use_pieces(c);
        return r;
}

int store_series(
        struct store *s, const struct store_range *range, struct store_series *ret, struct err *err)
{
        CLEAN_STORE_SERIES struct store_series series = {0};
        if (!range->device)
                return err_set(err, -EINVAL, "a series needs a device");
        int r = name_columns(s, range, &series, err);
        if (r)
                return r;
        struct collector c = {
                .series = &series, .max_points = range->limit == 1 ? 2 : range->limit};
        c.pieces.n_columns = series.n_columns;
        CLEAN_MEM struct extreme *extremes = calloc(series.n_columns + 1, sizeof(*extremes));
        if (!extremes)
                return err_set(err, -ENOMEM, "out of memory");
        c.extremes = extremes;
        r = collect_all(s, range, &c, err);
        free(c.pieces.time_ms);
        free(c.pieces.values);
        if (r)
                return r;
        *ret = series;
        series = (struct store_series){0};
        return 0;
}

void store_series_fini(struct store_series *series)
{
        for (size_t i = 0; i < series->n_columns; i++)
                free(series->columns[i]);
        free(series->columns);
        free(series->time_ms);
        free(series->values);
        *series = (struct store_series){0};
}
