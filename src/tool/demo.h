/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The stage on which `driveline demo` plays: a data folder, the programs that it started, and a
 * clock.
 *
 * The demo uses the product as a person would: it runs the command line and git, starts the agents,
 * and reads what the store, the page and the cars' own logs say. Nothing is assumed; each step ends
 * with something that was read back.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/proc.h"
#include "cloud/config/config.h"
#include "cloud/store/store.h"
#include "base/json.h"
#include <event2/event.h>

#define DEMO_CARS 2

struct demo_car {
        const char *name;     /* thing, VIN and DeviceID in one */
        const char *language; /* "c" or "python" */
        const char *project;  /* folder below apps/, and the pipeline's name */
        struct proc *agent;
        char *dir; /* the agent's own folder */
};

struct demo {
        struct event_base *base;
        struct event *tick; /* wakes the loop so that conditions are looked at */
        struct event *on_int, *on_term;
        bool interrupted;
        bool is_terminal;
        int64_t started_ms; /* monotonic; of ./demo if it called us */

        char *dir;     /* everything of this run is below it */
        char *program; /* this binary */
        char *agent_program;
        char *apps_dir;
        const char *ports; /* first of four, as given; NULL: the defaults */
        int time_scale;
        struct cloud_config config;
        bool has_config;
        struct proc *up;
        bool is_up; /* it was ready once: what a failure leaves behind is worth keeping */
        struct store *store;
        struct demo_car cars[DEMO_CARS];

        /* the step under way */
        const char *step;
        int64_t step_ms;
        bool line_open;
};

/* ── steps and waiting ── */

/* `[  12.3 s] text …` now, and the rest of the line at its end. */
void demo_begin(struct demo *d, const char *text);
void demo_end(struct demo *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line below the step. */
void demo_note(struct demo *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Runs the loop until `is_done` says 1, or something goes wrong: it says -errno, a program that
 * should run has ended, Ctrl-C (-EINTR) or the time is over (-ETIMEDOUT). `is_done` writes into
 * `progress` what it sees ("7 of 10 rows"), which is shown while it takes longer than two seconds.
 */
typedef int demo_condition(struct demo *d, void *arg, char *progress, size_t size, struct err *err);
int demo_wait(struct demo *d, demo_condition *is_done, void *arg, int timeout_ms, struct err *err);
/* -ECHILD with the reason when the cloud or a car has ended by itself. */
int demo_check(struct demo *d, struct err *err);

/* ── programs ── */

/* Starts a program that goes on; its output goes to DIR/log/`log`. */
int demo_start(struct demo *d, const char *const *argv, const char *log, struct proc **ret_proc,
        struct err *err);
/* Runs a program to its end; its output (both) into `ret`, which may be NULL. A failure carries the
 * last line that it said. `cwd` may be NULL. */
int demo_run(
        struct demo *d, const char *const *argv, const char *cwd, struct buf *ret, struct err *err);
/* The last non-empty line of DIR/log/`log` into `text`; "" if there is none. */
void demo_last_line(const struct demo *d, const char *log, char *text, size_t size);

/* Sets up the stage (folders, loop, signals) or takes it down: cars first, then the cloud, each
 * by SIGTERM and waited for. With `keep` the folder stays. */
int demo_init(struct demo *d, struct err *err);
void demo_fini(struct demo *d, bool keep);

/* A path below the folder, malloc()ed. */
char *demo_path(const struct demo *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ── what the parts say ── */

/* One number from the store; 0 and *ret = fallback when table or row is not there yet. */
int demo_number(struct demo *d, double fallback, double *ret, const char *sql_fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* The page's JSON at `target`. */
int demo_page(struct demo *d, const char *target, json_t **ret, struct err *err);
