/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Who sits at the pedals: a follower of a drive cycle, or a person who types.
 *
 * The follower knows the car: it asks for the force that brings the car to the cycle's speed at the
 * end of the step, and falls behind only where the car can't. At the end of the cycle it begins
 * again; when the battery is low and the cycle stands still it charges first, and the cycle waits.
 *
 * A person's car is off at first. The commands and what the pedals do then:
 *   start            ready to drive
 *   accelerate [P]   P % of the force that the car has at its speed (0…100, without P 30)
 *   brake [P]        P % of full brake pressure (without P 30)
 *   coast            no pedal
 *   stop             brakes to a standstill, then off
 */
#include "base/err.h"
#include "vehicle/cycle.h"

#include <stdbool.h>
#include <stdint.h>

#define DRIVER_PEDAL_MAX_BAR 120.0

enum driver_mode {
        DRIVER_MODE_CYCLE,
        DRIVER_MODE_CHARGING, /* the follower at a charging station */
        DRIVER_MODE_OFF,
        DRIVER_MODE_ACCELERATE,
        DRIVER_MODE_BRAKE,
        DRIVER_MODE_COAST,
        DRIVER_MODE_STOP,
        DRIVER_MODE_N
};

struct driver {
        enum driver_mode mode;
        uint32_t cursor; /* in the cycle */
        double cycle_s;  /* the follower's place in its cycle */
        double level;    /* the person's pedal, 0…1 */
};

/* What the driver knows of the car in a step. */
struct driver_view {
        double speed_mps;
        double soc;
        double inertia_kg;  /* mass with what rotates */
        double road_n;      /* resistance at this speed */
        double drive_max_n; /* the most that the motor gives now */
        double newton_per_bar;
};

struct driver_demand {
        double accelerator; /* 0…1 of drive_max_n */
        double pedal_bar;
};

const char *driver_mode_to_string(enum driver_mode mode);

void driver_init(struct driver *d, const struct cycle *cycle);
struct driver_demand driver_step(
        struct driver *d, const struct cycle *cycle, const struct driver_view *view, double dt);

/* Does what a person typed; leading and trailing blanks don't matter. -EINVAL with what would be
 * right. */
int driver_command(struct driver *d, const char *line, struct err *err);
