/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/registry/registry.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/tls.h"
#include "cloud/registry/ca.h"
#include "cloud/registry/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define LOCK_FILE "registry.lock"
#define PASSWORD_BYTES 16

static const char *const migrations[] = {
        "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
        "INSERT INTO meta VALUES('generation', 1);"
        "CREATE TABLE things(name TEXT PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE certificates(serial TEXT PRIMARY KEY, thing TEXT NOT NULL,"
        " fingerprint TEXT NOT NULL, state TEXT NOT NULL CHECK(state IN "
        "('active','inactive','deleted')),"
        " created_at INTEGER NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL);"
        "CREATE INDEX certificates_thing ON certificates(thing);"
        "CREATE TABLE policies(name TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT "
        "NULL,"
        " created_at INTEGER NOT NULL, PRIMARY KEY(name, version)) WITHOUT ROWID;"
        "CREATE TABLE attachments(thing TEXT NOT NULL, policy TEXT NOT NULL,"
        " PRIMARY KEY(thing, policy)) WITHOUT ROWID;"
        "CREATE INDEX attachments_policy ON attachments(policy);",
};

/* ── statements ── */

int registry_bind(sqlite3_stmt *stmt, int n, const char *const *texts)
{
        for (int i = 0; i < n; i++)
                if (sqlite3_bind_text(stmt, i + 1, texts[i], -1, SQLITE_TRANSIENT) != SQLITE_OK)
                        return -ENOMEM;
        return 0;
}

int registry_step(struct registry *reg, sqlite3_stmt *stmt, struct err *err)
{
        switch (sqlite3_step(stmt)) {
        case SQLITE_ROW:
                return 1;
        case SQLITE_DONE:
                return 0;
        default:
                return db_error(reg->db, err, "use the registry");
        }
}

static int prepare(struct registry *reg, const char *sql, int n, const char *const *texts,
        sqlite3_stmt **ret, struct err *err)
{
        int r = db_prepare(reg->db, sql, ret, err);
        if (!r && registry_bind(*ret, n, texts) < 0)
                r = err_set(err, -ENOMEM, "out of memory");
        return r;
}

int registry_run(
        struct registry *reg, struct err *err, const char *sql, int n, const char *const *texts)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int r = prepare(reg, sql, n, texts, &stmt, err);
        if (!r)
                r = registry_step(reg, stmt, err);
        return r < 0 ? r : sqlite3_changes(reg->db);
}

int registry_count(struct registry *reg, struct err *err, const char *sql, int n,
        const char *const *texts, int64_t *ret)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int r = prepare(reg, sql, n, texts, &stmt, err);
        if (!r)
                r = registry_step(reg, stmt, err);
        if (r < 0)
                return r;
        *ret = r ? sqlite3_column_int64(stmt, 0) : 0;
        return 0;
}

/* ── the access snapshot ── */

static int generation(struct registry *reg, int64_t *ret, struct err *err)
{
        return registry_count(
                reg, err, "SELECT value FROM meta WHERE key='generation'", 0, NULL, ret);
}

static int add_policies(struct registry *reg, json_t *to, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int r = db_prepare(reg->db,
                "SELECT name, document FROM policies p WHERE version="
                "(SELECT max(version) FROM policies WHERE name=p.name) ORDER BY name",
                &stmt, err);
        while (!r && (r = registry_step(reg, stmt, err)) > 0) {
                json_t *document = json_parse((const char *)sqlite3_column_text(stmt, 1),
                        (size_t)sqlite3_column_bytes(stmt, 1), err);
                if (json_object_set_new(to, (const char *)sqlite3_column_text(stmt, 0), document) <
                        0)
                        return err_set(err, -EINVAL, "policy '%s' in the registry is damaged",
                                sqlite3_column_text(stmt, 0));
                r = 0;
        }
        return r;
}

