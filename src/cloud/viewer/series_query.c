/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/series_query.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* 3000-01-01: far enough, and sums of two such times don't overflow. */
#define TIME_MAX_MS INT64_C(32503680000000)
#define POINTS_DEFAULT 600
#define POINTS_MIN 10

int series_check_device(const char *name, struct err *err)
{
        size_t len = name ? strlen(name) : 0;
        if (len == 0)
                return err_set(err, -EINVAL, "the parameter 'device' is missing");
        if (len > LIMIT_THING_NAME_BYTES)
                return err_set(
                        err, -EINVAL, "the parameter 'device' is longer than a device's name");
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)name[i];
                if (c < 0x20 || c == 0x7f || strchr("/+#", c))
                        return err_set(err, -EINVAL, "the parameter 'device' is no device's name");
        }
        return 0;
}

static bool is_name(const char *text, size_t len)
{
        static const char letters[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
        return len > 0 && len < SERIES_NAME_SIZE && strspn(text, letters) >= len;
}

static void copy_name(char to[SERIES_NAME_SIZE], const char *text, size_t len)
{
        memcpy(to, text, len);
        to[len] = '\0';
}

static int parse_columns(struct series_query *q, const char *text, struct err *err)
{
        while (text) {
                size_t len = strcspn(text, ",");
                if (!is_name(text, len))
                        return err_set(err, -EINVAL, "the parameter 'columns' is no list of names");
                if (q->n_columns == LIMIT_VIEWER_COLUMNS)
                        return err_set(
                                err, -EINVAL, "more than %d columns at once", LIMIT_VIEWER_COLUMNS);
                copy_name(q->columns[q->n_columns++], text, len);
                text = text[len] ? text + len + 1 : NULL;
        }
        return q->n_columns ? 0 : err_set(err, -EINVAL, "the parameter 'columns' is missing");
}

int series_parse_time(
        const char *text, int64_t now_ms, int64_t fallback, int64_t *ret_ms, struct err *err)
{
        *ret_ms = fallback;
        if (!text || !*text)
                return 0;
        char *end = NULL;
        errno = 0;
        long long ms = strtoll(text, &end, 10);
        if (errno || *end || ms > TIME_MAX_MS || ms < -TIME_MAX_MS)
                return err_set(err, -EINVAL, "'%.40s' is no time in ms", text);
        *ret_ms = ms < 0 ? now_ms + ms : ms;
        return 0;
}

static int parse_points(struct series_query *q, const char *text, struct err *err)
{
        q->points = POINTS_DEFAULT;
        if (!text || !*text)
                return 0;
        char *end = NULL;
        errno = 0;
        long points = strtol(text, &end, 10);
        if (errno || *end || points < POINTS_MIN || points > LIMIT_VIEWER_POINTS)
                return err_set(
                        err, -EINVAL, "'points' must be %d to %d", POINTS_MIN, LIMIT_VIEWER_POINTS);
        q->points = (unsigned)points;
        return 0;
}

int series_query_parse(struct series_query *ret_query, const struct series_params *params,
        int64_t now_ms, struct err *err)
{
        struct series_query q = {0};
        int r = series_check_device(params->device, err);
        if (r < 0)
                return r;
        copy_name(q.device, params->device, strlen(params->device));
        size_t len = params->table ? strlen(params->table) : 0;
        if (!is_name(params->table, len))
                return err_set(err, -EINVAL, "the parameter 'table' is no table's name");
        copy_name(q.table, params->table, len);
        if ((r = parse_columns(&q, params->columns, err)) < 0 ||
                (r = parse_points(&q, params->points, err)) < 0)
                return r;
        if ((r = series_parse_time(params->from, now_ms, 0, &q.from_ms, err)) < 0 ||
                (r = series_parse_time(params->to, now_ms, now_ms, &q.to_ms, err)) < 0)
                return r;
        if (q.from_ms > q.to_ms)
                return err_set(err, -EINVAL, "'from' is later than 'to'");
        *ret_query = q;
        return 0;
}
