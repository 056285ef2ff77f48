/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Every state of actions, groups, rollouts and targets says what it waits for and what moves it. */
#include "base/fs.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/server.h"
#include "cloud/ota/settings.h"
#include "cloud/ota/why.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define NOON INT64_C(1795345200000)
#define CLOSED_WINDOW "0 0 0 1 1 ? 2090"

struct fixture {
        char dir[sizeof("/tmp/driveline-why-XXXXXX")];
        struct database *database;
        struct arena arena;
        struct problem problem;
        struct tx tx;
        int64_t ds, target, rollout, group;
};

#define AUDIT_COLUMNS "created_by, created_at, modified_by, modified_at"
#define AUDIT_VALUES "'', 1795345200000, '', 1795345200000"

static int64_t insert_group(struct fixture *f, const char *name)
{
        return sql_insert(&f->tx,
                "INSERT INTO rollout_group(tenant, rollout, name, status, query, percentage,"
                " success_condition, success_action, error_condition, dynamic, "
                "total_targets, " AUDIT_COLUMNS
                ") VALUES(?, ?, ?, ?, '', 50, '50', 0, '50', 0, 1, " AUDIT_VALUES ")",
                SQL_I(f->tx.tenant), SQL_I(f->rollout), SQL_T(name), SQL_I(GROUP_RUNNING));
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct err err = ERR_INIT;
        char path[96];
        const char *name;
        memcpy(f->dir, "/tmp/driveline-why-XXXXXX", sizeof(f->dir));
        assert_non_null(mkdtemp(f->dir));
        snprintf(path, sizeof(path), "%s/ota.db", f->dir);
        assert_int_equal(database_open(path, &f->database, &err), 0);
        f->tx = (struct tx){.database = f->database,
                .arena = &f->arena,
                .problem = &f->problem,
                .now = NOON,
                .user = "admin"};
        f->tx.tenant = tenant_find(&f->tx, "default", true, &name);
        f->ds = sql_insert(&f->tx,
                "INSERT INTO ds(tenant, type, name, version, " AUDIT_COLUMNS ") VALUES(?, (SELECT "
                "id FROM ds_type WHERE key='os'), 's', '1', " AUDIT_VALUES ")",
                SQL_I(f->tx.tenant));
        f->target = target_create(&f->tx, "car", NULL, NULL, TARGET_REGISTERED);
        sql_run(&f->tx, "UPDATE target SET last_query_at=? WHERE id=?", SQL_I(NOON - 1000),
                SQL_I(f->target));
        f->rollout = sql_insert(&f->tx,
                "INSERT INTO rollout(tenant, name, query, ds, status, type, forced_time, weight,"
                " dynamic, created_before, total_targets, " AUDIT_COLUMNS ") VALUES(?, 'r', "
                "'id==*', ?, 0, 0, 0, 1000, 0, ?, 1, " AUDIT_VALUES ")",
                SQL_I(f->tx.tenant), SQL_I(f->ds), SQL_I(NOON));
        f->group = insert_group(f, "first");
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(f->problem.code, PROBLEM_NONE);
        assert_int_equal(tx_commit(&f->tx), 0);
        database_free(f->database);
        arena_fini(&f->arena);
        problem_fini(&f->problem);
        fs_remove_tree(f->dir, NULL);
        free(f);
        return 0;
}

/* The answer has the reason, and a move with that in its path (NULL: none at all). */
static void expect(struct fixture *f, const struct why *w, const char *what, const char *reason,
        const char *move)
{
        bool is_there = !move && w->n_moves == 0;
        for (size_t i = 0; move && i < w->n_moves; i++)
                is_there |= strstr(w->moves[i].path, move) != NULL;
        if (!w->reason || strcmp(w->reason, reason) != 0 || !w->text || !*w->text || !is_there) {
                CLEAN_BUF struct buf b = BUF_INIT(65536);
                why_print(w, &b);
                fail_msg("%s: not '%s' with '%s' but '%s':\n%s", what, reason, move ? move : "",
                        w->reason, buf_text(&b));
        }
        (void)f;
}

/* ── actions ── */

