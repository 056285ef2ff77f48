/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/pipeline.h"
#include "tool/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define VERB "driveline pipeline"
#define PIPELINE_RUNS_SHOWN 20
/* The same last line in each verb's table of options. */
#define DATA_OPTION(v)                                                                             \
        {                                                                                          \
                "data", 0, CLI_TEXT, (void *)&(v)->data_dir, "DIR", "the cloud's data folder"      \
        }

static int misuse(const char *text)
{
        fprintf(stderr, VERB ": %s; see --help\n", text);
        return CLI_MISUSE;
}

static int load(const struct verb_context *v, struct cloud_config *config)
{
        struct err err = ERR_INIT;
        return cloud_config_load(v->data_dir, config, &err) < 0 ? cli_fail(VERB, &err) : CLI_OK;
}

/* Whether a table or JSON is wanted; a name of the two that is unknown is misuse. */
static int read_output(const char *output, bool *ret_is_json)
{
        *ret_is_json = !strcmp(output, "json");
        return *ret_is_json || !strcmp(output, "table") ? CLI_OK
                                                        : misuse("--output is 'table' or 'json'");
}

static int print_json(const json_t *value)
{
        json_dumpf(value, stdout, JSON_INDENT(2));
        putchar('\n');
        return CLI_OK;
}

/* ── create and delete ── */

static int copy(char *to, size_t size, const char *text)
{
        return text && (size_t)snprintf(to, size, "%s", text) >= size ? -1 : 0;
}

struct create_arguments {
        const char *language, *branch, *environment, *deploy, *filter, *module_type, *seed, *server,
                *server_user, *password_file;
        int groups, success, error;
};

static int fill(
        struct pipeline *p, const char *name, const struct create_arguments *a, struct err *err)
{
        char file[PATH_MAX] = "";
        int r = pipeline_defaults(a->language, p, err);
        if (r < 0)
                return r;
        /* The server runs elsewhere than the caller: a relative path would not be found again. */
        if (a->password_file && !realpath(a->password_file, file))
                return err_errno(err, -errno, "cannot read '%s'", a->password_file);
        r = copy(p->name, sizeof(p->name), name) | copy(p->branch, sizeof(p->branch), a->branch) |
            copy(p->environment, sizeof(p->environment), a->environment) |
            copy(p->deploy, sizeof(p->deploy), a->deploy) |
            copy(p->target_filter, sizeof(p->target_filter), a->filter) |
            copy(p->module_type, sizeof(p->module_type), a->module_type) |
            copy(p->server, sizeof(p->server), a->server) |
            copy(p->server_user, sizeof(p->server_user), a->server_user) |
            copy(p->password_file, sizeof(p->password_file), file);
        p->groups = a->groups;
        p->success_threshold = a->success;
        p->error_threshold = a->error;
        return r ? err_set(err, -ENAMETOOLONG, "a value is too long") : 0;
}

