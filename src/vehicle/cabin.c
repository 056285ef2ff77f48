/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "vehicle/cabin.h"

/* One zone of a mid-size car: 1 m³ of air with the trim that follows it, and the shell around it.
 */
#define ZONE_J_K 38e3
#define SHELL_W_K 14.0
#define NEIGHBOUR_W_K 18.0
#define PERSON_W 85.0
#define HVAC_W 2000.0 /* heat per zone at full command */
#define HVAC_COP 2.5  /* a heat pump in mild weather, either way */
#define AIR_KG 1.2
#define FRESH_AIR_PER_S (1.0 / 150)
#define PERSON_WATER_KG_S 1.4e-5 /* 50 g/h */
#define EVAPORATOR_PER_S (1.0 / 60)
#define EVAPORATOR_WATER 0.0066 /* humidity ratio of saturated air at 8 °C */
/* A cushion with a 40 W mat warms by 25 K with a time constant of 6 minutes. */
#define MAT_W 40.0
#define CUSHION_W_K 1.6
#define CUSHION_J_K (CUSHION_W_K * 360)
#define BODY_W_K 1.0
#define BODY_C 34.0

#define AIR_HPA 1013.25
#define WATER_TO_AIR 0.622

/* Saturation pressure over water in hPa by Lowe's polynomial (J. Appl. Meteorol. 16, 1977; -50…50
 * °C): an exp() from the C library would not give the same bits everywhere. */
static double saturation_hpa(double t)
{
        t = t < -50 ? -50 : t > 50 ? 50 : t;
        return 6.107799961 +
               t * (0.4436518521 +
                           t * (1.428945805e-2 +
                                       t * (2.650648471e-4 +
                                                   t * (3.031240396e-6 +
                                                               t * (2.034080948e-8 +
                                                                           t * 6.136820929e-11)))));
}

static double water_of(double humidity_pct, double temperature_c)
{
        double vapour_hpa = humidity_pct / 100 * saturation_hpa(temperature_c);
        return WATER_TO_AIR * vapour_hpa / (AIR_HPA - vapour_hpa);
}

double cabin_humidity_pct(const struct cabin *c, int zone)
{
        double water = c->water_kg_kg[zone];
        double vapour_hpa = AIR_HPA * water / (WATER_TO_AIR + water);
        double pct = 100 * vapour_hpa / saturation_hpa(c->temperature_c[zone]);
        return pct > 100 ? 100 : pct;
}

void cabin_init(struct cabin *c, const struct cabin_load *load)
{
        for (int i = 0; i < SEAM_ZONES; i++) {
                c->temperature_c[i] = load->ambient_c;
                c->water_kg_kg[i] = water_of(load->ambient_humidity_pct, load->ambient_c);
        }
        for (int i = 0; i < SEAM_HEATED_SEATS; i++)
                c->cushion_c[i] = load->ambient_c;
}

static void step_water(struct cabin *c, const struct seam_actuators *a,
        const struct cabin_load *load, int zone, double dt)
{
        double outside = water_of(load->ambient_humidity_pct, load->ambient_c);
        double *water = &c->water_kg_kg[zone];
        double cooling = a->zone_hvac[zone] < 0 ? -a->zone_hvac[zone] : 0;
        double change = FRESH_AIR_PER_S * (outside - *water) +
                        load->n_people[zone] * PERSON_WATER_KG_S / AIR_KG;
        if (*water > EVAPORATOR_WATER)
                change -= cooling * EVAPORATOR_PER_S * (*water - EVAPORATOR_WATER);
        *water += change * dt;
        double most = water_of(100, c->temperature_c[zone]);
        if (*water > most)
                *water = most; /* the rest is dew on the windows */
}

static void step_cushion(
        struct cabin *c, double duty, const struct cabin_load *load, int seat, double dt)
{
        double t = c->cushion_c[seat];
        double heat_w = MAT_W * duty + CUSHION_W_K * (c->temperature_c[seat] - t);
        if (load->is_sitting[seat])
                heat_w += BODY_W_K * (BODY_C - t);
        c->cushion_c[seat] += heat_w * dt / CUSHION_J_K;
}

double cabin_step(
        struct cabin *c, const struct seam_actuators *a, const struct cabin_load *load, double dt)
{
        double heat_w[SEAM_ZONES];
        double electric_w = 0;
        for (int i = 0; i < SEAM_ZONES; i++) {
                heat_w[i] = SHELL_W_K * (load->ambient_c - c->temperature_c[i]) +
                            PERSON_W * load->n_people[i] + HVAC_W * a->zone_hvac[i];
                for (int k = 0; k < SEAM_ZONES; k++)
                        heat_w[i] += NEIGHBOUR_W_K * (c->temperature_c[k] - c->temperature_c[i]);
                double command = a->zone_hvac[i] < 0 ? -a->zone_hvac[i] : a->zone_hvac[i];
                electric_w += command * HVAC_W / HVAC_COP;
        }
        for (int i = 0; i < SEAM_ZONES; i++) {
                c->temperature_c[i] += heat_w[i] * dt / ZONE_J_K;
                step_water(c, a, load, i, dt);
        }
        for (int i = 0; i < SEAM_HEATED_SEATS; i++) {
                step_cushion(c, a->seat_heater_duty[i], load, i, dt);
                electric_w += MAT_W * a->seat_heater_duty[i];
        }
        return electric_w;
}
