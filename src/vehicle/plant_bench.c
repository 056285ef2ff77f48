/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* How fast the plant runs on this machine: prints one line of JSON. Not a test. */
#include "base/clock.h"
#include "base/limits.h"
#include "vehicle/vehicle.h"

#include <stdio.h>
#include <stdlib.h>

#define N_CARS 1000

static void report(const char *what, int64_t started_us, int n)
{
        double ns = (double)(clock_mono_us() - started_us) * 1000 / n;
        printf("\"%s_ns\":%.0f,", what, ns);
}

/* All cars take the step in turn, as in a fleet: their state doesn't sit in the nearest cache. */
static void bench_steps(struct vehicle *cars, int n_steps)
{
        struct seam_actuators a = seam_actuators_default();
        a.regen_torque_fraction = 0.8;
        int64_t started_us = clock_mono_us();
        for (int i = 0; i < n_steps; i++)
                for (int k = 0; k < N_CARS; k++)
                        vehicle_step(&cars[k], &a, 0.1);
        report("step", started_us, n_steps * N_CARS);
}

static void bench_lines(const struct vehicle *cars, int n)
{
        CLEAN_BUF struct buf line = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        struct seam_tick tick = {.dt = 0.1};
        int64_t started_us = clock_mono_us();
        for (int i = 0; i < n; i++)
                vehicle_sense(&cars[i % N_CARS], &tick.sensors);
        report("sense", started_us, n);
        started_us = clock_mono_us();
        for (int i = 0; i < n; i++) {
                buf_clear(&line);
                (void)seam_encode_tick(&tick, &line);
        }
        report("encode", started_us, n);
        printf("\"line_bytes\":%zu,", line.len);
}

int main(int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct cycle *opened = NULL;
        if (cycle_open(argc > 1 ? argv[1] : "nedc", &opened, &err) < 0) {
                fprintf(stderr, "plant_bench: %s\n", err.text);
                return 1;
        }
        CLEAN(cycle) struct cycle *cycle = opened;
        CLEAN_MEM struct vehicle *cars = calloc(N_CARS, sizeof(*cars));
        if (!cars)
                return 1;
        for (int i = 0; i < N_CARS; i++) {
                struct vehicle_options options = VEHICLE_OPTIONS_INIT;
                options.cycle = cycle;
                options.seed = (uint64_t)i;
                vehicle_init(&cars[i], &options);
        }
        printf("{");
        bench_steps(cars, 2000);
        bench_lines(cars, 200000);
        printf("\"vehicle_bytes\":%zu}\n", sizeof(struct vehicle));
        return 0;
}