static int create(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        struct create_arguments a = {.groups = 1, .success = 50, .error = 50};
        const char *name;
        size_t n;
        int code;
        const struct cli_option options[] = {
                {"language", 'l', CLI_TEXT, &a.language, "LANGUAGE", "c or python (needed)"},
                {"seed-from", 0, CLI_TEXT, &a.seed, "DIR",
                        "make this folder's files the first commit (starts no run)"},
                {"branch", 'b', CLI_TEXT, &a.branch, "NAME",
                        "branch that is watched (default: main)"},
                {"environment", 'e', CLI_TEXT, &a.environment, "NAME",
                        "gcc-x86_64, gcc-aarch64 or python (default: by the language)"},
                {"deploy", 'd', CLI_TEXT, &a.deploy, "HOW", "rollout (default) or assignment"},
                {"target-filter", 'f', CLI_TEXT, &a.filter, "QUERY",
                        "which cars (default: 'controllerid==*')"},
                {"groups", 0, CLI_INT, &a.groups, "N", "groups of the rollout (default: 1)"},
                {"success-threshold", 0, CLI_INT, &a.success, "PERCENT",
                        "of a group, starts the next one (default: 50)"},
                {"error-threshold", 0, CLI_INT, &a.error, "PERCENT",
                        "of a group, pauses the rollout (default: 50)"},
                {"module-type", 0, CLI_TEXT, &a.module_type, "TYPE", "application (default) or os"},
                {"server", 0, CLI_TEXT, &a.server, "URL",
                        "another update server, e.g. http://host:8080"},
                {"server-user", 0, CLI_TEXT, &a.server_user, "NAME", "its user (default: admin)"},
                {"server-password-file", 0, CLI_TEXT, &a.password_file, "FILE",
                        "file with the user's password in one line"},
                DATA_OPTION(v),
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline pipeline create --language LANGUAGE [options] NAME\n\n"
                    "Makes a git repository whose watched branch turns each push into an update: "
                    "built or\n"
                    "tested, packaged with its manifest.xml, and rolled out or assigned to the "
                    "cars.",
                    options, &name, 1, &n, &code))
                return code;
        if (!n)
                return misuse("create needs a NAME");
        if (!a.language)
                return misuse("create needs --language c or --language python");
        struct err err = ERR_INIT;
        struct pipeline p;
        struct cloud_config config;
        CLEAN_MEM char *repo = NULL;
        if (fill(&p, name, &a, &err) < 0)
                return cli_fail(VERB, &err);
        if (load(v, &config))
                return CLI_FAILED;
        int r = pipeline_create(&config, &p, a.seed, &repo, &err);
        cloud_config_fini(&config);
        if (r < 0)
                return cli_fail(VERB, &err);
        printf("pipeline '%s' watches branch '%s' of %s\n", p.name, p.branch, repo);
        printf("git clone %s\n", repo);
        return CLI_OK;
}

static int delete (void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        bool force = false;
        const char *name;
        size_t n;
        int code;
        const struct cli_option options[] = {
                {"force", 0, CLI_FLAG, &force, NULL,
                        "yes, with its repository and all that was pushed"},
                DATA_OPTION(v),
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline pipeline delete --force NAME\n\n"
                    "Removes a pipeline with its repository, runs and logs. What it deployed "
                    "stays.",
                    options, &name, 1, &n, &code))
                return code;
        if (!n)
                return misuse("delete needs a NAME");
        if (!force)
                return misuse("delete removes the repository and all that was pushed: add --force");
        struct err err = ERR_INIT;
        struct cloud_config config;
        if (load(v, &config))
                return CLI_FAILED;
        int r = pipeline_delete(&config, name, &err);
        cloud_config_fini(&config);
        return r < 0 ? cli_fail(VERB, &err) : CLI_OK;
}

/* ── list and show ── */

static void print_time(int64_t ms)
{
        char text[CLOCK_ISO8601_SIZE];
        clock_iso8601(ms, text);
        printf("%.19sZ", text);
}

static void print_pipeline(const json_t *p)
{
        const json_t *run = json_object_get(p, "last_run");
        printf("%-20s %-8s %-12s %-11s %s", json_text(p, "name", ""), json_text(p, "language", ""),
                json_text(p, "branch", ""), json_text(p, "deploy", ""),
                json_text(p, "repository", ""));
        if (json_is_object(run))
                printf("  (run %lld %s)", (long long)json_int(run, "id", 0),
                        json_text(run, "state", ""));
        putchar('\n');
}

static void print_run_line(const json_t *run)
{
        const char *cause = json_text(run, "cause", "");
        printf("%-6lld %-20s %-10s %.8s  ", (long long)json_int(run, "id", 0),
                json_text(run, "pipeline", ""), json_text(run, "state", ""),
                json_text(run, "commit", ""));
        print_time(json_int(run, "queued_at", 0));
        printf("  %.60s", json_text(run, "message", ""));
        if (*cause)
                printf("  (%.*s)", (int)strcspn(cause, "\n"), cause);
        putchar('\n');
}

