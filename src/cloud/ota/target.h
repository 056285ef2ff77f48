/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A target: a device as the server knows it.
 *
 * `assigned_ds` is what it should have, `installed_ds` what it said it has; the status sums that
 * up: unknown (made by a person, never polled) → registered (polled) → pending (something is
 * assigned) → in_sync or error; a cancelled action leads back to in_sync.
 */
#include "cloud/ota/tx.h"

enum target_status {
        TARGET_UNKNOWN,
        TARGET_IN_SYNC,
        TARGET_PENDING,
        TARGET_ERROR,
        TARGET_REGISTERED,
};
extern const char *const target_status_words[]; /* lower case, NULL-ended */

struct target {
        int64_t id;
        const char *controller_id, *name, *description, *address, *token, *group;
        int64_t type; /* 0: none */
        int status;
        int64_t last_query_at, installed_at; /* 0: never */
        bool request_attributes;
        int64_t assigned_ds, installed_ds; /* 0: none */
        int64_t auto_confirm_at;           /* 0: off */
        const char *auto_confirm_initiator, *auto_confirm_remark, *auto_confirm_by;
};

/* The columns that target_read() takes, of alias t. */
#define TARGET_COLUMNS                                                                             \
        "t.id, t.controller_id, t.name, t.description, t.address, t.token, t.grp, t.type, "        \
        "t.status, "                                                                               \
        "t.last_query_at, t.installed_at, t.request_attributes, t.assigned_ds, t.installed_ds, "   \
        "t.auto_confirm_at, t.auto_confirm_initiator, t.auto_confirm_remark, t.auto_confirm_by, "  \
        "t.created_by, t.created_at, t.modified_by, t.modified_at"
#define TARGET_AUDIT_COLUMN 18

void target_read(struct sql_rows *r, struct target *t);
/* False if there is none (no problem is set). */
bool target_find(struct tx *tx, const char *controller_id, struct target *ret);
bool target_get(struct tx *tx, int64_t id, struct target *ret);
/* Sets the 404 and returns -1 if there is none. */
int target_require(struct tx *tx, const char *controller_id, struct target *ret);
/* NULL name: the id; NULL token: a random one. Returns the row, 0 with a problem set. */
int64_t target_create(struct tx *tx, const char *controller_id, const char *name, const char *token,
        enum target_status status);
void target_set_status(struct tx *tx, int64_t id, enum target_status status);
/* A person changed it: lastModified moves. */
void target_touch(struct tx *tx, int64_t id);
void target_delete(struct tx *tx, const struct target *t);
