/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/deadline.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/settings.h"

#include <stdlib.h>
#include <string.h>

static const struct shape value_members[] = {
        {.name = "value", .type = SHAPE_ANY, .flags = SHAPE_NEEDED}, {0}};
const struct shape shape_config_value[] = {{.type = SHAPE_OBJECT, .sub = value_members}};
const struct shape shape_config_map[] = {{.type = SHAPE_ANY_OBJECT}};

/* ── JSON ── */

static json_t *value_json(const struct setting *s, const char *text)
{
        if (s->type == SETTING_BOOL)
                return json_boolean(strcmp(text, "true") == 0);
        if (s->type == SETTING_INT || s->type == SETTING_LONG)
                return json_integer(strtoll(text, NULL, 10));
        return json_string(text);
}

static json_t *self_link(struct request *q, const char *key)
{
        return link_to(q, "system/configs/%s", key);
}

static void add_own_links(struct request *q, json_t *j, const char *key, bool in_map)
{
        json_t *self = self_link(q, key);
        if (!in_map) {
                json_object_set_new(j, "_links", json_pack("{s:o}", "self", self));
                return;
        }
        json_object_set_new(self, "rel", json_string("self"));
        json_object_set_new(j, "links", json_pack("[o]", self));
}

static json_t *setting_json(struct request *q, const struct setting *s, bool in_map)
{
        json_t *j = json_object();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT value, created_by, created_at, modified_by, modified_at FROM setting WHERE "
                "tenant=? AND"
                " key=?",
                SQL_I(q->tx.tenant), SQL_T(s->key));
        bool is_set = sql_next(&r);
        json_object_set_new(j, "value",
                value_json(s, is_set ? sql_col_text(&r, 0) : settings_text(&q->tx, s->key)));
        add_bool(j, "global", !is_set);
        if (is_set)
                add_audit(j, &r, 1);
        add_own_links(q, j, s->key, in_map);
        return j;
}

static json_t *default_type_json(struct request *q, bool in_map)
{
        int64_t id = sql_int(
                &q->tx, 0, "SELECT default_ds_type FROM tenant WHERE id=?", SQL_I(q->tx.tenant));
        json_t *j = json_pack("{s:I, s:b}", "value", (json_int_t)id, "global", 0);
        add_own_links(q, j, SETTING_DEFAULT_TYPE, in_map);
        return j;
}

/* ── reading ── */

static bool may_see(struct request *q, const struct setting *s)
{
        if (!request_may(q, READ(CONFIGURATION)))
                return false;
        return strcmp(s->key, SETTING_GATEWAY_KEY) != 0 || request_may(q, PERMIT_GATEWAY_TOKEN);
}

int configs_list(struct request *q)
{
        json_t *all = json_object();
        for (const struct setting *s = settings_table; s->key; s++) {
                if (may_see(q, s) && !settings_is_hidden(&q->tx, s))
                        json_object_set_new(all, s->key, setting_json(q, s, true));
        }
        json_object_set_new(all, SETTING_DEFAULT_TYPE, default_type_json(q, true));
        return reply_json(q, 200, all);
}

static int unknown_key(struct request *q, const char *key)
{
        return tx_problem(
                &q->tx, PROBLEM_CONFIG_KEY, "The given configuration key '%s' is invalid", key);
}

int config_show(struct request *q)
{
        const char *key = q->texts[0];
        if (strcmp(key, SETTING_DEFAULT_TYPE) == 0)
                return reply_json(q, 200, default_type_json(q, false));
        if (!request_may(q, READ(CONFIGURATION)))
                return request_forbid(q);
        const struct setting *s = settings_find(key);
        if (!s)
                return unknown_key(q, key);
        return may_see(q, s) ? reply_json(q, 200, setting_json(q, s, false)) : request_forbid(q);
}

/* ── writing ── */

static int put_default_type(struct request *q, const json_t *value)
{
        int64_t id = json_integer_value(value);
        if (!json_is_number(value))
                return tx_problem(
                        &q->tx, PROBLEM_CONFIG_VALUE, "default.ds.type is the id of a type");
        if (json_is_real(value))
                id = (int64_t)json_real_value(value);
        if (!sql_int(&q->tx, 0, "SELECT 1 FROM ds_type WHERE tenant=? AND id=?",
                    SQL_I(q->tx.tenant), SQL_I(id)))
                return tx_not_found(&q->tx, "DistributionSetType", id);
        sql_run(&q->tx, "UPDATE tenant SET default_ds_type=? WHERE id=?", SQL_I(id),
                SQL_I(q->tx.tenant));
        return 0;
}

static int put_one(struct request *q, const char *key, const json_t *value)
{
        if (strcmp(key, SETTING_DEFAULT_TYPE) == 0)
                return put_default_type(q, value);
        const struct setting *s = settings_find(key);
        if (!s)
                return unknown_key(q, key);
        const char *text = settings_convert(&q->tx, s, value);
        if (!text)
                return -1;
        settings_put(&q->tx, key, text);
        deadline_setting_changed(&q->tx, key);
        return 0;
}

int configs_update(struct request *q)
{
        const char *key;
        json_t *value;
        json_object_foreach(q->body, key, value)
        {
                if (json_is_null(value) && strcmp(key, SETTING_DEFAULT_TYPE) == 0)
                        continue;
                if (put_one(q, key, value) < 0)
                        return -1;
        }
        return reply_none(q, 204);
}

int config_update(struct request *q)
{
        if (put_one(q, q->texts[0], json_object_get(q->body, "value")) < 0)
                return -1;
        return reply_none(q, 204);
}

int config_remove(struct request *q)
{
        const char *key = q->texts[0];
        if (strcmp(key, SETTING_DEFAULT_TYPE) == 0)
                return tx_not_found_text(&q->tx, "Configuration key not found", key);
        if (!request_may(q, DELETE(CONFIGURATION)))
                return request_forbid(q);
        settings_remove(&q->tx, key);
        deadline_setting_changed(&q->tx, key);
        return reply_none(q, 204);
}

int userinfo_show(struct request *q)
{
        json_t *permissions = json_array();
        for (size_t i = 0; i < q->user->n_authorities; i++)
                json_array_append_new(permissions, json_string(q->user->authorities[i]));
        return reply_json(q, 200,
                json_pack("{s:s, s:s, s:o, s:s*}", "tenant", q->user->tenant, "username",
                        q->user->name, "permissions", permissions, "token", q->user->token));
}
