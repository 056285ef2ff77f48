/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tool/demo.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/http_client.h"
#include "base/limits.h"
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 50
#define LIVE_AFTER_MS 2000
#define LIVE_EVERY_MS 250
#define LIVE_PLAIN_EVERY_MS 5000 /* where lines can't be written over */
#define STOP_GRACE_MS 8000
#define RUN_TIMEOUT_MS 60000
#define SQL_TIMEOUT_MS 2000

/* ── steps ── */

static void print_step(struct demo *d)
{
        printf("[%6.1f s] %s … ", (double)(clock_mono_ms() - d->started_ms) / 1000, d->step);
        fflush(stdout);
        d->line_open = true;
}

void demo_begin(struct demo *d, const char *text)
{
        d->step = text;
        d->step_ms = clock_mono_ms();
        print_step(d);
}

static void rewrite_line(struct demo *d)
{
        if (d->is_terminal && d->line_open)
                fputs("\r\033[K", stdout);
        else if (d->line_open)
                return;
        print_step(d);
}

void demo_end(struct demo *d, const char *fmt, ...)
{
        va_list ap;
        rewrite_line(d);
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
        printf(" (%.1f s)\n", (double)(clock_mono_ms() - d->step_ms) / 1000);
        fflush(stdout);
        d->line_open = false;
}

void demo_note(struct demo *d, const char *fmt, ...)
{
        va_list ap;
        if (d->line_open)
                putchar('\n');
        d->line_open = false;
        fputs("             ", stdout);
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
        putchar('\n');
        fflush(stdout);
}

static void show_live(struct demo *d, const char *progress, int64_t *shown_ms)
{
        int64_t now = clock_mono_ms();
        int every = d->is_terminal ? LIVE_EVERY_MS : LIVE_PLAIN_EVERY_MS;
        if (!*progress || now - d->step_ms < LIVE_AFTER_MS || now - *shown_ms < every)
                return;
        *shown_ms = now;
        if (d->is_terminal) {
                rewrite_line(d);
                fputs(progress, stdout);
        } else {
                demo_note(d, "%s", progress);
        }
        fflush(stdout);
}

/* ── waiting ── */

int demo_check(struct demo *d, struct err *err)
{
        char line[256];
        if (d->up && !proc_is_running(d->up)) {
                demo_last_line(d, "up.log", line, sizeof(line));
                return err_set(err, -ECHILD, "%s", *line ? line : "the cloud ended");
        }
        for (size_t i = 0; i < DEMO_CARS; i++) {
                const struct demo_car *car = &d->cars[i];
                if (!car->agent || proc_is_running(car->agent))
                        continue;
                char log[80];
                snprintf(log, sizeof(log), "%s.log", car->name);
                demo_last_line(d, log, line, sizeof(line));
                return err_set(err, -ECHILD, "the agent of %s ended: %s", car->name, line);
        }
        return 0;
}

int demo_wait(struct demo *d, demo_condition *is_done, void *arg, int timeout_ms, struct err *err)
{
        int64_t start = clock_mono_ms(), shown = 0;
        for (;;) {
                char progress[160] = "";
                int r = is_done(d, arg, progress, sizeof(progress), err);
                if (r)
                        return r < 0 ? r : 0;
                r = demo_check(d, err);
                if (r < 0)
                        return r;
                if (d->interrupted)
                        return err_set(err, -EINTR, "interrupted");
                if (clock_mono_ms() - start > timeout_ms)
                        return err_set(err, -ETIMEDOUT, "gave up after %d s%s%s", timeout_ms / 1000,
                                *progress ? "; last seen: " : "", progress);
                show_live(d, progress, &shown);
                event_base_loop(d->base, EVLOOP_ONCE);
        }
}

/* ── programs ── */

char *demo_path(const struct demo *d, const char *fmt, ...)
{
        char *below = NULL;
        va_list ap;
        va_start(ap, fmt);
        int n = vasprintf(&below, fmt, ap);
        va_end(ap);
        if (n < 0)
                return NULL;
        char *path = fs_join(d->dir, below);
        free(below);
        return path;
}

static int open_log(const struct demo *d, const char *log, struct err *err)
{
        CLEAN_MEM char *path = demo_path(d, "log/%s", log);
        int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        return fd < 0 ? err_errno(err, -errno, "cannot write '%s'", log) : fd;
}

