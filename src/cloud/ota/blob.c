/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/blob.h"

#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *blob_path(struct ota *o, struct arena *arena, const char *sha256)
{
        return arena_printf(arena, "%s/%.2s/%s", o->artifacts_dir, sha256, sha256);
}

int blob_failed(struct tx *tx, const struct err *err)
{
        log_error("cannot store an artifact: %s", err->text);
        if (err->code == -ENOSPC || err->code == -EDQUOT)
                return tx_problem(tx, PROBLEM_STORAGE_FAILED,
                        "The disk is full: the artifact was not stored");
        return tx_problem(tx, PROBLEM_STORAGE_FAILED, "The artifact was not stored: %s", err->text);
}

int blob_store(struct tx *tx, struct ota *o, struct upload *u)
{
        struct err err = ERR_INIT;
        struct stat st;
        const char *path = blob_path(o, tx->arena, u->hashes.sha256);
        const char *dir = arena_printf(tx->arena, "%s/%.2s", o->artifacts_dir, u->hashes.sha256);
        if (stat(path, &st) == 0 && st.st_size == (off_t)u->size)
                return 0; /* the same content: the upload's file goes with it */
        if (fs_mkdir_p(dir, 0700, &err) < 0 || upload_keep(u, path, &err) < 0)
                return blob_failed(tx, &err);
        return 0;
}

static bool is_held(struct tx *tx, const char *sha256)
{
        return sql_int(tx, 0,
                "SELECT 1 FROM artifact a JOIN module m ON m.id=a.module WHERE a.sha256=? AND "
                "m.deleted=0",
                SQL_T(sha256));
}

void blob_discard(struct tx *tx, struct ota *o, const char *sha256)
{
        if (!is_held(tx, sha256))
                unlink(blob_path(o, tx->arena, sha256));
}

int blob_open(struct ota *o, struct arena *arena, const char *sha256)
{
        return open(blob_path(o, arena, sha256), O_RDONLY | O_CLOEXEC);
}

void blob_forget(struct tx *tx, struct ota *o, const char *sha256)
{
        if (is_held(tx, sha256))
                return;
        tx_after_commit_unlink(tx, blob_path(o, tx->arena, sha256));
}

void blob_forget_module(struct tx *tx, struct ota *o, int64_t module)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT DISTINCT sha256 FROM artifact a WHERE module=?1 AND NOT EXISTS(SELECT 1 "
                "FROM artifact"
                " b JOIN module m ON m.id=b.module WHERE b.sha256=a.sha256 AND m.id<>?1 AND "
                "m.deleted=0)",
                SQL_I(module));
        while (sql_next(&r))
                tx_after_commit_unlink(tx, blob_path(o, tx->arena, sql_col_text(&r, 0)));
}
