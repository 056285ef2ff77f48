/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The broker: Debian's Mosquitto with our plugin, driveline_mosquitto.so.
 *
 * Mosquitto speaks MQTT 3.1.1 and 5 over mutual TLS. The plugin lets in only clients whose
 * certificate is active in the registry and whose client id is the certificate's common name, asks
 * the policies before anything is published, subscribed or received, ends sessions whose
 * certificate stops being active, and appends each message on device/+/telemetry and
 * device/+/update to the stream before it is acknowledged. A message that can't be appended is not
 * acknowledged and its connection ends.
 *
 * Who starts the broker calls registry_init() first, then broker_write_config(), and runs what
 * broker_command() says. After kill -9 it just runs it again.
 */
#include "base/clean.h"
#include "base/err.h"
#include "cloud/config/config.h"
#include <event2/event.h>

#define BROKER_CONFIG                                                                              \
        "broker/mosquitto.conf" /* below the data folder; written anew at each start */

/* How long an appended message may be in the kernel's memory only: kill -9 doesn't touch it there,
 * a power cut would. */
#define BROKER_SYNC_MS 1000

/* Writes BROKER_CONFIG. -ENOENT when the plugin isn't beside or below this program. */
int broker_write_config(const struct cloud_config *config, struct err *err) MUST_CHECK;

/* In a line of Mosquitto's log once it takes connections. */
#define BROKER_READY_TEXT " running"

struct broker_command {
        char *argv[4]; /* NULL-terminated */
};

/* Finds mosquitto in PATH and in the folders for daemons, which aren't in every PATH. -ENOENT says
 * what to install. */
int broker_command(
        const struct cloud_config *config, struct broker_command *ret, struct err *err) MUST_CHECK;
void broker_command_fini(struct broker_command *c);

/* Sets registry and configuration up and becomes the broker: returns only on failure. */
int broker_exec(const struct cloud_config *config, struct err *err) MUST_CHECK;

/* ── hints: "poll the update server now" ── */

/*
 * A client of the broker with the cloud's own certificate. Hints are only hints: one for a thing
 * that isn't delivered yet is the same as two, more than LIMIT_HINTS waiting things are let go, and
 * nothing survives the process. There can be one such object in a cloud, since its client id is the
 * cloud's.
 */
struct broker_hints;

int broker_hints_new(struct event_base *base, const struct cloud_config *config,
        struct broker_hints **ret_hints, struct err *err);
void broker_hints_free(struct broker_hints *h);
CLEAN_DEFINE(broker_hints, broker_hints_free);

/* Never blocks and never fails: what can't be sent now is sent after the next connection. */
void broker_hint_poll(struct broker_hints *h, const char *thing);
/* Hints that aren't acknowledged yet. */
size_t broker_hints_waiting(const struct broker_hints *h);
