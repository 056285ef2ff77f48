/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The store: telemetry as tables, one a subsystem, keyed by DeviceID and time.
 *
 * One process writes it: it reads the stream, asks the rules which messages to keep, flattens them
 * and stores each message once, in batches that also hold the position in the stream; so it can be
 * killed at any moment and goes on where it was. Any number of processes read it meanwhile. SQL
 * sees a table `Engine` as `DeviceID, time, Sequence, SoftwareVersion` and the subsystem's own
 * columns, `time` in ms since 1970 by the car's clock. Columns and tables appear with the first
 * message that has them; a column keeps its first type (number, boolean, text). What cannot be
 * stored goes to `dead_letter` with its reason.
 *
 * Only this header is for other folders; the implementation (sqlite_*.c) may be replaced behind it.
 */
#include "base/clean.h"
#include "base/err.h"
#include "wire/telemetry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cloud_config;

/* The role: follows the stream until SIGTERM or SIGINT. */
int store_serve(const struct cloud_config *config, struct err *err);

/* ── reading ── */

struct store;

/* -ENOENT when nothing has been stored yet: ask again later. */
int store_open_readonly(const char *path, struct store **ret_store, struct err *err);
void store_free(struct store *s);
CLEAN_DEFINE(store, store_free);

struct store_column {
        char *name;
        enum telemetry_type type;
};

struct store_table {
        char *name;
        struct store_column *columns; /* without the four of the key */
        size_t n_columns;
};

struct store_tables {
        struct store_table *tables; /* by name */
        size_t n;
};

int store_tables(struct store *s, struct store_tables *ret, struct err *err);
void store_tables_fini(struct store_tables *t);
#define CLEAN_STORE_TABLES __attribute__((cleanup(store_tables_fini)))

struct store_range {
        const char *device; /* NULL: all (store_rows() only) */
        const char *table;
        int64_t from_ms, to_ms;     /* inclusive; by the car's clock */
        const char *const *columns; /* names, in any case; NULL: all */
        size_t n_columns;
        size_t limit;      /* rows for store_rows(), points for store_series(); 0: no limit */
        bool newest_first; /* store_rows() only */
};

struct store_cell {
        const char *column;
        struct telemetry_value value;
};

struct store_row {
        const char *table;
        const char *device;
        int64_t time_ms;
        int64_t sequence;             /* 0: it had none */
        const char *software_version; /* "" if it had none */
        const struct store_cell *cells;
        size_t n_cells;
};

/* Called for each row, which is borrowed for the call; anything but 0 ends the walk and is
 * returned. */
typedef int store_row_fn(void *arg, const struct store_row *row);

/* -ENOENT for a table or column that isn't there (yet). */
int store_rows(struct store *s, const struct store_range *range, store_row_fn *fn, void *arg,
        struct err *err);
/* The newest row of each table for a device. */
int store_last(struct store *s, const char *device, store_row_fn *fn, void *arg, struct err *err);

/* Numbers for a chart: point i has time_ms[i] and the values[i * n_columns …]; NaN where there is
 * none (texts have none; booleans are 0 and 1). */
struct store_series {
        size_t n, n_columns;
        char **columns;
        int64_t *time_ms;
        double *values;
};

/* At most `limit` points. If there are more rows, the range is cut into equal pieces of time and
 * each piece gives two points that hold the smallest and the largest value of each column, in the
 * order in which they came: no peak is lost. */
int store_series(struct store *s, const struct store_range *range, struct store_series *ret,
        struct err *err);
void store_series_fini(struct store_series *series);
#define CLEAN_STORE_SERIES __attribute__((cleanup(store_series_fini)))

struct store_device {
        const char *name;
        int64_t first_seen_ms, last_seen_ms; /* by our clock, when its message came */
        int64_t last_time_ms;                /* by its clock */
        int64_t sequence;                    /* of its newest message; 0: none */
        const char *software_version;
        int64_t messages;   /* stored since ever */
        int64_t duplicates; /* came again and were not stored again */
};

typedef int store_device_fn(void *arg, const struct store_device *device);
/* By name; `device` NULL: all. */
int store_devices(
        struct store *s, const char *device, store_device_fn *fn, void *arg, struct err *err);

/* What the sequence numbers of a device say about a range of time. */
struct store_gap {
        int64_t messages;                      /* stored in the range, of all topics */
        int64_t first_sequence, last_sequence; /* 0: no messages */
        int64_t lost; /* numbers that are missing between the first and the last */
        int64_t stored_twice;
        int64_t restarts; /* how often the numbers began again */
        /* The longest time between two telemetry messages that follow each other. */
        int64_t max_gap_ms;
        int64_t gap_from_ms, gap_to_ms;
        int64_t gap_from_sequence, gap_to_sequence;
};

/* -ENOENT for an unknown device. */
int store_gap(struct store *s, const char *device, int64_t from_ms, int64_t to_ms,
        struct store_gap *ret, struct err *err);

/* Grows with every commit of the writer: cheap to ask whether there is anything new. */
int store_version(struct store *s, int64_t *ret_version, struct err *err);

/* Any one SELECT over the tables, for `driveline query`: the names of its columns, then row by row.
 * Anything but 0 from a callback ends it and is returned. */
struct store_sql {
        const char *sql;
        size_t limit;   /* rows; 0: no limit */
        int timeout_ms; /* 0: none */
        int (*names)(void *arg, size_t n, const char *const *names);
        int (*row)(void *arg, size_t n, const struct telemetry_value *values);
        void *arg;
};
#define STORE_MORE 1 /* the limit was reached and there are more rows */
int store_sql(struct store *s, const struct store_sql *query, struct err *err);

/* ── writing: what store_serve() does with each message, for its tests and its bench ── */

/* Opens or creates; one process at a time (-EBUSY). */
int store_open(const char *path, struct store **ret_store, struct err *err);
/* The offset in the stream to go on from: everything before it is in the store. 0: nothing was read
 * yet. Also for readers. */
uint64_t store_offset(const struct store *s);

/* The identity of the stream that the position is in; 0: unknown. */
uint64_t store_stream(const struct store *s);
/* The position is in that stream from now on. If it was in another one before, it is 0. */
int store_set_stream(struct store *s, uint64_t id, struct err *err);

int store_begin(struct store *s, struct err *err);
#define STORE_DUPLICATE 1 /* this message is there already */
#define STORE_REFUSED 2   /* it can't be stored; `err` has the reason, for store_refuse() */
/* Adds a message. `kind` is the last level of its topic, `received_ms` the time of its record. */
int store_put(struct store *s, const struct telemetry *t, const char *kind, int64_t received_ms,
        struct err *err) MUST_CHECK;
/* Adds a dead letter; payload and reason are cut. */
int store_refuse(struct store *s, const char *topic, const void *payload, size_t len,
        int64_t received_ms, const char *reason, struct err *err);
/* Ends the batch: all of it and the position are there, or nothing. */
int store_commit(struct store *s, uint64_t next_offset, struct err *err);
void store_rollback(struct store *s);

#define STORE_MORE_TO_DELETE 1
/* Deletes a few thousand messages that were received before `before_ms`, if there are; in its own
 * transaction, short enough to be called between batches. */
int store_expire(struct store *s, int64_t before_ms, struct err *err);
/* Counts what is in the tables, so that SQL over them is planned well; does nothing until there is
 * twice as much as the last time. */
int store_tune(struct store *s, struct err *err);
