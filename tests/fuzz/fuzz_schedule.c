/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/arena.h"
#include "cloud/ota/cron.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* schedule, duration and zone, a line each */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena arena = {0};
        struct cron_window w;
        char *text = arena_strndup(&arena, (const char *)data, size);
        char *duration = strchr(text, '\n');
        char *zone = duration ? strchr(duration + 1, '\n') : NULL;
        if (zone) {
                *duration++ = *zone++ = '\0';
                if (cron_window_at(text, duration, zone, INT64_C(1795345200000), &w) == 0 &&
                        w.end <= INT64_C(1795345200000) && w.end != w.start)
                        abort(); /* a window that is over is no window */
        }
        arena_fini(&arena);
        return 0;
}
