/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The reference model of actions: one target, its actions, and what each event makes of them, in
 * plain arrays. It is written from hawkBit's documented tables and shares nothing with the server
 * but the names of states, so that action_model_test.c can hold the two against each other.
 *
 * Sets are numbers from 1, 0 is none; set MODEL_MIGRATION is a migration step. Every event answers
 * with the status of the HTTP request that stands for it.
 */
#include "cloud/ota/action.h"

#define MODEL_SETS 3
#define MODEL_MIGRATION 3
#define MODEL_MAX_ACTIONS 32

enum model_execution {
        MODEL_CLOSED,
        MODEL_PROCEEDING,
        MODEL_CANCELED,
        MODEL_SCHEDULED,
        MODEL_REJECTED,
        MODEL_RESUMED,
        MODEL_DOWNLOADED,
        MODEL_DOWNLOAD,
        MODEL_EXECUTION_N,
};
extern const char *const model_executions[], *const model_finishes[];

struct model_action {
        int64_t id;
        int set;
        bool is_active;
        enum action_status status, last_row; /* of the history's newest row; -1: no row */
        enum action_type type;
        int64_t forced_time, weight;
        int64_t window_ends; /* when its maintenance schedule has no future; 0: none */
};

struct model {
        int64_t now;
        bool has_flow, closes;
        enum target_status status;
        int assigned, installed;
        int64_t installed_at;
        bool request_attributes, auto_confirms;
        struct model_action actions[MODEL_MAX_ACTIONS];
        int n;
};

struct model_order {
        int set, confirm; /* confirm: -1 as the tenant has it, 0 not needed, 1 needed */
        enum action_type type;
        int64_t forced_time, weight, window_ends;
};

/* The new action has no id yet: model_last(). NULL-free: false if none was made. */
bool model_assign(struct model *m, const struct model_order *o);
bool model_offline(struct model *m, int set);
bool model_report_installed(struct model *m, int set);
/* A rollout's later group, and its start. */
void model_schedule(struct model *m, const struct model_order *o);
void model_start(struct model *m, struct model_action *a, int confirm);
static inline struct model_action *model_last(struct model *m)
{
        return &m->actions[m->n - 1];
}

int model_cancel(struct model *m, struct model_action *a, bool is_forced);
int model_force(struct model *m, struct model_action *a);
int model_delete(struct model *m, struct model_action *a);
/* The set is invalidated, softly or by force. */
void model_withdraw_set(struct model *m, int set, bool is_forced);

/* The poll: the action that is offered, NULL for none. */
struct model_action *model_poll(struct model *m);
int model_get_deployment(struct model *m, struct model_action *a);
int model_get_cancel(struct model *m, struct model_action *a);
int model_get_installed(struct model *m, struct model_action *a);
int model_feedback(struct model *m, struct model_action *a, enum model_execution execution,
        bool is_failure, int64_t at);
int model_cancel_feedback(
        struct model *m, struct model_action *a, enum model_execution execution, bool is_failure);
int model_confirm(struct model *m, struct model_action *a, bool is_confirmed);
int model_auto_confirm(struct model *m, bool is_on);
