/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/app.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/proc.h"
#include "wire/manifest.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 30000
/* A run of this length makes the next failure the first one again. */
#define STABLE_MS 60000
#define CATCH_UP_US 1000000
#define LAST_WORDS_BYTES 600
#define READ_BYTES 65536

struct app {
        struct event_base *base;
        struct app_options options;
        enum app_state state;
        char *dir;
        struct proc *proc;
        struct event *on_tick, *on_silence, *on_later; /* on_later: back-off, deferred ends */
        struct event *on_out, *on_err, *on_in;
        struct buf out, errors; /* incomplete lines */
        struct buf in;          /* of the tick's line, what the pipe hasn't taken yet */
        struct buf last_words;
        char cause[256]; /* why we killed it; "" when we didn't */
        int backoff_ms;
        int64_t started_ms;
        /* the seam */
        struct seam_actuators actuators;
        uint64_t ticks;     /* of this run */
        uint64_t all_ticks; /* of the plant */
        int64_t due_us;     /* when the next tick is due */
        bool waiting;       /* for the answer to the tick that was sent */
        bool wants_report;  /* the tick under way asks for telemetry and has none yet */
        bool in_lockstep;   /* has sent actuators */
        bool prints_only;
        int64_t reported_ms;
        /* the log */
        int64_t log_second;
        int log_lines;
        bool warned_bad_line;
};

static const char *const state_names[APP_STATE_N] = {"stopped", "running", "stopping", "back-off"};

const char *app_state_to_string(enum app_state s)
{
        return state_names[s];
}

enum app_state app_state(const struct app *app)
{
        return app->state;
}

static void set_timer_us(struct event *e, int64_t us)
{
        if (us < 0)
                us = 0;
        struct timeval tv = {us / 1000000, us % 1000000};
        evtimer_add(e, &tv);
}

/* ── the app's words on stderr ── */

static void remember_words(struct app *a, const char *line, size_t len)
{
        if (a->last_words.len)
                buf_adds(&a->last_words, " | ");
        buf_add(&a->last_words, line, len > LAST_WORDS_BYTES ? LAST_WORDS_BYTES : len);
        if (a->last_words.len > LAST_WORDS_BYTES)
                buf_drop(&a->last_words, a->last_words.len - LAST_WORDS_BYTES);
}

static void log_words(struct app *a, const char *line, size_t len)
{
        int64_t second = clock_mono_ms() / 1000;
        if (second != a->log_second) {
                if (a->log_lines > APP_LOG_PER_S)
                        log_warning(
                                "app: %d more lines in one second", a->log_lines - APP_LOG_PER_S);
                a->log_second = second;
                a->log_lines = 0;
        }
        if (++a->log_lines <= APP_LOG_PER_S)
                log_info("app: %.*s", (int)len, line);
}

static void take_error_line(struct app *a, const char *line, size_t len)
{
        while (len && (line[len - 1] == '\r' || line[len - 1] == ' '))
                len--;
        if (!len)
                return;
        remember_words(a, line, len);
        log_words(a, line, len);
}

/* Takes the whole lines out of `b`; `take` may end the app, which is then noticed by the caller. */
static void take_lines(
        struct app *a, struct buf *b, void (*take)(struct app *, const char *, size_t))
{
        size_t at = 0;
        const char *end;
        while (at < b->len && (end = memchr(b->data + at, '\n', b->len - at))) {
                take(a, b->data + at, (size_t)(end - (b->data + at)));
                at = (size_t)(end - b->data) + 1;
        }
        buf_drop(b, at);
}

/* ── ending ── */

static void drop_event(struct event **e)
{
        if (*e)
                event_free(*e);
        *e = NULL;
}

static void drop_process(struct app *a)
{
        drop_event(&a->on_out);
        drop_event(&a->on_err);
        drop_event(&a->on_in);
        evtimer_del(a->on_tick);
        evtimer_del(a->on_silence);
        if (a->proc)
                proc_free(a->proc);
        a->proc = NULL;
        buf_clear(&a->out);
        buf_clear(&a->errors);
        buf_clear(&a->in);
}

