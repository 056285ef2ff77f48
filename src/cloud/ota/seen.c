/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/seen.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/server.h"

#include <stdlib.h>

#define SEEN_AT_ONCE 50

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

/* ── writing ── */

static int by_target(const void *a, const void *b)
{
        const struct seen_one *x = a, *y = b;
        if (x->target != y->target)
                return x->target < y->target ? -1 : 1;
        return (x->at > y->at) - (x->at < y->at);
}

/* In the order of their rows, each with its last time only. */
static void sort(struct seen *s)
{
        size_t n = 0;
        qsort(s->list, s->n, sizeof(*s->list), by_target);
        for (size_t i = 0; i < s->n; i++) {
                if (n > 0 && s->list[n - 1].target == s->list[i].target)
                        n--;
                s->list[n++] = s->list[i];
        }
        s->n = n;
}

/* A statement takes many, since a database elsewhere costs a way there and back for each. */
static void write_some(struct tx *tx, const struct seen_one *list, size_t n)
{
        CLEAN_BUF struct buf sql = BUF_INIT(LIMIT_KIB(4));
        struct sql_arg args[SEEN_AT_ONCE * 2];
        buf_adds(&sql, "UPDATE target SET last_query_at=v.column2 FROM (VALUES ");
        for (size_t i = 0; i < n; i++) {
                buf_adds(&sql, i ? ",(?,?)" : "(?,?)");
                args[i * 2] = (struct sql_arg)SQL_I(list[i].target);
                args[i * 2 + 1] = (struct sql_arg)SQL_I(list[i].at);
        }
        buf_adds(&sql, ") AS v WHERE target.id=v.column1");
        sql_run_args(tx, buf_text(&sql), args, n * 2);
}

void seen_flush(struct seen *s, struct ota *o)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        if (s->n == 0)
                return;
        ota_tx(o, &tx, &arena, &problem, 0, "system");
        tx.unit = DATABASE_TIMES;
        uint64_t before = tx_revision(&tx);
        sort(s);
        size_t i = 0;
        for (; i + SEEN_AT_ONCE <= s->n; i += SEEN_AT_ONCE)
                write_some(&tx, s->list + i, SEEN_AT_ONCE);
        for (; i < s->n; i++)
                sql_run(&tx, "UPDATE target SET last_query_at=? WHERE id=?", SQL_I(s->list[i].at),
                        SQL_I(s->list[i].target));
        if (tx_commit(&tx) < 0)
                log_warning("the times of %zu polls could not be stored", s->n);
        tx_ignore_changes(&tx, before);
        s->n = 0;
        problem_fini(&problem);
        arena_fini(&arena);
}
