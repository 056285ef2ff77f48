/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * hawkBit's Direct Device Integration documents as the car sees them: what a poll, a deployment and
 * a cancellation say, and the feedback and attributes that the car sends. Bytes and structs, no
 * I/O.
 *
 * Readers skip members that they don't know and refuse what they can't act on safely: an id that is
 * no plain word (it becomes a file name and a part of a URL), a size beyond LIMIT_ARTIFACT_BYTES, a
 * hash of the wrong length, an unknown handling. Structs own their texts; absent ones are NULL.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include <stdbool.h>
#include <stdint.h>

/* A bound on everything that a server can make the car keep of one document. */
#define DDI_ID_SIZE 65

/* ── poll: GET {tenant}/controller/v1/{id} ── */

struct ddi_poll {
        int64_t sleep_ms; /* config.polling.sleep; -1: the server didn't say, or said nonsense */
        /* At most one of the first three is there. */
        char *deployment;
        char *cancel;
        char *confirmation;
        char *config_data;
};

int ddi_poll_parse(const char *text, size_t len, struct ddi_poll *ret, struct err *err);
void ddi_poll_fini(struct ddi_poll *p);
#define CLEAN_DDI_POLL __attribute__((cleanup(ddi_poll_fini)))

/* `HH:MM:SS` or, for a day and more, ISO 8601 (`PT36H`, `P1DT2H`). -EINVAL for anything else. */
int ddi_sleep_parse(const char *text, int64_t *ret_ms);

/* ── deployment: GET …/deploymentBase/{action} ── */

enum ddi_handling {
        DDI_HANDLING_FORCED,  /* do it now */
        DDI_HANDLING_ATTEMPT, /* do it when it suits */
        DDI_HANDLING_SKIP,    /* don't */
        DDI_HANDLING_N
};
const char *ddi_handling_to_string(enum ddi_handling h);

struct ddi_artifact {
        char *filename;
        uint64_t size;
        struct hash_set hashes; /* "" where the server gives none */
        char *download;         /* link `download`, by convention https */
        char *download_http;    /* link `download-http` */
};

struct ddi_chunk {
        char *part; /* the software module's type, "os", "bApp", … */
        char *name;
        char *version;
        struct ddi_artifact *artifacts;
        size_t n_artifacts;
};

struct ddi_deployment {
        char id[DDI_ID_SIZE];
        enum ddi_handling download;
        enum ddi_handling update;
        bool window_closed; /* a maintenance window is set and it isn't open */
        struct ddi_chunk *chunks;
        size_t n_chunks;
};

int ddi_deployment_parse(const char *text, size_t len, struct ddi_deployment *ret, struct err *err);
void ddi_deployment_fini(struct ddi_deployment *d);
#define CLEAN_DDI_DEPLOYMENT __attribute__((cleanup(ddi_deployment_fini)))

/* The update package of a deployment: its only artifact, or its only `.zip`. Both pointers are
 * borrowed. -ENOENT: none; -EEXIST: more than one, and nothing says which. */
int ddi_deployment_package(const struct ddi_deployment *d, const struct ddi_chunk **ret_chunk,
        const struct ddi_artifact **ret_artifact, struct err *err);

/* ── cancellation: GET …/cancelAction/{action} ── */

struct ddi_cancel {
        char id[DDI_ID_SIZE];
        char stop_id[DDI_ID_SIZE]; /* the action to stop */
};

int ddi_cancel_parse(const char *text, size_t len, struct ddi_cancel *ret, struct err *err);

/* ── what the car sends ── */

enum ddi_execution {
        DDI_EXECUTION_CLOSED,
        DDI_EXECUTION_PROCEEDING,
        DDI_EXECUTION_CANCELED,
        DDI_EXECUTION_SCHEDULED,
        DDI_EXECUTION_REJECTED,
        DDI_EXECUTION_RESUMED,
        DDI_EXECUTION_DOWNLOADED,
        DDI_EXECUTION_DOWNLOAD,
        DDI_EXECUTION_N
};
const char *ddi_execution_to_string(enum ddi_execution e);

enum ddi_finished { DDI_FINISHED_NONE, DDI_FINISHED_SUCCESS, DDI_FINISHED_FAILURE, DDI_FINISHED_N };
const char *ddi_finished_to_string(enum ddi_finished f);

struct ddi_feedback {
        const char *action;
        enum ddi_execution execution;
        enum ddi_finished finished;
        int64_t timestamp_ms;
        const char *details; /* one message, NULL: none; hawkBit splits what is beyond 512 bytes */
};

/* Appends the body of a feedback POST. */
int ddi_feedback_write(struct buf *b, const struct ddi_feedback *feedback);

/* Appends the body of PUT …/configData with mode merge; `pairs` is key, value, …, NULL. */
int ddi_config_data_write(struct buf *b, const char *const *pairs);

/* True for a word that is safe as a file name and as a URL segment: letters, digits, `-_.`, not
 * starting with a dot, shorter than DDI_ID_SIZE. */
bool ddi_id_is_valid(const char *id);
