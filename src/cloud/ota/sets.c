/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/action.h"
#include "cloud/ota/events.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/module.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/set.h"

#include <string.h>

/* ── bodies ── */

static const struct shape create_members[] = {
        {.name = "name",
                .type = SHAPE_TEXT,
                .max = 128,
                .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "version",
                .type = SHAPE_TEXT,
                .max = 64,
                .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "type", .type = SHAPE_TEXT},
        {.name = "requiredMigrationStep", .type = SHAPE_BOOL},
        {.name = "modules", .type = SHAPE_ARRAY, .sub = shape_id_object},
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_set_create[] = {{.type = SHAPE_ARRAY, .sub = create_one}};

static const struct shape update_members[] = {
        {.name = "name",
                .type = SHAPE_TEXT,
                .max = 128,
                .flags = SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "version",
                .type = SHAPE_TEXT,
                .max = 64,
                .flags = SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "locked", .type = SHAPE_BOOL},
        {.name = "requiredMigrationStep", .type = SHAPE_BOOL},
        {0},
};
const struct shape shape_set_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

static const char *const cancelations[] = {"soft", "force", "none", NULL};
static const struct shape invalidate_members[] = {
        {.name = "actionCancelationType",
                .type = SHAPE_WORD,
                .words = cancelations,
                .flags = SHAPE_NEEDED},
        {0},
};
const struct shape shape_invalidate[] = {{.type = SHAPE_OBJECT, .sub = invalidate_members}};

/* ── JSON ── */

static json_t *modules_json(struct request *q, int64_t set)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " MODULE_COLUMNS " FROM " MODULE_FROM
                " JOIN ds_module e ON e.module=m.id WHERE e.ds=? ORDER BY m.id",
                SQL_I(set));
        while (sql_next(&r))
                json_array_append_new(list, module_row(q, &r));
        return list;
}

json_t *set_row(struct request *q, struct sql_rows *r)
{
        struct dset s;
        json_t *j = json_object();
        set_read(r, &s);
        add_audit(j, r, SET_AUDIT_COLUMN);
        add_text(j, "name", s.name);
        add_text(j, "description", s.description);
        add_int(j, "id", s.id);
        add_text(j, "version", s.version);
        json_object_set_new(j, "modules", modules_json(q, s.id));
        add_bool(j, "requiredMigrationStep", s.is_migration);
        add_text(j, "type", s.type_key);
        add_text(j, "typeName", s.type_name);
        add_bool(j, "complete", s.is_complete);
        add_bool(j, "locked", s.is_locked);
        add_bool(j, "deleted", s.is_deleted);
        add_bool(j, "valid", s.is_valid);
        json_object_set_new(j, "_links",
                json_pack("{s:o}", "self", link_to(q, "distributionsets/%lld", (long long)s.id)));
        return j;
}

static json_t *read_set_json(struct request *q, int64_t id, bool has_links)
{
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " SET_COLUMNS " FROM " SET_FROM " WHERE s.tenant=? AND s.id=?",
                SQL_I(q->tx.tenant), SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        json_t *j = set_row(q, &r);
        json_t *links = json_object_get(j, "_links");
        long long type = sql_col_int(&r, 1);
        if (!has_links)
                return j;
        json_object_set_new(links, "modules",
                link_to(q, "distributionsets/%lld/assignedSM?offset=0&limit=50", (long long)id));
        json_object_set_new(links, "type", link_to(q, "distributionsettypes/%lld", type));
        json_object_set_new(
                links, "metadata", link_to(q, "distributionsets/%lld/metadata", (long long)id));
        return j;
}

json_t *set_json(struct request *q, int64_t id)
{
        return id ? read_set_json(q, id, true) : NULL;
}

/* ── collection ── */

static bool row_is_complete(struct request *q, struct sql_rows *r)
{
        (void)q;
        return sql_col_int(r, 11);
}

int sets_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = SET_COLUMNS,
                                     .from = SET_FROM,
                                     .where = "s.tenant=? AND s.deleted=0",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "s.id",
                                     .row = set_row,
                                     .is_complete = row_is_complete});
}

