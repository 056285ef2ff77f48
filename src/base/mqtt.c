/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/mqtt.h"
#include "base/hash.h"
#include "base/log.h"

#include <errno.h>
#include <mosquitto.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MQTT_BACKOFF_MIN_MS 250
#define MQTT_BACKOFF_MAX_MS 30000
#define MQTT_HANDSHAKE_MS 20000
#define MQTT_MISC_MS 1000
#define MQTT_MAX_FILTERS 16

enum mqtt_state { MQTT_WAITING, MQTT_CONNECTING, MQTT_CONNECTED };

/*
 * One libmosquitto object serves one connection. libmosquitto would send its own unacknowledged
 * messages again after a loss, and the caller does so too; a new object a connection has no memory.
 */
struct mqtt {
        struct event_base *base;
        struct mqtt_options options;
        char *filters[MQTT_MAX_FILTERS];
        size_t n_filters;
        struct mosquitto *mosq;
        enum mqtt_state state;
        struct event *on_read, *on_write, *on_misc, *on_retry;
        int backoff_ms;
        int connecting_ms;
        bool lost; /* the connection of `mosq` is over; it is dropped outside callbacks */
        const char *lost_reason;
};

static int library_users;

static void start(struct mqtt *m);

bool mqtt_is_connected(const struct mqtt *m)
{
        return m->state == MQTT_CONNECTED;
}

/* ── callbacks of libmosquitto: they only note what happened ── */

static void connected(struct mosquitto *mosq, void *arg, int rc)
{
        (void)mosq;
        struct mqtt *m = arg;
        if (rc) {
                m->lost = true;
                m->lost_reason = mosquitto_connack_string(rc);
                return;
        }
        m->state = MQTT_CONNECTED;
        m->backoff_ms = MQTT_BACKOFF_MIN_MS;
        for (size_t i = 0; i < m->n_filters; i++)
                mosquitto_subscribe(mosq, NULL, m->filters[i], 1);
        if (m->options.on_connected)
                m->options.on_connected(m->options.arg);
}

static void disconnected(struct mosquitto *mosq, void *arg, int rc)
{
        (void)mosq;
        struct mqtt *m = arg;
        m->lost = true;
        if (!m->lost_reason)
                m->lost_reason = rc ? mosquitto_strerror(rc) : "closed";
}

static void published(struct mosquitto *mosq, void *arg, int message_id)
{
        (void)mosq;
        struct mqtt *m = arg;
        if (m->options.on_acknowledged)
                m->options.on_acknowledged(m->options.arg, message_id);
}

static void received(struct mosquitto *mosq, void *arg, const struct mosquitto_message *message)
{
        (void)mosq;
        struct mqtt *m = arg;
        if (m->options.on_message && message->payloadlen >= 0)
                m->options.on_message(m->options.arg, message->topic, message->payload,
                        (size_t)message->payloadlen);
}

/* ── the connection ── */

static void drop_connection(struct mqtt *m)
{
        if (m->on_read)
                event_free(m->on_read);
        if (m->on_write)
                event_free(m->on_write);
        m->on_read = m->on_write = NULL;
        if (m->mosq)
                mosquitto_destroy(m->mosq);
        m->mosq = NULL;
        m->lost = false;
        m->state = MQTT_WAITING;
}

static void set_timer(struct event *e, int ms)
{
        struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
        evtimer_add(e, &tv);
}

/* Jitter of ±25 %, so that a fleet doesn't come back in one instant after a broker's restart. */
static int next_backoff(struct mqtt *m)
{
        uint16_t random = 0;
        (void)hash_random(&random, sizeof(random));
        int wait = m->backoff_ms * 3 / 4 + (int)((int64_t)m->backoff_ms / 2 * random / 65536);
        m->backoff_ms =
                m->backoff_ms * 2 > MQTT_BACKOFF_MAX_MS ? MQTT_BACKOFF_MAX_MS : m->backoff_ms * 2;
        return wait;
}

