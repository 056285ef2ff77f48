/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/rule/expression.h"

#include <errno.h>
#include <string.h>

static const struct telemetry_value UNKNOWN = {.type = TELEMETRY_NULL};

static struct telemetry_value truth(bool is_true)
{
        return (struct telemetry_value){.type = TELEMETRY_BOOL, .boolean = is_true};
}

static struct telemetry_text text_of(const char *text)
{
        return (struct telemetry_text){text, strlen(text)};
}

/* ── values ── */

static struct telemetry_value envelope_value(const struct telemetry *t, const char *name)
{
        if (!strcmp(name, "DeviceID") && t->has_device_id)
                return (struct telemetry_value){.type = TELEMETRY_TEXT, .text = t->device_id};
        if (!strcmp(name, "Timestamp") && t->has_time)
                return (struct telemetry_value){
                        .type = TELEMETRY_NUMBER, .number = (double)t->time_ms};
        if (!strcmp(name, "Sequence") && t->has_sequence)
                return (struct telemetry_value){
                        .type = TELEMETRY_NUMBER, .number = (double)t->sequence};
        if (!strcmp(name, "SoftwareVersion") && t->has_software_version)
                return (struct telemetry_value){
                        .type = TELEMETRY_TEXT, .text = t->software_version};
        return UNKNOWN;
}

static struct telemetry_value path_value(const struct path *path, const struct telemetry *t)
{
        if (!path->group) {
                struct telemetry_value v = envelope_value(t, path->whole);
                if (v.type != TELEMETRY_NULL)
                        return v;
        }
        const struct telemetry_group *group =
                telemetry_group(t, path->group ? path->group : TELEMETRY_MESSAGE_GROUP);
        const struct telemetry_column *c =
                group ? telemetry_column(t, group, path->name ? path->name : path->whole) : NULL;
        return c ? c->value : UNKNOWN;
}

/* The n-th level of the topic, from 1; 0: all of it. */
static struct telemetry_value topic_value(const char *topic, unsigned level)
{
        struct telemetry_value v = {.type = TELEMETRY_TEXT, .text = text_of(topic)};
        if (!level)
                return v;
        while (--level) {
                topic = strchr(topic, '/');
                if (!topic)
                        return UNKNOWN;
                topic++;
        }
        v.text = (struct telemetry_text){topic, strcspn(topic, "/")};
        return v;
}

/* ── logic ── */

/* < 0, 0, > 0 for two values of one type. */
static int compare(const struct telemetry_value *a, const struct telemetry_value *b)
{
        if (a->type == TELEMETRY_NUMBER)
                return (a->number > b->number) - (a->number < b->number);
        if (a->type == TELEMETRY_BOOL)
                return a->boolean - b->boolean;
        size_t n = a->text.len < b->text.len ? a->text.len : b->text.len;
        int r = memcmp(a->text.at, b->text.at, n);
        return r ? r : (a->text.len > b->text.len) - (a->text.len < b->text.len);
}

static struct telemetry_value compared(
        enum node_kind kind, struct telemetry_value a, struct telemetry_value b)
{
        if (a.type != b.type || a.type == TELEMETRY_NULL)
                return UNKNOWN;
        int order = compare(&a, &b);
        switch (kind) {
        case NODE_EQUAL:
                return truth(order == 0);
        case NODE_UNEQUAL:
                return truth(order != 0);
        case NODE_LESS:
                return truth(order < 0);
        case NODE_LESS_EQUAL:
                return truth(order <= 0);
        case NODE_GREATER:
                return truth(order > 0);
        default:
                return truth(order >= 0);
        }
}

static struct telemetry_value negated(struct telemetry_value v)
{
        return v.type == TELEMETRY_BOOL ? truth(!v.boolean) : UNKNOWN;
}

/* AND with `decisive` false, OR with `decisive` true: that value on either side decides. */
static struct telemetry_value joined(
        bool decisive, struct telemetry_value a, struct telemetry_value b)
{
        if ((a.type == TELEMETRY_BOOL && a.boolean == decisive) ||
                (b.type == TELEMETRY_BOOL && b.boolean == decisive))
                return truth(decisive);
        return a.type == TELEMETRY_BOOL && b.type == TELEMETRY_BOOL ? truth(!decisive) : UNKNOWN;
}

struct telemetry_value expression_value(
        const struct rule *rule, uint16_t index, const struct rule_input *input)
{
        const struct node *n = &rule->nodes[index];
        switch (n->kind) {
        case NODE_LITERAL:
                return n->literal;
        case NODE_PATH:
                return path_value(&n->path, input->message);
        case NODE_TOPIC:
                return topic_value(input->topic, n->index);
        case NODE_TIMESTAMP:
                return (struct telemetry_value){
                        .type = TELEMETRY_NUMBER, .number = (double)input->time_ms};
        case NODE_IS_NULL:
                return truth(expression_value(rule, n->left, input).type == TELEMETRY_NULL);
        case NODE_NOT:
                return negated(expression_value(rule, n->left, input));
        case NODE_AND:
        case NODE_OR:
                return joined(n->kind == NODE_OR, expression_value(rule, n->left, input),
                        expression_value(rule, n->right, input));
        default:
                return compared(n->kind, expression_value(rule, n->left, input),
                        expression_value(rule, n->right, input));
        }
}

/* ── selecting ── */

struct selection {
        struct rule *rule;
        size_t n;
};

