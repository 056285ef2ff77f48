/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/json.h"
#include "tcu/slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int given_dir(void **state)
{
        char path[] = "/tmp/tcu_test.XXXXXX";
        if (!mkdtemp(path))
                return -1;
        *state = strdup(path);
        return 0;
}

static int remove_dir(void **state)
{
        fs_remove_tree(*state, NULL);
        free(*state);
        return 0;
}

static struct slots *opened(const char *dir)
{
        struct slots *s = NULL;
        assert_int_equal(slots_open(dir, &s, NULL), 0);
        return s;
}

static void put(const struct slots *s, char slot, const char *name, const char *text)
{
        CLEAN_MEM char *path = fs_join(slots_path(s, slot), name);
        assert_int_equal(fs_mkdir_p(slots_path(s, slot), 0700, NULL), 0);
        assert_int_equal(fs_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void given_app(struct slots *s, char slot, const char *version)
{
        struct slot_info info = {0};
        snprintf(info.version, sizeof(info.version), "%s", version);
        put(s, slot, "manifest.xml",
                "<project><name>x</name><run_command>./car</run_command></project>");
        assert_int_equal(slots_complete(s, slot, &info, NULL), 0);
}

static void nothing_is_current_at_first(void **state)
{
        CLEAN(slots) struct slots *s = opened(*state);
        assert_int_equal(slots_current(s), 0);
        assert_int_equal(slots_repair(s, 'a', NULL), 0);
        assert_int_equal(slots_other(0), 'a');
        assert_int_equal(slots_other('a'), 'b');
}

static void a_complete_slot_becomes_current(void **state)
{
        CLEAN(slots) struct slots *s = opened(*state);
        given_app(s, 'b', "1.2");
        assert_int_equal(slots_select(s, 'b', NULL), 0);
        assert_int_equal(slots_current(s), 'b');
        struct slot_info info;
        assert_int_equal(slots_info(s, 'b', &info), 0);
        assert_string_equal(info.version, "1.2");
}

static void an_incomplete_slot_never_becomes_current(void **state)
{
        CLEAN(slots) struct slots *s = opened(*state);
        put(s, 'a', "manifest.xml", "half");
        struct err err = ERR_INIT;
        assert_int_equal(slots_select(s, 'a', &err), -ENOENT);
        CLEAN_MEM char *mark = fs_join(*state, "a.json");
        assert_int_equal(fs_write_atomic(mark, "{\"comp", 6, 0600, NULL), 0);
        assert_int_equal(slots_select(s, 'a', NULL), -ENOENT);
        assert_int_equal(slots_current(s), 0);
}

static void the_current_slot_is_not_cleared(void **state)
{
        CLEAN(slots) struct slots *s = opened(*state);
        given_app(s, 'a', "1");
        given_app(s, 'b', "2");
        assert_int_equal(slots_select(s, 'a', NULL), 0);
        assert_int_equal(slots_clear(s, 'a', NULL), -EBUSY);
        assert_int_equal(slots_clear(s, 'b', NULL), 0);
        assert_false(fs_exists(slots_path(s, 'b')));
        assert_int_equal(slots_select(s, 'b', NULL), -ENOENT);
        assert_int_equal(slots_current(s), 'a');
}

static void a_broken_link_is_repaired_to_what_is_complete(void **state)
{
        CLEAN(slots) struct slots *s = opened(*state);
        given_app(s, 'a', "1");
        given_app(s, 'b', "2");
        CLEAN_MEM char *link = fs_join(*state, "current");
        const char *const targets[] = {"/etc", "..", "c", "ab", "a/../b"};
        for (size_t i = 0; i < N_ELEMENTS(targets); i++) {
                unlink(link);
                assert_int_equal(symlink(targets[i], link), 0);
                assert_int_equal(slots_current(s), 0);
                assert_int_equal(slots_repair(s, 'b', NULL), 'b');
        }
        CLEAN_MEM char *mark = fs_join(*state, "b.json");
        unlink(mark);
        assert_int_equal(slots_repair(s, 'b', NULL), 'a');
}

static void what_cannot_start_is_found_before_it_is_current(void **state)
{
        static const struct {
                const char *manifest;
                bool is_good;
        } cases[] = {
                {"<project><name>x</name><run_command>./car</run_command></project>", true},
                {"<project><name>x</name><run_command>python3 main.py</run_command></project>",
                        true},
                {"<project><name>x</name><run_command>./bus</run_command></project>", false},
                {"<project><name>x</name><run_command>/bin/sh</run_command></project>", true},
                {"<project><name>x</name><run_command>/no/such</run_command></project>", false},
                {"<project><name>x</name><run_command>../a/car</run_command></project>", false},
                {"<project><name>x</name><run_command>./car | tee</run_command></project>", false},
                {"<project><name>x</name></project>", false},
                {"rubbish", false},
        };
        CLEAN(slots) struct slots *s = opened(*state);
        put(s, 'a', "car", "#!/bin/true\n");
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct err err = ERR_INIT;
                char version[DEPLOY_VERSION_SIZE];
                put(s, 'a', "manifest.xml", cases[i].manifest);
                int r = slots_check(s, 'a', version, &err);
                if ((r == 0) != cases[i].is_good)
                        fail_msg("case %zu: %d %s", i, r, err.text);
        }
        CLEAN_MEM char *car = fs_join(slots_path(s, 'a'), "car");
        struct stat st;
        assert_int_equal(stat(car, &st), 0);
        assert_true(st.st_mode & 0100);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, given_dir, remove_dir)
        const struct CMUnitTest tests[] = {
                T(nothing_is_current_at_first),
                T(a_complete_slot_becomes_current),
                T(an_incomplete_slot_never_becomes_current),
                T(the_current_slot_is_not_cleared),
                T(a_broken_link_is_repaired_to_what_is_complete),
                T(what_cannot_start_is_found_before_it_is_current),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
