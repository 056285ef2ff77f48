/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/event_hub.h"
#include "cloud/ota/events.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/hook.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The routes of events: the stream, and the web-hooks. */

static const struct shape type_one[] = {{.type = SHAPE_TEXT, .max = 64}};
static const struct shape hook_members[] = {
        {.name = "url",
                .type = SHAPE_TEXT,
                .max = 1024,
                .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY | SHAPE_NO_SPACE},
        {.name = "secret", .type = SHAPE_TEXT, .max = 256, .flags = SHAPE_REQUIRED},
        {.name = "types", .type = SHAPE_ARRAY, .sub = type_one},
        {0},
};
const struct shape shape_hook[] = {{.type = SHAPE_OBJECT, .sub = hook_members}};

#define MIN_SECRET 16

/* ── JSON ── */

static json_t *types_json(const char *types)
{
        json_t *list = json_array();
        for (const char *p = types; *p;) {
                size_t len = strcspn(p, ",");
                if (len)
                        json_array_append_new(list, json_stringn(p, len));
                p += len + (p[len] == ',');
        }
        return list;
}

static json_t *hook_row(struct request *q, struct sql_rows *r)
{
        struct hook h;
        json_t *j = json_object();
        hook_read(r, &h);
        add_audit(j, r, HOOK_AUDIT_COLUMN);
        add_int(j, "id", h.id);
        add_text(j, "url", h.url);
        json_object_set_new(j, "types", types_json(h.types));
        add_bool(j, "enabled", h.is_enabled);
        add_text(j, "reason", h.reason);
        add_int(j, "failures", h.failures);
        if (h.failing_since)
                add_int(j, "failingSince", h.failing_since);
        if (h.failures && h.is_enabled)
                add_int(j, "nextAttemptAt", h.next_at);
        add_int(j, "lastEvent", h.last_event);
        add_int(j, "delivered", h.n_delivered);
        add_int(j, "lost", h.n_lost);
        json_object_set_new(j, "_links",
                json_pack("{s:o}", "self", link_to(q, "webhooks/%lld", (long long)h.id)));
        return j;
}

static json_t *read_hook_json(struct request *q, int64_t id)
{
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " HOOK_COLUMNS " FROM web_hook h WHERE h.tenant=? AND h.id=?",
                SQL_I(q->tx.tenant), SQL_I(id));
        return sql_next(&r) ? hook_row(q, &r) : NULL;
}

/* ── routes ── */

static int need_events(struct request *q)
{
        return events_are_on(&q->tx) ? 0
                                     : tx_problem(&q->tx, PROBLEM_EVENTS_OFF,
                                               "This tenant's events are not recorded: set "
                                               "'driveline.events.enabled' to true first");
}

int hooks_list(struct request *q)
{
        json_t *content = json_array(); /* few enough for one page */
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " HOOK_COLUMNS " FROM web_hook h WHERE h.tenant=? ORDER BY h.id",
                SQL_I(q->tx.tenant));
        while (sql_next(&r))
                json_array_append_new(content, hook_row(q, &r));
        return reply_json(q, 200, page_of(content, (int64_t)json_array_size(content)));
}

int hook_show(struct request *q)
{
        json_t *j = read_hook_json(q, q->ids[0]);
        return j ? reply_json(q, 200, j) : tx_not_found(&q->tx, "WebHook", q->ids[0]);
}

bool hook_url_is_fine(const char *url)
{
        const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                           : strncmp(url, "https://", 8) == 0 ? url + 8
                                                              : NULL;
        if (!host)
                return false;
        for (const char *p = url; *p; p++) {
                if (!isgraph((unsigned char)*p) || strchr("\"<>\\^`{|}", *p))
                        return false;
        }
        size_t len = strcspn(host, "/?#");
        return len > 0 && *host != ':' && !memchr(host, '@', len) && !strchr(url, '#');
}

static const char *join_types(struct request *q)
{
        const char *types = "";
        size_t i;
        json_t *one;
        json_array_foreach(json_object_get(q->body, "types"), i, one)
        {
                const char *text = json_string_value(one);
                if (!*text || text[strcspn(text, ", \t\r\n")])
                        return NULL;
                types = arena_printf(&q->arena, "%s%s%s", types, i ? "," : "", text);
        }
        return strlen(types) < 1024 ? types : NULL;
}

