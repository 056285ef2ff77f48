/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/auth.h"

#include "base/clean.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_CREDENTIALS 1024

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

static bool is_role(const char *name)
{
        static const char *const roles[] = {
                "TENANT_ADMIN", "TARGET_ADMIN", "REPOSITORY_ADMIN", "ROLLOUT_ADMIN"};
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

int user_set(struct user *u, const char *name, const char *password, const char *tenant,
        const char *roles, struct err *err)
{
        *u = (struct user){
                .name = strdup(name), .password = strdup(password), .tenant = strdup(tenant)};
        if (!u->name || !u->password || !u->tenant)
                return err_set(err, -ENOMEM, "out of memory");
        for (const char *p = roles; *p;) {
                size_t len = strcspn(p, ",");
                char plain[64];
                snprintf(plain, sizeof(plain), "%.*s", (int)len, p);
                uint64_t bits = bits_of(plain);
                if (len && (len >= sizeof(plain) || !bits))
                        return err_set(err, -EINVAL, "user '%s': '%s' is no role or permission",
                                name, plain);
                if (len && add_authority(u, p, len) < 0)
                        return err_set(err, -ENOMEM, "out of memory");
                u->permissions |= bits;
                u->may_approve_plainly |= strcmp(plain, "APPROVE_ROLLOUT") == 0;
                p += len + (p[len] == ',');
        }
        return 0;
}

int user_parse(const char *text, struct user *ret_user, struct err *err)
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
        int r = user_set(&u, parts[0], parts[1], parts[2], parts[3], err);
        if (r < 0)
                user_fini(&u);
        else
                *ret_user = u;
        return r;
}

void user_fini(struct user *u)
{
        free(u->name);
        free(u->password);
        free(u->tenant);
        for (size_t i = 0; i < u->n_authorities; i++)
                free(u->authorities[i]);
        free(u->authorities);
        *u = (struct user){0};
}

bool secret_equals(const char *a, const char *b)
{
        size_t n = strlen(a);
        return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

/* Name and password of `Basic <base64>`; exactly one blank between. */
static bool read_basic(const char *header, char text[MAX_CREDENTIALS])
{
        if (!header || strncasecmp(header, "Basic ", 6) != 0)
                return false;
        const char *code = header + 6;
        size_t len = strlen(code);
        if (len == 0 || len % 4 != 0 || len >= MAX_CREDENTIALS || *code == ' ')
                return false;
        int n = EVP_DecodeBlock((unsigned char *)text, (const unsigned char *)code, (int)len);
        if (n < 0)
                return false;
        n -= (code[len - 1] == '=') + (code[len - 2] == '=');
        text[n] = '\0';
        return strlen(text) == (size_t)n && strchr(text, ':');
}

const struct user *user_of_header(const struct user *users, size_t n, const char *authorization)
{
        char text[MAX_CREDENTIALS];
        if (!read_basic(authorization, text))
                return NULL;
        char *colon = strchr(text, ':');
        *colon = '\0';
        const struct user *found = NULL;
        for (size_t i = 0; i < n; i++) {
                if (strcmp(users[i].name, text) == 0 && secret_equals(users[i].password, colon + 1))
                        found = &users[i];
        }
        OPENSSL_cleanse(text, sizeof(text));
        return found;
}