static const struct {
        enum action_status status;
        bool is_active;
        const char *change; /* SQL on the action, its target or others; NULL: none */
        const char *reason, *move;
} action_cases[] = {
        {ACTION_RUNNING, true, NULL, "device-poll", "/actions/"},
        {ACTION_RUNNING, true, "UPDATE target SET last_query_at=NULL", "never-polled", "/actions/"},
        {ACTION_RUNNING, true, "UPDATE target SET last_query_at=1", "overdue", "/actions/"},
        {ACTION_RETRIEVED, true, NULL, "device-report", "/actions/"},
        {ACTION_WARNING, true, NULL, "device-report", "/actions/"},
        {ACTION_DOWNLOAD, true, NULL, "device-report", "/actions/"},
        {ACTION_DOWNLOADED, true, NULL, "device-report", "/actions/"},
        {ACTION_CANCEL_REJECTED, true, NULL, "device-report", "/actions/"},
        {ACTION_WAIT_FOR_CONFIRMATION, true, NULL, "confirmation", "/confirmation"},
        {ACTION_CANCELING, true, NULL, "cancel-answer", "?force=true"},
        {ACTION_CANCELING, true, "UPDATE target SET last_query_at=1", "overdue", "?force=true"},
        {ACTION_RUNNING, true,
                "UPDATE action SET schedule='" CLOSED_WINDOW "', "
                "duration='01:00:00', timezone='Z'",
                "maintenance-window", "/actions/"},
        {ACTION_RUNNING, true, "UPDATE action SET proving_since=1795345200000", "proof", "/proof"},
        {ACTION_RUNNING, true,
                "INSERT INTO action(tenant, target, ds, active, status, type, forced_time, "
                "weight, " AUDIT_COLUMNS
                ") SELECT tenant, target, ds, 1, 3, 0, 0, 1001, " AUDIT_VALUES " FROM action",
                "other-action", "/why"},
        {ACTION_SCHEDULED, false, NULL, "group", "/deploygroups/"},
        {ACTION_FINISHED, false, NULL, "nothing", NULL},
        {ACTION_ERROR, false, NULL, "nothing", "/assignedDS"},
        {ACTION_CANCELED, false, NULL, "nothing", NULL},
        {ACTION_DOWNLOADED, false, NULL, "nothing", NULL},
        {ACTION_RETRIEVED, false, NULL, "nothing", NULL},
};

static void every_state_of_an_action_answers(void **state)
{
        struct fixture *f = *state;
        bool seen[ACTION_WAIT_FOR_CONFIRMATION + 1] = {false};
        for (size_t i = 0; i < N_ELEMENTS(action_cases); i++) {
                struct why w;
                int64_t id = sql_insert(&f->tx,
                        "INSERT INTO action(tenant, target, ds, active, status, type, forced_time,"
                        " weight, rollout, rollout_group, " AUDIT_COLUMNS
                        ") VALUES(?, ?, ?, ?, ?, 0, 0, 1000, ?, ?, " AUDIT_VALUES ")",
                        SQL_I(f->tx.tenant), SQL_I(f->target), SQL_I(f->ds),
                        SQL_I(action_cases[i].is_active), SQL_I(action_cases[i].status),
                        SQL_I(f->rollout), SQL_I(f->group));
                if (action_cases[i].change)
                        sql_run_args(&f->tx, action_cases[i].change, NULL, 0);
                assert_true(why_action(&f->tx, id, &w));
                expect(f, &w,
                        arena_printf(&f->arena, "action case %zu, %s", i,
                                action_status_words[action_cases[i].status]),
                        action_cases[i].reason, action_cases[i].move);
                seen[action_cases[i].status] = true;
                sql_run_args(&f->tx, "DELETE FROM action", NULL, 0);
                sql_run(&f->tx, "UPDATE target SET last_query_at=?", SQL_I(NOON - 1000));
        }
        for (int i = 0; action_status_words[i]; i++)
                assert_true(seen[i]);
}

static void the_device_is_what_is_asked_for_with_deadlines(void **state)
{
        struct fixture *f = *state;
        struct why w;
        settings_put(&f->tx, SETTING_TIMEOUT, "00:10:00");
        settings_put(&f->tx, SETTING_TIMEOUT_TOTAL, "01:00:00");
        int64_t id = sql_insert(&f->tx,
                "INSERT INTO action(tenant, target, ds, active, status, type, forced_time,"
                " weight, " AUDIT_COLUMNS ") VALUES(?, ?, ?, 1, 3, 0, 0, 1000, " AUDIT_VALUES ")",
                SQL_I(f->tx.tenant), SQL_I(f->target), SQL_I(f->ds));
        assert_true(why_target(&f->tx, "car", &w));
        expect(f, &w, "an open action", "device-poll", "/actions/");
        CLEAN_BUF struct buf b = BUF_INIT(65536);
        why_print(&w, &b);
        assert_non_null(strstr(buf_text(&b), "times out at"));
        assert_non_null(strstr(buf_text(&b), "in any case"));
        assert_int_equal(strtoll(w.id, NULL, 10), id);
}

