/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "car.h"

static void report(struct tick *tick, struct json_writer *telemetry)
{
        json_number(telemetry, "StateOfCharge", sensor(tick, "battery_soc_pct"), 3);
        json_number(telemetry, "BatteryTemperature", sensor(tick, "battery_temperature_c"), 2);
        json_number(telemetry, "EnergyAdded", sensor(tick, "braking_energy_wh"), 3);
}

const struct subsystem battery_subsystem = {.name = "Battery", .report = report};
