/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The supervisor of the vehicle app: one child process and the lockstep of the seam with it.
 *
 *   STOPPED ──app_start──► RUNNING ──app_stop──► STOPPING ──► STOPPED (on_stopped)
 *                          │    ▲
 *             it ended     ▼    │ back-off over
 *                          BACKOFF
 *
 * While it runs, a monotonic timer gives the ticks of the plant: sensors go to the app's stdin, its
 * answer's actuators go to the plant, which then takes one step of APP_TICK_MS. The plant waits for
 * the answer; an app that doesn't give it within `answer_ms` is killed. Ticks that fell due
 * meanwhile are caught up, at most a second's worth. With no app the plant stands still.
 *
 * An app that only prints telemetry is known by its first line having no actuators: the plant then
 * runs by the timer alone, and the app must print once in `answer_ms` or five report periods.
 *
 * Telemetry is asked for on the first tick and then once in each report period; more than that is
 * dropped. What the app writes to stderr goes to our log line by line, at most APP_LOG_PER_S a
 * second; the last lines become a part of the cause when it dies.
 */
#include "base/err.h"
#include "base/clean.h"
#include "wire/seam.h"
#include <event2/event.h>

#define APP_TICK_MS 100
#define APP_LOG_PER_S 100
/* From the request to stop until SIGKILL. */
#define APP_STOP_GRACE_MS 500

/* The hardware under the app. Called from the loop; must not block and must not call the app. */
struct app_plant {
        void *context;
        void (*sense)(void *context, struct seam_sensors *ret);
        void (*step)(void *context, const struct seam_actuators *actuators, double dt_s);
};

enum app_state {
        APP_STATE_STOPPED,
        APP_STATE_RUNNING,
        APP_STATE_STOPPING,
        APP_STATE_BACKOFF,
        APP_STATE_N
};
const char *app_state_to_string(enum app_state s);

struct app_options {
        struct app_plant plant;
        int time_scale; /* plant seconds in a second; at least 1 */
        int report_ms;  /* a message in so many ms of wall time */
        int answer_ms;
        /* A JSON object, checked by seam_parse_answer(); borrowed. Once in a report period. */
        void (*on_telemetry)(void *arg, const char *telemetry, size_t len);
        /* It ended by itself, couldn't be started or was killed for not answering. True: start it
         * again after a back-off; false: leave it stopped. May call app_start(), which overrules
         * both. */
        bool (*on_failed)(void *arg, const char *cause);
        /* What app_stop() asked for is done. May call app_start(). */
        void (*on_stopped)(void *arg);
        void *arg;
};

struct app;
int app_new(struct event_base *base, const struct app_options *options, struct app **ret_app,
        struct err *err);
/* Kills what runs. */
void app_free(struct app *app);
CLEAN_DEFINE(app, app_free);

/* Starts the app installed in folder `dir` by its manifest's run_command, with `dir` as its working
 * folder. Never fails at once: what goes wrong comes by on_failed from the loop. */
void app_start(struct app *app, const char *dir);
/* on_stopped comes from the loop, also when nothing runs. */
void app_stop(struct app *app);
enum app_state app_state(const struct app *app);
