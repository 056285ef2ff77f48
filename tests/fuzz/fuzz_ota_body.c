/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/handlers.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any body against any shape: the first byte says which. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct shape *const shapes[] = {shape_target_create, shape_rollout_create,
                shape_assign_targets, shape_feedback, shape_config_data, shape_ds_type_create,
                shape_metadata_create, shape_config_map, shape_hook, shape_proof};
        if (size < 1)
                return 0;
        const struct shape *shape = shapes[data[0] % N_ELEMENTS(shapes)];
        json_t *raw = json_loadb(
                (const char *)data + 1, size - 1, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
        json_t *v = raw ? shape_read(shape, raw) : NULL;
        struct arena arena = {0};
        if (v)
                shape_check(shape, v, &arena);
        json_decref(v);
        json_decref(raw);
        arena_fini(&arena);
        return 0;
}
