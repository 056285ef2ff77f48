/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The parts that turn text into meaning, without a database: queries, media types, multipart
 * bodies, shapes, CBOR, schedules and users. */
#include "base/buf.h"
#include "base/clean.h"
#include "base/clock.h"
#include "cloud/ota/cbor.h"
#include "cloud/ota/cron.h"
#include "cloud/ota/media.h"
#include "cloud/ota/multipart.h"
#include "cloud/ota/rsql.h"
#include "cloud/ota/shape.h"
#include "cloud/ota/version.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define CLEAN_ARENA __attribute__((cleanup(arena_fini)))

/* ── queries ── */

static void queries_that_are_none_are_refused(void **state)
{
        static const char *const bad[] = {"", " ", "a", "a=", "a==", "==b", "a=b", "a=li=b",
                "a==b;", ";a==b", "a==b,", "a=in=()", "a=in=(b", "a==(b,c)", "(a==b", "a==b)",
                "a=='b", "a==\"b\"c", "a==b c==d", "a==b and", "a==b andc==d"};
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                CLEAN_ARENA struct arena arena = {0};
                if (rsql_parse(bad[i], &arena))
                        fail_msg("'%s' was taken", bad[i]);
        }
}

static void and_binds_tighter_than_or(void **state)
{
        CLEAN_ARENA struct arena arena = {0};
        (void)state;
        struct rsql_node *n = rsql_parse("a==1,b==2;c==3", &arena);
        assert_non_null(n);
        assert_int_equal(n->kind, RSQL_OR);
        assert_int_equal(n->first->kind, RSQL_COMPARE);
        assert_int_equal(n->first->next->kind, RSQL_AND);
        assert_string_equal(n->first->next->first->next->selector, "c");
        n = rsql_parse("a==1 and ( b==2 or c==3 ) and d=in=(x,'y z')", &arena);
        assert_non_null(n);
        assert_int_equal(n->kind, RSQL_AND);
        assert_int_equal(n->first->next->kind, RSQL_OR);
        assert_int_equal((int)n->first->next->next->n_values, 2);
        assert_string_equal(n->first->next->next->values[1], "y z");
}

static void quotes_take_one_backslash(void **state)
{
        CLEAN_ARENA struct arena arena = {0};
        (void)state;
        assert_string_equal(rsql_parse("a=='b\\\\c'", &arena)->values[0], "b\\c");
        assert_string_equal(rsql_parse("a==\"it's\"", &arena)->values[0], "it's");
        assert_string_equal(rsql_parse("a==b\\*c", &arena)->values[0], "b\\*c");
}

static void nesting_is_bounded(void **state)
{
        CLEAN_ARENA struct arena arena = {0};
        char text[2 * RSQL_MAX_DEPTH + 32];
        (void)state;
        memset(text, '(', RSQL_MAX_DEPTH + 1);
        memcpy(text + RSQL_MAX_DEPTH + 1, "a==b", 5);
        memset(text + RSQL_MAX_DEPTH + 5, ')', RSQL_MAX_DEPTH + 1);
        text[2 * RSQL_MAX_DEPTH + 6] = '\0';
        assert_null(rsql_parse(text, &arena));
}

/* ── media types ── */

static void the_accept_header_chooses(void **state)
{
        static const struct {
                const char *accept;
                unsigned offered;
                enum media chosen;
        } cases[] = {
                {NULL, MEDIA_HAL | MEDIA_JSON, MEDIA_HAL},
                {"", MEDIA_HAL | MEDIA_JSON, MEDIA_HAL},
                {"*/*", MEDIA_HAL | MEDIA_JSON | MEDIA_CBOR, MEDIA_HAL},
                {"application/*", MEDIA_HAL | MEDIA_JSON, MEDIA_HAL},
                {"application/json", MEDIA_HAL | MEDIA_JSON, MEDIA_JSON},
                {"application/json;charset=utf-8", MEDIA_HAL | MEDIA_JSON, MEDIA_JSON},
                {"application/json;q=0.5, application/hal+json", MEDIA_HAL | MEDIA_JSON, MEDIA_HAL},
                {"text/html, application/json;q=0.5", MEDIA_HAL | MEDIA_JSON, MEDIA_JSON},
                {"application/cbor, application/json", MEDIA_JSON | MEDIA_CBOR, MEDIA_CBOR},
                {"application/json, application/cbor", MEDIA_JSON | MEDIA_CBOR, MEDIA_JSON},
                {"application/json;q=0", MEDIA_JSON, 0},
                {"text/plain", MEDIA_JSON, 0},
                {"rubbish", MEDIA_JSON, 0},
                {",,;;", MEDIA_JSON, 0},
        };
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_int_equal(media_choose(cases[i].accept, cases[i].offered), cases[i].chosen);
        assert_true(media_is_type("application/json ; charset=x", "application/json"));
        assert_false(media_is_type("application/jsonx", "application/json"));
        assert_true(media_is_vendor_json("application/vnd.x+json"));
        assert_false(media_is_vendor_json("application/json"));
}

