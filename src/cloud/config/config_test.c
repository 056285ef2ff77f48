/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/config/config.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static char dir[] = "/tmp/driveline-config-XXXXXX";

static void given_file(const char *text)
{
        CLEAN_MEM char *path = fs_join(dir, "driveline.conf");
        assert_int_equal(0, fs_write_atomic(path, text, strlen(text), 0600, NULL));
}

static void defaults_hold_without_a_file(void **state)
{
        (void)state;
        struct cloud_config c;
        assert_int_equal(0, cloud_config_load("/nonexistent", &c, NULL));
        assert_string_equal("127.0.0.1:8080", c.http_listen);
        assert_int_equal(7 * 86400000ll, c.stream_max_age_ms);
        assert_int_equal(2ll << 30, c.stream_max_bytes);
        cloud_config_fini(&c);
}

static void the_sample_is_a_valid_file(void **state)
{
        (void)state;
        CLEAN_BUF struct buf sample = BUF_INIT(65536);
        assert_int_equal(0, cloud_config_sample(&sample));
        for (char *p = sample.data; (p = strchr(p, '#')); p++)
                if (p[1] != ' ')
                        *p = ' ';
        given_file(sample.data);
        struct cloud_config c;
        struct err err = ERR_INIT;
        assert_int_equal(0, cloud_config_load(dir, &c, &err));
        cloud_config_fini(&c);
}

static void mistakes_name_file_and_line(void **state)
{
        (void)state;
        static const struct {
                const char *text, *error;
        } cases[] = {
                {"\nhtp_listen = 1", "driveline.conf:2: unknown key 'htp_listen'"},
                {"http_listen = 8080", "driveline.conf:1: 'http_listen' needs an address"},
                {"# x\nstore_max_age = soon", "driveline.conf:2: 'store_max_age' needs a duration"},
                {"stream_max_size = 2Q", "needs a size"},
                {"build_processes = 0", "needs a whole number above 0"},
                {"hello", "expected 'key = value'"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                given_file(cases[i].text);
                struct cloud_config c;
                struct err err = ERR_INIT;
                assert_true(cloud_config_load(dir, &c, &err) < 0);
                assert_non_null(strstr(err.text, cases[i].error));
        }
}

static void addresses_split(void **state)
{
        (void)state;
        char host[64];
        int port;
        assert_int_equal(0, cloud_address_split("[::1]:8883", host, sizeof(host), &port));
        assert_string_equal("::1", host);
        assert_int_equal(8883, port);
}

int main(void)
{
        if (!mkdtemp(dir))
                return 1;
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(defaults_hold_without_a_file),
                cmocka_unit_test(the_sample_is_a_valid_file),
                cmocka_unit_test(mistakes_name_file_and_line),
                cmocka_unit_test(addresses_split),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        fs_remove_tree(dir, NULL);
        return r;
}
