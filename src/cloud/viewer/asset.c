/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/asset.h"

#include "base/http_server.h"

#include <string.h>

const struct asset *asset_find(const char *path)
{
        if (strcmp(path, "/") == 0)
                path = "/index.html";
        for (unsigned i = 0; i < asset_table_n; i++) {
                if (strcmp(asset_table[i].path, path) == 0)
                        return &asset_table[i];
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
