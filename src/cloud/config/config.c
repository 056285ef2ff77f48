/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/config/config.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#define CONFIG_FILE "driveline.conf"

enum kind {
        KIND_ADDRESS,
        KIND_TEXT,
        KIND_DATABASE,
        KIND_OPTIONAL,
        KIND_LEVEL,
        KIND_DURATION,
        KIND_BYTES,
        KIND_COUNT,
        KIND_SWITCH,
        KIND_LIMIT
};

static const struct key {
        const char *name;
        enum kind kind;
        size_t offset;
        const char *fallback;
        const char *help;
} keys[] = {
#define KEY(field, kind, fallback, help)                                                           \
        {                                                                                          \
#field, kind, offsetof(struct cloud_config, field), fallback, help                 \
        }
        KEY(mqtt_listen, KIND_ADDRESS, "127.0.0.1:8883",
                "address of the broker: MQTT over mutual TLS"),
        KEY(http_listen, KIND_ADDRESS, "127.0.0.1:8080",
                "address of the update server: plain HTTP, loopback only"),
        KEY(https_listen, KIND_ADDRESS, "127.0.0.1:8443",
                "address of the update server for devices: TLS"),
        KEY(viewer_listen, KIND_ADDRESS, "127.0.0.1:8088",
                "address of the page: plain HTTP, loopback only"),
        KEY(tenant, KIND_TEXT, "DEFAULT", "tenant of the update server"),
        KEY(ota_database, KIND_DATABASE, "",
                "postgresql:// address of the update server's database; empty: a file of its own"),
        {"stream_max_age", KIND_DURATION, offsetof(struct cloud_config, stream_max_age_ms), "7d",
                "messages older than this leave the stream"},
        {"stream_max_size", KIND_BYTES, offsetof(struct cloud_config, stream_max_bytes), "2G",
                "the oldest messages leave a stream larger than this"},
        {"store_max_age", KIND_DURATION, offsetof(struct cloud_config, store_max_age_ms), "30d",
                "rows older than this leave the store"},
        {"poll_interval", KIND_DURATION, offsetof(struct cloud_config, poll_interval_ms), "30s",
                "how often devices are told to poll the update server"},
        KEY(trusted_proxies, KIND_TEXT, "127.0.0.0/8,::1",
                "addresses and networks whose proxy headers the update server believes"),
        KEY(forwarded_headers, KIND_SWITCH, "off",
                "links as those proxies' Forwarded and X-Forwarded-* say"),
        KEY(login_failures, KIND_COUNT, "10",
                "wrong passwords for a name from an address before the update server makes them "
                "wait"),
        KEY(peer_connections, KIND_LIMIT, "100",
                "connections to the update server that one address other than loopback may have "
                "open; 0: any number"),
        KEY(peer_reads, KIND_LIMIT, "200",
                "GET and HEAD requests a second of one such address; 0: any number"),
        KEY(peer_writes, KIND_LIMIT, "50",
                "other requests a second of one such address; 0: any number"),
        {"stall_timeout", KIND_DURATION, offsetof(struct cloud_config, stall_timeout_ms), "20s",
                "a client of the update server that stands still within a request or an answer is "
                "cut"},
        {"build_timeout", KIND_DURATION, offsetof(struct cloud_config, build_timeout_ms), "10m",
                "a pipeline's phase that takes longer is stopped"},
        {"build_memory", KIND_BYTES, offsetof(struct cloud_config, build_memory_bytes), "2G",
                "memory of each process of a build"},
        KEY(build_processes, KIND_COUNT, "256", "processes of a build at one time"),
        KEY(log_level, KIND_LEVEL, "info", "error, warning, info or debug"),
        KEY(dmf_broker, KIND_OPTIONAL, "",
                "gateways over AMQP (DMF): amqp://user@host:5672/vhost, or amqps:// with "
                "dmf_ca_file; the password is in secrets/dmf.password"),
        KEY(dmf_ca_file, KIND_OPTIONAL, "",
                "the CA certificates that an amqps:// broker's certificate comes from"),
        KEY(dmf_url, KIND_OPTIONAL, "",
                "where devices behind gateways download: http://host:port, several with commas"),
#undef KEY
};

static int parse_bytes(const char *text, int64_t *ret)
{
        static const char units[] = "KMGT";
        char *end = NULL;
        errno = 0;
        long long n = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
        if (n < 0 || errno)
                return -EINVAL;
        int shift = 0;
        if (*end) {
                const char *unit = strchr(units, *end);
                if (!unit || end[1])
                        return -EINVAL;
                shift = 10 * (int)(unit - units + 1);
        }
        if (n > INT64_MAX >> shift)
                return -EINVAL;
        *ret = n << shift;
        return 0;
}

static bool is_address(const char *text)
{
        const char *colon = strrchr(text, ':');
        if (!colon || colon == text)
                return false;
        char *end = NULL;
        long port = strtol(colon + 1, &end, 10);
        return end != colon + 1 && !*end && port > 0 && port < 65536;
}

static int set_text(struct cloud_config *c, const struct key *k, const char *value)
{
        char **field = (char **)((char *)c + k->offset);
        char *copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        free(*field);
        *field = copy;
        return 0;
}

