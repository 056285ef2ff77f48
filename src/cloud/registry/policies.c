/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "cloud/registry/internal.h"

#include <errno.h>
#include <string.h>

#define ME "${iot:Connection.Thing.ThingName}"

/* Written as people should write theirs, since `driveline policy show` is where they look first. */
static const char default_document[] = "{\n"
                                       "  \"Version\": \"2012-10-17\",\n"
                                       "  \"Statement\": [\n"
                                       "    {\n"
                                       "      \"Sid\": \"ConnectAsOneself\",\n"
                                       "      \"Effect\": \"Allow\",\n"
                                       "      \"Action\": \"iot:Connect\",\n"
                                       "      \"Resource\": \"client/" ME "\"\n"
                                       "    },\n"
                                       "    {\n"
                                       "      \"Sid\": \"PublishOwn\",\n"
                                       "      \"Effect\": \"Allow\",\n"
                                       "      \"Action\": \"iot:Publish\",\n"
                                       "      \"Resource\": [\n"
                                       "        \"topic/device/" ME "/telemetry\",\n"
                                       "        \"topic/device/" ME "/update\"\n"
                                       "      ]\n"
                                       "    },\n"
                                       "    {\n"
                                       "      \"Sid\": \"SubscribeOwn\",\n"
                                       "      \"Effect\": \"Allow\",\n"
                                       "      \"Action\": \"iot:Subscribe\",\n"
                                       "      \"Resource\": \"topicfilter/device/" ME "/poll\"\n"
                                       "    },\n"
                                       "    {\n"
                                       "      \"Sid\": \"ReceiveOwn\",\n"
                                       "      \"Effect\": \"Allow\",\n"
                                       "      \"Action\": \"iot:Receive\",\n"
                                       "      \"Resource\": \"topic/device/" ME "/poll\"\n"
                                       "    }\n"
                                       "  ]\n"
                                       "}\n";

static const char cloud_document[] = "{\n"
                                     "  \"Version\": \"2012-10-17\",\n"
                                     "  \"Statement\": [\n"
                                     "    {\n"
                                     "      \"Sid\": \"ConnectAsOneself\",\n"
                                     "      \"Effect\": \"Allow\",\n"
                                     "      \"Action\": \"iot:Connect\",\n"
                                     "      \"Resource\": \"client/" CLOUD_CLIENT_NAME "\"\n"
                                     "    },\n"
                                     "    {\n"
                                     "      \"Sid\": \"TellToPoll\",\n"
                                     "      \"Effect\": \"Allow\",\n"
                                     "      \"Action\": \"iot:Publish\",\n"
                                     "      \"Resource\": \"topic/device/*/poll\"\n"
                                     "    }\n"
                                     "  ]\n"
                                     "}\n";

static bool is_builtin(const char *name)
{
        return !strcmp(name, REGISTRY_DEFAULT_POLICY) || !strcmp(name, REGISTRY_CLOUD_POLICY);
}

static int current_version(struct registry *reg, const char *name, int64_t *ret, struct err *err)
{
        return registry_count(reg, err, "SELECT max(version) FROM policies WHERE name=?", 1,
                (const char *[]){name}, ret);
}

static int check_policy(struct registry *reg, const char *name, struct err *err)
{
        int64_t version = 0;
        int r = current_version(reg, name, &version, err);
        if (r < 0 || version)
                return r;
        return err_set(err, -ENOENT,
                "there is no policy '%.100s': 'driveline policy list' shows all", name);
}

static int insert(struct registry *reg, const char *name, int64_t version, const char *document,
        size_t len, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int r = db_prepare(reg->db,
                "INSERT INTO policies(name, version, created_at, document) VALUES(?, ?, ?, ?)",
                &stmt, err);
        if (r < 0)
                return r;
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, version);
        sqlite3_bind_int64(stmt, 3, clock_now_ms());
        sqlite3_bind_text(stmt, 4, document, (int)len, SQLITE_STATIC);
        return registry_step(reg, stmt, err);
}

