/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/sse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* CR, LF and CRLF all end a line in an event stream. */
static size_t line_length(const char *data, size_t len)
{
        size_t n = 0;
        while (n < len && data[n] != '\n' && data[n] != '\r')
                n++;
        return n;
}

int sse_add_event(struct buf *b, const char *name, const uint64_t *id, const char *data, size_t len)
{
        if (id)
                buf_addf(b, "id: %" PRIu64 "\n", *id);
        buf_addf(b, "event: %s\n", name);
        for (;;) {
                size_t n = line_length(data, len);
                buf_adds(b, "data: ");
                buf_add(b, data, n);
                buf_addc(b, '\n');
                if (n == len)
                        break;
                n += data[n] == '\r' && n + 1 < len && data[n + 1] == '\n' ? 2 : 1;
                data += n;
                len -= n;
        }
        buf_addc(b, '\n');
        return b->error;
}

bool sse_parse_id(const char *text, uint64_t *ret_id)
{
        if (!text || *text < '0' || *text > '9')
                return false;
        char *end = NULL;
        errno = 0;
        unsigned long long id = strtoull(text, &end, 10);
        if (errno || *end)
                return false;
        *ret_id = id;
        return true;
}