/* ── targets ── */

static void a_target_without_action_answers(void **state)
{
        struct fixture *f = *state;
        struct why w;
        assert_true(why_target(&f->tx, "car", &w));
        expect(f, &w, "a quiet target", "nothing", "/assignedDS");
        sql_run_args(&f->tx, "UPDATE target SET last_query_at=1", NULL, 0);
        assert_true(why_target(&f->tx, "car", &w));
        expect(f, &w, "a late target", "overdue", "/assignedDS");
        sql_run_args(&f->tx, "UPDATE target SET last_query_at=NULL", NULL, 0);
        assert_true(why_target(&f->tx, "car", &w));
        expect(f, &w, "a new target", "never-polled", "/assignedDS");
        assert_false(why_target(&f->tx, "bus", &w));
}

/* ── rollouts and groups ── */

#define WINDOW                                                                                     \
        "INSERT INTO rollout_rule(rollout, rollout_group, start_schedule, start_duration,"         \
        " start_timezone, allows_downgrade, reinstall) SELECT id, 0, '" CLOSED_WINDOW "',"         \
        " '01:00:00', 'Z', 0, 0 FROM rollout"
#define NEXT_GROUP                                                                                 \
        "INSERT INTO rollout_group(tenant, rollout, name, status, query, percentage,"              \
        " success_condition, success_action, error_condition, dynamic, "                           \
        "total_targets, " AUDIT_COLUMNS                                                            \
        ") SELECT tenant, id, 'next', 1, '', 50, '50', 0, '50', 0, 1, " AUDIT_VALUES               \
        " FROM rollout"
#define ACTION                                                                                     \
        "INSERT INTO action(tenant, target, ds, active, status, type, forced_time, weight,"        \
        " rollout, rollout_group, " AUDIT_COLUMNS                                                  \
        ") SELECT g.tenant, t.id, r.ds, 1, 3, 0, 0, 1000,"                                         \
        " r.id, g.id, " AUDIT_VALUES " FROM rollout r JOIN rollout_group g ON g.rollout=r.id AND"  \
        " g.name='first' JOIN target t ON t.tenant=r.tenant"

