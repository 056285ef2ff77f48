/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/run.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

/* How many runs of a pipeline keep their logs and packages. */
#define RUN_KEPT 50

static void end_stage(struct run *run)
{
        if (run->state_free)
                run->state_free(run->state);
        run->state = NULL;
        run->state_free = NULL;
        hawkbit_free(run->hawkbit);
        run->hawkbit = NULL;
        if (run->log_fd >= 0)
                close(run->log_fd);
        run->log_fd = -1;
        buf_clear(&run->tail);
}

void run_free(struct run *run)
{
        if (!run)
                return;
        end_stage(run);
        if (run->on_step)
                event_free(run->on_step);
        manifest_fini(&run->manifest);
        buildspec_fini(&run->spec);
        buf_fini(&run->tail);
        free(run->dir);
        free(run->folder);
        free(run->repo);
        free(run->package);
        free(run->cause);
        free(run);
}

/* ── the log of a stage ── */

static void keep_tail(struct buf *tail, const char *data, size_t len)
{
        size_t n = len > RUN_TAIL_BYTES ? RUN_TAIL_BYTES : len;
        if (tail->len + n > RUN_TAIL_BYTES)
                buf_drop(tail, tail->len + n - RUN_TAIL_BYTES);
        buf_add(tail, data + len - n, n);
}

static void write_log(struct run *run, const char *data, size_t len)
{
        size_t room = LIMIT_BUILD_LOG_BYTES - run->log_bytes;
        size_t n = len < room ? len : room;
        if (n && run->log_fd >= 0 && fs_write_all(run->log_fd, data, n) < 0)
                n = 0; /* a full disk fails the stage elsewhere, and with a better reason */
        run->log_bytes += n;
        run->dropped_bytes += len - n;
}

void run_output(struct run *run, const char *data, size_t len)
{
        keep_tail(&run->tail, data, len);
        write_log(run, data, len);
}

void run_log(struct run *run, const char *fmt, ...)
{
        CLEAN_BUF struct buf line = BUF_INIT(LIMIT_KIB(16));
        CLEAN_MEM char *text = NULL;
        va_list ap;
        va_start(ap, fmt);
        int n = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        char now[CLOCK_ISO8601_SIZE];
        clock_iso8601(clock_now_ms(), now);
        buf_addf(&line, "[%s] %s\n", now, text);
        write_log(run, buf_text(&line), line.len);
}

static int open_log(struct run *run, struct err *err)
{
        CLEAN_MEM char *path = NULL;
        if (asprintf(&path, "%s/%s.log", run->dir, run->stages[run->at]->name) < 0)
                return err_errno(err, -ENOMEM, "cannot write the log");
        run->log_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        run->log_bytes = run->dropped_bytes = 0;
        return run->log_fd < 0 ? err_errno(err, -errno, "cannot write '%s'", path) : 0;
}

static void close_log(struct run *run)
{
        if (run->dropped_bytes && run->log_fd >= 0) {
                char note[96];
                int n = snprintf(note, sizeof(note), "\n[… %zu bytes left out; the end:]\n",
                        run->dropped_bytes);
                (void)fs_write_all(run->log_fd, note, (size_t)n);
                (void)fs_write_all(run->log_fd, buf_text(&run->tail), run->tail.len);
        }
}

/* ── steps ── */

static void start_stage(struct run *run)
{
        struct err err = ERR_INIT;
        const struct stage *stage = run->stages[run->at];
        struct ledger *l = &run->host->ledger;
        int r = ledger_stage_state(l, run->id, run->at, STAGE_RUNNING, NULL, &err);
        if (!r)
                r = open_log(run, &err);
        if (!r)
                r = stage->start(run, &err);
        if (r < 0)
                run_stage_done(run, err.text);
}

static void remember(const char *what, int r, const struct err *err)
{
        if (r < 0)
                log_error("%s: %s", what, err->text);
}

