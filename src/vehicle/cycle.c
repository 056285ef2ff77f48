/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "vehicle/cycle.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SPEED_MAX_MPS 100.0
#define TIME_MAX_S 1e7 /* four months */

struct cycle_point {
        double t_s;
        double speed_mps;
};

struct cycle {
        size_t n;
        size_t cap;
        struct cycle_point *points;
};

/* What R83 calls an operation: reach that speed evenly in that time. */
struct operation {
        uint8_t duration_s;
        uint8_t end_kmh;
};

/* R83, Annex 4a, Appendix 1, table 1: idling, first gear to 15, … A gear change holds the
 * speed, but for the last one of the urban cycle, which loses 3 km/h. */
static const struct operation urban[] = {{11, 0}, {4, 15}, {8, 15}, {2, 10}, {3, 0}, {21, 0},
        {5, 15}, {2, 15}, {5, 32}, {24, 32}, {8, 10}, {3, 0}, {21, 0}, {5, 15}, {2, 15}, {9, 35},
        {2, 35}, {8, 50}, {12, 50}, {8, 35}, {13, 35}, {2, 32}, {7, 10}, {3, 0}, {7, 0}};

/* Table 2. */
static const struct operation extra_urban[] = {{20, 0}, {5, 15}, {2, 15}, {9, 35}, {2, 35}, {8, 50},
        {2, 50}, {13, 70}, {50, 70}, {8, 50}, {69, 50}, {13, 70}, {50, 70}, {35, 100}, {30, 100},
        {20, 120}, {10, 120}, {16, 80}, {8, 50}, {10, 0}, {20, 0}};

void cycle_free(struct cycle *cycle)
{
        if (cycle)
                free(cycle->points);
        free(cycle);
}

static struct cycle *cycle_new(void)
{
        return calloc(1, sizeof(struct cycle));
}

static int add_point(struct cycle *cycle, double t_s, double speed_mps)
{
        if (cycle->n >= LIMIT_CYCLE_POINTS)
                return -E2BIG;
        if (cycle->n == cycle->cap) {
                size_t cap = cycle->cap ? 2 * cycle->cap : 128;
                struct cycle_point *points = realloc(cycle->points, cap * sizeof(*points));
                if (!points)
                        return -ENOMEM;
                cycle->points = points;
                cycle->cap = cap;
        }
        cycle->points[cycle->n++] = (struct cycle_point){t_s, speed_mps};
        return 0;
}

