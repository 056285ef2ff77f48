/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* A policy from a user: any bytes are parsed or refused, and what is parsed decides about anything.
 * The input up to the first NUL is the document, the rest the topic that is asked for. */
#include "cloud/registry/policy.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
        size_t len = nul ? (size_t)(nul - data) : size;
        CLEAN(policy) struct policy *p = NULL;
        if (policy_parse((const char *)data, len, &p, NULL) < 0)
                return 0;
        CLEAN_MEM char *topic = nul ? strndup((const char *)nul + 1, size - len - 1)
                                    : strdup("device/car-1/telemetry");
        if (!topic)
                return 0;
        const struct policy *const list[] = {p};
        for (int action = 0; action < POLICY_ACTION_N; action++) {
                const struct policy_request q = {
                        (enum policy_action)action, topic, "car-1", "car-1"};
                struct policy_verdict v;
                (void)policy_allows(list, 1, &q, &v);
        }
        return 0;
}
