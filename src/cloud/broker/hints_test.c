/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Hints against a real broker: Mosquitto with the plugin on a free port, a thing that listens. */
#include "base/fs.h"
#include "base/mqtt.h"
#include "base/proc.h"
#include "cloud/broker/broker.h"
#include "cloud/registry/registry.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define DEADLINE_S 20
#define TICK_MS 50

struct fixture {
        char dir[64];
        int port;
        struct cloud_config config;
        struct event_base *base;
        struct proc *broker;
        struct mqtt *car;
        struct broker_hints *hints;
        int received;
        bool car_is_ready;
        bool is_nagging; /* give a hint with each tick of a wait */
};

static void check(int r, const struct err *err)
{
        if (r < 0)
                fail_msg("%s", err->text);
}

static int free_port(void)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t n = sizeof(a);
        CLEAN_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
        return ntohs(a.sin_port);
}

static void write_config(struct fixture *f)
{
        char path[128], text[64];
        snprintf(path, sizeof(path), "%s/driveline.conf", f->dir);
        int n = snprintf(text, sizeof(text), "mqtt_listen = 127.0.0.1:%d\n", f->port);
        struct err err = ERR_INIT;
        check(fs_write_atomic(path, text, (size_t)n, 0600, &err), &err);
}

static void start_broker(struct fixture *f)
{
        struct broker_command c;
        struct err err = ERR_INIT;
        check(broker_write_config(&f->config, &err), &err);
        check(broker_command(&f->config, &c, &err), &err);
        const struct proc_options options = {.argv = (const char *const *)c.argv,
                .out = PROC_STDIO_NULL,
                .err = PROC_STDIO_INHERIT};
        check(proc_spawn(f->base, &options, &f->broker, &err), &err);
        broker_command_fini(&c);
}

static void car_connected(void *arg)
{
        ((struct fixture *)arg)->car_is_ready = true;
}

static void car_lost(void *arg, const char *reason)
{
        ((struct fixture *)arg)->car_is_ready = false;
}

static void car_received(void *arg, const char *topic, const void *payload, size_t len)
{
        struct fixture *f = arg;
        assert_string_equal(topic, "device/car-1/poll");
        f->received++;
}

static void start_car(struct fixture *f)
{
        CLEAN_MEM char *ca = cloud_path(&f->config, "things/car-1/root-CA.crt");
        CLEAN_MEM char *cert = cloud_path(&f->config, "things/car-1/car-1.cert.pem");
        CLEAN_MEM char *key = cloud_path(&f->config, "things/car-1/car-1.private.key");
        const struct mqtt_options options = {
                .host = "127.0.0.1",
                .port = f->port,
                .client_id = "car-1",
                .ca_file = ca,
                .cert_file = cert,
                .key_file = key,
                .on_connected = car_connected,
                .on_disconnected = car_lost,
                .on_message = car_received,
                .arg = f,
        };
        struct err err = ERR_INIT;
        check(mqtt_new(f->base, &options, &f->car, &err), &err);
        check(mqtt_subscribe(f->car, "device/car-1/poll", &err), &err);
}

struct wait {
        struct fixture *fixture;
        int ticks_left;
};

static void tick(evutil_socket_t fd, short what, void *arg)
{
        struct wait *w = arg;
        w->ticks_left--;
        if (w->fixture->is_nagging)
                broker_hint_poll(w->fixture->hints, "car-1");
}

/* Runs the loop until the condition is true of the fixture. */
static void loop_until(
        struct fixture *f, bool (*condition)(const struct fixture *f), const char *what)
{
        struct wait w = {f, DEADLINE_S * 1000 / TICK_MS};
        struct event *timer = event_new(f->base, -1, EV_PERSIST, tick, &w);
        const struct timeval every = {0, TICK_MS * 1000};
        event_add(timer, &every);
        while (!condition(f) && w.ticks_left > 0)
                event_base_loop(f->base, EVLOOP_ONCE);
        event_free(timer);
        if (!condition(f))
                fail_msg("waited too long until %s", what);
}

static bool car_is_there(const struct fixture *f)
{
        return f->car_is_ready;
}

static bool car_is_gone(const struct fixture *f)
{
        return !f->car_is_ready;
}

static bool got_one(const struct fixture *f)
{
        return f->received >= 1;
}

static bool got_two(const struct fixture *f)
{
        return f->received >= 2;
}

static bool nothing_waits(const struct fixture *f)
{
        return !broker_hints_waiting(f->hints);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        assert_non_null(f);
        struct err err = ERR_INIT;
        snprintf(f->dir, sizeof(f->dir), "/tmp/hints_test.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        f->port = free_port();
        write_config(f);
        check(cloud_config_load(f->dir, &f->config, &err), &err);
        CLEAN(registry) struct registry *reg = NULL;
        check(registry_open(&f->config, &reg, &err), &err);
        check(registry_thing_create(reg, "car-1", &(struct registry_files){0}, NULL, 0, &err),
                &err);
        f->base = event_base_new();
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        broker_hints_free(f->hints);
        mqtt_free(f->car);
        proc_free(f->broker);
        event_base_free(f->base);
        cloud_config_fini(&f->config);
        fs_remove_tree(f->dir, NULL);
        free(f);
        return 0;
}

static void hint_is_kept_once_until_the_broker_runs(void **state)
{
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        check(broker_hints_new(f->base, &f->config, &f->hints, &err), &err);
        for (int i = 0; i < 5; i++)
                broker_hint_poll(f->hints, "car-1");
        broker_hint_poll(f->hints, "a/b");
        broker_hint_poll(f->hints, "+");
        assert_int_equal(broker_hints_waiting(f->hints), 1);
        start_broker(f);
        loop_until(f, nothing_waits, "the hint is sent");
}

static void hint_reaches_the_thing(void **state)
{
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        start_broker(f);
        start_car(f);
        loop_until(f, car_is_there, "the car is connected");
        check(broker_hints_new(f->base, &f->config, &f->hints, &err), &err);
        broker_hint_poll(f->hints, "car-1");
        loop_until(f, got_one, "a hint came");
        loop_until(f, nothing_waits, "it is acknowledged");
        assert_int_equal(f->received, 1);
}

static void hints_go_on_after_the_broker_was_killed(void **state)
{
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        start_broker(f);
        start_car(f);
        check(broker_hints_new(f->base, &f->config, &f->hints, &err), &err);
        loop_until(f, car_is_there, "the car is connected");
        broker_hint_poll(f->hints, "car-1");
        loop_until(f, got_one, "a hint came");
        proc_free(TAKE(f->broker)); /* SIGKILL */
        loop_until(f, car_is_gone, "the car has lost its connection");
        start_broker(f);
        loop_until(f, car_is_there, "the car is connected again");
        f->is_nagging = true; /* the car may not have subscribed again yet */
        loop_until(f, got_two, "another hint came");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        hint_is_kept_once_until_the_broker_runs, setup, teardown),
                cmocka_unit_test_setup_teardown(hint_reaches_the_thing, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        hints_go_on_after_the_broker_was_killed, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
