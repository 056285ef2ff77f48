/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The verbs of `driveline`: one file each, listed in driveline.c. A verb gets a `struct
 * verb_context *` and its own words (argv[0] is the verb), parses them with base/cli.h and returns
 * an exit code: CLI_OK, CLI_FAILED or CLI_MISUSE. Results go to stdout, messages to stderr.
 */
struct verb_context {
        const char *data_dir; /* as given by --data or the environment; absolute or relative */
};

int verb_up(void *context, int argc, char **argv);
int verb_serve(void *context, int argc, char **argv);
int verb_serve_ota(void *context, int argc, char **argv);
int verb_demo(void *context, int argc, char **argv);
int verb_thing(void *context, int argc, char **argv);
int verb_policy(void *context, int argc, char **argv);
int verb_rule(void *context, int argc, char **argv);
int verb_stream(void *context, int argc, char **argv);
int verb_query(void *context, int argc, char **argv);
int verb_pipeline(void *context, int argc, char **argv);
int verb_pipeline_hook(void); /* what git runs after a push; an exit code */
int verb_api(void *context, int argc, char **argv);
int verb_rollout(void *context, int argc, char **argv);
int verb_target(void *context, int argc, char **argv);
int verb_action(void *context, int argc, char **argv);
int verb_user(void *context, int argc, char **argv);
int verb_token(void *context, int argc, char **argv);
int verb_logs(void *context, int argc, char **argv);
int verb_why(void *context, int argc, char **argv);
int verb_config(void *context, int argc, char **argv);
int verb_version(void *context, int argc, char **argv);