int demo_start(struct demo *d, const char *const *argv, const char *log, struct proc **ret_proc,
        struct err *err)
{
        CLEAN_FD int fd = open_log(d, log, err);
        if (fd < 0)
                return fd;
        const struct proc_options options = {.argv = argv,
                .in = PROC_STDIO_NULL,
                .out = PROC_STDIO_FD,
                .err = PROC_STDIO_FD,
                .out_fd = fd,
                .err_fd = fd};
        return proc_spawn(d->base, &options, ret_proc, err);
}

void demo_last_line(const struct demo *d, const char *log, char *text, size_t size)
{
        CLEAN_MEM char *path = demo_path(d, "log/%s", log);
        CLEAN_BUF struct buf all = BUF_INIT(LIMIT_MIB(64));
        text[0] = 0;
        if (!path || fs_read(path, &all, NULL) < 0)
                return;
        while (all.len && strchr("\r\n ", all.data[all.len - 1]))
                all.data[--all.len] = 0;
        const char *last = all.len ? strrchr(all.data, '\n') : NULL;
        snprintf(text, size, "%s", last ? last + 1 : buf_text(&all));
}

struct running {
        struct proc *proc;
        int status;
        bool ended;
};

static void run_ended(void *arg, struct proc *proc, int status)
{
        (void)proc;
        struct running *run = arg;
        run->ended = true;
        run->status = status;
}

static int has_ended(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        (void)d;
        (void)progress;
        (void)size;
        (void)err;
        return ((struct running *)arg)->ended;
}

int demo_run(
        struct demo *d, const char *const *argv, const char *cwd, struct buf *ret, struct err *err)
{
        CLEAN_MEM char *path = demo_path(d, "log/command");
        if (path)
                unlink(path);
        CLEAN_FD int fd = open_log(d, "command", err);
        if (fd < 0)
                return fd;
        struct running run = {0};
        const struct proc_options options = {.argv = argv,
                .cwd = cwd,
                .in = PROC_STDIO_NULL,
                .out = PROC_STDIO_FD,
                .err = PROC_STDIO_FD,
                .out_fd = fd,
                .err_fd = fd,
                .on_exit = run_ended,
                .arg = &run};
        CLEAN(proc) struct proc *proc = NULL;
        int r = proc_spawn(d->base, &options, &proc, err);
        if (!r)
                r = demo_wait(d, has_ended, &run, RUN_TIMEOUT_MS, err);
        if (r < 0)
                return err_prefix(err, "%s", argv[0]);
        if (run.status) {
                char line[256], how[64];
                demo_last_line(d, "command", line, sizeof(line));
                proc_describe_status(run.status, how, sizeof(how));
                return err_set(
                        err, -ECHILD, "'%s %s' %s: %s", argv[0], argv[1] ? argv[1] : "", how, line);
        }
        return ret ? fs_read(path, ret, err) : 0;
}

/* ── what the parts say ── */

static int open_store(struct demo *d)
{
        CLEAN_MEM char *path = cloud_path(&d->config, CLOUD_STORE_DB);
        return d->store || (path && store_open_readonly(path, &d->store, NULL) == 0) ? 0 : -ENOENT;
}

static int names_ignored(void *arg, size_t n, const char *const *names)
{
        (void)arg;
        (void)n;
        (void)names;
        return 0;
}

static int take_number(void *arg, size_t n, const struct telemetry_value *values)
{
        if (n && values[0].type != TELEMETRY_NULL)
                *(double *)arg =
                        values[0].type == TELEMETRY_BOOL ? values[0].boolean : values[0].number;
        return 0;
}

int demo_number(struct demo *d, double fallback, double *ret, const char *sql_fmt, ...)
{
        char sql[1024];
        va_list ap;
        va_start(ap, sql_fmt);
        vsnprintf(sql, sizeof(sql), sql_fmt, ap);
        va_end(ap);
        *ret = fallback;
        if (open_store(d) < 0)
                return 0;
        const struct store_sql query = {.sql = sql,
                .limit = 1,
                .timeout_ms = SQL_TIMEOUT_MS,
                .names = names_ignored,
                .row = take_number,
                .arg = ret};
        return store_sql(d->store, &query, NULL) < 0 ? 0 : 1;
}

struct fetched {
        bool ended;
        json_t *value;
        struct err err;
};

