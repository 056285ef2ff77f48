/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/page.h"

#include "cloud/ota/server.h"
#include "cloud/page/asset.h"

#include <string.h>

/* No inline script or style, nothing from elsewhere, and (trusted types) no text that becomes
 * markup: the one script address that the page makes is that of its worker for checksums. */
static const char policy[] =
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
        "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; trusted-types hasher; require-trusted-types-for 'script'";

extern const struct asset_table ui_assets;

static void redirect(struct http_exchange *x)
{
        http_add_header(x, "Location", "/ui/");
        http_reply(x, 302, NULL, NULL, 0);
}

/* What the page can't know from its address: where the fleet's page is, if there is one. */
static void reply_site(const struct ota *o, struct http_exchange *x)
{
        http_add_header(x, "Cache-Control", "no-cache");
        http_reply_json(x, 200,
                json_pack(
                        "{s:s, s:s?}", "version", DRIVELINE_VERSION, "viewer", o->viewer_address));
}

/* A browser that opens the server's root wants the page; hawkBit's clients are shown the interface,
 * as hawkBit does. */
static bool is_browser_at_root(struct http_exchange *x)
{
        const char *accept = http_header(x, "Accept");
        return strcmp(http_path(x), "/") == 0 && accept && strstr(accept, "text/html");
}

bool page_answer(const struct ota *o, struct http_exchange *x)
{
        const char *path = http_path(x);
        if (strncmp(path, "/ui", 3) != 0 && path[1])
                return false; /* a device's poll, most likely */
        if (strcmp(http_method(x), "GET") != 0 && strcmp(http_method(x), "HEAD") != 0)
                return false;
        if (strcmp(path, "/ui") == 0 || is_browser_at_root(x)) {
                redirect(x);
                return true;
        }
        bool is_site = strcmp(path, "/ui/site.json") == 0;
        const struct asset *a = asset_find(&ui_assets, path);
        if (!is_site && !a)
                return false;
        asset_add_headers(x, policy);
        if (is_site)
                reply_site(o, x);
        else
                asset_reply(a, x);
        return true;
}
