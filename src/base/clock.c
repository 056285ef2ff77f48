/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdbool.h>
#include <time.h>

int64_t clock_now_ms(void)
{
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_mono_us(void)
{
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
        return clock_mono_us() / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (after Howard Hinnant's days_from_civil). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
        y -= m <= 2;
        int64_t era = (y >= 0 ? y : y - 399) / 400;
        int64_t yoe = y - era * 400;
        int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
        int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        return era * 146097 + doe - 719468;
}

void clock_iso8601(int64_t ms, char text[CLOCK_ISO8601_SIZE])
{
        int64_t milli = ((ms % 1000) + 1000) % 1000;
        time_t s = (time_t)((ms - milli) / 1000);
        struct tm tm;
        if (!gmtime_r(&s, &tm) || tm.tm_year + 1900 < 0 || tm.tm_year + 1900 > 9999) {
                snprintf(text, CLOCK_ISO8601_SIZE, "1970-01-01T00:00:00.000Z");
                return;
        }
        snprintf(text, CLOCK_ISO8601_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
                tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100, (int)milli);
}

/* Reads exactly `n` digits. */
static int digits(const char **p, int n, int *ret)
{
        int v = 0;
        for (int i = 0; i < n; i++, (*p)++) {
                if (**p < '0' || **p > '9')
                        return -EINVAL;
                v = v * 10 + (**p - '0');
        }
        *ret = v;
        return 0;
}

static int literal(const char **p, char c)
{
        if (**p != c)
                return -EINVAL;
        (*p)++;
        return 0;
}

static int days_in_month(int year, int month)
{
        static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        return month == 2 && leap ? 29 : days[month - 1];
}

int clock_parse_iso8601(const char *text, int64_t *ret_ms)
{
        const char *p = text;
        int year, month, day, hour, minute, second, milli = 0, zone = 0;
        if (digits(&p, 4, &year) || literal(&p, '-') || digits(&p, 2, &month) || literal(&p, '-') ||
                digits(&p, 2, &day))
                return -EINVAL;
        if (*p != 'T' && *p != 't' && *p != ' ')
                return -EINVAL;
        p++;
        if (digits(&p, 2, &hour) || literal(&p, ':') || digits(&p, 2, &minute) ||
                literal(&p, ':') || digits(&p, 2, &second))
                return -EINVAL;
        if (*p == '.') {
                int scale = 100, n = 0;
                for (p++; *p >= '0' && *p <= '9' && n < 9; p++, n++) {
                        milli += (*p - '0') * scale;
                        scale /= 10;
                }
                if (!n)
                        return -EINVAL;
        }
        if (*p == 'Z' || *p == 'z') {
                p++;
        } else if (*p == '+' || *p == '-') {
                int sign = *p++ == '-' ? -1 : 1, zh, zm;
                if (digits(&p, 2, &zh) || literal(&p, ':') || digits(&p, 2, &zm) || zh > 23 ||
                        zm > 59)
                        return -EINVAL;
                zone = sign * (zh * 60 + zm);
        }
        if (*p || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
                hour > 23 || minute > 59 || second > 60)
                return -EINVAL;
        int64_t s = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
                    zone * 60;
        *ret_ms = s * 1000 + milli;
        return 0;
}

int clock_parse_duration_ms(const char *text, int64_t *ret_ms)
{
        static const struct {
                const char *unit;
                int64_t ms;
        } units[] = {
                {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
        char *end = NULL;
        errno = 0;
        if (*text < '0' || *text > '9')
                return -EINVAL;
        long long n = strtoll(text, &end, 10);
        if (errno || n > INT64_MAX / 86400000)
                return -EINVAL;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (!strcmp(end, units[i].unit)) {
                        *ret_ms = n * units[i].ms;
                        return 0;
                }
        return -EINVAL;
}
