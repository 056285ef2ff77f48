/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "base/clean.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/ota.h"
#include "cloud/registry/registry.h"
#include "tool/verb.h"

static const char usage[] =
        "driveline serve ota [--data DIR]\n"
        "driveline serve ota --listen HOST:PORT --data DIR --user NAME:PASSWORD:TENANT:ROLES …\n"
        "driveline serve ota --listen-tls HOST:PORT --cert FILE --key FILE [--client-ca FILE] …\n"
        "        [--database postgresql://[USER@]HOST[:PORT]/NAME]\n\n"
        "Without a --listen it runs the update server as part of the cloud whose data folder is "
        "DIR.\n"
        "With --listen it runs alone: hawkBit's Management and DDI interfaces over plain HTTP on\n"
        "loopback, with the users given; with --listen-tls over TLS on any address. An empty DIR "
        "is\n"
        "an empty server. ROLES are hawkBit's role or permission names with commas between them\n"
        "(TENANT_ADMIN, READ_TARGET, …), or nothing. Servers with the same --database and "
        "artifacts\n"
        "folder (DIR/artifacts) share their work; its password is in ~/.pgpass or a file that\n"
        "?passfile=FILE names.";

static int serve_cloud(const struct verb_context *v, struct err *err)
{
        struct cloud_config config;
        int r = cloud_config_load(v->data_dir, &config, err);
        if (r < 0)
                return r;
        enum log_level level = LOG_LEVEL_INFO;
        (void)log_level_from_string(config.log_level, &level);
        log_setup("ota", level);
        r = registry_init(&config, err);
        if (r == 0)
                r = ota_serve(&config, err);
        cloud_config_fini(&config);
        return r;
}

int verb_serve_ota(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        struct cli_list users = {0};
        const char *listen = NULL, *level = "info", *users_file = NULL, *database = NULL;
        int failures = LIMIT_LOGIN_FAILURES;
        const char *listen_tls = NULL, *cert = NULL, *key = NULL, *client_ca = NULL;
        bool both = false, routes = false, forwarded = false;
        struct cli_list proxies = {0};
        struct ota_dmf dmf = {0};
        struct http_limits limits = {0};
        int64_t stall = LIMIT_HTTP_STALL_MS;
        const struct cli_option options[] = {
                {"data", 0, CLI_TEXT, &v->data_dir, "DIR", "the data folder"},
                {"listen", 0, CLI_TEXT, &listen, "HOST:PORT",
                        "run alone, on this loopback address"},
                {"listen-tls", 0, CLI_TEXT, &listen_tls, "HOST:PORT",
                        "run alone, on this address by TLS"},
                {"cert", 0, CLI_TEXT, &cert, "FILE", "its certificate with those above it, PEM"},
                {"key", 0, CLI_TEXT, &key, "FILE", "its private key, PEM"},
                {"client-ca", 0, CLI_TEXT, &client_ca, "FILE",
                        "ask devices for a certificate of these CAs"},
                {"trusted-proxy", 0, CLI_LIST, &proxies, "ADDRESS",
                        "believe the headers of this address or network (repeatable; loopback)"},
                {"forwarded", 0, CLI_FLAG, &forwarded, NULL,
                        "links as those proxies' Forwarded and X-Forwarded-* say"},
                {"database", 0, CLI_TEXT, &database, "URL",
                        "keep the state in PostgreSQL, not in DIR/ota.db"},
                {"user", 0, CLI_LIST, &users, "NAME:PASSWORD:TENANT:ROLES", "a user (repeatable)"},
                {"users-file", 0, CLI_TEXT, &users_file, "FILE",
                        "users, a line each as above, so that no password is in a list of "
                        "processes"},
                {"login-failures", 0, CLI_INT, &failures, "N",
                        "wrong passwords for a name from an address before waits of 6 s each (10; "
                        "0: no waits)"},
                {"peer-connections", 0, CLI_INT, &limits.connections, "N",
                        "connections that one address may have open; 0: any number"},
                {"peer-reads", 0, CLI_INT, &limits.reads, "N",
                        "GET and HEAD requests a second of one address; 0: any number"},
                {"peer-writes", 0, CLI_INT, &limits.writes, "N",
                        "other requests a second of one address; 0: any number"},
                {"stall-timeout", 0, CLI_DURATION, &stall, "TIME",
                        "a client that stands still within a request or an answer is cut (20s)"},
                {"both-links", 0, CLI_FLAG, &both, NULL,
                        "offer 'download' beside 'download-http' links"},
                {"dmf", 0, CLI_TEXT, &dmf.broker, "URL",
                        "gateways over AMQP: amqp://user@host:5672/vhost, or amqps://"},
                {"dmf-password-file", 0, CLI_TEXT, &dmf.password_file, "FILE",
                        "the password of the broker's user, one line"},
                {"dmf-ca-file", 0, CLI_TEXT, &dmf.ca_file, "FILE",
                        "the CA certificates for an amqps:// broker"},
                {"dmf-url", 0, CLI_TEXT, &dmf.urls, "URL",
                        "where devices behind gateways download (--listen)"},
                {"log-level", 0, CLI_TEXT, &level, "LEVEL", "error, warning, info or debug"},
                {"routes", 0, CLI_FLAG, &routes, NULL, "print the interface and exit"},
                {0},
        };
        struct err err = ERR_INIT;
        const char *args[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv, usage, options, args, 0, &n, &code))
                return code;
        if (routes) {
                ota_print_routes(stdout);
                return CLI_OK;
        }
        if (limits.connections < 0 || limits.reads < 0 || limits.writes < 0 || stall < 100 ||
                stall > INT32_MAX) {
                fprintf(stderr, "driveline serve ota: a limit below zero, or a time below 100ms\n");
                return CLI_MISUSE;
        }
        enum log_level log = LOG_LEVEL_INFO;
        if (log_level_from_string(level, &log) < 0) {
                fprintf(stderr, "driveline serve ota: '%s' is no log level\n", level);
                return CLI_MISUSE;
        }
        log_setup("ota", log);
        struct ota_standalone alone = {.listen = listen,
                .listen_tls = listen_tls,
                .cert_file = cert,
                .key_file = key,
                .client_ca = client_ca,
                .proxies = proxies.items,
                .n_proxies = proxies.n,
                .uses_forwarded = forwarded,
                .data_dir = v->data_dir,
                .database = database,
                .users = users.items,
                .n_users = users.n,
                .users_file = users_file,
                .login_failures = failures,
                .dmf = dmf,
                .limits = limits,
                .stall_timeout_ms = (int)stall,
                .has_both_links = both};
        int r = listen || listen_tls ? ota_serve_standalone(&alone, &err) : serve_cloud(v, &err);
        return r < 0 ? cli_fail("driveline serve ota", &err) : CLI_OK;
}
