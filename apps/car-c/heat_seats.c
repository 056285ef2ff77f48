/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "car.h"

#define N_HEATED 3
#define DUTY 0.8
/* A thermostat with a hysteresis; skin stays comfortable below 40 °C. */
#define ON_BELOW_C 34.0
#define OFF_ABOVE_C 36.0
/* Nobody wants a warm seat in a warm car. */
#define WARM_CABIN_C 24.0

static bool is_on[N_HEATED];

/* Driver, front passenger, rear bench. */
static bool is_taken(struct tick *tick, int heated)
{
        if (heated < N_HEATED)
                return sensor_flag_of(tick, "seat%_occupied", heated);
        return sensor_flag(tick, "seat3_occupied") || sensor_flag(tick, "seat4_occupied") ||
               sensor_flag(tick, "seat5_occupied");
}

static void control(struct tick *tick, struct json_writer *actuators)
{
        for (int heated = 1; heated <= N_HEATED; heated++) {
                bool *on = &is_on[heated - 1];
                double cushion_c = sensor_of(tick, "seat_heater%_c", heated);
                if (cushion_c > OFF_ABOVE_C || !is_taken(tick, heated) ||
                        sensor_of(tick, "zone%_temperature_c", heated) > WARM_CABIN_C)
                        *on = false;
                else if (cushion_c < ON_BELOW_C)
                        *on = true;
                json_number_of(actuators, "seat_heater%_duty", heated, *on ? DUTY : 0, 2);
        }
}

static void report(struct tick *tick, struct json_writer *telemetry)
{
        for (int heated = 1; heated <= N_HEATED; heated++) {
                json_open_of(telemetry, "HeatedSeat%", heated);
                json_flag(telemetry, "State", is_on[heated - 1]);
                json_number(telemetry, "Temperature", sensor_of(tick, "seat_heater%_c", heated), 2);
                json_close(telemetry);
        }
}

const struct subsystem heat_seats_subsystem = {
        .name = "HeatSeats", .control = control, .report = report};
