/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "base/log.h"
#include "cloud/broker/broker.h"
#include "cloud/ota/ota.h"
#include "cloud/pipeline/pipeline.h"
#include "cloud/store/store.h"
#include "cloud/viewer/viewer.h"
#include "tool/registry_session.h"
#include "tool/verb.h"

#include <stdio.h>
#include <string.h>

static const struct role {
        const char *name;
        int (*serve)(const struct cloud_config *config, struct err *err);
} roles[] = {
        {"broker", broker_exec}, /* becomes mosquitto */
        {"ota", ota_serve},
        {"store", store_serve},
        {"pipeline", pipeline_serve},
        {"viewer", viewer_serve},
};

static int serve(const struct verb_context *v, const struct role *role)
{
        struct cloud_config config;
        struct err err = ERR_INIT;
        if (cloud_config_load(v->data_dir, &config, &err) < 0)
                return cli_fail("driveline serve", &err);
        enum log_level level = LOG_LEVEL_INFO;
        (void)log_level_from_string(config.log_level, &level);
        log_setup(role->name, level);
        int r = registry_init(&config, &err);
        if (!r)
                r = role->serve(&config, &err);
        cloud_config_fini(&config);
        if (r < 0)
                log_error("%s", err.text);
        return r < 0 ? CLI_FAILED : CLI_OK;
}

int verb_serve(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        /* The update server alone has options of its own: it is useful without the rest. */
        if (argc > 2 && !strcmp(argv[1], "ota"))
                return verb_serve_ota(context, argc - 1, argv + 1);
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        const char *args[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline serve ROLE\n\n"
                    "Runs one part of the cloud until SIGTERM: broker, ota (the update server), "
                    "store, pipeline\n"
                    "or viewer. 'driveline up' starts them all; 'driveline serve ota --help' tells "
                    "how to run the\n"
                    "update server without the rest.",
                    options, args, 1, &n, &code))
                return code;
        for (size_t i = 0; n && i < N_ELEMENTS(roles); i++)
                if (!strcmp(args[0], roles[i].name))
                        return serve(v, &roles[i]);
        fprintf(stderr, "driveline serve: name a role: broker, ota, store, pipeline or viewer\n");
        return CLI_MISUSE;
}
