/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

void buf_fini(struct buf *b)
{
        free(b->data);
        *b = BUF_INIT(b->max);
}

void buf_clear(struct buf *b)
{
        b->len = 0;
        b->error = 0;
        if (b->data)
                b->data[0] = 0;
}

char *buf_reserve(struct buf *b, size_t len)
{
        if (b->error)
                return NULL;
        if (len > b->max || b->len > b->max - len) {
                b->error = -E2BIG;
                return NULL;
        }
        size_t need = b->len + len + 1;
        if (need > b->cap) {
                size_t cap = b->cap ? b->cap * 2 : 64;
                if (cap < need)
                        cap = need;
                if (cap > b->max + 1)
                        cap = b->max + 1;
                char *data = realloc(b->data, cap);
                if (!data) {
                        b->error = -ENOMEM;
                        return NULL;
                }
                b->data = data;
                b->cap = cap;
        }
        return b->data + b->len;
}

void buf_grew(struct buf *b, size_t len)
{
        b->len += len;
        b->data[b->len] = 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
        char *to = buf_reserve(b, len);
        if (!to)
                return b->error;
        if (len)
                memcpy(to, data, len);
        buf_grew(b, len);
        return 0;
}

int buf_adds(struct buf *b, const char *text)
{
        return buf_add(b, text, strlen(text));
}

int buf_addc(struct buf *b, char c)
{
        return buf_add(b, &c, 1);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        va_list again;
        va_copy(again, ap);
        int n = vsnprintf(NULL, 0, fmt, ap);
        va_end(ap);
        if (n < 0) {
                va_end(again);
                return b->error = -EINVAL;
        }
        char *to = buf_reserve(b, (size_t)n);
        if (to) {
                vsnprintf(to, (size_t)n + 1, fmt, again);
                buf_grew(b, (size_t)n);
        }
        va_end(again);
        return b->error;
}

void buf_drop(struct buf *b, size_t len)
{
        if (len > b->len)
                len = b->len;
        if (!len)
                return;
        memmove(b->data, b->data + len, b->len - len);
        b->len -= len;
        b->data[b->len] = 0;
}

int buf_add_json_string(struct buf *b, const char *text, size_t len)
{
        const unsigned char *s = (const unsigned char *)text;
        buf_addc(b, '"');
        for (size_t i = 0; i < len;) {
                size_t n = utf8_length(s + i, len - i);
                if (!n) {
                        buf_adds(b, "\xef\xbf\xbd");
                        i++;
                        continue;
                }
                if (n > 1)
                        buf_add(b, s + i, n);
                else if (s[i] == '"' || s[i] == '\\')
                        buf_addf(b, "\\%c", s[i]);
                else if (s[i] == '\n')
                        buf_adds(b, "\\n");
                else if (s[i] < 0x20 || s[i] == 0x7f)
                        buf_addf(b, "\\u%04x", s[i]);
                else
                        buf_addc(b, (char)s[i]);
                i += n;
        }
        return buf_addc(b, '"');
}

int buf_add_url(struct buf *b, const char *text)
{
        for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
                if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                        (*s >= '0' && *s <= '9') || strchr("-._~", *s))
                        buf_addc(b, (char)*s);
                else
                        buf_addf(b, "%%%02X", *s);
        }
        return b->error;
}

char *buf_take(struct buf *b)
{
        if (!b->data && !buf_reserve(b, 0))
                return NULL;
        b->data[b->len] = 0;
        char *data = b->data;
        *b = BUF_INIT(b->max);
        return data;
}
