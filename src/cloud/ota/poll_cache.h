/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Answers to polls that had nothing to tell, so that the next same poll needs no database.
 *
 * An answer holds as long as nothing was written (the times of polls apart: nobody's answer depends
 * on them) and the request is the same in every header that could matter. One writer makes that
 * simple: the database's own count of changes is the revision. Polls with an action, a random
 * interval or overrides of the interval are never kept, since time changes them. At POLL_CACHE_MAX
 * all are dropped.
 */
#include <stdbool.h>
#include <stdint.h>

#define POLL_CACHE_MAX 20000 /* about 14 MB */

struct request;
struct poll_cache;

struct poll_cache *poll_cache_new(void);
void poll_cache_free(struct poll_cache *c);
/* Answers `q` from memory if it can. The caller has checked a client certificate, if there is one.
 */
bool poll_cache_answer(struct poll_cache *c, struct request *q);
/* Keeps the answer that `q` has now, made for `target`. */
void poll_cache_keep(struct poll_cache *c, struct request *q, int64_t target);
