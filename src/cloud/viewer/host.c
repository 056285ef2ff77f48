/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 256

/* Copies the name without its port and without an IPv6 address's brackets. False: it has no such
 * form. */
static bool host_name(const char *text, char name[HOST_MAX])
{
        size_t len = 0;
        if (text[0] == '[') {
                const char *end = strchr(++text, ']');
                if (!end || (end[1] && end[1] != ':'))
                        return false;
                len = (size_t)(end - text);
        } else {
                len = strcspn(text, ":");
        }
        if (len == 0 || len >= HOST_MAX)
                return false;
        memcpy(name, text, len);
        name[len] = '\0';
        return true;
}

static bool is_loopback(const char *name)
{
        struct in_addr v4;
        struct in6_addr v6;
        if (inet_pton(AF_INET, name, &v4) == 1)
                return ntohl(v4.s_addr) >> 24 == 127;
        if (inet_pton(AF_INET6, name, &v6) == 1)
                return IN6_IS_ADDR_LOOPBACK(&v6);
        return strcasecmp(name, "localhost") == 0;
}

bool host_is_allowed(const char *host, const char *listen)
{
        char asked[HOST_MAX], ours[HOST_MAX];
        if (!host || !host_name(host, asked))
                return false;
        if (is_loopback(asked))
                return true;
        return host_name(listen, ours) && strcasecmp(asked, ours) == 0;
}
