/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/cli.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static char dir[] = "/tmp/driveline-base-XXXXXX";

static void err_prefix_puts_the_layer_in_front(void **state)
{
        (void)state;
        struct err err = ERR_INIT;
        assert_int_equal(-ENOSPC, err_errno(&err, -ENOSPC, "cannot write slot '%s'", "b"));
        assert_int_equal(-ENOSPC, err_prefix(&err, "deployment %d", 42));
        assert_string_equal(
                "deployment 42: cannot write slot 'b': No space left on device", err.text);
        assert_int_equal(-EIO, err_prefix(NULL, "nobody reads this"));
}

static void buf_keeps_its_ceiling_and_its_failure(void **state)
{
        (void)state;
        CLEAN_BUF struct buf b = BUF_INIT(8);
        assert_int_equal(0, buf_adds(&b, "12345678"));
        assert_int_equal(-E2BIG, buf_addc(&b, '9'));
        assert_int_equal(-E2BIG, buf_add(&b, "", 0));
        assert_string_equal("12345678", buf_text(&b));
        buf_clear(&b);
        assert_int_equal(0, buf_addf(&b, "%d", 7));
        assert_string_equal("7", buf_text(&b));
}

static void buf_escapes_json_and_urls(void **state)
{
        (void)state;
        static const struct {
                const char *in;
                size_t len;
                const char *out;
        } cases[] = {
                {"a\"b\\c\n\x01", 7, "\"a\\\"b\\\\c\\n\\u0001\""},
                {"\xc3\xbc\xe2\x82\xac", 5, "\"\xc3\xbc\xe2\x82\xac\""},
                {"\xff\xc3", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
                {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                CLEAN_BUF struct buf b = BUF_INIT(64);
                assert_int_equal(0, buf_add_json_string(&b, cases[i].in, cases[i].len));
                assert_string_equal(cases[i].out, buf_text(&b));
        }
        CLEAN_BUF struct buf url = BUF_INIT(64);
        buf_add_url(&url, "a b/\xc3\xbc~");
        assert_string_equal("a%20b%2F%C3%BC~", buf_text(&url));
}

static void clock_reads_what_it_writes(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int64_t ms;
        } cases[] = {
                {"1970-01-01T00:00:00Z", 0},
                {"2024-02-29T23:59:59.250Z", 1709251199250},
                {"2026-11-22T20:00:00.5+01:00", 1795374000500},
                {"1969-12-31 23:59:59", -1000},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int64_t ms, again;
                char text[CLOCK_ISO8601_SIZE];
                assert_int_equal(0, clock_parse_iso8601(cases[i].text, &ms));
                assert_true(ms == cases[i].ms);
                clock_iso8601(ms, text);
                assert_int_equal(0, clock_parse_iso8601(text, &again));
                assert_true(again == ms);
        }
        static const char *const bad[] = {"", "2026", "2026-13-01T00:00:00Z",
                "2025-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T20:00:00.Z",
                "2026-11-22T20:00:00Zz", "2026-11-22T20:00:00+1:00"};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                int64_t ms;
                assert_int_equal(-EINVAL, clock_parse_iso8601(bad[i], &ms));
        }
        int64_t d;
        assert_int_equal(0, clock_parse_duration_ms("15m", &d));
        assert_true(d == 900000);
        assert_int_equal(-EINVAL, clock_parse_duration_ms("15 m", &d));
        assert_int_equal(-EINVAL, clock_parse_duration_ms("-1", &d));
        assert_int_equal(-EINVAL, clock_parse_duration_ms("9999999999999999", &d));
}

static void json_refuses_depth_but_not_brackets_in_text(void **state)
{
        (void)state;
        struct err err = ERR_INIT;
        CLEAN_BUF struct buf deep = BUF_INIT(4096);
        for (int i = 0; i < LIMIT_JSON_DEPTH + 1; i++)
                buf_addc(&deep, '[');
        assert_null(json_parse(deep.data, deep.len, &err));
        assert_non_null(strstr(err.text, "nested deeper"));
        const char *flat = "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"\"}";
        CLEAN_JSON json_t *fine = json_parse(flat, strlen(flat), &err);
        assert_non_null(fine);
        assert_null(json_parse("{\"a\":}", 6, &err));
        assert_non_null(strstr(err.text, "line 1"));
}

