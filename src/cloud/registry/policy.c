/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/registry/policy.h"
#include "base/json.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

#define VERSION "2012-10-17"
#define THING_VARIABLE "${iot:Connection.Thing.ThingName}"
#define CLIENT_VARIABLE "${iot:ClientId}"

/* Bytes that stand for wildcards and variables in a compiled resource. Control characters are
 * refused in documents, so they can't be meant literally. */
enum token { TOKEN_ANY = 1, TOKEN_ONE = 2, TOKEN_THING = 3, TOKEN_CLIENT = 4 };

/* Which actions a resource can be about, as a bit for each. */
#define ALL_ACTIONS ((1u << POLICY_ACTION_N) - 1)

static const struct {
        const char *name, *kind;
} actions[POLICY_ACTION_N] = {
        [POLICY_CONNECT] = {"iot:Connect", "client/"},
        [POLICY_PUBLISH] = {"iot:Publish", "topic/"},
        [POLICY_SUBSCRIBE] = {"iot:Subscribe", "topicfilter/"},
        [POLICY_RECEIVE] = {"iot:Receive", "topic/"},
};

struct resource {
        unsigned actions; /* those whose kind it has */
        char *pattern;    /* behind the kind, with tokens */
};

struct statement {
        char *sid;
        bool deny;
        unsigned actions;
        struct resource *resources;
        size_t n_resources;
};

struct policy {
        struct statement *statements;
        size_t n_statements;
};

const char *policy_action_to_string(enum policy_action action)
{
        return action < POLICY_ACTION_N ? actions[action].name : NULL;
}

int policy_action_from_string(const char *text, enum policy_action *ret_action)
{
        for (int i = 0; i < POLICY_ACTION_N; i++)
                if (!strcmp(text, actions[i].name)) {
                        *ret_action = (enum policy_action)i;
                        return 0;
                }
        return -EINVAL;
}

const char *policy_action_kind(enum policy_action action)
{
        return action < POLICY_ACTION_N ? actions[action].kind : NULL;
}

static void statement_fini(struct statement *s)
{
        for (size_t i = 0; i < s->n_resources; i++)
                free(s->resources[i].pattern);
        free(s->resources);
        free(s->sid);
}

void policy_free(struct policy *p)
{
        if (!p)
                return;
        for (size_t i = 0; i < p->n_statements; i++)
                statement_fini(&p->statements[i]);
        free(p->statements);
        free(p);
}

/* ── reading ── */

/* Skips `arn:aws:iot:REGION:ACCOUNT:`, whose region and account mean nothing here. */
static int skip_arn(const char **text, struct err *err)
{
        const char *p = *text;
        if (strncmp(p, "arn:", 4))
                return 0;
        const char *fields[6] = {p};
        for (int i = 1; i < 6; i++) {
                const char *colon = strchr(fields[i - 1], ':');
                if (!colon)
                        return err_set(err, -EINVAL,
                                "resource '%.200s' is no arn:aws:iot:REGION:ACCOUNT:RESOURCE", p);
                fields[i] = colon + 1;
        }
        if (strncmp(fields[1], "aws", 3) || strncmp(fields[2], "iot:", 4))
                return err_set(err, -EINVAL,
                        "resource '%.200s' is of another service than arn:aws:iot", p);
        *text = fields[5];
        return 0;
}

static unsigned kind_actions(const char *text, const char **ret_rest)
{
        unsigned mask = 0;
        for (int i = 0; i < POLICY_ACTION_N; i++) {
                size_t n = strlen(actions[i].kind);
                if (strncmp(text, actions[i].kind, n))
                        continue;
                mask |= 1u << i;
                *ret_rest = text + n;
        }
        return mask;
}

/* Writes the compiled form of `text` into `out`, which is as large as `text`: tokens are shorter.
 */
static int compile(const char *text, char *out, struct err *err)
{
        while (*text) {
                if (!strncmp(text, THING_VARIABLE, strlen(THING_VARIABLE))) {
                        *out++ = TOKEN_THING;
                        text += strlen(THING_VARIABLE);
                } else if (!strncmp(text, CLIENT_VARIABLE, strlen(CLIENT_VARIABLE))) {
                        *out++ = TOKEN_CLIENT;
                        text += strlen(CLIENT_VARIABLE);
                } else if (!strncmp(text, "${", 2)) {
                        return err_set(err, -EINVAL,
                                "unknown variable at '%.100s': known are " THING_VARIABLE
                                " and " CLIENT_VARIABLE,
                                text);
                } else {
                        char c = *text++;
                        *out++ = c == '*' ? TOKEN_ANY : c == '?' ? TOKEN_ONE : c;
                }
        }
        *out = 0;
        return 0;
}

static bool has_control(const char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        return true;
        return false;
}

