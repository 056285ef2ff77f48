/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The plant: a battery-electric car as physics. It is the hardware that no update can change; a
 * vehicle app sees its sensors and moves its actuators through the seam (wire/seam.h), and what an
 * update does shows only as this physics answers the new commands.
 *
 * A step is a pure function of state, actuators and dt. Same options and same actuators give the
 * same sensors to the byte on every compiler, so the code uses + - × ÷ and sqrt only, and its own
 * random numbers. The state is a plain struct without pointers to memory of its own: copy it to
 * fork a car, keep a hundred thousand in an array. Nothing allocates, blocks or fails after the
 * cycle was opened.
 *
 * Braking: the driver asks for a force. The part `regen_torque_fraction` of it is offered to the
 * motor, which takes what its torque, its power, the battery's charge limit and the speed allow
 * (nothing at walking pace); the hydraulics deliver the rest, and only that rest heats the discs.
 */
#include "vehicle/battery.h"
#include "vehicle/brake.h"
#include "vehicle/cabin.h"
#include "vehicle/cycle.h"
#include "vehicle/driver.h"
#include "vehicle/random.h"
#include "wire/seam.h"

/* A longer step is cut into equal parts up to this long. */
#define VEHICLE_STEP_MAX_S 0.1

/* What a type of car is; shared by all cars of the type. */
struct vehicle_params {
        const char *name;
        double mass_kg;
        double rotating_part; /* of the mass: wheels, gears and rotor seen as mass */
        double road_f0_n;     /* coast-down: F = f0 + f1·v + f2·v² */
        double road_f1_n_mps;
        double road_f2_n_mps2;
        double front_load;  /* share of the weight on the front axle, which is driven */
        double motor_max_n; /* at the tyres */
        double motor_max_w;
        double drive_efficiency; /* battery terminals to tyres */
        double regen_efficiency; /* tyres to battery terminals */
        double auxiliary_w;
        double charger_w;
        double tyre_bar; /* cold */
        struct battery_params battery;
        struct brake_params brake;
};

/* A compact car with 110 kW and 40 kWh. */
extern const struct vehicle_params vehicle_params_default;

struct vehicle_options {
        const struct vehicle_params *params; /* NULL: the default; must outlive the car */
        const struct cycle *cycle;           /* NULL: a person drives; must outlive the car */
        uint64_t seed;                       /* people in the seats, tyres, noise of the sensors */
        double soc;                          /* 0…1 */
        double ambient_c;
        double ambient_humidity_pct;
        double grip; /* friction of the road: 0.9 dry, 0.5 wet, 0.15 ice */
};
#define VEHICLE_OPTIONS_INIT                                                                       \
        ((struct vehicle_options){                                                                 \
                .soc = 0.85, .ambient_c = 15, .ambient_humidity_pct = 60, .grip = 0.9})

/* Where the energy went since the start, in J, all positive unless said otherwise. */
struct vehicle_books {
        double traction_j;      /* motor to tyres */
        double regen_j;         /* tyres to motor */
        double road_j;          /* air and rolling resistance */
        double friction_j;      /* brakes */
        double collision_j;     /* crumpled metal */
        double drive_loss_j;    /* motor and gears, both ways */
        double regen_battery_j; /* what of regen_j reached the battery's terminals */
        double auxiliary_j;     /* electronics, air conditioning, seats */
        double charger_j;       /* from charging stations */
        double terminal_j;      /* out of the battery, net */
        double battery_loss_j;
        double chemical_j; /* given up by the battery's charge, net */
        double distance_m;
};

struct vehicle {
        const struct vehicle_params *params;
        const struct cycle *cycle;
        uint64_t time_us;
        struct random random;
        double ambient_c;
        double ambient_humidity_pct;
        double grip;
        double speed_mps;
        double acceleration_mps2;
        double slip; /* of the driven wheels against the road */
        double motor_w;
        double accelerator;
        double pedal_bar;
        double line_bar;
        double battery_w;
        double tyre_c;
        float tyre_bar[SEAM_WHEELS]; /* cold; each differs a little */
        /* A bit for each seat, the driver's lowest. */
        uint8_t occupied;
        uint8_t belted;
        uint8_t armed;
        uint8_t deployed;
        struct driver driver;
        struct battery battery;
        struct brake brake;
        struct cabin cabin;
        struct vehicle_books books;
};

void vehicle_init(struct vehicle *v, const struct vehicle_options *options);

/* Moves the car on by `dt` seconds (above 0) under the app's commands. */
void vehicle_step(struct vehicle *v, const struct seam_actuators *actuators, double dt);

/* What the sensors read now, with their noise; the same until the next step. */
void vehicle_sense(const struct vehicle *v, struct seam_sensors *ret_sensors);

/* A person's command; vehicle/driver.h has the list, to which `crash` adds driving into a wall. */
int vehicle_command(struct vehicle *v, const char *line, struct err *err);

/* The car hits something that takes `delta_mps` of its speed at once. Armed airbags of taken seats
 * deploy from VEHICLE_DEPLOY_MPS on. */
#define VEHICLE_DEPLOY_MPS (16 / 3.6)
void vehicle_collide(struct vehicle *v, double delta_mps);

/* Time since the start. */
static inline double vehicle_time_s(const struct vehicle *v)
{
        return (double)v->time_us / 1e6;
}