/* Old runs keep their line in the ledger and lose their files. */
static void drop_old_files(struct run *run)
{
        struct ledger *l = &run->host->ledger;
        CLEAN_JSON json_t *old = ledger_rows(l, NULL,
                "SELECT id FROM runs WHERE pipeline=?1 AND ended_at IS NOT NULL ORDER BY id DESC"
                " LIMIT 20 OFFSET ?2",
                "ti", run->pipeline.name, (int64_t)RUN_KEPT);
        size_t i;
        json_t *row;
        json_array_foreach(old, i, row)
        {
                CLEAN_MEM char *dir = ledger_run_dir(l, json_int(row, "id", 0));
                if (dir)
                        (void)fs_remove_tree(dir, NULL);
        }
}

static void end_run(struct run *run, enum run_state state)
{
        struct err err = ERR_INIT;
        CLEAN_MEM char *archive = fs_join(run->dir, "source.tar");
        remember("run", ledger_run_state(&run->host->ledger, run->id, state, run->cause, &err),
                &err);
        remember("run", fs_remove_tree(run->folder, &err), &err);
        if (archive)
                (void)unlink(archive);
        drop_old_files(run);
        log_info("run %lld of '%s' %s%s%.*s", (long long)run->id, run->pipeline.name,
                run_state_to_string(state), run->cause ? ": " : "",
                run->cause ? (int)strcspn(run->cause, "\n") : 0, run->cause ? run->cause : "");
        run->host->on_end(run->host->arg, run); /* `run` is gone */
}

static void step(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct run *run = arg;
        struct err err = ERR_INIT;
        struct ledger *l = &run->host->ledger;
        close_log(run);
        end_stage(run);
        int r = ledger_stage_state(l, run->id, run->at,
                run->has_failed ? STAGE_FAILED : STAGE_SUCCEEDED, run->cause, &err);
        remember("stage", r, &err);
        if (run->has_failed) {
                end_run(run, RUN_FAILED);
        } else if (++run->at == run->n_stages) {
                end_run(run, RUN_SUCCEEDED);
        } else {
                start_stage(run);
        }
}

/* Through the loop, so that a stage may end within its start. */
void run_stage_done(struct run *run, const char *cause)
{
        run->has_failed = cause != NULL;
        free(run->cause);
        run->cause = cause ? strdup(cause) : NULL;
        if (cause)
                run_log(run, "failed: %s", cause);
        event_active(run->on_step, EV_TIMEOUT, 0);
}

void run_cancel(struct run *run)
{
        struct err err = ERR_INIT;
        run_log(run, "canceled");
        close_log(run);
        end_stage(run);
        int r = ledger_stage_state(
                &run->host->ledger, run->id, run->at, STAGE_CANCELED, NULL, &err);
        remember("stage", r, &err);
        end_run(run, RUN_CANCELED);
}

/* ── opening ── */

static void choose_stages(struct run *run)
{
        bool is_c = !strcmp(run->pipeline.language, "c");
        bool is_rollout = !strcmp(run->pipeline.deploy, "rollout");
        run->stages[run->n_stages++] = &stage_source;
        run->stages[run->n_stages++] = is_c ? &stage_build : &stage_test;
        run->stages[run->n_stages++] = &stage_deploy;
        run->stages[run->n_stages++] = is_rollout ? &stage_rollout : &stage_assignment;
}

static int add_stages(struct run *run, struct err *err)
{
        int r = 0;
        for (int i = 0; !r && i < run->n_stages; i++)
                r = ledger_exec(&run->host->ledger, err,
                        "INSERT OR IGNORE INTO stages(run, position, name, state) VALUES(?1, ?2, "
                        "?3, 'waiting')",
                        "iit", run->id, (int64_t)i, run->stages[i]->name);
        return r;
}

/* The first stage that has not succeeded; but a build begins from its source again, since nobody
 * knows what an interrupted one left in the folder. */
