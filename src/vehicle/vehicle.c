/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "vehicle/vehicle.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define GRAVITY 9.81
#define WATT_SECOND_PER_WH 3600.0
/* The motor's field gives no useful braking torque at walking pace: full above 8 km/h, none at 3.
 */
#define REGEN_FULL_MPS (8 / 3.6)
#define REGEN_NONE_MPS (3 / 3.6)
/* What the anti-lock and traction controllers (fixed parts of the plant) hold of the road's grip.
 */
#define CONTROLLED_GRIP 0.95
#define SPINNING_GRIP 0.80
#define TYRE_WARM_K_MPS 0.9
#define TYRE_TIME_S 600.0
/* Numbers of the generator that one step may use up for its readings. */
#define NOISE_NUMBERS 64

const struct vehicle_params vehicle_params_default = {
        .name = "compact 40 kWh",
        .mass_kg = 1701,
        .rotating_part = 0.03,
        .road_f0_n = 111.9,
        .road_f1_n_mps = 3.621,
        .road_f2_n_mps2 = 0.4238,
        .front_load = 0.58,
        .motor_max_n = 8290,
        .motor_max_w = 110e3,
        .drive_efficiency = 0.90,
        .regen_efficiency = 0.88,
        .auxiliary_w = 250,
        .charger_w = 46e3,
        .tyre_bar = 2.5,
        .battery = {.n_series = 96,
                .capacity_ah = 107,
                .heat_capacity_j_k = 300e3,
                .cooling_w_k = 8,
                .charge_max_w = 75e3,
                .discharge_max_w = 125e3},
        .brake = {.front_share = 0.65,
                .newton_per_bar = 142,
                .front_disc_kg = 9.5,
                .rear_disc_kg = 6.5},
};

static uint8_t draw_people(struct random *r)
{
        uint8_t occupied = 1;
        static const double chance[SEAM_SEATS] = {1, 0.5, 0.25, 0.1, 0.25};
        for (int i = 1; i < SEAM_SEATS; i++)
                if (random_unit(r) < chance[i])
                        occupied |= (uint8_t)(1U << i);
        return occupied;
}

static bool seat_has(uint8_t seats, int seat)
{
        return (seats >> seat & 1) != 0;
}

static struct cabin_load cabin_load(const struct vehicle *v)
{
        int rear = seat_has(v->occupied, 2) + seat_has(v->occupied, 3) + seat_has(v->occupied, 4);
        return (struct cabin_load){.ambient_c = v->ambient_c,
                .ambient_humidity_pct = v->ambient_humidity_pct,
                .n_people = {1, seat_has(v->occupied, 1), rear},
                .is_sitting = {true, seat_has(v->occupied, 1), rear > 0}};
}

void vehicle_init(struct vehicle *v, const struct vehicle_options *options)
{
        memset(v, 0, sizeof(*v));
        v->params = options->params ? options->params : &vehicle_params_default;
        v->cycle = options->cycle;
        v->random.state = options->seed;
        v->ambient_c = v->tyre_c = options->ambient_c;
        v->ambient_humidity_pct = options->ambient_humidity_pct;
        v->grip = options->grip;
        v->occupied = draw_people(&v->random);
        /* One in thirty forgets the belt. */
        for (int i = 0; i < SEAM_SEATS; i++)
                if (seat_has(v->occupied, i) && random_unit(&v->random) < 29.0 / 30)
                        v->belted |= (uint8_t)(1U << i);
        for (int i = 0; i < SEAM_WHEELS; i++)
                v->tyre_bar[i] =
                        (float)(v->params->tyre_bar + random_between(&v->random, -0.1, 0.1));
        driver_init(&v->driver, v->cycle);
        v->battery = (struct battery){.soc = options->soc, .temperature_c = options->ambient_c};
        brake_init(&v->brake, options->ambient_c);
        struct cabin_load load = cabin_load(v);
        cabin_init(&v->cabin, &load);
}

