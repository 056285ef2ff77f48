/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A telemetry message, flattened: JSON text in, one list of columns a subsystem out.
 *
 *   {"DeviceID":"VIN1","Timestamp":"2026-11-22T19:00:00.000Z","Sequence":17,"SoftwareVersion":"1.0.0",
 *    "ABS":{"TractionControl":true,"Wheel1":{"Speed":12.5}}}
 *
 * has the envelope (DeviceID, Timestamp, Sequence, SoftwareVersion) and one group `ABS` with the
 * columns `TractionControl` and `Wheel1.Speed`. Members of arrays are called `Cells.0`, `Cells.1`,
 * …. Other scalars at the top are columns of the group `Message`.
 *
 * The text is read once, from left to right, and nothing is allocated: texts are slices of the
 * message or, where they had to be put together, of the struct's own memory. So a parsed message is
 * valid as long as both the message and the struct are, and one struct serves for message after
 * message.
 *
 * It is strict JSON (RFC 8259) in strict UTF-8 with limits on size, depth, columns and names. Names
 * that differ only in the case of ASCII letters are the same name, as in SQL, and a name that comes
 * twice is an error.
 */
#include "base/clean.h"
#include "base/err.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TELEMETRY_MESSAGE_GROUP "Message"

struct telemetry_text {
        const char *at; /* not terminated */
        size_t len;
};

enum telemetry_type {
        TELEMETRY_NULL,
        TELEMETRY_BOOL,
        TELEMETRY_NUMBER,
        TELEMETRY_TEXT,
        TELEMETRY_TYPE_N
};
/* "null", "boolean", "number", "text" */
const char *telemetry_type_to_string(enum telemetry_type type);

struct telemetry_value {
        enum telemetry_type type;
        union {
                bool boolean;
                double number; /* finite */
                struct telemetry_text text;
        };
};

struct telemetry_column {
        struct telemetry_text name;
        uint32_t hash; /* telemetry_hash() of the name */
        struct telemetry_value value;
};

/* A subsystem: the columns[first … first + n - 1]. */
struct telemetry_group {
        struct telemetry_text name;
        uint32_t hash;
        size_t first, n;
};

struct telemetry {
        bool has_device_id, has_time, has_sequence, has_software_version;
        struct telemetry_text device_id;
        int64_t time_ms;
        int64_t sequence; /* 1 … 2^53 */
        struct telemetry_text software_version;

        size_t n_groups, n_columns;
        struct telemetry_group groups[LIMIT_TELEMETRY_GROUPS];
        struct telemetry_column columns[LIMIT_TELEMETRY_COLUMNS];

        struct telemetry_memory
                *memory; /* of texts that are no slices, and to find names that come twice */
};

struct telemetry *telemetry_new(void) MUST_CHECK;
void telemetry_free(struct telemetry *t);
CLEAN_DEFINE(telemetry, telemetry_free);

/* Parses `message` into `t`. -EBADMSG with the reason, and where it is text, the place; `t` holds
 * nothing useful then except, maybe, the envelope. */
int telemetry_parse(
        struct telemetry *t, const char *message, size_t len, struct err *err) MUST_CHECK;

/* For those who compose a message from another one: empties `t` but for the envelope of `from`. */
void telemetry_copy_envelope(struct telemetry *t, const struct telemetry *from);
/* Adds a column. Groups and their columns must come together. -EEXIST, -E2BIG. The texts are
 * borrowed. */
int telemetry_add(struct telemetry *t, struct telemetry_text group, struct telemetry_text name,
        struct telemetry_value value);

/* The same with `prefix`.`name` for a name, put together in the struct's memory. */
int telemetry_add_joined(struct telemetry *t, struct telemetry_text group,
        struct telemetry_text prefix, struct telemetry_text name, struct telemetry_value value);

/* NULL if it has none. */
const struct telemetry_group *telemetry_group(const struct telemetry *t, const char *name);
const struct telemetry_column *telemetry_column(
        const struct telemetry *t, const struct telemetry_group *group, const char *name);

/* Equal for names that are the same but for the case of ASCII letters. */
uint32_t telemetry_hash(const char *name, size_t len);
bool telemetry_same_name(struct telemetry_text a, struct telemetry_text b);
