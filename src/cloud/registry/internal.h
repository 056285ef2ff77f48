/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* What the files of this folder share: the open registry and the way a change is made. */
#include "base/db.h"
#include "cloud/registry/registry.h"

#define REGISTRY_CLOUD_POLICY "driveline-cloud"

struct registry {
        const struct cloud_config *config;
        sqlite3 *db;
        int lock_fd; /* while locked */
        int lock_depth;
};

/* The lock of the registry's files, which SQLite knows nothing of: two processes that make the same
 * thing must not mix key and certificate, and the last snapshot written must have seen all changes.
 * May be taken again by its holder; each is let go once. */
int registry_lock(struct registry *reg, struct err *err) MUST_CHECK;
void registry_unlock(struct registry *reg);

/* A change is registry_begin() … registry_end(): the latter commits when `r` is 0, raises the
 * generation and writes the access snapshot; else it rolls back and returns `r`. */
int registry_begin(struct registry *reg, struct err *err) MUST_CHECK;
int registry_end(struct registry *reg, int r, struct err *err) MUST_CHECK;

/* Runs a statement without rows whose parameters are the given texts (NULL: null); returns -errno
 * or how many rows it changed. */
int registry_run(
        struct registry *reg, struct err *err, const char *sql, int n, const char *const *texts);
/* One number from a query with such parameters; 0 when there is no row. */
int registry_count(struct registry *reg, struct err *err, const char *sql, int n,
        const char *const *texts, int64_t *ret);
int registry_bind(sqlite3_stmt *stmt, int n, const char *const *texts);
/* Steps to the next row: 1, 0 at the end, -errno. */
int registry_step(struct registry *reg, sqlite3_stmt *stmt, struct err *err);

/* Stores a certificate as active. */
int registry_add_certificate(struct registry *reg, const char *thing, X509 *cert, struct err *err);
/* Inserts a policy that isn't there yet. */
int registry_add_builtin_policies(struct registry *reg, struct err *err);
