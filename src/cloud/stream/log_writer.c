/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "cloud/stream/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_SEGMENT_BYTES LIMIT_MIB(64)
#define RETAIN_EVERY_MS 60000
/* How far offsets jump after the machine went down without a sync: more than the kernel can have
 * kept to itself (30 s at 50 000 records a second are 1.5 million), and still readable by people.
 */
#define OFFSET_JUMP UINT64_C(10000000)
#define BOOT_ID_SIZE 64

struct stream_writer {
        char *dir;
        struct stream_options options;
        int lock_fd; /* -1: not ours */
        bool is_open;
        int fd;                /* the last segment; -1 before the first append to a new one */
        uint64_t first;        /* its first offset */
        uint32_t salt;         /* of its records */
        int64_t first_time_ms; /* of its first record; 0: none */
        uint64_t pos;          /* its length in whole records */
        uint64_t previous_end; /* for the next segment's head */
        uint64_t next_offset;
        uint64_t synced_to; /* segments that end below this offset are on the disk */
        int64_t retained_at_ms;
        uint8_t *record; /* room for one */
};

static void boot_id(char id[BOOT_ID_SIZE])
{
        CLEAN_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, id, BOOT_ID_SIZE - 1);
        id[n > 0 ? n : 0] = 0;
}

/* The lock file names the boot under which the log was last written without a sync at its end; it
 * is empty after a clean close. */
static int lock_take(struct stream_writer *w, bool *ret_was_cut, struct err *err)
{
        CLEAN_MEM char *path = fs_join(w->dir, "lock");
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        CLEAN_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        if (flock(fd, LOCK_EX | LOCK_NB))
                return err_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno,
                        "stream '%s' is being written by another process", w->dir);

        char now[BOOT_ID_SIZE], before[BOOT_ID_SIZE];
        boot_id(now);
        ssize_t n = pread(fd, before, sizeof(before) - 1, 0);
        before[n > 0 ? n : 0] = 0;
        *ret_was_cut = n > 0 && (!now[0] || strcmp(now, before) != 0);
        /* Without a name for this boot a byte says at least that the end was not clean. */
        size_t len = now[0] ? strlen(now) : 1;
        if (ftruncate(fd, 0) || pwrite(fd, now[0] ? now : "?", len, 0) != (ssize_t)len || fsync(fd))
                return err_errno(err, -errno, "cannot write '%s'", path);
        w->lock_fd = TAKE_FD(fd);
        return 0;
}

/* Reads the last segment to its end: what is no whole record there does not belong to it. */
static int find_end(struct stream_writer *w, struct log_cursor *c, struct err *err)
{
        int r = 0;
        while (!r) {
                struct stream_record record;
                r = log_cursor_next(c, &record, err);
                if (r == LOG_TORN) {
                        r = log_cursor_resync(c, w->next_offset, err);
                        if (!r)
                                log_warning(
                                        "stream '%s': skipped damaged bytes after offset %" PRIu64,
                                        w->dir, w->next_offset - 1);
                } else if (!r) {
                        if (!w->first_time_ms)
                                w->first_time_ms = record.time_ms;
                        w->next_offset = record.offset + 1;
                        w->pos = c->pos;
                }
        }
        return r < 0 ? r : 0;
}

/* Opens the last segment for appending, without the rest of a record that was cut off. */
static int reopen_last(struct stream_writer *w, struct err *err)
{
        char path[LOG_PATH_SIZE];
        int r = log_segment_path(w->dir, w->first, path);
        if (r)
                return err_errno(err, r, "cannot open the stream");
        CLEAN_FD int fd = open(path, O_RDWR | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st))
                return err_errno(err, -errno, "cannot open stream segment '%s'", path);
        if ((uint64_t)st.st_size > w->pos) {
                log_warning("stream '%s': removed %" PRIu64
                            " bytes of an unfinished record after offset %" PRIu64,
                        w->dir, (uint64_t)st.st_size - w->pos, w->next_offset - 1);
                if (ftruncate(fd, (off_t)w->pos))
                        return err_errno(err, -errno, "cannot repair '%s'", path);
        }
        w->fd = TAKE_FD(fd);
        return 0;
}

static void segment_close(struct stream_writer *w)
{
        if (w->fd >= 0)
                close(TAKE_FD(w->fd));
        w->previous_end = w->next_offset;
        w->first_time_ms = 0;
}

