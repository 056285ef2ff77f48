/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/task.h"
#include "base/limits.h"
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define TASK_TIMEOUT_MS 120000 /* of task_run(): git on a slow disk */

struct task {
        struct task_options options; /* argv, envp and cwd are not kept */
        struct proc *proc;
        struct event *on_readable;
        struct event *on_timeout;
        int out_fd;
        bool timed_out;
};

void task_free(struct task *t)
{
        if (!t)
                return;
        if (t->on_readable)
                event_free(t->on_readable);
        if (t->on_timeout)
                event_free(t->on_timeout);
        proc_free(t->proc);
        if (t->out_fd >= 0)
                close(t->out_fd);
        free(t);
}

pid_t task_pid(const struct task *t)
{
        return proc_pid(t->proc);
}

void task_kill(struct task *t)
{
        proc_signal(t->proc, SIGKILL);
}

/* Reads what is there, at most `max` pieces, so that an endless writer cannot hold the loop. */
static void drain(struct task *t, int max)
{
        char chunk[16384];
        for (int i = 0; i < max; i++) {
                ssize_t n = read(t->out_fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n == 0)
                        event_del(t->on_readable);
                if (n <= 0)
                        return;
                if (t->options.on_output)
                        t->options.on_output(t->options.arg, chunk, (size_t)n);
        }
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        drain(arg, 8);
}

static void out_of_time(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct task *t = arg;
        t->timed_out = true;
        task_kill(t);
}

static void ended(void *arg, struct proc *proc, int status)
{
        (void)proc;
        struct task *t = arg;
        drain(t, 64); /* a pipe holds 64 kB */
        event_del(t->on_readable);
        if (t->on_timeout)
                event_del(t->on_timeout);
        t->options.on_done(t->options.arg, status, t->timed_out);
}

static int watch(struct event_base *base, struct task *t, struct err *err)
{
        t->on_readable = event_new(base, t->out_fd, EV_READ | EV_PERSIST, readable, t);
        int64_t ms = t->options.timeout_ms;
        struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
        if (ms)
                t->on_timeout = evtimer_new(base, out_of_time, t);
        if (!t->on_readable || event_add(t->on_readable, NULL) < 0 ||
                (ms && (!t->on_timeout || evtimer_add(t->on_timeout, &tv) < 0)))
                return err_errno(err, -ENOMEM, "cannot watch a program");
        return 0;
}

int task_start(struct event_base *base, const struct task_options *options, struct task **ret_task,
        struct err *err)
{
        CLEAN(task) struct task *t = calloc(1, sizeof(*t));
        if (!t)
                return err_errno(err, -ENOMEM, "cannot start '%s'", options->argv[0]);
        t->options = *options;
        t->out_fd = -1;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return err_errno(err, -errno, "cannot start '%s'", options->argv[0]);
        t->out_fd = ends[0];
        CLEAN_FD int child_end = ends[1];
        fcntl(t->out_fd, F_SETFL, O_NONBLOCK);
        struct proc_options po = {.argv = options->argv,
                .envp = options->envp,
                .cwd = options->cwd,
                .in = PROC_STDIO_NULL,
                .out = PROC_STDIO_FD,
                .err = PROC_STDIO_FD,
                .out_fd = child_end,
                .err_fd = child_end,
                .on_exit = ended,
                .arg = t};
        int r = watch(base, t, err);
        if (!r)
                r = proc_spawn(base, &po, &t->proc, err);
        if (r < 0)
                return r;
        *ret_task = TAKE(t);
        return 0;
}

/* ── the waiting kind ── */

struct waiting {
        struct event_base *base;
        struct buf output;
        int status;
        bool timed_out;
};

static void collect(void *arg, const char *data, size_t len)
{
        struct waiting *w = arg;
        buf_add(&w->output, data, len);
}

static void finish(void *arg, int status, bool timed_out)
{
        struct waiting *w = arg;
        w->status = status;
        w->timed_out = timed_out;
        event_base_loopbreak(w->base);
}

void task_last_line(const struct buf *text, char *line, size_t size)
{
        const char *data = buf_text(text);
        size_t end = text->len;
        while (end && (unsigned char)data[end - 1] <= ' ')
                end--;
        size_t start = end;
        while (start && data[start - 1] != '\n')
                start--;
        if (end - start >= size)
                end = start + size - 1;
        memcpy(line, data + start, end - start);
        line[end - start] = 0;
}

static int verdict(const struct waiting *w, const char *name, struct err *err)
{
        char line[200], how[80];
        if (w->timed_out)
                return err_set(err, -ETIMEDOUT, "'%s' did not end in time", name);
        if (w->status == 0)
                return w->output.error
                               ? err_errno(err, w->output.error, "'%s' printed too much", name)
                               : 0;
        task_last_line(&w->output, line, sizeof(line));
        proc_describe_status(w->status, how, sizeof(how));
        return err_set(err, -EIO, "'%s' %s%s%s", name, how, *line ? ": " : "", line);
}

int task_run(const char *const *argv, const char *const *envp, const char *cwd,
        struct buf *ret_output, struct err *err)
{
        struct waiting w = {.base = event_base_new(), .output = BUF_INIT(LIMIT_SMALL_FILE_BYTES)};
        if (!w.base)
                return err_errno(err, -ENOMEM, "cannot start '%s'", argv[0]);
        struct task_options options = {.argv = argv,
                .envp = envp,
                .cwd = cwd,
                .timeout_ms = TASK_TIMEOUT_MS,
                .on_output = collect,
                .on_done = finish,
                .arg = &w};
        struct task *t = NULL;
        int r = task_start(w.base, &options, &t, err);
        if (!r) {
                event_base_dispatch(w.base);
                r = verdict(&w, argv[0], err);
        }
        task_free(t);
        loop_free(w.base);
        if (!r && ret_output)
                r = buf_add(ret_output, buf_text(&w.output), w.output.len);
        buf_fini(&w.output);
        return r;
}
