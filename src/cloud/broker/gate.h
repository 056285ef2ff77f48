/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The gate: who is connected to the broker, and what they may do now. It thinks; plugin.c does the
 * talking with Mosquitto.
 *
 * It holds one access snapshot and one session for each connection that was let in, keyed by the
 * broker's pointer to the client. A session belongs to the certificate that it came with; when a
 * newer snapshot no longer has that certificate active, or its time is over, the session is dead
 * and gate_next_dead() names it so that it can be ended. Until then each of its requests is
 * refused. One thread, no waiting except for the snapshot's file.
 */
#include "base/clean.h"
#include "base/err.h"
#include "cloud/registry/registry.h"

#include <stdbool.h>
#include <stdint.h>

struct gate;

/* Fails when there is no good snapshot: a broker that doesn't know its rules must not start. */
int gate_new(const char *access_path, struct gate **ret_gate, struct err *err);
void gate_free(struct gate *g);
CLEAN_DEFINE(gate, gate_free);

#define GATE_UNCHANGED 1
/* Loads the snapshot if its file is another one than before. On failure the old one stays in force,
 * and the next call says GATE_UNCHANGED until the file changes again. */
int gate_reload(struct gate *g, struct err *err) MUST_CHECK;

/* Lets a connection in: the certificate's common name must be the client id, its serial number that
 * of an active certificate of that thing, and a policy must allow iot:Connect. -EACCES with the
 * reason. */
int gate_connect(struct gate *g, const void *client, const char *common_name, const char *serial,
        const char *client_id, int64_t now_ms, struct err *err) MUST_CHECK;
/* The connection is over; fine if it never was let in. */
void gate_disconnect(struct gate *g, const void *client);

/* `client` may be a session without a connection (the broker asks before it queues a message for
 * it); then any active certificate of the thing `client_id` decides. Topics that start with '$' are
 * nobody's, except in a filter of a shared subscription. */
bool gate_allows(struct gate *g, const void *client, const char *client_id,
        enum policy_action action, const char *topic, int64_t now_ms);
/* Whether a refusal of this client should be logged now: at most one a second. *ret_hidden is how
 * many were not since the last. */
bool gate_should_log(struct gate *g, const void *client, int64_t now_ms, unsigned *ret_hidden);

/* The id of a session that must be ended, each only once; false: there is none (left). */
bool gate_next_dead(struct gate *g, int64_t now_ms, char client_id[LIMIT_THING_NAME_BYTES + 1]);

size_t gate_sessions(const struct gate *g);
size_t gate_certificates(const struct gate *g);