/* ── multipart ── */

#define TYPE "multipart/form-data; boundary=xy"

/* The parts as one text: <name|filename>data; */
static void part_begins(void *arg, const char *name, const char *filename)
{
        buf_addf(arg, "<%s|%s>", name ? name : "-", filename ? filename : "-");
}

static void part_has(void *arg, const char *data, size_t len)
{
        buf_add(arg, data, len);
}

static void part_ends(void *arg)
{
        buf_addc(arg, ';');
}

/* Reads `body` in pieces of `size`: whole, or not. */
static bool read_multipart(const char *type, const char *body, size_t size, struct buf *out)
{
        const struct multipart_reader reader = {part_begins, part_has, part_ends, out};
        struct multipart *m = multipart_new(type, &reader);
        size_t len = strlen(body);
        bool is_whole = m != NULL;
        for (size_t at = 0; is_whole && at < len; at += size)
                is_whole = multipart_add(m, body + at, len - at < size ? len - at : size) == 0;
        is_whole = is_whole && multipart_is_whole(m);
        multipart_free(m);
        return is_whole;
}

static void multipart_parts_are_found_in_pieces_of_any_size(void **state)
{
        static const char body[] =
                "--xy\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a "
                "\\\"b\\\".zip\"\r\n"
                "Content-Type: application/zip\r\n\r\nda\r\n-ta\r\n--x\r\n--xy\r\n"
                "content-disposition: form-data; name=filename\r\n\r\nc.zip\r\n--xy\r\n"
                "A: b\r\n\r\n\r\n--xy--\r\nafter";
        (void)state;
        for (size_t size = 1; size < sizeof(body); size++) {
                CLEAN_BUF struct buf out = BUF_INIT(1000);
                assert_true(read_multipart(TYPE, body, size, &out));
                assert_string_equal("<file|a \"b\".zip>da\r\n-ta\r\n--x;<filename|->c.zip;<-|->;",
                        buf_text(&out));
        }
}

static void broken_multipart_is_refused(void **state)
{
        static const char *const bodies[] = {"", "--xy", "--xy\r\n", "--xy\r\nno head",
                "--xy\r\n\r\nno end", "--zz\r\n\r\n\r\n--zz--", "--xyz\r\n\r\nx\r\n--xy--",
                "--xy\r\nA: b\r\n\r\nx\r\n--xy"};
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(bodies); i++) {
                CLEAN_BUF struct buf out = BUF_INIT(1000);
                if (read_multipart(TYPE, bodies[i], 1000, &out))
                        fail_msg("body %zu was taken", i);
                assert_false(read_multipart("multipart/form-data", bodies[i], 1000, &out));
        }
}

/* ── shapes ── */

static const char *const words[] = {"one", "two", NULL};
static const struct shape members[] = {
        {.name = "text", .type = SHAPE_TEXT, .max = 4, .flags = SHAPE_NO_MARKUP},
        {.name = "must",
                .type = SHAPE_INT,
                .flags = SHAPE_REQUIRED | SHAPE_RANGE,
                .min = 0,
                .max = 9},
        {.name = "flag", .type = SHAPE_BOOL},
        {.name = "word", .type = SHAPE_WORD, .words = words},
        {0},
};
static const struct shape one[] = {{.type = SHAPE_OBJECT, .sub = members}};

static json_t *read_one(const char *text)
{
        CLEAN_JSON json_t *raw = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_non_null(raw);
        return shape_read(one, raw);
}

static void bodies_are_converted_as_hawkbit_does(void **state)
{
        CLEAN_JSON json_t *v =
                read_one("{\"text\":12,\"must\":\" 7 \",\"flag\":7,\"word\":\"two\",\"more\":{}}");
        (void)state;
        assert_non_null(v);
        assert_string_equal(json_text(v, "text", ""), "12");
        assert_int_equal(json_int(v, "must", 0), 7);
        assert_true(json_bool(v, "flag", false));
        assert_null(json_object_get(v, "more"));
        CLEAN_JSON json_t *cut = read_one("{\"must\":1.9,\"text\":null}");
        assert_int_equal(json_int(cut, "must", 0), 1);
        assert_null(json_object_get(cut, "text"));
}

