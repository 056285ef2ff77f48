/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/auth.h"
#include "cloud/ota/credentials.h"
#include "cloud/ota/password.h"
#include "cloud/ota/proxy.h"

#include "base/clean.h"
#include "base/limits.h"
#include "base/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ── a login whose loop is run by the test ── */

struct desk {
        struct event_base *base;
        struct login *login;
        struct login_result *result;
        struct http_exchange *exchange;
};

static void on_resume(void *arg, struct http_exchange *x, struct login_result *result)
{
        struct desk *d = arg;
        d->exchange = x;
        d->result = result;
        event_base_loopbreak(d->base);
}

static void given_desk(struct desk *d, int max_failures)
{
        *d = (struct desk){.base = event_base_new()};
        struct login_options options = {
                .max_failures = max_failures, .resume = on_resume, .arg = d};
        assert_int_equal(login_new(d->base, &options, &d->login, NULL), 0);
}

static void desk_fini(struct desk *d)
{
        login_free(d->login);
        loop_free(d->base);
}

static struct http_exchange *some_exchange(void)
{
        static int place;
        return (struct http_exchange *)&place; /* handed back, never looked into */
}

static enum login_verdict check(
        struct desk *d, const char *peer, const char *password, const char *stored, int *ret_wait)
{
        return login_check(d->login, some_exchange(), peer, "ann", password, stored, ret_wait);
}

/* Waits for the worker and tells what it found. */
static bool is_right_at_last(struct desk *d)
{
        event_base_dispatch(d->base);
        assert_ptr_equal(d->exchange, some_exchange());
        assert_true(d->result->is_check);
        bool is_right = d->result->is_right;
        login_result_free(TAKE(d->result));
        return is_right;
}

/* ── users ── */

static void roles_become_permissions(void **state)
{
        struct desk d;
        struct user u;
        (void)state;
        given_desk(&d, 0);
        assert_int_equal(
                user_parse("a:p:DEFAULT:REPOSITORY_ADMIN,READ_TARGET", d.login, &u, NULL), 0);
        assert_true(u.permissions & READ(SET));
        assert_true(u.permissions & PERMIT_DOWNLOAD);
        assert_true(u.permissions & READ(TARGET_TYPE));
        assert_false(u.permissions & (UPDATE(TARGET) | PERMIT_USERS | PERMIT_SYSTEM));
        assert_string_equal(u.authorities[0], "ROLE_REPOSITORY_ADMIN");
        assert_string_equal(u.authorities[1], "READ_TARGET");
        user_fini(&u);
        assert_int_equal(user_parse("a:p:DEFAULT:", d.login, &u, NULL), 0);
        assert_int_equal(u.n_authorities, 0);
        user_fini(&u);
        static const char *const bad[] = {"a:p:DEFAULT", "a:p::X", "a:p:T:NOTHING", ":p:T:", "",
                "a:p:T:READ_TARGETS", "a:p:T:ROLE_READ_TARGET_"};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                if (user_parse(bad[i], d.login, &u, NULL) == 0)
                        fail_msg("'%s' was taken", bad[i]);
        }
        desk_fini(&d);
}

static void tenant_administrators_are_not_the_systems(void **state)
{
        uint64_t tenant = 0, system = 0;
        (void)state;
        assert_int_equal(roles_permissions("TENANT_ADMIN", &tenant, NULL), 0);
        assert_int_equal(roles_permissions("ROLE_SYSTEM_ADMIN", &system, NULL), 0);
        assert_true(tenant & PERMIT_USERS);
        assert_false(tenant & PERMIT_SYSTEM);
        assert_true(system == (PERMIT_SYSTEM | PERMIT_USERS));
}

/* ── headers ── */

