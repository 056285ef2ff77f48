/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/spool.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* On disk, little-endian: magic, payload length, sequence, kind, CRC-32C of the three before it and
 * of the payload. */
#define HEADER_BYTES 24
#define RECORD_MAGIC 0x31505344u /* "DSP1" */
#define POSITION_MAGIC 0x31505044u
#define POSITION_BYTES 24
/* The two copies of the position lie in different sectors, so that a torn write spoils only one. */
#define POSITION_STRIDE 4096
#define SEGMENT_MAX_BYTES (1024 * 1024)
#define SEGMENT_MIN_BYTES (16 * 1024)
#define NAME_FORMAT "%020" PRIu64 ".seg"
#define NAME_SIZE 32

struct segment {
        uint64_t first; /* the file's name; sequence numbers inside are without gaps */
        uint64_t records;
        uint64_t bytes;
};

struct cursor {
        size_t index; /* of the segment */
        uint64_t offset;
        int fd; /* of that segment, -1: not open yet */
};

struct spool {
        char *dir;
        int dir_fd;
        uint64_t max_bytes;
        uint64_t segment_bytes;
        struct segment *segments; /* oldest first; the last is written to */
        size_t n_segments, cap_segments;
        uint64_t bytes;
        int write_fd; /* the last segment, -1: none yet */
        int position_fd;
        unsigned position_copy; /* which copy is written next */
        uint64_t acknowledged;
        uint64_t next;
        uint64_t reserved; /* numbers up to this one may be used without asking the disk */
        char boot[64];
        bool dir_changed; /* segments were made since the last sync */
        uint64_t dropped, damaged;
        struct cursor cursor;
        struct buf record; /* what spool_read() hands out and spool_append() writes */
};

/* ── bytes ── */

