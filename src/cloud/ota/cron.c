/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/cron.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIRST_YEAR 1970
#define LAST_YEAR 2099
#define DAY_MS INT64_C(86400000)

struct schedule {
        uint64_t seconds, minutes;
        uint32_t hours, days, months, weekdays; /* bit n: the value n */
        bool any_day, any_weekday;
        bool last_day, last_workday; /* L, LW */
        int near_day;                /* nW */
        int last_weekday;            /* nL */
        int nth_weekday, nth;        /* n#k */
        bool years[LAST_YEAR - FIRST_YEAR + 1];
};

static const char *const month_names[] = {
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const day_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};

/* ── fields ── */

static int read_number(const char **at, const char *const *names, int *ret)
{
        for (int i = 0; names && names[i]; i++) {
                if (strncasecmp(*at, names[i], 3) == 0) {
                        *at += 3;
                        *ret = i + 1;
                        return 0;
                }
        }
        char *end = NULL;
        if (!isdigit((unsigned char)**at))
                return -EINVAL;
        long v = strtol(*at, &end, 10);
        if (v > 9999)
                return -EINVAL;
        *at = end;
        *ret = (int)v;
        return 0;
}

/* One part of a list: `*`, `a`, `a-b`, each with an optional `/step`. */
static int read_part(const char **at, const char *const *names, int min, int max, uint64_t *bits)
{
        int from = min, to = max, step = 1;
        bool is_single = false;
        if (**at == '*') {
                (*at)++;
        } else {
                if (read_number(at, names, &from) < 0)
                        return -EINVAL;
                to = from;
                is_single = true;
                if (**at == '-') {
                        (*at)++;
                        is_single = false;
                        if (read_number(at, names, &to) < 0)
                                return -EINVAL;
                }
        }
        if (**at == '/') {
                (*at)++;
                if (read_number(at, NULL, &step) < 0 || step == 0)
                        return -EINVAL;
                if (is_single)
                        to = max;
        }
        if (from < min || from > max || to < min || to > max)
                return -EINVAL;
        int span = to >= from ? to - from : to - from + (max - min + 1); /* FRI-MON goes round */
        for (int i = 0; i <= span; i += step)
                *bits |= UINT64_C(1) << (min + (from - min + i) % (max - min + 1));
        return 0;
}

static int read_list(const char *text, const char *const *names, int min, int max, uint64_t *bits)
{
        *bits = 0;
        for (;;) {
                if (read_part(&text, names, min, max, bits) < 0)
                        return -EINVAL;
                if (*text == '\0')
                        return 0;
                if (*text++ != ',')
                        return -EINVAL;
        }
}

static int read_days(const char *text, struct schedule *s)
{
        uint64_t bits = 0;
        int day = 0;
        if (strcmp(text, "?") == 0) {
                s->any_day = true;
                return 0;
        }
        if (strcasecmp(text, "L") == 0) {
                s->last_day = true;
                return 0;
        }
        if (strcasecmp(text, "LW") == 0) {
                s->last_workday = true;
                return 0;
        }
        const char *end = text;
        if (isdigit((unsigned char)*text) && read_number(&end, NULL, &day) == 0 &&
                strcasecmp(end, "W") == 0) {
                s->near_day = day;
                return day >= 1 && day <= 31 ? 0 : -EINVAL;
        }
        if (read_list(text, NULL, 1, 31, &bits) < 0)
                return -EINVAL;
        s->days = (uint32_t)bits;
        return 0;
}

static int read_weekdays(const char *text, struct schedule *s)
{
        uint64_t bits = 0;
        int day = 0;
        if (strcmp(text, "?") == 0) {
                s->any_weekday = true;
                return 0;
        }
        const char *end = text;
        if (read_number(&end, day_names, &day) == 0 && (strcasecmp(end, "L") == 0 || *end == '#')) {
                if (day < 1 || day > 7)
                        return -EINVAL;
                if (*end == '#') {
                        s->nth_weekday = day;
                        s->nth = end[1] - '0';
                        return s->nth >= 1 && s->nth <= 5 && !end[2] ? 0 : -EINVAL;
                }
                s->last_weekday = day;
                return 0;
        }
        if (read_list(text, day_names, 1, 7, &bits) < 0)
                return -EINVAL;
        s->weekdays = (uint32_t)bits;
        s->any_weekday = strcmp(text, "*") == 0;
        return 0;
}

