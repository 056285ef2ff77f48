/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/due.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdlib.h>

struct due_one {
        enum due_kind kind;
        int64_t id, tenant, at;
};

struct due {
        struct event *timer;
        due_callback *callback;
        void *arg;
        struct due_one list[LIMIT_OTA_DUE];
        size_t n;
};

/* The one whose moment comes first; of equals the one that waits longest. */
static size_t first(const struct due *d)
{
        size_t best = 0;
        for (size_t i = 1; i < d->n; i++) {
                if (d->list[i].at < d->list[best].at)
                        best = i;
        }
        return best;
}

static void arm(struct due *d)
{
        if (d->n == 0)
                return;
        int64_t ms = d->list[first(d)].at - clock_mono_ms();
        if (ms < 0)
                ms = 0;
        struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
        event_add(d->timer, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct due *d = arg;
        (void)fd;
        (void)what;
        size_t i = first(d);
        if (d->n > 0 && d->list[i].at <= clock_mono_ms()) {
                struct due_one one = d->list[i];
                d->n--;
                for (; i < d->n; i++) /* in order of arrival, so that equals take turns */
                        d->list[i] = d->list[i + 1];
                d->callback(d->arg, one.kind, one.id, one.tenant);
        }
        arm(d);
}

struct due *due_new(struct event_base *base, due_callback *callback, void *arg)
{
        struct due *d = calloc(1, sizeof(*d));
        if (!d)
                return NULL;
        d->callback = callback;
        d->arg = arg;
        d->timer = event_new(base, -1, 0, on_timer, d);
        if (!d->timer) {
                free(d);
                return NULL;
        }
        return d;
}

void due_free(struct due *d)
{
        if (!d)
                return;
        event_free(d->timer);
        free(d);
}

void due_add(struct due *d, enum due_kind kind, int64_t id, int64_t tenant, int64_t delay_ms)
{
        int64_t at = clock_mono_ms() + delay_ms;
        for (size_t i = 0; i < d->n; i++) {
                if (d->list[i].kind == kind && d->list[i].id == id) {
                        if (at < d->list[i].at)
                                d->list[i].at = at;
                        arm(d);
                        return;
                }
        }
        if (d->n < LIMIT_OTA_DUE)
                d->list[d->n++] = (struct due_one){kind, id, tenant, at};
        arm(d);
}
