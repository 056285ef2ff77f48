/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "vehicle/brake.h"

/* Grey cast iron. The pads take the rest of the heat and hand it to the calliper. */
#define DISC_J_KG_K 460.0
#define DISC_HEAT_PART 0.9
#define CALLIPER_J_K 3200.0
#define DISC_TO_CALLIPER_W_K 0.5
/* Fitted to known figures for a 9.5 kg disc: a stop from 100 km/h warms it by about 40 K, and 15
 * snubs from 120 to 60 km/h every 45 s by friction alone bring it near 400 °C. */
#define STILL_AIR_W_K_KG 0.20
#define WIND_W_K_KG_MPS 0.030
#define RADIATING_M2_KG 0.0085
#define EMISSIVITY 0.55
#define STEFAN_BOLTZMANN 5.670374e-8
#define CALLIPER_STILL_W_K 1.2
#define CALLIPER_WIND_W_K_MPS 0.10

void brake_init(struct brake *b, double ambient_c)
{
        for (int i = 0; i < SEAM_WHEELS; i++)
                b->disc_c[i] = b->fluid_c[i] = ambient_c;
}

static double disc_kg(const struct brake_params *p, int wheel)
{
        return wheel < 2 ? p->front_disc_kg : p->rear_disc_kg;
}

static double fourth_power(double x)
{
        return x * x * x * x;
}

static double disc_loss_w(double mass_kg, double disc_c, double speed_mps, double ambient_c)
{
        double air =
                mass_kg * (STILL_AIR_W_K_KG + WIND_W_K_KG_MPS * speed_mps) * (disc_c - ambient_c);
        double radiation = EMISSIVITY * STEFAN_BOLTZMANN * RADIATING_M2_KG * mass_kg *
                           (fourth_power(disc_c + 273.15) - fourth_power(ambient_c + 273.15));
        return air + radiation;
}

void brake_step(struct brake *b, const struct brake_params *p, double friction_w, double speed_mps,
        double ambient_c, double dt)
{
        for (int i = 0; i < SEAM_WHEELS; i++) {
                double mass_kg = disc_kg(p, i);
                double share = (i < 2 ? p->front_share : 1 - p->front_share) / 2;
                double conducted = DISC_TO_CALLIPER_W_K * (b->disc_c[i] - b->fluid_c[i]);
                double disc_w = DISC_HEAT_PART * share * friction_w - conducted -
                                disc_loss_w(mass_kg, b->disc_c[i], speed_mps, ambient_c);
                double calliper_w = (1 - DISC_HEAT_PART) * share * friction_w + conducted -
                                    (CALLIPER_STILL_W_K + CALLIPER_WIND_W_K_MPS * speed_mps) *
                                            (b->fluid_c[i] - ambient_c);
                b->disc_c[i] += disc_w * dt / (mass_kg * DISC_J_KG_K);
                b->fluid_c[i] += calliper_w * dt / CALLIPER_J_K;
        }
}

double brake_heat_j(const struct brake *b, const struct brake_params *p, double ambient_c)
{
        double heat_j = 0;
        for (int i = 0; i < SEAM_WHEELS; i++)
                heat_j += disc_kg(p, i) * DISC_J_KG_K * (b->disc_c[i] - ambient_c) +
                          CALLIPER_J_K * (b->fluid_c[i] - ambient_c);
        return heat_j;
}