static int read_resource(struct resource *ret, const json_t *value, struct err *err)
{
        const char *text = json_string_value(value), *rest = text;
        if (!text)
                return err_set(err, -EINVAL, "a resource must be a string");
        if (has_control(text))
                return err_set(err, -EINVAL, "a resource has control characters");
        if (strlen(text) > LIMIT_POLICY_RESOURCE_BYTES)
                return err_set(err, -E2BIG, "a resource is longer than %d bytes",
                        LIMIT_POLICY_RESOURCE_BYTES);
        int r = skip_arn(&rest, err);
        if (r < 0)
                return r;
        const char *body = rest;
        unsigned mask = !strcmp(rest, "*") ? ALL_ACTIONS : kind_actions(rest, &body);
        if (!mask)
                return err_set(err, -EINVAL,
                        "resource '%.200s' must be '*' or start with client/, topic/ or "
                        "topicfilter/",
                        text);
        CLEAN_MEM char *pattern = malloc(strlen(body) + 1);
        if (!pattern)
                return err_set(err, -ENOMEM, "out of memory");
        r = compile(body, pattern, err);
        if (r < 0)
                return r;
        *ret = (struct resource){.actions = mask, .pattern = TAKE(pattern)};
        return 0;
}

static int read_action(unsigned *mask, const json_t *value, struct err *err)
{
        const char *text = json_string_value(value);
        enum policy_action action;
        if (!text)
                return err_set(err, -EINVAL, "an action must be a string");
        if (!strcmp(text, "iot:*"))
                *mask |= ALL_ACTIONS;
        else if (!policy_action_from_string(text, &action))
                *mask |= 1u << action;
        else
                return err_set(err, -EINVAL,
                        "unknown action '%.100s': known are iot:Connect, iot:Publish, "
                        "iot:Subscribe, "
                        "iot:Receive and iot:*",
                        text);
        return 0;
}

/* A string stands for an array of one. Returns the number of items, of which there is at least one.
 */
static int item_count(const json_t *value, const char *what, size_t max, struct err *err)
{
        if (!value)
                return err_set(err, -EINVAL, "'%s' is missing", what);
        if (json_is_string(value))
                return 1;
        if (!json_is_array(value) || !json_array_size(value))
                return err_set(err, -EINVAL, "'%s' must be a string or an array of strings", what);
        if (json_array_size(value) > max)
                return err_set(err, -E2BIG, "'%s' has more than %zu items", what, max);
        return (int)json_array_size(value);
}

static const json_t *item(const json_t *value, int i)
{
        return json_is_array(value) ? json_array_get(value, (size_t)i) : value;
}

static int read_actions(struct statement *s, const json_t *value, struct err *err)
{
        int n = item_count(value, "Action", LIMIT_POLICY_ITEMS, err);
        for (int i = 0, r; i < n; i++)
                if ((r = read_action(&s->actions, item(value, i), err)) < 0)
                        return r;
        return n < 0 ? n : 0;
}

static int read_resources(struct statement *s, const json_t *value, struct err *err)
{
        int n = item_count(value, "Resource", LIMIT_POLICY_ITEMS, err);
        if (n < 0)
                return n;
        s->resources = calloc((size_t)n, sizeof(*s->resources));
        if (!s->resources)
                return err_set(err, -ENOMEM, "out of memory");
        for (int i = 0; i < n; i++) {
                int r = read_resource(&s->resources[i], item(value, i), err);
                if (r < 0)
                        return r;
                s->n_resources++;
        }
        return 0;
}

/* Names the first member that isn't in `known`. */
static int check_keys(const json_t *object, const char *const *known, struct err *err)
{
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)object, key, value)
        {
                const char *const *k = known;
                while (*k && strcmp(*k, key))
                        k++;
                if (!*k)
                        return err_set(err, -EINVAL, "unknown member '%.100s'", key);
        }
        return 0;
}

