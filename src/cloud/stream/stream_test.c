/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * What every stream has to do, through its header. Damage is done to whole files of the folder, so
 * that another implementation only needs another damage().
 */
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/stream/stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define TOPIC "device/VIN1/telemetry"

static char dir[] = "/tmp/stream-test-XXXXXX";

static int given_folder(void **state)
{
        memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
        return fs_remove_tree(dir, NULL);
}

static struct stream_writer *given_writer(size_t segment_bytes)
{
        struct stream_options options = {.segment_bytes = segment_bytes};
        struct stream_writer *w = NULL;
        struct err err = ERR_INIT;
        if (stream_writer_open(dir, &options, &w, &err))
                fail_msg("%s", err.text);
        return w;
}

static uint64_t append(struct stream_writer *w, int64_t time_ms, const char *text)
{
        uint64_t offset = 0;
        struct err err = ERR_INIT;
        if (stream_append(w, TOPIC, text, strlen(text), time_ms, &offset, &err))
                fail_msg("%s", err.text);
        return offset;
}

/* Appends `n` records "1", "2", … with time 1000 * offset; returns the last offset. */
static uint64_t append_many(struct stream_writer *w, int n)
{
        uint64_t offset = 0;
        for (int i = 0; i < n; i++) {
                char text[32];
                snprintf(text, sizeof(text), "payload %" PRIu64, stream_next_offset(w));
                offset = append(w, (int64_t)stream_next_offset(w) * 1000, text);
        }
        return offset;
}

static struct stream_reader *given_reader(struct stream_position p)
{
        struct stream_reader *r = NULL;
        struct err err = ERR_INIT;
        if (stream_reader_open(dir, &p, &r, &err))
                fail_msg("%s", err.text);
        return r;
}

/* Checks that the next record is whole, and returns its offset; 0 when there is none. */
static uint64_t read_one(struct stream_reader *r)
{
        struct stream_record record;
        struct err err = ERR_INIT;
        int n = stream_next(r, &record, &err);
        if (n < 0)
                fail_msg("%s", err.text);
        if (n == STREAM_EMPTY)
                return 0;
        char text[32];
        int len = snprintf(text, sizeof(text), "payload %" PRIu64, record.offset);
        assert_string_equal(record.topic, TOPIC);
        assert_int_equal(record.len, len);
        assert_memory_equal(record.payload, text, record.len);
        return record.offset;
}

static void assert_reads(struct stream_reader *r, uint64_t first, uint64_t last)
{
        for (uint64_t offset = first; offset <= last; offset++)
                assert_int_equal(read_one(r), offset);
        assert_int_equal(read_one(r), 0);
}

static struct stream_stat stat_now(void)
{
        struct stream_stat s;
        assert_int_equal(stream_stat(dir, &s, NULL), 0);
        return s;
}

/* The path of the n-th segment file by name; malloc()ed. */
static char *segment(int n)
{
        struct dirent **names;
        int count = scandir(dir, &names, NULL, alphasort), seen = 0;
        char *path = NULL;
        for (int i = 0; i < count; i++) {
                if (strstr(names[i]->d_name, ".log") && seen++ == n)
                        path = fs_join(dir, names[i]->d_name);
                free(names[i]);
        }
        free(names);
        assert_non_null(path);
        return path;
}

/* Not durably: the damage is for this process only, and there is a lot of it. */
static void put_file(const char *path, const char *data, size_t len)
{
        CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fs_write_all(fd, data, len), 0);
}

static void read_starts_where_it_was_asked_to(void **state)
{
        CLEAN(stream_writer) struct stream_writer *w = given_writer(400);
        append_many(w, 20);
        assert_true(stat_now().segments > 3);
        CLEAN(stream_reader)
        struct stream_reader *latest = given_reader((struct stream_position){STREAM_FROM_LATEST});
        CLEAN(stream_reader)
        struct stream_reader *start = given_reader((struct stream_position){STREAM_FROM_START});
        assert_int_equal(read_one(latest), 0);
        assert_reads(start, 1, 20);
        for (uint64_t i = 1; i <= 20; i++) {
                CLEAN(stream_reader)
                struct stream_reader *offset =
                        given_reader((struct stream_position){STREAM_FROM_OFFSET, .offset = i});
                assert_reads(offset, i, 20);
                CLEAN(stream_reader)
                struct stream_reader *time = given_reader((struct stream_position){
                        STREAM_FROM_TIME, .time_ms = (int64_t)i * 1000 - 999});
                assert_reads(time, i, 20);
        }
        append_many(w, 10);
        assert_reads(latest, 21, 30);
        assert_reads(start, 21, 30);
}

