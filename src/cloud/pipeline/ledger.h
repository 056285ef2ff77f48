/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * pipeline.db: pipelines, their runs with stages and artifacts, and what became of them in the
 * cars.
 *
 * The role and the command line write it at the same time (SQLite's write-ahead log). Whoever owns
 * a `running` run is the role; others only add `queued` runs, end queued ones and set `cancel`.
 * Rows come back as JSON objects whose members are the columns, so that the page, the command line
 * and the role read the same thing.
 */
#include "base/clean.h"
#include "base/db.h"
#include "base/json.h"
#include "cloud/pipeline/pipeline.h"

enum run_state { RUN_QUEUED, RUN_RUNNING, RUN_SUCCEEDED, RUN_FAILED, RUN_CANCELED, RUN_STATE_N };
const char *run_state_to_string(enum run_state state);

enum stage_state {
        STAGE_WAITING,
        STAGE_RUNNING,
        STAGE_SUCCEEDED,
        STAGE_FAILED,
        STAGE_CANCELED,
        STAGE_STATE_N
};
const char *stage_state_to_string(enum stage_state state);

struct ledger {
        sqlite3 *db;
        char *dir; /* the pipeline folder */
};

/* Makes the pipeline folder and the file if they are not there. */
int ledger_open(const struct cloud_config *config, struct ledger *ret, struct err *err);
/* For readers: 1 (LEDGER_NONE) when nothing was ever written. */
#define LEDGER_NONE 1
int ledger_open_readonly(const struct cloud_config *config, struct ledger *ret, struct err *err);
void ledger_fini(struct ledger *l);
#define CLEAN_LEDGER __attribute__((cleanup(ledger_fini)))

/* Runs one statement; `types` has a letter for each parameter: 't' const char * (NULL: null),
 * 'i' int64_t. */
int ledger_exec(struct ledger *l, struct err *err, const char *sql, const char *types, ...);
/* The rows as an array of objects; NULL on failure. */
json_t *ledger_rows(struct ledger *l, struct err *err, const char *sql, const char *types, ...);
/* The first row; 1 (LEDGER_NONE) when there is none. */
int ledger_row(struct ledger *l, struct err *err, json_t **ret_row, const char *sql,
        const char *types, ...);

/* -ENOENT names the pipeline and the command that lists them. */
int ledger_pipeline(struct ledger *l, const char *name, struct pipeline *ret, struct err *err);

struct run_request {
        const char *pipeline;
        const char *commit;
        const char *author;
        const char *message;
        const char *origin; /* "push", "hand", "retry of 7" */
};
int ledger_add_run(
        struct ledger *l, const struct run_request *request, int64_t *ret_run, struct err *err);
int ledger_run_state(
        struct ledger *l, int64_t run, enum run_state state, const char *cause, struct err *err);
int ledger_stage_state(struct ledger *l, int64_t run, int position, enum stage_state state,
        const char *cause, struct err *err);

/* Wakes the role by a file in the inbox. */
int ledger_wake(struct ledger *l, struct err *err);
/* The role holds a lock as long as it lives: one for a data folder, and others can tell. */
int ledger_lock(struct ledger *l, int *ret_fd, struct err *err);
bool ledger_is_served(const struct ledger *l);
/* `dir`/runs/RUN, malloc()ed. */
char *ledger_run_dir(const struct ledger *l, int64_t run) MUST_CHECK;
