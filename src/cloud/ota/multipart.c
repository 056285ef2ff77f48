/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/multipart.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define MAX_BOUNDARY 70
#define MAX_HEAD 8192

/* Value of `key=` in a header, quoted or not; NULL if absent. */
static const char *parameter(struct arena *arena, const char *header, const char *key)
{
        size_t n = strlen(key);
        for (const char *p = strchr(header, ';'); p; p = strchr(p, ';')) {
                p += 1 + strspn(p + 1, " \t");
                if (strncasecmp(p, key, n) != 0 || p[n] != '=')
                        continue;
                p += n + 1;
                if (*p != '"')
                        return arena_strndup(arena, p, strcspn(p, "; \t\r\n"));
                char *out = arena_alloc(arena, strlen(p));
                size_t len = 0;
                for (p++; *p && *p != '"'; p++) {
                        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
                                p++;
                        out[len++] = *p;
                }
                return out;
        }
        return NULL;
}

/* The head of one part: at most MAX_HEAD bytes up to an empty line. Returns its length with that,
 * or 0. */
static size_t read_head(
        struct arena *arena, const char *at, size_t len, struct multipart_part *part)
{
        const char *end = memmem(at, len < MAX_HEAD ? len : MAX_HEAD, "\r\n\r\n", 4);
        if (!end)
                return 0;
        char *head = arena_strndup(arena, at, (size_t)(end - at));
        for (char *line = head; line;) {
                char *next = strstr(line, "\r\n");
                if (next) {
                        *next = '\0';
                        next += 2;
                }
                if (strncasecmp(line, "Content-Disposition:", 20) == 0) {
                        part->name = parameter(arena, line, "name");
                        part->filename = parameter(arena, line, "filename");
                }
                line = next;
        }
        return (size_t)(end - at) + 4;
}

int multipart_parse(const char *content_type, const char *body, size_t len, struct arena *arena,
        struct multipart_part parts[MULTIPART_MAX_PARTS])
{
        const char *boundary = parameter(arena, content_type, "boundary");
        size_t mark_len = boundary ? strlen(boundary) : 0;
        if (mark_len == 0 || mark_len > MAX_BOUNDARY)
                return -EINVAL;
        const char *mark = arena_printf(arena, "\r\n--%s", boundary);
        mark_len += 4;
        const char *end = body + len;
        /* the first boundary may have no line break before it */
        const char *at = body + mark_len - 2;
        if (len < mark_len - 2 || memcmp(body, mark + 2, mark_len - 2) != 0) {
                at = memmem(body, len, mark, mark_len);
                if (!at)
                        return -EINVAL;
                at += mark_len;
        }
        int n = 0;
        while (end - at >= 2 && memcmp(at, "--", 2) != 0) {
                if (n == MULTIPART_MAX_PARTS || memcmp(at, "\r\n", 2) != 0)
                        return -EINVAL;
                at += 2;
                struct multipart_part *part = &parts[n++];
                *part = (struct multipart_part){0};
                size_t head = read_head(arena, at, (size_t)(end - at), part);
                if (head == 0)
                        return -EINVAL;
                part->data = at + head;
                const char *next =
                        memmem(part->data - 2, (size_t)(end - part->data) + 2, mark, mark_len);
                if (!next)
                        return -EINVAL;
                part->len = next < part->data ? 0 : (size_t)(next - part->data);
                at = next + mark_len;
        }
        return end - at >= 2 ? n : -EINVAL;
}
