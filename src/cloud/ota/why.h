/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Why something is as it is: what an action, a rollout, a group or a target waits for, and which
 * calls would move it. The same answer is a document of the interface (`…/why`) and the text of
 * `driveline why`.
 *
 *   reason              what is waited for                         of
 *   never-polled        the device's first poll                    action, target
 *   overdue             a poll that is late                        action, target
 *   device-poll         the device's next poll                     action
 *   device-report       the device's report, it has read it        action
 *   other-action        a heavier or older action of its target    action
 *   maintenance-window  the window in which devices install        action
 *   confirmation        somebody's consent                         action
 *   proof               the device to come back after its success  action
 *   cancel-answer       the device's answer to a withdrawal        action, stopped rollout
 *   group               the group's start                          scheduled action
 *   start               a person's start                           rollout
 *   start-time          its time                                   rollout
 *   approval            a decision                                 rollout
 *   denied              nothing, it was refused                    rollout
 *   scheduler           the server's own next step                 rollout
 *   reports             reports of devices                         rollout, group
 *   targets             targets that are still to come             dynamic rollout, group
 *   start-window        the window in which groups start           rollout, group
 *   previous-group      the group before                           group
 *   rollout             its rollout's start or resumption          group
 *   paused              a person's resumption                      rollout
 *   success-pause       the same, after a group that asks for it   rollout
 *   error-threshold     the same, after too many errors            rollout, group
 *   nothing             nothing: it is over, or in order           all
 */
#include "base/buf.h"
#include "cloud/ota/tx.h"

#define WHY_MAX_LINES 16
#define WHY_MAX_MOVES 4

struct why_move {
        const char *what;          /* "withdraw it" */
        const char *verb;          /* of the command line; NULL: there is none */
        const char *method, *path; /* below /rest/v1/ */
};

/* All text is the arena's or constant. */
struct why {
        const char *kind, *id, *status;
        const char *reason; /* a word of the table above */
        const char *text;   /* the same as a sentence */
        int64_t until;      /* when it ends by itself; 0: it doesn't, or nobody knows */
        const char *lines[WHY_MAX_LINES];
        size_t n_lines;
        struct why_move moves[WHY_MAX_MOVES];
        size_t n_moves;
};

/* False: there is none. */
bool why_action(struct tx *tx, int64_t id, struct why *ret);
bool why_rollout(struct tx *tx, int64_t id, struct why *ret);
/* `rollout` 0: of any. */
bool why_group(struct tx *tx, int64_t rollout, int64_t id, struct why *ret);
/* A target with an open action answers for that action. */
bool why_target(struct tx *tx, const char *controller_id, struct why *ret);
void why_print(const struct why *w, struct buf *b);

/* ── what an answer is made of (why.c, why_rollout.c) ── */
const char *why_time(struct tx *tx, int64_t ms);
void why_line(struct why *w, const char *text); /* NULL: none */
void why_add_move(
        struct why *w, const char *what, const char *verb, const char *method, const char *path);
