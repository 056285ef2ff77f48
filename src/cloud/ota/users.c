/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/caller.h"
#include "cloud/ota/grant.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/password.h"

#include <string.h>

/* Users in the database: our own resource in hawkBit's manner. Their passwords are hashed by the
 * login's worker, so a request that brings one is begun twice: once to check it and hand the
 * password over, once more with the hash. */

#define PASSWORD                                                                                   \
        {                                                                                          \
                .name = "password", .type = SHAPE_TEXT, .max = 256                                 \
        }
#define DESCRIPTION                                                                                \
        {                                                                                          \
                .name = "description", .type = SHAPE_TEXT, .max = 512, .flags = SHAPE_NO_MARKUP    \
        }

static const struct shape text_element[] = {{.type = SHAPE_TEXT}};
#define PERMISSIONS                                                                                \
        {                                                                                          \
                .name = "permissions", .type = SHAPE_ARRAY, .sub = text_element                    \
        }
static const struct shape create_members[] = {
        {.name = "name", .type = SHAPE_TEXT, .max = 64, .flags = SHAPE_REQUIRED | SHAPE_NOT_EMPTY},
        PASSWORD,
        {.name = "tenant", .type = SHAPE_TEXT, .max = 40},
        PERMISSIONS,
        DESCRIPTION,
        {0},
};
static const struct shape create_one[] = {{.type = SHAPE_OBJECT, .sub = create_members}};
const struct shape shape_user_create[] = {
        {.type = SHAPE_ARRAY, .flags = SHAPE_NOT_EMPTY, .sub = create_one}};
static const struct shape update_members[] = {
        PASSWORD,
        {.name = "generatePassword", .type = SHAPE_BOOL},
        PERMISSIONS,
        DESCRIPTION,
        {0},
};
const struct shape shape_user_update[] = {{.type = SHAPE_OBJECT, .sub = update_members}};

static const struct field fields[] = {
        {"id", FIELD_NUMBER, "a.id", NULL, NULL},
        {"name", FIELD_TEXT, "a.name", NULL, NULL},
        {"description", FIELD_TEXT, "a.description", NULL, NULL},
        {"tenant", FIELD_TEXT, "t.name", NULL, NULL},
        {"createdat", FIELD_NUMBER, "a.created_at", NULL, NULL},
        {"createdby", FIELD_TEXT, "a.created_by", NULL, NULL},
        {"lastmodifiedat", FIELD_NUMBER, "a.modified_at", NULL, NULL},
        {"lastmodifiedby", FIELD_TEXT, "a.modified_by", NULL, NULL},
        {0},
};
static const struct sort_field sorts[] = {
        {"id", "a.id"},
        {"name", "a.name"},
        {"description", "a.description"},
        {"tenant", "t.name"},
        {"createdat", "a.created_at"},
        {"createdby", "a.created_by"},
        {"lastmodifiedat", "a.modified_at"},
        {"lastmodifiedby", "a.modified_by"},
        {0},
};
const struct entity_fields fields_user = {fields, sorts};

#define FROM "account a JOIN tenant t ON t.id=a.tenant"
#define COLUMNS                                                                                    \
        "a.id, a.name, a.description, a.roles, t.name, a.created_by, a.created_at, "               \
        "a.modified_by, a.modified_at"

/* ── reading ── */

static json_t *user_row(struct request *q, struct sql_rows *r)
{
        json_t *j = json_object();
        long long id = sql_col_int(r, 0);
        add_audit(j, r, 5);
        add_text(j, "name", sql_col_text(r, 1));
        add_text(j, "description", sql_col_text(r, 2));
        add_int(j, "id", id);
        add_text(j, "tenant", sql_col_text(r, 4));
        json_object_set_new(j, "permissions", grant_json(sql_col_text(r, 3)));
        json_object_set_new(j, "_links", json_pack("{s:o}", "self", link_to(q, "users/%lld", id)));
        return j;
}

static json_t *user_json(struct request *q, int64_t id)
{
        CLEAN_ROWS struct sql_rows r =
                sql_open(&q->tx, "SELECT " COLUMNS " FROM " FROM " WHERE a.id=?", SQL_I(id));
        return sql_next(&r) ? user_row(q, &r) : NULL;
}

