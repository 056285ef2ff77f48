/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/rollout.h"

#include "base/limits.h"

#include <math.h>
#include <string.h>

#define RETRY_PREFIX "failedrollout=="

static const struct field retry_fields[] = {
        {"failedrollout", FIELD_FAILED_ROLLOUT, NULL, NULL, NULL}, {0}};

static void append(struct tx *tx, struct filter *f, const struct filter *more)
{
        struct sql_arg *args =
                arena_alloc(tx->arena, (f->n_args + more->n_args) * sizeof(*args) + 1);
        if (f->n_args)
                memcpy(args, f->args, f->n_args * sizeof(*args));
        if (more->n_args)
                memcpy(args + f->n_args, more->args, more->n_args * sizeof(*args));
        f->sql = arena_printf(tx->arena, "%s AND (%s)", f->sql, more->sql);
        f->args = args;
        f->n_args += more->n_args;
}

/* The query of a retried rollout is ours alone to write. */
static int compile_query(struct tx *tx, const char *query, struct filter *ret)
{
        bool is_retry = strncmp(query, RETRY_PREFIX, strlen(RETRY_PREFIX)) == 0;
        return filter_compile(tx, is_retry ? retry_fields : fields_target.fields, query, ret);
}

int rollout_condition(struct tx *tx, const struct rollout *r, const char *group_query,
        bool only_free, struct filter *ret)
{
        struct filter query, group;
        struct sql_arg base[] = {
                SQL_I(tx->tenant), SQL_I(r->ds), SQL_I(r->created_before), SQL_I(r->id)};
        struct sql_arg *args = arena_alloc(tx->arena, sizeof(base));
        memcpy(args, base, sizeof(base));
        *ret = (struct filter){
                .sql = arena_printf(tx->arena,
                        "t.tenant=? AND (t.type IS NULL OR EXISTS(SELECT 1 FROM "
                        "target_type_ds_type y JOIN ds s ON"
                        " s.type=y.ds_type WHERE y.target_type=t.type AND s.id=?)) AND "
                        "t.created_at<=?%s",
                        only_free ? " AND NOT EXISTS(SELECT 1 FROM rollout_target p JOIN "
                                    "rollout_group g ON"
                                    " g.id=p.rollout_group WHERE p.target=t.id AND g.rollout=?)"
                                  : " AND ?>=0"),
                .args = args,
                .n_args = N_ELEMENTS(base)};
        if (compile_query(tx, r->query, &query) < 0)
                return -1;
        append(tx, ret, &query);
        if (group_query && *group_query) {
                if (filter_compile(tx, fields_target.fields, group_query, &group) < 0)
                        return -1;
                append(tx, ret, &group);
        }
        return 0;
}

int64_t rollout_run_on_targets(
        struct tx *tx, const char *prefix, const struct filter *f, const char *suffix)
{
        const char *text = arena_printf(tx->arena, "%s %s %s", prefix, f->sql, suffix);
        return sql_int_args(tx, 0, text, f->args, f->n_args);
}

/* ── shares ── */

/* What the group's share is of the targets that are left, in percent: the percentages of the groups
 * before it with the same query are gone already. */
static double share_of_rest(struct tx *tx, const struct group *g)
{
        double before = 0;
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT percentage FROM rollout_group WHERE rollout=? AND id<? AND query=? AND "
                "dynamic=0",
                SQL_I(g->rollout), SQL_I(g->id), SQL_T(g->query));
        while (sql_next(&r))
                before += sql_col_real(&r, 0);
        return before >= 100 ? 100 : g->percentage * 100 / (100 - before);
}

static int64_t count_targets(struct tx *tx, const struct filter *f)
{
        return rollout_run_on_targets(tx, "SELECT count(*) FROM target t WHERE", f, "");
}

static int64_t fill_group(struct tx *tx, struct rollout *r, const struct group *g)
{
        struct filter f;
        if (rollout_condition(tx, r, g->query, true, &f) < 0)
                return -1;
        int64_t rest = count_targets(tx, &f);
        int64_t n = (int64_t)floor(share_of_rest(tx, g) * (double)rest / 100 + 0.5);
        if (n > LIMIT_OTA_TARGETS_PER_GROUP)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many targets in group '%s'", g->name);
        rollout_run_on_targets(tx,
                arena_printf(tx->arena,
                        "INSERT INTO rollout_target(rollout_group, target) SELECT %lld, t.id FROM "
                        "target t WHERE",
                        (long long)g->id),
                &f, arena_printf(tx->arena, "ORDER BY t.id LIMIT %lld", (long long)n));
        n = sql_int(
                tx, 0, "SELECT count(*) FROM rollout_target WHERE rollout_group=?", SQL_I(g->id));
        sql_run(tx, "UPDATE rollout_group SET total_targets=? WHERE id=?", SQL_I(n), SQL_I(g->id));
        return n;
}

/* ── groups without a query of their own: one after the other in order of the targets' ids ── */

