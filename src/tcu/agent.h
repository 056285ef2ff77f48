/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The telematics control unit: one event loop that holds the app, the spool, the uplink and the
 * updater together. It owns a folder, under a lock, so that there is one agent to a folder:
 *
 *   lock  state.json  tcu.sock  update.log  slots/  download/  spool/
 *
 *   plant ◄──► app ──telemetry──► spool ──► uplink ──► broker
 *               ▲                   ▲          │ hint
 *               └─run, stop── updater ◄────────┘
 *                                │ DDI
 */
#include "base/err.h"
#include "base/clean.h"
#include "tcu/app.h"
#include <event2/event.h>

struct agent_options {
        const char *dir;
        const char *id;
        const char *ca_file, *cert_file, *key_file; /* the thing's identity; all NULL: none */
        const char *mqtt_host;                      /* NULL: nothing is sent, the spool fills */
        int mqtt_port;
        const char *server; /* update server's URL; NULL: no updates */
        const char *tenant;
        const char *authorization; /* NULL: the certificate alone */
        const char *app;           /* the factory's app, for a folder without any; may be NULL */
        const char *unpacker;      /* as in installer_options.command */
        struct app_plant plant;
        int time_scale;
        int report_ms;
        int64_t answer_ms, trial_ms, poll_ms, timeout_ms;
        uint64_t spool_bytes;
};

struct agent;
/* Texts must outlive the agent. -EBUSY: another one works in the folder. */
int agent_new(struct event_base *base, const struct agent_options *options,
        struct agent **ret_agent, struct err *err);
void agent_free(struct agent *a);
CLEAN_DEFINE(agent, agent_free);

/* Installs the factory's app if need be, starts everything and runs the loop until SIGTERM, SIGINT
 * or agent_stop(); then stops the app. -errno with the reason if it couldn't begin. */
int agent_run(struct agent *a, struct err *err);
void agent_stop(struct agent *a);

/* Prints what `driveline-tcu status` prints, asking a running agent or reading the folder of one
 * that doesn't run. */
int agent_print_status(const char *dir, bool as_json, struct err *err);
