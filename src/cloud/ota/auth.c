/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/auth.h"

#include "base/buf.h"
#include "base/clean.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENTITY_ALL(e) (CREATE(e) | READ(e) | UPDATE(e) | DELETE(e))
#define TARGET_ADMIN (ENTITY_ALL(TARGET) | ENTITY_ALL(TARGET_TYPE) | PERMIT_TARGET_TOKEN)
#define REPOSITORY_ADMIN                                                                           \
        (ENTITY_ALL(SET) | ENTITY_ALL(SET_TYPE) | ENTITY_ALL(MODULE) | ENTITY_ALL(MODULE_TYPE) |   \
                PERMIT_DOWNLOAD)
#define ROLLOUT_ADMIN (ENTITY_ALL(ROLLOUT) | PERMIT_APPROVE | PERMIT_HANDLE)

static const struct {
        const char *name;
        uint64_t bits;
} bundles[] = {
        {"TENANT_ADMIN", PERMIT_ALL},
        {"SYSTEM_ADMIN", PERMIT_SYSTEM | PERMIT_USERS},
        {"TARGET_ADMIN", TARGET_ADMIN},
        {"REPOSITORY_ADMIN", REPOSITORY_ADMIN},
        {"ROLLOUT_ADMIN", ROLLOUT_ADMIN},
        {"READ_TARGET_SECURITY_TOKEN", PERMIT_TARGET_TOKEN},
        {"READ_GATEWAY_SECURITY_TOKEN", PERMIT_GATEWAY_TOKEN},
        {"READ_SOFTWARE_MODULE_ARTIFACT", PERMIT_DOWNLOAD},
        {"APPROVE_ROLLOUT", PERMIT_APPROVE},
        {"HANDLE_ROLLOUT", PERMIT_HANDLE},
};

static const char *const verbs[] = {"CREATE_", "READ_", "UPDATE_", "DELETE_"};
static const char *const entities[] = {"TARGET", "TARGET_TYPE", "DISTRIBUTION_SET",
        "DISTRIBUTION_SET_TYPE", "SOFTWARE_MODULE", "SOFTWARE_MODULE_TYPE", "ROLLOUT",
        "TENANT_CONFIGURATION"};

/* A permission on targets, sets or modules holds for their types too. */
static uint64_t with_types(int verb, int entity)
{
        uint64_t bits = PERMIT(verb, entity);
        if (entity == ENTITY_TARGET || entity == ENTITY_SET || entity == ENTITY_MODULE)
                bits |= PERMIT(verb, entity + 1);
        return bits;
}

static uint64_t bits_of(const char *name)
{
        if (strncmp(name, "ROLE_", 5) == 0)
                name += 5;
        for (size_t i = 0; i < N_ELEMENTS(bundles); i++) {
                if (strcmp(bundles[i].name, name) == 0)
                        return bundles[i].bits;
        }
        for (int v = 0; v < 4; v++) {
                size_t n = strlen(verbs[v]);
                if (strncmp(name, verbs[v], n) != 0)
                        continue;
                for (int e = 0; e < (int)N_ELEMENTS(entities); e++) {
                        if (strcmp(entities[e], name + n) == 0)
                                return with_types(v, e);
                }
        }
        return 0;
}

static void print_one(const char *verb, const char *name, const char *between, struct buf *text)
{
        buf_addf(text, "%s%s%s", text->len ? between : "", verb, name);
}

void permissions_print(uint64_t bits, const char *between, struct buf *text)
{
        for (int e = 0; e < (int)N_ELEMENTS(entities); e++) {
                for (int v = 0; v < 4; v++) {
                        if (bits & PERMIT(v, e))
                                print_one(verbs[v], entities[e], between, text);
                }
        }
        for (size_t i = 0; i < N_ELEMENTS(bundles); i++) {
                bool is_single = (bundles[i].bits & (bundles[i].bits - 1)) == 0;
                if (is_single && (bits & bundles[i].bits))
                        print_one("", bundles[i].name, between, text);
        }
        if (bits & PERMIT_USERS)
                print_one("", "TENANT_ADMIN", between, text);
}

static bool is_role(const char *name)
{
        static const char *const roles[] = {"TENANT_ADMIN", "SYSTEM_ADMIN", "TARGET_ADMIN",
                "REPOSITORY_ADMIN", "ROLLOUT_ADMIN"};
        for (size_t i = 0; i < N_ELEMENTS(roles); i++) {
                if (strcmp(roles[i], name) == 0)
                        return true;
        }
        return false;
}

