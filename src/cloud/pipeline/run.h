/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A run under way in the role.
 *
 * It goes through its stages one by one. A stage is started once and ends with one call of
 * run_stage_done(), from anywhere but a free function; what it holds in between hangs at `state`.
 * The ledger learns of each step before it is done, so a new role can go on where this one died.
 */
#include "base/buf.h"
#include "cloud/pipeline/buildspec.h"
#include "cloud/pipeline/environment.h"
#include "cloud/pipeline/hawkbit.h"
#include "cloud/pipeline/ledger.h"
#include "cloud/pipeline/repo.h"
#include "cloud/pipeline/sandbox.h"
#include "wire/manifest.h"

#define RUN_MAX_STAGES 4
#define RUN_TAIL_BYTES 1024

struct run;

struct stage {
        const char *name;
        /* Begins; on failure the stage has failed at once. */
        int (*start)(struct run *run, struct err *err);
        bool is_building; /* its interruption leaves the folder in no known state */
};

extern const struct stage stage_source, stage_build, stage_test, stage_deploy, stage_rollout,
        stage_assignment;

/* What all runs of the role share. */
struct run_host {
        struct event_base *base;
        const struct cloud_config *config;
        struct ledger ledger;
        struct sandbox_host sandbox;
        void (*on_end)(void *arg, struct run *run); /* frees the run */
        void *arg;
};

struct run {
        struct run_host *host;
        int64_t id;
        int slot; /* which of the parallel runs */
        struct pipeline pipeline;
        char commit[REPO_COMMIT_SIZE];
        int64_t commit_time_s;
        char *dir;    /* DATA/pipeline/runs/ID */
        char *folder; /* the commit, built in place */
        char *repo;
        char *package; /* the zip */

        /* What the commit says about itself: run_read_commit(). */
        struct manifest manifest;
        struct buildspec spec;
        const struct environment *environment;

        const struct stage *stages[RUN_MAX_STAGES];
        int n_stages;
        int at;
        void *state; /* of the current stage */
        void (*state_free)(void *state);
        struct hawkbit *hawkbit;

        int log_fd;
        size_t log_bytes;     /* written to the stage's log */
        size_t dropped_bytes; /* beyond LIMIT_BUILD_LOG_BYTES */
        struct buf tail;      /* the newest output of the command that runs */
        struct event *on_step;
        bool has_failed;
        char *cause;
};

/* Opens a `queued` or interrupted run; nothing starts before run_begin(). */
int run_open(struct run_host *host, int64_t id, int slot, struct run **ret_run, struct err *err);
/* Stops what is under way; the ledger keeps the run `running`, to be resumed. */
void run_free(struct run *run);
CLEAN_DEFINE(run, run_free);
int run_begin(struct run *run, struct err *err);
void run_cancel(struct run *run);

/* For the stages. */
void run_stage_done(struct run *run, const char *cause); /* NULL: it worked */
/* Output of a program, and a line of ours, into the stage's log (bounded). */
void run_output(struct run *run, const char *data, size_t len);
void run_log(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads manifest.xml and buildspec.yml of the unpacked commit and checks them. */
int run_read_commit(struct run *run, struct err *err);
/* The Management API that this pipeline deploys to. */
int run_open_hawkbit(const struct run_host *host, const struct pipeline *p,
        struct hawkbit **ret_hawkbit, struct err *err);