/* NULL when set, else what was expected. */
static const char *set_key(struct cloud_config *c, const struct key *k, const char *value)
{
        int64_t *number = (int64_t *)((char *)c + k->offset);
        enum log_level level;
        char *end = NULL;
        switch (k->kind) {
        case KIND_ADDRESS:
                if (!is_address(value))
                        return "an address such as 127.0.0.1:8080";
                break;
        case KIND_LEVEL:
                if (log_level_from_string(value, &level) < 0)
                        return "error, warning, info or debug";
                break;
        case KIND_OPTIONAL:
                break;
        case KIND_SWITCH:
                if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
                        return "on or off";
                break;
        case KIND_TEXT:
                if (!*value)
                        return "a text";
                break;
        case KIND_DATABASE:
                if (*value && strncmp(value, "postgresql://", 13) != 0)
                        return "an address such as postgresql:///driveline";
                break;
        case KIND_DURATION:
                return clock_parse_duration_ms(value, number) < 0
                               ? "a duration such as 30s, 15m, 12h or 7d"
                               : NULL;
        case KIND_BYTES:
                return parse_bytes(value, number) < 0 ? "a size such as 500M or 2G" : NULL;
        case KIND_COUNT:
                *number = strtoll(value, &end, 10);
                return end == value || *end || *number < 1 ? "a whole number above 0" : NULL;
        case KIND_LIMIT:
                *number = strtoll(value, &end, 10);
                return end == value || *end || *number < 0 || *number > INT_MAX
                               ? "a whole number, or 0 for no limit"
                               : NULL;
        }
        return set_text(c, k, value) < 0 ? "more memory" : NULL;
}

static char *trim(char *text)
{
        text += strspn(text, " \t\r");
        size_t n = strlen(text);
        while (n && strchr(" \t\r", text[n - 1]))
                text[--n] = 0;
        return text;
}

static int parse_line(
        struct cloud_config *c, char *line, const char *path, int number, struct err *err)
{
        char *text = trim(line);
        if (!*text || *text == '#')
                return 0;
        char *equals = strchr(text, '=');
        if (!equals)
                return err_set(err, -EINVAL, "%s:%d: expected 'key = value'", path, number);
        *equals = 0;
        const char *name = trim(text), *value = trim(equals + 1);
        for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
                if (strcmp(keys[i].name, name))
                        continue;
                const char *expected = set_key(c, &keys[i], value);
                return expected ? err_set(err, -EINVAL, "%s:%d: '%s' needs %s, not '%s'", path,
                                          number, name, expected, value)
                                : 0;
        }
        return err_set(err, -EINVAL, "%s:%d: unknown key '%s'; 'driveline config' lists them", path,
                number, name);
}

static int read_file(struct cloud_config *c, struct err *err)
{
        char *path = cloud_path(c, CONFIG_FILE);
        CLEAN_MEM char *guard = path;
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        if (!guard || !fs_exists(path))
                return guard ? 0 : err_errno(err, -ENOMEM, "cannot read the configuration");
        int r = fs_read(path, &text, err);
        if (r < 0)
                return r;
        char *rest = text.data, *line;
        for (int number = 1; !r && rest && (line = strsep(&rest, "\n")); number++)
                r = parse_line(c, line, path, number, err);
        return r;
}

int cloud_config_load(const char *data_dir, struct cloud_config *ret_config, struct err *err)
{
        struct cloud_config c = {0};
        char here[PATH_MAX];
        if (data_dir[0] == '/')
                c.data_dir = strdup(data_dir);
        else if (getcwd(here, sizeof(here)))
                c.data_dir = fs_join(here, data_dir);
        int r = c.data_dir ? 0 : err_errno(err, -ENOMEM, "cannot use data folder '%s'", data_dir);
        for (size_t i = 0; !r && i < N_ELEMENTS(keys); i++)
                if (set_key(&c, &keys[i], keys[i].fallback))
                        r = err_errno(err, -ENOMEM, "cannot set '%s'", keys[i].name);
        if (!r)
                r = read_file(&c, err);
        if (r < 0)
                cloud_config_fini(&c);
        else
                *ret_config = c;
        return r;
}

void cloud_config_fini(struct cloud_config *c)
{
        for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
                enum kind k = keys[i].kind;
                if (k == KIND_ADDRESS || k == KIND_TEXT || k == KIND_DATABASE ||
                        k == KIND_OPTIONAL || k == KIND_LEVEL || k == KIND_SWITCH)
                        free(*(char **)((char *)c + keys[i].offset));
        }
        free(c->data_dir);
        *c = (struct cloud_config){0};
}

char *cloud_path(const struct cloud_config *c, const char *relative)
{
        return fs_join(c->data_dir, relative);
}

int cloud_config_sample(struct buf *ret)
{
        buf_adds(ret, "# driveline.conf: every key with its default\n");
        for (size_t i = 0; i < N_ELEMENTS(keys); i++)
                buf_addf(ret, "\n# %s\n#%s = %s\n", keys[i].help, keys[i].name, keys[i].fallback);
        return ret->error;
}

int cloud_address_split(const char *address, char *host, size_t host_size, int *ret_port)
{
        const char *colon = strrchr(address, ':');
        if (!colon)
                return -EINVAL;
        size_t n = (size_t)(colon - address);
        if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
                address++;
                n -= 2;
        }
        if (n >= host_size)
                return -ENAMETOOLONG;
        memcpy(host, address, n);
        host[n] = 0;
        *ret_port = atoi(colon + 1);
        return 0;
}
