/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf_order.h"

#include "cloud/ota/cron.h"
#include "cloud/ota/dmf_letter.h"

#include <string.h>

void dmf_orders_init(struct dmf_orders *list)
{
        *list = (struct dmf_orders){.tail = &list->head};
}

static struct dmf_order *append(struct tx *tx, struct dmf_orders *list, struct dmf_order order)
{
        struct dmf_order *o = arena_alloc(tx->arena, sizeof(*o));
        *o = order;
        *list->tail = o;
        list->tail = &o->next;
        list->n++;
        return o;
}

const char *dmf_topic_word(enum dmf_topic topic, bool is_batch)
{
        switch (topic) {
        case DMF_TOPIC_CONFIRM:
                return "CONFIRM";
        case DMF_TOPIC_DOWNLOAD:
                return is_batch ? "BATCH_DOWNLOAD" : "DOWNLOAD";
        case DMF_TOPIC_INSTALL:
                return is_batch ? "BATCH_DOWNLOAD_AND_INSTALL" : "DOWNLOAD_AND_INSTALL";
        case DMF_TOPIC_CANCEL:
                return "CANCEL_DOWNLOAD";
        case DMF_TOPIC_ATTRIBUTES:
                return "REQUEST_ATTRIBUTES_UPDATE";
        default:
                return NULL;
        }
}

/* ── one target ── */

struct subject {
        struct tx *tx;
        struct target t;
        struct dmf_orders *list;
};

/* A target may have been looked at before in the same turn. */
static bool is_ordered(const struct dmf_orders *list, int64_t action, enum dmf_topic topic)
{
        const struct dmf_order *o = list->head;
        while (o && (o->letter || o->action != action || o->topic != topic))
                o = o->next;
        return o != NULL;
}

static void order(struct subject *s, enum dmf_topic topic, const struct action *a, int64_t again_at)
{
        if (is_ordered(s->list, a->id, topic))
                return;
        append(s->tx, s->list,
                (struct dmf_order){.topic = topic,
                        .tenant = s->tx->tenant,
                        .tenant_name = s->tx->tenant_name,
                        .target = s->t.id,
                        .controller_id = s->t.controller_id,
                        .address = s->t.address,
                        .token = s->t.token,
                        .action = a->id,
                        .ds = a->ds,
                        .is_closed = !a->is_active,
                        .again_at = again_at});
}

/* What the action asks for now; `ret_again_at` when that changes by itself. */
static enum dmf_topic topic_of(struct tx *tx, const struct action *a, int64_t *ret_again_at)
{
        struct cron_window w;
        *ret_again_at = 0;
        if (a->status == ACTION_WAIT_FOR_CONFIRMATION)
                return DMF_TOPIC_CONFIRM;
        if (a->type == ACTION_DOWNLOAD_ONLY)
                return DMF_TOPIC_DOWNLOAD;
        if (a->schedule &&
                cron_window_at(a->schedule, a->duration, a->timezone, tx->now, &w) == 0 &&
                w.start > tx->now) {
                *ret_again_at = w.start;
                return DMF_TOPIC_DOWNLOAD;
        }
        return DMF_TOPIC_INSTALL;
}

struct told {
        enum dmf_topic topic;
        bool has_cancel;
};

static void order_next(struct subject *s, struct action *a, const struct told *told)
{
        int64_t again_at = 0;
        /* one that it was told to install is under way */
        if (told->topic != DMF_TOPIC_INSTALL && action_end_without_window(s->tx, a)) {
                if (told->topic)
                        order(s, DMF_TOPIC_CANCEL, a, 0);
                return;
        }
        enum dmf_topic topic = topic_of(s->tx, a, &again_at);
        if (topic > told->topic)
                order(s, topic, a, again_at);
        else if (topic == DMF_TOPIC_DOWNLOAD && again_at)
                sql_run(s->tx, "UPDATE dmf_told SET again_at=? WHERE action=?", SQL_I(again_at),
                        SQL_I(a->id));
}

/* The open actions: the withdrawn ones, and the one to come if there are none of those. */
static void orders_of_open(struct subject *s)
{
        struct action next = {0};
        struct told next_told = {0};
        bool is_canceling = false;
        CLEAN_ROWS struct sql_rows r = sql_open(s->tx,
                "SELECT " ACTION_COLUMNS ", coalesce(d.topic, 0), coalesce(d.cancel, 0)"
                " FROM action a LEFT JOIN dmf_told d ON d.action=a.id"
                " WHERE a.target=? AND a.active=1 ORDER BY a.weight DESC, a.id",
                SQL_I(s->t.id));
        while (sql_next(&r)) {
                struct action a;
                action_read(&r, &a);
                struct told told = {.topic = (enum dmf_topic)sql_col_int(&r, ACTION_N_COLUMNS),
                        .has_cancel = sql_col_int(&r, ACTION_N_COLUMNS + 1) != 0};
                if (a.status == ACTION_CANCELING) {
                        is_canceling = true;
                        if (!told.has_cancel)
                                order(s, DMF_TOPIC_CANCEL, &a, 0);
                        continue;
                }
                if (told.has_cancel) /* it was refused: a later one is told again */
                        sql_run(s->tx, "UPDATE dmf_told SET cancel=0 WHERE action=?", SQL_I(a.id));
                if (!next.id && !a.proving_since) {
                        next = a;
                        next_told = told;
                }
        }
        if (next.id && !is_canceling)
                order_next(s, &next, &next_told);
}

