/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/rule/expression.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum token {
        TOKEN_END,
        TOKEN_NAME, /* a word or a "quoted name", not yet a path */
        TOKEN_TEXT, /* 'text' */
        TOKEN_NUMBER,
        TOKEN_SYMBOL, /* one of the below */
};

/* Reads ahead one token; its text (without quotes) is in the rule's memory. */
struct parser {
        struct rule *rule;
        const char *sql, *p;
        const char *at; /* where the token begins */
        enum token token;
        bool is_quoted; /* a name in quotes is never a keyword */
        char symbol[3];
        char *text;
        double number;
        unsigned depth;
        struct err *err;
};

static int fail(struct parser *ps, const char *what)
{
        if (ps->token == TOKEN_END)
                return err_set(ps->err, -EINVAL, "%s at the end of the rule", what);
        int n = (int)strcspn(ps->at, " \t\r\n");
        return err_set(ps->err, -EINVAL, "%s at character %zu, before '%.*s'", what,
                (size_t)(ps->at - ps->sql) + 1, n > 20 ? 20 : n, ps->at);
}

static bool is_word(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || (unsigned char)c >= 0x80;
}

/* A terminated copy that lives as long as the rule. The memory was made large enough for all of
 * them. */
static char *keep(struct parser *ps, const char *from, size_t len)
{
        struct rule *r = ps->rule;
        char *to = r->text + r->text_used;
        memcpy(to, from, len);
        to[len] = 0;
        r->text_used += len + 1;
        return to;
}

/* At a quote, which doubled stands for itself. */
static int lex_quoted(struct parser *ps, char quote)
{
        struct rule *r = ps->rule;
        char *to = ps->text = r->text + r->text_used;
        for (ps->p++;; ps->p++) {
                if (!*ps->p)
                        return err_set(ps->err, -EINVAL,
                                "the text that begins at character %zu has no end",
                                (size_t)(ps->at - ps->sql) + 1);
                if (*ps->p == quote && *++ps->p != quote)
                        break;
                *to++ = *ps->p;
        }
        *to++ = 0;
        r->text_used = (size_t)(to - r->text);
        return 0;
}

static int lex_number(struct parser *ps)
{
        /* strtod() also takes hexadecimal numbers and words; neither gets into this copy. */
        char text[64], *end = NULL;
        size_t n = strspn(ps->p + 1, "0123456789.eE+-") + 1;
        if (n >= sizeof(text))
                n = sizeof(text) - 1;
        memcpy(text, ps->p, n);
        text[n] = 0;
        ps->token = TOKEN_NUMBER;
        ps->number = strtod(text, &end);
        ps->p += end - text;
        if (is_word(*ps->p) || *ps->p == '.' || ps->number - ps->number != 0)
                return fail(ps, "bad number");
        return 0;
}

