/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* What every store has to do, through its header and the way from the stream. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/log.h"
#include "cloud/store/ingest.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define T0 INT64_C(1795374000000)

static struct {
        char dir[32];
        char *path, *stream_dir;
        struct store *store;
        struct ingest ingest;
} test;

static void open_store(void)
{
        struct err err = ERR_INIT;
        struct rule_set rules = {0};
        if (store_open(test.path, &test.store, &err) || rule_set_load("", &rules, &err) ||
                ingest_init(&test.ingest, test.store, &rules, &err))
                fail_msg("%s", err.text);
}

static void close_store(void)
{
        ingest_fini(&test.ingest);
        store_free(TAKE(test.store));
}

static int given_store(void **state)
{
        snprintf(test.dir, sizeof(test.dir), "/tmp/store-test-XXXXXX");
        if (!mkdtemp(test.dir))
                return -1;
        test.path = fs_join(test.dir, "store.db");
        test.stream_dir = fs_join(test.dir, "stream");
        open_store();
        return 0;
}

static int remove_store(void **state)
{
        close_store();
        free(TAKE(test.path));
        free(TAKE(test.stream_dir));
        return fs_remove_tree(test.dir, NULL);
}

/* ── helpers ── */

static void take_on(const char *topic, int64_t received_ms, const char *payload)
{
        struct err err = ERR_INIT;
        struct stream_record record = {
                store_offset(test.store) + 1, received_ms, topic, payload, strlen(payload)};
        if (store_begin(test.store, &err) || ingest_record(&test.ingest, &record, &err) ||
                store_commit(test.store, record.offset, &err))
                fail_msg("%s", err.text);
}

/* A message of `device` at T0 + at_ms, as it comes from its topic. */
static void take(const char *device, int sequence, int at_ms, const char *members)
{
        char topic[100], text[2048], second[32];
        snprintf(topic, sizeof(topic), "device/%s/telemetry", device);
        snprintf(second, sizeof(second), "2026-11-22T19:%02d:%02d.%03dZ", at_ms / 60000,
                at_ms / 1000 % 60, at_ms % 1000);
        snprintf(text, sizeof(text),
                "{\"DeviceID\":\"%s\",\"Timestamp\":\"%s\",\"Sequence\":%d,\"SoftwareVersion\":\"1."
                "0.0\"%s%s}",
                device, second, sequence, *members ? "," : "", members);
        take_on(topic, T0 + at_ms + 5, text);
}

static int add_names(void *arg, size_t n, const char *const *names)
{
        return 0;
}

static int add_values(void *arg, size_t n, const struct telemetry_value *values)
{
        for (size_t i = 0; i < n; i++) {
                if (values[i].type == TELEMETRY_NUMBER)
                        buf_addf(arg, "%.15g ", values[i].number);
                else if (values[i].type == TELEMETRY_TEXT)
                        buf_addf(arg, "%.*s ", (int)values[i].text.len, values[i].text.at);
                else
                        buf_adds(arg, "- ");
        }
        return 0;
}

static struct store *given_reader(void)
{
        struct store *s = NULL;
        struct err err = ERR_INIT;
        if (store_open_readonly(test.path, &s, &err))
                fail_msg("%s", err.text);
        return s;
}

/* The answer as one line. */
static void assert_sql(const char *sql, const char *expected)
{
        CLEAN(store) struct store *s = given_reader();
        CLEAN_BUF struct buf b = BUF_INIT(100000);
        struct err err = ERR_INIT;
        struct store_sql q = {.sql = sql, .names = add_names, .row = add_values, .arg = &b};
        if (store_sql(s, &q, &err))
                fail_msg("%s: %s", sql, err.text);
        assert_string_equal(buf_text(&b), expected);
}

/* ── storing ── */

