/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Whatever parses must be within its bounds, and must parse alike with jansson. */
#include "wire/telemetry.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct telemetry_text text)
{
        volatile char sink = 0;
        for (size_t i = 0; i < text.len; i++)
                sink ^= text.at[i];
        (void)sink;
}

static void check(const struct telemetry *t)
{
        size_t n = 0;
        for (size_t g = 0; g < t->n_groups; g++) {
                use(t->groups[g].name);
                if (t->groups[g].first != n)
                        abort();
                n += t->groups[g].n;
        }
        if (n != t->n_columns)
                abort();
        for (size_t i = 0; i < n; i++) {
                use(t->columns[i].name);
                if (t->columns[i].value.type == TELEMETRY_TEXT)
                        use(t->columns[i].value.text);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct telemetry *t;
        if (!t && !(t = telemetry_new()))
                return 0;
        if (!telemetry_parse(t, (const char *)data, size, NULL)) {
                check(t);
                json_t *other = json_loadb((const char *)data, size, JSON_DECODE_INT_AS_REAL, NULL);
                if (!other)
                        abort();
                json_decref(other);
        }
        return 0;
}
