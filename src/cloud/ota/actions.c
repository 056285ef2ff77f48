/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/action.h"
#include "cloud/ota/cron.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/handlers.h"

#include <string.h>

/* ── bodies ── */

static const struct shape force_members[] = {
        {.name = "forceType", .type = SHAPE_WORD, .words = action_type_words}, {0}};
const struct shape shape_force_type[] = {{.type = SHAPE_OBJECT, .sub = force_members}};

static const char *const confirmations[] = {"confirmed", "denied", NULL};
static const struct shape line[] = {{.type = SHAPE_TEXT}};
static const struct shape confirmation_members[] = {
        {.name = "confirmation", .type = SHAPE_WORD, .words = confirmations, .flags = SHAPE_NEEDED},
        {.name = "code", .type = SHAPE_INT},
        {.name = "details", .type = SHAPE_ARRAY, .sub = line},
        {0},
};
const struct shape shape_confirmation[] = {{.type = SHAPE_OBJECT, .sub = confirmation_members}};

static const struct shape proof_members[] = {
        {.name = "proved", .type = SHAPE_BOOL, .flags = SHAPE_NEEDED},
        {.name = "reason", .type = SHAPE_TEXT, .max = 400},
        {0},
};
const struct shape shape_proof[] = {{.type = SHAPE_OBJECT, .sub = proof_members}};

static const struct shape number[] = {{.type = SHAPE_LONG}};
const struct shape shape_action_ids[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_OPTIONAL, .sub = number}};

/* ── JSON ── */

#define FROM                                                                                       \
        "action a JOIN target t ON t.id=a.target JOIN ds s ON s.id=a.ds LEFT JOIN rollout r ON "   \
        "r.id=a.rollout"
#define COLUMNS ACTION_COLUMNS ", t.controller_id, t.name, s.name, s.version, r.name"

static json_t *window_json(struct request *q, const struct action *a)
{
        struct cron_window w;
        json_t *j = json_pack("{s:s, s:s, s:s}", "schedule", a->schedule, "duration", a->duration,
                "timezone", a->timezone);
        if (cron_window_at(a->schedule, a->duration, a->timezone, q->tx.now, &w) == 0)
                add_int(j, "nextStartAt", w.start);
        return j;
}

static void add_links(struct request *q, json_t *links, const struct action *a, struct sql_rows *r)
{
        const char *id = url_part(q, sql_col_text(r, ACTION_N_COLUMNS));
        long long action = a->id;
        const char *set = arena_printf(&q->arena, "%s:%s", sql_col_text(r, ACTION_N_COLUMNS + 2),
                sql_col_text(r, ACTION_N_COLUMNS + 3));
        if (a->status == ACTION_CANCELING || a->status == ACTION_CANCELED)
                json_object_set_new(
                        links, "canceledaction", link_to(q, "targets/%s/actions/%lld", id, action));
        json_object_set_new(links, "target",
                named_link_to(q, sql_col_text(r, ACTION_N_COLUMNS + 1), "targets/%s", id));
        json_object_set_new(links, "distributionset",
                named_link_to(q, set, "distributionsets/%lld", (long long)a->ds));
        json_object_set_new(links, "status",
                link_to(q, "targets/%s/actions/%lld/status?offset=0&limit=50&sort=id%%3ADESC", id,
                        action));
        if (a->rollout)
                json_object_set_new(links, "rollout",
                        named_link_to(q, sql_col_text(r, ACTION_N_COLUMNS + 4), "rollouts/%lld",
                                (long long)a->rollout));
}

static json_t *action_json(struct request *q, struct sql_rows *r, bool has_links)
{
        struct action a;
        json_t *j = json_object();
        action_read(r, &a);
        bool is_cancel = a.status == ACTION_CANCELING || a.status == ACTION_CANCELED;
        add_audit(j, r, ACTION_AUDIT_COLUMN);
        add_int(j, "id", a.id);
        add_text(j, "type", is_cancel ? "cancel" : "update");
        add_bool(j, "active", a.is_active);
        add_text(j, "status", action_status_words[a.status]);
        if (a.type == ACTION_TIMEFORCED)
                add_int(j, "forceTime", a.forced_time);
        add_text(j, "forceType", action_type_words[a.type]);
        add_int(j, "weight", a.weight);
        if (a.schedule)
                json_object_set_new(j, "maintenanceWindow", window_json(q, &a));
        if (a.rollout) {
                add_int(j, "rollout", a.rollout);
                add_text(j, "rolloutName", sql_col_text(r, ACTION_N_COLUMNS + 4));
        }
        if (a.last_code != ACTION_NO_CODE)
                add_int(j, "lastStatusCode", a.last_code);
        add_text(j, "externalRef", a.external_ref);
        const char *id = url_part(q, sql_col_text(r, ACTION_N_COLUMNS));
        json_t *links = json_pack(
                "{s:o}", "self", link_to(q, "targets/%s/actions/%lld", id, (long long)a.id));
        if (has_links)
                add_links(q, links, &a, r);
        json_object_set_new(j, "_links", links);
        return j;
}

