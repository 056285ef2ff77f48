/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What a JSON body must look like, as data.
 *
 * A shape is read in two steps because hawkBit answers in that order: a body of the wrong types is
 * "not readable" before the caller's permissions are looked at, a value out of bounds is a
 * constraint violation after it. Reading converts as hawkBit's JSON library does: numbers and
 * booleans given for text become text, text of digits becomes a number, fractions are cut, null
 * means absent, unknown members are dropped. The result holds only members of the shape, with
 * exactly the types it names.
 */
#include "base/json.h"
#include "cloud/ota/arena.h"

enum shape_type {
        SHAPE_TEXT,
        SHAPE_LONG, /* 64 bits */
        SHAPE_INT,  /* 32 bits */
        SHAPE_BOOL,
        SHAPE_REAL,
        SHAPE_WORD,   /* text out of `words` */
        SHAPE_OBJECT, /* as `sub` */
        SHAPE_ARRAY,  /* of elements as `sub` */
        SHAPE_MAP,    /* object of text values, null kept */
        SHAPE_ANY,    /* as it came */
        SHAPE_ANY_OBJECT,
};

enum {
        SHAPE_REQUIRED = 1,  /* missing: constraint violation */
        SHAPE_NEEDED = 2,    /* missing: not readable */
        SHAPE_NOT_EMPTY = 4, /* text or array of at least one */
        SHAPE_NO_MARKUP = 8, /* text that parses as a tag is refused */
        SHAPE_NO_SPACE = 16,
        SHAPE_SINGLE_OK = 32, /* a lone element is taken for an array of one */
        SHAPE_OPTIONAL = 64,  /* of a body: it may be missing */
        SHAPE_RANGE = 128,    /* numbers: min..max */
        SHAPE_NULL_BAD = 256, /* explicit null: constraint violation, though absence is fine */
        SHAPE_TRIM = 512,
        SHAPE_NULL_UNREADABLE = 1024, /* explicit null: not readable, though absence is fine */
};

struct shape {
        const char *name; /* of the member; NULL for a body and for elements */
        enum shape_type type;
        unsigned flags;
        double min, max; /* text: max is the length in UTF-16 units; numbers with SHAPE_RANGE */
        const struct shape *sub;  /* members (ended by a zero name) or the one element */
        const char *const *words; /* NULL-ended */
};

/* A new value of the shape, or NULL if `raw` cannot be read as one. */
json_t *shape_read(const struct shape *shape, const json_t *raw);
/* What breaks a bound, in words for the client (of the arena); NULL: nothing. */
const char *shape_check(const struct shape *shape, const json_t *value, struct arena *arena);

/* Length of UTF-8 text in UTF-16 units, which is what Java counts. */
size_t shape_utf16_length(const char *text);
/* True if a browser would see a tag in it. */
bool shape_has_markup(const char *text);
