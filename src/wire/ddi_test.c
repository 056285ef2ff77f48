/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "wire/ddi.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void poll_intervals_are_read(void **state)
{
        static const struct {
                const char *text;
                int64_t ms; /* -1: refused */
        } cases[] = {{"00:05:00", 300000}, {"00:00:30", 30000}, {"23:59:59", 86399000},
                {"PT36H", 129600000}, {"P1DT2H", 93600000}, {"PT1H30M", 5400000},
                {"P2D", 172800000}, {"PT5S", 5000}, {"", -1}, {"5", -1}, {"00:05", -1},
                {"00:60:00", -1}, {"00:00:61", -1}, {"00:00:00x", -1}, {"-1:00:00", -1}, {"P", -1},
                {"PT", -1}, {"PT5", -1}, {"P5", -1}, {"PT5S5M", -1}, {"PT5H5H", -1}, {"P5H", -1},
                {"99999999:00:00", -1}, {"PT1H1D", -1}};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int64_t ms = -1;
                int r = ddi_sleep_parse(cases[i].text, &ms);
                assert_int_equal(r, cases[i].ms < 0 ? -EINVAL : 0);
                if (!r)
                        assert_int_equal(ms, cases[i].ms);
        }
}

static void a_poll_says_when_and_what(void **state)
{
        const char *text =
                "{\"config\":{\"polling\":{\"sleep\":\"00:05:00\"}},\"_links\":{"
                "\"deploymentBase\":{\"href\":\"https://h/DEFAULT/controller/v1/dev1/"
                "deploymentBase/3?c=-21\"},"
                "\"installedBase\":{\"href\":\"x\"},\"configData\":{\"href\":\"https://h/c\"}}}";
        CLEAN_DDI_POLL struct ddi_poll p = {0};
        assert_int_equal(ddi_poll_parse(text, strlen(text), &p, NULL), 0);
        assert_int_equal(p.sleep_ms, 300000);
        assert_string_equal(
                p.deployment, "https://h/DEFAULT/controller/v1/dev1/deploymentBase/3?c=-21");
        assert_string_equal(p.config_data, "https://h/c");
        assert_null(p.cancel);
        assert_null(p.confirmation);
}

static void an_idle_poll_has_no_links(void **state)
{
        const char *text = "{\"config\":{\"polling\":{\"sleep\":\"soon\"}}}";
        CLEAN_DDI_POLL struct ddi_poll p = {0};
        assert_int_equal(ddi_poll_parse(text, strlen(text), &p, NULL), 0);
        assert_int_equal(p.sleep_ms, -1);
        assert_null(p.deployment);
}

static void rubbish_is_no_poll(void **state)
{
        static const char *const cases[] = {"", "<html>", "[]", "3", "{\"a\":", "null"};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct err err = ERR_INIT;
                struct ddi_poll p = {0};
                assert_int_equal(ddi_poll_parse(cases[i], strlen(cases[i]), &p, &err), -EINVAL);
                assert_non_null(strstr(err.text, "poll: "));
        }
}

#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ARTIFACT(name)                                                                             \
        "{\"filename\":\"" name                                                                    \
        "\",\"hashes\":{\"sha1\":\"DA39A3EE5E6B4B0D3255BFEF95601890AFD80709\","                    \
        "\"md5\":\"d41d8cd98f00b204e9800998ecf8427e\",\"sha256\":\"" SHA256 "\"},\"size\":1234,"   \
        "\"_links\":{\"download-http\":{\"href\":\"http://h/" name "\"},"                          \
        "\"md5sum-http\":{\"href\":\"http://h/m\"}}}"
#define DEPLOYMENT(artifacts)                                                                      \
        "{\"id\":\"8\",\"deployment\":{\"download\":\"forced\",\"update\":\"attempt\","            \
        "\"chunks\":[{\"part\":\"os\",\"version\":\"1.0.1\",\"name\":\"one\",\"artifacts\":"       \
        "[" artifacts "]}]}}"

static void given_deployment(const char *text, struct ddi_deployment *d)
{
        struct err err = ERR_INIT;
        if (ddi_deployment_parse(text, strlen(text), d, &err))
                fail_msg("%s", err.text);
}

