/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "wire/json_scan.h"
#include "wire/seam.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static int parse(const char *line, struct seam_actuators *actuators, struct seam_answer *answer)
{
        struct err err = ERR_INIT;
        int r = seam_parse_answer(line, strlen(line), actuators, answer, &err);
        if (r < 0)
                assert_true(err.text[0] != '\0');
        return r;
}

static void numbers_have_fixed_decimals(void **state)
{
        static const struct {
                double value;
                int decimals;
                const char *text;
        } cases[] = {{0, 0, "0"}, {0, 2, "0.00"}, {1.005, 2, "1.00"}, {0.125, 2, "0.13"},
                {-0.125, 2, "-0.13"}, {-0.001, 2, "0.00"}, {-0.0, 1, "0.0"}, {99.999, 2, "100.00"},
                {12.3, 3, "12.300"}, {-1234567.891, 3, "-1234567.891"},
                {1e14, 0, "100000000000000"}};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                CLEAN_BUF struct buf b = BUF_INIT(100);
                assert_int_equal(seam_add_number(&b, cases[i].value, cases[i].decimals), 0);
                assert_string_equal(buf_text(&b), cases[i].text);
        }
}

static void numbers_beyond_the_format_are_refused(void **state)
{
        static const double values[] = {1e15, -1e15, INFINITY, -INFINITY, NAN};
        for (size_t i = 0; i < N_ELEMENTS(values); i++) {
                CLEAN_BUF struct buf b = BUF_INIT(100);
                assert_int_equal(seam_add_number(&b, values[i], 0), -EDOM);
                assert_int_equal(b.len, 0);
        }
}

static void a_tick_line_is_json_with_every_sensor(void **state)
{
        struct seam_tick tick = {.t = 12.3, .dt = 0.1, .report = true};
        tick.sensors.speed_mps = 8.1;
        tick.sensors.wheel[2].disc_c = 45.678;
        tick.sensors.seat[4].belted = true;
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        assert_int_equal(seam_encode_tick(&tick, &b), 0);
        assert_int_equal(b.data[b.len - 1], '\n');
        assert_ptr_equal(memchr(b.data, '\n', b.len), b.data + b.len - 1);

        struct err err = ERR_INIT;
        CLEAN_JSON json_t *line = json_parse(b.data, b.len, &err);
        assert_non_null(line);
        assert_true(json_bool(line, "report", false));
        const json_t *sensors = json_object_get(line, "sensors");
        size_t n;
        seam_sensor_table(&n);
        assert_int_equal(json_object_size(sensors), n);
        assert_true(json_number(sensors, "speed_mps", 0) == 8.1);
        assert_true(json_number(sensors, "wheel3_disc_c", 0) == 45.68);
        assert_true(json_bool(sensors, "seat5_belted", false));
}

static void sensors_out_of_range_are_clamped(void **state)
{
        struct seam_tick tick = {.dt = 0.1};
        tick.sensors.battery_soc_pct = 120;
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        assert_int_equal(seam_encode_tick(&tick, &b), 0);
        assert_non_null(strstr(b.data, "\"battery_soc_pct\":100.0000,"));
}

static void a_sensor_that_is_not_finite_leaves_no_line(void **state)
{
        struct seam_tick tick = {.dt = 0.1};
        tick.sensors.zone[1].temperature_c = NAN;
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_SEAM_LINE_BYTES);
        assert_int_equal(seam_encode_tick(&tick, &b), -EDOM);
        assert_int_equal(b.len, 0);
}

static void tables_name_each_field_once(void **state)
{
        size_t n;
        const struct seam_signal *table = seam_sensor_table(&n);
        for (size_t i = 0; i < n; i++)
                for (size_t k = i + 1; k < n; k++) {
                        assert_true(strlen(table[i].name) <= 40);
                        assert_string_not_equal(table[i].name, table[k].name);
                        assert_true(table[i].offset != table[k].offset);
                }
}

static void an_answer_sets_the_actuators_it_names(void **state)
{
        struct seam_actuators a = seam_actuators_default();
        a.seat_heater_duty[1] = 0.7;
        struct seam_answer answer;
        assert_int_equal(
                parse(" { \"actuators\" : {\"regen_torque_fraction\":0.8,\"zone3_hvac\":-5,"
                      "\"airbag2_armed\":false,\"later\":[1,{}]} }\r\n",
                        &a, &answer),
                0);
        assert_true(answer.has_actuators);
        assert_null(answer.telemetry);
        assert_true(a.regen_torque_fraction == 0.8);
        assert_true(a.zone_hvac[2] == -1);
        assert_true(a.seat_heater_duty[1] == 0.7);
        assert_true(a.airbag_armed[0] && !a.airbag_armed[1]);
}

static void telemetry_is_handed_out_as_it_stands(void **state)
{
        static const char *const lines[] = {
                "{\"telemetry\":{\"Engine\":{\"Speed\":1.50}, \"Note\":1}}",
                "{\"actuators\":{},\"telemetry\":{\"Engine\":{\"Speed\":1.50}, \"Note\":1}}\n",
                "  {\"Engine\":{\"Speed\":1.50}, \"Note\":1} \n"};
        for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                struct seam_actuators a = seam_actuators_default();
                struct seam_answer answer;
                assert_int_equal(parse(lines[i], &a, &answer), 0);
                static const char expected[] = "{\"Engine\":{\"Speed\":1.50}, \"Note\":1}";
                assert_int_equal(answer.telemetry_len, sizeof(expected) - 1);
                assert_memory_equal(answer.telemetry, expected, sizeof(expected) - 1);
        }
}

