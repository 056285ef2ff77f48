/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/ddi.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/handlers.h"

#include <string.h>

/* ── bodies ── */

enum execution {
        EXECUTION_CLOSED,
        EXECUTION_PROCEEDING,
        EXECUTION_CANCELED,
        EXECUTION_SCHEDULED,
        EXECUTION_REJECTED,
        EXECUTION_RESUMED,
        EXECUTION_DOWNLOADED,
        EXECUTION_DOWNLOAD,
};
static const char *const executions[] = {"closed", "proceeding", "canceled", "scheduled",
        "rejected", "resumed", "downloaded", "download", NULL};
static const char *const finishes[] = {"success", "failure", "none", NULL};
static const char *const confirmations[] = {"confirmed", "denied", NULL};

static const struct shape line[] = {{.type = SHAPE_TEXT}};
static const struct shape progress_members[] = {
        {.name = "cnt", .type = SHAPE_INT}, {.name = "of", .type = SHAPE_INT}, {0}};
static const struct shape result_members[] = {
        {.name = "finished", .type = SHAPE_WORD, .words = finishes, .flags = SHAPE_NEEDED},
        {.name = "progress", .type = SHAPE_OBJECT, .sub = progress_members},
        {0},
};
static const struct shape status_members[] = {
        {.name = "execution", .type = SHAPE_WORD, .words = executions, .flags = SHAPE_NEEDED},
        {.name = "result", .type = SHAPE_OBJECT, .sub = result_members, .flags = SHAPE_NEEDED},
        {.name = "code", .type = SHAPE_INT},
        {.name = "details", .type = SHAPE_ARRAY, .sub = line},
        {0},
};
static const struct shape feedback_members[] = {
        {.name = "timestamp", .type = SHAPE_LONG},
        {.name = "status", .type = SHAPE_OBJECT, .sub = status_members, .flags = SHAPE_NEEDED},
        {0},
};
const struct shape shape_feedback[] = {{.type = SHAPE_OBJECT, .sub = feedback_members}};

static const struct shape confirmation_members[] = {
        {.name = "confirmation", .type = SHAPE_WORD, .words = confirmations, .flags = SHAPE_NEEDED},
        {.name = "code", .type = SHAPE_INT},
        {.name = "details", .type = SHAPE_ARRAY, .sub = line},
        {0},
};
const struct shape shape_ddi_confirmation[] = {{.type = SHAPE_OBJECT, .sub = confirmation_members}};

/* A report as it was read. */
struct report {
        enum execution execution;
        bool is_failure;
        int64_t at;   /* when, by the device's clock; ours without one */
        int64_t code; /* ACTION_NO_CODE */
        const json_t *details;
};

static int word_index(const char *const *words, const char *word)
{
        int i = 0;
        while (words[i] && strcmp(words[i], word) != 0)
                i++;
        return i;
}

static void read_report(struct request *q, struct report *r)
{
        const json_t *status = json_object_get(q->body, "status");
        const json_t *result = json_object_get(status, "result");
        r->execution =
                (enum execution)word_index(executions, json_text(status, "execution", "closed"));
        r->is_failure = strcmp(json_text(result, "finished", ""), "failure") == 0;
        r->at = json_int(q->body, "timestamp", q->tx.now);
        r->code = json_int(status, "code", ACTION_NO_CODE);
        r->details = json_object_get(status, "details");
}

static void add_details(struct request *q, struct messages *m, const json_t *details)
{
        size_t i;
        json_t *text;
        json_array_foreach((json_t *)details, i, text)
        {
                messages_add(&q->tx, m, json_string_value(text));
        }
}

static void add_code(struct request *q, struct messages *m, int64_t code)
{
        if (code != ACTION_NO_CODE)
                messages_add(&q->tx, m,
                        arena_printf(
                                &q->arena, "Device reported status code: %lld", (long long)code));
}

static int check_quota(
        struct request *q, const struct action *a, const struct messages *m, bool is_end)
{
        if (m->n > LIMIT_OTA_MESSAGES_PER_STATUS)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many messages in one report");
        if (!is_end && action_count_log(&q->tx, a->id) >= LIMIT_OTA_STATUS_PER_ACTION)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many reports on one action");
        return 0;
}

/* ── reports on a deployment ── */