static void a_deployment_names_its_package(void **state)
{
        CLEAN_DDI_DEPLOYMENT struct ddi_deployment d = {0};
        given_deployment(DEPLOYMENT(ARTIFACT("car.tgz")), &d);
        assert_string_equal(d.id, "8");
        assert_int_equal(d.download, DDI_HANDLING_FORCED);
        assert_int_equal(d.update, DDI_HANDLING_ATTEMPT);
        assert_false(d.window_closed);
        const struct ddi_chunk *c;
        const struct ddi_artifact *a;
        assert_int_equal(ddi_deployment_package(&d, &c, &a, NULL), 0);
        assert_string_equal(c->version, "1.0.1");
        assert_string_equal(a->filename, "car.tgz");
        assert_int_equal(a->size, 1234);
        assert_string_equal(a->hashes.sha256, SHA256);
        assert_string_equal(a->hashes.sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_null(a->download);
        assert_string_equal(a->download_http, "http://h/car.tgz");
}

static void the_only_zip_is_the_package(void **state)
{
        const struct ddi_chunk *c;
        const struct ddi_artifact *a;
        CLEAN_DDI_DEPLOYMENT struct ddi_deployment d = {0};
        given_deployment(
                DEPLOYMENT(ARTIFACT("notes.txt") "," ARTIFACT("car.ZIP") "," ARTIFACT("x.bin")),
                &d);
        assert_int_equal(ddi_deployment_package(&d, &c, &a, NULL), 0);
        assert_string_equal(a->filename, "car.ZIP");
}

static void an_ambiguous_package_is_refused(void **state)
{
        const struct ddi_chunk *c;
        const struct ddi_artifact *a;
        CLEAN_DDI_DEPLOYMENT struct ddi_deployment none = {0}, two = {0}, plain = {0};
        given_deployment(DEPLOYMENT(""), &none);
        assert_int_equal(ddi_deployment_package(&none, &c, &a, NULL), -ENOENT);
        given_deployment(DEPLOYMENT(ARTIFACT("a.zip") "," ARTIFACT("b.zip")), &two);
        assert_int_equal(ddi_deployment_package(&two, &c, &a, NULL), -EEXIST);
        given_deployment(DEPLOYMENT(ARTIFACT("a") "," ARTIFACT("b")), &plain);
        assert_int_equal(ddi_deployment_package(&plain, &c, &a, NULL), -EEXIST);
}

static void a_closed_window_is_seen(void **state)
{
        CLEAN_DDI_DEPLOYMENT struct ddi_deployment d = {0};
        given_deployment("{\"id\":5,\"deployment\":{\"download\":\"forced\",\"update\":\"skip\","
                         "\"maintenanceWindow\":\"unavailable\"}}",
                &d);
        assert_string_equal(d.id, "5");
        assert_int_equal(d.update, DDI_HANDLING_SKIP);
        assert_true(d.window_closed);
}

static void bad_deployments_are_refused(void **state)
{
        static const char *const cases[] = {"{}", "[]", "x", "{\"id\":\"8\"}",
                "{\"id\":\"8\",\"deployment\":{}}",
                "{\"id\":\"8\",\"deployment\":{\"download\":\"forced\"}}",
                "{\"id\":\"8\",\"deployment\":{\"download\":\"forced\",\"update\":\"later\"}}",
                "{\"id\":\"../8\",\"deployment\":{\"download\":\"forced\",\"update\":\"skip\"}}",
                "{\"id\":\"\",\"deployment\":{\"download\":\"forced\",\"update\":\"skip\"}}",
                "{\"id\":\".part\",\"deployment\":{\"download\":\"forced\",\"update\":\"skip\"}}",
                DEPLOYMENT("{\"filename\":\"x\"}"), DEPLOYMENT("{\"filename\":\"x\",\"size\":-1}"),
                DEPLOYMENT("{\"filename\":\"x\",\"size\":\"7\"}"),
                DEPLOYMENT("{\"filename\":\"x\",\"size\":9000000000000000000}"),
                DEPLOYMENT("{\"size\":1,\"hashes\":{\"sha256\":\"abc\"}}"),
                DEPLOYMENT(
                        "{\"size\":1,\"hashes\":{\"md5\":\"z41d8cd98f00b204e9800998ecf8427e\"}}")};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct err err = ERR_INIT;
                CLEAN_DDI_DEPLOYMENT struct ddi_deployment d = {0};
                if (!ddi_deployment_parse(cases[i], strlen(cases[i]), &d, &err))
                        fail_msg("case %zu was taken", i);
                assert_non_null(strstr(err.text, "deployment: "));
        }
}

