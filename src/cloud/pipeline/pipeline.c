/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Pipelines and runs as people make and change them. */
#include "cloud/pipeline/pipeline.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/environment.h"
#include "cloud/pipeline/ledger.h"
#include "cloud/pipeline/repo.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#if defined(__aarch64__)
#define PIPELINE_C_ENVIRONMENT "gcc-aarch64"
#else
#define PIPELINE_C_ENVIRONMENT "gcc-x86_64"
#endif

int pipeline_defaults(const char *language, struct pipeline *ret, struct err *err)
{
        bool is_c = !strcmp(language, "c");
        if (!is_c && strcmp(language, "python") != 0)
                return err_set(err, -EINVAL, "there is no language '%s': there are c and python",
                        language);
        *ret = (struct pipeline){.groups = 1, .success_threshold = 50, .error_threshold = 50};
        snprintf(ret->language, sizeof(ret->language), "%s", language);
        snprintf(ret->branch, sizeof(ret->branch), "main");
        snprintf(ret->environment, sizeof(ret->environment), "%s",
                is_c ? PIPELINE_C_ENVIRONMENT : "python");
        snprintf(ret->deploy, sizeof(ret->deploy), "rollout");
        snprintf(ret->target_filter, sizeof(ret->target_filter), "controllerid==*");
        snprintf(ret->module_type, sizeof(ret->module_type), "application");
        snprintf(ret->server_user, sizeof(ret->server_user), "admin");
        return 0;
}

/* ── create ── */

static bool is_name(const char *text)
{
        for (size_t i = 0; text[i]; i++)
                if (!isalnum((unsigned char)text[i]) && !(i && strchr("._-", text[i])))
                        return false;
        size_t n = strlen(text);
        return n && !(n > 4 && !strcmp(text + n - 4, ".git"));
}

static bool is_branch(const char *text)
{
        for (const char *p = text; *p; p++)
                if (!isalnum((unsigned char)*p) && !(p > text && strchr("._/-", *p)))
                        return false;
        return *text && !strstr(text, "..") && !strstr(text, "//") && text[strlen(text) - 1] != '/';
}

static int check(const struct pipeline *p, struct err *err)
{
        const struct environment *env;
        if (!is_name(p->name))
                return err_set(err, -EINVAL,
                        "'%s' is no name of a pipeline: letters, digits, '.', '_' and '-'",
                        p->name);
        if (!is_branch(p->branch))
                return err_set(err, -EINVAL, "'%s' is no name of a branch", p->branch);
        int r = environment_find(p->environment, &env, err);
        if (r < 0)
                return r;
        if (strcmp(env->language, p->language) != 0)
                return err_set(err, -EINVAL, "environment '%s' is for %s, not for %s",
                        p->environment, env->language, p->language);
        if (strcmp(p->deploy, "rollout") != 0 && strcmp(p->deploy, "assignment") != 0)
                return err_set(err, -EINVAL,
                        "there is no deployment '%s': there are rollout and assignment", p->deploy);
        if (strcmp(p->module_type, "application") != 0 && strcmp(p->module_type, "os") != 0)
                return err_set(err, -EINVAL,
                        "there is no module type '%s': there are application and os",
                        p->module_type);
        CLEAN_JSON json_t *text = json_string(p->target_filter);
        if (!text)
                return err_set(err, -EINVAL, "the target filter is no UTF-8");
        if (!*p->target_filter)
                return err_set(err, -EINVAL,
                        "an empty target filter matches nothing: 'controllerid==*' is all cars");
        if (p->groups < 1 || p->groups > 500)
                return err_set(err, -EINVAL, "a rollout has 1 to 500 groups, not %d", p->groups);
        if (p->success_threshold < 0 || p->success_threshold > 100 || p->error_threshold < 0 ||
                p->error_threshold > 100)
                return err_set(err, -EINVAL, "a threshold is a percentage, 0 to 100");
        return 0;
}

static int insert(struct ledger *l, const struct pipeline *p, const char *seed, struct err *err)
{
        return ledger_exec(l, err,
                "INSERT INTO pipelines VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
                "?13, ?14, ?15)",
                "ttttttiiittttit", p->name, p->language, p->branch, p->environment, p->deploy,
                p->target_filter, (int64_t)p->groups, (int64_t)p->success_threshold,
                (int64_t)p->error_threshold, p->module_type, p->server, p->server_user,
                p->password_file, clock_now_ms(), seed);
}

static int make_repo(const char *repo, const struct pipeline *p, const char *seed_dir,
        char seed[REPO_COMMIT_SIZE], struct err *err)
{
        int r = repo_create(repo, p->branch, err);
        if (r < 0 || !seed_dir)
                return r;
        r = repo_seed(repo, p->branch, seed_dir, err);
        return r < 0 ? r : repo_head(repo, p->branch, seed, err);
}