static int select_one(struct selection *s, struct selected selected)
{
        if (s->n == LIMIT_TELEMETRY_COLUMNS)
                return -E2BIG;
        s->rule->selected[s->n++] = selected;
        return 0;
}

static int select_group(struct selection *s, const struct telemetry *t,
        const struct telemetry_group *g, struct telemetry_text as)
{
        int r = 0;
        for (size_t i = g->first; !r && i < g->first + g->n; i++)
                r = select_one(s, (struct selected){.group = as,
                                          .name = t->columns[i].name,
                                          .value = t->columns[i].value});
        return r;
}

static int select_all(struct selection *s, const struct telemetry *t)
{
        int r = 0;
        for (size_t g = 0; !r && g < t->n_groups; g++)
                r = select_group(s, t, &t->groups[g], t->groups[g].name);
        return r;
}

/* Where a value goes that is called so in the list: `Engine.Speed` or, without a dot, `Message`. */
static struct selected target(const struct path *as, struct telemetry_value value)
{
        return (struct selected){
                .group = text_of(as->group ? as->group : TELEMETRY_MESSAGE_GROUP),
                .name = text_of(as->name ? as->name : as->whole),
                .value = value,
        };
}

/* The columns below `ABS.Wheel1`: `ABS.Wheel1.Speed` goes to `as`.Speed. */
static int select_below(struct selection *s, const struct telemetry *t, const struct path *path,
        const struct path *as)
{
        const struct telemetry_group *g = telemetry_group(t, path->group);
        size_t n = strlen(path->name);
        int r = 0;
        for (size_t i = g ? g->first : 0; !r && g && i < g->first + g->n; i++) {
                struct telemetry_text name = t->columns[i].name;
                struct telemetry_text head = {name.at, name.len < n ? name.len : n};
                if (name.len < n + 2 || name.at[n] != '.' ||
                        !telemetry_same_name(head, text_of(path->name)))
                        continue;
                struct telemetry_text rest = {name.at + n + 1, name.len - n - 1};
                struct selected one = {.group = text_of(as->group ? as->group : as->whole),
                        .name = rest,
                        .value = t->columns[i].value};
                if (as->group)
                        one.prefix = text_of(as->name);
                r = select_one(s, one);
        }
        return r;
}

static int select_path(struct selection *s, const struct telemetry *t, const struct path *path,
        const struct path *as)
{
        struct telemetry_value v = path_value(path, t);
        if (v.type != TELEMETRY_NULL)
                return select_one(s, target(as, v));
        if (path->group)
                return select_below(s, t, path, as);
        /* `Engine`: all of it, also under another name. */
        const struct telemetry_group *g = telemetry_group(t, path->whole);
        return g && !as->group ? select_group(s, t, g, text_of(as->whole)) : 0;
}

/* The envelope is kept anyway; selecting it under its own name says nothing new. */
static bool is_envelope(const struct path *path)
{
        static const char *const names[] = {"DeviceID", "Timestamp", "Sequence", "SoftwareVersion"};
        for (size_t i = 0; i < N_ELEMENTS(names); i++)
                if (!path->group && !strcmp(path->whole, names[i]))
                        return true;
        return false;
}

static int select_item(struct selection *s, const struct item *item, const struct rule_input *input)
{
        if (item->is_all)
                return select_all(s, input->message);
        const struct node *n = &s->rule->nodes[item->node];
        if (n->kind != NODE_PATH)
                return select_one(
                        s, target(&item->alias, expression_value(s->rule, item->node, input)));
        if (!item->has_alias && is_envelope(&n->path))
                return 0;
        return select_path(s, input->message, &n->path, item->has_alias ? &item->alias : &n->path);
}

/* Hands the selected columns over, group by group. */
static int compose(struct selection *s, struct telemetry *to)
{
        struct selected *all = s->rule->selected;
        for (size_t i = 0; i < s->n; i++) {
                for (size_t k = i; !all[i].is_done && k < s->n; k++) {
                        struct selected *one = &all[k];
                        if (one->is_done ||
                                (k > i && !telemetry_same_name(all[i].group, one->group)))
                                continue;
                        int r = one->prefix.at
                                        ? telemetry_add_joined(to, one->group, one->prefix,
                                                  one->name, one->value)
                                        : telemetry_add(to, one->group, one->name, one->value);
                        if (r)
                                return r;
                        one->is_done = k > i;
                }
                all[i].is_done = true;
        }
        return 0;
}

int rule_apply(struct rule *rule, const char *topic, int64_t time_ms, const struct telemetry *in,
        struct telemetry *scratch, const struct telemetry **ret_message, struct err *err)
{
        struct rule_input input = {topic, time_ms, in};
        if (rule->where != NO_NODE) {
                struct telemetry_value v = expression_value(rule, rule->where, &input);
                if (v.type != TELEMETRY_BOOL || !v.boolean)
                        return RULE_NO_MATCH;
        }
        if (!rule->selected) {
                *ret_message = in;
                return 0;
        }
        struct selection s = {.rule = rule};
        telemetry_copy_envelope(scratch, in);
        int r = 0;
        for (size_t i = 0; !r && i < rule->n_items; i++)
                r = select_item(&s, &rule->items[i], &input);
        if (!r)
                r = compose(&s, scratch);
        if (r)
                return err_set(err, -EBADMSG,
                        r == -EEXIST ? "the rule selects two columns of one name"
                                     : "the rule selects too many or too long columns");
        *ret_message = scratch;
        return 0;
}
