/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/agent.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/tls.h"
#include "tcu/installer.h"
#include "tcu/journal.h"
#include "tcu/message.h"
#include "tcu/spool.h"
#include "tcu/status.h"
#include "tcu/updater.h"
#include "tcu/uplink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

/* A full disk would otherwise fill the log as well. */
#define COMPLAIN_EVERY_MS 60000

struct agent {
        struct event_base *base;
        struct agent_options options;
        int lock_fd;
        struct slots *slots;
        struct spool *spool;
        struct uplink *uplink; /* NULL: no broker */
        struct app *app;
        struct updater *updater;
        struct status *status;
        struct installer *installer; /* of the factory's app */
        SSL_CTX *tls;
        struct event *on_term, *on_int, *on_sync;
        char slot; /* that runs; 0: none */
        char version[DEPLOY_VERSION_SIZE];
        bool boot_is_logged;
        bool is_stopping;
        int64_t complained_ms;
        struct err failure; /* why the loop was left, if for a failure */
};

/* ── messages ── */

static void keep(struct agent *a, enum uplink_kind kind, const struct buf *message)
{
        struct err err = ERR_INIT;
        if (message->error)
                err_set(&err, message->error, "a message is too large");
        else if (!spool_append(a->spool, (uint8_t)kind, message->data, message->len, &err)) {
                if (a->uplink)
                        uplink_kick(a->uplink);
                return;
        }
        int64_t now = clock_mono_ms();
        if (!a->complained_ms || now - a->complained_ms > COMPLAIN_EVERY_MS) {
                a->complained_ms = now;
                log_error("a message is lost: %s", err.text);
        }
}

static struct message_head head(const struct agent *a)
{
        return (struct message_head){.device = a->options.id,
                .time_ms = clock_now_ms(),
                .sequence = spool_next(a->spool),
                .version = a->version};
}

static void log_boot(struct agent *a, const char *result, const char *cause)
{
        struct err err = ERR_INIT;
        if (a->boot_is_logged)
                return;
        a->boot_is_logged = true;
        if (journal_write(a->options.dir, &err, "boot slot=%c version=%s %s%s%s",
                    a->slot ? a->slot : '-', a->version, result, *cause ? ": " : "", cause))
                log_error("%s", err.text);
}

static void on_telemetry(void *arg, const char *telemetry, size_t len)
{
        struct agent *a = arg;
        CLEAN_BUF struct buf message = BUF_INIT(LIMIT_MESSAGE_BYTES);
        struct message_head h = head(a);
        (void)message_telemetry(&message, &h, telemetry, len);
        keep(a, UPLINK_KIND_TELEMETRY, &message);
        log_boot(a, "success", "");
        updater_app_reported(a->updater);
}

static void on_update_event(void *arg, const struct message_event *e)
{
        struct agent *a = arg;
        CLEAN_BUF struct buf message = BUF_INIT(LIMIT_MESSAGE_BYTES);
        struct message_head h = head(a);
        (void)message_update(&message, &h, e);
        keep(a, UPLINK_KIND_UPDATE, &message);
}

/* ── the app ── */

static void run_slot(void *arg, char slot)
{
        struct agent *a = arg;
        struct slot_info info;
        if (!slot || slots_info(a->slots, slot, &info)) {
                log_error("slot '%c' has no app to run", slot ? slot : '-');
                return;
        }
        a->slot = slot;
        memcpy(a->version, info.version, sizeof(a->version));
        log_info("starting version %s in slot %c", a->version, slot);
        app_start(a->app, slots_path(a->slots, slot));
}

static void stop_app(void *arg)
{
        struct agent *a = arg;
        app_stop(a->app);
}

static bool on_app_failed(void *arg, const char *cause)
{
        struct agent *a = arg;
        log_error("%s", cause);
        log_boot(a, "failure", cause);
        return !a->is_stopping && updater_app_failed(a->updater, cause);
}

static void on_app_stopped(void *arg)
{
        struct agent *a = arg;
        if (a->is_stopping)
                event_base_loopbreak(a->base);
        else
                updater_app_stopped(a->updater);
}

static void on_poll_hint(void *arg)
{
        struct agent *a = arg;
        log_debug("hint: poll the update server");
        updater_poll_now(a->updater);
}

