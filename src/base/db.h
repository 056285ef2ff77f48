/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * SQLite as this project uses it: write-ahead log, foreign keys on, a busy time-out, and a schema
 * version (PRAGMA user_version) that migrations raise one by one, each in its own transaction.
 */
#include "base/err.h"
#include <sqlite3.h>
#include <stdbool.h>

/* Opens or creates `path`. `migrations[i]` is the SQL that leads from version i to i+1; a file with
 * a version above `n_migrations` is refused (written by a newer Driveline). `durable`:
 * synchronous=FULL, so that a finished commit survives a power cut; otherwise NORMAL (survives kill
 * -9). */
int db_open(const char *path, const char *const *migrations, int n_migrations, bool durable,
        sqlite3 **ret_db, struct err *err);
/* Read-only, no migration; -ENOENT when there is no file yet, or no schema in it. */
int db_open_readonly(const char *path, sqlite3 **ret_db, struct err *err);
int db_exec(sqlite3 *db, const char *sql, struct err *err);
/* Prepares with SQLITE_PREPARE_PERSISTENT. */
int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct err *err);
/* Failure of the last call on `db` as err: `cannot <what>: <sqlite's message>`. Maps SQLITE_FULL to
 * -ENOSPC, SQLITE_READONLY to -EROFS, SQLITE_BUSY to -EBUSY, constraint to -EEXIST, else -EIO. */
int db_error(sqlite3 *db, struct err *err, const char *what);

#define CLEAN_STMT __attribute__((cleanup(db_finalizep)))
static inline void db_finalizep(sqlite3_stmt **s)
{
        sqlite3_finalize(*s);
}
#define CLEAN_DB __attribute__((cleanup(db_closep)))
static inline void db_closep(sqlite3 **d)
{
        sqlite3_close(*d);
}