static int add_certificates(struct registry *reg, json_t *to, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int r = db_prepare(reg->db,
                "SELECT serial, thing, state, not_after, (SELECT json_group_array(policy)"
                " FROM attachments a WHERE a.thing=c.thing) FROM certificates c"
                " WHERE state!='deleted' ORDER BY serial",
                &stmt, err);
        while (!r && (r = registry_step(reg, stmt, err)) > 0) {
                json_t *names = json_parse((const char *)sqlite3_column_text(stmt, 4),
                        (size_t)sqlite3_column_bytes(stmt, 4), err);
                json_t *value = json_pack("{s:s, s:s, s:I, s:o}", "thing",
                        sqlite3_column_text(stmt, 1), "state", sqlite3_column_text(stmt, 2),
                        "not_after", (json_int_t)sqlite3_column_int64(stmt, 3), "policies", names);
                if (json_object_set_new(to, (const char *)sqlite3_column_text(stmt, 0), value) < 0)
                        return err_set(err, -ENOMEM, "out of memory");
                r = 0;
        }
        return r;
}

/* The whole of one generation, read in one transaction. */
static json_t *snapshot(struct registry *reg, struct err *err)
{
        int64_t number = 0;
        CLEAN_JSON json_t *policies = json_object();
        CLEAN_JSON json_t *certificates = json_object();
        if (db_exec(reg->db, "BEGIN", err) < 0)
                return NULL;
        int r = generation(reg, &number, err);
        if (!r)
                r = add_policies(reg, policies, err);
        if (!r)
                r = add_certificates(reg, certificates, err);
        sqlite3_exec(reg->db, "COMMIT", NULL, NULL, NULL);
        if (r < 0)
                return NULL;
        json_t *document = json_pack("{s:I, s:O, s:O}", "generation", (json_int_t)number,
                "policies", policies, "certificates", certificates);
        if (!document)
                err_set(err, -ENOMEM, "out of memory");
        return document;
}

int registry_lock(struct registry *reg, struct err *err)
{
        if (reg->lock_depth++ > 0)
                return 0;
        CLEAN_MEM char *path = cloud_path(reg->config, LOCK_FILE);
        CLEAN_FD int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        if (fd >= 0 && !flock(fd, LOCK_EX)) {
                reg->lock_fd = TAKE_FD(fd);
                return 0;
        }
        reg->lock_depth--;
        return path ? err_errno(err, -errno, "cannot lock '%s'", path)
                    : err_set(err, -ENOMEM, "out of memory");
}

void registry_unlock(struct registry *reg)
{
        if (--reg->lock_depth == 0)
                close(reg->lock_fd);
}

static int write_snapshot(struct registry *reg, struct err *err)
{
        struct err reason = ERR_INIT;
        CLEAN_JSON json_t *document = snapshot(reg, &reason);
        if (!document)
                return err_set(err, reason.code ? reason.code : -EIO, "%s", reason.text);
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_ACCESS_BYTES);
        CLEAN_MEM char *path = cloud_path(reg->config, CLOUD_ACCESS);
        int r = path ? json_append(&text, document) : -ENOMEM;
        if (r < 0)
                return err_errno(err, r, "cannot write the access snapshot");
        return fs_write_atomic(path, buf_text(&text), text.len, 0600, err);
}

static int publish(struct registry *reg, struct err *err)
{
        int r = registry_lock(reg, err);
        if (r < 0)
                return r;
        r = write_snapshot(reg, err);
        registry_unlock(reg);
        return r;
}

/* The generation of the file there is, from its first bytes; -1 if there is none. */
static int64_t published_generation(const struct cloud_config *config)
{
        char head[64] = "";
        long long number;
        CLEAN_MEM char *path = cloud_path(config, CLOUD_ACCESS);
        CLEAN_FD int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0 || read(fd, head, sizeof(head) - 1) < 0)
                return -1;
        return sscanf(head, "{\"generation\":%lld", &number) == 1 ? number : -1;
}

/* A change whose snapshot was never written (a crash in between) is made good here. */
static int publish_if_behind(struct registry *reg, struct err *err)
{
        int64_t number = 0;
        int r = generation(reg, &number, err);
        if (r < 0 || number == published_generation(reg->config))
                return r;
        return publish(reg, err);
}

int registry_begin(struct registry *reg, struct err *err)
{
        return db_exec(reg->db, "BEGIN IMMEDIATE", err);
}

int registry_end(struct registry *reg, int r, struct err *err)
{
        if (r >= 0)
                r = db_exec(reg->db, "UPDATE meta SET value=value+1 WHERE key='generation'; COMMIT",
                        err);
        if (r < 0) {
                sqlite3_exec(reg->db, "ROLLBACK", NULL, NULL, NULL);
                return r;
        }
        if (publish(reg, err) < 0)
                return err_prefix(err, "the change is made but the broker doesn't know it yet");
        return 0;
}

