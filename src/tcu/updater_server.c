/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/updater_impl.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* Hints come from outside; they don't make us ask more often than this. */
#define HINT_GAP_MS 500

/* ── polling ── */

int64_t updater_poll_interval(const struct updater *u)
{
        int64_t ms = u->options.poll_ms ? u->options.poll_ms : u->sleep_ms;
        if (ms < UPDATER_POLL_MIN_MS && !u->options.poll_ms)
                ms = UPDATER_POLL_MIN_MS;
        return ms > UPDATER_POLL_MAX_MS ? UPDATER_POLL_MAX_MS : ms;
}

static void poll_later(struct updater *u)
{
        int64_t ms = updater_poll_interval(u);
        if (u->failures) {
                /* An answer may be lost on the way; ask again soon, then ever more seldom. */
                int64_t soon = (int64_t)UPDATER_RETRY_MIN_MS << (u->failures > 6 ? 6 : u->failures);
                if (soon < ms)
                        ms = soon;
        }
        updater_timer(u->on_poll, updater_jitter(ms));
}

void updater_poll_due(evutil_socket_t fd, short what, void *arg)
{
        struct updater *u = arg;
        u->polled_ms = clock_mono_ms();
        ddi_client_look(u->client);
}

void updater_poll_now(struct updater *u)
{
        if (!u->client)
                return;
        int64_t wait = u->polled_ms + HINT_GAP_MS - clock_mono_ms();
        updater_timer(u->on_poll, wait > 0 && u->polled_ms ? wait : 0);
}

void updater_silence(void *arg, const struct err *err)
{
        struct updater *u = arg;
        if (!u->failures++)
                log_warning("update server: %s", err->text);
        updater_note(u, "update server: %s", err->text);
        poll_later(u);
}

/* ── what a look brings ── */

static bool is_before_switch(enum deploy_state s)
{
        return s == DEPLOY_STATE_DOWNLOAD || s == DEPLOY_STATE_WAIT || s == DEPLOY_STATE_UNPACK;
}

/* Lets go of a deployment that the server no longer wants. True if it is gone. */
static bool abandon(struct updater *u, const char *why)
{
        char action[DDI_ID_SIZE];
        memcpy(action, u->deploy.action, sizeof(action));
        if (!updater_step(u, DEPLOY_EVENT_CANCELED))
                return false;
        log_info("update: action %s is called off: %s", action, why);
        updater_drop_work(u);
        updater_remove_downloads(u);
        return true;
}

static void answer_cancel(struct updater *u, const struct ddi_cancel *k,
        enum ddi_execution execution, enum ddi_finished finished, const char *text)
{
        const struct ddi_feedback f = {.action = k->id,
                .execution = execution,
                .finished = finished,
                .timestamp_ms = clock_now_ms(),
                .details = text};
        (void)ddi_client_tell(u->client, &f, true, false); /* asked again with the next poll */
}

static void on_cancel(struct updater *u, const struct ddi_cancel *k)
{
        bool ours = u->deploy.state != DEPLOY_STATE_IDLE && !strcmp(u->deploy.action, k->stop_id);
        if (ours && !is_before_switch(u->deploy.state)) {
                answer_cancel(u, k, DDI_EXECUTION_REJECTED, DDI_FINISHED_NONE,
                        "too late: the new version is installed");
                return;
        }
        if (!ours && deploy_past_find(&u->deploy, k->stop_id)) {
                answer_cancel(u, k, DDI_EXECUTION_REJECTED, DDI_FINISHED_NONE,
                        "too late: the action is over");
                return;
        }
        if (!ours || abandon(u, "cancelled by the server"))
                answer_cancel(u, k, DDI_EXECUTION_CLOSED, DDI_FINISHED_SUCCESS, "cancelled");
}

/* Straight to the outcome. */
static void settle(
        struct updater *u, struct deploy *next, enum deploy_outcome outcome, const char *cause)
{
        next->outcome = outcome;
        snprintf(next->cause, sizeof(next->cause), "%s", cause);
        if (updater_commit(u, next, DEPLOY_EVENT_SETTLED))
                updater_begin_report(u);
}

/* The fields of a new job. */
static void fill(struct updater *u, const struct ddi_deployment *d, const struct ddi_chunk *c,
        const struct ddi_artifact *a, struct deploy *next)
{
        struct slot_info now = {0};
        next->slot_from = slots_current(u->slots);
        next->slot_to = slots_other(next->slot_from ? next->slot_from : 'b');
        (void)slots_info(u->slots, next->slot_from, &now);
        snprintf(next->action, sizeof(next->action), "%s", d->id);
        snprintf(next->version_from, sizeof(next->version_from), "%s",
                next->slot_from ? now.version : "0");
        snprintf(next->version_to, sizeof(next->version_to), "%s",
                c && c->version ? c->version : "0");
        next->announced = false;
        next->trial_starts = 0;
        next->outcome = DEPLOY_OUTCOME_NONE;
        next->cause[0] = 0;
        if (a) {
                next->size = a->size;
                next->hashes = a->hashes;
        }
}

static bool has_hash(const struct hash_set *h)
{
        return h->sha256[0] || h->sha1[0] || h->md5[0];
}

