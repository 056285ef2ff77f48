/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/rollout_rule.h"
#include "cloud/ota/set.h"
#include "cloud/ota/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ── bodies ── */

static const struct shape condition_members[] = {
        {.name = "condition",
                .type = SHAPE_WORD,
                .words = condition_words,
                .flags = SHAPE_NULL_UNREADABLE},
        {.name = "expression", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NULL_BAD},
        {0},
};
static const struct shape success_action_members[] = {
        {.name = "action",
                .type = SHAPE_WORD,
                .words = success_action_words,
                .flags = SHAPE_NULL_UNREADABLE},
        {.name = "expression", .type = SHAPE_TEXT, .max = 512},
        {0},
};
static const struct shape error_action_members[] = {
        {.name = "action",
                .type = SHAPE_WORD,
                .words = error_action_words,
                .flags = SHAPE_NULL_UNREADABLE},
        {.name = "expression", .type = SHAPE_TEXT, .max = 512},
        {0},
};
#define CONDITIONS                                                                                 \
        {.name = "successCondition", .type = SHAPE_OBJECT, .sub = condition_members},              \
                {.name = "successAction", .type = SHAPE_OBJECT, .sub = success_action_members},    \
                {.name = "errorCondition", .type = SHAPE_OBJECT, .sub = condition_members},        \
        {                                                                                          \
                .name = "errorAction", .type = SHAPE_OBJECT, .sub = error_action_members           \
        }
#define NAME_FLAGS SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM

static const struct shape group_body_members[] = {
        {.name = "name", .type = SHAPE_TEXT, .max = 128, .flags = NAME_FLAGS},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "targetFilterQuery", .type = SHAPE_TEXT, .max = 1024, .flags = SHAPE_NOT_EMPTY},
        {.name = "targetPercentage",
                .type = SHAPE_REAL,
                .min = 1,
                .max = 100,
                .flags = SHAPE_RANGE},
        {.name = "confirmationRequired", .type = SHAPE_BOOL},
        CONDITIONS,
        RULE_WINDOW_SHAPES,
        {0},
};
static const struct shape one_group[] = {{.type = SHAPE_OBJECT, .sub = group_body_members}};
static const struct shape template_members[] = {
        {.name = "nameSuffix", .type = SHAPE_TEXT, .max = 64},
        {.name = "targetCount",
                .type = SHAPE_INT,
                .min = 1,
                .max = 2147483647,
                .flags = SHAPE_RANGE | SHAPE_REQUIRED},
        {0},
};
static const struct shape create_members[] = {
        {.name = "name", .type = SHAPE_TEXT, .max = 128, .flags = NAME_FLAGS},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {.name = "targetFilterQuery", .type = SHAPE_TEXT, .max = 1024},
        {.name = "distributionSetId", .type = SHAPE_LONG},
        {.name = "amountGroups", .type = SHAPE_INT},
        {.name = "type", .type = SHAPE_WORD, .words = action_type_words},
        {.name = "forcetime", .type = SHAPE_LONG},
        {.name = "startAt", .type = SHAPE_LONG},
        {.name = "weight", .type = SHAPE_INT, .min = 0, .max = 1000, .flags = SHAPE_RANGE},
        {.name = "dynamic", .type = SHAPE_BOOL},
        {.name = "dynamicGroupTemplate", .type = SHAPE_OBJECT, .sub = template_members},
        {.name = "confirmationRequired", .type = SHAPE_BOOL},
        {.name = "groups", .type = SHAPE_ARRAY, .sub = one_group},
        CONDITIONS,
        RULE_SHAPES,
        {0},
};
const struct shape shape_rollout_create[] = {{.type = SHAPE_OBJECT, .sub = create_members}};

static const struct shape update_members[] = {
        {.name = "name",
                .type = SHAPE_TEXT,
                .max = 128,
                .flags = SHAPE_NOT_EMPTY | SHAPE_NO_MARKUP | SHAPE_TRIM},
        {.name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP},
        {0},
};
const struct shape shape_rollout_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

/* ── JSON ── */

static json_t *counts_json(const struct rollout_counts *c, int64_t total_targets)
{
        int64_t notstarted = total_targets > c->total ? total_targets - c->total : 0;
        return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "running", (json_int_t)c->running,
                "scheduled", (json_int_t)c->scheduled, "error", (json_int_t)c->error, "finished",
                (json_int_t)c->finished, "cancelled", (json_int_t)c->cancelled, "notstarted",
                (json_int_t)notstarted);
}

