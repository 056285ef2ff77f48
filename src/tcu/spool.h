/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Messages that wait on disk for the broker: numbered, in order, bounded in bytes.
 *
 * Records live in append-only segment files named by their first sequence number; each carries its
 * length and a CRC-32C. A position file remembers up to where the broker has acknowledged; segments
 * below it are deleted. When the spool is full, the oldest segment goes first, acknowledged or not:
 * newer telemetry is worth more than older.
 *
 * Sequence numbers start at 1, grow by one for each record ever appended and never repeat, also
 * when everything before was deleted. One cursor reads; spool_rewind() puts it back to the first
 * record that isn't acknowledged, which is what a lost connection asks for.
 *
 * What survives what, and why. Appends and acknowledgements are single writes into the page cache,
 * so they survive the death of this process at any moment. They are not synced one by one, since an
 * fsync a second wears flash out for the sake of a message a second; spool_sync(), called every
 * SPOOL_SYNC_MS, bounds what a power cut can take. A power cut may also take numbers that the
 * broker has already seen: therefore numbers are reserved ahead on disk (synced, once in
 * SPOOL_RESERVE), and after a boot without a clean close counting goes on behind the reserve. Gaps
 * are harmless, a number used twice would make the store drop a message.
 *
 * One process at a time (the agent holds a lock on its folder); not for threads.
 */
#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

#define SPOOL_SYNC_MS 30000
#define SPOOL_RESERVE 4096

/* Positive answers. */
#define SPOOL_EMPTY 1

struct spool;

struct spool_record {
        uint64_t sequence;
        uint8_t kind;     /* the caller's own mark */
        const void *data; /* valid until the next call on the spool; NUL behind it */
        size_t len;
};

struct spool_stats {
        uint64_t records; /* that wait: appended, not acknowledged */
        uint64_t bytes;   /* of all segments on disk */
        uint64_t dropped; /* unacknowledged records that went because the spool was full, since open
                           */
        uint64_t damaged; /* records lost to damage found at open */
        uint64_t acknowledged; /* last acknowledged sequence number */
        uint64_t last;         /* last appended sequence number */
};

/* Opens or creates the spool in folder `dir`. Cuts a torn tail; a damaged record takes the rest of
 * its segment with it. `max_bytes` is at least SPOOL_MIN_BYTES. */
#define SPOOL_MIN_BYTES (64 * 1024)
int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret_spool, struct err *err);
/* Syncs and marks the close as clean. */
void spool_close(struct spool *s);
CLEAN_DEFINE(spool, spool_close);

/* The number that the next append will get; for messages that carry it. */
uint64_t spool_next(const struct spool *s);
/* On failure (-ENOSPC, -E2BIG, …) nothing was appended and the number is still the next one. */
int spool_append(struct spool *s, uint8_t kind, const void *data, size_t len, struct err *err);
/* The record at the cursor, which moves on. SPOOL_EMPTY: everything was read. */
int spool_read(struct spool *s, struct spool_record *ret, struct err *err);
void spool_rewind(struct spool *s);
/* Everything up to and including `sequence` has arrived. Going back is ignored. */
void spool_acknowledge(struct spool *s, uint64_t sequence);
int spool_sync(struct spool *s, struct err *err);
void spool_stats(const struct spool *s, struct spool_stats *ret);

/* Reads the state of a spool that another process may have open; changes nothing. */
int spool_peek(const char *dir, struct spool_stats *ret, struct err *err);

/* Checks one segment's bytes: how many whole records it holds and where the first damage begins.
 * Pure; the reader at open and the fuzzer use it. */
struct spool_scan {
        uint64_t first, last; /* sequence numbers; 0: no record */
        uint64_t records;
        size_t good_bytes;
        bool torn; /* what follows is the beginning of a record */
};
void spool_scan(const void *data, size_t len, struct spool_scan *ret);
