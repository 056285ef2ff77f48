/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/set.h"

#include "base/limits.h"
#include "cloud/ota/bulk.h"
#include "cloud/ota/settings.h"

enum withdrawal { WITHDRAW_BY_ASKING = 1, WITHDRAW_AT_ONCE = 2 };

void set_read(struct sql_rows *r, struct dset *s)
{
        *s = (struct dset){
                .id = sql_col_int(r, 0),
                .type = sql_col_int(r, 1),
                .name = sql_col_text(r, 2),
                .version = sql_col_text(r, 3),
                .description = sql_col_text(r, 4),
                .is_migration = sql_col_int(r, 5),
                .is_locked = sql_col_int(r, 6),
                .is_valid = sql_col_int(r, 7),
                .is_deleted = sql_col_int(r, 8),
                .type_key = sql_col_text(r, 9),
                .type_name = sql_col_text(r, 10),
                .is_complete = sql_col_int(r, 11),
        };
}

bool set_find(struct tx *tx, int64_t id, struct dset *ret)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(tx, "SELECT " SET_COLUMNS " FROM " SET_FROM " WHERE s.tenant=? AND s.id=?",
                        SQL_I(tx->tenant), SQL_I(id));
        if (!sql_next(&r))
                return false;
        set_read(&r, ret);
        return true;
}

int set_require(struct tx *tx, int64_t id, struct dset *ret)
{
        return set_find(tx, id, ret) ? 0 : tx_not_found(tx, "DistributionSet", id);
}

int set_require_usable(struct tx *tx, int64_t id, struct dset *ret)
{
        if (set_require(tx, id, ret) < 0)
                return -1;
        if (ret->is_deleted)
                return tx_problem(
                        tx, PROBLEM_DELETED, "Distribution set %lld is deleted", (long long)id);
        if (!ret->is_valid)
                return tx_problem(
                        tx, PROBLEM_INVALID_SET, "Distribution set %lld is invalid", (long long)id);
        if (!ret->is_complete)
                return tx_problem(tx, PROBLEM_INCOMPLETE, "Distribution set %lld is incomplete",
                        (long long)id);
        return 0;
}

int set_require_valid(struct tx *tx, int64_t id, struct dset *ret)
{
        if (set_require(tx, id, ret) < 0)
                return -1;
        if (!ret->is_valid)
                return tx_problem(
                        tx, PROBLEM_INVALID_SET, "Distribution set %lld is invalid", (long long)id);
        return 0;
}

void set_lock(struct tx *tx, int64_t id)
{
        sql_run(tx, "UPDATE ds SET locked=1 WHERE id=?", SQL_I(id));
        sql_run(tx,
                "UPDATE module SET locked=1 WHERE id IN (SELECT module FROM ds_module WHERE ds=?)",
                SQL_I(id));
}

void set_lock_implicitly(struct tx *tx, const struct dset *s)
{
        if (!s->is_locked && settings_bool(tx, SETTING_IMPLICIT_LOCK))
                set_lock(tx, s->id);
}

void set_delete(struct tx *tx, const struct dset *s)
{
        bool is_used = sql_int(tx, 0,
                "SELECT EXISTS(SELECT 1 FROM action WHERE ds=?1) OR EXISTS(SELECT 1 FROM rollout "
                "WHERE ds=?1)"
                " OR EXISTS(SELECT 1 FROM target WHERE assigned_ds=?1 OR installed_ds=?1)",
                SQL_I(s->id));
        sql_run(tx,
                "UPDATE filter SET auto_ds=NULL, auto_type=NULL, auto_weight=NULL, "
                "auto_confirm=NULL"
                " WHERE auto_ds=?",
                SQL_I(s->id));
        if (is_used) {
                sql_run(tx,
                        "UPDATE ds SET deleted=1, modified_by=?, modified_at=? WHERE id=? AND "
                        "deleted=0",
                        SQL_T(tx->user), SQL_I(tx->now), SQL_I(s->id));
                return;
        }
        sql_run(tx,
                "DELETE FROM tag_member WHERE member=? AND tag IN (SELECT id FROM tag WHERE "
                "tenant=? AND"
                " kind=1)",
                SQL_I(s->id), SQL_I(tx->tenant));
        sql_run(tx, "DELETE FROM ds WHERE id=?", SQL_I(s->id));
}

