/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/handlers.h"
#include "cloud/ota/set.h"
#include "cloud/ota/target.h"

#include <string.h>

/* Tags of targets and of sets are one table; the kind tells them apart. */
struct kind {
        int number;
        const char *type, *path, *link, *member_type;
};
static const struct kind target_kind = {0, "TargetTag", "targettags", "assignedTargets", "Target"};
static const struct kind set_kind = {1, "DistributionSetTag", "distributionsettags",
        "assignedDistributionSets", "DistributionSet"};

#define NAME_FLAGS SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM
static const struct shape create_members[] = {
        {.name = "name", .type = SHAPE_TEXT, .max = 128, .flags = SHAPE_REQUIRED | NAME_FLAGS},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "colour", .type = SHAPE_TEXT, .max = 16},
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_tag_create[] = {{.type = SHAPE_ARRAY, .sub = create_one}};
static const struct shape update_members[] = {
        {.name = "name", .type = SHAPE_TEXT, .max = 128, .flags = NAME_FLAGS},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "colour", .type = SHAPE_TEXT, .max = 16},
        {0},
};
const struct shape shape_tag_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

/* ── JSON ── */

json_t *tag_row(struct request *q, struct sql_rows *r)
{
        json_t *j = json_object();
        long long id = sql_col_int(r, 0);
        const char *path = sql_col_int(r, 4) ? set_kind.path : target_kind.path;
        add_audit(j, r, 5);
        add_text(j, "name", sql_col_text(r, 1));
        add_text(j, "description", sql_col_text(r, 2));
        add_int(j, "id", id);
        add_text(j, "colour", sql_col_text(r, 3));
        json_object_set_new(
                j, "_links", json_pack("{s:o}", "self", link_to(q, "%s/%lld", path, id)));
        return j;
}

static json_t *read_tag(struct request *q, const struct kind *k, int64_t id, bool has_links)
{
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " TAG_COLUMNS " FROM tag k WHERE k.tenant=? AND k.kind=? AND k.id=?",
                SQL_I(q->tx.tenant), SQL_I(k->number), SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        json_t *j = tag_row(q, &r);
        if (has_links)
                json_object_set_new(json_object_get(j, "_links"), k->link,
                        link_to(q, "%s/%lld/assigned?offset=0&limit=50", k->path, (long long)id));
        return j;
}

static int require_tag(struct request *q, const struct kind *k)
{
        if (sql_int(&q->tx, 0, "SELECT 1 FROM tag WHERE tenant=? AND kind=? AND id=?",
                    SQL_I(q->tx.tenant), SQL_I(k->number), SQL_I(q->ids[0])))
                return 0;
        /* hawkBit looks set tags up in bulk when it deletes them */
        if (k == &set_kind && strcmp(http_method(q->x), "DELETE") == 0 &&
                !strstr(q->path, "/assigned"))
                return tx_not_found_list(&q->tx, k->type,
                        json_pack("[o]", json_sprintf("%lld", (long long)q->ids[0])));
        return tx_not_found(&q->tx, k->type, q->ids[0]);
}

int target_tag_need_readable(struct request *q)
{
        return request_may(q, READ(TARGET)) ? require_tag(q, &target_kind) : request_forbid(q);
}

int set_tag_need_readable(struct request *q)
{
        return request_may(q, READ(SET)) ? require_tag(q, &set_kind) : request_forbid(q);
}

/* ── tags themselves ── */

static int list_tags(struct request *q, const struct kind *k)
{
        return list_reply(q, &(struct listing){.columns = TAG_COLUMNS,
                                     .from = "tag k",
                                     .where = "k.tenant=? AND k.kind=?",
                                     .args = {SQL_I(q->tx.tenant), SQL_I(k->number)},
                                     .n_args = 2,
                                     .order = "k.id",
                                     .row = tag_row});
}

static int check_name(struct request *q, const struct kind *k, const char *name, int64_t id)
{
        if (sql_int(&q->tx, 0, "SELECT 1 FROM tag WHERE tenant=? AND kind=? AND name=? AND id<>?",
                    SQL_I(q->tx.tenant), SQL_I(k->number), SQL_T(name), SQL_I(id)))
                return tx_problem(&q->tx, PROBLEM_EXISTS, "Tag '%s' exists already", name);
        return 0;
}

