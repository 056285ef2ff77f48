/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The vehicle app: control software of a simulated car, and what an update replaces.
 *
 * Once a tick the car sends a line of JSON with its sensors; the app answers with a line that sets
 * the car's actuators and, when the tick asks for a report, tells the telemetry. Each subsystem is
 * a file of its own with one `struct subsystem`, and an entry in the list in subsystems.c. It reads
 * sensors by their name (docs/signals.md has them all) and writes actuators and its telemetry in
 * the same way.
 */
#include "json.h"

#include <stdbool.h>

struct tick {
        double t;  /* s since the car was switched on */
        double dt; /* s until the next tick */
        bool report;
        struct json_values sensors;
        const char *missing; /* a sensor that was asked for and isn't in the line; NULL: none */
};

/* 0 and false, with a note in `missing`, for a sensor that the car doesn't have. */
double sensor(struct tick *tick, const char *name);
bool sensor_flag(struct tick *tick, const char *name);
/* The sensor `name` with its first '%' replaced by `number`: one of several alike. */
double sensor_of(struct tick *tick, const char *name, int number);
bool sensor_flag_of(struct tick *tick, const char *name, int number);

struct subsystem {
        const char *name; /* of its telemetry object */
        /* Each tick: writes members of the actuators object. NULL: it commands nothing. */
        void (*control)(struct tick *tick, struct json_writer *actuators);
        /* Each report: writes the members of its telemetry object. */
        void (*report)(struct tick *tick, struct json_writer *telemetry);
};

/* Ends with NULL. */
extern const struct subsystem *const subsystems[];
