/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Auto-assignment: a filter gives its set to each target that matches and never had an action with
 * that set, whenever it comes to match.
 *
 * A filter goes through the fleet in sweeps, by target id. One step looks at AUTO_ASSIGN_LOOK
 * targets and assigns to AUTO_ASSIGN_PAGE of them at most, one transaction; the next step follows at
 * once. Between two sweeps the filter rests for twenty times as long as the last one took: a
 * filter over a million targets costs a twentieth of a core, one over a thousand sees a new target
 * in the next round. A filter that was just given a set, or another query, is swept at once. Where a sweep stands is
 * kept in memory only: after a restart it begins again, which changes nothing but the order.
 */
#include <stdint.h>

struct ota;
struct sweeps;

struct sweeps *sweeps_new(void);
void sweeps_free(struct sweeps *s);
/* One step of the filter's sweep, now. */
void auto_assign_step(struct ota *o, int64_t filter, int64_t tenant);
/* The same if the filter has rested. */
void auto_assign_round(struct ota *o, int64_t filter, int64_t tenant);
