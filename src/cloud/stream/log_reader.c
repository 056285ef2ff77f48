/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/fs.h"
#include "cloud/stream/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct stream_reader {
        char *dir;
        int watch_fd;
        struct log_cursor cursor;
        uint64_t want; /* the next record has this offset or, if that is gone, a higher one */
        struct stream_skipped skipped;
};

static int watch_open(struct stream_reader *r, struct err *err)
{
        r->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (r->watch_fd < 0)
                return err_errno(err, -errno, "cannot watch stream '%s'", r->dir);
        if (inotify_add_watch(r->watch_fd, r->dir, IN_MODIFY | IN_MOVED_TO | IN_ONLYDIR) < 0)
                return err_errno(err, -errno, "cannot watch stream '%s'%s", r->dir,
                        errno == ENOSPC ? " (raise fs.inotify.max_user_watches)" : "");
        return 0;
}

static void watch_drain(struct stream_reader *r)
{
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        while (read(r->watch_fd, events, sizeof(events)) > 0)
                ;
}

/* The segment that holds `offset`, or else the first one behind it; -1: none. */
static ssize_t segment_find(const struct log_segments *s, uint64_t offset)
{
        ssize_t found = -1;
        for (size_t i = 0; i < s->n; i++)
                if (found < 0 || s->first[i] <= offset)
                        found = (ssize_t)i;
        return found;
}

/* A listing may show a file that was made while it was read and not show an older one that was made
 * in that time too. Everything older than what the first listing shows is in the second. */
static int segments_read_settled(const char *dir, struct log_segments *ret, struct err *err)
{
        int r = log_segments_read(dir, ret, err);
        if (r || !ret->n)
                return r;
        uint64_t newest = ret->first[ret->n - 1];
        log_segments_fini(ret);
        r = log_segments_read(dir, ret, err);
        while (!r && ret->n && ret->first[ret->n - 1] > newest)
                ret->n--;
        return r;
}

/* Opens the segment for `want`. STREAM_EMPTY: there is none. */
static int seek_segment(struct stream_reader *r, struct err *err)
{
        CLEAN_SEGMENTS struct log_segments s = {0};
        int n = segments_read_settled(r->dir, &s, err);
        if (n)
                return n;
        ssize_t i = segment_find(&s, r->want);
        if (i < 0)
                return STREAM_EMPTY;
        n = log_cursor_open(&r->cursor, r->dir, s.first[i], err);
        if (n == -ENOENT)
                return STREAM_EMPTY; /* retention was faster; the next call finds what is left */
        if (n)
                return n;
        if (r->cursor.head.previous_end > r->want)
                r->skipped.missing += r->cursor.head.previous_end - r->want;
        if (r->cursor.head.first > r->want)
                r->want = r->cursor.head.first;
        return 0;
}

/* The first offset of the segment behind `first`; STREAM_EMPTY: it is the last. */
static int find_following(const char *dir, uint64_t first, uint64_t *ret_following, struct err *err)
{
        CLEAN_SEGMENTS struct log_segments s = {0};
        int r = log_segments_read(dir, &s, err);
        if (!r && s.n && s.first[s.n - 1] > first) {
                log_segments_fini(&s);
                r = segments_read_settled(dir, &s, err);
        }
        if (r)
                return r;
        for (size_t i = 0; i < s.n; i++)
                if (s.first[i] > first) {
                        *ret_following = s.first[i];
                        return 0;
                }
        return STREAM_EMPTY;
}

/* Goes to the segment behind the one that is open; STREAM_EMPTY: it is the last. */
static int next_segment(struct stream_reader *r, bool torn, struct err *err)
{
        uint64_t next;
        int n = find_following(r->dir, r->cursor.head.first, &next, err);
        if (n)
                return n;

        /* What the writer appended between our last look and its new segment comes first. */
        struct log_cursor *c = &r->cursor;
        struct stream_record record;
        uint64_t pos = c->pos;
        n = log_cursor_next(c, &record, err);
        if (n <= 0) {
                c->pos = pos;
                return n;
        }
        if (torn)
                r->skipped.corrupt++;
        n = log_cursor_open(c, r->dir, next, err);
        if (n == -ENOENT) {
                /* Removed since: begin again at what is left. */
                log_cursor_fini(c);
                return seek_segment(r, err);
        }
        if (n)
                return n;
        if (c->head.previous_end > r->want)
                r->skipped.missing += c->head.previous_end - r->want;
        r->want = next;
        return 0;
}