static void reader_waits_for_a_writer_that_was_never_there(void **state)
{
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_LATEST});
        assert_int_equal(read_one(r), 0);
        struct pollfd p = {.fd = stream_reader_fd(r), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 0), 0);
        CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
        append_many(w, 1);
        assert_int_equal(poll(&p, 1, 0), 1);
        assert_reads(r, 1, 1);
        assert_int_equal(poll(&p, 1, 0), 0);
        append_many(w, 1);
        assert_int_equal(poll(&p, 1, 0), 1);
        assert_reads(r, 2, 2);
}

static void offsets_and_records_survive_a_restart_of_the_writer(void **state)
{
        for (uint64_t i = 0; i < 5; i++) {
                CLEAN(stream_writer) struct stream_writer *w = given_writer(300);
                assert_int_equal(stream_next_offset(w), i * 3 + 1);
                append_many(w, 3);
        }
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
        assert_reads(r, 1, 15);
        struct stream_stat s = stat_now();
        assert_int_equal(s.first_offset, 1);
        assert_int_equal(s.next_offset, 16);
        assert_int_equal(s.first_time_ms, 1000);
        assert_int_equal(s.last_time_ms, 15000);
}

static void each_stream_has_its_own_identity(void **state)
{
        uint64_t first = 0;
        for (int i = 0; i < 4; i++) {
                if (i == 2)
                        assert_int_equal(fs_remove_tree(dir, NULL), 0);
                if (i == 0 || i == 2)
                        assert_int_equal(stat_now().id, 0);
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                append_many(w, 1);
                if (i == 0)
                        first = stat_now().id;
                assert_true(first != 0);
                assert_true((stat_now().id == first) == (i < 2));
        }
}

static void only_one_process_writes(void **state)
{
        CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
        struct stream_options options = {0};
        struct stream_writer *second = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(stream_writer_open(dir, &options, &second, &err), -EBUSY);
        assert_non_null(strstr(err.text, "another process"));
        append_many(w, 1);
}

static void empty_and_largest_records_are_kept(void **state)
{
        CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
        static char large[LIMIT_MESSAGE_BYTES + 1];
        struct stream_record record;
        assert_int_equal(stream_append(w, "", NULL, 0, 1, NULL, NULL), 0);
        assert_int_equal(stream_append(w, TOPIC, large, LIMIT_MESSAGE_BYTES, 2, NULL, NULL), 0);
        assert_int_equal(stream_append(w, TOPIC, large, sizeof(large), 3, NULL, NULL), -E2BIG);
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
        assert_int_equal(stream_next(r, &record, NULL), 0);
        assert_int_equal(record.len, 0);
        assert_int_equal(stream_next(r, &record, NULL), 0);
        assert_int_equal(record.len, LIMIT_MESSAGE_BYTES);
        assert_int_equal(stream_next(r, &record, NULL), STREAM_EMPTY);
}

static void torn_end_is_cut_off_at_every_byte(void **state)
{
        struct stat st;
        {
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                append_many(w, 2);
                CLEAN_MEM char *path = segment(0);
                assert_int_equal(stat(path, &st), 0);
                append_many(w, 1);
        }
        off_t before = st.st_size;
        CLEAN_MEM char *path = segment(0);
        CLEAN_BUF struct buf whole = BUF_INIT(LIMIT_MIB(1));
        assert_int_equal(fs_read(path, &whole, NULL), 0);
        for (off_t cut = before; cut < (off_t)whole.len; cut++) {
                put_file(path, whole.data, (size_t)cut);
                CLEAN(stream_reader)
                struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
                assert_reads(r, 1, 2); /* before the repair too */
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                assert_int_equal(stream_next_offset(w), 3);
                assert_int_equal(append_many(w, 1), 3);
                assert_reads(r, 3, 3);
                assert_int_equal(stream_reader_skipped(r).corrupt, 0);
        }
}

static void flipped_bit_is_never_read_and_is_counted(void **state)
{
        {
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                append_many(w, 4);
        }
        CLEAN_MEM char *path = segment(0);
        CLEAN_BUF struct buf whole = BUF_INIT(LIMIT_MIB(1));
        assert_int_equal(fs_read(path, &whole, NULL), 0);
        size_t head = 32, size = (whole.len - head) / 4;
        for (size_t at = head + size; at < head + 2 * size; at++) { /* in the second record */
                whole.data[at] ^= 0x10;
                put_file(path, whole.data, whole.len);
                whole.data[at] ^= 0x10;
                CLEAN(stream_reader)
                struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
                assert_int_equal(read_one(r), 1);
                assert_reads(r, 3, 4);
                assert_int_equal(stream_reader_skipped(r).corrupt, 1);
                assert_int_equal(stream_reader_skipped(r).missing, 1);
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                assert_int_equal(append_many(w, 1), 5);
                assert_reads(r, 5, 5);
        }
}

