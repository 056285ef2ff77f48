/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Rules decide which messages of the stream are stored, and what of them:
 *
 *   SELECT * FROM 'device/+/telemetry' WHERE Engine.Speed > 50 AND NOT ABS.TractionControl
 *   SELECT Battery, ABS.Wheel1.Speed AS Wheels.FrontLeft, topic(2) AS vin FROM 'device/+/telemetry'
 *
 * A rule is compiled once and then applied to flattened messages without allocating anything. Logic
 * has three values: a comparison with something that is missing, null or of another type is
 * unknown, and only a WHERE that is true takes a message. docs/rules.md is the manual.
 *
 * A set of rules is a folder with one file `NAME.json` a rule. A message is handled by the first
 * rule, by name, that takes it; so it is never stored twice.
 */
#include "base/clean.h"
#include "base/err.h"
#include "wire/telemetry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Below the data folder. */
#define RULE_DIR "rules"

struct rule;

/* -EINVAL with the reason and the place. */
int rule_parse(const char *sql, struct rule **ret_rule, struct err *err);
void rule_free(struct rule *rule);
CLEAN_DEFINE(rule, rule_free);

bool rule_takes_topic(const struct rule *rule, const char *topic);

#define RULE_NO_MATCH 1
/* Asks whether the rule takes the message `in` that came on `topic` at `time_ms`, whose filter must
 * have matched. If so, *ret_message is what it selects: `in` itself, or `scratch`, which then
 * borrows from `in`, `topic` and the rule. -EBADMSG when the selected columns don't fit together.
 */
int rule_apply(struct rule *rule, const char *topic, int64_t time_ms, const struct telemetry *in,
        struct telemetry *scratch, const struct telemetry **ret_message,
        struct err *err) MUST_CHECK;

/* ── topic filters of MQTT ── */

/* -EINVAL with the reason: empty, '#' not at the end, '+' or '#' beside other characters. */
int rule_filter_check(const char *filter, struct err *err);
bool rule_filter_matches(const char *filter, const char *topic);

/* ── a folder of rules ── */

struct rule_entry {
        char *name;
        char *sql;
        struct rule *rule; /* NULL: the file is bad; `reason` says why */
        char *reason;
};

struct rule_set {
        struct rule_entry *entries; /* by name */
        size_t n;
};

/* Makes the folder with the default rules (`telemetry`, `update`) unless it is there; so a deleted
 * default stays deleted. */
int rule_set_init(const char *dir, struct err *err);
/* One bad file spoils nothing but itself. The defaults when there is no folder. */
int rule_set_load(const char *dir, struct rule_set *ret, struct err *err);
void rule_set_fini(struct rule_set *set);
#define CLEAN_RULE_SET __attribute__((cleanup(rule_set_fini)))

/* The first rule that takes the message, and what it selects (as rule_apply()); RULE_NO_MATCH:
 * none. */
int rule_set_apply(struct rule_set *set, const char *topic, int64_t time_ms,
        const struct telemetry *in, struct telemetry *scratch, const struct telemetry **ret_message,
        const struct rule_entry **ret_entry, struct err *err) MUST_CHECK;
/* Whether any rule's filter matches: if not, the message needn't even be parsed. */
bool rule_set_takes_topic(const struct rule_set *set, const char *topic);

/* Checks and writes `NAME.json`; -EEXIST unless `replace`. Names are letters, digits, '-' and '_'.
 */
int rule_create(const char *dir, const char *name, const char *sql, bool replace, struct err *err);
/* -ENOENT */
int rule_delete(const char *dir, const char *name, struct err *err);