static int print_list(
        const struct cloud_config *config, const char *name, bool is_json, struct err *err)
{
        CLEAN_JSON json_t *pipelines = pipeline_list(config, err);
        CLEAN_JSON json_t *runs =
                pipelines ? pipeline_runs(config, name, PIPELINE_RUNS_SHOWN, err) : NULL;
        if (!runs)
                return -EIO;
        if (is_json) {
                CLEAN_JSON json_t *both =
                        json_pack("{s:O,s:O}", "pipelines", pipelines, "runs", runs);
                print_json(both);
                return 0;
        }
        size_t i;
        json_t *entry;
        if (!json_array_size(pipelines))
                printf("no pipelines: driveline pipeline create --language c NAME\n");
        else
                printf("%-20s %-8s %-12s %-11s %s\n", "PIPELINE", "LANGUAGE", "BRANCH", "DEPLOY",
                        "REPOSITORY");
        json_array_foreach(pipelines, i, entry)
        {
                if (!name || !strcmp(name, json_text(entry, "name", "")))
                        print_pipeline(entry);
        }
        if (json_array_size(runs))
                printf("\n%-6s %-20s %-10s %-8s  %-20s  %s\n", "RUN", "PIPELINE", "STATE", "COMMIT",
                        "QUEUED", "MESSAGE");
        json_array_foreach(runs, i, entry) print_run_line(entry);
        return 0;
}

static int list(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *name = NULL, *output = "table";
        size_t n;
        int code;
        bool is_json;
        const struct cli_option options[] = {
                {"output", 'o', CLI_TEXT, &output, "FORM", "table (default) or json"},
                DATA_OPTION(v),
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline pipeline list [NAME]\n\nThe pipelines and their newest runs.",
                    options, &name, 1, &n, &code))
                return code;
        if ((code = read_output(output, &is_json)))
                return code;
        struct err err = ERR_INIT;
        struct cloud_config config;
        if (load(v, &config))
                return CLI_FAILED;
        int r = print_list(&config, n ? name : NULL, is_json, &err);
        cloud_config_fini(&config);
        return r < 0 ? cli_fail(VERB, &err) : CLI_OK;
}

static void print_stage(const json_t *stage)
{
        int64_t began = json_int(stage, "started_at", 0), ended = json_int(stage, "ended_at", 0);
        printf("  %-11s %-10s", json_text(stage, "name", ""), json_text(stage, "state", ""));
        if (began)
                printf(" %8.1f s", (double)((ended ? ended : clock_now_ms()) - began) / 1000);
        putchar('\n');
}

static void print_deployment(const json_t *d)
{
        printf("deployed    '%s' %s: module %lld, set %lld", json_text(d, "name", ""),
                json_text(d, "version", ""), (long long)json_int(d, "module_id", 0),
                (long long)json_int(d, "set_id", 0));
        if (json_int(d, "rollout_id", 0))
                printf(", rollout %lld", (long long)json_int(d, "rollout_id", 0));
        if (*json_text(d, "state", ""))
                printf(" is %s; of %lld cars finished %lld, running %lld, failed %lld",
                        json_text(d, "state", ""), (long long)json_int(d, "targets", 0),
                        (long long)json_int(d, "finished", 0), (long long)json_int(d, "running", 0),
                        (long long)json_int(d, "failed", 0));
        putchar('\n');
}