/* ── the factory's app ── */

static void leave(struct agent *a, const struct err *err)
{
        a->failure = *err;
        event_base_loopbreak(a->base);
}

static int take_factory_app(struct agent *a, struct err *err)
{
        struct slot_info info = {0};
        int r = slots_check(a->slots, 'a', info.version, err);
        if (!r)
                r = slots_complete(a->slots, 'a', &info, err);
        if (!r)
                r = slots_select(a->slots, 'a', err);
        return r;
}

static void factory_done(void *arg, enum installer_result result, const struct err *from)
{
        struct agent *a = arg;
        struct err err = from ? *from : ERR_INIT;
        installer_free(a->installer);
        a->installer = NULL;
        if (result == INSTALLER_RESULT_DONE && !take_factory_app(a, &err)) {
                updater_start(a->updater);
                return;
        }
        err_prefix(&err, "cannot install the app '%s'", a->options.app);
        log_boot(a, "failure", err.text);
        leave(a, &err);
}

static int install_factory_app(struct agent *a, struct err *err)
{
        int r = slots_clear(a->slots, 'a', err);
        if (r)
                return r;
        const struct installer_options o = {.command = a->options.unpacker,
                .source = a->options.app,
                .dest = slots_path(a->slots, 'a'),
                .on_done = factory_done,
                .arg = a};
        return installer_start(a->base, &o, &a->installer, err);
}

static int start(struct agent *a, struct err *err)
{
        char slot = slots_repair(a->slots, updater_deploy(a->updater)->slot_from, err);
        if (!slot && a->options.app)
                return install_factory_app(a, err);
        if (!slot)
                log_warning("no app is installed; give one by --app or by an update");
        updater_start(a->updater);
        return 0;
}

/* ── signals and timers ── */

void agent_stop(struct agent *a)
{
        if (a->is_stopping)
                return;
        a->is_stopping = true;
        app_stop(a->app);
}

static void told_to_stop(evutil_socket_t fd, short what, void *arg)
{
        agent_stop(arg);
}

static void sync_due(evutil_socket_t fd, short what, void *arg)
{
        struct agent *a = arg;
        struct err err = ERR_INIT;
        if (spool_sync(a->spool, &err))
                log_warning("%s", err.text);
}

/* ── status ── */

static json_t *describe(void *arg)
{
        struct agent *a = arg;
        const struct deploy *d = updater_deploy(a->updater);
        struct spool_stats s;
        spool_stats(a->spool, &s);
        char why[ERR_TEXT_MAX], slot[2] = {a->slot ? a->slot : '-'};
        updater_why(a->updater, why, sizeof(why));
        const char *broker = !a->uplink                       ? "none is configured"
                             : uplink_is_connected(a->uplink) ? "connected"
                                                              : uplink_why(a->uplink);
        return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s*,s:s*}", "id", a->options.id,
                "slot", slot, "version", a->version, "app", app_state_to_string(app_state(a->app)),
                "state", deploy_state_to_string(d->state), "action", d->action, "spooled",
                (json_int_t)s.records, "spool_bytes", (json_int_t)s.bytes, "dropped",
                (json_int_t)s.dropped, "sequence", (json_int_t)s.last, "broker", broker, "why",
                why);
}