static void segment_with_a_bad_head_is_passed_over(void **state)
{
        {
                CLEAN(stream_writer) struct stream_writer *w = given_writer(300);
                append_many(w, 9);
        }
        unsigned n = stat_now().segments;
        assert_true(n >= 3);
        for (unsigned i = 1; i < n; i += n - 2) { /* one in the middle, then the last */
                CLEAN_MEM char *path = segment((int)i);
                CLEAN_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
                assert_int_equal(pwrite(fd, "x", 1, 9), 1);
        }
        CLEAN(stream_writer) struct stream_writer *w = given_writer(300);
        uint64_t next = stream_next_offset(w);
        assert_true(next > 10);
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
        uint64_t last = 0, offset;
        append_many(w, 2);
        while ((offset = read_one(r)))
                last = offset;
        assert_int_equal(last, next + 1);
        assert_int_equal(stream_reader_skipped(r).corrupt, 2);
}

static void offsets_jump_when_the_machine_went_down(void **state)
{
        {
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                append_many(w, 3);
        }
        CLEAN_MEM char *lock = fs_join(dir, "lock");
        assert_int_equal(fs_write_atomic(lock, "another boot", 12, 0600, NULL), 0);
        CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
        uint64_t next = stream_next_offset(w);
        assert_true(next > 1000000);
        append_many(w, 2);
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
        for (uint64_t i = 1; i <= 3; i++)
                assert_int_equal(read_one(r), i);
        assert_reads(r, next, next + 1);
        assert_int_equal(stream_reader_skipped(r).missing, 0);
}

static void old_and_excess_segments_are_removed(void **state)
{
        struct stream_options options = {.segment_bytes = 300, .max_bytes = 1000};
        struct stream_writer *w = NULL;
        assert_int_equal(stream_writer_open(dir, &options, &w, NULL), 0);
        CLEAN(stream_reader)
        struct stream_reader *slow =
                given_reader((struct stream_position){STREAM_FROM_OFFSET, .offset = 1});
        append_many(w, 1);
        assert_int_equal(read_one(slow), 1);
        append_many(w, 99);
        struct stream_stat s = stat_now();
        assert_true(s.bytes <= 1300);
        assert_true(s.first_offset > 80);
        assert_int_equal(s.next_offset, 101);
        /* The slow reader still has its file; then it goes on with what is left. */
        uint64_t offset, seen = 1;
        while ((offset = read_one(slow)))
                seen++;
        assert_int_equal(seen + stream_reader_skipped(slow).missing, 100);
        stream_writer_free(w);

        options = (struct stream_options){.segment_bytes = 300, .max_age_ms = 5000};
        assert_int_equal(stream_writer_open(dir, &options, &w, NULL), 0);
        assert_int_equal(stream_retain(w, 1000000, NULL), 0);
        assert_int_equal(stat_now().segments, 1);
        assert_int_equal(stream_next_offset(w), 101);
        stream_writer_free(w);
}

static void full_disk_leaves_the_stream_whole(void **state)
{
        /* A limit on the size of files stands in for the full disk: the write comes back short. */
        struct rlimit old, tight;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        signal(SIGXFSZ, SIG_IGN);
        CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
        append_many(w, 2);
        CLEAN_MEM char *path = segment(0);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        for (rlim_t room = 0; room < 70; room += 7) {
                tight = (struct rlimit){(rlim_t)st.st_size + room, old.rlim_max};
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
                char text[100] = "too large for the room";
                int r = stream_append(w, TOPIC, text, sizeof(text), 1, NULL, NULL);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
                assert_true(r < 0);
        }
        assert_int_equal(append_many(w, 1), 3);
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
        assert_reads(r, 1, 3);
        assert_int_equal(stream_reader_skipped(r).corrupt, 0);
}