static void print_run(const json_t *run)
{
        size_t i;
        json_t *entry;
        printf("run %lld of '%s': %s\ncommit      %s\nauthor      %s\nmessage     %s\norigin      "
               "%s\nqueued      ",
                (long long)json_int(run, "id", 0), json_text(run, "pipeline", ""),
                json_text(run, "state", ""), json_text(run, "commit", ""),
                json_text(run, "author", ""), json_text(run, "message", ""),
                json_text(run, "origin", ""));
        print_time(json_int(run, "queued_at", 0));
        printf("\nstages\n");
        json_array_foreach(json_object_get(run, "stages"), i, entry) print_stage(entry);
        json_array_foreach(json_object_get(run, "artifacts"), i, entry)
                printf("artifact    %s, %lld bytes, sha256 %s\n", json_text(entry, "name", ""),
                        (long long)json_int(entry, "size", 0), json_text(entry, "sha256", ""));
        if (json_is_object(json_object_get(run, "deployment")))
                print_deployment(json_object_get(run, "deployment"));
        if (*json_text(run, "cause", ""))
                printf("cause       %s\n", json_text(run, "cause", ""));
}

/* ── verbs that take a run ── */

static int read_run(const char *text, int64_t *ret_run)
{
        char *end = NULL;
        errno = 0;
        long long run = strtoll(text, &end, 10);
        if (errno || end == text || *end || run < 1) {
                fprintf(stderr,
                        VERB ": '%s' is no number of a run: 'driveline pipeline list' shows them\n",
                        text);
                return CLI_MISUSE;
        }
        *ret_run = run;
        return CLI_OK;
}

static int show_run(const struct cloud_config *config, int64_t run, bool is_json, struct err *err)
{
        CLEAN_JSON json_t *row = pipeline_run(config, run, err);
        if (!row)
                return -ENOENT;
        if (is_json)
                print_json(row);
        else
                print_run(row);
        return 0;
}

static int show(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *word, *output = "table";
        size_t n;
        int code;
        bool is_json;
        int64_t run;
        const struct cli_option options[] = {
                {"output", 'o', CLI_TEXT, &output, "FORM", "table (default) or json"},
                DATA_OPTION(v),
                {0},
        };
        if (cli_parse(argc, argv,
                    "driveline pipeline show RUN\n\nA run: its commit, stages, artifacts and what "
                    "became of it.",
                    options, &word, 1, &n, &code))
                return code;
        if (!n)
                return misuse("show needs the number of a RUN");
        if ((code = read_output(output, &is_json)) || (code = read_run(word, &run)))
                return code;
        struct err err = ERR_INIT;
        struct cloud_config config;
        if (load(v, &config))
                return CLI_FAILED;
        int r = show_run(&config, run, is_json, &err);
        cloud_config_fini(&config);
        return r < 0 ? cli_fail(VERB, &err) : CLI_OK;
}

static int print_file(const char *path, struct err *err)
{
        CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
        char chunk[16384];
        ssize_t got = fd < 0 ? -1 : 0;
        while (fd >= 0 && (got = read(fd, chunk, sizeof(chunk))) > 0)
                fwrite(chunk, 1, (size_t)got, stdout);
        return got < 0 ? err_errno(err, -errno, "cannot read '%s'", path) : 0;
}

static int log_of(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *words[2] = {NULL, NULL};
        size_t n;
        int code;
        int64_t run;
        const struct cli_option options[] = {DATA_OPTION(v), {0}};
        if (cli_parse(argc, argv,
                    "driveline pipeline log RUN [STAGE]\n\nThe log of a stage: source, build or "
                    "test, deploy, rollout or\n"
                    "assignment. Without STAGE the newest one.",
                    options, words, 2, &n, &code))
                return code;
        if (!n)
                return misuse("log needs the number of a RUN");
        if ((code = read_run(words[0], &run)))
                return code;
        struct err err = ERR_INIT;
        struct cloud_config config;
        CLEAN_MEM char *path = NULL;
        if (load(v, &config))
                return CLI_FAILED;
        int r = pipeline_log(&config, run, words[1], &path, &err);
        cloud_config_fini(&config);
        if (!r)
                r = print_file(path, &err);
        return r < 0 ? cli_fail(VERB, &err) : CLI_OK;
}

