/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The update server's Management API, as far as a pipeline calls it; ours or any hawkBit.
 *
 * Each call ends in one callback. A server that cannot be reached or answers 502, 503 or 504 is
 * tried again for a minute (it may be restarting), so a request may reach the server twice: callers
 * look up what they wanted to create when the answer is 409.
 */
#include "base/clean.h"
#include "base/err.h"
#include "base/json.h"
#include <event2/event.h>

struct hawkbit;

/* `url` is `http://host:port`; `password_file` holds one line. Everything is copied. */
int hawkbit_new(struct event_base *base, const char *url, const char *user,
        const char *password_file, struct hawkbit **ret_hawkbit, struct err *err);
/* Drops the call under way; its callback isn't called. */
void hawkbit_free(struct hawkbit *h);
CLEAN_DEFINE(hawkbit, hawkbit_free);

/* `status` is 0 when there was no answer, and `err` says why. `body` (may be NULL) is borrowed. A
 * status of 400 and above has its reason in `err` too; 404 and 409 often mean something to the
 * caller. */
typedef void (*hawkbit_done)(void *arg, int status, json_t *body, const struct err *err);

/* One call at a time. `body` (may be NULL) is taken. */
void hawkbit_call(struct hawkbit *h, const char *method, const char *target, json_t *body,
        hawkbit_done done, void *arg);
/* Uploads a file as an artifact of a software module. */
void hawkbit_upload(struct hawkbit *h, int64_t module, const char *path, const char *name,
        const char *sha256, hawkbit_done done, void *arg);