static int64_t type_of_new_set(struct request *q, const char *key)
{
        struct tx *tx = &q->tx;
        if (!key)
                return sql_int(
                        tx, 0, "SELECT default_ds_type FROM tenant WHERE id=?", SQL_I(tx->tenant));
        int64_t type = sql_int(tx, 0, "SELECT id FROM ds_type WHERE tenant=? AND key=?",
                SQL_I(tx->tenant), SQL_T(key));
        if (!type)
                return tx_not_found_text(tx, "DistributionSetType", key), 0;
        if (sql_int(tx, 0, "SELECT deleted FROM ds_type WHERE id=?", SQL_I(type)))
                return tx_problem(tx, PROBLEM_CONSTRAINT, "type '%s' is deleted", key), 0;
        return type;
}

/* Each of [{"id":…}] must be a module; the unknown ones become the problem's list. */
static int check_modules(struct request *q, const json_t *refs)
{
        json_t *missing = json_array();
        size_t i;
        json_t *ref;
        struct module m;
        json_array_foreach((json_t *)refs, i, ref)
        {
                int64_t id = json_int(ref, "id", 0);
                if (module_find(&q->tx, id, &m))
                        continue;
                json_array_append_new(missing, json_object_get(ref, "id")
                                                       ? json_sprintf("%lld", (long long)id)
                                                       : json_string("null"));
        }
        if (json_array_size(missing) > 0)
                return tx_not_found_list(&q->tx, "SoftwareModule", missing);
        json_decref(missing);
        return 0;
}

static int add_modules(struct request *q, const struct dset *s, const json_t *refs)
{
        size_t i;
        json_t *ref;
        if (check_modules(q, refs) < 0)
                return -1;
        json_array_foreach((json_t *)refs, i, ref)
        {
                if (set_add_module(&q->tx, s, json_int(ref, "id", 0)) < 0)
                        return -1;
        }
        return 0;
}

static int64_t create_one_set(struct request *q, const json_t *one)
{
        struct tx *tx = &q->tx;
        const char *name = json_text(one, "name", ""), *version = json_text(one, "version", "");
        const json_t *refs = json_object_get(one, "modules");
        int64_t type = type_of_new_set(q, json_text(one, "type", NULL));
        if (!type || (refs && check_modules(q, refs) < 0))
                return 0;
        if (sql_int(tx, 0, "SELECT 1 FROM ds WHERE tenant=? AND name=? AND version=? AND type=?",
                    SQL_I(tx->tenant), SQL_T(name), SQL_T(version), SQL_I(type)))
                return tx_problem(
                               tx, PROBLEM_EXISTS, "Set '%s' '%s' exists already", name, version),
                       0;
        int64_t id = sql_insert(tx,
                "INSERT INTO ds(tenant, type, name, version, description, migration, created_by, "
                "created_at,"
                " modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7, ?8)",
                SQL_I(tx->tenant), SQL_I(type), SQL_T(name), SQL_T(version),
                SQL_T(json_text(one, "description", NULL)),
                SQL_I(json_bool(one, "requiredMigrationStep", false)), SQL_T(tx->user),
                SQL_I(tx->now));
        struct dset s = {.id = id, .type = type};
        return refs && add_modules(q, &s, refs) < 0 ? 0 : id;
}

int sets_create(struct request *q)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                int64_t id = create_one_set(q, one);
                if (!id)
                        return -1;
                json_array_append_new(made, read_set_json(q, id, false));
        }
        return reply_json(q, 201, TAKE(made));
}

/* ── one set ── */

int set_show(struct request *q)
{
        struct dset s;
        if (set_require(&q->tx, q->ids[0], &s) < 0)
                return -1;
        return reply_json(q, 200, set_json(q, s.id));
}

static void touch(struct request *q, int64_t id)
{
        sql_run(&q->tx, "UPDATE ds SET modified_by=?, modified_at=? WHERE id=?", SQL_T(q->tx.user),
                SQL_I(q->tx.now), SQL_I(id));
}

static bool differs(const char *wanted, const char *now)
{
        return wanted && (!now || strcmp(wanted, now) != 0);
}

static int check_name(
        struct request *q, const struct dset *s, const char *name, const char *version)
{
        if (sql_int(&q->tx, 0,
                    "SELECT 1 FROM ds WHERE tenant=? AND name=? AND version=? AND type=? AND id<>?",
                    SQL_I(q->tx.tenant), SQL_T(name), SQL_T(version), SQL_I(s->type), SQL_I(s->id)))
                return tx_problem(
                        &q->tx, PROBLEM_EXISTS, "Set '%s' '%s' exists already", name, version);
        return 0;
}