/* ── setting up ── */

static int make_folders(const struct cloud_config *config, struct err *err)
{
        static const char *const folders[] = {"ca", "secrets", "broker", "things"};
        int r = fs_mkdir_p(config->data_dir, 0700, err);
        for (size_t i = 0; !r && i < N_ELEMENTS(folders); i++) {
                CLEAN_MEM char *path = cloud_path(config, folders[i]);
                r = path ? fs_mkdir_p(path, 0700, err) : err_set(err, -ENOMEM, "out of memory");
        }
        return r;
}

static int make_password(const struct cloud_config *config, struct err *err)
{
        char text[2 * PASSWORD_BYTES + 2];
        CLEAN_MEM char *path = cloud_path(config, CLOUD_ADMIN_PASSWORD);
        if (!path || hash_random_hex(text, PASSWORD_BYTES) < 0)
                return err_set(err, -EIO, "cannot make the admin's password");
        if (fs_exists(path))
                return 0;
        text[2 * PASSWORD_BYTES] = '\n';
        return fs_write_atomic(path, text, 2 * PASSWORD_BYTES + 1, 0600, err);
}

/* The cloud's own certificate is a row like any other, so that the broker needs no exception for
 * it. */
static int register_own(struct registry *reg, struct err *err)
{
        CLEAN_MEM char *path = cloud_path(reg->config, CLOUD_CLIENT_CERT);
        CLEAN_X509 X509 *cert = NULL;
        int r = path ? certificate_read(path, &cert, err) : err_set(err, -ENOMEM, "out of memory");
        if (r < 0)
                return r;
        char name[LIMIT_THING_NAME_BYTES + 1], serial[REGISTRY_SERIAL_SIZE];
        if (!tls_certificate_identity(cert, name, sizeof(name), serial, sizeof(serial)))
                return err_set(err, -EINVAL, "'%s' has no common name", path);
        if (registry_is_active(reg, CLOUD_CLIENT_NAME, serial))
                return 0;
        r = registry_begin(reg, err);
        if (r < 0)
                return r;
        r = registry_run(reg, err, "UPDATE certificates SET state='deleted' WHERE thing=?", 1,
                (const char *[]){CLOUD_CLIENT_NAME});
        if (r >= 0)
                r = registry_add_certificate(reg, CLOUD_CLIENT_NAME, cert, err);
        return registry_end(reg, r, err);
}

static int open_db(const struct cloud_config *config, sqlite3 **ret, struct err *err)
{
        CLEAN_MEM char *path = cloud_path(config, CLOUD_REGISTRY_DB);
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        return db_open(path, migrations, N_ELEMENTS(migrations), true, ret, err);
}

/* Under the lock: several parts of the cloud may start at once on a new folder. */
static int set_up(struct registry *reg, struct err *err)
{
        int r = ca_prepare(reg->config, err);
        if (!r)
                r = make_password(reg->config, err);
        if (!r)
                r = open_db(reg->config, &reg->db, err);
        if (!r)
                r = registry_add_builtin_policies(reg, err);
        if (!r)
                r = register_own(reg, err);
        return r < 0 ? r : publish_if_behind(reg, err);
}

int registry_open(
        const struct cloud_config *config, struct registry **ret_registry, struct err *err)
{
        CLEAN(registry) struct registry *reg = calloc(1, sizeof(*reg));
        if (!reg)
                return err_set(err, -ENOMEM, "out of memory");
        reg->config = config;
        int r = make_folders(config, err);
        if (!r)
                r = registry_lock(reg, err);
        if (!r) {
                r = set_up(reg, err);
                registry_unlock(reg);
        }
        if (r < 0)
                return err_prefix(err, "cannot open the registry");
        *ret_registry = TAKE(reg);
        return 0;
}

void registry_free(struct registry *r)
{
        if (!r)
                return;
        sqlite3_close(r->db);
        free(r);
}

int registry_init(const struct cloud_config *config, struct err *err)
{
        CLEAN(registry) struct registry *reg = NULL;
        return registry_open(config, &reg, err);
}
