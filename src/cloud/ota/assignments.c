/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/cron.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/downgrade.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/settings.h"

#include <string.h>

/* ── bodies ── */

static const struct shape window_members[] = {
        {.name = "schedule", .type = SHAPE_TEXT},
        {.name = "duration", .type = SHAPE_TEXT},
        {.name = "timezone", .type = SHAPE_TEXT},
        {0},
};
#define ORDER_MEMBERS                                                                              \
        {.name = "type", .type = SHAPE_WORD, .words = action_type_words},                          \
                {.name = "forcetime", .type = SHAPE_LONG},                                         \
                {.name = "weight",                                                                 \
                        .type = SHAPE_INT,                                                         \
                        .flags = SHAPE_RANGE,                                                      \
                        .min = 0,                                                                  \
                        .max = 1000},                                                              \
                {.name = "maintenanceWindow", .type = SHAPE_OBJECT, .sub = window_members},        \
                {.name = "reinstall", .type = SHAPE_BOOL},                                         \
                {.name = "allowDowngrade", .type = SHAPE_BOOL},                                    \
                {.name = "confirmationRequired", .type = SHAPE_BOOL},                              \
        {                                                                                          \
                0                                                                                  \
        }

static const struct shape to_target_members[] = {
        {.name = "id", .type = SHAPE_LONG, .flags = SHAPE_NEEDED}, ORDER_MEMBERS};
static const struct shape to_target_one[] = {{.type = SHAPE_OBJECT, .sub = to_target_members}};
const struct shape shape_assign_to_target[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY | SHAPE_SINGLE_OK, .sub = to_target_one}};

static const struct shape targets_members[] = {
        {.name = "id", .type = SHAPE_TEXT, .flags = SHAPE_NEEDED}, ORDER_MEMBERS};
static const struct shape targets_one[] = {{.type = SHAPE_OBJECT, .sub = targets_members}};
const struct shape shape_assign_targets[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY, .sub = targets_one}};

/* ── orders ── */

static int read_window(struct tx *tx, const json_t *window, struct deploy_order *o)
{
        struct cron_window w;
        o->schedule = json_text(window, "schedule", NULL);
        o->duration = json_text(window, "duration", NULL);
        o->timezone = json_text(window, "timezone", NULL);
        if (!o->schedule && !o->duration && !o->timezone)
                return 0;
        if (cron_window_at(o->schedule, o->duration, o->timezone, tx->now, &w) < 0)
                return tx_problem(tx, PROBLEM_MAINTENANCE,
                        "The maintenance window is not valid or has no time to come");
        return 0;
}

/* A member of the order, else of the whole request, else `fallback`. */
static bool is_asked(struct request *q, const json_t *one, const char *name, bool fallback)
{
        const json_t *member = json_object_get(one, name);
        if (member)
                return json_is_true(member);
        return request_param(q, name) ? request_flag(q, name) : fallback;
}

static int read_order(struct request *q, const json_t *one, struct deploy_order *o)
{
        struct tx *tx = &q->tx;
        const json_t *confirm = json_object_get(one, "confirmationRequired");
        o->type = action_type_of(json_text(one, "type", NULL));
        o->forced_time = o->type == ACTION_TIMEFORCED ? json_int(one, "forcetime", 0) : 0;
        o->weight = json_int(one, "weight", ACTION_DEFAULT_WEIGHT);
        o->confirm = confirm ? json_is_true(confirm) : -1;
        o->is_reinstall = is_asked(q, one, "reinstall", settings_bool(tx, SETTING_REINSTALL));
        o->allows_downgrade = is_asked(q, one, "allowDowngrade", false);
        const json_t *window = json_object_get(one, "maintenanceWindow");
        return window ? read_window(tx, window, o) : 0;
}

/* Identical entries count once; different ones for the same id are refused. Returns the number
 * left. */
