/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the route table doesn't say: a route's name, its answer and what it is for; and the
 * documents that answers are made of. openapi.c makes the document for machines of both,
 * `driveline api` its commands.
 *
 * Types are written as text: `text`, `int`, `long`, `real`, `bool`, `any`, `map` (object of
 * anything), a document's name, `[X]` an array of X, `{X}` an object whose members are X, `a|b|c`
 * one of these words. A member's type may end in `!` (always there) or `?` (may be null, always
 * there).
 */
#include "cloud/ota/route.h"

#include <stdbool.h>

struct route_doc {
        const char *method;
        const char *path;   /* as in the route table */
        const char *name;   /* of the command: "targets create"; unique over both tables */
        const char *answer; /* "201 [Target]", "200|204 DistributionSet", "204" */
        const char *summary;
        const char *more;  /* query parameters that the handler reads itself, as route.params with
                           * `s` for text; NULL: none */
        bool is_extension; /* hawkBit doesn't have it */
};
extern const struct route_doc route_docs[]; /* ended by a NULL method */

/* NULL if the route is not in the table, which the unit test doesn't let pass. */
const struct route_doc *route_doc_find(const struct route *r);
/* Name of the path parameter that is the n-th {…} of the path (from 0), e.g. "controllerId". */
const char *route_path_parameter(const char *path, int n);

struct document_member {
        const char *name, *type;
};
struct document {
        const char *name;
        const struct document_member *members; /* ended by a NULL name */
};
extern const struct document documents[]; /* ended by a NULL name */
