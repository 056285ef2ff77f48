/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/hash.h"
#include "base/limits.h"
#include "cloud/ota/caller.h"
#include "cloud/ota/credentials.h"
#include "cloud/ota/grant.h"
#include "cloud/ota/handlers.h"

#include <string.h>
#include <strings.h>

/* API tokens: 256 random bits that act for their owner, with all of its permissions or some. Only
 * their SHA-256 is kept: what has that many random bits needs no slow hash. */

static const struct shape text_element[] = {{.type = SHAPE_TEXT}};
static const struct shape create_members[] = {
        {.name = "name", .type = SHAPE_TEXT, .max = 64, .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY},
        {.name = "owner", .type = SHAPE_TEXT, .max = 64},
        {.name = "permissions", .type = SHAPE_ARRAY, .sub = text_element},
        {.name = "expiresAt", .type = SHAPE_LONG},
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_api_token_create[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY, .sub = create_one}};

static const struct field fields[] = {
        {"id", FIELD_NUMBER, "k.id", NULL, NULL},
        {"name", FIELD_TEXT, "k.name", NULL, NULL},
        {"owner", FIELD_TEXT, "k.owner", NULL, NULL},
        {"tenant", FIELD_TEXT, "t.name", NULL, NULL},
        {"expiresat", FIELD_NUMBER, "k.expires_at", NULL, NULL},
        {"lastusedat", FIELD_NUMBER, "k.used_at", NULL, NULL},
        {"createdat", FIELD_NUMBER, "k.created_at", NULL, NULL},
        {"createdby", FIELD_TEXT, "k.created_by", NULL, NULL},
        {0},
};
static const struct sort_field sorts[] = {
        {"id", "k.id"},
        {"name", "k.name"},
        {"owner", "k.owner"},
        {"tenant", "t.name"},
        {"expiresat", "k.expires_at"},
        {"lastusedat", "k.used_at"},
        {"createdat", "k.created_at"},
        {"createdby", "k.created_by"},
        {0},
};
const struct entity_fields fields_api_token = {fields, sorts};

#define FROM "api_token k JOIN tenant t ON t.id=k.tenant"
#define COLUMNS                                                                                    \
        "k.id, k.name, k.owner, t.name, k.roles, k.expires_at, k.used_at, k.created_by, "          \
        "k.created_at, k.modified_by, k.modified_at"

/* ── reading ── */

static json_t *token_row(struct request *q, struct sql_rows *r)
{
        json_t *j = json_object();
        long long id = sql_col_int(r, 0);
        add_audit(j, r, 7);
        add_text(j, "name", sql_col_text(r, 1));
        add_int(j, "id", id);
        add_text(j, "owner", sql_col_text(r, 2));
        add_text(j, "tenant", sql_col_text(r, 3));
        if (!sql_col_is_null(r, 4))
                json_object_set_new(j, "permissions", grant_json(sql_col_text(r, 4)));
        if (!sql_col_is_null(r, 5))
                add_int(j, "expiresAt", sql_col_int(r, 5));
        if (!sql_col_is_null(r, 6))
                add_int(j, "lastUsedAt", sql_col_int(r, 6));
        json_object_set_new(j, "_links", json_pack("{s:o}", "self", link_to(q, "tokens/%lld", id)));
        return j;
}

static json_t *token_json(struct request *q, int64_t id)
{
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " COLUMNS " FROM " FROM " WHERE k.id=? AND (k.tenant=? OR ?=1)", SQL_I(id),
                SQL_I(q->tx.tenant), SQL_I(grant_sees_all(q)));
        return sql_next(&r) ? token_row(q, &r) : NULL;
}

int api_tokens_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = COLUMNS,
                                     .from = FROM,
                                     .where = "(k.tenant=? OR ?=1)",
                                     .args = {SQL_I(q->tx.tenant), SQL_I(grant_sees_all(q))},
                                     .n_args = 2,
                                     .order = "k.id",
                                     .row = token_row});
}

int api_token_show(struct request *q)
{
        json_t *j = token_json(q, q->ids[0]);
        return j ? reply_json(q, 200, j) : tx_not_found(&q->tx, "ApiToken", q->ids[0]);
}

int api_token_remove(struct request *q)
{
        if (sql_run(&q->tx, "DELETE FROM api_token WHERE id=? AND (tenant=? OR ?=1)",
                    SQL_I(q->ids[0]), SQL_I(q->tx.tenant), SQL_I(grant_sees_all(q))) == 0)
                return tx_not_found(&q->tx, "ApiToken", q->ids[0]);
        return reply_none(q, 204);
}