static char *repo_path(const struct ledger *l, const char *name)
{
        char *path = NULL;
        return asprintf(&path, "%s/repos/%s.git", l->dir, name) < 0 ? NULL : path;
}

int pipeline_create(const struct cloud_config *config, const struct pipeline *p,
        const char *seed_dir, char **ret_repo, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        char seed[REPO_COMMIT_SIZE] = "";
        int r = check(p, err);
        if (!r)
                r = ledger_open(config, &l, err);
        if (r < 0)
                return r;
        CLEAN_MEM char *repo = repo_path(&l, p->name);
        if (!repo)
                return err_errno(err, -ENOMEM, "cannot create '%s'", p->name);
        CLEAN_JSON json_t *row = NULL;
        r = ledger_row(&l, err, &row, "SELECT 1 FROM pipelines WHERE name=?1", "t", p->name);
        if (r != LEDGER_NONE)
                return r < 0 ? r
                             : err_set(err, -EEXIST, "there is a pipeline '%s' already", p->name);
        /* A repository without a line in the ledger is what an interrupted create left. */
        r = fs_remove_tree(repo, err);
        if (!r)
                r = make_repo(repo, p, seed_dir, seed, err);
        if (!r)
                r = insert(&l, p, *seed ? seed : NULL, err);
        if (r < 0) {
                (void)fs_remove_tree(repo, NULL);
                return r;
        }
        *ret_repo = TAKE(repo);
        return 0;
}

int pipeline_delete(const struct cloud_config *config, const char *name, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        struct pipeline p;
        int r = ledger_open(config, &l, err);
        if (!r)
                r = ledger_pipeline(&l, name, &p, err);
        if (r < 0)
                return r;
        CLEAN_JSON json_t *runs =
                ledger_rows(&l, err, "SELECT id, state FROM runs WHERE pipeline=?1", "t", name);
        CLEAN_MEM char *repo = repo_path(&l, name);
        if (!runs || !repo)
                return err_prefix(err, "cannot delete '%s'", name);
        r = ledger_exec(&l, err,
                "DELETE FROM pipelines WHERE name=?1 AND NOT EXISTS"
                " (SELECT 1 FROM runs WHERE pipeline=?1 AND state IN ('queued', 'running'))",
                "t", name);
        if (r < 0)
                return r;
        if (!sqlite3_changes(l.db))
                return err_set(err, -EBUSY,
                        "a run of '%s' is not over: cancel it first ('driveline pipeline cancel "
                        "RUN')",
                        name);
        size_t i;
        json_t *run;
        json_array_foreach(runs, i, run)
        {
                CLEAN_MEM char *dir = ledger_run_dir(&l, json_int(run, "id", 0));
                if (!r && dir)
                        r = fs_remove_tree(dir, err);
        }
        return r < 0 ? r : fs_remove_tree(repo, err);
}

/* ── runs ── */

static int add_run(struct ledger *l, const char *name, const char *commit, const char *origin,
        int64_t *ret_run, struct err *err)
{
        CLEAN_MEM char *repo = repo_path(l, name);
        CLEAN_BUF struct buf author = BUF_INIT(LIMIT_KIB(4)), message = BUF_INIT(LIMIT_KIB(64));
        if (!repo)
                return err_errno(err, -ENOMEM, "cannot start a run");
        int r = repo_describe(repo, commit, &author, &message, err);
        if (r < 0)
                return r;
        const struct run_request request = {
                name, commit, buf_text(&author), buf_text(&message), origin};
        r = ledger_add_run(l, &request, ret_run, err);
        return r < 0 ? r : ledger_wake(l, err);
}

int pipeline_start(
        const struct cloud_config *config, const char *name, int64_t *ret_run, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        struct pipeline p;
        char commit[REPO_COMMIT_SIZE];
        int r = ledger_open(config, &l, err);
        if (!r)
                r = ledger_pipeline(&l, name, &p, err);
        if (r < 0)
                return r;
        CLEAN_MEM char *repo = repo_path(&l, name);
        r = repo ? repo_head(repo, p.branch, commit, err)
                 : err_errno(err, -ENOMEM, "cannot start a run");
        if (r == REPO_EMPTY)
                return err_set(err, -ENOENT, "branch '%s' of '%s' has no commit: push one",
                        p.branch, repo);
        return r < 0 ? r : add_run(&l, name, commit, "hand", ret_run, err);
}

static int find_run(struct ledger *l, int64_t run, json_t **ret_row, struct err *err)
{
        int r = ledger_row(l, err, ret_row, "SELECT * FROM runs WHERE id=?1", "i", run);
        if (r == LEDGER_NONE)
                return err_set(err, -ENOENT,
                        "there is no run %lld: 'driveline pipeline list' shows the newest",
                        (long long)run);
        return r;
}

