/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "base/fs.h"
#include "base/tls.h"
#include "cloud/registry/ca.h"
#include "cloud/registry/internal.h"

#include <errno.h>
#include <string.h>

int registry_check_name(const char *name, struct err *err)
{
        size_t n = strlen(name);
        if (n && n <= LIMIT_THING_NAME_BYTES && *name != '.' && *name != '-' &&
                strspn(name,
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-") == n)
                return 0;
        return err_set(err, -EINVAL,
                "bad name '%.100s': a name is 1 to %d of A-Z a-z 0-9 _ . : - and starts with "
                "neither "
                "'.' nor '-'",
                name, LIMIT_THING_NAME_BYTES);
}

static int check_thing(struct registry *reg, const char *name, struct err *err)
{
        int64_t n = 0;
        int r = registry_count(
                reg, err, "SELECT 1 FROM things WHERE name=?", 1, (const char *[]){name}, &n);
        if (r < 0 || n)
                return r;
        return err_set(
                err, -ENOENT, "there is no thing '%.100s': 'driveline thing list' shows all", name);
}

/* ── files of a thing ── */

enum { FILE_KEY, FILE_PUBLIC, FILE_CERT, FILE_CA, FILE_N };

struct paths {
        char *dir;
        char *files[FILE_N];
        bool own_dir; /* DATA/things/NAME: what is in there is ours to replace */
};

#define CLEAN_PATHS __attribute__((cleanup(paths_fini)))
static void paths_fini(struct paths *p)
{
        free(p->dir);
        for (int i = 0; i < FILE_N; i++)
                free(p->files[i]);
}

static char *default_dir(const struct registry *reg, const char *name)
{
        CLEAN_MEM char *things = cloud_path(reg->config, "things");
        return things ? fs_join(things, name) : NULL;
}

static int paths_init(struct paths *p, const struct registry *reg, const char *name,
        const char *out_dir, struct err *err)
{
        static const char *const suffixes[] = {".private.key", ".public.key", ".cert.pem"};
        p->own_dir = !out_dir;
        p->dir = out_dir ? strdup(out_dir) : default_dir(reg, name);
        for (int i = 0; p->dir && i < FILE_N; i++) {
                char file[LIMIT_THING_NAME_BYTES + 32] = "root-CA.crt";
                if (i < FILE_CA)
                        snprintf(file, sizeof(file), "%s%s", name, suffixes[i]);
                p->files[i] = fs_join(p->dir, file);
        }
        return p->dir && p->files[FILE_KEY] && p->files[FILE_PUBLIC] && p->files[FILE_CERT] &&
                               p->files[FILE_CA]
                       ? 0
                       : err_set(err, -ENOMEM, "out of memory");
}

/* In a folder of the user's we overwrite no key: it may be another cloud's. */
static int check_free(const struct paths *p, struct err *err)
{
        for (int i = 0; !p->own_dir && i < FILE_CA; i++)
                if (fs_exists(p->files[i]))
                        return err_set(err, -EEXIST,
                                "'%s' is there already: remove it or give another folder with "
                                "--out",
                                p->files[i]);
        return 0;
}

static int copy_root(const struct registry *reg, const struct paths *p, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        CLEAN_MEM char *root = cloud_path(reg->config, CLOUD_CA_CERT);
        int r = root ? fs_read(root, &text, err) : err_set(err, -ENOMEM, "out of memory");
        return r < 0 ? r : fs_write_atomic(p->files[FILE_CA], buf_text(&text), text.len, 0644, err);
}

static int write_files(const struct registry *reg, const struct paths *p, EVP_PKEY *key, X509 *cert,
        struct err *err)
{
        int r = fs_mkdir_p(p->dir, 0700, err);
        if (!r)
                r = certificate_write_key(p->files[FILE_KEY], key, err);
        if (!r)
                r = certificate_write_public_key(p->files[FILE_PUBLIC], key, err);
        if (!r)
                r = certificate_write(p->files[FILE_CERT], cert, err);
        return r < 0 ? r : copy_root(reg, p, err);
}

static void remove_files(const struct paths *p)
{
        for (int i = 0; i < FILE_CA; i++)
                unlink(p->files[i]);
}

/* Makes a key and its certificate and writes them; the caller registers the certificate after. */
static int issue(const struct registry *reg, const char *name, const struct paths *p, int days,
        X509 **ret_cert, struct err *err)
{
        if (days < 0 || days > REGISTRY_MAX_DAYS)
                return err_set(err, -EINVAL, "a certificate is valid for 1 to %d days, not %d",
                        REGISTRY_MAX_DAYS, days);
        CLEAN_CA struct ca ca = {0};
        CLEAN_PKEY EVP_PKEY *key = NULL;
        CLEAN_X509 X509 *cert = NULL;
        int r = ca_open(reg->config, &ca, err);
        if (!r)
                r = certificate_key_new(&key, err);
        if (!r)
                r = ca_issue(&ca, name, key, days ? days : REGISTRY_DEFAULT_DAYS, &cert, err);
        if (!r)
                r = write_files(reg, p, key, cert, err);
        if (r < 0)
                return r;
        *ret_cert = cert;
        cert = NULL;
        return 0;
}

/* ── changes ── */

int registry_add_certificate(struct registry *reg, const char *thing, X509 *cert, struct err *err)
{
        char name[LIMIT_THING_NAME_BYTES + 1], serial[REGISTRY_SERIAL_SIZE], fingerprint[65];
        if (!tls_certificate_identity(cert, name, sizeof(name), serial, sizeof(serial)) ||
                certificate_fingerprint(cert, fingerprint) < 0)
                return err_set(err, -EIO, "cannot read the new certificate back");
        char now[24], before[24], after[24];
        snprintf(now, sizeof(now), "%lld", (long long)clock_now_ms());
        snprintf(before, sizeof(before), "%lld", (long long)certificate_not_before_ms(cert));
        snprintf(after, sizeof(after), "%lld", (long long)certificate_not_after_ms(cert));
        const char *const texts[] = {serial, thing, fingerprint, now, before, after};
        return registry_run(reg, err,
                "INSERT INTO certificates(serial, thing, fingerprint, state, created_at, "
                "not_before,"
                " not_after) VALUES(?, ?, ?, 'active', ?, ?, ?)",
                N_ELEMENTS(texts), texts);
}

static int insert_thing(struct registry *reg, const char *name, X509 *cert,
        const char *const *policies, size_t n_policies, struct err *err)
{
        char now[24];
        snprintf(now, sizeof(now), "%lld", (long long)clock_now_ms());
        int r = registry_run(
                reg, err, "INSERT INTO things VALUES(?, ?)", 2, (const char *[]){name, now});
        if (r >= 0)
                r = registry_add_certificate(reg, name, cert, err);
        for (size_t i = 0; r >= 0 && i < n_policies; i++)
                r = registry_run(reg, err, "INSERT OR IGNORE INTO attachments VALUES(?, ?)", 2,
                        (const char *[]){name, policies[i]});
        return r;
}

static int check_new_thing(struct registry *reg, const char *name, const char *const *policies,
        size_t n_policies, struct err *err)
{
        int64_t n = 0;
        int r = registry_check_name(name, err);
        if (r < 0)
                return r;
        if (!strcmp(name, CLOUD_CLIENT_NAME))
                return err_set(err, -EINVAL, "'%s' is the cloud's own name", name);
        if (n_policies > LIMIT_POLICIES_PER_THING)
                return err_set(
                        err, -E2BIG, "a thing has at most %d policies", LIMIT_POLICIES_PER_THING);
        r = registry_count(
                reg, err, "SELECT 1 FROM things WHERE name=?", 1, (const char *[]){name}, &n);
        if (!r && n)
                return err_set(err, -EEXIST,
                        "thing '%s' is there already: 'driveline thing renew %s' makes a new "
                        "certificate, 'driveline thing delete %s' removes it",
                        name, name, name);
        for (size_t i = 0; !r && i < n_policies; i++) {
                r = registry_count(reg, err, "SELECT 1 FROM policies WHERE name=?", 1,
                        (const char *[]){policies[i]}, &n);
                if (!r && !n)
                        return err_set(err, -ENOENT,
                                "there is no policy '%.100s': 'driveline policy list' shows all",
                                policies[i]);
        }
        return r;
}

static int create(struct registry *r, const char *name, const struct registry_files *files,
        const char *const *policies, size_t n_policies, struct err *err)
{
        CLEAN_PATHS struct paths p = {0};
        CLEAN_X509 X509 *cert = NULL;
        int result = check_new_thing(r, name, policies, n_policies, err);
        if (!result)
                result = paths_init(&p, r, name, files->out_dir, err);
        if (!result)
                result = check_free(&p, err);
        if (!result)
                result = issue(r, name, &p, files->days, &cert, err);
        if (!result)
                result = registry_begin(r, err);
        if (result < 0)
                return result;
        result = insert_thing(r, name, cert, policies, n_policies, err);
        bool inserted = result >= 0;
        result = registry_end(r, result, err);
        if (!inserted)
                remove_files(&p);
        return result;
}

int registry_thing_create(struct registry *r, const char *name, const struct registry_files *files,
        const char *const *policies, size_t n_policies, struct err *err)
{
        static const char *const standard[] = {REGISTRY_DEFAULT_POLICY};
        int result = registry_lock(r, err);
        if (result < 0)
                return result;
        result = create(
                r, name, files, n_policies ? policies : standard, n_policies ? n_policies : 1, err);
        registry_unlock(r);
        return result;
}

static int renew(struct registry *r, const char *name, const struct registry_files *files,
        bool revoke, struct err *err)
{
        CLEAN_PATHS struct paths p = {0};
        CLEAN_X509 X509 *cert = NULL;
        int result = check_thing(r, name, err);
        if (!result)
                result = paths_init(&p, r, name, files->out_dir, err);
        if (!result)
                result = check_free(&p, err);
        if (!result)
                result = issue(r, name, &p, files->days, &cert, err);
        if (!result)
                result = registry_begin(r, err);
        if (result < 0)
                return result;
        if (revoke)
                result = registry_run(r, err,
                        "UPDATE certificates SET state='deleted' WHERE thing=?", 1,
                        (const char *[]){name});
        if (result >= 0)
                result = registry_add_certificate(r, name, cert, err);
        return registry_end(r, result, err);
}

int registry_thing_renew(struct registry *r, const char *name, const struct registry_files *files,
        bool revoke, struct err *err)
{
        int result = registry_lock(r, err);
        if (result < 0)
                return result;
        result = renew(r, name, files, revoke, err);
        registry_unlock(r);
        return result;
}

int registry_thing_set_active(struct registry *r, const char *name, bool active, struct err *err)
{
        int result = check_thing(r, name, err);
        if (!result)
                result = registry_begin(r, err);
        if (result < 0)
                return result;
        result = registry_run(r, err,
                "UPDATE certificates SET state=? WHERE thing=? AND state!='deleted'", 2,
                (const char *[]){active ? "active" : "inactive", name});
        return registry_end(r, result, err);
}

static int delete_rows(struct registry *reg, const char *name, struct err *err)
{
        static const char *const statements[] = {
                "UPDATE certificates SET state='deleted' WHERE thing=?",
                "DELETE FROM attachments WHERE thing=?",
                "DELETE FROM things WHERE name=?",
        };
        int r = 0;
        for (size_t i = 0; r >= 0 && i < N_ELEMENTS(statements); i++)
                r = registry_run(reg, err, statements[i], 1, (const char *[]){name});
        return r;
}

static int remove_thing(struct registry *r, const char *name, bool force, struct err *err)
{
        int64_t n = 0;
        int result = check_thing(r, name, err);
        if (!result)
                result = registry_begin(r, err);
        if (result < 0)
                return result;
        result = registry_count(r, err,
                "SELECT count(*) FROM certificates WHERE thing=? AND state='active'", 1,
                (const char *[]){name}, &n);
        if (!result && n && !force)
                result = err_set(err, -EBUSY,
                        "thing '%s' has an active certificate: 'driveline thing deactivate %s' "
                        "first, "
                        "or --force",
                        name, name);
        if (!result)
                result = delete_rows(r, name, err);
        result = registry_end(r, result, err);
        CLEAN_MEM char *dir = default_dir(r, name);
        return result < 0 || !dir ? result : fs_remove_tree(dir, err);
}

int registry_thing_delete(struct registry *r, const char *name, bool force, struct err *err)
{
        int result = registry_lock(r, err);
        if (result < 0)
                return result;
        result = remove_thing(r, name, force, err);
        registry_unlock(r);
        return result;
}

/* ── looking ── */

static void copy_text(char *to, size_t size, sqlite3_stmt *stmt, int column)
{
        const char *text = (const char *)sqlite3_column_text(stmt, column);
        snprintf(to, size, "%s", text ? text : "");
}

/* Columns of CERTIFICATE_COLUMNS from `first` on. */
#define CERTIFICATE_COLUMNS                                                                        \
        "serial, fingerprint, c.thing, state, c.created_at, not_before, not_after"
static void read_certificate(sqlite3_stmt *stmt, int first, struct registry_certificate *ret)
{
        *ret = (struct registry_certificate){.state = CERTIFICATE_DELETED};
        const char *state = (const char *)sqlite3_column_text(stmt, first + 3);
        if (!state || certificate_state_from_string(state, &ret->state) < 0)
                return;
        copy_text(ret->serial, sizeof(ret->serial), stmt, first);
        copy_text(ret->fingerprint, sizeof(ret->fingerprint), stmt, first + 1);
        copy_text(ret->thing, sizeof(ret->thing), stmt, first + 2);
        ret->created_at_ms = sqlite3_column_int64(stmt, first + 4);
        ret->not_before_ms = sqlite3_column_int64(stmt, first + 5);
        ret->not_after_ms = sqlite3_column_int64(stmt, first + 6);
}

/* Things with their best certificate: active before inactive, newest first. */
#define THINGS_SQL                                                                                 \
        "SELECT t.name, t.created_at, " CERTIFICATE_COLUMNS                                        \
        " FROM things t LEFT JOIN certificates c"                                                  \
        " ON c.serial=(SELECT serial FROM certificates WHERE thing=t.name AND state!='deleted'"    \
        " ORDER BY state, created_at DESC, rowid DESC LIMIT 1)"

static int walk_things(struct registry *reg, const char *sql, const char *name,
        int (*each)(void *arg, const struct registry_thing *thing), void *arg, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int r = db_prepare(reg->db, sql, &stmt, err);
        if (!r && name && registry_bind(stmt, 1, &name) < 0)
                r = err_set(err, -ENOMEM, "out of memory");
        while (!r && (r = registry_step(reg, stmt, err)) > 0) {
                struct registry_thing thing = {.created_at_ms = sqlite3_column_int64(stmt, 1)};
                copy_text(thing.name, sizeof(thing.name), stmt, 0);
                read_certificate(stmt, 2, &thing.newest);
                r = each(arg, &thing);
        }
        return r;
}

int registry_thing_each(struct registry *r,
        int (*each)(void *arg, const struct registry_thing *thing), void *arg, struct err *err)
{
        return walk_things(r, THINGS_SQL " ORDER BY t.name", NULL, each, arg, err);
}

static int keep_thing(void *arg, const struct registry_thing *thing)
{
        *(struct registry_thing *)arg = *thing;
        return 0;
}

int registry_thing_get(
        struct registry *r, const char *name, struct registry_thing *ret_thing, struct err *err)
{
        int result = check_thing(r, name, err);
        if (result < 0)
                return result;
        return walk_things(r, THINGS_SQL " WHERE t.name=?", name, keep_thing, ret_thing, err);
}

int registry_certificate_each(struct registry *r, const char *thing,
        int (*each)(void *arg, const struct registry_certificate *certificate), void *arg,
        struct err *err)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int result = db_prepare(r->db,
                "SELECT " CERTIFICATE_COLUMNS
                " FROM certificates c WHERE thing=? ORDER BY created_at DESC, rowid DESC",
                &stmt, err);
        if (!result && registry_bind(stmt, 1, &thing) < 0)
                result = err_set(err, -ENOMEM, "out of memory");
        while (!result && (result = registry_step(r, stmt, err)) > 0) {
                struct registry_certificate c;
                read_certificate(stmt, 0, &c);
                result = each(arg, &c);
        }
        return result;
}

bool registry_is_active(struct registry *r, const char *thing, const char *serial)
{
        int64_t n = 0;
        char now[24];
        snprintf(now, sizeof(now), "%lld", (long long)clock_now_ms());
        const char *const texts[] = {serial, thing, now};
        int result = registry_count(r, NULL,
                "SELECT count(*) FROM certificates WHERE serial=? AND thing=? AND state='active'"
                " AND not_after>CAST(? AS INTEGER)",
                N_ELEMENTS(texts), texts, &n);
        return result == 0 && n == 1;
}
