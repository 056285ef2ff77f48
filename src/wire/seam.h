/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The plant/app seam: one line of JSON each way, in lockstep, so that any language can be a vehicle
 * app.
 *
 *   to the app:   {"t":12.3,"dt":0.1,"report":true,"sensors":{"speed_mps":8.1,…}}
 *   from the app: {"actuators":{"regen_torque_fraction":0.3,…}}
 *             or  {"actuators":{…},"telemetry":{"Engine":{…},"Battery":{…},…}}
 *
 * `t` is the plant's time in s since the agent started, `dt` the length of the coming step in s.
 * `report` is true on the ticks for which telemetry is wanted (once per reporting period); an app
 * adds "telemetry" to its answer then. The plant doesn't advance before the app has answered; an
 * app that doesn't answer in time is treated as crashed by its supervisor. An app that never reads
 * and only prints `{"telemetry":{…}}` lines (or bare telemetry objects with at least one object
 * member) works too: its actuators stay at their defaults.
 *
 * The sensors and actuators are tables in seam.c: {name, offset, unit, minimum, maximum}. Values
 * out of range are clamped, non-finite or non-numeric ones are an error; unknown members are
 * ignored.
 *
 * The telemetry's members are passed on into the car's message as they stand, so the answer is
 * checked strictly: names that the agent itself gives to each message (DeviceID, Timestamp, …) are
 * refused. Nothing here allocates except what the caller's buffer does.
 */
#include "base/buf.h"
#include "base/err.h"

enum { SEAM_WHEELS = 4, SEAM_ZONES = 3, SEAM_HEATED_SEATS = 3, SEAM_SEATS = 5 };

/* Wheels: front left, front right, rear left, rear right. */
struct seam_wheel {
        double speed_mps; /* of the tread; differs from the car's when the wheel slips */
        double brake_bar; /* in the wheel's brake cylinder */
        double fluid_c;   /* brake fluid at the calliper */
        double disc_c;    /* brake disc */
        double tyre_bar;  /* above ambient */
};

/* Zones: driver, front passenger, rear. */
struct seam_zone {
        double temperature_c;
        double humidity_pct;
};

/* Seats: driver, front passenger, rear left, rear middle, rear right. */
struct seam_seat {
        bool occupied;
        bool belted;
        bool airbag_ok;       /* the igniter's resistance is right */
        bool airbag_deployed; /* stays true until the airbag is replaced */
};

/* What the plant lets software see. */
struct seam_sensors {
        double speed_mps;
        double acceleration_mps2;
        double motor_power_w;   /* electric; negative while it brakes the car */
        double accelerator;     /* 0 released … 1 floored */
        double brake_pedal_bar; /* what the driver asks for, as the pressure that friction alone
                                   needs */
        double brake_line_bar;  /* what the hydraulics apply after the motor took its part */
        double battery_soc_pct;
        double battery_temperature_c;
        double battery_power_w;   /* at its terminals; negative while it charges */
        double braking_energy_wh; /* returned by braking since the car started */
        double ambient_temperature_c;
        double ambient_humidity_pct;
        struct seam_wheel wheel[SEAM_WHEELS];
        struct seam_zone zone[SEAM_ZONES];
        double seat_heater_c[SEAM_HEATED_SEATS]; /* cushion; driver, front passenger, rear */
        struct seam_seat seat[SEAM_SEATS];
};

/* What software may ask the plant to do. */
struct seam_actuators {
        double regen_torque_fraction; /* share of the brake demand offered to the motor, 0…1 */
        double zone_hvac[SEAM_ZONES]; /* -1 full cooling … 1 full heating */
        double seat_heater_duty[SEAM_HEATED_SEATS]; /* 0…1 */
        bool traction_control;                      /* hold the driven wheels' slip down now */
        bool airbag_armed[SEAM_SEATS];
};

enum seam_type { SEAM_TYPE_NUMBER, SEAM_TYPE_BOOL, SEAM_TYPE_N };

/* One row of the tables: the member's name and where it lies in its struct. Numbers are written
 * with that many decimals, so that the same values give the same bytes from every compiler. */
struct seam_signal {
        const char *name;
        const char *unit; /* "" for none */
        size_t offset;
        enum seam_type type;
        int decimals;
        double minimum;
        double maximum;
};

const struct seam_signal *seam_sensor_table(size_t *ret_n);
const struct seam_signal *seam_actuator_table(size_t *ret_n);

/* What the plant does for an app that commands nothing: no regeneration, no comfort, airbags armed.
 */
struct seam_actuators seam_actuators_default(void);

struct seam_tick {
        double t;
        double dt;
        bool report;
        struct seam_sensors sensors;
};

/* Appends the line with its newline; the buffer must have room for 6 kB. -EDOM when a value isn't
 * finite, else what `buf` says; a failed line leaves nothing behind. */
int seam_encode_tick(const struct seam_tick *tick, struct buf *b);

/* Appends `value` with `decimals` (0…9) digits after the point, half away from zero, never "-0".
 * -EDOM unless |value| × 10^decimals is below 10^15. */
int seam_add_number(struct buf *b, double value, int decimals);

struct seam_answer {
        bool has_actuators;
        /* The telemetry object as it stands in the line (borrowed), NULL when there is none. Its
         * inside without the braces is `telemetry + 1`, `telemetry_len - 2` bytes, and never empty.
         */
        const char *telemetry;
        size_t telemetry_len;
};

/*
 * Reads the app's line (a newline at its end is fine). The actuators that it names are written to
 * `actuators`, the others keep their values; on failure nothing is changed. -E2BIG beyond
 * LIMIT_SEAM_LINE_BYTES, -EINVAL with the reason for anything that isn't an answer.
 */
int seam_parse_answer(const char *line, size_t len, struct seam_actuators *actuators,
        struct seam_answer *ret_answer, struct err *err);