static void headers_hold_a_name_and_a_password_or_a_token(void **state)
{
        struct credentials c;
        (void)state;
        assert_int_equal(credentials_parse("Basic YWRtaW46YWRtaW4=", &c), CREDENTIALS_BASIC);
        assert_string_equal(c.name, "admin");
        assert_string_equal(c.secret, "admin");
        assert_int_equal(credentials_parse("basic YWRtaW46", &c), CREDENTIALS_BASIC);
        assert_string_equal(c.secret, "");
        assert_int_equal(
                credentials_parse("Bearer dl_0123456789abcdef0123456789abcdef0123456789abcdef01234"
                                  "56789abcdef",
                        &c),
                CREDENTIALS_TOKEN);
        static const char *const bad[] = {NULL, "", "Basic", "Basic ",
                "Basic  YWRtaW46YWRtaW4=", "Basic YWRtaW4=", "Basic !!!!",
                "Bearer YWRtaW46YWRtaW4=", "Basic YWRtaW46YWRtaW4", "Basic AAAA",
                "Basic ====", "Basic YQA6Yg==", "Bearer dl_00", "Bearer ",
                "Bearer dl_0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                if (credentials_parse(bad[i], &c) != CREDENTIALS_NONE)
                        fail_msg("'%s' was taken", bad[i]);
        }
}

/* ── stored passwords ── */

static void a_stored_password_matches_itself_alone(void **state)
{
        char one[PASSWORD_HASH_SIZE], two[PASSWORD_HASH_SIZE];
        (void)state;
        assert_int_equal(password_hash("correct horse", one), 0);
        assert_int_equal(password_hash("correct horse", two), 0);
        assert_string_not_equal(one, two); /* each has its salt */
        assert_memory_equal(one, "$scrypt$ln=14,r=8,p=1$", 22);
        assert_true(password_matches("correct horse", one));
        assert_false(password_matches("correct horsf", one));
        assert_false(password_matches("", one));
        one[strlen(one) - 1] ^= 1;
        assert_false(password_matches("correct horse", one));
}

static void what_is_no_stored_password_matches_nothing(void **state)
{
        static const char *const bad[] = {NULL, "", "x", "$scrypt$ln=14,r=8,p=1$$",
                "$scrypt$ln=99,r=8,p=1$00000000000000000000000000000000$00",
                "$scrypt$ln=14,r=8,p=1$00000000000000000000000000000000$00"};
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(password_matches("", bad[i]));
}

static void poor_passwords_are_objected_to(void **state)
{
        char generated[PASSWORD_GENERATED_SIZE], longest[LIMIT_PASSWORD_BYTES + 2];
        (void)state;
        memset(longest, 'a', sizeof(longest));
        longest[sizeof(longest) - 1] = '\0';
        assert_non_null(password_objection("seven77"));
        assert_non_null(password_objection("with\ttab"));
        assert_non_null(password_objection(longest));
        longest[LIMIT_PASSWORD_BYTES] = '\0';
        assert_null(password_objection(longest));
        assert_int_equal(password_generate(generated), 0);
        assert_null(password_objection(generated));
}

/* ── logging in ── */

static void a_right_password_is_remembered_for_its_peer(void **state)
{
        struct desk d;
        char stored[PASSWORD_HASH_SIZE], changed[PASSWORD_HASH_SIZE];
        int wait = 0;
        (void)state;
        given_desk(&d, 3);
        assert_int_equal(password_hash("right one", stored), 0);
        assert_int_equal(password_hash("right one", changed), 0);
        assert_int_equal(check(&d, "192.0.2.1", "right one", stored, &wait), LOGIN_WAITS);
        assert_true(is_right_at_last(&d));
        assert_int_equal(check(&d, "192.0.2.1", "right one", stored, &wait), LOGIN_RIGHT);
        assert_int_equal(check(&d, "192.0.2.2", "right one", stored, &wait), LOGIN_WAITS);
        assert_true(is_right_at_last(&d));
        /* the user got a new password, or went */
        assert_int_equal(check(&d, "192.0.2.1", "right one", changed, &wait), LOGIN_WAITS);
        assert_true(is_right_at_last(&d));
        assert_int_equal(check(&d, "192.0.2.1", "right one", NULL, &wait), LOGIN_WAITS);
        assert_false(is_right_at_last(&d));
        desk_fini(&d);
}

