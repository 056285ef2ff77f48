/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What a request for a series asks for, checked: names are of the letters that names have, times
 * are in order, and the number of points and columns is bounded. Pure; the fuzz target is
 * fuzz_series_query.
 */
#include "base/err.h"
#include "base/limits.h"
#include <stddef.h>
#include <stdint.h>

#define SERIES_NAME_SIZE 65

struct series_query {
        char device[LIMIT_THING_NAME_BYTES + 1];
        char table[SERIES_NAME_SIZE];
        char columns[LIMIT_VIEWER_COLUMNS][SERIES_NAME_SIZE];
        size_t n_columns;
        int64_t from_ms, to_ms;
        unsigned points; /* about how many times the answer should have at most */
};

/* The parameters as text, decoded; NULL: absent. `device`, `table` and `columns` are required.
 * `from` and `to` are ms since 1970 or, when negative, relative to now; absent: everything up to
 * now. */
struct series_params {
        const char *device, *table, *columns, *from, *to, *points;
};

int series_query_parse(struct series_query *ret_query, const struct series_params *params,
        int64_t now_ms, struct err *err);

/* A device's name as it may stand in a request: 1 to 64 bytes of what a certificate's name may
 * hold. */
int series_check_device(const char *name, struct err *err);
/* `text` NULL: `fallback`. Negative values are relative to `now_ms`. */
int series_parse_time(
        const char *text, int64_t now_ms, int64_t fallback, int64_t *ret_ms, struct err *err);
