/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tool/rows.h"
#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES LIMIT_MIB(64)

int rows_format_from_string(const char *program, const char *text, enum rows_format *ret)
{
        static const char *const names[] = {"table", "json", "csv"};
        for (size_t i = 0; i < N_ELEMENTS(names); i++)
                if (!strcmp(text, names[i])) {
                        *ret = (enum rows_format)i;
                        return 0;
                }
        fprintf(stderr, "%s: '%s' is no output format; there are table, json and csv\n", program,
                text);
        return -EINVAL;
}

void rows_format_number(double number, char text[32])
{
        if (number == (double)(long long)number && number > -1e15 && number < 1e15) {
                snprintf(text, 32, "%lld", (long long)number);
                return;
        }
        for (int digits = 15; digits <= 17; digits++) {
                snprintf(text, 32, "%.*g", digits, number);
                if (strtod(text, NULL) == number)
                        return;
        }
}

int rows_parse_time(const char *text, int64_t now_ms, int64_t *ret_ms)
{
        int64_t ago;
        if (!clock_parse_iso8601(text, ret_ms))
                return 0;
        if (clock_parse_duration_ms(text, &ago))
                return -EINVAL;
        *ret_ms = now_ms - ago;
        return 0;
}

/* ── one value ── */

static bool is_time_name(const char *name)
{
        static const char *const names[] = {"time", "first_seen", "last_seen", "last_time"};
        for (size_t i = 0; i < N_ELEMENTS(names); i++)
                if (!strcmp(name, names[i]))
                        return true;
        return false;
}

static void number_text(const struct telemetry_value *v, char text[32])
{
        if (v->type == TELEMETRY_BOOL)
                snprintf(text, 32, "%d", v->boolean);
        else
                rows_format_number(v->number, text);
}

/* Columns on a terminal: what would move the cursor, or is no whole character, becomes '?'. */
static size_t add_printable(struct buf *b, struct telemetry_text text)
{
        size_t width = 0;
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.at[i];
                buf_addc(b, c < 0x20 || c == 0x7f ? '?' : (char)c);
                width += (c & 0xc0) != 0x80;
        }
        return width;
}

/* Adds a cell of a table and returns how many columns it takes. */
static size_t add_cell(struct buf *b, const struct telemetry_value *v, bool is_time)
{
        char text[CLOCK_ISO8601_SIZE + 32];
        if (v->type == TELEMETRY_TEXT)
                return add_printable(b, v->text);
        if (v->type == TELEMETRY_NULL)
                return 0;
        if (is_time && v->type == TELEMETRY_NUMBER)
                clock_iso8601((int64_t)v->number, text);
        else
                number_text(v, text);
        buf_adds(b, text);
        return strlen(text);
}

/* ── the formats ── */

static void csv_text(struct telemetry_text text)
{
        bool is_plain = true;
        for (size_t i = 0; i < text.len; i++)
                is_plain = is_plain && !strchr(",\"\r\n", text.at[i]);
        if (is_plain) {
                fwrite(text.at, 1, text.len, stdout);
                return;
        }
        putchar('"');
        for (size_t i = 0; i < text.len; i++) {
                if (text.at[i] == '"')
                        putchar('"');
                putchar(text.at[i]);
        }
        putchar('"');
}

static void csv_row(size_t n, const struct telemetry_value *values)
{
        char text[32];
        for (size_t i = 0; i < n; i++) {
                if (i)
                        putchar(',');
                if (values[i].type == TELEMETRY_TEXT) {
                        csv_text(values[i].text);
                } else if (values[i].type != TELEMETRY_NULL) {
                        number_text(&values[i], text);
                        fputs(text, stdout);
                }
        }
        fputs("\r\n", stdout);
}

