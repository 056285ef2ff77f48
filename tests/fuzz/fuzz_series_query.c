/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* What a client asks the viewer for: lines device, table, columns, from, to, points; and the Host
 * header. */
#include "cloud/viewer/host.h"
#include "cloud/viewer/series_query.h"
#include "cloud/viewer/sse.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1), *rest = text;
        const char *fields[6] = {0};
        struct series_query q;
        struct err err = ERR_INIT;
        uint64_t id;
        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        for (size_t i = 0; i < 6 && rest; i++)
                fields[i] = strsep(&rest, "\n");
        struct series_params params = {
                fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]};
        if (series_query_parse(&q, &params, INT64_C(1800000000000), &err) == 0) {
                assert(q.n_columns > 0 && q.n_columns <= LIMIT_VIEWER_COLUMNS);
                assert(q.from_ms <= q.to_ms && q.points > 0 && q.points <= LIMIT_VIEWER_POINTS);
                for (size_t i = 0; i < q.n_columns; i++)
                        assert(q.columns[i][0] && !strpbrk(q.columns[i], "\"'`;() "));
        } else {
                assert(err.text[0]);
        }
        (void)host_is_allowed(fields[0], "127.0.0.1:8088");
        (void)sse_parse_id(fields[0], &id);
        free(text);
        return 0;
}
