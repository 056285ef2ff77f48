/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "car.h"

static void report(struct tick *tick, struct json_writer *telemetry)
{
        json_number(telemetry, "Speed", sensor(tick, "speed_mps") * 3.6, 2);
        json_number(telemetry, "Acceleration", sensor(tick, "acceleration_mps2"), 3);
        json_number(telemetry, "Power", sensor(tick, "motor_power_w") / 1000, 3);
}

const struct subsystem engine_subsystem = {.name = "Engine", .report = report};
