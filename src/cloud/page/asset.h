/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A page's files inside the program. The tables are written by embed.py when Driveline is built,
 * out of web/ and, for the viewer, Debian's dygraphs; nothing is read from the disk when the
 * program runs.
 */
#include <stddef.h>

struct http_exchange;

struct asset {
        const char *path; /* as asked for: "/app.js" */
        const char *type;
        const char *etag; /* with its quotes */
        const char *data, *end;
        const char *gzip, *gzip_end; /* NULL: compression saves nothing */
};

struct asset_table {
        const struct asset *files;
        size_t n;
};

/* NULL if there is none; a path that ends in "/" is that folder's index.html. */
const struct asset *asset_find(const struct asset_table *table, const char *path);
/* Answers with the file, compressed if the client takes that, or with 304 if it has it. */
void asset_reply(const struct asset *a, struct http_exchange *x);
/* The headers of a page: `policy` is its Content-Security-Policy, the others are the same for all.
 */
void asset_add_headers(struct http_exchange *x, const char *policy);
