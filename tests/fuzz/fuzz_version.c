/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/arena.h"
#include "cloud/ota/version.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sign(int order)
{
        return (order > 0) - (order < 0);
}

/* Three versions, a line each: comparing them is an order. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena arena = {0};
        char *a = arena_strndup(&arena, (const char *)data, size);
        char *b = strchr(a, '\n');
        char *c = b ? strchr(b + 1, '\n') : NULL;
        if (c) {
                *b++ = *c++ = '\0';
                int ab = sign(version_compare(a, b)), bc = sign(version_compare(b, c));
                if (version_compare(a, a) != 0 || sign(version_compare(b, a)) != -ab)
                        abort();
                if (ab == bc && sign(version_compare(a, c)) != ab)
                        abort();
        }
        arena_fini(&arena);
        return 0;
}
