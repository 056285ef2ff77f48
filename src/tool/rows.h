/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Rows on stdout, as a table with aligned columns, a JSON array of objects, or CSV (RFC 4180).
 * JSON and CSV go out row by row; a table is kept until its end, when the widths are known.
 */
#include "base/buf.h"
#include "wire/telemetry.h"

enum rows_format { ROWS_TABLE, ROWS_JSON, ROWS_CSV };

/* "table", "json", "csv"; -EINVAL after a message of `program` for anything else. */
int rows_format_from_string(const char *program, const char *text, enum rows_format *ret);

struct rows {
        enum rows_format format;
        size_t n_columns, n_rows;
        char **names;
        size_t *widths;
        bool *is_time, *is_right; /* shown as a time; numbers so far */
        struct buf cells;         /* of a table: terminated texts, row by row */
};

int rows_begin(struct rows *r, enum rows_format format, size_t n, const char *const *names);
/* -E2BIG: a table too large to be laid out; take JSON or CSV. */
int rows_add(struct rows *r, size_t n, const struct telemetry_value *values);
void rows_end(struct rows *r);
void rows_fini(struct rows *r);
#define CLEAN_ROWS __attribute__((cleanup(rows_fini)))

/* The shortest text that reads back as the same number. */
void rows_format_number(double number, char text[32]);
/* An ISO 8601 time, or how long ago (`90`, `15m`, …); -EINVAL. */
int rows_parse_time(const char *text, int64_t now_ms, int64_t *ret_ms);
