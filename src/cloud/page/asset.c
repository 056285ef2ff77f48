/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/page/asset.h"

#include "base/http_server.h"

#include <string.h>

static bool is_path_of(const struct asset *a, const char *path, size_t len)
{
        if (strncmp(a->path, path, len) != 0)
                return false;
        bool is_folder = len > 0 && path[len - 1] == '/';
        return strcmp(a->path + len, is_folder ? "index.html" : "") == 0;
}

const struct asset *asset_find(const struct asset_table *table, const char *path)
{
        size_t len = strlen(path);
        for (size_t i = 0; i < table->n; i++) {
                if (is_path_of(&table->files[i], path, len))
                        return &table->files[i];
        }
        return NULL;
}

/* `gzip;q=0` means "not gzip"; nobody sends it, but the plain file is right then. */
static bool takes_gzip(struct http_exchange *x)
{
        const char *accept = http_header(x, "Accept-Encoding");
        const char *gzip = accept ? strstr(accept, "gzip") : NULL;
        return gzip && strncmp(gzip + 4, ";q=0", 4) != 0;
}

void asset_reply(const struct asset *a, struct http_exchange *x)
{
        const char *held = http_header(x, "If-None-Match");
        http_add_header(x, "ETag", a->etag);
        http_add_header(
                x, "Cache-Control", "no-cache"); /* ask each time, so an upgrade shows at once */
        http_add_header(x, "Vary", "Accept-Encoding");
        if (held && strstr(held, a->etag)) {
                http_reply(x, 304, NULL, NULL, 0);
        } else if (a->gzip && takes_gzip(x)) {
                http_add_header(x, "Content-Encoding", "gzip");
                http_reply(x, 200, a->type, a->gzip, (size_t)(a->gzip_end - a->gzip));
        } else {
                http_reply(x, 200, a->type, a->data, (size_t)(a->end - a->data));
        }
}

void asset_add_headers(struct http_exchange *x, const char *policy)
{
        http_add_header(x, "Content-Security-Policy", policy);
        http_add_header(x, "X-Content-Type-Options", "nosniff");
        http_add_header(x, "Referrer-Policy", "no-referrer");
        http_add_header(x, "Cross-Origin-Opener-Policy", "same-origin");
        http_add_header(x, "Cross-Origin-Resource-Policy", "same-origin");
}
