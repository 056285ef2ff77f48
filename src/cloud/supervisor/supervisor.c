/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/supervisor/supervisor.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/loop.h"
#include "base/log.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 5000
#define LONG_LIFE_MS 60000
#define STOP_GRACE_MS 5000

struct part {
        struct supervisor *supervisor;
        const struct supervisor_part *what;
        struct proc *proc;
        struct event *on_line, *on_restart;
        struct buf line;
        char last_line[256];
        int64_t started_at;
        int backoff_ms;
        bool ready;
};

struct supervisor {
        const struct supervisor_options *options;
        struct event_base *base;
        struct part parts[SUPERVISOR_MAX_PARTS];
        int log_fd;
        off_t log_size;
        size_t n_ready;
        bool stopping, stopped;
        int result;
        struct err *err;
};

/* ── the log ── */

static int log_open(struct supervisor *s)
{
        s->log_fd = open(s->options->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (s->log_fd < 0)
                return err_errno(s->err, -errno, "cannot write '%s'", s->options->log_file);
        struct stat st;
        s->log_size = fstat(s->log_fd, &st) == 0 ? st.st_size : 0;
        return 0;
}

static void log_rotate(struct supervisor *s)
{
        char from[PATH_MAX], to[PATH_MAX];
        for (int i = SUPERVISOR_LOG_FILES - 1; i >= 0; i--) {
                snprintf(to, sizeof(to), "%s.%d", s->options->log_file, i + 1);
                if (i)
                        snprintf(from, sizeof(from), "%s.%d", s->options->log_file, i);
                else
                        snprintf(from, sizeof(from), "%s", s->options->log_file);
                (void)rename(from, to);
        }
        close(s->log_fd);
        if (log_open(s) < 0)
                s->log_fd = -1;
}

static void log_line(struct supervisor *s, const char *line, size_t len)
{
        if (s->log_fd >= 0 && s->log_size > SUPERVISOR_LOG_BYTES)
                log_rotate(s);
        if (s->log_fd >= 0 && fs_write_all(s->log_fd, line, len) == 0)
                s->log_size += (off_t)len;
        if (s->options->echo)
                (void)fs_write_all(STDERR_FILENO, line, len);
}

/* ── parts ── */

static void stop_next(struct supervisor *s);
static void part_start(struct part *p);

static void stop_all(struct supervisor *s, int result)
{
        if (s->stopping)
                return;
        s->stopping = true;
        s->result = result;
        stop_next(s);
}

static void part_line(struct part *p, const char *line, size_t len)
{
        struct supervisor *s = p->supervisor;
        log_line(s, line, len);
        size_t keep = len - 1 < sizeof(p->last_line) - 1 ? len - 1 : sizeof(p->last_line) - 1;
        memcpy(p->last_line, line, keep);
        p->last_line[keep] = 0;
        if (p->ready || !strstr(p->last_line, p->what->ready_text))
                return;
        p->ready = true;
        if (++s->n_ready == s->options->n_parts && s->options->on_ready)
                s->options->on_ready(s->options->arg);
}

static void part_read(evutil_socket_t fd, short what, void *arg)
{
        (void)what;
        struct part *p = arg;
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                event_del(p->on_line);
                return;
        }
        for (ssize_t i = 0; i < n; i++) {
                if (buf_addc(&p->line, chunk[i]) < 0 || chunk[i] == '\n') {
                        if (p->line.error) { /* a line without end: cut it */
                                p->line.error = 0;
                                p->line.data[p->line.len - 1] = '\n';
                        }
                        part_line(p, p->line.data, p->line.len);
                        buf_clear(&p->line);
                }
        }
}

/* The message of a log line without its time, level and program. */
static const char *message_of(const char *line)
{
        const char *colon = strstr(line, ": ");
        return colon && line[0] >= '0' && line[0] <= '9' ? colon + 2 : line;
}

static void part_drop(struct part *p)
{
        if (p->on_line) {
                part_read(proc_stderr(p->proc), 0, p); /* what it said last */
                event_free(p->on_line);
        }
        p->on_line = NULL;
        proc_free(p->proc);
        p->proc = NULL;
        buf_clear(&p->line);
}

