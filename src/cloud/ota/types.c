/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/handlers.h"

#include <string.h>

/* Types of modules and of sets; those of targets are in target_types.c. */

#define DESCRIPTION                                                                                \
        {                                                                                          \
                .name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP    \
        }
#define COLOUR                                                                                     \
        {                                                                                          \
                .name = "colour", .type = SHAPE_TEXT, .max = 16                                    \
        }
#define KEY_FLAGS SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM

static const struct shape sm_members[] = {
        {.name = "key", .type = SHAPE_TEXT, .max = 64, .flags = KEY_FLAGS},
        {.name = "name", .type = SHAPE_TEXT, .max = 128, .flags = KEY_FLAGS},
        DESCRIPTION,
        COLOUR,
        {.name = "minArtifacts",
                .type = SHAPE_INT,
                .min = 0,
                .max = 2147483647,
                .flags = SHAPE_RANGE},
        {.name = "maxAssignments",
                .type = SHAPE_INT,
                .min = 1,
                .max = 2147483647,
                .flags = SHAPE_RANGE | SHAPE_REQUIRED},
        {0},
};
static const struct shape sm_one[] = {{.type = SHAPE_OBJECT, .sub = sm_members}};
const struct shape shape_sm_type_create[] = {{.type = SHAPE_ARRAY, .sub = sm_one}};

static const struct shape ds_members[] = {
        {.name = "key", .type = SHAPE_TEXT, .max = 64, .flags = KEY_FLAGS},
        {.name = "name", .type = SHAPE_TEXT, .max = 128, .flags = KEY_FLAGS},
        DESCRIPTION,
        COLOUR,
        {.name = "mandatorymodules", .type = SHAPE_ARRAY, .sub = shape_id_object},
        {.name = "optionalmodules", .type = SHAPE_ARRAY, .sub = shape_id_object},
        {0},
};
static const struct shape ds_one[] = {{.type = SHAPE_OBJECT, .sub = ds_members}};
const struct shape shape_ds_type_create[] = {{.type = SHAPE_ARRAY, .sub = ds_one}};

static const struct shape update_members[] = {DESCRIPTION, COLOUR, {0}};
const struct shape shape_type_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

/* ── what both have in common ── */

struct type_table {
        const char *table, *path, *type;
};
static const struct type_table sm_table = {"sm_type", "softwaremoduletypes", "SoftwareModuleType"};
static const struct type_table ds_table = {
        "ds_type", "distributionsettypes", "DistributionSetType"};

static bool type_exists(struct request *q, const struct type_table *t, int64_t id)
{
        return sql_int(&q->tx, 0,
                arena_printf(&q->arena, "SELECT 1 FROM %s WHERE tenant=? AND id=?", t->table),
                SQL_I(q->tx.tenant), SQL_I(id));
}

static int require_type(struct request *q, const struct type_table *t, int64_t id)
{
        return type_exists(q, t, id) ? 0 : tx_not_found(&q->tx, t->type, id);
}

static int check_taken(struct request *q, const struct type_table *t, const json_t *one)
{
        const char *key = json_text(one, "key", ""), *name = json_text(one, "name", "");
        if (sql_int(&q->tx, 0,
                    arena_printf(&q->arena, "SELECT 1 FROM %s WHERE tenant=? AND (key=? OR name=?)",
                            t->table),
                    SQL_I(q->tx.tenant), SQL_T(key), SQL_T(name)))
                return tx_problem(&q->tx, PROBLEM_EXISTS, "Type '%s' exists already", key);
        return 0;
}

#define TYPE_COLUMNS                                                                               \
        "y.id, y.key, y.name, y.description, y.colour, y.deleted, y.created_by, y.created_at, "    \
        "y.modified_by, y.modified_at"

static json_t *type_json(struct request *q, const struct type_table *t, struct sql_rows *r)
{
        json_t *j = json_object();
        long long id = sql_col_int(r, 0);
        add_audit(j, r, 6);
        add_text(j, "name", sql_col_text(r, 2));
        add_text(j, "description", sql_col_text(r, 3));
        add_text(j, "colour", sql_col_text(r, 4));
        add_text(j, "key", sql_col_text(r, 1));
        add_int(j, "id", id);
        add_bool(j, "deleted", sql_col_int(r, 5));
        json_object_set_new(
                j, "_links", json_pack("{s:o}", "self", link_to(q, "%s/%lld", t->path, id)));
        return j;
}