static void message_becomes_a_row_in_each_table(void **state)
{
        take("VIN1", 1, 0,
                "\"Engine\":{\"Speed\":53.5},\"ABS\":{\"TractionControl\":true,\"Wheel1\":{"
                "\"Speed\":53}}");
        take("VIN1", 2, 1000,
                "\"Engine\":{\"Speed\":54},\"ABS\":{\"TractionControl\":false,\"Wheel1\":{"
                "\"Speed\":54}}");
        assert_sql("SELECT * FROM Engine",
                "VIN1 1795374000000 1 1.0.0 53.5 VIN1 1795374001000 2 1.0.0 54 ");
        assert_sql("SELECT DeviceID, TractionControl, \"Wheel1.Speed\" FROM ABS WHERE time > "
                   "1795374000000",
                "VIN1 0 54 ");
        assert_sql("SELECT DeviceID, Sequence, SoftwareVersion, messages, last_seen FROM devices",
                "VIN1 2 1.0.0 2 1795374001005 ");
        CLEAN(store) struct store *s = given_reader();
        CLEAN_STORE_TABLES struct store_tables tables = {0};
        assert_int_equal(store_tables(s, &tables, NULL), 0);
        assert_int_equal(tables.n, 2);
        assert_string_equal(tables.tables[0].name, "ABS");
        assert_string_equal(tables.tables[0].columns[1].name, "Wheel1.Speed");
        assert_int_equal(tables.tables[0].columns[0].type, TELEMETRY_BOOL);
        assert_int_equal(tables.tables[0].columns[1].type, TELEMETRY_NUMBER);
}

static void same_message_is_stored_once(void **state)
{
        for (int twice = 0; twice < 2; twice++) {
                for (int i = 1; i <= 5; i++)
                        take("VIN1", i, i * 1000, "\"E\":{\"a\":1}");
                close_store();
                open_store();
        }
        assert_sql("SELECT count(*), max(Sequence) FROM E", "5 5 ");
        assert_sql("SELECT messages, duplicates FROM devices", "5 5 ");
        take("VIN1", 7, 7000, "\"E\":{\"a\":1}"); /* later than 6 */
        take("VIN1", 6, 6000, "\"E\":{\"a\":1}");
        take("VIN1", 7, 7000, "\"E\":{\"a\":1}");
        take("VIN1", 6, 6000, "\"E\":{\"a\":1}");
        assert_sql("SELECT count(*) FROM E", "7 ");
        take("VIN2", 1, 1000, "\"E\":{\"a\":1}"); /* another car */
        take("VIN1", 1, 9000, "\"E\":{\"a\":1}"); /* a car that counts from 1 again */
        take("VIN1", 2, 10000, "\"E\":{\"a\":1}");
        take("VIN1", 2, 10000, "\"E\":{\"a\":1}");
        assert_sql("SELECT count(*) FROM E", "10 ");
}

static void same_message_without_number_or_time_is_stored_once(void **state)
{
        for (int i = 0; i < 3; i++) {
                take_on("device/a/telemetry", T0 + i,
                        "{\"DeviceID\":\"a\",\"Sequence\":1,\"E\":{\"x\":1}}");
                take_on("device/a/telemetry", T0 + i,
                        "{\"DeviceID\":\"a\",\"Sequence\":2,\"E\":{\"x\":1}}");
                take_on("device/b/telemetry", T0 + i,
                        "{\"DeviceID\":\"b\",\"Timestamp\":\"2026-11-22T19:00:00Z\",\"E\":{\"x\":1}"
                        "}");
        }
        assert_sql("SELECT DeviceID, time, Sequence FROM E ORDER BY DeviceID, Sequence",
                "a 1795374000000 1 a 1795374000000 2 b 1795374000000 - ");
}

static void columns_and_tables_appear_later(void **state)
{
        take("VIN1", 1, 0, "\"E\":{\"a\":1}");
        CLEAN(store) struct store *early = given_reader();
        take("VIN1", 2, 1000, "\"E\":{\"a\":2,\"b.c\":\"x\",\"n\":null},\"F\":{\"on\":true}");
        take("VIN1", 3, 2000, "\"e\":{\"A\":3,\"n\":1}");
        take("VIN1", 4, 3000, "\"E\":{\"quote\\\"d; DROP TABLE x\":4}");
        assert_sql(
                "SELECT time - 1795374000000, a, \"b.c\", n, \"quote\"\"d; DROP TABLE x\" FROM E",
                "0 1 - - - 1000 2 x - - 2000 3 - 1 - 3000 - - - 4 ");
        assert_sql("SELECT * FROM F", "VIN1 1795374001000 2 1.0.0 1 ");
        CLEAN_STORE_TABLES struct store_tables tables = {0};
        assert_int_equal(store_tables(early, &tables, NULL),
                0); /* a reader that was open before sees it too */
        assert_int_equal(tables.n, 2);
        assert_int_equal(tables.tables[0].n_columns, 4);
}