/* An earlier Driveline's text of a built-in policy isn't replaced: the user may have changed it. */
int registry_add_builtin_policies(struct registry *reg, struct err *err)
{
        int64_t n = 0;
        int r = registry_count(reg, err,
                "SELECT count(DISTINCT name) FROM policies WHERE name IN"
                " ('" REGISTRY_DEFAULT_POLICY "', '" REGISTRY_CLOUD_POLICY "')",
                0, NULL, &n);
        if (r < 0 || n == 2)
                return r;
        r = registry_begin(reg, err);
        if (r < 0)
                return r;
        int64_t version = 0;
        r = current_version(reg, REGISTRY_DEFAULT_POLICY, &version, err);
        if (!r && !version)
                r = insert(reg, REGISTRY_DEFAULT_POLICY, 1, default_document,
                        strlen(default_document), err);
        if (r >= 0)
                r = current_version(reg, REGISTRY_CLOUD_POLICY, &version, err);
        if (!r && !version)
                r = insert(
                        reg, REGISTRY_CLOUD_POLICY, 1, cloud_document, strlen(cloud_document), err);
        if (r >= 0)
                r = registry_run(reg, err, "INSERT OR IGNORE INTO attachments VALUES(?, ?)", 2,
                        (const char *[]){CLOUD_CLIENT_NAME, REGISTRY_CLOUD_POLICY});
        return registry_end(reg, r, err);
}

static int put(struct registry *reg, const char *name, const char *document, size_t len,
        bool update, int64_t *ret_version, struct err *err)
{
        int64_t version = 0;
        int r = current_version(reg, name, &version, err);
        if (r < 0)
                return r;
        if (version && !update)
                return err_set(err, -EEXIST,
                        "policy '%s' is there already: 'driveline policy update' makes its next "
                        "version",
                        name);
        if (!version && update)
                return check_policy(reg, name, err);
        r = insert(reg, name, version + 1, document, len, err);
        if (r < 0)
                return r;
        *ret_version = version + 1;
        char oldest[24];
        snprintf(oldest, sizeof(oldest), "%lld", (long long)version + 1 - LIMIT_POLICY_VERSIONS);
        return registry_run(reg, err,
                "DELETE FROM policies WHERE name=? AND version<=CAST(? AS INTEGER)", 2,
                (const char *[]){name, oldest});
}

int registry_policy_put(struct registry *r, const char *name, const char *document, size_t len,
        bool update, int *ret_version, struct err *err)
{
        CLEAN(policy) struct policy *checked = NULL;
        int result = registry_check_name(name, err);
        if (!result)
                result = policy_parse(document, len, &checked, err);
        if (!result && !strcmp(name, REGISTRY_CLOUD_POLICY))
                result = err_set(err, -EPERM, "policy '%s' is the cloud's own", name);
        if (!result)
                result = registry_begin(r, err);
        if (result < 0)
                return result;
        int64_t version = 0;
        result = put(r, name, document, len, update, &version, err);
        result = registry_end(r, result, err);
        if (!result && ret_version)
                *ret_version = (int)version;
        return result;
}

static int delete_policy(struct registry *reg, const char *name, struct err *err)
{
        int64_t n = 0;
        int r = check_policy(reg, name, err);
        if (!r)
                r = registry_count(reg, err, "SELECT count(*) FROM attachments WHERE policy=?", 1,
                        (const char *[]){name}, &n);
        if (!r && n)
                r = err_set(err, -EBUSY,
                        "policy '%s' is attached to %lld things: 'driveline policy detach' it "
                        "first",
                        name, (long long)n);
        if (r < 0)
                return r;
        return registry_run(
                reg, err, "DELETE FROM policies WHERE name=?", 1, (const char *[]){name});
}

int registry_policy_delete(struct registry *r, const char *name, struct err *err)
{
        if (is_builtin(name))
                return err_set(err, -EBUSY, "policy '%s' is built in", name);
        int result = registry_begin(r, err);
        if (result < 0)
                return result;
        result = delete_policy(r, name, err);
        return registry_end(r, result, err);
}

static int attach(struct registry *reg, const char *name, const char *thing, struct err *err)
{
        int64_t n = 0;
        int r = check_policy(reg, name, err);
        if (!r)
                r = registry_count(reg, err, "SELECT count(*) FROM attachments WHERE thing=?", 1,
                        (const char *[]){thing}, &n);
        if (!r && n >= LIMIT_POLICIES_PER_THING)
                r = err_set(err, -E2BIG,
                        "thing '%s' has %d policies already, the most there can be", thing,
                        LIMIT_POLICIES_PER_THING);
        if (r < 0)
                return r;
        return registry_run(reg, err, "INSERT OR IGNORE INTO attachments VALUES(?, ?)", 2,
                (const char *[]){thing, name});
}

int registry_policy_attach(struct registry *r, const char *name, const char *thing, struct err *err)
{
        struct registry_thing there;
        int result = registry_thing_get(r, thing, &there, err);
        if (!result)
                result = registry_begin(r, err);
        if (result < 0)
                return result;
        result = attach(r, name, thing, err);
        return registry_end(r, result, err);
}

