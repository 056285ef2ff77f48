/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/filter.h"

#include "base/limits.h"
#include "cloud/ota/rsql.h"
#include "cloud/ota/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct compiler {
        struct tx *tx;
        const struct field *fields;
        struct buf sql;
        struct sql_arg *args;
        size_t n_args, cap_args;
        int complete;
        int depth_or; /* inside an or, where `complete` can't be */
};

static int syntax(struct compiler *c)
{
        return tx_problem(c->tx, PROBLEM_RSQL_SYNTAX, "The query cannot be read");
}

static int bad_field(struct compiler *c, const struct rsql_node *n)
{
        return tx_problem(c->tx, PROBLEM_RSQL_FIELD,
                "'%s' with '%s' is no field or value to search by", n->selector, n->values[0]);
}

static void add_arg(struct compiler *c, struct sql_arg arg)
{
        if (c->n_args == c->cap_args) {
                size_t cap = c->cap_args ? c->cap_args * 2 : 16;
                struct sql_arg *more = arena_alloc(c->tx->arena, cap * sizeof(*more));
                if (c->n_args)
                        memcpy(more, c->args, c->n_args * sizeof(*more));
                c->args = more;
                c->cap_args = cap;
        }
        c->args[c->n_args++] = arg;
}

static void add_text_arg(struct compiler *c, const char *text)
{
        add_arg(c, (struct sql_arg)SQL_T(text));
}

/* ── values ── */

static bool has_wildcard(const char *text)
{
        for (const char *p = text; *p; p++) {
                if (*p == '\\' && p[1] == '*')
                        p++;
                else if (*p == '*')
                        return true;
        }
        return false;
}

/* `\*` is a plain star. */
static const char *plain_value(struct compiler *c, const char *text)
{
        char *out = arena_strdup(c->tx->arena, text);
        size_t n = 0;
        for (const char *p = text; *p; p++) {
                if (*p == '\\' && p[1] == '*')
                        p++;
                out[n++] = *p;
        }
        out[n] = '\0';
        return out;
}

/* A LIKE pattern with `\` as escape character. */
static const char *pattern_value(struct compiler *c, const char *text)
{
        char *out = arena_alloc(c->tx->arena, strlen(text) * 2 + 1);
        size_t n = 0;
        for (const char *p = text; *p; p++) {
                if (*p == '\\' && p[1] == '*') {
                        out[n++] = *++p;
                } else if (*p == '*') {
                        out[n++] = '%';
                } else {
                        if (*p == '%' || *p == '_' || *p == '\\')
                                out[n++] = '\\';
                        out[n++] = *p;
                }
        }
        return out;
}

static int number_value(struct compiler *c, const char *text, int64_t *ret)
{
        char *end = NULL;
        errno = 0;
        long long v = strtoll(text, &end, 10);
        if (errno || end == text || *end)
                return tx_problem(c->tx, PROBLEM_BODY, "'%s' is no number", text);
        *ret = v;
        return 0;
}

/* ── conditions on one column ── */

static const char *const order_signs[] = {
        [RSQL_LT] = "<", [RSQL_LE] = "<=", [RSQL_GT] = ">", [RSQL_GE] = ">="};

static bool is_order(enum rsql_op op)
{
        return op == RSQL_LT || op == RSQL_LE || op == RSQL_GT || op == RSQL_GE;
}

static bool is_negation(enum rsql_op op)
{
        return op == RSQL_NE || op == RSQL_NOT || op == RSQL_OUT;
}

static bool asks_null(const struct rsql_node *n)
{
        return (n->op == RSQL_IS || n->op == RSQL_NOT) && strcmp(n->values[0], "null") == 0;
}

