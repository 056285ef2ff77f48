/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The stream: a durable, ordered log of messages between the broker and everything that reads it.
 *
 * A stream is a folder. One process at a time writes it (a lock says so), any number of processes
 * read it, also while it is written. A record has an offset, a time, a topic and a payload. Offsets
 * grow by one from record to record and are never used twice, also not after a crash; after a
 * restart of the machine they jump ahead, because records that a reader had already seen may have
 * been lost with the kernel's memory, and their offsets must not come back with other contents.
 *
 * An append that returned survives `kill -9` of every process; it survives a power cut after
 * stream_sync(). Readers see whole records with a good checksum or nothing: the rest of an append
 * that was cut off is removed when the next writer opens the stream, and a record that went bad on
 * the disk is skipped and counted. Retention removes the oldest records in large pieces; a reader
 * that was further behind goes on at the oldest one left and counts what it missed.
 *
 * No call blocks but for the disk. Neither object may be used by two threads at once.
 */
#include "base/clean.h"
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/* Below the data folder: what devices have published and the policies have allowed. */
#define STREAM_TELEMETRY "stream/telemetry"

/* ── writing ── */

struct stream_writer;

struct stream_options {
        size_t segment_bytes; /* size of a file, the unit of retention; 0: 64 MiB */
        int64_t max_age_ms;   /* older records may go; 0: no limit */
        int64_t max_bytes;    /* the oldest records go when the whole is larger; 0: no limit */
};

/* Opens or creates the folder, takes the lock (-EBUSY: another process writes) and repairs the end.
 */
int stream_writer_open(const char *dir, const struct stream_options *options,
        struct stream_writer **ret_writer, struct err *err);
/* Syncs and lets go of the lock. */
void stream_writer_free(struct stream_writer *w);
CLEAN_DEFINE(stream_writer, stream_writer_free);

/* Appends one record with one write; `time_ms` is the wall clock at which the message came.
 * Retention is looked after here too. On failure (-ENOSPC, -E2BIG beyond LIMIT_MESSAGE_BYTES, …)
 * nothing was appended and the next call may work. `ret_offset` may be NULL. */
int stream_append(struct stream_writer *w, const char *topic, const void *payload, size_t len,
        int64_t time_ms, uint64_t *ret_offset, struct err *err) MUST_CHECK;
/* Everything appended so far is on the disk. May take as long as the disk does. */
int stream_sync(struct stream_writer *w, struct err *err);
/* Removes what is too old or too much. stream_append() does it by itself once a minute and with
 * each new file; a writer that is idle for long may call this from a timer. */
int stream_retain(struct stream_writer *w, int64_t now_ms, struct err *err);
/* The offset that the next record will get. */
uint64_t stream_next_offset(const struct stream_writer *w);

/* ── reading ── */

struct stream_reader;

enum stream_from {
        STREAM_FROM_LATEST, /* what is appended from now on */
        STREAM_FROM_START,  /* the oldest record there is */
        STREAM_FROM_OFFSET, /* the record with `offset`, or the next one that there is */
        STREAM_FROM_TIME,   /* the first record of `time_ms` or later */
};

struct stream_position {
        enum stream_from from;
        uint64_t offset;
        int64_t time_ms;
};

struct stream_record {
        uint64_t offset;
        int64_t time_ms;
        const char *topic;   /* terminated */
        const void *payload; /* not terminated */
        size_t len;
};

/* The folder is created if the writer has not been there yet. */
int stream_reader_open(const char *dir, const struct stream_position *position,
        struct stream_reader **ret_reader, struct err *err);
void stream_reader_free(struct stream_reader *r);
CLEAN_DEFINE(stream_reader, stream_reader_free);

#define STREAM_EMPTY 1
/* The next record, borrowed until the next call; STREAM_EMPTY when there is none yet. */
int stream_next(
        struct stream_reader *r, struct stream_record *ret_record, struct err *err) MUST_CHECK;
/* Becomes readable when something was appended after stream_next() said STREAM_EMPTY. For an event
 * loop (level-triggered); stream_next() empties it, nobody else reads it. Owned by the reader. */
int stream_reader_fd(const struct stream_reader *r);
/* The offset that stream_next() looks for now. */
uint64_t stream_reader_offset(const struct stream_reader *r);
/* Syncs the file that is being read: a reader that is about to commit its position durably makes
 * sure that the records before it are durable too. */
int stream_reader_sync(struct stream_reader *r, struct err *err);

struct stream_skipped {
        uint64_t corrupt; /* places where bytes were no record and reading went on behind them */
        uint64_t missing; /* offsets that were passed over: corrupt, or removed before they were
                             read */
};
struct stream_skipped stream_reader_skipped(const struct stream_reader *r);

/* ── looking ── */

struct stream_stat {
        uint64_t id; /* random, of this folder's stream; an offset means nothing in another. 0: no
                        writer yet */
        uint64_t first_offset; /* of the oldest record; equal to next_offset when there is none */
        uint64_t next_offset;  /* behind the newest */
        int64_t first_time_ms, last_time_ms; /* 0 when there is none */
        uint64_t bytes;
        unsigned segments;
};
/* Reads the folder without a lock; all zero when it isn't there. */
int stream_stat(const char *dir, struct stream_stat *ret_stat, struct err *err);