static int detach(struct registry *reg, const char *name, const char *thing, struct err *err)
{
        int n = registry_run(reg, err, "DELETE FROM attachments WHERE thing=? AND policy=?", 2,
                (const char *[]){thing, name});
        if (n)
                return n;
        return err_set(err, -ENOENT,
                "policy '%s' is not attached to '%s': 'driveline thing show %s' lists its policies",
                name, thing, thing);
}

int registry_policy_detach(struct registry *r, const char *name, const char *thing, struct err *err)
{
        struct registry_thing there;
        int result = registry_thing_get(r, thing, &there, err);
        if (!result)
                result = registry_begin(r, err);
        if (result < 0)
                return result;
        result = detach(r, name, thing, err);
        return registry_end(r, result, err);
}

/* ── looking ── */

int registry_policy_each(struct registry *r, const char *name,
        int (*each)(void *arg, const struct registry_policy *policy), void *arg, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int result = db_prepare(r->db,
                "SELECT name, document, version, created_at,"
                " version=(SELECT max(version) FROM policies q WHERE q.name=p.name) AS is_current,"
                " (SELECT count(*) FROM attachments WHERE policy=p.name)"
                " FROM policies p WHERE name=?1 OR (?1 IS NULL AND is_current)"
                " ORDER BY name, version DESC",
                &stmt, err);
        if (!result && registry_bind(stmt, 1, &name) < 0)
                result = err_set(err, -ENOMEM, "out of memory");
        while (!result && (result = registry_step(r, stmt, err)) > 0) {
                const struct registry_policy policy = {
                        .name = (const char *)sqlite3_column_text(stmt, 0),
                        .document = (const char *)sqlite3_column_text(stmt, 1),
                        .version = sqlite3_column_int(stmt, 2),
                        .created_at_ms = sqlite3_column_int64(stmt, 3),
                        .is_current = sqlite3_column_int(stmt, 4) != 0,
                        .n_things = sqlite3_column_int(stmt, 5),
                };
                result = each(arg, &policy);
        }
        return result;
}

int registry_attachment_each(struct registry *r, const char *thing, const char *policy,
        int (*each)(void *arg, const char *name), void *arg, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *stmt = NULL;
        int result = db_prepare(r->db,
                thing ? "SELECT policy FROM attachments WHERE thing=? ORDER BY policy"
                      : "SELECT thing FROM attachments WHERE policy=? ORDER BY thing",
                &stmt, err);
        if (!result && registry_bind(stmt, 1, thing ? &thing : &policy) < 0)
                result = err_set(err, -ENOMEM, "out of memory");
        while (!result && (result = registry_step(r, stmt, err)) > 0)
                result = each(arg, (const char *)sqlite3_column_text(stmt, 0));
        return result;
}

/* ── the simulator ── */

/* `topic/a`, `arn:aws:iot:…:topic/a` and `a` mean the same to an action that acts on topics. */
static const char *without_kind(enum policy_action action, const char *resource)
{
        const char *p = resource, *kind = policy_action_kind(action);
        if (!strncmp(p, "arn:", 4))
                for (int i = 0; i < 5 && p; i++) {
                        p = strchr(p, ':');
                        p = p ? p + 1 : NULL;
                }
        if (!p)
                return resource;
        return !strncmp(p, kind, strlen(kind)) ? p + strlen(kind) : p == resource ? p : resource;
}

/* The broker's own snapshot is asked, so what is told here is what will happen. */
int registry_policy_test(struct registry *r, const char *thing, enum policy_action action,
        const char *resource, struct registry_decision *ret_decision, struct err *err)
{
        struct registry_thing there;
        if (strcmp(thing, CLOUD_CLIENT_NAME)) {
                int result = registry_thing_get(r, thing, &there, err);
                if (result < 0)
                        return result;
        }
        CLEAN_MEM char *path = cloud_path(r->config, CLOUD_ACCESS);
        CLEAN(access) struct access *a = NULL;
        int result = path ? access_load(path, &a, err) : err_set(err, -ENOMEM, "out of memory");
        if (result < 0)
                return result;
        struct registry_decision d = {0};
        const struct access_certificate *c = access_find_thing(a, thing, clock_now_ms());
        d.no_certificate = !c;
        if (c) {
                struct policy_verdict v;
                d.allowed = access_allows(c, action, without_kind(action, resource), thing, &v);
                d.statement = v.statement + 1;
                snprintf(d.policy, sizeof(d.policy), "%s", access_policy_name(c, &v));
                snprintf(d.sid, sizeof(d.sid), "%s", v.sid);
        }
        *ret_decision = d;
        return 0;
}
