/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The updater: drives one deployment at a time through tcu/deploy.h, between the update server, the
 * package on disk, the slots and the app.
 *
 * It polls the server (every `poll_ms`, or as often as the server says, ±10 %; at once on a hint),
 * and each look may start, allow, or call off a deployment. The package is downloaded and unpacked
 * while the old app runs; the app is stopped only for the switch. The new version is on trial then:
 * its first telemetry must come within UPDATER_FIRST_WORD_MS, it must not end, and after `trial_ms`
 * it must have sent at least half of the telemetry that the time holds. Otherwise the old one runs
 * again. The server is told the outcome until it has taken it.
 *
 * A cancellation is obeyed up to the switch and rejected from there on, since then the trial
 * decides.
 *
 * Lives on the loop of its agent; all calls and callbacks come from there. What it wants of the app
 * it asks for by `run` and `stop`, and it is told by updater_app_…() what became of it.
 */
#include "base/err.h"
#include "base/clean.h"
#include "tcu/deploy.h"
#include "tcu/message.h"
#include "tcu/slots.h"
#include <event2/event.h>
#include <openssl/ssl.h>

#define UPDATER_FIRST_WORD_MS 10000
/* A server's word on the poll interval is held within these. */
#define UPDATER_POLL_MIN_MS 1000
#define UPDATER_POLL_MAX_MS (24 * 3600 * 1000)
#define UPDATER_POLL_DEFAULT_MS (5 * 60 * 1000)

struct updater_options {
        const char *dir; /* state.json, download/ */
        const char *url; /* of the update server; NULL: no updates */
        const char *tenant;
        const char *id;
        const char *authorization;
        SSL_CTX *tls;
        const char *unpacker; /* as in installer_options.command */
        int64_t poll_ms;      /* 0: as the server says */
        int64_t trial_ms;
        int report_ms;
        int timeout_ms;
        /* Starts the app of this slot in place of what runs. */
        void (*run)(void *arg, char slot);
        /* Stops the app; answered by updater_app_stopped(), from the loop. */
        void (*stop)(void *arg);
        /* A step of a deployment, for the spool. */
        void (*event)(void *arg, const struct message_event *e);
        void *arg;
};

struct updater;
/* Texts must outlive the updater. Reads state.json. */
int updater_new(struct event_base *base, const struct updater_options *options, struct slots *slots,
        struct updater **ret_updater, struct err *err);
void updater_free(struct updater *u);
CLEAN_DEFINE(updater, updater_free);

/* Takes up what was under way, runs the app and begins to poll. */
void updater_start(struct updater *u);
/* A hint came: look now. */
void updater_poll_now(struct updater *u);

void updater_app_reported(struct updater *u);
/* True: the app should be started again; false: the updater sees to it. */
bool updater_app_failed(struct updater *u, const char *cause);
void updater_app_stopped(struct updater *u);

const struct deploy *updater_deploy(const struct updater *u);
/* A sentence on what it waits for. */
void updater_why(const struct updater *u, char *text, size_t size);
