/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "base/limits.h"
#include "cloud/ota/ota.h"
#include "cloud/pipeline/pipeline.h"
#include "tool/registry_session.h"
#include "tool/verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int why_run(
        const struct cloud_config *c, const char *number, struct buf *ret, struct err *err)
{
        char *end = NULL;
        errno = 0;
        long long run = strtoll(number, &end, 10);
        if (errno || end == number || *end || run < 1)
                return err_set(err, -EINVAL, "'run/%s' needs a run's number", number);
        return pipeline_why(c, run, ret, err);
}

static int why_ota(const struct cloud_config *c, const char *id, struct buf *ret, struct err *err)
{
        CLEAN(ota_view) struct ota_view *view = NULL;
        int r = ota_view_open(c, &view, err);
        if (r == -ENOENT)
                return err_set(err, r,
                        "the update server has never run on '%s': start it with 'driveline up'",
                        c->data_dir);
        return r < 0 ? r : ota_why(view, id, ret, err);
}

int verb_why(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const struct cli_option options[] = {OPTION_DATA(v), {0}};
        const char *args[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline why ID\n\n"
                    "Says what ID waits for or failed at, and which command would move it. ID is "
                    "action/N,\n"
                    "rollout/N, group/N (of a rollout), run/N (of a pipeline) or the name of a "
                    "thing.",
                    options, args, 1, &n, &code))
                return code;
        if (!n) {
                fprintf(stderr, "driveline why: name an ID: action/N, rollout/N, group/N, run/N or "
                                "a thing\n");
                return CLI_MISUSE;
        }
        struct cloud_config config;
        struct err err = ERR_INIT;
        if (cloud_config_load(v->data_dir, &config, &err) < 0)
                return cli_fail("driveline why", &err);
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        int r = strncmp(args[0], "run/", 4) ? why_ota(&config, args[0], &text, &err)
                                            : why_run(&config, args[0] + 4, &text, &err);
        cloud_config_fini(&config);
        if (r < 0)
                return cli_fail("driveline why", &err);
        fputs(buf_text(&text), stdout);
        if (text.len && text.data[text.len - 1] != '\n')
                putchar('\n');
        return CLI_OK;
}