static void add_full(struct request *q, json_t *j, const struct rollout *r, bool has_counts)
{
        struct rollout_counts c = {0};
        if (has_counts)
                rollout_count(&q->tx, r, 0, &c);
        json_object_set_new(j, "totalTargetsPerStatus", counts_json(&c, r->total_targets));
        add_int(j, "totalGroups",
                sql_int(&q->tx, 0, "SELECT count(*) FROM rollout_group WHERE rollout=?",
                        SQL_I(r->id)));
        if (r->start_at >= 0)
                add_int(j, "startAt", r->start_at);
        rollout_rule_show(&q->tx, j, r->id, 0);
        add_text(j, "approvalRemark", r->approval_remark);
        add_text(j, "approveDecidedBy", r->decided_by);
}

static json_t *rollout_json(struct request *q, struct sql_rows *rows, bool is_full, bool has_counts)
{
        struct rollout r;
        json_t *j = json_object();
        rollout_read(rows, &r);
        add_audit(j, rows, ROLLOUT_AUDIT_COLUMN);
        add_text(j, "name", r.name);
        add_text(j, "description", r.description);
        add_int(j, "id", r.id);
        add_text(j, "targetFilterQuery", r.query);
        add_int(j, "distributionSetId", r.ds);
        add_text(j, "status", rollout_status_words[r.status]);
        add_int(j, "totalTargets", r.total_targets);
        add_int(j, "forcetime", r.forced_time);
        add_bool(j, "deleted", r.is_deleted);
        add_text(j, "type", action_type_words[r.type]);
        add_int(j, "weight", r.weight);
        add_bool(j, "dynamic", r.is_dynamic);
        if (is_full)
                add_full(q, j, &r, has_counts);
        json_object_set_new(j, "_links",
                json_pack("{s:o}", "self", link_to(q, "rollouts/%lld", (long long)r.id)));
        return j;
}

static void add_links(struct request *q, json_t *j, int64_t id, int64_t ds)
{
        static const char *const verbs[] = {
                "start", "pause", "resume", "triggerNextGroup", "approve", "deny"};
        json_t *links = json_object_get(j, "_links");
        struct dset s;
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
                json_object_set_new(
                        links, verbs[i], link_to(q, "rollouts/%lld/%s", (long long)id, verbs[i]));
        json_object_set_new(links, "groups",
                link_to(q, "rollouts/%lld/deploygroups?offset=0&limit=50", (long long)id));
        if (set_find(&q->tx, ds, &s))
                json_object_set_new(links, "distributionset",
                        named_link_to(q, arena_printf(&q->arena, "%s:%s", s.name, s.version),
                                "distributionsets/%lld", (long long)ds));
}

static json_t *rollout_row(struct request *q, struct sql_rows *r)
{
        json_t *j = rollout_json(q, r, q->is_full, true);
        if (q->is_full)
                add_links(q, j, sql_col_int(r, 0), sql_col_int(r, 1));
        return j;
}

static json_t *read_rollout(struct request *q, int64_t id, bool has_counts)
{
        CLEAN_ROWS struct sql_rows r = sql_open(
                &q->tx, "SELECT " ROLLOUT_COLUMNS " FROM rollout r WHERE r.id=?", SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        json_t *j = rollout_json(q, &r, true, has_counts);
        add_links(q, j, id, sql_col_int(&r, 1));
        return j;
}

int rollouts_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = ROLLOUT_COLUMNS,
                                     .from = "rollout r",
                                     .where = "r.tenant=? AND r.deleted=0",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "r.id",
                                     .row = rollout_row});
}

int rollout_show(struct request *q)
{
        struct rollout r;
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        return reply_json(q, 200, read_rollout(q, r.id, true));
}

/* ── creation ── */

/* The member of the group, else of the rollout; NULL: neither has it. */
static const json_t *either(const json_t *group, const json_t *rollout, const char *key)
{
        const json_t *own = json_object_get(group, key);
        return own ? own : json_object_get(rollout, key);
}

/* An object without expression means 100; no object at all the server's default. */
static const char *condition_of(const json_t *group, const json_t *rollout, const char *key)
{
        const json_t *condition = either(group, rollout, key);
        return condition ? json_text(condition, "expression", "100") : "50";
}

