/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "cloud/config/config.h"
#include "tool/registry_session.h"
#include "tool/verb.h"

#include <stdio.h>

int verb_config(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        const char *none[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline config\n\nChecks DATA/driveline.conf and prints a sample with every "
                    "key, its default and meaning.",
                    options, none, 0, &n, &code))
                return code;
        struct cloud_config config;
        struct err err = ERR_INIT;
        if (cloud_config_load(v->data_dir, &config, &err) < 0)
                return cli_fail("driveline config", &err);
        cloud_config_fini(&config);
        CLEAN_BUF struct buf sample = BUF_INIT(65536);
        if (cloud_config_sample(&sample) < 0)
                return CLI_FAILED;
        fputs(buf_text(&sample), stdout);
        return CLI_OK;
}