/* Goes on in the last segment, or behind it when its head is bad or records of it may be lost. */
static int resume_last(struct stream_writer *w, uint64_t first, bool was_cut, struct err *err)
{
        CLEAN_CURSOR struct log_cursor c;
        log_cursor_init(&c);
        int r = log_cursor_open(&c, w->dir, first, err);
        if (r)
                return r;
        w->first = w->next_offset = first;
        w->pos = LOG_SEGMENT_HEAD;
        w->salt = c.head.salt;
        w->previous_end = c.head.previous_end;
        if (c.has_head) {
                r = find_end(w, &c, err);
                if (!r)
                        r = reopen_last(w, err);
        }
        if (r || (c.has_head && !was_cut))
                return r;
        segment_close(w);
        w->next_offset += OFFSET_JUMP;
        log_warning("stream '%s': records may be lost since the machine went down; offsets go on "
                    "at %" PRIu64,
                w->dir, w->next_offset);
        return 0;
}

/* Finds where the log ends. */
static int resume(struct stream_writer *w, bool was_cut, struct err *err)
{
        CLEAN_SEGMENTS struct log_segments s = {0};
        int r = log_segments_read(w->dir, &s, err);
        if (r)
                return r;
        w->next_offset = w->previous_end = 1;
        if (!s.n)
                return 0;
        w->synced_to = s.first[0];
        return resume_last(w, s.first[s.n - 1], was_cut, err);
}

static int give_id(const char *dir, struct err *err)
{
        char id[17];
        if (log_id_read(dir))
                return 0;
        CLEAN_MEM char *path = fs_join(dir, "id");
        if (!path || hash_random_hex(id, 8))
                return err_set(err, -ENOMEM, "cannot make the stream's identity");
        return fs_write_atomic(path, id, sizeof(id) - 1, 0600, err);
}

int stream_writer_open(const char *dir, const struct stream_options *options,
        struct stream_writer **ret_writer, struct err *err)
{
        CLEAN(stream_writer) struct stream_writer *w = calloc(1, sizeof(*w));
        if (!w)
                return err_set(err, -ENOMEM, "out of memory");
        w->fd = w->lock_fd = -1;
        w->options = *options;
        if (!w->options.segment_bytes)
                w->options.segment_bytes = DEFAULT_SEGMENT_BYTES;
        w->dir = strdup(dir);
        w->record = malloc(LOG_RECORD_MAX);
        if (!w->dir || !w->record)
                return err_set(err, -ENOMEM, "out of memory");

        bool was_cut = false;
        int r = fs_mkdir_p(dir, 0700, err);
        if (!r)
                r = lock_take(w, &was_cut, err);
        if (!r)
                r = give_id(dir, err);
        if (!r)
                r = resume(w, was_cut, err);
        if (r)
                return r;
        w->is_open = true;
        *ret_writer = TAKE(w);
        return 0;
}

void stream_writer_free(struct stream_writer *w)
{
        if (!w)
                return;
        if (w->is_open && !stream_sync(w, NULL))
                (void)!ftruncate(w->lock_fd, 0); /* a clean end: see lock_take() */
        if (w->fd >= 0)
                close(w->fd);
        if (w->lock_fd >= 0)
                close(w->lock_fd);
        free(w->record);
        free(w->dir);
        free(w);
}