static int create_tags(struct request *q, const struct kind *k)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                const char *name = json_text(one, "name", "");
                if (check_name(q, k, name, 0) < 0)
                        return -1;
                int64_t id = sql_insert(&q->tx,
                        "INSERT INTO tag(tenant, kind, name, description, colour, created_by, "
                        "created_at,"
                        " modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7)",
                        SQL_I(q->tx.tenant), SQL_I(k->number), SQL_T(name),
                        SQL_T(json_text(one, "description", NULL)),
                        SQL_T(json_text(one, "colour", NULL)), SQL_T(q->tx.user), SQL_I(q->tx.now));
                json_array_append_new(made, read_tag(q, k, id, false));
        }
        return reply_json(q, 201, TAKE(made));
}

static int show_tag(struct request *q, const struct kind *k)
{
        return require_tag(q, k) < 0 ? -1 : reply_json(q, 200, read_tag(q, k, q->ids[0], true));
}

static int update_tag(struct request *q, const struct kind *k)
{
        const char *name = json_text(q->body, "name", NULL);
        const char *description = json_text(q->body, "description", NULL);
        const char *colour = json_text(q->body, "colour", NULL);
        if (require_tag(q, k) < 0 || (name && check_name(q, k, name, q->ids[0]) < 0))
                return -1;
        sql_run(&q->tx,
                "UPDATE tag SET name=coalesce(?1, name), description=coalesce(?2, description),"
                " colour=coalesce(?3, colour), modified_by=?4, modified_at=?5 WHERE id=?6 AND"
                " (coalesce(?1, name) IS DISTINCT FROM name OR coalesce(?2, description) IS "
                "DISTINCT FROM description "
                "OR"
                " coalesce(?3, colour) IS DISTINCT FROM colour)",
                SQL_T(name), SQL_T(description), SQL_T(colour), SQL_T(q->tx.user), SQL_I(q->tx.now),
                SQL_I(q->ids[0]));
        return reply_json(q, 200, read_tag(q, k, q->ids[0], true));
}

static int remove_tag(struct request *q, const struct kind *k)
{
        if (require_tag(q, k) < 0)
                return -1;
        sql_run(&q->tx, "DELETE FROM tag WHERE id=?", SQL_I(q->ids[0]));
        return reply_none(q, 204);
}

/* ── members ── */

static void set_member(struct request *q, int64_t tag, int64_t member, bool is_member)
{
        int64_t n = is_member ? sql_run(&q->tx,
                                        "INSERT INTO tag_member(tag, member) VALUES(?, ?) ON "
                                        "CONFLICT(tag, member) DO NOTHING",
                                        SQL_I(tag), SQL_I(member))
                              : sql_run(&q->tx, "DELETE FROM tag_member WHERE tag=? AND member=?",
                                        SQL_I(tag), SQL_I(member));
        (void)n;
}

int target_tag_members(struct request *q)
{
        if (require_tag(q, &target_kind) < 0)
                return -1;
        return list_reply(q, &(struct listing){.columns = TARGET_COLUMNS,
                                     .from = "tag_member n JOIN target t ON t.id=n.member",
                                     .where = "n.tag=?",
                                     .args = {SQL_I(q->ids[0])},
                                     .n_args = 1,
                                     .order = "t.id",
                                     .row = target_row});
}

int set_tag_members(struct request *q)
{
        if (require_tag(q, &set_kind) < 0)
                return -1;
        /* with a query hawkBit leaves deleted sets out */
        const char *where = request_query(q) ? "n.tag=? AND s.deleted=0" : "n.tag=?";
        return list_reply(
                q, &(struct listing){.columns = SET_COLUMNS,
                           .from = SET_FROM " JOIN tag_member n ON s.id=n.member",
                           .where = arena_printf(&q->arena, "s.id=n.member AND %s", where),
                           .args = {SQL_I(q->ids[0])},
                           .n_args = 1,
                           .order = "s.id",
                           .row = set_row});
}

/* onNotFoundPolicy of hawkBit */
enum policy { POLICY_FAIL, POLICY_FOUND_AND_FAIL, POLICY_FOUND };

