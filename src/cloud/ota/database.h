/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The server's database as tx.c sees it: units of work, statements and rows, whichever program
 * keeps them. Handlers use tx.h; only tx.c, and whoever opens and closes, needs this.
 *
 * `where` is the path of an SQLite file, or postgresql://… as libpq knows it. There is one
 * connection and one unit at a time, one thread, and nothing here returns to the event loop
 * half-way. On SQLite this process is the only writer; on PostgreSQL others are at work on the same
 * tables, and enum database_unit says what keeps them apart.
 *
 * Statements are written for both of SQLite and PostgreSQL (docs/decisions/ says how). They are
 * prepared once and kept by their text; one that is read from is busy until database_reset(), and
 * a second reader of the same text gets a second statement.
 *
 * A lost connection fails the unit that noticed it and is made again by the next one. No call takes
 * longer than LIMIT_DATABASE_ANSWER_MS for each of its statements.
 *
 * Whatever fails leaves its reason in the database (database_failure()) until the next
 * database_begin().
 */
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct database;
struct statement;
struct settings_cache; /* what settings.c remembers of tenants; it lives with the database */

/* Why something failed, as far as the caller would act otherwise. */
enum database_failure {
        DATABASE_FINE,
        DATABASE_BROKEN, /* an error of the disk, the program or the statement */
        DATABASE_FULL,   /* the disk is full */
        /* Not with SQLite: */
        DATABASE_CONFLICT,  /* another's work came between: the same unit may be run again */
        DATABASE_READ_ONLY, /* begun for reading: to be run again as a writer */
        DATABASE_LOST,      /* the connection */
};

/* What a unit is about to do, and so whom it has to wait for. */
enum database_unit {
        DATABASE_ALONE,   /* writes whatever it wants, while no other does */
        DATABASE_DEVICE,  /* writes what belongs to one device, by its key */
        DATABASE_TIMES,   /* writes when targets polled, on which nobody's answer depends */
        DATABASE_READING, /* writes nothing, and sees all of one moment */
};

enum sql_kind { SQL_KIND_NULL, SQL_KIND_INT, SQL_KIND_TEXT, SQL_KIND_REAL };
struct sql_arg {
        enum sql_kind kind;
        union {
                int64_t i;
                const char *t; /* NULL is null */
                double d;
        };
};

/* ── life ── */

/* Opens or makes it, and brings its tables to this program's schema version. */
int database_open(const char *where, struct database **ret_database, struct err *err);
bool database_is_url(const char *where); /* it is no path */
/* For readers beside the server; -ENOENT when there is no database yet. */
int database_open_readonly(const char *where, struct database **ret_database, struct err *err);
void database_free(struct database *d);
struct settings_cache **database_settings(struct database *d);

/* ── units: all of it or nothing; 0, or -1 with the failure noted ── */

/* `key`: of the device; the same for all that must not be at work at once. */
int database_begin(struct database *d, enum database_unit unit, uint64_t key);
int database_commit(struct database *d);
void database_rollback(struct database *d);
/* `ret_text` (may be NULL) gets the reason as a line, the database's own until its next call. */
enum database_failure database_failure(const struct database *d, const char **ret_text);

/* ── statements ── */

/* Busy from here on; NULL with the failure noted. `is_insert`: database_insert_id() will be asked.
 */
struct statement *database_prepare(struct database *d, const char *text, bool is_insert);
/* Before the first step; texts may go when it returns. */
void database_bind(struct statement *s, const struct sql_arg *args, size_t n);
/* 1: a row is there; 0: the end; -1: failed. */
int database_step(struct statement *s);
void database_reset(struct statement *s);
const char *database_text(const struct statement *s); /* as it was prepared */
/* After the end: rows that it inserted, changed or deleted, and the id of the inserted one. */
int64_t database_changes(struct statement *s);
int64_t database_insert_id(struct statement *s);

/* ── the row that a step arrived at ── */

int64_t database_column_int(struct statement *s, int column); /* true is 1; null is 0 */
double database_column_real(struct statement *s, int column);
const char *database_column_text(struct statement *s, int column); /* until the next step */
bool database_column_is_null(struct statement *s, int column);

/* ── who changed something ── */

/* Moves when it hears that another process wrote, or may have written unheard (at its next call of
 * anything, for which database_leads() is made several times a second). */
uint64_t database_foreign_changes(const struct database *d);
/* For readers: another value than before if anybody may have written since. Inside a unit. */
uint64_t database_generation(struct database *d);
/* Is this the process that does what only one may do (rollouts' steps, auto-assignment, clean-up)?
 * Not inside a unit. Another takes over when it ends or loses its connection. */
bool database_leads(struct database *d);