static void what_cannot_be_stored_is_a_dead_letter(void **state)
{
        static const struct {
                const char *payload, *reason;
        } cases[] = {
                {"{\"DeviceID\":\"VIN1\"", "ends too early"},
                {"hello", "no object"},
                {"", "no object"},
                {"{\"E\":{\"a\":1}}", "DeviceID is missing"},
                {"{\"DeviceID\":\"VIN2\",\"E\":{\"a\":1}}", "DeviceID 'VIN2' on a topic of 'VIN1'"},
                {"{\"DeviceID\":5}", "DeviceID is no text"},
                {"{\"DeviceID\":\"VIN1\",\"E\":{\"a\":\"fast\"}}",
                        "column 'E.a' holds number, not text"},
                {"{\"DeviceID\":\"VIN1\",\"E\":{\"a\":true}}",
                        "column 'E.a' holds number, not boolean"},
                {"{\"DeviceID\":\"VIN1\",\"E\":{\"time\":1}}", "column 'time' has a reserved name"},
                {"{\"DeviceID\":\"VIN1\",\"_messages\":{\"x\":1}}",
                        "'_messages' has a reserved name"},
                {"{\"DeviceID\":\"VIN1\",\"sqlite_x\":{\"x\":1}}",
                        "'sqlite_x' has a reserved name"},
                {"{\"DeviceID\":\"VIN1\",\"Devices\":{\"x\":1}}", "'Devices' has a reserved name"},
        };
        take("VIN1", 1, 0, "\"E\":{\"a\":1}");
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                char sql[200], expected[200];
                take_on("device/VIN1/telemetry", T0 + (int64_t)i, cases[i].payload);
                CLEAN(store) struct store *s = given_reader();
                CLEAN_BUF struct buf b = BUF_INIT(10000);
                snprintf(sql, sizeof(sql), "SELECT reason FROM dead_letter WHERE id = %zu", i + 1);
                struct store_sql q = {.sql = sql, .names = add_names, .row = add_values, .arg = &b};
                assert_int_equal(store_sql(s, &q, NULL), 0);
                if (!strstr(buf_text(&b), cases[i].reason))
                        fail_msg("%s: '%s'", cases[i].payload, buf_text(&b));
                snprintf(expected, sizeof(expected), "device/VIN1/telemetry %s ", cases[i].payload);
                snprintf(sql, sizeof(sql),
                        "SELECT topic, CAST(payload AS TEXT) FROM dead_letter WHERE id = %zu",
                        i + 1);
                assert_sql(sql, expected);
        }
        assert_sql("SELECT count(*) FROM E", "1 ");
        assert_sql("SELECT messages FROM devices", "1 ");
        take_on("device/VIN1/other", T0, "rubbish that no rule asks for");
        assert_int_equal(test.ingest.ignored, 1);
}

/* Puts `n` messages with 500 columns each that no one has had before. */
static int refused_after(int n)
{
        int refused = 0;
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        assert_int_equal(store_begin(test.store, NULL), 0);
        for (int i = 0; i < n; i++) {
                CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MESSAGE_BYTES);
                buf_addf(&b, "{\"DeviceID\":\"VIN1\",\"Sequence\":%d,\"E\":{", i + 1);
                for (int k = 0; k < 500; k++)
                        buf_addf(&b, "%s\"c%d\":1", k ? "," : "", i * 500 + k);
                buf_adds(&b, "}}");
                assert_int_equal(telemetry_parse(t, b.data, b.len, NULL), 0);
                refused += store_put(test.store, t, "telemetry", T0, NULL) == STORE_REFUSED;
        }
        assert_int_equal(store_commit(test.store, 1, NULL), 0);
        return refused;
}