static int read_years(const char *text, struct schedule *s)
{
        for (;;) {
                int from = FIRST_YEAR, to = LAST_YEAR, step = 1;
                if (*text == '*') {
                        text++;
                } else {
                        if (read_number(&text, NULL, &from) < 0)
                                return -EINVAL;
                        to = from;
                        if (*text == '-' && (text++, read_number(&text, NULL, &to) < 0))
                                return -EINVAL;
                }
                if (*text == '/' && (text++, read_number(&text, NULL, &step) < 0 || step == 0))
                        return -EINVAL;
                if (from < FIRST_YEAR || from > LAST_YEAR || to < from || to > LAST_YEAR)
                        return -EINVAL;
                for (int y = from; y <= to; y += step)
                        s->years[y - FIRST_YEAR] = true;
                if (*text == '\0')
                        return 0;
                if (*text++ != ',')
                        return -EINVAL;
        }
}

static int parse_schedule(const char *text, struct schedule *s)
{
        char copy[256], *fields[8], *save = NULL;
        int n = 0;
        uint64_t hours = 0, months = 0;
        *s = (struct schedule){0};
        if (strlen(text) >= sizeof(copy))
                return -EINVAL;
        memcpy(copy, text, strlen(text) + 1);
        for (char *f = strtok_r(copy, " \t", &save); f && n < 8; f = strtok_r(NULL, " \t", &save))
                fields[n++] = f;
        if (n < 6 || n > 7)
                return -EINVAL;
        if (read_list(fields[0], NULL, 0, 59, &s->seconds) < 0 ||
                read_list(fields[1], NULL, 0, 59, &s->minutes) < 0 ||
                read_list(fields[2], NULL, 0, 23, &hours) < 0 || read_days(fields[3], s) < 0 ||
                read_list(fields[4], month_names, 1, 12, &months) < 0 ||
                read_weekdays(fields[5], s) < 0 || read_years(n == 7 ? fields[6] : "*", s) < 0)
                return -EINVAL;
        s->hours = (uint32_t)hours;
        s->months = (uint32_t)months;
        return s->any_day && strcmp(fields[5], "?") == 0 ? -EINVAL : 0;
}

/* ── days ── */