static void hidden_record_in_a_payload_is_never_found(void **state)
{
        /* The bytes of a whole record, as a device could send them that knows the format. */
        CLEAN_BUF struct buf fake = BUF_INIT(LIMIT_MIB(1));
        {
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                append_many(w, 9);
                CLEAN_MEM char *path = segment(0);
                assert_int_equal(fs_read(path, &fake, NULL), 0);
        }
        assert_int_equal(fs_remove_tree(dir, NULL), 0);
        struct stat st;
        {
                CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
                append_many(w, 1);
                assert_int_equal(stream_append(w, TOPIC, fake.data, fake.len, 1, NULL, NULL), 0);
                append_many(w, 1);
        }
        CLEAN_MEM char *path = segment(0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - 90), 0); /* the fake's carrier loses its end */
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
        assert_reads(r, 1, 1);
        CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
        assert_int_equal(append_many(w, 1), 2);
        assert_reads(r, 2, 2);
}

/* Appends until it is killed, and tells each offset that was returned through the pipe. */
static void write_until_killed(int pipe_fd)
{
        struct stream_options options = {.segment_bytes = 100000};
        struct stream_writer *w = NULL;
        if (stream_writer_open(dir, &options, &w, NULL))
                _exit(1);
        for (;;) {
                char text[32];
                uint64_t offset;
                int len = snprintf(text, sizeof(text), "payload %" PRIu64, stream_next_offset(w));
                if (stream_append(w, TOPIC, text, (size_t)len, 1, &offset, NULL) ||
                        write(pipe_fd, &offset, sizeof(offset)) != sizeof(offset))
                        _exit(1);
        }
}

/* Reads what there is; false when nothing came within the time. */
static bool read_some(struct stream_reader *r, uint64_t *last, int timeout_ms)
{
        uint64_t offset, before = *last;
        while ((offset = read_one(r))) {
                assert_int_equal(offset, *last + 1);
                *last = offset;
        }
        struct pollfd p = {.fd = stream_reader_fd(r), .events = POLLIN};
        return *last > before || poll(&p, 1, timeout_ms) > 0;
}

static void killed_writer_loses_nothing_that_it_returned(void **state)
{
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_START});
        uint64_t last = 0;
        unsigned seed = 7;
        for (int round = 0; round < 40; round++) {
                int fds[2];
                assert_int_equal(pipe(fds), 0);
                pid_t child = fork();
                if (!child)
                        write_until_killed(fds[1]);
                close(fds[1]);
                uint64_t begin = last, target = begin + 1 + (uint64_t)rand_r(&seed) % 400;
                /* The pipe is read along, so that the writer never waits for us. */
                uint64_t returned = 0, offset;
                while (returned < target) {
                        assert_int_equal(read(fds[0], &offset, sizeof(offset)), sizeof(offset));
                        returned = offset;
                        read_some(r, &last, 0);
                }
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
                while (read(fds[0], &offset, sizeof(offset)) == sizeof(offset))
                        returned = offset;
                close(fds[0]);
                while (read_some(r, &last, 0))
                        ;
                assert_true(last >= returned);
        }
        assert_int_equal(stream_reader_skipped(r).corrupt, 0);
        assert_int_equal(stream_reader_skipped(r).missing, 0);
}

static void append_is_cheap(void **state)
{
        CLEAN(stream_writer) struct stream_writer *w = given_writer(0);
        CLEAN(stream_reader)
        struct stream_reader *r = given_reader((struct stream_position){STREAM_FROM_LATEST});
        assert_non_null(r); /* its watch is part of the price */
        static char payload[1600];
        enum { N = 20000 };
        struct timespec a, b;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        for (int i = 0; i < N; i++)
                assert_int_equal(
                        stream_append(w, TOPIC, payload, sizeof(payload), i, NULL, NULL), 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        double us =
                ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / N;
        print_message("append: %.2f us of CPU\n", us);
        assert_true(us < 200); /* the aim is 5; sanitizers and a busy machine are allowed more */
}

int main(void)
{
        log_setup("stream-test", LOG_LEVEL_ERROR);
#define T(name) cmocka_unit_test_setup_teardown(name, given_folder, remove_folder)
        const struct CMUnitTest tests[] = {
                T(read_starts_where_it_was_asked_to),
                T(reader_waits_for_a_writer_that_was_never_there),
                T(offsets_and_records_survive_a_restart_of_the_writer),
                T(each_stream_has_its_own_identity),
                T(only_one_process_writes),
                T(empty_and_largest_records_are_kept),
                T(torn_end_is_cut_off_at_every_byte),
                T(flipped_bit_is_never_read_and_is_counted),
                T(segment_with_a_bad_head_is_passed_over),
                T(offsets_jump_when_the_machine_went_down),
                T(old_and_excess_segments_are_removed),
                T(full_disk_leaves_the_stream_whole),
                T(hidden_record_in_a_payload_is_never_found),
                T(killed_writer_loses_nothing_that_it_returned),
                T(append_is_cheap),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
