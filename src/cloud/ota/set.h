/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A distribution set: the software modules that go together to a target, of a set type that says
 * which module types are due. A set that was assigned is locked (its content stays what devices
 * got), one that is in use is deleted softly, one that was invalidated is never assigned again.
 */
#include "cloud/ota/tx.h"

struct dset {
        int64_t id, type;
        const char *name, *version, *description, *type_key, *type_name;
        bool is_migration; /* requiredMigrationStep: a later set doesn't supersede it */
        bool is_locked, is_valid, is_deleted, is_complete;
};

/* True for a set of alias s that has modules, all mandatory ones among them, all with their
 * artifacts. */
#define SET_COMPLETE                                                                               \
        "(EXISTS(SELECT 1 FROM ds_module e WHERE e.ds=s.id)"                                       \
        " AND NOT EXISTS(SELECT 1 FROM ds_type_module y WHERE y.ds_type=s.type AND y.mandatory=1"  \
        " AND NOT EXISTS(SELECT 1 FROM ds_module e JOIN module m ON m.id=e.module"                 \
        " WHERE e.ds=s.id AND m.type=y.sm_type))"                                                  \
        " AND NOT EXISTS(SELECT 1 FROM ds_module e JOIN module m ON m.id=e.module"                 \
        " JOIN sm_type y ON y.id=m.type WHERE e.ds=s.id"                                           \
        " AND (SELECT count(*) FROM artifact WHERE module=m.id) < y.min_artifacts))"
/* What set_read() takes, of alias s joined with its type as sy. */
#define SET_FROM "ds s JOIN ds_type sy ON sy.id=s.type"
#define SET_COLUMNS                                                                                \
        "s.id, s.type, s.name, s.version, s.description, s.migration, s.locked, s.valid, "         \
        "s.deleted, "                                                                              \
        "sy.key, sy.name, " SET_COMPLETE                                                           \
        ", s.created_by, s.created_at, s.modified_by, s.modified_at"
#define SET_AUDIT_COLUMN 12

void set_read(struct sql_rows *r, struct dset *s);
bool set_find(struct tx *tx, int64_t id, struct dset *ret);
int set_require(struct tx *tx, int64_t id, struct dset *ret);
/* For assignments and rollouts: it must exist and be neither deleted, incomplete nor invalid. */
int set_require_usable(struct tx *tx, int64_t id, struct dset *ret);
/* For changes: it must exist and be valid. */
int set_require_valid(struct tx *tx, int64_t id, struct dset *ret);
/* Locks the set and its modules if the tenant has that on. */
void set_lock_implicitly(struct tx *tx, const struct dset *s);
void set_lock(struct tx *tx, int64_t id);
/* Softly if it was ever used. */
void set_delete(struct tx *tx, const struct dset *s);
/* The open actions of an invalidated set are withdrawn, by asking the devices or (`is_forced`) at
 * once: a page of them now, the others in the scheduler's passes. */
void set_begin_withdrawal(struct tx *tx, int64_t ds, bool is_forced);
void set_withdraw_actions(struct tx *tx, int64_t ds);
/* Never to be assigned again; its auto-assignments end. Rollouts and actions are the caller's. */
void set_invalidate(struct tx *tx, const struct dset *s);
/* Adds a module; one over the type's maximum takes another's place. Sets a problem and returns -1.
 */
int set_add_module(struct tx *tx, const struct dset *s, int64_t module);
/* Is a set of this type right for a target of that type (0: none)? */
bool set_fits_target_type(struct tx *tx, int64_t ds_type, int64_t target_type);
