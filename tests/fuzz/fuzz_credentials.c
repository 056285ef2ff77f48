/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/arena.h"
#include "cloud/ota/credentials.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An Authorization header: what comes out lies within its struct and is terminated there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena arena = {0};
        struct credentials c;
        const char *header = arena_strndup(&arena, (const char *)data, size);
        enum credentials_kind kind = credentials_parse(header, &c);
        const char *end = c.text + sizeof(c.text);
        if (kind != CREDENTIALS_NONE && (c.secret < c.text || c.secret >= end ||
                                                !memchr(c.secret, 0, (size_t)(end - c.secret))))
                abort();
        if (kind == CREDENTIALS_BASIC && (c.name != c.text || c.name + strlen(c.name) >= c.secret))
                abort();
        if ((kind == CREDENTIALS_TOKEN) != (kind != CREDENTIALS_NONE && !c.name))
                abort();
        credentials_wipe(&c);
        arena_fini(&arena);
        return 0;
}
