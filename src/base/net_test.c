/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The HTTP client against the HTTP server, and child processes: what needs the event loop. */
#include "base/http_client.h"
#include "base/http_server.h"
#include "base/proc.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

static struct event_base *base;

/* ── HTTP ── */

struct outcome {
        bool done;
        int status, code;
        char body[256], header[64], text[ERR_TEXT_MAX];
        size_t received;
};

static void handle(void *arg, struct http_exchange *x)
{
        (void)arg;
        size_t len;
        const char *path = http_path(x), *body = http_body(x, &len);
        if (!strcmp(path, "/echo")) {
                http_add_header(x, "X-Method", http_method(x));
                http_reply(x, 201, "text/plain", body, len);
        } else if (!strcmp(path, "/param")) {
                const char *value = http_param(x, "q");
                http_reply(x, 200, "text/plain", value ? value : "", value ? strlen(value) : 0);
        } else if (!strcmp(path, "/big")) {
                char *big = calloc(1, 100000);
                http_reply(x, 200, "application/octet-stream", big, 100000);
                free(big);
        } else if (strcmp(path, "/never")) {
                http_reply(x, 404, NULL, NULL, 0);
        } /* /never isn't answered; the server frees it at the end */
}

static void done(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct outcome *o = arg;
        o->done = true;
        if (err) {
                o->code = err->code;
                snprintf(o->text, sizeof(o->text), "%s", err->text);
        } else {
                o->status = answer->status;
                snprintf(o->body, sizeof(o->body), "%s", buf_text(answer->body));
                const char *header = answer->header(answer, "x-method");
                snprintf(o->header, sizeof(o->header), "%s", header ? header : "");
        }
        event_base_loopbreak(base);
}

static int count(void *arg, const void *data, size_t len)
{
        (void)data;
        struct outcome *o = arg;
        o->received += len;
        return 0;
}

static int refuse(void *arg, const void *data, size_t len)
{
        (void)arg;
        (void)data;
        (void)len;
        return -ENOSPC;
}

static struct http_server *server;
static struct http_client *client;

static int set_up(void **state)
{
        (void)state;
        int port;
        char url[64];
        base = event_base_new();
        const struct http_server_options options = {.max_body = 1000, .handle = handle};
        if (http_server_new(base, &options, &server, NULL) < 0 ||
                http_server_listen(server, "127.0.0.1:0", NULL, &port, NULL) < 0)
                return -1;
        snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
        const struct http_client_options c = {.url = url};
        return http_client_new(base, &c, &client, NULL);
}

static int tear_down(void **state)
{
        (void)state;
        http_client_free(client);
        http_server_free(server);
        event_base_free(base);
        return 0;
}

static struct outcome ask(struct http_request request)
{
        struct outcome o = {0};
        request.on_done = done;
        request.arg = &o;
        struct err err = ERR_INIT;
        assert_int_equal(0, http_client_request(client, &request, NULL, &err));
        assert_false(o.done);
        while (!o.done)
                event_base_dispatch(base);
        return o;
}

static void a_body_goes_there_and_back(void **state)
{
        (void)state;
        struct outcome o = ask((struct http_request){.method = "PUT",
                .target = "/echo",
                .body = "hello",
                .body_len = 5,
                .content_type = "text/plain"});
        assert_int_equal(201, o.status);
        assert_string_equal("hello", o.body);
        assert_string_equal("PUT", o.header);
        o = ask((struct http_request){.method = "GET", .target = "/param?x=1&q=a%20b%26c"});
        assert_string_equal("a b&c", o.body);
}

static void large_bodies_are_bounded_on_both_sides(void **state)
{
        (void)state;
        char body[2000] = {0};
        struct outcome o = ask((struct http_request){
                .method = "POST", .target = "/echo", .body = body, .body_len = sizeof(body)});
        assert_int_equal(413, o.status);
        o = ask((struct http_request){.method = "GET", .target = "/big", .max_body = 5000});
        assert_true(o.code < 0);
}

static void data_is_handed_over_piece_by_piece(void **state)
{
        (void)state;
        struct outcome o =
                ask((struct http_request){.method = "GET", .target = "/big", .on_data = count});
        assert_int_equal(200, o.status);
        assert_int_equal(100000, o.received);
        o = ask((struct http_request){.method = "GET", .target = "/big", .on_data = refuse});
        assert_int_equal(-ENOSPC, o.code);
}

