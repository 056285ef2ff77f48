/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/limits.h"
#include "vehicle/cycle.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static struct cycle *given_cycle(const char *name)
{
        struct cycle *cycle = NULL;
        struct err err = ERR_INIT;
        if (cycle_open(name, &cycle, &err) < 0)
                fail_msg("%s", err.text);
        return cycle;
}

static double kmh_at(const struct cycle *cycle, double t_s)
{
        uint32_t cursor = 0;
        return cycle_speed_at(cycle, t_s, &cursor) * 3.6;
}

static void nedc_has_the_regulations_totals(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("nedc");
        assert_float_equal(cycle_duration_s(cycle), 1180, 0);
        assert_float_equal(cycle_distance_m(cycle), 11013, 1);
        assert_float_equal(kmh_at(cycle, 0), 0, 0);
        assert_float_equal(kmh_at(cycle, 195 + 60), 28.6, 1e-9);
        assert_float_equal(kmh_at(cycle, 780 + 340), 120, 1e-9);
        assert_float_equal(kmh_at(cycle, 1180), 0, 0);
}

static void ece15_is_one_urban_cycle(void **state)
{
        CLEAN(cycle) struct cycle *cycle = given_cycle("ece15");
        assert_float_equal(cycle_duration_s(cycle), 195, 0);
        assert_float_equal(cycle_distance_m(cycle), 1013, 3);
        assert_float_equal(kmh_at(cycle, 150), 50, 1e-9);
}

/* The data set of published cycles lies beside the repository on some machines. */
static void nedc_equals_the_published_table(void **state)
{
        const char *shared = getenv("DRIVELINE_SHARED");
        CLEAN_MEM char *path =
                fs_join(shared ? shared : DRIVELINE_SOURCE "/../shared", "data/cycles/nedc.csv");
        if (!fs_exists(path)) {
                print_message("skipped: no published cycles at '%s'\n", path);
                free(TAKE(path)); /* skip() leaves the scope by a jump */
                skip();
        }
        CLEAN(cycle) struct cycle *published = given_cycle(path);
        CLEAN(cycle) struct cycle *ours = given_cycle("nedc");
        /* The published table leaves out one of the first seconds of idling. */
        for (int t = 0; t < 1180; t++)
                if (fabs(kmh_at(ours, t + 1) - kmh_at(published, t)) > 0.02)
                        fail_msg("at %d s: %g, published %g", t + 1, kmh_at(ours, t + 1),
                                kmh_at(published, t));
}

static void speed_is_straight_between_points_and_held_at_the_ends(void **state)
{
        static const char text[] = "time_s,speed_mps\r\n0,2\r\n2.5,7\r\n\r\n4,1e0";
        struct cycle *made = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(cycle_parse_csv(text, strlen(text), &made, &err), 0);
        CLEAN(cycle) struct cycle *cycle = made;
        uint32_t cursor = 0;
        assert_float_equal(cycle_speed_at(cycle, -1, &cursor), 2, 0);
        assert_float_equal(cycle_speed_at(cycle, 1.25, &cursor), 4.5, 1e-12);
        assert_float_equal(cycle_speed_at(cycle, 3.25, &cursor), 4, 1e-12);
        assert_float_equal(cycle_speed_at(cycle, 9, &cursor), 1, 0);
        assert_float_equal(cycle_speed_at(cycle, 0.5, &cursor), 3, 1e-12);
        cursor = 4000000;
        assert_float_equal(cycle_speed_at(cycle, 2.5, &cursor), 7, 0);
}

static void csv_errors_name_the_line(void **state)
{
        static const struct {
                const char *text;
                const char *message;
        } cases[] = {
                {"", "line 1: the file ends before its second row"},
                {"t,v\n0,0\n1,1\n", "line 1: want the head 'time_s,speed_mps'"},
                {"time_s,speed_mps\n0,0\n", "line 3: the file ends before its second row"},
                {"time_s,speed_mps\n1,0\n2,0\n", "line 2: the first time must be 0, not 1"},
                {"time_s,speed_mps\n0,0\n1\n", "line 3: want two numbers 'time_s,speed_mps'"},
                {"time_s,speed_mps\n0,0\n1,x\n", "line 3: want two numbers 'time_s,speed_mps'"},
                {"time_s,speed_mps\n0,0\n1,2,3\n", "line 3: want two numbers 'time_s,speed_mps'"},
                {"time_s,speed_mps\n0,0\n1, 2\n", "line 3: want two numbers 'time_s,speed_mps'"},
                {"time_s,speed_mps\n0,0\n1,nan\n", "line 3: want two numbers 'time_s,speed_mps'"},
                {"time_s,speed_mps\n0,0\n\n1,-2\n", "line 4: speed -2 m/s is not within 0 and 100"},
                {"time_s,speed_mps\n0,0\n1,101\n", "line 3: speed 101 m/s is not within 0 and 100"},
                {"time_s,speed_mps\n0,0\n1e9,1\n", "line 3: time 1e+09 is beyond 1e+07 s"},
                {"time_s,speed_mps\n0,0\n1,1\n1,2\n", "line 4: time 1 is not after the one before"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct cycle *cycle = NULL;
                struct err err = ERR_INIT;
                int r = cycle_parse_csv(cases[i].text, strlen(cases[i].text), &cycle, &err);
                assert_int_equal(r, -EINVAL);
                assert_null(cycle);
                assert_string_equal(err.text, cases[i].message);
        }
}

static void a_cycle_that_is_no_text_is_refused(void **state)
{
        struct cycle *cycle = NULL;
        assert_int_equal(cycle_parse_csv("time_s\0,", 8, &cycle, NULL), -EINVAL);
        assert_null(cycle);
}

static void an_endless_cycle_is_refused(void **state)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_CYCLE_BYTES);
        buf_adds(&text, "time_s,speed_mps\n");
        for (int i = 0; i <= LIMIT_CYCLE_POINTS; i++)
                buf_addf(&text, "%d,0\n", i);
        assert_int_equal(text.error, 0);
        struct cycle *cycle = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(cycle_parse_csv(text.data, text.len, &cycle, &err), -E2BIG);
        assert_null(cycle);
}

static void a_missing_file_names_its_path(void **state)
{
        struct cycle *cycle = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(cycle_open("/nowhere/x.csv", &cycle, &err), -ENOENT);
        assert_non_null(strstr(err.text, "'/nowhere/x.csv'"));
        assert_non_null(strstr(err.text, "nedc"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nedc_has_the_regulations_totals),
                cmocka_unit_test(ece15_is_one_urban_cycle),
                cmocka_unit_test(nedc_equals_the_published_table),
                cmocka_unit_test(speed_is_straight_between_points_and_held_at_the_ends),
                cmocka_unit_test(csv_errors_name_the_line),
                cmocka_unit_test(a_cycle_that_is_no_text_is_refused),
                cmocka_unit_test(an_endless_cycle_is_refused),
                cmocka_unit_test(a_missing_file_names_its_path),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
