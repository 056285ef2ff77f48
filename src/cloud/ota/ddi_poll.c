/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/attributes.h"
#include "cloud/ota/cron.h"
#include "cloud/ota/ddi.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/events.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/polling.h"
#include "cloud/ota/seen.h"
#include "cloud/ota/settings.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

/* ── shared with the other device handlers ── */

int ddi_require_target(struct request *q, struct target *ret)
{
        int r = target_require(&q->tx, q->texts[0], ret);
        if (r == 0)
                q->tx.device = ret->id;
        return r;
}

int ddi_require_action(struct request *q, const struct target *t, struct action *ret)
{
        if (!action_get(&q->tx, q->ids[1], ret))
                return tx_not_found(&q->tx, "Action", q->ids[1]);
        if (ret->target != t->id)
                return tx_problem(&q->tx, PROBLEM_NOT_FOUND,
                        "Not a valid action (%lld) for target: %s", (long long)q->ids[1],
                        t->controller_id);
        return 0;
}

json_t *ddi_link(struct request *q, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        const char *tail = arena_vprintf(&q->arena, fmt, ap);
        va_end(ap);
        return json_pack("{s:s}", "href",
                arena_printf(&q->arena, "%s/%s/controller/v1/%s/%s", request_origin(q),
                        q->tenant_in_path, url_part(q, q->texts[0]), tail));
}

int32_t ddi_fingerprint(struct request *q, const struct action *a)
{
        const char *download, *update, *window;
        action_handling(&q->tx, a, &download, &update, &window);
        const char *text = arena_printf(&q->arena, "%lld %lld %d %s %s %s", (long long)a->id,
                (long long)a->ds, a->status, download, update, window ? window : "");
        uint32_t h = 2166136261u; /* FNV-1a */
        for (const char *p = text; *p; p++)
                h = (h ^ (unsigned char)*p) * 16777619u;
        return (int32_t)h;
}

bool ddi_next_action(struct request *q, const struct target *t, struct action *ret)
{
        while (action_next(&q->tx, t->id, ret)) {
                if (!action_end_without_window(&q->tx, ret))
                        return true;
        }
        return false;
}

/* ── registration ── */

/* The first address of X-Forwarded-For if it is one, else the peer's. */
static const char *client_address(struct request *q)
{
        const char *header = http_header(q->x, "X-Forwarded-For");
        unsigned char address[16];
        if (header) {
                const char *start = header + strspn(header, " \t");
                char *first = arena_strndup(&q->arena, start, strcspn(start, ", \t"));
                if (inet_pton(AF_INET, first, address) == 1)
                        return arena_printf(&q->arena, "http://%s", first);
                if (inet_pton(AF_INET6, first, address) == 1)
                        return arena_printf(&q->arena, "http://[%s]", first);
        }
        const char *peer = http_peer(q->x);
        return arena_printf(&q->arena, strchr(peer, ':') ? "http://[%s]" : "http://%s", peer);
}

static bool is_registrable(const char *id)
{
        for (const char *p = id; *p; p++) {
                if (isspace((unsigned char)*p))
                        return false;
        }
        return shape_utf16_length(id) <= 128;
}

static int register_new(struct request *q, const char *address, struct target *ret)
{
        const char *id = q->texts[0];
        if (!is_registrable(id))
                return tx_problem(
                        &q->tx, PROBLEM_CONSTRAINT, "'%s' cannot be the id of a target", id);
        int64_t row = target_create(&q->tx, id, NULL, NULL, TARGET_REGISTERED);
        if (!row)
                return -1;
        sql_run(&q->tx, "UPDATE target SET description=?, address=?, last_query_at=? WHERE id=?",
                SQL_T(arena_printf(&q->arena, "Plug and Play target: %s", id)), SQL_T(address),
                SQL_I(q->tx.now), SQL_I(row));
        return target_get(&q->tx, row, ret) ? 0 : -1;
}

int ddi_register(struct request *q, struct target *ret)
{
        const char *address = client_address(q);
        if (!target_find(&q->tx, q->texts[0], ret))
                return register_new(q, address, ret);
        /* behind a gateway it is reached over AMQP, however it polls */
        if (ret->address && strncmp(ret->address, "amqp:", 5) == 0)
                address = ret->address;
        q->tx.device = ret->id;
        if (ret->status == TARGET_UNKNOWN || !ret->last_query_at || !ret->address ||
                strcmp(ret->address, address) != 0) {
                int status = ret->status == TARGET_UNKNOWN ? TARGET_REGISTERED : ret->status;
                sql_run(&q->tx, "UPDATE target SET status=?, address=?, last_query_at=? WHERE id=?",
                        SQL_I(status), SQL_T(address), SQL_I(q->tx.now), SQL_I(ret->id));
        } else {
                seen_note(q->ota->seen, ret->id, q->tx.now);
        }
        return 0;
}

/* ── the poll ── */

/* Before a window opens a device polls more often, so as not to miss it. */
static int64_t sleep_ms(struct request *q, const struct target *t, const struct action *next)
{
        int deviation = 0;
        struct cron_window w;
        int64_t normal = polling_interval_ms(&q->tx, t->id, &deviation);
        if (next && next->schedule &&
                cron_window_at(next->schedule, next->duration, next->timezone, q->tx.now, &w) ==
                        0 &&
                w.start > q->tx.now) {
                int64_t n = settings_int(&q->tx, SETTING_POLL_COUNT);
                int64_t ms = (w.start - q->tx.now) / (n > 0 ? n : 1);
                return ms < POLLING_MIN_MS ? POLLING_MIN_MS : ms < normal ? ms : normal;
        }
        return polling_spread(normal, deviation);
}

