/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/broker/broker.h"
#include "cloud/registry/registry.h"
#include "cloud/stream/stream.h"

#include <errno.h>
#include <string.h>

#define PLUGIN "driveline_mosquitto.so"
#define CONF_MAX 16384

/* Room for topic, packet id and MQTT 5 properties beside the payload. */
#define PACKET_OVERHEAD LIMIT_KIB(4)

/* The build tree's place, the installed one, and the program's own folder. */
static char *find_plugin(struct err *err)
{
        static const char *const places[] = {
                "../cloud/broker/" PLUGIN, "../lib/driveline/" PLUGIN, PLUGIN};
        CLEAN_MEM char *dir = fs_program_dir();
        for (size_t i = 0; dir && i < N_ELEMENTS(places); i++) {
                CLEAN_MEM char *path = fs_join(dir, places[i]);
                char *real = path ? realpath(path, NULL) : NULL;
                if (real)
                        return real;
        }
        err_set(err, -ENOENT,
                "the broker's plugin " PLUGIN " is not beside '%s': build it or install "
                "Driveline again",
                dir ? dir : "this program");
        return NULL;
}

/* Mosquitto takes the rest of the line as the value, blanks too. */
static int add(struct buf *b, const char *key, const char *value, struct err *err)
{
        if (strchr(value, '\n'))
                return err_set(
                        err, -EINVAL, "a path with a line break can't be given to the broker");
        return buf_addf(b, "%s %s\n", key, value);
}

static int add_path(struct buf *b, const char *key, const struct cloud_config *config,
        const char *relative, struct err *err)
{
        CLEAN_MEM char *path = cloud_path(config, relative);
        return path ? add(b, key, path, err) : err_set(err, -ENOMEM, "out of memory");
}

static int add_listener(struct buf *b, const struct cloud_config *config, struct err *err)
{
        char host[256];
        int port;
        if (cloud_address_split(config->mqtt_listen, host, sizeof(host), &port) < 0)
                return err_set(
                        err, -EINVAL, "mqtt_listen: '%s' is no address", config->mqtt_listen);
        buf_addf(b, "listener %d %s\n", port, host);
        int r = add_path(b, "cafile", config, CLOUD_CA_CERT, err);
        if (!r)
                r = add_path(b, "certfile", config, CLOUD_SERVER_CERT, err);
        if (!r)
                r = add_path(b, "keyfile", config, CLOUD_SERVER_KEY, err);
        /* max_qos 1: a QoS 2 message that is sent twice would be in the stream twice, and what the
         * stream promises is what QoS 1 promises. */
        buf_adds(b, "require_certificate true\ntls_version tlsv1.2\nmax_qos 1\n");
        return r;
}

static int add_plugin(struct buf *b, const struct cloud_config *config, struct err *err)
{
        CLEAN_MEM char *plugin = find_plugin(err);
        if (!plugin)
                return -ENOENT;
        int r = add(b, "plugin", plugin, err);
        if (!r)
                r = add_path(b, "plugin_opt_access", config, CLOUD_ACCESS, err);
        if (!r)
                r = add_path(b, "plugin_opt_stream", config, STREAM_TELEMETRY, err);
        buf_addf(b,
                "plugin_opt_sync_ms %d\nplugin_opt_max_age_ms %lld\nplugin_opt_max_bytes %lld\n",
                BROKER_SYNC_MS, (long long)config->stream_max_age_ms,
                (long long)config->stream_max_bytes);
        return r;
}

static const char head[] =
        "# Written by driveline at each start of the broker: changes here are lost.\n"
        "# Settings are in driveline.conf.\n"
        "allow_anonymous false\n"
        /* What must last is in the stream before it is acknowledged; the rest are hints. */
        "persistence false\n"
        "persistent_client_expiration 1d\n"
        /* A retained message for each topic that a policy's wildcard allows would be memory without
         * a bound; and nothing here uses them. */
        "retain_available false\n"
        "sys_interval 0\n"
        "set_tcp_nodelay true\n"
        /* What one slow subscriber can make the broker hold. No path of the telemetry goes through
         * a subscriber. */
        "max_inflight_messages 100\n"
        "max_queued_messages 1000\n"
        "max_queued_bytes 4194304\n"
        "log_dest stderr\n"
        "log_timestamp true\n"
        "log_timestamp_format %Y-%m-%dT%H:%M:%S%z\n";

