/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/view.h"

#include "base/clock.h"
#include "cloud/ota/rollout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGES 50 /* of one action */

char *ota_database_of(const struct cloud_config *config)
{
        return *config->ota_database ? strdup(config->ota_database)
                                     : cloud_path(config, CLOUD_OTA_DB);
}

int ota_view_open(const struct cloud_config *config, struct ota_view **ret_view, struct err *err)
{
        CLEAN_MEM char *path = ota_database_of(config);
        struct ota_view *v = calloc(1, sizeof(*v));
        if (!path || !v) {
                free(v);
                return err_set(err, -ENOMEM, "out of memory");
        }
        v->tenant = strdup(config->tenant);
        v->data_dir = strdup(config->data_dir);
        int r = v->tenant && v->data_dir ? database_open_readonly(path, &v->database, err)
                                         : err_set(err, -ENOMEM, "out of memory");
        if (r < 0)
                ota_view_free(v);
        else
                *ret_view = v;
        return r;
}

void ota_view_free(struct ota_view *v)
{
        if (!v)
                return;
        database_free(v->database);
        free(v->tenant);
        free(v->data_dir);
        free(v);
}

void view_begin(struct ota_view *v, struct view_unit *u)
{
        *u = (struct view_unit){0};
        u->tx = (struct tx){.database = v->database,
                .arena = &u->arena,
                .problem = &u->problem,
                .now = clock_now_ms(),
                .unit = DATABASE_READING,
                .user = "",
                .tenant_name = v->tenant};
        u->tx.tenant =
                sql_int(&u->tx, 0, "SELECT id FROM tenant WHERE name=upper(?)", SQL_T(v->tenant));
}

int view_end(struct view_unit *u, struct err *err)
{
        (void)tx_commit(&u->tx);
        int r = u->problem.code ? err_set(err, -EIO, "cannot read the update server's database: %s",
                                          u->problem.message ? u->problem.message : "")
                                : 0;
        problem_fini(&u->problem);
        arena_fini(&u->arena);
        return r;
}

static json_t *finish(struct view_unit *u, json_t *value, struct err *err)
{
        if (view_end(u, err) == 0)
                return value;
        json_decref(value);
        return NULL;
}

uint64_t ota_view_generation(struct ota_view *v)
{
        struct view_unit u;
        view_begin(v, &u);
        uint64_t n = database_generation(v->database);
        view_end(&u, NULL);
        return n;
}

static void put_text(json_t *j, const char *key, const char *value)
{
        if (value)
                json_object_set_new(j, key, json_string(value));
}

static void put_int(json_t *j, const char *key, int64_t value)
{
        json_object_set_new(j, key, json_integer(value));
}

/* ── targets ── */

static json_t *attributes_of(struct tx *tx, int64_t target)
{
        json_t *j = json_object();
        CLEAN_ROWS struct sql_rows r = sql_open(
                tx, "SELECT key, value FROM target_attribute WHERE target=?", SQL_I(target));
        while (sql_next(&r))
                put_text(j, sql_col_text(&r, 0), sql_col_text(&r, 1));
        return j;
}

static void add_open_action(struct tx *tx, json_t *j, int64_t target)
{
        struct action a;
        if (!action_next(tx, target, &a))
                return;
        put_int(j, "action", a.id);
        put_text(j, "actionStatus", action_status_words[a.status]);
        put_text(j, "message",
                sql_text(tx,
                        "SELECT m.text FROM action_status x JOIN action_message m ON m.status=x.id "
                        "WHERE"
                        " x.action=? ORDER BY x.id DESC, m.n DESC LIMIT 1",
                        SQL_I(a.id)));
}

static json_t *target_json(struct tx *tx, struct sql_rows *r)
{
        struct target t;
        json_t *j = json_object();
        target_read(r, &t);
        put_text(j, "controllerId", t.controller_id);
        put_text(j, "name", t.name);
        put_text(j, "status", target_status_words[t.status]);
        put_text(j, "installedVersion",
                sql_text(tx, "SELECT version FROM ds WHERE id=?", SQL_I(t.installed_ds)));
        put_text(j, "assignedVersion",
                sql_text(tx, "SELECT version FROM ds WHERE id=?", SQL_I(t.assigned_ds)));
        if (t.last_query_at)
                put_int(j, "lastSeen", t.last_query_at);
        json_object_set_new(j, "attributes", attributes_of(tx, t.id));
        add_open_action(tx, j, t.id);
        return j;
}

json_t *ota_view_targets(struct ota_view *v, const char *controller_id, struct err *err)
{
        struct view_unit u;
        json_t *list = json_array();
        view_begin(v, &u);
        {
                CLEAN_ROWS struct sql_rows r = sql_open(&u.tx,
                        "SELECT " TARGET_COLUMNS
                        " FROM target t WHERE t.tenant=?1 AND (?2 IS NULL OR"
                        " t.controller_id=?2) ORDER BY t.controller_id",
                        SQL_I(u.tx.tenant), SQL_T(controller_id));
                while (sql_next(&r))
                        json_array_append_new(list, target_json(&u.tx, &r));
        }
        return finish(&u, list, err);
}

/* ── actions ── */

