/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * How fast messages get from the stream into the store, and what they cost there:
 *
 *   store_bench [--devices N] [--messages N] [--batch N] [--dir DIR]
 *
 * It writes that many messages of the demo's kind to a stream, one a second a car, and stores them
 * as the role does. The folder is made anew and removed afterwards.
 */
#include "base/buf.h"
#include "base/cli.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cloud/store/bench_live.h"
#include "cloud/store/ingest.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct bench {
        int devices, messages, batch, rate, seconds;
        const char *dir;
        char *stream_dir, *store_path;
};

static int fail(const struct err *err)
{
        return cli_fail("store_bench", err);
}

static void add_wheels(struct buf *b, double speed, double heat)
{
        buf_addf(b,
                ",\"ABS\":{\"BrakePedalPressure\":%.2f,\"BrakeActualPressure\":%.2f,"
                "\"TractionControl\":false",
                heat / 7, heat / 7.1);
        for (int i = 1; i <= 4; i++)
                buf_addf(b,
                        ",\"Wheel%d\":{\"Speed\":%.3f,\"Pressure\":%.2f,\"FluidTemperature\":%.2f,"
                        "\"DiskTemperature\":%.2f}",
                        i, speed + i * 0.01, heat / 8, 30 + heat / 10, 60 + heat + i);
        buf_adds(b, "}");
}

static void add_cabin(struct buf *b, double heat)
{
        buf_adds(b, ",\"AirConditioning\":{");
        for (int i = 1; i <= 3; i++)
                buf_addf(b, "%s\"Zone%d\":{\"State\":true,\"Temperature\":%.2f,\"Humidity\":%.2f}",
                        i > 1 ? "," : "", i, 20 + heat / 50 + i, 40 + heat / 30);
        buf_adds(b, "},\"Airbag\":{");
        for (int i = 1; i <= 5; i++)
                buf_addf(b,
                        "%s\"Seat%d\":{\"State\":true,\"Triggered\":false,\"Active\":true,"
                        "\"SeatbeltFastened\":%s,\"PassengerPresent\":%s}",
                        i > 1 ? "," : "", i, i < 3 ? "true" : "false", i < 3 ? "true" : "false");
        buf_adds(b, "},\"HeatSeats\":{");
        for (int i = 1; i <= 3; i++)
                buf_addf(b, "%s\"HeatedSeat%d\":{\"State\":false,\"Temperature\":%.2f}",
                        i > 1 ? "," : "", i, 18 + heat / 40);
        buf_adds(b, "}");
}

/* What a car of that number says in that second; a little of everything changes. */
static void compose(struct buf *b, int device, int second)
{
        char time[CLOCK_ISO8601_SIZE];
        clock_iso8601(INT64_C(1795374000000) + second * INT64_C(1000) + device % 1000, time);
        double speed = (second * 7 + device * 13) % 1300 / 10.0, heat = (second * 3 + device) % 200;
        buf_clear(b);
        buf_addf(b,
                "{\"DeviceID\":\"BENCH%012d\",\"Timestamp\":\"%s\",\"Sequence\":%d,"
                "\"SoftwareVersion\":\"1.0.0\","
                "\"Engine\":{\"Speed\":%.3f,\"Acceleration\":%.4f,\"Power\":%.3f},"
                "\"Battery\":{\"StateOfCharge\":%.4f,\"BatteryTemperature\":%.3f,\"EnergyAdded\":%."
                "3f}",
                device, time, second + 1, speed, heat / 100 - 1, speed / 3 - 5, 80 - second / 100.0,
                24 + heat / 60, second * 1.7);
        add_cabin(b, heat);
        add_wheels(b, speed, heat);
        buf_adds(b, "}");
}

static double cpu_s(void)
{
        struct rusage u;
        getrusage(RUSAGE_SELF, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Bytes that this process has sent towards the disk. */
static int64_t written_bytes(void)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_KIB(8));
        long long n = 0;
        const char *line =
                fs_read("/proc/self/io", &b, NULL) ? NULL : strstr(buf_text(&b), "\nwrite_bytes: ");
        if (line)
                (void)sscanf(line, "\nwrite_bytes: %lld", &n);
        return n;
}

static int64_t file_bytes(const char *path)
{
        struct stat st;
        return stat(path, &st) ? 0 : st.st_size;
}

static void report(const char *what, int n, int64_t us, double cpu)
{
        printf("%s: %.0f messages/s, %.1f us of CPU a message\n", what, n * 1e6 / (double)us,
                cpu * 1e6 / n);
}

static int fill_stream(const struct bench *bench, struct err *err)
{
        CLEAN(stream_writer) struct stream_writer *w = NULL;
        struct stream_options options = {0};
        CLEAN_BUF struct buf message = BUF_INIT(LIMIT_MESSAGE_BYTES);
        int r = stream_writer_open(bench->stream_dir, &options, &w, err);
        int64_t spent = 0;
        double cpu = 0;
        for (int i = 0; !r && i < bench->messages; i++) {
                char topic[64];
                int device = i % bench->devices;
                compose(&message, device, i / bench->devices);
                snprintf(topic, sizeof(topic), "device/BENCH%012d/telemetry", device);
                int64_t from = clock_mono_us();
                double cpu_from = i % 100 ? 0 : cpu_s();
                r = stream_append(w, topic, message.data, message.len, clock_now_ms(), NULL, err);
                spent += clock_mono_us() - from;
                cpu += i % 100 ? 0 : (cpu_s() - cpu_from) * 100;
        }
        if (!r) {
                printf("message: %zu bytes\n", message.len);
                report("append to the stream", bench->messages, spent ? spent : 1, cpu);
        }
        return r;
}