static int why(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *word;
        size_t n;
        int code;
        int64_t run;
        const struct cli_option options[] = {DATA_OPTION(v), {0}};
        if (cli_parse(argc, argv,
                    "driveline pipeline why RUN\n\nWhat a run waits for or failed at, and which "
                    "command would move it.",
                    options, &word, 1, &n, &code))
                return code;
        if (!n)
                return misuse("why needs the number of a RUN");
        if ((code = read_run(word, &run)))
                return code;
        struct err err = ERR_INIT;
        struct cloud_config config;
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        if (load(v, &config))
                return CLI_FAILED;
        int r = pipeline_why(&config, run, &text, &err);
        cloud_config_fini(&config);
        if (r < 0)
                return cli_fail(VERB, &err);
        fputs(buf_text(&text), stdout);
        return CLI_OK;
}

struct change {
        const char *usage;
        const char *missing;
        bool takes_name; /* of a pipeline; else a run */
        int (*by_run)(
                const struct cloud_config *config, int64_t run, int64_t *ret_run, struct err *err);
};

static int cancel_run(
        const struct cloud_config *config, int64_t run, int64_t *ret_run, struct err *err)
{
        *ret_run = 0;
        return pipeline_cancel(config, run, err);
}

static int change(void *context, int argc, char **argv, const struct change *c)
{
        struct verb_context *v = context;
        const char *word;
        size_t n;
        int code;
        int64_t run = 0, fresh = 0;
        const struct cli_option options[] = {DATA_OPTION(v), {0}};
        if (cli_parse(argc, argv, c->usage, options, &word, 1, &n, &code))
                return code;
        if (!n)
                return misuse(c->missing);
        if (!c->takes_name && (code = read_run(word, &run)))
                return code;
        struct err err = ERR_INIT;
        struct cloud_config config;
        if (load(v, &config))
                return CLI_FAILED;
        int r = c->takes_name ? pipeline_start(&config, word, &fresh, &err)
                              : c->by_run(&config, run, &fresh, &err);
        cloud_config_fini(&config);
        if (r < 0)
                return cli_fail(VERB, &err);
        if (fresh)
                printf("run %lld is queued, follow it with: driveline pipeline show %lld\n",
                        (long long)fresh, (long long)fresh);
        return CLI_OK;
}

static int run_again(void *context, int argc, char **argv)
{
        static const struct change c = {.usage = "driveline pipeline run NAME\n\nStarts a run of "
                                                 "the watched branch's newest commit.",
                .missing = "run needs the NAME of a pipeline",
                .takes_name = true};
        return change(context, argc, argv, &c);
}

static int retry(void *context, int argc, char **argv)
{
        static const struct change c = {
                .usage = "driveline pipeline retry RUN\n\nStarts a new run of the same commit.",
                .missing = "retry needs the number of a RUN",
                .by_run = pipeline_retry};
        return change(context, argc, argv, &c);
}

static int cancel(void *context, int argc, char **argv)
{
        static const struct change c = {.usage = "driveline pipeline cancel RUN\n\nEnds a run that "
                                                 "is queued or running. What it deployed stays.",
                .missing = "cancel needs the number of a RUN",
                .by_run = cancel_run};
        return change(context, argc, argv, &c);
}

int verb_pipeline(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"create", "make a repository whose pushes become updates", create},
                {"list", "the pipelines and their newest runs", list},
                {"show", "a run: stages, artifacts, deployment, cause", show},
                {"log", "the log of a run's stage", log_of},
                {"why", "what a run waits for or failed at", why},
                {"run", "start a run by hand", run_again},
                {"retry", "start a run's commit once more", retry},
                {"cancel", "end a run", cancel},
                {"delete", "remove a pipeline and its repository", delete},
                {0},
        };
        return cli_dispatch(VERB, verbs, context, argc - 1, argv + 1);
}

int verb_pipeline_hook(void)
{
        return pipeline_hook();
}