static int read_sid(struct statement *s, const json_t *value, struct err *err)
{
        const char *sid = value ? json_string_value(value) : "";
        if (!sid || has_control(sid) || strlen(sid) > LIMIT_POLICY_RESOURCE_BYTES)
                return err_set(err, -EINVAL, "'Sid' must be a short string");
        s->sid = strdup(sid);
        return s->sid ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int read_statement(struct statement *s, const json_t *value, struct err *err)
{
        static const char *const known[] = {"Sid", "Effect", "Action", "Resource", NULL};
        if (!json_is_object(value))
                return err_set(err, -EINVAL, "a statement must be an object");
        int r = check_keys(value, known, err);
        if (!r)
                r = read_sid(s, json_object_get(value, "Sid"), err);
        if (r < 0)
                return r;
        const char *effect = json_text(value, "Effect", "");
        s->deny = !strcmp(effect, "Deny");
        if (!s->deny && strcmp(effect, "Allow"))
                return err_set(err, -EINVAL, "'Effect' must be \"Allow\" or \"Deny\"");
        r = read_actions(s, json_object_get(value, "Action"), err);
        return r < 0 ? r : read_resources(s, json_object_get(value, "Resource"), err);
}

static int read_statements(struct policy *p, const json_t *array, struct err *err)
{
        size_t n = json_array_size(array);
        if (!json_is_array(array) || !n)
                return err_set(err, -EINVAL, "'Statement' must be an array of statements");
        if (n > LIMIT_POLICY_STATEMENTS)
                return err_set(
                        err, -E2BIG, "a policy has at most %d statements", LIMIT_POLICY_STATEMENTS);
        p->statements = calloc(n, sizeof(*p->statements));
        if (!p->statements)
                return err_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < n; i++) {
                p->n_statements++;
                if (read_statement(&p->statements[i], json_array_get(array, i), err) < 0)
                        return err_prefix(err, "statement %zu", i + 1);
        }
        return 0;
}

int policy_parse(const char *text, size_t len, struct policy **ret_policy, struct err *err)
{
        static const char *const known[] = {"Version", "Statement", NULL};
        if (len > LIMIT_DOCUMENT_BYTES)
                return err_set(err, -E2BIG, "a policy has at most %zu bytes", LIMIT_DOCUMENT_BYTES);
        struct err reason = ERR_INIT;
        CLEAN_JSON json_t *document = json_parse_strict(text, len, &reason);
        if (!document)
                return err_set(err, reason.code, "%s", reason.text);
        if (!json_is_object(document))
                return err_set(err, -EINVAL, "a policy must be an object");
        int r = check_keys(document, known, err);
        if (r < 0)
                return r;
        if (strcmp(json_text(document, "Version", ""), VERSION))
                return err_set(err, -EINVAL, "'Version' must be \"" VERSION "\"");
        CLEAN(policy) struct policy *p = calloc(1, sizeof(*p));
        if (!p)
                return err_set(err, -ENOMEM, "out of memory");
        r = read_statements(p, json_object_get(document, "Statement"), err);
        if (r < 0)
                return r;
        *ret_policy = TAKE(p);
        return 0;
}

/* ── deciding ── */

/* The text that a token stands for; NULL for wildcards and plain bytes. */
static const char *token_text(char token, const struct policy_request *q)
{
        return token == TOKEN_THING ? q->thing : token == TOKEN_CLIENT ? q->client_id : NULL;
}

/* Matches one element of the pattern, which is no TOKEN_ANY, at `text`; -1 or the bytes it takes.
 */
static ptrdiff_t match_one(char token, const char *text, const struct policy_request *q)
{
        const char *plain = token_text(token, q);
        if (plain) {
                size_t n = strlen(plain);
                return strncmp(text, plain, n) ? -1 : (ptrdiff_t)n;
        }
        return *text && (token == TOKEN_ONE || token == *text) ? 1 : -1;
}

/* Whole-text match. Only the last `*` is ever tried again, so the time is bounded by the product of
 * both lengths and there is no recursion. */
static bool matches(const char *pattern, const char *text, const struct policy_request *q)
{
        const char *star = NULL, *retry = NULL;
        for (;;) {
                if (*pattern == TOKEN_ANY) {
                        star = ++pattern;
                        retry = text;
                        continue;
                }
                ptrdiff_t n = *pattern ? match_one(*pattern, text, q) : -1;
                if (n >= 0) {
                        pattern++;
                        text += n;
                        continue;
                }
                if (!*pattern && !*text)
                        return true;
                if (!star || !*retry)
                        return false;
                pattern = star;
                text = ++retry;
        }
}

static bool statement_applies(const struct statement *s, const struct policy_request *q)
{
        unsigned bit = 1u << q->action;
        if (!(s->actions & bit))
                return false;
        for (size_t i = 0; i < s->n_resources; i++)
                if ((s->resources[i].actions & bit) &&
                        matches(s->resources[i].pattern, q->resource, q))
                        return true;
        return false;
}

bool policy_allows(const struct policy *const *policies, size_t n_policies,
        const struct policy_request *request, struct policy_verdict *ret_verdict)
{
        struct policy_verdict v = {.policy = -1, .statement = -1, .sid = ""};
        bool denied = false;
        for (size_t i = 0; i < n_policies && !denied; i++)
                for (size_t k = 0; k < policies[i]->n_statements && !denied; k++) {
                        const struct statement *s = &policies[i]->statements[k];
                        if ((v.allowed && !s->deny) || !statement_applies(s, request))
                                continue;
                        denied = s->deny;
                        v = (struct policy_verdict){!s->deny, (int)i, (int)k, s->sid};
                }
        if (ret_verdict)
                *ret_verdict = v;
        return v.allowed;
}
