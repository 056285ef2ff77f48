/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/uplink.h"
#include "base/log.h"
#include "base/mqtt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* When the spool fails to be read, or the library to take a message, we try again after this. */
#define RETRY_MS 1000

struct sent {
        int message_id;
        uint64_t sequence;
        bool is_acknowledged;
};

struct uplink {
        struct spool *spool;
        struct mqtt *mqtt;
        struct event *on_pump;
        char *telemetry_topic, *update_topic, *poll_topic;
        struct sent window[UPLINK_WINDOW]; /* oldest first */
        size_t n_sent;
        char why[160];
        void (*on_poll_hint)(void *arg);
        void *arg;
};

static void pump_in(struct uplink *u, int ms)
{
        struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
        evtimer_add(u->on_pump, &tv);
}

static int send_one(struct uplink *u)
{
        struct spool_record record;
        struct err err = ERR_INIT;
        int r = spool_read(u->spool, &record, &err);
        if (r == SPOOL_EMPTY)
                return r;
        const char *topic =
                record.kind == UPLINK_KIND_UPDATE ? u->update_topic : u->telemetry_topic;
        int id = 0;
        if (!r)
                r = mqtt_publish(u->mqtt, topic, record.data, record.len, &id, &err);
        if (r) {
                log_warning("cannot publish: %s", err.text);
                return r;
        }
        u->window[u->n_sent++] = (struct sent){id, record.sequence, false};
        return 0;
}

static void pump(evutil_socket_t fd, short what, void *arg)
{
        struct uplink *u = arg;
        while (mqtt_is_connected(u->mqtt) && u->n_sent < UPLINK_WINDOW) {
                int r = send_one(u);
                if (r == SPOOL_EMPTY)
                        return;
                if (r < 0) {
                        /* What was read and not sent must be read again, in its order; what is
                         * under way will be acknowledged or sent again too. */
                        u->n_sent = 0;
                        spool_rewind(u->spool);
                        pump_in(u, RETRY_MS);
                        return;
                }
        }
}

void uplink_kick(struct uplink *u)
{
        if (mqtt_is_connected(u->mqtt) && u->n_sent < UPLINK_WINDOW)
                pump_in(u, 0);
}

static void connected(void *arg)
{
        struct uplink *u = arg;
        log_info("connected to the broker");
        u->why[0] = 0;
        u->n_sent = 0;
        spool_rewind(u->spool);
        pump_in(u, 0);
}

static void disconnected(void *arg, const char *reason)
{
        struct uplink *u = arg;
        log_warning("lost the broker: %s", reason);
        snprintf(u->why, sizeof(u->why), "no connection to the broker: %s", reason);
        u->n_sent = 0;
}

/* The first failure of a series is worth a line; the rest are the same news. */
static void failed(void *arg, const char *reason)
{
        struct uplink *u = arg;
        char why[sizeof(u->why)];
        snprintf(why, sizeof(why), "no connection to the broker: %s", reason);
        if (strcmp(why, u->why))
                log_warning("%s", why);
        memcpy(u->why, why, sizeof(why));
}

static void acknowledged(void *arg, int message_id)
{
        struct uplink *u = arg;
        size_t done = 0;
        uint64_t last = 0;
        for (size_t i = 0; i < u->n_sent; i++)
                if (u->window[i].message_id == message_id)
                        u->window[i].is_acknowledged = true;
        while (done < u->n_sent && u->window[done].is_acknowledged)
                last = u->window[done++].sequence;
        if (!done)
                return;
        u->n_sent -= done;
        memmove(u->window, u->window + done, u->n_sent * sizeof(u->window[0]));
        spool_acknowledge(u->spool, last);
        pump_in(u, 0);
}

static void received(void *arg, const char *topic, const void *payload, size_t len)
{
        struct uplink *u = arg;
        if (!strcmp(topic, u->poll_topic) && u->on_poll_hint)
                u->on_poll_hint(u->arg);
}

bool uplink_is_connected(const struct uplink *u)
{
        return mqtt_is_connected(u->mqtt);
}

const char *uplink_why(const struct uplink *u)
{
        return u->why;
}

static int make_topics(struct uplink *u, const char *id)
{
        if (asprintf(&u->telemetry_topic, "device/%s/telemetry", id) < 0)
                u->telemetry_topic = NULL;
        if (asprintf(&u->update_topic, "device/%s/update", id) < 0)
                u->update_topic = NULL;
        if (asprintf(&u->poll_topic, "device/%s/poll", id) < 0)
                u->poll_topic = NULL;
        return u->telemetry_topic && u->update_topic && u->poll_topic ? 0 : -ENOMEM;
}

int uplink_new(struct event_base *base, const struct uplink_options *options, struct spool *spool,
        struct uplink **ret_uplink, struct err *err)
{
        CLEAN(uplink) struct uplink *u = calloc(1, sizeof(*u));
        if (!u)
                return err_set(err, -ENOMEM, "out of memory");
        u->spool = spool;
        u->on_poll_hint = options->on_poll_hint;
        u->arg = options->arg;
        u->on_pump = evtimer_new(base, pump, u);
        if (!u->on_pump || make_topics(u, options->id))
                return err_set(err, -ENOMEM, "out of memory");
        snprintf(u->why, sizeof(u->why), "not yet connected to the broker %s:%d", options->host,
                options->port);
        struct mqtt_options o = {.host = options->host,
                .port = options->port,
                .client_id = options->id,
                .ca_file = options->ca_file,
                .cert_file = options->cert_file,
                .key_file = options->key_file,
                .on_connected = connected,
                .on_disconnected = disconnected,
                .on_failed = failed,
                .on_acknowledged = acknowledged,
                .on_message = received,
                .arg = u};
        int r = mqtt_new(base, &o, &u->mqtt, err);
        if (!r)
                r = mqtt_subscribe(u->mqtt, u->poll_topic, err);
        if (r)
                return r;
        *ret_uplink = TAKE(u);
        return 0;
}

void uplink_free(struct uplink *u)
{
        if (u->mqtt)
                mqtt_free(u->mqtt);
        if (u->on_pump)
                event_free(u->on_pump);
        free(u->telemetry_topic);
        free(u->update_topic);
        free(u->poll_topic);
        free(u);
}
