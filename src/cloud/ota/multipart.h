/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* The parts of a multipart/form-data body (RFC 7578), without copying their data. */
#include "cloud/ota/arena.h"

#define MULTIPART_MAX_PARTS 16

struct multipart_part {
        const char *name;
        const char *filename; /* NULL: a plain field */
        const char *data;     /* within the body */
        size_t len;
};

/* Number of parts, or -EINVAL. `content_type` is the request's header with its boundary. */
int multipart_parse(const char *content_type, const char *body, size_t len, struct arena *arena,
        struct multipart_part parts[MULTIPART_MAX_PARTS]);