static void tables_and_columns_have_a_limit(void **state)
{
        assert_int_equal(refused_after(4), 2);
        for (int i = 0; i < LIMIT_STORE_TABLES + 10; i++) {
                char group[40];
                snprintf(group, sizeof(group), "\"G%d\":{}", i);
                take("VIN2", i + 1, i, group);
        }
        assert_sql("SELECT count(*) FROM sqlite_master WHERE type = 'view'",
                "257 "); /* and `devices` */
        assert_sql(
                "SELECT count(*) FROM dead_letter WHERE reason LIKE '%one too many for the store'",
                "11 ");
}

static void failed_batch_leaves_nothing_behind(void **state)
{
        take("VIN1", 1, 0, "\"E\":{\"a\":1}");
        struct err err = ERR_INIT;
        const char *payload =
                "{\"DeviceID\":\"VIN9\",\"Sequence\":1,\"E\":{\"b\":1},\"New\":{\"x\":1}}";
        struct stream_record record = {9, T0, "device/VIN9/telemetry", payload, strlen(payload)};
        for (int i = 0; i < 2; i++) {
                assert_int_equal(store_begin(test.store, &err), 0);
                assert_int_equal(ingest_record(&test.ingest, &record, &err), 0);
                if (i == 0)
                        store_rollback(test.store);
        }
        assert_sql("SELECT count(*), max(Sequence) FROM E", "1 1 ");
        assert_int_equal(store_commit(test.store, 10, &err), 0);
        assert_sql("SELECT DeviceID, a, b FROM E", "VIN1 1 - VIN9 - 1 ");
        assert_sql("SELECT DeviceID, x FROM New", "VIN9 1 ");
        assert_int_equal(store_offset(test.store), 10);
}

static void second_writer_is_refused(void **state)
{
        struct store *second = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(store_open(test.path, &second, &err), -EBUSY);
        assert_non_null(strstr(err.text, "another process"));
}

/* ── reading ── */

static int note_row(void *arg, const struct store_row *row)
{
        buf_addf(arg, "%s.%s %" PRId64 " %" PRId64 ":", row->device, row->table, row->time_ms - T0,
                row->sequence);
        for (size_t i = 0; i < row->n_cells; i++) {
                buf_addf(arg, " %s=", row->cells[i].column);
                add_values(arg, 1, &row->cells[i].value);
        }
        buf_adds(arg, "\n");
        return 0;
}

static void rows_are_read_by_range(void **state)
{
        for (int i = 1; i <= 30; i++) {
                char e[100];
                snprintf(e, sizeof(e), "\"E\":{\"a\":%d,\"b\":\"x\"}%s", i,
                        i % 15 ? "" : ",\"Rare\":{\"v\":1}");
                take("VIN1", i, i * 1000, e);
                take("VIN2", i, i * 1000, e);
        }
        CLEAN(store) struct store *s = given_reader();
        const char *columns[] = {"A"};
        struct store_range range = {.device = "VIN2",
                .table = "e",
                .from_ms = T0 + 4000,
                .to_ms = T0 + 6000,
                .columns = columns,
                .n_columns = 1};
        CLEAN_BUF struct buf b = BUF_INIT(100000);
        assert_int_equal(store_rows(s, &range, note_row, &b, NULL), 0);
        assert_string_equal(
                b.data, "VIN2.E 4000 4: a=4 \nVIN2.E 5000 5: a=5 \nVIN2.E 6000 6: a=6 \n");
        buf_clear(&b);
        range = (struct store_range){
                .table = "E", .to_ms = INT64_MAX, .limit = 3, .newest_first = true};
        assert_int_equal(store_rows(s, &range, note_row, &b, NULL), 0);
        assert_string_equal(b.data, "VIN2.E 30000 30: a=30  b=x \nVIN1.E 30000 30: a=30  b=x "
                                    "\nVIN2.E 29000 29: a=29  b=x \n");
        buf_clear(&b);
        range = (struct store_range){.device = "VIN1", .table = "Rare", .to_ms = INT64_MAX};
        assert_int_equal(store_rows(s, &range, note_row, &b, NULL), 0);
        assert_string_equal(b.data, "VIN1.Rare 15000 15: v=1 \nVIN1.Rare 30000 30: v=1 \n");
        buf_clear(&b);
        assert_int_equal(store_last(s, "VIN1", note_row, &b, NULL), 0);
        assert_string_equal(b.data, "VIN1.E 30000 30: a=30  b=x \nVIN1.Rare 30000 30: v=1 \n");
        struct err err = ERR_INIT;
        range.table = "Nothing";
        assert_int_equal(store_rows(s, &range, note_row, &b, &err), -ENOENT);
        range = (struct store_range){.device = "VIN7", .table = "E", .to_ms = INT64_MAX};
        assert_int_equal(store_rows(s, &range, note_row, &b, &err), -ENOENT);
        columns[0] = "zzz";
        range = (struct store_range){
                .device = "VIN1", .table = "E", .columns = columns, .n_columns = 1};
        assert_int_equal(store_rows(s, &range, note_row, &b, &err), -ENOENT);
        assert_non_null(strstr(err.text, "no column 'zzz'"));
}

