/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/seen.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/server.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define N_PLACES ((size_t)2 * SEEN_MAX)
#define TICKS (SEEN_FLUSH_MS / SEEN_TICK_MS)
#define MIN_SLICE 100

#define SEEN_AT_ONCE 50

struct seen_one {
        int64_t target, at;
};

struct batch {
        struct seen_one *list; /* SEEN_MAX */
        size_t n, done;
};

struct seen {
        struct batch now, before; /* takes new times; is written */
        uint32_t *places;         /* by the target's hash: its number in `now`, from 1 on */
        int ticks;                /* since `now` was begun */
        size_t slice;
};

struct seen *seen_new(void)
{
        struct seen *s = calloc(1, sizeof(*s));
        if (!s)
                return NULL;
        s->now.list = calloc(SEEN_MAX, sizeof(struct seen_one));
        s->before.list = calloc(SEEN_MAX, sizeof(struct seen_one));
        s->places = calloc(N_PLACES, sizeof(uint32_t));
        if (s->now.list && s->before.list && s->places)
                return s;
        seen_free(s);
        return NULL;
}

void seen_free(struct seen *s)
{
        if (!s)
                return;
        free(s->now.list);
        free(s->before.list);
        free(s->places);
        free(s);
}

static uint32_t *place_of(struct seen *s, int64_t target)
{
        size_t i = (size_t)((uint64_t)target * 0x9e3779b97f4a7c15u >> 40) % N_PLACES;
        while (s->places[i] && s->now.list[s->places[i] - 1].target != target)
                i = (i + 1) % N_PLACES;
        return &s->places[i];
}

void seen_note(struct seen *s, int64_t target, int64_t at)
{
        uint32_t *place = place_of(s, target);
        if (*place) {
                s->now.list[*place - 1].at = at;
        } else if (s->now.n < SEEN_MAX) {
                s->now.list[s->now.n++] = (struct seen_one){target, at};
                *place = (uint32_t)s->now.n;
        }
}

/* A statement takes many, since a database elsewhere costs a way there and back for each. */
static void write_at_once(struct tx *tx, const struct seen_one *list, size_t n)
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

static void write_list(struct tx *tx, const struct seen_one *list, size_t n)
{
        size_t i = 0;
        for (; i + SEEN_AT_ONCE <= n; i += SEEN_AT_ONCE)
                write_at_once(tx, list + i, SEEN_AT_ONCE);
        for (; i < n; i++)
                sql_run(tx, "UPDATE target SET last_query_at=? WHERE id=?", SQL_I(list[i].at),
                        SQL_I(list[i].target));
}

static void write_some(struct seen *s, struct ota *o, size_t n)
{
        struct batch *b = &s->before;
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        size_t end = b->n - b->done < n ? b->n : b->done + n;
        if (end == b->done)
                return;
        ota_tx(o, &tx, &arena, &problem, 0, "system");
        tx.unit = DATABASE_TIMES;
        tx.is_quiet = true; /* no kept answer depends on these times */
        write_list(&tx, b->list + b->done, end - b->done);
        if (tx_commit(&tx) < 0)
                log_warning("the times of %zu polls could not be stored", end - b->done);
        b->done = end;
        problem_fini(&problem);
        arena_fini(&arena);
}

/* What was taken until now is to be written. */
static void turn(struct seen *s)
{
        struct batch spare = s->before;
        s->before = s->now;
        s->now = (struct batch){.list = spare.list};
        s->ticks = 0;
        s->slice = s->before.n / TICKS + MIN_SLICE;
        if (s->before.n > 0)
                memset(s->places, 0, N_PLACES * sizeof(uint32_t));
}

void seen_tick(struct seen *s, struct ota *o)
{
        if (s->now.n == SEEN_MAX)
                seen_flush(s, o);
        write_some(s, o, s->slice);
        if (++s->ticks >= TICKS && s->before.done == s->before.n)
                turn(s);
}

void seen_flush(struct seen *s, struct ota *o)
{
        if (s->now.n == 0 && s->before.done == s->before.n)
                return;
        write_some(s, o, SEEN_MAX);
        turn(s);
        write_some(s, o, SEEN_MAX);
}
