/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/download.h"

#include "base/limits.h"
#include "cloud/ota/blob.h"
#include "cloud/ota/ranges.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BOUNDARY "THIS_STRING_SEPARATES_MULTIPART"
/* Parts of a multi-range answer are gathered in memory. */
#define MAX_PARTS_BYTES LIMIT_MIB(16)

void artifact_read(struct sql_rows *r, struct artifact *a)
{
        *a = (struct artifact){.id = sql_col_int(r, 0),
                .module = sql_col_int(r, 1),
                .filename = sql_col_text(r, 2),
                .size = sql_col_int(r, 3),
                .sha256 = sql_col_text(r, 4),
                .sha1 = sql_col_text(r, 5),
                .md5 = sql_col_text(r, 6),
                .created_at = sql_col_int(r, 8)};
}

const char *download_disposition(struct request *q, const char *filename)
{
        bool is_quoted = strpbrk(filename, "()<>@,;:\\\"/[]?=") != NULL;
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_KIB(8));
        buf_adds(&b, "attachment;filename=");
        if (is_quoted)
                buf_addc(&b, '"');
        for (const char *p = filename; *p; p++) {
                if (*p == '"' || *p == '\\')
                        buf_addc(&b, '\\');
                buf_addc(&b, (unsigned char)*p < ' ' ? '?' : *p);
        }
        if (is_quoted)
                buf_addc(&b, '"');
        return arena_strdup(&q->arena, buf_text(&b));
}

static const char *http_date(struct request *q, int64_t ms)
{
        char text[40];
        time_t t = (time_t)(ms / 1000);
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        return arena_strdup(&q->arena, text);
}

/* ── conditions ── */

/* The ETag as we send it is accepted too: hawkBit compares the bare hash and so refuses its own. */
bool download_is_refused(struct request *q, const struct artifact *a)
{
        const char *header = http_header(q->x, "If-Match");
        return header && strcmp(header, "*") != 0 && !strstr(header, a->sha1);
}

static bool wants_whole_file(struct request *q, const struct artifact *a)
{
        const char *header = http_header(q->x, "If-Range");
        struct tm tm = {0};
        if (!header)
                return false;
        const char *etag = arena_printf(&q->arena, "\"%s\"", a->sha1);
        if (strcmp(header, etag) == 0)
                return false;
        if (!strptime(header, "%a, %d %b %Y %H:%M:%S", &tm))
                return true;
        return timegm(&tm) < a->created_at / 1000;
}

/* ── answers ── */

static void set_content_range(struct request *q, const struct range_span *s, int64_t size)
{
        http_add_header(q->x, "Content-Range",
                arena_printf(&q->arena, "bytes %lld-%lld/%lld", (long long)s->start,
                        (long long)s->end, (long long)size));
}

static int reply_file(struct request *q, int fd, int status, int64_t start, int64_t len)
{
        q->status = status;
        q->file = fd;
        q->file_type = "application/octet-stream";
        q->file_offset = start;
        q->file_length = len;
        return 0;
}

static int reply_unsatisfiable(struct request *q, int fd, const struct artifact *a)
{
        close(fd);
        http_add_header(
                q->x, "Content-Range", arena_printf(&q->arena, "bytes */%lld", (long long)a->size));
        q->status = 416;
        q->text = "";
        q->text_type = "application/octet-stream";
        return 0;
}

static int reply_parts(struct request *q, int fd, const struct artifact *a,
        const struct range_span *spans, size_t n)
{
        struct buf b = BUF_INIT(MAX_PARTS_BYTES);
        for (size_t i = 0; i < n; i++) {
                int64_t len = spans[i].end - spans[i].start + 1;
                buf_addf(&b, "%s--" BOUNDARY "\r\nContent-Type: application/octet-stream\r\n",
                        i ? "\r\n" : "");
                buf_addf(&b, "Content-Range: bytes %lld-%lld/%lld\r\n\r\n",
                        (long long)spans[i].start, (long long)spans[i].end, (long long)a->size);
                char *room = len < (int64_t)MAX_PARTS_BYTES ? buf_reserve(&b, (size_t)len) : NULL;
                if (!room || pread(fd, room, (size_t)len, spans[i].start) != len) {
                        buf_fini(&b);
                        return reply_unsatisfiable(q, fd, a);
                }
                buf_grew(&b, (size_t)len);
        }
        buf_adds(&b, "\r\n--" BOUNDARY "--");
        close(fd);
        q->status = 206;
        q->bytes_len = b.len;
        q->bytes = buf_take(&b);
        q->text_type = "multipart/byteranges; boundary=" BOUNDARY;
        return 0;
}

int download_reply(struct request *q, const struct artifact *a)
{
        struct range_span spans[RANGES_MAX];
        const char *range = http_header(q->x, "Range");
        if (download_is_refused(q, a))
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 412);
        int fd = blob_open(q->ota, &q->arena, a->sha256);
        if (fd < 0)
                return tx_problem(
                        &q->tx, PROBLEM_BINARY_DELETED, "The file of '%s' is gone", a->filename);
        http_add_header(q->x, "Accept-Ranges", "bytes");
        http_add_header(q->x, "Content-Disposition", download_disposition(q, a->filename));
        http_add_header(q->x, "ETag", arena_printf(&q->arena, "\"%s\"", a->sha1));
        http_add_header(q->x, "Last-Modified", http_date(q, a->created_at));
        if (!range || strcmp(http_method(q->x), "HEAD") == 0 || wants_whole_file(q, a))
                return reply_file(q, fd, 200, 0, a->size);
        size_t n = ranges_read(range, a->size, spans);
        if (n == 0)
                return reply_unsatisfiable(q, fd, a);
        if (n > 1)
                return reply_parts(q, fd, a, spans, n);
        set_content_range(q, &spans[0], a->size);
        return reply_file(q, fd, 206, spans[0].start, spans[0].end - spans[0].start + 1);
}
