/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/action.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/set.h"
#include "cloud/ota/settings.h"

#include <string.h>

static const struct shape create_members[] = {
        {.name = "name",
                .type = SHAPE_TEXT,
                .max = 128,
                .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "query",
                .type = SHAPE_TEXT,
                .max = 1024,
                .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY},
        {0},
};
const struct shape shape_filter_create[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
static const struct shape update_members[] = {
        {.name = "name",
                .type = SHAPE_TEXT,
                .max = 128,
                .flags = SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "query", .type = SHAPE_TEXT, .max = 1024, .flags = SHAPE_NOT_EMPTY},
        {0},
};
const struct shape shape_filter_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};
static const struct shape auto_members[] = {
        {.name = "id", .type = SHAPE_LONG},
        {.name = "type", .type = SHAPE_WORD, .words = action_type_words},
        {.name = "weight", .type = SHAPE_INT, .flags = SHAPE_RANGE, .min = 0, .max = 1000},
        {.name = "confirmationRequired", .type = SHAPE_BOOL},
        {0},
};
const struct shape shape_auto_assign[] = {{.type = SHAPE_OBJECT, .sub = auto_members}};

/* ── JSON: here alone nulls are written ── */

static void add_or_null(json_t *j, const char *key, json_t *value)
{
        json_object_set_new(j, key, value ? value : json_null());
}

static json_t *int_or_null(struct sql_rows *r, int column)
{
        return sql_col_is_null(r, column) ? NULL : json_integer(sql_col_int(r, column));
}

json_t *filter_row(struct request *q, struct sql_rows *r)
{
        json_t *j = json_object();
        long long id = sql_col_int(r, 0);
        bool has_set = !sql_col_is_null(r, 3);
        add_audit(j, r, 7);
        add_text(j, "name", sql_col_text(r, 1));
        add_int(j, "id", id);
        add_text(j, "query", sql_col_text(r, 2));
        add_or_null(j, "autoAssignDistributionSet", int_or_null(r, 3));
        add_or_null(j, "autoAssignActionType",
                has_set ? json_string(action_type_words[sql_col_int(r, 4)]) : NULL);
        add_or_null(j, "autoAssignWeight", has_set ? int_or_null(r, 5) : NULL);
        bool has_flow = settings_bool(&q->tx, SETTING_CONFIRMATION);
        add_or_null(j, "confirmationRequired",
                has_set && has_flow ? json_boolean(sql_col_is_null(r, 6) || sql_col_int(r, 6))
                                    : NULL);
        json_object_set_new(
                j, "_links", json_pack("{s:o}", "self", link_to(q, "targetfilters/%lld", id)));
        return j;
}

static json_t *read_filter(struct request *q, int64_t id)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT " FILTER_COLUMNS " FROM filter f WHERE f.id=?", SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        json_t *j = filter_row(q, &r);
        json_object_set_new(json_object_get(j, "_links"), "autoAssignDS",
                link_to(q, "targetfilters/%lld/autoAssignDS", (long long)id));
        return j;
}

static json_t *listed_row(struct request *q, struct sql_rows *r)
{
        json_t *j = filter_row(q, r);
        int64_t ds = sql_col_int(r, 3);
        struct dset s;
        if (q->is_full && ds && set_find(&q->tx, ds, &s))
                json_object_set_new(json_object_get(j, "_links"), "DS",
                        link_to(q,
                                "distributionsets?q=name%%3D%%3D%s%%3Bversion%%3D%%3D%s&offset=0&"
                                "limit=50",
                                url_part(q, s.name), url_part(q, s.version)));
        return j;
}

/* ── filters themselves ── */

int filters_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = FILTER_COLUMNS,
                                     .from = "filter f",
                                     .where = "f.tenant=?",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "f.id",
                                     .row = listed_row,
                                     .is_total_unfiltered = true});
}

static int require_filter(struct request *q)
{
        if (sql_int(&q->tx, 0, "SELECT 1 FROM filter WHERE tenant=? AND id=?", SQL_I(q->tx.tenant),
                    SQL_I(q->ids[0])))
                return 0;
        return tx_not_found(&q->tx, "TargetFilterQuery", q->ids[0]);
}

static int check_name(struct request *q, const char *name, int64_t id)
{
        if (sql_int(&q->tx, 0, "SELECT 1 FROM filter WHERE tenant=? AND name=? AND id<>?",
                    SQL_I(q->tx.tenant), SQL_T(name), SQL_I(id)))
                return tx_problem(&q->tx, PROBLEM_EXISTS, "Filter '%s' exists already", name);
        return 0;
}

int filter_create(struct request *q)
{
        const char *name = json_text(q->body, "name", ""), *query = json_text(q->body, "query", "");
        if (filter_check(&q->tx, fields_target.fields, query) < 0 || check_name(q, name, 0) < 0)
                return -1;
        int64_t id = sql_insert(&q->tx,
                "INSERT INTO filter(tenant, name, query, created_by, created_at, modified_by, "
                "modified_at)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?4, ?5)",
                SQL_I(q->tx.tenant), SQL_T(name), SQL_T(query), SQL_T(q->tx.user),
                SQL_I(q->tx.now));
        return reply_json(q, 201, read_filter(q, id));
}

int filter_show(struct request *q)
{
        return require_filter(q) < 0 ? -1 : reply_json(q, 200, read_filter(q, q->ids[0]));
}

