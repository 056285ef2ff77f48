/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/broker/gate.h"
#include "base/buf.h"
#include "base/fs.h"
#include "cloud/broker/topic.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define NOW 1000000
#define LATER 2000000 /* when certificate "bb" has expired */

struct fixture {
        char dir[64], path[96];
        struct gate *gate;
        int clients[3]; /* their addresses stand for the broker's clients */
};

/* One certificate each of car-1 ("aa") and car-2 ("bb"), with the state given for the first. */
static void write_access(struct fixture *f, const char *state)
{
        CLEAN_BUF struct buf b = BUF_INIT(4096);
        buf_adds(&b,
                "{\"generation\":1,\"policies\":{\"p\":{\"Version\":\"2012-10-17\",\"Statement\":["
                "{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"Resource\":\"client/car-*\"},"
                "{\"Effect\":\"Allow\",\"Action\":[\"iot:Publish\",\"iot:Receive\"],"
                "\"Resource\":\"topic/device/${iot:ClientId}/*\"},"
                "{\"Effect\":\"Allow\",\"Action\":\"iot:Subscribe\",\"Resource\":\"*\"}]}},"
                "\"certificates\":{");
        buf_addf(&b,
                "\"aa\":{\"thing\":\"car-1\",\"state\":\"%s\",\"not_after\":9000000,"
                "\"policies\":[\"p\"]},",
                state);
        buf_adds(&b, "\"bb\":{\"thing\":\"car-2\",\"state\":\"active\",\"not_after\":1500000,"
                     "\"policies\":[\"p\"]},"
                     "\"cc\":{\"thing\":\"bike\",\"state\":\"active\",\"not_after\":9000000,"
                     "\"policies\":[\"p\"]}}}");
        struct err err = ERR_INIT;
        if (fs_write_atomic(f->path, b.data, b.len, 0600, &err) < 0)
                fail_msg("%s", err.text);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        assert_non_null(f);
        snprintf(f->dir, sizeof(f->dir), "/tmp/gate_test.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->path, sizeof(f->path), "%s/access.json", f->dir);
        write_access(f, "active");
        struct err err = ERR_INIT;
        if (gate_new(f->path, &f->gate, &err) < 0)
                fail_msg("%s", err.text);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        gate_free(f->gate);
        fs_remove_tree(f->dir, NULL);
        free(f);
        return 0;
}

static int connects(struct fixture *f, int i, const char *cn, const char *serial, const char *id)
{
        struct err err = ERR_INIT;
        return gate_connect(f->gate, &f->clients[i], cn, serial, id, NOW, &err);
}

static void reload(struct fixture *f, int expected)
{
        struct err err = ERR_INIT;
        int r = gate_reload(f->gate, &err);
        if (r != expected)
                fail_msg("%d: %s", r, err.text);
}

static void gate_lets_in_by_certificate_and_name(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(connects(f, 0, "car-1", "aa", "car-1"), 0);
        assert_int_equal(connects(f, 1, "car-1", "aa", "car-2"), -EACCES); /* foreign id */
        assert_int_equal(connects(f, 1, "car-2", "aa", "car-2"), -EACCES); /* serial of another */
        assert_int_equal(connects(f, 1, "car-1", "dd", "car-1"), -EACCES); /* unknown serial */
        assert_int_equal(connects(f, 1, "bike", "cc", "bike"), -EACCES);   /* no policy lets it */
        assert_int_equal(connects(f, 1, "car-1", "aa", NULL), -EACCES);
        assert_int_equal(gate_sessions(f->gate), 1);
        struct err err = ERR_INIT;
        assert_int_equal(gate_connect(f->gate, &f->clients[1], "car-2", "bb", "car-2", LATER, &err),
                -EACCES);
}

static void gate_asks_the_policies(void **state)
{
        struct fixture *f = *state;
        const void *c = &f->clients[0];
        assert_int_equal(connects(f, 0, "car-1", "aa", "car-1"), 0);
        assert_true(
                gate_allows(f->gate, c, "car-1", POLICY_PUBLISH, "device/car-1/telemetry", NOW));
        assert_false(
                gate_allows(f->gate, c, "car-1", POLICY_PUBLISH, "device/car-2/telemetry", NOW));
        assert_true(gate_allows(f->gate, c, "car-1", POLICY_SUBSCRIBE, "#", NOW));
        assert_true(gate_allows(f->gate, c, "car-1", POLICY_SUBSCRIBE, "$share/g/a", NOW));
        assert_false(gate_allows(f->gate, c, "car-1", POLICY_SUBSCRIBE, "$SYS/#", NOW));
        assert_false(gate_allows(f->gate, c, "car-1", POLICY_SUBSCRIBE, "$share/g/$SYS/#", NOW));
        assert_false(gate_allows(f->gate, c, "car-1", POLICY_SUBSCRIBE, "$share/g", NOW));
        assert_false(gate_allows(f->gate, c, "car-1", POLICY_PUBLISH, "$SYS/x", NOW));
}

static void gate_answers_for_a_session_without_connection(void **state)
{
        struct fixture *f = *state;
        const void *c = &f->clients[0];
        assert_true(gate_allows(f->gate, c, "car-2", POLICY_RECEIVE, "device/car-2/poll", NOW));
        assert_false(gate_allows(f->gate, c, "car-2", POLICY_RECEIVE, "device/car-2/poll", LATER));
        assert_false(gate_allows(f->gate, c, "nobody", POLICY_RECEIVE, "device/nobody/poll", NOW));
}

static void gate_ends_sessions_of_inactive_certificates_once(void **state)
{
        struct fixture *f = *state;
        char id[LIMIT_THING_NAME_BYTES + 1];
        assert_int_equal(connects(f, 0, "car-1", "aa", "car-1"), 0);
        assert_int_equal(connects(f, 1, "car-2", "bb", "car-2"), 0);
        assert_false(gate_next_dead(f->gate, NOW, id));
        reload(f, GATE_UNCHANGED);

        write_access(f, "inactive");
        reload(f, 0);
        assert_false(gate_allows(
                f->gate, &f->clients[0], "car-1", POLICY_PUBLISH, "device/car-1/telemetry", NOW));
        assert_true(gate_next_dead(f->gate, NOW, id));
        assert_string_equal(id, "car-1");
        assert_false(gate_next_dead(f->gate, NOW, id));
        assert_int_equal(connects(f, 2, "car-1", "aa", "car-1"), -EACCES);
}

static void gate_ends_sessions_of_expired_certificates(void **state)
{
        struct fixture *f = *state;
        char id[LIMIT_THING_NAME_BYTES + 1];
        assert_int_equal(connects(f, 1, "car-2", "bb", "car-2"), 0);
        assert_true(gate_next_dead(f->gate, LATER, id));
        assert_string_equal(id, "car-2");
        gate_disconnect(f->gate, &f->clients[1]);
        assert_int_equal(gate_sessions(f->gate), 0);
}

static void gate_keeps_its_rules_when_the_new_ones_are_damaged(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(connects(f, 0, "car-1", "aa", "car-1"), 0);
        assert_int_equal(fs_write_atomic(f->path, "{", 1, 0600, NULL), 0);
        struct err err = ERR_INIT;
        assert_true(gate_reload(f->gate, &err) < 0);
        assert_int_equal(gate_reload(f->gate, &err), GATE_UNCHANGED); /* said once */
        assert_true(gate_allows(
                f->gate, &f->clients[0], "car-1", POLICY_PUBLISH, "device/car-1/telemetry", NOW));
        assert_int_equal(unlink(f->path), 0);
        assert_int_equal(gate_reload(f->gate, &err), -ENOENT);
        assert_int_equal(gate_reload(f->gate, &err), GATE_UNCHANGED);
        write_access(f, "active");
        reload(f, 0);

        struct gate *none = NULL;
        assert_int_equal(gate_new("/nowhere/access.json", &none, &err), -ENOENT);
}

static void gate_holds_many_sessions(void **state)
{
        struct fixture *f = *state;
        enum { N = 5000 };
        static char clients[N];
        struct err err = ERR_INIT;
        for (int i = 0; i < N; i++)
                assert_int_equal(
                        gate_connect(f->gate, &clients[i], "car-1", "aa", "car-1", NOW, &err), 0);
        assert_int_equal(gate_sessions(f->gate), N);
        for (int i = 0; i < N; i += 2)
                gate_disconnect(f->gate, &clients[i]);
        gate_disconnect(f->gate, &clients[0]);
        assert_int_equal(gate_sessions(f->gate), N / 2);
}

static void gate_logs_refusals_once_a_second(void **state)
{
        struct fixture *f = *state;
        unsigned hidden;
        assert_int_equal(connects(f, 0, "car-1", "aa", "car-1"), 0);
        assert_true(gate_should_log(f->gate, &f->clients[0], NOW, &hidden));
        assert_false(gate_should_log(f->gate, &f->clients[0], NOW + 1, &hidden));
        assert_false(gate_should_log(f->gate, &f->clients[0], NOW + 999, &hidden));
        assert_true(gate_should_log(f->gate, &f->clients[0], NOW + 1000, &hidden));
        assert_int_equal(hidden, 2);
}

static void topic_knows_what_is_kept(void **state)
{
        static const struct {
                const char *topic;
                bool kept;
        } cases[] = {{"device/car-1/telemetry", true}, {"device/car-1/update", true},
                {"device/car-1/poll", false}, {"device//telemetry", false},
                {"device/a/b/telemetry", false}, {"device/car-1/telemetry/x", false},
                {"xdevice/car-1/telemetry", false}, {"device/telemetry", false},
                {"device/", false}};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                if (topic_is_kept(cases[i].topic) != cases[i].kept)
                        fail_msg("%s", cases[i].topic);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(gate_lets_in_by_certificate_and_name),
                T(gate_asks_the_policies),
                T(gate_answers_for_a_session_without_connection),
                T(gate_ends_sessions_of_inactive_certificates_once),
                T(gate_ends_sessions_of_expired_certificates),
                T(gate_keeps_its_rules_when_the_new_ones_are_damaged),
                T(gate_holds_many_sessions),
                T(gate_logs_refusals_once_a_second),
                cmocka_unit_test(topic_knows_what_is_kept),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
