/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/handlers.h"

#include <string.h>

#define DESCRIPTION                                                                                \
        {                                                                                          \
                .name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP    \
        }
#define COLOUR                                                                                     \
        {                                                                                          \
                .name = "colour", .type = SHAPE_TEXT, .max = 16                                    \
        }

static const struct shape create_members[] = {
        {.name = "key", .type = SHAPE_TEXT, .max = 64, .flags = SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "name", .type = SHAPE_TEXT, .max = 128, .flags = SHAPE_NO_MARKUP | SHAPE_TRIM},
        DESCRIPTION,
        COLOUR,
        {.name = "compatibledistributionsettypes", .type = SHAPE_ARRAY, .sub = shape_id_object},
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_target_type_create[] = {{.type = SHAPE_ARRAY, .sub = create_one}};
static const struct shape update_members[] = {
        {.name = "name",
                .type = SHAPE_TEXT,
                .max = 128,
                .flags = SHAPE_NO_MARKUP | SHAPE_NOT_EMPTY | SHAPE_TRIM},
        DESCRIPTION,
        COLOUR,
        {0},
};
const struct shape shape_target_type_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

#define COLUMNS                                                                                    \
        "y.id, y.key, y.name, y.description, y.colour, y.created_by, y.created_at, "               \
        "y.modified_by, "                                                                          \
        "y.modified_at"

static json_t *type_row(struct request *q, struct sql_rows *r)
{
        json_t *j = json_object();
        add_audit(j, r, 5);
        add_text(j, "name", sql_col_text(r, 2));
        add_text(j, "description", sql_col_text(r, 3));
        add_text(j, "colour", sql_col_text(r, 4));
        add_text(j, "key", sql_col_text(r, 1));
        add_int(j, "id", sql_col_int(r, 0));
        add_bool(j, "deleted", false);
        json_object_set_new(j, "_links",
                json_pack("{s:o}", "self",
                        link_to(q, "targettypes/%lld", (long long)sql_col_int(r, 0))));
        return j;
}

static json_t *read_type(struct request *q, int64_t id, bool has_links)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT " COLUMNS " FROM target_type y WHERE y.id=?", SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        json_t *j = type_row(q, &r);
        if (has_links)
                json_object_set_new(json_object_get(j, "_links"), "compatibledistributionsettypes",
                        link_to(q, "targettypes/%lld/compatibledistributionsettypes",
                                (long long)id));
        return j;
}

static bool exists(struct request *q, int64_t id)
{
        return sql_int(&q->tx, 0, "SELECT 1 FROM target_type WHERE tenant=? AND id=?",
                SQL_I(q->tx.tenant), SQL_I(id));
}

static int require(struct request *q)
{
        return exists(q, q->ids[0]) ? 0 : tx_not_found(&q->tx, "TargetType", q->ids[0]);
}

/* ── types themselves ── */

int target_types_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = COLUMNS,
                                     .from = "target_type y",
                                     .where = "y.tenant=?",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "y.id",
                                     .row = type_row});
}

static int add_sets(struct request *q, int64_t id, const json_t *refs)
{
        json_t *missing = json_array();
        size_t i;
        json_t *ref;
        json_array_foreach((json_t *)refs, i, ref)
        {
                int64_t type = json_int(ref, "id", 0);
                if (sql_int(&q->tx, 0, "SELECT 1 FROM ds_type WHERE tenant=? AND id=?",
                            SQL_I(q->tx.tenant), SQL_I(type)))
                        sql_run(&q->tx,
                                "INSERT INTO target_type_ds_type(target_type, ds_type) "
                                "VALUES(?, ?) ON CONFLICT(target_type, ds_type) DO NOTHING",
                                SQL_I(id), SQL_I(type));
                else
                        json_array_append_new(missing,
                                json_object_get(ref, "id") ? json_sprintf("%lld", (long long)type)
                                                           : json_string("null"));
        }
        if (json_array_size(missing) > 0)
                return tx_not_found_list(&q->tx, "DistributionSetType", missing);
        json_decref(missing);
        if (sql_int(&q->tx, 0, "SELECT count(*) FROM target_type_ds_type WHERE target_type=?",
                    SQL_I(id)) > LIMIT_OTA_TYPES_PER_TYPE)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many set types in a target type");
        return 0;
}

