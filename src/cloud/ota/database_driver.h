/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What a kind of database implements, a sibling a kind: database_sqlite.c and
 * database_postgres.c. database.c keeps the
 * statements and passes every other call on; database.h says what each has to do.
 *
 * A driver's own structs begin with the two below. Its failures go through database_fail(), which
 * always returns -1.
 */
#include "cloud/ota/database.h"

struct statement {
        struct statement *next; /* in its bucket */
        struct database *database;
        char *text;
        bool is_insert;
        bool is_busy;
};

struct database_driver {
        void (*close)(struct database *d); /* frees it; its statements are gone already */
        int (*begin)(struct database *d, enum database_unit unit, uint64_t key);
        int (*commit)(struct database *d);
        void (*rollback)(struct database *d);
        /* A new one whose first member is zero, or NULL with the failure noted. */
        struct statement *(*prepare)(struct database *d, const char *text, bool is_insert);
        void (*finalize)(struct statement *s); /* frees it */
        void (*bind)(struct statement *s, const struct sql_arg *args, size_t n);
        int (*step)(struct statement *s);
        void (*reset)(struct statement *s);
        int64_t (*changes)(struct statement *s);
        int64_t (*insert_id)(struct statement *s);
        int64_t (*column_int)(struct statement *s, int column);
        double (*column_real)(struct statement *s, int column);
        const char *(*column_text)(struct statement *s, int column);
        bool (*column_is_null)(struct statement *s, int column);
        uint64_t (*generation)(struct database *d);
        bool (*leads)(struct database *d);
};

/* Filters make statement texts of their own; the fixed ones are about 300. */
#define DATABASE_BUCKETS 512
#define DATABASE_MAX_STATEMENTS 1500

struct database {
        const struct database_driver *driver;
        struct statement *buckets[DATABASE_BUCKETS];
        size_t n_statements;
        struct settings_cache *settings;
        uint64_t foreign_changes;
        bool is_closing;
        enum database_failure failure;
        struct err reason;
};

int database_fail(struct database *d, enum database_failure failure, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

int database_sqlite_open(
        const char *path, bool is_readonly, struct database **ret_database, struct err *err);
int database_postgres_open(
        const char *url, bool is_readonly, struct database **ret_database, struct err *err);
