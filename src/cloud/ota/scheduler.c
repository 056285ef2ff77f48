/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/scheduler.h"

#include "base/log.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/downgrade.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/server.h"
#include "cloud/ota/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AUTO_ASSIGN_PAGE 999 /* targets of one filter in one round */

/* A unit of the scheduler: ids to look at, then one transaction each. */
struct unit {
        struct arena arena;
        struct problem problem;
        struct tx tx;
};

static void unit_begin(struct unit *u, struct ota *o, int64_t tenant)
{
        *u = (struct unit){0};
        ota_tx(o, &u->tx, &u->arena, &u->problem, tenant, "system");
}

static void unit_end(struct unit *u, struct ota *o, const char *what)
{
        if (u->problem.code || tx_commit(&u->tx) < 0) {
                log_warning("%s: %s", what, u->problem.message ? u->problem.message : "failed");
                tx_rollback(&u->tx);
        } else {
                ota_tell(o, &u->tx);
        }
        problem_fini(&u->problem);
        arena_fini(&u->arena);
}

struct id_list {
        int64_t *ids, *tenants;
        size_t n;
};

/* Reads and ends the transaction, so that each of the rows can have its own. */
static struct id_list read_ids(struct tx *tx, const char *sql)
{
        struct id_list list = {0};
        size_t room = 0;
        struct sql_rows r = sql_open(tx, sql);
        while (sql_next(&r)) {
                if (list.n == room) {
                        size_t more = room ? room * 2 : 16;
                        int64_t *ids = arena_alloc(tx->arena, more * sizeof(*ids));
                        int64_t *tenants = arena_alloc(tx->arena, more * sizeof(*tenants));
                        if (list.n) {
                                memcpy(ids, list.ids, list.n * sizeof(*ids));
                                memcpy(tenants, list.tenants, list.n * sizeof(*tenants));
                        }
                        list.ids = ids;
                        list.tenants = tenants;
                        room = more;
                }
                list.ids[list.n] = sql_col_int(&r, 0);
                list.tenants[list.n++] = sql_col_int(&r, 1);
        }
        sql_close(&r);
        (void)tx_commit(tx);
        return list;
}

/* ── rollouts ── */

static void pass_rollout(struct ota *o, int64_t id, int64_t tenant)
{
        struct unit u;
        struct rollout r;
        unit_begin(&u, o, tenant);
        if (rollout_find(&u.tx, id, &r))
                rollout_pass(&u.tx, &r);
        unit_end(&u, o, "a rollout's pass");
}

static void pass_rollouts(struct ota *o)
{
        struct unit u;
        unit_begin(&u, o, 0);
        /* creating, starting, running, deleting, stopping; ready with a start time */
        struct id_list list = read_ids(&u.tx, "SELECT id, tenant FROM rollout WHERE status IN (0, "
                                              "3, 5, 7, 11) OR (status=1 AND start_at IS NOT"
                                              " NULL) ORDER BY id");
        for (size_t i = 0; i < list.n; i++)
                pass_rollout(o, list.ids[i], list.tenants[i]);
        unit_end(&u, o, "the rollouts");
}

/* ── auto-assignment ── */

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

/* Those that match and never had an action with the set, of a type that takes it. */
static struct id_list read_matches(struct tx *tx, const struct auto_filter *f)
{
        struct filter query;
        struct id_list list = {0};
        if (filter_compile(tx, fields_target.fields, f->query, &query) < 0)
                return list;
        struct sql_arg *args = arena_alloc(tx->arena, (query.n_args + 3) * sizeof(*args));
        args[0] = (struct sql_arg)SQL_I(tx->tenant);
        args[1] = (struct sql_arg)SQL_I(f->ds);
        args[2] = (struct sql_arg)SQL_I(f->ds);
        if (query.n_args)
                memcpy(args + 3, query.args, query.n_args * sizeof(*args));
        const char *sql = arena_printf(tx->arena,
                "SELECT t.id FROM target t WHERE t.tenant=? AND NOT EXISTS(SELECT 1 FROM action a "
                "WHERE"
                " a.target=t.id AND a.ds=?) AND (t.type IS NULL OR EXISTS(SELECT 1 FROM "
                "target_type_ds_type y JOIN"
                " ds s ON s.type=y.ds_type WHERE y.target_type=t.type AND s.id=?)) AND (%s) ORDER "
                "BY t.id LIMIT %d",
                query.sql, AUTO_ASSIGN_PAGE);
        list.ids = arena_alloc(tx->arena, AUTO_ASSIGN_PAGE * sizeof(*list.ids));
        CLEAN_ROWS struct sql_rows r = sql_open_args(tx, sql, args, query.n_args + 3);
        while (sql_next(&r))
                list.ids[list.n++] = sql_col_int(&r, 0);
        return list;
}

