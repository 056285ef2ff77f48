/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A tenant's configuration: a fixed table of keys with types and defaults; a row in the database
 * only where a tenant set a value. Changes count from the next request on. What a tenant has set is
 * kept in memory, since every poll asks for it.
 */
#include "cloud/ota/tx.h"

enum setting_type {
        SETTING_BOOL,
        SETTING_INT,
        SETTING_LONG,
        SETTING_TEXT,
        SETTING_POLLING,
        SETTING_OVERDUE,
        SETTING_DURATION, /* 36:00:00, 90, PT36H; empty: none */
};

struct setting {
        const char *key;
        enum setting_type type;
        const char *value; /* the default as text */
};

#define SETTING_HEADER_ENABLED "authentication.header.enabled"
#define SETTING_HEADER_AUTHORITY "authentication.header.authority"
#define SETTING_TARGET_TOKEN "authentication.targettoken.enabled"
#define SETTING_GATEWAY_ENABLED "authentication.gatewaytoken.enabled"
#define SETTING_GATEWAY_KEY "authentication.gatewaytoken.key"
#define SETTING_POLLING_TIME "pollingTime"
#define SETTING_OVERDUE_TIME "pollingOverdueTime"
#define SETTING_POLL_COUNT "maintenanceWindowPollCount"
#define SETTING_APPROVAL "rollout.approval.enabled"
#define SETTING_AUTO_CLOSE "repository.actions.autoclose.enabled"
#define SETTING_CLEANUP_EXPIRY "action.cleanup.auto.expiry"
#define SETTING_CLEANUP_STATUS "action.cleanup.auto.status"
#define SETTING_CLEANUP_PERCENT "action.cleanup.onQuotaHit.percent"
#define SETTING_BATCH "batch.assignments.enabled"
#define SETTING_CONFIRMATION "user.confirmation.flow.enabled"
#define SETTING_IMPLICIT_LOCK "implicit.lock.enabled"
#define SETTING_DEFAULT_TYPE "default.ds.type" /* kept with the tenant, not in the table below */

/* Ours: by default everything is as in hawkBit (docs/update-server.md has the table). They are
 * listed only where a tenant has set them, so that hawkBit's list stays hawkBit's. */
#define SETTING_OURS "driveline."
#define SETTING_CERTIFICATE "driveline.authentication.certificate.enabled"
#define SETTING_FINGERPRINTS "driveline.authentication.certificate.fingerprints"
#define SETTING_SSL_HEADERS "driveline.authentication.header.ssl.enabled"
#define SETTING_TIMEOUT "driveline.action.timeout"
#define SETTING_TIMEOUT_TOTAL "driveline.action.timeout.total"
#define SETTING_PROOF "driveline.action.proof"
#define SETTING_PROOF_WITHIN "driveline.action.proof.within"
#define SETTING_REINSTALL "driveline.assignment.reinstall"
#define SETTING_NO_DOWNGRADE "driveline.downgrade.prevent"
#define SETTING_EVENTS "driveline.events.enabled"
#define SETTING_HOOK_GIVE_UP "driveline.webhook.giveup"

extern const struct setting settings_table[]; /* ended by a NULL key */

const struct setting *settings_find(const char *key);
const char *settings_text(struct tx *tx, const char *key);
bool settings_bool(struct tx *tx, const char *key);
int64_t settings_int(struct tx *tx, const char *key);
/* In ms; 0: none. */
int64_t settings_duration(struct tx *tx, const char *key);
/* Is it left out of the list of all? */
bool settings_is_hidden(struct tx *tx, const struct setting *s);
/* A request's value in the form that is stored; NULL and a problem if it isn't of the key's type.
 */
const char *settings_convert(struct tx *tx, const struct setting *s, const json_t *value);
void settings_put(struct tx *tx, const char *key, const char *value);
void settings_remove(struct tx *tx, const char *key);
/* Drops what is remembered; the next reader asks the database. */
void settings_forget(struct database *d);
/* Polls before this time are overdue by the default interval: ${OVERDUE_TS}. */
int64_t settings_overdue_before(struct tx *tx);
