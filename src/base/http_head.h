/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The head of an HTTP/1.x request (RFC 9112): bytes in, words out; no I/O.
 *
 * It is strict where two readers of one head could differ, since a proxy before us is another
 * reader: line ends are CR LF, a name ends at its colon, lines are not folded, a body has one
 * length or is chunked and never both. What is refused names the status that says so.
 */
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_field {
        const char *name, *value; /* without white space around */
};

struct http_head {
        const char *method;
        const char *target; /* as sent */
        int minor;          /* of HTTP/1.minor */
        struct http_field fields[LIMIT_HTTP_FIELDS];
        size_t n_fields;
        int64_t length; /* of the body; 0 without one; unknown if it is chunked */
        bool is_chunked, keeps_alive, expects_continue;
};

/* Length of the head that begins at `data`, its empty line included; 0: its end isn't there yet.
 * Nothing before `from` is looked at again. */
size_t http_head_length(const char *data, size_t len, size_t from);
/* Reads the `len` bytes of a whole head in place: `text` is cut into the words of `ret`, which live
 * as long as it; text[len] must be writable. Returns 0 or the status to refuse it with. */
int http_head_parse(char *text, size_t len, struct http_head *ret);
/* The first field of that name, in any case; NULL if there is none. */
const char *http_head_field(const struct http_head *h, const char *name);