static void page_answered(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct fetched *f = arg;
        f->ended = true;
        if (err)
                f->err = *err;
        else if (answer->status != 200)
                err_set(&f->err, -EPROTO, "the page answers with status %d", answer->status);
        else
                f->value = json_parse(buf_text(answer->body), answer->body->len, &f->err);
}

static int has_answered(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        (void)d;
        (void)progress;
        (void)size;
        (void)err;
        return ((struct fetched *)arg)->ended;
}

int demo_page(struct demo *d, const char *target, json_t **ret, struct err *err)
{
        char url[128];
        snprintf(url, sizeof(url), "http://%s", d->config.viewer_listen);
        const struct http_client_options options = {.url = url};
        CLEAN(http_client) struct http_client *client = NULL;
        struct fetched f = {0};
        const struct http_request request = {
                .method = "GET", .target = target, .on_done = page_answered, .arg = &f};
        int r = http_client_new(d->base, &options, &client, err);
        if (!r)
                r = http_client_request(client, &request, NULL, err);
        if (!r)
                r = demo_wait(d, has_answered, &f, 10000, err);
        if (!r && !f.value)
                r = err_set(err, -EPROTO, "%s", f.err.text);
        if (!r)
                *ret = f.value;
        return r;
}

/* ── up and down ── */

static void woken(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        (void)arg;
}

static void signalled(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        ((struct demo *)arg)->interrupted = true;
}

static int init_loop(struct demo *d)
{
        d->base = event_base_new();
        if (!d->base)
                return -ENOMEM;
        d->tick = event_new(d->base, -1, EV_PERSIST, woken, d);
        d->on_int = evsignal_new(d->base, SIGINT, signalled, d);
        d->on_term = evsignal_new(d->base, SIGTERM, signalled, d);
        if (!d->tick || !d->on_int || !d->on_term)
                return -ENOMEM;
        struct timeval tv = {0, TICK_MS * 1000};
        event_add(d->tick, &tv);
        event_add(d->on_int, NULL);
        event_add(d->on_term, NULL);
        return 0;
}

int demo_init(struct demo *d, struct err *err)
{
        const char *temp = getenv("TMPDIR");
        if (asprintf(&d->dir, "%s/driveline-demo-XXXXXX", temp && *temp ? temp : "/tmp") < 0)
                d->dir = NULL;
        if (!d->dir || !mkdtemp(d->dir)) {
                int r = err_errno(err, -errno, "cannot make a folder in '%s' (TMPDIR)",
                        temp && *temp ? temp : "/tmp");
                free(d->dir);
                d->dir = NULL;
                return r;
        }
        CLEAN_MEM char *log = demo_path(d, "log");
        int r = log ? fs_mkdir_p(log, 0700, err) : -ENOMEM;
        if (!r && init_loop(d) < 0)
                r = err_errno(err, -ENOMEM, "cannot start");
        return r;
}

static int is_gone(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        (void)d;
        (void)progress;
        (void)size;
        (void)err;
        return !proc_is_running(arg);
}

static void stop(struct demo *d, struct proc **proc)
{
        if (*proc && proc_is_running(*proc)) {
                struct proc *p = TAKE(*proc); /* no longer a program that should run */
                d->interrupted = false;
                proc_terminate(p, STOP_GRACE_MS);
                (void)demo_wait(d, is_gone, p, STOP_GRACE_MS + 2000, NULL);
                proc_free(p);
        }
        proc_free(*proc);
        *proc = NULL;
}

void demo_fini(struct demo *d, bool keep)
{
        for (size_t i = 0; i < DEMO_CARS; i++) {
                if (d->base)
                        stop(d, &d->cars[i].agent);
                free(d->cars[i].dir);
        }
        if (d->base)
                stop(d, &d->up);
        store_free(d->store);
        if (d->dir && keep)
                fprintf(stderr, "logs and data are kept in %s\n", d->dir);
        else if (d->dir)
                fs_remove_tree(d->dir, NULL);
        for (size_t i = 0; i < 3; i++) {
                struct event *e = i == 0 ? d->tick : i == 1 ? d->on_int : d->on_term;
                if (e)
                        event_free(e);
        }
        loop_free(d->base);
        if (d->has_config)
                cloud_config_fini(&d->config);
        free(d->dir);
        free(d->program);
        free(d->agent_program);
        free(d->apps_dir);
}