static bool is_leap(int y)
{
        return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_length(int y, int m)
{
        static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

/* Days since 1970-01-01 (the civil calendar). */
static int64_t day_number(int y, int m, int d)
{
        int64_t n = 0;
        for (int i = FIRST_YEAR; i < y; i++)
                n += is_leap(i) ? 366 : 365;
        for (int i = 1; i < m; i++)
                n += month_length(y, i);
        return n + d - 1;
}

static int weekday_of(int64_t day)
{
        return (int)((day + 4) % 7) + 1; /* 1970-01-01 was a Thursday; 1 is Sunday */
}

static bool is_workday(int y, int m, int d)
{
        int w = weekday_of(day_number(y, m, d));
        return w != 1 && w != 7;
}

/* The workday nearest to the day, within the month. */
static int nearest_workday(int y, int m, int d)
{
        int last = month_length(y, m);
        if (d > last)
                return 0;
        int w = weekday_of(day_number(y, m, d));
        if (w == 7)
                return d > 1 ? d - 1 : d + 2;
        if (w == 1)
                return d < last ? d + 1 : d - 2;
        return d;
}

static bool day_of_month_fits(const struct schedule *s, int y, int m, int d)
{
        int last = month_length(y, m);
        if (s->any_day)
                return true;
        if (s->last_day)
                return d == last;
        if (s->last_workday) {
                while (!is_workday(y, m, last))
                        last--;
                return d == last;
        }
        if (s->near_day)
                return d == nearest_workday(y, m, s->near_day);
        return s->days >> d & 1;
}

static bool day_of_week_fits(const struct schedule *s, int y, int m, int d)
{
        int w = weekday_of(day_number(y, m, d));
        if (s->any_weekday)
                return true;
        if (s->last_weekday)
                return w == s->last_weekday && d + 7 > month_length(y, m);
        if (s->nth_weekday)
                return w == s->nth_weekday && (d - 1) / 7 + 1 == s->nth;
        return s->weekdays >> w & 1;
}

/* First time of the day at or after `from` (seconds of the day) that fits; -1: none. */
static int time_in_day(const struct schedule *s, int from)
{
        for (int h = from / 3600; h < 24; h++) {
                if (!(s->hours >> h & 1))
                        continue;
                int begin = h * 3600 > from ? h * 3600 : from;
                for (int min = begin / 60 % 60; min < 60; min++) {
                        if (!(s->minutes >> min & 1))
                                continue;
                        int start = h * 3600 + min * 60 > from ? 0 : from % 60;
                        for (int sec = start; sec < 60; sec++) {
                                if (s->seconds >> sec & 1)
                                        return h * 3600 + min * 60 + sec;
                        }
                }
        }
        return -1;
}

/* The first fitting time at or after `local` (ms, in the schedule's zone). */
static int next_time(const struct schedule *s, int64_t local, int64_t *ret)
{
        int64_t first_day = local / DAY_MS;
        int from = (int)((local % DAY_MS + 999) / 1000);
        for (int y = FIRST_YEAR; y <= LAST_YEAR; y++) {
                int64_t year_start = day_number(y, 1, 1);
                if (!s->years[y - FIRST_YEAR] || year_start + 366 < first_day)
                        continue;
                for (int m = 1; m <= 12; m++) {
                        if (!(s->months >> m & 1))
                                continue;
                        for (int d = 1; d <= month_length(y, m); d++) {
                                int64_t day = day_number(y, m, d);
                                if (day < first_day || !day_of_month_fits(s, y, m, d) ||
                                        !day_of_week_fits(s, y, m, d))
                                        continue;
                                int time = time_in_day(s, day == first_day ? from : 0);
                                if (time >= 0) {
                                        *ret = day * DAY_MS + (int64_t)time * 1000;
                                        return 0;
                                }
                        }
                }
        }
        return -ENOENT;
}

/* ── duration and zone ── */

static int parse_duration(const char *text, int64_t *ret)
{
        int h = 0, m = 0, s = 0, n = 0;
        if (sscanf(text, "%2d:%2d:%2d%n", &h, &m, &s, &n) != 3 || text[n] ||
                !isdigit((unsigned char)*text))
                return -EINVAL;
        if (h > 23 || m > 59 || s > 59 || h < 0 || m < 0 || s < 0 || n != 8)
                return -EINVAL;
        *ret = ((int64_t)h * 3600 + m * 60 + s) * 1000;
        return 0;
}

static int parse_zone(const char *text, int64_t *ret)
{
        int h = 0, m = 0, n = 0;
        *ret = 0;
        if (strcmp(text, "Z") == 0)
                return 0;
        if ((*text != '+' && *text != '-') || !isdigit((unsigned char)text[1]))
                return -EINVAL;
        if (sscanf(text + 1, "%2d:%2d%n", &h, &m, &n) != 2 || n != 5 || text[1 + n] || h > 18 ||
                m > 59 || (h == 18 && m > 0))
                return -EINVAL;
        *ret = ((int64_t)h * 60 + m) * 60000 * (*text == '-' ? -1 : 1);
        return 0;
}

int cron_window_at(const char *schedule, const char *duration, const char *timezone, int64_t now,
        struct cron_window *ret)
{
        struct schedule s;
        int64_t length = 0, zone = 0, start = 0;
        if (!schedule || !duration || !timezone || parse_schedule(schedule, &s) < 0 ||
                parse_duration(duration, &length) < 0 || parse_zone(timezone, &zone) < 0)
                return -EINVAL;
        /* a window that began less than its length ago is still open */
        int r = next_time(&s, now - length + 1 + zone, &start);
        if (r < 0)
                return r;
        ret->start = start - zone;
        ret->end = ret->start + length;
        return 0;
}
