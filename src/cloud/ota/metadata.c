/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/module.h"
#include "cloud/ota/set.h"
#include "cloud/ota/target.h"

#include <string.h>

/* Three owners with one table each; where hawkBit treats them differently, the struct says so. */
struct owner {
        const char *table, *column;
        const char *missing_type;   /* of a key, on GET */
        const char *missing_delete; /* of a key, on DELETE; with prefix */
        const char *delete_prefix;
        bool overwrites; /* POST of a key that is there */
        bool has_visibility;
        bool is_sorted;
};

static const struct owner of_target = {"target_metadata", "target", "Target metadata",
        "Target metadata", NULL, false, false, true};
static const struct owner of_module = {"module_metadata", "module", "SoftwareModule metadata",
        "Metadata", "SoftwareModule:", true, true, false};
static const struct owner of_set = {
        "ds_metadata", "ds", "Target metadata", "Metadata", "DistributionSet:", true, false, false};

static const struct shape create_members[] = {
        {.name = "key", .type = SHAPE_TEXT, .flags = SHAPE_REQUIRED},
        {.name = "value", .type = SHAPE_TEXT},
        {.name = "targetVisible", .type = SHAPE_BOOL},
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_metadata_create[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY, .sub = create_one}};
static const struct shape update_members[] = {
        {.name = "value", .type = SHAPE_TEXT},
        {.name = "targetVisible", .type = SHAPE_BOOL},
        {0},
};
const struct shape shape_metadata_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

/* ── rows ── */

static json_t *entry_json(const struct owner *o, struct sql_rows *r)
{
        json_t *j = json_object();
        add_text(j, "key", sql_col_text(r, 0));
        add_text(j, "value", sql_col_text(r, 1));
        if (o->has_visibility)
                add_bool(j, "targetVisible", sql_col_int(r, 2));
        return j;
}

static const char *columns(const struct owner *o)
{
        return o->has_visibility ? "key, value, visible" : "key, value";
}

static int list_entries(struct request *q, const struct owner *o, int64_t id)
{
        json_t *content = json_array();
        const char *sql = arena_printf(&q->arena, "SELECT %s FROM %s WHERE %s=? ORDER BY %s",
                columns(o), o->table, o->column, o->is_sorted ? "key" : "seq");
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx, sql, SQL_I(id));
        while (sql_next(&r))
                json_array_append_new(content, entry_json(o, &r));
        return reply_json(q, 200, page_of(content, (int64_t)json_array_size(content)));
}

static bool has_entry(struct request *q, const struct owner *o, int64_t id, const char *key)
{
        return sql_int(&q->tx, 0,
                arena_printf(
                        &q->arena, "SELECT 1 FROM %s WHERE %s=? AND key=?", o->table, o->column),
                SQL_I(id), SQL_T(key));
}

static int check_lengths(
        struct request *q, const struct owner *o, const char *key, const char *value)
{
        if (shape_utf16_length(key) > 128)
                return tx_problem(&q->tx, PROBLEM_INTEGRITY, "The key is too long");
        if (value && shape_utf16_length(value) > 4000)
                return tx_problem(&q->tx,
                        o->has_visibility ? PROBLEM_CONSTRAINT : PROBLEM_INTEGRITY,
                        "The value is too long");
        return 0;
}

/* What isn't sorted is listed as it came. */
static const char *put_statement(struct request *q, const struct owner *o)
{
        const char *next = arena_printf(&q->arena,
                ", (SELECT coalesce(max(seq), 0) + 1 FROM %s WHERE %s=?1)", o->table, o->column);
        return arena_printf(&q->arena,
                "INSERT INTO %s(%s, key, value%s) VALUES(?1, ?2, ?3%s) ON CONFLICT(%s, key) DO "
                "UPDATE SET value=?3",
                o->table, o->column, o->is_sorted ? "" : ", seq", o->is_sorted ? "" : next,
                o->column);
}

static int put_entry(struct request *q, const struct owner *o, int64_t id, const char *key,
        const char *value, bool is_visible)
{
        struct tx *tx = &q->tx;
        if (check_lengths(q, o, key, value) < 0)
                return -1;
        if (!has_entry(q, o, id, key) &&
                sql_int(tx, 0,
                        arena_printf(&q->arena, "SELECT count(*) FROM %s WHERE %s=?", o->table,
                                o->column),
                        SQL_I(id)) >= LIMIT_OTA_PER_PARENT)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many metadata entries");
        if (o->has_visibility)
                sql_run(tx,
                        "INSERT INTO module_metadata(module, key, value, visible, seq) VALUES(?1, "
                        "?2, ?3, ?4, (SELECT coalesce(max(seq), 0) + 1 FROM module_metadata WHERE "
                        "module=?1)) ON CONFLICT(module, key) DO UPDATE SET value=?3, visible=?4",
                        SQL_I(id), SQL_T(key), SQL_T(value), SQL_I(is_visible));
        else
                sql_run(tx, put_statement(q, o), SQL_I(id), SQL_T(key), SQL_T(value));
        return 0;
}

/* The same key twice in one request is refused; hawkBit fails on it. */
static bool has_twice(const json_t *entries, size_t at)
{
        const char *key = json_text(json_array_get(entries, at), "key", "");
        for (size_t i = 0; i < at; i++) {
                if (strcmp(json_text(json_array_get(entries, i), "key", ""), key) == 0)
                        return true;
        }
        return false;
}

