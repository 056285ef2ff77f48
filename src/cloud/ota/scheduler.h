/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the server does by itself, in passes of one transaction per rollout or filter: rollouts go
 * on, filters assign their set to new matches, old actions are cleaned up, poll times are written.
 */
#include "cloud/ota/tx.h"

struct ota;

/* One transaction of the scheduler, by `system` in a tenant. */
struct unit {
        struct arena arena;
        struct problem problem;
        struct tx tx;
};
void unit_begin(struct unit *u, struct ota *o, int64_t tenant);
/* Commits, or logs what went wrong in `what` and undoes it. */
void unit_end(struct unit *u, struct ota *o, const char *what);

/* One pass over what is due (due.h). */
void scheduler_pass(void *ota, enum due_kind kind, int64_t id, int64_t tenant);
/* One round over all tenants. */
void scheduler_round(struct ota *o);
/* Old closed actions, as the tenants configured it. Once a day. */
void scheduler_clean_up(struct ota *o);
