/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The two places an app can be installed in, and which of them runs.
 *
 *   slots/a/        an unpacked update package          slots/a.json   its mark of completeness
 *   slots/b/                                            slots/b.json
 *   slots/current   a link to `a` or `b`, replaced by one rename
 *
 * A slot counts only with its mark, which is removed before a slot is touched and written after all
 * of the slot is on disk. slots_select() refuses a slot without it, so a half-written app can't
 * become current; slots_repair() is for a folder that something else has damaged.
 */
#include "base/err.h"
#include "base/clean.h"
#include "tcu/deploy.h"
#include <stdbool.h>

struct slot_info {
        char version[DEPLOY_VERSION_SIZE];
        char sha256[HASH_SHA256_HEX_SIZE]; /* of the package; "" for the factory's app */
        char action[DDI_ID_SIZE];          /* that installed it; "" for the factory's app */
};

struct slots;

/* Makes `dir` if need be. */
int slots_open(const char *dir, struct slots **ret_slots, struct err *err);
void slots_close(struct slots *s);
CLEAN_DEFINE(slots, slots_close);

/* 'a' or 'b'; 0 when nothing is installed or `current` names no complete slot. */
char slots_current(const struct slots *s);
/* The one that isn't `slot`; 'a' for 0. */
char slots_other(char slot);
/* The folder; borrowed. */
const char *slots_path(const struct slots *s, char slot);
/* -ENOENT for a slot that isn't complete. */
int slots_info(const struct slots *s, char slot, struct slot_info *ret);

/* Takes the mark away and empties the slot; refuses the current one with -EBUSY. */
int slots_clear(struct slots *s, char slot, struct err *err);
/* What was unpacked must be able to start: a manifest with a command that can be run. A program of
 * the package that lost its x bit on the way gets it back. `version` (NULL: not wanted) is the
 * manifest's, "0" if it has none. */
int slots_check(
        const struct slots *s, char slot, char version[DEPLOY_VERSION_SIZE], struct err *err);
/* Marks the slot as complete. Its files must be synced before. */
int slots_complete(struct slots *s, char slot, const struct slot_info *info, struct err *err);
/* Makes the slot current, on disk when it returns. */
int slots_select(struct slots *s, char slot, struct err *err);
/* If `current` is broken, makes it name `preferred` or else any complete slot. Returns as
 * slots_current(). */
char slots_repair(struct slots *s, char preferred, struct err *err);
