/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/multipart.h"

#include "base/buf.h"
#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_BOUNDARY 70
#define MAX_HEAD 8192
/* Pieces are cut to this before they are looked at. */
#define MAX_PIECE LIMIT_KIB(64)

enum state { BEFORE, AFTER_MARK, HEAD, DATA, DONE, BROKEN };

struct multipart {
        struct multipart_reader reader;
        char mark[MAX_BOUNDARY + 5]; /* CR LF, two dashes, the boundary */
        size_t mark_len;
        enum state state;
        struct buf pending; /* read, but not yet understood */
        size_t skip;        /* of it, bytes that are no data: the line end of a part's head */
        int n_parts;
};

/* ── heads ── */

/* Value of `key=` in a header, quoted or not, as malloc()ed text; NULL if absent. */
static char *parameter(const char *header, const char *key)
{
        size_t n = strlen(key);
        for (const char *p = strchr(header, ';'); p; p = strchr(p, ';')) {
                p += 1 + strspn(p + 1, " \t");
                if (strncasecmp(p, key, n) != 0 || p[n] != '=')
                        continue;
                p += n + 1;
                if (*p != '"')
                        return strndup(p, strcspn(p, "; \t\r\n"));
                char *out = calloc(1, strlen(p) + 1);
                size_t len = 0;
                for (p++; out && *p && *p != '"'; p++) {
                        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
                                p++;
                        out[len++] = *p;
                }
                return out;
        }
        return NULL;
}

/* Reads the head that begins at `head` and ends with a NUL. */
static void begin_part(struct multipart *m, char *head)
{
        CLEAN_MEM char *name = NULL;
        CLEAN_MEM char *filename = NULL;
        for (char *line = head; line;) {
                char *next = strstr(line, "\r\n");
                if (next) {
                        *next = '\0';
                        next += 2;
                }
                if (strncasecmp(line, "Content-Disposition:", 20) == 0) {
                        free(name);
                        free(filename);
                        name = parameter(line, "name");
                        filename = parameter(line, "filename");
                }
                line = next;
        }
        m->reader.begin(m->reader.arg, name, filename);
}

/* ── steps: true when there is more to do with what is pending ── */

static bool fail(struct multipart *m)
{
        m->state = BROKEN;
        return false;
}

/* Gives out data, less what the head left in front of it, and forgets it. */
static void give(struct multipart *m, size_t len)
{
        size_t skip = m->skip < len ? m->skip : len;
        if (m->state == DATA && len > skip)
                m->reader.data(m->reader.arg, m->pending.data + skip, len - skip);
        m->skip -= skip;
        buf_drop(&m->pending, len);
}

/* Before the first boundary, or within a part. */
static bool find_mark(struct multipart *m)
{
        struct buf *b = &m->pending;
        char *at = b->len ? memmem(b->data, b->len, m->mark, m->mark_len) : NULL;
        if (!at) {
                if (b->len >= m->mark_len)
                        give(m, b->len - m->mark_len + 1);
                return false;
        }
        give(m, (size_t)(at - b->data));
        buf_drop(b, m->mark_len);
        if (m->state == DATA)
                m->reader.end(m->reader.arg);
        m->skip = 0;
        m->state = AFTER_MARK;
        return true;
}

static bool read_after_mark(struct multipart *m)
{
        struct buf *b = &m->pending;
        if (b->len < 2)
                return false;
        if (memcmp(b->data, "--", 2) == 0) {
                m->state = DONE;
                return false;
        }
        if (memcmp(b->data, "\r\n", 2) != 0 || ++m->n_parts > MULTIPART_MAX_PARTS)
                return fail(m);
        buf_drop(b, 2);
        m->state = HEAD;
        return true;
}

static bool read_head(struct multipart *m)
{
        struct buf *b = &m->pending;
        size_t most = b->len < MAX_HEAD ? b->len : MAX_HEAD;
        char *end = most ? memmem(b->data, most, "\r\n\r\n", 4) : NULL;
        if (!end)
                return most == MAX_HEAD ? fail(m) : false;
        *end = '\0';
        begin_part(m, b->data);
        *end = '\r';
        /* its last line end stays, since a boundary may follow at once */
        buf_drop(b, (size_t)(end - b->data) + 2);
        m->skip = 2;
        m->state = DATA;
        return true;
}

static bool step(struct multipart *m)
{
        switch (m->state) {
        case BEFORE:
        case DATA:
                return find_mark(m);
        case AFTER_MARK:
                return read_after_mark(m);
        case HEAD:
                return read_head(m);
        default:
                return false;
        }
}

/* ── life ── */

struct multipart *multipart_new(const char *content_type, const struct multipart_reader *reader)
{
        CLEAN_MEM char *boundary = content_type ? parameter(content_type, "boundary") : NULL;
        size_t len = boundary ? strlen(boundary) : 0;
        struct multipart *m = len > 0 && len <= MAX_BOUNDARY ? calloc(1, sizeof(*m)) : NULL;
        if (!m)
                return NULL;
        m->reader = *reader;
        m->mark_len = len + 4;
        memcpy(m->mark, "\r\n--", 4);
        memcpy(m->mark + 4, boundary, len);
        m->pending = BUF_INIT(MAX_PIECE + MAX_HEAD + sizeof(m->mark));
        buf_adds(&m->pending, "\r\n"); /* the first boundary may have no line end before it */
        return m;
}

void multipart_free(struct multipart *m)
{
        if (!m)
                return;
        buf_fini(&m->pending);
        free(m);
}

int multipart_add(struct multipart *m, const char *data, size_t len)
{
        while (len > 0 && m->state != DONE && m->state != BROKEN) {
                size_t piece = len < MAX_PIECE ? len : MAX_PIECE;
                if (buf_add(&m->pending, data, piece) < 0) {
                        m->state = BROKEN;
                        break;
                }
                data += piece;
                len -= piece;
                while (step(m))
                        ;
        }
        return m->state == BROKEN ? -EINVAL : 0;
}

bool multipart_is_whole(const struct multipart *m)
{
        return m->state == DONE;
}
