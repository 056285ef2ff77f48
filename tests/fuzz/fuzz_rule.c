/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Whatever compiles can be applied; the first line may be a topic filter to match with. */
#include "cloud/rule/rule.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char message[] = "{\"DeviceID\":\"VIN1\",\"Sequence\":17,\"Mode\":\"eco\","
                              "\"Engine\":{\"Speed\":53.5,\"Gear\":null},"
                              "\"ABS\":{\"TractionControl\":true,\"Wheel1\":{\"Speed\":53}}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct telemetry *in, *scratch;
        if (!in && !((in = telemetry_new()) && (scratch = telemetry_new())))
                return 0;
        char *sql = malloc(size + 1);
        if (!sql || telemetry_parse(in, message, sizeof(message) - 1, NULL)) {
                free(sql);
                return 0;
        }
        memcpy(sql, data, size);
        sql[size] = 0;
        struct rule *rule = NULL;
        if (!rule_parse(sql, &rule, NULL)) {
                const struct telemetry *out = NULL;
                (void)rule_takes_topic(rule, "device/VIN1/telemetry");
                if (!rule_apply(rule, "device/VIN1/telemetry", 1, in, scratch, &out, NULL) && !out)
                        abort();
                rule_free(rule);
        }
        if (!rule_filter_check(sql, NULL))
                (void)rule_filter_matches(sql, "device/VIN1/telemetry");
        free(sql);
        return 0;
}
