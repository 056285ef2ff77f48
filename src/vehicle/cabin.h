/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The cabin: three zones of air with their share of trim, the water in that air, and three seat
 * cushions. Zones lose heat through the shell and to each other, people warm and moisten them,
 * fresh air dries them, and an evaporator that cools takes water out.
 */
#include "wire/seam.h"

struct cabin {
        double temperature_c[SEAM_ZONES];
        double water_kg_kg[SEAM_ZONES]; /* humidity ratio */
        double cushion_c[SEAM_HEATED_SEATS];
};

/* What the cabin's surroundings and its people are for a step. */
struct cabin_load {
        double ambient_c;
        double ambient_humidity_pct;
        int n_people[SEAM_ZONES];
        bool is_sitting[SEAM_HEATED_SEATS];
};

void cabin_init(struct cabin *c, const struct cabin_load *load);

/* Returns the electric power that air conditioning and seats draw, in W. */
double cabin_step(
        struct cabin *c, const struct seam_actuators *a, const struct cabin_load *load, double dt);

double cabin_humidity_pct(const struct cabin *c, int zone);
