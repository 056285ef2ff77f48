/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* What the verbs on the registry share: the configuration and the open registry of a data folder.
 */
#include "base/cli.h"
#include "cloud/registry/registry.h"
#include "tool/verb.h"

struct registry_session {
        struct cloud_config config;
        struct registry *registry;
};

#define CLEAN_SESSION __attribute__((cleanup(registry_session_fini)))
void registry_session_fini(struct registry_session *s);

/* Opens both; sets the registry up when the data folder is new. */
int registry_session_open(
        struct registry_session *s, const struct verb_context *context, struct err *err);

/* Every verb takes --data behind its name too. */
#define OPTION_DATA(context)                                                                       \
        {                                                                                          \
                "data", 0, CLI_TEXT, &(context)->data_dir, "DIR", "the cloud's data folder"        \
        }
/* For `const char *`: "table" or "json". */
#define OPTION_OUTPUT(value)                                                                       \
        {                                                                                          \
                "output", 0, CLI_TEXT, (value), "FORMAT", "table (the default) or json"            \
        }
/* Whether the output is JSON: 1 or 0; -1 after a message for anything but table and json. */
int output_is_json(const char *program, const char *output);
