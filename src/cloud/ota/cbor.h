/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * JSON values as CBOR (RFC 8949) and back, as far as JSON goes: no tags, no byte strings, text
 * keys.
 *
 * On the way out `_links`, an object of relations, becomes `links`, an array of {rel, href}, and
 * maps and arrays are of indefinite length, as hawkBit writes them.
 */
#include "base/json.h"

#include <stddef.h>

int cbor_encode(const json_t *value, struct buf *b);
/* Exactly one item; NULL if it is none, too deep (LIMIT_JSON_DEPTH) or has no JSON form. */
json_t *cbor_decode(const void *data, size_t len);
