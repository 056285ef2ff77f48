/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf_apply.h"

#include "base/log.h"
#include "cloud/ota/attributes.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/dmf_letter.h"
#include "cloud/ota/dmf_order.h"
#include "cloud/ota/events.h"
#include "cloud/ota/server.h"
#include "cloud/ota/shape.h"
#include "cloud/ota/target.h"

#include <ctype.h>
#include <string.h>

#define MAX_ID 128
#define MAX_NAME 128
#define MAX_CONFIRM_TEXT 512

static int put_attributes(struct tx *tx, const struct target *t, const struct dmf_message *m)
{
        if (attributes_put(tx, t->id, m->attributes, (enum attributes_mode)m->mode) < 0)
                return -1;
        event_target(tx, "target.updated", t->controller_id, "attributes");
        return 0;
}

/* ── THING_CREATED ── */

static int check_thing(struct tx *tx, const struct dmf_message *m)
{
        for (const char *p = m->thing; *p; p++) {
                if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p))
                        return tx_problem(
                                tx, PROBLEM_CONSTRAINT, "the id of the thing holds white space");
        }
        if (shape_utf16_length(m->thing) > MAX_ID)
                return tx_problem(tx, PROBLEM_CONSTRAINT, "the id of the thing is too long");
        if (m->name && shape_utf16_length(m->name) > MAX_NAME)
                return tx_problem(tx, PROBLEM_CONSTRAINT, "the name of the thing is too long");
        return 0;
}

static int create(struct tx *tx, const struct dmf_message *m, struct target *ret)
{
        int64_t row = target_create(tx, m->thing, m->name, NULL, TARGET_REGISTERED);
        if (!row)
                return -1;
        sql_run(tx, "UPDATE target SET description=? WHERE id=?",
                SQL_T(arena_printf(tx->arena, "Plug and Play target: %s", m->thing)), SQL_I(row));
        return target_get(tx, row, ret) ? 0 : -1;
}

static void set_type(struct tx *tx, const struct target *t, const char *name)
{
        int64_t type =
                *name ? sql_int(tx, 0, "SELECT id FROM target_type WHERE tenant=? AND name=?",
                                SQL_I(tx->tenant), SQL_T(name))
                      : 0;
        if (*name && !type)
                log_warning("DMF: '%s' names the target type '%s', which does not exist",
                        t->controller_id, name);
        else if (type != t->type)
                sql_run(tx, "UPDATE target SET type=? WHERE id=?", SQL_OPT(type), SQL_I(t->id));
}

/* The message came before its thing was deleted, of which the gateway hasn't heard yet. */
static bool is_outdated(struct tx *tx, const struct dmf_message *m)
{
        struct target t;
        return !target_find(tx, m->thing, &t) &&
               sql_int(tx, 0,
                       "SELECT 1 FROM dmf_letter WHERE tenant=? AND controller_id=? AND letter=?",
                       SQL_I(tx->tenant), SQL_T(m->thing), SQL_I(DMF_LETTER_DELETED));
}

static int thing_created(
        struct tx *tx, const struct dmf_message *m, bool is_redelivered, const char *vhost)
{
        struct target t;
        if (is_redelivered && is_outdated(tx, m))
                return 0;
        CLEAN_MEM char *address = dmf_address(vhost, m->reply_to);
        if (!address)
                return tx_problem(tx, PROBLEM_CONSTRAINT, "'reply_to' is too long");
        if (check_thing(tx, m) < 0 || (!target_find(tx, m->thing, &t) && create(tx, m, &t) < 0))
                return -1;
        sql_run(tx,
                "UPDATE target SET address=?, last_query_at=?, name=coalesce(?, name), status=?"
                " WHERE id=?",
                SQL_T(address), SQL_I(tx->now), SQL_T(m->name && *m->name ? m->name : NULL),
                SQL_I(t.status == TARGET_UNKNOWN ? TARGET_REGISTERED : t.status), SQL_I(t.id));
        if (m->type)
                set_type(tx, &t, m->type);
        if (m->attributes && json_object_size(m->attributes) > 0 && put_attributes(tx, &t, m) < 0)
                return -1;
        sql_run(tx, "DELETE FROM dmf_letter WHERE tenant=? AND controller_id=? AND letter=?",
                SQL_I(tx->tenant), SQL_T(m->thing), SQL_I(DMF_LETTER_DELETED));
        dmf_orders_forget(tx, t.id);
        tx_tell(tx, t.controller_id);
        return 0;
}

/* ── the rest ── */

static int thing_removed(struct tx *tx, const struct dmf_message *m, bool is_redelivered)
{
        struct target t;
        if (!target_find(tx, m->thing, &t))
                return is_redelivered ? 0 : target_require(tx, m->thing, &t);
        target_delete(tx, &t);
        return 0;
}

static int update_attributes(struct tx *tx, const struct dmf_message *m)
{
        struct target t;
        if (target_require(tx, m->thing, &t) < 0)
                return -1;
        return put_attributes(tx, &t, m);
}

static int update_auto_confirm(struct tx *tx, const struct dmf_message *m)
{
        struct target t;
        const char *remark =
                m->remark ? m->remark
                          : "Initiated using the Device Management Federation API without providing"
                            " a remark.";
        if (target_require(tx, m->thing, &t) < 0)
                return -1;
        if (shape_utf16_length(remark) > MAX_CONFIRM_TEXT ||
                (m->initiator && shape_utf16_length(m->initiator) > MAX_CONFIRM_TEXT))
                return tx_problem(tx, PROBLEM_CONSTRAINT, "'initiator' or 'remark' is too long");
        if (!m->is_enabled)
                auto_confirm_deactivate(tx, &t);
        else if (!t.auto_confirm_at) /* once is enough */
                return auto_confirm_activate(tx, &t, m->initiator, remark);
        return 0;
}

int dmf_apply(struct tx *tx, const struct dmf_message *m, bool is_redelivered, const char *vhost)
{
        tx->is_device = true;
        tx->tenant = tenant_find(tx, m->tenant, false, &tx->tenant_name);
        if (!tx->tenant)
                return tx_problem(tx, PROBLEM_NOT_FOUND, "there is no tenant '%s'", m->tenant);
        switch (m->kind) {
        case DMF_THING_CREATED:
                return thing_created(tx, m, is_redelivered, vhost);
        case DMF_THING_REMOVED:
                return thing_removed(tx, m, is_redelivered);
        case DMF_UPDATE_ATTRIBUTES:
                return update_attributes(tx, m);
        case DMF_UPDATE_AUTO_CONFIRM:
                return update_auto_confirm(tx, m);
        case DMF_UPDATE_ACTION_STATUS:
                return dmf_apply_status(tx, m, is_redelivered);
        default:
                return 0;
        }
}
