/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A body in chunks (RFC 9112, 7.1), taken apart while it arrives; no I/O and no memory.
 *
 * Each step takes some bytes and says which of them are the body's. Extensions and trailers are
 * read over, at most LIMIT_HTTP_HEADER_BYTES of them between two pieces of body.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_chunks {
        enum {
                CHUNK_SIZE,
                CHUNK_EXTENSION,
                CHUNK_DATA,
                CHUNK_DATA_END,
                CHUNK_TRAILER,
                CHUNK_DONE
        } state;
        uint64_t left;   /* of this chunk */
        unsigned digits; /* of its size so far */
        size_t overhead; /* bytes since the last piece of body */
        bool is_line_empty;
};

/* Reads on at `data`: `ret_body` of the bytes, from data + *ret_skip on, are the body's. Returns
 * how many bytes are used up, those included; -EINVAL for what is no chunked body. With a fresh
 * struct of zeros it begins; once `state` is CHUNK_DONE nothing more is taken. */
int64_t http_chunks_step(
        struct http_chunks *c, const char *data, size_t len, size_t *ret_skip, size_t *ret_body);
