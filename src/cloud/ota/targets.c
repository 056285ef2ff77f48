/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/deploy.h"
#include "cloud/ota/dmf_letter.h"
#include "cloud/ota/events.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/polling.h"
#include "cloud/ota/settings.h"

#include <netdb.h>
#include <string.h>

/* ── bodies ── */

#define TEXT_MEMBER(member, limit, flag)                                                           \
        {                                                                                          \
                .name = member, .type = SHAPE_TEXT, .max = limit, .flags = flag                    \
        }

static const struct shape create_members[] = {
        TEXT_MEMBER("controllerId", 256, SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_SPACE),
        TEXT_MEMBER("name", 128, SHAPE_NO_MARKUP),
        TEXT_MEMBER("description", 512, SHAPE_NO_MARKUP),
        TEXT_MEMBER("address", 512, 0),
        TEXT_MEMBER("securityToken", 128, SHAPE_NO_MARKUP),
        TEXT_MEMBER("group", 0, SHAPE_NO_MARKUP),
        {.name = "targetType", .type = SHAPE_LONG},
        {.name = "requestAttributes", .type = SHAPE_BOOL},
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_target_create[] = {{.type = SHAPE_ARRAY, .sub = create_one}};

static const struct shape update_members[] = {
        TEXT_MEMBER("name", 128, SHAPE_NO_MARKUP | SHAPE_NOT_EMPTY),
        TEXT_MEMBER("description", 512, SHAPE_NO_MARKUP),
        TEXT_MEMBER("address", 512, 0),
        TEXT_MEMBER("securityToken", 128, SHAPE_NO_MARKUP | SHAPE_NOT_EMPTY),
        TEXT_MEMBER("controllerId", 0, 0),
        TEXT_MEMBER("group", 0, 0),
        {.name = "targetType", .type = SHAPE_LONG},
        {.name = "requestAttributes", .type = SHAPE_BOOL},
        {0},
};
const struct shape shape_target_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

static const struct shape type_ref_members[] = {
        {.name = "id", .type = SHAPE_LONG, .flags = SHAPE_REQUIRED}, {0}};
const struct shape shape_target_type_ref[] = {{.type = SHAPE_OBJECT, .sub = type_ref_members}};

static const struct shape auto_confirm_members[] = {
        TEXT_MEMBER("initiator", 64, 0), TEXT_MEMBER("remark", 512, 0), {0}};
const struct shape shape_auto_confirm[] = {
        {.type = SHAPE_OBJECT, .flags = SHAPE_OPTIONAL, .sub = auto_confirm_members}};

/* ── JSON ── */

/* The host of the address where it has one. */
static const char *host_of(struct request *q, const char *address)
{
        const char *start = address ? strstr(address, "://") : NULL;
        if (!start || strncmp(address, "amqp", 4) == 0)
                return NULL;
        start += 3;
        size_t end = strcspn(start, "/?#");
        const char *at = memrchr(start, '@', end);
        if (at) {
                end -= (size_t)(at + 1 - start);
                start = at + 1;
        }
        size_t len = *start == '[' ? strcspn(start, "]") + 1 : strcspn(start, ":");
        if (len > end)
                len = end;
        return len ? arena_strndup(&q->arena, start, len) : NULL;
}

static void add_poll_status(struct request *q, json_t *j, const struct target *t)
{
        int64_t overdue_after = 0;
        if (!t->last_query_at)
                return;
        polling_parse_interval(settings_text(&q->tx, SETTING_OVERDUE_TIME), &overdue_after);
        int64_t next = t->last_query_at + polling_interval_ms(&q->tx, t->id, NULL);
        add_int(j, "lastControllerRequestAt", t->last_query_at);
        json_object_set_new(j, "pollStatus",
                json_pack("{s:I, s:I, s:b}", "lastRequestAt", (json_int_t)t->last_query_at,
                        "nextExpectedRequestAt", (json_int_t)next, "overdue",
                        q->tx.now > next + overdue_after));
}

static json_t *target_json(struct request *q, const struct target *t, struct sql_rows *r)
{
        json_t *j = json_object();
        add_audit(j, r, TARGET_AUDIT_COLUMN);
        add_text(j, "name", t->name);
        add_text(j, "description", t->description);
        add_text(j, "controllerId", t->controller_id);
        add_text(j, "group", t->group);
        add_text(j, "updateStatus", target_status_words[t->status]);
        if (t->installed_at)
                add_int(j, "installedAt", t->installed_at);
        add_text(j, "ipAddress", host_of(q, t->address));
        add_text(j, "address", t->address);
        add_poll_status(q, j, t);
        if (request_may(q, PERMIT_TARGET_TOKEN))
                add_text(j, "securityToken", t->token);
        add_bool(j, "requestAttributes", t->request_attributes);
        if (t->type) {
                add_int(j, "targetType", t->type);
                add_text(j, "targetTypeName",
                        sql_text(
                                &q->tx, "SELECT name FROM target_type WHERE id=?", SQL_I(t->type)));
        }
        if (settings_bool(&q->tx, SETTING_CONFIRMATION))
                add_bool(j, "autoConfirmActive", t->auto_confirm_at != 0);
        const char *id = url_part(q, t->controller_id);
        json_object_set_new(j, "_links", json_pack("{s:o}", "self", link_to(q, "targets/%s", id)));
        return j;
}

json_t *target_row(struct request *q, struct sql_rows *r)
{
        struct target t;
        target_read(r, &t);
        return target_json(q, &t, r);
}

static void add_links(struct request *q, json_t *j, const struct target *t)
{
        json_t *links = json_object_get(j, "_links");
        const char *id = url_part(q, t->controller_id);
        static const char *const plain[] = {"assignedDS", "installedDS", "attributes", "metadata"};
        for (size_t i = 0; i < N_ELEMENTS(plain); i++)
                json_object_set_new(links, plain[i], link_to(q, "targets/%s/%s", id, plain[i]));
        json_object_set_new(links, "actions",
                link_to(q, "targets/%s/actions?offset=0&limit=50&sort=id%%3ADESC", id));
        if (t->type)
                json_object_set_new(
                        links, "targetType", link_to(q, "targettypes/%lld", (long long)t->type));
        if (settings_bool(&q->tx, SETTING_CONFIRMATION))
                json_object_set_new(links, "autoConfirm", link_to(q, "targets/%s/autoConfirm", id));
}

/* One target as it is now, with or without all its links. */
static json_t *read_target_json(struct request *q, int64_t id, bool has_links)
{
        struct target t;
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT " TARGET_COLUMNS " FROM target t WHERE t.id=?", SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        target_read(&r, &t);
        json_t *j = target_json(q, &t, &r);
        if (has_links)
                add_links(q, j, &t);
        return j;
}

/* ── collection ── */

/* hawkBit names the sets of a target only one by one; a page with many rows asks for them here. */
static void add_set_of(struct request *q, json_t *j, const char *key, int64_t set)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT name, version FROM ds WHERE id=?", SQL_I(set));
        if (sql_next(&r))
                json_object_set_new(j, key,
                        json_pack("{s:I, s:s, s:s}", "id", (json_int_t)set, "name",
                                sql_col_text(&r, 0), "version", sql_col_text(&r, 1)));
}