/* Forces at the tyres in N, all positive; drive pushes, the others hold. */
struct forces {
        double drive;
        double regen;
        double friction;
        double road;
};

static double inertia_kg(const struct vehicle_params *p)
{
        return p->mass_kg * (1 + p->rotating_part);
}

static double road_load_n(const struct vehicle_params *p, double speed)
{
        return p->road_f0_n + speed * (p->road_f1_n_mps + speed * p->road_f2_n_mps2);
}

/* A power as a force; from a standstill on the torque limits, not the power. */
static double force_of_n(const struct vehicle_params *p, double power_w, double speed)
{
        double most_w = fmin(fmax(power_w, 0), p->motor_max_w);
        return speed * p->motor_max_n <= most_w ? p->motor_max_n : most_w / speed;
}

static double drive_max_n(const struct vehicle *v)
{
        const struct vehicle_params *p = v->params;
        double limit_w = battery_discharge_limit_w(&v->battery, &p->battery) - p->auxiliary_w;
        /* Below this the contactors open. */
        if (limit_w <= 0)
                return 0;
        return force_of_n(p, limit_w * p->drive_efficiency, v->speed_mps);
}

/* What the motor takes of the braking force that the app offers it. */
static double regen_n(const struct vehicle *v, double offered_n)
{
        const struct vehicle_params *p = v->params;
        double limit_w = battery_charge_limit_w(&v->battery, &p->battery);
        double most_n = force_of_n(p, limit_w / p->regen_efficiency, v->speed_mps);
        double fade = (v->speed_mps - REGEN_NONE_MPS) / (REGEN_FULL_MPS - REGEN_NONE_MPS);
        return fmin(fmax(fade, 0), 1) * fmin(offered_n, most_n);
}

/* Driving force that the front tyres can pass on, and how they slip meanwhile. */
static double grip_drive_n(struct vehicle *v, double wanted_n, bool traction_control, double dt)
{
        const struct vehicle_params *p = v->params;
        double limit_n = v->grip * p->front_load * p->mass_kg * GRAVITY;
        bool spins = wanted_n > CONTROLLED_GRIP * limit_n;
        double slip_wanted = spins ? (traction_control ? 0.05 : 0.8) : 0.03 * wanted_n / limit_n;
        v->slip += (slip_wanted - v->slip) * fmin(dt / 0.3, 1);
        if (!spins)
                return wanted_n;
        return (traction_control ? CONTROLLED_GRIP : SPINNING_GRIP) * limit_n;
}

/* Cuts the holding forces down to what brings the car to rest exactly at the end of the step. */
static void hold_at_rest(struct forces *f, double inertia, double speed, double dt)
{
        double holding = f->regen + f->friction + f->road;
        double needed = f->drive + inertia * speed / dt;
        if (holding <= needed)
                return;
        double part = needed / holding;
        f->regen *= part;
        f->friction *= part;
        f->road *= part;
}

static struct forces find_forces(struct vehicle *v, const struct seam_actuators *a, double dt)
{
        const struct vehicle_params *p = v->params;
        struct driver_view view = {.speed_mps = v->speed_mps,
                .soc = v->battery.soc,
                .inertia_kg = inertia_kg(p),
                .road_n = road_load_n(p, v->speed_mps),
                .drive_max_n = drive_max_n(v),
                .newton_per_bar = p->brake.newton_per_bar};
        struct driver_demand demand = driver_step(&v->driver, v->cycle, &view, dt);
        double braking = fmin(demand.pedal_bar * p->brake.newton_per_bar,
                CONTROLLED_GRIP * v->grip * p->mass_kg * GRAVITY);
        struct forces f = {.road = view.road_n};
        f.drive = grip_drive_n(v, demand.accelerator * view.drive_max_n, a->traction_control, dt);
        f.regen = regen_n(v, a->regen_torque_fraction * braking);
        f.friction = braking - f.regen;

        v->accelerator = demand.accelerator;
        v->pedal_bar = demand.pedal_bar;
        v->line_bar = f.friction / p->brake.newton_per_bar;
        hold_at_rest(&f, view.inertia_kg, v->speed_mps, dt);
        return f;
}