static const char *action_expression_of(const json_t *group, const json_t *rollout, const char *key)
{
        const json_t *action = either(group, rollout, key);
        return action ? json_text(action, "expression", NULL) : "";
}

static struct sql_arg confirm_arg(const json_t *object)
{
        const json_t *v = json_object_get(object, "confirmationRequired");
        return (struct sql_arg){.kind = v ? SQL_KIND_INT : SQL_KIND_NULL, .i = json_is_true(v)};
}

static int add_group(struct request *q, int64_t rollout, const json_t *group, const char *name,
        double percentage, bool is_dynamic)
{
        const json_t *b = q->body;
        const char *query = json_text(group, "targetFilterQuery", "");
        const json_t *success = either(group, b, "successAction");
        bool pauses = strcmp(json_text(success, "action", "NEXTGROUP"), "PAUSE") == 0;
        if (*query && filter_check(&q->tx, fields_target.fields, query) < 0)
                return -1;
        if (sql_int(&q->tx, 0, "SELECT 1 FROM rollout_group WHERE rollout=? AND name=?",
                    SQL_I(rollout), SQL_T(name)))
                return tx_problem(&q->tx, PROBLEM_EXISTS, "Two groups are called '%s'", name);
        int64_t id = sql_insert(&q->tx,
                "INSERT INTO rollout_group(tenant, rollout, name, description, status, query, "
                "percentage,"
                " success_condition, success_action, success_action_expr, error_condition, "
                "error_action_expr,"
                " confirm, dynamic, total_targets, created_by, created_at, modified_by, "
                "modified_at)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, ?15, ?16, "
                "?15, ?16)",
                SQL_I(q->tx.tenant), SQL_I(rollout), SQL_T(name),
                SQL_T(group ? json_text(group, "description", NULL) : name), SQL_I(GROUP_CREATING),
                SQL_T(query), SQL_D(percentage), SQL_T(condition_of(group, b, "successCondition")),
                SQL_I(pauses ? GROUP_PAUSE : GROUP_NEXT),
                SQL_T(action_expression_of(group, b, "successAction")),
                SQL_T(condition_of(group, b, "errorCondition")),
                SQL_T(action_expression_of(group, b, "errorAction")),
                json_object_get(group, "confirmationRequired") ? confirm_arg(group)
                                                               : confirm_arg(b),
                SQL_I(is_dynamic), SQL_T(q->tx.user), SQL_I(q->tx.now));
        return group ? rollout_rule_put(&q->tx, rollout, id, group) : 0;
}

/* Java's float: that is how the percentages are shown. */
static double as_float(double v)
{
        return (double)(float)v;
}

static int add_groups(struct request *q, int64_t rollout, const json_t *groups, int64_t amount)
{
        size_t i;
        json_t *group;
        if (groups) {
                json_array_foreach((json_t *)groups, i, group)
                {
                        if (add_group(q, rollout, group, json_text(group, "name", ""),
                                    as_float(json_number(group, "targetPercentage", 100)),
                                    false) < 0)
                                return -1;
                }
                return 0;
        }
        for (int64_t n = 0; n < amount; n++) {
                const char *name = arena_printf(&q->arena, "group-%lld", (long long)n + 1);
                if (add_group(q, rollout, NULL, name, as_float((float)(100.0 / (double)amount)),
                            false) < 0)
                        return -1;
        }
        return 0;
}

/* The first of them, which takes the request's conditions; later ones copy it. */
static int add_dynamic_group(struct request *q, const struct rollout *r)
{
        int64_t n = sql_int(
                &q->tx, 0, "SELECT count(*) FROM rollout_group WHERE rollout=?", SQL_I(r->id));
        const char *name =
                arena_printf(&q->arena, "group-%lld%s", (long long)n + 1, r->dynamic_suffix);
        return add_group(q, r->id, NULL, name, (double)r->dynamic_count, true);
}

static int check_groups(struct request *q, const json_t *groups, int64_t amount, bool has_amount)
{
        const json_t *b = q->body;
        bool is_dynamic = json_bool(b, "dynamic", false);
        const json_t *template = json_object_get(b, "dynamicGroupTemplate");
        const char *broken = NULL;
        if (groups && has_amount)
                broken = "groups and amountGroups exclude each other";
        else if (groups && is_dynamic)
                broken = "a dynamic rollout takes no groups";
        else if (template && !is_dynamic)
                broken = "a template is for dynamic rollouts";
        else if (groups && json_array_size(groups) == 0)
                broken = "groups must not be empty";
        else if (!groups && (amount < 0 || (amount == 0 && !template)))
                broken = "amountGroups must be at least 1";
        if (broken)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "%s", broken);
        broken = shape_check(shape_rollout_create, b, &q->arena);
        if (broken)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "%s", broken);
        if ((groups ? (int64_t)json_array_size(groups) : amount) > LIMIT_OTA_GROUPS_PER_ROLLOUT)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many groups");
        return 0;
}

