/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The registry: which things there are, which certificates prove them, and what policies let them
 * do.
 *
 * A thing is a name: the MQTT client id, the certificate's common name and the DeviceID of its car
 * at once. It has certificates from the internal CA (ECDSA P-256), of which each is active,
 * inactive or deleted; the last is for ever, and its row stays so that a log's serial number can be
 * explained. Policies are attached to things, so they outlive a renewed certificate. Everything is
 * in one SQLite file that command line and servers may use at the same time.
 *
 * What the broker enforces is the access snapshot (access.h), written anew after each change. It
 * carries the database's generation, and opening the registry compares the two: a crash between the
 * change and the snapshot is mended by the next one who opens.
 *
 * Private keys are written once, for the thing, with mode 0600; the registry keeps none but those
 * of the CA, of the cloud's server and of its own MQTT client. No call here needs an event loop;
 * all may block on the disk.
 */
#include "base/clean.h"
#include "base/err.h"
#include "base/limits.h"
#include "cloud/config/config.h"
#include "cloud/registry/access.h" /* part of this folder's face */
#include "cloud/registry/policy.h" /* part of this folder's face */
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* Attached to each new thing: connect as oneself, publish one's telemetry and update events, be
 * told to poll. */
#define REGISTRY_DEFAULT_POLICY "driveline-default"

/* Makes what is missing below the data folder: root CA, server certificate, the cloud's own MQTT
 * identity, the admin's password, the default policies, the access snapshot. Does nothing when all
 * is there; makes the server's certificate anew when it ends within 30 days or lacks a name that it
 * needs. May be called at any time by several processes at once. */
int registry_init(const struct cloud_config *config, struct err *err) MUST_CHECK;

struct registry;

/* `config` is borrowed. Does what registry_init() does first. */
int registry_open(
        const struct cloud_config *config, struct registry **ret_registry, struct err *err);
void registry_free(struct registry *r);
CLEAN_DEFINE(registry, registry_free);

/* ── things ── */

#define REGISTRY_SERIAL_SIZE 41
#define REGISTRY_DEFAULT_DAYS 3650
#define REGISTRY_MAX_DAYS 7300

/* 0, or -EINVAL with the rule: 1 to 64 of A-Z a-z 0-9 _ . : - and neither '.' nor '-' first. */
int registry_check_name(const char *name, struct err *err);

struct registry_files {
        const char *out_dir; /* NULL: DATA/things/NAME */
        int days;            /* validity; 0: REGISTRY_DEFAULT_DAYS */
};

/* Registers the thing with an active certificate and writes NAME.private.key, NAME.public.key,
 * NAME.cert.pem and root-CA.crt into the folder. `policies` (names) are attached; n_policies 0: the
 * default policy. -EEXIST if the thing is there, or, in a folder of the caller's, one of the files.
 */
int registry_thing_create(struct registry *r, const char *name, const struct registry_files *files,
        const char *const *policies, size_t n_policies, struct err *err);
/* Another certificate with a new key, written like the first. The older ones stay active until they
 * expire, so that the car is never cut off before it has the new files, unless `revoke` deletes
 * them. */
int registry_thing_renew(struct registry *r, const char *name, const struct registry_files *files,
        bool revoke, struct err *err);
/* All certificates of the thing that aren't deleted become active or inactive. */
int registry_thing_set_active(struct registry *r, const char *name, bool active, struct err *err);
/* Removes thing, attachments and DATA/things/NAME, and deletes its certificates. -EBUSY if it has
 * an active certificate, unless `force`. */
int registry_thing_delete(struct registry *r, const char *name, bool force, struct err *err);

struct registry_certificate {
        char serial[REGISTRY_SERIAL_SIZE]; /* lower-case hex */
        char fingerprint[65];              /* SHA-256 of the certificate's DER */
        char thing[LIMIT_THING_NAME_BYTES + 1];
        enum certificate_state state;
        int64_t created_at_ms, not_before_ms, not_after_ms;
};

struct registry_thing {
        char name[LIMIT_THING_NAME_BYTES + 1];
        int64_t created_at_ms;
        struct registry_certificate newest; /* active ones before inactive ones */
};

/* -ENOENT names the next step. */
int registry_thing_get(
        struct registry *r, const char *name, struct registry_thing *ret_thing, struct err *err);
/* By name. `each` returns 0 to go on; another value ends the walk and is returned. It must not use
 * `r`. */
int registry_thing_each(struct registry *r,
        int (*each)(void *arg, const struct registry_thing *thing), void *arg, struct err *err);
/* The thing's certificates, deleted ones too, newest first; those of a former thing of that name
 * too. */
int registry_certificate_each(struct registry *r, const char *thing,
        int (*each)(void *arg, const struct registry_certificate *certificate), void *arg,
        struct err *err);
/* Whether the certificate with that serial belongs to `thing`, is active and not expired. */
bool registry_is_active(struct registry *r, const char *thing, const char *serial);

/* ── policies ── */

/* Creates the policy (-EEXIST if it is there) or, with `update`, its next version, which counts at
 * once
 * (-ENOENT if it is not there). The last LIMIT_POLICY_VERSIONS versions are kept. The document is
 * checked first. */
int registry_policy_put(struct registry *r, const char *name, const char *document, size_t len,
        bool update, int *ret_version, struct err *err);
/* -EBUSY while it is attached, and for the two built-in ones. */
int registry_policy_delete(struct registry *r, const char *name, struct err *err);
int registry_policy_attach(
        struct registry *r, const char *name, const char *thing, struct err *err);
int registry_policy_detach(
        struct registry *r, const char *name, const char *thing, struct err *err);

struct registry_policy {
        const char *name, *document; /* borrowed for the call of `each` */
        int version;
        bool is_current;
        int n_things; /* that it is attached to */
        int64_t created_at_ms;
};

/* By name, newest version first; `name` NULL: the current versions of all. `each` as above. */
int registry_policy_each(struct registry *r, const char *name,
        int (*each)(void *arg, const struct registry_policy *policy), void *arg, struct err *err);
/* The names of the policies attached to `thing`, or of the things that `policy` is attached to; the
 * other one is NULL. */
int registry_attachment_each(struct registry *r, const char *thing, const char *policy,
        int (*each)(void *arg, const char *name), void *arg, struct err *err);

struct registry_decision {
        bool allowed;
        char policy[LIMIT_THING_NAME_BYTES + 1]; /* that decided; "" if none says anything */
        int statement;                           /* from 1; 0 if none */
        char sid[128];
        bool no_certificate; /* denied whatever the policies say: the thing has no active
                                certificate */
};

/* What the broker would decide for the thing, which connects with its name as client id. `resource`
 * is a client id, topic or filter, with or without its kind in front. */
int registry_policy_test(struct registry *r, const char *thing, enum policy_action action,
        const char *resource, struct registry_decision *ret_decision, struct err *err);
