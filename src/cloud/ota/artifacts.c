/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/blob.h"
#include "cloud/ota/download.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/module.h"
#include "cloud/ota/multipart.h"

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

struct upload {
        const struct multipart_part *file;
        const char *filename, *md5, *sha1, *sha256;
};

static const char *field_text(
        struct request *q, const struct multipart_part *parts, int n, const char *name)
{
        const char *value = request_param(q, name);
        for (int i = 0; !value && i < n; i++) {
                if (parts[i].name && !parts[i].filename && strcmp(parts[i].name, name) == 0)
                        value = arena_strndup(&q->arena, parts[i].data, parts[i].len);
        }
        return value;
}

static int read_upload(
        struct request *q, struct multipart_part parts[MULTIPART_MAX_PARTS], struct upload *u)
{
        size_t len = 0;
        const char *body = http_body(q->x, &len);
        int n = multipart_parse(http_header(q->x, "Content-Type"), body, len, &q->arena, parts);
        if (n < 0)
                return tx_problem(&q->tx, PROBLEM_MULTIPART, "The multipart body cannot be read");
        for (int i = 0; i < n; i++) {
                if (parts[i].name && strcmp(parts[i].name, "file") == 0)
                        u->file = &parts[i];
        }
        if (!u->file)
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 400);
        u->filename = field_text(q, parts, n, "filename");
        if (!u->filename)
                u->filename = u->file->filename ? u->file->filename : "";
        u->md5 = field_text(q, parts, n, "md5sum");
        u->sha1 = field_text(q, parts, n, "sha1sum");
        u->sha256 = field_text(q, parts, n, "sha256sum");
        return 0;
}

static int check_upload(struct request *q, const struct module *m, const struct upload *u)
{
        struct tx *tx = &q->tx;
        if (u->file->len == 0)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 400);
        if (!*u->filename || shape_utf16_length(u->filename) > 256 || shape_has_markup(u->filename))
                return tx_problem(tx, PROBLEM_CONSTRAINT, "The file name is not valid");
        if (m->is_locked)
                return tx_problem(tx, PROBLEM_LOCKED, "Module %lld is locked", (long long)m->id);
        if (sql_int(tx, 0, "SELECT 1 FROM artifact WHERE module=? AND filename=?", SQL_I(m->id),
                    SQL_T(u->filename)))
                return tx_problem(tx, PROBLEM_EXISTS, "'%s' exists already", u->filename);
        if (sql_int(tx, 0, "SELECT count(*) FROM artifact WHERE module=?", SQL_I(m->id)) >=
                LIMIT_OTA_ARTIFACTS_PER_MODULE)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many artifacts in a module");
        if (u->file->len > LIMIT_ARTIFACT_BYTES)
                return tx_problem(tx, PROBLEM_FILE_SIZE, "The file is too large");
        if (sql_int(tx, 0, "SELECT sum(size) FROM artifact WHERE tenant=?", SQL_I(tx->tenant)) +
                        (int64_t)u->file->len >
                LIMIT_OTA_STORAGE_BYTES)
                return tx_problem(tx, PROBLEM_STORAGE, "The tenant's storage is full");
        return 0;
}

static int check_hashes(struct request *q, const struct upload *u, const struct hash_set *h)
{
        if (u->sha1 && *u->sha1 && strcasecmp(u->sha1, h->sha1) != 0)
                return tx_problem(&q->tx, PROBLEM_SHA1, "The SHA-1 does not match");
        if (u->md5 && *u->md5 && strcasecmp(u->md5, h->md5) != 0)
                return tx_problem(&q->tx, PROBLEM_MD5, "The MD5 does not match");
        if (u->sha256 && *u->sha256 && strcasecmp(u->sha256, h->sha256) != 0)
                return tx_problem(&q->tx, PROBLEM_SHA256, "The SHA-256 does not match");
        return 0;
}

int artifact_upload(struct request *q)
{
        struct multipart_part parts[MULTIPART_MAX_PARTS];
        struct upload u = {0};
        struct module m;
        struct blob blob;
        if (read_upload(q, parts, &u) < 0)
                return -1;
        if (u.file->len > 0 && module_require(&q->tx, q->ids[0], &m) < 0)
                return -1;
        if (check_upload(q, &m, &u) < 0 ||
                blob_write(&q->tx, q->ota, u.file->data, u.file->len, &blob) < 0)
                return -1;
        if (check_hashes(q, &u, &blob.hashes) < 0) {
                blob_discard(&q->tx, q->ota, blob.hashes.sha256);
                return -1;
        }
        int64_t id = sql_insert(&q->tx,
                "INSERT INTO artifact(tenant, module, filename, size, sha256, sha1, md5, "
                "created_by,"
                " created_at, modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                "?8, ?9)",
                SQL_I(q->tx.tenant), SQL_I(m.id), SQL_T(u.filename), SQL_I(blob.size),
                SQL_T(blob.hashes.sha256), SQL_T(blob.hashes.sha1), SQL_T(blob.hashes.md5),
                SQL_T(q->tx.user), SQL_I(q->tx.now));
        return reply_json(q, 201, read_artifact_json(q, id, true));
}
