/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/rsql.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena arena = {0};
        char *text = arena_strndup(&arena, (const char *)data, size);
        rsql_parse(text, &arena);
        arena_fini(&arena);
        return 0;
}
