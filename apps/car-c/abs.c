/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "car.h"
#include "regen.h"

#define N_WHEELS 4
/* Traction control steps in when the driven front wheels run this much faster than the rear ones,
 * and lets go when they are nearly equal again. The margin keeps sensor noise at a crawl out of it.
 */
#define SLIP_ON 1.10
#define SLIP_OFF 1.04
#define SLIP_MARGIN_MPS 0.3

static bool traction_control;

static void control(struct tick *tick, struct json_writer *actuators)
{
        double front = (sensor(tick, "wheel1_speed_mps") + sensor(tick, "wheel2_speed_mps")) / 2;
        double rear = (sensor(tick, "wheel3_speed_mps") + sensor(tick, "wheel4_speed_mps")) / 2;
        double limit = rear * (traction_control ? SLIP_OFF : SLIP_ON) + SLIP_MARGIN_MPS;
        traction_control = front > limit;
        json_flag(actuators, "traction_control", traction_control);
        json_number(actuators, "regen_torque_fraction", REGEN_BLEND, 3);
}

static void report(struct tick *tick, struct json_writer *telemetry)
{
        json_number(telemetry, "BrakePedalPressure", sensor(tick, "brake_pedal_bar"), 2);
        json_number(telemetry, "BrakeActualPressure", sensor(tick, "brake_line_bar"), 2);
        json_flag(telemetry, "TractionControl", traction_control);
        for (int wheel = 1; wheel <= N_WHEELS; wheel++) {
                json_open_of(telemetry, "Wheel%", wheel);
                json_number(
                        telemetry, "Speed", sensor_of(tick, "wheel%_speed_mps", wheel) * 3.6, 2);
                json_number(telemetry, "Pressure", sensor_of(tick, "wheel%_brake_bar", wheel), 2);
                json_number(
                        telemetry, "FluidTemperature", sensor_of(tick, "wheel%_fluid_c", wheel), 2);
                json_number(
                        telemetry, "DiskTemperature", sensor_of(tick, "wheel%_disc_c", wheel), 2);
                json_close(telemetry);
        }
}

const struct subsystem abs_subsystem = {.name = "ABS", .control = control, .report = report};
