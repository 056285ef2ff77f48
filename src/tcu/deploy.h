/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * One deployment's life as a state machine that is on disk before it acts.
 *
 *   IDLE ──ASSIGNED──► DOWNLOAD ──VERIFIED──► WAIT ──ALLOWED──► UNPACK ──UNPACKED──► SWITCH
 *     ▲                   │ FAILED             │ FAILED            │ FAILED            │ SWITCHED
 *     │                   ▼                    ▼                   ▼                   ▼
 *     └──REPORTED────── REPORT ◄──────────────────────CONFIRMED─────────────────── TRIAL
 *                         ▲                                                            │ FAILED
 *                         └────────ROLLED_BACK────── ROLLBACK ◄────────────────────────┘
 *
 * CANCELED leads from everything before SWITCH back to IDLE. LOST leads from WAIT and UNPACK back
 * to DOWNLOAD: the package on disk isn't what was verified (a power cut). SETTLED leads from IDLE
 * straight to REPORT: the outcome is known without doing anything (a version that runs already, an
 * action that has failed before, a deployment without a package).
 *
 * What each state means for a start after a crash:
 *   DOWNLOAD  what is on disk of the package is kept and resumed
 *   WAIT      the package is there; permission to install is asked again with the next poll
 *   UNPACK    the other slot holds rubbish and isn't marked complete; it is emptied and filled again
 *   SWITCH    the old or the new slot is current, both are complete; switching again is harmless
 *   TRIAL     the new slot is current; the trial begins anew, at most DEPLOY_TRIAL_STARTS times, so
 *             that a version that takes the agent or the machine down with it is rolled back too
 *   ROLLBACK  switching back again is harmless
 *   REPORT    the outcome stands and is told until the server has taken it
 * In none of them the slot that `current` names is incomplete; that is the whole safety argument.
 *
 * The struct is plain data and copied freely. deploy_commit() writes the next state first and only
 * then lets the caller have it: what fails to reach the disk doesn't happen.
 */
#include "base/err.h"
#include "base/hash.h"
#include "wire/ddi.h"
#include <stdbool.h>

enum deploy_state {
        DEPLOY_STATE_IDLE,
        DEPLOY_STATE_DOWNLOAD,
        DEPLOY_STATE_WAIT,
        DEPLOY_STATE_UNPACK,
        DEPLOY_STATE_SWITCH,
        DEPLOY_STATE_TRIAL,
        DEPLOY_STATE_ROLLBACK,
        DEPLOY_STATE_REPORT,
        DEPLOY_STATE_N
};
const char *deploy_state_to_string(enum deploy_state s);
int deploy_state_from_string(const char *text, enum deploy_state *ret);

enum deploy_event {
        DEPLOY_EVENT_ASSIGNED,
        DEPLOY_EVENT_SETTLED,
        DEPLOY_EVENT_VERIFIED,
        DEPLOY_EVENT_ALLOWED,
        DEPLOY_EVENT_UNPACKED,
        DEPLOY_EVENT_SWITCHED,
        DEPLOY_EVENT_CONFIRMED,
        DEPLOY_EVENT_FAILED,
        DEPLOY_EVENT_ROLLED_BACK,
        DEPLOY_EVENT_REPORTED,
        DEPLOY_EVENT_CANCELED,
        DEPLOY_EVENT_LOST,
        DEPLOY_EVENT_RESTARTED,
        DEPLOY_EVENT_N
};
const char *deploy_event_to_string(enum deploy_event e);

enum deploy_outcome {
        DEPLOY_OUTCOME_NONE,
        DEPLOY_OUTCOME_SUCCESS,
        DEPLOY_OUTCOME_FAILURE,
        DEPLOY_OUTCOME_ROLLED_BACK, /* a failure after the switch: the old version runs again */
        DEPLOY_OUTCOME_N
};
const char *deploy_outcome_to_string(enum deploy_outcome o);

#define DEPLOY_VERSION_SIZE                                                                        \
        129 /* hawkBit's versions have at most 64 characters; bytes are more                       \
             */
#define DEPLOY_CAUSE_SIZE 1024
#define DEPLOY_PAST_N 16
#define DEPLOY_TRIAL_STARTS 3

/* An action that is over; remembered so that it is never done twice. */
struct deploy_past {
        char action[DDI_ID_SIZE];
        enum deploy_outcome outcome;
        char cause[256];
};

struct deploy {
        enum deploy_state state;
        char action[DDI_ID_SIZE];
        char slot_from, slot_to; /* 'a' or 'b'; slot_from 0: nothing was installed */
        char version_from[DEPLOY_VERSION_SIZE];
        char version_to[DEPLOY_VERSION_SIZE];
        uint64_t size;
        struct hash_set hashes;
        int trial_starts;
        enum deploy_outcome outcome; /* in ROLLBACK and REPORT */
        char cause[DEPLOY_CAUSE_SIZE];
        bool announced; /* in REPORT: the outcome is in the spool and in update.log */
        struct deploy_past past[DEPLOY_PAST_N]; /* newest first; empty action: unused */
};

/* The transition function. -EPROTO: the event means nothing in this state, *ret is left alone. */
int deploy_next(enum deploy_state state, enum deploy_event event, enum deploy_state *ret);

#define DEPLOY_FORGOTTEN 1
/* Reads the state file; none there means IDLE. A file that can't be understood is put aside as
 * `<path>.bad` and DEPLOY_FORGOTTEN is returned with IDLE in `ret`: `current` still names a
 * complete slot, and a server that still wants an update will say so. */
int deploy_load(const char *path, struct deploy *ret, struct err *err);
/* Applies `event` to `next` (a changed copy of `d`), writes it, and only then sets *d = *next.
 * Reaching IDLE from REPORT moves the action to the past; reaching IDLE clears the job. */
int deploy_commit(const char *path, struct deploy *d, struct deploy *next, enum deploy_event event,
        struct err *err);
/* Writes `next` without a transition. */
int deploy_save(const char *path, struct deploy *d, const struct deploy *next, struct err *err);
/* NULL if the action isn't known to be over. */
const struct deploy_past *deploy_past_find(const struct deploy *d, const char *action);
