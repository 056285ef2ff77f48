/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/updater_impl.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* After trouble of our own (a full disk) the same step is tried again. */
#define STALL_MS 5000

/* ── small things ── */

void updater_timer(struct event *e, int64_t ms)
{
        struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
        evtimer_add(e, &tv);
}

void updater_note(struct updater *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void updater_note(struct updater *u, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(u->why, sizeof(u->why), fmt, ap);
        va_end(ap);
}

/* Trouble that isn't the deployment's: the step will be tried again. */
void updater_stall(struct updater *u, const struct err *err)
{
        log_error("update: %s; trying again", err->text);
        updater_note(u, "%s", err->text);
        updater_timer(u->on_stall, STALL_MS);
}

/* True if the step is on disk. */
bool updater_commit(struct updater *u, struct deploy *next, enum deploy_event event)
{
        struct err err = ERR_INIT;
        enum deploy_state from = u->deploy.state;
        if (deploy_commit(u->state_path, &u->deploy, next, event, &err)) {
                updater_stall(u, &err);
                return false;
        }
        u->why[0] = 0;
        log_debug("update: %s, %s, %s", deploy_state_to_string(from), deploy_event_to_string(event),
                deploy_state_to_string(u->deploy.state));
        return true;
}

bool updater_step(struct updater *u, enum deploy_event event)
{
        struct deploy next = u->deploy;
        return updater_commit(u, &next, event);
}

void updater_tell(struct updater *u, enum ddi_execution execution, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void updater_tell(struct updater *u, enum ddi_execution execution, const char *fmt, ...)
{
        char text[DEPLOY_CAUSE_SIZE];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        const struct ddi_feedback f = {.action = u->deploy.action,
                .execution = execution,
                .finished = DDI_FINISHED_NONE,
                .timestamp_ms = clock_now_ms(),
                .details = text};
        if (u->client)
                (void)ddi_client_tell(u->client, &f, false, false); /* the end is what counts */
}

void updater_emit(struct updater *u, const char *state)
{
        const struct deploy *d = &u->deploy;
        log_info("update: action %s, %s to %s: %s", d->action, d->version_from, d->version_to,
                state);
        const struct message_event e = {d->action, state, d->version_from, d->version_to, d->cause};
        u->options.event(u->options.arg, &e);
}

void updater_remove_downloads(struct updater *u)
{
        struct err err = ERR_INIT;
        if (fs_remove_tree(u->download_dir, &err) || fs_mkdir_p(u->download_dir, 0700, &err))
                log_warning("update: %s", err.text);
}

void updater_drop_work(struct updater *u)
{
        if (u->download)
                download_free(u->download);
        u->download = NULL;
        if (u->installer)
                installer_free(u->installer);
        u->installer = NULL;
        evtimer_del(u->on_retry);
        free(u->url);
        u->url = NULL;
}

int64_t updater_jitter(int64_t ms)
{
        uint16_t random = 0;
        (void)hash_random(&random, sizeof(random));
        return ms * 9 / 10 + ms / 5 * random / 65536;
}

/* ── taking a state up ── */

static void resume_wait(struct updater *u)
{
        if (!u->install_allowed) {
                updater_note(u, "action %s is downloaded and waits for permission to install",
                        u->deploy.action);
                return;
        }
        if (!updater_step(u, DEPLOY_EVENT_ALLOWED))
                return;
        updater_tell(u, DDI_EXECUTION_PROCEEDING, "installing into slot %c", u->deploy.slot_to);
        updater_emit(u, "installing");
        updater_begin_unpack(u);
}

/* Does what the present state asks for; also after a stall and after a restart. */
void updater_resume(struct updater *u)
{
        switch (u->deploy.state) {
        case DEPLOY_STATE_DOWNLOAD:
                if (u->url)
                        updater_begin_download(u);
                else
                        updater_poll_now(u);
                break;
        case DEPLOY_STATE_WAIT:
                resume_wait(u);
                break;
        case DEPLOY_STATE_UNPACK:
                updater_begin_unpack(u);
                break;
        case DEPLOY_STATE_SWITCH:
                updater_stop_for(u, STOP_FOR_SWITCH);
                break;
        case DEPLOY_STATE_ROLLBACK:
                updater_stop_for(u, STOP_FOR_ROLLBACK);
                break;
        case DEPLOY_STATE_TRIAL:
                updater_trial_over(-1, 0, u);
                break;
        case DEPLOY_STATE_REPORT:
                updater_begin_report(u);
                break;
        case DEPLOY_STATE_IDLE:
        case DEPLOY_STATE_N:
                break;
        }
}

static void stall_over(evutil_socket_t fd, short what, void *arg)
{
        updater_resume(arg);
}

/* The agent or the machine went down in the trial: once may be chance. */
static void restart_trial(struct updater *u)
{
        struct deploy next = u->deploy;
        struct err err = ERR_INIT;
        char cause[128];
        if (++next.trial_starts > DEPLOY_TRIAL_STARTS) {
                snprintf(cause, sizeof(cause), "the agent was started %d times during the trial",
                        DEPLOY_TRIAL_STARTS);
                updater_fail_trial(u, cause);
                return;
        }
        if (deploy_save(u->state_path, &u->deploy, &next, &err))
                log_error("update: %s", err.text);
        updater_begin_trial(u);
}

void updater_start(struct updater *u)
{
        struct err err = ERR_INIT;
        enum deploy_state s = u->deploy.state;
        char slot = slots_repair(u->slots, u->deploy.slot_from, &err);
        if (s != DEPLOY_STATE_IDLE)
                log_info("update: action %s is taken up in state '%s'", u->deploy.action,
                        deploy_state_to_string(s));
        if (u->client)
                updater_timer(u->on_poll, 0);
        if (s == DEPLOY_STATE_TRIAL && slot == u->deploy.slot_to) {
                restart_trial(u);
                return;
        }
        if (s == DEPLOY_STATE_TRIAL) { /* its slot was damaged meanwhile */
                updater_fail_trial(u, "the new version's slot was damaged");
                return;
        }
        if (slot && s != DEPLOY_STATE_SWITCH && s != DEPLOY_STATE_ROLLBACK)
                u->options.run(u->options.arg, slot);
        if (s != DEPLOY_STATE_WAIT)
                updater_resume(u);
}

/* ── life ── */

static int make_client(struct updater *u, struct err *err)
{
        if (!u->options.url)
                return 0;
        const struct ddi_client_options o = {.url = u->options.url,
                .tenant = u->options.tenant,
                .id = u->options.id,
                .authorization = u->options.authorization,
                .tls = u->options.tls,
                .timeout_ms = u->options.timeout_ms,
                .on_news = updater_news,
                .on_silence = updater_silence,
                .on_delivered = updater_delivered,
                .arg = u};
        return ddi_client_new(u->base, &o, &u->client, err);
}

static int load(struct updater *u, struct err *err)
{
        int r = fs_mkdir_p(u->download_dir, 0700, err);
        if (!r)
                r = deploy_load(u->state_path, &u->deploy, err);
        if (r != DEPLOY_FORGOTTEN)
                return r;
        log_error("%s; it was put aside, the installed version goes on", err->text);
        return 0;
}

int updater_new(struct event_base *base, const struct updater_options *options, struct slots *slots,
        struct updater **ret_updater, struct err *err)
{
        CLEAN(updater) struct updater *u = calloc(1, sizeof(*u));
        if (!u)
                return err_set(err, -ENOMEM, "out of memory");
        u->base = base;
        u->options = *options;
        u->slots = slots;
        u->sleep_ms = UPDATER_POLL_DEFAULT_MS;
        u->retry_ms = UPDATER_RETRY_MIN_MS;
        u->state_path = fs_join(options->dir, "state.json");
        u->download_dir = fs_join(options->dir, "download");
        u->on_poll = evtimer_new(base, updater_poll_due, u);
        u->on_retry = evtimer_new(base, updater_retry_due, u);
        u->on_stall = evtimer_new(base, stall_over, u);
        u->on_trial = evtimer_new(base, updater_trial_over, u);
        if (!u->state_path || !u->download_dir || !u->on_poll || !u->on_retry || !u->on_stall ||
                !u->on_trial)
                return err_set(err, -ENOMEM, "out of memory");
        int r = load(u, err);
        if (!r)
                r = make_client(u, err);
        if (r)
                return r;
        *ret_updater = TAKE(u);
        return 0;
}

void updater_free(struct updater *u)
{
        struct event *events[] = {u->on_poll, u->on_stall, u->on_trial};
        if (u->on_retry)
                updater_drop_work(u);
        if (u->client)
                ddi_client_free(u->client);
        for (size_t i = 0; i < N_ELEMENTS(events); i++)
                if (events[i])
                        event_free(events[i]);
        if (u->on_retry)
                event_free(u->on_retry);
        free(u->state_path);
        free(u->download_dir);
        free(u);
}

const struct deploy *updater_deploy(const struct updater *u)
{
        return &u->deploy;
}

void updater_why(const struct updater *u, char *text, size_t size)
{
        const char *undelivered = u->client ? ddi_client_why(u->client) : "";
        if (undelivered[0])
                snprintf(text, size, "the outcome of action %s isn't delivered: %s",
                        u->deploy.action, undelivered);
        else if (u->why[0])
                snprintf(text, size, "%s", u->why);
        else if (u->deploy.state == DEPLOY_STATE_DOWNLOAD && u->download)
                snprintf(text, size, "downloading action %s: %" PRIu64 " of %" PRIu64 " bytes",
                        u->deploy.action, download_have(u->download), u->deploy.size);
        else if (u->deploy.state == DEPLOY_STATE_TRIAL)
                snprintf(text, size, "version %s is on trial: %d messages so far",
                        u->deploy.version_to, u->reports);
        else if (u->deploy.state != DEPLOY_STATE_IDLE)
                snprintf(text, size, "action %s: %s", u->deploy.action,
                        deploy_state_to_string(u->deploy.state));
        else
                snprintf(text, size,
                        u->client ? "nothing to do; polling every %" PRId64 " s"
                                  : "no update server is configured",
                        updater_poll_interval(u) / 1000);
}
