/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/buf.h"
#include "base/fs.h"
#include "cloud/rule/rule.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define TOPIC "device/VIN1/telemetry"
#define TIME 1700000000000

static const char message[] =
        "{\"DeviceID\":\"VIN1\",\"Timestamp\":\"2026-11-22T19:00:00.000Z\",\"Sequence\":17,"
        "\"SoftwareVersion\":\"1.0.0\",\"Mode\":\"eco\",\"Engine\":{\"Speed\":53.5,\"Power\":-2,"
        "\"Gear\":null},"
        "\"ABS\":{\"TractionControl\":true,\"Wheel1\":{\"Speed\":53,\"Pressure\":0},"
        "\"Wheel2\":{\"Speed\":54}},\"Cells\":[3.1,3.2]}";

static struct rule *given_rule(const char *sql)
{
        struct rule *rule = NULL;
        struct err err = ERR_INIT;
        if (rule_parse(sql, &rule, &err))
                fail_msg("%s: %s", sql, err.text);
        return rule;
}

static void where_takes_what_is_true(void **state)
{
        static const struct {
                const char *where;
                bool is_taken;
        } cases[] = {
                {"Engine.Speed = 53.5", true},
                {"Engine.Speed = 53", false},
                {"Engine.Speed <> 53", true},
                {"Engine.Speed != 53.5", false},
                {"Engine.Speed < 54 AND Engine.Speed > 53", true},
                {"Engine.Speed <= 53.5 and Engine.Speed >= 53.5", true},
                {"engine.SPEED > 50", true},
                {"Engine.Power = -2", true},
                {"Engine.Power < -1.9e0", true},
                {"ABS.TractionControl", true},
                {"NOT ABS.TractionControl", false},
                {"ABS.TractionControl = true", true},
                {"ABS.TractionControl = FALSE", false},
                {"ABS.Wheel1.Speed < ABS.Wheel2.Speed", true},
                {"Cells.1 > Cells.0", true},
                {"Mode = 'eco'", true},
                {"Mode < 'f' AND Mode > 'ec'", true},
                {"\"Mode\" = 'eco'", true},
                {"\"Engine\".\"Speed\" > 50", true},
                {"DeviceID = 'VIN1' AND Sequence = 17 AND SoftwareVersion = '1.0.0'", true},
                {"Timestamp = 1795374000000", true},
                {"topic(2) = DeviceID", true},
                {"topic(1) = 'device' AND topic(3) = 'telemetry'", true},
                {"topic(4) = 'x'", false},
                {"topic(4) IS NULL", true},
                {"topic() = 'device/VIN1/telemetry'", true},
                {"timestamp() = 1700000000000", true},
                {"true OR Engine.Speed = 0", true},
                {"Engine.Speed = 0 OR Engine.Speed = 1 OR Mode = 'eco'", true},
                /* AND binds more tightly than OR, NOT more tightly than AND. */
                {"true OR true AND false", true},
                {"(true OR true) AND false", false},
                {"NOT false AND true", true},
                {"NOT (false AND true)", true},
                {"NOT NOT true", true},
                /* What is missing, null or of another type is unknown, and so is its opposite. */
                {"Engine.Missing = 1", false},
                {"NOT Engine.Missing = 1", false},
                {"Engine.Gear = 1", false},
                {"Engine.Gear <> 1", false},
                {"Engine.Gear IS NULL", true},
                {"Engine.Gear IS NOT NULL", false},
                {"Engine.Speed IS NOT NULL", true},
                {"Nothing.At.All IS NULL", true},
                {"Engine.Speed = 'fast'", false},
                {"Engine.Speed <> 'fast'", false},
                {"Engine.Speed", false},
                {"Engine.Missing = 1 OR true", true},
                {"Engine.Missing = 1 AND false", false},
                {"NOT (Engine.Missing = 1 AND false)", true},
                {"NULL = NULL", false},
                {"'it''s' = 'it''s'", true},
        };
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        CLEAN(telemetry) struct telemetry *scratch = telemetry_new();
        assert_int_equal(telemetry_parse(t, message, sizeof(message) - 1, NULL), 0);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                CLEAN_BUF struct buf sql = BUF_INIT(10000);
                buf_addf(&sql, "SELECT * FROM 'device/+/telemetry' WHERE %s", cases[i].where);
                CLEAN(rule) struct rule *rule = given_rule(sql.data);
                const struct telemetry *ret = NULL;
                int r = rule_apply(rule, TOPIC, TIME, t, scratch, &ret, NULL);
                if (r != (cases[i].is_taken ? 0 : RULE_NO_MATCH))
                        fail_msg("%s", cases[i].where);
                assert_true(r || ret == t);
        }
}

