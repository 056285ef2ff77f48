/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A multipart/form-data body (RFC 7578), read while it arrives: pieces of any size in, parts out.
 *
 * It keeps at most one head of a part and one piece, however long the body is. What is before the
 * first boundary and after the last is passed over.
 */
#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_MAX_PARTS 16

/* Where the parts go; begin, any number of data, end, in this order for each part. */
struct multipart_reader {
        /* `filename` NULL: a plain field; `name` may be NULL too. Both die with the call. */
        void (*begin)(void *arg, const char *name, const char *filename);
        void (*data)(void *arg, const char *data, size_t len);
        void (*end)(void *arg);
        void *arg;
};

struct multipart;

/* `content_type` is the request's header with its boundary; NULL if it has none. */
struct multipart *multipart_new(const char *content_type, const struct multipart_reader *reader);
void multipart_free(struct multipart *m);
/* -EINVAL when this can't be such a body; then and later. */
int multipart_add(struct multipart *m, const char *data, size_t len);
/* The last boundary was there. */
bool multipart_is_whole(const struct multipart *m);
