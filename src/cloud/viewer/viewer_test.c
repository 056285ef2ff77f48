/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_server.h"
#include "cloud/stream/stream.h"
#include "cloud/viewer/fleet.h"
#include "cloud/viewer/generation.h"
#include "cloud/viewer/host.h"
#include "cloud/viewer/live.h"
#include "cloud/viewer/marker.h"
#include "cloud/viewer/series_query.h"
#include "cloud/viewer/source_log.h"
#include "cloud/viewer/sse.h"

#include "base/fs.h"
#include "cloud/config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ── the Host header ── */

static void host_answers_to_its_own_names_only(void **state)
{
        static const struct {
                const char *host;
                bool allowed;
        } cases[] = {
                {"localhost", true},
                {"LocalHost:8088", true},
                {"127.0.0.1:8088", true},
                {"127.9.9.9", true},
                {"[::1]:8088", true},
                {"[::1]", true},
                {"10.1.2.3:8088", true}, /* what it listens on */
                {"10.1.2.4:8088", false},
                {"evil.example", false},
                {"localhost.evil.example", false},
                {"127.0.0.1.evil.example", false},
                {"[::1", false},
                {"[::1]x", false},
                {"", false},
                {":8088", false},
                {NULL, false},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                if (host_is_allowed(cases[i].host, "10.1.2.3:8088") != cases[i].allowed)
                        fail_msg("host '%s'", cases[i].host ? cases[i].host : "(none)");
        }
}

/* ── server-sent events ── */

static void event_has_id_name_and_data(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(1000);
        uint64_t id = 18446744073709551615u;
        assert_int_equal(sse_add_event(&b, "telemetry", &id, "{}", 2), 0);
        assert_string_equal(b.data, "id: 18446744073709551615\nevent: telemetry\ndata: {}\n\n");
}

/* Otherwise a car could end its own event and write another one. */
static void event_data_cannot_break_out(void **state)
{
        static const char data[] = "{\n\n\"a\":\r1,\r\n\"b\":2}\n";
        CLEAN_BUF struct buf b = BUF_INIT(1000);
        sse_add_event(&b, "x", NULL, data, sizeof(data) - 1);
        assert_string_equal(b.data,
                "event: x\ndata: {\ndata: \ndata: \"a\":\ndata: 1,\ndata: \"b\":2}\ndata: \n\n");
}

static void id_is_a_number_or_none(void **state)
{
        uint64_t id = 7;
        assert_true(sse_parse_id("0", &id) && id == 0);
        assert_true(sse_parse_id("18446744073709551615", &id) && id == UINT64_MAX);
        static const char *const bad[] = {
                NULL, "", "-1", " 1", "1x", "18446744073709551616", "0x10"};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(sse_parse_id(bad[i], &id));
}

/* ── series ── */

static int parse(struct series_query *q, struct series_params p)
{
        struct err err = ERR_INIT;
        return series_query_parse(q, &p, 1000000, &err);
}

static void series_takes_names_times_and_points(void **state)
{
        struct series_query q;
        assert_int_equal(parse(&q, (struct series_params){.device = "VIN1",
                                           .table = "ABS",
                                           .columns = "Wheel1.Speed,TractionControl",
                                           .from = "-5000",
                                           .points = "800"}),
                0);
        assert_string_equal(q.table, "ABS");
        assert_int_equal(q.n_columns, 2);
        assert_string_equal(q.columns[1], "TractionControl");
        assert_int_equal(q.from_ms, 995000);
        assert_int_equal(q.to_ms, 1000000);
        assert_int_equal(q.points, 800);
}

