/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What one drive cycle does to a car, as its telemetry tells it.
 *
 * The agent reports once per second of its own clock times the time scale, counted in steps of the
 * plant, so a cycle of DEMO_CYCLE_S seconds is always the same number of rows, however busy the
 * machine is. Two windows of that many rows see the same accelerations and the same braking,
 * wherever they begin.
 */
#include "tool/demo.h"

/* One elementary urban cycle of UN R83, which the demo's cars drive again and again. */
#define DEMO_CYCLE "ece15"
#define DEMO_CYCLE_S 195

struct demo_cycle {
        double energy_wh; /* returned by braking */
        double disc_c;    /* change of the front left disc's temperature */
};

/* Whether a cycle is a whole number of rows at that scale. */
bool demo_cycle_fits(int time_scale);
/* The cycle that ends with the last row up to `at_ms` (the car's clock). -ENODATA: too few rows. */
int demo_cycle_before(
        struct demo *d, const char *car, double at_ms, struct demo_cycle *ret, struct err *err);
/* Waits for the first cycle that begins after `at_ms` and measures it. */
int demo_cycle_after(
        struct demo *d, const char *car, double at_ms, struct demo_cycle *ret, struct err *err);