static int resume_at(struct run *run, struct err *err)
{
        CLEAN_JSON json_t *row = NULL;
        int r = ledger_row(&run->host->ledger, err, &row,
                "SELECT min(position) AS position FROM stages WHERE run=?1 AND state<>'succeeded'",
                "i", run->id);
        if (r < 0)
                return r;
        int at = (int)json_int(row, "position", run->n_stages - 1);
        if (at >= run->n_stages)
                at = run->n_stages - 1;
        run->at = run->stages[at]->is_building ? 0 : at;
        return 0;
}

static int make_paths(struct run *run)
{
        run->dir = ledger_run_dir(&run->host->ledger, run->id);
        run->folder = run->dir ? fs_join(run->dir, "source") : NULL;
        run->package = run->dir ? fs_join(run->dir, "package.zip") : NULL;
        if (asprintf(&run->repo, "%s/repos/%s.git", run->host->ledger.dir, run->pipeline.name) < 0)
                run->repo = NULL;
        return run->dir && run->folder && run->package && run->repo ? 0 : -ENOMEM;
}

static int load(struct run *run, struct err *err)
{
        CLEAN_JSON json_t *row = NULL;
        struct ledger *l = &run->host->ledger;
        int r = ledger_row(
                l, err, &row, "SELECT pipeline, commit_id FROM runs WHERE id=?1", "i", run->id);
        if (r)
                return r < 0 ? r
                             : err_set(err, -ENOENT, "there is no run %lld", (long long)run->id);
        snprintf(run->commit, sizeof(run->commit), "%s", json_text(row, "commit_id", ""));
        r = ledger_pipeline(l, json_text(row, "pipeline", ""), &run->pipeline, err);
        if (r < 0)
                return r;
        if (make_paths(run) < 0)
                return err_errno(err, -ENOMEM, "cannot open run %lld", (long long)run->id);
        return fs_mkdir_p(run->dir, 0700, err);
}

int run_open(struct run_host *host, int64_t id, int slot, struct run **ret_run, struct err *err)
{
        CLEAN(run) struct run *run = calloc(1, sizeof(*run));
        if (!run)
                return err_errno(err, -ENOMEM, "cannot open run %lld", (long long)id);
        run->host = host;
        run->id = id;
        run->slot = slot;
        run->log_fd = -1;
        run->tail = BUF_INIT(RUN_TAIL_BYTES);
        run->on_step = evtimer_new(host->base, step, run);
        if (!run->on_step)
                return err_errno(err, -ENOMEM, "cannot open run %lld", (long long)id);
        int r = load(run, err);
        if (r < 0)
                return r;
        choose_stages(run);
        r = add_stages(run, err);
        if (!r)
                r = resume_at(run, err);
        if (r < 0)
                return r;
        *ret_run = TAKE(run);
        return 0;
}

int run_begin(struct run *run, struct err *err)
{
        int r = ledger_run_state(&run->host->ledger, run->id, RUN_RUNNING, NULL, err);
        if (!r)
                r = repo_commit_time(run->repo, run->commit, &run->commit_time_s, err);
        if (!r && run->at > 0)
                r = run_read_commit(run, err);
        if (r < 0)
                return r;
        log_info("run %lld of '%s' (%.7s) begins with stage '%s'", (long long)run->id,
                run->pipeline.name, run->commit, run->stages[run->at]->name);
        start_stage(run);
        return 0;
}

int run_open_hawkbit(const struct run_host *host, const struct pipeline *p,
        struct hawkbit **ret_hawkbit, struct err *err)
{
        CLEAN_MEM char *own_url = NULL,
                       *own_password = cloud_path(host->config, CLOUD_ADMIN_PASSWORD);
        if (!own_password || asprintf(&own_url, "http://%s", host->config->http_listen) < 0) {
                own_url = NULL;
                return err_errno(err, -ENOMEM, "cannot call the update server");
        }
        return hawkbit_new(host->base, *p->server ? p->server : own_url, p->server_user,
                *p->password_file ? p->password_file : own_password, ret_hawkbit, err);
}
