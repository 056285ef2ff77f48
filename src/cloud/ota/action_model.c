/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/action_model.h"

#include <string.h>

const char *const model_executions[] = {"closed", "proceeding", "canceled", "scheduled", "rejected",
        "resumed", "downloaded", "download", NULL};
const char *const model_finishes[] = {"success", "failure", "none", NULL};

static struct model_action *add(struct model *m, const struct model_order *o)
{
        struct model_action *a = &m->actions[m->n++];
        *a = (struct model_action){.set = o->set,
                .type = o->type,
                .weight = o->weight,
                .forced_time = o->forced_time,
                .window_ends = o->window_ends};
        return a;
}

static void close_as(struct model_action *a, enum action_status status)
{
        a->status = status;
        a->is_active = false;
}

static void row(struct model_action *a, enum action_status type)
{
        a->last_row = type;
}

/* CANCELING → CANCELED: the oldest open action's set is assigned, else what is installed. */
static void end_canceled(struct model *m, struct model_action *a)
{
        close_as(a, ACTION_CANCELED);
        for (int i = 0; i < m->n; i++) {
                if (m->actions[i].is_active) {
                        m->assigned = m->actions[i].set;
                        return;
                }
        }
        m->assigned = m->installed;
        m->status = TARGET_IN_SYNC;
}

static void ask_cancel(struct model_action *a)
{
        a->status = ACTION_CANCELING;
        row(a, ACTION_CANCELING);
}

/* 4.2: a new assignment against the existing ones. */
static void supersede(struct model *m, const struct model_action *by)
{
        for (int i = 0; i < m->n; i++) {
                struct model_action *a = &m->actions[i];
                if (a == by)
                        continue;
                if (!a->is_active && a->status == ACTION_SCHEDULED) {
                        a->status = ACTION_CANCELED;
                } else if (a->is_active && a->set != MODEL_MIGRATION && m->closes) {
                        close_as(a, ACTION_CANCELED);
                        row(a, ACTION_CANCELED);
                } else if (a->is_active && a->set != MODEL_MIGRATION &&
                           a->status != ACTION_CANCELING) {
                        ask_cancel(a);
                }
        }
}

static void open_action(struct model *m, struct model_action *a, int confirm)
{
        bool waits = m->has_flow && confirm != 0 && !m->auto_confirms;
        supersede(m, a);
        a->is_active = true;
        a->status = waits ? ACTION_WAIT_FOR_CONFIRMATION : ACTION_RUNNING;
        row(a, m->has_flow ? ACTION_WAIT_FOR_CONFIRMATION : ACTION_RUNNING);
        m->assigned = a->set;
        m->status = TARGET_PENDING;
}

bool model_assign(struct model *m, const struct model_order *o)
{
        if (m->assigned == o->set)
                return false;
        open_action(m, add(m, o), o->confirm);
        return true;
}

bool model_offline(struct model *m, int set)
{
        if (m->assigned == set || m->status == TARGET_PENDING)
                return false;
        struct model_action *a =
                add(m, &(struct model_order){.set = set, .weight = ACTION_DEFAULT_WEIGHT});
        close_as(a, ACTION_FINISHED);
        row(a, ACTION_FINISHED);
        m->assigned = m->installed = set;
        m->installed_at = m->now;
        m->status = TARGET_IN_SYNC;
        return true;
}

bool model_report_installed(struct model *m, int set)
{
        return model_offline(m, set);
}

void model_schedule(struct model *m, const struct model_order *o)
{
        struct model_action *a = add(m, o);
        close_as(a, ACTION_SCHEDULED);
        row(a, (enum action_status) - 1);
}

void model_start(struct model *m, struct model_action *a, int confirm)
{
        if (m->assigned == a->set) {
                close_as(a, ACTION_FINISHED);
                row(a, ACTION_RUNNING);
        } else {
                open_action(m, a, confirm);
        }
}

/* ── persons ── */

int model_cancel(struct model *m, struct model_action *a, bool is_forced)
{
        if (!a->is_active || (a->status == ACTION_CANCELING) != is_forced)
                return 405;
        if (is_forced) {
                row(a, ACTION_CANCELED);
                end_canceled(m, a);
        } else {
                ask_cancel(a);
        }
        return 204;
}

int model_force(struct model *m, struct model_action *a)
{
        bool is_forced = a->type == ACTION_FORCED ||
                         (a->type == ACTION_TIMEFORCED && a->forced_time <= m->now);
        if (!is_forced)
                a->type = ACTION_FORCED;
        return 200;
}

int model_delete(struct model *m, struct model_action *a)
{
        int i = (int)(a - m->actions);
        memmove(a, a + 1, (size_t)(m->n - i - 1) * sizeof(*a));
        m->n--;
        return 204;
}

void model_withdraw_set(struct model *m, int set, bool is_forced)
{
        for (int i = m->n - 1; i >= 0; i--) {
                if (m->actions[i].set == set && m->actions[i].status == ACTION_SCHEDULED)
                        model_delete(m, &m->actions[i]);
        }
        for (int i = 0; i < m->n; i++) {
                struct model_action *a = &m->actions[i];
                if (a->set != set || !a->is_active)
                        continue;
                if (a->status != ACTION_CANCELING)
                        ask_cancel(a);
                if (is_forced)
                        model_cancel(m, a, true);
        }
}

/* ── devices ── */

