/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A strict JSON reader that allocates nothing and copies nothing: it walks a text once and hands
 * out slices of it. It is for lines that arrive many times a second and whose parts are passed on
 * as they are; a parsed and printed number would come out longer than it went in.
 *
 * What it accepts, base/json.h accepts too: RFC 8259, valid UTF-8, no \u0000, no lone surrogates,
 * no integer beyond 64 bits and no real beyond a double, nesting up to LIMIT_JSON_DEPTH.
 */
#include <stdbool.h>
#include <stddef.h>

enum json_kind {
        JSON_KIND_OBJECT,
        JSON_KIND_ARRAY,
        JSON_KIND_STRING,
        JSON_KIND_NUMBER,
        JSON_KIND_BOOL,
        JSON_KIND_NULL,
        JSON_KIND_N
};

/* A value where it stands in the text: strings with their quotes and escapes. Borrowed. */
struct json_slice {
        const char *text;
        size_t len;
        enum json_kind kind;
};

/* Called for each member; `key` is without its quotes but with its escapes. A negative result ends
 * the walk and becomes its result. */
typedef int (*json_member_fn)(void *context, struct json_slice key, struct json_slice value);

/* Walks the members of the one object that `text` is, in their order. `depth` is the number of
 * objects and arrays that `text` lies in. -EINVAL when it isn't such an object; members before the
 * fault have been handed out by then. */
int json_scan_object(const char *text, size_t len, int depth, json_member_fn member, void *context);

/* The number as a double; the slice must be of that kind. */
double json_slice_number(struct json_slice value);

bool json_slice_equals(struct json_slice slice, const char *text);
