/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * One call of the update server's Management API, waited for: plain HTTP to `http_listen`, as user
 * admin with the password in the data folder.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "tool/verb.h"

/* `target` begins after /rest/v1/; `body` is JSON text or NULL. `*ret` is the answer's document,
 * NULL if it has none; may be NULL. An answer of 400 and above fails with its own message. */
int mgmt_call(const struct verb_context *v, const char *method, const char *target,
        const char *body, json_t **ret, struct err *err);
/* Where the update server of the data folder is (`http://…`) and its admin's password. */
int mgmt_local(
        const struct verb_context *v, struct buf *url, struct buf *password, struct err *err);
