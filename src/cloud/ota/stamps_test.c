/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/stamps.h"

#include "base/clean.h"
#include "cloud/ota/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* Whose answers a statement ends, when it runs in tenant 1 for the device 7 or for none. */
static void each_statement_ends_what_it_could_change(void **state)
{
        (void)state;
        enum { NOBODY, THE_DEVICE, TARGET_9, THE_TENANT, ALL };
        static const struct {
                const char *sql;
                int64_t device;
                int whose;
        } cases[] = {
                {"SELECT id FROM target WHERE id=?", 0, NOBODY},
                {"UPDATE target SET status=? WHERE id=?", 0, TARGET_9},
                {"UPDATE target SET status=? WHERE id=?", 7, TARGET_9},
                {"UPDATE target SET status=? WHERE type=?", 0, THE_TENANT},
                {"UPDATE target SET status=? WHERE tenant=?", 7, THE_DEVICE},
                {"DELETE FROM target WHERE id=?", 0, TARGET_9},
                {"INSERT INTO target(tenant) VALUES(?)", 0, NOBODY},
                {"INSERT INTO target(id) VALUES(?) ON CONFLICT(id) DO UPDATE SET x=1", 0,
                        THE_TENANT},
                {"INSERT INTO action(target, ds) SELECT id, ? FROM target", 0, THE_TENANT},
                {"INSERT INTO action(target, ds) VALUES(?, ?)", 7, THE_DEVICE},
                {"UPDATE action SET status=? WHERE id=?", 7, THE_DEVICE},
                {"UPDATE action SET status=? WHERE id=?", 0, THE_TENANT},
                {"DELETE FROM action WHERE rollout=?", 0, THE_TENANT},
                {"INSERT INTO setting(tenant, key) VALUES(?, ?)", 7, THE_TENANT},
                {"DELETE FROM tenant WHERE id=?", 0, THE_TENANT},
                {"UPDATE target_attribute SET value=? WHERE target=?", 0, NOBODY},
                {"INSERT INTO action_status(action) VALUES(?)", 0, NOBODY},
                {"UPDATE ds SET valid=0 WHERE id=?", 0, NOBODY},
                {"WITH x AS (SELECT 1) UPDATE target SET status=1", 7, ALL},
                {"update target set status=1", 0, ALL},
        };
        const struct sql_arg args[] = {
                {.kind = SQL_KIND_INT, .i = 3}, {.kind = SQL_KIND_INT, .i = 9}};
        struct stamps *s = stamps_new();
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct stamp device = stamps_now(s, 1, 7), nine = stamps_now(s, 1, 9);
                struct stamp fourth = stamps_now(s, 2, 11);
                stamps_note(s, cases[i].sql, args, 2, 1, cases[i].device);
                int whose = stamps_now(s, 2, 11).tenant != fourth.tenant  ? ALL
                            : stamps_now(s, 1, 7).tenant != device.tenant ? THE_TENANT
                            : stamps_now(s, 1, 9).target != nine.target   ? TARGET_9
                            : stamps_now(s, 1, 7).target != device.target ? THE_DEVICE
                                                                          : NOBODY;
                if (whose != cases[i].whose)
                        fail_msg("%d for %s", whose, cases[i].sql);
                assert_int_equal(stamps_now(s, 1, 7).any != device.any, i != 0);
        }
        stamps_free(s);
}

static void a_write_in_no_tenant_ends_all(void **state)
{
        (void)state;
        struct stamps *s = stamps_new();
        struct stamp before = stamps_now(s, 5, 6);
        stamps_note(s, "UPDATE action SET status=1", NULL, 0, 0, 0);
        assert_int_not_equal(before.tenant, stamps_now(s, 5, 6).tenant);
        stamps_free(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_statement_ends_what_it_could_change),
                cmocka_unit_test(a_write_in_no_tenant_ends_all),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
