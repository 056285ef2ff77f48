/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The inside of the updater, for its own files only:
 *   updater.c         life, taking a state up, what is common
 *   updater_server.c  what a look at the server brings, and polling
 *   updater_fetch.c   DOWNLOAD and UNPACK
 *   updater_trial.c   SWITCH, TRIAL, ROLLBACK and REPORT
 */
#include "tcu/ddi_client.h"
#include "tcu/download.h"
#include "tcu/installer.h"
#include "tcu/updater.h"
#include <stdint.h>

#define UPDATER_RETRY_MIN_MS 1000
#define UPDATER_RETRY_MAX_MS 60000

/* Why the app is being stopped. */
enum stop_for { STOP_FOR_NOTHING, STOP_FOR_SWITCH, STOP_FOR_ROLLBACK };

struct updater {
        struct event_base *base;
        struct updater_options options;
        struct slots *slots;
        struct deploy deploy;
        char *state_path, *download_dir;
        struct ddi_client *client; /* NULL: no server */
        struct download *download;
        struct installer *installer;
        struct event *on_poll, *on_retry, *on_stall, *on_trial;
        int64_t sleep_ms;     /* between polls, of the server */
        int64_t polled_ms;    /* when the last look began */
        int failures;         /* looks in a row that brought nothing */
        bool install_allowed; /* by the last look */
        /* of the download under way; a restart forgets them, which costs a few tries */
        char *url;
        int refusals, mismatches;
        int retry_ms;
        /* of the trial */
        int reports;
        int64_t trial_since_ms; /* its first telemetry; 0: none yet */
        enum stop_for stop_for;
        char why[ERR_TEXT_MAX]; /* the last trouble, "" when things go on */
};

/* ── common ── */
void updater_timer(struct event *e, int64_t ms);
/* ±10 %, so that a fleet doesn't act in one instant. */
int64_t updater_jitter(int64_t ms);
/* What it waits for, for people. */
void updater_note(struct updater *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Trouble that isn't the deployment's: the state is taken up again after a while. */
void updater_stall(struct updater *u, const struct err *err);
/* True if the step is on disk; else it has stalled. */
bool updater_commit(struct updater *u, struct deploy *next, enum deploy_event event);
/* The same without a change of the fields. */
bool updater_step(struct updater *u, enum deploy_event event);
/* Feedback that needn't arrive. */
void updater_tell(struct updater *u, enum ddi_execution execution, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* A step for the spool and the log. */
void updater_emit(struct updater *u, const char *state);
/* Ends transfers and children of the deployment. */
void updater_drop_work(struct updater *u);
void updater_remove_downloads(struct updater *u);
/* Does what the present state asks for; also after a stall and after a restart. */
void updater_resume(struct updater *u);

/* ── fetch ── */
const char *updater_pick_link(const struct updater *u, const struct ddi_artifact *a);
void updater_begin_download(struct updater *u);
void updater_retry_due(evutil_socket_t fd, short what, void *arg);
void updater_begin_unpack(struct updater *u);
/* The deployment is over before anything was switched. */
void updater_fail(struct updater *u, const char *cause);

/* ── trial ── */
void updater_stop_for(struct updater *u, enum stop_for what);
void updater_begin_trial(struct updater *u);
void updater_fail_trial(struct updater *u, const char *cause);
void updater_trial_over(evutil_socket_t fd, short what, void *arg);
void updater_begin_report(struct updater *u);
void updater_delivered(void *arg, const char *action);

/* ── server ── */
void updater_poll_due(evutil_socket_t fd, short what, void *arg);
int64_t updater_poll_interval(const struct updater *u);
void updater_news(void *arg, const struct ddi_news *n);
void updater_silence(void *arg, const struct err *err);
