/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "base/log.h"
#include "base/mqtt.h"
#include "cloud/broker/broker.h"

#include <errno.h>
#include <search.h>
#include <string.h>
#include <sys/queue.h>

#define MAX_INFLIGHT 50

struct hint {
        TAILQ_ENTRY(hint) entry;
        int message_id; /* 0: not sent yet */
        char thing[LIMIT_THING_NAME_BYTES + 1];
};

TAILQ_HEAD(hint_list, hint);

struct broker_hints {
        struct mqtt *mqtt;
        struct hint_list waiting, sent; /* in order */
        void *by_thing;                 /* tsearch(3) tree over both */
        size_t n, n_sent;
        bool was_full;
};

static int compare(const void *a, const void *b)
{
        const struct hint *x = a, *y = b;
        return strcmp(x->thing, y->thing);
}

static void drop(struct broker_hints *h, struct hint_list *list, struct hint *hint)
{
        tdelete(hint, &h->by_thing, compare);
        TAILQ_REMOVE(list, hint, entry);
        free(hint);
        h->n--;
}

/* Sends what waits, as far as the window lets. */
static void flush(struct broker_hints *h)
{
        struct hint *hint;
        while (h->n_sent < MAX_INFLIGHT && (hint = TAILQ_FIRST(&h->waiting))) {
                char topic[LIMIT_THING_NAME_BYTES + 32];
                snprintf(topic, sizeof(topic), "device/%s/poll", hint->thing);
                if (mqtt_publish(h->mqtt, topic, "", 0, &hint->message_id, NULL) < 0)
                        return;
                TAILQ_REMOVE(&h->waiting, hint, entry);
                TAILQ_INSERT_TAIL(&h->sent, hint, entry);
                h->n_sent++;
        }
}

static void connected(void *arg)
{
        flush(arg);
}

static void acknowledged(void *arg, int message_id)
{
        struct broker_hints *h = arg;
        struct hint *hint;
        TAILQ_FOREACH(hint, &h->sent, entry)
        {
                if (hint->message_id != message_id)
                        continue;
                drop(h, &h->sent, hint);
                h->n_sent--;
                break;
        }
        flush(h);
}

/* What wasn't acknowledged goes to the head of the queue in its old order. */
static void disconnected(void *arg, const char *reason)
{
        struct broker_hints *h = arg;
        log_debug("no connection to the broker: %s", reason);
        struct hint *hint;
        while ((hint = TAILQ_LAST(&h->sent, hint_list))) {
                TAILQ_REMOVE(&h->sent, hint, entry);
                TAILQ_INSERT_HEAD(&h->waiting, hint, entry);
        }
        h->n_sent = 0;
}

static int connect_to(struct broker_hints *h, struct event_base *base,
        const struct cloud_config *config, struct err *err)
{
        char host[256];
        struct mqtt_options options = {
                .host = host,
                .client_id = CLOUD_CLIENT_NAME,
                .on_connected = connected,
                .on_disconnected = disconnected,
                .on_acknowledged = acknowledged,
                .arg = h,
        };
        CLEAN_MEM char *ca = cloud_path(config, CLOUD_CA_CERT);
        CLEAN_MEM char *cert = cloud_path(config, CLOUD_CLIENT_CERT);
        CLEAN_MEM char *key = cloud_path(config, CLOUD_CLIENT_KEY);
        if (!ca || !cert || !key)
                return err_set(err, -ENOMEM, "out of memory");
        if (cloud_address_split(config->mqtt_listen, host, sizeof(host), &options.port) < 0)
                return err_set(
                        err, -EINVAL, "mqtt_listen: '%s' is no address", config->mqtt_listen);
        if (!strcmp(host, "0.0.0.0") || !strcmp(host, "::"))
                snprintf(host, sizeof(host), "localhost");
        options.ca_file = ca;
        options.cert_file = cert;
        options.key_file = key;
        return mqtt_new(base, &options, &h->mqtt, err);
}

int broker_hints_new(struct event_base *base, const struct cloud_config *config,
        struct broker_hints **ret_hints, struct err *err)
{
        CLEAN(broker_hints) struct broker_hints *h = calloc(1, sizeof(*h));
        if (!h)
                return err_set(err, -ENOMEM, "out of memory");
        TAILQ_INIT(&h->waiting);
        TAILQ_INIT(&h->sent);
        int r = connect_to(h, base, config, err);
        if (r < 0)
                return err_prefix(err, "cannot set up hints to poll");
        *ret_hints = TAKE(h);
        return 0;
}

void broker_hints_free(struct broker_hints *h)
{
        if (!h)
                return;
        mqtt_free(h->mqtt);
        struct hint *hint;
        while ((hint = TAILQ_FIRST(&h->sent)))
                drop(h, &h->sent, hint);
        while ((hint = TAILQ_FIRST(&h->waiting)))
                drop(h, &h->waiting, hint);
        free(h);
}

/* Says once that hints are dropped; a car without one polls a little later. */
static bool is_full(struct broker_hints *h)
{
        bool full = h->n >= LIMIT_HINTS;
        if (full && !h->was_full)
                log_warning(
                        "more than %d things wait for a hint to poll: some will poll by themselves",
                        LIMIT_HINTS);
        h->was_full = full;
        return full;
}

void broker_hint_poll(struct broker_hints *h, const char *thing)
{
        if (strlen(thing) > LIMIT_THING_NAME_BYTES || strpbrk(thing, "+#/") || is_full(h))
                return;
        struct hint *hint = calloc(1, sizeof(*hint));
        if (!hint)
                return;
        memcpy(hint->thing, thing, strlen(thing));
        struct hint **there = tsearch(hint, &h->by_thing, compare);
        if (!there || *there != hint) {
                free(hint);
                return;
        }
        TAILQ_INSERT_TAIL(&h->waiting, hint, entry);
        h->n++;
        flush(h);
}

size_t broker_hints_waiting(const struct broker_hints *h)
{
        return h->n;
}
