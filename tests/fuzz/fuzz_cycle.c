/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Drive cycles as CSV text: what is accepted can be driven. */
#include "vehicle/cycle.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cycle *parsed = NULL;
        if (cycle_parse_csv((const char *)data, size, &parsed, NULL) < 0)
                return 0;
        CLEAN(cycle) struct cycle *cycle = parsed;
        double duration_s = cycle_duration_s(cycle);
        uint32_t cursor = 0;
        for (int i = -1; i <= 11; i++) {
                double speed = cycle_speed_at(cycle, duration_s * i / 10, &cursor);
                if (!(speed >= 0 && speed <= 100))
                        abort();
        }
        if (!(duration_s > 0) || !isfinite(cycle_distance_m(cycle)))
                abort();
        return 0;
}
