/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Open actions that must not stay open for ever.
 *
 * Time-out: an action is closed as error when its device gave no sign for
 * `driveline.action.timeout` (a poll, or a row in the action's history), or when it is open for
 * longer than `driveline.action.timeout.total`, whatever it waits for. A rollout's `actionTimeout`
 * takes the first one's place. An action that is being withdrawn is closed as canceled.
 *
 * Proof: with `driveline.action.proof` = T, a device that reports success isn't believed yet: it
 * must poll again, at least T after its report and at most `driveline.action.proof.within` after
 * it. Until then the action is running for everybody, and the device is offered nothing of it. The
 * proof is also given (or refused) by a person or a program that knows better, by a report of what
 * is installed, and refused by a report of failure. Download-only actions install nothing and need
 * none.
 *
 * `action.due_at` is when the scheduler looks at an action again, not when it ends: a look finds
 * out that there was a sign in the meantime and sets the next one. So polls and reports cost
 * nothing, and nobody searches through open actions.
 */
#include "cloud/ota/action.h"

struct ota;

/* ── the clock starts ── */
/* An action is open from now on. */
void deadline_arm(struct tx *tx, const struct action *a);
/* The same for all open actions of a rollout's group. */
void deadline_arm_group(struct tx *tx, int64_t rollout, int64_t group);
/* A setting was changed: if it is one of these, every open action is looked at soon. */
void deadline_setting_changed(struct tx *tx, const char *key);

/* ── proof ── */
/* How long a device has; at least twice the shortest time, whatever the setting says. */
int64_t proof_within(struct tx *tx);
/* Is a report of success on this action to be proved? */
bool proof_is_due(struct tx *tx, const struct action *a);
/* What the history says of it. */
const char *proof_text(struct tx *tx);
void proof_begin(struct tx *tx, struct action *a);
/* Ends an action that is being proved. */
void proof_end(struct tx *tx, struct action *a, bool is_proved, const char *text);
/* The device says what it has installed. */
void proof_by_installed(struct tx *tx, int64_t target, int64_t ds);

/* The limits that count for an action, in ms; 0: none. */
void deadline_limits(
        struct tx *tx, const struct action *a, int64_t *ret_silence, int64_t *ret_total);
/* The last sign of the device on this action, and when it was opened. */
void deadline_signs(struct tx *tx, const struct action *a, int64_t *ret_sign, int64_t *ret_opened);
/* Looks at one action whose time has come. */
void deadline_look(struct tx *tx, struct action *a);
/* Looks at those that are due, a page of them. */
void deadline_round(struct ota *o);
