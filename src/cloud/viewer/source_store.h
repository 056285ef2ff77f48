/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The viewer's window to the store: history as the page wants it. The store needn't exist yet; then
 * everything is empty, and the file is looked for again with each question.
 */
#include "base/buf.h"
#include "base/clean.h"
#include "base/err.h"
#include "base/json.h"
#include "cloud/viewer/series_query.h"

struct cloud_config;
struct fleet;
struct source_store;

int source_store_new(
        const struct cloud_config *config, struct source_store **ret_source, struct err *err);
void source_store_free(struct source_store *s);
CLEAN_DEFINE(source_store, source_store_free);

/* Every device with its last update into `fleet`. *ret_offset: the stream up to where the store has
 * read it; 0 while there is no store. */
int source_store_fill_fleet(
        struct source_store *s, struct fleet *fleet, uint64_t *ret_offset, struct err *err);
/* {first_seen, last_seen, sequence, messages, duplicates, tables {name: [columns]}, last {name:
 * {…}}}; *ret is NULL for a device that the store has not heard of. */
int source_store_device(struct source_store *s, const char *device, json_t **ret, struct err *err);
/* The document of docs/viewer.md as text: {table, from, to, columns, offset, times, values}. */
int source_store_series(
        struct source_store *s, const struct series_query *q, struct buf *ret, struct err *err);
/* The updates of a device with the telemetry gap of each, oldest first. NULL with `err` on failure.
 */
json_t *source_store_updates(struct source_store *s, const char *device, int64_t from_ms,
        int64_t to_ms, struct err *err);
