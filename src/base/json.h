/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * JSON by jansson, with this project's limits: a document is parsed only after its size and depth
 * were checked (LIMIT_JSON_DEPTH). References: functions that return `json_t *` return a new one.
 */
#include "base/buf.h"
#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CLEAN_JSON __attribute__((cleanup(json_decref_p)))
static inline void json_decref_p(json_t **p)
{
        json_decref(*p);
}

/* Parses exactly one value (object or array or scalar). NULL with the reason, line and column in
 * `err`. */
json_t *json_parse(const char *text, size_t len, struct err *err);
/* The same, and a member that is there twice is an error: for documents that decide about rights.
 */
json_t *json_parse_strict(const char *text, size_t len, struct err *err);
json_t *json_read_file(const char *path, struct err *err);
/* Compact text, members in insertion order. */
int json_append(struct buf *b, const json_t *value);
/* Writes the document (indented) with fs_write_atomic(). */
int json_write_file(const char *path, const json_t *value, mode_t mode, struct err *err);

/* Members of an object; the default when absent or null or of another type. Strings are borrowed.
 */
const char *json_text(const json_t *object, const char *key, const char *fallback);
int64_t json_int(const json_t *object, const char *key, int64_t fallback);
double json_number(const json_t *object, const char *key, double fallback);
bool json_bool(const json_t *object, const char *key, bool fallback);
