/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/clock.h"
#include "wire/telemetry.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void dump_value(struct buf *b, const struct telemetry_value *v)
{
        switch (v->type) {
        case TELEMETRY_BOOL:
                buf_adds(b, v->boolean ? "true" : "false");
                break;
        case TELEMETRY_NUMBER:
                buf_addf(b, "%.17g", v->number);
                break;
        case TELEMETRY_TEXT:
                buf_addf(b, "'%.*s'", (int)v->text.len, v->text.at);
                break;
        default:
                buf_adds(b, "null");
        }
}

/* `Engine{Speed=1 Gear.0='a' }` for each group. */
static void dump(struct buf *b, const struct telemetry *t)
{
        for (size_t g = 0; g < t->n_groups; g++) {
                const struct telemetry_group *group = &t->groups[g];
                buf_addf(b, "%.*s{", (int)group->name.len, group->name.at);
                for (size_t i = group->first; i < group->first + group->n; i++) {
                        buf_addf(b, "%.*s=", (int)t->columns[i].name.len, t->columns[i].name.at);
                        dump_value(b, &t->columns[i].value);
                        buf_addc(b, ' ');
                }
                buf_addc(b, '}');
        }
}

static void message_is_flattened(void **state)
{
        static const struct {
                const char *message, *flat;
        } cases[] = {
                {"{}", ""},
                {" { \"Engine\" : { \"Speed\" : 12.5 , \"On\":true } } ",
                        "Engine{Speed=12.5 On=true }"},
                {"{\"ABS\":{\"Wheel1\":{\"Speed\":1,\"Slip\":{\"Max\":2}},\"Active\":false}}",
                        "ABS{Wheel1.Speed=1 Wheel1.Slip.Max=2 Active=false }"},
                {"{\"Cells\":[1,null,\"x\",[2,{\"v\":3}]]}",
                        "Cells{0=1 1=null 2='x' 3.0=2 3.1.v=3 }"},
                {"{\"a\":1,\"E\":{\"x\":2},\"b\":\"t\"}", "E{x=2 }Message{a=1 b='t' }"},
                {"{\"E\":{}}", "E{}"},
                {"{\"E\":{\"a\":{},\"b\":[]}}", "E{}"},
                {"{\"E\":{\"t\":\"a\\n\\\"\\u00e9\\ud83d\\ude00/\\/\"}}",
                        "E{t='a\n\"\xc3\xa9\xf0\x9f\x98\x80//' }"},
                {"{\"E\":{\"\\u0053peed\":1}}", "E{Speed=1 }"},
                {"{\"E\":{\"n\":[0,-0.5,1e3,1E-2,12345678901234567890,0.1,1.7976931348623157e308]}"
                 "}",
                        "E{n.0=0 n.1=-0.5 n.2=1000 n.3=0.01 n.4=1.2345678901234567e+19 "
                        "n.5=0.10000000000000001 n.6=1.7976931348623157e+308 }"},
        };
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct err err = ERR_INIT;
                CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
                if (telemetry_parse(t, cases[i].message, strlen(cases[i].message), &err))
                        fail_msg("%s: %s", cases[i].message, err.text);
                dump(&b, t);
                assert_string_equal(buf_text(&b), cases[i].flat);
        }
}

static void envelope_is_read(void **state)
{
        static const char message[] =
                "{\"DeviceID\":\"VIN1\",\"Timestamp\":\"2026-11-22T19:00:00.250Z\","
                "\"Sequence\":17,\"SoftwareVersion\":\"1.0.0\",\"E\":{\"Speed\":1}}";
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        assert_int_equal(telemetry_parse(t, message, sizeof(message) - 1, NULL), 0);
        assert_true(t->has_device_id && t->has_time && t->has_sequence && t->has_software_version);
        assert_int_equal(t->device_id.len, 4);
        assert_memory_equal(t->device_id.at, "VIN1", 4);
        char text[CLOCK_ISO8601_SIZE];
        clock_iso8601(t->time_ms, text);
        assert_string_equal(text, "2026-11-22T19:00:00.250Z");
        assert_int_equal(t->sequence, 17);
        assert_memory_equal(t->software_version.at, "1.0.0", 5);
        assert_non_null(telemetry_column(t, telemetry_group(t, "e"), "sPEED"));
        assert_null(telemetry_group(t, "Engine"));
        assert_int_equal(telemetry_parse(t, "{}", 2, NULL), 0);
        assert_false(t->has_device_id || t->has_time || t->has_sequence || t->has_software_version);
}

