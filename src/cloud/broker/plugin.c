/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * driveline_mosquitto.so: Mosquitto's side of the gate and of the stream.
 *
 * Mosquitto calls from its one loop: BASIC_AUTH for each CONNECT, ACL_CHECK before it takes, sends
 * or subscribes anything, MESSAGE before it acknowledges a PUBLISH, TICK at least ten times a
 * second, DISCONNECT at the end of a connection. A MESSAGE callback that fails with anything but
 * ACL_DENIED or QUOTA_EXCEEDED ends the connection without an acknowledgement, so a message that
 * could not be appended stays the sender's.
 *
 * use_identity_as_username must stay off in mosquitto.conf: with it, BASIC_AUTH is never called.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/tls.h"
#include "cloud/broker/gate.h"
#include "cloud/broker/topic.h"
#include "cloud/stream/stream.h"

#include <errno.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <string.h>

#define RELOAD_EVERY_MS 50
#define SWEEP_EVERY_MS 250
#define RETAIN_EVERY_MS 60000
#define PROTOCOL_MQTT5 5

/* All else stays inside the plugin, so that no name of ours meets one of Mosquitto's. */
#define EXPORT __attribute__((visibility("default")))
EXPORT int mosquitto_plugin_version(int n, const int *versions);
EXPORT int mosquitto_plugin_init(
        mosquitto_plugin_id_t *id, void **ret_data, struct mosquitto_opt *options, int n_options);
EXPORT int mosquitto_plugin_cleanup(void *data, struct mosquitto_opt *options, int n_options);

struct plugin {
        mosquitto_plugin_id_t *id;
        struct gate *gate;
        struct stream_writer *stream;
        int64_t sync_ms; /* 0: the kernel writes when it likes */
        int64_t reloaded_at_ms, swept_at_ms, synced_at_ms, retained_at_ms; /* monotonic */
        uint64_t synced_offset;
        bool is_failing; /* appends fail: said once */
        uint64_t n_failed;
};

/* ── connections ── */

static void reload(struct plugin *p)
{
        struct err err = ERR_INIT;
        int r = gate_reload(p->gate, &err);
        if (r < 0)
                mosquitto_log_printf(
                        MOSQ_LOG_ERR, "driveline: the rules of before stay in force: %s", err.text);
        else if (r != GATE_UNCHANGED) {
                p->swept_at_ms = 0;
                mosquitto_log_printf(MOSQ_LOG_INFO, "driveline: new rules, %zu certificates",
                        gate_certificates(p->gate));
        }
}

static int on_auth(int event, void *event_data, void *data)
{
        (void)event;
        struct plugin *p = data;
        struct mosquitto_evt_basic_auth *e = event_data;
        const char *id = mosquitto_client_id(e->client);
        reload(p); /* whoever was created or deactivated a moment ago is so already */
        char cn[LIMIT_THING_NAME_BYTES + 1], serial[REGISTRY_SERIAL_SIZE];
        X509 *cert = mosquitto_client_certificate(e->client);
        bool known = cert && tls_certificate_identity(cert, cn, sizeof(cn), serial, sizeof(serial));
        X509_free(cert);
        struct err err = ERR_INIT;
        if (!known)
                err_set(&err, -EACCES, "no usable certificate");
        else if (!gate_connect(p->gate, e->client, cn, serial, id, clock_now_ms(), &err) &&
                 mosquitto_set_username(e->client, cn) != MOSQ_ERR_SUCCESS)
                err_set(&err, -ENOMEM, "out of memory");
        if (!err.code)
                return MOSQ_ERR_SUCCESS;
        gate_disconnect(p->gate, e->client);
        const char *address = mosquitto_client_address(e->client);
        mosquitto_log_printf(MOSQ_LOG_WARNING, "driveline: refused a connection from %s: %s",
                address ? address : "?", err.text);
        return MOSQ_ERR_AUTH;
}

static int on_disconnect(int event, void *event_data, void *data)
{
        (void)event;
        struct plugin *p = data;
        gate_disconnect(p->gate, ((struct mosquitto_evt_disconnect *)event_data)->client);
        return MOSQ_ERR_SUCCESS;
}

/* ── what they may do ── */

static void log_refusal(struct plugin *p, const struct mosquitto_evt_acl_check *e,
        enum policy_action action, int64_t now_ms)
{
        unsigned hidden;
        if (!gate_should_log(p->gate, e->client, now_ms, &hidden))
                return;
        mosquitto_log_printf(MOSQ_LOG_WARNING, "driveline: refused %s of '%s' on '%.200s'%s",
                policy_action_to_string(action), mosquitto_client_id(e->client), e->topic,
                hidden ? ", and more before" : "");
}