/* The positive form of the comparison, without a thought to null. */
static void text_condition(struct compiler *c, const char *column, const struct rsql_node *n)
{
        if (is_order(n->op)) {
                buf_addf(&c->sql, "%s %s ?", column, order_signs[n->op]);
                add_text_arg(c, n->values[0]);
        } else if (n->op == RSQL_IN || n->op == RSQL_OUT) {
                buf_addf(&c->sql, "fold(%s) IN (", column);
                for (size_t i = 0; i < n->n_values; i++) {
                        buf_adds(&c->sql, i ? ",?" : "?");
                        add_text_arg(c, n->values[i]);
                }
                buf_adds(&c->sql, ")");
        } else if (has_wildcard(n->values[0])) {
                buf_addf(&c->sql, "fold(%s) LIKE ? ESCAPE '\\'", column);
                add_text_arg(c, pattern_value(c, n->values[0]));
        } else {
                buf_addf(&c->sql, "fold(%s) = ?", column);
                add_text_arg(c, plain_value(c, n->values[0]));
        }
}

static int number_condition(struct compiler *c, const char *column, const struct rsql_node *n)
{
        if (!is_order(n->op) && n->n_values == 1 && strcmp(n->values[0], "*") == 0) {
                buf_addf(&c->sql, "%s IS NOT NULL", column);
                return 0;
        }
        buf_addf(&c->sql, "%s %s ", column, is_order(n->op) ? order_signs[n->op] : "IN (");
        for (size_t i = 0; i < n->n_values; i++) {
                int64_t v = 0;
                if (number_value(c, n->values[i], &v) < 0)
                        return -1;
                buf_adds(&c->sql, i ? ",?" : "?");
                add_arg(c, (struct sql_arg)SQL_I(v));
        }
        if (!is_order(n->op))
                buf_adds(&c->sql, ")");
        return 0;
}

static int word_condition(struct compiler *c, const struct field *f, const struct rsql_node *n)
{
        if (is_order(n->op))
                return syntax(c);
        buf_addf(&c->sql, "%s IN (", f->sql);
        for (size_t i = 0; i < n->n_values; i++) {
                int found = -1;
                for (int w = 0; f->words[w]; w++) {
                        if (strcasecmp(f->words[w], n->values[i]) == 0)
                                found = w;
                }
                if (found < 0)
                        return bad_field(c, n);
                buf_adds(&c->sql, i ? ",?" : "?");
                add_arg(c, (struct sql_arg)SQL_I(found));
        }
        buf_adds(&c->sql, ")");
        return 0;
}

static int bool_condition(struct compiler *c, const char *column, const struct rsql_node *n)
{
        bool is_true = strcmp(n->values[0], "true") == 0;
        if (is_order(n->op) || n->n_values != 1 || (!is_true && strcmp(n->values[0], "false") != 0))
                return syntax(c);
        buf_addf(&c->sql, "(%s) = %d", column, is_true);
        return 0;
}

/* ── fields ── */

static int compile_plain(struct compiler *c, const struct field *f, const struct rsql_node *n)
{
        if (asks_null(n)) {
                buf_addf(&c->sql, "(%s) IS %sNULL", f->sql, n->op == RSQL_NOT ? "NOT " : "");
                return 0;
        }
        bool is_text = f->kind == FIELD_TEXT;
        bool is_equality = !is_order(n->op) && n->op != RSQL_IN && n->op != RSQL_OUT;
        if (is_text && is_equality && !*n->values[0]) {
                buf_addf(&c->sql,
                        is_negation(n->op) ? "coalesce(%s, '') <> ''" : "coalesce(%s, '') = ''",
                        f->sql);
                return 0;
        }
        if (is_negation(n->op))
                buf_addf(&c->sql, "((%s) IS NULL OR NOT (", f->sql);
        int r = 0;
        if (is_text)
                text_condition(c, f->sql, n);
        else if (f->kind == FIELD_NUMBER)
                r = number_condition(c, f->sql, n);
        else if (f->kind == FIELD_WORD)
                r = word_condition(c, f, n);
        else
                r = bool_condition(c, f->sql, n);
        if (is_negation(n->op))
                buf_adds(&c->sql, "))");
        return r;
}

