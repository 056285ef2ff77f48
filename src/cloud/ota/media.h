/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Content negotiation: which representation an Accept header asks for.
 *
 * What we can write is a set of bits; the header's entries are ranked by q, then by how specific
 * they are, then by their order, and the first that we can write wins. Pure functions of text.
 */
#include <stdbool.h>

enum media {
        MEDIA_HAL = 1,
        MEDIA_JSON = 2,
        MEDIA_CBOR = 4,
        MEDIA_TEXT = 8,
        MEDIA_BYTES = 16,
};

/* The content type as it is sent. */
const char *media_type(enum media m);
/* Picks from the bits `offered`; 0 if the header admits none. NULL or blank header: anything. */
enum media media_choose(const char *accept, unsigned offered);
/* True if the header names text/html (browsers get a page even for an error). */
bool media_wants_html(const char *accept);
/* The media type of a Content-Type header, 0 if it is none of ours. */
enum media media_of_content_type(const char *content_type);
/* A lone `application/something+json` that isn't ours: error documents come under its own name. */
bool media_is_vendor_json(const char *accept);
/* True if the header is `type`, whatever its parameters. */
bool media_is_type(const char *content_type, const char *type);
