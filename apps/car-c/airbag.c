/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "car.h"

#define N_SEATS 5

/* An airbag is armed for a person in the seat while its igniter is sound. */
static bool is_armed(struct tick *tick, int seat)
{
        return sensor_flag_of(tick, "seat%_airbag_ok", seat) &&
               sensor_flag_of(tick, "seat%_occupied", seat);
}

static void control(struct tick *tick, struct json_writer *actuators)
{
        for (int seat = 1; seat <= N_SEATS; seat++)
                json_flag_of(actuators, "airbag%_armed", seat, is_armed(tick, seat));
}

static void report(struct tick *tick, struct json_writer *telemetry)
{
        for (int seat = 1; seat <= N_SEATS; seat++) {
                json_open_of(telemetry, "Seat%", seat);
                json_flag(telemetry, "State", sensor_flag_of(tick, "seat%_airbag_ok", seat));
                json_flag(telemetry, "Triggered",
                        sensor_flag_of(tick, "seat%_airbag_deployed", seat));
                json_flag(telemetry, "Active", is_armed(tick, seat));
                json_flag(
                        telemetry, "SeatbeltFastened", sensor_flag_of(tick, "seat%_belted", seat));
                json_flag(telemetry, "PassengerPresent",
                        sensor_flag_of(tick, "seat%_occupied", seat));
                json_close(telemetry);
        }
}

const struct subsystem airbag_subsystem = {.name = "Airbag", .control = control, .report = report};
