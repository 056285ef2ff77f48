/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/stream/log.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/hash.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENT_MAGIC UINT64_C(0x314d4c5654534c44) /* "DLSTVLM1" */
#define RECORD_MAGIC 0x4c52                        /* "RL" */
#define READ_AHEAD LIMIT_KIB(256)
#define NAME_DIGITS 20

struct record_head {
        uint32_t crc;
        uint16_t magic;
        uint16_t topic_len;
        uint32_t len;
        uint32_t zero;
        uint64_t offset;
        uint64_t time;
};
_Static_assert(
        sizeof(struct record_head) == LOG_RECORD_HEAD, "the head on the disk has no padding");

size_t log_record_size(size_t topic_len, size_t len)
{
        return LOG_RECORD_HEAD + topic_len + 1 + len;
}

void log_encode(void *to, const struct stream_record *record, size_t topic_len, uint32_t salt)
{
        struct record_head head = {
                .magic = htole16(RECORD_MAGIC),
                .topic_len = htole16((uint16_t)topic_len),
                .len = htole32((uint32_t)record->len),
                .offset = htole64(record->offset),
                .time = htole64((uint64_t)record->time_ms),
        };
        uint8_t *p = to;
        memcpy(p, &head, sizeof(head));
        memcpy(p + sizeof(head), record->topic, topic_len);
        p[sizeof(head) + topic_len] = 0;
        if (record->len)
                memcpy(p + sizeof(head) + topic_len + 1, record->payload, record->len);
        uint32_t crc =
                htole32(hash_crc32c(salt, p + 4, log_record_size(topic_len, record->len) - 4));
        memcpy(p, &crc, sizeof(crc));
}

int log_decode(
        const void *data, size_t len, uint32_t salt, struct stream_record *ret, size_t *ret_size)
{
        const uint8_t *p = data;
        struct record_head head;
        *ret_size = sizeof(head);
        if (len < sizeof(head))
                return LOG_PARTIAL;
        memcpy(&head, p, sizeof(head));
        size_t topic_len = le16toh(head.topic_len), payload_len = le32toh(head.len);
        if (le16toh(head.magic) != RECORD_MAGIC || head.zero || topic_len > LIMIT_TOPIC_BYTES ||
                payload_len > LIMIT_MESSAGE_BYTES)
                return LOG_BAD;
        *ret_size = log_record_size(topic_len, payload_len);
        if (len < *ret_size)
                return LOG_PARTIAL;
        if (hash_crc32c(salt, p + 4, *ret_size - 4) != le32toh(head.crc))
                return LOG_BAD;
        *ret = (struct stream_record){
                .offset = le64toh(head.offset),
                .time_ms = (int64_t)le64toh(head.time),
                .topic = (const char *)p + sizeof(head),
                .payload = p + sizeof(head) + topic_len + 1,
                .len = payload_len,
        };
        return 0;
}

struct segment_head {
        uint64_t magic, first, previous_end;
        uint32_t salt, crc;
};
_Static_assert(
        sizeof(struct segment_head) == LOG_SEGMENT_HEAD, "the head on the disk has no padding");

void log_head_encode(uint8_t to[LOG_SEGMENT_HEAD], const struct log_head *head)
{
        struct segment_head raw = {htole64(SEGMENT_MAGIC), htole64(head->first),
                htole64(head->previous_end), htole32(head->salt), 0};
        raw.crc = htole32(hash_crc32c(0, &raw, sizeof(raw) - sizeof(raw.crc)));
        memcpy(to, &raw, sizeof(raw));
}

int log_head_decode(const uint8_t from[LOG_SEGMENT_HEAD], struct log_head *ret)
{
        struct segment_head raw;
        memcpy(&raw, from, sizeof(raw));
        if (le64toh(raw.magic) != SEGMENT_MAGIC ||
                le32toh(raw.crc) != hash_crc32c(0, &raw, sizeof(raw) - sizeof(raw.crc)))
                return -EBADMSG;
        *ret = (struct log_head){le64toh(raw.first), le64toh(raw.previous_end), le32toh(raw.salt)};
        return 0;
}

/* ── the folder ── */

/* True for `<20 digits>.log` of an offset that a writer can have given. */
static bool parse_name(const char *name, uint64_t *ret_first)
{
        uint64_t first = 0;
        for (int i = 0; i < NAME_DIGITS; i++) {
                if (name[i] < '0' || name[i] > '9')
                        return false;
                if (first > (INT64_MAX - 9) / 10)
                        return false;
                first = first * 10 + (uint64_t)(name[i] - '0');
        }
        *ret_first = first;
        return !strcmp(name + NAME_DIGITS, ".log");
}

