/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * An action: one distribution set on its way to one target.
 *
 *   (assignment)  → running | wait_for_confirmation        (rollout's later group) → scheduled
 *   scheduled     → running | wait_for_confirmation        running → retrieved (device read it)
 *   wait_for_…    → running (confirmed)
 *   open, finished by the device → finished | error | downloaded (download-only)
 *   open, withdrawn → canceling → canceled (device agreed) | running (device refused)
 *   canceling, forced by a person → canceled
 * Open means active. Reports between (download, warning, …) only add rows to the history.
 *
 * This module changes rows of the database and knows nothing of HTTP. Status numbers are hawkBit's
 * ordinals, by which lists sort.
 */
#include "cloud/ota/target.h"
#include "cloud/ota/tx.h"

enum action_status {
        ACTION_FINISHED,
        ACTION_ERROR,
        ACTION_WARNING,
        ACTION_RUNNING,
        ACTION_CANCELED,
        ACTION_CANCELING,
        ACTION_RETRIEVED,
        ACTION_DOWNLOAD,
        ACTION_SCHEDULED,
        ACTION_CANCEL_REJECTED,
        ACTION_DOWNLOADED,
        ACTION_WAIT_FOR_CONFIRMATION,
};
extern const char *const action_status_words[]; /* lower case */

enum action_type { ACTION_FORCED, ACTION_SOFT, ACTION_TIMEFORCED, ACTION_DOWNLOAD_ONLY };
extern const char *const action_type_words[];
enum action_type action_type_of(const char *word); /* NULL: forced */

#define ACTION_DEFAULT_WEIGHT 1000
#define ACTION_NO_CODE INT64_MIN

struct action {
        int64_t id, target, ds;
        bool is_active;
        enum action_status status;
        enum action_type type;
        int64_t forced_time, weight;
        int64_t rollout, group;                     /* 0: none */
        const char *schedule, *duration, *timezone; /* NULL: no maintenance window */
        const char *external_ref;
        int64_t last_code;     /* ACTION_NO_CODE */
        int64_t proving_since; /* the device reported success, which it has to prove; 0: no */
        int64_t modified_at;
};

#define ACTION_COLUMNS                                                                             \
        "a.id, a.target, a.ds, a.active, a.status, a.type, a.forced_time, a.weight, a.rollout, "   \
        "a.rollout_group, a.schedule, a.duration, a.timezone, a.external_ref, a.last_code, "       \
        "a.proving_since, "                                                                        \
        "a.created_by, a.created_at, a.modified_by, a.modified_at"
#define ACTION_AUDIT_COLUMN 16
#define ACTION_N_COLUMNS 20

/* Text for a row of the history; a list of at most as many as given. */
struct messages {
        const char **texts;
        size_t n, cap;
};
void messages_add(struct tx *tx, struct messages *m, const char *text);

void action_read(struct sql_rows *r, struct action *a);
bool action_get(struct tx *tx, int64_t id, struct action *ret);
/* The open action that the target is to see: the heaviest, of those the oldest. One that is being
 * proved (deadline.h) is done as far as the device is concerned. */
bool action_next(struct tx *tx, int64_t target, struct action *ret);
int64_t action_insert(struct tx *tx, const struct action *a);
/* One row of the history; texts beyond 512 characters are split. */
void action_log(struct tx *tx, int64_t action, enum action_status type, int64_t occurred_at,
        int64_t code, const struct messages *m);
void action_log_text(struct tx *tx, int64_t action, enum action_status type, const char *text);
int64_t action_count_log(struct tx *tx, int64_t action);
void action_set_status(struct tx *tx, struct action *a, enum action_status status, bool is_active);
void action_set_code(struct tx *tx, struct action *a, int64_t code);

/* ── ends ── */
/* The device has installed it. `occurred_at` older than the last installation changes the action
 * only. */
void action_finish(struct tx *tx, struct action *a, int64_t occurred_at);
void action_fail(struct tx *tx, struct action *a);
void action_downloaded(struct tx *tx, struct action *a);
/* ── withdrawal ── */
void action_ask_cancel(struct tx *tx, struct action *a, const char *why);
/* The action is closed as canceled and its target falls back to what it has. */
void action_canceled(struct tx *tx, struct action *a);
/* A person cancels (`is_forced`: without the device). Sets a problem and returns -1 if it can't be.
 */
int action_cancel(struct tx *tx, struct action *a, bool is_forced);
void action_delete(struct tx *tx, int64_t id);
/* Cancels an action whose maintenance schedule has no window left. True if it did. */
bool action_end_without_window(struct tx *tx, struct action *a);

bool action_is_forced_now(const struct action *a, int64_t now);
/* False: it is already. */
bool action_make_forced(struct tx *tx, struct action *a);
/* `forced`, `attempt` or `skip` for the device. */
void action_handling(struct tx *tx, const struct action *a, const char **ret_download,
        const char **ret_update, const char **ret_window);
