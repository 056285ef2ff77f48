/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The store on SQLite, for sqlite_*.c only.
 *
 * A message is one row of `_messages` and one row of `_data_X` for each subsystem X, both under the
 * same ever growing number. So all tables but one index are only appended to: the key (device,
 * time) is kept once a message and not once a subsystem, which is what makes the difference between
 * touching one leaf page a car and six. The view `X` joins them into the table that people query.
 * Old messages are at the front of each table, where they are deleted; `_ticks` says which number
 * was reached when.
 *
 * The writer knows all tables, columns and devices from memory. After a batch that failed they are
 * read again.
 */
#include "base/db.h"
#include "base/limits.h"
#include "cloud/store/store.h"

#define STORE_KIND_TELEMETRY "telemetry"
#define NO_COLUMN UINT16_MAX

struct column {
        char *name;
        uint32_t hash;
        enum telemetry_type type;
};

struct table {
        char *name;
        uint32_t hash;
        int64_t rows;
        struct column *columns;
        size_t n_columns;
        /* The writer's */
        bool is_dirty; /* `rows` changed in this batch */
        sqlite3_stmt *insert;
        uint16_t *hints; /* where the i-th column of the last message was: the next one is alike */
};

struct device {
        char name[LIMIT_THING_NAME_BYTES + 1];
        uint32_t hash;
        int64_t id;
        int64_t first_seen_ms, last_seen_ms, last_time_ms;
        int64_t sequence, highest; /* of the newest message, of all */
        int64_t messages, duplicates;
        char software_version[LIMIT_VERSION_BYTES + 1];
        bool is_new, is_dirty;
        struct device *next_dirty;
};

enum statement {
        ST_MESSAGE,
        ST_TWICE,         /* is there this device, time, sequence? */
        ST_TWICE_UNTIMED, /* the same for a message without a time of its own */
        ST_TWICE_UNNUMBERED,
        ST_DEVICE_NEW,
        ST_DEVICE,
        ST_TABLE_ROWS,
        ST_TICK,
        ST_REFUSE,
        ST_FORGET,
        ST_POSITION,
        ST_N
};

struct store {
        sqlite3 *db;
        bool is_reader;
        int lock_fd;
        struct table *tables;
        size_t n_tables;
        int64_t schema_version; /* a reader's: of `tables` */

        /* The writer's */
        struct device **devices; /* open addressing, a power of two */
        size_t n_devices, devices_cap;
        int64_t next_device_id;
        struct device *dirty;
        struct {
                char *name;
                int64_t id;
        } kinds[16]; /* 0: other */
        size_t n_kinds;
        sqlite3_stmt *statements[ST_N];
        int64_t next_id, last_tick_ms, dead_letters;
        int64_t tuned_id; /* `next_id` at the last store_tune() */
        uint64_t offset, stream;
        bool in_batch, is_stale;
};

/* ── sqlite_schema.c ── */

/* Reads tables and columns; drops what was known. */
int schema_load(struct store *s, struct err *err);
void schema_forget(struct store *s);
/* NULL: there is none. Names in any case. */
struct table *schema_table(const struct store *s, struct telemetry_text name, uint32_t hash);
/* NO_COLUMN: there is none. */
uint16_t schema_column(const struct table *t, struct telemetry_text name, uint32_t hash);
/* STORE_REFUSED with the reason when the name or the number of them isn't allowed. */
int schema_check_table(const struct store *s, struct telemetry_text name, struct err *err);
int schema_check_column(
        const struct table *t, size_t n_more, struct telemetry_text name, struct err *err);
/* The pointer is good until the next table is added. */
int schema_add_table(
        struct store *s, const struct telemetry_group *group, struct table **ret, struct err *err);
int schema_add_column(
        struct store *s, struct table *t, const struct telemetry_column *column, struct err *err);
/* Makes the view anew after columns were added. */
int schema_publish(struct store *s, struct table *t, struct err *err);
/* A reader looks whether the writer has added something. */
int schema_refresh(struct store *s, struct err *err);
/* Runs SQL made by sqlite3_mprintf(), and frees it; NULL counts as out of memory. */
int store_exec_made(struct store *s, char *sql, struct err *err);

/* ── sqlite_device.c ── */

int devices_load(struct store *s, struct err *err);
void devices_forget(struct store *s);
/* The device of that name, a new one if need be. */
int devices_get(struct store *s, struct telemetry_text name, struct device **ret, struct err *err);
void devices_touch(struct store *s, struct device *d);
/* Writes the devices that were touched. */
int devices_flush(struct store *s, struct err *err);

/* ── sqlite_read.c ── */

/* store_rows(); `is_bare` rows have no sequence, version and device, which are in no index and cost
 * a look at the message. */
int read_rows(struct store *s, const struct store_range *range, bool is_bare, store_row_fn *fn,
        void *arg, struct err *err);
