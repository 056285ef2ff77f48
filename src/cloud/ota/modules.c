/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/blob.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/module.h"

#include <string.h>

static const struct shape create_members[] = {
        {.name = "name",
                .type = SHAPE_TEXT,
                .max = 128,
                .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "version",
                .type = SHAPE_TEXT,
                .max = 64,
                .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "type", .type = SHAPE_TEXT, .max = 64, .flags = SHAPE_REQUIRED},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "vendor", .type = SHAPE_TEXT, .max = 256, .flags = SHAPE_NO_MARKUP},
        {.name = "encrypted", .type = SHAPE_BOOL},
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_module_create[] = {{.type = SHAPE_ARRAY, .sub = create_one}};

static const struct shape update_members[] = {
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "vendor", .type = SHAPE_TEXT, .max = 256, .flags = SHAPE_NO_MARKUP},
        {.name = "locked", .type = SHAPE_BOOL},
        {0},
};
const struct shape shape_module_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

/* ── what module.h promises ── */

bool module_find(struct tx *tx, int64_t id, struct module *ret)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT id, type, name, version, description, vendor, locked, deleted FROM module "
                "WHERE"
                " tenant=? AND id=?",
                SQL_I(tx->tenant), SQL_I(id));
        if (!sql_next(&r))
                return false;
        *ret = (struct module){.id = sql_col_int(&r, 0),
                .type = sql_col_int(&r, 1),
                .name = sql_col_text(&r, 2),
                .version = sql_col_text(&r, 3),
                .description = sql_col_text(&r, 4),
                .vendor = sql_col_text(&r, 5),
                .is_locked = sql_col_int(&r, 6),
                .is_deleted = sql_col_int(&r, 7)};
        return true;
}

int module_require(struct tx *tx, int64_t id, struct module *ret)
{
        return module_find(tx, id, ret) ? 0 : tx_not_found(tx, "SoftwareModule", id);
}

void module_touch(struct tx *tx, int64_t id)
{
        sql_run(tx, "UPDATE module SET modified_by=?, modified_at=? WHERE id=?", SQL_T(tx->user),
                SQL_I(tx->now), SQL_I(id));
}

/* ── JSON ── */

json_t *module_row(struct request *q, struct sql_rows *r)
{
        json_t *j = json_object();
        int64_t id = sql_col_int(r, 0);
        int64_t min = sql_col_int(r, 10);
        bool is_complete =
                min == 0 || sql_int(&q->tx, 0, "SELECT count(*) FROM artifact WHERE module=?",
                                    SQL_I(id)) >= min;
        add_audit(j, r, 11);
        add_text(j, "name", sql_col_text(r, 1));
        add_text(j, "description", sql_col_text(r, 3));
        add_int(j, "id", id);
        add_text(j, "version", sql_col_text(r, 2));
        add_text(j, "type", sql_col_text(r, 8));
        add_text(j, "typeName", sql_col_text(r, 9));
        add_text(j, "vendor", sql_col_text(r, 4));
        add_bool(j, "encrypted", sql_col_int(r, 5));
        add_bool(j, "locked", sql_col_int(r, 6));
        add_bool(j, "deleted", sql_col_int(r, 7));
        add_bool(j, "complete", is_complete);
        json_object_set_new(j, "_links",
                json_pack("{s:o}", "self", link_to(q, "softwaremodules/%lld", (long long)id)));
        return j;
}

static json_t *read_module_json(struct request *q, int64_t id, bool has_links)
{
        CLEAN_ROWS struct sql_rows r = sql_open(
                &q->tx, "SELECT " MODULE_COLUMNS " FROM " MODULE_FROM " WHERE m.id=?", SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        json_t *j = module_row(q, &r);
        json_t *links = json_object_get(j, "_links");
        if (!has_links)
                return j;
        int64_t type = sql_int(&q->tx, 0, "SELECT type FROM module WHERE id=?", SQL_I(id));
        json_object_set_new(
                links, "artifacts", link_to(q, "softwaremodules/%lld/artifacts", (long long)id));
        json_object_set_new(links, "type", link_to(q, "softwaremoduletypes/%lld", (long long)type));
        json_object_set_new(
                links, "metadata", link_to(q, "softwaremodules/%lld/metadata", (long long)id));
        return j;
}

/* ── handlers ── */

int modules_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = MODULE_COLUMNS,
                                     .from = MODULE_FROM,
                                     .where = "m.tenant=? AND m.deleted=0",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "m.id",
                                     .row = module_row});
}