static void bad_message_is_refused_with_its_reason(void **state)
{
        static const struct {
                const char *message, *reason;
        } cases[] = {
                {"", "no object"},
                {"[1]", "no object"},
                {"{", "name is missing"},
                {"{\"a\"}", "':' is missing"},
                {"{\"a\":", "ends too early"},
                {"{\"a\":[", "ends too early"},
                {"{\"a\":1", "ends too early"},
                {"{\"a\":1 \"b\":2}", "',' is missing"},
                {"{\"a\":1,}", "name is missing"},
                {"{\"a\":{\"b\":[1,]}}", "bad value"},
                {"{} x", "something follows"},
                {"{\"a\":01}", "leading zero"},
                {"{\"a\":-}", "bad value"},
                {"{\"a\":1.}", "bad number"},
                {"{\"a\":1e}", "bad number"},
                {"{\"a\":.5}", "bad value"},
                {"{\"a\":+5}", "bad value"},
                {"{\"a\":NaN}", "bad value"},
                {"{\"a\":1e999}", "number too large"},
                {"{\"a\":tru}", "bad value"},
                {"{\"a\":\"\x01\"}", "control character"},
                {"{\"a\":\"\xff\"}", "bad UTF-8"},
                {"{\"a\":\"\xc0\x80\"}", "bad UTF-8"},
                {"{\"a\":\"\xed\xa0\x80\"}", "bad UTF-8"},
                {"{\"a\":\"\\u0000\"}", "NUL"},
                {"{\"a\":\"\\ud800\"}", "surrogate"},
                {"{\"a\":\"\\udc00\"}", "surrogate"},
                {"{\"a\":\"\\x\"}", "bad escape"},
                {"{\"a\":\"\\u12g4\"}", "bad \\u escape"},
                {"{\"a\":\"x", "unfinished text"},
                {"{\"\":1}", "empty name"},
                {"{\"a\\n\":1}", "control character"},
                {"{\"E\":{\"a\":1,\"A\":2}}", "comes twice"},
                {"{\"E\":{\"a.b\":1,\"a\":{\"b\":2}}}", "comes twice"},
                {"{\"E\":{},\"e\":{}}", "subsystem comes twice"},
                {"{\"a\":1,\"a\":2}", "comes twice"},
                {"{\"Message\":{},\"a\":2}", "Message"},
                {"{\"DeviceID\":5}", "DeviceID is no text"},
                {"{\"DeviceID\":\"\"}", "DeviceID is empty"},
                {"{\"DeviceID\":\"a\",\"DeviceID\":\"b\"}", "DeviceID comes twice"},
                {"{\"Timestamp\":\"yesterday\"}", "ISO 8601"},
                {"{\"Timestamp\":17}", "ISO 8601"},
                {"{\"Sequence\":0}", "Sequence"},
                {"{\"Sequence\":1.5}", "Sequence"},
                {"{\"Sequence\":1e300}", "Sequence"},
                {"{\"Sequence\":\"1\"}", "Sequence"},
                {"{\"SoftwareVersion\":1}", "SoftwareVersion"},
        };
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct err err = ERR_INIT;
                /* Of its exact size, so that a sanitizer sees a look behind its end. */
                size_t len = strlen(cases[i].message);
                CLEAN_MEM char *exact = malloc(len ? len : 1);
                memcpy(exact, cases[i].message, len);
                int r = telemetry_parse(t, exact, len, &err);
                if (r >= 0 || !strstr(err.text, cases[i].reason))
                        fail_msg("%s: '%s' instead of '%s'", cases[i].message, err.text,
                                cases[i].reason);
        }
}

/* `n` times `middle` between `head` and `tail`; with a number in it if `numbered`. */
static int parse_repeated(const char *head, const char *middle, bool numbered, unsigned n,
        const char *tail, struct err *err)
{
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(16));
        buf_adds(&b, head);
        for (unsigned i = 0; i < n; i++) {
                buf_adds(&b, middle);
                if (numbered)
                        buf_addf(&b, "%u\":1,", i);
        }
        buf_adds(&b, tail);
        assert_int_equal(b.error, 0);
        return telemetry_parse(t, b.data, b.len, err);
}

