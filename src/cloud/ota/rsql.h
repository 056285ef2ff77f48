/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The query language of lists and target filters (RSQL / FIQL): text in, a tree out.
 *
 *   or    = and { ("," | "or") and }        and  = unit { (";" | "and") unit }
 *   unit  = "(" or ")" | selector operator argument
 *   argument = value | "(" value { "," value } ")"
 *
 * Values are text without reserved characters or in single or double quotes; a backslash in quotes
 * takes the next character as it is. Knows nothing of fields or the database; all memory is the
 * arena's; nesting is bounded by RSQL_MAX_DEPTH and the length by the caller.
 */
#include "cloud/ota/arena.h"

#include <stdbool.h>

#define RSQL_MAX_DEPTH 64
#define RSQL_MAX_NODES 2000

enum rsql_op {
        RSQL_EQ,
        RSQL_NE,
        RSQL_IS, /* =is= and =eq=: like ==, but null means null */
        RSQL_NOT,
        RSQL_LT,
        RSQL_LE,
        RSQL_GT,
        RSQL_GE,
        RSQL_IN,
        RSQL_OUT,
};

enum rsql_kind { RSQL_AND, RSQL_OR, RSQL_COMPARE };

struct rsql_node {
        enum rsql_kind kind;
        /* and, or */
        struct rsql_node *first; /* children, linked by next */
        struct rsql_node *next;
        /* comparison */
        const char *selector;
        enum rsql_op op;
        const char **values;
        size_t n_values;
};

/* NULL: the text is no query. */
struct rsql_node *rsql_parse(const char *text, struct arena *arena);
