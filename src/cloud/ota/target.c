/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/target.h"

#include "base/hash.h"
#include "cloud/ota/dmf_letter.h"
#include "cloud/ota/events.h"

#include <string.h>

#define TOKEN_BYTES 16
#define MAX_NAME 128

const char *const target_status_words[] = {
        "unknown", "in_sync", "pending", "error", "registered", NULL};

void target_read(struct sql_rows *r, struct target *t)
{
        *t = (struct target){
                .id = sql_col_int(r, 0),
                .controller_id = sql_col_text(r, 1),
                .name = sql_col_text(r, 2),
                .description = sql_col_text(r, 3),
                .address = sql_col_text(r, 4),
                .token = sql_col_text(r, 5),
                .group = sql_col_text(r, 6),
                .type = sql_col_int(r, 7),
                .status = (int)sql_col_int(r, 8),
                .last_query_at = sql_col_int(r, 9),
                .installed_at = sql_col_int(r, 10),
                .request_attributes = sql_col_int(r, 11) != 0,
                .assigned_ds = sql_col_int(r, 12),
                .installed_ds = sql_col_int(r, 13),
                .auto_confirm_at = sql_col_int(r, 14),
                .auto_confirm_initiator = sql_col_text(r, 15),
                .auto_confirm_remark = sql_col_text(r, 16),
                .auto_confirm_by = sql_col_text(r, 17),
        };
}

bool target_find(struct tx *tx, const char *controller_id, struct target *ret)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT " TARGET_COLUMNS " FROM target t WHERE t.tenant=? AND t.controller_id=?",
                SQL_I(tx->tenant), SQL_T(controller_id));
        if (!sql_next(&r))
                return false;
        target_read(&r, ret);
        return true;
}

bool target_get(struct tx *tx, int64_t id, struct target *ret)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(tx, "SELECT " TARGET_COLUMNS " FROM target t WHERE t.tenant=? AND t.id=?",
                        SQL_I(tx->tenant), SQL_I(id));
        if (!sql_next(&r))
                return false;
        target_read(&r, ret);
        return true;
}

int target_require(struct tx *tx, const char *controller_id, struct target *ret)
{
        return target_find(tx, controller_id, ret) ? 0
                                                   : tx_not_found_text(tx, "Target", controller_id);
}

/* At most MAX_NAME characters of UTF-8. */
static const char *cut_name(struct tx *tx, const char *text)
{
        size_t n = 0, i = 0;
        for (; text[i]; i++) {
                if (((unsigned char)text[i] & 0xC0) != 0x80 && n++ == MAX_NAME)
                        break;
        }
        return arena_strndup(tx->arena, text, i);
}

int64_t target_create(struct tx *tx, const char *controller_id, const char *name, const char *token,
        enum target_status status)
{
        char random[2 * TOKEN_BYTES + 1];
        if (!token || !*token) {
                if (hash_random_hex(random, TOKEN_BYTES) < 0)
                        return tx_problem(tx, PROBLEM_STORAGE_FAILED, "no random numbers"), 0;
                token = random;
        }
        if (sql_int(tx, 0, "SELECT 1 FROM target WHERE tenant=? AND controller_id=?",
                    SQL_I(tx->tenant), SQL_T(controller_id)))
                return tx_problem(tx, PROBLEM_EXISTS, "Target '%s' exists already", controller_id),
                       0;
        event_target(tx, "target.registered", controller_id, NULL);
        return sql_insert(tx,
                "INSERT INTO target(tenant, controller_id, name, token, status, created_by, "
                "created_at,"
                " modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7)",
                SQL_I(tx->tenant), SQL_T(controller_id),
                SQL_T(name && *name ? name : cut_name(tx, controller_id)), SQL_T(token),
                SQL_I(status), SQL_T(tx->user), SQL_I(tx->now));
}

void target_set_status(struct tx *tx, int64_t id, enum target_status status)
{
        sql_run(tx, "UPDATE target SET status=? WHERE id=?", SQL_I(status), SQL_I(id));
}

void target_touch(struct tx *tx, int64_t id)
{
        sql_run(tx,
                "UPDATE target SET modified_by=coalesce(?, modified_by), modified_at=? WHERE id=?",
                SQL_T(tx_author(tx)), SQL_I(tx->now), SQL_I(id));
}

void target_delete(struct tx *tx, const struct target *t)
{
        sql_run(tx,
                "DELETE FROM tag_member WHERE member=? AND tag IN"
                " (SELECT id FROM tag WHERE tenant=? AND kind=0)",
                SQL_I(t->id), SQL_I(tx->tenant));
        dmf_letter_write(tx, t->id, DMF_LETTER_DELETED);
        sql_run(tx, "DELETE FROM target WHERE id=?", SQL_I(t->id));
        event_target(tx, "target.deleted", t->controller_id, NULL);
}
