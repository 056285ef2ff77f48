/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * An MQTT 3.1.1 client on the event loop (libmosquitto without its threads).
 *
 * It connects, and connects again after a loss with a back-off from 0.25 s to 30 s with jitter,
 * until it is freed. Publishing is QoS 1 and at most `max_inflight` messages wait for their
 * acknowledgement; the caller keeps its messages until on_acknowledged, since this client keeps
 * nothing across a loss: after on_disconnected, everything that is not acknowledged must be
 * published again by the caller.
 */
#include "base/err.h"
#include "base/clean.h"
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct mqtt;

struct mqtt_options {
        const char *host;
        int port;
        const char *client_id;                      /* our devices: the certificate's common name */
        const char *ca_file, *cert_file, *key_file; /* all NULL: no TLS */
        int keepalive_s;                            /* 0: 30 */
        /* All optional, called from the loop, never from within a call of ours. */
        void (*on_connected)(void *arg);
        void (*on_disconnected)(void *arg, const char *reason);
        void (*on_failed)(
                void *arg, const char *reason); /* an attempt to connect; the next follows */
        void (*on_acknowledged)(void *arg, int message_id);
        void (*on_message)(void *arg, const char *topic, const void *payload, size_t len);
        void *arg;
};

/* Paths and names are copied. Starts to connect at once. */
int mqtt_new(struct event_base *base, const struct mqtt_options *options, struct mqtt **ret_mqtt,
        struct err *err);
/* Says DISCONNECT if connected. */
void mqtt_free(struct mqtt *m);
CLEAN_DEFINE(mqtt, mqtt_free);

bool mqtt_is_connected(const struct mqtt *m);
/* Publishes with QoS 1; *ret_message_id comes back in on_acknowledged. -ENOTCONN when there is no
 * link. */
int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len,
        int *ret_message_id, struct err *err);
/* Remembered, and sent again after each reconnection. QoS 1. */
int mqtt_subscribe(struct mqtt *m, const char *filter, struct err *err);
