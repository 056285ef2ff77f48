/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "vehicle/battery.h"
#include "base/clean.h"

#include <math.h>
#include <stddef.h>

/* Open-circuit voltage of the cell at 0, 10, … 100 % (hybrid pulse test at 25 °C; below 11 % drawn
 * out to the cut-off voltage). */
static const double ocv_v[] = {
        3.050, 3.512, 3.718, 3.800, 3.868, 3.909, 3.949, 3.984, 4.048, 4.086, 4.180};
/* Resistance after 30 s of load at 10, 25 and 40 °C in ohm: nearly flat over the charge. */
static const double resistance_ohm[] = {3.85e-3, 2.53e-3, 2.35e-3};
#define CELL_AH 33.0

static double between(double low, double high, double part)
{
        return low + (high - low) * part;
}

/* 0 at `zero_at`, 1 at `one_at`, straight between. */
static double ramp(double x, double zero_at, double one_at)
{
        double part = (x - zero_at) / (one_at - zero_at);
        return part < 0 ? 0 : part > 1 ? 1 : part;
}

static double open_voltage(const struct battery *b, const struct battery_params *p)
{
        double at = b->soc * (N_ELEMENTS(ocv_v) - 1);
        size_t i = at >= N_ELEMENTS(ocv_v) - 1 ? N_ELEMENTS(ocv_v) - 2 : (size_t)at;
        return p->n_series * between(ocv_v[i], ocv_v[i + 1], at - (double)i);
}

static double resistance(const struct battery *b, const struct battery_params *p)
{
        /* Below 10 °C the slope goes on to -20 °C; above 40 °C it is flat. */
        double at = (fmin(fmax(b->temperature_c, -20), 40) - 10) / 15;
        size_t i = at >= 1 ? 1 : 0;
        double cell = between(resistance_ohm[i], resistance_ohm[i + 1], at - (double)i);
        return p->n_series * cell * CELL_AH / p->capacity_ah;
}

double battery_charge_limit_w(const struct battery *b, const struct battery_params *p)
{
        return p->charge_max_w * ramp(b->soc, 0.995, 0.92) * ramp(b->temperature_c, -15, 15) *
               ramp(b->temperature_c, 60, 50);
}

double battery_discharge_limit_w(const struct battery *b, const struct battery_params *p)
{
        return p->discharge_max_w * ramp(b->soc, 0.0, 0.05) * ramp(b->temperature_c, -30, 0) *
               ramp(b->temperature_c, 65, 55);
}

/* The current that gives `power_w` at the terminals: P = U·I - R·I². Beyond the top of that
 * parabola no current does, and its top is what the battery gives. */
static double current_for(double power_w, double voltage, double resistance_now)
{
        double under = voltage * voltage - 4 * resistance_now * power_w;
        return (voltage - sqrt(fmax(under, 0))) / (2 * resistance_now);
}

struct battery_work battery_step(struct battery *b, const struct battery_params *p, double power_w,
        double ambient_c, double dt)
{
        double voltage = open_voltage(b, p);
        double r = resistance(b, p);
        double current = current_for(power_w, voltage, r);
        double charge = p->capacity_ah * 3600;
        /* An empty battery gives no more and a full one takes no more. */
        current = fmin(current, b->soc * charge / dt);
        current = fmax(current, (b->soc - 1) * charge / dt);
        b->soc -= current * dt / charge;

        struct battery_work work = {
                .chemical_w = voltage * current, .loss_w = r * current * current};
        work.terminal_w = work.chemical_w - work.loss_w;
        double heat_w = work.loss_w - p->cooling_w_k * (b->temperature_c - ambient_c);
        b->temperature_c += heat_w * dt / p->heat_capacity_j_k;
        return work;
}
