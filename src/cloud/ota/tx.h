/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A unit of work on the server's database: who acts, in which tenant, when, and with which result.
 *
 * Every request and every pass of the scheduler is one transaction: its first statement begins it
 * (deferred: there is one writer, so that reading before writing can't meet another's write), then
 * tx_commit() or tx_rollback(). A statement that fails
 * sets the tx's problem (once) and makes every later statement do nothing, so that a sequence of
 * writes needs no check of its own; tx_commit() refuses then. Reads after a failure return their
 * fallback. With several servers on one database a unit may find that it has to be run again
 * (tx_needs_another_run): its problem is then that of a conflict, for callers that don't.
 *
 * Statements are prepared once and kept by their text. Text read from a row is copied to the arena.
 * What devices should be told at once (tx_tell) is collected and handed out after the commit only.
 */
#include "cloud/ota/arena.h"
#include "cloud/ota/database.h"
#include "cloud/ota/problem.h"

#include <stdbool.h>
#include <stdint.h>

struct tx_tell {
        struct tx_tell *next;
        const char *controller_id;
};

struct tx_unlink {
        struct tx_unlink *next;
        const char *path;
};

/* What the server goes on with by itself, soon after the commit. */
enum due_kind {
        DUE_ROLLOUT,
        DUE_FILTER,
        DUE_SET,
        DUE_CLEAN_UP /* id: the last action that was looked at */
};
struct tx_due {
        struct tx_due *next;
        enum due_kind kind;
        int64_t id, delay_ms;
};

struct tx {
        struct database *database;
        struct arena *arena;
        struct problem *problem;
        int64_t now;    /* ms since 1970, the same for the whole unit */
        int64_t tenant; /* row of the tenant */
        const char *tenant_name;
        const char *user;               /* who is written as the author */
        const char *polling_time;       /* what devices are told where the tenant set nothing; NULL:
                                     00:05:00 */
        const char *certificate_tenant; /* where device certificates count unless it is set */
        bool is_device;          /* a device acts: it changes rows without becoming their author */
        enum database_unit unit; /* what it is about to do; ALONE unless somebody says less */
        uint64_t key;            /* of DATABASE_DEVICE */
        int64_t device;          /* the target that is all a device's request may write; 0: none */
        struct stamps *stamps;   /* which kept answers its writes end; NULL: there are none */
        bool is_quiet;           /* what it writes ends none */
        bool is_open;
        bool has_events; /* rows of the table event were written: after the commit others wait */
        enum database_failure failure; /* of a statement, whatever problem was set before it */
        struct tx_tell *tells;
        struct tx_unlink *unlinks;
        struct tx_due *dues;
};

int tx_begin(struct tx *tx);
/* -1 when something failed before or now; everything is undone then. */
int tx_commit(struct tx *tx);
void tx_rollback(struct tx *tx);
/* After it failed: might the same unit, begun as a writer, succeed? */
bool tx_needs_another_run(const struct tx *tx);
/* Remembers that `controller_id` has something new to fetch. */
void tx_tell(struct tx *tx, const char *controller_id);
/* The scheduler shall look at it `delay_ms` after the commit, without waiting for its next round.
 */
void tx_due(struct tx *tx, enum due_kind kind, int64_t id, int64_t delay_ms);
/* A file that nothing names any more goes once the commit is durable. */
void tx_after_commit_unlink(struct tx *tx, const char *path);
#define tx_problem(tx, code, ...) problem_set((tx)->problem, (tx)->arena, code, __VA_ARGS__)
/* The author for `modified_by = coalesce(?, modified_by)`. */
static inline const char *tx_author(const struct tx *tx)
{
        return tx->is_device ? NULL : tx->user;
}
/* entityNotFound with `info`. */
int tx_not_found(struct tx *tx, const char *type, int64_t id);
int tx_not_found_text(struct tx *tx, const char *type, const char *id);
/* The same from a bulk look-up: `ids` (taken) becomes the array. */
int tx_not_found_list(struct tx *tx, const char *type, json_t *ids);

/* ── statements ── */
#define SQL_I(x)                                                                                   \
        {                                                                                          \
                .kind = SQL_KIND_INT, .i = (x)                                                     \
        }
#define SQL_T(x)                                                                                   \
        {                                                                                          \
                .kind = SQL_KIND_TEXT, .t = (x)                                                    \
        } /* NULL is null */
#define SQL_D(x)                                                                                   \
        {                                                                                          \
                .kind = SQL_KIND_REAL, .d = (x)                                                    \
        }
#define SQL_OPT(x)                                                                                 \
        {                                                                                          \
                .kind = (x) ? SQL_KIND_INT : SQL_KIND_NULL, .i = (x)                               \
        } /* 0 is null: references */
#define SQL_ARGS(...)                                                                              \
        (const struct sql_arg[]){__VA_ARGS__},                                                     \
                sizeof((const struct sql_arg[]){__VA_ARGS__}) / sizeof(struct sql_arg)

/* Runs to its end; returns the number of changed rows, or -1. */
#define sql_run(tx, text, ...) sql_run_args(tx, text, SQL_ARGS(__VA_ARGS__))
int64_t sql_run_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n);
/* Runs an INSERT; returns the new row's id, 0 on failure. */
#define sql_insert(tx, text, ...) sql_insert_args(tx, text, SQL_ARGS(__VA_ARGS__))
int64_t sql_insert_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n);
/* First column of the first row; `fallback` if there is none or it is null. */
#define sql_int(tx, fallback, text, ...) sql_int_args(tx, fallback, text, SQL_ARGS(__VA_ARGS__))
int64_t sql_int_args(
        struct tx *tx, int64_t fallback, const char *text, const struct sql_arg *args, size_t n);
#define sql_text(tx, text, ...) sql_text_args(tx, text, SQL_ARGS(__VA_ARGS__))
const char *sql_text_args(struct tx *tx, const char *text, const struct sql_arg *args, size_t n);

/* Rows: `CLEAN_ROWS struct sql_rows r = sql_open(tx, "…", SQL_I(1)); while (sql_next(&r)) …` */
struct sql_rows {
        struct tx *tx;
        struct statement *statement; /* NULL: there is nothing to read */
};
#define sql_open(tx, text, ...) sql_open_args(tx, text, SQL_ARGS(__VA_ARGS__))
struct sql_rows sql_open_args(
        struct tx *tx, const char *text, const struct sql_arg *args, size_t n);
bool sql_next(struct sql_rows *r);
void sql_close(struct sql_rows *r);
#define CLEAN_ROWS __attribute__((cleanup(sql_close)))
int64_t sql_col_int(struct sql_rows *r, int column);
double sql_col_real(struct sql_rows *r, int column);
const char *sql_col_text(struct sql_rows *r, int column); /* arena; NULL for null */
bool sql_col_is_null(struct sql_rows *r, int column);
