/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/limits.h"
#include "vehicle/vehicle.h"

#include <math.h>
#include <string.h>

static struct cycle *given_cycle(const char *name)
{
        struct cycle *cycle = NULL;
        struct err err = ERR_INIT;
        if (cycle_open(name, &cycle, &err) < 0)
                fail_msg("%s", err.text);
        return cycle;
}

static struct vehicle given_car(const struct cycle *cycle, double soc, double ambient_c)
{
        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        options.cycle = cycle;
        options.seed = 1;
        options.soc = soc;
        options.ambient_c = ambient_c;
        struct vehicle v;
        vehicle_init(&v, &options);
        return v;
}

static struct seam_actuators given_blend(double regen)
{
        struct seam_actuators a = seam_actuators_default();
        a.regen_torque_fraction = regen;
        return a;
}

static void run(struct vehicle *v, const struct seam_actuators *a, double seconds)
{
        for (int i = 0; i < (int)(seconds * 10 + 0.5); i++)
                vehicle_step(v, a, 0.1);
}

static double kwh_per_100_km(const struct vehicle *v)
{
        return v->books.terminal_j / 3.6e6 / (v->books.distance_m / 1e5);
}

static void the_books_close(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("nedc");
        struct vehicle v = given_car(cycle, 0.85, 15);
        struct seam_actuators a = given_blend(0.6);
        a.zone_hvac[0] = 0.5;
        a.seat_heater_duty[1] = 1;
        run(&v, &a, 1100); /* it drives 120 km/h then */
        assert_true(v.speed_mps > 20);
        const struct vehicle_books *b = &v.books;
        double kinetic_j = v.params->mass_kg * 1.03 * v.speed_mps * v.speed_mps / 2;
        double motion_j = b->traction_j - b->regen_j - b->road_j - b->friction_j - kinetic_j;
        assert_true(fabs(motion_j) < 1e-9 * b->traction_j);
        double electric_j = b->traction_j + b->drive_loss_j - b->regen_j + b->auxiliary_j;
        assert_true(fabs(b->terminal_j - electric_j) < 1e-9 * b->terminal_j);
        assert_true(fabs(b->chemical_j - b->terminal_j - b->battery_loss_j) < 1e-9 * b->chemical_j);
        assert_true(b->auxiliary_j > (250 + 400 + 40) * 1100 - 1);
}

static void more_regeneration_returns_more_and_keeps_the_discs_cooler(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("ece15");
        struct vehicle before = given_car(cycle, 0.85, 15), after = before;
        struct seam_actuators a = given_blend(0.3), b = given_blend(0.8);
        run(&before, &a, 195);
        run(&after, &b, 195);
        assert_true(after.books.regen_battery_j > 2 * before.books.regen_battery_j);
        assert_true(after.battery.soc > before.battery.soc);
        for (int i = 0; i < SEAM_WHEELS; i++) {
                assert_true(after.brake.disc_c[i] < before.brake.disc_c[i] - 2);
                assert_true(after.brake.fluid_c[i] < before.brake.fluid_c[i]);
        }
        /* The same drive either way. */
        assert_true(fabs(after.books.distance_m - before.books.distance_m) < 0.01);
}

static void consumption_is_that_of_a_real_compact_car(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("nedc");
        struct vehicle v = given_car(cycle, 0.85, 15);
        struct seam_actuators a = given_blend(0.8);
        run(&v, &a, 1180);
        assert_float_equal(v.books.distance_m, cycle_distance_m(cycle), 11);
        double used = kwh_per_100_km(&v);
        assert_true(used > 10 && used < 25);
}

/* The car of the default parameters on the chassis dynamometer, AC at a charger of 88 %. */
static void consumption_is_near_the_measured_one(void **state)
{
        static const struct {
                const char *file;
                double kwh_per_100_miles;
        } cases[] = {{"data/cycles/udds.csv", 18.926}, {"data/cycles/hwfet.csv", 23.64}};
        const char *shared = getenv("DRIVELINE_SHARED");
        if (!shared)
                shared = DRIVELINE_SOURCE "/../shared";
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                CLEAN_MEM char *path = fs_join(shared, cases[i].file);
                if (!fs_exists(path)) {
                        print_message("skipped: no published cycles at '%s'\n", path);
                        free(TAKE(path)); /* skip() leaves the scope by a jump */
                        skip();
                }
                CLEAN(cycle) struct cycle *cycle = given_cycle(path);
                struct vehicle v = given_car(cycle, 0.85, 24);
                struct seam_actuators a = given_blend(0.9);
                run(&v, &a, cycle_duration_s(cycle));
                double ac = kwh_per_100_km(&v) * 1.609344 / 0.88;
                print_message("%s: %.2f kWh/100 mi, measured %.2f\n", cases[i].file, ac,
                        cases[i].kwh_per_100_miles);
                assert_true(fabs(ac / cases[i].kwh_per_100_miles - 1) < 0.08);
        }
}