/* MQTT 3.1.1 has no way to say no to a PUBLISH: it is acknowledged or the connection ends
 * [MQTT-3.3.5-2]. What we acknowledge is in the stream, so it ends. */
static int refusal_code(const struct mosquitto_evt_acl_check *e)
{
        bool must_end = e->access == MOSQ_ACL_WRITE && e->qos > 0 &&
                        mosquitto_client_protocol_version(e->client) != PROTOCOL_MQTT5;
        return must_end ? MOSQ_ERR_AUTH : MOSQ_ERR_ACL_DENIED;
}

static int on_acl(int event, void *event_data, void *data)
{
        (void)event;
        struct plugin *p = data;
        const struct mosquitto_evt_acl_check *e = event_data;
        enum policy_action action;
        switch (e->access) {
        case MOSQ_ACL_READ:
                action = POLICY_RECEIVE;
                break;
        case MOSQ_ACL_WRITE:
                action = POLICY_PUBLISH;
                break;
        case MOSQ_ACL_SUBSCRIBE:
                action = POLICY_SUBSCRIBE;
                break;
        case MOSQ_ACL_UNSUBSCRIBE:
                return MOSQ_ERR_SUCCESS;
        default:
                return MOSQ_ERR_ACL_DENIED;
        }
        int64_t now = clock_now_ms();
        if (gate_allows(p->gate, e->client, mosquitto_client_id(e->client), action, e->topic, now))
                return MOSQ_ERR_SUCCESS;
        if (action == POLICY_RECEIVE)
                return MOSQ_ERR_ACL_DENIED; /* each message for each subscriber: no place for a log
                                             */
        log_refusal(p, e, action, now);
        return refusal_code(e);
}

/* ── messages ── */

static void append_failed(struct plugin *p, const struct err *err)
{
        p->n_failed++;
        if (p->is_failing)
                return;
        p->is_failing = true;
        mosquitto_log_printf(MOSQ_LOG_ERR,
                "driveline: messages are not acknowledged, because they can't be stored: %s%s",
                err->text, err->code == -ENOSPC ? "; free space in the data folder" : "");
}

static void append_worked(struct plugin *p)
{
        if (!p->is_failing)
                return;
        p->is_failing = false;
        mosquitto_log_printf(MOSQ_LOG_NOTICE,
                "driveline: messages are stored again, after %llu that were refused",
                (unsigned long long)p->n_failed);
        p->n_failed = 0;
}

static int on_message(int event, void *event_data, void *data)
{
        (void)event;
        struct plugin *p = data;
        const struct mosquitto_evt_message *e = event_data;
        if (!topic_is_kept(e->topic))
                return MOSQ_ERR_SUCCESS;
        struct err err = ERR_INIT;
        if (stream_append(p->stream, e->topic, e->payload, e->payloadlen, clock_now_ms(), NULL,
                    &err) < 0) {
                append_failed(p, &err);
                return MOSQ_ERR_UNKNOWN;
        }
        append_worked(p);
        return MOSQ_ERR_SUCCESS;
}

/* ── time ── */

static void sweep(struct plugin *p)
{
        char id[LIMIT_THING_NAME_BYTES + 1];
        while (gate_next_dead(p->gate, clock_now_ms(), id)) {
                mosquitto_log_printf(MOSQ_LOG_NOTICE,
                        "driveline: ended the session of '%s': its certificate is not active", id);
                mosquitto_kick_client_by_clientid(id, false);
        }
}

/* One sync for all that came since the last. It holds the broker up for as long as the disk takes,
 * which is why it isn't done for each message: kill -9 loses nothing anyway, only a power cut
 * would. */
static void sync_stream(struct plugin *p)
{
        uint64_t next = stream_next_offset(p->stream);
        if (next == p->synced_offset)
                return;
        struct err err = ERR_INIT;
        if (stream_sync(p->stream, &err) < 0)
                append_failed(p, &err);
        p->synced_offset = next;
}

static void retain(struct plugin *p)
{
        struct err err = ERR_INIT;
        if (stream_retain(p->stream, clock_now_ms(), &err) < 0)
                mosquitto_log_printf(MOSQ_LOG_ERR, "driveline: %s", err.text);
}

static bool is_due(int64_t *last_ms, int64_t now_ms, int64_t every_ms)
{
        if (*last_ms && now_ms - *last_ms < every_ms)
                return false;
        *last_ms = now_ms;
        return true;
}

