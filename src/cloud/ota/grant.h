/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Giving rights to others: nobody gives, or changes, what is above his own. Only a system
 * administrator is above tenants; a tenant's administrator sees and touches that tenant's users.
 */
#include "cloud/ota/request.h"

/* The list of roles and permissions of a body, as it is stored; NULL and a problem if one is
 * unknown. `*ret_bits`: what they imply. */
const char *grant_read(struct request *q, const json_t *permissions, uint64_t *ret_bits);
/* 0 if the caller holds all of `bits`, else the problem of a missing permission. */
int grant_check(struct request *q, uint64_t bits);
/* The stored list as JSON, roles with ROLE_ as userinfo shows them. */
json_t *grant_json(const char *roles);
/* The row of the tenant that `name` means (NULL: the caller's); 0 and a problem if it isn't the
 * caller's to act in. A system administrator makes new ones. */
int64_t grant_tenant(struct request *q, const char *name);
/* 1: rows of all tenants are the caller's to see; for `(tenant=? OR ?=1)`. */
int64_t grant_sees_all(const struct request *q);
/* Names are part of Basic credentials, queries and command lines: 1 to 64 of A-Za-z0-9._@+-. */
int grant_check_name(struct request *q, const char *name);
