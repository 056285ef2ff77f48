/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The stream's files, for log_*.c only.
 *
 * A segment is a file `<first offset, 20 digits>.log`: a head of 32 bytes, then records back to
 * back, little-endian, not padded:
 *
 *   segment  magic u64 | first offset u64 | previous end u64 | salt u32 |
 *            CRC-32C of the 28 bytes before
 *   record   CRC-32C of what follows, begun with the salt u32 | magic u16 | topic length u16 |
 *            payload length u32 | 0 u32 | offset u64 | time u64 | topic | NUL | payload
 *
 * The salt is random. Without it a device could send a payload that contains a record of its own
 * making, and a search behind a torn place would find it.
 *
 * "Previous end" is the offset behind the last record of the segment before, which differs from
 * "first offset" when the writer jumped ahead; so a reader knows a jump from records that are gone.
 *
 * There is no index. A segment is found by its name, a place inside it by reading it from its
 * start: 64 MiB of records take about 50 ms, once per opened reader, and no second file has to
 * agree with the first one after a crash.
 */
#include "base/clean.h"
#include "base/limits.h"
#include "cloud/stream/stream.h"

#include <stdbool.h>

#define LOG_SEGMENT_HEAD 32
#define LOG_RECORD_HEAD 32
#define LOG_RECORD_MAX (LOG_RECORD_HEAD + LIMIT_TOPIC_BYTES + 1 + LIMIT_MESSAGE_BYTES)

size_t log_record_size(size_t topic_len, size_t len);
/* Writes a record to `to`, which has room for log_record_size() bytes. */
void log_encode(void *to, const struct stream_record *record, size_t topic_len, uint32_t salt);

#define LOG_PARTIAL 1 /* could be a record, but needs *ret_size bytes */
#define LOG_BAD 2
/* Reads a record at `data`; its pointers lead into `data`. */
int log_decode(
        const void *data, size_t len, uint32_t salt, struct stream_record *ret, size_t *ret_size);

struct log_head {
        uint64_t first, previous_end;
        uint32_t salt;
};
void log_head_encode(uint8_t to[LOG_SEGMENT_HEAD], const struct log_head *head);
/* -EBADMSG if it isn't one. */
int log_head_decode(const uint8_t from[LOG_SEGMENT_HEAD], struct log_head *ret);

/* ── the folder ── */

struct log_segments {
        uint64_t *first; /* ascending */
        size_t n;
};

/* None when the folder isn't there. */
int log_segments_read(const char *dir, struct log_segments *ret, struct err *err);
void log_segments_fini(struct log_segments *s);
#define CLEAN_SEGMENTS __attribute__((cleanup(log_segments_fini)))

#define LOG_PATH_SIZE 4096
/* -ENAMETOOLONG if it doesn't fit. */
int log_segment_path(const char *dir, uint64_t first, char path[LOG_PATH_SIZE]);

/* The stream's identity: the file `id`, 16 hexadecimal digits. 0: there is none. */
uint64_t log_id_read(const char *dir);

/* ── reading one segment ── */

/* A place in a segment and what was read around it. All zero but for fd = -1 when closed. */
struct log_cursor {
        int fd;
        struct log_head head;
        bool has_head; /* without it nothing in the segment can be read: all of it is torn */
        uint64_t pos;  /* of the next record */
        uint8_t *data; /* bytes of the file from `data_at` */
        uint64_t data_at;
        size_t data_len, data_cap;
};

void log_cursor_init(struct log_cursor *c);
void log_cursor_fini(struct log_cursor *c);
#define CLEAN_CURSOR __attribute__((cleanup(log_cursor_fini)))
/* -ENOENT when retention was faster. Closes what was open before. */
int log_cursor_open(struct log_cursor *c, const char *dir, uint64_t first, struct err *err);

#define LOG_END 1  /* the file ends where a record would start */
#define LOG_TORN 2 /* there is something that is no whole record (yet) */
/* The record at `pos`, which moves behind it. The record is borrowed until the next call. */
int log_cursor_next(struct log_cursor *c, struct stream_record *ret, struct err *err);
/* Looks behind a torn place for a record with `min_offset` or more and goes there; LOG_END: none.
 * If the torn place has become whole by then, `pos` stays there. */
int log_cursor_resync(struct log_cursor *c, uint64_t min_offset, struct err *err);