static void series_keeps_peaks_within_its_points(void **state)
{
        for (int i = 0; i < 600; i++) {
                char e[100];
                snprintf(e, sizeof(e), "\"E\":{\"a\":%s,\"b\":%d,\"on\":%s,\"t\":\"x\"}",
                        i == 77    ? "1000"
                        : i == 311 ? "-1000"
                                   : "1",
                        i, i % 2 ? "true" : "false");
                take("VIN1", i + 1, i * 1000, e);
        }
        CLEAN(store) struct store *s = given_reader();
        for (size_t limit = 0; limit <= 1000; limit += 50) {
                const char *columns[] = {"a", "b", "on", "t"};
                struct store_range range = {.device = "VIN1",
                        .table = "E",
                        .from_ms = INT64_MIN,
                        .to_ms = INT64_MAX,
                        .columns = columns,
                        .n_columns = 4,
                        .limit = limit};
                CLEAN_STORE_SERIES struct store_series series = {0};
                assert_int_equal(store_series(s, &range, &series, NULL), 0);
                assert_true(
                        series.n == 600 || (limit && series.n <= limit && series.n * 3 > limit));
                double low = INFINITY, high = -INFINITY;
                for (size_t i = 0; i < series.n; i++) {
                        low = fmin(low, series.values[i * 4]);
                        high = fmax(high, series.values[i * 4]);
                        assert_true(!i || series.time_ms[i] > series.time_ms[i - 1]);
                        assert_true(!i || series.values[i * 4 + 1] > series.values[i * 4 - 3]);
                        assert_true(isnan(series.values[i * 4 + 3]));
                }
                assert_true(low == -1000 && high == 1000);
                assert_true(series.time_ms[0] == T0 && series.time_ms[series.n - 1] == T0 + 599000);
        }
}

static void gap_is_measured_by_sequence_numbers(void **state)
{
        for (int i = 1; i <= 10; i++)
                if (i != 4)
                        take("VIN1", i, i * 1000 + (i > 6 ? 2500 : 0), "\"E\":{\"a\":1}");
        take_on("device/VIN1/update", T0,
                "{\"DeviceID\":\"VIN1\",\"Timestamp\":\"2026-11-22T19:00:15.000Z\","
                "\"Sequence\":11,\"Update\":{\"State\":\"installing\"}}");
        take("VIN1", 12, 20000, "\"E\":{\"a\":1}");
        CLEAN(store) struct store *s = given_reader();
        struct store_gap gap;
        assert_int_equal(store_gap(s, "VIN1", T0, T0 + 13000, &gap, NULL), 0);
        assert_int_equal(gap.messages, 9);
        assert_int_equal(gap.first_sequence, 1);
        assert_int_equal(gap.last_sequence, 10);
        assert_int_equal(gap.lost, 1);
        assert_int_equal(gap.stored_twice, 0);
        assert_int_equal(gap.restarts, 0);
        assert_int_equal(gap.max_gap_ms, 3500);
        assert_int_equal(gap.gap_from_sequence, 6);
        assert_int_equal(gap.gap_to_sequence, 7);
        /* The update's event is a message, but no telemetry. */
        assert_int_equal(store_gap(s, "VIN1", INT64_MIN, INT64_MAX, &gap, NULL), 0);
        assert_int_equal(gap.messages, 11);
        assert_int_equal(gap.lost, 1);
        assert_int_equal(gap.max_gap_ms, 7500);
        assert_int_equal(gap.gap_from_ms, T0 + 12500);
        assert_int_equal(store_gap(s, "VIN2", 0, 1, &gap, NULL), -ENOENT);
}