static int json_row(struct rows *r, const struct telemetry_value *values)
{
        CLEAN_BUF struct buf b = BUF_INIT(TABLE_BYTES);
        char text[32];
        buf_adds(&b, r->n_rows ? ",\n{" : "\n{");
        for (size_t i = 0; i < r->n_columns; i++) {
                if (i)
                        buf_addc(&b, ',');
                buf_add_json_string(&b, r->names[i], strlen(r->names[i]));
                buf_addc(&b, ':');
                if (values[i].type == TELEMETRY_TEXT) {
                        buf_add_json_string(&b, values[i].text.at, values[i].text.len);
                } else if (values[i].type == TELEMETRY_NULL) {
                        buf_adds(&b, "null");
                } else {
                        number_text(&values[i], text);
                        buf_adds(&b, text);
                }
        }
        buf_addc(&b, '}');
        fputs(buf_text(&b), stdout);
        return b.error;
}

static int table_row(struct rows *r, const struct telemetry_value *values)
{
        for (size_t i = 0; i < r->n_columns; i++) {
                size_t width = add_cell(&r->cells, &values[i], r->is_time[i]);
                if (width > r->widths[i])
                        r->widths[i] = width;
                if (values[i].type == TELEMETRY_TEXT || r->is_time[i])
                        r->is_right[i] = false;
                buf_addc(&r->cells, 0);
        }
        return r->cells.error;
}

static size_t shown_width(const char *text)
{
        size_t width = 0;
        for (; *text; text++)
                width += ((unsigned char)*text & 0xc0) != 0x80;
        return width;
}

static void print_cell(const struct rows *r, size_t i, const char *text)
{
        size_t pad = r->widths[i] - shown_width(text);
        bool is_last = i + 1 == r->n_columns;
        printf("%*s%s%*s%s", r->is_right[i] ? (int)pad : 0, "", text,
                r->is_right[i] || is_last ? 0 : (int)pad, "", is_last ? "\n" : "  ");
}

static void print_table(struct rows *r)
{
        for (size_t i = 0; i < r->n_columns; i++)
                print_cell(r, i, r->names[i]);
        const char *cell = buf_text(&r->cells);
        for (size_t row = 0; row < r->n_rows; row++)
                for (size_t i = 0; i < r->n_columns; i++) {
                        print_cell(r, i, cell);
                        cell += strlen(cell) + 1;
                }
}

/* ── the whole ── */

int rows_begin(struct rows *r, enum rows_format format, size_t n, const char *const *names)
{
        *r = (struct rows){.format = format, .cells = BUF_INIT(TABLE_BYTES)};
        r->names = calloc(n + 1, sizeof(*r->names));
        r->widths = calloc(n + 1, sizeof(*r->widths));
        r->is_time = calloc(n + 1, sizeof(*r->is_time));
        r->is_right = calloc(n + 1, sizeof(*r->is_right));
        if (!r->names || !r->widths || !r->is_time || !r->is_right)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r->names[i] = strdup(names[i]);
                if (!r->names[i])
                        return -ENOMEM;
                r->n_columns++;
                r->widths[i] = shown_width(names[i]);
                r->is_time[i] = is_time_name(names[i]);
                r->is_right[i] = true;
                if (format == ROWS_CSV) {
                        fputs(i ? "," : "", stdout);
                        csv_text((struct telemetry_text){names[i], strlen(names[i])});
                }
        }
        fputs(format == ROWS_CSV ? "\r\n" : format == ROWS_JSON ? "[" : "", stdout);
        return 0;
}

int rows_add(struct rows *r, size_t n, const struct telemetry_value *values)
{
        int error = 0;
        if (r->format == ROWS_CSV)
                csv_row(n, values);
        else
                error = r->format == ROWS_JSON ? json_row(r, values) : table_row(r, values);
        r->n_rows += !error;
        return error;
}

void rows_end(struct rows *r)
{
        if (r->format == ROWS_JSON)
                fputs(r->n_rows ? "\n]\n" : "]\n", stdout);
        else if (r->format == ROWS_TABLE)
                print_table(r);
}

void rows_fini(struct rows *r)
{
        for (size_t i = 0; i < r->n_columns; i++)
                free(r->names[i]);
        free(r->names);
        free(r->widths);
        free(r->is_time);
        free(r->is_right);
        buf_fini(&r->cells);
        *r = (struct rows){0};
}