static enum action_status row_of(const struct report *r)
{
        switch (r->execution) {
        case EXECUTION_CANCELED:
                return ACTION_CANCELED;
        case EXECUTION_REJECTED:
                return ACTION_WARNING;
        case EXECUTION_CLOSED:
                return r->is_failure ? ACTION_ERROR : ACTION_FINISHED;
        case EXECUTION_DOWNLOAD:
                return ACTION_DOWNLOAD;
        case EXECUTION_DOWNLOADED:
                return ACTION_DOWNLOADED;
        default:
                return ACTION_RUNNING;
        }
}

static const char *default_text(struct request *q, const struct report *r)
{
        static const char *const names[] = {"CLOSED", "PROCEEDING", "CANCELED", "SCHEDULED",
                "REJECTED", "RESUMED", "DOWNLOADED", "DOWNLOAD"};
        switch (r->execution) {
        case EXECUTION_CANCELED:
                return "Update Server: Target confirmed cancellation..";
        case EXECUTION_REJECTED:
                return "Update Server: Target REJECTED update.";
        case EXECUTION_CLOSED:
                return r->is_failure ? "Update Server: Target reported CLOSED with ERROR!."
                                     : "Update Server: Target reported CLOSED with OK!.";
        case EXECUTION_DOWNLOAD:
                return "Update Server: Target confirmed download start.";
        case EXECUTION_DOWNLOADED:
                return "Update Server: Target confirmed download finished.";
        default:
                return arena_printf(
                        &q->arena, "Update Server: Target reported %s.", names[r->execution]);
        }
}

/* A success that the device has to prove first. */
static bool is_to_prove(struct request *q, const struct action *a, const struct report *r)
{
        return r->execution == EXECUTION_CLOSED && !r->is_failure && proof_is_due(&q->tx, a);
}

static void apply_report(struct request *q, struct action *a, const struct report *r)
{
        if (is_to_prove(q, a, r))
                proof_begin(&q->tx, a);
        else if (r->execution == EXECUTION_CLOSED && r->is_failure)
                action_fail(&q->tx, a);
        else if (r->execution == EXECUTION_CLOSED)
                action_finish(&q->tx, a, r->at);
        else if (r->execution == EXECUTION_DOWNLOADED && a->type == ACTION_DOWNLOAD_ONLY)
                action_downloaded(&q->tx, a);
}

/* What is next for the device, if this ended something. */
static void tell_next(struct request *q, const struct target *t, const struct action *a)
{
        struct action next;
        if (!a->is_active && action_next(&q->tx, t->id, &next))
                tx_tell(&q->tx, t->controller_id);
}

int ddi_feedback(struct request *q)
{
        struct target t;
        struct action a;
        struct report r;
        struct messages m = {0};
        if (ddi_require_target(q, &t) < 0 || ddi_require_action(q, &t, &a) < 0)
                return -1;
        if (!a.is_active)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 410);
        if (a.status == ACTION_WAIT_FOR_CONFIRMATION)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        read_report(q, &r);
        add_details(q, &m, r.details);
        add_code(q, &m, r.code);
        if (m.n == 0)
                messages_add(&q->tx, &m, default_text(q, &r));
        if (check_quota(q, &a, &m, r.execution == EXECUTION_CLOSED) < 0)
                return -1;
        bool proves = is_to_prove(q, &a, &r);
        if (proves)
                messages_add(&q->tx, &m, proof_text(&q->tx));
        action_log(&q->tx, a.id, proves ? ACTION_RUNNING : row_of(&r), r.at, r.code, &m);
        action_set_code(&q->tx, &a, r.code);
        apply_report(q, &a, &r);
        tell_next(q, &t, &a);
        return reply_none(q, 200);
}

/* ── answers to a withdrawal ── */

struct cancel_answer {
        enum action_status row;
        const char *text; /* NULL: none */
};

static struct cancel_answer answer_of(const struct report *r)
{
        switch (r->execution) {
        case EXECUTION_CANCELED:
                return (struct cancel_answer){ACTION_WARNING,
                        "Update Server: Target reported cancel for a cancel which "
                        "is not supported by the server."};
        case EXECUTION_REJECTED:
                return (struct cancel_answer){ACTION_CANCEL_REJECTED,
                        "Update Server: Target rejected the cancellation request."};
        case EXECUTION_CLOSED:
                if (r->is_failure)
                        return (struct cancel_answer){ACTION_ERROR,
                                "Update Server: Target was not able to complete cancellation."};
                return (struct cancel_answer){
                        ACTION_CANCELED, "Update Server: Cancellation confirmed."};
        default:
                return (struct cancel_answer){ACTION_RUNNING, NULL};
        }
}