static void unreadable_bodies_are_none(void **state)
{
        static const char *const bad[] = {"[]", "null", "{\"text\":[]}", "{\"must\":\"x\"}",
                "{\"must\":3000000000}", "{\"flag\":\"maybe\"}", "{\"word\":\"three\"}",
                "{\"word\":1}"};
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_null(read_one(bad[i]));
}

static void bounds_are_told(void **state)
{
        static const char *const bad[] = {"{}", "{\"must\":10}", "{\"must\":1,\"text\":\"12345\"}",
                "{\"must\":1,\"text\":\"<b>\"}"};
        CLEAN_ARENA struct arena arena = {0};
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                CLEAN_JSON json_t *v = read_one(bad[i]);
                assert_non_null(shape_check(one, v, &arena));
        }
        CLEAN_JSON json_t *fine = read_one("{\"must\":9,\"text\":\"a<b\"}");
        assert_null(shape_check(one, fine, &arena));
        assert_int_equal(shape_utf16_length("aä€😀"), 5);
}

/* ── CBOR ── */

static void cbor_goes_there_and_back(void **state)
{
        static const char text[] =
                "{\"a\":[1,-2,300,70000,5000000000,1.5,true,false,null,\"ä\"],\"b\":{},\"c\":[]}";
        CLEAN_JSON json_t *v = json_loads(text, 0, NULL);
        CLEAN_BUF struct buf b = BUF_INIT(4096);
        (void)state;
        assert_int_equal(cbor_encode(v, &b), 0);
        CLEAN_JSON json_t *back = cbor_decode(b.data, b.len);
        assert_true(json_equal(v, back));
        for (size_t len = 0; len < b.len; len++)
                assert_null(cbor_decode(b.data, len));
}

static void cbor_turns_links_into_a_list(void **state)
{
        CLEAN_JSON json_t *v =
                json_loads("{\"_links\":{\"self\":{\"href\":\"h\",\"name\":\"n\"}}}", 0, NULL);
        CLEAN_JSON json_t *due =
                json_loads("{\"links\":[{\"rel\":\"self\",\"href\":\"h\"}]}", 0, NULL);
        CLEAN_BUF struct buf b = BUF_INIT(4096);
        (void)state;
        assert_int_equal(cbor_encode(v, &b), 0);
        CLEAN_JSON json_t *back = cbor_decode(b.data, b.len);
        assert_true(json_equal(due, back));
}

static void hostile_cbor_is_refused(void **state)
{
        static const unsigned char deep[64] = {[0 ... 63] = 0x81};
        static const unsigned char endless[] = {0x9F, 0x9F, 0x9F};
        static const unsigned char huge[] = {
                0x7B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 'a'};
        static const unsigned char key[] = {0xA1, 0x01, 0x02};
        static const unsigned char twice[] = {0x01, 0x02};
        (void)state;
        assert_null(cbor_decode(deep, sizeof(deep)));
        assert_null(cbor_decode(endless, sizeof(endless)));
        assert_null(cbor_decode(huge, sizeof(huge)));
        assert_null(cbor_decode(key, sizeof(key)));
        assert_null(cbor_decode(twice, sizeof(twice)));
}

/* ── maintenance windows ── */

static void check_window(const char *schedule, const char *zone, const char *now, const char *start)
{
        struct cron_window w;
        int64_t now_ms = 0, due = 0;
        assert_int_equal(clock_parse_iso8601(now, &now_ms), 0);
        int r = cron_window_at(schedule, "01:00:00", zone, now_ms, &w);
        if (!start) {
                assert_int_equal(r, -ENOENT);
                return;
        }
        assert_int_equal(r, 0);
        assert_int_equal(clock_parse_iso8601(start, &due), 0);
        if (w.start != due)
                fail_msg("'%s' at %s: %lld is not %s", schedule, now, (long long)w.start, start);
        assert_int_equal(w.end - w.start, 3600000);
}