static void retry_later(struct mqtt *m)
{
        bool was_connected = m->state == MQTT_CONNECTED;
        const char *reason = m->lost_reason ? m->lost_reason : "connection lost";
        drop_connection(m);
        set_timer(m->on_retry, next_backoff(m));
        log_debug("mqtt: %s:%d: %s", m->options.host, m->options.port, reason);
        if (was_connected && m->options.on_disconnected)
                m->options.on_disconnected(m->options.arg, reason);
        if (!was_connected && m->options.on_failed)
                m->options.on_failed(m->options.arg, reason);
}

/* Reading, writing and upkeep in one place, since the TLS handshake advances in reads only and the
 * CONNECT packet that waits behind it needs a write then. */
static void service(struct mqtt *m, bool misc)
{
        int rc = mosquitto_loop_read(m->mosq, 1);
        while (!m->lost && rc == MOSQ_ERR_SUCCESS && m->state == MQTT_CONNECTED && m->mosq) {
                /* TLS may hold decrypted bytes that no readable socket will announce again. */
                SSL *ssl = mosquitto_ssl_get(m->mosq);
                if (!ssl || SSL_pending(ssl) <= 0)
                        break;
                rc = mosquitto_loop_read(m->mosq, 1);
        }
        if (!m->lost && rc == MOSQ_ERR_SUCCESS)
                rc = mosquitto_loop_write(m->mosq, 1);
        if (!m->lost && rc == MOSQ_ERR_SUCCESS && misc)
                rc = mosquitto_loop_misc(m->mosq);
        if (rc != MOSQ_ERR_SUCCESS && !m->lost) {
                m->lost = true;
                m->lost_reason = rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
        }
        if (m->lost || mosquitto_socket(m->mosq) < 0) {
                retry_later(m);
                return;
        }
        if (m->state == MQTT_CONNECTED && mosquitto_want_write(m->mosq))
                event_add(m->on_write, NULL);
}

/* During the TLS handshake libmosquitto takes every failure of the socket for "not yet" and would
 * try again for ever; so a refused or closed connection is looked for here. */
static bool peer_is_gone(struct mqtt *m, int fd)
{
        char byte;
        ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
                return false;
        m->lost_reason = n ? strerror(errno) : "closed during the handshake";
        return true;
}

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
        (void)what;
        struct mqtt *m = arg;
        if (m->state == MQTT_CONNECTING && peer_is_gone(m, fd))
                retry_later(m);
        else
                service(m, false);
}

static void misc_due(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct mqtt *m = arg;
        if (!m->mosq)
                return;
        if (m->state == MQTT_CONNECTING && (m->connecting_ms += MQTT_MISC_MS) > MQTT_HANDSHAKE_MS) {
                m->lost_reason = "no answer to the connection request";
                retry_later(m);
                return;
        }
        service(m, true);
}

static void retry_due(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        start(arg);
}

static int new_connection(struct mqtt *m)
{
        const struct mqtt_options *o = &m->options;
        m->mosq = mosquitto_new(o->client_id, true, m);
        if (!m->mosq)
                return MOSQ_ERR_NOMEM;
        mosquitto_connect_callback_set(m->mosq, connected);
        mosquitto_disconnect_callback_set(m->mosq, disconnected);
        mosquitto_publish_callback_set(m->mosq, published);
        mosquitto_message_callback_set(m->mosq, received);
        /* The caller bounds what is under way; a second queue inside would only hide it. */
        mosquitto_max_inflight_messages_set(m->mosq, 0);
        if (o->ca_file) {
                int rc = mosquitto_tls_set(
                        m->mosq, o->ca_file, NULL, o->cert_file, o->key_file, NULL);
                if (rc)
                        return rc;
        }
        return mosquitto_connect_async(
                m->mosq, o->host, o->port, o->keepalive_s ? o->keepalive_s : 30);
}

static void start(struct mqtt *m)
{
        m->lost_reason = NULL;
        m->lost = false;
        m->connecting_ms = 0;
        int rc = new_connection(m);
        int fd = rc || !m->mosq ? -1 : mosquitto_socket(m->mosq);
        if (fd < 0) {
                m->lost_reason = rc == MOSQ_ERR_ERRNO ? strerror(errno)
                                 : rc                 ? mosquitto_strerror(rc)
                                                      : "no connection";
                retry_later(m);
                return;
        }
        m->state = MQTT_CONNECTING;
        m->on_read = event_new(m->base, fd, EV_READ | EV_PERSIST, socket_ready, m);
        m->on_write = event_new(m->base, fd, EV_WRITE, socket_ready, m);
        if (!m->on_read || !m->on_write) {
                m->lost_reason = "out of memory";
                retry_later(m);
                return;
        }
        event_add(m->on_read, NULL);
        event_add(m->on_write, NULL); /* once: the TCP connection stands */
}