static json_t *action_row(struct request *q, struct sql_rows *r)
{
        return action_json(q, r, q->is_full);
}

static json_t *read_action_json(struct request *q, int64_t id)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT " COLUMNS " FROM " FROM " WHERE a.id=?", SQL_I(id));
        return sql_next(&r) ? action_json(q, &r, true) : NULL;
}

/* ── tenant-wide ── */

int actions_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = COLUMNS,
                                     .from = FROM,
                                     .count_from = "action a",
                                     .where = "a.tenant=?",
                                     .args = {SQL_I(q->tx.tenant)},
                                     .n_args = 1,
                                     .order = "a.id DESC",
                                     .row = action_row});
}

int action_show(struct request *q)
{
        struct action a;
        if (!action_get(&q->tx, q->ids[0], &a))
                return tx_not_found(&q->tx, "Action", q->ids[0]);
        return reply_json(q, 200, read_action_json(q, a.id));
}

int action_remove(struct request *q)
{
        struct action a;
        if (action_get(&q->tx, q->ids[0], &a))
                action_delete(&q->tx, a.id);
        return reply_none(q, 204);
}

/* Somebody who knows better than the next poll: telemetry, a test bench, a person. */
int action_prove(struct request *q)
{
        struct action a;
        bool is_proved = json_bool(q->body, "proved", false);
        const char *reason = json_text(q->body, "reason", NULL);
        if (!action_get(&q->tx, q->ids[0], &a))
                return tx_not_found(&q->tx, "Action", q->ids[0]);
        if (!a.proving_since)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT,
                        "Action %lld is %s and waits for no proof", (long long)a.id,
                        action_status_words[a.status]);
        proof_end(&q->tx, &a, is_proved,
                arena_printf(&q->arena, "Update Server: %s by '%s'%s%s",
                        is_proved ? "proved" : "disproved", q->tx.user, reason ? ": " : "",
                        reason ? reason : ""));
        return reply_none(q, 204);
}

/* Those of `ids` that are this tenant's and, with a target, the target's. */
static void remove_listed(struct request *q, const json_t *ids, int64_t target)
{
        size_t i;
        json_t *id;
        json_array_foreach((json_t *)ids, i, id)
        {
                sql_run(&q->tx,
                        "DELETE FROM action WHERE tenant=?1 AND id=?2 AND (?3=0 OR target=?3)",
                        SQL_I(q->tx.tenant), SQL_I(json_integer_value(id)), SQL_I(target));
        }
}

static int remove_matching(struct request *q, const char *query)
{
        struct filter f;
        if (filter_compile(&q->tx, fields_action.fields, query, &f) < 0)
                return -1;
        struct sql_arg *args = arena_alloc(&q->arena, (f.n_args + 1) * sizeof(*args));
        args[0] = (struct sql_arg)SQL_I(q->tx.tenant);
        for (size_t i = 0; i < f.n_args; i++)
                args[i + 1] = f.args[i];
        const char *sql =
                arena_printf(&q->arena, "DELETE FROM action AS a WHERE a.tenant=? AND (%s)", f.sql);
        sql_run_args(&q->tx, sql, args, f.n_args + 1);
        return 0;
}

int actions_remove(struct request *q)
{
        const char *query = request_query(q);
        bool has_ids = json_array_size(q->body) > 0;
        if ((query != NULL) == (q->body != NULL) || (q->body && !has_ids))
                return tx_problem(&q->tx, PROBLEM_BODY, "Either q or a list of ids is due");
        if (query && remove_matching(q, query) < 0)
                return -1;
        if (has_ids)
                remove_listed(q, q->body, 0);
        return reply_none(q, 204);
}

/* ── of one target ── */

int target_actions_list(struct request *q)
{
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0)
                return -1;
        return list_reply(q, &(struct listing){.columns = COLUMNS,
                                     .from = FROM,
                                     .count_from = "action a",
                                     .where = "a.target=?",
                                     .args = {SQL_I(t.id)},
                                     .n_args = 1,
                                     .order = "a.id DESC",
                                     .row = action_row});
}