/* What an agent that doesn't run has left. */
static int describe_folder(const char *dir, json_t **ret, struct err *err)
{
        CLEAN_MEM char *slots_dir = fs_join(dir, "slots");
        CLEAN_MEM char *spool_dir = fs_join(dir, "spool");
        CLEAN_MEM char *state_path = fs_join(dir, "state.json");
        if (!slots_dir || !spool_dir || !state_path)
                return err_set(err, -ENOMEM, "out of memory");
        if (!fs_exists(slots_dir))
                return err_set(err, -ENOENT, "'%s' is no folder of an agent", dir);
        CLEAN(slots) struct slots *slots = NULL;
        int r = slots_open(slots_dir, &slots, err);
        if (r)
                return r;
        struct slot_info info = {.version = "0"};
        char slot[2] = {slots_current(slots)};
        if (slot[0])
                (void)slots_info(slots, slot[0], &info);
        struct spool_stats s = {0};
        if (fs_exists(spool_dir))
                (void)spool_peek(spool_dir, &s, NULL);
        CLEAN_JSON json_t *state = fs_exists(state_path) ? json_read_file(state_path, NULL) : NULL;
        *ret = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s}", "slot", slot[0] ? slot : "-",
                "version", info.version, "app", "stopped", "state",
                json_text(state, "state", "idle"), "action", json_text(state, "action", ""),
                "spooled", (json_int_t)s.records, "spool_bytes", (json_int_t)s.bytes, "sequence",
                (json_int_t)s.last, "broker", "not connected", "why",
                "the agent does not run; start driveline-tcu --dir with this folder");
        return *ret ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int agent_print_status(const char *dir, bool as_json, struct err *err)
{
        CLEAN_JSON json_t *j = NULL;
        int r = status_ask(dir, &j, err);
        if (r == -ECONNREFUSED || r == -ENOENT)
                r = describe_folder(dir, &j, err);
        if (r)
                return r;
        if (as_json) {
                CLEAN_BUF struct buf text = BUF_INIT(LIMIT_KIB(64));
                (void)json_append(&text, j);
                printf("%s\n", buf_text(&text));
                return 0;
        }
        const char *const action = json_text(j, "action", "");
        printf("slot      %s\n", json_text(j, "slot", "-"));
        printf("version   %s\n", json_text(j, "version", "0"));
        printf("app       %s\n", json_text(j, "app", ""));
        printf("state     %s%s%s\n", json_text(j, "state", ""), *action ? ", action " : "", action);
        printf("spool     %" PRId64 " messages wait, %" PRId64 " bytes, last sequence %" PRId64
               "\n",
                json_int(j, "spooled", 0), json_int(j, "spool_bytes", 0),
                json_int(j, "sequence", 0));
        printf("broker    %s\n", json_text(j, "broker", ""));
        printf("why       %s\n", json_text(j, "why", ""));
        return 0;
}

/* ── life ── */

