/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/auto_assign.h"

#include "base/clock.h"
#include "base/limits.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/downgrade.h"
#include "cloud/ota/due.h"
#include "cloud/ota/filter.h"
#include "cloud/ota/scheduler.h"
#include "cloud/ota/server.h"

#include <stdlib.h>
#include <string.h>

#define AUTO_ASSIGN_PAGE 999   /* as hawkBit's; some 40 ms */
#define AUTO_ASSIGN_LOOK 20000 /* some 30 ms */
#define REST_FACTOR 20

/* ── sweeps ── */

struct sweep {
        int64_t filter, after; /* the last target that was looked at; 0: a new sweep */
        int64_t spent_ms, next_at;
};

struct sweeps {
        struct sweep list[LIMIT_OTA_DUE]; /* filters beyond share a place: they rest together */
};

struct sweeps *sweeps_new(void)
{
        return calloc(1, sizeof(struct sweeps));
}

void sweeps_free(struct sweeps *s)
{
        free(s);
}

static struct sweep *sweep_of(struct ota *o, int64_t filter)
{
        struct sweep *s = &o->sweeps->list[filter % LIMIT_OTA_DUE];
        if (s->filter != filter)
                *s = (struct sweep){.filter = filter};
        return s;
}

/* ── the filter ── */

struct auto_filter {
        const char *name, *query, *by;
        int64_t ds, weight;
        enum action_type type;
        int confirm;
};

static bool read_auto_filter(struct tx *tx, int64_t id, struct auto_filter *f)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT name, query, auto_by, auto_ds, auto_weight, auto_type, auto_confirm FROM "
                "filter WHERE"
                " id=? AND auto_ds IS NOT NULL",
                SQL_I(id));
        if (!sql_next(&r))
                return false;
        *f = (struct auto_filter){.name = sql_col_text(&r, 0),
                .query = sql_col_text(&r, 1),
                .by = sql_col_text(&r, 2),
                .ds = sql_col_int(&r, 3),
                .weight = sql_col_int(&r, 4),
                .type = (enum action_type)sql_col_int(&r, 5),
                .confirm = sql_col_is_null(&r, 6) ? -1 : (int)sql_col_int(&r, 6)};
        return true;
}

/* ── one step ── */

/* The last target of the step; 0: those after `after` are the last ones. */
static int64_t end_of_step(struct tx *tx, int64_t after)
{
        return sql_int(tx, 0,
                "SELECT id FROM target WHERE tenant=? AND id>? ORDER BY id LIMIT 1 OFFSET ?",
                SQL_I(tx->tenant), SQL_I(after), SQL_I(AUTO_ASSIGN_LOOK - 1));
}

/* Those that match and never had an action with the set, of a type that takes it. (`+0`: a target
 * has few actions, a set may have thousands, so the look-up must not go by the set's index.) */
static size_t read_matches(
        struct tx *tx, const struct auto_filter *f, int64_t after, int64_t end, int64_t *ret_ids)
{
        struct filter query;
        size_t n = 0;
        if (filter_compile(tx, fields_target.fields, f->query, &query) < 0)
                return 0;
        struct sql_arg base[] = {SQL_I(tx->tenant), SQL_I(after), SQL_I(end ? end : INT64_MAX),
                SQL_I(f->ds), SQL_I(f->ds)};
        size_t n_base = N_ELEMENTS(base);
        struct sql_arg *args = arena_alloc(tx->arena, (query.n_args + n_base) * sizeof(*args));
        memcpy(args, base, sizeof(base));
        if (query.n_args)
                memcpy(args + n_base, query.args, query.n_args * sizeof(*args));
        const char *sql = arena_printf(tx->arena,
                "SELECT t.id FROM target t WHERE t.tenant=? AND t.id>? AND t.id<=? AND NOT "
                "EXISTS(SELECT 1 FROM"
                " action a WHERE a.target=t.id AND a.ds+0=?) AND (t.type IS NULL OR EXISTS(SELECT "
                "1 FROM"
                " target_type_ds_type y JOIN ds s ON s.type=y.ds_type WHERE y.target_type=t.type "
                "AND s.id=?)) AND"
                " (%s) ORDER BY t.id LIMIT %d",
                query.sql, AUTO_ASSIGN_PAGE);
        CLEAN_ROWS struct sql_rows r = sql_open_args(tx, sql, args, query.n_args + n_base);
        while (n < AUTO_ASSIGN_PAGE && sql_next(&r))
                ret_ids[n++] = sql_col_int(&r, 0);
        return n;
}

static void assign(struct tx *tx, const struct auto_filter *f, const struct dset *s,
        const int64_t *ids, size_t n)
{
        const char *why = arena_printf(tx->arena, "Auto assignment by target filter: %s", f->name);
        tx->user = f->by;
        for (size_t i = 0; i < n; i++) {
                struct deploy_order order = {
                        .type = f->type, .weight = f->weight, .confirm = f->confirm};
                if (target_get(tx, ids[i], &order.target) && !downgrade_skip(tx, s, &order))
                        deploy_online(tx, s, &order, why);
        }
}

/* Looks and assigns; returns where the sweep goes on, 0 at its end. */
static int64_t step(struct tx *tx, int64_t filter, int64_t after)
{
        struct auto_filter f;
        struct dset s;
        if (!read_auto_filter(tx, filter, &f) || !set_find(tx, f.ds, &s) || !s.is_valid ||
                s.is_deleted)
                return 0;
        int64_t *ids = arena_alloc(tx->arena, AUTO_ASSIGN_PAGE * sizeof(*ids));
        int64_t end = end_of_step(tx, after);
        size_t n = read_matches(tx, &f, after, end, ids);
        assign(tx, &f, &s, ids, n);
        return n == AUTO_ASSIGN_PAGE ? ids[n - 1] : end;
}

void auto_assign_step(struct ota *o, int64_t filter, int64_t tenant)
{
        struct unit u;
        struct sweep *s = sweep_of(o, filter);
        int64_t start = clock_mono_ms();
        unit_begin(&u, o, tenant);
        s->after = step(&u.tx, filter, s->after);
        unit_end(&u, o, "an auto-assignment");
        s->spent_ms += clock_mono_ms() - start;
        if (s->after) {
                due_add(o->due, DUE_FILTER, filter, tenant, 0);
        } else {
                s->next_at = clock_mono_ms() + REST_FACTOR * s->spent_ms;
                s->spent_ms = 0;
        }
}

void auto_assign_round(struct ota *o, int64_t filter, int64_t tenant)
{
        const struct sweep *s = sweep_of(o, filter);
        if (s->after == 0 && clock_mono_ms() >= s->next_at)
                auto_assign_step(o, filter, tenant);
}
