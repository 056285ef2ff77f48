/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/deploy.h"
#include "base/fs.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[DEPLOY_STATE_N] = {
        "idle", "download", "wait", "unpack", "switch", "trial", "rollback", "report"};
static const char *const event_names[DEPLOY_EVENT_N] = {"assigned", "settled", "verified",
        "allowed", "unpacked", "switched", "confirmed", "failed", "rolled_back", "reported",
        "canceled", "lost", "restarted"};
static const char *const outcome_names[DEPLOY_OUTCOME_N] = {
        "none", "success", "failure", "rolled_back"};

const char *deploy_state_to_string(enum deploy_state s)
{
        return state_names[s];
}

const char *deploy_event_to_string(enum deploy_event e)
{
        return event_names[e];
}

const char *deploy_outcome_to_string(enum deploy_outcome o)
{
        return outcome_names[o];
}

static int name_index(const char *const *names, int n, const char *text)
{
        for (int i = 0; i < n; i++)
                if (!strcmp(names[i], text))
                        return i;
        return -EINVAL;
}

int deploy_state_from_string(const char *text, enum deploy_state *ret)
{
        int i = name_index(state_names, DEPLOY_STATE_N, text);
        if (i < 0)
                return i;
        *ret = (enum deploy_state)i;
        return 0;
}

/* ── transitions ── */

#define S(name) DEPLOY_STATE_##name
static const struct {
        enum deploy_state from;
        enum deploy_event event;
        enum deploy_state to;
} transitions[] = {
        {S(IDLE), DEPLOY_EVENT_ASSIGNED, S(DOWNLOAD)},
        {S(IDLE), DEPLOY_EVENT_SETTLED, S(REPORT)},
        {S(DOWNLOAD), DEPLOY_EVENT_VERIFIED, S(WAIT)},
        {S(DOWNLOAD), DEPLOY_EVENT_FAILED, S(REPORT)},
        {S(DOWNLOAD), DEPLOY_EVENT_CANCELED, S(IDLE)},
        {S(WAIT), DEPLOY_EVENT_ALLOWED, S(UNPACK)},
        {S(WAIT), DEPLOY_EVENT_FAILED, S(REPORT)},
        {S(WAIT), DEPLOY_EVENT_CANCELED, S(IDLE)},
        {S(UNPACK), DEPLOY_EVENT_UNPACKED, S(SWITCH)},
        {S(UNPACK), DEPLOY_EVENT_FAILED, S(REPORT)},
        {S(UNPACK), DEPLOY_EVENT_CANCELED, S(IDLE)},
        {S(UNPACK), DEPLOY_EVENT_LOST, S(DOWNLOAD)},
        {S(SWITCH), DEPLOY_EVENT_SWITCHED, S(TRIAL)},
        {S(SWITCH), DEPLOY_EVENT_FAILED, S(ROLLBACK)},
        {S(TRIAL), DEPLOY_EVENT_CONFIRMED, S(REPORT)},
        {S(TRIAL), DEPLOY_EVENT_FAILED, S(ROLLBACK)},
        {S(ROLLBACK), DEPLOY_EVENT_ROLLED_BACK, S(REPORT)},
        {S(REPORT), DEPLOY_EVENT_REPORTED, S(IDLE)},
};
#undef S

int deploy_next(enum deploy_state state, enum deploy_event event, enum deploy_state *ret)
{
        if (event == DEPLOY_EVENT_RESTARTED) {
                *ret = state; /* every state can be taken up again; the header says how */
                return 0;
        }
        for (size_t i = 0; i < N_ELEMENTS(transitions); i++)
                if (transitions[i].from == state && transitions[i].event == event) {
                        *ret = transitions[i].to;
                        return 0;
                }
        return -EPROTO;
}

/* ── on disk ── */

/* A cause may quote the app's stderr, cut anywhere: what is no UTF-8 would make the document NULL.
 */
static json_t *text_to_json(const char *text)
{
        json_t *value = json_string(text);
        if (value)
                return value;
        CLEAN_MEM char *ascii = strdup(text);
        for (char *p = ascii; p && *p; p++)
                if ((unsigned char)*p >= 0x80)
                        *p = '?';
        return json_string(ascii ? ascii : "");
}

static json_t *past_to_json(const struct deploy *d)
{
        json_t *list = json_array();
        for (int i = 0; i < DEPLOY_PAST_N && d->past[i].action[0]; i++)
                json_array_append_new(list, json_pack("{s:s,s:s,s:o}", "action", d->past[i].action,
                                                    "outcome", outcome_names[d->past[i].outcome],
                                                    "cause", text_to_json(d->past[i].cause)));
        return list;
}

static json_t *deploy_to_json(const struct deploy *d)
{
        char from[2] = {d->slot_from}, to[2] = {d->slot_to};
        return json_pack("{s:i,s:s,s:s,s:s,s:s,s:o,s:o,s:I,s:s,s:s,s:s,s:i,s:s,s:o,s:b,s:o}",
                "format", 1, "state", state_names[d->state], "action", d->action, "slot_from", from,
                "slot_to", to, "version_from", text_to_json(d->version_from), "version_to",
                text_to_json(d->version_to), "size", (json_int_t)d->size, "sha256",
                d->hashes.sha256, "sha1", d->hashes.sha1, "md5", d->hashes.md5, "trial_starts",
                d->trial_starts, "outcome", outcome_names[d->outcome], "cause",
                text_to_json(d->cause), "announced", d->announced, "past", past_to_json(d));
}