int users_list(struct request *q)
{
        return list_reply(q, &(struct listing){.columns = COLUMNS,
                                     .from = FROM,
                                     .where = "(a.tenant=? OR ?=1)",
                                     .args = {SQL_I(q->tx.tenant), SQL_I(grant_sees_all(q))},
                                     .n_args = 2,
                                     .order = "a.id",
                                     .row = user_row});
}

/* The user of the path, if the caller may see it: its name and roles. */
static int find(struct request *q, const char **ret_name, const char **ret_roles)
{
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT a.name, a.roles FROM account a WHERE a.id=? AND (a.tenant=? OR ?=1)",
                SQL_I(q->ids[0]), SQL_I(q->tx.tenant), SQL_I(grant_sees_all(q)));
        if (!sql_next(&r))
                return tx_not_found(&q->tx, "User", q->ids[0]);
        *ret_name = sql_col_text(&r, 0);
        *ret_roles = sql_col_text(&r, 1);
        return 0;
}

int user_show(struct request *q)
{
        const char *name, *roles;
        return find(q, &name, &roles) < 0 ? -1 : reply_json(q, 200, user_json(q, q->ids[0]));
}

/* ── passwords ── */

/* The given one, or a new one; NULL and a problem if it won't do. */
static const char *choose_password(struct request *q, const char *given)
{
        char generated[PASSWORD_GENERATED_SIZE];
        const char *objection = given ? password_objection(given) : NULL;
        if (objection)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "%s", objection), NULL;
        if (given)
                return given;
        if (password_generate(generated) < 0)
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 500), NULL;
        return arena_strdup(&q->arena, generated);
}

/* 0: q->login has the hashes; 1: they are being made; -1: a problem. */
static int need_hashes(struct request *q, const char *const *passwords, size_t n)
{
        bool is_made = q->login && !q->login->is_check && q->login->n == n;
        if (is_made && q->login->hashes)
                return 0;
        if (is_made)
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 500);
        if (login_hash(q->ota->login, q->x, request_peer(q), passwords, n) < 0) {
                http_add_header(q->x, "Retry-After", "1");
                return problem_set_status(&q->problem, PROBLEM_FRAMEWORK, 429);
        }
        q->is_waiting = true;
        return 1;
}

/* ── creating ── */

static int check_new(struct request *q, const char *name)
{
        if (grant_check_name(q, name) < 0)
                return -1;
        if (caller_is_fixed(q, name) ||
                sql_int(&q->tx, 0, "SELECT 1 FROM account WHERE name=?", SQL_T(name)))
                return tx_problem(&q->tx, PROBLEM_EXISTS, "User '%s' exists already", name);
        return 0;
}

static int check_room(struct request *q, int64_t tenant)
{
        if (sql_int(&q->tx, 0, "SELECT count(*) FROM account WHERE tenant=?", SQL_I(tenant)) <
                LIMIT_OTA_USERS)
                return 0;
        return tx_problem(&q->tx, PROBLEM_QUOTA, "a tenant has at most %d users", LIMIT_OTA_USERS);
}

/* Returns its id; 0: a problem. */
static int64_t insert(struct request *q, const json_t *one, const char *hash)
{
        const char *name = json_text(one, "name", "");
        uint64_t bits = 0;
        const char *roles = grant_read(q, json_object_get(one, "permissions"), &bits);
        if (!roles || check_new(q, name) < 0 || grant_check(q, bits) < 0)
                return 0;
        int64_t tenant = grant_tenant(q, json_text(one, "tenant", NULL));
        if (!tenant || check_room(q, tenant) < 0)
                return 0;
        /* tokens of a former user of that name are not this one's */
        sql_run(&q->tx, "DELETE FROM api_token WHERE owner=?", SQL_T(name));
        return sql_insert(&q->tx,
                "INSERT INTO account(tenant, name, password, roles, description, created_by, "
                "created_at, modified_by, modified_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?7)",
                SQL_I(tenant), SQL_T(name), SQL_T(hash), SQL_T(roles),
                SQL_T(json_text(one, "description", NULL)), SQL_T(q->tx.user), SQL_I(q->tx.now));
}