static int check_hook(struct request *q, const char *types)
{
        if (!hook_url_is_fine(json_text(q->body, "url", "")))
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT,
                        "url must be http://host… or https://host…, without credentials");
        if (strlen(json_text(q->body, "secret", "")) < MIN_SECRET)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT,
                        "secret must have at least %d characters: it signs what is sent",
                        MIN_SECRET);
        if (!types)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT,
                        "types are words such as \"action\" or \"rollout.status\"");
        if (sql_int(&q->tx, 0, "SELECT count(*) FROM web_hook WHERE tenant=?",
                    SQL_I(q->tx.tenant)) >= LIMIT_OTA_HOOKS)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many web-hooks: delete one first");
        return need_events(q);
}

int hook_create(struct request *q)
{
        const char *types = join_types(q);
        if (check_hook(q, types) < 0)
                return -1;
        int64_t id = sql_insert(&q->tx,
                "INSERT INTO web_hook(tenant, url, secret, types, enabled, last_event, failures,"
                " next_at, delivered, lost, created_by, created_at, modified_by, modified_at)"
                " VALUES(?1, ?2, ?3, ?4, 1, (SELECT coalesce(max(id), 0) FROM event), 0, 0, 0, 0,"
                " ?5, ?6, ?5, ?6)",
                SQL_I(q->tx.tenant), SQL_T(json_text(q->body, "url", "")),
                SQL_T(json_text(q->body, "secret", "")), SQL_T(types), SQL_T(q->tx.user),
                SQL_I(q->tx.now));
        return reply_json(q, 201, read_hook_json(q, id));
}

static int require_hook(struct request *q)
{
        if (!sql_int(&q->tx, 0, "SELECT 1 FROM web_hook WHERE tenant=? AND id=?",
                    SQL_I(q->tx.tenant), SQL_I(q->ids[0])))
                return tx_not_found(&q->tx, "WebHook", q->ids[0]);
        return 0;
}

int hook_remove(struct request *q)
{
        if (require_hook(q) < 0)
                return -1;
        sql_run(&q->tx, "DELETE FROM web_hook WHERE id=?", SQL_I(q->ids[0]));
        return reply_none(q, 204);
}

/* Sends an event to this hook alone; what came of it is in the hook. */
int hook_test(struct request *q)
{
        if (require_hook(q) < 0 || need_events(q) < 0)
                return -1;
        event_put(&q->tx, "webhook.test", q->ids[0],
                json_pack("{s:I}", "hook", (json_int_t)q->ids[0]));
        return reply_none(q, 204);
}

/* Goes on with what waits, at once. */
int hook_enable(struct request *q)
{
        if (require_hook(q) < 0)
                return -1;
        sql_run(&q->tx,
                "UPDATE web_hook SET enabled=1, failures=0, failing_since=NULL, reason=NULL,"
                " next_at=0, modified_by=?, modified_at=? WHERE id=?",
                SQL_T(q->tx.user), SQL_I(q->tx.now), SQL_I(q->ids[0]));
        q->tx.has_events = true;
        return reply_none(q, 204);
}

/* ── the stream ── */

static int64_t last_event_of(struct request *q)
{
        const char *text = http_header(q->x, "Last-Event-ID");
        if (!text)
                text = request_param(q, "since");
        if (text && *text)
                return strtoll(text, NULL, 10);
        return sql_int(&q->tx, 0, "SELECT max(id) FROM event WHERE tenant=?", SQL_I(q->tx.tenant));
}

int events_stream(struct request *q)
{
        if (need_events(q) < 0)
                return -1;
        if (strcmp(http_method(q->x), "HEAD") == 0)
                return reply_none(q, 200);
        int64_t after = last_event_of(q);
        const struct event_stream_order order = {.tenant = q->tx.tenant,
                .after = after,
                .has_gap =
                        after < sql_int(&q->tx, 0, "SELECT last FROM event_trimmed WHERE tenant=?",
                                        SQL_I(q->tx.tenant)),
                .permissions = q->user->permissions,
                .types = request_param(q, "types")};
        if (event_hub_stream(q->ota->hub, q->x, &order) < 0) {
                http_add_header(q->x, "Retry-After", "5");
                return tx_problem(&q->tx, PROBLEM_QUOTA, "Too many event streams are open");
        }
        q->is_answered = true;
        return 0;
}