static void part_ended(void *arg, struct proc *proc, int status)
{
        (void)proc;
        struct part *p = arg;
        struct supervisor *s = p->supervisor;
        char how[128];
        proc_describe_status(status, how, sizeof(how));
        part_drop(p);
        if (s->stopping) {
                stop_next(s);
                return;
        }
        if (!p->ready) {
                stop_all(s, err_set(s->err, -ECHILD, "%s: %s", p->what->name,
                                    p->last_line[0] ? message_of(p->last_line) : how));
                return;
        }
        if (clock_mono_ms() - p->started_at > LONG_LIFE_MS)
                p->backoff_ms = BACKOFF_MIN_MS;
        log_warning("%s %s; starting it again in %d ms", p->what->name, how, p->backoff_ms);
        struct timeval tv = {p->backoff_ms / 1000, (p->backoff_ms % 1000) * 1000};
        evtimer_add(p->on_restart, &tv);
        p->backoff_ms = p->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : p->backoff_ms * 2;
}

static void part_restart(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        part_start(arg);
}

static void part_start(struct part *p)
{
        struct supervisor *s = p->supervisor;
        const struct proc_options options = {
                .argv = p->what->argv,
                .in = PROC_STDIO_NULL,
                .out = PROC_STDIO_NULL,
                .err = PROC_STDIO_PIPE,
                .on_exit = part_ended,
                .arg = p,
        };
        if (s->stopping)
                return;
        p->started_at = clock_mono_ms();
        if (proc_spawn(s->base, &options, &p->proc, s->err) < 0) {
                err_prefix(s->err, "%s", p->what->name);
                stop_all(s, s->err ? s->err->code : -ECHILD);
                return;
        }
        p->on_line = event_new(s->base, proc_stderr(p->proc), EV_READ | EV_PERSIST, part_read, p);
        if (p->on_line)
                event_add(p->on_line, NULL);
}

/* Stops the last part that runs; its end calls for the next. */
static void stop_next(struct supervisor *s)
{
        for (size_t i = s->options->n_parts; i-- > 0;) {
                struct part *p = &s->parts[i];
                if (p->on_restart)
                        evtimer_del(p->on_restart);
                if (p->proc) {
                        proc_terminate(p->proc, STOP_GRACE_MS);
                        return;
                }
        }
        s->stopped = true;
        event_base_loopbreak(s->base);
}

static void signalled(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        stop_all(arg, 0);
}

static int parts_init(struct supervisor *s)
{
        for (size_t i = 0; i < s->options->n_parts; i++) {
                struct part *p = &s->parts[i];
                p->supervisor = s;
                p->what = &s->options->parts[i];
                p->backoff_ms = BACKOFF_MIN_MS;
                p->line = BUF_INIT(LIMIT_KIB(8));
                p->on_restart = evtimer_new(s->base, part_restart, p);
                if (!p->on_restart)
                        return err_errno(s->err, -ENOMEM, "cannot start the parts");
        }
        return 0;
}

static int run(struct supervisor *s)
{
        int r = log_open(s);
        if (!r)
                r = parts_init(s);
        struct event *interrupt = evsignal_new(s->base, SIGINT, signalled, s);
        struct event *terminate = evsignal_new(s->base, SIGTERM, signalled, s);
        if (!r && interrupt && terminate) {
                event_add(interrupt, NULL);
                event_add(terminate, NULL);
                for (size_t i = 0; i < s->options->n_parts && !s->stopping; i++)
                        part_start(&s->parts[i]);
                /* A break before the loop runs would be forgotten by it. */
                if (!s->stopped)
                        event_base_dispatch(s->base);
                r = s->result;
        }
        if (interrupt)
                event_free(interrupt);
        if (terminate)
                event_free(terminate);
        return r;
}

int supervisor_run(const struct supervisor_options *options, struct err *err)
{
        if (options->n_parts > SUPERVISOR_MAX_PARTS)
                return err_set(err, -E2BIG, "more than %d parts", SUPERVISOR_MAX_PARTS);
        struct supervisor s = {.options = options, .log_fd = -1, .err = err};
        s.base = event_base_new();
        if (!s.base)
                return err_errno(err, -ENOMEM, "cannot start the parts");
        int r = run(&s);
        for (size_t i = 0; i < options->n_parts; i++) {
                struct part *p = &s.parts[i];
                if (p->on_line)
                        event_free(p->on_line);
                if (p->on_restart)
                        event_free(p->on_restart);
                proc_free(p->proc);
                buf_fini(&p->line);
        }
        if (s.log_fd >= 0)
                close(s.log_fd);
        loop_free(s.base);
        return r;
}
