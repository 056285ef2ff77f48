/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Update markers: a car's update events put together to one marker an update.
 *
 * A car tells each step of an update (downloading … trial, confirmed, failed or rolled_back) with
 * the number of the update server's action. The steps of one action that follow each other are one
 * update: it began with the first, the software changed with `trial`, and it ended with confirmed,
 * failed or rolled_back. Pure; times are the car's clock.
 */
#include "base/json.h"
#include "base/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct marker_step {
        int64_t time_ms;
        const char *action, *state, *from, *to, *cause; /* borrowed for the call; never NULL */
};

struct marker {
        char *action, *state, *from, *to,
                *cause; /* of the latest step; the cause of the latest that had one */
        int64_t started_ms;
        int64_t stopped_ms;  /* installing: the old software is about to end; 0: not so far */
        int64_t switched_ms; /* trial: the new software runs; 0: not so far */
        int64_t ended_ms;    /* 0: under way */
        bool has_failed;
        json_t *steps; /* [{time, state, cause}] */
};

struct marker_list {
        struct marker *items; /* in the order of time */
        size_t n, cap;
};

/* The next step, in the order of time; beyond LIMIT_VIEWER_UPDATES the oldest update goes. -ENOMEM.
 */
int marker_list_add(struct marker_list *l, const struct marker_step *step);
void marker_list_fini(struct marker_list *l);
#define CLEAN_MARKER_LIST __attribute__((cleanup(marker_list_fini)))

/* Where the line is drawn: where the software changed, or as near as is known. */
int64_t marker_time(const struct marker *m);
/* {action, state, from, to, cause, started, switched, ended, time, failed, steps} */
json_t *marker_json(const struct marker *m);