static void guesses_are_slowed_down_but_lock_nobody_out(void **state)
{
        struct desk d;
        char stored[PASSWORD_HASH_SIZE];
        int wait = 0;
        (void)state;
        given_desk(&d, 2);
        assert_int_equal(password_hash("right one", stored), 0);
        assert_int_equal(check(&d, "192.0.2.1", "right one", stored, &wait), LOGIN_WAITS);
        assert_true(is_right_at_last(&d));
        for (int i = 0; i < 2; i++) {
                assert_int_equal(check(&d, "192.0.2.1", "a guess", stored, &wait), LOGIN_WAITS);
                assert_false(is_right_at_last(&d));
        }
        assert_int_equal(check(&d, "192.0.2.1", "a guess", stored, &wait), LOGIN_LIMITED);
        assert_in_range(wait, 1, LIMIT_LOGIN_PAUSE_MS / 1000 + 1);
        /* who is logged in stays so, and others come in from elsewhere */
        assert_int_equal(check(&d, "192.0.2.1", "right one", stored, &wait), LOGIN_RIGHT);
        assert_int_equal(check(&d, "192.0.2.9", "right one", stored, &wait), LOGIN_WAITS);
        assert_true(is_right_at_last(&d));
        desk_fini(&d);
}

static void one_peer_cannot_fill_the_queue(void **state)
{
        struct desk d;
        int wait = 0;
        (void)state;
        given_desk(&d, 0);
        for (int i = 0; i < LIMIT_LOGIN_QUEUE_PER_PEER; i++)
                assert_int_equal(check(&d, "192.0.2.1", "a guess", NULL, &wait), LOGIN_WAITS);
        assert_int_equal(check(&d, "192.0.2.1", "a guess", NULL, &wait), LOGIN_LIMITED);
        assert_int_equal(wait, 1);
        assert_int_equal(check(&d, "192.0.2.2", "a guess", NULL, &wait), LOGIN_WAITS);
        desk_fini(&d); /* with all of them waiting */
}

static void a_password_of_the_start_is_checked_at_once(void **state)
{
        struct desk d;
        char keyed[LOGIN_KEYED_SIZE];
        int wait = 0;
        (void)state;
        given_desk(&d, 0);
        login_keyed(d.login, "p", keyed);
        assert_null(strstr(keyed, ":p"));
        assert_int_equal(check(&d, "192.0.2.1", "p", keyed, &wait), LOGIN_RIGHT);
        assert_int_equal(check(&d, "192.0.2.1", "q", keyed, &wait), LOGIN_WAITS);
        assert_false(is_right_at_last(&d));
        desk_fini(&d);
}

static void the_worker_makes_hashes(void **state)
{
        struct desk d;
        const char *passwords[] = {"first one", "second one"};
        (void)state;
        given_desk(&d, 0);
        assert_int_equal(login_hash(d.login, some_exchange(), "192.0.2.1", passwords, 2), 0);
        event_base_dispatch(d.base);
        assert_false(d.result->is_check);
        assert_int_equal(d.result->n, 2);
        assert_true(password_matches("first one", d.result->hashes[0]));
        assert_true(password_matches("second one", d.result->hashes[1]));
        login_result_free(d.result);
        desk_fini(&d);
}

/* ── proxies ── */

static void networks_hold_their_addresses_alone(void **state)
{
        struct proxy_list l = {0};
        (void)state;
        assert_int_equal(
                proxy_list_add(&l, "10.0.0.0/8, 192.0.2.7,2001:db8::/33 ,172.16.0.0/12", NULL), 0);
        static const char *const in[] = {
                "10.1.2.3", "192.0.2.7", "::ffff:10.0.0.1", "2001:db8:7fff::1", "172.31.255.255"};
        static const char *const out[] = {"11.0.0.1", "192.0.2.8", "2001:db8:8000::1", "::1",
                "172.32.0.0", "", "localhost", "10.1.2.3:80"};
        for (size_t i = 0; i < N_ELEMENTS(in); i++) {
                if (!proxy_list_has(&l, in[i]))
                        fail_msg("%s is not trusted", in[i]);
        }
        for (size_t i = 0; i < N_ELEMENTS(out); i++) {
                if (proxy_list_has(&l, out[i]))
                        fail_msg("%s is trusted", out[i]);
        }
        static const char *const bad[] = {"10.0.0.0/33", "10.0.0.0/", "proxy", "10.0.0.0/-1",
                "10.0.0", "::1/129", "10.0.0.0/8x"};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                if (proxy_list_add(&l, bad[i], NULL) == 0)
                        fail_msg("'%s' was taken", bad[i]);
        }
}