static void dump(struct buf *b, const struct telemetry *t)
{
        for (size_t g = 0; g < t->n_groups; g++) {
                buf_addf(b, "%.*s{", (int)t->groups[g].name.len, t->groups[g].name.at);
                for (size_t i = t->groups[g].first; i < t->groups[g].first + t->groups[g].n; i++) {
                        const struct telemetry_column *c = &t->columns[i];
                        buf_addf(b, "%.*s=", (int)c->name.len, c->name.at);
                        if (c->value.type == TELEMETRY_NUMBER)
                                buf_addf(b, "%g ", c->value.number);
                        else if (c->value.type == TELEMETRY_TEXT)
                                buf_addf(b, "%.*s ", (int)c->value.text.len, c->value.text.at);
                        else
                                buf_adds(b, c->value.type == TELEMETRY_NULL ? "null " : "bool ");
                }
                buf_addc(b, '}');
        }
}

static void list_selects_and_renames(void **state)
{
        static const struct {
                const char *list, *flat;
        } cases[] = {
                {"Engine.Speed", "Engine{Speed=53.5 }"},
                {"Engine.Speed, ABS.TractionControl, Engine.Power",
                        "Engine{Speed=53.5 Power=-2 }ABS{TractionControl=bool }"},
                {"Engine", "Engine{Speed=53.5 Power=-2 Gear=null }"},
                {"Engine AS Motor", "Motor{Speed=53.5 Power=-2 Gear=null }"},
                {"ABS.Wheel1", "ABS{Wheel1.Speed=53 Wheel1.Pressure=0 }"},
                {"ABS.Wheel1 AS FrontLeft", "FrontLeft{Speed=53 Pressure=0 }"},
                {"abs.WHEEL1 AS Wheels.FrontLeft",
                        "Wheels{FrontLeft.Speed=53 FrontLeft.Pressure=0 }"},
                {"Engine.Speed AS v", "Message{v=53.5 }"},
                {"Engine.Speed AS Motor.v, topic(2) AS vin, 5 AS five",
                        "Motor{v=53.5 }Message{vin=VIN1 five=5 }"},
                {"DeviceID, Sequence, Engine.Speed", "Engine{Speed=53.5 }"},
                {"DeviceID AS id", "Message{id=VIN1 }"},
                {"Missing.Thing", ""},
                {"Mode", "Message{Mode=eco }"},
                {"Engine.*", NULL},
                {"*, topic(2) AS vin", "Engine{Speed=53.5 Power=-2 Gear=null }"
                                       "ABS{TractionControl=bool Wheel1.Speed=53 Wheel1.Pressure=0 "
                                       "Wheel2.Speed=54 }"
                                       "Cells{0=3.1 1=3.2 }Message{Mode=eco vin=VIN1 }"},
        };
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        CLEAN(telemetry) struct telemetry *scratch = telemetry_new();
        assert_int_equal(telemetry_parse(t, message, sizeof(message) - 1, NULL), 0);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                CLEAN_BUF struct buf sql = BUF_INIT(10000), flat = BUF_INIT(10000);
                buf_addf(&sql, "SELECT %s FROM '#'", cases[i].list);
                if (!cases[i].flat) {
                        struct rule *bad = NULL;
                        assert_int_equal(rule_parse(sql.data, &bad, NULL), -EINVAL);
                        continue;
                }
                CLEAN(rule) struct rule *rule = given_rule(sql.data);
                for (int twice = 0; twice < 2; twice++) {
                        const struct telemetry *ret = NULL;
                        assert_int_equal(rule_apply(rule, TOPIC, TIME, t, scratch, &ret, NULL), 0);
                        buf_clear(&flat);
                        dump(&flat, ret);
                        assert_string_equal(buf_text(&flat), cases[i].flat);
                        assert_true(ret->has_device_id && ret->sequence == 17);
                }
        }
}

