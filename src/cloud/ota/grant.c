/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/grant.h"

#include <string.h>
#include <strings.h>

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-"
#define MAX_NAME 64         /* what createdBy may hold in hawkBit */
#define MAX_TENANT 40       /* hawkBit's */
#define MAX_ROLES_TEXT 2048 /* all of them twice */

const char *grant_read(struct request *q, const json_t *permissions, uint64_t *ret_bits)
{
        const char *all = "";
        struct err err = ERR_INIT;
        size_t i;
        json_t *one;
        json_array_foreach((json_t *)permissions, i, one)
        {
                const char *text = json_string_value(one);
                if (!text || !*text || strchr(text, ',') || strlen(all) > MAX_ROLES_TEXT) {
                        tx_problem(&q->tx, PROBLEM_CONSTRAINT,
                                "permissions is a list of roles and permissions");
                        return NULL;
                }
                all = arena_printf(&q->arena, "%s%s%s", all, *all ? "," : "", text);
        }
        if (roles_permissions(all, ret_bits, &err) < 0) {
                tx_problem(&q->tx, PROBLEM_CONSTRAINT, "%s", err.text);
                return NULL;
        }
        return all;
}

int grant_check(struct request *q, uint64_t bits)
{
        return request_may(q, bits) || request_may(q, PERMIT_SYSTEM) ? 0 : request_forbid(q);
}

json_t *grant_json(const char *roles)
{
        struct user u = {0};
        json_t *list = json_array();
        if (user_set(&u, "", "", "", roles, NULL) == 0) {
                for (size_t i = 0; i < u.n_authorities; i++)
                        json_array_append_new(list, json_string(u.authorities[i]));
        }
        user_fini(&u);
        return list;
}

static bool is_plain(const char *name, size_t max)
{
        size_t len = strlen(name);
        return len > 0 && len <= max && strspn(name, NAME_CHARACTERS) == len;
}

int64_t grant_tenant(struct request *q, const char *name)
{
        if (!name || strcasecmp(name, q->tx.tenant_name) == 0)
                return q->tx.tenant;
        if (!request_may(q, PERMIT_SYSTEM))
                return request_forbid(q), 0;
        if (!is_plain(name, MAX_TENANT))
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT,
                               "a tenant's name is 1 to %d of A-Z a-z 0-9 . _ @ + -", MAX_TENANT),
                       0;
        const char *stored;
        return tenant_find(&q->tx, name, true, &stored);
}

int64_t grant_sees_all(const struct request *q)
{
        return request_may(q, PERMIT_SYSTEM);
}

int grant_check_name(struct request *q, const char *name)
{
        if (is_plain(name, MAX_NAME))
                return 0;
        return tx_problem(
                &q->tx, PROBLEM_CONSTRAINT, "a name is 1 to %d of A-Z a-z 0-9 . _ @ + -", MAX_NAME);
}