static int drain_stream(const struct bench *bench, struct ingest *in, struct err *err)
{
        CLEAN(stream_reader) struct stream_reader *reader = NULL;
        struct stream_position start = {.from = STREAM_FROM_START};
        int r = stream_reader_open(bench->stream_dir, &start, &reader, err);
        int64_t from = clock_mono_us(), written = written_bytes();
        double cpu = cpu_s();
        size_t n = 1;
        while (!r && n)
                r = ingest_batch(in, reader, (size_t)bench->batch, &n, err);
        if (r)
                return r;
        report("stream to store", (int)in->stored, clock_mono_us() - from, cpu_s() - cpu);
        printf("written to the disk: %.0f bytes a message\n",
                (double)(written_bytes() - written) / (double)in->stored);
        return in->stored == (uint64_t)bench->messages
                       ? 0
                       : err_set(err, -1, "%" PRIu64 " messages stored", in->stored);
}

static int store_all(const struct bench *bench, struct err *err)
{
        CLEAN(store) struct store *store = NULL;
        struct rule_set rules = {0};
        struct ingest in = {0};
        int r = store_open(bench->store_path, &store, err);
        if (!r)
                r = rule_set_load("", &rules, err); /* no folder: the defaults */
        if (!r)
                r = ingest_init(&in, store, &rules, err);
        if (!r)
                r = drain_stream(bench, &in, err);
        ingest_fini(&in);
        return r;
}

static int count_row(void *arg, const struct store_row *row)
{
        ++*(size_t *)arg;
        return 0;
}

static int ask(const struct bench *bench, struct err *err)
{
        CLEAN(store) struct store *s = NULL;
        CLEAN_STORE_SERIES struct store_series series = {0};
        int r = store_open_readonly(bench->store_path, &s, err);
        if (r)
                return r;
        size_t n = 0;
        int64_t from = clock_mono_us();
        r = store_last(s, "BENCH000000000000", count_row, &n, err);
        printf("last rows of a car: %.2f ms\n", (double)(clock_mono_us() - from) / 1e3);
        const char *columns[] = {"Speed"};
        struct store_range range = {.device = "BENCH000000000000",
                .table = "Engine",
                .to_ms = INT64_MAX,
                .columns = columns,
                .n_columns = 1,
                .limit = 1000};
        from = clock_mono_us();
        if (!r)
                r = store_series(s, &range, &series, err);
        printf("a signal of a car, %d rows as %zu points: %.2f ms\n",
                bench->messages / bench->devices, series.n, (double)(clock_mono_us() - from) / 1e3);
        return r;
}

static int run(struct bench *bench, struct err *err)
{
        bench->stream_dir = fs_join(bench->dir, "stream");
        bench->store_path = fs_join(bench->dir, "store.db");
        if (!bench->stream_dir || !bench->store_path)
                return err_set(err, -1, "out of memory");
        int r = fs_remove_tree(bench->dir, err);
        if (!r)
                r = fs_mkdir_p(bench->dir, 0700, err);
        if (!r)
                r = fill_stream(bench, err);
        if (!r)
                r = store_all(bench, err);
        if (!r)
                printf("store: %.0f bytes a message\n",
                        (double)file_bytes(bench->store_path) / bench->messages);
        if (!r)
                r = ask(bench, err);
        CLEAN_MEM char *live_dir = fs_join(bench->dir, "live");
        struct bench_live live = {live_dir, bench->rate, bench->seconds, bench->devices, compose};
        if (!r && live_dir)
                r = bench_live(&live, err);
        (void)fs_remove_tree(bench->dir, NULL);
        return r;
}

int main(int argc, char **argv)
{
        log_setup("store_bench", LOG_LEVEL_WARNING);
        struct bench bench = {.rate = 5000,
                .seconds = 5,
                .devices = 100,
                .messages = 100000,
                .batch = 1000,
                .dir = "/tmp/driveline-store-bench"};
        const struct cli_option options[] = {
                {"devices", 0, CLI_INT, &bench.devices, "N", "cars"},
                {"messages", 0, CLI_INT, &bench.messages, "N", "messages of all cars together"},
                {"batch", 0, CLI_INT, &bench.batch, "N", "messages a commit"},
                {"rate", 0, CLI_INT, &bench.rate, "N", "messages a second for the role"},
                {"seconds", 0, CLI_INT, &bench.seconds, "N", "how long"},
                {"dir", 0, CLI_TEXT, &bench.dir, "DIR", "folder to work in; it is removed first"},
                {0},
        };
        const char *args[1];
        size_t n_args;
        int exit_code;
        struct err err = ERR_INIT;
        if (cli_parse(argc, argv, "store_bench [options]", options, args, 0, &n_args, &exit_code))
                return exit_code;
        int r = run(&bench, &err);
        free(bench.stream_dir);
        free(bench.store_path);
        return r ? fail(&err) : 0;
}