/* The app behaves so that it must be replaced; its end comes by on_exit. */
static void kill_for(struct app *a, const char *cause)
{
        if (a->cause[0] || !a->proc)
                return;
        snprintf(a->cause, sizeof(a->cause), "%s", cause);
        evtimer_del(a->on_tick);
        evtimer_del(a->on_silence);
        proc_signal(a->proc, SIGKILL);
}

static void back_off(struct app *a)
{
        if (clock_mono_ms() - a->started_ms > STABLE_MS)
                a->backoff_ms = BACKOFF_MIN_MS;
        a->state = APP_STATE_BACKOFF;
        set_timer_us(a->on_later, (int64_t)a->backoff_ms * 1000);
        log_info("app is started again in %d ms", a->backoff_ms);
        a->backoff_ms = a->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : a->backoff_ms * 2;
}

static void failed(struct app *a, const char *cause)
{
        a->state = APP_STATE_STOPPED;
        bool again = a->options.on_failed(a->options.arg, cause);
        if (again && a->state == APP_STATE_STOPPED)
                back_off(a);
}

/* True at the end of the stream. */
static bool read_errors(struct app *a)
{
        char chunk[4096];
        ssize_t n = -1;
        size_t sum = 0;
        while (sum < READ_BYTES && (n = read(proc_stderr(a->proc), chunk, sizeof(chunk))) > 0) {
                sum += (size_t)n;
                if (buf_add(&a->errors, chunk, (size_t)n)) { /* a line without end */
                        take_error_line(a, buf_text(&a->errors), a->errors.len);
                        buf_clear(&a->errors);
                }
                take_lines(a, &a->errors, take_error_line);
        }
        return n == 0;
}

static void describe_end(struct app *a, int status, char *text, size_t size)
{
        char how[128];
        proc_describe_status(status, how, sizeof(how));
        const char *words = buf_text(&a->last_words);
        if (a->cause[0])
                snprintf(
                        text, size, "the app %s%s%s", a->cause, *words ? "; it said: " : "", words);
        else
                snprintf(text, size, "the app %s%s%s", how, *words ? "; it said: " : "", words);
}

static void exited(void *arg, struct proc *proc, int status)
{
        struct app *a = arg;
        read_errors(a);
        if (a->errors.len)
                take_error_line(a, buf_text(&a->errors), a->errors.len);
        char cause[LAST_WORDS_BYTES + 400];
        describe_end(a, status, cause, sizeof(cause));
        bool was_asked = a->state == APP_STATE_STOPPING;
        drop_process(a);
        if (!was_asked) {
                failed(a, cause);
                return;
        }
        a->state = APP_STATE_STOPPED;
        a->options.on_stopped(a->options.arg);
}

/* ── the seam ── */

static void send_pending(struct app *a)
{
        if (!a->in.len)
                return;
        ssize_t n = write(proc_stdin(a->proc), a->in.data, a->in.len);
        if (n > 0)
                buf_drop(&a->in, (size_t)n);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                /* It has closed its stdin or ended: if it only prints, that is its right. */
                buf_clear(&a->in);
                return;
        }
        if (a->in.len)
                event_add(a->on_in, NULL);
}

static void can_write(evutil_socket_t fd, short what, void *arg)
{
        send_pending(arg);
}

static uint64_t ticks_per_report(const struct app *a)
{
        int64_t n = (int64_t)a->options.report_ms * a->options.time_scale / APP_TICK_MS;
        return n < 1 ? 1 : (uint64_t)n;
}

static void watch_silence(struct app *a)
{
        int64_t ms = a->options.answer_ms;
        if (a->prints_only && ms < 5 * (int64_t)a->options.report_ms)
                ms = 5 * (int64_t)a->options.report_ms;
        set_timer_us(a->on_silence, ms * 1000);
}

static void send_tick(struct app *a)
{
        struct seam_tick tick = {.t = (double)a->all_ticks * APP_TICK_MS / 1000,
                .dt = APP_TICK_MS / 1000.0,
                .report = a->ticks % ticks_per_report(a) == 0};
        a->options.plant.sense(a->options.plant.context, &tick.sensors);
        a->wants_report = tick.report;
        if (!a->prints_only) {
                a->waiting = true;
                watch_silence(a);
        }
        if (a->in.len)
                return; /* it doesn't read; a printing app needn't */
        if (seam_encode_tick(&tick, &a->in)) {
                buf_clear(&a->in);
                log_error("the plant's sensors can't be written");
                return;
        }
        send_pending(a);
}

