/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/blob.h"
#include "cloud/ota/download.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/module.h"
#include "cloud/ota/upload.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* ── JSON ── */

static json_t *artifact_json(
        struct request *q, const struct artifact *a, struct sql_rows *r, bool has_download)
{
        json_t *j = json_object();
        long long module = a->module, id = a->id;
        add_audit(j, r, ARTIFACT_AUDIT_COLUMN);
        add_int(j, "id", a->id);
        json_object_set_new(j, "hashes",
                json_pack("{s:s, s:s, s:s}", "sha1", a->sha1, "md5", a->md5, "sha256", a->sha256));
        add_text(j, "providedFilename", a->filename);
        add_int(j, "size", a->size);
        json_t *links = json_pack(
                "{s:o}", "self", link_to(q, "softwaremodules/%lld/artifacts/%lld", module, id));
        if (has_download)
                json_object_set_new(links, "download",
                        link_to(q, "softwaremodules/%lld/artifacts/%lld/download", module, id));
        json_object_set_new(j, "_links", links);
        return j;
}

static int find_artifact(struct request *q, int64_t module, int64_t id, struct artifact *ret)
{
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " ARTIFACT_COLUMNS " FROM artifact a WHERE a.module=? AND a.id=?",
                SQL_I(module), SQL_I(id));
        if (!sql_next(&r))
                return tx_not_found(&q->tx, "Artifact", id);
        artifact_read(&r, ret);
        return 0;
}

static json_t *read_artifact_json(struct request *q, int64_t id, bool has_download)
{
        struct artifact a;
        CLEAN_ROWS struct sql_rows r = sql_open(
                &q->tx, "SELECT " ARTIFACT_COLUMNS " FROM artifact a WHERE a.id=?", SQL_I(id));
        if (!sql_next(&r))
                return NULL;
        artifact_read(&r, &a);
        return artifact_json(q, &a, &r, has_download);
}

int artifacts_list(struct request *q)
{
        struct module m;
        if (module_require(&q->tx, q->ids[0], &m) < 0)
                return -1;
        bool has_download =
                q->is_full && !m.is_deleted && !request_flag(q, "useartifacturlhandler");
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " ARTIFACT_COLUMNS " FROM artifact a WHERE a.module=? ORDER BY a.id",
                SQL_I(m.id));
        while (sql_next(&r)) {
                struct artifact a;
                artifact_read(&r, &a);
                json_array_append_new(list, artifact_json(q, &a, &r, has_download));
        }
        return reply_json(q, 200, list);
}

int artifact_show(struct request *q)
{
        struct module m;
        struct artifact a;
        if (module_require(&q->tx, q->ids[0], &m) < 0 || find_artifact(q, m.id, q->ids[1], &a) < 0)
                return -1;
        bool has_download = !m.is_deleted && !request_flag(q, "useartifacturlhandler");
        return reply_json(q, 200, read_artifact_json(q, a.id, has_download));
}

int artifact_remove(struct request *q)
{
        struct module m;
        struct artifact a;
        if (module_require(&q->tx, q->ids[0], &m) < 0 || find_artifact(q, m.id, q->ids[1], &a) < 0)
                return -1;
        if (m.is_locked)
                return tx_problem(&q->tx, PROBLEM_LOCKED, "Module %lld is locked", (long long)m.id);
        sql_run(&q->tx, "DELETE FROM artifact WHERE id=?", SQL_I(a.id));
        blob_forget(&q->tx, q->ota, a.sha256);
        return reply_none(q, 204);
}

int artifact_download(struct request *q)
{
        struct module m;
        struct artifact a;
        if (module_require(&q->tx, q->ids[0], &m) < 0 || find_artifact(q, m.id, q->ids[1], &a) < 0)
                return -1;
        if (m.is_deleted)
                return tx_problem(
                        &q->tx, PROBLEM_BINARY_DELETED, "The file of '%s' is gone", a.filename);
        return download_reply(q, &a);
}

/* ── upload ── */

/* A member of the form, or of the query, which counts first. */
static const char *form_text(struct request *q, const struct upload *u, const char *name)
{
        const char *value = request_param(q, name);
        return value ? value : upload_field(u, name);
}

