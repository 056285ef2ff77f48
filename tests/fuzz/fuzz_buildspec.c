/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* A buildspec.yml from a pushed commit: any bytes are read or refused with a reason, and whatever
 * patterns come out match or not in bounded time. */
#include "cloud/pipeline/buildspec.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEAN_BUILDSPEC struct buildspec spec = {0};
        struct err err = ERR_INIT;
        if (buildspec_parse((const char *)data, size, &spec, &err) < 0) {
                assert(err.text[0]);
                return 0;
        }
        for (size_t i = 0; i < spec.n_steps; i++)
                assert(spec.steps[i].words.argc > 0 &&
                        !spec.steps[i].words.argv[spec.steps[i].words.argc]);
        for (size_t i = 0; i < spec.n_files; i++)
                (void)buildspec_matches(spec.files[i], "data/maps/aaaaaaaaaaaaaaaaaaaaaaaa/b.bin");
        return 0;
}
