/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What goes out: targets that wait to be looked at, messages that wait for the broker's
 * confirmation, answers to pings. All of it is bounded and none of it need survive: it is found in
 * the database again.
 */
#include "base/amqp_link.h"
#include "cloud/ota/server.h"

#define DMF_MAX_URLS 4

struct dmf_sender {
        struct ota *ota;
        struct amqp_link *link;
        const char *urls[DMF_MAX_URLS];
        size_t n_urls;
        struct dmf_waiting *waiting, **waiting_tail,
                *parked; /* parked: its exchange is asked for */
        size_t n_waiting;
        struct dmf_sent *sent, *settled;
        size_t n_sent;
        struct dmf_ping *pings;
        size_t n_pings;
        int64_t sweep_after; /* the last target of the round over all; -1: no round */
        int64_t letter_after;
        bool has_parked_letter;
};

void dmf_sender_init(struct dmf_sender *s, struct ota *o);
void dmf_sender_fini(struct dmf_sender *s);
/* A target by its name, or (NULL) by its row. */
void dmf_sender_add(
        struct dmf_sender *s, int64_t tenant, const char *controller_id, int64_t target);
/* Looks at all targets, the letters too. */
void dmf_sender_sweep(struct dmf_sender *s);
/* Targets whose maintenance windows have opened. */
void dmf_sender_add_due(struct dmf_sender *s);
void dmf_sender_ping(
        struct dmf_sender *s, const char *exchange, const char *tenant, const char *correlation_id);
void dmf_sender_settled(struct dmf_sender *s, uint64_t id, enum amqp_result result);
/* The exchanges that were asked for are known, or not. */
void dmf_sender_unpark(struct dmf_sender *s);
/* The connection is gone, and with it what was sent. */
void dmf_sender_lost(struct dmf_sender *s);
/* Sends what the link takes. True: there is more to look at, though this turn was long enough. */
bool dmf_sender_run(struct dmf_sender *s);