/* Why the file isn't there whole. */
static int refuse_upload(struct request *q, struct upload *u)
{
        if (upload_end(u) == -EINVAL)
                return tx_problem(&q->tx, PROBLEM_MULTIPART, "The multipart body cannot be read");
        if (!u->has_file)
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 400);
        return u->failure.code ? blob_failed(&q->tx, &u->failure) : 0;
}

static const char *upload_name(struct request *q, const struct upload *u)
{
        const char *name = form_text(q, u, "filename");
        return name ? name : u->filename ? u->filename : "";
}

static int check_upload(
        struct request *q, const struct module *m, const struct upload *u, const char *filename)
{
        struct tx *tx = &q->tx;
        if (u->size == 0)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 400);
        if (!*filename || shape_utf16_length(filename) > 256 || shape_has_markup(filename))
                return tx_problem(tx, PROBLEM_CONSTRAINT, "The file name is not valid");
        if (m->is_locked)
                return tx_problem(tx, PROBLEM_LOCKED, "Module %lld is locked", (long long)m->id);
        if (sql_int(tx, 0, "SELECT 1 FROM artifact WHERE module=? AND filename=?", SQL_I(m->id),
                    SQL_T(filename)))
                return tx_problem(tx, PROBLEM_EXISTS, "'%s' exists already", filename);
        if (sql_int(tx, 0, "SELECT count(*) FROM artifact WHERE module=?", SQL_I(m->id)) >=
                LIMIT_OTA_ARTIFACTS_PER_MODULE)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many artifacts in a module");
        if (u->size > (int64_t)LIMIT_ARTIFACT_BYTES)
                return tx_problem(tx, PROBLEM_FILE_SIZE, "The file is too large");
        if (sql_int(tx, 0, "SELECT sum(size) FROM artifact WHERE tenant=?", SQL_I(tx->tenant)) +
                        u->size >
                LIMIT_OTA_STORAGE_BYTES)
                return tx_problem(tx, PROBLEM_STORAGE, "The tenant's storage is full");
        return 0;
}

static bool differs(struct request *q, const struct upload *u, const char *name, const char *hash)
{
        const char *due = form_text(q, u, name);
        return due && *due && strcasecmp(due, hash) != 0;
}

static int check_hashes(struct request *q, const struct upload *u)
{
        if (differs(q, u, "sha1sum", u->hashes.sha1))
                return tx_problem(&q->tx, PROBLEM_SHA1, "The SHA-1 does not match");
        if (differs(q, u, "md5sum", u->hashes.md5))
                return tx_problem(&q->tx, PROBLEM_MD5, "The MD5 does not match");
        if (differs(q, u, "sha256sum", u->hashes.sha256))
                return tx_problem(&q->tx, PROBLEM_SHA256, "The SHA-256 does not match");
        return 0;
}

int artifact_upload(struct request *q)
{
        struct upload *u = http_sink_arg(q->x);
        struct module m;
        int r = refuse_upload(q, u);
        if (r < 0)
                return r;
        const char *filename = upload_name(q, u);
        if (u->size > 0 && module_require(&q->tx, q->ids[0], &m) < 0)
                return -1;
        if (check_upload(q, &m, u, filename) < 0 || check_hashes(q, u) < 0 ||
                blob_store(&q->tx, q->ota, u) < 0)
                return -1;
        int64_t id = sql_insert(&q->tx,
                "INSERT INTO artifact(tenant, module, filename, size, sha256, sha1, md5, "
                "created_by,"
                " created_at, modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                "?8, ?9)",
                SQL_I(q->tx.tenant), SQL_I(m.id), SQL_T(filename), SQL_I(u->size),
                SQL_T(u->hashes.sha256), SQL_T(u->hashes.sha1), SQL_T(u->hashes.md5),
                SQL_T(q->tx.user), SQL_I(q->tx.now));
        if (!id) {
                blob_discard(&q->tx, q->ota, u->hashes.sha256);
                return -1;
        }
        return reply_json(q, 201, read_artifact_json(q, id, true));
}