/* Information is always on, since it says when the broker is ready; connections are the bulk of the
 * log. At debug, Mosquitto logs each packet. */
static void add_log_types(struct buf *b, const char *level)
{
        bool quiet = level && (!strcmp(level, "error") || !strcmp(level, "warning"));
        buf_adds(b, level && !strcmp(level, "debug") ? "log_type all\n"
                                                     : "log_type error\nlog_type warning\nlog_type "
                                                       "notice\nlog_type information\n");
        buf_addf(b, "connection_messages %s\n", quiet ? "false" : "true");
}

int broker_write_config(const struct cloud_config *config, struct err *err)
{
        CLEAN_BUF struct buf b = BUF_INIT(CONF_MAX);
        buf_adds(&b, head);
        /* A larger packet ends its connection before memory is taken for it. message_size_limit
         * would acknowledge it in MQTT 3.1.1 and throw it away. */
        buf_addf(&b, "max_packet_size %zu\n", LIMIT_MESSAGE_BYTES + PACKET_OVERHEAD);
        add_log_types(&b, config->log_level);
        /* Started as root, Mosquitto would become another user, who can't read the data folder. */
        if (geteuid() == 0)
                buf_adds(&b, "user root\n");
        int r = add_listener(&b, config, err);
        if (!r)
                r = add_plugin(&b, config, err);
        if (!r && b.error)
                r = err_errno(err, b.error, "the broker's configuration");
        CLEAN_MEM char *path = cloud_path(config, BROKER_CONFIG);
        if (!r && !path)
                r = err_set(err, -ENOMEM, "out of memory");
        if (!r)
                r = fs_write_atomic(path, buf_text(&b), b.len, 0600, err);
        return r < 0 ? err_prefix(err, "cannot set the broker up") : 0;
}

/* ── the program ── */

/* The first `mosquitto` that may be run in a list of folders with colons between; NULL if none. */
static char *find_in(const char *folders)
{
        while (folders && *folders) {
                size_t n = strcspn(folders, ":");
                char *path = NULL;
                if (n && asprintf(&path, "%.*s/mosquitto", (int)n, folders) < 0)
                        return NULL;
                if (path && !access(path, X_OK))
                        return path;
                free(path);
                folders += n + (folders[n] == ':');
        }
        return NULL;
}

int broker_command(const struct cloud_config *config, struct broker_command *ret, struct err *err)
{
        CLEAN_MEM char *program = find_in(getenv("PATH"));
        if (!program)
                program = find_in("/usr/sbin:/usr/local/sbin:/sbin");
        if (!program)
                return err_set(err, -ENOENT,
                        "mosquitto is not installed: run 'apt-get install mosquitto'");
        CLEAN_MEM char *conf = cloud_path(config, BROKER_CONFIG);
        CLEAN_MEM char *option = strdup("-c");
        if (!conf || !option)
                return err_set(err, -ENOMEM, "out of memory");
        *ret = (struct broker_command){{TAKE(program), TAKE(option), TAKE(conf), NULL}};
        return 0;
}

void broker_command_fini(struct broker_command *c)
{
        for (size_t i = 0; i < N_ELEMENTS(c->argv); i++)
                free(c->argv[i]);
        *c = (struct broker_command){0};
}

int broker_exec(const struct cloud_config *config, struct err *err)
{
        struct broker_command c = {0};
        int r = registry_init(config, err);
        if (!r)
                r = broker_write_config(config, err);
        if (!r)
                r = broker_command(config, &c, err);
        if (r < 0)
                return r;
        execv(c.argv[0], c.argv);
        r = err_errno(err, -errno, "cannot run '%s'", c.argv[0]);
        broker_command_fini(&c);
        return r;
}
