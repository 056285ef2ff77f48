/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/registry/registry.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/tls.h"
#include "cloud/registry/ca.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

struct fixture {
        char dir[64];
        struct cloud_config config;
        struct registry *reg;
};

static void check(int r, const struct err *err)
{
        if (r < 0)
                fail_msg("%s", err->text);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        assert_non_null(f);
        snprintf(f->dir, sizeof(f->dir), "/tmp/registry_test.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        struct err err = ERR_INIT;
        check(cloud_config_load(f->dir, &f->config, &err), &err);
        check(registry_open(&f->config, &f->reg, &err), &err);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        registry_free(f->reg);
        cloud_config_fini(&f->config);
        fs_remove_tree(f->dir, NULL);
        free(f);
        return 0;
}

static char *path(struct fixture *f, const char *relative)
{
        char *p = cloud_path(&f->config, relative);
        assert_non_null(p);
        return p;
}

static mode_t mode_of(struct fixture *f, const char *relative)
{
        CLEAN_MEM char *p = path(f, relative);
        struct stat st;
        assert_int_equal(stat(p, &st), 0);
        return st.st_mode & 0777;
}

static X509 *certificate(struct fixture *f, const char *relative)
{
        CLEAN_MEM char *p = path(f, relative);
        X509 *cert = NULL;
        struct err err = ERR_INIT;
        check(certificate_read(p, &cert, &err), &err);
        return cert;
}

static void given_thing(struct fixture *f, const char *name)
{
        struct err err = ERR_INIT;
        check(registry_thing_create(f->reg, name, &(struct registry_files){0}, NULL, 0, &err),
                &err);
}

static bool broker_lets_in(struct fixture *f, const char *thing)
{
        CLEAN_MEM char *p = path(f, CLOUD_ACCESS);
        CLEAN(access) struct access *a = NULL;
        struct err err = ERR_INIT;
        check(access_load(p, &a, &err), &err);
        const struct access_certificate *c = access_find_thing(a, thing, clock_now_ms());
        return c && access_allows(c, POLICY_CONNECT, thing, thing, NULL);
}

/* Verifies as TLS does: chain, time, purpose. */
static bool verifies(X509 *root, X509 *cert, int purpose)
{
        X509_STORE *store = X509_STORE_new();
        X509_STORE_CTX *ctx = X509_STORE_CTX_new();
        X509_STORE_add_cert(store, root);
        X509_STORE_CTX_init(ctx, store, cert, NULL);
        X509_STORE_CTX_set_purpose(ctx, purpose);
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
        bool good = X509_verify_cert(ctx) == 1;
        X509_STORE_CTX_free(ctx);
        X509_STORE_free(store);
        return good;
}

static void registry_makes_its_files_with_narrow_rights(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(mode_of(f, CLOUD_CA_KEY), 0600);
        assert_int_equal(mode_of(f, CLOUD_SERVER_KEY), 0600);
        assert_int_equal(mode_of(f, CLOUD_CLIENT_KEY), 0600);
        assert_int_equal(mode_of(f, CLOUD_ADMIN_PASSWORD), 0600);
        assert_int_equal(mode_of(f, "ca"), 0700);
        assert_int_equal(mode_of(f, CLOUD_CA_CERT), 0644);
}

static void registry_chain_verifies_for_its_purposes_only(void **state)
{
        struct fixture *f = *state;
        given_thing(f, "car-1");
        CLEAN_X509 X509 *root = certificate(f, CLOUD_CA_CERT);
        CLEAN_X509 X509 *server = certificate(f, CLOUD_SERVER_CERT);
        CLEAN_X509 X509 *thing = certificate(f, "things/car-1/car-1.cert.pem");
        assert_true(verifies(root, server, X509_PURPOSE_SSL_SERVER));
        assert_false(verifies(root, server, X509_PURPOSE_SSL_CLIENT));
        assert_true(verifies(root, thing, X509_PURPOSE_SSL_CLIENT));
        assert_false(verifies(root, thing, X509_PURPOSE_SSL_SERVER));
        assert_int_equal(X509_check_host(server, "localhost", 0, 0, NULL), 1);
        assert_int_equal(X509_check_ip_asc(server, "127.0.0.1", 0), 1);
        assert_int_equal(X509_check_ip_asc(server, "::1", 0), 1);
        char group[32];
        size_t n;
        assert_int_equal(
                EVP_PKEY_get_group_name(X509_get0_pubkey(thing), group, sizeof(group), &n), 1);
        assert_string_equal(group, "prime256v1");
}

static void registry_init_again_changes_nothing(void **state)
{
        struct fixture *f = *state;
        static const char *const files[] = {CLOUD_CA_CERT, CLOUD_CA_KEY, CLOUD_SERVER_CERT,
                CLOUD_CLIENT_CERT, CLOUD_ADMIN_PASSWORD, CLOUD_ACCESS};
        struct stat before[N_ELEMENTS(files)], after;
        for (size_t i = 0; i < N_ELEMENTS(files); i++) {
                CLEAN_MEM char *p = path(f, files[i]);
                assert_int_equal(stat(p, &before[i]), 0);
        }
        struct err err = ERR_INIT;
        check(registry_init(&f->config, &err), &err);
        for (size_t i = 0; i < N_ELEMENTS(files); i++) {
                CLEAN_MEM char *p = path(f, files[i]);
                assert_int_equal(stat(p, &after), 0);
                assert_int_equal(after.st_ino, before[i].st_ino);
        }
}

static void registry_makes_a_half_made_server_certificate_again(void **state)
{
        struct fixture *f = *state;
        CLEAN_MEM char *key = path(f, CLOUD_SERVER_KEY);
        CLEAN_MEM char *other = path(f, CLOUD_CLIENT_KEY);
        assert_int_equal(unlink(key), 0);
        assert_int_equal(link(other, key), 0); /* a key that isn't the certificate's */
        struct err err = ERR_INIT;
        check(registry_init(&f->config, &err), &err);
        struct ca pair = {0};
        CLEAN_X509 X509 *server = certificate(f, CLOUD_SERVER_CERT);
        check(certificate_read_key(key, &pair.key, &err), &err);
        assert_int_equal(X509_check_private_key(server, pair.key), 1);
        ca_fini(&pair);
}

static void registry_renews_a_server_certificate_that_is_about_to_expire(void **state)
{
        struct fixture *f = *state;
        CLEAN_MEM char *key_path = path(f, CLOUD_SERVER_KEY);
        CLEAN_MEM char *cert_path = path(f, CLOUD_SERVER_CERT);
        CLEAN_CA struct ca root = {0};
        CLEAN_PKEY EVP_PKEY *key = NULL;
        CLEAN_X509 X509 *old = NULL;
        struct err err = ERR_INIT;
        check(ca_open(&f->config, &root, &err), &err);
        check(certificate_read_key(key_path, &key, &err), &err);
        const struct certificate_spec spec = {CERTIFICATE_SERVER, "driveline-server",
                "DNS:localhost,IP:127.0.0.1,IP:::1", clock_now_ms() - 1000,
                clock_now_ms() + (int64_t)29 * 86400 * 1000};
        check(certificate_sign(&spec, key, root.cert, root.key, &old, &err), &err);
        check(certificate_write(cert_path, old, &err), &err);
        check(registry_init(&f->config, &err), &err);
        CLEAN_X509 X509 *now = certificate(f, CLOUD_SERVER_CERT);
        assert_true(certificate_not_after_ms(now) > certificate_not_after_ms(old));
}

static void registry_never_replaces_a_lost_root_key(void **state)
{
        struct fixture *f = *state;
        CLEAN_MEM char *key = path(f, CLOUD_CA_KEY);
        assert_int_equal(unlink(key), 0);
        struct err err = ERR_INIT;
        assert_int_equal(registry_init(&f->config, &err), -ENOENT);
        assert_non_null(strstr(err.text, "restore it from a backup"));
}

static void registry_replaces_an_own_certificate_everywhere(void **state)
{
        struct fixture *f = *state;
        assert_true(broker_lets_in(f, CLOUD_CLIENT_NAME));
        CLEAN_MEM char *cert = path(f, CLOUD_CLIENT_CERT);
        assert_int_equal(unlink(cert), 0);
        struct err err = ERR_INIT;
        check(registry_init(&f->config, &err), &err);
        assert_true(broker_lets_in(f, CLOUD_CLIENT_NAME));
}

static void registry_checks_names(void **state)
{
        static const char *const good[] = {"a", "VIN1", "WDB:1.2_3-4",
                "1234567890123456789012345678901234567890123456789012345678901234"};
        static const char *const bad[] = {"", ".", "..", ".a", "-a", "a/b", "a b", "a+", "ä", "a\n",
                "12345678901234567890123456789012345678901234567890123456789012345"};
        for (size_t i = 0; i < N_ELEMENTS(good); i++)
                assert_int_equal(registry_check_name(good[i], NULL), 0);
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_int_equal(registry_check_name(bad[i], NULL), -EINVAL);
}

static void registry_thing_lives_its_life(void **state)
{
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        struct registry_thing thing;
        const struct registry_files files = {0};
        given_thing(f, "car-1");
        assert_true(broker_lets_in(f, "car-1"));
        assert_int_equal(mode_of(f, "things/car-1/car-1.private.key"), 0600);
        assert_int_equal(mode_of(f, "things/car-1/root-CA.crt"), 0644);

        assert_int_equal(registry_thing_create(f->reg, "car-1", &files, NULL, 0, &err), -EEXIST);
        assert_non_null(strstr(err.text, "thing renew car-1"));

        check(registry_thing_set_active(f->reg, "car-1", false, &err), &err);
        assert_false(broker_lets_in(f, "car-1"));
        check(registry_thing_get(f->reg, "car-1", &thing, &err), &err);
        assert_int_equal(thing.newest.state, CERTIFICATE_INACTIVE);
        check(registry_thing_set_active(f->reg, "car-1", true, &err), &err);
        assert_true(broker_lets_in(f, "car-1"));

        assert_int_equal(registry_thing_delete(f->reg, "car-1", false, &err), -EBUSY);
        assert_true(broker_lets_in(f, "car-1"));
        check(registry_thing_delete(f->reg, "car-1", true, &err), &err);
        assert_false(broker_lets_in(f, "car-1"));
        CLEAN_MEM char *dir = path(f, "things/car-1");
        assert_false(fs_exists(dir));
        assert_int_equal(registry_thing_get(f->reg, "car-1", &thing, &err), -ENOENT);
        given_thing(f, "car-1"); /* the name is free again */
        assert_true(broker_lets_in(f, "car-1"));
}

static void serial_of(struct fixture *f, const char *relative, char *serial, size_t size)
{
        char cn[65];
        CLEAN_X509 X509 *cert = certificate(f, relative);
        assert_true(tls_certificate_identity(cert, cn, sizeof(cn), serial, size));
}

static void registry_renew_keeps_the_old_certificate_unless_revoked(void **state)
{
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        const struct registry_files files = {.days = 7};
        char first[41], second[41], third[41];
        given_thing(f, "car-1");
        serial_of(f, "things/car-1/car-1.cert.pem", first, sizeof(first));

        check(registry_thing_renew(f->reg, "car-1", &files, false, &err), &err);
        serial_of(f, "things/car-1/car-1.cert.pem", second, sizeof(second));
        assert_string_not_equal(first, second);
        assert_true(registry_is_active(f->reg, "car-1", first));
        assert_true(registry_is_active(f->reg, "car-1", second));
        assert_false(registry_is_active(f->reg, "car-2", second));

        check(registry_thing_renew(f->reg, "car-1", &files, true, &err), &err);
        serial_of(f, "things/car-1/car-1.cert.pem", third, sizeof(third));
        assert_false(registry_is_active(f->reg, "car-1", first));
        assert_false(registry_is_active(f->reg, "car-1", second));
        assert_true(registry_is_active(f->reg, "car-1", third));
        check(registry_thing_set_active(f->reg, "car-1", true, &err), &err);
        assert_false(registry_is_active(f->reg, "car-1", first)); /* deleted is for ever */
}

static void registry_overwrites_no_key_in_a_folder_of_the_user(void **state)
{
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        CLEAN_MEM char *out = path(f, "mine");
        const struct registry_files files = {.out_dir = out};
        check(registry_thing_create(f->reg, "car-1", &files, NULL, 0, &err), &err);
        check(registry_thing_delete(f->reg, "car-1", true, &err), &err);
        assert_int_equal(registry_thing_create(f->reg, "car-1", &files, NULL, 0, &err), -EEXIST);
        assert_non_null(strstr(err.text, "--out"));
        assert_int_equal(
                registry_thing_get(f->reg, "car-1", &(struct registry_thing){0}, &err), -ENOENT);
}

static bool decides(struct fixture *f, const char *thing, enum policy_action action,
        const char *resource, struct registry_decision *ret)
{
        struct err err = ERR_INIT;
        check(registry_policy_test(f->reg, thing, action, resource, ret, &err), &err);
        return ret->allowed;
}

static void registry_default_policy_gives_the_least(void **state)
{
        struct fixture *f = *state;
        static const struct {
                enum policy_action action;
                const char *resource;
                bool allowed;
        } cases[] = {
                {POLICY_CONNECT, "car-1", true},
                {POLICY_CONNECT, "client/car-1", true},
                {POLICY_CONNECT, "car-2", false},
                {POLICY_PUBLISH, "device/car-1/telemetry", true},
                {POLICY_PUBLISH, "topic/device/car-1/update", true},
                {POLICY_PUBLISH, "arn:aws:iot:x:1:topic/device/car-1/update", true},
                {POLICY_PUBLISH, "device/car-2/telemetry", false},
                {POLICY_PUBLISH, "device/car-1/poll", false},
                {POLICY_PUBLISH, "device/car-1/telemetry/x", false},
                {POLICY_SUBSCRIBE, "device/car-1/poll", true},
                {POLICY_SUBSCRIBE, "device/+/poll", false},
                {POLICY_SUBSCRIBE, "#", false},
                {POLICY_RECEIVE, "device/car-1/poll", true},
                {POLICY_RECEIVE, "device/car-1/telemetry", false},
        };
        given_thing(f, "car-1");
        struct registry_decision d;
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                if (decides(f, "car-1", cases[i].action, cases[i].resource, &d) != cases[i].allowed)
                        fail_msg("case %zu: %s", i, cases[i].resource);
        assert_true(decides(f, CLOUD_CLIENT_NAME, POLICY_PUBLISH, "device/car-1/poll", &d));
        assert_false(decides(f, CLOUD_CLIENT_NAME, POLICY_PUBLISH, "device/car-1/telemetry", &d));
        assert_false(decides(f, CLOUD_CLIENT_NAME, POLICY_SUBSCRIBE, "#", &d));
}

static void registry_policies_have_versions_and_attachments(void **state)
{
        static const char deny[] =
                "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"Quiet\","
                "\"Effect\":\"Deny\",\"Action\":\"iot:Publish\",\"Resource\":\"*\"}]}";
        static const char allow[] =
                "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\","
                "\"Action\":\"iot:Publish\",\"Resource\":\"topic/x\"}]}";
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        struct registry_decision d;
        int version = 0;
        given_thing(f, "car-1");
        assert_int_equal(registry_policy_put(f->reg, "quiet", deny, strlen(deny), true, NULL, &err),
                -ENOENT);
        check(registry_policy_put(f->reg, "quiet", deny, strlen(deny), false, &version, &err),
                &err);
        assert_int_equal(version, 1);
        assert_int_equal(
                registry_policy_put(f->reg, "quiet", deny, strlen(deny), false, NULL, &err),
                -EEXIST);
        assert_true(decides(f, "car-1", POLICY_PUBLISH, "device/car-1/telemetry", &d));
        assert_string_equal(d.policy, REGISTRY_DEFAULT_POLICY);
        assert_string_equal(d.sid, "PublishOwn");
        assert_int_equal(d.statement, 2);

        check(registry_policy_attach(f->reg, "quiet", "car-1", &err), &err);
        assert_false(decides(f, "car-1", POLICY_PUBLISH, "device/car-1/telemetry", &d));
        assert_string_equal(d.policy, "quiet");
        assert_string_equal(d.sid, "Quiet");
        assert_int_equal(registry_policy_delete(f->reg, "quiet", &err), -EBUSY);

        for (int i = 0; i < 2 * LIMIT_POLICY_VERSIONS; i++)
                check(registry_policy_put(
                              f->reg, "quiet", allow, strlen(allow), true, &version, &err),
                        &err);
        assert_int_equal(version, 1 + 2 * LIMIT_POLICY_VERSIONS);
        assert_true(decides(f, "car-1", POLICY_PUBLISH, "x", &d));

        check(registry_policy_detach(f->reg, "quiet", "car-1", &err), &err);
        assert_false(decides(f, "car-1", POLICY_PUBLISH, "x", &d));
        assert_int_equal(registry_policy_detach(f->reg, "quiet", "car-1", &err), -ENOENT);
        check(registry_policy_delete(f->reg, "quiet", &err), &err);
        assert_int_equal(registry_policy_delete(f->reg, REGISTRY_DEFAULT_POLICY, &err), -EBUSY);
        assert_int_equal(registry_policy_attach(f->reg, "quiet", "car-1", &err), -ENOENT);
}

static void registry_mends_a_snapshot_that_a_crash_left_behind(void **state)
{
        struct fixture *f = *state;
        struct err err = ERR_INIT;
        CLEAN_MEM char *access = path(f, CLOUD_ACCESS);
        CLEAN_BUF struct buf old = BUF_INIT(LIMIT_MIB(1));
        given_thing(f, "car-1");
        check(fs_read(access, &old, &err), &err);
        check(registry_thing_set_active(f->reg, "car-1", false, &err), &err);
        check(fs_write_atomic(access, old.data, old.len, 0600, &err), &err);
        assert_true(broker_lets_in(f, "car-1"));
        check(registry_init(&f->config, &err), &err);
        assert_false(broker_lets_in(f, "car-1"));
}

static void access_refuses_a_damaged_snapshot(void **state)
{
        static const char *const cases[] = {"", "{", "[]", "{\"policies\":{}}",
                "{\"policies\":{},\"certificates\":{\"a\":{}}}",
                "{\"policies\":{\"p\":{}},\"certificates\":{}}",
                "{\"policies\":{},\"certificates\":{\"a\":{\"thing\":\"t\",\"state\":\"active\","
                "\"not_after\":1,\"policies\":[\"nowhere\"]}}}",
                "{\"policies\":{},\"certificates\":{\"a\":{\"thing\":\"t\",\"state\":\"maybe\","
                "\"not_after\":1,\"policies\":[]}}}"};
        struct fixture *f = *state;
        CLEAN_MEM char *p = path(f, "damaged.json");
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct access *a = NULL;
                struct err err = ERR_INIT;
                check(fs_write_atomic(p, cases[i], strlen(cases[i]), 0600, &err), &err);
                assert_true(access_load(p, &a, &err) < 0);
                assert_null(a);
                assert_non_null(strstr(err.text, "damaged.json"));
        }
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(registry_makes_its_files_with_narrow_rights),
                T(registry_chain_verifies_for_its_purposes_only),
                T(registry_init_again_changes_nothing),
                T(registry_makes_a_half_made_server_certificate_again),
                T(registry_renews_a_server_certificate_that_is_about_to_expire),
                T(registry_never_replaces_a_lost_root_key),
                T(registry_replaces_an_own_certificate_everywhere),
                T(registry_checks_names),
                T(registry_thing_lives_its_life),
                T(registry_renew_keeps_the_old_certificate_unless_revoked),
                T(registry_overwrites_no_key_in_a_folder_of_the_user),
                T(registry_default_policy_gives_the_least),
                T(registry_policies_have_versions_and_attachments),
                T(registry_mends_a_snapshot_that_a_crash_left_behind),
                T(access_refuses_a_damaged_snapshot),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
