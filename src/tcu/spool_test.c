/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/json.h"
#include "tcu/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* A fresh folder for each test. */
static int given_dir(void **state)
{
        char path[] = "/tmp/spool_test.XXXXXX";
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

static struct spool *opened(const char *dir, uint64_t max_bytes)
{
        struct err err = ERR_INIT;
        struct spool *s = NULL;
        if (spool_open(dir, max_bytes, &s, &err))
                fail_msg("%s", err.text);
        return s;
}

static void append(struct spool *s, uint64_t n, size_t len)
{
        for (uint64_t i = 0; i < n; i++) {
                CLEAN_MEM char *text = calloc(1, len + 32);
                int at = snprintf(text, len + 32, "message %" PRIu64, spool_next(s));
                if ((size_t)at < len)
                        memset(text + at, '.', len - (size_t)at);
                struct err err = ERR_INIT;
                if (spool_append(s, 1, text, strlen(text), &err))
                        fail_msg("%s", err.text);
        }
}

static void expect_next(struct spool *s, uint64_t sequence)
{
        struct spool_record r;
        assert_int_equal(spool_read(s, &r, NULL), 0);
        assert_int_equal(r.sequence, sequence);
        char text[64];
        int n = snprintf(text, sizeof(text), "message %" PRIu64, sequence);
        assert_memory_equal(r.data, text, (size_t)n);
        assert_int_equal(r.kind, 1);
}

static void expect_empty(struct spool *s)
{
        struct spool_record r;
        assert_int_equal(spool_read(s, &r, NULL), SPOOL_EMPTY);
}

/* What kill -9 leaves: the files as they are, without spool_close(). The old object is kept
 * reachable and never used again. */
static struct spool *killed_and_reopened(struct spool *s, const char *dir, uint64_t max_bytes)
{
        static struct spool *forgotten[16];
        static size_t n;
        forgotten[n++ % N_ELEMENTS(forgotten)] = s;
        return opened(dir, max_bytes);
}

static void records_come_back_in_order(void **state)
{
        CLEAN(spool) struct spool *s = opened(*state, 1 << 20);
        expect_empty(s);
        append(s, 100, 50);
        for (uint64_t i = 1; i <= 100; i++)
                expect_next(s, i);
        expect_empty(s);
        append(s, 1, 50);
        expect_next(s, 101);
}

static void a_rewind_starts_behind_the_acknowledged(void **state)
{
        CLEAN(spool) struct spool *s = opened(*state, 1 << 20);
        append(s, 10, 50);
        for (uint64_t i = 1; i <= 10; i++)
                expect_next(s, i);
        spool_acknowledge(s, 4);
        spool_acknowledge(s, 2);
        spool_rewind(s);
        expect_next(s, 5);
}

static void everything_survives_a_kill(void **state)
{
        struct spool *s = opened(*state, 1 << 20);
        append(s, 20, 2000);
        spool_acknowledge(s, 7);
        s = killed_and_reopened(s, *state, 1 << 20);
        assert_int_equal(spool_next(s), 21);
        for (uint64_t i = 8; i <= 20; i++)
                expect_next(s, i);
        expect_empty(s);
        spool_close(s);
}

static void numbers_never_repeat_when_all_is_acknowledged(void **state)
{
        struct spool *s = opened(*state, 1 << 20);
        append(s, 300, 500);
        spool_acknowledge(s, 300);
        spool_close(s);
        s = opened(*state, 1 << 20);
        expect_empty(s);
        append(s, 1, 50);
        expect_next(s, 301);
        spool_close(s);
}

static void the_oldest_goes_first_when_it_is_full(void **state)
{
        CLEAN(spool) struct spool *s = opened(*state, SPOOL_MIN_BYTES);
        append(s, 1000, 1000);
        struct spool_stats st;
        spool_stats(s, &st);
        assert_true(st.bytes <= SPOOL_MIN_BYTES);
        assert_true(st.records > 30);
        assert_int_equal(st.records + st.dropped, 1000);
        for (uint64_t i = 1000 - st.records + 1; i <= 1000; i++)
                expect_next(s, i);
        expect_empty(s);
}

static void a_reader_in_dropped_records_goes_on_with_the_oldest_left(void **state)
{
        CLEAN(spool) struct spool *s = opened(*state, SPOOL_MIN_BYTES);
        append(s, 5, 1000);
        expect_next(s, 1);
        append(s, 500, 1000);
        struct spool_stats st;
        spool_stats(s, &st);
        expect_next(s, 505 - st.records + 1);
}

static void acknowledged_segments_are_deleted(void **state)
{
        CLEAN(spool) struct spool *s = opened(*state, 1 << 20);
        append(s, 500, 1000);
        spool_acknowledge(s, 500);
        struct spool_stats st;
        spool_stats(s, &st);
        assert_int_equal(st.records, 0);
        assert_true(st.bytes < 100 * 1000);
}

static void too_large_a_message_is_refused_and_costs_no_number(void **state)
{
        CLEAN(spool) struct spool *s = opened(*state, SPOOL_MIN_BYTES);
        CLEAN_MEM char *big = calloc(1, SPOOL_MIN_BYTES);
        assert_int_equal(spool_append(s, 1, big, SPOOL_MIN_BYTES, NULL), -E2BIG);
        assert_int_equal(spool_next(s), 1);
}

/* The path of the only segment. */
static char *segment_path(const char *dir, uint64_t first)
{
        char name[40];
        snprintf(name, sizeof(name), "%020" PRIu64 ".seg", first);
        return fs_join(dir, name);
}

static void a_torn_tail_is_cut_at_every_length(void **state)
{
        struct spool *s = opened(*state, 1 << 20);
        append(s, 3, 40);
        spool_close(s);
        CLEAN_MEM char *path = segment_path(*state, 1);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        off_t record = st.st_size / 3;
        for (off_t len = st.st_size - 1; len > 2 * record; len--) {
                assert_int_equal(truncate(path, len), 0);
                s = opened(*state, 1 << 20);
                assert_int_equal(spool_next(s), 3);
                expect_next(s, 1);
                expect_next(s, 2);
                expect_empty(s);
                append(s, 1, 40);
                expect_next(s, 3);
                spool_close(s);
        }
}

static void damage_inside_costs_its_record_and_no_number(void **state)
{
        struct spool *s = opened(*state, 1 << 20);
        append(s, 3, 40);
        spool_close(s);
        CLEAN_MEM char *path = segment_path(*state, 1);
        CLEAN_FD int fd = open(path, O_RDWR);
        assert_int_equal(pwrite(fd, "X", 1, 100), 1);
        s = opened(*state, 1 << 20);
        expect_next(s, 1);
        expect_empty(s);
        assert_true(spool_next(s) > 3); /* 2 and 3 may have been sent */
        struct spool_stats st;
        spool_stats(s, &st);
        assert_int_equal(st.damaged, 1);
        uint64_t next = spool_next(s);
        append(s, 2, 40);
        expect_next(s, next);
        expect_next(s, next + 1);
        spool_close(s);
}

static void after_a_power_cut_numbers_go_on_behind_the_reserve(void **state)
{
        struct spool *s = opened(*state, 1 << 20);
        append(s, 3, 40);
        spool_close(s);
        CLEAN_MEM char *path = fs_join(*state, "reserve.json");
        const char text[] = "{\"reserved\":5000,\"boot\":\"another\",\"clean\":false}";
        assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
        s = opened(*state, 1 << 20);
        assert_int_equal(spool_next(s), 5001);
        append(s, 1, 40);
        for (uint64_t i = 1; i <= 3; i++)
                expect_next(s, i);
        expect_next(s, 5001);
        s = killed_and_reopened(s, *state, 1 << 20);
        assert_int_equal(spool_next(s), 5002);
        spool_close(s);
}

static void a_reserve_that_cannot_be_read_is_jumped_over(void **state)
{
        struct spool *s = opened(*state, 1 << 20);
        append(s, 3, 40);
        spool_close(s);
        CLEAN_MEM char *path = fs_join(*state, "reserve.json");
        assert_int_equal(fs_write_atomic(path, "{", 1, 0600, NULL), 0);
        s = opened(*state, 1 << 20);
        assert_int_equal(spool_next(s), 4 + SPOOL_RESERVE);
        spool_close(s);
}

static void one_torn_copy_of_the_position_is_enough(void **state)
{
        struct spool *s = opened(*state, 1 << 20);
        append(s, 5, 40);
        spool_acknowledge(s, 1); /* copy 0 */
        spool_acknowledge(s, 2); /* copy 1 */
        spool_close(s);
        CLEAN_MEM char *path = fs_join(*state, "position");
        CLEAN_FD int fd = open(path, O_RDWR);
        assert_int_equal(pwrite(fd, "????????????", 12, 4096), 12);
        s = opened(*state, 1 << 20);
        expect_next(s, 2);
        spool_close(s);
}

static void a_peek_sees_what_waits(void **state)
{
        CLEAN(spool) struct spool *s = opened(*state, 1 << 20);
        append(s, 5, 40);
        spool_acknowledge(s, 2);
        struct spool_stats st;
        assert_int_equal(spool_peek(*state, &st, NULL), 0);
        assert_int_equal(st.records, 3);
        assert_int_equal(st.last, 5);
        assert_int_equal(st.acknowledged, 2);
}

/* A limit on the file's size stands for a full disk: the last write fits in part only. */
static void a_full_disk_costs_messages_and_nothing_else(void **state)
{
        struct rlimit unlimited, full = {0};
        CLEAN(spool) struct spool *s = opened(*state, 1 << 20);
        append(s, 3, 40);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
        full = unlimited;
        full.rlim_cur = 3 * 64 + 30;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
        struct err err = ERR_INIT;
        CLEAN_MEM char *text = calloc(1, 200);
        for (int i = 0; i < 5; i++)
                assert_true(spool_append(s, 1, text, 200, &err) < 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
        assert_true(err.text[0]);
        append(s, 2, 40);
        for (uint64_t i = 1; i <= 5; i++)
                expect_next(s, i);
        expect_empty(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, given_dir, remove_dir)
        const struct CMUnitTest tests[] = {
                T(records_come_back_in_order),
                T(a_rewind_starts_behind_the_acknowledged),
                T(everything_survives_a_kill),
                T(numbers_never_repeat_when_all_is_acknowledged),
                T(the_oldest_goes_first_when_it_is_full),
                T(a_reader_in_dropped_records_goes_on_with_the_oldest_left),
                T(acknowledged_segments_are_deleted),
                T(too_large_a_message_is_refused_and_costs_no_number),
                T(a_torn_tail_is_cut_at_every_length),
                T(damage_inside_costs_its_record_and_no_number),
                T(after_a_power_cut_numbers_go_on_behind_the_reserve),
                T(a_reserve_that_cannot_be_read_is_jumped_over),
                T(one_torn_copy_of_the_position_is_enough),
                T(a_peek_sees_what_waits),
                T(a_full_disk_costs_messages_and_nothing_else),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
