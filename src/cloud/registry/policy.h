/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A policy: a JSON document that says who may do what with the broker. Pure: text in, verdict out.
 *
 *   {"Version": "2012-10-17",
 *    "Statement": [{"Sid": "PublishOwn", "Effect": "Allow", "Action": "iot:Publish",
 *                   "Resource": "topic/device/${iot:Connection.Thing.ThingName}/telemetry"}]}
 *
 * Nothing is allowed until a statement allows it, and a statement that denies wins over all that
 * allow. Each action acts on resources of one kind: Connect on client/…, Publish and Receive on
 * topic/…, Subscribe on topicfilter/…, so a resource of another kind in the same statement does no
 * harm. In a resource `*` stands for any text ('/' too), `?` for one byte, and the two variables
 * ${iot:Connection.Thing.ThingName} and ${iot:ClientId} for the one who asks, always as plain text.
 * MQTT's own wildcards (+ and #) mean nothing here: a filter is compared as it was written.
 * What the grammar doesn't know is refused and not skipped, since a condition that is overlooked
 * would give more than its author meant. docs/policies.md tells it to people.
 */
#include "base/clean.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

enum policy_action {
        POLICY_CONNECT,
        POLICY_PUBLISH,
        POLICY_SUBSCRIBE,
        POLICY_RECEIVE,
        POLICY_ACTION_N,
};

/* `iot:Connect` …; NULL for anything that is no action. */
const char *policy_action_to_string(enum policy_action action);
/* -EINVAL for an unknown name; `iot:*` is none. */
int policy_action_from_string(const char *text, enum policy_action *ret_action);
/* The kind of resource that the action acts on, with its slash: `client/`, `topic/`,
 * `topicfilter/`. */
const char *policy_action_kind(enum policy_action action);

struct policy; /* immutable once parsed */

int policy_parse(const char *text, size_t len, struct policy **ret_policy, struct err *err);
void policy_free(struct policy *p);
CLEAN_DEFINE(policy, policy_free);

struct policy_request {
        enum policy_action action;
        const char *resource; /* client id, topic or topic filter, without its kind */
        const char *thing;    /* name of the thing that the certificate belongs to */
        const char *client_id;
};

struct policy_verdict {
        bool allowed;
        int policy;      /* index of the policy that decided; -1: none says anything, so denied */
        int statement;   /* index of its statement, from 0 */
        const char *sid; /* borrowed from the policy; "" if it has none */
};

/* What `policies` together say. `ret_verdict` may be NULL. */
bool policy_allows(const struct policy *const *policies, size_t n_policies,
        const struct policy_request *request, struct policy_verdict *ret_verdict);
