/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_HOST 255
#define MAX_PREFIX 128
#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* ── networks ── */

static bool read_address(const char *text, uint8_t ret[16], bool *ret_is_4)
{
        uint8_t four[4];
        *ret_is_4 = inet_pton(AF_INET, text, four) == 1;
        if (!*ret_is_4)
                return inet_pton(AF_INET6, text, ret) == 1;
        memset(ret, 0, 10);
        memset(ret + 10, 0xff, 2);
        memcpy(ret + 12, four, 4);
        return true;
}

static int add_one(struct proxy_list *l, char *text, struct err *err)
{
        struct proxy_network net = {.bits = 128};
        char *slash = strchr(text, '/'), *end = NULL;
        bool is_4 = false, is_fine = true;
        if (slash)
                *slash = '\0';
        is_fine = read_address(text, net.address, &is_4);
        if (is_fine && slash) {
                long bits = strtol(slash + 1, &end, 10);
                is_fine = end != slash + 1 && !*end && bits >= 0 && bits <= (is_4 ? 32 : 128);
                net.bits = (int)bits + (is_4 ? 96 : 0);
        }
        if (!is_fine)
                return err_set(err, -EINVAL,
                        "'%s%s%s' is no address or network: write it as 192.0.2.7 or 10.0.0.0/8",
                        text, slash ? "/" : "", slash ? slash + 1 : "");
        if (l->n == PROXY_MAX_NETWORKS)
                return err_set(err, -E2BIG, "more than %d trusted proxies", PROXY_MAX_NETWORKS);
        l->networks[l->n++] = net;
        return 0;
}

int proxy_list_add(struct proxy_list *l, const char *text, struct err *err)
{
        for (const char *p = text; *p;) {
                char one[64];
                p += strspn(p, ", ");
                size_t len = strcspn(p, ", ");
                if (len >= sizeof(one))
                        return err_set(err, -EINVAL, "'%s' is no address or network", p);
                memcpy(one, p, len);
                one[len] = '\0';
                int r = len ? add_one(l, one, err) : 0;
                if (r < 0)
                        return r;
                p += len;
        }
        return 0;
}

