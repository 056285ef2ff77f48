/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Who may call the Management API and do what.
 *
 * A user has a name, a password, a tenant and a list of authorities: role names (with or without
 * ROLE_) and single permissions. The list is shown as configured; what it implies is a set of bits.
 * A tenant administrator holds all those of hawkBit and may manage the tenant's users and API
 * tokens; a system administrator may manage those of every tenant. Neither can give what it lacks.
 *
 * Some users are there from the start (options, a file, the cloud's admin): they live in memory, as
 * keyed digests of their passwords. All others are rows of `account` (users.c).
 */
#include "base/buf.h"
#include "base/err.h"
#include "cloud/ota/login.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum permission_entity {
        ENTITY_TARGET,
        ENTITY_TARGET_TYPE,
        ENTITY_SET,
        ENTITY_SET_TYPE,
        ENTITY_MODULE,
        ENTITY_MODULE_TYPE,
        ENTITY_ROLLOUT,
        ENTITY_CONFIGURATION,
};
enum permission_verb { VERB_CREATE, VERB_READ, VERB_UPDATE, VERB_DELETE };
#define PERMIT(verb, entity) (UINT64_C(1) << ((int)(entity)*4 + (int)(verb)))
#define CREATE(e) PERMIT(VERB_CREATE, ENTITY_##e)
#define READ(e) PERMIT(VERB_READ, ENTITY_##e)
#define UPDATE(e) PERMIT(VERB_UPDATE, ENTITY_##e)
#define DELETE(e) PERMIT(VERB_DELETE, ENTITY_##e)
#define PERMIT_TARGET_TOKEN (UINT64_C(1) << 40)
#define PERMIT_GATEWAY_TOKEN (UINT64_C(1) << 41)
#define PERMIT_DOWNLOAD (UINT64_C(1) << 42)
#define PERMIT_APPROVE (UINT64_C(1) << 43)
#define PERMIT_HANDLE (UINT64_C(1) << 44)
#define PERMIT_USERS (UINT64_C(1) << 45) /* ours: users and API tokens of the tenant */
#define PERMIT_ALL ((UINT64_C(1) << 46) - 1)
#define PERMIT_SYSTEM (UINT64_C(1) << 46) /* ours: those of all tenants */

struct user {
        char *name, *tenant;
        char *stored;       /* the password as login_check() takes it */
        char *token;        /* name of the API token that acts for the user; NULL: none does */
        char **authorities; /* as userinfo shows them */
        size_t n_authorities;
        uint64_t permissions;
        bool may_approve_plainly; /* APPROVE_ROLLOUT by itself, not by a role */
};

/* Reads `NAME:PASSWORD:TENANT:ROLES`, ROLES comma-separated or empty. An unknown role is an error.
 */
int user_parse(const char *text, const struct login *login, struct user *ret_user, struct err *err);
int user_set(struct user *u, const char *name, const char *stored, const char *tenant,
        const char *roles, struct err *err);
void user_fini(struct user *u);
/* Appends the users of a file to `*users`: a line each as above, `#` comments. A file that others
 * may read is refused. */
int users_read_file(const char *path, const struct login *login, struct user **users, size_t *n,
        struct err *err);
/* The permissions in `bits` by name into `text`, with `between` between them. */
void permissions_print(uint64_t bits, const char *between, struct buf *text);
/* What `roles` imply; an unknown one is an error. */
int roles_permissions(const char *roles, uint64_t *ret, struct err *err);