int pipeline_retry(
        const struct cloud_config *config, int64_t run, int64_t *ret_run, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        CLEAN_JSON json_t *row = NULL;
        char origin[32];
        int r = ledger_open(config, &l, err);
        if (!r)
                r = find_run(&l, run, &row, err);
        if (r < 0)
                return r;
        const char *state = json_text(row, "state", "");
        if (!strcmp(state, "queued") || !strcmp(state, "running"))
                return err_set(
                        err, -EBUSY, "run %lld is %s: cancel it first", (long long)run, state);
        snprintf(origin, sizeof(origin), "retry of %lld", (long long)run);
        return add_run(&l, json_text(row, "pipeline", ""), json_text(row, "commit_id", ""), origin,
                ret_run, err);
}

int pipeline_cancel(const struct cloud_config *config, int64_t run, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        CLEAN_JSON json_t *row = NULL;
        int r = ledger_open(config, &l, err);
        if (!r)
                r = find_run(&l, run, &row, err);
        if (r < 0)
                return r;
        r = ledger_exec(&l, err,
                "UPDATE runs SET cancel=1, ended_at=iif(state='queued', ?1, ended_at),"
                " state=iif(state='queued', 'canceled', state) WHERE id=?2 AND state IN ('queued', "
                "'running')",
                "ii", clock_now_ms(), run);
        if (r < 0)
                return r;
        if (!sqlite3_changes(l.db))
                return err_set(err, -EALREADY, "run %lld is over: it %s", (long long)run,
                        json_text(row, "state", "ended"));
        return ledger_wake(&l, err);
}

/* ── the hook ── */

/* `…/pipeline/repos/NAME.git`, where git starts the hook, in its parts. */
static int split_repo(char *path, const char **ret_data_dir, const char **ret_name, struct err *err)
{
        char *cut = NULL;
        for (int i = 0; i < 3; i++) {
                cut = strrchr(path, '/');
                if (!cut || cut == path)
                        return err_set(
                                err, -EINVAL, "'%s' is not in a data folder of driveline", path);
                *cut = 0;
                if (i == 0)
                        *ret_name = cut + 1;
        }
        char *name = strrchr(*ret_name, '.');
        if (!name || strcmp(name, ".git") != 0)
                return err_set(err, -EINVAL, "'%s' is no repository of a pipeline", *ret_name);
        *name = 0;
        *ret_data_dir = path;
        return 0;
}

static bool is_nothing(const char *commit)
{
        return !commit[strspn(commit, "0")];
}

static int pushed(struct ledger *l, const struct pipeline *p, const char *commit, struct err *err)
{
        int64_t run;
        int r = add_run(l, p->name, commit, "push", &run, err);
        if (r < 0)
                return r;
        if (ledger_is_served(l))
                printf("driveline: run %lld started, follow it with: driveline pipeline show "
                       "%lld\n",
                        (long long)run, (long long)run);
        else
                printf("driveline: run %lld waits for the cloud, start it with: driveline up\n",
                        (long long)run);
        return 0;
}

static int read_pushes(struct ledger *l, const struct pipeline *p, struct err *err)
{
        char line[1024], old[REPO_COMMIT_SIZE], new[REPO_COMMIT_SIZE], ref[512], watched[160];
        snprintf(watched, sizeof(watched), "refs/heads/%s", p->branch);
        int r = 0;
        while (!r && fgets(line, sizeof(line), stdin)) {
                if (sscanf(line, "%64s %64s %511s", old, new, ref) != 3)
                        return err_set(err, -EINVAL, "cannot understand the push");
                if (!strcmp(ref, watched) && !is_nothing(new))
                        r = pushed(l, p, new, err);
                else if (strcmp(ref, watched) != 0)
                        printf("driveline: '%s' is not watched, only '%s' starts a run\n", ref,
                                watched);
        }
        return r;
}

static int hook(struct err *err)
{
        char here[PATH_MAX];
        const char *data_dir = NULL, *name = NULL;
        struct cloud_config config;
        struct pipeline p;
        CLEAN_LEDGER struct ledger l = {0};
        if (!realpath(".", here))
                return err_errno(err, -errno, "cannot find the repository");
        int r = split_repo(here, &data_dir, &name, err);
        if (!r)
                r = cloud_config_load(data_dir, &config, err);
        if (r < 0)
                return r;
        r = ledger_open(&config, &l, err);
        cloud_config_fini(&config);
        if (!r)
                r = ledger_pipeline(&l, name, &p, err);
        return r < 0 ? r : read_pushes(&l, &p, err);
}

int pipeline_hook(void)
{
        struct err err = ERR_INIT;
        if (hook(&err) == 0)
                return 0;
        printf("driveline: the push is stored, but no run was started: %s\n", err.text);
        return 1;
}
