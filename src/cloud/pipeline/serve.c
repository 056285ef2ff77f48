/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The role: takes runs from the ledger, a few at a time, and follows their deployments. */
#include "base/fs.h"
#include "base/limits.h"
#include "base/loop.h"
#include "base/log.h"
#include "cloud/pipeline/run.h"
#include "cloud/pipeline/watch.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

struct server {
        struct run_host host;
        struct run *runs[LIMIT_PIPELINE_PARALLEL];
        struct watch *watch;
        struct event *on_inbox, *on_term, *on_int;
        int inotify_fd;
        int lock_fd;
};

/* ── starting runs ── */

/* False when the ledger cannot be written: nothing more is to be taken then. */
static bool take_run(struct server *s, int64_t id, int slot)
{
        struct err err = ERR_INIT;
        CLEAN(run) struct run *run = NULL;
        int r = run_open(&s->host, id, slot, &run, &err);
        if (!r) {
                s->runs[slot] = run;
                r = run_begin(run, &err);
        }
        if (!r) {
                run = NULL;
                return true;
        }
        s->runs[slot] = NULL;
        log_error("run %lld: %s", (long long)id, err.text);
        struct err worse = ERR_INIT;
        if (ledger_run_state(&s->host.ledger, id, RUN_FAILED, err.text, &worse) < 0) {
                log_error("run %lld: %s", (long long)id, worse.text);
                return false;
        }
        return true;
}

/* The oldest run whose pipeline has none under way; 0 if there is none. Interrupted runs come
 * first: they are `running` in the ledger, but nobody runs them. */
static int64_t next_run(struct server *s)
{
        CLEAN_JSON json_t *rows = ledger_rows(&s->host.ledger, NULL,
                "SELECT id FROM runs r WHERE state='running' OR (state='queued' AND NOT EXISTS"
                " (SELECT 1 FROM runs o WHERE o.pipeline=r.pipeline AND o.state='running'))"
                " ORDER BY state='queued', id",
                "");
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row)
        {
                int64_t id = json_int(row, "id", 0);
                bool is_taken = false;
                for (size_t k = 0; k < N_ELEMENTS(s->runs); k++)
                        is_taken |= s->runs[k] && s->runs[k]->id == id;
                if (!is_taken)
                        return id;
        }
        return 0;
}

static void cancel_runs(struct server *s)
{
        for (size_t i = 0; i < N_ELEMENTS(s->runs); i++) {
                CLEAN_JSON json_t *row = NULL;
                if (s->runs[i] && ledger_row(&s->host.ledger, NULL, &row,
                                          "SELECT 1 FROM runs WHERE id=?1 AND cancel", "i",
                                          s->runs[i]->id) == 0)
                        run_cancel(s->runs[i]);
        }
}

static void schedule(struct server *s)
{
        for (int i = 0; i < LIMIT_PIPELINE_PARALLEL; i++) {
                int64_t id;
                while (!s->runs[i] && (id = next_run(s)))
                        if (!take_run(s, id, i))
                                return;
        }
}

static void run_ended(void *arg, struct run *run)
{
        struct server *s = arg;
        for (size_t i = 0; i < N_ELEMENTS(s->runs); i++)
                if (s->runs[i] == run)
                        s->runs[i] = NULL;
        run_free(run);
        watch_wake(s->watch);
        /* Through the loop: this may be deep inside the run that has just gone. */
        event_active(s->on_inbox, EV_READ, 0);
}

/* ── the inbox ── */

static void empty_inbox(struct server *s)
{
        CLEAN_MEM char *path = fs_join(s->host.ledger.dir, "inbox");
        DIR *dir = path ? opendir(path) : NULL;
        for (struct dirent *e; dir && (e = readdir(dir));)
                /* A name with a dot is fs_write_atomic()'s, not finished yet. */
                if (!strchr(e->d_name, '.'))
                        (void)unlinkat(dirfd(dir), e->d_name, 0);
        if (dir)
                closedir(dir);
}

static void inbox_changed(evutil_socket_t fd, short what, void *arg)
{
        (void)what;
        struct server *s = arg;
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        while (read(fd, events, sizeof(events)) > 0)
                ;
        empty_inbox(s);
        cancel_runs(s);
        schedule(s);
}

/* ── start ── */

/* A push that met no hook (the program had moved, the disk was full) is found here: the branch is
 * ahead of what the ledger saw. */