static int compile_map(struct compiler *c, const struct field *f, const struct rsql_node *n)
{
        const char *key = n->selector + strlen(f->name);
        bool is_equality = !is_order(n->op) && n->op != RSQL_IN && n->op != RSQL_OUT;
        bool asks_empty = is_equality && !*n->values[0];
        bool is_missing = asks_null(n) ? n->op != RSQL_NOT : asks_empty && !is_negation(n->op);
        buf_addf(&c->sql, "%sEXISTS(%s AND fold(d.key) = ?", is_missing ? "NOT " : "", f->sql);
        add_text_arg(c, key);
        if (asks_null(n)) {
                /* the key alone counts */
        } else if (asks_empty) {
                buf_addf(&c->sql, " AND coalesce(%s, '') <> ''", f->value);
        } else {
                buf_adds(&c->sql, is_negation(n->op) ? " AND NOT (" : " AND (");
                text_condition(c, f->value, n);
                buf_adds(&c->sql, ")");
        }
        buf_adds(&c->sql, ")");
        return 0;
}

static int compile_many(struct compiler *c, const struct field *f, const struct rsql_node *n)
{
        bool is_empty = asks_null(n) || (n->op != RSQL_IN && n->op != RSQL_OUT && !*n->values[0]);
        bool is_none = is_empty != is_negation(n->op);
        buf_addf(&c->sql, "%sEXISTS(%s", is_none ? "NOT " : "", f->sql);
        int r = 0;
        if (!is_empty) {
                buf_adds(&c->sql, " AND (");
                if (f->kind == FIELD_MANY)
                        text_condition(c, f->value, n);
                else
                        r = number_condition(c, f->value, n);
                buf_adds(&c->sql, ")");
        }
        buf_adds(&c->sql, ")");
        return r;
}

static int compile_complete(struct compiler *c, const struct rsql_node *n)
{
        bool is_true = strcmp(n->values[0], "true") == 0;
        if (n->op != RSQL_EQ && n->op != RSQL_NE)
                return syntax(c);
        if (c->depth_or > 0)
                return bad_field(c, n);
        if (!is_true && strcmp(n->values[0], "false") != 0)
                return syntax(c);
        c->complete = is_true == (n->op == RSQL_EQ);
        buf_adds(&c->sql, "1=1");
        return 0;
}

static int compile_failed_rollout(struct compiler *c, const struct rsql_node *n)
{
        int64_t id = 0;
        if (n->op != RSQL_EQ)
                return syntax(c);
        if (number_value(c, n->values[0], &id) < 0)
                return -1;
        /* 1: the status error */
        buf_adds(&c->sql, "t.id IN (SELECT target FROM action WHERE rollout = ? AND status = 1)");
        add_arg(c, (struct sql_arg)SQL_I(id));
        return 0;
}

static const struct field *find_field(const struct compiler *c, const char *selector)
{
        for (const struct field *f = c->fields; f->name; f++) {
                size_t n = strlen(f->name);
                if (f->kind == FIELD_MAP ? strncmp(f->name, selector, n) == 0 && selector[n]
                                         : strcmp(f->name, selector) == 0)
                        return f;
        }
        return NULL;
}

static int compile_comparison(struct compiler *c, const struct rsql_node *n)
{
        const struct field *f = find_field(c, n->selector);
        if (!f)
                return bad_field(c, n);
        switch (f->kind) {
        case FIELD_MAP:
                return compile_map(c, f, n);
        case FIELD_MANY:
        case FIELD_MANY_NUMBER:
                return compile_many(c, f, n);
        case FIELD_COMPLETE:
                return compile_complete(c, n);
        case FIELD_FAILED_ROLLOUT:
                return compile_failed_rollout(c, n);
        default:
                return compile_plain(c, f, n);
        }
}

static int compile_node(struct compiler *c, const struct rsql_node *n)
{
        if (n->kind == RSQL_COMPARE)
                return compile_comparison(c, n);
        int r = 0;
        c->depth_or += n->kind == RSQL_OR;
        buf_adds(&c->sql, "(");
        for (const struct rsql_node *child = n->first; child && r == 0; child = child->next) {
                if (child != n->first)
                        buf_adds(&c->sql, n->kind == RSQL_AND ? " AND " : " OR ");
                r = compile_node(c, child);
        }
        buf_adds(&c->sql, ")");
        c->depth_or -= n->kind == RSQL_OR;
        return r;
}