static void long_texts_and_lists_are_refused(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
        buf_adds(&b, "{\"id\":\"8\",\"deployment\":{\"download\":\"forced\",\"update\":\"skip\","
                     "\"chunks\":[");
        for (int i = 0; i <= LIMIT_DDI_ITEMS; i++)
                buf_adds(&b, i ? ",{}" : "{}");
        buf_adds(&b, "]}}");
        struct ddi_deployment d = {0};
        assert_int_equal(ddi_deployment_parse(b.data, b.len, &d, NULL), -E2BIG);
}

static void a_cancellation_names_the_action(void **state)
{
        const char *text = "{\"id\":\"11\",\"cancelAction\":{\"stopId\":\"10\"}}";
        struct ddi_cancel c = {0};
        assert_int_equal(ddi_cancel_parse(text, strlen(text), &c, NULL), 0);
        assert_string_equal(c.id, "11");
        assert_string_equal(c.stop_id, "10");
        assert_int_equal(ddi_cancel_parse("{\"id\":\"1\"}", 10, &c, NULL), -EINVAL);
}

static void feedback_is_what_a_server_expects(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_KIB(4));
        struct ddi_feedback f = {.action = "8",
                .execution = DDI_EXECUTION_CLOSED,
                .finished = DDI_FINISHED_FAILURE,
                .timestamp_ms = 1627997501890,
                .details = "it \"broke\"\nhere"};
        assert_int_equal(ddi_feedback_write(&b, &f), 0);
        assert_string_equal(buf_text(&b),
                "{\"id\":\"8\",\"timestamp\":1627997501890,\"status\":{\"execution\":\"closed\","
                "\"result\":{\"finished\":\"failure\"},\"details\":[\"it "
                "\\\"broke\\\"\\nhere\"]}}");
        CLEAN_JSON json_t *j = json_parse(b.data, b.len, NULL);
        assert_non_null(j);
}

static void attributes_are_merged(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_KIB(4));
        const char *pairs[] = {"version", "1.0", "slot", "a", NULL};
        assert_int_equal(ddi_config_data_write(&b, pairs), 0);
        assert_string_equal(
                buf_text(&b), "{\"mode\":\"merge\",\"data\":{\"version\":\"1.0\",\"slot\":\"a\"}}");
}

static void names_of_enums_are_the_servers_words(void **state)
{
        assert_string_equal(ddi_execution_to_string(DDI_EXECUTION_DOWNLOAD), "download");
        assert_string_equal(ddi_execution_to_string(DDI_EXECUTION_REJECTED), "rejected");
        assert_string_equal(ddi_finished_to_string(DDI_FINISHED_NONE), "none");
        assert_string_equal(ddi_handling_to_string(DDI_HANDLING_SKIP), "skip");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(poll_intervals_are_read),
                cmocka_unit_test(a_poll_says_when_and_what),
                cmocka_unit_test(an_idle_poll_has_no_links),
                cmocka_unit_test(rubbish_is_no_poll),
                cmocka_unit_test(a_deployment_names_its_package),
                cmocka_unit_test(the_only_zip_is_the_package),
                cmocka_unit_test(an_ambiguous_package_is_refused),
                cmocka_unit_test(a_closed_window_is_seen),
                cmocka_unit_test(bad_deployments_are_refused),
                cmocka_unit_test(long_texts_and_lists_are_refused),
                cmocka_unit_test(a_cancellation_names_the_action),
                cmocka_unit_test(feedback_is_what_a_server_expects),
                cmocka_unit_test(attributes_are_merged),
                cmocka_unit_test(names_of_enums_are_the_servers_words),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
