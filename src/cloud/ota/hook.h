/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* A web-hook (event_hub.h): its row, and who sends to it. */
#include "base/err.h"
#include "cloud/ota/tx.h"

struct ota;

struct hook {
        int64_t id, tenant;
        const char *url, *secret, *types;
        bool is_enabled;
        const char *reason;    /* of the last failure; NULL: the last attempt succeeded */
        int64_t last_event;    /* everything up to this one is delivered, or isn't for it */
        int64_t failures;      /* one after another */
        int64_t failing_since; /* 0: it works */
        int64_t next_at;       /* not before this time */
        int64_t n_delivered, n_lost;
};
#define HOOK_COLUMNS                                                                               \
        "h.id, h.tenant, h.url, h.secret, h.types, h.enabled, h.reason, h.last_event, "            \
        "h.failures, "                                                                             \
        "h.failing_since, h.next_at, h.delivered, h.lost, h.created_by, h.created_at, "            \
        "h.modified_by, h.modified_at"
#define HOOK_AUDIT_COLUMN 13
void hook_read(struct sql_rows *r, struct hook *ret);
/* http(s)://host…, without credentials, which would be shown to everybody who may see the hook. */
bool hook_url_is_fine(const char *url);

struct hook_sender;
struct hook_sender *hook_sender_new(struct ota *o);
void hook_sender_free(
        struct hook_sender *s); /* what is under way is sent again at the next start */
/* Sends what is due. */
void hook_sender_look(struct hook_sender *s);