/* ── calls ── */

static void options_fini(struct mqtt_options *o)
{
        const char **texts[] = {&o->host, &o->client_id, &o->ca_file, &o->cert_file, &o->key_file};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                free((char *)(uintptr_t)*texts[i]);
}

static int options_copy(struct mqtt_options *to, const struct mqtt_options *from)
{
        *to = *from;
        const char **texts[] = {
                &to->host, &to->client_id, &to->ca_file, &to->cert_file, &to->key_file};
        bool failed = false;
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                if (!*texts[i])
                        continue;
                *texts[i] = strdup(*texts[i]);
                failed |= !*texts[i];
        }
        return failed ? -ENOMEM : 0;
}

int mqtt_new(struct event_base *base, const struct mqtt_options *options, struct mqtt **ret_mqtt,
        struct err *err)
{
        if (library_users++ == 0)
                mosquitto_lib_init();
        struct mqtt *m = calloc(1, sizeof(*m));
        if (!m) {
                library_users--;
                return err_errno(err, -ENOMEM, "cannot set up MQTT");
        }
        m->base = base;
        m->backoff_ms = MQTT_BACKOFF_MIN_MS;
        int r = options_copy(&m->options, options);
        m->on_retry = evtimer_new(base, retry_due, m);
        m->on_misc = event_new(base, -1, EV_PERSIST, misc_due, m);
        if (r < 0 || !m->on_retry || !m->on_misc) {
                mqtt_free(m);
                return err_errno(err, -ENOMEM, "cannot set up MQTT");
        }
        set_timer(m->on_misc, MQTT_MISC_MS);
        set_timer(m->on_retry,
                0); /* from the loop, so that no callback comes from within this call */
        *ret_mqtt = m;
        return 0;
}

void mqtt_free(struct mqtt *m)
{
        if (!m)
                return;
        if (m->mosq && m->state == MQTT_CONNECTED) {
                m->options.on_disconnected = NULL;
                mosquitto_disconnect(m->mosq);
                mosquitto_loop_write(m->mosq, 1);
        }
        drop_connection(m);
        if (m->on_misc)
                event_free(m->on_misc);
        if (m->on_retry)
                event_free(m->on_retry);
        for (size_t i = 0; i < m->n_filters; i++)
                free(m->filters[i]);
        options_fini(&m->options);
        free(m);
        if (--library_users == 0)
                mosquitto_lib_cleanup();
}

int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len,
        int *ret_message_id, struct err *err)
{
        if (m->state != MQTT_CONNECTED || m->lost)
                return err_set(err, -ENOTCONN, "no connection to the broker");
        if (len > INT32_MAX)
                return err_set(err, -EMSGSIZE, "message of %zu bytes is too large", len);
        int rc = mosquitto_publish(m->mosq, ret_message_id, topic, (int)len, payload, 1, false);
        if (rc != MOSQ_ERR_SUCCESS)
                return err_set(err, rc == MOSQ_ERR_NOMEM ? -ENOMEM : -EIO,
                        "cannot publish to '%s': %s", topic, mosquitto_strerror(rc));
        if (mosquitto_want_write(m->mosq))
                event_add(m->on_write, NULL);
        return 0;
}

int mqtt_subscribe(struct mqtt *m, const char *filter, struct err *err)
{
        if (m->n_filters == MQTT_MAX_FILTERS)
                return err_set(err, -ENOSPC, "more than %d subscriptions", MQTT_MAX_FILTERS);
        char *copy = strdup(filter);
        if (!copy)
                return err_errno(err, -ENOMEM, "cannot subscribe to '%s'", filter);
        m->filters[m->n_filters++] = copy;
        if (m->state == MQTT_CONNECTED && !m->lost) {
                mosquitto_subscribe(m->mosq, NULL, filter, 1);
                event_add(m->on_write, NULL);
        }
        return 0;
}
