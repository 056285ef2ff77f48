/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/rsql.h"

#include "base/clean.h"

#include <ctype.h>
#include <string.h>

#define RESERVED "\"'();,=!~<> \t\r\n"

struct parser {
        const char *at;
        struct arena *arena;
        int depth;
        int n_nodes;
};

static const struct {
        const char *text;
        enum rsql_op op;
} operators[] = {
        /* longer ones before those they begin with */
        {"==", RSQL_EQ},
        {"!=", RSQL_NE},
        {"=is=", RSQL_IS},
        {"=eq=", RSQL_IS},
        {"=not=", RSQL_NOT},
        {"=ne=", RSQL_NOT},
        {"=lt=", RSQL_LT},
        {"=le=", RSQL_LE},
        {"=gt=", RSQL_GT},
        {"=ge=", RSQL_GE},
        {"=in=", RSQL_IN},
        {"=out=", RSQL_OUT},
        {"<=", RSQL_LE},
        {">=", RSQL_GE},
        {"<", RSQL_LT},
        {">", RSQL_GT},
};

static void skip_blanks(struct parser *p)
{
        while (isspace((unsigned char)*p->at))
                p->at++;
}

static const char *read_plain(struct parser *p)
{
        size_t n = strcspn(p->at, RESERVED);
        if (n == 0)
                return NULL;
        const char *text = arena_strndup(p->arena, p->at, n);
        p->at += n;
        return text;
}

static const char *read_quoted(struct parser *p)
{
        char quote = *p->at++;
        char *out = arena_alloc(p->arena, strlen(p->at) + 1);
        size_t n = 0;
        while (*p->at && *p->at != quote) {
                if (*p->at == '\\' && p->at[1])
                        p->at++;
                out[n++] = *p->at++;
        }
        if (!*p->at)
                return NULL;
        p->at++;
        /* "a"b would be two values without anything between */
        return *p->at == '\0' || strchr(" \t\r\n();,", *p->at) ? out : NULL;
}

static const char *read_value(struct parser *p)
{
        skip_blanks(p);
        return *p->at == '\'' || *p->at == '"' ? read_quoted(p) : read_plain(p);
}

static struct rsql_node *node_new(struct parser *p, enum rsql_kind kind)
{
        if (++p->n_nodes > RSQL_MAX_NODES)
                return NULL;
        struct rsql_node *n = arena_alloc(p->arena, sizeof(*n));
        n->kind = kind;
        return n;
}

static int read_operator(struct parser *p, enum rsql_op *ret)
{
        skip_blanks(p);
        for (size_t i = 0; i < N_ELEMENTS(operators); i++) {
                size_t n = strlen(operators[i].text);
                if (strncmp(p->at, operators[i].text, n) == 0) {
                        p->at += n;
                        *ret = operators[i].op;
                        return 0;
                }
        }
        return -1;
}

static int read_list(struct parser *p, struct rsql_node *n)
{
        size_t room = 1;
        for (const char *c = p->at; *c; c++)
                room += *c == ',';
        n->values = arena_alloc(p->arena, room * sizeof(*n->values));
        p->at++;
        for (;;) {
                const char *value = read_value(p);
                if (!value)
                        return -1;
                n->values[n->n_values++] = value;
                skip_blanks(p);
                if (*p->at == ')') {
                        p->at++;
                        return 0;
                }
                if (*p->at != ',')
                        return -1;
                p->at++;
        }
}

static struct rsql_node *parse_comparison(struct parser *p)
{
        struct rsql_node *n = node_new(p, RSQL_COMPARE);
        if (!n || !(n->selector = read_plain(p)) || read_operator(p, &n->op) < 0)
                return NULL;
        skip_blanks(p);
        if (*p->at == '(') {
                bool takes_list = n->op == RSQL_IN || n->op == RSQL_OUT;
                return takes_list && read_list(p, n) == 0 ? n : NULL;
        }
        n->values = arena_alloc(p->arena, sizeof(*n->values));
        n->values[0] = read_value(p);
        n->n_values = 1;
        return n->values[0] ? n : NULL;
}

static struct rsql_node *parse_or(struct parser *p);

static struct rsql_node *parse_unit(struct parser *p)
{
        skip_blanks(p);
        if (*p->at != '(')
                return parse_comparison(p);
        if (++p->depth > RSQL_MAX_DEPTH)
                return NULL;
        p->at++;
        struct rsql_node *n = parse_or(p);
        if (!n)
                return NULL;
        skip_blanks(p);
        if (*p->at != ')')
                return NULL;
        p->at++;
        p->depth--;
        return n;
}

/* The sign or the word; a word must stand alone. */
static bool take_joint(struct parser *p, char sign, const char *word)
{
        const char *before = p->at;
        skip_blanks(p);
        if (*p->at == sign) {
                p->at++;
                return true;
        }
        size_t n = strlen(word);
        bool is_apart =
                p->at != before || before[-1] == ')' || before[-1] == '\'' || before[-1] == '"';
        if (is_apart && strncmp(p->at, word, n) == 0 &&
                (isspace((unsigned char)p->at[n]) || p->at[n] == '(')) {
                p->at += n;
                return true;
        }
        p->at = before;
        return false;
}

static struct rsql_node *parse_joined(struct parser *p, enum rsql_kind kind, char sign,
        const char *word, struct rsql_node *(*part)(struct parser *))
{
        struct rsql_node *first = part(p);
        if (!first || !take_joint(p, sign, word))
                return first;
        struct rsql_node *all = node_new(p, kind);
        if (!all)
                return NULL;
        all->first = first;
        struct rsql_node **last = &first->next;
        do {
                *last = part(p);
                if (!*last)
                        return NULL;
                last = &(*last)->next;
        } while (take_joint(p, sign, word));
        return all;
}

static struct rsql_node *parse_and(struct parser *p)
{
        return parse_joined(p, RSQL_AND, ';', "and", parse_unit);
}

static struct rsql_node *parse_or(struct parser *p)
{
        return parse_joined(p, RSQL_OR, ',', "or", parse_and);
}

struct rsql_node *rsql_parse(const char *text, struct arena *arena)
{
        struct parser p = {.at = text, .arena = arena};
        struct rsql_node *n = parse_or(&p);
        if (!n)
                return NULL;
        skip_blanks(&p);
        return *p.at == '\0' ? n : NULL;
}