static int catch_up(struct server *s, const char *name, const char *seen, struct err *err)
{
        struct ledger *l = &s->host.ledger;
        struct pipeline p;
        CLEAN_MEM char *repo = NULL;
        char commit[REPO_COMMIT_SIZE];
        int r = ledger_pipeline(l, name, &p, err);
        if (r < 0)
                return r;
        if (asprintf(&repo, "%s/repos/%s.git", l->dir, name) < 0)
                return err_errno(err, -ENOMEM, "cannot open the repository");
        r = repo_set_hook(repo, err);
        if (!r)
                r = repo_head(repo, p.branch, commit, err);
        if (r < 0 || r == REPO_EMPTY || !strcmp(commit, seen))
                return r < 0 ? r : 0;
        CLEAN_BUF struct buf author = BUF_INIT(LIMIT_KIB(4)), message = BUF_INIT(LIMIT_KIB(64));
        r = repo_describe(repo, commit, &author, &message, err);
        if (r < 0)
                return r;
        int64_t run;
        const struct run_request request = {
                name, commit, buf_text(&author), buf_text(&message), "push"};
        r = ledger_add_run(l, &request, &run, err);
        if (!r)
                log_info("pipeline '%s': run %lld for a push that was not seen", name,
                        (long long)run);
        return r;
}

static void catch_up_all(struct server *s)
{
        CLEAN_JSON json_t *rows =
                ledger_rows(&s->host.ledger, NULL, "SELECT name, last_commit FROM pipelines", "");
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row)
        {
                struct err err = ERR_INIT;
                const char *name = json_text(row, "name", "");
                if (catch_up(s, name, json_text(row, "last_commit", ""), &err) < 0)
                        log_warning("pipeline '%s': %s", name, err.text);
        }
}

static void stop(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        event_base_loopbreak(arg);
}

static int watch_inbox(struct server *s, struct err *err)
{
        CLEAN_MEM char *path = fs_join(s->host.ledger.dir, "inbox");
        struct event_base *base = s->host.base;
        s->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (!path || s->inotify_fd < 0 || inotify_add_watch(s->inotify_fd, path, IN_MOVED_TO) < 0)
                return err_errno(err, -errno, "cannot watch the pipelines' inbox");
        s->on_inbox = event_new(base, s->inotify_fd, EV_READ | EV_PERSIST, inbox_changed, s);
        s->on_term = evsignal_new(base, SIGTERM, stop, base);
        s->on_int = evsignal_new(base, SIGINT, stop, base);
        if (!s->on_inbox || !s->on_term || !s->on_int || event_add(s->on_inbox, NULL) < 0 ||
                event_add(s->on_term, NULL) < 0 || event_add(s->on_int, NULL) < 0)
                return err_errno(err, -ENOMEM, "cannot watch the pipelines' inbox");
        return 0;
}

static int set_up(struct server *s, const struct cloud_config *config, struct err *err)
{
        s->host.config = config;
        s->host.on_end = run_ended;
        s->host.arg = s;
        s->host.base = event_base_new();
        if (!s->host.base)
                return err_errno(err, -ENOMEM, "cannot start");
        int r = ledger_open(config, &s->host.ledger, err);
        if (!r)
                r = ledger_lock(&s->host.ledger, &s->lock_fd, err);
        if (!r)
                r = watch_inbox(s, err);
        return r < 0 ? r : watch_new(&s->host, &s->watch, err);
}

static void tear_down(struct server *s)
{
        struct event *events[] = {s->on_inbox, s->on_term, s->on_int};
        for (size_t i = 0; i < N_ELEMENTS(s->runs); i++)
                run_free(s->runs[i]);
        watch_free(s->watch);
        for (size_t i = 0; i < N_ELEMENTS(events); i++)
                if (events[i])
                        event_free(events[i]);
        if (s->inotify_fd >= 0)
                close(s->inotify_fd);
        if (s->lock_fd >= 0)
                close(s->lock_fd);
        ledger_fini(&s->host.ledger);
        loop_free(s->host.base);
}

int pipeline_serve(const struct cloud_config *config, struct err *err)
{
        struct server s = {.inotify_fd = -1, .lock_fd = -1};
        /* Packages hold local times (package.h), and the same commit must give the same bytes. */
        setenv("TZ", "UTC", 1);
        tzset();
        int r = set_up(&s, config, err);
        if (!r) {
                catch_up_all(&s);
                log_ready("repositories in '%s/repos'", s.host.ledger.dir);
                event_active(s.on_inbox, EV_READ, 0);
                if (event_base_dispatch(s.host.base) < 0)
                        r = err_set(err, -EIO, "the event loop failed");
        }
        tear_down(&s);
        return r;
}
