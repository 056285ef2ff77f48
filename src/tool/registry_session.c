/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tool/registry_session.h"

#include <stdio.h>
#include <string.h>

void registry_session_fini(struct registry_session *s)
{
        registry_free(s->registry);
        cloud_config_fini(&s->config);
        *s = (struct registry_session){0};
}

int registry_session_open(
        struct registry_session *s, const struct verb_context *context, struct err *err)
{
        int r = cloud_config_load(context->data_dir, &s->config, err);
        return r < 0 ? r : registry_open(&s->config, &s->registry, err);
}

int output_is_json(const char *program, const char *output)
{
        if (!strcmp(output, "json"))
                return 1;
        if (!strcmp(output, "table"))
                return 0;
        fprintf(stderr, "%s: --output must be table or json, not '%s'\n", program, output);
        return -1;
}