/* Moves the car and books the work: forces times the distance of the step, so that the books close.
 */
static void move(struct vehicle *v, const struct forces *f, double dt)
{
        double before = v->speed_mps;
        double net = f->drive - f->regen - f->friction - f->road;
        v->acceleration_mps2 = net / inertia_kg(v->params);
        v->speed_mps = before + v->acceleration_mps2 * dt;
        /* What rounding leaves of a stop. */
        if (v->speed_mps < 1e-9)
                v->speed_mps = 0;
        double distance = (before + v->speed_mps) / 2 * dt;
        v->books.traction_j += f->drive * distance;
        v->books.regen_j += f->regen * distance;
        v->books.road_j += f->road * distance;
        v->books.friction_j += f->friction * distance;
        v->books.distance_m += distance;
}

static double charger_w(const struct vehicle *v)
{
        if (v->driver.mode != DRIVER_MODE_CHARGING)
                return 0;
        return fmin(v->params->charger_w, battery_charge_limit_w(&v->battery, &v->params->battery));
}

static void power(struct vehicle *v, double traction_w, double regen_w, double cabin_w, double dt)
{
        const struct vehicle_params *p = v->params;
        double drawn_w = traction_w / p->drive_efficiency;
        double returned_w = regen_w * p->regen_efficiency;
        double auxiliary_w = p->auxiliary_w + cabin_w;
        double charging_w = charger_w(v);
        v->motor_w = drawn_w - returned_w;
        struct battery_work work = battery_step(
                &v->battery, &p->battery, v->motor_w + auxiliary_w - charging_w, v->ambient_c, dt);
        v->battery_w = work.terminal_w;

        struct vehicle_books *books = &v->books;
        books->drive_loss_j += (drawn_w - traction_w + regen_w - returned_w) * dt;
        books->regen_battery_j += returned_w * dt;
        books->auxiliary_j += auxiliary_w * dt;
        books->charger_j += charging_w * dt;
        books->terminal_j += work.terminal_w * dt;
        books->battery_loss_j += work.loss_w * dt;
        books->chemical_j += work.chemical_w * dt;
}

static void step(struct vehicle *v, const struct seam_actuators *a, double dt)
{
        double before = v->speed_mps;
        struct forces f = find_forces(v, a, dt);
        move(v, &f, dt);
        double mean = (before + v->speed_mps) / 2;
        struct cabin_load load = cabin_load(v);
        double cabin_w = cabin_step(&v->cabin, a, &load, dt);
        power(v, f.drive * mean, f.regen * mean, cabin_w, dt);
        brake_step(&v->brake, &v->params->brake, f.friction * mean, mean, v->ambient_c, dt);
        double tyre_goal_c = v->ambient_c + TYRE_WARM_K_MPS * mean;
        v->tyre_c += (tyre_goal_c - v->tyre_c) * dt / TYRE_TIME_S;
}

void vehicle_step(struct vehicle *v, const struct seam_actuators *actuators, double dt)
{
        v->armed = 0;
        for (int i = 0; i < SEAM_SEATS; i++)
                v->armed |= (uint8_t)(actuators->airbag_armed[i] ? 1U << i : 0);
        int n = (int)ceil(dt / VEHICLE_STEP_MAX_S - 1e-9);
        for (int i = 0; i < n; i++)
                step(v, actuators, dt / n);
        v->time_us += (uint64_t)(dt * 1e6 + 0.5);
        random_skip(&v->random, NOISE_NUMBERS);
}

void vehicle_collide(struct vehicle *v, double delta_mps)
{
        double before = v->speed_mps;
        v->speed_mps = fmax(before - delta_mps, 0);
        v->books.collision_j +=
                inertia_kg(v->params) / 2 * (before * before - v->speed_mps * v->speed_mps);
        if (before - v->speed_mps >= VEHICLE_DEPLOY_MPS)
                v->deployed |= v->armed & v->occupied;
        if (!v->cycle)
                v->driver = (struct driver){.mode = DRIVER_MODE_OFF};
}