/* Everything but the passwords, so that nothing is hashed for a body that will be refused. */
static int try_all(struct request *q, const char **passwords)
{
        size_t i;
        json_t *one;
        json_array_foreach(q->body, i, one)
        {
                passwords[i] = choose_password(q, json_text(one, "password", NULL));
                if (!passwords[i] || !insert(q, one, ""))
                        return -1;
        }
        return 0;
}

int users_create(struct request *q)
{
        size_t i, n = json_array_size(q->body);
        json_t *one;
        const char *passwords[LIMIT_OTA_USERS_PER_REQUEST];
        if (n > LIMIT_OTA_USERS_PER_REQUEST)
                return tx_problem(&q->tx, PROBLEM_QUOTA, "at most %d users in one request",
                        LIMIT_OTA_USERS_PER_REQUEST);
        bool is_second = q->login && !q->login->is_check;
        if (!is_second && try_all(q, passwords) < 0)
                return -1;
        int r = need_hashes(q, passwords, n);
        if (r != 0)
                return r;
        CLEAN_JSON json_t *made = json_array();
        json_array_foreach(q->body, i, one)
        {
                int64_t id = insert(q, one, q->login->hashes[i]);
                json_t *j = id ? user_json(q, id) : NULL;
                if (!j)
                        return -1;
                if (!json_object_get(one, "password"))
                        add_text(j, "password", q->login->passwords[i]);
                json_array_append_new(made, j);
        }
        return reply_json(q, 201, json_incref(made));
}

/* ── changing ── */

static int change_password(struct request *q, const char **ret_generated)
{
        const char *given = json_text(q->body, "password", NULL);
        if (!given && !json_bool(q->body, "generatePassword", false))
                return 0;
        const char *password = choose_password(q, given);
        int r = password ? need_hashes(q, &password, 1) : -1;
        if (r != 0)
                return r;
        if (!given)
                *ret_generated = q->login->passwords[0];
        sql_run(&q->tx, "UPDATE account SET password=? WHERE id=?", SQL_T(q->login->hashes[0]),
                SQL_I(q->ids[0]));
        return 0;
}

static int change_roles(struct request *q)
{
        json_t *permissions = json_object_get(q->body, "permissions");
        uint64_t bits = 0;
        const char *roles = permissions ? grant_read(q, permissions, &bits) : NULL;
        if (!permissions)
                return 0;
        if (!roles || grant_check(q, bits) < 0)
                return -1;
        sql_run(&q->tx, "UPDATE account SET roles=? WHERE id=?", SQL_T(roles), SQL_I(q->ids[0]));
        return 0;
}

/* The user of the path, if it is not above the caller. */
static int find_below(struct request *q, const char **ret_name)
{
        const char *roles;
        uint64_t bits = 0;
        if (find(q, ret_name, &roles) < 0)
                return -1;
        (void)roles_permissions(roles, &bits, NULL); /* unknown ones give nothing */
        return grant_check(q, bits);
}

int user_update(struct request *q)
{
        const char *name, *generated = NULL;
        int r = find_below(q, &name);
        if (r == 0)
                r = change_roles(q);
        if (r == 0)
                r = change_password(q, &generated);
        if (r != 0)
                return r;
        sql_run(&q->tx,
                "UPDATE account SET description=coalesce(?, description), modified_by=?, "
                "modified_at=? WHERE id=?",
                SQL_T(json_text(q->body, "description", NULL)), SQL_T(q->tx.user), SQL_I(q->tx.now),
                SQL_I(q->ids[0]));
        json_t *j = user_json(q, q->ids[0]);
        add_text(j, "password", generated);
        return reply_json(q, 200, j);
}

int user_remove(struct request *q)
{
        const char *name;
        if (find_below(q, &name) < 0)
                return -1;
        sql_run(&q->tx, "DELETE FROM api_token WHERE owner=?", SQL_T(name));
        sql_run(&q->tx, "DELETE FROM account WHERE id=?", SQL_I(q->ids[0]));
        return reply_none(q, 204);
}
