/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/ranges.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_of(const char *header, int64_t size)
{
        struct range_span spans[RANGES_MAX];
        size_t n = ranges_read(header, size, spans);
        if (n > RANGES_MAX)
                abort();
        for (size_t i = 0; i < n; i++) {
                if (spans[i].start < 0 || spans[i].start > spans[i].end || spans[i].end >= size)
                        abort();
                if (i > 0 && spans[i].start <= spans[i - 1].end)
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);
        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        read_of(text, 0);
        read_of(text, 1);
        read_of(text, 1000);
        read_of(text, INT64_MAX);
        free(text);
        return 0;
}