static json_t *messages_of(struct tx *tx, int64_t action)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT x.created_at, x.type, m.text FROM action_status x JOIN action_message m ON "
                "m.status=x.id"
                " WHERE x.action=? ORDER BY x.id DESC, m.n DESC LIMIT ?",
                SQL_I(action), SQL_I(MAX_MESSAGES));
        while (sql_next(&r))
                json_array_insert_new(list, 0,
                        json_pack("{s:I, s:s, s:s}", "at", (json_int_t)sql_col_int(&r, 0), "type",
                                action_status_words[sql_col_int(&r, 1)], "text",
                                sql_col_text(&r, 2)));
        return list;
}

static json_t *action_json(struct tx *tx, struct sql_rows *r)
{
        json_t *j = json_object();
        put_int(j, "id", sql_col_int(r, 0));
        put_text(j, "controllerId", sql_col_text(r, 1));
        put_text(j, "status", action_status_words[sql_col_int(r, 2)]);
        json_object_set_new(j, "active", json_boolean(sql_col_int(r, 3) != 0));
        put_text(j, "from", sql_col_text(r, 4));
        put_text(j, "to", sql_col_text(r, 5));
        put_text(j, "distributionSet", sql_col_text(r, 6));
        if (!sql_col_is_null(r, 7)) {
                put_int(j, "rollout", sql_col_int(r, 7));
                put_text(j, "rolloutName", sql_col_text(r, 8));
        }
        put_int(j, "createdAt", sql_col_int(r, 9));
        put_int(j, "modifiedAt", sql_col_int(r, 10));
        json_object_set_new(j, "messages", messages_of(tx, sql_col_int(r, 0)));
        return j;
}

json_t *ota_view_actions(
        struct ota_view *v, const char *controller_id, size_t limit, struct err *err)
{
        struct view_unit u;
        json_t *list = json_array();
        view_begin(v, &u);
        {
                CLEAN_ROWS struct sql_rows r = sql_open(&u.tx,
                        "SELECT a.id, t.controller_id, a.status, a.active, a.from_version, "
                        "s.version, s.name,"
                        " a.rollout, r.name, a.created_at, a.modified_at FROM action a JOIN target "
                        "t ON"
                        " t.id=a.target JOIN ds s ON s.id=a.ds LEFT JOIN rollout r ON "
                        "r.id=a.rollout WHERE"
                        " a.tenant=?1 AND (?2 IS NULL OR t.controller_id=?2) ORDER BY a.id DESC "
                        "LIMIT ?3",
                        SQL_I(u.tx.tenant), SQL_T(controller_id), SQL_I((int64_t)limit));
                while (sql_next(&r))
                        json_array_append_new(list, action_json(&u.tx, &r));
        }
        return finish(&u, list, err);
}

/* ── rollouts ── */

static json_t *counts_json(struct tx *tx, const struct rollout *r, int64_t group, int64_t total)
{
        struct rollout_counts c;
        rollout_count(tx, r, group, &c);
        int64_t notstarted = total > c.total ? total - c.total : 0;
        return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "scheduled", (json_int_t)c.scheduled,
                "running", (json_int_t)c.running, "error", (json_int_t)c.error, "finished",
                (json_int_t)c.finished, "cancelled", (json_int_t)c.cancelled, "notstarted",
                (json_int_t)notstarted);
}

static json_t *groups_json(struct tx *tx, const struct rollout *rollout)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " GROUP_COLUMNS " FROM rollout_group g WHERE g.rollout=? ORDER BY g.id",
                SQL_I(rollout->id));
        while (sql_next(&r)) {
                struct group g;
                group_read(&r, &g);
                json_array_append_new(list,
                        json_pack("{s:I, s:s, s:s, s:I, s:o, s:s, s:s}", "id", (json_int_t)g.id,
                                "name", g.name, "status", group_status_words[g.status],
                                "totalTargets", (json_int_t)g.total_targets, "counts",
                                counts_json(tx, rollout, g.id, g.total_targets), "successThreshold",
                                g.success_condition, "errorThreshold", g.error_condition));
        }
        return list;
}

json_t *ota_view_rollouts(struct ota_view *v, size_t limit, struct err *err)
{
        struct view_unit u;
        json_t *list = json_array();
        view_begin(v, &u);
        {
                CLEAN_ROWS struct sql_rows r = sql_open(&u.tx,
                        "SELECT " ROLLOUT_COLUMNS
                        ", s.name, s.version FROM rollout r JOIN ds s ON s.id=r.ds WHERE"
                        " r.tenant=? AND r.deleted=0 ORDER BY r.id DESC LIMIT ?",
                        SQL_I(u.tx.tenant), SQL_I((int64_t)limit));
                while (sql_next(&r)) {
                        struct rollout one;
                        rollout_read(&r, &one);
                        json_array_append_new(list,
                                json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "id",
                                        (json_int_t)one.id, "name", one.name, "status",
                                        rollout_status_words[one.status], "distributionSet",
                                        sql_col_text(&r, 26), "version", sql_col_text(&r, 27),
                                        "createdAt", (json_int_t)sql_col_int(&r, 23),
                                        "totalTargets", (json_int_t)one.total_targets, "counts",
                                        counts_json(&u.tx, &one, 0, one.total_targets), "groups",
                                        groups_json(&u.tx, &one)));
                }
        }
        return finish(&u, list, err);
}
