/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/hash.h"
#include "cloud/ota/multipart.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
        uint32_t sum;
        size_t n_parts, len;
        int is_open;
};

static void begin(void *arg, const char *name, const char *filename)
{
        struct seen *s = arg;
        if (s->is_open++)
                abort();
        s->n_parts++;
        if (name)
                s->sum = hash_crc32c(s->sum, name, strlen(name));
        if (filename)
                s->sum = hash_crc32c(s->sum, filename, strlen(filename));
}

static void add(void *arg, const char *data, size_t len)
{
        struct seen *s = arg;
        if (!s->is_open)
                abort();
        s->sum = hash_crc32c(s->sum, data, len);
        s->len += len;
}

static void end(void *arg)
{
        struct seen *s = arg;
        if (s->is_open-- != 1)
                abort();
}

/* What comes out of the body in pieces of `size`. */
static struct seen read_body(const char *type, const char *body, size_t len, size_t size)
{
        struct seen s = {0};
        const struct multipart_reader reader = {begin, add, end, &s};
        struct multipart *m = multipart_new(type, &reader);
        int r = m ? 0 : -1;
        for (size_t at = 0; r == 0 && at < len; at += size)
                r = multipart_add(m, body + at, len - at < size ? len - at : size);
        if (m && multipart_is_whole(m) && (r < 0 || s.is_open))
                abort();
        if (s.n_parts > MULTIPART_MAX_PARTS || s.len > len)
                abort();
        s.is_open = m && multipart_is_whole(m);
        multipart_free(m);
        return s;
}

/* The first line is the content type, the rest the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *line_end = memchr(data, '\n', size);
        if (!line_end)
                return 0;
        char *type = strndup((const char *)data, (size_t)(line_end - data));
        const char *body = (const char *)line_end + 1;
        size_t len = size - (size_t)(line_end + 1 - data);
        struct seen whole = read_body(type, body, len, len + 1);
        struct seen pieces = read_body(type, body, len, 3);
        if (whole.is_open && (!pieces.is_open || whole.sum != pieces.sum))
                abort();
        free(type);
        return 0;
}