static int on_tick(int event, void *event_data, void *data)
{
        (void)event;
        (void)event_data;
        struct plugin *p = data;
        int64_t now = clock_mono_ms();
        if (is_due(&p->reloaded_at_ms, now, RELOAD_EVERY_MS))
                reload(p);
        if (is_due(&p->swept_at_ms, now, SWEEP_EVERY_MS))
                sweep(p);
        if (p->sync_ms && is_due(&p->synced_at_ms, now, p->sync_ms))
                sync_stream(p);
        if (is_due(&p->retained_at_ms, now, RETAIN_EVERY_MS))
                retain(p);
        return MOSQ_ERR_SUCCESS;
}

static int on_reload(int event, void *event_data, void *data)
{
        (void)event;
        (void)event_data;
        reload(data);
        return MOSQ_ERR_SUCCESS;
}

/* ── setting up ── */

static const struct {
        int event;
        MOSQ_FUNC_generic_callback callback;
} callbacks[] = {
        {MOSQ_EVT_BASIC_AUTH, on_auth},
        {MOSQ_EVT_ACL_CHECK, on_acl},
        {MOSQ_EVT_MESSAGE, on_message},
        {MOSQ_EVT_DISCONNECT, on_disconnect},
        {MOSQ_EVT_TICK, on_tick},
        {MOSQ_EVT_RELOAD, on_reload},
};

static const char *option(const struct mosquitto_opt *options, int n, const char *key)
{
        for (int i = 0; i < n; i++)
                if (!strcmp(options[i].key, key))
                        return options[i].value;
        return NULL;
}

static int64_t number(const struct mosquitto_opt *options, int n, const char *key)
{
        const char *text = option(options, n, key);
        return text ? strtoll(text, NULL, 10) : 0;
}

static void plugin_free(struct plugin *p)
{
        stream_writer_free(p->stream);
        gate_free(p->gate);
        free(p);
}
CLEAN_DEFINE(plugin, plugin_free);

static int plugin_new(
        const struct mosquitto_opt *options, int n, struct plugin **ret, struct err *err)
{
        const char *access = option(options, n, "access"), *stream = option(options, n, "stream");
        if (!access || !stream)
                return err_set(err, -EINVAL, "plugin_opt_access and plugin_opt_stream are needed");
        CLEAN(plugin) struct plugin *p = calloc(1, sizeof(*p));
        if (!p)
                return err_set(err, -ENOMEM, "out of memory");
        p->sync_ms = number(options, n, "sync_ms");
        const struct stream_options limits = {
                .max_age_ms = number(options, n, "max_age_ms"),
                .max_bytes = number(options, n, "max_bytes"),
        };
        int r = gate_new(access, &p->gate, err);
        if (!r)
                r = stream_writer_open(stream, &limits, &p->stream, err);
        if (r < 0)
                return r;
        p->synced_offset = stream_next_offset(p->stream);
        *ret = TAKE(p);
        return 0;
}

int mosquitto_plugin_version(int n, const int *versions)
{
        for (int i = 0; i < n; i++)
                if (versions[i] == MOSQ_PLUGIN_VERSION)
                        return MOSQ_PLUGIN_VERSION;
        return -1;
}

int mosquitto_plugin_init(
        mosquitto_plugin_id_t *id, void **ret_data, struct mosquitto_opt *options, int n_options)
{
        log_setup("broker", LOG_LEVEL_INFO);
        CLEAN(plugin) struct plugin *p = NULL;
        struct err err = ERR_INIT;
        if (plugin_new(options, n_options, &p, &err) < 0) {
                mosquitto_log_printf(MOSQ_LOG_ERR, "driveline: %s", err.text);
                return MOSQ_ERR_UNKNOWN;
        }
        p->id = id;
        for (size_t i = 0; i < N_ELEMENTS(callbacks); i++) {
                int r = mosquitto_callback_register(
                        id, callbacks[i].event, callbacks[i].callback, NULL, p);
                if (r != MOSQ_ERR_SUCCESS)
                        return r;
        }
        mosquitto_log_printf(MOSQ_LOG_INFO, "driveline: %zu certificates, stream at offset %llu",
                gate_certificates(p->gate), (unsigned long long)p->synced_offset);
        *ret_data = TAKE(p);
        return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void *data, struct mosquitto_opt *options, int n_options)
{
        (void)options;
        (void)n_options;
        struct plugin *p = data;
        for (size_t i = 0; i < N_ELEMENTS(callbacks); i++)
                mosquitto_callback_unregister(
                        p->id, callbacks[i].event, callbacks[i].callback, NULL);
        plugin_free(p);
        return MOSQ_ERR_SUCCESS;
}