static void series_refuses_what_is_no_name_or_number(void **state)
{
        static const struct series_params bad[] = {
                {.device = NULL, .table = "ABS", .columns = "a"},
                {.device = "", .table = "ABS", .columns = "a"},
                {.device = "a/b", .table = "ABS", .columns = "a"},
                {.device = "V", .table = NULL, .columns = "a"},
                {.device = "V", .table = "ABS\"; DROP", .columns = "a"},
                {.device = "V", .table = "ABS", .columns = NULL},
                {.device = "V", .table = "ABS", .columns = ""},
                {.device = "V", .table = "ABS", .columns = "a,,b"},
                {.device = "V", .table = "ABS", .columns = "a,b)"},
                {.device = "V", .table = "ABS", .columns = "a", .from = "yesterday"},
                {.device = "V", .table = "ABS", .columns = "a", .from = "99999999999999999999"},
                {.device = "V", .table = "ABS", .columns = "a", .from = "9", .to = "8"},
                {.device = "V", .table = "ABS", .columns = "a", .points = "0"},
                {.device = "V", .table = "ABS", .columns = "a", .points = "1000000"},
        };
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                struct series_query q;
                if (parse(&q, bad[i]) != -EINVAL)
                        fail_msg("case %zu was taken", i);
        }
}

static void series_bounds_the_columns(void **state)
{
        char columns[LIMIT_VIEWER_COLUMNS * 2 + 4] = "a";
        struct series_query q;
        for (int i = 1; i < LIMIT_VIEWER_COLUMNS; i++)
                memcpy(columns + i * 2 - 1, ",a", 3);
        struct series_params p = {.device = "V", .table = "T", .columns = columns};
        assert_int_equal(parse(&q, p), 0);
        memcpy(columns + LIMIT_VIEWER_COLUMNS * 2 - 1, ",a", 3);
        assert_int_equal(parse(&q, p), -EINVAL);
}

/* ── markers ── */

static void add_steps(struct marker_list *l, const struct marker_step *steps, size_t n)
{
        for (size_t i = 0; i < n; i++)
                assert_int_equal(marker_list_add(l, &steps[i]), 0);
}

static void steps_of_one_action_are_one_marker(void **state)
{
        static const struct marker_step steps[] = {
                {1000, "3", "downloading", "1.0.0", "1.1.0", ""},
                {2000, "3", "installing", "1.0.0", "1.1.0", ""},
                {3500, "3", "trial", "1.0.0", "1.1.0", ""},
                {9000, "3", "confirmed", "1.0.0", "1.1.0", ""},
                {20000, "4", "installing", "1.1.0", "1.2.0", ""},
                {21000, "4", "failed", "1.1.0", "1.2.0", "app exited with status 3"},
                {22000, "4", "rolled_back", "1.1.0", "1.2.0", ""},
        };
        CLEAN_MARKER_LIST struct marker_list l = {0};
        add_steps(&l, steps, N_ELEMENTS(steps));
        assert_int_equal(l.n, 2);
        assert_false(l.items[0].has_failed);
        assert_int_equal(marker_time(&l.items[0]), 3500);
        assert_int_equal(l.items[0].ended_ms, 9000);
        assert_true(l.items[1].has_failed);
        assert_string_equal(l.items[1].state, "rolled_back");
        assert_string_equal(l.items[1].cause, "app exited with status 3");
        CLEAN_JSON json_t *o = marker_json(&l.items[1]);
        assert_int_equal(json_array_size(json_object_get(o, "steps")), 3);
        assert_true(json_is_null(json_object_get(o, "switched")));
}

static void too_many_updates_push_out_the_oldest(void **state)
{
        CLEAN_MARKER_LIST struct marker_list l = {0};
        for (int i = 0; i < LIMIT_VIEWER_UPDATES + 5; i++) {
                char action[16];
                snprintf(action, sizeof(action), "%d", i);
                struct marker_step s = {i, action, "confirmed", "1", "2", ""};
                assert_int_equal(marker_list_add(&l, &s), 0);
        }
        assert_int_equal(l.n, LIMIT_VIEWER_UPDATES);
        assert_string_equal(l.items[0].action, "5");
}

/* ── fleet ── */

static const struct fleet_device *note(
        struct fleet *f, uint64_t offset, int64_t at_ms, const char *topic, const char *payload)
{
        struct stream_record r = {.offset = offset,
                .time_ms = at_ms,
                .topic = topic,
                .payload = payload,
                .len = strlen(payload)};
        return fleet_note_record(f, &r);
}

