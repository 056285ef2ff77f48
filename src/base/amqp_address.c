/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/amqp_link.h"

#include <errno.h>
#include <string.h>

static int hex(char c)
{
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

/* Percent-decodes `text` to its end; -EINVAL if it doesn't fit or holds what no name may. */
static int decode(const char *text, size_t len, char *ret, size_t size)
{
        size_t n = 0;
        for (size_t i = 0; i < len; i++) {
                int c = (unsigned char)text[i];
                if (c == '%') {
                        int high = len - i > 2 ? hex(text[i + 1]) : -1;
                        int low = len - i > 2 ? hex(text[i + 2]) : -1;
                        if (high < 0 || low < 0)
                                return -EINVAL;
                        c = high * 16 + low;
                        i += 2;
                }
                if (c < ' ' || c == 127 || n + 1 >= size)
                        return -EINVAL;
                ret[n++] = (char)c;
        }
        ret[n] = '\0';
        return 0;
}

static int parse_port(const char *text, size_t len, int *ret)
{
        int port = 0;
        for (size_t i = 0; i < len; i++) {
                if (text[i] < '0' || text[i] > '9' || port > 65535)
                        return -EINVAL;
                port = port * 10 + (text[i] - '0');
        }
        *ret = port;
        return len && port > 0 && port < 65536 ? 0 : -EINVAL;
}

/* `host`, `host:port` or `[::1]:port`. */
static int parse_host(const char *text, size_t len, struct amqp_address *a)
{
        const char *host = text, *end = memchr(text, ':', len);
        size_t n = end ? (size_t)(end - text) : len;
        if (len && *text == '[') {
                const char *close = memchr(text, ']', len);
                if (!close)
                        return -EINVAL;
                host = text + 1;
                n = (size_t)(close - host);
                end = close + 1 < text + len ? close + 1 : NULL;
                if (end && *end != ':')
                        return -EINVAL;
        }
        if (end && parse_port(end + 1, (size_t)(text + len - end - 1), &a->port) < 0)
                return -EINVAL;
        return n ? decode(host, n, a->host, sizeof(a->host)) : -EINVAL;
}

int amqp_address_parse(const char *url, struct amqp_address *ret, struct err *err)
{
        struct amqp_address a = {.user = "guest", .vhost = "/"};
        a.is_tls = strncmp(url, "amqps://", 8) == 0;
        a.port = a.is_tls ? 5671 : 5672;
        if (!a.is_tls && strncmp(url, "amqp://", 7) != 0)
                return err_set(err, -EINVAL, "'%s' does not begin with amqp:// or amqps://", url);
        const char *start = strstr(url, "://") + 3;
        const char *slash = start + strcspn(start, "/");
        const char *at = memchr(start, '@', (size_t)(slash - start));
        if (at && memchr(start, ':', (size_t)(at - start)))
                return err_set(err, -EINVAL,
                        "the broker's address holds a password; put it into a file that only its "
                        "owner can read");
        if (at && decode(start, (size_t)(at - start), a.user, sizeof(a.user)) < 0)
                return err_set(err, -EINVAL, "'%s' has no readable user", url);
        const char *host = at ? at + 1 : start;
        if (parse_host(host, (size_t)(slash - host), &a) < 0)
                return err_set(err, -EINVAL, "'%s' has no readable host and port", url);
        if (slash[0] && slash[1] &&
                decode(slash + 1, strlen(slash + 1), a.vhost, sizeof(a.vhost)) < 0)
                return err_set(err, -EINVAL, "'%s' has no readable virtual host", url);
        *ret = a;
        return 0;
}