static void auto_assign(struct ota *o, int64_t id, int64_t tenant)
{
        struct unit u;
        struct auto_filter f;
        struct dset s;
        unit_begin(&u, o, tenant);
        if (read_auto_filter(&u.tx, id, &f) && set_find(&u.tx, f.ds, &s) && s.is_valid &&
                !s.is_deleted) {
                struct id_list list = read_matches(&u.tx, &f);
                const char *why =
                        arena_printf(&u.arena, "Auto assignment by target filter: %s", f.name);
                u.tx.user = f.by;
                for (size_t i = 0; i < list.n; i++) {
                        struct deploy_order order = {
                                .type = f.type, .weight = f.weight, .confirm = f.confirm};
                        if (target_get(&u.tx, list.ids[i], &order.target) &&
                                !downgrade_skip(&u.tx, &s, &order))
                                deploy_online(&u.tx, &s, &order, why);
                }
        }
        unit_end(&u, o, "an auto-assignment");
}

static void pass_filters(struct ota *o)
{
        struct unit u;
        unit_begin(&u, o, 0);
        struct id_list list = read_ids(
                &u.tx, "SELECT id, tenant FROM filter WHERE auto_ds IS NOT NULL ORDER BY id");
        for (size_t i = 0; i < list.n; i++)
                auto_assign(o, list.ids[i], list.tenants[i]);
        unit_end(&u, o, "the auto-assignments");
}

void scheduler_pass(void *ota, enum due_kind kind, int64_t id, int64_t tenant)
{
        if (kind == DUE_ROLLOUT)
                pass_rollout(ota, id, tenant);
        else if (kind == DUE_FILTER)
                auto_assign(ota, id, tenant);
}

void scheduler_round(struct ota *o)
{
        deadline_round(o);
        pass_rollouts(o);
        pass_filters(o);
}

/* ── clean-up ── */

static bool names_status(const char *list, const char *word)
{
        size_t n = strlen(word);
        for (const char *p = list; *p;) {
                size_t len = strcspn(p, ",");
                size_t start = strspn(p, " ");
                if (len - start >= n && strncasecmp(p + start, word, n) == 0 &&
                        strspn(p + start + n, " ") + start + n == len)
                        return true;
                p += len + (p[len] == ',');
        }
        return false;
}

static void clean_tenant(struct ota *o, int64_t tenant)
{
        struct unit u;
        unit_begin(&u, o, tenant);
        int64_t expiry = settings_int(&u.tx, SETTING_CLEANUP_EXPIRY);
        const char *words = settings_text(&u.tx, SETTING_CLEANUP_STATUS);
        for (int i = 0; expiry >= 0 && action_status_words[i]; i++) {
                if (names_status(words, action_status_words[i]))
                        sql_run(&u.tx,
                                "DELETE FROM action WHERE tenant=? AND status=? AND active=0 AND "
                                "modified_at<?",
                                SQL_I(tenant), SQL_I(i), SQL_I(u.tx.now - expiry));
        }
        unit_end(&u, o, "the clean-up");
}

void scheduler_clean_up(struct ota *o)
{
        struct unit u;
        unit_begin(&u, o, 0);
        struct id_list list = read_ids(&u.tx, "SELECT id, 0 FROM tenant");
        for (size_t i = 0; i < list.n; i++)
                clean_tenant(o, list.ids[i]);
        unit_end(&u, o, "the clean-up");
}
