/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Which kept answers are still true: counters that move with every write that could change one.
 *
 * What an idle poll is told depends on its target's row and actions, on the tenant's row and
 * settings, and on nothing else; where the tenant overrides the polling interval for the targets of
 * a filter, it depends on all that a filter can ask for. So a statement moves
 *   - the target's counter, when a device writes its own target or actions, or one row of `target`
 *     is written by its id;
 *   - the tenant's counter, for every other write to these four tables;
 *   - `any`, for every write at all.
 * The statement's text says which table it writes; what can't be read counts as everything. The
 * counters of targets are an array by id that two targets may share, which costs a needless look
 * into the database and never a wrong answer. They move when a statement of this process runs; that
 * another process wrote ends all answers (stamps_end_all()).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sql_arg;
struct stamps;

struct stamp {
        uint32_t any, tenant, target;
};

struct stamps *stamps_new(void);
void stamps_free(struct stamps *s);
/* Somebody wrote who knows what. */
void stamps_end_all(struct stamps *s);
struct stamp stamps_now(const struct stamps *s, int64_t tenant, int64_t target);
/* A statement that is about to run, in `tenant` (0: in none), for the target `device` (0: none). */
void stamps_note(struct stamps *s, const char *sql, const struct sql_arg *args, size_t n,
        int64_t tenant, int64_t device);