static void origins_are_as_the_proxy_says(void **state)
{
        /* scheme, host, port, prefix; Host header of a plain request; origin */
        static const char *const cases[][6] = {
                {NULL, NULL, NULL, NULL, "a:8080", "http://a:8080"},
                {"https", "ota.example.com", NULL, NULL, "a:8080", "https://ota.example.com"},
                {"https", "ota.example.com", "443", NULL, "a:8080", "https://ota.example.com"},
                {"https", "ota.example.com", "8443", NULL, "a", "https://ota.example.com:8443"},
                {"HTTPS", "ota.example.com:444", NULL, "/ota/", "a",
                        "https://ota.example.com:444/ota"},
                {NULL, NULL, NULL, "/x/y", "[::1]:8080", "http://[::1]:8080/x/y"},
                {"https", NULL, NULL, NULL, "ota.example.com:8443", "https://ota.example.com:8443"},
                {"https", "one, two", "1, 2", "/p, /q", "a", "https://one:1/p"},
                {"gopher", "a b", "0", "p", "a:8080", "http://a:8080"},
                {"https\r\n", "x\"y", "99999", "/a b", "a:8080", "http://a:8080"},
                {NULL, "[::1", "x", "//evil", "a:8080", "http://a:8080"},
        };
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct arena a = {0};
                struct forwarded f;
                const char *const *c = cases[i];
                forwarded_from_x(c[0], c[1], c[2], c[3], NULL, &a, &f);
                assert_string_equal(forwarded_origin(&f, "http", c[4], &a), c[5]);
                arena_fini(&a);
        }
}

static void forwarded_headers_are_read(void **state)
{
        struct arena a = {0};
        struct forwarded f;
        (void)state;
        assert_true(forwarded_parse(
                "for=192.0.2.60;proto=https;by=203.0.113.43;Host=\"ota.example.com:8443\", "
                "for=\"[2001:db8::17]:4711\"",
                &a, &f));
        assert_string_equal(forwarded_origin(&f, "http", "a", &a), "https://ota.example.com:8443");
        assert_string_equal(f.client, "2001:db8::17"); /* what the nearest proxy saw */
        assert_true(forwarded_parse("for=unknown;proto=http", &a, &f));
        assert_null(f.client);
        static const char *const bad[] = {NULL, "", " ", "proto", "proto=", "proto=https;",
                "proto=https, ", "=x", "proto=\"https", "proto=https x",
                "for=1.2.3.4;;proto=https"};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                if (forwarded_parse(bad[i], &a, &f) || f.scheme || f.client)
                        fail_msg("'%s' was taken", bad[i]);
        }
        arena_fini(&a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(roles_become_permissions),
                cmocka_unit_test(tenant_administrators_are_not_the_systems),
                cmocka_unit_test(headers_hold_a_name_and_a_password_or_a_token),
                cmocka_unit_test(a_stored_password_matches_itself_alone),
                cmocka_unit_test(what_is_no_stored_password_matches_nothing),
                cmocka_unit_test(poor_passwords_are_objected_to),
                cmocka_unit_test(a_right_password_is_remembered_for_its_peer),
                cmocka_unit_test(guesses_are_slowed_down_but_lock_nobody_out),
                cmocka_unit_test(one_peer_cannot_fill_the_queue),
                cmocka_unit_test(a_password_of_the_start_is_checked_at_once),
                cmocka_unit_test(the_worker_makes_hashes),
                cmocka_unit_test(networks_hold_their_addresses_alone),
                cmocka_unit_test(origins_are_as_the_proxy_says),
                cmocka_unit_test(forwarded_headers_are_read),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
