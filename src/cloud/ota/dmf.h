/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The Device Management Federation: gateways that speak for many devices over an AMQP broker.
 *
 * Messages that come (dmf_message.h) are one transaction each (dmf_apply.h) and acknowledged after
 * its commit, so that none is lost with the server; what can't be read or is refused goes to the
 * dead letters, and the log says why. What the gateways are to be told follows from the database
 * (dmf_order.h): a target is looked at when something changed for it (dmf_tell), all of them one
 * after another when the broker comes back and once a minute. What was told is written down once
 * the broker has confirmed it; a message may come twice, none gets lost.
 *
 * The server waits for nothing: without a broker it only tries again.
 */
#include "base/clean.h"
#include "base/err.h"

#include <stdint.h>

struct ota;
struct dmf;

struct dmf_options {
        const char *broker;        /* amqp://user@host:5672/vhost or amqps://… */
        const char *password_file; /* one line */
        const char *ca_file;       /* TLS: whom the broker's certificate must come from; or NULL */
        const char *urls;          /* where devices download: http://host:port, with commas */
};

int dmf_new(
        struct ota *o, const struct dmf_options *options, struct dmf **ret_dmf, struct err *err);
void dmf_free(struct dmf *d);
CLEAN_DEFINE(dmf, dmf_free);

/* Something changed for this target; cheap. */
void dmf_tell(void *dmf, int64_t tenant, const char *controller_id);