static void limits_hold(void **state)
{
        struct err err = ERR_INIT;
        assert_int_equal(parse_repeated("{\"E\":{", "\"c", true, LIMIT_TELEMETRY_COLUMNS - 1,
                                 "\"x\":1}}", &err),
                0);
        assert_int_equal(
                parse_repeated("{\"E\":{", "\"c", true, LIMIT_TELEMETRY_COLUMNS, "\"x\":1}}", &err),
                -EBADMSG);
        assert_non_null(strstr(err.text, "too many columns"));
        assert_int_equal(
                parse_repeated("{", "\"c", true, LIMIT_TELEMETRY_COLUMNS, "\"x\":1}", &err),
                -EBADMSG);
        assert_non_null(strstr(err.text, "too many columns"));
        assert_int_equal(
                parse_repeated("{\"E\":", "[", false, LIMIT_JSON_DEPTH, "", &err), -EBADMSG);
        assert_non_null(strstr(err.text, "too deeply"));
        assert_int_equal(parse_repeated("{\"E\":[", "[],", false, 80000, "[]]}", &err), 0);
        assert_int_equal(parse_repeated("{\"E\":[", "[],", false, 90000, "[]]}", &err), -EBADMSG);
        assert_non_null(strstr(err.text, "too long"));
        assert_int_equal(parse_repeated("{\"E\":{\"", "name", false, 33, "\":1}}", &err), -EBADMSG);
        assert_non_null(strstr(err.text, "name too long"));
        assert_int_equal(
                parse_repeated("{\"E\":{\"a\":{\"", "name", false, 31, "!\":{\"b\":1}}}}", &err),
                -EBADMSG);
        assert_non_null(strstr(err.text, "name too long"));
        assert_int_equal(
                parse_repeated("{\"E\":{\"a\":\"\\n", "text", false, 60000, "\"}}", &err), 0);
}

/* ── the same as jansson says ── */

static void reference_value(struct buf *b, const char *path, json_t *value);

static void reference_members(struct buf *b, const char *path, json_t *value)
{
        char name[1024];
        const char *key;
        json_t *member;
        size_t i;
        const char *dot = *path ? "." : "";
        json_object_foreach(value, key, member)
        {
                snprintf(name, sizeof(name), "%s%s%s", path, dot, key);
                reference_value(b, name, member);
        }
        json_array_foreach(value, i, member)
        {
                snprintf(name, sizeof(name), "%s%s%zu", path, dot, i);
                reference_value(b, name, member);
        }
}

static void reference_value(struct buf *b, const char *path, json_t *value)
{
        if (json_is_object(value) || json_is_array(value)) {
                reference_members(b, path, value);
                return;
        }
        buf_addf(b, "%s=", path);
        if (json_is_number(value))
                buf_addf(b, "%.17g", json_number_value(value));
        else if (json_is_string(value))
                buf_addf(b, "'%s'", json_string_value(value));
        else
                buf_adds(b, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
        buf_addc(b, ' ');
}

static void reference(struct buf *b, json_t *message)
{
        const char *key;
        json_t *member;
        json_object_foreach(message, key, member)
        {
                buf_addf(b, "%s{", key);
                reference_members(b, "", member);
                buf_addc(b, '}');
        }
}

static unsigned seed = 20261122;

static unsigned any(unsigned n)
{
        return (unsigned)rand_r(&seed) % n;
}

static void random_text(struct buf *b)
{
        static const char *const pieces[] = {"a", "Speed", "é", "€", "😀", "\\n", "\\u00e9",
                "\\ud83d\\ude00", "\\\"", "\\\\", "/", "x y", "\\t", "\x7f"};
        buf_addc(b, '"');
        for (unsigned n = any(4); n; n--)
                buf_adds(b, pieces[any(sizeof(pieces) / sizeof(pieces[0]))]);
        buf_addc(b, '"');
}

static void random_number(struct buf *b)
{
        buf_adds(b, any(3) ? "" : "-");
        switch (any(5)) {
        case 0:
                buf_addf(b, "%u", any(1000));
                break;
        case 1:
                buf_addf(b, "%u.%u", any(1000), any(100000));
                break;
        case 2:
                buf_addf(b, "%u.%ue%d", any(10), any(1000000), (int)any(600) - 300);
                break;
        case 3:
                buf_addf(b, "%u%09u%09u%09u", 1 + any(9), any(1000000000), any(1000000000),
                        any(1000000000));
                break;
        default:
                buf_addf(b, "0.%09u%09u%09u", any(1000000000), any(1000000000), any(1000000000));
        }
}

static void random_value(struct buf *b, unsigned depth, unsigned *name)
{
        unsigned kind = any(depth < 5 ? 8 : 6);
        const char *space = any(4) ? "" : " \t";
        buf_adds(b, space);
        if (kind < 2)
                random_number(b);
        else if (kind < 4)
                random_text(b);
        else if (kind < 6)
                buf_adds(b, kind == 4 ? "true" : any(2) ? "false" : "null");
        else {
                bool object = kind == 6;
                buf_addc(b, object ? '{' : '[');
                for (unsigned n = any(6), i = 0; i < n; i++) {
                        buf_adds(b, i ? "," : "");
                        if (object)
                                buf_addf(b, "\"n%u\":", (*name)++);
                        random_value(b, depth + 1, name);
                }
                buf_addc(b, object ? '}' : ']');
        }
        buf_adds(b, space);
}

static void random_message(struct buf *b)
{
        unsigned name = 0;
        buf_addc(b, '{');
        for (unsigned n = any(5), i = 0; i < n; i++) {
                buf_addf(b, "%s\"g%u\":{", i ? "," : "", name++);
                for (unsigned m = any(8), k = 0; k < m; k++) {
                        buf_addf(b, "%s\"n%u\":", k ? "," : "", name++);
                        random_value(b, 0, &name);
                }
                buf_addc(b, '}');
        }
        buf_addc(b, '}');
}

/* Parses with both; when both accept, they must agree. Returns what ours said. */
static int compare(struct telemetry *t, const char *text, size_t len, bool must_agree)
{
        json_t *other = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, NULL);
        struct err err = ERR_INIT;
        int r = telemetry_parse(t, text, len, &err);
        if (must_agree && (r != 0) != (other == NULL))
                fail_msg("'%.*s': %s", (int)len, text, err.text);
        if (!r) {
                assert_non_null(other); /* never laxer than jansson */
                CLEAN_BUF struct buf a = BUF_INIT(LIMIT_MIB(4));
                CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(4));
                dump(&a, t);
                reference(&b, other);
                if (must_agree)
                        assert_string_equal(buf_text(&a), buf_text(&b));
        }
        json_decref(other);
        return r;
}

