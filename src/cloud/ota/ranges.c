/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/ranges.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_range_syntax(const char *text)
{
        if (strncmp(text, "bytes=", 6) != 0)
                return false;
        for (const char *p = text + 6;;) {
                while (isdigit((unsigned char)*p))
                        p++;
                if (*p++ != '-')
                        return false;
                while (isdigit((unsigned char)*p))
                        p++;
                if (*p == '\0')
                        return true;
                if (*p++ != ',')
                        return false;
        }
}

/* One `a-b`, `a-` or `-n`; false if it can't be served. */
static bool read_span(const char *text, size_t len, int64_t size, struct range_span *s)
{
        const char *dash = memchr(text, '-', len);
        bool has_start = dash > text, has_end = dash + 1 < text + len;
        int64_t start = has_start ? strtoll(text, NULL, 10) : -1;
        int64_t end = has_end ? strtoll(dash + 1, NULL, 10) : size - 1;
        if (!has_start && !has_end)
                return false;
        if (!has_start) {
                if (end == 0 || end > size)
                        return false;
                start = size - end;
                end = size - 1;
        }
        if (end > size - 1)
                end = size - 1;
        *s = (struct range_span){start, end};
        return start <= end && start < size;
}

static int compare_spans(const void *a, const void *b)
{
        const struct range_span *x = a, *y = b;
        return (x->start > y->start) - (x->start < y->start);
}

size_t ranges_read(const char *header, int64_t size, struct range_span ret[RANGES_MAX])
{
        size_t n = 0;
        if (!is_range_syntax(header))
                return 0;
        for (const char *p = header + 6; *p;) {
                size_t len = strcspn(p, ",");
                if (n == RANGES_MAX || !read_span(p, len, size, &ret[n++]))
                        return 0;
                p += len + (p[len] == ',');
        }
        qsort(ret, n, sizeof(*ret), compare_spans);
        for (size_t i = 1; i < n; i++) {
                if (ret[i].start <= ret[i - 1].end)
                        return 0;
        }
        return n;
}