/* Ended ones: who holds an action that was withdrawn without being asked is told; the rest is
 * forgotten. */
static void orders_of_ended(struct subject *s)
{
        CLEAN_ROWS struct sql_rows r = sql_open(s->tx,
                "SELECT a.id, a.status, d.cancel FROM dmf_told d JOIN action a ON a.id=d.action"
                " WHERE d.target=? AND a.active=0 ORDER BY a.id",
                SQL_I(s->t.id));
        while (sql_next(&r)) {
                struct action a = {.id = sql_col_int(&r, 0)};
                if (sql_col_int(&r, 1) == ACTION_CANCELED && !sql_col_int(&r, 2))
                        order(s, DMF_TOPIC_CANCEL, &a, 0);
                else
                        sql_run(s->tx, "DELETE FROM dmf_told WHERE action=?", SQL_I(a.id));
        }
}

static void set_tenant(struct tx *tx, int64_t tenant)
{
        if (tx->tenant == tenant && tx->tenant_name)
                return;
        tx->tenant = tenant;
        tx->tenant_name = sql_text(tx, "SELECT name FROM tenant WHERE id=?", SQL_I(tenant));
}

void dmf_orders_of_target(struct tx *tx, int64_t tenant, const char *controller_id, int64_t target,
        struct dmf_orders *list)
{
        struct subject s = {.tx = tx, .list = list};
        set_tenant(tx, tenant);
        bool is_found =
                controller_id ? target_find(tx, controller_id, &s.t) : target_get(tx, target, &s.t);
        if (!is_found || !s.t.address || strncmp(s.t.address, "amqp:", 5) != 0)
                return;
        orders_of_ended(&s);
        orders_of_open(&s);
}

void dmf_orders_of_letters(struct tx *tx, int64_t after, int limit, struct dmf_orders *list)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT l.id, l.tenant, n.name, l.controller_id, l.address, l.letter, l.created_at"
                " FROM dmf_letter l JOIN tenant n ON n.id=l.tenant WHERE l.id>? ORDER BY l.id"
                " LIMIT ?",
                SQL_I(after), SQL_I(limit));
        while (sql_next(&r))
                append(tx, list,
                        (struct dmf_order){.letter = sql_col_int(&r, 0),
                                .tenant = sql_col_int(&r, 1),
                                .tenant_name = sql_col_text(&r, 2),
                                .controller_id = sql_col_text(&r, 3),
                                .address = sql_col_text(&r, 4),
                                .topic = sql_col_int(&r, 5) == DMF_LETTER_DELETED
                                                 ? DMF_TOPIC_DELETED
                                                 : DMF_TOPIC_ATTRIBUTES,
                                .created_at = sql_col_int(&r, 6)});
}

/* ── what was told ── */

void dmf_order_told(struct tx *tx, const struct dmf_order *o)
{
        if (o->letter)
                sql_run(tx, "DELETE FROM dmf_letter WHERE id=? AND created_at=?", SQL_I(o->letter),
                        SQL_I(o->created_at));
        else if (o->topic == DMF_TOPIC_CANCEL && o->is_closed)
                sql_run(tx, "DELETE FROM dmf_told WHERE action=?", SQL_I(o->action));
        else if (o->topic == DMF_TOPIC_CANCEL)
                sql_run(tx,
                        "INSERT INTO dmf_told(action, target, topic, cancel)"
                        " SELECT id, target, 0, 1 FROM action WHERE id=?"
                        " ON CONFLICT(action) DO UPDATE SET cancel=1, again_at=NULL",
                        SQL_I(o->action));
        else /* unless the device has come back behind another gateway meanwhile */
                sql_run(tx,
                        "INSERT INTO dmf_told(action, target, topic, cancel, again_at)"
                        " SELECT a.id, a.target, ?, 0, ? FROM action a JOIN target t ON "
                        "t.id=a.target"
                        " WHERE a.id=? AND t.address=?"
                        " ON CONFLICT(action) DO UPDATE SET topic=excluded.topic,"
                        " again_at=excluded.again_at",
                        SQL_I(o->topic), SQL_OPT(o->again_at), SQL_I(o->action), SQL_T(o->address));
}

void dmf_orders_forget(struct tx *tx, int64_t target)
{
        sql_run(tx,
                "DELETE FROM dmf_told WHERE target=?1 AND action IN"
                " (SELECT id FROM action WHERE target=?1 AND active=1)",
                SQL_I(target));
}
