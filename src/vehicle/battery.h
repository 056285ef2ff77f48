/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The traction battery: an open-circuit voltage behind a resistance, both of a measured cell, and
 * one lump of heat capacity. The state is charge and temperature; power goes in, losses and limits
 * come out. Cells are 33 Ah automotive NMC/LMO; packs of another size scale their resistance by
 * capacity.
 */
struct battery_params {
        double n_series;
        double capacity_ah;
        double heat_capacity_j_k;
        double cooling_w_k;
        double charge_max_w; /* what the cells take between 20 and 80 % when warm */
        double discharge_max_w;
};

struct battery {
        double soc; /* 0…1 */
        double temperature_c;
};

/* The electric work of one step, for the books. */
struct battery_work {
        double terminal_w; /* positive: out of the battery */
        double loss_w;
        double chemical_w; /* their sum: what the charge gave up */
};

/* What may be put in or drawn now, in W, both positive. */
double battery_charge_limit_w(const struct battery *b, const struct battery_params *p);
double battery_discharge_limit_w(const struct battery *b, const struct battery_params *p);

struct battery_work battery_step(struct battery *b, const struct battery_params *p, double power_w,
        double ambient_c, double dt);