static void windows_open_when_the_schedule_says(void **state)
{
        (void)state;
        check_window("0 0 3 * * ?", "+00:00", "2026-11-22T12:00:00Z", "2026-11-23T03:00:00Z");
        check_window("0 0 3 * * ?", "+02:00", "2026-11-22T12:00:00Z", "2026-11-23T01:00:00Z");
        check_window("0 0 3 * * ?", "-05:30", "2026-11-22T12:00:00Z", "2026-11-23T08:30:00Z");
        /* an open one is the one that began */
        check_window("0 0 3 * * ?", "Z", "2026-11-22T03:59:59Z", "2026-11-22T03:00:00Z");
        check_window("0 0 3 * * ?", "Z", "2026-11-22T04:00:00Z", "2026-11-23T03:00:00Z");
        check_window("0 30 10-13 ? * WED,FRI", "Z", "2026-11-22T12:00:00Z", "2026-11-25T10:30:00Z");
        check_window("0 0/20 8 ? * MON-FRI", "Z", "2026-11-20T08:39:00Z", "2026-11-20T08:00:00Z");
        check_window("0 0 0 L 2 ?", "Z", "2027-01-01T00:00:00Z", "2027-02-28T00:00:00Z");
        check_window("0 0 0 L 2 ? 2028", "Z", "2027-01-01T00:00:00Z", "2028-02-29T00:00:00Z");
        check_window("0 0 0 15W * ?", "Z", "2026-11-01T02:00:00Z", "2026-11-16T00:00:00Z");
        check_window("0 0 0 ? * 6L", "Z", "2026-11-01T00:00:00Z", "2026-11-27T00:00:00Z");
        check_window("0 0 0 ? * 2#1", "Z", "2026-11-03T00:00:00Z", "2026-12-07T00:00:00Z");
        check_window("10 12 14 3 8 ? 2023", "Z", "2026-11-22T00:00:00Z", NULL);
        check_window("0 0 0 31 2 ?", "Z", "2026-11-22T00:00:00Z", NULL);
}

static void bad_windows_are_refused(void **state)
{
        static const char *const schedules[] = {"", "* * * * *", "0 0 0 ? * ?", "60 0 0 * * ?",
                "0 0 24 * * ?", "0 0 0 32 * ?", "0 0 0 * 13 ?", "0 0 0 * * 8", "0 0 0 * * ? 1969",
                "a b c d e f", "0 0 0 1-/2 * ?", "0 0 0 * * ? 2026 2027"};
        static const char *const durations[] = {
                "", "1:00:00", "24:00:00", "PT1H", "00:60:00", "00:00:60", "00:10:00x"};
        static const char *const zones[] = {
                "", "CET", "+25:00", "+1:00", "+01", "+01:60", "+01:00x"};
        struct cron_window w;
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(schedules); i++)
                assert_int_equal(cron_window_at(schedules[i], "00:10:00", "Z", 0, &w), -EINVAL);
        for (size_t i = 0; i < N_ELEMENTS(durations); i++)
                assert_int_equal(cron_window_at("0 0 0 * * ?", durations[i], "Z", 0, &w), -EINVAL);
        for (size_t i = 0; i < N_ELEMENTS(zones); i++)
                assert_int_equal(
                        cron_window_at("0 0 0 * * ?", "00:10:00", zones[i], 0, &w), -EINVAL);
        assert_int_equal(cron_window_at(NULL, "00:10:00", "Z", 0, &w), -EINVAL);
}

/* ── versions ── */

static void versions_have_an_order(void **state)
{
        /* each older than the next; those in a row with `=` before them equal the one before */
        static const char *const order[] = {"0.1", "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1",
                "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
                "1.0.0", "=1", "=v1.0", "=1.0.0+build.5", "=01.0", "1.9", "1.10", "1.10.1",
                "2.0-rc-1", "2", "20261122", "99999999999999999999", "100000000000000000000",
                "2024a"};
        (void)state;
        const char *last = order[0];
        for (size_t i = 1; i < N_ELEMENTS(order); i++) {
                bool is_equal = *order[i] == '=';
                const char *now = order[i] + is_equal;
                int forth = version_compare(last, now), back = version_compare(now, last);
                if (is_equal ? forth || back : forth >= 0 || back <= 0)
                        fail_msg("'%s' and '%s': %d, %d", last, now, forth, back);
                last = now;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(queries_that_are_none_are_refused),
                cmocka_unit_test(and_binds_tighter_than_or),
                cmocka_unit_test(quotes_take_one_backslash),
                cmocka_unit_test(nesting_is_bounded),
                cmocka_unit_test(the_accept_header_chooses),
                cmocka_unit_test(multipart_parts_are_found_in_pieces_of_any_size),
                cmocka_unit_test(broken_multipart_is_refused),
                cmocka_unit_test(bodies_are_converted_as_hawkbit_does),
                cmocka_unit_test(unreadable_bodies_are_none),
                cmocka_unit_test(bounds_are_told),
                cmocka_unit_test(cbor_goes_there_and_back),
                cmocka_unit_test(cbor_turns_links_into_a_list),
                cmocka_unit_test(hostile_cbor_is_refused),
                cmocka_unit_test(windows_open_when_the_schedule_says),
                cmocka_unit_test(bad_windows_are_refused),
                cmocka_unit_test(versions_have_an_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
