/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The viewer's window to the update server: rollouts with their groups, and what each car is told.
 * The database needn't exist yet; then everything is empty, and it is looked for again with each
 * question.
 */
#include "base/clean.h"
#include "base/err.h"
#include "base/json.h"
#include <stdint.h>

struct cloud_config;
struct fleet;
struct source_ota;

int source_ota_new(
        const struct cloud_config *config, struct source_ota **ret_source, struct err *err);
void source_ota_free(struct source_ota *s);
CLEAN_DEFINE(source_ota, source_ota_free);

/* {"rollouts": […]} newest first, members as of ota_view_rollouts() and "why" for each that is not
 * finished. NULL with `err`. */
json_t *source_ota_rollouts(struct source_ota *s, struct err *err);
/* Changes when the update server wrote its state. */
uint64_t source_ota_generation(struct source_ota *s);
/* {"target": {…}, "actions": […], "why": text} as of ota_view_targets() and ota_view_actions();
 * JSON null if the update server doesn't know the car. NULL with `err`. */
json_t *source_ota_device(struct source_ota *s, const char *device, struct err *err);
/* A row for each target, also those that never sent anything, and the version each is to run. */
int source_ota_fill_fleet(struct source_ota *s, struct fleet *fleet, struct err *err);