static int64_t tick_us(const struct app *a)
{
        return (int64_t)APP_TICK_MS * 1000 / a->options.time_scale;
}

static void step(struct app *a)
{
        a->options.plant.step(a->options.plant.context, &a->actuators, APP_TICK_MS / 1000.0);
        a->ticks++;
        a->all_ticks++;
        a->due_us += tick_us(a);
        int64_t now = clock_mono_us();
        if (a->due_us < now - CATCH_UP_US)
                a->due_us = now;
        set_timer_us(a->on_tick, a->due_us - now);
}

static void tick_due(evutil_socket_t fd, short what, void *arg)
{
        struct app *a = arg;
        if (a->state != APP_STATE_RUNNING || a->waiting)
                return;
        send_tick(a);
        if (a->prints_only)
                step(a);
}

static void silence_over(evutil_socket_t fd, short what, void *arg)
{
        struct app *a = arg;
        char cause[128];
        snprintf(cause, sizeof(cause), "did not answer within %d ms and was killed",
                a->options.answer_ms);
        kill_for(a, cause);
}

static void report(struct app *a, const struct seam_answer *answer)
{
        int64_t now = clock_mono_ms();
        if (a->prints_only && a->reported_ms &&
                now - a->reported_ms < (int64_t)a->options.report_ms * 9 / 10)
                return;
        if (!a->prints_only && !a->wants_report)
                return;
        a->wants_report = false;
        a->reported_ms = now;
        a->options.on_telemetry(a->options.arg, answer->telemetry, answer->telemetry_len);
}

static void take_answer(struct app *a, const char *line, size_t len)
{
        if (a->state != APP_STATE_RUNNING || a->cause[0] || !len)
                return;
        struct seam_answer answer;
        struct err err = ERR_INIT;
        if (seam_parse_answer(line, len, &a->actuators, &answer, &err) < 0) {
                if (!a->warned_bad_line)
                        log_warning("app: a line that is no answer: %s", err.text);
                a->warned_bad_line = true;
                return;
        }
        a->in_lockstep |= answer.has_actuators;
        a->prints_only = !a->in_lockstep;
        if (answer.telemetry)
                report(a, &answer);
        if (a->prints_only)
                watch_silence(a);
        else
                evtimer_del(a->on_silence);
        if (a->waiting) {
                a->waiting = false;
                step(a);
        }
}

static void output_ready(evutil_socket_t fd, short what, void *arg)
{
        struct app *a = arg;
        char chunk[READ_BYTES];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                event_del(a->on_out); /* its end tells the rest; silence kills it otherwise */
                return;
        }
        if (n < 0)
                return;
        if (buf_add(&a->out, chunk, (size_t)n)) {
                kill_for(a, "sent a line that is too long and was killed");
                buf_clear(&a->out);
                return;
        }
        take_lines(a, &a->out, take_answer);
}

static void errors_ready(evutil_socket_t fd, short what, void *arg)
{
        struct app *a = arg;
        if (read_errors(a))
                event_del(a->on_err);
}

/* ── starting ── */

static int watch_pipes(struct app *a)
{
        int out = proc_stdout(a->proc), errors = proc_stderr(a->proc), in = proc_stdin(a->proc);
        a->on_out = event_new(a->base, out, EV_READ | EV_PERSIST, output_ready, a);
        a->on_err = event_new(a->base, errors, EV_READ | EV_PERSIST, errors_ready, a);
        a->on_in = event_new(a->base, in, EV_WRITE, can_write, a);
        if (!a->on_out || !a->on_err || !a->on_in || event_add(a->on_out, NULL) ||
                event_add(a->on_err, NULL))
                return -ENOMEM;
        return 0;
}

