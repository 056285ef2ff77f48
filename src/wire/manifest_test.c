/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/limits.h"
#include "wire/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char whole[] = "<?xml version=\"1.0\"?>\n<project>\n <name> car-c </name>\n"
                            " <language>c</language><compiler>gcc</compiler>\n"
                            " <build_command>gcc -O2 -o car main.c -lm</build_command>\n"
                            " <run_command>./car --name &quot;a&amp;b&quot;</run_command>\n"
                            " <future><name>inner</name></future>\n"
                            " <version>1.2.3</version>\n</project>\n";

static void a_whole_manifest_is_read(void **state)
{
        struct err err = ERR_INIT;
        CLEAN_MANIFEST struct manifest m = {0};
        assert_int_equal(manifest_parse(whole, strlen(whole), &m, &err), 0);
        assert_string_equal(m.name, "car-c");
        assert_string_equal(m.language, "c");
        assert_string_equal(m.compiler, "gcc");
        assert_string_equal(m.build_command, "gcc -O2 -o car main.c -lm");
        assert_string_equal(m.run_command, "./car --name \"a&b\"");
        assert_string_equal(m.version, "1.2.3");
}

static void absent_members_are_empty(void **state)
{
        const char *text =
                "<project><name>x</name><run_command>y</run_command><compiler/></project>";
        CLEAN_MANIFEST struct manifest m = {0};
        assert_int_equal(manifest_parse(text, strlen(text), &m, NULL), 0);
        assert_string_equal(m.language, "");
        assert_string_equal(m.compiler, "");
        assert_string_equal(m.build_command, "");
        assert_string_equal(m.version, "");
}

static void broken_manifests_are_refused_with_a_reason(void **state)
{
        static const struct {
                const char *text;
                const char *reason; /* part of it */
        } cases[] = {
                {"", "no element found"},
                {"hello", "syntax error"},
                {"<project>", "no element found"},
                {"<project><name>x</name></project>", "no 'run_command'"},
                {"<project><run_command>x</run_command></project>", "no 'name'"},
                {"<project><name>  </name><run_command>x</run_command></project>", "no 'name'"},
                {"<car><name>x</name><run_command>x</run_command></car>", "the root is not"},
                {"<project><name>x</name><name>y</name><run_command>x</run_command></project>",
                        "a second element 'name'"},
                {"<project><name/><name>y</name><run_command>x</run_command></project>",
                        "a second element 'name'"},
                {"<project><name><b>x</b></name><run_command>x</run_command></project>",
                        "text expected"},
                {"<project><name>&x;</name><run_command>x</run_command></project>",
                        "undefined entity"},
                {"<!DOCTYPE project><project><name>x</name><run_command>x</run_command></project>",
                        "document type"},
                {"<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY b "
                 "\"&a;&a;\">]><project><name>&b;</name>"
                 "<run_command>x</run_command></project>",
                        "document type"},
                {"<!DOCTYPE p SYSTEM "
                 "\"file:///etc/passwd\"><project><name>x</name><run_command>x</run_command></"
                 "project>",
                        "document type"},
                {"<project><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", "too deep"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct err err = ERR_INIT;
                CLEAN_MANIFEST struct manifest m = {0};
                assert_int_equal(
                        manifest_parse(cases[i].text, strlen(cases[i].text), &m, &err), -EINVAL);
                if (!strstr(err.text, cases[i].reason))
                        fail_msg("case %zu: '%s' has no '%s'", i, err.text, cases[i].reason);
                assert_null(m.name);
        }
}

static void sizes_are_bounded(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
        buf_adds(&b, "<project><name>");
        while (b.len < LIMIT_MANIFEST_FIELD_BYTES + 100)
                buf_adds(&b, "0123456789");
        buf_adds(&b, "</name><run_command>x</run_command></project>");
        CLEAN_MANIFEST struct manifest m = {0};
        assert_int_equal(manifest_parse(b.data, b.len, &m, NULL), -EINVAL);
        while (b.len <= LIMIT_DOCUMENT_BYTES)
                buf_adds(&b, "          ");
        assert_int_equal(manifest_parse(b.data, b.len, &m, NULL), -E2BIG);
}

static void commands_become_argument_vectors(void **state)
{
        static const struct {
                const char *text;
                const char *joined; /* words, each ended by '|' */
        } cases[] = {
                {"./car", "./car|"},
                {"  python3   main.py\t--x=1\n", "python3|main.py|--x=1|"},
                {"a 'b c' \"d e\" f\\ g", "a|b c|d e|f g|"},
                {"a '' \"\"", "a|||"},
                {"a'b'\"c\"d", "abcd|"},
                {"a '$x;y' \"q\\\"r\\\\s\\t\"", "a|$x;y|q\"r\\s\\t|"},
                {"a \\$b \\*", "a|$b|*|"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                CLEAN_COMMAND struct command c = {0};
                assert_int_equal(command_parse(cases[i].text, &c, NULL), 0);
                CLEAN_BUF struct buf b = BUF_INIT(1000);
                for (size_t k = 0; k < c.argc; k++)
                        buf_addf(&b, "%s|", c.argv[k]);
                assert_string_equal(buf_text(&b), cases[i].joined);
                assert_null(c.argv[c.argc]);
        }
}

static void commands_for_a_shell_are_refused(void **state)
{
        static const char *const cases[] = {"", "   ", "''", "a | b", "a; b", "a && b", "a > f",
                "a $HOME", "a `b`", "a \"$b\"", "a *.c", "a 'b", "a \"b", "a \\", "(a)", "a #b"};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct err err = ERR_INIT;
                CLEAN_COMMAND struct command c = {0};
                assert_int_equal(command_parse(cases[i], &c, &err), -EINVAL);
                assert_true(err.text[0]);
        }
}

static void a_command_has_a_bounded_number_of_words(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(1000);
        for (int i = 0; i <= LIMIT_COMMAND_WORDS; i++)
                buf_adds(&b, "a ");
        CLEAN_COMMAND struct command c = {0};
        assert_int_equal(command_parse(buf_text(&b), &c, NULL), -E2BIG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_whole_manifest_is_read),
                cmocka_unit_test(absent_members_are_empty),
                cmocka_unit_test(broken_manifests_are_refused_with_a_reason),
                cmocka_unit_test(sizes_are_bounded),
                cmocka_unit_test(commands_become_argument_vectors),
                cmocka_unit_test(commands_for_a_shell_are_refused),
                cmocka_unit_test(a_command_has_a_bounded_number_of_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
