/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* A compiled rule, for the files of this folder only. */
#include "base/limits.h"
#include "cloud/rule/rule.h"

#define NO_NODE UINT16_MAX

enum node_kind {
        NODE_LITERAL,
        NODE_PATH,
        NODE_TOPIC, /* `index` 0: the whole */
        NODE_TIMESTAMP,
        NODE_EQUAL,
        NODE_UNEQUAL,
        NODE_LESS,
        NODE_LESS_EQUAL,
        NODE_GREATER,
        NODE_GREATER_EQUAL,
        NODE_IS_NULL,
        NODE_AND,
        NODE_OR,
        NODE_NOT,
};

/* A dotted name, cut behind its first part: `Engine` and `Speed`, or `Message` and `x` for a name
 * without a dot. NULs end both. */
struct path {
        const char *whole;
        const char *group, *name; /* name NULL: no dot */
};

/* Nodes lie in one array; children are indices. Comparisons have both, NOT and IS NULL `left`. */
struct node {
        enum node_kind kind;
        uint16_t left, right;
        union {
                struct telemetry_value literal;
                struct path path;
                unsigned index;
        };
};

/* `*`, or a value and where it goes. */
struct item {
        bool is_all;
        uint16_t node;
        bool has_alias;
        struct path alias;
};

/* What is selected of one message, before it is ordered by groups. */
struct selected {
        struct telemetry_text group, prefix, name; /* prefix.at NULL: none */
        struct telemetry_value value;
        bool is_done;
};

struct rule {
        char *filter;
        struct node nodes[LIMIT_RULE_NODES];
        size_t n_nodes;
        uint16_t where; /* NO_NODE: all */
        struct item *items;
        size_t n_items;
        struct selected *selected; /* NULL when the list is just `*` */
        char *text;                /* of the literals and names */
        size_t text_used;
};

struct rule_input {
        const char *topic;
        int64_t time_ms;
        const struct telemetry *message;
};

struct telemetry_value expression_value(
        const struct rule *rule, uint16_t node, const struct rule_input *input);