/* 4.5: no further window: the action is canceled by the next poll or read. */
static bool end_without_window(struct model *m, struct model_action *a)
{
        if (!a->is_active || !a->window_ends || m->now < a->window_ends)
                return false;
        row(a, ACTION_CANCELED);
        end_canceled(m, a);
        return true;
}

static struct model_action *next_action(struct model *m)
{
        struct model_action *best = NULL;
        for (int i = 0; i < m->n; i++) {
                struct model_action *a = &m->actions[i];
                if (a->is_active && (!best || a->weight > best->weight))
                        best = a;
        }
        return best;
}

struct model_action *model_poll(struct model *m)
{
        struct model_action *a = next_action(m);
        while (a && end_without_window(m, a))
                a = next_action(m);
        if (m->status == TARGET_UNKNOWN)
                m->status = TARGET_REGISTERED;
        return a;
}

static bool is_withdrawn(const struct model_action *a)
{
        return a->status == ACTION_CANCELING || a->status == ACTION_CANCELED;
}

int model_get_deployment(struct model *m, struct model_action *a)
{
        if (is_withdrawn(a) || a->status == ACTION_WAIT_FOR_CONFIRMATION ||
                a->status == ACTION_SCHEDULED || end_without_window(m, a))
                return 404;
        if (a->last_row != ACTION_RETRIEVED) {
                row(a, ACTION_RETRIEVED);
                a->status = ACTION_RETRIEVED;
        }
        return 200;
}

int model_get_cancel(struct model *m, struct model_action *a)
{
        (void)m;
        if (!is_withdrawn(a))
                return 404;
        row(a, ACTION_RETRIEVED);
        return 200;
}

int model_get_installed(struct model *m, struct model_action *a)
{
        (void)m;
        return a->is_active || is_withdrawn(a) || a->status == ACTION_SCHEDULED ? 404 : 200;
}

static void finish(struct model *m, struct model_action *a, int64_t at)
{
        close_as(a, ACTION_FINISHED);
        if (m->installed_at && at <= m->installed_at)
                return; /* older than what is installed: the action alone ends */
        m->installed = a->set;
        m->installed_at = at;
        m->request_attributes = true;
        if (m->assigned == m->installed)
                m->status = TARGET_IN_SYNC;
}

int model_feedback(struct model *m, struct model_action *a, enum model_execution execution,
        bool is_failure, int64_t at)
{
        static const enum action_status rows[] = {[MODEL_CLOSED] = ACTION_FINISHED,
                [MODEL_PROCEEDING] = ACTION_RUNNING,
                [MODEL_CANCELED] = ACTION_CANCELED,
                [MODEL_SCHEDULED] = ACTION_RUNNING,
                [MODEL_REJECTED] = ACTION_WARNING,
                [MODEL_RESUMED] = ACTION_RUNNING,
                [MODEL_DOWNLOADED] = ACTION_DOWNLOADED,
                [MODEL_DOWNLOAD] = ACTION_DOWNLOAD};
        if (!a->is_active)
                return 410;
        if (a->status == ACTION_WAIT_FOR_CONFIRMATION)
                return 404;
        row(a, execution == MODEL_CLOSED && is_failure ? ACTION_ERROR : rows[execution]);
        if (execution == MODEL_CLOSED && is_failure) {
                close_as(a, ACTION_ERROR);
                m->status = TARGET_ERROR;
                m->assigned = 0;
        } else if (execution == MODEL_CLOSED) {
                finish(m, a, at);
        } else if (execution == MODEL_DOWNLOADED && a->type == ACTION_DOWNLOAD_ONLY) {
                close_as(a, ACTION_DOWNLOADED);
                m->status = TARGET_IN_SYNC;
                m->request_attributes = true;
        }
        return 200;
}

int model_cancel_feedback(
        struct model *m, struct model_action *a, enum model_execution execution, bool is_failure)
{
        if (!is_withdrawn(a))
                return 405;
        bool is_open = a->status == ACTION_CANCELING;
        if (execution == MODEL_CANCELED) {
                row(a, ACTION_WARNING);
        } else if (execution == MODEL_REJECTED) {
                row(a, ACTION_CANCEL_REJECTED);
                if (is_open)
                        a->status = ACTION_RUNNING;
        } else if (execution == MODEL_CLOSED && is_failure) {
                row(a, ACTION_ERROR);
                if (is_open)
                        a->status = ACTION_RUNNING;
        } else if (execution == MODEL_CLOSED) {
                row(a, ACTION_CANCELED);
                if (is_open)
                        end_canceled(m, a);
        } else {
                row(a, ACTION_RUNNING);
        }
        return 200;
}

int model_confirm(struct model *m, struct model_action *a, bool is_confirmed)
{
        (void)m;
        if (!a->is_active)
                return 410;
        if (a->status != ACTION_WAIT_FOR_CONFIRMATION)
                return 404;
        row(a, is_confirmed ? ACTION_RUNNING : ACTION_WAIT_FOR_CONFIRMATION);
        if (is_confirmed)
                a->status = ACTION_RUNNING;
        return 200;
}

int model_auto_confirm(struct model *m, bool is_on)
{
        if (is_on && m->auto_confirms)
                return 409;
        m->auto_confirms = is_on;
        for (int i = 0; is_on && i < m->n; i++) {
                struct model_action *a = &m->actions[i];
                if (a->is_active && a->status == ACTION_WAIT_FOR_CONFIRMATION) {
                        a->status = ACTION_RUNNING;
                        row(a, ACTION_RUNNING);
                }
        }
        return 200;
}