/* Copies a text that must fit; false if it doesn't. */
static bool take(const json_t *j, const char *key, char *to, size_t size)
{
        const char *text = json_text(j, key, "");
        return (size_t)snprintf(to, size, "%s", text) < size;
}

static bool take_slot(const json_t *j, const char *key, char *to)
{
        const char *text = json_text(j, key, "");
        *to = text[0];
        return !*text || ((*text == 'a' || *text == 'b') && !text[1]);
}

static bool take_outcome(const json_t *j, enum deploy_outcome *ret)
{
        int i = name_index(outcome_names, DEPLOY_OUTCOME_N, json_text(j, "outcome", ""));
        *ret = i < 0 ? DEPLOY_OUTCOME_NONE : (enum deploy_outcome)i;
        return i >= 0;
}

static bool past_from_json(const json_t *list, struct deploy *d)
{
        size_t n = json_array_size(list);
        for (size_t i = 0; i < n && i < DEPLOY_PAST_N; i++) {
                const json_t *j = json_array_get(list, i);
                struct deploy_past *p = &d->past[i];
                if (!take(j, "action", p->action, sizeof(p->action)) ||
                        !take_outcome(j, &p->outcome) ||
                        !take(j, "cause", p->cause, sizeof(p->cause)))
                        return false;
        }
        return true;
}

static bool job_is_whole(const struct deploy *d)
{
        if (d->state == DEPLOY_STATE_IDLE)
                return true;
        if (!ddi_id_is_valid(d->action))
                return false;
        if (d->state == DEPLOY_STATE_REPORT)
                return d->outcome != DEPLOY_OUTCOME_NONE;
        return d->slot_to && d->slot_to != d->slot_from; /* no old slot: the first app of all */
}

static bool deploy_from_json(const json_t *j, struct deploy *d)
{
        if (json_int(j, "format", 0) != 1 ||
                deploy_state_from_string(json_text(j, "state", ""), &d->state))
                return false;
        int64_t size = json_int(j, "size", -1);
        d->size = (uint64_t)size;
        d->trial_starts = (int)json_int(j, "trial_starts", 0);
        d->announced = json_bool(j, "announced", false);
        return size >= 0 && take(j, "action", d->action, sizeof(d->action)) &&
               take_slot(j, "slot_from", &d->slot_from) && take_slot(j, "slot_to", &d->slot_to) &&
               take(j, "version_from", d->version_from, sizeof(d->version_from)) &&
               take(j, "version_to", d->version_to, sizeof(d->version_to)) &&
               take(j, "sha256", d->hashes.sha256, sizeof(d->hashes.sha256)) &&
               take(j, "sha1", d->hashes.sha1, sizeof(d->hashes.sha1)) &&
               take(j, "md5", d->hashes.md5, sizeof(d->hashes.md5)) &&
               take_outcome(j, &d->outcome) && take(j, "cause", d->cause, sizeof(d->cause)) &&
               past_from_json(json_object_get(j, "past"), d) && job_is_whole(d);
}

int deploy_load(const char *path, struct deploy *ret, struct err *err)
{
        struct deploy d = {0};
        if (!fs_exists(path)) {
                *ret = d;
                return 0;
        }
        CLEAN_JSON json_t *j = json_read_file(path, err);
        if (j && deploy_from_json(j, &d)) {
                *ret = d;
                return 0;
        }
        if (j)
                err_set(err, -EBADMSG, "'%s' is no state of a deployment", path);
        CLEAN_MEM char *aside = NULL;
        if (asprintf(&aside, "%s.bad", path) < 0 || rename(path, aside))
                return err_prefix(err, "cannot put it aside");
        *ret = (struct deploy){0};
        return DEPLOY_FORGOTTEN;
}

int deploy_save(const char *path, struct deploy *d, const struct deploy *next, struct err *err)
{
        CLEAN_JSON json_t *j = deploy_to_json(next);
        if (!j)
                return err_set(err, -ENOMEM, "out of memory");
        int r = json_write_file(path, j, 0600, err);
        if (r)
                return r;
        *d = *next;
        return 0;
}

static void clear_job(struct deploy *d)
{
        struct deploy empty = {.state = d->state};
        memcpy(empty.past, d->past, sizeof(empty.past));
        *d = empty;
}

static void remember(struct deploy *d)
{
        memmove(d->past + 1, d->past, sizeof(d->past) - sizeof(d->past[0]));
        d->past[0] = (struct deploy_past){.outcome = d->outcome};
        snprintf(d->past[0].action, sizeof(d->past[0].action), "%s", d->action);
        snprintf(d->past[0].cause, sizeof(d->past[0].cause), "%s", d->cause);
}

int deploy_commit(const char *path, struct deploy *d, struct deploy *next, enum deploy_event event,
        struct err *err)
{
        enum deploy_state to;
        int r = deploy_next(d->state, event, &to);
        if (r)
                return err_set(err, r, "'%s' means nothing in state '%s'", event_names[event],
                        state_names[d->state]);
        next->state = to;
        if (to == DEPLOY_STATE_IDLE) {
                if (event == DEPLOY_EVENT_REPORTED && !deploy_past_find(d, d->action))
                        remember(next);
                clear_job(next);
        }
        return deploy_save(path, d, next, err);
}

const struct deploy_past *deploy_past_find(const struct deploy *d, const char *action)
{
        for (int i = 0; i < DEPLOY_PAST_N && d->past[i].action[0]; i++)
                if (!strcmp(d->past[i].action, action))
                        return &d->past[i];
        return NULL;
}