static int64_t create_one_type(struct request *q, const json_t *one)
{
        struct tx *tx = &q->tx;
        const char *key = json_text(one, "key", NULL), *name = json_text(one, "name", NULL);
        const json_t *sets = json_object_get(one, "compatibledistributionsettypes");
        if (!key && !name)
                return tx_problem(tx, PROBLEM_TARGET_TYPE_KEY_OR_NAME, "key or name is required"),
                       0;
        key = key ? key : name;
        name = name ? name : key;
        if (!*key || !*name)
                return tx_problem(tx, PROBLEM_CONSTRAINT, "key and name must not be empty"), 0;
        if (shape_utf16_length(key) > 64)
                return tx_problem(tx, PROBLEM_CONSTRAINT, "key is too long"), 0;
        if (sql_int(tx, 0, "SELECT 1 FROM target_type WHERE tenant=? AND (key=? OR name=?)",
                    SQL_I(tx->tenant), SQL_T(key), SQL_T(name)))
                return tx_problem(tx, PROBLEM_EXISTS, "Target type '%s' exists already", key), 0;
        int64_t id = sql_insert(tx,
                "INSERT INTO target_type(tenant, key, name, description, colour, created_by, "
                "created_at,"
                " modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7)",
                SQL_I(tx->tenant), SQL_T(key), SQL_T(name),
                SQL_T(json_text(one, "description", NULL)), SQL_T(json_text(one, "colour", NULL)),
                SQL_T(tx->user), SQL_I(tx->now));
        return sets && add_sets(q, id, sets) < 0 ? 0 : id;
}

int target_types_create(struct request *q)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                int64_t id = create_one_type(q, one);
                if (!id)
                        return -1;
                json_array_append_new(made, read_type(q, id, false));
        }
        return reply_json(q, 201, TAKE(made));
}

int target_type_show(struct request *q)
{
        return require(q) < 0 ? -1 : reply_json(q, 200, read_type(q, q->ids[0], true));
}

int target_type_update(struct request *q)
{
        const char *name = json_text(q->body, "name", NULL);
        if (require(q) < 0)
                return -1;
        if (name &&
                sql_int(&q->tx, 0, "SELECT 1 FROM target_type WHERE tenant=? AND name=? AND id<>?",
                        SQL_I(q->tx.tenant), SQL_T(name), SQL_I(q->ids[0])))
                return tx_problem(&q->tx, PROBLEM_EXISTS, "Target type '%s' exists already", name);
        sql_run(&q->tx,
                "UPDATE target_type SET name=coalesce(?1, name), description=coalesce(?2, "
                "description),"
                " colour=coalesce(?3, colour), modified_by=?4, modified_at=?5 WHERE id=?6 AND"
                " (coalesce(?1, name) IS DISTINCT FROM name OR coalesce(?2, description) IS "
                "DISTINCT FROM description "
                "OR"
                " coalesce(?3, colour) IS DISTINCT FROM colour)",
                SQL_T(name), SQL_T(json_text(q->body, "description", NULL)),
                SQL_T(json_text(q->body, "colour", NULL)), SQL_T(q->tx.user), SQL_I(q->tx.now),
                SQL_I(q->ids[0]));
        return reply_json(q, 200, read_type(q, q->ids[0], true));
}

int target_type_remove(struct request *q)
{
        int64_t id = q->ids[0];
        if (!exists(q, id))
                return tx_not_found_list(&q->tx, "TargetType",
                        json_pack("[o]", json_sprintf("%lld", (long long)id)));
        if (sql_int(&q->tx, 0, "SELECT 1 FROM target WHERE type=? LIMIT 1", SQL_I(id)))
                return tx_problem(&q->tx, PROBLEM_TARGET_TYPE_USED, "Targets use this type");
        sql_run(&q->tx, "DELETE FROM target_type WHERE id=?", SQL_I(id));
        return reply_none(q, 204);
}

/* ── its set types ── */

int target_type_sets_list(struct request *q)
{
        if (require(q) < 0)
                return -1;
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT ds_type FROM target_type_ds_type WHERE target_type=? ORDER BY ds_type",
                SQL_I(q->ids[0]));
        while (sql_next(&r))
                json_array_append_new(list, ds_type_json(q, sql_col_int(&r, 0)));
        return reply_json(q, 200, list);
}

int target_type_sets_add(struct request *q)
{
        if (require(q) < 0 || add_sets(q, q->ids[0], q->body) < 0)
                return -1;
        return reply_none(q, 204);
}

int target_type_sets_remove(struct request *q)
{
        if (require(q) < 0)
                return -1;
        if (!sql_int(&q->tx, 0, "SELECT 1 FROM ds_type WHERE tenant=? AND id=?",
                    SQL_I(q->tx.tenant), SQL_I(q->ids[1])))
                return tx_not_found(&q->tx, "DistributionSetType", q->ids[1]);
        sql_run(&q->tx, "DELETE FROM target_type_ds_type WHERE target_type=? AND ds_type=?",
                SQL_I(q->ids[0]), SQL_I(q->ids[1]));
        return reply_none(q, 204);
}