static int read_policy(struct request *q, enum policy *ret)
{
        const char *text = request_param(q, "onNotFoundPolicy");
        static const char *const words[] = {
                "FAIL", "ON_WHAT_FOUND_AND_FAIL", "ON_WHAT_FOUND_AND_SUCCESS"};
        *ret = POLICY_FAIL;
        if (!text || !*text)
                return 0;
        for (int i = 0; i < 3; i++) {
                if (strcmp(words[i], text) == 0) {
                        *ret = (enum policy)i;
                        return 0;
                }
        }
        return tx_problem(&q->tx, PROBLEM_BODY, "unknown onNotFoundPolicy");
}

static int change_targets(struct request *q, const json_t *ids, bool is_member)
{
        enum policy policy;
        json_t *missing = json_array();
        size_t i;
        json_t *id;
        struct target t;
        if (read_policy(q, &policy) < 0 || require_tag(q, &target_kind) < 0) {
                json_decref(missing);
                return -1;
        }
        json_array_foreach((json_t *)ids, i, id)
        {
                if (!target_find(&q->tx, json_string_value(id), &t))
                        json_array_append(missing, id);
        }
        if (json_array_size(missing) > 0 && policy == POLICY_FAIL)
                return tx_not_found_list(&q->tx, "Target", missing);
        json_array_foreach((json_t *)ids, i, id)
        {
                if (!target_find(&q->tx, json_string_value(id), &t))
                        continue;
                set_member(q, q->ids[0], t.id, is_member);
                target_touch(&q->tx, t.id);
        }
        if (json_array_size(missing) > 0 && policy == POLICY_FOUND_AND_FAIL) {
                tx_commit(&q->tx); /* what was found stays, though the answer is a 404 */
                return tx_not_found_list(&q->tx, "Target", missing);
        }
        json_decref(missing);
        return reply_none(q, 204);
}

static int change_sets(struct request *q, const json_t *ids, bool is_member)
{
        json_t *missing = json_array();
        size_t i;
        json_t *id;
        struct dset s;
        if (require_tag(q, &set_kind) < 0) {
                json_decref(missing);
                return -1;
        }
        json_array_foreach((json_t *)ids, i, id)
        {
                if (!set_find(&q->tx, json_integer_value(id), &s))
                        json_array_append(missing, id);
        }
        if (json_array_size(missing) > 0)
                return tx_not_found_list(&q->tx, "DistributionSet", missing);
        json_decref(missing);
        json_array_foreach((json_t *)ids, i, id)
        {
                set_member(q, q->ids[0], json_integer_value(id), is_member);
        }
        return reply_none(q, 204);
}

static int change_one_target(struct request *q, bool is_member)
{
        CLEAN_JSON json_t *ids = json_pack("[s]", q->texts[1]);
        return change_targets(q, ids, is_member);
}

static int change_one_set(struct request *q, bool is_member)
{
        CLEAN_JSON json_t *ids = json_pack("[I]", (json_int_t)q->ids[1]);
        return change_sets(q, ids, is_member);
}

/* ── handlers ── */

int target_tags_list(struct request *q)
{
        return list_tags(q, &target_kind);
}
int target_tags_create(struct request *q)
{
        return create_tags(q, &target_kind);
}
int target_tag_show(struct request *q)
{
        return show_tag(q, &target_kind);
}
int target_tag_update(struct request *q)
{
        return update_tag(q, &target_kind);
}
int target_tag_remove(struct request *q)
{
        return remove_tag(q, &target_kind);
}
int target_tag_assign_one(struct request *q)
{
        return change_one_target(q, true);
}
int target_tag_unassign_one(struct request *q)
{
        return change_one_target(q, false);
}
int target_tag_assign(struct request *q)
{
        return change_targets(q, q->body, true);
}
int target_tag_unassign(struct request *q)
{
        return change_targets(q, q->body, false);
}
int set_tags_list(struct request *q)
{
        return list_tags(q, &set_kind);
}
int set_tags_create(struct request *q)
{
        return create_tags(q, &set_kind);
}
int set_tag_show(struct request *q)
{
        return show_tag(q, &set_kind);
}
int set_tag_update(struct request *q)
{
        return update_tag(q, &set_kind);
}
int set_tag_remove(struct request *q)
{
        return remove_tag(q, &set_kind);
}
int set_tag_assign_one(struct request *q)
{
        return change_one_set(q, true);
}
int set_tag_unassign_one(struct request *q)
{
        return change_one_set(q, false);
}
int set_tag_assign(struct request *q)
{
        return change_sets(q, q->body, true);
}
int set_tag_unassign(struct request *q)
{
        return change_sets(q, q->body, false);
}