int set_update(struct request *q)
{
        struct dset s;
        const json_t *b = q->body;
        if (set_require_valid(&q->tx, q->ids[0], &s) < 0)
                return -1;
        const char *name = json_text(b, "name", s.name),
                   *version = json_text(b, "version", s.version);
        const char *description = json_text(b, "description", NULL);
        bool is_locked = json_bool(b, "locked", s.is_locked);
        bool is_migration = json_bool(b, "requiredMigrationStep", s.is_migration);
        /* an unlock in the same request comes first, so that the answer doesn't depend on chance */
        if (is_migration != s.is_migration && is_locked && s.is_locked)
                return tx_problem(&q->tx, PROBLEM_LOCKED, "Set %lld is locked", (long long)s.id);
        if (check_name(q, &s, name, version) < 0)
                return -1;
        if (is_locked && !s.is_locked)
                set_lock(&q->tx, s.id);
        if (differs(name, s.name) || differs(version, s.version) ||
                differs(description, s.description) || is_locked != s.is_locked ||
                is_migration != s.is_migration) {
                sql_run(&q->tx,
                        "UPDATE ds SET name=?, version=?, description=coalesce(?, description), "
                        "locked=?,"
                        " migration=? WHERE id=?",
                        SQL_T(name), SQL_T(version), SQL_T(description), SQL_I(is_locked),
                        SQL_I(is_migration), SQL_I(s.id));
                touch(q, s.id);
        }
        return reply_json(q, 200, set_json(q, s.id));
}

int set_remove(struct request *q)
{
        struct dset s;
        if (!set_find(&q->tx, q->ids[0], &s))
                return tx_not_found_list(&q->tx, "DistributionSet",
                        json_pack("[o]", json_sprintf("%lld", (long long)q->ids[0])));
        set_delete(&q->tx, &s);
        return reply_none(q, 204);
}

/* ── modules ── */

int set_modules_list(struct request *q)
{
        struct dset s;
        if (set_require(&q->tx, q->ids[0], &s) < 0)
                return -1;
        return list_reply(q, &(struct listing){.columns = MODULE_COLUMNS,
                                     .from = MODULE_FROM " JOIN ds_module e ON e.module=m.id",
                                     .where = "e.ds=?",
                                     .args = {SQL_I(s.id)},
                                     .n_args = 1,
                                     .order = "m.id",
                                     .row = module_row});
}

static int need_open(struct request *q, struct dset *s)
{
        if (set_require_valid(&q->tx, q->ids[0], s) < 0)
                return -1;
        if (s->is_locked)
                return tx_problem(&q->tx, PROBLEM_LOCKED, "Set %lld is locked", (long long)s->id);
        return 0;
}

int set_modules_add(struct request *q)
{
        struct dset s;
        if (set_require_valid(&q->tx, q->ids[0], &s) < 0 || check_modules(q, q->body) < 0 ||
                need_open(q, &s) < 0)
                return -1;
        int64_t n = sql_int(&q->tx, 0, "SELECT count(*) FROM ds_module WHERE ds=?", SQL_I(s.id));
        if (n + (int64_t)json_array_size(q->body) > LIMIT_OTA_PER_PARENT)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many modules in a distribution set");
        if (add_modules(q, &s, q->body) < 0)
                return -1;
        touch(q, s.id);
        return reply_none(q, 204);
}

int set_modules_remove(struct request *q)
{
        struct dset s;
        struct module m;
        if (need_open(q, &s) < 0 || module_require(&q->tx, q->ids[1], &m) < 0)
                return -1;
        if (sql_run(&q->tx, "DELETE FROM ds_module WHERE ds=? AND module=?", SQL_I(s.id),
                    SQL_I(m.id)) > 0)
                touch(q, s.id);
        return reply_none(q, 204);
}

/* ── who has it ── */

static int list_targets(struct request *q, const char *where)
{
        struct dset s;
        if (set_require(&q->tx, q->ids[0], &s) < 0)
                return -1;
        return list_reply(q, &(struct listing){.columns = TARGET_COLUMNS,
                                     .from = "target t",
                                     .where = where,
                                     .args = {SQL_I(s.id)},
                                     .n_args = 1,
                                     .order = "t.id",
                                     .row = target_row});
}