static json_t *target_row_with_sets(struct request *q, struct sql_rows *r)
{
        struct target t;
        target_read(r, &t);
        json_t *j = target_json(q, &t, r);
        add_set_of(q, j, "assignedDistributionSet", t.assigned_ds);
        add_set_of(q, j, "installedDistributionSet", t.installed_ds);
        return j;
}

int targets_list(struct request *q)
{
        bool has_sets = request_flag(q, "withsets");
        return list_reply(q, &(struct listing){.columns = TARGET_COLUMNS,
                                     .from = "target t",
                                     .where = "t.tenant=?",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "t.controller_id",
                                     .row = has_sets ? target_row_with_sets : target_row});
}

static int check_type(struct request *q, int64_t type)
{
        if (!sql_int(&q->tx, 0, "SELECT 1 FROM target_type WHERE tenant=? AND id=?",
                    SQL_I(q->tx.tenant), SQL_I(type)))
                return tx_not_found(&q->tx, "TargetType", type);
        return 0;
}

static int64_t create_one_target(struct request *q, const json_t *one)
{
        struct tx *tx = &q->tx;
        const char *group = json_text(one, "group", NULL);
        int64_t type = json_int(one, "targetType", 0);
        if (group && shape_utf16_length(group) > 256)
                return tx_problem(tx, PROBLEM_INTEGRITY, "group is too long"), 0;
        if (json_object_get(one, "targetType") && type != -1 && check_type(q, type) < 0)
                return 0;
        int64_t id =
                target_create(tx, json_text(one, "controllerId", ""), json_text(one, "name", NULL),
                        json_text(one, "securityToken", NULL), TARGET_UNKNOWN);
        if (id)
                sql_run(tx, "UPDATE target SET description=?, address=?, grp=?, type=? WHERE id=?",
                        SQL_T(json_text(one, "description", NULL)),
                        SQL_T(json_text(one, "address", NULL)), SQL_T(group),
                        SQL_OPT(type > 0 ? type : 0), SQL_I(id));
        return id;
}

int targets_create(struct request *q)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                int64_t id = create_one_target(q, one);
                if (!id)
                        return -1;
                json_array_append_new(made, read_target_json(q, id, false));
        }
        return reply_json(q, 201, TAKE(made));
}

/* ── one target ── */

int target_show(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        return reply_json(q, 200, read_target_json(q, t.id, true));
}

int target_need_readable(struct request *q)
{
        struct target t;
        return request_may(q, READ(TARGET)) ? target_require(&q->tx, q->texts[0], &t)
                                            : request_forbid(q);
}

static bool is_other(const char *a, const char *b)
{
        return a && (!b || strcmp(a, b) != 0);
}

static int change_type(struct request *q, const struct target *t, int64_t type)
{
        if (type != -1 && check_type(q, type) < 0)
                return -1;
        if (t->type == (type == -1 ? 0 : type))
                return 0;
        sql_run(&q->tx, "UPDATE target SET type=? WHERE id=?", SQL_OPT(type == -1 ? 0 : type),
                SQL_I(t->id));
        target_touch(&q->tx, t->id);
        event_target(&q->tx, "target.updated", t->controller_id, "type");
        return 0;
}