static int64_t count_matches(struct request *q, const char *query)
{
        struct filter f;
        if (filter_compile(&q->tx, fields_target.fields, query, &f) < 0)
                return -1;
        struct sql_arg *args = arena_alloc(&q->arena, (f.n_args + 1) * sizeof(*args));
        args[0] = (struct sql_arg)SQL_I(q->tx.tenant);
        for (size_t i = 0; i < f.n_args; i++)
                args[i + 1] = f.args[i];
        const char *sql = arena_printf(
                &q->arena, "SELECT count(*) FROM target t WHERE t.tenant=? AND (%s)", f.sql);
        return sql_int_args(&q->tx, 0, sql, args, f.n_args + 1);
}

static int check_quota(struct request *q, const char *query)
{
        int64_t n = count_matches(q, query);
        if (n > LIMIT_OTA_TARGETS_PER_FILTER)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "The query matches too many targets");
        return n < 0 ? -1 : 0;
}

int filter_update(struct request *q)
{
        const char *name = json_text(q->body, "name", NULL),
                   *query = json_text(q->body, "query", NULL);
        if (require_filter(q) < 0 ||
                (query && filter_check(&q->tx, fields_target.fields, query) < 0) ||
                (name && check_name(q, name, q->ids[0]) < 0))
                return -1;
        bool has_set =
                sql_int(&q->tx, 0, "SELECT auto_ds FROM filter WHERE id=?", SQL_I(q->ids[0]));
        if (query && has_set && check_quota(q, query) < 0)
                return -1;
        sql_run(&q->tx,
                "UPDATE filter SET name=coalesce(?1, name), query=coalesce(?2, query), "
                "modified_by=?3,"
                " modified_at=?4 WHERE id=?5 AND (coalesce(?1, name)<>name OR coalesce(?2, "
                "query)<>query)",
                SQL_T(name), SQL_T(query), SQL_T(q->tx.user), SQL_I(q->tx.now), SQL_I(q->ids[0]));
        tx_due(&q->tx, DUE_FILTER, q->ids[0], 0);
        return reply_json(q, 200, read_filter(q, q->ids[0]));
}

int filter_remove(struct request *q)
{
        if (sql_run(&q->tx, "DELETE FROM filter WHERE tenant=? AND id=?", SQL_I(q->tx.tenant),
                    SQL_I(q->ids[0])) == 0)
                return tx_not_found_list(&q->tx, "TargetFilterQuery",
                        json_pack("[o]", json_sprintf("%lld", (long long)q->ids[0])));
        return reply_none(q, 204);
}

/* ── auto-assignment ── */

int filter_auto_show(struct request *q)
{
        if (require_filter(q) < 0)
                return -1;
        json_t *j = set_json(
                q, sql_int(&q->tx, 0, "SELECT auto_ds FROM filter WHERE id=?", SQL_I(q->ids[0])));
        return j ? reply_json(q, 200, j) : reply_none(q, 204);
}

static void put_auto(struct request *q, int64_t ds, int type, int64_t weight, const json_t *confirm)
{
        struct sql_arg confirm_arg = {
                .kind = confirm ? SQL_KIND_INT : SQL_KIND_NULL, .i = json_is_true(confirm)};
        sql_run(&q->tx,
                "UPDATE filter SET auto_ds=?1, auto_type=CASE WHEN ?1 IS NULL THEN NULL ELSE ?2 "
                "END,"
                " auto_weight=CASE WHEN ?1 IS NULL THEN NULL ELSE ?3 END, auto_confirm=?4, "
                "auto_by=?5,"
                " modified_by=?5, modified_at=?6 WHERE id=?7",
                SQL_OPT(ds), SQL_I(type), SQL_I(weight), confirm_arg, SQL_T(q->tx.user),
                SQL_I(q->tx.now), SQL_I(q->ids[0]));
        if (ds)
                tx_due(&q->tx, DUE_FILTER, q->ids[0], 0);
}

int filter_auto_set(struct request *q)
{
        struct dset s;
        const json_t *b = q->body;
        enum action_type type = action_type_of(json_text(b, "type", NULL));
        if (require_filter(q) < 0)
                return -1;
        if (!json_object_get(b, "id")) {
                put_auto(q, 0, 0, 0, NULL);
                return reply_json(q, 200, read_filter(q, q->ids[0]));
        }
        if (type == ACTION_TIMEFORCED)
                return tx_problem(
                        &q->tx, PROBLEM_AUTO_ASSIGN_TYPE, "timeforced cannot be auto-assigned");
        const char *query =
                sql_text(&q->tx, "SELECT query FROM filter WHERE id=?", SQL_I(q->ids[0]));
        if (set_require_usable(&q->tx, json_int(b, "id", 0), &s) < 0 || check_quota(q, query) < 0)
                return -1;
        set_lock_implicitly(&q->tx, &s);
        put_auto(q, s.id, type, json_int(b, "weight", ACTION_DEFAULT_WEIGHT),
                json_object_get(b, "confirmationRequired"));
        return reply_json(q, 200, read_filter(q, q->ids[0]));
}

int filter_auto_remove(struct request *q)
{
        if (require_filter(q) < 0)
                return -1;
        put_auto(q, 0, 0, 0, NULL);
        return reply_none(q, 204);
}