int ddi_cancel_feedback(struct request *q)
{
        struct target t;
        struct action a;
        struct report r;
        struct messages m = {0};
        if (ddi_require_target(q, &t) < 0 || ddi_require_action(q, &t, &a) < 0)
                return -1;
        if (a.status != ACTION_CANCELING && a.status != ACTION_CANCELED)
                return tx_problem(&q->tx, PROBLEM_NOT_CANCELABLE,
                        "Action %lld is not being canceled", (long long)a.id);
        read_report(q, &r);
        struct cancel_answer answer = answer_of(&r);
        if (answer.text)
                messages_add(&q->tx, &m, answer.text);
        add_details(q, &m, r.details);
        add_code(q, &m, r.code);
        if (answer.row == ACTION_CANCELED)
                messages_add(&q->tx, &m,
                        "Update Server: Cancellation completion is finished successfully.");
        if (check_quota(q, &a, &m, r.execution == EXECUTION_CLOSED) < 0)
                return -1;
        action_log(&q->tx, a.id, answer.row, r.at, r.code, &m);
        if (a.status == ACTION_CANCELING && answer.row == ACTION_CANCELED)
                action_canceled(&q->tx, &a);
        else if (a.status == ACTION_CANCELING &&
                 (answer.row == ACTION_CANCEL_REJECTED || answer.row == ACTION_ERROR))
                action_set_status(&q->tx, &a, ACTION_RUNNING, true);
        tell_next(q, &t, &a);
        return reply_none(q, 200);
}

/* ── confirmation ── */

int ddi_confirmation_base(struct request *q)
{
        struct target t;
        struct action next;
        if (ddi_register(q, &t) < 0)
                return -1;
        bool is_on = t.auto_confirm_at != 0;
        json_t *state = json_pack("{s:b}", "active", is_on);
        if (is_on) {
                add_text(state, "initiator", t.auto_confirm_initiator);
                add_text(state, "remark", t.auto_confirm_remark);
        }
        add_int(state, "activatedAt", t.auto_confirm_at);
        if (q->media == MEDIA_CBOR)
                json_object_set_new(state, "_links", json_object());
        const char *verb = is_on ? "deactivateAutoConfirm" : "activateAutoConfirm";
        json_t *links = json_pack("{s:o}", verb, ddi_link(q, "confirmationBase/%s", verb));
        if (action_next(&q->tx, t.id, &next) && next.status == ACTION_WAIT_FOR_CONFIRMATION)
                json_object_set_new(links, "confirmationBase",
                        ddi_link(q, "confirmationBase/%lld?c=%d", (long long)next.id,
                                ddi_fingerprint(q, &next)));
        return reply_json(q, 200, json_pack("{s:o, s:o}", "autoConfirm", state, "_links", links));
}

int ddi_confirmation_feedback(struct request *q)
{
        struct target t;
        struct action a;
        struct messages details = {0};
        if (ddi_require_target(q, &t) < 0 || ddi_require_action(q, &t, &a) < 0)
                return -1;
        if (!a.is_active || a.status != ACTION_WAIT_FOR_CONFIRMATION)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, a.is_active ? 404 : 410);
        add_details(q, &details, json_object_get(q->body, "details"));
        if (check_quota(q, &a, &details, false) < 0)
                return -1;
        deploy_confirm(&q->tx, &a, strcmp(json_text(q->body, "confirmation", ""), "confirmed") == 0,
                json_int(q->body, "code", ACTION_NO_CODE), &details);
        return reply_none(q, 200);
}

int ddi_auto_confirm_on(struct request *q)
{
        struct target t;
        if (ddi_require_target(q, &t) < 0)
                return -1;
        const char *remark =
                q->body ? json_text(q->body, "remark", NULL)
                        : "Initiated using the Device Direct Integration API without providing a"
                          " remark.";
        if (auto_confirm_activate(&q->tx, &t, json_text(q->body, "initiator", NULL), remark) < 0)
                return -1;
        return reply_none(q, 200);
}

int ddi_auto_confirm_off(struct request *q)
{
        struct target t;
        if (ddi_require_target(q, &t) < 0)
                return -1;
        auto_confirm_deactivate(&q->tx, &t);
        return reply_none(q, 200);
}