int vehicle_command(struct vehicle *v, const char *line, struct err *err)
{
        if (strncmp(line, "crash", 5) == 0 && !line[5 + strspn(line + 5, " \t\r\n")] && !v->cycle) {
                vehicle_collide(v, v->speed_mps);
                return 0;
        }
        return driver_command(&v->driver, line, err);
}

static double noisy(struct random *r, double value, double deviation)
{
        return value + random_noise(r, deviation);
}

/* A reading that is exactly 0 at rest and never below. */
static double noisy_above_zero(struct random *r, double value, double deviation)
{
        double reading = noisy(r, value, deviation);
        return value > 0 && reading > 0 ? reading : 0;
}

/* The cold pressure follows the tyre's absolute temperature; the air can't get out. */
static double tyre_bar(const struct vehicle *v, int wheel)
{
        const double air_bar = 1.013, cold_k = 293.15;
        return ((double)v->tyre_bar[wheel] + air_bar) * (v->tyre_c + 273.15) / cold_k - air_bar;
}

static void sense_wheels(const struct vehicle *v, struct random *r, struct seam_sensors *s)
{
        for (int i = 0; i < SEAM_WHEELS; i++) {
                struct seam_wheel *wheel = &s->wheel[i];
                double slip = i < 2 ? v->slip : 0;
                wheel->speed_mps = noisy_above_zero(r, v->speed_mps * (1 + slip), 0.01);
                wheel->brake_bar = noisy_above_zero(r, v->line_bar, 0.05);
                wheel->fluid_c = noisy(r, v->brake.fluid_c[i], 0.05);
                wheel->disc_c = noisy(r, v->brake.disc_c[i], 0.1);
                wheel->tyre_bar = noisy(r, tyre_bar(v, i), 0.002);
        }
}

static void sense_cabin(const struct vehicle *v, struct random *r, struct seam_sensors *s)
{
        for (int i = 0; i < SEAM_ZONES; i++) {
                s->zone[i].temperature_c = noisy(r, v->cabin.temperature_c[i], 0.02);
                s->zone[i].humidity_pct = noisy(r, cabin_humidity_pct(&v->cabin, i), 0.2);
        }
        for (int i = 0; i < SEAM_HEATED_SEATS; i++)
                s->seat_heater_c[i] = noisy(r, v->cabin.cushion_c[i], 0.03);
        for (int i = 0; i < SEAM_SEATS; i++) {
                s->seat[i].occupied = seat_has(v->occupied, i);
                s->seat[i].belted = seat_has(v->belted, i);
                s->seat[i].airbag_deployed = seat_has(v->deployed, i);
                s->seat[i].airbag_ok = !s->seat[i].airbag_deployed;
        }
}

void vehicle_sense(const struct vehicle *v, struct seam_sensors *ret_sensors)
{
        struct random r = v->random;
        struct seam_sensors *s = ret_sensors;
        s->speed_mps = noisy_above_zero(&r, v->speed_mps, 0.005);
        s->acceleration_mps2 = noisy(&r, v->acceleration_mps2, 0.02);
        s->motor_power_w = v->motor_w;
        s->accelerator = v->accelerator;
        s->brake_pedal_bar = noisy_above_zero(&r, v->pedal_bar, 0.05);
        s->brake_line_bar = noisy_above_zero(&r, v->line_bar, 0.05);
        s->battery_soc_pct = v->battery.soc * 100;
        s->battery_temperature_c = noisy(&r, v->battery.temperature_c, 0.02);
        s->battery_power_w = v->battery_w;
        s->braking_energy_wh = v->books.regen_battery_j / WATT_SECOND_PER_WH;
        s->ambient_temperature_c = noisy(&r, v->ambient_c, 0.05);
        s->ambient_humidity_pct = noisy(&r, v->ambient_humidity_pct, 0.2);
        sense_wheels(v, &r, s);
        sense_cabin(v, &r, s);
}
