/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Who calls the Management API: the user of the Authorization header, or the one whose API token it
 * holds. Users of the start come before those of the database; both are looked up for each request,
 * so that a change counts at once, also one by another process on the same database.
 */
#include "cloud/ota/auth.h"

struct request;

enum caller_verdict { CALLER_KNOWN, CALLER_UNKNOWN, CALLER_LIMITED, CALLER_WAITS };

/* Sets q->user. CALLER_LIMITED: wait *ret_wait_s. CALLER_WAITS: the exchange is kept elsewhere and
 * the request begins again later; it must not be answered now. */
enum caller_verdict caller_find(struct request *q, int *ret_wait_s);
/* The user of that name as the server knows it now; -ENOENT. `ret` is the caller's to user_fini().
 */
int caller_user(struct request *q, const char *name, struct user *ret);
/* Is it one of those that the server was started with? */
bool caller_is_fixed(struct request *q, const char *name);
