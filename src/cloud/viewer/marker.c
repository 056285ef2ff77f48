/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/marker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void marker_fini(struct marker *m)
{
        free(m->action);
        free(m->state);
        free(m->from);
        free(m->to);
        free(m->cause);
        json_decref(m->steps);
}

void marker_list_fini(struct marker_list *l)
{
        for (size_t i = 0; i < l->n; i++)
                marker_fini(&l->items[i]);
        free(l->items);
        *l = (struct marker_list){0};
}

static int set_text(char **text, const char *value)
{
        char *copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}

static void drop_oldest(struct marker_list *l)
{
        marker_fini(&l->items[0]);
        memmove(l->items, l->items + 1, --l->n * sizeof(*l->items));
}

static struct marker *append(struct marker_list *l)
{
        if (l->n == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 8;
                struct marker *items = reallocarray(l->items, cap, sizeof(*items));
                if (!items)
                        return NULL;
                l->items = items;
                l->cap = cap;
        }
        struct marker *m = &l->items[l->n++];
        *m = (struct marker){.steps = json_array()};
        return m;
}

/* The times that a state stands for. */
static void note_state(struct marker *m, const char *state, int64_t time_ms)
{
        bool failed = strcmp(state, "failed") == 0 || strcmp(state, "rolled_back") == 0;
        if (failed || strcmp(state, "confirmed") == 0) {
                m->ended_ms = time_ms;
                m->has_failed = failed;
        } else if (strcmp(state, "installing") == 0) {
                m->stopped_ms = time_ms;
        } else if (strcmp(state, "trial") == 0) {
                m->switched_ms = time_ms;
        }
}

static int take_step(struct marker *m, const struct marker_step *s)
{
        if (set_text(&m->action, s->action) < 0 || set_text(&m->state, s->state) < 0 ||
                set_text(&m->from, s->from) < 0 || set_text(&m->to, s->to) < 0)
                return -ENOMEM;
        if ((*s->cause || !m->cause) && set_text(&m->cause, s->cause) < 0)
                return -ENOMEM;
        note_state(m, s->state, s->time_ms);
        return json_array_append_new(
                       m->steps, json_pack("{s:I, s:s, s:s}", "time", (json_int_t)s->time_ms,
                                         "state", s->state, "cause", s->cause)) < 0
                       ? -ENOMEM
                       : 0;
}

/* A car that failed may say `rolled_back` after `failed`: the same action is the same update. */
int marker_list_add(struct marker_list *l, const struct marker_step *step)
{
        struct marker *m = l->n ? &l->items[l->n - 1] : NULL;
        if (!m || strcmp(m->action, step->action) != 0) {
                if (l->n >= LIMIT_VIEWER_UPDATES)
                        drop_oldest(l);
                m = append(l);
                if (!m)
                        return -ENOMEM;
                m->started_ms = step->time_ms;
        }
        return take_step(m, step);
}

int64_t marker_time(const struct marker *m)
{
        return m->switched_ms  ? m->switched_ms
               : m->ended_ms   ? m->ended_ms
               : m->stopped_ms ? m->stopped_ms
                               : m->started_ms;
}

static void set_time(json_t *o, const char *key, int64_t ms)
{
        json_object_set_new(o, key, ms ? json_integer(ms) : json_null());
}

json_t *marker_json(const struct marker *m)
{
        json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:O}", "action", m->action, "state",
                m->state, "from", m->from, "to", m->to, "cause", m->cause, "failed",
                (int)m->has_failed, "steps", m->steps);
        set_time(o, "time", marker_time(m));
        set_time(o, "started", m->started_ms);
        set_time(o, "stopped", m->stopped_ms);
        set_time(o, "switched", m->switched_ms);
        set_time(o, "ended", m->ended_ms);
        return o;
}