static int64_t insert_rollout(struct request *q, int64_t ds)
{
        const json_t *b = q->body;
        const json_t *template = json_object_get(b, "dynamicGroupTemplate");
        const json_t *start = json_object_get(b, "startAt");
        struct sql_arg start_arg = {
                .kind = start ? SQL_KIND_INT : SQL_KIND_NULL, .i = json_int(b, "startAt", 0)};
        return sql_insert(&q->tx,
                "INSERT INTO rollout(tenant, name, description, query, ds, status, type, "
                "forced_time, start_at,"
                " weight, dynamic, dynamic_suffix, dynamic_count, confirm, created_before, "
                "total_targets,"
                " is_self_approved, created_by, created_at, modified_by, modified_at)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 0, ?16, "
                "?17, ?15, ?17, ?15)",
                SQL_I(q->tx.tenant), SQL_T(""), SQL_T(json_text(b, "description", NULL)),
                SQL_T(json_text(b, "targetFilterQuery", "")), SQL_I(ds), SQL_I(ROLLOUT_CREATING),
                SQL_I(action_type_of(json_text(b, "type", NULL))),
                SQL_I(json_int(b, "forcetime", 0)), start_arg,
                SQL_I(json_int(b, "weight", ACTION_DEFAULT_WEIGHT)),
                SQL_I(json_bool(b, "dynamic", false)),
                SQL_T(template ? json_text(template, "nameSuffix", "") : NULL),
                SQL_I(json_int(template, "targetCount", 0)), confirm_arg(b), SQL_I(q->tx.now),
                SQL_I(q->user->may_approve_plainly), SQL_T(q->tx.user));
}

static int check_name(struct request *q, const char *name, int64_t id)
{
        if (sql_int(&q->tx, 0, "SELECT 1 FROM rollout WHERE tenant=? AND name=? AND id<>?",
                    SQL_I(q->tx.tenant), SQL_T(name), SQL_I(id)))
                return tx_problem(&q->tx, PROBLEM_EXISTS, "Rollout '%s' exists already", name);
        return 0;
}

/* The name comes last: hawkBit tells every other mistake first. Until then it is "", which no
 * rollout can be called. */
static int take_name(struct request *q, int64_t id, const char *name)
{
        if (check_name(q, name, id) < 0)
                return -1;
        sql_run(&q->tx, "UPDATE rollout SET name=? WHERE id=?", SQL_T(name), SQL_I(id));
        tx_due(&q->tx, DUE_ROLLOUT, id, 0);
        return 0;
}

static int check_new(struct request *q, struct dset *s)
{
        const json_t *b = q->body;
        const json_t *groups = json_object_get(b, "groups");
        bool has_amount = json_object_get(b, "amountGroups") != NULL;
        if (filter_check(&q->tx, fields_target.fields, json_text(b, "targetFilterQuery", "")) < 0 ||
                set_require_usable(&q->tx, json_int(b, "distributionSetId", 0), s) < 0)
                return -1;
        return check_groups(q, groups, json_int(b, "amountGroups", 1), has_amount);
}

int rollouts_create(struct request *q)
{
        struct dset s;
        struct rollout r;
        const json_t *b = q->body;
        if (check_new(q, &s) < 0)
                return -1;
        int64_t id = insert_rollout(q, s.id);
        const json_t *groups = json_object_get(b, "groups");
        if (!id || rollout_rule_put(&q->tx, id, 0, b) < 0 ||
                add_groups(q, id, groups, json_int(b, "amountGroups", 1)) < 0 ||
                rollout_require(&q->tx, id, &r) < 0 || rollout_plan(&q->tx, &r) < 0 ||
                take_name(q, id, json_text(b, "name", "")) < 0)
                return -1;
        if (r.dynamic_suffix && add_dynamic_group(q, &r) < 0)
                return -1;
        set_lock_implicitly(&q->tx, &s);
        return reply_json(q, 201, read_rollout(q, id, true));
}