static void hashes_agree_with_their_standards(void **state)
{
        (void)state;
        struct hash_set set;
        struct hasher *h = hasher_new();
        assert_int_equal(0, hasher_add(h, "ab", 2));
        assert_int_equal(0, hasher_add(h, "c", 1));
        assert_int_equal(0, hasher_end(h, &set));
        hasher_free(h);
        /* FIPS 180-4 and RFC 1321 test values for "abc" */
        assert_string_equal(
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", set.sha256);
        assert_string_equal("a9993e364706816aba3e25717850c26c9cd0d89d", set.sha1);
        assert_string_equal("900150983cd24fb0d6963f7d28e17f72", set.md5);
        /* RFC 3720 B.4: 32 bytes of zeros; and the usual check value */
        uint8_t zeros[32] = {0};
        assert_int_equal(0x8a9136aa, hash_crc32c(0, zeros, sizeof(zeros)));
        assert_int_equal(0xe3069283, hash_crc32c(0, "123456789", 9));
        assert_int_equal(0xe3069283, hash_crc32c(hash_crc32c(0, "1234", 4), "56789", 5));
}

static void files_are_replaced_whole_and_trees_removed(void **state)
{
        (void)state;
        CLEAN_MEM char *deep = fs_join(dir, "a/b/c");
        CLEAN_MEM char *file = fs_join(dir, "a/b/c/file");
        CLEAN_MEM char *link_path = fs_join(dir, "a/link");
        CLEAN_MEM char *a = fs_join(dir, "a");
        CLEAN_MEM char *outside = fs_join(dir, "outside");
        struct err err = ERR_INIT;
        assert_int_equal(0, fs_mkdir_p(deep, 0700, &err));
        assert_int_equal(0, fs_write_atomic(file, "old", 3, 0600, &err));
        assert_int_equal(0, fs_write_atomic(file, "newer", 5, 0640, &err));
        CLEAN_BUF struct buf text = BUF_INIT(16);
        assert_int_equal(0, fs_read(file, &text, &err));
        assert_string_equal("newer", text.data);
        struct stat st;
        assert_int_equal(0, stat(file, &st));
        assert_int_equal(0640, st.st_mode & 0777);
        assert_int_equal(0, fs_write_atomic(outside, "stay", 4, 0600, &err));
        assert_int_equal(0, symlink(outside, link_path));
        assert_int_equal(0, fs_sync_tree(a, &err));
        assert_int_equal(0, fs_remove_tree(a, &err));
        assert_false(fs_exists(a));
        assert_true(fs_exists(outside));
        assert_int_equal(-ENOTDIR, fs_write_atomic("/dev/null/x", "", 0, 0600, &err));
        assert_non_null(strstr(err.text, "'/dev/null/x'"));
}

static void options_are_parsed_from_their_table(void **state)
{
        (void)state;
        bool flag = false;
        const char *text = "default";
        int number = 1;
        int64_t wait = 0;
        const struct cli_option options[] = {
                {"flag", 'f', CLI_FLAG, &flag, NULL, "a flag"},
                {"text", 0, CLI_TEXT, &text, "TEXT", "a text"},
                {"number", 'n', CLI_INT, &number, "N", "a number"},
                {"wait", 0, CLI_DURATION, &wait, "TIME", "a duration"},
                {0},
        };
        const char *args[2];
        size_t n;
        int code = -1;
        const char *const good[] = {
                "verb", "-f", "--text=x", "-n", "42", "one", "--wait", "2s", "--", "-two"};
        assert_int_equal(0, cli_parse(N_ELEMENTS(good), (char **)(uintptr_t)good, "verb", options,
                                    args, 2, &n, &code));
        assert_true(flag && number == 42 && wait == 2000 && n == 2);
        assert_string_equal("x", text);
        assert_string_equal("-two", args[1]);
        const char *const bad[][3] = {{"verb", "--nope", NULL}, {"verb", "-n", "x"},
                {"verb", "--text", NULL}, {"verb", "--flag=1", NULL}};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                assert_int_equal(1, cli_parse(bad[i][2] ? 3 : 2, (char **)(uintptr_t)bad[i], "verb",
                                            options, args, 2, &n, &code));
                assert_int_equal(CLI_MISUSE, code);
        }
}

int main(void)
{
        if (!mkdtemp(dir))
                return 1;
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(err_prefix_puts_the_layer_in_front),
                cmocka_unit_test(buf_keeps_its_ceiling_and_its_failure),
                cmocka_unit_test(buf_escapes_json_and_urls),
                cmocka_unit_test(clock_reads_what_it_writes),
                cmocka_unit_test(json_refuses_depth_but_not_brackets_in_text),
                cmocka_unit_test(hashes_agree_with_their_standards),
                cmocka_unit_test(files_are_replaced_whole_and_trees_removed),
                cmocka_unit_test(options_are_parsed_from_their_table),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        fs_remove_tree(dir, NULL);
        return r;
}
