/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/seen.h"

#include "base/log.h"
#include "cloud/ota/server.h"

#include <stdlib.h>

struct seen_one {
        int64_t target, at;
};

struct seen {
        struct seen_one *list;
        size_t n;
};

struct seen *seen_new(void)
{
        struct seen *s = calloc(1, sizeof(*s));
        if (s)
                s->list = calloc(SEEN_MAX, sizeof(*s->list));
        if (s && !s->list) {
                free(s);
                return NULL;
        }
        return s;
}

void seen_free(struct seen *s)
{
        if (!s)
                return;
        free(s->list);
        free(s);
}

void seen_note(struct seen *s, int64_t target, int64_t at)
{
        for (size_t i = s->n; i > 0 && i + 64 > s->n; i--) { /* one car that polls and polls */
                if (s->list[i - 1].target == target) {
                        s->list[i - 1].at = at;
                        return;
                }
        }
        if (s->n < SEEN_MAX)
                s->list[s->n++] = (struct seen_one){target, at};
}

bool seen_is_full(const struct seen *s)
{
        return s->n == SEEN_MAX;
}

void seen_flush(struct seen *s, struct ota *o)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        if (s->n == 0)
                return;
        ota_tx(o, &tx, &arena, &problem, 0, "system");
        uint64_t before = tx_revision(&tx);
        tx_begin(&tx);
        for (size_t i = 0; i < s->n; i++)
                sql_run(&tx, "UPDATE target SET last_query_at=? WHERE id=?", SQL_I(s->list[i].at),
                        SQL_I(s->list[i].target));
        if (tx_commit(&tx) < 0)
                log_warning("the times of %zu polls could not be stored", s->n);
        tx_ignore_changes(&tx, before);
        s->n = 0;
        problem_fini(&problem);
        arena_fini(&arena);
}