void set_invalidate(struct tx *tx, const struct dset *s)
{
        sql_run(tx, "UPDATE ds SET valid=0, modified_by=?, modified_at=? WHERE id=?",
                SQL_T(tx->user), SQL_I(tx->now), SQL_I(s->id));
        sql_run(tx,
                "UPDATE filter SET auto_ds=NULL, auto_type=NULL, auto_weight=NULL, "
                "auto_confirm=NULL"
                " WHERE auto_ds=?",
                SQL_I(s->id));
}

void set_begin_withdrawal(struct tx *tx, int64_t ds, bool is_forced)
{
        sql_run(tx, "UPDATE ds SET withdrawal=? WHERE id=?",
                SQL_I(is_forced ? WITHDRAW_AT_ONCE : WITHDRAW_BY_ASKING), SQL_I(ds));
        set_withdraw_actions(tx, ds);
}

/* Page by page until nothing is left or a pass is full. True: there may be more. */
static bool withdraw_some(struct tx *tx, int64_t ds, bool is_forced)
{
        int64_t done = bulk_delete_scheduled(tx, BULK_OF_SET, ds), n;
        while (done < LIMIT_OTA_BULK_PAGE &&
                (n = bulk_ask_cancel(
                         tx, BULK_OF_SET, ds, "Update Server: manual cancelation requested")) > 0)
                done += n;
        while (is_forced && done < LIMIT_OTA_BULK_PAGE &&
                (n = bulk_cancel(tx, BULK_OF_SET, ds,
                         "Update Server: A force quit has been performed.")) > 0)
                done += n;
        return done >= LIMIT_OTA_BULK_PAGE;
}

void set_withdraw_actions(struct tx *tx, int64_t ds)
{
        int64_t how = sql_int(tx, 0, "SELECT withdrawal FROM ds WHERE id=?", SQL_I(ds));
        if (!how)
                return;
        if (withdraw_some(tx, ds, how == WITHDRAW_AT_ONCE))
                tx_due(tx, DUE_SET, ds, 0);
        else
                sql_run(tx, "UPDATE ds SET withdrawal=0 WHERE id=?", SQL_I(ds));
}

/* Of `max` modules of a type one more takes the place of the oldest. */
static void make_room(struct tx *tx, int64_t ds, int64_t module)
{
        int64_t type = sql_int(tx, 0, "SELECT type FROM module WHERE id=?", SQL_I(module));
        int64_t max = sql_int(tx, 1, "SELECT max_assignments FROM sm_type WHERE id=?", SQL_I(type));
        int64_t n = sql_int(tx, 0,
                "SELECT count(*) FROM ds_module e JOIN module m ON m.id=e.module WHERE e.ds=? AND "
                "m.type=?",
                SQL_I(ds), SQL_I(type));
        if (n < max)
                return;
        sql_run(tx,
                "DELETE FROM ds_module WHERE ds=?1 AND module=(SELECT e.module FROM ds_module e "
                "JOIN module m "
                "ON"
                " m.id=e.module WHERE e.ds=?1 AND m.type=?2 ORDER BY e.seq LIMIT 1)",
                SQL_I(ds), SQL_I(type));
}

int set_add_module(struct tx *tx, const struct dset *s, int64_t module)
{
        if (!sql_int(tx, 0,
                    "SELECT 1 FROM module m JOIN ds_type_module y ON y.sm_type=m.type AND "
                    "y.ds_type=? WHERE"
                    " m.id=?",
                    SQL_I(s->type), SQL_I(module)))
                return tx_problem(tx, PROBLEM_UNSUPPORTED_MODULE,
                        "Module %lld is not of a type that the set's type takes",
                        (long long)module);
        if (sql_int(tx, 0, "SELECT 1 FROM ds_module WHERE ds=? AND module=?", SQL_I(s->id),
                    SQL_I(module)))
                return 0;
        make_room(tx, s->id, module);
        sql_run(tx,
                "INSERT INTO ds_module(ds, module, seq) VALUES(?1, ?2, (SELECT coalesce(max(seq), "
                "0) + 1 FROM ds_module WHERE ds=?1))",
                SQL_I(s->id), SQL_I(module));
        if (sql_int(tx, 0, "SELECT count(*) FROM ds_module WHERE ds=?", SQL_I(s->id)) >
                LIMIT_OTA_PER_PARENT)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many modules in a distribution set");
        return 0;
}

bool set_fits_target_type(struct tx *tx, int64_t ds_type, int64_t target_type)
{
        return !target_type ||
               sql_int(tx, 0, "SELECT 1 FROM target_type_ds_type WHERE target_type=? AND ds_type=?",
                       SQL_I(target_type), SQL_I(ds_type));
}
