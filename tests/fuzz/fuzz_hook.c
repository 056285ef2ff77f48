/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/arena.h"
#include "cloud/ota/events.h"
#include "cloud/ota/hook.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A hook's URL, its types, and the type of an event, a line each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena arena = {0};
        char *url = arena_strndup(&arena, (const char *)data, size);
        char *types = strchr(url, '\n');
        char *type = types ? strchr(types + 1, '\n') : NULL;
        if (type) {
                *types++ = *type++ = '\0';
                if (hook_url_is_fine(url)) {
                        for (const char *p = url; *p; p++) {
                                if (!isgraph((unsigned char)*p))
                                        abort(); /* it could end a line of the request */
                        }
                        if (strncmp(url, "http", 4) != 0)
                                abort();
                }
                if (event_fits(types, type) && !event_fits("*", type))
                        abort();
        }
        arena_fini(&arena);
        return 0;
}