static void sql_reads_and_nothing_else(void **state)
{
        static const char *const bad[] = {"DELETE FROM Engine", "SELECT 1; SELECT 2", "",
                "SELECT * FROM Nothing", "ATTACH 'x' AS y", "CREATE TABLE t(x)", "SELEC"};
        take("VIN1", 1, 0, "\"Engine\":{\"Speed\":1}");
        CLEAN(store) struct store *s = given_reader();
        CLEAN_BUF struct buf b = BUF_INIT(100000);
        struct store_sql q = {.names = add_names, .row = add_values, .arg = &b};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                struct err err = ERR_INIT;
                q.sql = bad[i];
                assert_int_equal(store_sql(s, &q, &err), -EINVAL);
                assert_true(err.text[0]);
        }
        q.sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        q.limit = 3;
        assert_int_equal(store_sql(s, &q, NULL), STORE_MORE);
        assert_string_equal(b.data, "1 2 3 ");
        q.sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) "
                "FROM n";
        q.timeout_ms = 50;
        assert_int_equal(store_sql(s, &q, NULL), -ETIMEDOUT);
        assert_sql("SELECT count(*) FROM Engine", "1 ");
}

/* ── retention ── */

static void expired_messages_go_and_their_space_is_used_again(void **state)
{
        struct err err = ERR_INIT;
        off_t largest = 0;
        struct stat st;
        for (int day = 0; day < 6; day++) {
                for (int minute = 0; minute < 60; minute++) {
                        assert_int_equal(store_begin(test.store, &err), 0);
                        for (int i = 0; i < 100; i++) {
                                char text[400];
                                int n = day * 6000 + minute * 100 + i;
                                snprintf(text, sizeof(text),
                                        "{\"DeviceID\":\"VIN1\",\"Sequence\":%d,\"E\":{\"a\":%d.5,"
                                        "\"t\":\"%0100d\"}}",
                                        n + 1, n, n);
                                struct stream_record record = {(uint64_t)n + 1,
                                        T0 + n * INT64_C(600), "device/VIN1/telemetry", text,
                                        strlen(text)};
                                assert_int_equal(ingest_record(&test.ingest, &record, &err), 0);
                        }
                        assert_int_equal(store_commit(test.store,
                                                 (uint64_t)(day * 6000 + minute * 100 + 101), &err),
                                0);
                }
                int r, steps = 0;
                while ((r = store_expire(test.store, T0 + day * INT64_C(3600000), &err)) ==
                        STORE_MORE_TO_DELETE)
                        steps++;
                assert_int_equal(r, 0);
                assert_int_equal(steps, day > 0 ? 2 : 0); /* never everything at once */
                char expected[32];
                snprintf(expected, sizeof(expected), "6000 %d ", day * 6000 + 6000);
                assert_sql("SELECT count(*), max(Sequence) FROM E", expected);
                close_store(); /* moves everything into the file */
                assert_int_equal(stat(test.path, &st), 0);
                if (day == 2)
                        largest = st.st_size;
                open_store();
        }
        assert_true(st.st_size < largest * 11 / 10);
}

static void dead_letters_are_bounded(void **state)
{
        struct err err = ERR_INIT;
        static char rubbish[LIMIT_DEAD_LETTER_BYTES * 2];
        assert_int_equal(store_begin(test.store, &err), 0);
        for (int i = 0; i < LIMIT_DEAD_LETTERS + 50; i++)
                assert_int_equal(store_refuse(test.store, "t", rubbish, i ? 10 : sizeof(rubbish),
                                         T0, "bad", &err),
                        0);
        assert_int_equal(store_commit(test.store, 1, &err), 0);
        assert_sql("SELECT count(*), max(id) FROM dead_letter", "10000 10050 ");
        assert_int_equal(store_begin(test.store, &err), 0);
        assert_int_equal(
                store_refuse(test.store, "t", rubbish, sizeof(rubbish), T0, "bad", &err), 0);
        assert_int_equal(store_commit(test.store, 1, &err), 0);
        assert_sql("SELECT length(payload) FROM dead_letter ORDER BY id DESC LIMIT 1", "4096 ");
        assert_int_equal(store_expire(test.store, T0 + 1, &err), 0);
        assert_sql("SELECT count(*) FROM dead_letter", "0 ");
}

