/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/registry/access.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

struct named_policy {
        char *name;
        struct policy *policy;
};

struct access_certificate {
        char serial[41]; /* RFC 5280: at most 20 bytes */
        char thing[LIMIT_THING_NAME_BYTES + 1];
        bool active;
        int64_t not_after_ms;
        size_t n_policies;
        const struct policy *policies[LIMIT_POLICIES_PER_THING];
        const char *names[LIMIT_POLICIES_PER_THING];
};

struct access {
        struct named_policy *policies;
        size_t n_policies;
        struct access_certificate *certificates; /* by serial */
        size_t n_certificates;
        struct access_certificate **by_thing;
};

static const char *const state_names[CERTIFICATE_STATE_N] = {"active", "inactive", "deleted"};

const char *certificate_state_to_string(enum certificate_state state)
{
        return state < CERTIFICATE_STATE_N ? state_names[state] : NULL;
}

int certificate_state_from_string(const char *text, enum certificate_state *ret_state)
{
        for (int i = 0; i < CERTIFICATE_STATE_N; i++)
                if (!strcmp(text, state_names[i])) {
                        *ret_state = (enum certificate_state)i;
                        return 0;
                }
        return -EINVAL;
}

void access_free(struct access *a)
{
        if (!a)
                return;
        for (size_t i = 0; i < a->n_policies; i++) {
                free(a->policies[i].name);
                policy_free(a->policies[i].policy);
        }
        free(a->policies);
        free(a->certificates);
        free(a->by_thing);
        free(a);
}

/* ── loading ── */

static int load_policy(
        struct named_policy *p, const char *name, const json_t *document, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        int r = json_append(&text, document);
        if (r < 0)
                return err_errno(err, r, "policy '%s'", name);
        p->name = strdup(name);
        if (!p->name)
                return err_set(err, -ENOMEM, "out of memory");
        r = policy_parse(buf_text(&text), text.len, &p->policy, err);
        return r < 0 ? err_prefix(err, "policy '%s'", name) : 0;
}

