/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tool/demo_cycle.h"

#include <errno.h>
#include <stdio.h>

#define CYCLE_TIMEOUT_MS 120000

bool demo_cycle_fits(int time_scale)
{
        return time_scale > 0 && time_scale <= 39 && DEMO_CYCLE_S % time_scale == 0;
}

/* The rows at both ends count, so one more than there are steps between them. */
static int rows_of(const struct demo *d)
{
        return DEMO_CYCLE_S / d->time_scale + 1;
}

/* As many rows as a cycle has, of those that fit, in that order of time. */
struct window {
        char where[160];
        const char *order;
};

static double count(struct demo *d, const struct window *w, const char *table)
{
        double value;
        demo_number(d, 0, &value, "SELECT count(*) FROM (SELECT time FROM %s WHERE %s LIMIT %d)",
                table, w->where, rows_of(d));
        return value;
}

/* The newest value less the oldest. */
static double change(struct demo *d, const struct window *w, const char *table, const char *name)
{
        double end[2];
        static const char *const orders[2] = {"ASC", "DESC"};
        for (size_t i = 0; i < 2; i++)
                demo_number(d, 0, &end[i],
                        "SELECT v FROM (SELECT time, \"%s\" v FROM %s WHERE %s ORDER BY time %s "
                        "LIMIT %d) "
                        "ORDER BY time %s LIMIT 1",
                        name, table, w->where, w->order, rows_of(d), orders[i]);
        return end[1] - end[0];
}

static int measure(struct demo *d, const struct window *w, struct demo_cycle *ret, struct err *err)
{
        double n = count(d, w, "Battery");
        if (n < rows_of(d))
                return err_set(err, -ENODATA, "only %.0f of the %d rows of a drive cycle are there",
                        n, rows_of(d));
        ret->energy_wh = change(d, w, "Battery", "EnergyAdded");
        ret->disc_c = change(d, w, "ABS", "Wheel1.DiskTemperature");
        return 0;
}

int demo_cycle_before(
        struct demo *d, const char *car, double at_ms, struct demo_cycle *ret, struct err *err)
{
        struct window w = {.order = "DESC"};
        snprintf(w.where, sizeof(w.where), "DeviceID='%s' AND time<=%.0f", car, at_ms);
        return measure(d, &w, ret, err);
}

static int is_complete(struct demo *d, void *arg, char *progress, size_t size, struct err *err)
{
        (void)err;
        double n = count(d, arg, "Battery");
        double m = count(d, arg, "ABS");
        snprintf(progress, size, "%.0f of %d rows of the cycle", n, rows_of(d));
        return n >= rows_of(d) && m >= rows_of(d);
}

int demo_cycle_after(
        struct demo *d, const char *car, double at_ms, struct demo_cycle *ret, struct err *err)
{
        struct window w = {.order = "ASC"};
        snprintf(w.where, sizeof(w.where), "DeviceID='%s' AND time>%.0f", car, at_ms);
        int r = demo_wait(d, is_complete, &w, CYCLE_TIMEOUT_MS, err);
        return r ? r : measure(d, &w, ret, err);
}