/* ── creating ── */

/* Permissions of a new token: within its owner's, and within the caller's. */
static int check_rights(
        struct request *q, const json_t *one, const struct user *owner, const char **ret_roles)
{
        const json_t *permissions = json_object_get(one, "permissions");
        uint64_t bits = owner->permissions;
        *ret_roles = permissions ? grant_read(q, permissions, &bits) : NULL;
        if (permissions && !*ret_roles)
                return -1;
        if (bits & ~owner->permissions)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT,
                        "a token may not do more than its owner '%s'", owner->name);
        return grant_check(q, bits);
}

/* The owner, if it is the caller's to act for; its tenant's row in *ret_tenant. */
static int find_owner(struct request *q, const json_t *one, struct user *owner, int64_t *ret_tenant)
{
        const char *name = json_text(one, "owner", q->user->name);
        bool is_there = caller_user(q, name, owner) == 0;
        if (is_there && !grant_sees_all(q) && strcasecmp(owner->tenant, q->tx.tenant_name) != 0)
                is_there = false;
        if (!is_there)
                return tx_not_found_text(&q->tx, "User", name);
        *ret_tenant = grant_tenant(q, owner->tenant);
        return *ret_tenant ? 0 : -1;
}

static int check_new(struct request *q, const json_t *one, const char *owner, int64_t tenant)
{
        const char *name = json_text(one, "name", "");
        int64_t expires = json_int(one, "expiresAt", INT64_MAX);
        if (grant_check_name(q, name) < 0)
                return -1;
        if (expires <= q->tx.now)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "expiresAt is past");
        if (sql_int(&q->tx, 0, "SELECT 1 FROM api_token WHERE tenant=? AND owner=? AND name=?",
                    SQL_I(tenant), SQL_T(owner), SQL_T(name)))
                return tx_problem(
                        &q->tx, PROBLEM_EXISTS, "'%s' has a token '%s' already", owner, name);
        if (sql_int(&q->tx, 0, "SELECT count(*) FROM api_token WHERE tenant=?", SQL_I(tenant)) >=
                LIMIT_OTA_TOKENS)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "a tenant has at most %d API tokens",
                        LIMIT_OTA_TOKENS);
        return 0;
}

static int64_t insert(struct request *q, const json_t *one, int64_t tenant, const char *owner,
        const char *roles, const char *secret)
{
        char sha256[HASH_SHA256_HEX_SIZE];
        int64_t expires = json_int(one, "expiresAt", 0);
        hash_sha256_hex(secret, strlen(secret), sha256);
        return sql_insert(&q->tx,
                "INSERT INTO api_token(tenant, name, owner, sha256, roles, expires_at, created_by, "
                "created_at, modified_by, modified_at)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7, ?8)",
                SQL_I(tenant), SQL_T(json_text(one, "name", "")), SQL_T(owner), SQL_T(sha256),
                SQL_T(roles), SQL_OPT(expires), SQL_T(q->tx.user), SQL_I(q->tx.now));
}

/* The new token with its secret, which nobody sees again; NULL: a problem. */
static json_t *create(struct request *q, const json_t *one, struct user *owner)
{
        const char *roles;
        int64_t tenant = 0;
        char secret[API_TOKEN_SIZE] = API_TOKEN_PREFIX;
        if (find_owner(q, one, owner, &tenant) < 0 || check_rights(q, one, owner, &roles) < 0 ||
                check_new(q, one, owner->name, tenant) < 0)
                return NULL;
        size_t n = strlen(API_TOKEN_PREFIX);
        if (hash_random_hex(secret + n, (API_TOKEN_SIZE - 1 - n) / 2) < 0)
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 500), NULL;
        int64_t id = insert(q, one, tenant, owner->name, roles, secret);
        json_t *j = id ? token_json(q, id) : NULL;
        if (j)
                add_text(j, "token", secret);
        return j;
}

int api_tokens_create(struct request *q)
{
        CLEAN_JSON json_t *made = json_array();
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                struct user owner = {0};
                json_t *j = create(q, one, &owner);
                user_fini(&owner);
                if (!j)
                        return -1;
                json_array_append_new(made, j);
        }
        return reply_json(q, 201, json_incref(made));
}
