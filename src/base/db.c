/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/db.h"
#include "base/clean.h"

#include <errno.h>
#include <unistd.h>

#define DB_BUSY_MS 10000

int db_error(sqlite3 *db, struct err *err, const char *what)
{
        int code = -EIO;
        switch (sqlite3_errcode(db)) {
        case SQLITE_FULL:
                code = -ENOSPC;
                break;
        case SQLITE_READONLY:
                code = -EROFS;
                break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                code = -EBUSY;
                break;
        case SQLITE_CONSTRAINT:
                code = -EEXIST;
                break;
        case SQLITE_NOMEM:
                code = -ENOMEM;
                break;
        }
        return err_set(err, code, "cannot %s: %s", what, sqlite3_errmsg(db));
}

int db_exec(sqlite3 *db, const char *sql, struct err *err)
{
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
                return db_error(db, err, "write the database");
        return 0;
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct err *err)
{
        if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL) != SQLITE_OK)
                return db_error(db, err, "prepare a statement");
        return 0;
}

static int user_version(sqlite3 *db, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *s = NULL;
        int r = db_prepare(db, "PRAGMA user_version", &s, err);
        if (r < 0)
                return r;
        if (sqlite3_step(s) != SQLITE_ROW)
                return db_error(db, err, "read the schema version");
        return sqlite3_column_int(s, 0);
}

/* The version is read again inside the transaction: two processes may open a new file at once. */
static int migrate_one(sqlite3 *db, int from, const char *sql, struct err *err)
{
        int r = db_exec(db, "BEGIN IMMEDIATE", err);
        if (r < 0)
                return r;
        int now = user_version(db, err);
        if (now == from) {
                char pragma[64];
                snprintf(pragma, sizeof(pragma), "PRAGMA user_version=%d", from + 1);
                r = db_exec(db, sql, err);
                if (!r)
                        r = db_exec(db, pragma, err);
        } else if (now < 0) {
                r = now;
        }
        if (!r)
                r = db_exec(db, "COMMIT", err);
        if (r < 0)
                sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return r < 0 ? err_prefix(err, "schema version %d", from + 1) : 0;
}

static int migrate(sqlite3 *db, const char *const *migrations, int n_migrations, struct err *err)
{
        int version = user_version(db, err);
        if (version < 0)
                return version;
        if (version > n_migrations)
                return err_set(err, -EINVAL,
                        "schema version %d is newer than this program's %d: use the newer "
                        "Driveline",
                        version, n_migrations);
        for (; version < n_migrations; version++) {
                int r = migrate_one(db, version, migrations[version], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_up(sqlite3 *db, bool durable, struct err *err)
{
        sqlite3_busy_timeout(db, DB_BUSY_MS);
        int r = db_exec(db, "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;", err);
        if (r < 0)
                return r;
        return db_exec(db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
}

int db_open(const char *path, const char *const *migrations, int n_migrations, bool durable,
        sqlite3 **ret_db, struct err *err)
{
        CLEAN_DB sqlite3 *db = NULL;
        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
                SQLITE_OK)
                return err_set(err, -EIO, "cannot open '%s': %s", path,
                        db ? sqlite3_errmsg(db) : "out of memory");
        int r = set_up(db, durable, err);
        if (!r)
                r = migrate(db, migrations, n_migrations, err);
        if (r < 0) {
                err_prefix(err, "'%s'", path);
                return r;
        }
        *ret_db = TAKE(db);
        return 0;
}

int db_open_readonly(const char *path, sqlite3 **ret_db, struct err *err)
{
        if (access(path, F_OK) < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        CLEAN_DB sqlite3 *db = NULL;
        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
                return err_set(err, -EIO, "cannot open '%s': %s", path,
                        db ? sqlite3_errmsg(db) : "out of memory");
        sqlite3_busy_timeout(db, DB_BUSY_MS);
        /* Its writer creates the file and then fills it: until then there is nothing to read. */
        int version = user_version(db, err);
        if (version < 0)
                return version;
        if (version == 0)
                return err_set(err, -ENOENT, "nothing is in '%s' yet", path);
        *ret_db = TAKE(db);
        return 0;
}