/* The head is there when the name is: readers never see an empty segment. */
static int segment_create(struct stream_writer *w, struct err *err)
{
        char path[LOG_PATH_SIZE], hidden[LOG_PATH_SIZE];
        int r = log_segment_path(w->dir, w->next_offset, path);
        int n = snprintf(hidden, sizeof(hidden), "%s/new", w->dir);
        if (r || n < 0 || n >= (int)sizeof(hidden))
                return err_errno(
                        err, -ENAMETOOLONG, "cannot make a segment of stream '%s'", w->dir);
        CLEAN_FD int fd = open(hidden, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(err, -errno, "cannot create '%s'", hidden);

        struct log_head head = {.first = w->next_offset, .previous_end = w->previous_end};
        uint8_t raw[LOG_SEGMENT_HEAD];
        r = hash_random(&head.salt, sizeof(head.salt));
        log_head_encode(raw, &head);
        if (!r)
                r = fs_write_all(fd, raw, sizeof(raw));
        if (!r && rename(hidden, path))
                r = -errno;
        if (r) {
                (void)unlink(hidden);
                return err_errno(err, r, "cannot create stream segment '%s'", path);
        }
        w->fd = TAKE_FD(fd);
        w->first = head.first;
        w->salt = head.salt;
        w->first_time_ms = 0;
        w->pos = LOG_SEGMENT_HEAD;
        return 0;
}

/* A segment ends when it is full, and when its age would keep the oldest records much too long. */
static bool segment_is_full(const struct stream_writer *w, size_t size, int64_t now_ms)
{
        if (w->pos == LOG_SEGMENT_HEAD)
                return false;
        return w->pos + size > w->options.segment_bytes ||
               (w->options.max_age_ms && now_ms - w->first_time_ms > w->options.max_age_ms / 8);
}

/* The segment to write to, a new one if need be; the old one's pages start on their way to the
 * disk. */
static int segment_ready(struct stream_writer *w, size_t size, int64_t now_ms, struct err *err)
{
        if (w->fd >= 0 && segment_is_full(w, size, now_ms)) {
                (void)sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
                segment_close(w);
        }
        if (w->fd >= 0)
                return 0;
        int r = segment_create(w, err);
        if (!r && (w->options.max_age_ms || w->options.max_bytes))
                r = stream_retain(w, now_ms, err);
        return r;
}

int stream_append(struct stream_writer *w, const char *topic, const void *payload, size_t len,
        int64_t time_ms, uint64_t *ret_offset, struct err *err)
{
        size_t topic_len = strlen(topic);
        if (topic_len > LIMIT_TOPIC_BYTES || len > LIMIT_MESSAGE_BYTES)
                return err_set(
                        err, -E2BIG, "a message of %zu bytes is too large for the stream", len);
        size_t size = log_record_size(topic_len, len);
        int r = segment_ready(w, size, time_ms, err);
        if (r)
                return r;

        struct stream_record record = {w->next_offset, time_ms, topic, payload, len};
        log_encode(w->record, &record, topic_len, w->salt);
        ssize_t n = pwrite(w->fd, w->record, size, (off_t)w->pos);
        if (n != (ssize_t)size) {
                r = n < 0 ? -errno : -ENOSPC;
                /* If this fails too, the next record is written over the rest anyway. */
                (void)!ftruncate(w->fd, (off_t)w->pos);
                return err_errno(err, r, "cannot append to stream '%s'", w->dir);
        }
        if (!w->first_time_ms)
                w->first_time_ms = time_ms;
        w->pos += size;
        if (ret_offset)
                *ret_offset = w->next_offset;
        w->next_offset++;
        if (time_ms - w->retained_at_ms >= RETAIN_EVERY_MS || time_ms < w->retained_at_ms)
                (void)stream_retain(w, time_ms,
                        NULL); /* the record is in; a failure comes back with a new segment */
        return 0;
}

static int sync_segment(const struct stream_writer *w, uint64_t first, struct err *err)
{
        char path[LOG_PATH_SIZE];
        int r = log_segment_path(w->dir, first, path);
        CLEAN_FD int fd = r ? -1 : open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0
                                       : err_errno(err, -errno, "cannot sync stream '%s'", w->dir);
        return fdatasync(fd) ? err_errno(err, -errno, "cannot sync '%s'", path) : 0;
}

int stream_sync(struct stream_writer *w, struct err *err)
{
        CLEAN_SEGMENTS struct log_segments s = {0};
        int r = log_segments_read(w->dir, &s, err);
        for (size_t i = 0; !r && i < s.n; i++)
                if (s.first[i] >= w->synced_to)
                        r = sync_segment(w, s.first[i], err);
        if (!r)
                r = fs_sync_dir(w->dir, err);
        if (!r && s.n)
                w->synced_to = s.first[s.n - 1];
        return r;
}

/* Time of the first record of the following segment: no record before it is much younger. */
static int64_t segment_end_time(const struct stream_writer *w, uint64_t following)
{
        if (following == w->first)
                return w->first_time_ms;
        CLEAN_CURSOR struct log_cursor c;
        log_cursor_init(&c);
        struct stream_record record;
        int r = log_cursor_open(&c, w->dir, following, NULL);
        if (!r)
                r = log_cursor_next(&c, &record, NULL);
        return r ? 0 : record.time_ms;
}

static uint64_t segment_size(const struct stream_writer *w, uint64_t first)
{
        char path[LOG_PATH_SIZE];
        struct stat st;
        return log_segment_path(w->dir, first, path) || stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

int stream_retain(struct stream_writer *w, int64_t now_ms, struct err *err)
{
        w->retained_at_ms = now_ms;
        CLEAN_SEGMENTS struct log_segments s = {0};
        int r = log_segments_read(w->dir, &s, err);
        if (r)
                return r;
        uint64_t total = 0;
        for (size_t i = 0; i < s.n; i++)
                total += segment_size(w, s.first[i]);
        /* The last segment stays: it keeps the next offset. */
        for (size_t i = 0; i + 1 < s.n; i++) {
                int64_t end = segment_end_time(w, s.first[i + 1]);
                bool old = w->options.max_age_ms && end && end < now_ms - w->options.max_age_ms;
                bool much = w->options.max_bytes && total > (uint64_t)w->options.max_bytes;
                if (!old && !much)
                        break;
                char path[LOG_PATH_SIZE];
                total -= segment_size(w, s.first[i]);
                if (!log_segment_path(w->dir, s.first[i], path) && unlink(path) && errno != ENOENT)
                        return err_errno(err, -errno, "cannot remove old segment '%s'", path);
        }
        return 0;
}

uint64_t stream_next_offset(const struct stream_writer *w)
{
        return w->next_offset;
}