static int take_lock(struct agent *a, struct err *err)
{
        CLEAN_MEM char *path = fs_join(a->options.dir, "lock");
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        a->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (a->lock_fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        if (!flock(a->lock_fd, LOCK_EX | LOCK_NB))
                return 0;
        if (errno == EWOULDBLOCK)
                return err_set(err, -EBUSY,
                        "another driveline-tcu works in '%s'; stop it or give another --dir",
                        a->options.dir);
        return err_errno(err, -errno, "cannot lock '%s'", path);
}

/* Files of atomic writes that a kill has left behind: `name.XXXXXX`. */
static void sweep(const char *dir, const char *name)
{
        DIR *d = opendir(dir);
        size_t len = strlen(name);
        for (struct dirent *e; d && (e = readdir(d));)
                if (!strncmp(e->d_name, name, len) && e->d_name[len] == '.' &&
                        strlen(e->d_name) == len + 7)
                        (void)unlinkat(dirfd(d), e->d_name, 0);
        if (d)
                closedir(d);
}

static int open_folders(struct agent *a, struct err *err)
{
        const char *dir = a->options.dir;
        CLEAN_MEM char *slots_dir = fs_join(dir, "slots");
        CLEAN_MEM char *spool_dir = fs_join(dir, "spool");
        if (!slots_dir || !spool_dir)
                return err_set(err, -ENOMEM, "out of memory");
        sweep(dir, "state.json");
        sweep(slots_dir, "a.json");
        sweep(slots_dir, "b.json");
        sweep(spool_dir, "reserve.json");
        int r = slots_open(slots_dir, &a->slots, err);
        if (!r)
                r = spool_open(spool_dir, a->options.spool_bytes, &a->spool, err);
        return r;
}

static int make_uplink(struct agent *a, struct err *err)
{
        const struct agent_options *o = &a->options;
        if (!o->mqtt_host)
                return 0;
        const struct uplink_options u = {.host = o->mqtt_host,
                .port = o->mqtt_port,
                .id = o->id,
                .ca_file = o->ca_file,
                .cert_file = o->cert_file,
                .key_file = o->key_file,
                .on_poll_hint = on_poll_hint,
                .arg = a};
        return uplink_new(a->base, &u, a->spool, &a->uplink, err);
}

static int make_updater(struct agent *a, struct err *err)
{
        const struct agent_options *o = &a->options;
        if (o->server && !strncmp(o->server, "https:", 6)) {
                int r = tls_client_new(o->ca_file, o->cert_file, o->key_file, &a->tls, err);
                if (r)
                        return r;
        }
        const struct updater_options u = {.dir = o->dir,
                .unpacker = o->unpacker,
                .url = o->server,
                .tenant = o->tenant,
                .id = o->id,
                .authorization = o->authorization,
                .tls = a->tls,
                .poll_ms = o->poll_ms,
                .trial_ms = o->trial_ms,
                .report_ms = o->report_ms,
                .timeout_ms = (int)o->timeout_ms,
                .run = run_slot,
                .stop = stop_app,
                .event = on_update_event,
                .arg = a};
        return updater_new(a->base, &u, a->slots, &a->updater, err);
}

static int make_app(struct agent *a, struct err *err)
{
        const struct app_options o = {.plant = a->options.plant,
                .time_scale = a->options.time_scale,
                .report_ms = a->options.report_ms,
                .answer_ms = (int)a->options.answer_ms,
                .on_telemetry = on_telemetry,
                .on_failed = on_app_failed,
                .on_stopped = on_app_stopped,
                .arg = a};
        return app_new(a->base, &o, &a->app, err);
}

static int make_events(struct agent *a, struct err *err)
{
        const struct timeval sync = {SPOOL_SYNC_MS / 1000, 0};
        signal(SIGPIPE, SIG_IGN); /* a broken pipe is an error of write(2), not an end */
        a->on_term = evsignal_new(a->base, SIGTERM, told_to_stop, a);
        a->on_int = evsignal_new(a->base, SIGINT, told_to_stop, a);
        a->on_sync = event_new(a->base, -1, EV_PERSIST, sync_due, a);
        if (!a->on_term || !a->on_int || !a->on_sync || evsignal_add(a->on_term, NULL) ||
                evsignal_add(a->on_int, NULL) || event_add(a->on_sync, &sync))
                return err_set(err, -ENOMEM, "out of memory");
        return 0;
}

int agent_new(struct event_base *base, const struct agent_options *options,
        struct agent **ret_agent, struct err *err)
{
        CLEAN(agent) struct agent *a = calloc(1, sizeof(*a));
        if (!a)
                return err_set(err, -ENOMEM, "out of memory");
        a->base = base;
        a->options = *options;
        a->lock_fd = -1;
        memcpy(a->version, "0", 2);
        int r = fs_mkdir_p(options->dir, 0700, err);
        int (*const steps[])(struct agent *, struct err *) = {
                take_lock, open_folders, make_events, make_app, make_updater, make_uplink};
        for (size_t i = 0; !r && i < N_ELEMENTS(steps); i++)
                r = steps[i](a, err);
        if (!r)
                r = status_new(base, options->dir, describe, a, &a->status, err);
        if (r)
                return r;
        *ret_agent = TAKE(a);
        return 0;
}

int agent_run(struct agent *a, struct err *err)
{
        int r = start(a, err);
        if (r)
                return r;
        if (event_base_dispatch(a->base) < 0)
                return err_set(err, -EIO, "the event loop failed");
        if (a->failure.code) {
                *err = a->failure;
                return a->failure.code;
        }
        log_info("stopped");
        return 0;
}

void agent_free(struct agent *a)
{
        struct event *events[] = {a->on_term, a->on_int, a->on_sync};
        if (a->status)
                status_free(a->status);
        if (a->uplink)
                uplink_free(a->uplink);
        if (a->installer)
                installer_free(a->installer);
        if (a->app)
                app_free(a->app);
        if (a->updater)
                updater_free(a->updater);
        for (size_t i = 0; i < N_ELEMENTS(events); i++)
                if (events[i])
                        event_free(events[i]);
        if (a->spool)
                spool_close(a->spool);
        if (a->slots)
                slots_close(a->slots);
        SSL_CTX_free(a->tls);
        if (a->lock_fd >= 0)
                close(a->lock_fd);
        free(a);
}
