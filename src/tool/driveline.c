/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* `driveline`: the cloud and its command line in one binary. */
#include "base/clean.h"
#include "base/cli.h"
#include "base/fs.h"
#include "tool/verb.h"

#include <signal.h>
#include <string.h>

static const struct cli_verb verbs[] = {
        {"up", "start the whole cloud on this machine", verb_up},
        {"serve", "run one part of the cloud: ota, store, pipeline or viewer", verb_serve},
        {"demo", "carry out the whole run with simulated cars", verb_demo},
        {"thing", "create and manage things and their certificates", verb_thing},
        {"policy", "manage and test what things may do", verb_policy},
        {"rule", "manage and test the rules that fill the store", verb_rule},
        {"stream", "read the durable stream of messages", verb_stream},
        {"query", "read the store: tables, JSON or CSV", verb_query},
        {"pipeline", "create pipelines, follow and repeat their runs", verb_pipeline},
        {"api", "call any route of the update server, or of another hawkBit", verb_api},
        {"rollout", "list and steer rollouts", verb_rollout},
        {"target", "list the cars that the update server knows", verb_target},
        {"action", "list and cancel update actions", verb_action},
        {"user", "manage who may call the update server", verb_user},
        {"token", "manage API tokens of the update server", verb_token},
        {"logs", "print the cloud's log", verb_logs},
        {"why", "say what an action, a rollout or a run waits for", verb_why},
        {"config", "print the sample configuration", verb_config},
        {"version", "print the version", verb_version},
        {0},
};

/* $DRIVELINE_DATA, else $XDG_STATE_HOME/driveline, else ~/.local/state/driveline. */
static char *default_data_dir(void)
{
        const char *dir = getenv("DRIVELINE_DATA");
        if (dir && *dir)
                return strdup(dir);
        dir = getenv("XDG_STATE_HOME");
        if (dir && *dir)
                return fs_join(dir, "driveline");
        dir = getenv("HOME");
        return fs_join(dir && *dir ? dir : "/root", ".local/state/driveline");
}

int main(int argc, char **argv)
{
        /* Repositories of pipelines have this program as their hook: git calls it by the hook's
         * name. */
        if (argc > 0 && !strcmp(basename(argv[0]), "post-receive"))
                return verb_pipeline_hook();
        CLEAN_MEM char *data_dir = default_data_dir();
        struct verb_context context = {data_dir};
        int i = 1;
        signal(SIGPIPE, SIG_IGN);
        while (i < argc && argv[i][0] == '-') {
                if (!strcmp(argv[i], "--version"))
                        return verb_version(&context, 1, argv);
                if (!strncmp(argv[i], "--data=", 7)) {
                        context.data_dir = argv[i++] + 7;
                } else if (!strcmp(argv[i], "--data") && i + 1 < argc) {
                        context.data_dir = argv[i + 1];
                        i += 2;
                } else {
                        break;
                }
        }
        if (!context.data_dir || !*context.data_dir) {
                fprintf(stderr, "driveline: no data folder; name one with --data DIR\n");
                return CLI_MISUSE;
        }
        return cli_dispatch("driveline [--data DIR]", verbs, &context, argc - i, argv + i);
}