int target_actions_remove(struct request *q)
{
        struct target t;
        const char *keep = request_param(q, "keepLast");
        int64_t n = keep && *keep ? strtoll(keep, NULL, 10) : -1;
        bool has_ids = json_array_size(q->body) > 0;
        if ((n >= 0) == has_ids)
                return tx_problem(&q->tx, PROBLEM_BODY, "Either keepLast or a list of ids is due");
        if (!target_find(&q->tx, q->texts[0], &t))
                return tx_problem(
                        &q->tx, PROBLEM_NOT_FOUND, "Target '%s' does not exist", q->texts[0]);
        if (has_ids)
                remove_listed(q, q->body, t.id);
        else
                sql_run(&q->tx,
                        "DELETE FROM action WHERE target=?1 AND id NOT IN (SELECT id FROM action "
                        "WHERE"
                        " target=?1 ORDER BY id DESC LIMIT ?2)",
                        SQL_I(t.id), SQL_I(n));
        return reply_none(q, 204);
}

/* The action of the path, which must be the target's: else 404, without a body. */
static int require_action(struct request *q, struct action *ret)
{
        struct target t;
        if (!action_get(&q->tx, q->ids[1], ret))
                return tx_not_found(&q->tx, "Action", q->ids[1]);
        if (!target_find(&q->tx, q->texts[0], &t) || t.id != ret->target)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        return 0;
}

int target_action_show(struct request *q)
{
        struct action a;
        return require_action(q, &a) < 0 ? -1 : reply_json(q, 200, read_action_json(q, a.id));
}

int target_action_update(struct request *q)
{
        struct action a;
        const char *type = json_text(q->body, "forceType", NULL);
        if (require_action(q, &a) < 0)
                return -1;
        if (!type || strcmp(type, "forced") != 0)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "An action can only be made forced");
        if (action_make_forced(&q->tx, &a))
                tx_tell(&q->tx, q->texts[0]);
        return reply_json(q, 200, read_action_json(q, a.id));
}

int target_action_cancel(struct request *q)
{
        struct action a;
        if (require_action(q, &a) < 0 || action_cancel(&q->tx, &a, request_flag(q, "force")) < 0)
                return -1;
        return reply_none(q, 204);
}

int target_action_confirm(struct request *q)
{
        struct action a;
        struct messages details = {0};
        size_t i;
        json_t *text;
        if (require_action(q, &a) < 0)
                return -1;
        if (!a.is_active || a.status != ACTION_WAIT_FOR_CONFIRMATION)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, a.is_active ? 404 : 410);
        json_array_foreach(json_object_get(q->body, "details"), i, text)
        {
                messages_add(&q->tx, &details, json_string_value(text));
        }
        bool is_confirmed = strcmp(json_text(q->body, "confirmation", ""), "confirmed") == 0;
        deploy_confirm(
                &q->tx, &a, is_confirmed, json_int(q->body, "code", ACTION_NO_CODE), &details);
        if (is_confirmed)
                tx_tell(&q->tx, q->texts[0]);
        return reply_none(q, 204);
}

static json_t *history_row(struct request *q, struct sql_rows *r)
{
        json_t *j = json_object();
        json_t *messages = json_array();
        add_int(j, "id", sql_col_int(r, 0));
        add_text(j, "type", action_status_words[sql_col_int(r, 1)]);
        CLEAN_ROWS struct sql_rows m =
                sql_open(&q->tx, "SELECT text FROM action_message WHERE status=? ORDER BY n",
                        SQL_I(sql_col_int(r, 0)));
        while (sql_next(&m))
                json_array_append_new(messages, json_string(sql_col_text(&m, 0)));
        if (json_array_size(messages) == 0)
                json_array_append_new(
                        messages, json_null()); /* as hawkBit shows a row without text */
        json_object_set_new(j, "messages", messages);
        add_int(j, "reportedAt", sql_col_int(r, 4));
        add_int(j, "timestamp", sql_col_int(r, 2));
        if (!sql_col_is_null(r, 3))
                add_int(j, "code", sql_col_int(r, 3));
        return j;
}

int target_action_history(struct request *q)
{
        struct action a;
        struct target t;
        if (target_require(&q->tx, q->texts[0], &t) < 0 || require_action(q, &a) < 0)
                return -1;
        return list_reply(
                q, &(struct listing){.columns = "x.id, x.type, x.occurred_at, x.code, x.created_at",
                           .from = "action_status x",
                           .where = "x.action=?",
                           .args = {SQL_I(a.id)},
                           .n_args = 1,
                           .order = "x.id DESC",
                           .row = history_row});
}
