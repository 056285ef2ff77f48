/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_chunks.h"
#include "base/http_head.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_head(const char *data, size_t len)
{
        struct http_head h;
        char *text = malloc(len + 1);
        if (!text)
                return;
        memcpy(text, data, len);
        if (http_head_parse(text, len, &h) == 0) {
                const char *end = text + len;
                if (h.target < text || h.target > end || h.length < 0 || (h.is_chunked && h.length))
                        abort();
                for (size_t i = 0; i < h.n_fields; i++) {
                        if (h.fields[i].value < text || h.fields[i].value > end)
                                abort();
                        (void)http_head_field(&h, h.fields[i].name);
                }
        }
        free(text);
}

/* Bytes of body that come out when they arrive in pieces of `size`; -1: refused. */
static int64_t dechunk(const char *data, size_t len, size_t size)
{
        struct http_chunks c = {0};
        int64_t total = 0;
        while (len > 0 && c.state != CHUNK_DONE) {
                size_t skip = 0, body = 0, piece = len < size ? len : size;
                int64_t used = http_chunks_step(&c, data, piece, &skip, &body);
                if (used < 0)
                        return -1;
                if (used == 0 || (size_t)used > piece || skip + body > (size_t)used)
                        abort();
                total += (int64_t)body;
                data += used;
                len -= (size_t)used;
        }
        return total;
}

/* A request: its head, then a body in chunks. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *)data;
        size_t head = http_head_length(text, size, 0);
        for (size_t from = 0; head && from + 4 < head; from++) {
                if (http_head_length(text, size, from) != head)
                        abort();
        }
        read_head(text, head);
        size_t left = size - head;
        if (dechunk(text + head, left, left + 1) != dechunk(text + head, left, 3))
                abort();
        return 0;
}