static bool runs_already(const struct updater *u, const struct deploy *next)
{
        struct slot_info now;
        return next->slot_from && !slots_info(u->slots, next->slot_from, &now) && now.sha256[0] &&
               !strcmp(now.sha256, next->hashes.sha256) && !strcmp(now.version, next->version_to);
}

static void take_link(struct updater *u, const struct ddi_artifact *a)
{
        const char *link = updater_pick_link(u, a);
        if (u->url || !link)
                return;
        u->url = strdup(link);
        u->refusals = 0;
        u->retry_ms = UPDATER_RETRY_MIN_MS;
}

static void begin_job(struct updater *u, const struct ddi_deployment *d)
{
        const struct deploy_past *past = deploy_past_find(&u->deploy, d->id);
        const struct ddi_chunk *chunk = NULL;
        const struct ddi_artifact *artifact = NULL;
        struct err err = ERR_INIT;
        struct deploy next = u->deploy;
        int r = ddi_deployment_package(d, &chunk, &artifact, &err);
        fill(u, d, r ? NULL : chunk, r ? NULL : artifact, &next);
        if (past) {
                next.announced = true; /* it was, when it happened */
                log_info("update: action %s is over already; telling the server again", d->id);
                settle(u, &next, past->outcome, past->cause);
        } else if (r) {
                settle(u, &next, DEPLOY_OUTCOME_FAILURE, err.text);
        } else if (!has_hash(&artifact->hashes) || !updater_pick_link(u, artifact)) {
                settle(u, &next, DEPLOY_OUTCOME_FAILURE, "the artifact has no hash or no link");
        } else if (runs_already(u, &next)) {
                settle(u, &next, DEPLOY_OUTCOME_SUCCESS, "it was installed already");
        } else if (updater_commit(u, &next, DEPLOY_EVENT_ASSIGNED)) {
                updater_remove_downloads(u);
                u->mismatches = 0;
                updater_tell(u, DDI_EXECUTION_PROCEEDING, "update from version %s to %s accepted",
                        next.version_from, next.version_to);
                updater_tell(u, DDI_EXECUTION_DOWNLOAD, "download of %" PRIu64 " bytes begins",
                        next.size);
                updater_emit(u, "downloading");
                take_link(u, artifact);
                updater_begin_download(u);
        }
}

/* The same deployment is offered again: its permissions may have changed, and after a restart its
 * link is news. */
static void go_on(struct updater *u, const struct ddi_deployment *d)
{
        const struct ddi_chunk *chunk = NULL;
        const struct ddi_artifact *artifact = NULL;
        if (u->deploy.state == DEPLOY_STATE_DOWNLOAD && !u->download && !u->installer &&
                !evtimer_pending(u->on_retry, NULL)) {
                struct err err = ERR_INIT;
                if (ddi_deployment_package(d, &chunk, &artifact, &err)) {
                        updater_fail(u, err.text);
                        return;
                }
                take_link(u, artifact);
                updater_begin_download(u);
        } else if (u->deploy.state == DEPLOY_STATE_WAIT) {
                updater_resume(u);
        }
}

static void on_deployment(struct updater *u, const struct ddi_deployment *d)
{
        u->install_allowed = d->update != DDI_HANDLING_SKIP && !d->window_closed;
        bool same = u->deploy.state != DEPLOY_STATE_IDLE && !strcmp(u->deploy.action, d->id);
        if (same) {
                go_on(u, d);
                return;
        }
        if (is_before_switch(u->deploy.state) && !abandon(u, "the server has another one"))
                return;
        if (u->deploy.state != DEPLOY_STATE_IDLE)
                return; /* it comes to its end first */
        if (d->download == DDI_HANDLING_SKIP)
                updater_note(u, "the server wants action %s not to be downloaded yet", d->id);
        else
                begin_job(u, d);
}

static void send_attributes(struct updater *u)
{
        struct slot_info now = {.version = "0"};
        char slot[2] = {slots_current(u->slots)};
        struct utsname uts;
        if (slot[0])
                (void)slots_info(u->slots, slot[0], &now);
        if (uname(&uts))
                return;
        const char *const pairs[] = {"version", now.version, "slot", slot[0] ? slot : "-", "arch",
                uts.machine, "os", uts.sysname, "kernel", uts.release, "agent",
                "driveline-tcu " DRIVELINE_VERSION, NULL};
        ddi_client_send_attributes(u->client, pairs);
}

void updater_news(void *arg, const struct ddi_news *n)
{
        struct updater *u = arg;
        if (u->failures)
                log_info("update server answers again");
        u->failures = 0;
        u->why[0] = 0;
        if (n->sleep_ms >= 0)
                u->sleep_ms = n->sleep_ms;
        poll_later(u);
        if (n->cancel)
                on_cancel(u, n->cancel);
        else if (n->deployment)
                on_deployment(u, n->deployment);
        else if (is_before_switch(u->deploy.state))
                (void)abandon(u, "the server no longer offers it");
        if (n->waits_for_confirmation)
                updater_note(u, "an update waits for confirmation at the update server");
        if (n->wants_attributes)
                send_attributes(u);
}
