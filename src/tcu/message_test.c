/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "tcu/message.h"

#include <string.h>

static const struct message_head head = {
        .device = "VIN\"1", .time_ms = 1795374000123, .sequence = 17, .version = "1.0.0"};

static void telemetry_keeps_the_bytes_of_the_app(void **state)
{
        const char *telemetry = "{\"Engine\":{\"Speed\":0.10000000000000001,\"Power\":1e2}}";
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MESSAGE_BYTES);
        assert_int_equal(message_telemetry(&b, &head, telemetry, strlen(telemetry)), 0);
        assert_string_equal(buf_text(&b), "{\"DeviceID\":\"VIN\\\"1\",\"Timestamp\":\"2026-11-"
                                          "22T19:00:00.123Z\",\"Sequence\":17,"
                                          "\"SoftwareVersion\":\"1.0.0\",\"Engine\":{\"Speed\":0."
                                          "10000000000000001,\"Power\":1e2}}");
}

static void an_update_event_is_a_message_too(void **state)
{
        const struct message_event e = {
                "3", "rolled_back", "1.0.0", "1.1.0", "it said: \"no\"\n\xff"};
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MESSAGE_BYTES);
        assert_int_equal(message_update(&b, &head, &e), 0);
        CLEAN_JSON json_t *j = json_parse(b.data, b.len, NULL);
        assert_non_null(j);
        const json_t *u = json_object_get(j, "Update");
        assert_string_equal(json_text(u, "State", ""), "rolled_back");
        assert_string_equal(json_text(u, "From", ""), "1.0.0");
        assert_string_equal(json_text(u, "To", ""), "1.1.0");
        assert_string_equal(json_text(u, "Cause", ""), "it said: \"no\"\n\xef\xbf\xbd");
        assert_int_equal(json_int(j, "Sequence", 0), 17);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(telemetry_keeps_the_bytes_of_the_app),
                cmocka_unit_test(an_update_event_is_a_message_too),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