static int64_t create_one_module(struct request *q, const json_t *one)
{
        struct tx *tx = &q->tx;
        const char *key = json_text(one, "type", ""), *name = json_text(one, "name", "");
        const char *version = json_text(one, "version", "");
        if (json_bool(one, "encrypted", false))
                return tx_problem(tx, PROBLEM_ENCRYPTION, "Artifact encryption is not supported"),
                       0;
        int64_t type = sql_int(tx, 0, "SELECT id FROM sm_type WHERE tenant=? AND key=?",
                SQL_I(tx->tenant), SQL_T(key));
        if (!type)
                return tx_not_found_text(tx, "SoftwareModuleType", key), 0;
        if (sql_int(tx, 0, "SELECT deleted FROM sm_type WHERE id=?", SQL_I(type)))
                return tx_problem(tx, PROBLEM_CONSTRAINT, "type '%s' is deleted", key), 0;
        if (sql_int(tx, 0,
                    "SELECT 1 FROM module WHERE tenant=? AND type=? AND name=? AND version=?",
                    SQL_I(tx->tenant), SQL_I(type), SQL_T(name), SQL_T(version)))
                return tx_problem(tx, PROBLEM_EXISTS, "Module '%s' '%s' exists already", name,
                               version),
                       0;
        return sql_insert(tx,
                "INSERT INTO module(tenant, type, name, version, description, vendor, created_by, "
                "created_at,"
                " modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7, ?8)",
                SQL_I(tx->tenant), SQL_I(type), SQL_T(name), SQL_T(version),
                SQL_T(json_text(one, "description", NULL)), SQL_T(json_text(one, "vendor", NULL)),
                SQL_T(tx->user), SQL_I(tx->now));
}

int modules_create(struct request *q)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                int64_t id = create_one_module(q, one);
                if (!id)
                        return -1;
                json_array_append_new(made, read_module_json(q, id, false));
        }
        return reply_json(q, 201, TAKE(made));
}

int module_show(struct request *q)
{
        struct module m;
        if (module_require(&q->tx, q->ids[0], &m) < 0)
                return -1;
        return reply_json(q, 200, read_module_json(q, m.id, true));
}

static bool differs(const char *wanted, const char *now)
{
        return wanted && (!now || strcmp(wanted, now) != 0);
}

int module_update(struct request *q)
{
        struct module m;
        if (module_require(&q->tx, q->ids[0], &m) < 0)
                return -1;
        const char *description = json_text(q->body, "description", NULL);
        const char *vendor = json_text(q->body, "vendor", NULL);
        bool is_locked = json_bool(q->body, "locked", m.is_locked);
        if (differs(description, m.description) || differs(vendor, m.vendor) ||
                is_locked != m.is_locked) {
                sql_run(&q->tx,
                        "UPDATE module SET description=coalesce(?, description), "
                        "vendor=coalesce(?, vendor),"
                        " locked=? WHERE id=?",
                        SQL_T(description), SQL_T(vendor), SQL_I(is_locked), SQL_I(m.id));
                module_touch(&q->tx, m.id);
        }
        return reply_json(q, 200, read_module_json(q, m.id, true));
}

int module_remove(struct request *q)
{
        struct module m;
        if (module_require(&q->tx, q->ids[0], &m) < 0)
                return -1;
        if (sql_int(&q->tx, 0,
                    "SELECT 1 FROM ds_module e JOIN ds s ON s.id=e.ds WHERE e.module=? AND "
                    "s.locked=1 AND"
                    " s.deleted=0",
                    SQL_I(m.id)))
                return tx_problem(&q->tx, PROBLEM_LOCKED,
                        "Module %lld is in a locked distribution set", (long long)m.id);
        bool is_used =
                sql_int(&q->tx, 0, "SELECT 1 FROM ds_module WHERE module=? LIMIT 1", SQL_I(m.id));
        blob_forget_module(&q->tx, q->ota, m.id);
        if (is_used)
                sql_run(&q->tx, "UPDATE module SET deleted=1 WHERE id=?", SQL_I(m.id));
        else
                sql_run(&q->tx, "DELETE FROM module WHERE id=?", SQL_I(m.id));
        if (is_used)
                module_touch(&q->tx, m.id);
        return reply_none(q, 204);
}
