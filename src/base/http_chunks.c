/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_chunks.h"

#include "base/limits.h"

#include <errno.h>

#define MAX_DIGITS 15

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                return (c | 0x20) - 'a' + 10;
        return -1;
}

static int end_size(struct http_chunks *c)
{
        if (c->digits == 0)
                return -EINVAL;
        c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
        c->is_line_empty = true;
        c->digits = 0;
        return 0;
}

static int size_byte(struct http_chunks *c, char b)
{
        int v = hex_value(b);
        if (v >= 0) {
                if (++c->digits > MAX_DIGITS)
                        return -EINVAL;
                c->left = c->left << 4 | (unsigned)v;
                return 0;
        }
        if (b == '\n')
                return end_size(c);
        if (b != '\r' && b != ';' && b != ' ' && b != '\t')
                return -EINVAL;
        c->state = CHUNK_EXTENSION;
        return 0;
}

static int trailer_byte(struct http_chunks *c, char b)
{
        if (b == '\n') {
                c->state = c->is_line_empty ? CHUNK_DONE : CHUNK_TRAILER;
                c->is_line_empty = true;
        } else if (b != '\r') {
                c->is_line_empty = false;
        }
        return 0;
}

static int frame_byte(struct http_chunks *c, char b)
{
        if (++c->overhead > LIMIT_HTTP_HEADER_BYTES)
                return -EINVAL;
        switch (c->state) {
        case CHUNK_SIZE:
                return size_byte(c, b);
        case CHUNK_EXTENSION:
                return b == '\n' ? end_size(c) : 0;
        case CHUNK_DATA_END:
                if (b == '\n')
                        c->state = CHUNK_SIZE;
                return b == '\n' || b == '\r' ? 0 : -EINVAL;
        case CHUNK_TRAILER:
                return trailer_byte(c, b);
        default:
                return -EINVAL;
        }
}

int64_t http_chunks_step(
        struct http_chunks *c, const char *data, size_t len, size_t *ret_skip, size_t *ret_body)
{
        size_t at = 0;
        *ret_body = 0;
        while (at < len && c->state != CHUNK_DATA && c->state != CHUNK_DONE) {
                if (frame_byte(c, data[at++]) < 0)
                        return -EINVAL;
        }
        *ret_skip = at;
        if (c->state != CHUNK_DATA || at == len)
                return (int64_t)at;
        *ret_body = len - at < c->left ? len - at : (size_t)c->left;
        c->left -= *ret_body;
        c->overhead = 0;
        if (c->left == 0)
                c->state = CHUNK_DATA_END;
        return (int64_t)(at + *ret_body);
}