static void put32(uint8_t *p, uint32_t v)
{
        for (int i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
        put32(p, (uint32_t)v);
        put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get32(const uint8_t *p)
{
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
        return get32(p) | (uint64_t)get32(p + 4) << 32;
}

struct header {
        uint32_t len;
        uint64_t sequence;
        uint8_t kind;
        uint32_t crc;
};

/* False for bytes that can't be the head of a record. */
static bool header_read(const uint8_t *p, struct header *h)
{
        h->len = get32(p + 4);
        h->sequence = get64(p + 8);
        h->kind = (uint8_t)get32(p + 16);
        h->crc = get32(p + 20);
        return get32(p) == RECORD_MAGIC && h->len <= LIMIT_MESSAGE_BYTES && h->sequence &&
               get32(p + 16) <= UINT8_MAX;
}

static uint32_t record_crc(const uint8_t *header, const void *data, size_t len)
{
        return hash_crc32c(hash_crc32c(0, header + 4, 16), data, len);
}

void spool_scan(const void *data, size_t len, struct spool_scan *ret)
{
        const uint8_t *p = data;
        *ret = (struct spool_scan){0};
        for (;;) {
                struct header h;
                size_t at = ret->good_bytes;
                if (len - at < HEADER_BYTES) {
                        ret->torn = len > at;
                        return;
                }
                if (!header_read(p + at, &h))
                        return;
                if (len - at - HEADER_BYTES < h.len) {
                        ret->torn = true;
                        return;
                }
                if (record_crc(p + at, p + at + HEADER_BYTES, h.len) != h.crc ||
                        (ret->records && h.sequence != ret->last + 1))
                        return;
                if (!ret->records)
                        ret->first = h.sequence;
                ret->last = h.sequence;
                ret->records++;
                ret->good_bytes += HEADER_BYTES + h.len;
        }
}

/* ── segments ── */

static struct segment *last_segment(struct spool *s)
{
        return s->n_segments ? &s->segments[s->n_segments - 1] : NULL;
}

static uint64_t segment_end(const struct segment *g)
{
        return g->first + g->records; /* one past its last record */
}

static int segment_add(struct spool *s, struct segment g)
{
        if (s->n_segments == s->cap_segments) {
                size_t cap = s->cap_segments ? 2 * s->cap_segments : 16;
                struct segment *more = realloc(s->segments, cap * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                s->segments = more;
                s->cap_segments = cap;
        }
        s->segments[s->n_segments++] = g;
        s->bytes += g.bytes;
        return 0;
}

static int segment_open(const struct spool *s, const struct segment *g, int flags)
{
        char name[NAME_SIZE];
        snprintf(name, sizeof(name), NAME_FORMAT, g->first);
        int fd = openat(s->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? -errno : fd;
}

static void cursor_move(struct spool *s, size_t index, uint64_t offset)
{
        if (s->cursor.fd >= 0)
                close(s->cursor.fd);
        s->cursor = (struct cursor){.index = index, .offset = offset, .fd = -1};
}

/* Deletes the oldest segment; there must be a younger one. */
static void segment_drop_oldest(struct spool *s)
{
        char name[NAME_SIZE];
        snprintf(name, sizeof(name), NAME_FORMAT, s->segments[0].first);
        if (unlinkat(s->dir_fd, name, 0) && errno != ENOENT)
                log_warning("cannot delete spool segment '%s': %s", name, strerror(errno));
        s->bytes -= s->segments[0].bytes;
        s->n_segments--;
        memmove(s->segments, s->segments + 1, s->n_segments * sizeof(*s->segments));
        if (s->cursor.index)
                s->cursor.index--;
        else
                cursor_move(s, 0, 0);
}

/* ── the position of the acknowledgements ── */

static void position_write(struct spool *s)
{
        uint8_t p[POSITION_BYTES] = {0};
        put32(p, POSITION_MAGIC);
        put64(p + 8, s->acknowledged);
        put32(p + 16, hash_crc32c(0, p, 16));
        off_t at = (off_t)(s->position_copy++ % 2) * POSITION_STRIDE;
        if (pwrite(s->position_fd, p, sizeof(p), at) != sizeof(p))
                log_warning("cannot write the spool's position: %s", strerror(errno));
}

static uint64_t position_read(int fd)
{
        uint64_t best = 0;
        for (int copy = 0; copy < 2; copy++) {
                uint8_t p[POSITION_BYTES];
                if (pread(fd, p, sizeof(p), copy * POSITION_STRIDE) != sizeof(p) ||
                        get32(p) != POSITION_MAGIC || get32(p + 16) != hash_crc32c(0, p, 16))
                        continue;
                uint64_t n = get64(p + 8);
                best = n > best ? n : best;
        }
        return best;
}

void spool_acknowledge(struct spool *s, uint64_t sequence)
{
        if (sequence <= s->acknowledged || sequence >= s->next)
                return;
        s->acknowledged = sequence;
        position_write(s);
        while (s->n_segments > 1 && segment_end(&s->segments[0]) <= s->acknowledged + 1)
                segment_drop_oldest(s);
}

/* ── reserved numbers ── */

static void boot_id(char *text, size_t size)
{
        CLEAN_BUF struct buf b = BUF_INIT(128);
        text[0] = 0;
        if (!fs_read("/proc/sys/kernel/random/boot_id", &b, NULL))
                snprintf(text, size, "%.*s", (int)strcspn(buf_text(&b), "\n"), buf_text(&b));
}

static int reserve_write(struct spool *s, uint64_t reserved, bool clean, struct err *err)
{
        CLEAN_MEM char *path = fs_join(s->dir, "reserve.json");
        CLEAN_BUF struct buf b = BUF_INIT(256);
        buf_addf(&b, "{\"reserved\":%" PRIu64 ",\"boot\":\"%s\",\"clean\":%s}\n", reserved, s->boot,
                clean ? "true" : "false");
        if (!path || b.error)
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_write_atomic(path, b.data, b.len, 0600, err);
        if (!r)
                s->reserved = reserved;
        return r;
}

/* After a power cut the numbers that the disk knows may be older than those that the broker has
 * seen. */
static void reserve_apply(struct spool *s)
{
        CLEAN_MEM char *path = fs_join(s->dir, "reserve.json");
        if (!path || !fs_exists(path))
                return;
        CLEAN_JSON json_t *j = json_read_file(path, NULL);
        bool survived =
                j && (json_bool(j, "clean", false) || !strcmp(json_text(j, "boot", ""), s->boot));
        if (survived && !s->damaged)
                return;
        int64_t reserved = j ? json_int(j, "reserved", 0) : 0;
        uint64_t from = reserved > 0 ? (uint64_t)reserved + 1 : s->next + SPOOL_RESERVE;
        if (from > s->next)
                s->next = from;
}

/* ── opening ── */

static int by_first(const void *a, const void *b)
{
        uint64_t x = ((const struct segment *)a)->first, y = ((const struct segment *)b)->first;
        return x < y ? -1 : x > y;
}

/* Counts what a segment file holds into `g`; the rest of the file is damage. */
static int segment_load(struct spool *s, struct segment *g, struct err *err)
{
        CLEAN_BUF struct buf b = BUF_INIT(SEGMENT_MAX_BYTES + LIMIT_MESSAGE_BYTES + HEADER_BYTES);
        char name[NAME_SIZE];
        snprintf(name, sizeof(name), NAME_FORMAT, g->first);
        CLEAN_MEM char *path = fs_join(s->dir, name);
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_read(path, &b, err);
        if (r)
                return r;
        struct spool_scan scan;
        spool_scan(buf_text(&b), b.len, &scan);
        if (scan.records && scan.first != g->first)
                scan = (struct spool_scan){0};
        if (scan.good_bytes < b.len) {
                s->damaged += !scan.torn; /* torn: an append that didn't finish, nobody saw it */
                log_warning("spool segment '%s' is damaged from byte %zu of %zu on", name,
                        scan.good_bytes, b.len);
        }
        g->records = scan.records;
        g->bytes = scan.good_bytes;
        return 0;
}

static int list_segments(struct spool *s, struct err *err)
{
        DIR *d = opendir(s->dir);
        if (!d)
                return err_errno(err, -errno, "cannot read '%s'", s->dir);
        int r = 0;
        for (struct dirent *e; !r && (e = readdir(d));) {
                uint64_t first;
                char name[NAME_SIZE];
                if (sscanf(e->d_name, "%20" SCNu64 ".seg", &first) != 1)
                        continue;
                snprintf(name, sizeof(name), NAME_FORMAT, first);
                if (!strcmp(name, e->d_name) && first)
                        r = segment_add(s, (struct segment){.first = first});
        }
        closedir(d);
        if (s->n_segments)
                qsort(s->segments, s->n_segments, sizeof(*s->segments), by_first);
        return r ? err_set(err, r, "out of memory") : 0;
}

static int load(struct spool *s, struct err *err)
{
        int r = list_segments(s, err);
        for (size_t i = 0; !r && i < s->n_segments; i++) {
                r = segment_load(s, &s->segments[i], err);
                s->bytes += s->segments[i].bytes;
        }
        if (r)
                return r;
        s->acknowledged = position_read(s->position_fd);
        s->next = s->acknowledged + 1;
        for (size_t i = 0; i < s->n_segments; i++)
                if (segment_end(&s->segments[i]) > s->next)
                        s->next = segment_end(&s->segments[i]);
        return 0;
}

/* Makes the files agree with what was read: cuts torn tails, deletes what holds nothing any more.
 */
static int repair(struct spool *s, struct err *err)
{
        for (size_t i = 0; i < s->n_segments; i++) {
                CLEAN_FD int fd = segment_open(s, &s->segments[i], O_RDWR);
                if (fd < 0)
                        return err_errno(err, fd, "cannot open a segment in '%s'", s->dir);
                struct stat st;
                if (!fstat(fd, &st) && (uint64_t)st.st_size > s->segments[i].bytes &&
                        ftruncate(fd, (off_t)s->segments[i].bytes))
                        return err_errno(err, -errno, "cannot cut a segment in '%s'", s->dir);
        }
        while (s->n_segments > 1 && segment_end(&s->segments[0]) <= s->acknowledged + 1)
                segment_drop_oldest(s);
        struct segment *last = last_segment(s);
        if (!last || segment_end(last) != s->next)
                return 0; /* numbers go on elsewhere: the next append begins a segment */
        s->write_fd = segment_open(s, last, O_RDWR);
        return s->write_fd < 0
                       ? err_errno(err, s->write_fd, "cannot open a segment in '%s'", s->dir)
                       : 0;
}

static struct spool *spool_new(const char *dir)
{
        struct spool *s = calloc(1, sizeof(*s));
        if (!s)
                return NULL;
        s->dir_fd = s->write_fd = s->position_fd = s->cursor.fd = -1;
        s->record = BUF_INIT(LIMIT_MESSAGE_BYTES + HEADER_BYTES);
        s->dir = strdup(dir);
        boot_id(s->boot, sizeof(s->boot));
        return s;
}

static void spool_free(struct spool *s)
{
        cursor_move(s, 0, 0);
        if (s->write_fd >= 0)
                close(s->write_fd);
        if (s->position_fd >= 0)
                close(s->position_fd);
        if (s->dir_fd >= 0)
                close(s->dir_fd);
        buf_fini(&s->record);
        free(s->segments);
        free(s->dir);
        free(s);
}

static int open_files(struct spool *s, int position_flags, struct err *err)
{
        s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->dir_fd < 0)
                return err_errno(err, -errno, "cannot open the spool '%s'", s->dir);
        s->position_fd = openat(s->dir_fd, "position", position_flags | O_CLOEXEC, 0600);
        if (s->position_fd < 0)
                return err_errno(err, -errno, "cannot open the position of the spool '%s'", s->dir);
        return load(s, err);
}

static int open_for_writing(struct spool *s, struct err *err)
{
        int r = fs_mkdir_p(s->dir, 0700, err);
        if (!r)
                r = open_files(s, O_RDWR | O_CREAT, err);
        if (r)
                return r;
        reserve_apply(s);
        r = repair(s, err);
        if (!r)
                r = reserve_write(s, s->next + SPOOL_RESERVE, false, err);
        if (!r)
                spool_rewind(s);
        return r;
}

int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret_spool, struct err *err)
{
        struct spool *s = spool_new(dir);
        if (!s || !s->dir) {
                if (s)
                        spool_free(s);
                return err_set(err, -ENOMEM, "out of memory");
        }
        s->max_bytes = max_bytes < SPOOL_MIN_BYTES ? SPOOL_MIN_BYTES : max_bytes;
        s->segment_bytes = s->max_bytes / 16;
        if (s->segment_bytes < SEGMENT_MIN_BYTES)
                s->segment_bytes = SEGMENT_MIN_BYTES;
        if (s->segment_bytes > SEGMENT_MAX_BYTES)
                s->segment_bytes = SEGMENT_MAX_BYTES;
        int r = open_for_writing(s, err);
        if (r) {
                spool_free(s);
                return r;
        }
        *ret_spool = s;
        return 0;
}

void spool_close(struct spool *s)
{
        struct err err = ERR_INIT;
        if (spool_sync(s, &err) || reserve_write(s, s->next, true, &err))
                log_warning("spool not closed cleanly: %s", err.text);
        spool_free(s);
}

int spool_peek(const char *dir, struct spool_stats *ret, struct err *err)
{
        struct spool *s = spool_new(dir);
        if (!s || !s->dir) {
                if (s)
                        spool_free(s);
                return err_set(err, -ENOMEM, "out of memory");
        }
        int r = open_files(s, O_RDONLY, err);
        if (!r)
                spool_stats(s, ret);
        spool_free(s);
        return r;
}

/* ── writing ── */

uint64_t spool_next(const struct spool *s)
{
        return s->next;
}

static int begin_segment(struct spool *s, struct err *err)
{
        struct segment g = {.first = s->next};
        int fd = segment_open(s, &g, O_RDWR | O_CREAT | O_TRUNC);
        if (fd < 0)
                return err_errno(err, fd, "cannot make a segment in '%s'", s->dir);
        if (segment_add(s, g)) {
                close(fd);
                return err_set(err, -ENOMEM, "out of memory");
        }
        if (s->write_fd >= 0) {
                (void)fdatasync(
                        s->write_fd); /* a failed sync only widens what a power cut can take */
                close(s->write_fd);
        }
        s->write_fd = fd;
        s->dir_changed = true;
        while (s->n_segments > 1 && segment_end(&s->segments[0]) <= s->acknowledged + 1)
                segment_drop_oldest(s);
        return 0;
}

/* Oldest first out, until `need` more bytes fit. */
static void make_room(struct spool *s, uint64_t need)
{
        while (s->n_segments > 1 && s->bytes + need > s->max_bytes) {
                uint64_t end = segment_end(&s->segments[0]);
                uint64_t from = s->segments[0].first;
                if (from <= s->acknowledged)
                        from = s->acknowledged + 1;
                if (end > from) {
                        s->dropped += end - from;
                        s->acknowledged = end - 1;
                        position_write(s);
                }
                segment_drop_oldest(s);
        }
}

static int write_record(struct spool *s, const void *record, size_t len, struct err *err)
{
        struct segment *g = last_segment(s);
        ssize_t n = pwrite(s->write_fd, record, len, (off_t)g->bytes);
        if (n == (ssize_t)len)
                return 0;
        int code = n < 0 ? -errno : -ENOSPC;
        (void)!ftruncate(s->write_fd, (off_t)g->bytes);
        return err_errno(err, code, "cannot write to the spool '%s'", s->dir);
}

static int compose(struct spool *s, uint8_t kind, const void *data, size_t len)
{
        uint8_t h[HEADER_BYTES];
        put32(h, RECORD_MAGIC);
        put32(h + 4, (uint32_t)len);
        put64(h + 8, s->next);
        put32(h + 16, kind);
        put32(h + 20, record_crc(h, data, len));
        buf_clear(&s->record);
        buf_add(&s->record, h, sizeof(h));
        return buf_add(&s->record, data, len);
}

int spool_append(struct spool *s, uint8_t kind, const void *data, size_t len, struct err *err)
{
        uint64_t need = len + HEADER_BYTES;
        if (len > LIMIT_MESSAGE_BYTES || need > s->max_bytes / 2)
                return err_set(
                        err, -E2BIG, "a message of %zu bytes is too large for the spool", len);
        if (compose(s, kind, data, len))
                return err_set(err, -ENOMEM, "out of memory");
        int r = 0;
        if (s->next > s->reserved)
                r = reserve_write(s, s->next + SPOOL_RESERVE, false, err);
        struct segment *g = last_segment(s);
        if (!r && (s->write_fd < 0 || (g->bytes && g->bytes + need > s->segment_bytes)))
                r = begin_segment(s, err);
        if (r)
                return r;
        make_room(s, need);
        r = write_record(s, s->record.data, s->record.len, err);
        if (r)
                return r;
        g = last_segment(s);
        g->bytes += need;
        g->records++;
        s->bytes += need;
        s->next++;
        return 0;
}

int spool_sync(struct spool *s, struct err *err)
{
        if (s->write_fd >= 0 && fdatasync(s->write_fd))
                return err_errno(err, -errno, "cannot sync the spool '%s'", s->dir);
        if (fdatasync(s->position_fd))
                return err_errno(err, -errno, "cannot sync the spool '%s'", s->dir);
        if (s->dir_changed && fsync(s->dir_fd))
                return err_errno(err, -errno, "cannot sync the spool '%s'", s->dir);
        s->dir_changed = false;
        return 0;
}

/* ── reading ── */

static int read_at(int fd, void *data, size_t len, uint64_t offset)
{
        for (size_t done = 0; done < len;) {
                ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n ? -errno : -EIO;
                done += (size_t)n;
        }
        return 0;
}

/* Reads the record at the cursor into s->record; its payload starts at HEADER_BYTES. */
static int read_record(struct spool *s, struct header *h)
{
        if (s->cursor.fd < 0)
                s->cursor.fd = segment_open(s, &s->segments[s->cursor.index], O_RDONLY);
        if (s->cursor.fd < 0)
                return s->cursor.fd;
        buf_clear(&s->record);
        char *p = buf_reserve(&s->record, HEADER_BYTES);
        int r = p ? read_at(s->cursor.fd, p, HEADER_BYTES, s->cursor.offset) : -ENOMEM;
        if (r)
                return r;
        buf_grew(&s->record, HEADER_BYTES);
        if (!header_read((uint8_t *)p, h))
                return -EBADMSG;
        p = buf_reserve(&s->record, h->len);
        r = p ? read_at(s->cursor.fd, p, h->len, s->cursor.offset + HEADER_BYTES) : -ENOMEM;
        if (r)
                return r;
        buf_grew(&s->record, h->len);
        const uint8_t *whole = (const uint8_t *)s->record.data;
        return record_crc(whole, whole + HEADER_BYTES, h->len) == h->crc ? 0 : -EBADMSG;
}

int spool_read(struct spool *s, struct spool_record *ret, struct err *err)
{
        while (s->cursor.index < s->n_segments) {
                const struct segment *g = &s->segments[s->cursor.index];
                if (s->cursor.offset >= g->bytes) {
                        if (s->cursor.index + 1 >= s->n_segments)
                                return SPOOL_EMPTY;
                        cursor_move(s, s->cursor.index + 1, 0);
                        continue;
                }
                struct header h;
                int r = read_record(s, &h);
                if (r == -EBADMSG || r == -EIO || r == -ENOENT) {
                        log_warning("spool segment " NAME_FORMAT
                                    " cannot be read from byte %" PRIu64
                                    " on; the rest of it is lost",
                                g->first, s->cursor.offset);
                        s->damaged++;
                        s->cursor.offset = g->bytes;
                        continue;
                }
                if (r)
                        return err_errno(err, r, "cannot read the spool '%s'", s->dir);
                s->cursor.offset += HEADER_BYTES + h.len;
                if (h.sequence <= s->acknowledged)
                        continue;
                *ret = (struct spool_record){.sequence = h.sequence,
                        .kind = h.kind,
                        .data = s->record.data + HEADER_BYTES,
                        .len = h.len};
                return 0;
        }
        return SPOOL_EMPTY;
}

void spool_rewind(struct spool *s)
{
        size_t i = 0;
        while (i + 1 < s->n_segments && segment_end(&s->segments[i]) <= s->acknowledged + 1)
                i++;
        cursor_move(s, i, 0); /* spool_read() passes over what is acknowledged */
}

void spool_stats(const struct spool *s, struct spool_stats *ret)
{
        *ret = (struct spool_stats){.bytes = s->bytes,
                .dropped = s->dropped,
                .damaged = s->damaged,
                .acknowledged = s->acknowledged,
                .last = s->next - 1};
        for (size_t i = 0; i < s->n_segments; i++) {
                const struct segment *g = &s->segments[i];
                uint64_t from = g->first > s->acknowledged ? g->first : s->acknowledged + 1;
                if (segment_end(g) > from)
                        ret->records += segment_end(g) - from;
        }
}