static bool has_own_queries(struct tx *tx, int64_t rollout)
{
        return sql_int(tx, 0,
                "SELECT 1 FROM rollout_group WHERE rollout=? AND dynamic=0 AND query<>'' LIMIT 1",
                SQL_I(rollout));
}

static int64_t size_group(struct tx *tx, const struct group *g, int64_t rest)
{
        int64_t n = (int64_t)floor(share_of_rest(tx, g) * (double)rest / 100 + 0.5);
        if (n > LIMIT_OTA_TARGETS_PER_GROUP)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many targets in group '%s'", g->name);
        if (n > rest)
                n = rest;
        sql_run(tx, "UPDATE rollout_group SET total_targets=? WHERE id=?", SQL_I(n), SQL_I(g->id));
        return n;
}

int rollout_plan(struct tx *tx, struct rollout *r)
{
        struct filter f;
        int64_t taken = 0, n_static = 0;
        if (rollout_condition(tx, r, NULL, false, &f) < 0)
                return -1;
        bool fills = has_own_queries(tx, r->id);
        int64_t total = count_targets(tx, &f);
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS
                " FROM rollout_group g WHERE g.rollout=? AND g.dynamic=0 ORDER BY g.id",
                SQL_I(r->id));
        while (sql_next(&rows)) {
                struct group g;
                group_read(&rows, &g);
                int64_t n = !total  ? 0
                            : fills ? fill_group(tx, r, &g)
                                    : size_group(tx, &g, total - taken);
                if (n < 0)
                        return -1;
                taken += n;
                n_static++;
        }
        if (n_static && total == 0)
                return tx_problem(tx, PROBLEM_CONSTRAINT, "No target matches the rollout's query");
        if (n_static && taken != total)
                return tx_problem(tx, PROBLEM_CONSTRAINT,
                        "The groups do not cover all targets of the rollout");
        r->total_targets = taken;
        sql_run(tx, "UPDATE rollout SET total_targets=? WHERE id=?", SQL_I(taken), SQL_I(r->id));
        return 0;
}

/* The last target that has its group. */
static int64_t last_placed(struct tx *tx, const struct rollout *r)
{
        return sql_int(tx, 0,
                "SELECT max(x.last) FROM (SELECT (SELECT max(p.target) FROM rollout_target p WHERE"
                " p.rollout_group=g.id) AS last FROM rollout_group g WHERE g.rollout=?) x",
                SQL_I(r->id));
}

/* At most `room` of those that the group lacks; it gets as many as there are. */
static int64_t place(struct tx *tx, const struct rollout *r, const struct group *g, int64_t room)
{
        struct filter f;
        int64_t has = sql_int(
                tx, 0, "SELECT count(*) FROM rollout_target WHERE rollout_group=?", SQL_I(g->id));
        int64_t lacks = g->total_targets - has;
        if (lacks <= 0 || rollout_condition(tx, r, NULL, false, &f) < 0)
                return 0;
        int64_t wanted = lacks < room ? lacks : room;
        struct sql_arg *args = arena_alloc(tx->arena, (f.n_args + 3) * sizeof(*args));
        args[0] = (struct sql_arg)SQL_I(g->id);
        memcpy(args + 1, f.args, f.n_args * sizeof(*args));
        args[f.n_args + 1] = (struct sql_arg)SQL_I(last_placed(tx, r));
        args[f.n_args + 2] = (struct sql_arg)SQL_I(wanted);
        int64_t n = sql_run_args(tx,
                arena_printf(tx->arena,
                        "INSERT INTO rollout_target(rollout_group, target) SELECT g.id, t.id FROM "
                        "rollout_group g, target t WHERE g.id=? AND %s AND t.id>? ORDER BY t.id "
                        "LIMIT ?",
                        f.sql),
                args, f.n_args + 3);
        if (n < wanted) /* targets went since the plan was made */
                sql_run(tx, "UPDATE rollout_group SET total_targets=? WHERE id=?",
                        SQL_I(has + (n > 0 ? n : 0)), SQL_I(g->id));
        return n;
}

bool rollout_go_on_filling(struct tx *tx, struct rollout *r)
{
        int64_t room = LIMIT_OTA_BULK_PAGE;
        if (has_own_queries(tx, r->id))
                return false;
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS
                " FROM rollout_group g WHERE g.rollout=? AND g.dynamic=0 ORDER BY g.id",
                SQL_I(r->id));
        while (room > 0 && sql_next(&rows)) {
                struct group g;
                group_read(&rows, &g);
                int64_t n = place(tx, r, &g, room);
                room -= n > 0 ? n : 0;
        }
        if (room == 0)
                return true;
        r->total_targets = sql_int(tx, 0,
                "SELECT sum(total_targets) FROM rollout_group WHERE rollout=?", SQL_I(r->id));
        sql_run(tx, "UPDATE rollout SET total_targets=? WHERE id=?", SQL_I(r->total_targets),
                SQL_I(r->id));
        return false;
}