static void update_common(struct request *q, const struct type_table *t, int64_t id)
{
        sql_run(&q->tx,
                arena_printf(&q->arena,
                        "UPDATE %s SET description=coalesce(?1, description), colour=coalesce(?2, "
                        "colour),"
                        " modified_by=?3, modified_at=?4 WHERE id=?5 AND (coalesce(?1, "
                        "description) IS DISTINCT FROM"
                        " description OR coalesce(?2, colour) IS DISTINCT FROM colour)",
                        t->table),
                SQL_T(json_text(q->body, "description", NULL)),
                SQL_T(json_text(q->body, "colour", NULL)), SQL_T(q->tx.user), SQL_I(q->tx.now),
                SQL_I(id));
}

/* ── module types ── */

static json_t *sm_type_row(struct request *q, struct sql_rows *r)
{
        json_t *j = type_json(q, &sm_table, r);
        add_int(j, "minArtifacts", sql_col_int(r, 10));
        add_int(j, "maxAssignments", sql_col_int(r, 11));
        return j;
}

#define SM_COLUMNS TYPE_COLUMNS ", y.min_artifacts, y.max_assignments"

static json_t *read_sm_type(struct request *q, int64_t id)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT " SM_COLUMNS " FROM sm_type y WHERE y.id=?", SQL_I(id));
        return sql_next(&r) ? sm_type_row(q, &r) : NULL;
}

int sm_types_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = SM_COLUMNS,
                                     .from = "sm_type y",
                                     .where = "y.tenant=? AND y.deleted=0",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "y.id",
                                     .row = sm_type_row});
}

int sm_types_create(struct request *q)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                if (check_taken(q, &sm_table, one) < 0)
                        return -1;
                int64_t id = sql_insert(&q->tx,
                        "INSERT INTO sm_type(tenant, key, name, description, colour, min_artifacts,"
                        " max_assignments, created_by, created_at, modified_by, modified_at)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?8, ?9)",
                        SQL_I(q->tx.tenant), SQL_T(json_text(one, "key", "")),
                        SQL_T(json_text(one, "name", "")),
                        SQL_T(json_text(one, "description", NULL)),
                        SQL_T(json_text(one, "colour", NULL)),
                        SQL_I(json_int(one, "minArtifacts", 0)),
                        SQL_I(json_int(one, "maxAssignments", 1)), SQL_T(q->tx.user),
                        SQL_I(q->tx.now));
                json_array_append_new(made, read_sm_type(q, id));
        }
        return reply_json(q, 201, TAKE(made));
}

int sm_type_show(struct request *q)
{
        return require_type(q, &sm_table, q->ids[0]) < 0
                       ? -1
                       : reply_json(q, 200, read_sm_type(q, q->ids[0]));
}

int sm_type_update(struct request *q)
{
        if (require_type(q, &sm_table, q->ids[0]) < 0)
                return -1;
        update_common(q, &sm_table, q->ids[0]);
        return reply_json(q, 200, read_sm_type(q, q->ids[0]));
}

static int not_found_in_list(struct request *q, const char *type, int64_t id)
{
        return tx_not_found_list(
                &q->tx, type, json_pack("[o]", json_sprintf("%lld", (long long)id)));
}

int sm_type_remove(struct request *q)
{
        int64_t id = q->ids[0];
        if (!type_exists(q, &sm_table, id))
                return not_found_in_list(q, "SoftwareModuleType", id);
        bool is_used = sql_int(&q->tx, 0,
                "SELECT EXISTS(SELECT 1 FROM module WHERE type=?1) OR EXISTS(SELECT 1 FROM "
                "ds_type_module"
                " WHERE sm_type=?1)",
                SQL_I(id));
        sql_run(&q->tx,
                is_used ? "UPDATE sm_type SET deleted=1 WHERE id=?"
                        : "DELETE FROM sm_type WHERE id=?",
                SQL_I(id));
        return reply_none(q, 204);
}

/* ── set types ── */

static json_t *ds_type_row(struct request *q, struct sql_rows *r)
{
        return type_json(q, &ds_table, r);
}

static json_t *read_ds_type(struct request *q, int64_t id, bool has_links)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT " TYPE_COLUMNS " FROM ds_type y WHERE y.id=?", SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        json_t *j = ds_type_row(q, &r);
        json_t *links = json_object_get(j, "_links");
        if (!has_links)
                return j;
        json_object_set_new(links, "mandatorymodules",
                link_to(q, "distributionsettypes/%lld/mandatorymoduletypes", (long long)id));
        json_object_set_new(links, "optionalmodules",
                link_to(q, "distributionsettypes/%lld/optionalmoduletypes", (long long)id));
        return j;
}

