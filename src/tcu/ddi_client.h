/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The car's conversation with an update server over hawkBit's DDI: one look at a time, and a queue
 * of things to tell.
 *
 * A look is the poll and, if that names one, the deployment or the cancellation behind it; it ends
 * in exactly one of on_news and on_silence. Feedback goes out one after the other, in the order
 * given. What needn't arrive is tried once; what must is tried again, with a growing pause, until
 * the server has taken it or says that it no longer wants it (404, 410, and 405 for a
 * cancellation), and what was given after it waits behind it.
 */
#include "base/err.h"
#include "base/clean.h"
#include "wire/ddi.h"
#include <event2/event.h>
#include <openssl/ssl.h>

struct ddi_news {
        int64_t sleep_ms; /* until the next poll, -1: the server didn't say */
        const struct ddi_deployment *deployment; /* NULL: none offered */
        const struct ddi_cancel *cancel;         /* NULL: none */
        bool waits_for_confirmation;             /* by a person at the server */
        bool wants_attributes;
};

struct ddi_client_options {
        const char *url; /* of the server, with a path before /{tenant} if it has one */
        const char *tenant;
        const char *id;
        const char *authorization; /* "TargetToken …", "GatewayToken …"; NULL: none */
        SSL_CTX *tls;              /* borrowed */
        int timeout_ms;            /* without a byte */
        void (*on_news)(void *arg, const struct ddi_news *news);
        void (*on_silence)(void *arg, const struct err *err);
        /* Feedback of an action that had to arrive has done so. */
        void (*on_delivered)(void *arg, const char *action);
        void *arg;
};

struct ddi_client;
int ddi_client_new(struct event_base *base, const struct ddi_client_options *options,
        struct ddi_client **ret_client, struct err *err);
void ddi_client_free(struct ddi_client *c);
CLEAN_DEFINE(ddi_client, ddi_client_free);

/* Begins a look; nothing if one is under way. */
void ddi_client_look(struct ddi_client *c);
bool ddi_client_is_looking(const struct ddi_client *c);

/* `of_cancel`: the feedback answers a cancellation. An action's must-arrive feedback isn't queued
 * twice. -ENOSPC: too much waits, and this needn't arrive. */
int ddi_client_tell(struct ddi_client *c, const struct ddi_feedback *feedback, bool of_cancel,
        bool must_arrive);
/* Sends the attributes where the last look said; `pairs` as in ddi_config_data_write(). */
void ddi_client_send_attributes(struct ddi_client *c, const char *const *pairs);

/* Why the last thing that must arrive hasn't; "" if nothing waits. */
const char *ddi_client_why(const struct ddi_client *c);
