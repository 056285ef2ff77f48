/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A drive cycle: the speed to drive at, over time, as points with straight lines between them.
 *
 * Cycles are read-only after they are made, so any number of cars may share one. A car that reaches
 * the end begins again. Built in, generated from the tables of operations in UN Regulation No. 83:
 *   nedc   the New European Driving Cycle, 4 urban cycles and the extra-urban one, 1180 s
 *   ece15  one elementary urban cycle, 195 s
 * Any other comes from a CSV file with the head line `time_s,speed_mps`.
 */
#include "base/clean.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct cycle;

void cycle_free(struct cycle *cycle);
CLEAN_DEFINE(cycle, cycle_free);

/* A built-in name or else the path of a CSV file. The caller owns what comes back. */
int cycle_open(const char *name_or_path, struct cycle **ret_cycle, struct err *err);

/* Reads CSV text. Times begin at 0 and rise; speeds are 0…100 m/s; at least two rows. Blank lines
 * and CR LF are fine. The reason in `err` begins with the number of the line. */
int cycle_parse_csv(const char *text, size_t len, struct cycle **ret_cycle, struct err *err);

double cycle_duration_s(const struct cycle *cycle);
double cycle_distance_m(const struct cycle *cycle);

/* The speed at `t_s`, held at the ends. `cursor` is the caller's, begins at 0 and makes the look-up
 * constant when time moves on in small steps; it may be wrong, but not shared between cycles. */
double cycle_speed_at(const struct cycle *cycle, double t_s, uint32_t *cursor);
