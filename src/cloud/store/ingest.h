/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * From a record of the stream to the store: rules, flattening, checks. What it can't store becomes
 * a dead letter, so that a bad message never stops the ones behind it.
 */
#include "cloud/rule/rule.h"
#include "cloud/store/store.h"
#include "cloud/stream/stream.h"

struct ingest {
        struct store *store;   /* borrowed */
        struct rule_set rules; /* owned */
        struct telemetry *message, *selected;
        uint64_t stored, duplicates, refused, ignored; /* since the beginning */
};

/* Takes the rules, also on failure. */
int ingest_init(struct ingest *in, struct store *store, struct rule_set *rules, struct err *err);
void ingest_fini(struct ingest *in);

/* Inside of a batch of the store. Fails only if the store does. */
int ingest_record(
        struct ingest *in, const struct stream_record *record, struct err *err) MUST_CHECK;
/* Reads up to `max` records and commits them with the position behind them. *ret_n 0: there were
 * none. */
int ingest_batch(struct ingest *in, struct stream_reader *reader, size_t max, size_t *ret_n,
        struct err *err) MUST_CHECK;