static void fleet_learns_from_telemetry(void **state)
{
        CLEAN(fleet) struct fleet *f = NULL;
        assert_int_equal(fleet_new(&f), 0);
        const struct fleet_device *d = note(f, 8, 5000, "device/VIN1/telemetry",
                "{\"DeviceID\":\"VIN1\",\"SoftwareVersion\":\"1.0.0\",\"Battery\":{"
                "\"StateOfCharge\":79.5}}");
        assert_non_null(d);
        assert_string_equal(d->version, "1.0.0");
        assert_true(d->charge_percent > 79.4f && d->charge_percent < 79.6f);
        note(f, 9, 6000, "device/VIN1/telemetry",
                "{\"Inner\":{\"SoftwareVersion\":\"6.6.6\"},\"SoftwareVersion\" : \"1.1.0\"}");
        assert_string_equal(d->version, "1.1.0"); /* the top member, not one that looks like it */
        assert_int_equal(d->offset, 9);
        assert_int_equal(fleet_device_link(d, 6000 + FLEET_ONLINE_MS), FLEET_LINK_ONLINE);
        assert_int_equal(fleet_device_link(d, 6001 + FLEET_ONLINE_MS), FLEET_LINK_STALE);
        assert_int_equal(fleet_device_link(d, 6001 + FLEET_STALE_MS), FLEET_LINK_OFFLINE);
}

static void fleet_takes_no_rubbish(void **state)
{
        CLEAN(fleet) struct fleet *f = NULL;
        assert_int_equal(fleet_new(&f), 0);
        assert_null(note(f, 1, 1, "device//telemetry", "{}"));
        assert_null(note(f, 1, 1, "other/VIN1/telemetry", "{}"));
        assert_null(note(f, 1, 1, "device/VIN1", "{}"));
        const struct fleet_device *d =
                note(f, 1, 1, "device/V/telemetry", "\"SoftwareVersion\":\"x");
        assert_string_equal(d->version, "");
        note(f, 2, 2, "device/V/telemetry", "{\"Battery\":{\"StateOfCharge\":");
        assert_true(d->charge_percent < 0);
        note(f, 3, 3, "device/V/update", "{\"Update\":7}");
        assert_null(d->update);
}

static void fleet_pages_searches_and_counts(void **state)
{
        CLEAN(fleet) struct fleet *f = NULL;
        assert_int_equal(fleet_new(&f), 0);
        for (int i = 0; i < 250; i++) {
                char topic[64];
                snprintf(topic, sizeof(topic), "device/CAR%03d/telemetry", 249 - i);
                note(f, (uint64_t)i, 100000, topic, "{\"SoftwareVersion\":\"1.0.0\"}");
        }
        note(f, 900, 100000, "device/CAR007/update",
                "{\"SoftwareVersion\":\"1.0.0\",\"Update\":{\"State\":\"rolled_back\",\"From\":\"1."
                "0.0\",\"To\":\"2.0.0\",\"Cause\":\"crash\"}}");
        struct fleet_query q = {.offset = 100, .limit = 100};
        CLEAN_JSON json_t *page = fleet_page(f, &q, 100500);
        assert_int_equal(json_int(page, "matched", 0), 250);
        assert_int_equal(json_array_size(json_object_get(page, "rows")), 100);
        assert_string_equal(
                json_text(json_array_get(json_object_get(page, "rows"), 0), "device", ""),
                "CAR100");
        struct fleet_query failed = {.state = "failed", .search = "car", .limit = 1000};
        CLEAN_JSON json_t *one = fleet_page(f, &failed, 100500);
        assert_int_equal(json_int(one, "matched", 0), 1);
        CLEAN_JSON json_t *counts = fleet_counts(f, 100500 + FLEET_STALE_MS);
        assert_int_equal(json_int(counts, "all", 0), 250);
        assert_int_equal(json_int(counts, "offline", 0), 250);
        assert_int_equal(json_int(counts, "failed", 0), 1);
}

static void text_is_cut_between_characters(void **state)
{
        char text[6];
        fleet_copy_text(
                text, sizeof(text), "abc\xe2\x82\xac"); /* the euro sign needs three bytes */
        assert_string_equal(text, "abc");
}

/* ── files ── */

struct folder {
        char path[64];
        struct cloud_config config;
};

