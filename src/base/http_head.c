/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_head.h"

#include <string.h>
#include <strings.h>

/* A body length of more digits than this is no number that we could mean. */
#define MAX_LENGTH_DIGITS 18

size_t http_head_length(const char *data, size_t len, size_t from)
{
        size_t at = from > 3 ? from - 3 : 0;
        while (at < len) {
                const char *end = memchr(data + at, '\n', len - at);
                if (!end)
                        return 0;
                at = (size_t)(end - data) + 1;
                /* bare line feeds end it too, so that it can be refused at once */
                if (at < len && data[at] == '\n')
                        return at + 1;
                if (at + 1 < len && data[at] == '\r' && data[at + 1] == '\n')
                        return at + 2;
        }
        return 0;
}

const char *http_head_field(const struct http_head *h, const char *name)
{
        for (size_t i = 0; i < h->n_fields; i++) {
                if (strcasecmp(h->fields[i].name, name) == 0)
                        return h->fields[i].value;
        }
        return NULL;
}

static bool is_token(const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)text[i];
                bool is_letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
                if (!is_letter && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
                        return false;
        }
        return len > 0;
}

static bool has_control(const char *text, size_t len)
{
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)text[i];
                if ((c < ' ' && c != '\t') || c == 127)
                        return true;
        }
        return false;
}

/* ── the first line ── */

static int read_version(const char *text, struct http_head *h)
{
        if (strncmp(text, "HTTP/", 5) != 0 || strlen(text) != 8 || text[6] != '.')
                return 400;
        if (text[5] != '1' || text[7] < '0' || text[7] > '9')
                return 505;
        h->minor = text[7] - '0';
        h->keeps_alive = h->minor >= 1;
        return 0;
}

static int read_request_line(char *line, size_t len, struct http_head *h)
{
        char *blank = memchr(line, ' ', len);
        if (!blank || has_control(line, len) || memchr(line, '\t', len))
                return 400;
        char *last = memchr(blank + 1, ' ', len - (size_t)(blank + 1 - line));
        if (!last || last == blank + 1 || !is_token(line, (size_t)(blank - line)))
                return 400;
        *blank = *last = line[len] = '\0';
        h->method = line;
        h->target = blank + 1;
        return read_version(last + 1, h);
}

/* ── fields ── */

static int read_length(const char *value, struct http_head *h, bool *has_length)
{
        int64_t n = 0;
        size_t digits = strspn(value, "0123456789");
        if (digits == 0 || value[digits] || digits > MAX_LENGTH_DIGITS)
                return 400;
        for (const char *p = value; *p; p++)
                n = n * 10 + (*p - '0');
        if (*has_length && n != h->length)
                return 400;
        *has_length = true;
        h->length = n;
        return 0;
}

/* Is the word one of the list's? */
static bool has_word(const char *list, const char *word)
{
        size_t n = strlen(word);
        for (const char *p = list; *p;) {
                p += strspn(p, " \t,");
                size_t len = strcspn(p, " \t,");
                if (len == n && strncasecmp(p, word, n) == 0)
                        return true;
                p += len;
        }
        return false;
}

static int weigh_field(const struct http_field *f, struct http_head *h, bool *has_length)
{
        if (strcasecmp(f->name, "Content-Length") == 0)
                return read_length(f->value, h, has_length);
        if (strcasecmp(f->name, "Transfer-Encoding") == 0) {
                if (h->is_chunked || strcasecmp(f->value, "chunked") != 0)
                        return 501;
                h->is_chunked = true;
        } else if (strcasecmp(f->name, "Connection") == 0) {
                if (has_word(f->value, "close"))
                        h->keeps_alive = false;
                else if (has_word(f->value, "keep-alive"))
                        h->keeps_alive = true;
        } else if (strcasecmp(f->name, "Expect") == 0) {
                if (strcasecmp(f->value, "100-continue") != 0)
                        return 417;
                h->expects_continue = h->minor >= 1;
        }
        return 0;
}

static int read_field(char *line, size_t len, struct http_head *h, bool *has_length)
{
        char *colon = memchr(line, ':', len);
        if (!colon || !is_token(line, (size_t)(colon - line)) || has_control(line, len))
                return 400;
        if (h->n_fields == LIMIT_HTTP_FIELDS)
                return 431;
        char *value = colon + 1, *end = line + len;
        while (value < end && (*value == ' ' || *value == '\t'))
                value++;
        while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
        *colon = *end = '\0';
        struct http_field *f = &h->fields[h->n_fields++];
        *f = (struct http_field){line, value};
        return weigh_field(f, h, has_length);
}

int http_head_parse(char *text, size_t len, struct http_head *ret)
{
        bool has_length = false;
        char *at = text, *end = text + len;
        ret->method = NULL;
        ret->n_fields = 0;
        ret->minor = 1;
        ret->keeps_alive = false;
        ret->length = 0;
        ret->is_chunked = ret->expects_continue = false;
        text[len] = '\0';
        while (at < end) {
                char *line_end = memchr(at, '\n', (size_t)(end - at));
                if (!line_end || line_end == at || line_end[-1] != '\r')
                        return 400;
                size_t n = (size_t)(line_end - 1 - at);
                int r = 0;
                if (n > 0 && !ret->method)
                        r = read_request_line(at, n, ret);
                else if (n > 0)
                        r = read_field(at, n, ret, &has_length);
                if (r)
                        return r;
                at = line_end + 1;
        }
        if (!ret->method || (has_length && ret->is_chunked))
                return 400;
        return 0;
}
