/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/registry/policy.h"
#include "base/buf.h"
#include "base/limits.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#define DOC(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define ST(effect, action, resource)                                                               \
        "{\"Effect\":\"" effect "\",\"Action\":\"iot:" action "\",\"Resource\":\"" resource "\"}"
#define ME "${iot:Connection.Thing.ThingName}"

static struct policy *parsed(const char *text)
{
        struct policy *p = NULL;
        struct err err = ERR_INIT;
        if (policy_parse(text, strlen(text), &p, &err) < 0)
                fail_msg("%s: %s", text, err.text);
        return p;
}

static bool allows(const char *text, enum policy_action action, const char *resource)
{
        CLEAN(policy) struct policy *p = parsed(text);
        const struct policy *const list[] = {p};
        const struct policy_request q = {action, resource, "car-1", "car-1"};
        return policy_allows(list, 1, &q, NULL);
}

static void policy_decides_as_the_table_says(void **state)
{
        static const struct {
                const char *document;
                enum policy_action action;
                const char *resource;
                bool allowed;
        } cases[] = {
                /* nothing is allowed by itself */
                {DOC(ST("Allow", "Connect", "*")), POLICY_PUBLISH, "a", false},
                {DOC(ST("Allow", "Publish", "client/a")), POLICY_PUBLISH, "a", false},
                {DOC(ST("Deny", "Connect", "client/x")), POLICY_CONNECT, "car-1", false},
                /* kinds */
                {DOC(ST("Allow", "Publish", "topic/a")), POLICY_PUBLISH, "a", true},
                {DOC(ST("Allow", "Receive", "topic/a")), POLICY_RECEIVE, "a", true},
                {DOC(ST("Allow", "Subscribe", "topic/a")), POLICY_SUBSCRIBE, "a", false},
                {DOC(ST("Allow", "Subscribe", "topicfilter/a")), POLICY_SUBSCRIBE, "a", true},
                {DOC(ST("Allow", "Receive", "topicfilter/a")), POLICY_RECEIVE, "a", false},
                {DOC(ST("Allow", "*", "client/car-1")), POLICY_CONNECT, "car-1", true},
                {DOC(ST("Allow", "*", "*")), POLICY_SUBSCRIBE, "#", true},
                {DOC(ST("Allow", "Connect", "client/car-1")), POLICY_CONNECT, "car-10", false},
                {DOC(ST("Allow", "Connect", "client/car-1")), POLICY_CONNECT, "car-", false},
                {DOC(ST("Allow", "Connect", "client/")), POLICY_CONNECT, "", true},
                /* wildcards */
                {DOC(ST("Allow", "Publish", "topic/a/*")), POLICY_PUBLISH, "a/b/c", true},
                {DOC(ST("Allow", "Publish", "topic/a/*")), POLICY_PUBLISH, "a/", true},
                {DOC(ST("Allow", "Publish", "topic/a/*")), POLICY_PUBLISH, "a", false},
                {DOC(ST("Allow", "Publish", "topic/*b")), POLICY_PUBLISH, "abab", true},
                {DOC(ST("Allow", "Publish", "topic/*b")), POLICY_PUBLISH, "abac", false},
                {DOC(ST("Allow", "Publish", "topic/*a*b*c")), POLICY_PUBLISH, "xaybzbc", true},
                {DOC(ST("Allow", "Publish", "topic/*a*b*c")), POLICY_PUBLISH, "xaybzcb", false},
                {DOC(ST("Allow", "Publish", "topic/a?c")), POLICY_PUBLISH, "abc", true},
                {DOC(ST("Allow", "Publish", "topic/a?c")), POLICY_PUBLISH, "ac", false},
                {DOC(ST("Allow", "Publish", "topic/?")), POLICY_PUBLISH, "", false},
                {DOC(ST("Allow", "Publish", "topic/**")), POLICY_PUBLISH, "", true},
                /* a filter is compared as written */
                {DOC(ST("Allow", "Subscribe", "topicfilter/device/+/poll")), POLICY_SUBSCRIBE,
                        "device/+/poll", true},
                {DOC(ST("Allow", "Subscribe", "topicfilter/device/+/poll")), POLICY_SUBSCRIBE,
                        "device/car-1/poll", false},
                {DOC(ST("Allow", "Subscribe", "topicfilter/device/car-1/poll")), POLICY_SUBSCRIBE,
                        "device/+/poll", false},
                {DOC(ST("Allow", "Subscribe", "topicfilter/device/car-1/poll")), POLICY_SUBSCRIBE,
                        "#", false},
                /* variables */
                {DOC(ST("Allow", "Publish", "topic/device/" ME "/telemetry")), POLICY_PUBLISH,
                        "device/car-1/telemetry", true},
                {DOC(ST("Allow", "Publish", "topic/device/" ME "/telemetry")), POLICY_PUBLISH,
                        "device/car-2/telemetry", false},
                {DOC(ST("Allow", "Publish", "topic/*/" ME "/?")), POLICY_PUBLISH, "a/b/car-1/c",
                        true},
                {DOC(ST("Allow", "Publish", "topic/" ME ME)), POLICY_PUBLISH, "car-1car-1", true},
                {DOC(ST("Allow", "Connect", "client/${iot:ClientId}")), POLICY_CONNECT, "car-1",
                        true},
                /* ARN form */
                {DOC(ST("Allow", "Publish", "arn:aws:iot:eu-central-1:123456789012:topic/a")),
                        POLICY_PUBLISH, "a", true},
                {DOC(ST("Allow", "Publish", "arn:aws:iot:*:*:topic/a:b")), POLICY_PUBLISH, "a:b",
                        true},
                {DOC(ST("Allow", "Publish", "arn:aws:iot:::*")), POLICY_PUBLISH, "anything", true},
                /* Deny wins wherever it stands */
                {DOC(ST("Allow", "Publish", "*") "," ST("Deny", "Publish", "topic/x")),
                        POLICY_PUBLISH, "x", false},
                {DOC(ST("Deny", "*", "topic/x") "," ST("Allow", "Publish", "*")), POLICY_PUBLISH,
                        "x", false},
                {DOC(ST("Deny", "*", "topic/x") "," ST("Allow", "Publish", "*")), POLICY_PUBLISH,
                        "y", true},
                /* arrays */
                {DOC("{\"Effect\":\"Allow\",\"Action\":[\"iot:Publish\",\"iot:Receive\"],"
                     "\"Resource\":[\"topic/a\",\"topic/b\"]}"),
                        POLICY_RECEIVE, "b", true},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                if (allows(cases[i].document, cases[i].action, cases[i].resource) !=
                        cases[i].allowed)
                        fail_msg("case %zu: %s on '%s'", i, cases[i].document, cases[i].resource);
}

static void policy_refuses_what_it_does_not_know(void **state)
{
        static const struct {
                const char *document, *reason;
        } cases[] = {
                {"", "bad JSON"},
                {"[]", "must be an object"},
                {"{\"Statement\":[]}", "'Version' must be"},
                {"{\"Version\":\"2008-10-17\",\"Statement\":[]}", "'Version' must be"},
                {"{\"Version\":\"2012-10-17\"}", "'Statement' must be"},
                {DOC(""), "'Statement' must be"},
                {"{\"Version\":\"2012-10-17\",\"Id\":\"x\"}", "unknown member 'Id'"},
                {DOC("7"), "statement 1: a statement must be an object"},
                {DOC("{\"Effect\":\"Allow\",\"Condition\":{}}"), "unknown member 'Condition'"},
                {DOC("{\"Effect\":\"Allow\",\"NotAction\":\"iot:Publish\"}"),
                        "unknown member 'NotAction'"},
                {DOC("{\"Effect\":\"allow\"}"), "'Effect' must be"},
                {DOC("{\"Effect\":\"Allow\",\"Effect\":\"Deny\"}"), "duplicate"},
                {DOC("{\"Effect\":\"Allow\",\"Resource\":\"*\"}"), "'Action' is missing"},
                {DOC("{\"Effect\":\"Allow\",\"Action\":[],\"Resource\":\"*\"}"),
                        "'Action' must be"},
                {DOC("{\"Effect\":\"Allow\",\"Action\":[1],\"Resource\":\"*\"}"),
                        "must be a string"},
                {DOC("{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\"}"), "'Resource' is missing"},
                {DOC(ST("Allow", "Publsh", "*")), "unknown action 'iot:Publsh'"},
                {DOC(ST("Allow", "Pub*", "*")), "unknown action"},
                {DOC(ST("Allow", "Publish", "device/a")), "must be '*' or start with"},
                {DOC(ST("Allow", "Publish", "topic*")), "must be '*' or start with"},
                {DOC(ST("Allow", "Publish", "arn:aws:iot:x")), "is no arn:aws:iot"},
                {DOC(ST("Allow", "Publish", "arn:aws:s3:::topic/a")), "another service"},
                {DOC(ST("Allow", "Publish", "topic/${aws:username}")), "unknown variable"},
                {DOC(ST("Allow", "Publish", "topic/${")), "unknown variable"},
                {DOC(ST("Allow", "Publish", "topic/\\u0001")), "control characters"},
                {DOC(ST("Allow", "Publish", "*") "," ST("Maybe", "Publish", "*")), "statement 2"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct policy *p = NULL;
                struct err err = ERR_INIT;
                int r = policy_parse(cases[i].document, strlen(cases[i].document), &p, &err);
                if (r >= 0 || !strstr(err.text, cases[i].reason))
                        fail_msg("case %zu: %s: '%s'", i, cases[i].document, err.text);
                assert_null(p);
        }
}

static void policy_refuses_what_is_too_large(void **state)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
        struct policy *p = NULL;
        struct err err = ERR_INIT;
        buf_adds(&b, "{\"Version\":\"2012-10-17\",\"Statement\":[");
        for (int i = 0; i < LIMIT_POLICY_STATEMENTS; i++)
                buf_adds(&b, ST("Allow", "Publish", "*") ",");
        buf_adds(&b, ST("Allow", "Publish", "*") "]}");
        assert_int_equal(policy_parse(b.data, b.len, &p, &err), -E2BIG);

        for (size_t i = 0; i < LIMIT_DOCUMENT_BYTES; i++)
                buf_addc(&b, ' ');
        assert_int_equal(policy_parse(b.data, b.len, &p, &err), -E2BIG);
}

static void policy_verdict_names_the_statement(void **state)
{
        CLEAN(policy) struct policy *a = parsed(DOC(ST("Allow", "Connect", "*")));
        CLEAN(policy)
        struct policy *b = parsed(DOC(
                ST("Allow", "Publish", "topic/y") ","
                                                  "{\"Sid\":\"NoX\",\"Effect\":\"Deny\",\"Action\":"
                                                  "\"iot:*\",\"Resource\":\"topic/x\"}"));
        const struct policy *const list[] = {a, b};
        struct policy_verdict v;

        struct policy_request q = {POLICY_PUBLISH, "x", "car-1", "car-1"};
        assert_false(policy_allows(list, 2, &q, &v));
        assert_int_equal(v.policy, 1);
        assert_int_equal(v.statement, 1);
        assert_string_equal(v.sid, "NoX");

        q.resource = "y";
        assert_true(policy_allows(list, 2, &q, &v));
        assert_int_equal(v.statement, 0);
        assert_string_equal(v.sid, "");

        q.resource = "z";
        assert_false(policy_allows(list, 2, &q, &v));
        assert_int_equal(v.policy, -1);
}

/* A pattern of many stars against a long text must not take time that grows with their number's
 * power. */
static void policy_matching_takes_bounded_time(void **state)
{
        static char topic[60001];
        memset(topic, 'a', sizeof(topic) - 1);
        assert_false(allows(DOC(ST("Allow", "Publish", "topic/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b")),
                POLICY_PUBLISH, topic));
}

static void policy_action_names_go_both_ways(void **state)
{
        for (int i = 0; i < POLICY_ACTION_N; i++) {
                enum policy_action a;
                assert_int_equal(policy_action_from_string(policy_action_to_string(i), &a), 0);
                assert_int_equal(a, i);
        }
        enum policy_action a;
        assert_int_equal(policy_action_from_string("iot:*", &a), -EINVAL);
        assert_null(policy_action_to_string(POLICY_ACTION_N));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(policy_decides_as_the_table_says),
                cmocka_unit_test(policy_refuses_what_it_does_not_know),
                cmocka_unit_test(policy_refuses_what_is_too_large),
                cmocka_unit_test(policy_verdict_names_the_statement),
                cmocka_unit_test(policy_matching_takes_bounded_time),
                cmocka_unit_test(policy_action_names_go_both_ways),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
