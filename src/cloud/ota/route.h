/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The interface as one table: method, path, permission, handler, and what goes in and comes out.
 *
 * It drives routing, the 405 with its Allow, the 415 and 406 checks, the conversion of parameters
 * and bodies, and `driveline serve ota --routes`. In a path `{n}` is a number, `{s}` text, and
 * `{t}` text that stands for a target; a DDI path begins after
 * `/{tenant}/controller/v1/{controllerId}`.
 */
#include "cloud/ota/shape.h"

#include <stdint.h>

struct request;
struct entity_fields;

enum {
        ROUTE_LIST = 1, /* offset, limit, sort, q */
        ROUTE_REPRESENTATION = 2,
        ROUTE_NO_ANSWER = 4, /* success has no body: Accept doesn't matter */
        ROUTE_JSON_ONLY = 8, /* not as hal+json */
        ROUTE_UPLOAD = 16,   /* multipart/form-data */
        ROUTE_BYTES = 32,    /* a file, whatever Accept says */
        ROUTE_TEXT = 64,     /* text/plain; another route is tried if Accept doesn't admit it */
        ROUTE_ANY_PERMISSION = 128, /* one of the permissions is enough */
        ROUTE_NO_ETAG = 256,
        ROUTE_LATE_CHECK =
                1024, /* the handler checks the body's bounds itself, after other things */
        ROUTE_TYPE_OPTIONAL = 512, /* without a body no Content-Type is due */
};

struct route {
        const char *method;
        const char *path;
        uint64_t permission;
        int (*handle)(struct request *q);
        const struct shape *body;
        unsigned flags;
        const struct entity_fields *entity; /* with ROUTE_LIST: what q and sort may name */
        /* Typed query parameters: "offline:b keepLast:i group:!" (b boolean, i integer, !
         * required). */
        const char *params;
        /* Looks things up before the permission of this route counts (its own checks included). */
        int (*first)(struct request *q);
};

extern const struct route mgmt_routes[]; /* below /rest/v1; ended by a NULL method */
extern const struct route ddi_routes[];