static int spawn(struct app *a, struct err *err)
{
        CLEAN_MANIFEST struct manifest m = {0};
        CLEAN_COMMAND struct command c = {0};
        int r = manifest_read(a->dir, &m, err);
        if (!r && (r = command_parse(m.run_command, &c, err)))
                err_prefix(err, "run_command");
        if (r)
                return r;
        const char *path = getenv("PATH");
        char home[PATH_MAX + 8], search[1024];
        CLEAN_MEM char *real = realpath(a->dir, NULL);
        snprintf(home, sizeof(home), "HOME=%s", real ? real : "/");
        snprintf(search, sizeof(search), "PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin");
        /* Python would otherwise write its caches into the slot and hold its lines back. */
        const char *const envp[] = {search, home, "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
                "PYTHONUNBUFFERED=1", NULL};
        struct proc_options o = {.argv = (const char *const *)c.argv,
                .envp = envp,
                .cwd = a->dir,
                .in = PROC_STDIO_PIPE,
                .out = PROC_STDIO_PIPE,
                .err = PROC_STDIO_PIPE,
                .on_exit = exited,
                .arg = a};
        r = proc_spawn(a->base, &o, &a->proc, err);
        if (!r && (r = watch_pipes(a)))
                err_set(err, r, "out of memory");
        return r;
}

static void run(struct app *a)
{
        struct err err = ERR_INIT;
        a->cause[0] = 0;
        buf_clear(&a->last_words);
        a->actuators = seam_actuators_default();
        a->ticks = 0;
        a->waiting = a->in_lockstep = a->prints_only = a->warned_bad_line = false;
        a->reported_ms = 0;
        a->started_ms = clock_mono_ms();
        a->due_us = clock_mono_us();
        if (spawn(a, &err)) {
                char cause[ERR_TEXT_MAX + 64];
                snprintf(cause, sizeof(cause), "the app could not be started: %s", err.text);
                drop_process(a);
                failed(a, cause);
                return;
        }
        a->state = APP_STATE_RUNNING;
        log_debug("app in '%s' runs as process %d", a->dir, (int)proc_pid(a->proc));
        send_tick(a);
}

/* What must not happen within app_start() and app_stop(), and the end of a back-off. */
static void later(evutil_socket_t fd, short what, void *arg)
{
        struct app *a = arg;
        if (a->state == APP_STATE_BACKOFF) {
                run(a);
        } else if (a->state == APP_STATE_STOPPING && !a->proc) {
                a->state = APP_STATE_STOPPED;
                a->options.on_stopped(a->options.arg);
        }
}

void app_start(struct app *a, const char *dir)
{
        char *copy = strdup(dir);
        drop_process(a);
        free(a->dir);
        a->dir = copy;
        a->backoff_ms = BACKOFF_MIN_MS;
        a->state = APP_STATE_BACKOFF;
        set_timer_us(a->on_later, 0);
}

void app_stop(struct app *a)
{
        a->state = APP_STATE_STOPPING;
        evtimer_del(a->on_tick);
        evtimer_del(a->on_silence);
        if (!a->proc) {
                set_timer_us(a->on_later, 0);
                return;
        }
        evtimer_del(a->on_later);
        drop_event(&a->on_in);
        proc_close_stdin(a->proc);
        proc_terminate(a->proc, APP_STOP_GRACE_MS);
}

int app_new(struct event_base *base, const struct app_options *options, struct app **ret_app,
        struct err *err)
{
        CLEAN(app) struct app *a = calloc(1, sizeof(*a));
        if (!a)
                return err_set(err, -ENOMEM, "out of memory");
        a->base = base;
        a->options = *options;
        if (a->options.time_scale < 1)
                a->options.time_scale = 1;
        a->out = BUF_INIT(LIMIT_SEAM_LINE_BYTES + READ_BYTES);
        a->errors = BUF_INIT(LIMIT_KIB(8));
        a->in = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        a->last_words = BUF_INIT(LIMIT_KIB(4));
        a->on_tick = evtimer_new(base, tick_due, a);
        a->on_silence = evtimer_new(base, silence_over, a);
        a->on_later = evtimer_new(base, later, a);
        if (!a->on_tick || !a->on_silence || !a->on_later)
                return err_set(err, -ENOMEM, "out of memory");
        *ret_app = TAKE(a);
        return 0;
}

void app_free(struct app *a)
{
        if (a->on_tick && a->on_silence)
                drop_process(a);
        drop_event(&a->on_tick);
        drop_event(&a->on_silence);
        drop_event(&a->on_later);
        buf_fini(&a->out);
        buf_fini(&a->errors);
        buf_fini(&a->in);
        buf_fini(&a->last_words);
        free(a->dir);
        free(a);
}