static void columns_of_one_name_are_refused(void **state)
{
        CLEAN(telemetry) struct telemetry *t = telemetry_new();
        CLEAN(telemetry) struct telemetry *scratch = telemetry_new();
        assert_int_equal(telemetry_parse(t, message, sizeof(message) - 1, NULL), 0);
        CLEAN(rule)
        struct rule *rule = given_rule("SELECT Engine.Speed AS a.v, Engine.Power AS A.V FROM '#'");
        const struct telemetry *ret = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(rule_apply(rule, TOPIC, TIME, t, scratch, &ret, &err), -EBADMSG);
        assert_non_null(strstr(err.text, "two columns"));
}

static void bad_rule_names_its_place(void **state)
{
        static const struct {
                const char *sql, *reason;
        } cases[] = {
                {"", "SELECT"},
                {"DELETE FROM 'x'", "SELECT; it is expected at character 1, before 'DELETE'"},
                {"SELECT", "a name is expected at the end"},
                {"SELECT *", "FROM is expected at the end"},
                {"SELECT * FROM", "topic filter in single quotes is expected at the end"},
                {"SELECT * FROM x",
                        "topic filter in single quotes is expected at character 15, before 'x'"},
                {"SELECT * FROM 'x", "character 15 has no end"},
                {"SELECT * FROM 'a+b'", "'+' and '#' must stand alone"},
                {"SELECT * FROM 'a/#/b'", "'#' must be at the end"},
                {"SELECT * FROM ''", "is empty"},
                {"SELECT * FROM 'x' extra", "the end of the rule is expected at character 19"},
                {"SELECT * FROM 'x' WHERE", "a name is expected at the end"},
                {"SELECT * FROM 'x' WHERE a =", "a name is expected at the end"},
                {"SELECT * FROM 'x' WHERE a = = 1", "a name is expected at character 29"},
                {"SELECT * FROM 'x' WHERE (a = 1", "')' is missing at the end"},
                {"SELECT * FROM 'x' WHERE a = 1)", "the end of the rule is expected"},
                {"SELECT * FROM 'x' WHERE a = 1 AND", "a name is expected at the end"},
                {"SELECT * FROM 'x' WHERE a ? 1", "unknown character at character 27"},
                {"SELECT * FROM 'x' WHERE a. = 1", "a name is missing behind the dot"},
                {"SELECT * FROM 'x' WHERE a = 1x", "bad number"},
                {"SELECT * FROM 'x' WHERE a = 1.2.3", "bad number"},
                {"SELECT * FROM 'x' WHERE a = 1e999", "bad number"},
                {"SELECT * FROM 'x' WHERE sleep(1)", "unknown function 'sleep'"},
                {"SELECT * FROM 'x' WHERE topic(0) = 'a'", "level from 1 on"},
                {"SELECT * FROM 'x' WHERE a IS 5", "NULL is expected"},
                {"SELECT topic(2) FROM 'x'", "AS name is expected"},
                {"SELECT a AS FROM 'x'", "a name is expected"},
                {"SELECT a b FROM 'x'", "FROM is expected"},
                {"SELECT a, FROM 'x'", "a name is expected"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct rule *rule = NULL;
                struct err err = ERR_INIT;
                assert_int_equal(rule_parse(cases[i].sql, &rule, &err), -EINVAL);
                if (!strstr(err.text, cases[i].reason))
                        fail_msg("%s: '%s' instead of '%s'", cases[i].sql, err.text,
                                cases[i].reason);
        }
}

static void long_and_deep_rules_are_refused(void **state)
{
        static const char *const pieces[] = {"(", "NOT ", "a = 1 OR "};
        for (size_t i = 0; i < N_ELEMENTS(pieces); i++) {
                CLEAN_BUF struct buf sql = BUF_INIT(LIMIT_MIB(1));
                buf_adds(&sql, "SELECT * FROM 'x' WHERE ");
                for (int n = 0; n < 500; n++)
                        buf_adds(&sql, pieces[i]);
                struct rule *rule = NULL;
                struct err err = ERR_INIT;
                assert_int_equal(rule_parse(sql.data, &rule, &err), -EINVAL);
                assert_non_null(strstr(err.text, "too "));
        }
}

static void filters_match_as_mqtt_says(void **state)
{
        static const struct {
                const char *filter, *topic;
                bool matches;
        } cases[] = {
                {"a/b", "a/b", true},
                {"a/b", "a/b/c", false},
                {"a/b/c", "a/b", false},
                {"a/+", "a/b", true},
                {"a/+", "a/", true},
                {"a/+", "a", false},
                {"a/+", "a/b/c", false},
                {"+/+", "/x", true},
                {"+", "/x", false},
                {"/+", "/x", true},
                {"a/#", "a", true},
                {"a/#", "a/b/c", true},
                {"a/#", "ab", false},
                {"#", "a/b", true},
                {"#", "$SYS/x", false},
                {"+/x", "$SYS/x", false},
                {"$SYS/#", "$SYS/x", true},
                {"device/+/telemetry", "device/VIN1/telemetry", true},
                {"device/+/telemetry", "device/VIN1/update", false},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                if (rule_filter_matches(cases[i].filter, cases[i].topic) != cases[i].matches)
                        fail_msg("%s %s", cases[i].filter, cases[i].topic);
}

static char dir[] = "/tmp/rule-test-XXXXXX";

static void folder_keeps_rules(void **state)
{
        assert_non_null(mkdtemp(dir));
        CLEAN_MEM char *rules = fs_join(dir, "rules");
        struct rule_set set = {0};
        assert_int_equal(rule_set_load(rules, &set, NULL), 0);
        assert_int_equal(set.n, 2); /* the defaults, without a folder */
        rule_set_fini(&set);
        assert_int_equal(rule_set_init(rules, NULL), 0);
        assert_int_equal(rule_create(rules, "fast",
                                 "SELECT * FROM 'device/+/x' WHERE Engine.Speed > 50", false, NULL),
                0);
        assert_int_equal(rule_create(rules, "fast", "SELECT * FROM '#'", false, NULL), -EEXIST);
        assert_int_equal(rule_create(rules, "bad", "SELECT FROM", false, NULL), -EINVAL);
        assert_int_equal(rule_create(rules, "../x", "SELECT * FROM '#'", false, NULL), -EINVAL);
        assert_int_equal(rule_delete(rules, "update", NULL), 0);
        assert_int_equal(rule_delete(rules, "update", NULL), -ENOENT);
        CLEAN_MEM char *bad = fs_join(rules, "broken.json");
        assert_int_equal(fs_write_atomic(bad, "{\"sql\":\"SELECT\"}", 16, 0600, NULL), 0);
        assert_int_equal(rule_set_load(rules, &set, NULL), 0);
        assert_int_equal(set.n, 3);
        assert_string_equal(set.entries[0].name, "broken");
        assert_non_null(strstr(set.entries[0].reason, "expected"));
        assert_true(rule_set_takes_topic(&set, "device/a/telemetry"));
        assert_true(rule_set_takes_topic(&set, "device/a/x"));
        assert_false(rule_set_takes_topic(&set, "device/a/update"));
        rule_set_fini(&set);
        assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(where_takes_what_is_true),
                cmocka_unit_test(list_selects_and_renames),
                cmocka_unit_test(columns_of_one_name_are_refused),
                cmocka_unit_test(bad_rule_names_its_place),
                cmocka_unit_test(long_and_deep_rules_are_refused),
                cmocka_unit_test(filters_match_as_mqtt_says),
                cmocka_unit_test(folder_keeps_rules),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