int ds_types_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = TYPE_COLUMNS,
                                     .from = "ds_type y",
                                     .where = "y.tenant=? AND y.deleted=0",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "y.id",
                                     .row = ds_type_row});
}

static int check_sm_types(struct request *q, const json_t *refs)
{
        json_t *missing = json_array();
        size_t i;
        json_t *ref;
        json_array_foreach((json_t *)refs, i, ref)
        {
                int64_t id = json_int(ref, "id", 0);
                if (!type_exists(q, &sm_table, id))
                        json_array_append_new(missing, json_object_get(ref, "id")
                                                               ? json_sprintf("%lld", (long long)id)
                                                               : json_string("null"));
        }
        if (json_array_size(missing) > 0)
                return tx_not_found_list(&q->tx, "SoftwareModuleType", missing);
        json_decref(missing);
        return 0;
}

static int add_sm_types(struct request *q, int64_t id, const json_t *refs, bool is_mandatory)
{
        size_t i;
        json_t *ref;
        if (check_sm_types(q, refs) < 0)
                return -1;
        json_array_foreach((json_t *)refs, i, ref)
        {
                int64_t type = json_int(ref, "id", 0);
                int64_t old = sql_int(&q->tx, -1,
                        "SELECT mandatory FROM ds_type_module WHERE ds_type=? AND sm_type=?",
                        SQL_I(id), SQL_I(type));
                if (old >= 0 && old != is_mandatory)
                        return tx_problem(&q->tx, PROBLEM_EXISTS, "A module type is in both lists");
                if (old < 0)
                        sql_run(&q->tx,
                                "INSERT INTO ds_type_module(ds_type, sm_type, mandatory) VALUES(?, "
                                "?, ?)",
                                SQL_I(id), SQL_I(type), SQL_I(is_mandatory));
        }
        return 0;
}

static int64_t create_ds_type(struct request *q, const json_t *one)
{
        const json_t *mandatory = json_object_get(one, "mandatorymodules");
        const json_t *optional = json_object_get(one, "optionalmodules");
        if ((mandatory && check_sm_types(q, mandatory) < 0) ||
                (optional && check_sm_types(q, optional) < 0) || check_taken(q, &ds_table, one) < 0)
                return 0;
        int64_t id = sql_insert(&q->tx,
                "INSERT INTO ds_type(tenant, key, name, description, colour, created_by, "
                "created_at,"
                " modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7)",
                SQL_I(q->tx.tenant), SQL_T(json_text(one, "key", "")),
                SQL_T(json_text(one, "name", "")), SQL_T(json_text(one, "description", NULL)),
                SQL_T(json_text(one, "colour", NULL)), SQL_T(q->tx.user), SQL_I(q->tx.now));
        if ((mandatory && add_sm_types(q, id, mandatory, true) < 0) ||
                (optional && add_sm_types(q, id, optional, false) < 0))
                return 0;
        return id;
}

int ds_types_create(struct request *q)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                int64_t id = create_ds_type(q, one);
                if (!id)
                        return -1;
                json_array_append_new(made, read_ds_type(q, id, false));
        }
        return reply_json(q, 201, TAKE(made));
}

int ds_type_show(struct request *q)
{
        return require_type(q, &ds_table, q->ids[0]) < 0
                       ? -1
                       : reply_json(q, 200, read_ds_type(q, q->ids[0], true));
}

int ds_type_update(struct request *q)
{
        if (require_type(q, &ds_table, q->ids[0]) < 0)
                return -1;
        update_common(q, &ds_table, q->ids[0]);
        return reply_json(q, 200, read_ds_type(q, q->ids[0], true));
}

int ds_type_remove(struct request *q)
{
        int64_t id = q->ids[0];
        if (require_type(q, &ds_table, id) < 0)
                return -1;
        bool is_used = sql_int(&q->tx, 0, "SELECT 1 FROM ds WHERE type=? LIMIT 1", SQL_I(id));
        if (!is_used &&
                sql_int(&q->tx, 0, "SELECT 1 FROM tenant WHERE default_ds_type=?", SQL_I(id)))
                return tx_problem(&q->tx, PROBLEM_INTEGRITY, "It is the tenant's default type");
        sql_run(&q->tx,
                is_used ? "UPDATE ds_type SET deleted=1 WHERE id=?"
                        : "DELETE FROM ds_type WHERE id=?",
                SQL_I(id));
        return reply_none(q, 204);
}