static bool is_within(const struct proxy_network *net, const uint8_t address[16])
{
        size_t whole = (size_t)net->bits / 8;
        int rest = net->bits % 8;
        if (memcmp(net->address, address, whole) != 0)
                return false;
        return !rest || (net->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool proxy_list_has(const struct proxy_list *l, const char *peer)
{
        uint8_t address[16];
        bool is_4;
        if (!read_address(peer, address, &is_4))
                return false;
        for (size_t i = 0; i < l->n; i++) {
                if (is_within(&l->networks[i], address))
                        return true;
        }
        return false;
}

/* ── what may become part of a link ── */

static const char *good_scheme(const char *text)
{
        static const char *const schemes[] = {"http", "https"};
        for (size_t i = 0; text && i < 2; i++) {
                if (strcasecmp(text, schemes[i]) == 0)
                        return schemes[i];
        }
        return NULL;
}

static const char *good_port(const char *text)
{
        if (!text || !*text || strlen(text) > 5 || text[strspn(text, DIGITS)])
                return NULL;
        long port = strtol(text, NULL, 10);
        return port > 0 && port < 65536 ? text : NULL;
}

/* name, name:port, [address] or [address]:port */
static const char *good_host(const char *text)
{
        if (!text || !*text || strlen(text) > MAX_HOST)
                return NULL;
        const char *end = text;
        if (*text == '[') {
                end += 1 + strspn(text + 1, DIGITS "abcdefABCDEF:.");
                if (*end++ != ']')
                        return NULL;
        } else {
                end += strspn(text, DIGITS LETTERS ".-_");
        }
        if (end == text || (*end && (*end != ':' || !good_port(end + 1))))
                return NULL;
        return text;
}

static const char *good_prefix(const char *text, struct arena *a)
{
        size_t len = text ? strlen(text) : 0;
        while (len && text[len - 1] == '/')
                len--;
        if (!len || len > MAX_PREFIX || *text != '/' || strstr(text, "//") ||
                strspn(text, DIGITS LETTERS "/-._~") < len)
                return NULL;
        return arena_strndup(a, text, len);
}

/* `192.0.2.1`, `192.0.2.1:1234`, `[2001:db8::1]:1234`, `2001:db8::1` */
static const char *good_client(const char *text, struct arena *a)
{
        uint8_t address[16];
        bool is_4;
        char one[64] = "";
        if (!text)
                return NULL;
        if (*text == '[')
                snprintf(one, sizeof(one), "%.*s", (int)strcspn(text + 1, "]"), text + 1);
        else if (strchr(text, '.'))
                snprintf(one, sizeof(one), "%.*s", (int)strcspn(text, ":"), text);
        else
                snprintf(one, sizeof(one), "%s", text);
        return read_address(one, address, &is_4) ? arena_strdup(a, one) : NULL;
}

/* ── X-Forwarded-* ── */

/* One of a list with commas, without blanks round it. */
static const char *element(const char *list, bool is_last, struct arena *a)
{
        if (!list)
                return NULL;
        const char *comma = is_last ? strrchr(list, ',') : NULL;
        const char *start = comma ? comma + 1 : list;
        start += strspn(start, " \t");
        size_t len = strcspn(start, ",");
        while (len && strchr(" \t", start[len - 1]))
                len--;
        return arena_strndup(a, start, len);
}

void forwarded_from_x(const char *scheme, const char *host, const char *port, const char *prefix,
        const char *client, struct arena *a, struct forwarded *ret)
{
        *ret = (struct forwarded){
                .scheme = good_scheme(element(scheme, false, a)),
                .host = good_host(element(host, false, a)),
                .port = good_port(element(port, false, a)),
                .prefix = good_prefix(element(prefix, false, a), a),
                .client = good_client(element(client, true, a), a),
        };
}

/* ── Forwarded ── */

#define TOKEN DIGITS LETTERS "!#$%&'*+-.^_`|~"

/* A token or a quoted string; NULL: neither. */
static char *read_value(const char **p, struct arena *a)
{
        size_t n = 0;
        if (**p != '"') {
                size_t len = strspn(*p, TOKEN ":[]"); /* hosts and ports without quotes are seen */
                char *token = len ? arena_strndup(a, *p, len) : NULL;
                *p += len;
                return token;
        }
        char *out = arena_alloc(a, strlen(*p) + 1);
        for ((*p)++; **p && **p != '"'; (*p)++) {
                if (**p == '\\' && (*p)[1])
                        (*p)++;
                out[n++] = **p;
        }
        if (**p != '"')
                return NULL;
        (*p)++;
        return out;
}

/* One `name=value`; what is not known is passed over. */
static bool read_pair(const char **p, bool is_first, struct arena *a, struct forwarded *ret)
{
        size_t len = strspn(*p, TOKEN);
        const char *name = *p;
        *p += len;
        if (!len || **p != '=')
                return false;
        (*p)++;
        const char *value = read_value(p, a);
        if (!value)
                return false;
        if (len == 5 && is_first && strncasecmp(name, "proto", len) == 0)
                ret->scheme = good_scheme(value);
        else if (len == 4 && is_first && strncasecmp(name, "host", len) == 0)
                ret->host = good_host(value);
        else if (len == 3 && strncasecmp(name, "for", len) == 0)
                ret->client = good_client(value, a);
        return true;
}

static const char *skip(const char *p)
{
        return p + strspn(p, " \t");
}

bool forwarded_parse(const char *header, struct arena *a, struct forwarded *ret)
{
        struct forwarded f = {0};
        bool is_first = true, is_fine = header && *skip(header);
        *ret = f;
        for (const char *p = is_fine ? skip(header) : ""; is_fine && *p;) {
                is_fine = read_pair(&p, is_first, a, &f);
                p = is_fine ? skip(p) : "";
                if (*p == ',') {
                        is_first = false;
                        f.client = NULL;
                }
                is_fine = is_fine && (!*p || *p == ';' || *p == ',');
                if (is_fine && *p) {
                        p = skip(p + 1);
                        is_fine = *p;
                }
        }
        if (is_fine)
                *ret = f;
        return is_fine;
}

/* ── the origin ── */

static size_t name_length(const char *host)
{
        const char *colon = *host == '[' ? strchr(host, ']') : host;
        colon = colon ? strchr(colon, ':') : NULL;
        return colon ? (size_t)(colon - host) : strlen(host);
}

const char *forwarded_origin(
        const struct forwarded *f, const char *scheme, const char *host, struct arena *a)
{
        const char *used = f->host ? f->host : host;
        size_t len = name_length(used);
        const char *port = f->port ? f->port : used[len] ? used + len + 1 : "";
        if (f->scheme)
                scheme = f->scheme;
        bool is_usual = strcmp(port, strcmp(scheme, "https") == 0 ? "443" : "80") == 0;
        return arena_printf(a, "%s://%.*s%s%s%s", scheme, (int)len, used,
                *port && !is_usual ? ":" : "", *port && !is_usual ? port : "",
                f->prefix ? f->prefix : "");
}