int set_assigned_targets(struct request *q)
{
        return list_targets(q, "t.assigned_ds=?");
}

int set_installed_targets(struct request *q)
{
        return list_targets(q, "t.installed_ds=?");
}

int set_auto_filters(struct request *q)
{
        struct dset s;
        if (set_require(&q->tx, q->ids[0], &s) < 0)
                return -1;
        return list_reply(q, &(struct listing){.columns = FILTER_COLUMNS,
                                     .from = "filter f",
                                     .where = "f.auto_ds=?",
                                     .args = {SQL_I(s.id)},
                                     .n_args = 1,
                                     .order = "f.id",
                                     .row = filter_row});
}

/* ── statistics ── */

/* {"RUNNING":2,"total":2} of a table's rows for the set. */
static json_t *count_by_status(
        struct request *q, const char *sql, int64_t set, const char *const *words)
{
        json_t *j = json_object();
        int64_t total = 0;
        CLEAN_ROWS struct sql_rows r = sql_open_args(&q->tx, sql, SQL_ARGS(SQL_I(set)));
        while (sql_next(&r)) {
                char *word = arena_strdup(&q->arena, words[sql_col_int(&r, 0)]);
                for (char *p = word; *p; p++)
                        *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
                add_int(j, word, sql_col_int(&r, 1));
                total += sql_col_int(&r, 1);
        }
        add_int(j, "total", total);
        return j;
}

enum { STATISTICS_ACTIONS = 1, STATISTICS_ROLLOUTS = 2, STATISTICS_AUTO = 4, STATISTICS_ALL = 7 };

static void put_unless_empty(json_t *j, const char *key, json_t *counts, bool is_alone)
{
        if (is_alone && json_int(counts, "total", 0) == 0)
                json_decref(counts);
        else
                json_object_set_new(j, key, counts);
}

static int reply_statistics(struct request *q, unsigned parts)
{
        struct dset s;
        if (set_require(&q->tx, q->ids[0], &s) < 0)
                return -1;
        json_t *j = json_object();
        bool is_alone = parts != STATISTICS_ALL;
        if (parts & STATISTICS_ROLLOUTS)
                put_unless_empty(j, "rollouts",
                        count_by_status(q,
                                "SELECT status, count(*) FROM rollout WHERE ds=? GROUP BY status",
                                s.id, rollout_status_words),
                        is_alone);
        if (parts & STATISTICS_ACTIONS)
                put_unless_empty(j, "actions",
                        count_by_status(q,
                                "SELECT status, count(*) FROM action WHERE ds=? GROUP BY status",
                                s.id, action_status_words),
                        is_alone);
        int64_t n = sql_int(&q->tx, 0, "SELECT count(*) FROM filter WHERE auto_ds=?", SQL_I(s.id));
        if ((parts & STATISTICS_AUTO) && (n || !is_alone))
                add_int(j, "totalAutoAssignments", n);
        return reply_json(q, 200, j);
}

int set_statistics(struct request *q)
{
        return reply_statistics(q, STATISTICS_ALL);
}

int set_statistics_rollouts(struct request *q)
{
        return reply_statistics(q, STATISTICS_ROLLOUTS);
}

int set_statistics_actions(struct request *q)
{
        return reply_statistics(q, STATISTICS_ACTIONS);
}

int set_statistics_auto(struct request *q)
{
        return reply_statistics(q, STATISTICS_AUTO);
}

/* ── invalidation ── */

int set_invalidate_request(struct request *q)
{
        struct dset s;
        const char *how = json_text(q->body, "actionCancelationType", "none");
        if (set_require(&q->tx, q->ids[0], &s) < 0)
                return -1;
        if (!s.is_complete)
                return tx_problem(
                        &q->tx, PROBLEM_INCOMPLETE, "Set %lld is incomplete", (long long)s.id);
        set_invalidate(&q->tx, &s);
        event_set(&q->tx, "distributionset.invalidated", &s);
        if (strcmp(how, "none") != 0) {
                bool is_forced = strcmp(how, "force") == 0;
                rollout_withdraw_set(&q->tx, s.id, is_forced);
                set_begin_withdrawal(&q->tx, s.id, is_forced);
        }
        return reply_none(q, 204);
}