static int add_authority(struct user *u, const char *name, size_t len)
{
        char **more = reallocarray(u->authorities, u->n_authorities + 1, sizeof(*more));
        char *text = malloc(len + 6);
        if (!more || !text) {
                u->authorities = more ? more : u->authorities;
                free(text);
                return -ENOMEM;
        }
        u->authorities = more;
        char plain[64];
        snprintf(plain, sizeof(plain), "%.*s", (int)len, name);
        snprintf(text, len + 6, "%s%s", is_role(plain) ? "ROLE_" : "", plain);
        u->authorities[u->n_authorities++] = text;
        return 0;
}

/* One after another: the next role or permission of a list into `plain`; false at its end. */
static bool next_role(const char **list, char plain[64])
{
        while (**list == ',')
                (*list)++;
        size_t len = strcspn(*list, ",");
        snprintf(plain, 64, "%.*s", (int)len, *list);
        *list += len;
        return len > 0;
}

int roles_permissions(const char *roles, uint64_t *ret, struct err *err)
{
        uint64_t all = 0;
        for (char plain[64]; next_role(&roles, plain);) {
                uint64_t bits = bits_of(plain);
                if (!bits)
                        return err_set(err, -EINVAL, "'%s' is no role or permission", plain);
                all |= bits;
        }
        *ret = all;
        return 0;
}

int user_set(struct user *u, const char *name, const char *stored, const char *tenant,
        const char *roles, struct err *err)
{
        *u = (struct user){
                .name = strdup(name), .stored = strdup(stored), .tenant = strdup(tenant)};
        if (!u->name || !u->stored || !u->tenant)
                return err_set(err, -ENOMEM, "out of memory");
        if (roles_permissions(roles, &u->permissions, err) < 0)
                return err_prefix(err, "user '%s'", name);
        for (char plain[64]; next_role(&roles, plain);) {
                if (add_authority(u, plain, strlen(plain)) < 0)
                        return err_set(err, -ENOMEM, "out of memory");
                u->may_approve_plainly |= strcmp(plain, "APPROVE_ROLLOUT") == 0;
        }
        return 0;
}

int user_parse(const char *text, const struct login *login, struct user *ret_user, struct err *err)
{
        CLEAN_MEM char *copy = strdup(text);
        char *parts[4] = {copy};
        int n = copy ? 1 : 0;
        for (char *p = copy; p && *p && n < 4; p++) {
                if (*p == ':') {
                        *p = '\0';
                        parts[n++] = p + 1;
                }
        }
        if (n != 4 || !*parts[0] || !*parts[2])
                return err_set(err, -EINVAL, "a user is written as NAME:PASSWORD:TENANT:ROLES");
        struct user u = {0};
        char stored[LOGIN_KEYED_SIZE];
        login_keyed(login, parts[1], stored);
        int r = user_set(&u, parts[0], stored, parts[2], parts[3], err);
        OPENSSL_cleanse(parts[1], strlen(parts[1]));
        if (r < 0)
                user_fini(&u);
        else
                *ret_user = u;
        return r;
}

void user_fini(struct user *u)
{
        free(u->name);
        free(u->stored);
        free(u->tenant);
        free(u->token);
        for (size_t i = 0; i < u->n_authorities; i++)
                free(u->authorities[i]);
        free(u->authorities);
        *u = (struct user){0};
}

/* ── a file of users ── */

static int read_private_file(const char *path, struct buf *text, struct err *err)
{
        struct stat st;
        if (stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)))
                return err_set(err, -EPERM,
                        "'%s' holds passwords and others may read it: chmod 600 '%s'", path, path);
        return fs_read(path, text, err);
}

int users_read_file(const char *path, const struct login *login, struct user **users, size_t *n,
        struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        int r = read_private_file(path, &text, err);
        char *rest = text.data, *line;
        for (int number = 1; r == 0 && rest && (line = strsep(&rest, "\n")); number++) {
                line[strcspn(line, "\r")] = '\0';
                if (!*line || *line == '#')
                        continue;
                struct user *more = reallocarray(*users, *n + 1, sizeof(**users));
                if (!more)
                        return err_set(err, -ENOMEM, "out of memory");
                *users = more;
                r = user_parse(line, login, &more[*n], err);
                if (r < 0)
                        return err_prefix(err, "%s:%d", path, number);
                (*n)++;
        }
        if (text.len)
                OPENSSL_cleanse(text.data, text.len);
        return r;
}