/* One record from where we are, going on over bad places and from file to file. */
static int read_next(struct stream_reader *r, struct stream_record *ret, struct err *err)
{
        if (r->cursor.fd < 0) {
                int n = seek_segment(r, err);
                if (n)
                        return n;
        }
        for (;;) {
                int n = log_cursor_next(&r->cursor, ret, err);
                if (n < 0)
                        return n;
                if (n == 0 && ret->offset < r->want)
                        continue;
                if (n == 0)
                        break;
                bool torn = n == LOG_TORN;
                uint64_t pos = r->cursor.pos;
                n = torn ? log_cursor_resync(&r->cursor, r->want, err) : LOG_END;
                if (n == 0)
                        r->skipped.corrupt += r->cursor.pos != pos;
                else if (n == LOG_END)
                        n = next_segment(r, torn, err);
                if (n)
                        return n;
        }
        r->skipped.missing += ret->offset - r->want;
        r->want = ret->offset + 1;
        return 0;
}

int stream_next(struct stream_reader *r, struct stream_record *ret_record, struct err *err)
{
        int n = read_next(r, ret_record, err);
        if (n != STREAM_EMPTY)
                return n;
        /* Whatever comes after this drain makes the descriptor readable; what came before is found
         * now. */
        watch_drain(r);
        return read_next(r, ret_record, err);
}

/* The offset behind the last record that is there now. */
static int find_end(struct stream_reader *r, struct err *err)
{
        CLEAN_SEGMENTS struct log_segments s = {0};
        int n = log_segments_read(r->dir, &s, err);
        if (n || !s.n)
                return n;
        r->want = s.first[s.n - 1];
        struct stream_record record;
        while (!(n = read_next(r, &record, err)))
                ;
        return n < 0 ? n : 0;
}

/* The segment in which a record of `time_ms` would be: the last that begins before it. */
static int find_time_segment(struct stream_reader *r, int64_t time_ms, struct err *err)
{
        CLEAN_SEGMENTS struct log_segments s = {0};
        int n = log_segments_read(r->dir, &s, err);
        for (size_t i = s.n; !n && i-- > 0;) {
                struct stream_record record;
                r->want = s.first[i];
                n = log_cursor_open(&r->cursor, r->dir, s.first[i], err);
                if (n == -ENOENT)
                        return 0;
                if (!n && !log_cursor_next(&r->cursor, &record, err) && record.time_ms < time_ms)
                        break;
        }
        return n;
}

static int find_time(struct stream_reader *r, int64_t time_ms, struct err *err)
{
        int n = find_time_segment(r, time_ms, err);
        log_cursor_fini(&r->cursor);
        while (!n) {
                struct stream_record record;
                n = read_next(r, &record, err);
                if (!n && record.time_ms >= time_ms) {
                        r->want = record.offset;
                        log_cursor_fini(&r->cursor);
                        break;
                }
        }
        return n < 0 ? n : 0;
}

static int seek(struct stream_reader *r, const struct stream_position *p, struct err *err)
{
        int n = 0;
        switch (p->from) {
        case STREAM_FROM_LATEST:
                n = find_end(r, err);
                break;
        case STREAM_FROM_START:
                break;
        case STREAM_FROM_OFFSET:
                r->want = p->offset ? p->offset : 1;
                return 0;
        case STREAM_FROM_TIME:
                n = find_time(r, p->time_ms, err);
                break;
        }
        if (p->from == STREAM_FROM_START) {
                CLEAN_SEGMENTS struct log_segments s = {0};
                n = log_segments_read(r->dir, &s, err);
                if (!n && s.n)
                        r->want = s.first[0];
        }
        r->skipped = (struct stream_skipped){0};
        return n;
}

int stream_reader_open(const char *dir, const struct stream_position *position,
        struct stream_reader **ret_reader, struct err *err)
{
        CLEAN(stream_reader) struct stream_reader *r = calloc(1, sizeof(*r));
        if (!r)
                return err_set(err, -ENOMEM, "out of memory");
        log_cursor_init(&r->cursor);
        r->watch_fd = -1;
        r->want = 1;
        r->dir = strdup(dir);
        if (!r->dir)
                return err_set(err, -ENOMEM, "out of memory");
        int n = fs_mkdir_p(dir, 0700, err);
        if (!n)
                n = watch_open(r, err);
        if (!n)
                n = seek(r, position, err);
        if (n)
                return n;
        *ret_reader = TAKE(r);
        return 0;
}

void stream_reader_free(struct stream_reader *r)
{
        if (!r)
                return;
        log_cursor_fini(&r->cursor);
        if (r->watch_fd >= 0)
                close(r->watch_fd);
        free(r->dir);
        free(r);
}

int stream_reader_fd(const struct stream_reader *r)
{
        return r->watch_fd;
}

uint64_t stream_reader_offset(const struct stream_reader *r)
{
        return r->want;
}

int stream_reader_sync(struct stream_reader *r, struct err *err)
{
        if (r->cursor.fd >= 0 && fdatasync(r->cursor.fd))
                return err_errno(err, -errno, "cannot sync stream '%s'", r->dir);
        return 0;
}

struct stream_skipped stream_reader_skipped(const struct stream_reader *r)
{
        return r->skipped;
}