static int add_operations(struct cycle *cycle, const struct operation *operations, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                double t_s = cycle->points[cycle->n - 1].t_s + operations[i].duration_s;
                int r = add_point(cycle, t_s, operations[i].end_kmh / 3.6);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int make_builtin(int n_urban, bool with_extra_urban, struct cycle **ret_cycle)
{
        CLEAN(cycle) struct cycle *cycle = cycle_new();
        int r = cycle ? add_point(cycle, 0, 0) : -ENOMEM;
        for (int i = 0; r == 0 && i < n_urban; i++)
                r = add_operations(cycle, urban, N_ELEMENTS(urban));
        if (r == 0 && with_extra_urban)
                r = add_operations(cycle, extra_urban, N_ELEMENTS(extra_urban));
        if (r < 0)
                return r;
        *ret_cycle = TAKE(cycle);
        return 0;
}

int cycle_open(const char *name_or_path, struct cycle **ret_cycle, struct err *err)
{
        int r;
        if (strcmp(name_or_path, "nedc") == 0)
                r = make_builtin(4, true, ret_cycle);
        else if (strcmp(name_or_path, "ece15") == 0)
                r = make_builtin(1, false, ret_cycle);
        else {
                CLEAN_BUF struct buf text = BUF_INIT(LIMIT_CYCLE_BYTES);
                r = fs_read(name_or_path, &text, err);
                if (r < 0)
                        return err_prefix(err, "drive cycle (neither 'nedc' nor 'ece15')");
                r = cycle_parse_csv(buf_text(&text), text.len, ret_cycle, err);
                return r < 0 ? err_prefix(err, "drive cycle '%s'", name_or_path) : 0;
        }
        return r < 0 ? err_errno(err, r, "cannot make drive cycle '%s'", name_or_path) : 0;
}

/* One field up to `end_char`; the whole of it must be a number. */
static bool read_number(const char **at, char end_char, double *ret_number)
{
        char *end;
        if (strchr(" \t\n\v\f\r", **at))
                return false;
        *ret_number = strtod(*at, &end);
        if (end == *at || *end != end_char || !isfinite(*ret_number))
                return false;
        *at = end + (end_char != '\0');
        return true;
}

static int add_row(struct cycle *cycle, const char *row, size_t line, struct err *err)
{
        double t_s, speed_mps;
        if (!read_number(&row, ',', &t_s) || !read_number(&row, '\0', &speed_mps))
                return err_set(err, -EINVAL, "line %zu: want two numbers 'time_s,speed_mps'", line);
        if (speed_mps < 0 || speed_mps > SPEED_MAX_MPS)
                return err_set(err, -EINVAL, "line %zu: speed %g m/s is not within 0 and %g", line,
                        speed_mps, SPEED_MAX_MPS);
        if (cycle->n == 0 && t_s != 0)
                return err_set(
                        err, -EINVAL, "line %zu: the first time must be 0, not %g", line, t_s);
        if (cycle->n > 0 && t_s <= cycle->points[cycle->n - 1].t_s)
                return err_set(
                        err, -EINVAL, "line %zu: time %g is not after the one before", line, t_s);
        if (t_s > TIME_MAX_S)
                return err_set(
                        err, -EINVAL, "line %zu: time %g is beyond %g s", line, t_s, TIME_MAX_S);
        int r = add_point(cycle, t_s, speed_mps);
        return r < 0 ? err_errno(err, r, "line %zu", line) : 0;
}

/* Ends the line at its line feed (and a CR before it) and returns where the next one begins. */
static char *cut_line(char *line)
{
        char *end = strchr(line, '\n');
        char *next = end ? end + 1 : line + strlen(line);
        if (!end)
                end = next;
        if (end > line && end[-1] == '\r')
                end--;
        *end = '\0';
        return next;
}

static int parse_lines(struct cycle *cycle, char *text, struct err *err)
{
        size_t line = 1;
        char *next;
        for (char *at = text; *at; at = next, line++) {
                next = cut_line(at);
                int r = 0;
                if (line == 1 && strcmp(at, "time_s,speed_mps") != 0)
                        r = err_set(err, -EINVAL, "line 1: want the head 'time_s,speed_mps'");
                else if (line > 1 && *at)
                        r = add_row(cycle, at, line, err);
                if (r < 0)
                        return r;
        }
        if (cycle->n < 2)
                return err_set(err, -EINVAL, "line %zu: the file ends before its second row", line);
        return 0;
}

int cycle_parse_csv(const char *text, size_t len, struct cycle **ret_cycle, struct err *err)
{
        if (len > LIMIT_CYCLE_BYTES)
                return err_set(err, -E2BIG, "longer than %zu bytes", LIMIT_CYCLE_BYTES);
        if (len > 0 && memchr(text, '\0', len))
                return err_set(err, -EINVAL, "line 1: not a text file");
        CLEAN(cycle) struct cycle *cycle = cycle_new();
        CLEAN_MEM char *copy = strndup(text, len);
        if (!cycle || !copy)
                return err_set(err, -ENOMEM, "out of memory");
        int r = parse_lines(cycle, copy, err);
        if (r < 0)
                return r;
        *ret_cycle = TAKE(cycle);
        return 0;
}

double cycle_duration_s(const struct cycle *cycle)
{
        return cycle->points[cycle->n - 1].t_s;
}

double cycle_distance_m(const struct cycle *cycle)
{
        double distance_m = 0;
        for (size_t i = 1; i < cycle->n; i++) {
                const struct cycle_point *a = &cycle->points[i - 1], *b = &cycle->points[i];
                distance_m += (b->t_s - a->t_s) * (a->speed_mps + b->speed_mps) / 2;
        }
        return distance_m;
}

double cycle_speed_at(const struct cycle *cycle, double t_s, uint32_t *cursor)
{
        const struct cycle_point *p = cycle->points;
        size_t i = *cursor < cycle->n - 1 ? *cursor : 0;
        if (t_s < p[i].t_s)
                i = 0;
        while (i < cycle->n - 2 && t_s >= p[i + 1].t_s)
                i++;
        *cursor = (uint32_t)i;
        if (t_s <= p[i].t_s)
                return p[i].speed_mps;
        if (t_s >= p[i + 1].t_s)
                return p[i + 1].speed_mps;
        double part = (t_s - p[i].t_s) / (p[i + 1].t_s - p[i].t_s);
        return p[i].speed_mps + part * (p[i + 1].speed_mps - p[i].speed_mps);
}