static int load_policies(struct access *a, json_t *policies, struct err *err)
{
        if (!json_is_object(policies))
                return err_set(err, -EINVAL, "'policies' must be an object");
        a->policies = calloc(json_object_size(policies) + 1, sizeof(*a->policies));
        if (!a->policies)
                return err_set(err, -ENOMEM, "out of memory");
        const char *name;
        json_t *document;
        json_object_foreach(policies, name, document)
        {
                int r = load_policy(&a->policies[a->n_policies++], name, document, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static const struct named_policy *find_policy(const struct access *a, const char *name)
{
        for (size_t i = 0; name && i < a->n_policies; i++)
                if (!strcmp(a->policies[i].name, name))
                        return &a->policies[i];
        return NULL;
}

static int load_attachments(
        const struct access *a, struct access_certificate *c, const json_t *names, struct err *err)
{
        if (!json_is_array(names) || json_array_size(names) > LIMIT_POLICIES_PER_THING)
                return err_set(err, -EINVAL, "'policies' must be an array of at most %d names",
                        LIMIT_POLICIES_PER_THING);
        for (size_t i = 0; i < json_array_size(names); i++) {
                const char *name = json_string_value(json_array_get(names, i));
                const struct named_policy *p = find_policy(a, name);
                if (!p)
                        return err_set(err, -EINVAL, "there is no policy '%s'", name ? name : "");
                c->names[c->n_policies] = p->name;
                c->policies[c->n_policies++] = p->policy;
        }
        return 0;
}

static int load_certificate(const struct access *a, struct access_certificate *c,
        const char *serial, const json_t *value, struct err *err)
{
        const char *thing = json_text(value, "thing", "");
        enum certificate_state state;
        if (strlen(serial) >= sizeof(c->serial) || !*thing || strlen(thing) >= sizeof(c->thing) ||
                certificate_state_from_string(json_text(value, "state", ""), &state) < 0 ||
                !json_is_integer(json_object_get(value, "not_after")))
                return err_set(err, -EINVAL, "bad serial, 'thing', 'state' or 'not_after'");
        memcpy(c->serial, serial, strlen(serial) + 1);
        memcpy(c->thing, thing, strlen(thing) + 1);
        c->active = state == CERTIFICATE_ACTIVE;
        c->not_after_ms = json_int(value, "not_after", 0);
        return load_attachments(a, c, json_object_get(value, "policies"), err);
}

static int compare_serials(const void *a, const void *b)
{
        const struct access_certificate *x = a, *y = b;
        return strcmp(x->serial, y->serial);
}

static int compare_things(const void *a, const void *b)
{
        const struct access_certificate *const *x = a, *const *y = b;
        return strcmp((*x)->thing, (*y)->thing);
}

static int load_certificates(struct access *a, json_t *certificates, struct err *err)
{
        if (!json_is_object(certificates))
                return err_set(err, -EINVAL, "'certificates' must be an object");
        size_t n = json_object_size(certificates);
        a->certificates = calloc(n + 1, sizeof(*a->certificates));
        a->by_thing = calloc(n + 1, sizeof(struct access_certificate *));
        if (!a->certificates || !a->by_thing)
                return err_set(err, -ENOMEM, "out of memory");
        const char *serial;
        json_t *value;
        json_object_foreach(certificates, serial, value)
        {
                struct access_certificate *c = &a->certificates[a->n_certificates++];
                if (load_certificate(a, c, serial, value, err) < 0)
                        return err_prefix(err, "certificate '%.60s'", serial);
        }
        qsort(a->certificates, n, sizeof(*a->certificates), compare_serials);
        for (size_t i = 0; i < n; i++)
                a->by_thing[i] = &a->certificates[i];
        qsort(a->by_thing, n, sizeof(struct access_certificate *), compare_things);
        return 0;
}

int access_load(const char *path, struct access **ret_access, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_ACCESS_BYTES);
        int r = fs_read(path, &text, err);
        if (r < 0)
                return r;
        struct err reason = ERR_INIT;
        CLEAN_JSON json_t *document = json_parse_strict(buf_text(&text), text.len, &reason);
        if (!document)
                return err_set(err, reason.code, "'%s': %s", path, reason.text);
        CLEAN(access) struct access *a = calloc(1, sizeof(*a));
        if (!a)
                return err_set(err, -ENOMEM, "out of memory");
        r = load_policies(a, json_object_get(document, "policies"), err);
        if (!r)
                r = load_certificates(a, json_object_get(document, "certificates"), err);
        if (r < 0)
                return err_prefix(err, "'%s'", path);
        *ret_access = TAKE(a);
        return 0;
}

/* ── asking ── */

size_t access_count(const struct access *a)
{
        return a->n_certificates;
}

static int compare_serial(const void *key, const void *certificate)
{
        const struct access_certificate *c = certificate;
        return strcmp(key, c->serial);
}

const struct access_certificate *access_find(const struct access *a, const char *serial)
{
        return bsearch(serial, a->certificates, a->n_certificates, sizeof(*a->certificates),
                compare_serial);
}

const struct access_certificate *access_find_thing(
        const struct access *a, const char *thing, int64_t now_ms)
{
        size_t low = 0, high = a->n_certificates;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (strcmp(a->by_thing[middle]->thing, thing) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (; low < a->n_certificates && !strcmp(a->by_thing[low]->thing, thing); low++)
                if (access_is_active(a->by_thing[low], now_ms))
                        return a->by_thing[low];
        return NULL;
}

const char *access_thing(const struct access_certificate *c)
{
        return c->thing;
}

bool access_is_active(const struct access_certificate *c, int64_t now_ms)
{
        return c->active && now_ms < c->not_after_ms;
}

bool access_allows(const struct access_certificate *c, enum policy_action action,
        const char *resource, const char *client_id, struct policy_verdict *ret_verdict)
{
        const struct policy_request q = {action, resource, c->thing, client_id};
        return policy_allows(c->policies, c->n_policies, &q, ret_verdict);
}

const char *access_policy_name(const struct access_certificate *c, const struct policy_verdict *v)
{
        return v->policy >= 0 && (size_t)v->policy < c->n_policies ? c->names[v->policy] : "";
}
