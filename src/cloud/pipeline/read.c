/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* What people, the page and `driveline why` read of pipelines and runs. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/ledger.h"

#include <errno.h>
#include <string.h>

#define RUN_COLUMNS                                                                                \
        "id, pipeline, commit_id AS \"commit\", author, message, origin, state, cause, cancel,"    \
        " queued_at, started_at, ended_at"

/* The members of a run that stand in tables of their own. */
static int complete(struct ledger *l, json_t *run, struct err *err)
{
        int64_t id = json_int(run, "id", 0);
        json_t *stages = ledger_rows(l, err,
                "SELECT name, state, started_at, ended_at, cause FROM stages WHERE run=?1 ORDER BY "
                "position",
                "i", id);
        json_t *artifacts = ledger_rows(
                l, err, "SELECT name, size, sha256 FROM artifacts WHERE run=?1", "i", id);
        json_t *deployment = NULL;
        int r = ledger_row(l, err, &deployment,
                "SELECT name, version, module_id, set_id, rollout_id, state, open, targets, "
                "running,"
                " finished, failed, updated_at FROM deployments WHERE run=?1",
                "i", id);
        json_object_set_new(run, "stages", stages);
        json_object_set_new(run, "artifacts", artifacts);
        json_object_set_new(run, "deployment", deployment ? deployment : json_null());
        return r < 0 || !stages || !artifacts ? -EIO : 0;
}

static json_t *complete_all(struct ledger *l, json_t *runs, struct err *err)
{
        size_t i;
        json_t *run;
        json_array_foreach(runs, i, run)
        {
                if (complete(l, run, err) < 0) {
                        json_decref(runs);
                        return NULL;
                }
        }
        return runs;
}

json_t *pipeline_runs(const struct cloud_config *config, const char *name, int max, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        int r = ledger_open_readonly(config, &l, err);
        if (r)
                return r < 0 ? NULL : json_array();
        return complete_all(&l,
                ledger_rows(&l, err,
                        "SELECT " RUN_COLUMNS
                        " FROM runs WHERE ?1 IS NULL OR pipeline=?1 ORDER BY id DESC LIMIT ?2",
                        "ti", name, (int64_t)max),
                err);
}

json_t *pipeline_run(const struct cloud_config *config, int64_t run, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        CLEAN_JSON json_t *row = NULL;
        int r = ledger_open_readonly(config, &l, err);
        if (!r)
                r = ledger_row(
                        &l, err, &row, "SELECT " RUN_COLUMNS " FROM runs WHERE id=?1", "i", run);
        if (r > 0)
                err_set(err, -ENOENT,
                        "there is no run %lld: 'driveline pipeline list' shows the newest",
                        (long long)run);
        if (r || complete(&l, row, err) < 0)
                return NULL;
        return TAKE(row);
}

static int add_last_run(struct ledger *l, json_t *pipeline, struct err *err)
{
        const char *name = json_text(pipeline, "name", "");
        CLEAN_MEM char *repo = NULL;
        json_t *run = NULL;
        int r = ledger_row(l, err, &run,
                "SELECT " RUN_COLUMNS " FROM runs WHERE pipeline=?1 ORDER BY id DESC LIMIT 1", "t",
                name);
        if (r < 0 || asprintf(&repo, "%s/repos/%s.git", l->dir, name) < 0) {
                repo = NULL;
                return -EIO;
        }
        json_object_set_new(pipeline, "repository", json_string(repo));
        return json_object_set_new(pipeline, "last_run", run ? run : json_null());
}

json_t *pipeline_list(const struct cloud_config *config, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        int r = ledger_open_readonly(config, &l, err);
        if (r)
                return r < 0 ? NULL : json_array();
        CLEAN_JSON json_t *list = ledger_rows(&l, err,
                "SELECT name, language, branch, environment, deploy, target_filter, groups,"
                " success_threshold, error_threshold, module_type, server, created_at"
                " FROM pipelines ORDER BY name",
                "");
        size_t i;
        json_t *pipeline;
        json_array_foreach(list, i, pipeline)
        {
                if (add_last_run(&l, pipeline, err) < 0)
                        return NULL;
        }
        return TAKE(list);
}

int pipeline_log(const struct cloud_config *config, int64_t run, const char *stage, char **ret_path,
        struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        CLEAN_JSON json_t *row = pipeline_run(config, run, err);
        if (!row)
                return err && err->code ? err->code : -ENOENT;
        int r = ledger_open_readonly(config, &l, err);
        CLEAN_MEM char *dir = r ? NULL : ledger_run_dir(&l, run);
        CLEAN_MEM char *found = NULL;
        size_t i;
        json_t *s;
        json_array_foreach(json_object_get(row, "stages"), i, s)
        {
                CLEAN_MEM char *path = NULL;
                const char *name = json_text(s, "name", "");
                if (!dir || asprintf(&path, "%s/%s.log", dir, name) < 0) {
                        path = NULL;
                        return err_errno(err, -ENOMEM, "cannot find the log");
                }
                if ((!stage || !strcmp(stage, name)) && fs_exists(path)) {
                        free(found);
                        found = TAKE(path);
                }
        }
        if (!found)
                return stage ? err_set(err, -ENOENT, "run %lld has no log of stage '%s'",
                                       (long long)run, stage)
                             : err_set(err, -ENOENT, "run %lld has no log yet", (long long)run);
        *ret_path = TAKE(found);
        return 0;
}

