/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * How a person asks a running agent what it does: a socket in its folder (`tcu.sock`) that answers
 * each connection with one JSON document and closes. Asking costs no write to the flash, and the
 * answer is of this moment.
 */
#include "base/err.h"
#include "base/clean.h"
#include "base/json.h"
#include <event2/event.h>

struct status;
/* `describe` returns a new document; called once for each question. */
int status_new(struct event_base *base, const char *dir, json_t *(*describe)(void *arg), void *arg,
        struct status **ret_status, struct err *err);
void status_free(struct status *s);
CLEAN_DEFINE(status, status_free);

/* Asks the agent of `dir`; may block for a few seconds. -ECONNREFUSED or -ENOENT: none runs there.
 */
int status_ask(const char *dir, json_t **ret_document, struct err *err);
