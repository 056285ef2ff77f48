/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The page's files inside the program. The table is written by embed.py when Driveline is built,
 * out of web/ and Debian's dygraphs; nothing is read from the disk when the program runs.
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

extern const struct asset asset_table[];
extern const unsigned asset_table_n;

/* NULL if there is none; "/" is the page itself. */
const struct asset *asset_find(const char *path);
/* Answers with the file, compressed if the client takes that, or with 304 if it has it. */
void asset_reply(const struct asset *a, struct http_exchange *x);
