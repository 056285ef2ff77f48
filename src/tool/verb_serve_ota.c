/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "base/clean.h"
#include "base/log.h"
#include "cloud/ota/ota.h"
#include "cloud/registry/registry.h"
#include "tool/verb.h"

static const char usage[] =
        "driveline serve ota [--data DIR]\n"
        "driveline serve ota --listen HOST:PORT --data DIR --user NAME:PASSWORD:TENANT:ROLES …\n\n"
        "Without --listen it runs the update server as part of the cloud whose data folder is "
        "DIR.\n"
        "With --listen it runs alone: hawkBit's Management and DDI interfaces over plain HTTP on\n"
        "loopback, with the users given; an empty DIR is an empty server. ROLES are hawkBit's role "
        "or\n"
        "permission names with commas between them (TENANT_ADMIN, READ_TARGET, …), or nothing.";

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
        const char *listen = NULL, *level = "info";
        bool both = false, routes = false;
        const struct cli_option options[] = {
                {"data", 0, CLI_TEXT, &v->data_dir, "DIR", "the data folder"},
                {"listen", 0, CLI_TEXT, &listen, "HOST:PORT",
                        "run alone, on this loopback address"},
                {"user", 0, CLI_LIST, &users, "NAME:PASSWORD:TENANT:ROLES", "a user (repeatable)"},
                {"both-links", 0, CLI_FLAG, &both, NULL,
                        "offer 'download' beside 'download-http' links"},
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
        enum log_level log = LOG_LEVEL_INFO;
        if (log_level_from_string(level, &log) < 0) {
                fprintf(stderr, "driveline serve ota: '%s' is no log level\n", level);
                return CLI_MISUSE;
        }
        log_setup("ota", log);
        struct ota_standalone alone = {.listen = listen,
                .data_dir = v->data_dir,
                .users = users.items,
                .n_users = users.n,
                .has_both_links = both};
        int r = listen ? ota_serve_standalone(&alone, &err) : serve_cloud(v, &err);
        return r < 0 ? cli_fail("driveline serve ota", &err) : CLI_OK;
}