int rollout_retry_request(struct request *q)
{
        struct rollout r;
        struct dset s;
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        if (r.is_deleted)
                return tx_not_found(&q->tx, "Rollout", r.id);
        if (r.status != ROLLOUT_FINISHED)
                return tx_problem(
                        &q->tx, PROBLEM_CONSTRAINT, "Only a finished rollout can be retried");
        const char *name = arena_printf(&q->arena, "%s_retry", r.name);
        json_decref(q->body);
        q->body = json_pack("{s:s, s:s*, s:s, s:I, s:s, s:I}", "name", name, "description",
                r.description, "targetFilterQuery",
                arena_printf(&q->arena, "failedrollout==%lld", (long long)r.id),
                "distributionSetId", (json_int_t)r.ds, "type", action_type_words[r.type],
                "forcetime", (json_int_t)r.forced_time);
        if (r.start_at >= 0)
                add_int(q->body, "startAt", r.start_at);
        if (set_require_usable(&q->tx, r.ds, &s) < 0 || check_groups(q, NULL, 1, false) < 0 ||
                check_name(q, name, 0) < 0)
                return -1;
        int64_t id = insert_rollout(q, s.id);
        if (!id || add_groups(q, id, NULL, 1) < 0 || rollout_require(&q->tx, id, &r) < 0 ||
                rollout_plan(&q->tx, &r) < 0 || take_name(q, id, name) < 0)
                return -1;
        return reply_json(q, 201, read_rollout(q, id, true));
}

/* ── one rollout ── */

int rollout_update(struct request *q)
{
        struct rollout r;
        const char *name = json_text(q->body, "name", NULL);
        const char *description = json_text(q->body, "description", NULL);
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        if (r.is_deleted)
                return tx_problem(
                        &q->tx, PROBLEM_READ_ONLY, "Rollout %lld is deleted", (long long)r.id);
        if (name && check_name(q, name, r.id) < 0)
                return -1;
        sql_run(&q->tx,
                "UPDATE rollout SET name=coalesce(?1, name), description=coalesce(?2, description),"
                " modified_by=?3, modified_at=?4 WHERE id=?5 AND (coalesce(?1, name)<>name OR "
                "coalesce(?2,"
                " description) IS DISTINCT FROM description)",
                SQL_T(name), SQL_T(description), SQL_T(q->tx.user), SQL_I(q->tx.now), SQL_I(r.id));
        return reply_json(q, 200, read_rollout(q, r.id, false));
}

int rollout_remove(struct request *q)
{
        struct rollout r;
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        rollout_delete(&q->tx, &r);
        return reply_none(q, 204);
}

static int change(struct request *q, int (*verb)(struct tx *, struct rollout *))
{
        struct rollout r;
        if (rollout_require(&q->tx, q->ids[0], &r) < 0 || verb(&q->tx, &r) < 0)
                return -1;
        return reply_none(q, 204);
}

int rollout_start_request(struct request *q)
{
        return change(q, rollout_start);
}

int rollout_pause_request(struct request *q)
{
        return change(q, rollout_pause);
}

int rollout_resume_request(struct request *q)
{
        return change(q, rollout_resume);
}

int rollout_stop_request(struct request *q)
{
        return change(q, rollout_stop);
}

int rollout_next_request(struct request *q)
{
        return change(q, rollout_next_group);
}

static int decide(struct request *q, bool is_approved)
{
        struct rollout r;
        const char *remark = request_param(q, "remark");
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        if (remark && shape_utf16_length(remark) > 255)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "The remark is too long");
        if (rollout_decide(&q->tx, &r, is_approved, remark) < 0)
                return -1;
        return reply_none(q, 204);
}

int rollout_approve_request(struct request *q)
{
        return decide(q, true);
}

int rollout_deny_request(struct request *q)
{
        return decide(q, false);
}

/* ── groups ── */

static json_t *condition_json(const char *expression)
{
        return json_pack("{s:s, s:s}", "condition", "THRESHOLD", "expression", expression);
}

static json_t *action_json(const char *word, const char *expression)
{
        return json_pack("{s:s, s:s*}", "action", word, "expression", expression);
}

/* The number with the fewest digits that is this float: 33.333332, as Java writes it. */
static double shortest(double v)
{
        char text[32];
        for (int digits = 1; digits <= 9; digits++) {
                snprintf(text, sizeof(text), "%.*g", digits, v);
                if (strtof(text, NULL) == (float)v)
                        break;
        }
        return strtod(text, NULL);
}