/* ${now_ts} and ${overdue_ts}, after folding. */
static const char *expand_macros(struct tx *tx, const char *text)
{
        static const char *const names[] = {"${now_ts}", "${overdue_ts}"};
        for (int i = 0; i < 2; i++) {
                const char *at = NULL;
                while ((at = strstr(text, names[i])) != NULL) {
                        int64_t v = i == 0 ? tx->now : settings_overdue_before(tx);
                        text = arena_printf(tx->arena, "%.*s%lld%s", (int)(at - text), text,
                                (long long)v, at + strlen(names[i]));
                }
        }
        return text;
}

int filter_compile(struct tx *tx, const struct field *fields, const char *query, struct filter *ret)
{
        *ret = (struct filter){.sql = "1=1", .complete = -1};
        if (!query)
                return 0;
        struct compiler c = {
                .tx = tx, .fields = fields, .sql = BUF_INIT(LIMIT_MIB(1)), .complete = -1};
        const char *folded = sql_text(tx, "SELECT fold(?)", SQL_T(query));
        struct rsql_node *tree = folded ? rsql_parse(expand_macros(tx, folded), tx->arena) : NULL;
        int r = tree && fields ? compile_node(&c, tree) : syntax(&c);
        if (r == 0 && c.sql.error)
                r = syntax(&c);
        if (r == 0)
                *ret = (struct filter){.sql = arena_strdup(tx->arena, buf_text(&c.sql)),
                        .args = c.args,
                        .n_args = c.n_args,
                        .complete = c.complete};
        buf_fini(&c.sql);
        return r;
}

int filter_check(struct tx *tx, const struct field *fields, const char *query)
{
        struct filter f;
        return filter_compile(tx, fields, query, &f);
}

/* ── sorting ── */

static const char *trim(struct tx *tx, const char *text, size_t len)
{
        while (len && strchr(" \t", *text)) {
                text++;
                len--;
        }
        while (len && strchr(" \t", text[len - 1]))
                len--;
        return arena_strndup(tx->arena, text, len);
}

static int sort_part(
        struct tx *tx, const struct sort_field *sorts, const char *part, struct buf *sql)
{
        const char *colon = strchr(part, ':');
        if (!colon || strchr(colon + 1, ':'))
                return tx_problem(tx, PROBLEM_SORT_SYNTAX, "bad sort '%s'", part);
        const char *name = trim(tx, part, (size_t)(colon - part));
        const char *direction = trim(tx, colon + 1, strlen(colon + 1));
        if (!*name || !*direction)
                return tx_problem(tx, PROBLEM_SORT_SYNTAX, "bad sort '%s'", part);
        bool is_descending = strcasecmp(direction, "DESC") == 0;
        for (const struct sort_field *s = sorts; s->name; s++) {
                if (strcasecmp(s->name, name) != 0)
                        continue;
                if (!is_descending && strcasecmp(direction, "ASC") != 0)
                        return tx_problem(
                                tx, PROBLEM_SORT_DIRECTION, "bad direction '%s'", direction);
                buf_addf(sql, "%s%s %s", sql->len ? ", " : "", s->sql,
                        is_descending ? "DESC NULLS LAST" : "ASC NULLS FIRST");
                return 0;
        }
        return tx_problem(tx, PROBLEM_SORT_FIELD, "cannot sort by '%s'", name);
}

int sort_compile(
        struct tx *tx, const struct sort_field *sorts, const char *sort, const char **ret_sql)
{
        CLEAN_BUF struct buf sql = BUF_INIT(LIMIT_KIB(64));
        for (const char *p = sort; *p;) {
                size_t len = strcspn(p, ",");
                const char *part = trim(tx, p, len);
                if (*part && sort_part(tx, sorts, part, &sql) < 0)
                        return -1;
                p += len + (p[len] == ',');
        }
        *ret_sql = arena_strdup(tx->arena, buf_text(&sql));
        return 0;
}
