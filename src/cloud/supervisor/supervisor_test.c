/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/supervisor/supervisor.h"
#include "base/clean.h"
#include "base/fs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static char dir[] = "/tmp/driveline-supervisor-XXXXXX";

/* A part that counts its starts in a file, says that it is ready, and then fails or stays. */
#define PART_SCRIPT                                                                                \
        "echo x >> \"$0\"; echo 2026 info part: up and running >&2; "                              \
        "if [ $(wc -l < \"$0\") -lt 3 ]; then exit 7; fi; "                                        \
        "kill -TERM $PPID; exec tail -f /dev/null"

static void stop_at_once(void *arg)
{
        (*(int *)arg)++;
        raise(SIGTERM);
}

static struct supervisor_options given(
        const struct supervisor_part *parts, size_t n, const char *log)
{
        return (struct supervisor_options){.parts = parts, .n_parts = n, .log_file = log};
}

static void parts_become_ready_and_stop_on_a_signal(void **state)
{
        (void)state;
        const struct supervisor_part parts[] = {
                {"one", {"sh", "-c", "echo fine, one is ready >&2; exec tail -f /dev/null", NULL},
                        "one is ready"},
                {"two", {"sh", "-c", "echo two is ready >&2; exec tail -f /dev/null", NULL},
                        "two is ready"},
        };
        CLEAN_MEM char *log = fs_join(dir, "ready.log");
        int calls = 0;
        struct supervisor_options options = given(parts, 2, log);
        options.on_ready = stop_at_once;
        options.arg = &calls;
        struct err err = ERR_INIT;
        assert_int_equal(0, supervisor_run(&options, &err));
        assert_int_equal(1, calls);
        CLEAN_BUF struct buf text = BUF_INIT(4096);
        assert_int_equal(0, fs_read(log, &text, NULL));
        assert_non_null(strstr(text.data, "one is ready\n"));
        assert_non_null(strstr(text.data, "two is ready\n"));
}

static void a_part_that_cannot_start_is_the_reason(void **state)
{
        (void)state;
        const struct supervisor_part parts[] = {
                {"good", {"sh", "-c", "exec tail -f /dev/null", NULL}, "never said"},
                {"bad",
                        {"sh", "-c",
                                "echo '2026-11-22T19:00:00.000Z error ota: port 8080 is taken' "
                                ">&2; exit 1",
                                NULL},
                        "up"},
        };
        CLEAN_MEM char *log = fs_join(dir, "bad.log");
        struct supervisor_options options = given(parts, 2, log);
        struct err err = ERR_INIT;
        assert_true(supervisor_run(&options, &err) < 0);
        assert_string_equal("bad: port 8080 is taken", err.text);
}

static void a_missing_program_is_the_reason(void **state)
{
        (void)state;
        const struct supervisor_part parts[] = {{"gone", {"/nonexistent/program", NULL}, "up"}};
        CLEAN_MEM char *log = fs_join(dir, "gone.log");
        struct supervisor_options options = given(parts, 1, log);
        struct err err = ERR_INIT;
        assert_true(supervisor_run(&options, &err) < 0);
        assert_non_null(strstr(err.text, "gone: cannot start '/nonexistent/program'"));
}

static void a_part_that_dies_later_is_started_again(void **state)
{
        (void)state;
        CLEAN_MEM char *count = fs_join(dir, "starts");
        CLEAN_MEM char *log = fs_join(dir, "again.log");
        const struct supervisor_part parts[] = {
                {"part", {"sh", "-c", PART_SCRIPT, count, NULL}, "up and running"}};
        struct supervisor_options options = given(parts, 1, log);
        struct err err = ERR_INIT;
        assert_int_equal(0, supervisor_run(&options, &err));
        CLEAN_BUF struct buf text = BUF_INIT(4096);
        assert_int_equal(0, fs_read(count, &text, NULL));
        assert_string_equal("x\nx\nx\n", text.data);
}

int main(void)
{
        if (!mkdtemp(dir))
                return 1;
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(parts_become_ready_and_stop_on_a_signal),
                cmocka_unit_test(a_part_that_cannot_start_is_the_reason),
                cmocka_unit_test(a_missing_program_is_the_reason),
                cmocka_unit_test(a_part_that_dies_later_is_started_again),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        fs_remove_tree(dir, NULL);
        return r;
}