static void add_action_link(struct request *q, json_t *links, const struct action *a)
{
        long long id = a->id;
        if (a->status == ACTION_WAIT_FOR_CONFIRMATION)
                json_object_set_new(links, "confirmationBase",
                        ddi_link(q, "confirmationBase/%lld?c=%d", id, ddi_fingerprint(q, a)));
        else if (a->status == ACTION_CANCELING)
                json_object_set_new(links, "cancelAction", ddi_link(q, "cancelAction/%lld", id));
        else
                json_object_set_new(links, "deploymentBase",
                        ddi_link(q, "deploymentBase/%lld?c=%d", id, ddi_fingerprint(q, a)));
}

static json_t *poll_links(struct request *q, const struct target *t, const struct action *next)
{
        json_t *links = json_object();
        if (next)
                add_action_link(q, links, next);
        int64_t installed =
                t->installed_ds
                        ? sql_int(&q->tx, 0,
                                  "SELECT id FROM action WHERE target=? AND active=0 AND status=?"
                                  " AND ds=? ORDER BY id DESC LIMIT 1",
                                  SQL_I(t->id), SQL_I(ACTION_FINISHED), SQL_I(t->installed_ds))
                        : 0;
        if (installed)
                json_object_set_new(links, "installedBase",
                        ddi_link(q, "installedBase/%lld", (long long)installed));
        if (t->request_attributes)
                json_object_set_new(links, "configData", ddi_link(q, "configData"));
        return links;
}

/* Will the next idle poll be told the same, whatever the time? Not with a random share, nor where
 * an override asks for times. */
static bool is_steady(struct request *q)
{
        const char *interval = settings_text(&q->tx, SETTING_POLLING_TIME);
        return !strchr(interval, '~') && !strstr(interval, "${") &&
               !strcasestr(interval, "lastController");
}

int ddi_poll(struct request *q)
{
        struct target t;
        struct action next;
        char sleep[POLLING_TEXT_SIZE];
        if (ddi_register(q, &t) < 0)
                return -1;
        bool has_next = ddi_next_action(q, &t, &next);
        polling_format(sleep_ms(q, &t, has_next ? &next : NULL), sleep);
        json_t *j = json_pack("{s:{s:{s:s}}}", "config", "polling", "sleep", sleep);
        json_t *links = poll_links(q, &t, has_next ? &next : NULL);
        /* CBOR writes the list even when it is empty */
        if (json_object_size(links) > 0 || q->media == MEDIA_CBOR)
                json_object_set_new(j, "_links", links);
        else
                json_decref(links);
        if (!has_next && is_steady(q)) {
                q->idle_target = t.id;
                q->is_idle_by_filter = strchr(settings_text(&q->tx, SETTING_POLLING_TIME), ',');
        }
        return reply_json(q, 200, j);
}

/* ── configData ── */

static const char *const modes[] = {"merge", "replace", "remove", NULL};
static const struct shape config_members[] = {
        {.name = "mode", .type = SHAPE_WORD, .words = modes},
        {.name = "data", .type = SHAPE_MAP, .flags = SHAPE_NEEDED},
        {0},
};
const struct shape shape_config_data[] = {{.type = SHAPE_OBJECT, .sub = config_members}};

int ddi_config_data(struct request *q)
{
        struct target t;
        const json_t *data = json_object_get(q->body, "data");
        const char *mode = json_text(q->body, "mode", "merge");
        if (json_object_size(data) == 0)
                return tx_problem(
                        &q->tx, PROBLEM_BODY, "The given request body is not well formed");
        if (ddi_require_target(q, &t) < 0)
                return -1;
        if (attributes_put(&q->tx, t.id, data,
                    strcmp(mode, "replace") == 0  ? ATTRIBUTES_REPLACE
                    : strcmp(mode, "remove") == 0 ? ATTRIBUTES_REMOVE
                                                  : ATTRIBUTES_MERGE) < 0)
                return -1;
        event_target(&q->tx, "target.updated", t.controller_id, "attributes");
        return reply_none(q, 200);
}

/* ── installedBase: the device says what it has ── */

static const struct shape installed_members[] = {
        {.name = "name", .type = SHAPE_TEXT, .flags = SHAPE_NEEDED | SHAPE_NULL_BAD},
        {.name = "version", .type = SHAPE_TEXT, .flags = SHAPE_NEEDED | SHAPE_NULL_BAD},
        {0},
};
const struct shape shape_installed[] = {{.type = SHAPE_OBJECT, .sub = installed_members}};

int ddi_report_installed(struct request *q)
{
        struct target t;
        struct dset s;
        const char *name = json_text(q->body, "name", ""),
                   *version = json_text(q->body, "version", "");
        if (ddi_require_target(q, &t) < 0)
                return -1;
        int64_t id = sql_int(&q->tx, 0,
                "SELECT id FROM ds WHERE tenant=? AND deleted=0 AND fold(name)=fold(?) AND"
                " fold(version)=fold(?) ORDER BY id LIMIT 1",
                SQL_I(q->tx.tenant), SQL_T(name), SQL_T(version));
        if (!id) {
                tx_problem(&q->tx, PROBLEM_NOT_FOUND, "DistributionSet '%s' '%s' does not exist",
                        name, version);
                q->problem.info = json_pack(
                        "{s:s, s:{s:s}}", "type", "DistributionSet", "entityId", name, version);
                return -1;
        }
        q->tx.is_device = false; /* this report is signed by the device */
        q->tx.user = t.controller_id;
        proof_by_installed(&q->tx, t.id, id);
        if (!set_find(&q->tx, id, &s) || !target_get(&q->tx, t.id, &t) ||
                !deploy_offline(&q->tx, &s, &t))
                return q->problem.code ? -1 : reply_none(q, 200);
        return reply_none(q, 201);
}