/* ── why ── */

static void why_queued(struct ledger *l, int64_t run, const char *pipeline, struct buf *ret)
{
        CLEAN_JSON json_t *before = NULL;
        if (!ledger_is_served(l)) {
                buf_addf(ret, "run %lld waits for the cloud: driveline up\n", (long long)run);
                return;
        }
        int r = ledger_row(l, NULL, &before,
                "SELECT id, state FROM runs WHERE pipeline=?1 AND id<?2 AND state IN ('running', "
                "'queued')"
                " ORDER BY id LIMIT 1",
                "ti", pipeline, run);
        long long first = (long long)json_int(before, "id", 0);
        if (r == 0)
                buf_addf(ret,
                        "run %lld waits for run %lld of the same pipeline, which is %s\n"
                        "to end that one: driveline pipeline cancel %lld\n",
                        (long long)run, first, json_text(before, "state", ""), first);
        else
                buf_addf(ret,
                        "run %lld waits for one of the %d places to build: driveline pipeline "
                        "list\n",
                        (long long)run, LIMIT_PIPELINE_PARALLEL);
}

/* The stage in a state, NULL if there is none. */
static const json_t *stage_in(const json_t *run, const char *state)
{
        size_t i;
        json_t *stage;
        json_array_foreach(json_object_get(run, "stages"), i, stage)
        {
                if (!strcmp(json_text(stage, "state", ""), state))
                        return stage;
        }
        return NULL;
}

static void why_running(const json_t *run, struct buf *ret)
{
        long long id = (long long)json_int(run, "id", 0);
        const json_t *stage = stage_in(run, "running"), *d = json_object_get(run, "deployment");
        const char *name = json_text(stage, "name", "source"), *state = json_text(d, "state", "");
        long long rollout = (long long)json_int(d, "rollout_id", 0);
        double since =
                (double)(clock_now_ms() - json_int(stage, "started_at", clock_now_ms())) / 1000;
        buf_addf(ret, "run %lld is in stage '%s' for %.0f s", id, name, since);
        if (!strcmp(name, "rollout") && !strcmp(state, "waiting_for_approval"))
                buf_addf(ret,
                        ": rollout %lld waits for an approval\ndriveline rollout approve %lld\n",
                        rollout, rollout);
        else if (!strcmp(name, "rollout") && *state)
                buf_addf(ret, ": rollout %lld is %s and starts as soon as it is ready\n", rollout,
                        state);
        else
                buf_addf(ret, "\nto follow it: driveline pipeline log %lld %s\n", id, name);
}

static void why_failed(const json_t *run, struct buf *ret)
{
        long long id = (long long)json_int(run, "id", 0);
        const json_t *stage = stage_in(run, "failed");
        const char *name = json_text(stage, "name", NULL);
        buf_addf(ret, "run %lld failed%s%s%s: %s\n", id, name ? " in stage '" : "",
                name ? name : "", name ? "'" : "", json_text(run, "cause", "no cause is known"));
        if (name)
                buf_addf(ret, "its log: driveline pipeline log %lld %s\n", id, name);
        buf_addf(ret,
                "push a commit that mends it, or try the same one again: driveline pipeline retry "
                "%lld\n",
                id);
}

static void why_succeeded(const json_t *run, struct buf *ret)
{
        const json_t *d = json_object_get(run, "deployment");
        const char *state = json_text(d, "state", "unknown");
        long long rollout = (long long)json_int(d, "rollout_id", 0);
        buf_addf(ret,
                "run %lld succeeded: '%s' %s went to %lld cars; finished %lld, running %lld, "
                "failed %lld",
                (long long)json_int(run, "id", 0), json_text(d, "name", ""),
                json_text(d, "version", ""), (long long)json_int(d, "targets", 0),
                (long long)json_int(d, "finished", 0), (long long)json_int(d, "running", 0),
                (long long)json_int(d, "failed", 0));
        if (rollout)
                buf_addf(ret, "; rollout %lld is %s", rollout, state);
        if (rollout && !strcmp(state, "paused"))
                buf_addf(ret, "\nto let it go on: driveline rollout resume %lld", rollout);
        else if (rollout && !strcmp(state, "running"))
                buf_addf(ret, "\nwhat it waits for: driveline rollout show %lld", rollout);
        buf_addc(ret, '\n');
}

int pipeline_why(const struct cloud_config *config, int64_t run, struct buf *ret, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {0};
        CLEAN_JSON json_t *row = pipeline_run(config, run, err);
        if (!row)
                return err && err->code ? err->code : -ENOENT;
        int r = ledger_open_readonly(config, &l, err);
        if (r)
                return r < 0 ? r : -ENOENT;
        const char *state = json_text(row, "state", "");
        if (!strcmp(state, "queued"))
                why_queued(&l, run, json_text(row, "pipeline", ""), ret);
        else if (!strcmp(state, "running") && !ledger_is_served(&l))
                buf_addf(ret, "run %lld was interrupted and goes on with the cloud: driveline up\n",
                        (long long)run);
        else if (!strcmp(state, "running"))
                why_running(row, ret);
        else if (!strcmp(state, "failed"))
                why_failed(row, ret);
        else if (!strcmp(state, "canceled"))
                buf_addf(ret,
                        "run %lld was canceled; to do it after all: driveline pipeline retry "
                        "%lld\n",
                        (long long)run, (long long)run);
        else
                why_succeeded(row, ret);
        return ret->error;
}
