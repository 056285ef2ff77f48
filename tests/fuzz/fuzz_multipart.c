/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first line is the content type, the rest the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct multipart_part parts[MULTIPART_MAX_PARTS];
        struct arena arena = {0};
        const uint8_t *end = memchr(data, '\n', size);
        if (end) {
                const char *body = (const char *)end + 1;
                size_t len = size - (size_t)(end + 1 - data);
                char *type = arena_strndup(&arena, (const char *)data, (size_t)(end - data));
                int n = multipart_parse(type, body, len, &arena, parts);
                for (int i = 0; i < n; i++) {
                        if (parts[i].data < body || parts[i].data + parts[i].len > body + len)
                                abort();
                }
        }
        arena_fini(&arena);
        return 0;
}
