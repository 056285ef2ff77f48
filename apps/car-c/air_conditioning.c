/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "car.h"

#define N_ZONES 3
#define TARGET_C 21.0
/* Full power 4 K off the target; nothing nearer than this, so that it doesn't hunt around it. */
#define FULL_POWER_K 4.0
#define DEAD_BAND_K 0.3

static double command[N_ZONES];

static double command_for(double temperature_c)
{
        double missing_k = TARGET_C - temperature_c;
        if (missing_k < DEAD_BAND_K && missing_k > -DEAD_BAND_K)
                return 0;
        double wanted = missing_k / FULL_POWER_K;
        return wanted > 1 ? 1 : wanted < -1 ? -1 : wanted;
}

static void control(struct tick *tick, struct json_writer *actuators)
{
        for (int i = 0; i < N_ZONES; i++) {
                command[i] = command_for(sensor_of(tick, "zone%_temperature_c", i + 1));
                json_number_of(actuators, "zone%_hvac", i + 1, command[i], 3);
        }
}

static void report(struct tick *tick, struct json_writer *telemetry)
{
        for (int i = 0; i < N_ZONES; i++) {
                json_open_of(telemetry, "Zone%", i + 1);
                json_flag(telemetry, "State", command[i] != 0);
                json_number(
                        telemetry, "Temperature", sensor_of(tick, "zone%_temperature_c", i + 1), 2);
                json_number(telemetry, "Humidity", sensor_of(tick, "zone%_humidity_pct", i + 1), 1);
                json_close(telemetry);
        }
}

const struct subsystem air_conditioning_subsystem = {
        .name = "AirConditioning", .control = control, .report = report};