static int compare_offsets(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

static int segments_add(struct log_segments *s, uint64_t first)
{
        if (s->n % 64 == 0) {
                uint64_t *more = realloc(s->first, (s->n + 64) * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                s->first = more;
        }
        s->first[s->n++] = first;
        return 0;
}

int log_segments_read(const char *dir, struct log_segments *ret, struct err *err)
{
        *ret = (struct log_segments){0};
        DIR *d = opendir(dir);
        if (!d && errno == ENOENT)
                return 0;
        if (!d)
                return err_errno(err, -errno, "cannot read stream '%s'", dir);
        int r = 0;
        uint64_t first;
        for (struct dirent *e; !r && (e = readdir(d));)
                if (parse_name(e->d_name, &first))
                        r = segments_add(ret, first);
        closedir(d);
        if (r) {
                log_segments_fini(ret);
                return err_set(err, r, "out of memory");
        }
        if (ret->n)
                qsort(ret->first, ret->n, sizeof(*ret->first), compare_offsets);
        return 0;
}

void log_segments_fini(struct log_segments *s)
{
        free(s->first);
        *s = (struct log_segments){0};
}

int log_segment_path(const char *dir, uint64_t first, char path[LOG_PATH_SIZE])
{
        int n = snprintf(path, LOG_PATH_SIZE, "%s/%020" PRIu64 ".log", dir, first);
        return n < 0 || n >= LOG_PATH_SIZE ? -ENAMETOOLONG : 0;
}

uint64_t log_id_read(const char *dir)
{
        CLEAN_MEM char *path = fs_join(dir, "id");
        CLEAN_BUF struct buf text = BUF_INIT(64);
        return path && !fs_read(path, &text, NULL) ? strtoull(buf_text(&text), NULL, 16) : 0;
}

/* ── reading one segment ── */

void log_cursor_init(struct log_cursor *c)
{
        *c = (struct log_cursor){.fd = -1};
}

void log_cursor_fini(struct log_cursor *c)
{
        if (c->fd >= 0)
                close(c->fd);
        free(c->data);
        log_cursor_init(c);
}

int log_cursor_open(struct log_cursor *c, const char *dir, uint64_t first, struct err *err)
{
        char path[LOG_PATH_SIZE];
        int r = log_segment_path(dir, first, path);
        if (r)
                return err_errno(err, r, "cannot open a segment of '%s'", dir);
        CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_errno(err, -errno, "cannot open stream segment '%s'", path);

        uint8_t raw[LOG_SEGMENT_HEAD];
        ssize_t n = pread(fd, raw, sizeof(raw), 0);
        if (n < 0)
                return err_errno(err, -errno, "cannot read stream segment '%s'", path);
        c->has_head = n == (ssize_t)sizeof(raw) && !log_head_decode(raw, &c->head) &&
                      c->head.first == first;
        if (!c->has_head)
                c->head = (struct log_head){.first = first, .previous_end = first};
        if (c->fd >= 0)
                close(c->fd);
        c->fd = TAKE_FD(fd);
        c->pos = LOG_SEGMENT_HEAD;
        c->data_at = c->pos;
        c->data_len = 0;
        return 0;
}

/* Makes the file's bytes from `pos` on available, `need` of them unless it ends before. */
static int cursor_fill(struct log_cursor *c, uint64_t pos, size_t need, struct err *err)
{
        if (pos < c->data_at) {
                c->data_at = pos; /* a search looked further ahead and found nothing */
                c->data_len = 0;
        }
        size_t gone = (size_t)(pos - c->data_at);
        size_t kept = gone < c->data_len ? c->data_len - gone : 0;
        if (kept >= need)
                return 0;
        if (!c->data) {
                c->data_cap = LOG_RECORD_MAX + READ_AHEAD;
                c->data = malloc(c->data_cap);
                if (!c->data)
                        return err_set(err, -ENOMEM, "out of memory");
        }
        if (kept && gone)
                memmove(c->data, c->data + gone, kept);
        c->data_at = pos;
        c->data_len = kept;
        while (c->data_len < need) {
                ssize_t n = pread(c->fd, c->data + c->data_len, c->data_cap - c->data_len,
                        (off_t)(pos + c->data_len));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(err, -errno, "cannot read the stream");
                if (n == 0)
                        break;
                c->data_len += (size_t)n;
        }
        return 0;
}

/* Decodes at `pos` with as many bytes as it takes: 0, LOG_PARTIAL (the file ends before) or
 * LOG_BAD. */
static int cursor_decode(struct log_cursor *c, uint64_t pos, struct stream_record *ret,
        size_t *ret_size, struct err *err)
{
        size_t need = LOG_RECORD_HEAD;
        for (;;) {
                int r = cursor_fill(c, pos, need, err);
                if (r < 0)
                        return r;
                size_t gone = (size_t)(pos - c->data_at);
                size_t have = gone < c->data_len ? c->data_len - gone : 0;
                r = log_decode(c->data + (have ? gone : 0), have, c->head.salt, ret, ret_size);
                if (r != LOG_PARTIAL || have < need)
                        return r;
                need = *ret_size;
        }
}

int log_cursor_next(struct log_cursor *c, struct stream_record *ret, struct err *err)
{
        size_t size;
        if (!c->has_head)
                return LOG_TORN;
        int r = cursor_decode(c, c->pos, ret, &size, err);
        if (r > 0) {
                /* What was read ahead may be older than what is there now: look again. */
                c->data_at = c->pos;
                c->data_len = 0;
                r = cursor_decode(c, c->pos, ret, &size, err);
        }
        if (r < 0)
                return r;
        if (r > 0)
                return c->data_len ? LOG_TORN : LOG_END;
        c->pos += size;
        return 0;
}

/* True if the record at `pos` can be read from the file as it is now. */
static bool cursor_is_whole(struct log_cursor *c, uint64_t pos)
{
        struct stream_record record;
        size_t size;
        c->data_at = pos;
        c->data_len = 0;
        return !cursor_decode(c, pos, &record, &size, NULL);
}

int log_cursor_resync(struct log_cursor *c, uint64_t min_offset, struct err *err)
{
        for (uint64_t pos = c->pos + 1; c->has_head; pos++) {
                struct stream_record record;
                size_t size;
                int r = cursor_fill(c, pos, LOG_RECORD_HEAD, err);
                if (r < 0)
                        return r;
                if (pos + LOG_RECORD_HEAD > c->data_at + c->data_len)
                        break;
                r = cursor_decode(c, pos, &record, &size, err);
                if (r < 0)
                        return r;
                if (r == 0 && record.offset >= min_offset) {
                        /* The writer may have finished the torn record while we were looking behind
                         * it. */
                        if (!cursor_is_whole(c, c->pos))
                                c->pos = pos;
                        return 0;
                }
        }
        return LOG_END;
}

/* ── looking ── */

/* Time of the first record of a segment, and behind its last record if `ret_last` is given. */
static int segment_span(
        const char *dir, uint64_t first, struct stream_stat *ret, bool whole, struct err *err)
{
        CLEAN_CURSOR struct log_cursor c;
        log_cursor_init(&c);
        int r = log_cursor_open(&c, dir, first, err);
        struct stream_record record;
        uint64_t next = first;
        while (!r) {
                r = log_cursor_next(&c, &record, err);
                if (r == LOG_TORN)
                        r = log_cursor_resync(&c, next, err) ? LOG_END : 0;
                else if (!r) {
                        if (!ret->first_time_ms)
                                ret->first_time_ms = record.time_ms;
                        ret->last_time_ms = record.time_ms;
                        next = record.offset + 1;
                        if (!whole)
                                break;
                }
        }
        if (whole)
                ret->next_offset = next;
        return r < 0 ? r : 0;
}

int stream_stat(const char *dir, struct stream_stat *ret_stat, struct err *err)
{
        struct stream_stat s = {.id = log_id_read(dir)};
        CLEAN_SEGMENTS struct log_segments segments = {0};
        int r = log_segments_read(dir, &segments, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < segments.n; i++) {
                char path[LOG_PATH_SIZE];
                struct stat st;
                if (log_segment_path(dir, segments.first[i], path) || stat(path, &st))
                        continue; /* retention was faster */
                if (!s.segments++)
                        s.first_offset = segments.first[i];
                s.bytes += (uint64_t)st.st_size;
        }
        if (s.segments) {
                r = segment_span(dir, s.first_offset, &s, false, err);
                if (!r)
                        r = segment_span(dir, segments.first[segments.n - 1], &s, true, err);
        }
        if (r < 0 && r != -ENOENT)
                return r;
        *ret_stat = s;
        return 0;
}
