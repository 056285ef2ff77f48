/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/generation.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static uint64_t mix(uint64_t sum, uint64_t value)
{
        return (sum ^ value) * UINT64_C(0x100000001b3); /* FNV-1a's step, on words */
}

static uint64_t add_file(uint64_t sum, const char *path)
{
        struct stat st;
        if (stat(path, &st) < 0)
                return mix(sum, 0);
        sum = mix(sum, (uint64_t)st.st_size);
        sum = mix(sum, (uint64_t)st.st_mtim.tv_sec);
        return mix(sum, (uint64_t)st.st_mtim.tv_nsec);
}

uint64_t generation_of_db(const char *path)
{
        char wal[PATH_MAX];
        snprintf(wal, sizeof(wal), "%s-wal", path);
        return add_file(add_file(UINT64_C(0xcbf29ce484222325), path), wal);
}
