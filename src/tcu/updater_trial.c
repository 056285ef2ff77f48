/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/updater_impl.h"
#include "base/clock.h"
#include "base/log.h"
#include "tcu/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ── switching, trial, rolling back ── */

void updater_begin_trial(struct updater *u)
{
        u->reports = 0;
        u->trial_since_ms = 0;
        updater_timer(u->on_trial, UPDATER_FIRST_WORD_MS);
        u->options.run(u->options.arg, u->deploy.slot_to);
}

void updater_fail_trial(struct updater *u, const char *cause)
{
        struct deploy next = u->deploy;
        next.outcome = DEPLOY_OUTCOME_ROLLED_BACK;
        snprintf(next.cause, sizeof(next.cause), "%s", cause);
        evtimer_del(u->on_trial);
        log_warning("update: action %s failed on trial: %s", u->deploy.action, cause);
        if (updater_commit(u, &next, DEPLOY_EVENT_FAILED))
                updater_resume(u);
}

static void do_switch(struct updater *u)
{
        struct err err = ERR_INIT;
        if (slots_select(u->slots, u->deploy.slot_to, &err)) {
                updater_fail_trial(u, err.text);
                return;
        }
        struct deploy next = u->deploy;
        next.trial_starts = 1;
        if (!updater_commit(u, &next, DEPLOY_EVENT_SWITCHED)) {
                /* Until the disk lets us write, the old version goes on. */
                if (next.slot_from)
                        u->options.run(u->options.arg, next.slot_from);
                return;
        }
        updater_begin_trial(u);
        updater_tell(u, DDI_EXECUTION_PROCEEDING, "version %s runs on trial", u->deploy.version_to);
        updater_emit(u, "trial");
}

static void do_rollback(struct updater *u)
{
        struct err err = ERR_INIT;
        char slot = u->deploy.slot_from;
        /* No old version: the new one stays and is started again and again. */
        if (slot && slots_select(u->slots, slot, &err)) {
                updater_stall(u, &err);
                u->options.run(u->options.arg, slot);
                return;
        }
        bool done = updater_step(u, DEPLOY_EVENT_ROLLED_BACK);
        u->options.run(u->options.arg, slots_current(u->slots));
        if (done)
                updater_begin_report(u);
}

void updater_stop_for(struct updater *u, enum stop_for what)
{
        u->stop_for = what;
        u->options.stop(u->options.arg);
}

void updater_app_stopped(struct updater *u)
{
        enum stop_for what = u->stop_for;
        u->stop_for = STOP_FOR_NOTHING;
        if (what == STOP_FOR_SWITCH && u->deploy.state == DEPLOY_STATE_SWITCH)
                do_switch(u);
        else if (what == STOP_FOR_ROLLBACK && u->deploy.state == DEPLOY_STATE_ROLLBACK)
                do_rollback(u);
}

static int reports_needed(const struct updater *u)
{
        int64_t n = u->options.trial_ms / u->options.report_ms / 2;
        return n < 1 ? 1 : (int)n;
}

void updater_trial_over(evutil_socket_t fd, short what, void *arg)
{
        struct updater *u = arg;
        if (u->deploy.state != DEPLOY_STATE_TRIAL)
                return;
        char cause[160];
        if (!u->reports) {
                snprintf(cause, sizeof(cause), "the app sent no telemetry within %d ms",
                        UPDATER_FIRST_WORD_MS);
                updater_fail_trial(u, cause);
        } else if (u->reports < reports_needed(u)) {
                snprintf(cause, sizeof(cause),
                        "the app sent only %d telemetry messages in its trial, %d are needed",
                        u->reports, reports_needed(u));
                updater_fail_trial(u, cause);
        } else {
                struct deploy next = u->deploy;
                next.outcome = DEPLOY_OUTCOME_SUCCESS;
                next.cause[0] = 0;
                next.announced = false;
                if (updater_commit(u, &next, DEPLOY_EVENT_CONFIRMED))
                        updater_begin_report(u);
        }
}

void updater_app_reported(struct updater *u)
{
        if (u->deploy.state != DEPLOY_STATE_TRIAL)
                return;
        u->reports++;
        if (u->trial_since_ms)
                return;
        u->trial_since_ms = clock_mono_ms();
        updater_timer(u->on_trial, u->options.trial_ms);
}

bool updater_app_failed(struct updater *u, const char *cause)
{
        switch (u->deploy.state) {
        case DEPLOY_STATE_TRIAL:
                updater_fail_trial(u, cause);
                return false;
        case DEPLOY_STATE_SWITCH:
        case DEPLOY_STATE_ROLLBACK:
                return u->stop_for == STOP_FOR_NOTHING; /* it is being stopped anyway */
        default:
                return true;
        }
}

/* ── reporting ── */

static void announce(struct updater *u)
{
        const struct deploy *d = &u->deploy;
        if (d->announced)
                return;
        struct err err = ERR_INIT;
        const char *result = deploy_outcome_to_string(d->outcome);
        updater_emit(u, d->outcome == DEPLOY_OUTCOME_SUCCESS   ? "confirmed"
                        : d->outcome == DEPLOY_OUTCOME_FAILURE ? "failed"
                                                               : "rolled_back");
        if (journal_write(u->options.dir, &err, "update action=%s slot=%c from=%s to=%s %s%s%s",
                    d->action, slots_current(u->slots) ? slots_current(u->slots) : '-',
                    d->version_from, d->version_to, result, d->cause[0] ? ": " : "", d->cause))
                log_error("%s", err.text);
        struct deploy next = *d;
        next.announced = true;
        if (deploy_save(u->state_path, &u->deploy, &next, &err))
                log_error("update: %s", err.text); /* at worst it is announced once more */
}

void updater_begin_report(struct updater *u)
{
        evtimer_del(u->on_trial);
        updater_drop_work(u);
        announce(u);
        const struct deploy *d = &u->deploy;
        bool good = d->outcome == DEPLOY_OUTCOME_SUCCESS;
        char text[DEPLOY_CAUSE_SIZE + 400];
        if (good)
                snprintf(text, sizeof(text), "version %s runs%s%s", d->version_to,
                        d->cause[0] ? ": " : "", d->cause);
        else
                snprintf(text, sizeof(text), "%s%s%s%s",
                        d->outcome == DEPLOY_OUTCOME_ROLLED_BACK ? "rolled back to version " : "",
                        d->outcome == DEPLOY_OUTCOME_ROLLED_BACK ? d->version_from : "",
                        d->outcome == DEPLOY_OUTCOME_ROLLED_BACK ? ": " : "", d->cause);
        const struct ddi_feedback f = {.action = d->action,
                .execution = DDI_EXECUTION_CLOSED,
                .finished = good ? DDI_FINISHED_SUCCESS : DDI_FINISHED_FAILURE,
                .timestamp_ms = clock_now_ms(),
                .details = text};
        if (u->client && ddi_client_tell(u->client, &f, false, true)) {
                struct err err;
                err_set(&err, -ENOMEM, "cannot queue the outcome");
                updater_stall(u, &err);
        }
}

void updater_delivered(void *arg, const char *action)
{
        struct updater *u = arg;
        if (u->deploy.state != DEPLOY_STATE_REPORT || strcmp(action, u->deploy.action))
                return;
        if (!updater_step(u, DEPLOY_EVENT_REPORTED))
                return;
        updater_remove_downloads(u);
        updater_poll_now(u); /* the server may want our new attributes, or have more for us */
}