static void a_silent_server_times_out(void **state)
{
        (void)state;
        struct outcome o = ask((struct http_request){
                .method = "GET", .target = "/never", .total_timeout_ms = 100});
        assert_int_equal(-ETIMEDOUT, o.code);
}

static void a_refused_connection_is_told_with_its_reason(void **state)
{
        (void)state;
        http_client_free(client);
        const struct http_client_options c = {.url = "http://127.0.0.1:1"};
        assert_int_equal(0, http_client_new(base, &c, &client, NULL));
        struct outcome o = ask((struct http_request){.method = "GET", .target = "/"});
        assert_true(o.code < 0);
        assert_non_null(strstr(o.text, "http://127.0.0.1:1"));
}

static void a_request_does_not_leave_its_server(void **state)
{
        (void)state;
        struct err err = ERR_INIT;
        const struct http_request request = {
                .method = "GET", .target = "http://127.0.0.1:1/steal", .on_done = done};
        assert_int_equal(-EXDEV, http_client_request(client, &request, NULL, &err));
}

/* ── processes ── */

static void ended(void *arg, struct proc *proc, int status)
{
        (void)proc;
        *(int *)arg = status;
        event_base_loopbreak(base);
}

static int run(const char *const *argv, struct proc_options options)
{
        int status = -1;
        options.argv = argv;
        options.on_exit = ended;
        options.arg = &status;
        CLEAN(proc) struct proc *p = NULL;
        assert_int_equal(0, proc_spawn(base, &options, &p, NULL));
        while (status == -1)
                event_base_dispatch(base);
        assert_false(proc_is_running(p));
        return status;
}

static void a_child_ends_with_its_status(void **state)
{
        (void)state;
        int status =
                run((const char *const[]){"sh", "-c", "exit 3", NULL}, (struct proc_options){0});
        assert_int_equal(3, WEXITSTATUS(status));
        char text[64];
        proc_describe_status(status, text, sizeof(text));
        assert_string_equal("exited with status 3", text);
}

static void a_missing_program_is_an_error_at_once(void **state)
{
        (void)state;
        struct err err = ERR_INIT;
        CLEAN(proc) struct proc *p = NULL;
        const struct proc_options options = {.argv = (const char *const[]){"/nonexistent", NULL}};
        assert_int_equal(-ENOENT, proc_spawn(base, &options, &p, &err));
        assert_non_null(strstr(err.text, "/nonexistent"));
}

static void limits_hold_in_the_child(void **state)
{
        (void)state;
        int status = run((const char *const[]){"sh", "-c",
                                 "head -c 100000 /dev/zero > /dev/shm/driveline-limit-test.$$; "
                                 "r=$?; rm -f /dev/shm/driveline-limit-test.$$; exit $r",
                                 NULL},
                (struct proc_options){.max_file_bytes = 1000});
        assert_true(status != 0);
}

static void the_whole_group_is_stopped(void **state)
{
        (void)state;
        int status = -1;
        const struct proc_options options = {
                .argv = (const char *const[]){"sh", "-c",
                        "trap '' TERM; tail -f /dev/null & tail -f /dev/null", NULL},
                .out = PROC_STDIO_PIPE,
                .on_exit = ended,
                .arg = &status,
        };
        CLEAN(proc) struct proc *p = NULL;
        assert_int_equal(0, proc_spawn(base, &options, &p, NULL));
        proc_terminate(p, 50);
        while (status == -1)
                event_base_dispatch(base);
        /* No one holds the pipe any more: its end is there to read. */
        char c;
        struct timeval tv = {5, 0};
        fd_set set;
        FD_ZERO(&set);
        FD_SET(proc_stdout(p), &set);
        assert_int_equal(1, select(proc_stdout(p) + 1, &set, NULL, NULL, &tv));
        assert_int_equal(0, read(proc_stdout(p), &c, 1));
}

int main(void)
{
        signal(SIGPIPE, SIG_IGN);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_body_goes_there_and_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        large_bodies_are_bounded_on_both_sides, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        data_is_handed_over_piece_by_piece, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_silent_server_times_out, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        a_refused_connection_is_told_with_its_reason, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        a_request_does_not_leave_its_server, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_child_ends_with_its_status, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        a_missing_program_is_an_error_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(limits_hold_in_the_child, set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_whole_group_is_stopped, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
