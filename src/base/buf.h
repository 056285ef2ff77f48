/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A growable run of bytes with a ceiling.
 *
 * The ceiling is given at birth; a write that would pass it fails with -E2BIG and changes nothing.
 * Failures stick: after one, every later write fails the same way, so a chain of writes needs one
 * check at its end (`buf.error`). The data is always followed by a NUL that `len` doesn't count.
 */
#include "base/clean.h"
#include <stddef.h>
#include <stdbool.h>

struct buf {
        char *data; /* NULL until the first write; use buf_text() for a string that is never NULL */
        size_t len;
        size_t cap;
        size_t max;
        int error; /* 0, -E2BIG or -ENOMEM */
};

#define BUF_INIT(ceiling) ((struct buf){.max = (ceiling)})
#define CLEAN_BUF __attribute__((cleanup(buf_fini)))

void buf_fini(struct buf *b);
/* Empties it, keeps the memory and forgets the failure. */
void buf_clear(struct buf *b);

int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *text);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for `len` more bytes at the end, returned for the caller to fill; then buf_grew(). NULL: no
 * room. */
char *buf_reserve(struct buf *b, size_t len);
void buf_grew(struct buf *b, size_t len);
/* Drops the first `len` bytes. */
void buf_drop(struct buf *b, size_t len);
/* Appends `text` as a JSON string with its quotes. `len` bytes; invalid UTF-8 becomes U+FFFD. */
int buf_add_json_string(struct buf *b, const char *text, size_t len);
/* Appends `text` percent-encoded as one URL path segment or query value (RFC 3986 unreserved kept).
 */
int buf_add_url(struct buf *b, const char *text);

static inline const char *buf_text(const struct buf *b)
{
        return b->data ? b->data : "";
}
/* The data as malloc()ed, terminated memory that the caller owns now; the buf is empty after. */
char *buf_take(struct buf *b);
