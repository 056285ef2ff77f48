/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Friction brakes as heat: four discs and the calliper with its fluid beside each. What the
 * friction takes out of the motion goes into them by the front/rear share; air and radiation take
 * it away. Wheels: front left, front right, rear left, rear right.
 */
#include "wire/seam.h"

struct brake_params {
        double front_share;    /* of the friction work */
        double newton_per_bar; /* of the whole car */
        double front_disc_kg;
        double rear_disc_kg;
};

struct brake {
        double disc_c[SEAM_WHEELS];
        double fluid_c[SEAM_WHEELS];
};

void brake_init(struct brake *b, double ambient_c);

/* `friction_w` is the friction power of the whole car. */
void brake_step(struct brake *b, const struct brake_params *p, double friction_w, double speed_mps,
        double ambient_c, double dt);

/* Heat above `ambient_c` held in discs and callipers, for the books. */
double brake_heat_j(const struct brake *b, const struct brake_params *p, double ambient_c);