static int lex_symbol(struct parser *ps)
{
        static const char *const symbols[] = {
                "<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "*", "."};
        for (size_t i = 0; i < N_ELEMENTS(symbols); i++) {
                size_t n = strlen(symbols[i]);
                if (!strncmp(ps->p, symbols[i], n)) {
                        ps->token = TOKEN_SYMBOL;
                        memcpy(ps->symbol, symbols[i], n + 1);
                        ps->p += n;
                        return 0;
                }
        }
        ps->token = TOKEN_SYMBOL;
        return fail(ps, "unknown character");
}

/* Moves to the next token. */
static int advance(struct parser *ps)
{
        ps->p += strspn(ps->p, " \t\r\n");
        ps->at = ps->p;
        ps->symbol[0] = 0;
        ps->is_quoted = false;
        char c = *ps->p;
        if (!c) {
                ps->token = TOKEN_END;
                return 0;
        }
        if (c == '\'' || c == '"') {
                ps->token = c == '"' ? TOKEN_NAME : TOKEN_TEXT;
                ps->is_quoted = true;
                return lex_quoted(ps, c);
        }
        if ((c >= '0' && c <= '9') || (c == '-' && ps->p[1] >= '0' && ps->p[1] <= '9'))
                return lex_number(ps);
        if (!is_word(c))
                return lex_symbol(ps);
        size_t n = 0;
        while (is_word(ps->p[n]))
                n++;
        ps->token = TOKEN_NAME;
        ps->text = keep(ps, ps->p, n);
        ps->p += n;
        return 0;
}

static bool at_keyword(const struct parser *ps, const char *word)
{
        return ps->token == TOKEN_NAME && !ps->is_quoted && !strcasecmp(ps->text, word);
}

static bool at_symbol(const struct parser *ps, const char *symbol)
{
        return ps->token == TOKEN_SYMBOL && !strcmp(ps->symbol, symbol);
}

static int expect_keyword(struct parser *ps, const char *word, const char *what)
{
        return at_keyword(ps, word) ? advance(ps) : fail(ps, what);
}

static bool is_reserved(const struct parser *ps)
{
        static const char *const words[] = {
                "select", "from", "where", "and", "or", "not", "as", "is"};
        for (size_t i = 0; i < N_ELEMENTS(words); i++)
                if (at_keyword(ps, words[i]))
                        return true;
        return false;
}

/* ── expressions ── */

static int new_node(struct parser *ps, struct node node, uint16_t *ret)
{
        struct rule *r = ps->rule;
        if (r->n_nodes == LIMIT_RULE_NODES)
                return fail(ps, "the rule is too long");
        r->nodes[r->n_nodes] = node;
        *ret = (uint16_t)r->n_nodes++;
        return 0;
}

/* Puts the parts of a name together in the rule's memory. Parts of a path may be numbers: Cells.3
 */
static int parse_path_rest(struct parser *ps, char *whole, struct path *ret)
{
        struct rule *r = ps->rule;
        size_t len = strlen(whole), first = len;
        char *joined = r->text + r->text_used;
        memmove(joined, whole, len + 1);
        r->text_used += len + 1;
        /* A number behind a dot is lexed here, since `3.Speed` would be read as a number. */
        while (*ps->p == '.') {
                ps->p++;
                ps->at = ps->p;
                if (*ps->p == '"') {
                        if (lex_quoted(ps, '"'))
                                return -EINVAL;
                } else {
                        size_t n = 0;
                        while (is_word(ps->p[n]))
                                n++;
                        if (!n)
                                return fail(ps, "a name is missing behind the dot");
                        ps->text = keep(ps, ps->p, n);
                        ps->p += n;
                }
                size_t n = strlen(ps->text);
                if (!n)
                        return fail(ps, "empty name");
                joined[len] = '.';
                memmove(joined + len + 1, ps->text, n + 1);
                len += 1 + n;
                r->text_used = (size_t)(joined + len + 1 - r->text);
        }
        if (len > LIMIT_TELEMETRY_NAME_BYTES)
                return fail(ps, "name too long");
        ret->whole = joined;
        ret->name = len > first ? joined + first + 1 : NULL;
        ret->group = ret->name ? keep(ps, joined, first) : NULL;
        return advance(ps);
}

static int parse_path(struct parser *ps, struct path *ret)
{
        if (ps->token != TOKEN_NAME || is_reserved(ps) || !ps->text[0])
                return fail(ps, "a name is expected");
        return parse_path_rest(ps, ps->text, ret);
}

static int parse_function(struct parser *ps, const char *name, struct node *ret)
{
        if (advance(ps) || advance(ps)) /* the name and the bracket */
                return -EINVAL;
        if (!strcasecmp(name, "timestamp")) {
                ret->kind = NODE_TIMESTAMP;
        } else if (!strcasecmp(name, "topic")) {
                ret->kind = NODE_TOPIC;
                ret->index = 0;
                if (ps->token == TOKEN_NUMBER) {
                        if (ps->number < 1 || ps->number > 128 ||
                                ps->number != (unsigned)ps->number)
                                return fail(ps, "topic(n) wants a level from 1 on");
                        ret->index = (unsigned)ps->number;
                        if (advance(ps))
                                return -EINVAL;
                }
        } else {
                return err_set(ps->err, -EINVAL,
                        "unknown function '%.32s'; there are topic(n) and timestamp()", name);
        }
        return at_symbol(ps, ")") ? advance(ps) : fail(ps, "')' is missing");
}

static int parse_literal(struct parser *ps, struct node *ret)
{
        ret->kind = NODE_LITERAL;
        if (ps->token == TOKEN_TEXT)
                ret->literal = (struct telemetry_value){
                        .type = TELEMETRY_TEXT, .text = {ps->text, strlen(ps->text)}};
        else if (ps->token == TOKEN_NUMBER)
                ret->literal =
                        (struct telemetry_value){.type = TELEMETRY_NUMBER, .number = ps->number};
        else if (at_keyword(ps, "null"))
                ret->literal = (struct telemetry_value){.type = TELEMETRY_NULL};
        else
                ret->literal = (struct telemetry_value){
                        .type = TELEMETRY_BOOL, .boolean = at_keyword(ps, "true")};
        return advance(ps);
}

static bool at_literal(const struct parser *ps)
{
        return ps->token == TOKEN_TEXT || ps->token == TOKEN_NUMBER || at_keyword(ps, "true") ||
               at_keyword(ps, "false") || at_keyword(ps, "null");
}

/* A literal, a function or a path. */
static int parse_value(struct parser *ps, uint16_t *ret)
{
        struct node node = {.left = NO_NODE, .right = NO_NODE};
        int r;
        if (at_literal(ps)) {
                r = parse_literal(ps, &node);
        } else if (ps->token == TOKEN_NAME && !ps->is_quoted && !is_reserved(ps) &&
                   ps->p[strspn(ps->p, " \t\r\n")] == '(') {
                r = parse_function(ps, ps->text, &node);
        } else {
                node.kind = NODE_PATH;
                r = parse_path(ps, &node.path);
        }
        return r ? r : new_node(ps, node, ret);
}

static int parse_or(struct parser *ps, uint16_t *ret);

static int parse_primary(struct parser *ps, uint16_t *ret)
{
        if (!at_symbol(ps, "("))
                return parse_value(ps, ret);
        if (++ps->depth > LIMIT_RULE_DEPTH)
                return fail(ps, "too many brackets");
        int r = advance(ps);
        if (!r)
                r = parse_or(ps, ret);
        ps->depth--;
        if (!r)
                r = at_symbol(ps, ")") ? advance(ps) : fail(ps, "')' is missing");
        return r;
}

/* Behind `left IS`: [NOT] NULL. */
static int parse_is_null(struct parser *ps, uint16_t left, uint16_t *ret)
{
        int r = advance(ps);
        bool negated = !r && at_keyword(ps, "not");
        if (negated)
                r = advance(ps);
        if (!r)
                r = expect_keyword(ps, "null", "NULL is expected");
        if (!r)
                r = new_node(ps,
                        (struct node){.kind = NODE_IS_NULL, .left = left, .right = NO_NODE}, ret);
        if (!r && negated)
                r = new_node(
                        ps, (struct node){.kind = NODE_NOT, .left = *ret, .right = NO_NODE}, ret);
        return r;
}

static int parse_comparison(struct parser *ps, uint16_t *ret)
{
        static const struct {
                const char *symbol;
                enum node_kind kind;
        } operators[] = {{"=", NODE_EQUAL}, {"<>", NODE_UNEQUAL}, {"!=", NODE_UNEQUAL},
                {"<", NODE_LESS}, {"<=", NODE_LESS_EQUAL}, {">", NODE_GREATER},
                {">=", NODE_GREATER_EQUAL}};
        int r = parse_primary(ps, ret);
        if (r)
                return r;
        if (at_keyword(ps, "is"))
                return parse_is_null(ps, *ret, ret);
        for (size_t i = 0; i < N_ELEMENTS(operators); i++) {
                if (!at_symbol(ps, operators[i].symbol))
                        continue;
                struct node node = {.kind = operators[i].kind, .left = *ret, .right = NO_NODE};
                r = advance(ps);
                if (!r)
                        r = parse_primary(ps, &node.right);
                return r ? r : new_node(ps, node, ret);
        }
        return 0;
}

static int parse_not(struct parser *ps, uint16_t *ret)
{
        if (!at_keyword(ps, "not"))
                return parse_comparison(ps, ret);
        if (++ps->depth > LIMIT_RULE_DEPTH)
                return fail(ps, "too many NOTs");
        struct node node = {.kind = NODE_NOT, .right = NO_NODE};
        int r = advance(ps);
        if (!r)
                r = parse_not(ps, &node.left);
        ps->depth--;
        return r ? r : new_node(ps, node, ret);
}

static int parse_and(struct parser *ps, uint16_t *ret)
{
        int r = parse_not(ps, ret);
        while (!r && at_keyword(ps, "and")) {
                struct node node = {.kind = NODE_AND, .left = *ret};
                r = advance(ps);
                if (!r)
                        r = parse_not(ps, &node.right);
                if (!r)
                        r = new_node(ps, node, ret);
        }
        return r;
}

static int parse_or(struct parser *ps, uint16_t *ret)
{
        int r = parse_and(ps, ret);
        while (!r && at_keyword(ps, "or")) {
                struct node node = {.kind = NODE_OR, .left = *ret};
                r = advance(ps);
                if (!r)
                        r = parse_and(ps, &node.right);
                if (!r)
                        r = new_node(ps, node, ret);
        }
        return r;
}

/* ── the statement ── */

static int parse_item(struct parser *ps, struct item *item)
{
        if (at_symbol(ps, "*")) {
                item->is_all = true;
                return advance(ps);
        }
        int r = parse_value(ps, &item->node);
        if (r)
                return r;
        if (at_keyword(ps, "as")) {
                item->has_alias = true;
                r = advance(ps);
                return r ? r : parse_path(ps, &item->alias);
        }
        if (ps->rule->nodes[item->node].kind != NODE_PATH)
                return fail(ps, "a value that is no column needs a name: AS name is expected");
        return 0;
}

static int parse_list(struct parser *ps)
{
        struct rule *rule = ps->rule;
        for (;;) {
                struct item item = {0};
                int r = parse_item(ps, &item);
                if (r)
                        return r;
                struct item *more = realloc(rule->items, (rule->n_items + 1) * sizeof(*more));
                if (!more)
                        return err_set(ps->err, -ENOMEM, "out of memory");
                rule->items = more;
                rule->items[rule->n_items++] = item;
                if (!at_symbol(ps, ","))
                        break;
                if (rule->n_items == LIMIT_RULE_NODES)
                        return fail(ps, "the list is too long");
                r = advance(ps);
                if (r)
                        return r;
        }
        if (rule->n_items == 1 && rule->items[0].is_all)
                return 0;
        rule->selected = calloc(LIMIT_TELEMETRY_COLUMNS, sizeof(*rule->selected));
        return rule->selected ? 0 : err_set(ps->err, -ENOMEM, "out of memory");
}

static int parse_statement(struct parser *ps)
{
        struct rule *rule = ps->rule;
        int r = advance(ps);
        if (!r)
                r = expect_keyword(ps, "select", "a rule begins with SELECT; it is expected");
        if (!r)
                r = parse_list(ps);
        if (!r)
                r = expect_keyword(ps, "from", "FROM is expected");
        if (!r && ps->token != TOKEN_TEXT)
                r = fail(ps, "a topic filter in single quotes is expected");
        if (r)
                return r;
        rule->filter = ps->text;
        if (rule_filter_check(rule->filter, ps->err))
                return err_prefix(ps->err, "topic filter '%s'", rule->filter);
        r = advance(ps);
        if (!r && at_keyword(ps, "where")) {
                r = advance(ps);
                if (!r)
                        r = parse_or(ps, &rule->where);
        }
        if (!r && ps->token != TOKEN_END)
                r = fail(ps, "the end of the rule is expected");
        return r;
}

int rule_parse(const char *sql, struct rule **ret_rule, struct err *err)
{
        size_t len = strlen(sql);
        if (len > LIMIT_DOCUMENT_BYTES)
                return err_set(err, -EINVAL, "the rule is too long");
        CLEAN(rule) struct rule *rule = calloc(1, sizeof(*rule));
        if (!rule)
                return err_set(err, -ENOMEM, "out of memory");
        rule->where = NO_NODE;
        /* Each byte is kept at most once as a token, once in a joined name and once as its first
         * part, and each of these has a NUL. */
        rule->text = malloc(8 * len + 64);
        if (!rule->text)
                return err_set(err, -ENOMEM, "out of memory");
        struct parser ps = {.rule = rule, .sql = sql, .p = sql, .err = err};
        int r = parse_statement(&ps);
        if (r)
                return r;
        *ret_rule = TAKE(rule);
        return 0;
}

void rule_free(struct rule *rule)
{
        if (!rule)
                return;
        free(rule->selected);
        free(rule->items);
        free(rule->text);
        free(rule);
}
