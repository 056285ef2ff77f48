/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "vehicle/driver.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHARGE_BELOW 0.15
#define CHARGE_UNTIL 0.80
#define HOLD_BAR 12.0 /* keeps the car from rolling while it stands */
#define STOP_MPS2 2.0 /* how hard 'stop' brakes: a third of an emergency stop */
#define DEFAULT_LEVEL 0.30

const char *driver_mode_to_string(enum driver_mode mode)
{
        static const char *const names[] = {
                "cycle", "charging", "off", "accelerate", "brake", "coast", "stop"};
        _Static_assert(N_ELEMENTS(names) == DRIVER_MODE_N, "a name for each mode");
        return names[mode];
}

void driver_init(struct driver *d, const struct cycle *cycle)
{
        *d = (struct driver){.mode = cycle ? DRIVER_MODE_CYCLE : DRIVER_MODE_OFF};
}

static double within(double x, double low, double high)
{
        return x < low ? low : x > high ? high : x;
}

/* The pedals that give the car that acceleration. */
static struct driver_demand pedals_for(double acceleration, const struct driver_view *view)
{
        double force_n = view->inertia_kg * acceleration + view->road_n;
        struct driver_demand demand = {0};
        if (force_n > 0 && view->drive_max_n > 0)
                demand.accelerator = within(force_n / view->drive_max_n, 0, 1);
        else if (force_n < 0)
                demand.pedal_bar = within(-force_n / view->newton_per_bar, 0, DRIVER_PEDAL_MAX_BAR);
        return demand;
}

static struct driver_demand follow(
        struct driver *d, const struct cycle *cycle, const struct driver_view *view, double dt)
{
        double duration_s = cycle_duration_s(cycle);
        double at_s = d->cycle_s + dt;
        if (at_s >= duration_s)
                at_s = fmod(at_s, duration_s);
        double target = cycle_speed_at(cycle, at_s, &d->cursor);
        bool stands = target == 0 && view->speed_mps == 0;
        if (stands && view->soc < CHARGE_BELOW) {
                d->mode = DRIVER_MODE_CHARGING;
                return (struct driver_demand){.pedal_bar = HOLD_BAR};
        }
        d->cycle_s = at_s;
        if (stands)
                return (struct driver_demand){.pedal_bar = HOLD_BAR};
        return pedals_for((target - view->speed_mps) / dt, view);
}

static struct driver_demand stop(struct driver *d, const struct driver_view *view)
{
        if (view->speed_mps > 0)
                return pedals_for(-STOP_MPS2, view);
        d->mode = DRIVER_MODE_OFF;
        return (struct driver_demand){.pedal_bar = HOLD_BAR};
}

struct driver_demand driver_step(
        struct driver *d, const struct cycle *cycle, const struct driver_view *view, double dt)
{
        switch (d->mode) {
        case DRIVER_MODE_CYCLE:
                return follow(d, cycle, view, dt);
        case DRIVER_MODE_CHARGING:
                if (view->soc >= CHARGE_UNTIL)
                        d->mode = DRIVER_MODE_CYCLE;
                return (struct driver_demand){.pedal_bar = HOLD_BAR};
        case DRIVER_MODE_ACCELERATE:
                return (struct driver_demand){.accelerator = d->level};
        case DRIVER_MODE_BRAKE:
                return (struct driver_demand){.pedal_bar = d->level * DRIVER_PEDAL_MAX_BAR};
        case DRIVER_MODE_STOP:
                return stop(d, view);
        case DRIVER_MODE_OFF:
                return (struct driver_demand){.pedal_bar = HOLD_BAR};
        case DRIVER_MODE_COAST:
        case DRIVER_MODE_N:
                break;
        }
        return (struct driver_demand){0};
}

static const struct command {
        const char *word;
        enum driver_mode mode;
        bool takes_level;
} commands[] = {
        {"start", DRIVER_MODE_COAST, false},
        {"accelerate", DRIVER_MODE_ACCELERATE, true},
        {"brake", DRIVER_MODE_BRAKE, true},
        {"coast", DRIVER_MODE_COAST, false},
        {"stop", DRIVER_MODE_STOP, false},
};

static const struct command *find_command(const char *word, size_t len)
{
        for (size_t i = 0; i < N_ELEMENTS(commands); i++)
                if (strlen(commands[i].word) == len && memcmp(commands[i].word, word, len) == 0)
                        return &commands[i];
        return NULL;
}

/* The percentage after the word, as a part of 1. */
static int read_level(const char *text, double *ret_level)
{
        text += strspn(text, " \t");
        if (!text[strspn(text, "\r\n")]) {
                *ret_level = DEFAULT_LEVEL;
                return 0;
        }
        char *end;
        double percent = strtod(text, &end);
        if (end == text || end[strspn(end, " \t\r\n")] || !(percent >= 0 && percent <= 100))
                return -EINVAL;
        *ret_level = percent / 100;
        return 0;
}

int driver_command(struct driver *d, const char *line, struct err *err)
{
        if (d->mode == DRIVER_MODE_CYCLE || d->mode == DRIVER_MODE_CHARGING)
                return err_set(err, -EINVAL, "the car follows a drive cycle and takes no commands");
        line += strspn(line, " \t");
        size_t len = strcspn(line, " \t\r\n");
        const struct command *command = find_command(line, len);
        if (!command)
                return err_set(err, -EINVAL,
                        "unknown command '%.*s': say start, accelerate, brake, coast or stop",
                        (int)(len > 40 ? 40 : len), line);
        if (d->mode == DRIVER_MODE_OFF && command != &commands[0])
                return err_set(err, -EINVAL, "the car is off: say start first");
        double level = 0;
        if (command->takes_level && read_level(line + len, &level) < 0)
                return err_set(err, -EINVAL, "'%s' takes a number from 0 to 100", command->word);
        if (!command->takes_level && line[len + strspn(line + len, " \t\r\n")])
                return err_set(err, -EINVAL, "'%s' takes nothing after it", command->word);
        d->mode = command->mode;
        d->level = level;
        return 0;
}