static struct folder make_folder(void)
{
        struct folder f = {.path = "/tmp/viewer-test-XXXXXX"};
        assert_non_null(mkdtemp(f.path));
        return f;
}

static void write_text(const struct folder *f, const char *name, const char *text)
{
        CLEAN_MEM char *path = fs_join(f->path, name);
        FILE *file = fopen(path, "a");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        fclose(file);
}

static const char *line_text(const json_t *lines, size_t i)
{
        return json_text(json_array_get(json_object_get(lines, "lines"), i), "text", "");
}

static void log_is_merged_in_order_of_time(void **state)
{
        struct folder f = make_folder();
        CLEAN_MEM char *logs = fs_join(f.path, "log");
        assert_int_equal(fs_mkdir_p(logs, 0700, NULL), 0);
        f.config.data_dir = f.path;
        write_text(&f, "log/ota.log",
                "2026-01-01T00:00:01.000Z info  ota: a\n2026-01-01T00:00:03.000Z info  ota: c\n");
        write_text(&f, "log/store.log", "2026-01-01T00:00:02.000Z info  store: b\xff\n");
        write_text(&f, "log/other.txt", "no log\n");
        CLEAN(source_log) struct source_log *s = NULL;
        assert_int_equal(source_log_new(&f.config, &s, NULL), 0);
        CLEAN_JSON json_t *all = source_log_tail(s, NULL, 2, NULL);
        assert_int_equal(json_array_size(json_object_get(all, "parts")), 2);
        assert_string_equal(
                line_text(all, 0), "2026-01-01T00:00:02.000Z info  store: b\xef\xbf\xbd");
        assert_string_equal(line_text(all, 1), "2026-01-01T00:00:03.000Z info  ota: c");
        json_decref(source_log_news(s));
        uint64_t before = source_log_generation(s);
        write_text(&f, "log/ota.log", "2026-01-01T00:00:04.000Z info  ota: d\nhalf a li");
        assert_true(source_log_generation(s) != before);
        CLEAN_JSON json_t *news = source_log_news(s);
        assert_int_equal(json_array_size(json_object_get(news, "lines")), 1);
        write_text(&f, "log/ota.log", "ne\n");
        CLEAN_JSON json_t *rest = source_log_news(s);
        assert_string_equal(line_text(rest, 0), "half a line");
        assert_int_equal(fs_remove_tree(f.path, NULL), 0);
}

static void generation_follows_the_write_ahead_log(void **state)
{
        struct folder f = make_folder();
        CLEAN_MEM char *path = fs_join(f.path, "x.db");
        uint64_t none = generation_of_db(path);
        write_text(&f, "x.db", "1");
        uint64_t one = generation_of_db(path);
        assert_true(one != none);
        assert_true(generation_of_db(path) == one);
        write_text(&f, "x.db-wal", "2");
        assert_true(generation_of_db(path) != one);
        assert_int_equal(fs_remove_tree(f.path, NULL), 0);
}

/* ── live: a real server, a real stream, a client on a socket ── */

struct scene {
        struct folder folder;
        char *stream_dir;
        struct event_base *base;
        struct http_server *server;
        struct fleet *fleet;
        struct live *live;
        struct stream_writer *writer;
        struct live_request request;
        int port;
};

static void handle(void *arg, struct http_exchange *x)
{
        struct scene *s = arg;
        live_subscribe(s->live, x, &s->request);
}

static struct scene *set_up_scene(void)
{
        struct scene *s = calloc(1, sizeof(*s));
        s->folder = make_folder();
        s->stream_dir = fs_join(s->folder.path, "stream");
        s->base = event_base_new();
        struct stream_options options = {0};
        struct http_server_options http = {.max_body = 100, .handle = handle, .arg = s};
        struct err err = ERR_INIT;
        assert_int_equal(stream_writer_open(s->stream_dir, &options, &s->writer, &err), 0);
        assert_int_equal(fleet_new(&s->fleet), 0);
        struct live_options live = {
                .base = s->base, .fleet = s->fleet, .stream_dir = s->stream_dir};
        assert_int_equal(live_new(&live, &s->live, &err), 0);
        assert_int_equal(http_server_new(s->base, &http, &s->server, &err), 0);
        assert_int_equal(http_server_listen(s->server, "127.0.0.1:0", NULL, &s->port, &err), 0);
        return s;
}

