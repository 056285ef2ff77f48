/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "vehicle/vehicle.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* A car that a person drives. */
static struct vehicle given_car(void)
{
        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        struct vehicle v;
        vehicle_init(&v, &options);
        return v;
}

static void run(struct vehicle *v, double seconds)
{
        struct seam_actuators a = seam_actuators_default();
        a.regen_torque_fraction = 0.5;
        for (int i = 0; i < (int)(seconds * 10 + 0.5); i++)
                vehicle_step(v, &a, 0.1);
}

static void say(struct vehicle *v, const char *line)
{
        struct err err = ERR_INIT;
        if (vehicle_command(v, line, &err) < 0)
                fail_msg("%s", err.text);
}

static void a_person_starts_accelerates_coasts_brakes_and_stops(void **state)
{
        struct vehicle v = given_car();
        run(&v, 2);
        assert_true(v.speed_mps == 0);
        say(&v, "start\n");
        run(&v, 1);
        assert_true(v.speed_mps == 0);
        say(&v, "  accelerate 50 \n");
        run(&v, 5);
        double fast = v.speed_mps;
        assert_true(fast > 8 && fast < 20);
        say(&v, "coast");
        run(&v, 5);
        double coasted = v.speed_mps;
        assert_true(coasted < fast && coasted > 0.9 * fast);
        say(&v, "brake 20");
        run(&v, 1);
        assert_true(v.speed_mps < coasted - 1);
        assert_true(v.line_bar > 0 && v.books.regen_battery_j > 0);
        say(&v, "stop");
        run(&v, 20);
        assert_true(v.speed_mps == 0);
        assert_int_equal(v.driver.mode, DRIVER_MODE_OFF);
}

static void full_throttle_reaches_100_kmh_in_seconds(void **state)
{
        struct vehicle v = given_car();
        say(&v, "start");
        say(&v, "accelerate 100");
        run(&v, 9);
        assert_true(v.speed_mps > 100 / 3.6);
        run(&v, 300);
        /* Where 110 kW meet the air. */
        assert_true(v.speed_mps < 75);
}

static void full_braking_stops_within_the_legal_70_m(void **state)
{
        struct vehicle v = given_car();
        say(&v, "start");
        v.speed_mps = 100 / 3.6;
        double from_m = v.books.distance_m;
        say(&v, "brake 100");
        run(&v, 10);
        assert_true(v.speed_mps == 0);
        assert_in_range((int)(v.books.distance_m - from_m), 35, 70);
}

static void bad_commands_say_what_would_be_right(void **state)
{
        static const struct {
                const char *line;
                const char *message;
        } cases[] = {
                {"fly", "unknown command 'fly': say start, accelerate, brake, coast or stop"},
                {"", "unknown command '': say start, accelerate, brake, coast or stop"},
                {"accelerate -1", "'accelerate' takes a number from 0 to 100"},
                {"accelerate 101", "'accelerate' takes a number from 0 to 100"},
                {"accelerate nan", "'accelerate' takes a number from 0 to 100"},
                {"brake hard", "'brake' takes a number from 0 to 100"},
                {"brake 10 20", "'brake' takes a number from 0 to 100"},
                {"stop now", "'stop' takes nothing after it"},
        };
        struct vehicle v = given_car();
        struct err err = ERR_INIT;
        assert_int_equal(vehicle_command(&v, "accelerate", &err), -EINVAL);
        assert_string_equal(err.text, "the car is off: say start first");
        say(&v, "start");
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                err = ERR_INIT;
                assert_int_equal(vehicle_command(&v, cases[i].line, &err), -EINVAL);
                assert_string_equal(err.text, cases[i].message);
        }
        assert_int_equal(v.driver.mode, DRIVER_MODE_COAST);
}

static void a_car_on_a_cycle_takes_no_commands(void **state)
{
        struct err err = ERR_INIT;
        struct cycle *opened = NULL;
        assert_int_equal(cycle_open("ece15", &opened, &err), 0);
        CLEAN(cycle) struct cycle *cycle = opened;
        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        options.cycle = cycle;
        struct vehicle v;
        vehicle_init(&v, &options);
        assert_int_equal(vehicle_command(&v, "start", &err), -EINVAL);
        assert_int_equal(vehicle_command(&v, "crash", &err), -EINVAL);
}

static void a_crash_deploys_the_armed_airbags_of_taken_seats(void **state)
{
        struct vehicle v = given_car();
        v.occupied = 0x05;
        say(&v, "start");
        say(&v, "accelerate 60");
        run(&v, 6);
        struct seam_actuators a = seam_actuators_default();
        a.airbag_armed[2] = false;
        vehicle_step(&v, &a, 0.1);
        say(&v, "crash\n");
        assert_true(v.speed_mps == 0);
        struct seam_sensors s;
        vehicle_sense(&v, &s);
        assert_true(s.seat[0].airbag_deployed && !s.seat[0].airbag_ok);
        assert_false(s.seat[1].airbag_deployed);
        assert_false(s.seat[2].airbag_deployed);
        run(&v, 1);
        assert_true(v.speed_mps == 0);
}

static void a_parking_bump_deploys_nothing(void **state)
{
        struct vehicle v = given_car();
        run(&v, 0.1);
        v.speed_mps = 10 / 3.6;
        vehicle_collide(&v, 10 / 3.6);
        assert_int_equal(v.deployed, 0);
}

static void an_almost_empty_battery_is_charged_at_the_next_stop(void **state)
{
        struct err err = ERR_INIT;
        struct cycle *opened = NULL;
        assert_int_equal(cycle_open("ece15", &opened, &err), 0);
        CLEAN(cycle) struct cycle *cycle = opened;
        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        options.cycle = cycle;
        options.soc = 0.1501;
        struct vehicle v;
        vehicle_init(&v, &options);
        run(&v, 195);
        assert_int_equal(v.driver.mode, DRIVER_MODE_CHARGING);
        assert_true(v.speed_mps == 0);
        run(&v, 3600);
        assert_int_equal(v.driver.mode, DRIVER_MODE_CYCLE);
        assert_true(v.books.charger_j > 20 * 3.6e6);
        assert_true(v.battery.soc > 0.7 && v.battery.soc < 0.81);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_person_starts_accelerates_coasts_brakes_and_stops),
                cmocka_unit_test(full_throttle_reaches_100_kmh_in_seconds),
                cmocka_unit_test(full_braking_stops_within_the_legal_70_m),
                cmocka_unit_test(bad_commands_say_what_would_be_right),
                cmocka_unit_test(a_car_on_a_cycle_takes_no_commands),
                cmocka_unit_test(a_crash_deploys_the_armed_airbags_of_taken_seats),
                cmocka_unit_test(a_parking_bump_deploys_nothing),
                cmocka_unit_test(an_almost_empty_battery_is_charged_at_the_next_stop),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