static int create_entries(struct request *q, const struct owner *o, int64_t id)
{
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                const char *key = json_text(one, "key", ""), *value = json_text(one, "value", NULL);
                if (has_twice(q->body, i))
                        return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "'%s' is given twice", key);
                if (!value && !o->has_visibility)
                        return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "value must not be null");
                if (!o->overwrites && has_entry(q, o, id, key))
                        return tx_problem(&q->tx, PROBLEM_EXISTS, "'%s' exists already", key);
                if (value &&
                        put_entry(q, o, id, key, value, json_bool(one, "targetVisible", false)) < 0)
                        return -1;
        }
        return reply_none(q, 201);
}

static int show_entry(struct request *q, const struct owner *o, int64_t id, const char *shown)
{
        const char *key = q->texts[1];
        const char *sql = arena_printf(&q->arena, "SELECT %s FROM %s WHERE %s=? AND key=?",
                columns(o), o->table, o->column);
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx, sql, SQL_I(id), SQL_T(key));
        if (!sql_next(&r))
                return tx_not_found_text(
                        &q->tx, o->missing_type, arena_printf(&q->arena, "%s:%s", shown, key));
        return reply_json(q, 200, entry_json(o, &r));
}

static int update_entry(struct request *q, const struct owner *o, int64_t id)
{
        const char *value = json_text(q->body, "value", NULL);
        if (!value)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "value must not be null");
        if (put_entry(q, o, id, q->texts[1], value, json_bool(q->body, "targetVisible", false)) < 0)
                return -1;
        return reply_none(q, 204);
}

static int remove_entry(struct request *q, const struct owner *o, int64_t id, const char *shown)
{
        const char *sql =
                arena_printf(&q->arena, "DELETE FROM %s WHERE %s=? AND key=?", o->table, o->column);
        if (sql_run(&q->tx, sql, SQL_I(id), SQL_T(q->texts[1])) > 0)
                return reply_none(q, 204);
        return tx_not_found_text(&q->tx, o->missing_delete,
                arena_printf(&q->arena, "%s%s:%s", o->delete_prefix ? o->delete_prefix : "", shown,
                        q->texts[1]));
}

/* ── targets ── */

int target_metadata_list(struct request *q)
{
        struct target t;
        return target_require(&q->tx, q->texts[0], &t) < 0 ? -1 : list_entries(q, &of_target, t.id);
}

int target_metadata_create(struct request *q)
{
        struct target t;
        return target_require(&q->tx, q->texts[0], &t) < 0 ? -1
                                                           : create_entries(q, &of_target, t.id);
}

int target_metadata_show(struct request *q)
{
        struct target t;
        return target_require(&q->tx, q->texts[0], &t) < 0
                       ? -1
                       : show_entry(q, &of_target, t.id, t.controller_id);
}

int target_metadata_update(struct request *q)
{
        struct target t;
        return target_require(&q->tx, q->texts[0], &t) < 0 ? -1 : update_entry(q, &of_target, t.id);
}

int target_metadata_remove(struct request *q)
{
        struct target t;
        return target_require(&q->tx, q->texts[0], &t) < 0
                       ? -1
                       : remove_entry(q, &of_target, t.id, t.controller_id);
}

/* ── modules ── */

int module_metadata_list(struct request *q)
{
        struct module m;
        return module_require(&q->tx, q->ids[0], &m) < 0 ? -1 : list_entries(q, &of_module, m.id);
}

int module_metadata_create(struct request *q)
{
        struct module m;
        return module_require(&q->tx, q->ids[0], &m) < 0 ? -1 : create_entries(q, &of_module, m.id);
}

int module_metadata_show(struct request *q)
{
        struct module m;
        return module_require(&q->tx, q->ids[0], &m) < 0
                       ? -1
                       : show_entry(q, &of_module, m.id, q->texts[0]);
}

int module_metadata_update(struct request *q)
{
        struct module m;
        return module_require(&q->tx, q->ids[0], &m) < 0 ? -1 : update_entry(q, &of_module, m.id);
}

int module_metadata_remove(struct request *q)
{
        struct module m;
        return module_require(&q->tx, q->ids[0], &m) < 0
                       ? -1
                       : remove_entry(q, &of_module, m.id, q->texts[0]);
}

/* ── sets ── */

int set_metadata_list(struct request *q)
{
        struct dset s;
        return set_require(&q->tx, q->ids[0], &s) < 0 ? -1 : list_entries(q, &of_set, s.id);
}

int set_metadata_create(struct request *q)
{
        struct dset s;
        return set_require_valid(&q->tx, q->ids[0], &s) < 0 ? -1 : create_entries(q, &of_set, s.id);
}

int set_metadata_show(struct request *q)
{
        struct dset s;
        return set_require(&q->tx, q->ids[0], &s) < 0 ? -1
                                                      : show_entry(q, &of_set, s.id, q->texts[0]);
}

int set_metadata_update(struct request *q)
{
        struct dset s;
        return set_require_valid(&q->tx, q->ids[0], &s) < 0 ? -1 : update_entry(q, &of_set, s.id);
}

int set_metadata_remove(struct request *q)
{
        struct dset s;
        return set_require_valid(&q->tx, q->ids[0], &s) < 0
                       ? -1
                       : remove_entry(q, &of_set, s.id, q->texts[0]);
}