int target_update(struct request *q)
{
        struct target t;
        const json_t *b = q->body;
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        const json_t *ask = json_object_get(b, "requestAttributes");
        if (ask && !json_is_true(ask))
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 400);
        if (json_object_get(b, "targetType") &&
                change_type(q, &t, json_int(b, "targetType", -1)) < 0)
                return -1;
        const char *name = json_text(b, "name", NULL),
                   *description = json_text(b, "description", NULL);
        const char *address = json_text(b, "address", NULL),
                   *token = json_text(b, "securityToken", NULL);
        if (is_other(name, t.name) || is_other(description, t.description) ||
                is_other(address, t.address) || is_other(token, t.token) ||
                (ask && !t.request_attributes)) {
                sql_run(&q->tx,
                        "UPDATE target SET name=coalesce(?, name), description=coalesce(?, "
                        "description),"
                        " address=coalesce(?, address), token=coalesce(?, token),"
                        " request_attributes=CASE WHEN ?=1 THEN 1 ELSE request_attributes END "
                        "WHERE id=?",
                        SQL_T(name), SQL_T(description), SQL_T(address), SQL_T(token),
                        SQL_I(ask != NULL), SQL_I(t.id));
                target_touch(&q->tx, t.id);
                event_target(&q->tx, "target.updated", t.controller_id, "data");
                if (ask && !t.request_attributes)
                        tx_tell(&q->tx, t.controller_id);
        }
        if (ask)
                dmf_letter_write(&q->tx, t.id, DMF_LETTER_ATTRIBUTES);
        return reply_json(q, 200, read_target_json(q, t.id, true));
}

int target_remove(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        target_delete(&q->tx, &t);
        return reply_none(q, 204);
}

int target_set_type(struct request *q)
{
        struct target t;
        int64_t type = json_int(q->body, "id", 0);
        if (target_require(&q->tx, q->texts[0], &t) < 0 || check_type(q, type) < 0 ||
                change_type(q, &t, type) < 0)
                return -1;
        return reply_none(q, 204);
}

int target_unset_type(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0 || change_type(q, &t, -1) < 0)
                return -1;
        return reply_none(q, 204);
}

int target_attributes(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        json_t *map = json_object();
        CLEAN_ROWS struct sql_rows r = sql_open(
                &q->tx, "SELECT key, value FROM target_attribute WHERE target=?", SQL_I(t.id));
        while (sql_next(&r))
                add_text(map, sql_col_text(&r, 0), sql_col_text(&r, 1));
        if (json_object_size(map) > 0)
                return reply_json(q, 200, map);
        json_decref(map);
        return reply_none(q, 204);
}

static int reply_set(struct request *q, bool is_installed)
{
        struct target t;
        if (!target_find(&q->tx, q->texts[0], &t)) /* hawkBit has no 404 here */
                return reply_none(q, 204);
        json_t *j = set_json(q, is_installed ? t.installed_ds : t.assigned_ds);
        return j ? reply_json(q, 200, j) : reply_none(q, 204);
}

int target_assigned_set(struct request *q)
{
        return reply_set(q, false);
}

int target_installed_set(struct request *q)
{
        return reply_set(q, true);
}

int target_tags(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        json_t *tags = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " TAG_COLUMNS
                " FROM tag k JOIN tag_member e ON e.tag=k.id WHERE k.kind=0 AND"
                " e.member=? ORDER BY k.id",
                SQL_I(t.id));
        while (sql_next(&r))
                json_array_append_new(tags, tag_row(q, &r));
        return reply_json(q, 200, tags);
}

/* ── auto-confirmation ── */

int target_auto_confirm(struct request *q)
{
        struct target t;
        if (!request_may(q, READ(TARGET))) /* hawkBit refuses this one before its own handler */
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 403);
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        bool is_on = t.auto_confirm_at != 0;
        const char *verb = is_on ? "deactivate" : "activate";
        json_t *link = link_to(q, "targets/%s/autoConfirm/%s", url_part(q, t.controller_id), verb);
        json_t *j = json_pack("{s:b, s:{s:o}}", "active", is_on, "_links", verb, link);
        if (is_on) {
                add_text(j, "initiator", t.auto_confirm_initiator);
                add_text(j, "remark", t.auto_confirm_remark);
                add_int(j, "activatedAt", t.auto_confirm_at);
        }
        return reply_json(q, 200, j);
}

int target_auto_confirm_on(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0 ||
                auto_confirm_activate(&q->tx, &t, json_text(q->body, "initiator", NULL),
                        json_text(q->body, "remark", NULL)) < 0)
                return -1;
        target_touch(&q->tx, t.id);
        return reply_none(q, 204);
}

int target_auto_confirm_off(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        if (t.auto_confirm_at) {
                auto_confirm_deactivate(&q->tx, &t);
                target_touch(&q->tx, t.id);
        }
        return reply_none(q, 204);
}
