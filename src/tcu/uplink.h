/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What carries the spool to the broker: MQTT with QoS 1 over mutual TLS, at most UPLINK_WINDOW
 * messages under way, in order.
 *
 * A message counts as delivered when the broker has acknowledged it and everything before it; then
 * the spool is told. After a lost connection the spool is rewound to the first that isn't, so that
 * at worst the messages under way go out twice, with their old Sequence numbers, by which the store
 * knows them.
 *
 * Topics: device/{id}/telemetry and device/{id}/update by the record's kind. A message on
 * device/{id}/poll, whatever it says, is a hint to poll the update server now.
 */
#include "base/err.h"
#include "base/clean.h"
#include "tcu/spool.h"
#include <event2/event.h>

#define UPLINK_WINDOW 16

/* Kinds of records in the spool. */
enum uplink_kind { UPLINK_KIND_TELEMETRY = 1, UPLINK_KIND_UPDATE = 2 };

struct uplink_options {
        const char *host;
        int port;
        const char *id;                             /* client id and part of the topics */
        const char *ca_file, *cert_file, *key_file; /* all NULL: no TLS */
        void (*on_poll_hint)(void *arg);
        void *arg;
};

struct uplink;
int uplink_new(struct event_base *base, const struct uplink_options *options, struct spool *spool,
        struct uplink **ret_uplink, struct err *err);
void uplink_free(struct uplink *u);
CLEAN_DEFINE(uplink, uplink_free);

/* Something was appended to the spool. */
void uplink_kick(struct uplink *u);
bool uplink_is_connected(const struct uplink *u);
/* Why nothing goes out, "" if something can; borrowed until the next event. */
const char *uplink_why(const struct uplink *u);