static int drop_twins(struct tx *tx, json_t *entries, bool one_target)
{
        for (size_t i = 0; i < json_array_size(entries); i++) {
                const json_t *a = json_array_get(entries, i);
                for (size_t k = json_array_size(entries) - 1; k > i; k--) {
                        const json_t *b = json_array_get(entries, k);
                        if (!one_target &&
                                !json_equal(json_object_get(a, "id"), json_object_get(b, "id")))
                                continue;
                        if (json_equal((json_t *)a, (json_t *)b))
                                json_array_remove(entries, k);
                        else
                                return tx_problem(tx, PROBLEM_MULTI_ASSIGNMENT,
                                        "A target can be assigned only once in a request");
                }
        }
        return (int)json_array_size(entries);
}

/* ── answers ── */

struct result {
        json_t *actions;
        int64_t assigned, already;
};

static int reply_result(struct request *q, struct result *result)
{
        return reply_json(q, 200,
                json_pack("{s:I, s:o, s:I, s:I}", "alreadyAssigned", (json_int_t)result->already,
                        "assignedActions", result->actions, "assigned",
                        (json_int_t)result->assigned, "total",
                        (json_int_t)(result->assigned + result->already)));
}

static void count(struct request *q, struct result *result, const struct target *t, int64_t action)
{
        if (!action) {
                result->already++;
                return;
        }
        json_t *link = link_to(
                q, "targets/%s/actions/%lld", url_part(q, t->controller_id), (long long)action);
        json_array_append_new(result->actions,
                json_pack("{s:I, s:{s:o}}", "id", (json_int_t)action, "_links", "self", link));
        result->assigned++;
}

static int assign_all(struct request *q, const struct dset *s, const struct deploy_order *orders,
        size_t n, bool is_offline)
{
        struct tx *tx = &q->tx;
        struct result result = {.actions = json_array()};
        const char *why = arena_printf(tx->arena, "Assignment initiated by user '%s'", tx->user);
        if (n)
                set_lock_implicitly(tx, s);
        for (size_t i = 0; i < n; i++)
                count(q, &result, &orders[i].target,
                        is_offline ? deploy_offline(tx, s, &orders[i].target)
                                   : deploy_online(tx, s, &orders[i], why));
        if (q->problem.code) {
                json_decref(result.actions);
                return -1;
        }
        return reply_result(q, &result);
}

/* ── handlers ── */

int target_assign(struct request *q)
{
        struct tx *tx = &q->tx;
        struct deploy_order order = {0};
        struct dset s;
        bool is_offline = request_flag(q, "offline");
        if (drop_twins(tx, q->body, true) < 0)
                return -1;
        const json_t *one = json_array_get(q->body, 0);
        bool is_known = target_find(tx, q->texts[0], &order.target);
        if (!is_known && !is_offline)
                return target_require(tx, q->texts[0], &order.target);
        if (!is_offline && read_order(q, one, &order) < 0)
                return -1;
        if (set_require_usable(tx, json_int(one, "id", 0), &s) < 0 ||
                (is_known && deploy_check_types(tx, &s, &order, 1) < 0) ||
                (!is_offline && downgrade_check(tx, &s, &order, 1) < 0))
                return -1;
        return assign_all(q, &s, &order, is_known, is_offline);
}

int set_assign(struct request *q)
{
        struct tx *tx = &q->tx;
        struct dset s;
        bool is_offline = request_flag(q, "offline");
        int entries = drop_twins(tx, q->body, false);
        if (entries < 0)
                return -1;
        if (entries > LIMIT_OTA_ASSIGNMENTS)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many assignments in one request");
        if (set_require(tx, q->ids[0], &s) < 0)
                return -1;
        struct deploy_order *orders = arena_alloc(tx->arena, (size_t)entries * sizeof(*orders));
        size_t n = 0, i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                struct deploy_order *o = &orders[n];
                *o = (struct deploy_order){0};
                if (!is_offline && read_order(q, one, o) < 0)
                        return -1;
                n += target_find(tx, json_text(one, "id", ""), &o->target);
        }
        if (set_require_usable(tx, s.id, &s) < 0 || deploy_check_types(tx, &s, orders, n) < 0 ||
                (!is_offline && downgrade_check(tx, &s, orders, n) < 0))
                return -1;
        return assign_all(q, &s, orders, n, is_offline);
}