static json_t *group_json(struct request *q, struct sql_rows *rows, bool has_counts)
{
        struct group g;
        struct rollout r;
        struct rollout_counts c;
        json_t *j = json_object();
        group_read(rows, &g);
        add_audit(j, rows, GROUP_AUDIT_COLUMN);
        add_text(j, "name", g.name);
        add_text(j, "description", g.description);
        json_object_set_new(j, "successCondition", condition_json(g.success_condition));
        json_object_set_new(j, "successAction",
                action_json(success_action_words[g.success_action], g.success_expression));
        json_object_set_new(j, "errorCondition", condition_json(g.error_condition));
        json_object_set_new(j, "errorAction", action_json("PAUSE", g.error_expression));
        add_text(j, "targetFilterQuery", g.query);
        json_object_set_new(j, "targetPercentage", json_real(shortest(g.percentage)));
        if (settings_bool(&q->tx, SETTING_CONFIRMATION))
                add_bool(j, "confirmationRequired", g.confirm != 0);
        add_int(j, "id", g.id);
        add_text(j, "status", group_status_words[g.status]);
        add_int(j, "totalTargets", g.total_targets);
        add_bool(j, "dynamic", g.is_dynamic);
        rollout_rule_show(&q->tx, j, g.rollout, g.id);
        if (has_counts && rollout_find(&q->tx, g.rollout, &r)) {
                rollout_count(&q->tx, &r, g.id, &c);
                json_object_set_new(j, "totalTargetsPerStatus", counts_json(&c, g.total_targets));
        }
        json_object_set_new(j, "_links",
                json_pack("{s:o}", "self",
                        link_to(q, "rollouts/%lld/deploygroups/%lld", (long long)g.rollout,
                                (long long)g.id)));
        return j;
}

static json_t *group_row(struct request *q, struct sql_rows *r)
{
        return group_json(q, r, q->is_full);
}

int rollout_groups_list(struct request *q)
{
        struct rollout r;
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        if (list_reply(q, &(struct listing){.columns = GROUP_COLUMNS,
                                  .from = "rollout_group g",
                                  .where = "g.rollout=?",
                                  .args = {SQL_I(r.id)},
                                  .n_args = 1,
                                  .order = "g.id",
                                  .row = group_row}) < 0)
                return -1;
        if (q->is_full && json_array_size(json_object_get(q->reply, "content")) == 0)
                add_int(q->reply, "total",
                        0); /* hawkBit's full list forgets what is before the offset */
        return 0;
}

int rollout_group_show(struct request *q)
{
        struct rollout r;
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        CLEAN_ROWS struct sql_rows rows = sql_open(&q->tx,
                "SELECT " GROUP_COLUMNS " FROM rollout_group g WHERE g.rollout=? AND g.id=?",
                SQL_I(r.id), SQL_I(q->ids[1]));
        if (!sql_next(&rows))
                return tx_not_found(&q->tx, "RolloutGroup", q->ids[1]);
        return reply_json(q, 200, group_json(q, &rows, true));
}

/* Before the start the plan's members are shown, afterwards those that have an action. */
int rollout_group_targets(struct request *q)
{
        struct rollout r;
        if (rollout_require(&q->tx, q->ids[0], &r) < 0)
                return -1;
        int64_t rollout =
                sql_int(&q->tx, 0, "SELECT rollout FROM rollout_group WHERE tenant=? AND id=?",
                        SQL_I(q->tx.tenant), SQL_I(q->ids[1]));
        struct rollout own;
        if (!rollout || !rollout_find(&q->tx, rollout, &own))
                return tx_not_found(&q->tx, "RolloutGroup", q->ids[1]);
        bool shows_plan = own.status == ROLLOUT_READY || request_query(q);
        return list_reply(q, &(struct listing){.columns = TARGET_COLUMNS,
                                     .from = "target t",
                                     .where = shows_plan ? "t.id IN (SELECT target FROM "
                                                           "rollout_target WHERE rollout_group=?)"
                                                         : "t.id IN (SELECT target FROM action "
                                                           "WHERE rollout_group=?)",
                                     .args = {SQL_I(q->ids[1])},
                                     .n_args = 1,
                                     .order = "t.id",
                                     .row = target_row});
}