static void the_cycle_begins_again_at_its_end(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("ece15");
        struct vehicle v = given_car(cycle, 0.85, 15);
        struct seam_actuators a = given_blend(0.3);
        run(&v, &a, 195);
        double once = v.books.distance_m;
        run(&v, &a, 2 * 195);
        assert_float_equal(v.books.distance_m, 3 * once, 0.5);
}

static void a_full_or_frozen_battery_takes_no_braking_energy(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("ece15");
        struct vehicle warm = given_car(cycle, 0.5, 20);
        struct vehicle full = given_car(cycle, 1.0, 20);
        struct vehicle frozen = given_car(cycle, 0.5, -20);
        struct seam_actuators a = given_blend(1.0);
        run(&warm, &a, 195);
        run(&full, &a, 195);
        run(&frozen, &a, 195);
        assert_true(full.books.regen_battery_j < 0.2 * warm.books.regen_battery_j);
        assert_true(frozen.books.regen_battery_j == 0);
        assert_true(full.brake.disc_c[0] - 20 > 5 * (warm.brake.disc_c[0] - 20));
}

static void regeneration_fades_at_walking_pace(void **state)
{
        struct vehicle v = given_car(NULL, 0.5, 20);
        struct seam_actuators a = given_blend(1.0);
        struct err err = ERR_INIT;
        assert_int_equal(vehicle_command(&v, "start", &err), 0);
        assert_int_equal(vehicle_command(&v, "brake 10", &err), 0);
        v.speed_mps = 10 / 3.6;
        vehicle_step(&v, &a, 0.01);
        assert_true(v.line_bar < 0.01);
        v.speed_mps = 5.5 / 3.6;
        vehicle_step(&v, &a, 0.01);
        assert_float_equal(v.line_bar, v.pedal_bar / 2, 0.2);
        v.speed_mps = 2.9 / 3.6;
        vehicle_step(&v, &a, 0.01);
        assert_float_equal(v.line_bar, v.pedal_bar, 1e-9);
}

static void one_hard_stop_warms_a_front_disc_by_40_kelvin(void **state)
{
        struct vehicle v = given_car(NULL, 0.5, 20);
        struct seam_actuators a = given_blend(0);
        struct err err = ERR_INIT;
        assert_int_equal(vehicle_command(&v, "start", &err), 0);
        assert_int_equal(vehicle_command(&v, "brake 60", &err), 0);
        v.speed_mps = 100 / 3.6;
        run(&v, &a, 6);
        assert_true(v.speed_mps == 0);
        assert_true(v.brake.disc_c[0] > 55 && v.brake.disc_c[0] < 65);
        assert_true(v.brake.disc_c[2] > 40 && v.brake.disc_c[2] < v.brake.disc_c[0]);
}

/* A mountain road: 120 to 60 km/h again and again. */
static double front_disc_after_snubs(double regen)
{
        struct brake b;
        const struct brake_params *p = &vehicle_params_default.brake;
        brake_init(&b, 20);
        double energy_j = 1928 * 1.03 / 2 * (33.3 * 33.3 - 16.7 * 16.7);
        double hottest = 0;
        for (int snub = 0; snub < 15; snub++)
                for (int i = 0; i < 450; i++) {
                        double friction_w = i < 40 ? (1 - regen) * energy_j / 4 : 0;
                        brake_step(&b, p, friction_w, i < 40 ? 25 : 29, 20, 0.1);
                        hottest = fmax(hottest, b.disc_c[0]);
                }
        return hottest;
}

static void repeated_snubs_reach_known_disc_temperatures(void **state)
{
        double friction_only = front_disc_after_snubs(0), blended = front_disc_after_snubs(0.7);
        print_message("15 snubs: %.0f °C by friction, %.0f °C with 70 %% regeneration\n",
                friction_only, blended);
        assert_true(friction_only > 330 && friction_only < 450);
        assert_true(blended > 110 && blended < 180);
}

static void traction_control_keeps_the_wheels_from_spinning_on_ice(void **state)
{
        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        options.grip = 0.15;
        struct vehicle without, with;
        vehicle_init(&without, &options);
        struct err err = ERR_INIT;
        assert_int_equal(vehicle_command(&without, "start", &err), 0);
        assert_int_equal(vehicle_command(&without, "accelerate 100", &err), 0);
        with = without;
        struct seam_actuators a = seam_actuators_default(), b = a;
        b.traction_control = true;
        run(&without, &a, 5);
        run(&with, &b, 5);
        assert_true(with.speed_mps > 1.1 * without.speed_mps);
        struct seam_sensors s;
        vehicle_sense(&without, &s);
        assert_true(s.wheel[0].speed_mps > 1.5 * s.wheel[2].speed_mps);
        vehicle_sense(&with, &s);
        assert_true(s.wheel[0].speed_mps < 1.1 * s.wheel[2].speed_mps);
}

