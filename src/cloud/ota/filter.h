/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Queries become SQL: a tree of rsql.h, the fields of an entity, and out comes a condition with its
 * arguments. Nothing of the query text ever becomes part of the statement but as a bound argument.
 *
 * Text compares without case and with `*` as wildcard; negations match rows without a value; map
 * fields (attribute.x) match only rows that have the key; tags compare as sets.
 */
#include "cloud/ota/tx.h"

enum field_kind {
        FIELD_TEXT,
        FIELD_NUMBER,
        FIELD_BOOL,
        FIELD_WORD, /* stored as the index in `words` */
        FIELD_MAP,  /* sql: subquery from and where; value: column; key column d.key */
        FIELD_MANY, /* sql: subquery from and where; value: column, text */
        FIELD_MANY_NUMBER,
        FIELD_COMPLETE, /* of sets: see struct filter */
        FIELD_FAILED_ROLLOUT,
};

struct field {
        const char *name; /* lower case; a map's ends in '.' */
        enum field_kind kind;
        const char *sql;
        const char *value;
        const char *const *words;
};

struct sort_field {
        const char *name; /* lower case */
        const char *sql;
};

struct entity_fields {
        const struct field *fields;     /* ended by a NULL name; NULL: takes no q */
        const struct sort_field *sorts; /* ended by a NULL name */
};

/* The fields that hawkBit names, one table an entity (fields.c). */
extern const struct entity_fields fields_target, fields_action, fields_action_status, fields_set,
        fields_module, fields_sm_type, fields_ds_type, fields_target_type, fields_rollout,
        fields_group, fields_tag, fields_filter;
/* Sub-lists: queried by the fields of what they list, sorted by those of hawkBit's other entity. */
extern const struct entity_fields fields_tag_targets, fields_tag_sets, fields_set_targets,
        fields_set_modules, fields_set_filters, fields_group_targets;

struct filter {
        const char *sql; /* a condition, "1=1" if everything matches */
        struct sql_arg *args;
        size_t n_args;
        int complete; /* sets only: -1 not asked, else 0 or 1; applied after paging, as hawkBit does
                       */
};

/* Sets a problem (syntax, unknown field, value of the wrong kind) and returns -1. */
int filter_compile(
        struct tx *tx, const struct field *fields, const char *query, struct filter *ret);
/* For checking alone. */
int filter_check(struct tx *tx, const struct field *fields, const char *query);
/* `sort` as in the request into "a ASC, b DESC"; "" for none. Sets a problem and returns -1. */
int sort_compile(
        struct tx *tx, const struct sort_field *sorts, const char *sort, const char **ret_sql);