static void tear_down_scene(struct scene *s)
{
        live_free(s->live);
        http_server_free(s->server);
        stream_writer_free(s->writer);
        fleet_free(s->fleet);
        event_base_free(s->base);
        assert_int_equal(fs_remove_tree(s->folder.path, NULL), 0);
        free(s->stream_dir);
        free(s);
}

static int connect_client(const struct scene *s)
{
        struct sockaddr_in to = {.sin_family = AF_INET,
                .sin_port = htons((uint16_t)s->port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        static const char request[] = "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
        assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
        return fd;
}

static void append(struct scene *s, const char *topic, const char *payload)
{
        assert_int_equal(
                stream_append(s->writer, topic, payload, strlen(payload), 1000, NULL, NULL), 0);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
        *(bool *)arg = true;
}

/* Runs the loop until the client has read `text`, 5 s at most; everything it read is in `seen`. */
static bool read_until(struct scene *s, int fd, const char *text, struct buf *seen)
{
        bool is_late = false;
        struct timeval limit = {.tv_sec = 5};
        struct event *deadline = evtimer_new(s->base, on_deadline, &is_late);
        evtimer_add(deadline, &limit);
        while (!is_late && !(seen->data && strstr(seen->data, text))) {
                char bytes[4096];
                event_base_loop(s->base, EVLOOP_ONCE);
                ssize_t n;
                while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
                        buf_add(seen, bytes, (size_t)n);
        }
        event_free(deadline);
        return !is_late;
}

static void live_sends_one_cars_messages(void **state)
{
        struct scene *s = set_up_scene();
        CLEAN_BUF struct buf seen = BUF_INIT(100000);
        fleet_copy_text(s->request.device, sizeof(s->request.device), "VIN1");
        CLEAN_FD int fd = connect_client(s);
        assert_true(read_until(s, fd, "event: hello", &seen));
        append(s, "device/VIN2/telemetry", "{\"not\":\"this\"}");
        append(s, "device/VIN1/telemetry", "no JSON");
        append(s, "device/VIN1/telemetry", "{\"Sequence\":5}");
        append(s, "device/VIN1/update", "{\"Update\":{\"State\":\"trial\"}}");
        assert_true(read_until(s, fd, "event: update", &seen));
        assert_non_null(strstr(seen.data, "event: telemetry\ndata: {\"Sequence\":5}\n\n"));
        assert_null(strstr(seen.data, "not"));
        assert_null(strstr(seen.data, "no JSON"));
        tear_down_scene(s);
}

static void live_goes_on_where_the_client_was(void **state)
{
        struct scene *s = set_up_scene();
        CLEAN_BUF struct buf first = BUF_INIT(100000), again = BUF_INIT(100000);
        fleet_copy_text(s->request.device, sizeof(s->request.device), "VIN1");
        int fd = connect_client(s);
        assert_true(read_until(s, fd, "event: hello", &first));
        append(s, "device/VIN1/telemetry", "{\"Sequence\":1}");
        assert_true(read_until(s, fd, "{\"Sequence\":1}", &first));
        close(fd);
        append(s, "device/VIN1/telemetry", "{\"Sequence\":2}"); /* while nobody is there */
        append(s, "device/VIN1/telemetry", "{\"Sequence\":3}");
        event_base_loop(s->base, EVLOOP_NONBLOCK);
        const char *id = strstr(first.data, "id: ");
        assert_non_null(id);
        s->request.has_from = true;
        s->request.from = strtoull(id + 4, NULL, 10);
        CLEAN_FD int second = connect_client(s);
        assert_true(read_until(s, second, "{\"Sequence\":3}", &again));
        assert_non_null(strstr(again.data, "{\"Sequence\":2}"));
        assert_null(strstr(again.data, "{\"Sequence\":1}"));
        tear_down_scene(s);
}

static void live_sends_a_client_that_is_far_behind_back_to_its_history(void **state)
{
        struct scene *s = set_up_scene();
        CLEAN_BUF struct buf seen = BUF_INIT(100000);
        fleet_copy_text(s->request.device, sizeof(s->request.device), "VIN1");
        s->request.has_from = true;
        s->request.from = stream_next_offset(s->writer);
        for (int i = 0; i <= LIMIT_VIEWER_REPLAY_RECORDS; i++)
                append(s, "device/VIN1/telemetry", "{}");
        for (int i = 0; i <= LIMIT_VIEWER_REPLAY_RECORDS / 100; i++) /* the tail takes 500 a turn */
                event_base_loop(s->base, EVLOOP_NONBLOCK);
        CLEAN_FD int fd = connect_client(s);
        assert_true(read_until(s, fd, "event: reset", &seen));
        assert_null(strstr(seen.data, "event: telemetry"));
        tear_down_scene(s);
}

static void live_bounds_its_streams(void **state)
{
        struct scene *s = set_up_scene();
        int fds[LIMIT_VIEWER_STREAMS];
        CLEAN_BUF struct buf last = BUF_INIT(100000);
        for (int i = 0; i < LIMIT_VIEWER_STREAMS; i++) {
                CLEAN_BUF struct buf seen = BUF_INIT(100000);
                fds[i] = connect_client(s);
                assert_true(read_until(s, fds[i], "event: hello", &seen));
        }
        CLEAN_FD int fd = connect_client(s);
        assert_true(read_until(s, fd, "503", &last));
        for (int i = 0; i < LIMIT_VIEWER_STREAMS; i++)
                close(fds[i]);
        tear_down_scene(s);
}

/* A client that never reads costs its socket's buffers and 1 MiB, and is gone then. */
static void live_cuts_off_a_client_that_does_not_read(void **state)
{
        struct scene *s = set_up_scene();
        static char big[200000];
        CLEAN_BUF struct buf seen = BUF_INIT(LIMIT_MIB(64));
        memset(big, 'x', sizeof(big) - 1);
        memcpy(big, "{\"a\":\"", 6);
        memcpy(big + sizeof(big) - 3, "\"}", 2);
        fleet_copy_text(s->request.device, sizeof(s->request.device), "VIN1");
        CLEAN_FD int fd = connect_client(s);
        assert_true(read_until(s, fd, "event: hello", &seen));
        for (int i = 0; i < 100; i++) {
                append(s, "device/VIN1/telemetry", big);
                event_base_loop(s->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        }
        for (int i = 0; i < 200; i++)
                event_base_loop(s->base, EVLOOP_NONBLOCK);
        ssize_t n;
        size_t total = 0;
        while ((n = recv(fd, big, sizeof(big), 0)) > 0) /* ends: the server has hung up */
                total += (size_t)n;
        assert_true(total < sizeof(big) * 100);
        tear_down_scene(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(host_answers_to_its_own_names_only),
                cmocka_unit_test(event_has_id_name_and_data),
                cmocka_unit_test(event_data_cannot_break_out),
                cmocka_unit_test(id_is_a_number_or_none),
                cmocka_unit_test(series_takes_names_times_and_points),
                cmocka_unit_test(series_refuses_what_is_no_name_or_number),
                cmocka_unit_test(series_bounds_the_columns),
                cmocka_unit_test(steps_of_one_action_are_one_marker),
                cmocka_unit_test(too_many_updates_push_out_the_oldest),
                cmocka_unit_test(fleet_learns_from_telemetry),
                cmocka_unit_test(fleet_takes_no_rubbish),
                cmocka_unit_test(fleet_pages_searches_and_counts),
                cmocka_unit_test(text_is_cut_between_characters),
                cmocka_unit_test(log_is_merged_in_order_of_time),
                cmocka_unit_test(generation_follows_the_write_ahead_log),
                cmocka_unit_test(live_sends_one_cars_messages),
                cmocka_unit_test(live_goes_on_where_the_client_was),
                cmocka_unit_test(live_sends_a_client_that_is_far_behind_back_to_its_history),
                cmocka_unit_test(live_bounds_its_streams),
                cmocka_unit_test(live_cuts_off_a_client_that_does_not_read),
        };
        return cmocka_run_group_tests_name("viewer", tests, NULL, NULL);
}
