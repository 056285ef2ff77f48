/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* The viewer's window to the update server: rollouts with their groups, and what each car is told.
 */
#include "base/clean.h"
#include "base/err.h"
#include "base/json.h"
#include <stdint.h>

struct cloud_config;
struct fleet;

/* {"rollouts": [{id, name, state, why, set, version, created, total, counts {…}, groups [{name,
 * state, total, counts {…}, success_threshold, error_threshold}]}]}, newest first. NULL with `err`.
 */
json_t *source_ota_rollouts(const struct cloud_config *config, struct err *err);
/* Changes when the update server wrote its state. */
uint64_t source_ota_generation(const struct cloud_config *config);
/* What the update server knows of a car: {state, installed, assigned, polled, attributes, actions
 * [{id, set, version, state, created, messages [{time, text}]}]}. JSON null if it knows none. */
json_t *source_ota_device(const struct cloud_config *config, const char *device, struct err *err);
/* A row for each target, also those that never sent anything, and the version each is to run. */
int source_ota_fill_fleet(const struct cloud_config *config, struct fleet *fleet, struct err *err);