static void random_messages_flatten_as_by_jansson(void **state)
{
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        for (int i = 0; i < 20000; i++) {
                CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
                random_message(&b);
                compare(t, b.data, b.len, true);
        }
}

static void damaged_messages_are_never_taken_if_jansson_refuses_them(void **state)
{
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        int refused = 0;
        for (int i = 0; i < 20000; i++) {
                CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
                random_message(&b);
                for (unsigned n = 1 + any(3); n; n--)
                        b.data[any((unsigned)b.len)] = (char)any(256);
                size_t len = any(3) ? b.len : any((unsigned)b.len);
                refused += compare(t, b.data, len, false) != 0;
        }
        assert_true(refused > 1000);
}

static void parsing_is_cheap(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
        buf_adds(&b,
                "{\"DeviceID\":\"VIN00000000000001\",\"Timestamp\":\"2026-11-22T19:00:00.000Z\","
                "\"Sequence\":17,\"SoftwareVersion\":\"1.0.0\",\"Engine\":{\"Speed\":53.72,"
                "\"Acceleration\":-0.113,\"Power\":12.541}");
        static const char *const groups[] = {"Airbag", "HeatSeats", "AirConditioning", "ABS"};
        for (size_t g = 0; g < 4; g++) {
                buf_addf(&b, ",\"%s\":{", groups[g]);
                for (int i = 0; i < 4; i++)
                        buf_addf(&b,
                                "%s\"Wheel%d\":{\"Speed\":53.1%d,\"Pressure\":0.0,\"State\":true,"
                                "\"Temperature\":81.%d}",
                                i ? "," : "", i, i, i);
                buf_addc(&b, '}');
        }
        buf_addc(&b, '}');
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        enum { N = 20000 };
        struct timespec from, to;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
        for (int i = 0; i < N; i++)
                assert_int_equal(telemetry_parse(t, b.data, b.len, NULL), 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
        double us =
                ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
                1e3 / N;
        print_message("parse: %.2f us for %zu bytes, %zu columns\n", us, b.len, t->n_columns);
        assert_true(us < 100); /* the aim is 1; sanitizers and a busy machine are allowed more */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(message_is_flattened),
                cmocka_unit_test(envelope_is_read),
                cmocka_unit_test(bad_message_is_refused_with_its_reason),
                cmocka_unit_test(limits_hold),
                cmocka_unit_test(random_messages_flatten_as_by_jansson),
                cmocka_unit_test(damaged_messages_are_never_taken_if_jansson_refuses_them),
                cmocka_unit_test(parsing_is_cheap),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