static const struct {
        enum rollout_status rollout;
        enum group_status group;
        const char *changes[3];
        const char *rollout_reason, *rollout_move, *group_reason, *group_move;
} rollout_cases[] = {
        {ROLLOUT_CREATING, GROUP_CREATING, {NULL}, "scheduler", NULL, "rollout", "/why"},
        {ROLLOUT_WAITING_FOR_APPROVAL, GROUP_READY, {NULL}, "approval", "/approve", "rollout",
                "/why"},
        {ROLLOUT_APPROVAL_DENIED, GROUP_READY, {NULL}, "denied", "rollouts/", "rollout", "/why"},
        {ROLLOUT_READY, GROUP_READY, {NULL}, "start", "/start", "rollout", "/why"},
        {ROLLOUT_READY, GROUP_READY, {"UPDATE rollout SET start_at=1795345200001"}, "start-time",
                "/start", "rollout", "/why"},
        {ROLLOUT_READY, GROUP_READY, {"UPDATE rollout SET start_at=1"}, "scheduler", "/start",
                "rollout", "/why"},
        {ROLLOUT_STARTING, GROUP_SCHEDULED, {NULL}, "scheduler", NULL, "previous-group",
                "/triggerNextGroup"},
        {ROLLOUT_RUNNING, GROUP_RUNNING, {ACTION}, "reports", "/pause", "reports",
                "/triggerNextGroup"},
        {ROLLOUT_RUNNING, GROUP_RUNNING, {ACTION, NEXT_GROUP}, "reports", "/triggerNextGroup",
                "reports", "/triggerNextGroup"},
        {ROLLOUT_RUNNING, GROUP_RUNNING, {ACTION, NEXT_GROUP, WINDOW}, "reports", "/pause",
                "reports", "/triggerNextGroup"},
        {ROLLOUT_RUNNING, GROUP_RUNNING,
                {"UPDATE rollout_group SET dynamic=1, percentage=5, total_targets=1"}, "targets",
                "/pause", "targets", "/triggerNextGroup"},
        {ROLLOUT_RUNNING, GROUP_SCHEDULED, {WINDOW}, "start-window", "/triggerNextGroup",
                "start-window", "/triggerNextGroup"},
        {ROLLOUT_RUNNING, GROUP_FINISHED, {NEXT_GROUP, WINDOW}, "start-window", "/triggerNextGroup",
                "nothing", NULL},
        {ROLLOUT_RUNNING, GROUP_ERROR, {NULL}, "reports", "/pause", "error-threshold", NULL},
        {ROLLOUT_PAUSED, GROUP_RUNNING, {NULL}, "paused", "/resume", "reports", "/resume"},
        {ROLLOUT_PAUSED, GROUP_SCHEDULED, {NULL}, "paused", "/resume", "rollout", "/resume"},
        {ROLLOUT_PAUSED, GROUP_ERROR, {NULL}, "error-threshold", "/resume", "error-threshold",
                "/resume"},
        {ROLLOUT_PAUSED, GROUP_FINISHED,
                {"UPDATE rollout_group SET success_action=1, success_fired=1"}, "success-pause",
                "/resume", "nothing", NULL},
        {ROLLOUT_STOPPING, GROUP_RUNNING, {NULL}, "scheduler", NULL, "reports",
                "/triggerNextGroup"},
        {ROLLOUT_STOPPED, GROUP_FINISHED, {NULL}, "nothing", NULL, "nothing", NULL},
        {ROLLOUT_STOPPED, GROUP_FINISHED, {ACTION}, "cancel-answer", "rollouts/", "nothing", NULL},
        {ROLLOUT_FINISHED, GROUP_FINISHED, {NULL}, "nothing", NULL, "nothing", NULL},
        {ROLLOUT_DELETING, GROUP_FINISHED, {NULL}, "scheduler", NULL, "nothing", NULL},
        {ROLLOUT_DELETED, GROUP_FINISHED, {NULL}, "nothing", NULL, "nothing", NULL},
};

static void reset(struct fixture *f)
{
        sql_run_args(&f->tx, "DELETE FROM action", NULL, 0);
        sql_run_args(&f->tx, "DELETE FROM rollout_rule", NULL, 0);
        sql_run_args(&f->tx, "DELETE FROM rollout_group", NULL, 0);
        sql_run_args(&f->tx, "UPDATE rollout SET start_at=NULL", NULL, 0);
        f->group = insert_group(f, "first");
}

static void every_state_of_rollouts_and_groups_answers(void **state)
{
        struct fixture *f = *state;
        bool rollouts[ROLLOUT_STOPPING + 1] = {false}, groups[GROUP_CREATING + 1] = {false};
        for (size_t i = 0; i < N_ELEMENTS(rollout_cases); i++) {
                struct why w;
                const char *name = arena_printf(&f->arena, "rollout case %zu, %s, %s", i,
                        rollout_status_words[rollout_cases[i].rollout],
                        group_status_words[rollout_cases[i].group]);
                reset(f);
                sql_run(&f->tx, "UPDATE rollout SET status=?", SQL_I(rollout_cases[i].rollout));
                sql_run(&f->tx, "UPDATE rollout_group SET status=?", SQL_I(rollout_cases[i].group));
                for (size_t k = 0; k < 3 && rollout_cases[i].changes[k]; k++)
                        sql_run_args(&f->tx, rollout_cases[i].changes[k], NULL, 0);
                assert_true(why_rollout(&f->tx, f->rollout, &w));
                expect(f, &w, name, rollout_cases[i].rollout_reason, rollout_cases[i].rollout_move);
                assert_true(why_group(&f->tx, f->rollout, f->group, &w));
                expect(f, &w, name, rollout_cases[i].group_reason, rollout_cases[i].group_move);
                rollouts[rollout_cases[i].rollout] = groups[rollout_cases[i].group] = true;
        }
        for (int i = 0; rollout_status_words[i]; i++)
                assert_true(rollouts[i]);
        for (int i = 0; group_status_words[i]; i++)
                assert_true(groups[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(every_state_of_an_action_answers),
                TEST(the_device_is_what_is_asked_for_with_deadlines),
                TEST(a_target_without_action_answers),
                TEST(every_state_of_rollouts_and_groups_answers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
