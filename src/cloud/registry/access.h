/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The access snapshot: what the broker enforces, as one file (CLOUD_ACCESS) that the registry
 * replaces whole after each change. Whoever enforces it loads it again when the file has changed.
 *
 *   {"generation": 12,
 *    "policies": {"driveline-default": {"Version": …, "Statement": …}},
 *    "certificates": {"<serial>": {"thing": "car-1", "state": "active", "not_after": 1795…,
 *                                  "policies": ["driveline-default"]}}}
 *
 * A snapshot is immutable once loaded; certificates found in it are borrowed and die with it.
 * Deleted certificates aren't in it. A file that is not right in every part is refused as a whole:
 * half of the rules would be worse than those of a moment ago.
 */
#include "cloud/registry/policy.h"

#include <stdint.h>

enum certificate_state {
        CERTIFICATE_ACTIVE,
        CERTIFICATE_INACTIVE,
        CERTIFICATE_DELETED,
        CERTIFICATE_STATE_N,
};

const char *certificate_state_to_string(enum certificate_state state);
int certificate_state_from_string(const char *text, enum certificate_state *ret_state);

struct access; /* a loaded snapshot */
struct access_certificate;

int access_load(const char *path, struct access **ret_access, struct err *err);
void access_free(struct access *a);
CLEAN_DEFINE(access, access_free);

size_t access_count(const struct access *a);
/* `serial` is lower-case hex as of tls_peer_identity(); NULL if there is no such certificate. */
const struct access_certificate *access_find(const struct access *a, const char *serial);
/* A certificate of the thing that is active at `now_ms`; NULL if it has none. */
const struct access_certificate *access_find_thing(
        const struct access *a, const char *thing, int64_t now_ms);

const char *access_thing(const struct access_certificate *c);
/* Active and not yet expired. */
bool access_is_active(const struct access_certificate *c, int64_t now_ms);
/* What the certificate's policies say; its state isn't asked. `resource` has no kind: a client id,
 * a topic or a filter. `ret_verdict` may be NULL. */
bool access_allows(const struct access_certificate *c, enum policy_action action,
        const char *resource, const char *client_id, struct policy_verdict *ret_verdict);
/* The name of the policy that a verdict of access_allows() is about. */
const char *access_policy_name(const struct access_certificate *c, const struct policy_verdict *v);
