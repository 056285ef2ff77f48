/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/events.h"

#include "base/limits.h"
#include "cloud/ota/auth.h"
#include "cloud/ota/settings.h"

#include <string.h>

bool events_are_on(struct tx *tx)
{
        return settings_bool(tx, SETTING_EVENTS);
}

void event_put(struct tx *tx, const char *type, int64_t hook, json_t *data)
{
        char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;
        json_decref(data);
        if (!text)
                abort();     /* out of memory (arena.h) */
        if (!tx->has_events) /* with several servers: who has its id first commits first */
                sql_run(tx, "UPDATE tenant SET default_ds_type=default_ds_type WHERE id=?",
                        SQL_I(tx->tenant));
        sql_run(tx, "INSERT INTO event(tenant, at, type, hook, data) VALUES(?, ?, ?, ?, ?)",
                SQL_I(tx->tenant), SQL_I(tx->now), SQL_T(type), SQL_OPT(hook), SQL_T(text));
        free(text);
        tx->has_events = true;
}

void event_target(struct tx *tx, const char *type, const char *controller_id, const char *what)
{
        if (events_are_on(tx))
                event_put(tx, type, 0,
                        json_pack("{s:s, s:s*}", "controllerId", controller_id, "what", what));
}

void event_action(struct tx *tx, const char *type, const struct action *a)
{
        if (!events_are_on(tx))
                return;
        const char *id =
                sql_text(tx, "SELECT controller_id FROM target WHERE id=?", SQL_I(a->target));
        json_t *data = json_pack("{s:I, s:s*, s:I, s:s}", "id", (json_int_t)a->id, "controllerId",
                id, "distributionSet", (json_int_t)a->ds, "status", action_status_words[a->status]);
        if (a->rollout)
                json_object_set_new(data, "rollout", json_integer(a->rollout));
        event_put(tx, type, 0, data);
}

void event_rollout(struct tx *tx, const struct rollout *r)
{
        if (events_are_on(tx))
                event_put(tx, "rollout.status", 0,
                        json_pack("{s:I, s:s, s:s}", "id", (json_int_t)r->id, "name", r->name,
                                "status", rollout_status_words[r->status]));
}

void event_group(struct tx *tx, int64_t group, enum group_status status)
{
        if (!events_are_on(tx))
                return;
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT rollout, name, total_targets FROM rollout_group WHERE id=?", SQL_I(group));
        if (sql_next(&r))
                event_put(tx, "rollout.group", 0,
                        json_pack("{s:I, s:I, s:s, s:s, s:I}", "id", (json_int_t)group, "rollout",
                                (json_int_t)sql_col_int(&r, 0), "name", sql_col_text(&r, 1),
                                "status", group_status_words[status], "targets",
                                (json_int_t)sql_col_int(&r, 2)));
}

void event_set(struct tx *tx, const char *type, const struct dset *s)
{
        if (events_are_on(tx))
                event_put(tx, type, 0,
                        json_pack("{s:I, s:s, s:s}", "id", (json_int_t)s->id, "name", s->name,
                                "version", s->version));
}

uint64_t event_permission(const char *type)
{
        if (strncmp(type, "rollout.", 8) == 0)
                return READ(ROLLOUT);
        if (strncmp(type, "distributionset.", 16) == 0)
                return READ(SET);
        return READ(TARGET);
}

bool event_fits(const char *list, const char *type)
{
        bool is_empty = true;
        for (const char *p = list ? list : ""; *p;) {
                p += strspn(p, ", ");
                size_t len = strcspn(p, ", ");
                if (len == 0)
                        break;
                is_empty = false;
                if ((len == 1 && *p == '*') ||
                        (strncmp(p, type, len) == 0 && (type[len] == '\0' || type[len] == '.')))
                        return true;
                p += len;
        }
        return is_empty;
}

static void trim_tenant(struct tx *tx, int64_t tenant)
{
        int64_t last = sql_int(tx, 0,
                "SELECT id FROM event WHERE tenant=? ORDER BY id DESC LIMIT 1 OFFSET ?",
                SQL_I(tenant), SQL_I(LIMIT_OTA_EVENTS));
        if (!last)
                return;
        sql_run(tx,
                "UPDATE web_hook SET lost=lost+(SELECT count(*) FROM event e WHERE e.tenant=?1 AND"
                " e.id>web_hook.last_event AND e.id<=?2) WHERE tenant=?1",
                SQL_I(tenant), SQL_I(last));
        sql_run(tx, "DELETE FROM event WHERE tenant=? AND id<=?", SQL_I(tenant), SQL_I(last));
        sql_run(tx,
                "INSERT INTO event_trimmed(tenant, last) VALUES(?1, ?2) ON CONFLICT(tenant) DO "
                "UPDATE SET last=?2",
                SQL_I(tenant), SQL_I(last));
}

void events_trim(struct tx *tx)
{
        int64_t tenants[64];
        size_t n = 0;
        struct sql_rows r =
                sql_open(tx, "SELECT tenant FROM event GROUP BY tenant HAVING count(*)>? LIMIT 64",
                        SQL_I(LIMIT_OTA_EVENTS));
        while (n < N_ELEMENTS(tenants) && sql_next(&r))
                tenants[n++] = sql_col_int(&r, 0);
        sql_close(&r);
        for (size_t i = 0; i < n; i++)
                trim_tenant(tx, tenants[i]);
}