/* ── the module types of a set type ── */

static int list_elements(struct request *q, bool is_mandatory)
{
        if (require_type(q, &ds_table, q->ids[0]) < 0)
                return -1;
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " SM_COLUMNS
                " FROM sm_type y JOIN ds_type_module e ON e.sm_type=y.id WHERE e.ds_type=?"
                " AND e.mandatory=? ORDER BY y.id",
                SQL_I(q->ids[0]), SQL_I(is_mandatory));
        while (sql_next(&r))
                json_array_append_new(list, sm_type_row(q, &r));
        return reply_json(q, 200, list);
}

static int show_element(struct request *q, bool is_mandatory)
{
        if (require_type(q, &ds_table, q->ids[0]) < 0 || require_type(q, &sm_table, q->ids[1]) < 0)
                return -1;
        if (!sql_int(&q->tx, 0,
                    "SELECT 1 FROM ds_type_module WHERE ds_type=? AND sm_type=? AND mandatory=?",
                    SQL_I(q->ids[0]), SQL_I(q->ids[1]), SQL_I(is_mandatory)))
                return tx_problem(&q->tx, PROBLEM_NOT_FOUND, "The module type is not in this list");
        return reply_json(q, 200, read_sm_type(q, q->ids[1]));
}

static int need_unused(struct request *q)
{
        if (require_type(q, &ds_table, q->ids[0]) < 0)
                return -1;
        if (sql_int(&q->tx, 0, "SELECT 1 FROM ds WHERE type=? LIMIT 1", SQL_I(q->ids[0])))
                return tx_problem(&q->tx, PROBLEM_READ_ONLY, "Distribution sets use this type");
        return 0;
}

static void touch_ds_type(struct request *q)
{
        sql_run(&q->tx, "UPDATE ds_type SET modified_by=?, modified_at=? WHERE id=?",
                SQL_T(q->tx.user), SQL_I(q->tx.now), SQL_I(q->ids[0]));
}

static int add_element(struct request *q, bool is_mandatory)
{
        int64_t type = json_int(q->body, "id", 0);
        CLEAN_JSON json_t *refs = json_pack("[O]", q->body);
        if (require_type(q, &ds_table, q->ids[0]) < 0 || check_sm_types(q, refs) < 0 ||
                need_unused(q) < 0)
                return -1;
        int64_t old = sql_int(&q->tx, -1,
                "SELECT mandatory FROM ds_type_module WHERE ds_type=? AND sm_type=?",
                SQL_I(q->ids[0]), SQL_I(type));
        int64_t n = sql_int(
                &q->tx, 0, "SELECT count(*) FROM ds_type_module WHERE ds_type=?", SQL_I(q->ids[0]));
        if (old < 0 && n >= LIMIT_OTA_TYPES_PER_TYPE)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many module types in a set type");
        if (old != is_mandatory) {
                sql_run(&q->tx,
                        "INSERT INTO ds_type_module(ds_type, sm_type, mandatory) VALUES(?1, ?2, ?3)"
                        " ON CONFLICT(ds_type, sm_type) DO UPDATE SET mandatory=?3",
                        SQL_I(q->ids[0]), SQL_I(type), SQL_I(is_mandatory));
                touch_ds_type(q);
        }
        return reply_none(q, 204);
}

static int remove_element(struct request *q)
{
        if (need_unused(q) < 0 || require_type(q, &sm_table, q->ids[1]) < 0)
                return -1;
        if (sql_run(&q->tx, "DELETE FROM ds_type_module WHERE ds_type=? AND sm_type=?",
                    SQL_I(q->ids[0]), SQL_I(q->ids[1])) > 0)
                touch_ds_type(q);
        return reply_none(q, 204);
}

int ds_type_mandatory_list(struct request *q)
{
        return list_elements(q, true);
}
int ds_type_mandatory_show(struct request *q)
{
        return show_element(q, true);
}
int ds_type_mandatory_add(struct request *q)
{
        return add_element(q, true);
}
int ds_type_mandatory_remove(struct request *q)
{
        return remove_element(q);
}
int ds_type_optional_list(struct request *q)
{
        return list_elements(q, false);
}
int ds_type_optional_show(struct request *q)
{
        return show_element(q, false);
}
int ds_type_optional_add(struct request *q)
{
        return add_element(q, false);
}
int ds_type_optional_remove(struct request *q)
{
        return remove_element(q);
}

json_t *ds_type_json(struct request *q, int64_t id)
{
        return read_ds_type(q, id, false);
}