static void air_conditioning_and_seat_heaters_move_what_they_heat(void **state)
{
        struct vehicle v = given_car(NULL, 0.8, 5);
        struct seam_actuators a = seam_actuators_default();
        a.zone_hvac[0] = 1;
        a.seat_heater_duty[2] = 1;
        struct seam_sensors before, after;
        vehicle_sense(&v, &before);
        run(&v, &a, 600);
        vehicle_sense(&v, &after);
        assert_true(after.zone[0].temperature_c > before.zone[0].temperature_c + 15);
        assert_true(after.zone[0].temperature_c > after.zone[2].temperature_c + 5);
        assert_true(after.zone[0].humidity_pct < before.zone[0].humidity_pct);
        assert_true(after.seat_heater_c[2] > before.seat_heater_c[2] + 10);
        assert_true(after.battery_power_w > 1000);
}

static void cooling_takes_water_out_of_damp_air(void **state)
{
        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        options.ambient_c = 32;
        options.ambient_humidity_pct = 70;
        struct vehicle v;
        vehicle_init(&v, &options);
        struct seam_actuators a = seam_actuators_default();
        a.zone_hvac[0] = a.zone_hvac[1] = a.zone_hvac[2] = -0.5;
        double water_before = v.cabin.water_kg_kg[1];
        run(&v, &a, 600);
        assert_true(v.cabin.water_kg_kg[1] < 0.75 * water_before);
        assert_true(v.cabin.temperature_c[1] < 25);
}

static void readings_repeat_until_the_next_step_and_by_seed(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("ece15");
        struct vehicle v = given_car(cycle, 0.85, 15), twin = v;
        struct seam_actuators a = given_blend(0.3);
        struct seam_sensors first = {0}, second = {0};
        run(&v, &a, 60);
        run(&twin, &a, 60);
        vehicle_sense(&v, &first);
        vehicle_sense(&v, &second);
        assert_memory_equal(&first, &second, sizeof(first));
        vehicle_sense(&twin, &second);
        assert_memory_equal(&first, &second, sizeof(first));
        twin.random.state++;
        vehicle_sense(&twin, &second);
        assert_memory_not_equal(&first, &second, sizeof(first));
}

static void a_long_step_is_many_short_ones(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("ece15");
        struct vehicle v = given_car(cycle, 0.85, 15), coarse = v;
        struct seam_actuators a = given_blend(0.5);
        run(&v, &a, 60);
        for (int i = 0; i < 60; i++)
                vehicle_step(&coarse, &a, 1);
        assert_float_equal(coarse.books.distance_m, v.books.distance_m, 1e-6);
        assert_float_equal(coarse.battery.soc, v.battery.soc, 1e-9);
        assert_int_equal(coarse.time_us, v.time_us);
}

static void the_state_of_a_car_is_small(void **state)
{
        assert_true(sizeof(struct vehicle) <= 640);
}

static void a_day_of_driving_stays_finite(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("nedc");
        struct vehicle v = given_car(cycle, 0.85, 15);
        struct seam_actuators a = given_blend(0.3);
        a.zone_hvac[0] = a.zone_hvac[1] = a.zone_hvac[2] = 1;
        a.seat_heater_duty[0] = 1;
        run(&v, &a, 24 * 3600);
        struct seam_tick tick = {.t = vehicle_time_s(&v), .dt = 0.1};
        vehicle_sense(&v, &tick.sensors);
        CLEAN_BUF struct buf line = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        assert_int_equal(seam_encode_tick(&tick, &line), 0);
        assert_true(v.battery.soc > 0.05 && v.battery.soc <= 1);
        assert_true(v.books.charger_j > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_books_close),
                cmocka_unit_test(more_regeneration_returns_more_and_keeps_the_discs_cooler),
                cmocka_unit_test(consumption_is_that_of_a_real_compact_car),
                cmocka_unit_test(consumption_is_near_the_measured_one),
                cmocka_unit_test(the_cycle_begins_again_at_its_end),
                cmocka_unit_test(a_full_or_frozen_battery_takes_no_braking_energy),
                cmocka_unit_test(regeneration_fades_at_walking_pace),
                cmocka_unit_test(one_hard_stop_warms_a_front_disc_by_40_kelvin),
                cmocka_unit_test(repeated_snubs_reach_known_disc_temperatures),
                cmocka_unit_test(traction_control_keeps_the_wheels_from_spinning_on_ice),
                cmocka_unit_test(air_conditioning_and_seat_heaters_move_what_they_heat),
                cmocka_unit_test(cooling_takes_water_out_of_damp_air),
                cmocka_unit_test(readings_repeat_until_the_next_step_and_by_seed),
                cmocka_unit_test(a_long_step_is_many_short_ones),
                cmocka_unit_test(the_state_of_a_car_is_small),
                cmocka_unit_test(a_day_of_driving_stays_finite),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
