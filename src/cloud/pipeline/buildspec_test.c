/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/limits.h"
#include "cloud/pipeline/buildspec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int parse(const char *text, struct buildspec *ret, struct err *err)
{
        return buildspec_parse(text, strlen(text), ret, err);
}

static void a_whole_buildspec_is_read_in_the_order_of_its_phases(void **state)
{
        const char *text = "version: 1\n"
                           "environment: gcc-aarch64\n"
                           "phases:\n"
                           "  post_build:\n"
                           "    commands: [strip car]\n"
                           "  install: {commands: []}\n"
                           "  build:\n"
                           "    commands:\n"
                           "      - gcc -o car main.c\n"
                           "      - sh -c \"echo 'a b' > report\"\n"
                           "artifacts:\n"
                           "  files:\n"
                           "    - car\n"
                           "    - 'data/**'\n";
        CLEAN_BUILDSPEC struct buildspec spec = {0};
        struct err err = ERR_INIT;
        assert_int_equal(parse(text, &spec, &err), 0);
        assert_string_equal(spec.environment, "gcc-aarch64");
        assert_int_equal(spec.n_steps, 3);
        assert_int_equal(spec.steps[0].phase, BUILD_BUILD);
        assert_int_equal(spec.steps[0].line, 9);
        assert_string_equal(spec.steps[0].words.argv[0], "gcc");
        assert_string_equal(spec.steps[1].words.argv[2], "echo 'a b' > report");
        assert_int_equal(spec.steps[2].phase, BUILD_POST_BUILD);
        assert_int_equal(spec.n_files, 2);
        assert_string_equal(spec.files[1], "data/**");
}

static void everything_may_be_left_out_but_the_document(void **state)
{
        static const char *const texts[] = {
                "version: 1\n", "phases: {}\n", "artifacts: {files: []}\n", "{}"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                CLEAN_BUILDSPEC struct buildspec spec = {0};
                assert_int_equal(parse(texts[i], &spec, NULL), 0);
                assert_int_equal(spec.n_steps + spec.n_files, 0);
                assert_null(spec.environment);
        }
}

static void mistakes_are_refused_with_their_line(void **state)
{
        static const struct {
                const char *text;
                const char *reason; /* parts of it, in order */
                const char *more;
        } cases[] = {
                {"", "the file is empty", ""},
                {"- a\n", "line 1", "a mapping"},
                {"version: 2\n", "line 1", "unknown version"},
                {"version: 1\nversion: 1\n", "line 2", "'version' comes twice"},
                {"version: 1\nphases:\n  bild: {}\n", "line 3",
                        "unknown key 'bild': there are install, pre_build, build, post_build"},
                {"phases:\n  build:\n    command: [x]\n", "line 3", "unknown key 'command'"},
                {"phases:\n  build:\n    commands: gcc\n", "line 3", "a list"},
                {"phases:\n  build:\n    commands:\n      - echo: x\n", "line 4", "quotes"},
                {"phases:\n  build:\n    commands:\n      - a\n      - gcc x | tee y\n", "line 5",
                        "shell"},
                {"phases:\n  build:\n    commands:\n      - ''\n", "line 4", "empty"},
                {"artifacts:\n  files: [../x]\n", "line 2", "inside"},
                {"artifacts:\n  files: [a/..]\n", "line 2", "inside"},
                {"artifacts:\n  files: [/etc/passwd]\n", "line 2", "inside"},
                {"artifacts:\n  files: ['']\n", "line 2", "inside"},
                {"environment: [a]\n", "line 1", "environment"},
                {"a: \"open\n", "line 2", ""},
                {"\tversion: 1\n", "line 1", ""},
                {"? [a]\n: b\n", "line 1", "unknown key"},
                {"x: &a [*a]\n", "line 1", ""},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                CLEAN_BUILDSPEC struct buildspec spec = {0};
                struct err err = ERR_INIT;
                assert_true(parse(cases[i].text, &spec, &err) < 0);
                const char *at = strstr(err.text, cases[i].reason);
                if (!at || !strstr(at, cases[i].more))
                        fail_msg("'%s' says '%s'", cases[i].text, err.text);
                assert_int_equal(spec.n_steps, 0);
        }
}

static void numbers_are_limited(void **state)
{
        CLEAN_BUF struct buf many = BUF_INIT(LIMIT_KIB(128));
        buf_adds(&many, "phases:\n  build:\n    commands:\n");
        for (int i = 0; i <= LIMIT_BUILD_COMMANDS; i++)
                buf_adds(&many, "      - x\n");
        CLEAN_BUILDSPEC struct buildspec spec = {0};
        struct err err = ERR_INIT;
        assert_int_equal(parse(buf_text(&many), &spec, &err), -E2BIG);
        while (many.len <= LIMIT_DOCUMENT_BYTES)
                buf_adds(&many, "# and a comment\n");
        assert_int_equal(parse(buf_text(&many), &spec, &err), -E2BIG);
        assert_non_null(strstr(err.text, "bytes"));
}

static void patterns_match_within_and_across_folders(void **state)
{
        static const struct {
                const char *pattern, *path;
                bool matches;
        } cases[] = {
                {"car", "car", true},
                {"car", "cars", false},
                {"car", "bin/car", false},
                {"*", "car", true},
                {"*", "bin/car", false},
                {"*.py", "main.py", true},
                {"*.py", "main.pyc", false},
                {"*.py", "a/main.py", false},
                {"**", "a/b/c", true},
                {"**/*", "a/b/c", true},
                {"**/*", "c", true},
                {"**/*.py", "main.py", true},
                {"**/*.py", "a/b/main.py", true},
                {"**/a.py", "xa.py", false},
                {"**/a.py", "x/a.py", true},
                {"data/**", "data/a/b", true},
                {"data/**", "database", false},
                {"data/*", "data/a", true},
                {"data/*", "data/a/b", false},
                {"a?c", "abc", true},
                {"a?c", "a/c", false},
                {"*a*b*", "xxaxxbxx", true},
                {"*a*b*", "xxbxxa", false},
                {"a/**/z", "a/z", true},
                {"a/**/z", "a/b/c/z", true},
                {"a/**/z", "a/b/c/zz", false},
                {"**/b/*", "a/b/c", true},
                {"**/b/*.o", "b/x/b/y.o", true},
                {"", "a", false},
                {"[a]", "[a]", true},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                if (buildspec_matches(cases[i].pattern, cases[i].path) != cases[i].matches)
                        fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].path);
}

static void many_stars_cost_no_time(void **state)
{
        char pattern[201] = "", path[501];
        for (size_t i = 0; i < 100; i++)
                memcpy(pattern + 2 * i, "*a", 3);
        memset(path, 'a', sizeof(path) - 1);
        path[sizeof(path) - 2] = 'b';
        path[sizeof(path) - 1] = 0;
        assert_false(buildspec_matches(pattern, path));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_buildspec_is_read_in_the_order_of_its_phases),
                cmocka_unit_test(everything_may_be_left_out_but_the_document),
                cmocka_unit_test(mistakes_are_refused_with_their_line),
                cmocka_unit_test(numbers_are_limited),
                cmocka_unit_test(patterns_match_within_and_across_folders),
                cmocka_unit_test(many_stars_cost_no_time),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
