/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/proxy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a proxy says, the origin stays one: it becomes part of links and of JSON. */
static void check(const struct forwarded *f, struct arena *a)
{
        const char *origin = forwarded_origin(f, "http", "localhost:8080", a);
        if (strncmp(origin, "http://", 7) != 0 && strncmp(origin, "https://", 8) != 0)
                abort();
        if (strpbrk(origin, " \t\r\n\"\\<>{}?#@%&;") || origin[strlen(origin) - 1] == '/')
                abort();
        if (f->client && strspn(f->client, "0123456789abcdefABCDEF.:") != strlen(f->client))
                abort();
}

/* The first line is a Forwarded header and X-Forwarded-Proto, the next ones Host, Port, Prefix and
 * For. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct arena arena = {0};
        struct proxy_list list = {0};
        struct forwarded f;
        char *rest = arena_strndup(&arena, (const char *)data, size);
        char *lines[5] = {NULL};
        for (size_t i = 0; i < 5; i++)
                lines[i] = strsep(&rest, "\n");
        if (forwarded_parse(lines[0], &arena, &f))
                check(&f, &arena);
        forwarded_from_x(lines[0], lines[1], lines[2], lines[3], lines[4], &arena, &f);
        check(&f, &arena);
        (void)proxy_list_add(&list, lines[0], NULL);
        if (list.n > PROXY_MAX_NETWORKS)
                abort();
        (void)proxy_list_has(&list, lines[0]);
        arena_fini(&arena);
        return 0;
}
