/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/caller.h"

#include "base/hash.h"
#include "cloud/ota/credentials.h"
#include "cloud/ota/request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define USED_STEP_MS                                                                               \
        60000 /* a token's last use is written once a minute, not with each request                \
               */

static const struct user *find_fixed(const struct ota *o, const char *name)
{
        const struct user *found = NULL;
        for (size_t i = 0; i < o->n_users; i++) {
                if (strcmp(o->users[i].name, name) == 0)
                        found = &o->users[i];
        }
        return found;
}

bool caller_is_fixed(struct request *q, const char *name)
{
        return find_fixed(q->ota, name);
}

static const char *join(struct request *q, const struct user *u)
{
        const char *all = "";
        for (size_t i = 0; i < u->n_authorities; i++)
                all = arena_printf(&q->arena, "%s%s%s", all, *all ? "," : "", u->authorities[i]);
        return all;
}

int caller_user(struct request *q, const char *name, struct user *ret)
{
        const struct user *fixed = find_fixed(q->ota, name);
        if (fixed)
                return user_set(ret, name, fixed->stored, fixed->tenant, join(q, fixed), NULL);
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT a.password, t.name, a.roles FROM account a JOIN tenant t ON t.id=a.tenant"
                " WHERE a.name=?",
                SQL_T(name));
        if (!sql_next(&r))
                return -ENOENT;
        return user_set(
                ret, name, sql_col_text(&r, 0), sql_col_text(&r, 1), sql_col_text(&r, 2), NULL);
}

/* ── by password ── */

static enum caller_verdict by_password(
        struct request *q, const struct credentials *c, int *ret_wait_s)
{
        bool is_known = caller_user(q, c->name, &q->caller) == 0;
        switch (login_check(q->ota->login, q->x, request_peer(q), c->name, c->secret,
                is_known ? q->caller.stored : NULL, ret_wait_s)) {
        case LOGIN_RIGHT:
                q->user = &q->caller;
                return CALLER_KNOWN;
        case LOGIN_WAITS:
                return CALLER_WAITS;
        case LOGIN_LIMITED:
                return CALLER_LIMITED;
        case LOGIN_WRONG:
                break;
        }
        return CALLER_UNKNOWN;
}

/* ── by token ── */

struct token {
        int64_t id, used_at;
        const char *name, *owner, *tenant, *roles;
};

static bool find_token(struct request *q, const char *secret, struct token *ret)
{
        char sha256[HASH_SHA256_HEX_SIZE];
        hash_sha256_hex(secret, strlen(secret), sha256);
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT k.id, k.used_at, k.name, k.owner, t.name, k.roles FROM api_token k"
                " JOIN tenant t ON t.id=k.tenant WHERE k.sha256=? AND"
                " (k.expires_at IS NULL OR k.expires_at > ?)",
                SQL_T(sha256), SQL_I(q->tx.now));
        if (!sql_next(&r))
                return false;
        *ret = (struct token){sql_col_int(&r, 0), sql_col_int(&r, 1), sql_col_text(&r, 2),
                sql_col_text(&r, 3), sql_col_text(&r, 4), sql_col_text(&r, 5)};
        return true;
}

/* Devices' polls don't depend on it, so it is no change to them. */
static void note_use(struct request *q, const struct token *k)
{
        if (k->used_at + USED_STEP_MS > q->tx.now)
                return;
        q->tx.is_quiet = true;
        sql_run(&q->tx, "UPDATE api_token SET used_at=? WHERE id=?", SQL_I(q->tx.now),
                SQL_I(k->id));
        q->tx.is_quiet = false;
}

/* What the token says and its owner still may. */
static int narrow(struct user *u, const struct token *k)
{
        struct user narrowed = {0};
        int r = user_set(&narrowed, u->name, "", u->tenant, k->roles, NULL);
        narrowed.permissions &= u->permissions;
        narrowed.may_approve_plainly &= (u->permissions & PERMIT_APPROVE) != 0;
        user_fini(u);
        *u = narrowed;
        return r;
}

static enum caller_verdict by_token(struct request *q, const char *secret)
{
        struct token k;
        if (!find_token(q, secret, &k) || caller_user(q, k.owner, &q->caller) < 0 ||
                strcasecmp(k.tenant, q->caller.tenant) != 0)
                return CALLER_UNKNOWN;
        if (k.roles && narrow(&q->caller, &k) < 0)
                return CALLER_UNKNOWN;
        q->caller.token = strdup(k.name);
        note_use(q, &k);
        q->user = &q->caller;
        return CALLER_KNOWN;
}

enum caller_verdict caller_find(struct request *q, int *ret_wait_s)
{
        struct credentials c;
        enum caller_verdict verdict = CALLER_UNKNOWN;
        enum credentials_kind kind = credentials_parse(http_header(q->x, "Authorization"), &c);
        if (q->login && q->login->is_check && !q->login->is_right)
                verdict = CALLER_UNKNOWN;
        else if (kind == CREDENTIALS_BASIC)
                verdict = by_password(q, &c, ret_wait_s);
        else if (kind == CREDENTIALS_TOKEN)
                verdict = by_token(q, c.secret);
        credentials_wipe(&c);
        /* what follows is a unit of its own, and other units may come before it */
        return tx_commit(&q->tx) < 0 ? CALLER_UNKNOWN : verdict;
}