/* ── kill -9 ── */

#define KILL_MESSAGES 20000

static void fill_stream(void)
{
        CLEAN(stream_writer) struct stream_writer *w = NULL;
        struct stream_options options = {.segment_bytes = 100000};
        assert_int_equal(stream_writer_open(test.stream_dir, &options, &w, NULL), 0);
        for (int i = 1; i <= KILL_MESSAGES; i++) {
                char text[200];
                snprintf(text, sizeof(text),
                        "{\"DeviceID\":\"VIN1\",\"Sequence\":%d,\"E\":{\"a\":%d,\"c%d\":1},\"F\":{"
                        "\"b\":1}}",
                        i, i, i / 2000);
                assert_int_equal(stream_append(w, "device/VIN1/telemetry", text, strlen(text),
                                         T0 + i, NULL, NULL),
                        0);
        }
}

/* Follows the stream to its end and tells each commit through the pipe. */
static void ingest_until_killed(int pipe_fd)
{
        CLEAN(stream_reader) struct stream_reader *r = NULL;
        open_store();
        struct stream_position p = {.from = STREAM_FROM_OFFSET, .offset = store_offset(test.store)};
        if (stream_reader_open(test.stream_dir, &p, &r, NULL))
                _exit(1);
        size_t n = 1;
        while (n)
                if (ingest_batch(&test.ingest, r, 37, &n, NULL) || write(pipe_fd, "x", 1) != 1)
                        _exit(1);
        _exit(0);
}

static void killed_store_loses_and_doubles_nothing(void **state)
{
        fill_stream();
        close_store();
        unsigned seed = 11;
        int status = 0, kills = 0;
        do {
                int fds[2];
                assert_int_equal(pipe(fds), 0);
                pid_t child = fork();
                if (!child)
                        ingest_until_killed(fds[1]);
                close(fds[1]);
                /* After some commits, and then somewhere within the next. */
                char c;
                for (int i = rand_r(&seed) % 30; i >= 0 && read(fds[0], &c, 1) == 1; i--)
                        ;
                struct pollfd none = {.fd = -1};
                poll(&none, 0, rand_r(&seed) % 3);
                kill(child, SIGKILL);
                waitpid(child, &status, 0);
                close(fds[0]);
                kills++;
        } while (!WIFEXITED(status) && kills < 1000);
        assert_int_equal(status, 0);
        assert_true(kills > 10);
        open_store();
        assert_sql("SELECT count(*), count(DISTINCT Sequence), min(Sequence), max(Sequence) FROM E",
                "20000 20000 1 20000 ");
        assert_sql("SELECT count(*), sum(b) FROM F", "20000 20000 ");
        assert_sql("SELECT messages, duplicates FROM devices", "20000 0 ");
        assert_sql("SELECT count(*) FROM dead_letter", "0 ");
        assert_sql("PRAGMA integrity_check", "ok ");
}

int main(void)
{
        log_setup("store-test", LOG_LEVEL_WARNING);
#define T(name) cmocka_unit_test_setup_teardown(name, given_store, remove_store)
        const struct CMUnitTest tests[] = {
                T(message_becomes_a_row_in_each_table),
                T(same_message_is_stored_once),
                T(same_message_without_number_or_time_is_stored_once),
                T(columns_and_tables_appear_later),
                T(what_cannot_be_stored_is_a_dead_letter),
                T(tables_and_columns_have_a_limit),
                T(failed_batch_leaves_nothing_behind),
                T(second_writer_is_refused),
                T(rows_are_read_by_range),
                T(series_keeps_peaks_within_its_points),
                T(gap_is_measured_by_sequence_numbers),
                T(sql_reads_and_nothing_else),
                T(expired_messages_go_and_their_space_is_used_again),
                T(dead_letters_are_bounded),
                T(killed_store_loses_and_doubles_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