static void bad_answers_change_nothing(void **state)
{
        static const char *const lines[] = {"", "{", "[]", "null", "hello", "{}", "{} {}",
                "{\"telemetry\":{}}", "{\"telemetry\":[]}", "{\"telemetry\":{\"Engine\":1}}",
                "{\"Engine\":1}", "{\"actuators\":3}", "{\"actuators\":{\"zone1_hvac\":\"1\"}}",
                "{\"actuators\":{\"zone1_hvac\":1e999}}", "{\"actuators\":{\"zone1_hvac\":true}}",
                "{\"actuators\":{\"zone1_hvac\":NaN}}", "{\"actuators\":{\"traction_control\":1}}",
                "{\"actuators\":{},\"actuators\":{}}",
                "{\"actuators\":{\"regen_torque_fraction\":0.5},\"telemetry\":{}}",
                "{\"actuators\":{\"regen_torque_fraction\":0.5,\"zone1_hvac\":null}}",
                "{\"telemetry\":{\"DeviceID\":\"other\",\"Engine\":{}}}",
                "{\"telemetry\":{\"Device\\u0049D\":\"other\",\"Engine\":{}}}",
                "{\"telemetry\":{\"Update\":{\"State\":\"confirmed\"}}}",
                "{\"telemetry\":{\"Engine\":{\"Speed\":01}}}",
                "{\"telemetry\":{\"Engine\":{\"Speed\":1,}}}",
                "{\"telemetry\":{\"Engine\":{\"Text\":\"\xc0\x80\"}}}",
                "{\"telemetry\":{\"Engine\":{\"Text\":\"\\ud800\"}}}"};
        for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                struct seam_actuators a = seam_actuators_default(), before = a;
                struct seam_answer answer = {.telemetry_len = 77};
                if (parse(lines[i], &a, &answer) == 0)
                        fail_msg("accepted: %s", lines[i]);
                assert_memory_equal(&a, &before, sizeof(a));
                assert_int_equal(answer.telemetry_len, 77);
        }
}

static void an_endless_line_is_refused(void **state)
{
        CLEAN_MEM char *line = malloc(LIMIT_SEAM_LINE_BYTES + 1);
        assert_non_null(line);
        memset(line, ' ', LIMIT_SEAM_LINE_BYTES + 1);
        struct seam_actuators a = seam_actuators_default();
        struct seam_answer answer;
        assert_int_equal(
                seam_parse_answer(line, LIMIT_SEAM_LINE_BYTES + 1, &a, &answer, NULL), -E2BIG);
}

static void nesting_is_bounded(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_KIB(10));
        for (int extra = 0; extra < 2; extra++) {
                buf_clear(&b);
                buf_adds(&b, "{\"telemetry\":{\"Engine\":");
                for (int i = 0; i < LIMIT_JSON_DEPTH - 2 + extra; i++)
                        buf_adds(&b, "{\"a\":");
                buf_adds(&b, "1");
                for (int i = 0; i < LIMIT_JSON_DEPTH + extra; i++)
                        buf_adds(&b, "}");
                struct seam_actuators a = seam_actuators_default();
                struct seam_answer answer;
                assert_int_equal(seam_parse_answer(b.data, b.len, &a, &answer, NULL),
                        extra == 0 ? 0 : -EINVAL);
        }
}

static void the_scanner_agrees_with_the_json_library(void **state)
{
        static const char *const texts[] = {"{\"a\":1}", "{\"a\":-0}", "{\"a\":-}", "{\"a\":1.}",
                "{\"a\":.5}", "{\"a\":1e5}", "{\"a\":1E+05}", "{\"a\":1e}", "{\"a\":+1}",
                "{\"a\":9223372036854775807}", "{\"a\":9223372036854775808}", "{\"a\":1e400}",
                "{\"a\":\"\\u00e9\\ud83d\\ude00\"}", "{\"a\":\"\\ude00\"}", "{\"a\":\"\\u0000\"}",
                "{\"a\":\"\\x\"}", "{\"a\":\"\xf0\x9f\x98\x80\"}", "{\"a\":\"\xed\xa0\x80\"}",
                "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xe0\x80\x80\"}", "{\"a\":\"\t\"}",
                "{\"a\":tru}", "{\"a\":true,}", "{\"a\":[1,2,[]],\"b\":{}}", "{\"a\":[1,]}",
                "{\"a\":[1 2]}", "{a:1}", "{\"a\" 1}", "{\"a\":1}x", "{\"a\":\"", "{\"a\":\"\\"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                size_t len = strlen(texts[i]);
                CLEAN_JSON json_t *value = json_parse(texts[i], len, NULL);
                int r = json_scan_object(texts[i], len, 0, NULL, NULL);
                if ((value != NULL) != (r == 0))
                        fail_msg("the two differ about: %s", texts[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers_have_fixed_decimals),
                cmocka_unit_test(numbers_beyond_the_format_are_refused),
                cmocka_unit_test(a_tick_line_is_json_with_every_sensor),
                cmocka_unit_test(sensors_out_of_range_are_clamped),
                cmocka_unit_test(a_sensor_that_is_not_finite_leaves_no_line),
                cmocka_unit_test(tables_name_each_field_once),
                cmocka_unit_test(an_answer_sets_the_actuators_it_names),
                cmocka_unit_test(telemetry_is_handed_out_as_it_stands),
                cmocka_unit_test(bad_answers_change_nothing),
                cmocka_unit_test(an_endless_line_is_refused),
                cmocka_unit_test(nesting_is_bounded),
                cmocka_unit_test(the_scanner_agrees_with_the_json_library),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
