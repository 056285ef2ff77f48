/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The plant's bytes, pinned: this program is built at several optimisation levels and by each
 * compiler, and every one of them must come to the same digest. A change of the physics changes it
 * on purpose. */
#include "base/hash.h"
#include "base/limits.h"
#include "vehicle/vehicle.h"

#include <string.h>

#define GOLDEN "639a7c4b706a6d4667eefc56e68381c76db772db03d9e0081936d6e8c93de53e"

/* A small controller, so that every actuator moves. */
static void control(const struct seam_sensors *s, struct seam_actuators *a, double t_s)
{
        a->regen_torque_fraction = s->battery_soc_pct > 84 ? 0.3 : 0.8;
        for (int i = 0; i < SEAM_ZONES; i++)
                a->zone_hvac[i] = (21 - s->zone[i].temperature_c) / 4;
        for (int i = 0; i < SEAM_ZONES; i++)
                a->zone_hvac[i] = a->zone_hvac[i] > 1    ? 1
                                  : a->zone_hvac[i] < -1 ? -1
                                                         : a->zone_hvac[i];
        for (int i = 0; i < SEAM_HEATED_SEATS; i++)
                a->seat_heater_duty[i] = s->seat_heater_c[i] < 36 ? 0.75 : 0;
        a->traction_control = s->wheel[0].speed_mps > 1.1 * s->wheel[2].speed_mps + 0.5;
        a->airbag_armed[4] = s->seat[4].occupied && t_s > 2;
}

static void drive(struct vehicle *v, double seconds, struct hasher *hasher)
{
        struct seam_tick tick = {.dt = 0.1};
        struct seam_actuators a = seam_actuators_default();
        CLEAN_BUF struct buf line = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        for (int i = 0; i < (int)(seconds * 10); i++) {
                tick.t = vehicle_time_s(v);
                tick.report = i % 10 == 0;
                vehicle_sense(v, &tick.sensors);
                buf_clear(&line);
                assert_int_equal(seam_encode_tick(&tick, &line), 0);
                assert_int_equal(hasher_add(hasher, line.data, line.len), 0);
                control(&tick.sensors, &a, tick.t);
                vehicle_step(v, &a, tick.dt);
        }
}

static void the_bytes_of_two_drives_have_their_known_digest(void **state)
{
        struct cycle *cycle = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(cycle_open("nedc", &cycle, &err), 0);
        struct hasher *hasher = hasher_new();
        assert_non_null(hasher);

        struct vehicle_options options = VEHICLE_OPTIONS_INIT;
        options.cycle = cycle;
        options.seed = 7;
        struct vehicle v;
        vehicle_init(&v, &options);
        drive(&v, 1180, hasher);

        /* A person in summer on a wet road. */
        options = VEHICLE_OPTIONS_INIT;
        options.seed = 8;
        options.ambient_c = 33;
        options.soc = 0.97;
        options.grip = 0.4;
        vehicle_init(&v, &options);
        assert_int_equal(vehicle_command(&v, "start", &err), 0);
        assert_int_equal(vehicle_command(&v, "accelerate 100", &err), 0);
        drive(&v, 30, hasher);
        assert_int_equal(vehicle_command(&v, "brake 90", &err), 0);
        drive(&v, 10, hasher);

        struct hash_set digests;
        assert_int_equal(hasher_end(hasher, &digests), 0);
        hasher_free(hasher);
        cycle_free(cycle);
        assert_string_equal(digests.sha256, GOLDEN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_bytes_of_two_drives_have_their_known_digest),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
