/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Actions, assignments and rollouts on a database in a temporary folder, without HTTP: time is what
 * the test says. */
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/dmf_letter.h"
#include "cloud/ota/events.h"
#include "cloud/ota/due.h"
#include "cloud/ota/polling.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/scheduler.h"
#include "cloud/ota/server.h"
#include "cloud/ota/settings.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define NOON INT64_C(1795345200000)

struct fixture {
        char dir[sizeof("/tmp/driveline-ota-XXXXXX")];
        struct database *database;
        struct arena arena;
        struct problem problem;
        struct tx tx;
        int64_t set_type, module;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct err err = ERR_INIT;
        memcpy(f->dir, "/tmp/driveline-ota-XXXXXX", sizeof(f->dir));
        assert_non_null(mkdtemp(f->dir));
        char path[96];
        snprintf(path, sizeof(path), "%s/ota.db", f->dir);
        assert_int_equal(database_open(path, &f->database, &err), 0);
        f->tx = (struct tx){.database = f->database,
                .arena = &f->arena,
                .problem = &f->problem,
                .now = NOON,
                .user = "admin"};
        const char *name;
        f->tx.tenant = tenant_find(&f->tx, "default", true, &name);
        assert_string_equal(name, "DEFAULT");
        f->set_type = sql_int(&f->tx, 0, "SELECT id FROM ds_type WHERE key='os'");
        f->module = sql_insert(&f->tx,
                "INSERT INTO module(tenant, type, name, version, created_by, created_at, "
                "modified_by, modified_at)"
                " VALUES(?, (SELECT id FROM sm_type WHERE key='os'), 'm', '1', '', 0, '', 0)",
                SQL_I(f->tx.tenant));
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

/* ── what a test is given ── */

static struct dset given_set(struct fixture *f, const char *version)
{
        struct dset s = {.type = f->set_type};
        s.id = sql_insert(&f->tx,
                "INSERT INTO ds(tenant, type, name, version, created_by, created_at, modified_by, "
                "modified_at)"
                " VALUES(?, ?, 'set', ?, '', 0, '', 0)",
                SQL_I(f->tx.tenant), SQL_I(f->set_type), SQL_T(version));
        assert_int_equal(set_add_module(&f->tx, &s, f->module), 0);
        assert_true(set_find(&f->tx, s.id, &s));
        assert_true(s.is_complete);
        return s;
}

static struct target given_target(struct fixture *f, const char *id)
{
        struct target t;
        assert_true(target_create(&f->tx, id, NULL, NULL, TARGET_REGISTERED));
        assert_true(target_find(&f->tx, id, &t));
        return t;
}

static struct target now(struct fixture *f, const struct target *t)
{
        struct target fresh;
        assert_true(target_get(&f->tx, t->id, &fresh));
        return fresh;
}

static struct action assigned(struct fixture *f, const struct dset *s, const struct target *t)
{
        struct action a;
        struct deploy_order o = {.target = now(f, t),
                .type = ACTION_FORCED,
                .weight = ACTION_DEFAULT_WEIGHT,
                .confirm = -1};
        int64_t id = deploy_online(&f->tx, s, &o, "because");
        assert_true(id > 0);
        assert_true(action_get(&f->tx, id, &a));
        return a;
}

static struct action again(struct fixture *f, const struct action *a)
{
        struct action fresh;
        assert_true(action_get(&f->tx, a->id, &fresh));
        return fresh;
}

/* ── actions ── */

static void a_finished_action_installs_its_set(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &s, &t);
        assert_int_equal(now(f, &t).status, TARGET_PENDING);
        action_finish(&f->tx, &a, NOON + 1);
        t = now(f, &t);
        assert_int_equal(t.status, TARGET_IN_SYNC);
        assert_int_equal(t.installed_ds, s.id);
        assert_true(t.request_attributes);
        struct deploy_order o = {.target = t, .weight = 1000, .confirm = -1};
        assert_int_equal(deploy_online(&f->tx, &s, &o, "again"), 0); /* it has it already */
}

static void a_failed_action_may_be_assigned_again(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &s, &t);
        action_fail(&f->tx, &a);
        t = now(f, &t);
        assert_int_equal(t.status, TARGET_ERROR);
        assert_int_equal(t.assigned_ds, 0);
        assigned(f, &s, &t);
}

static void an_old_report_does_not_undo_a_newer_installation(void **state)
{
        struct fixture *f = *state;
        struct dset first = given_set(f, "1"), second = given_set(f, "2");
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &first, &t);
        action_finish(&f->tx, &a, NOON + 100);
        struct action b = assigned(f, &second, &t);
        action_finish(&f->tx, &b, NOON + 50);
        assert_int_equal(now(f, &t).installed_ds, first.id);
        assert_int_equal(now(f, &t).status, TARGET_PENDING);
}

static void a_new_assignment_withdraws_the_older_one(void **state)
{
        struct fixture *f = *state;
        struct dset first = given_set(f, "1"), second = given_set(f, "2");
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &first, &t), b = assigned(f, &second, &t), next;
        assert_int_equal(again(f, &a).status, ACTION_CANCELING);
        assert_true(action_next(&f->tx, t.id, &next));
        assert_int_equal(next.id, a.id); /* the oldest is served first */
        struct action old = again(f, &a);
        action_canceled(&f->tx, &old);
        assert_int_equal(now(f, &t).assigned_ds, second.id);
        assert_int_equal(now(f, &t).status, TARGET_PENDING);
        assert_true(action_next(&f->tx, t.id, &next));
        assert_int_equal(next.id, b.id);
}

static void a_migration_step_is_not_withdrawn(void **state)
{
        struct fixture *f = *state;
        struct dset first = given_set(f, "1"), second = given_set(f, "2");
        sql_run(&f->tx, "UPDATE ds SET migration=1 WHERE id=?", SQL_I(first.id));
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &first, &t);
        assigned(f, &second, &t);
        assert_int_equal(again(f, &a).status, ACTION_RUNNING);
}

static void autoclose_closes_at_once(void **state)
{
        struct fixture *f = *state;
        struct dset first = given_set(f, "1"), second = given_set(f, "2");
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &first, &t);
        settings_put(&f->tx, SETTING_AUTO_CLOSE, "true");
        assigned(f, &second, &t);
        assert_int_equal(again(f, &a).status, ACTION_CANCELED);
        assert_false(again(f, &a).is_active);
}

static void cancelling_falls_back_to_what_is_installed(void **state)
{
        struct fixture *f = *state;
        struct dset first = given_set(f, "1"), second = given_set(f, "2");
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &first, &t);
        action_finish(&f->tx, &a, NOON + 1);
        struct action b = assigned(f, &second, &t);
        assert_int_equal(action_cancel(&f->tx, &b, false), 0);
        b = again(f, &b);
        assert_int_equal(action_cancel(&f->tx, &b, true), 0);
        assert_int_equal(now(f, &t).assigned_ds, first.id);
        assert_int_equal(now(f, &t).status, TARGET_IN_SYNC);
        assert_int_equal(action_cancel(&f->tx, &b, false), -1);
        assert_int_equal(f->problem.code, PROBLEM_NOT_CANCELABLE);
        problem_fini(&f->problem);
}

static void confirmation_is_asked_for_and_given(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1"), other = given_set(f, "2");
        struct target t = given_target(f, "car"), trusting = given_target(f, "trusting");
        struct messages none = {0};
        settings_put(&f->tx, SETTING_CONFIRMATION, "true");
        struct action a = assigned(f, &s, &t);
        assert_int_equal(a.status, ACTION_WAIT_FOR_CONFIRMATION);
        deploy_confirm(&f->tx, &a, false, ACTION_NO_CODE, &none);
        assert_int_equal(again(f, &a).status, ACTION_WAIT_FOR_CONFIRMATION);
        deploy_confirm(&f->tx, &a, true, 7, &none);
        assert_int_equal(again(f, &a).status, ACTION_RUNNING);
        assert_int_equal(again(f, &a).last_code, 7);
        a = assigned(f, &s, &trusting);
        assert_int_equal(auto_confirm_activate(&f->tx, &trusting, "me", NULL), 0);
        assert_int_equal(again(f, &a).status, ACTION_RUNNING);
        assert_int_equal(assigned(f, &other, &trusting).status, ACTION_RUNNING);
}

static void long_messages_are_split(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        struct target t = given_target(f, "car");
        struct action a = assigned(f, &s, &t);
        char text[1300];
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        action_log_text(&f->tx, a.id, ACTION_RUNNING, text);
        assert_int_equal(
                sql_int(&f->tx, 0, "SELECT count(*) FROM action_message WHERE length(text) >= 100"),
                3);
}

static void handling_follows_type_time_and_window(void **state)
{
        struct fixture *f = *state;
        static const struct {
                enum action_type type;
                int64_t forced_time;
                const char *schedule, *download, *update, *window;
        } cases[] = {
                {ACTION_FORCED, 0, NULL, "forced", "forced", NULL},
                {ACTION_SOFT, 0, NULL, "attempt", "attempt", NULL},
                {ACTION_TIMEFORCED, NOON + 1, NULL, "attempt", "attempt", NULL},
                {ACTION_TIMEFORCED, NOON, NULL, "forced", "forced", NULL},
                {ACTION_DOWNLOAD_ONLY, 0, NULL, "forced", "skip", NULL},
                {ACTION_FORCED, 0, "0 0 0 1 1 ? 2090", "forced", "skip", "unavailable"},
                {ACTION_SOFT, 0, "0 0 0 1 1 ? 2090", "attempt", "skip", "unavailable"},
                {ACTION_FORCED, 0, "* * * * * ?", "forced", "forced", "available"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct action a = {.type = cases[i].type,
                        .forced_time = cases[i].forced_time,
                        .schedule = cases[i].schedule,
                        .duration = "00:10:00",
                        .timezone = "Z"};
                const char *download, *update, *window;
                action_handling(&f->tx, &a, &download, &update, &window);
                assert_string_equal(download, cases[i].download);
                assert_string_equal(update, cases[i].update);
                assert_int_equal(window != NULL, cases[i].window != NULL);
                if (window)
                        assert_string_equal(window, cases[i].window);
        }
}

/* ── rollouts ── */

static struct rollout given_rollout(struct fixture *f, const struct dset *s, int n_groups,
        const char *success, const char *error)
{
        struct rollout r;
        int64_t id = sql_insert(&f->tx,
                "INSERT INTO rollout(tenant, name, query, ds, status, type, forced_time, weight, "
                "dynamic,"
                " created_before, total_targets, created_by, created_at, modified_by, modified_at)"
                " VALUES(?, 'r', 'id==*', ?, 0, 0, 0, 1000, 0, ?, 0, 'admin', 0, 'admin', 0)",
                SQL_I(f->tx.tenant), SQL_I(s->id), SQL_I(NOON));
        for (int i = 0; i < n_groups; i++)
                sql_insert(&f->tx,
                        "INSERT INTO rollout_group(tenant, rollout, name, status, query, "
                        "percentage,"
                        " success_condition, success_action, error_condition, dynamic, "
                        "total_targets, created_by,"
                        " created_at, modified_by, modified_at)"
                        " VALUES(?, ?, ?, 5, '', ?, ?, 0, ?, 0, 0, '', 0, '', 0)",
                        SQL_I(f->tx.tenant), SQL_I(id), SQL_T(arena_printf(&f->arena, "g%d", i)),
                        SQL_D(100.0 / n_groups), SQL_T(success), SQL_T(error));
        assert_true(rollout_find(&f->tx, id, &r));
        assert_int_equal(rollout_plan(&f->tx, &r), 0);
        return r;
}

/* A scheduler's round. */
static void pass(struct fixture *f, struct rollout *r)
{
        assert_true(rollout_find(&f->tx, r->id, r));
        rollout_pass(&f->tx, r);
        assert_true(rollout_find(&f->tx, r->id, r));
}

static void given_running(struct fixture *f, struct rollout *r)
{
        pass(f, r);
        assert_int_equal(r->status, ROLLOUT_READY);
        assert_int_equal(rollout_start(&f->tx, r), 0);
        pass(f, r);
        assert_int_equal(r->status, ROLLOUT_RUNNING);
}

static int group_state(struct fixture *f, const struct rollout *r, int n)
{
        return (int)sql_int(&f->tx, -1,
                "SELECT status FROM rollout_group WHERE rollout=? ORDER BY id LIMIT 1 OFFSET ?",
                SQL_I(r->id), SQL_I(n));
}

static void end_action(struct fixture *f, const char *target, bool is_success)
{
        struct target t;
        struct action a;
        assert_true(target_find(&f->tx, target, &t));
        assert_true(action_next(&f->tx, t.id, &a));
        f->tx.now++;
        if (is_success)
                action_finish(&f->tx, &a, f->tx.now);
        else
                action_fail(&f->tx, &a);
}

static void a_rollout_goes_group_by_group(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        given_target(f, "a");
        given_target(f, "b");
        struct rollout r = given_rollout(f, &s, 2, "100", "50");
        given_running(f, &r);
        assert_int_equal(group_state(f, &r, 0), GROUP_RUNNING);
        assert_int_equal(group_state(f, &r, 1), GROUP_SCHEDULED);
        pass(f, &r);
        assert_int_equal(group_state(f, &r, 1), GROUP_SCHEDULED);
        end_action(f, "a", true);
        pass(f, &r);
        assert_int_equal(group_state(f, &r, 0), GROUP_FINISHED);
        assert_int_equal(group_state(f, &r, 1), GROUP_RUNNING);
        end_action(f, "b", true);
        pass(f, &r);
        assert_int_equal(r.status, ROLLOUT_FINISHED);
}

static void the_error_threshold_is_strict(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        given_target(f, "a");
        given_target(f, "b");
        given_target(f, "c");
        given_target(f, "d");
        struct rollout r = given_rollout(f, &s, 2, "100", "50");
        given_running(f, &r);
        end_action(f, "a", false);
        pass(f, &r); /* half of them: not more than 50 % */
        assert_int_equal(r.status, ROLLOUT_RUNNING);
        end_action(f, "b", false);
        pass(f, &r);
        assert_int_equal(r.status, ROLLOUT_PAUSED);
        assert_int_equal(group_state(f, &r, 0), GROUP_ERROR);
        assert_int_equal(group_state(f, &r, 1), GROUP_SCHEDULED);
        assert_int_equal(rollout_resume(&f->tx, &r), 0);
        assert_int_equal(group_state(f, &r, 1), GROUP_RUNNING);
}

static void a_stopped_rollout_asks_its_devices(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        struct target a = given_target(f, "a");
        given_target(f, "b");
        struct rollout r = given_rollout(f, &s, 2, "50", "50");
        struct rollout_counts c;
        given_running(f, &r);
        assert_int_equal(rollout_stop(&f->tx, &r), 0);
        pass(f, &r);
        assert_int_equal(r.status, ROLLOUT_STOPPED);
        rollout_count(&f->tx, &r, 0, &c);
        assert_int_equal(c.total, 1); /* the scheduled one is gone */
        struct action action;
        assert_true(action_next(&f->tx, a.id, &action));
        assert_int_equal(action.status, ACTION_CANCELING);
        assert_int_equal(rollout_start(&f->tx, &r), -1);
        assert_int_equal(f->problem.code, PROBLEM_ROLLOUT_STATE);
        problem_fini(&f->problem);
}

static void a_rollout_without_actions_is_deleted_for_good(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        given_target(f, "a");
        struct rollout r = given_rollout(f, &s, 1, "50", "50");
        pass(f, &r);
        rollout_delete(&f->tx, &r);
        rollout_pass(&f->tx, &r);
        assert_false(rollout_find(&f->tx, r.id, &r));
}

static int64_t count_in(struct fixture *f, enum action_status status)
{
        return sql_int(&f->tx, 0, "SELECT count(*) FROM action WHERE status=?", SQL_I(status));
}

static void a_large_rollout_goes_page_by_page(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        const int64_t n = LIMIT_OTA_BULK_PAGE + 10;
        for (int64_t i = 0; i < n; i++)
                given_target(f, arena_printf(&f->arena, "car%lld", (long long)i));
        struct rollout r = given_rollout(f, &s, 1, "100", "50");
        pass(f, &r); /* the plan's first page */
        assert_int_equal(r.status, ROLLOUT_CREATING);
        assert_non_null(f->tx.dues);
        pass(f, &r);
        assert_int_equal(r.status, ROLLOUT_READY);
        assert_int_equal(sql_int(&f->tx, 0, "SELECT count(*) FROM rollout_target"), n);
        assert_int_equal(rollout_start(&f->tx, &r), 0);
        pass(f, &r);
        assert_int_equal(count_in(f, ACTION_SCHEDULED), LIMIT_OTA_BULK_PAGE);
        pass(f, &r); /* the other actions, and the first of them are started */
        assert_int_equal(r.status, ROLLOUT_STARTING);
        assert_int_equal(count_in(f, ACTION_RUNNING), LIMIT_OTA_BULK_PAGE);
        pass(f, &r);
        assert_int_equal(r.status, ROLLOUT_RUNNING);
        assert_int_equal(count_in(f, ACTION_RUNNING), n);
        assert_int_equal(rollout_stop(&f->tx, &r), 0);
        pass(f, &r);
        assert_int_equal(r.status, ROLLOUT_STOPPING);
        pass(f, &r);
        assert_int_equal(r.status, ROLLOUT_STOPPED);
        assert_int_equal(count_in(f, ACTION_CANCELING), n);
}

static void old_actions_are_cleaned_up_page_by_page(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        struct target t = given_target(f, "car");
        struct ota o = {.database = f->database, .base = event_base_new()};
        f->tx.now = 1000;
        for (int i = 0; i < LIMIT_OTA_BULK_PAGE + 10; i++)
                action_insert(&f->tx, &(struct action){.target = t.id,
                                              .ds = s.id,
                                              .status = i ? ACTION_FINISHED : ACTION_ERROR});
        settings_put(&f->tx, SETTING_CLEANUP_EXPIRY, "1");
        settings_put(&f->tx, SETTING_CLEANUP_STATUS, "FINISHED,CANCELED");
        /* f->tx.now is long ago, so a letter of then is old */
        sql_run(&f->tx, "UPDATE target SET address='amqp://host/gateways' WHERE id=?", SQL_I(t.id));
        dmf_letter_write(&f->tx, t.id, DMF_LETTER_ATTRIBUTES);
        assert_int_equal(sql_int(&f->tx, 0, "SELECT count(*) FROM dmf_letter"), 1);
        assert_int_equal(tx_commit(&f->tx), 0);
        o.due = due_new(o.base, scheduler_pass, &o);
        scheduler_clean_up(&o);
        assert_int_equal(count_in(f, ACTION_FINISHED), 10);
        assert_int_equal(sql_int(&f->tx, 1, "SELECT count(*) FROM dmf_letter"), 0);
        assert_int_equal(tx_commit(&f->tx), 0);
        event_base_dispatch(o.base);
        assert_int_equal(count_in(f, ACTION_FINISHED), 0);
        assert_int_equal(count_in(f, ACTION_ERROR), 1);
        due_free(o.due);
        event_base_free(o.base);
}

/* ── poll intervals ── */

static void poll_intervals_are_read_and_overridden(void **state)
{
        struct fixture *f = *state;
        struct target t = given_target(f, "car"), other = given_target(f, "bus");
        int deviation = 0;
        char text[POLLING_TEXT_SIZE];
        settings_put(&f->tx, SETTING_POLLING_TIME, "00:10:00, controllerid==car -> PT2M~10%");
        assert_int_equal(polling_interval_ms(&f->tx, t.id, &deviation), 120000);
        assert_int_equal(deviation, 10);
        assert_int_equal(polling_interval_ms(&f->tx, other.id, &deviation), 600000);
        for (int i = 0; i < 100; i++) {
                int64_t ms = polling_spread(120000, 10);
                assert_true(ms >= 108000 && ms <= 132000);
        }
        polling_format(3661000, text);
        assert_string_equal(text, "01:01:01");
        static const char *const bad[] = {"", "x", "00:05", "24:00:00", "PT24H", "-00:05:00",
                "00:10:00,", "00:10:00~100%", "00:10:00, a -> b", "00:10:00, id==a"};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                assert_int_equal(polling_check(&f->tx, bad[i]), -1);
                problem_fini(&f->problem);
        }
}

/* ── proof and deadlines ── */

static struct action open_of(struct fixture *f, int64_t id)
{
        struct action a;
        assert_true(action_get(&f->tx, id, &a));
        return a;
}

static void of_two_proofs_the_later_installation_counts(void **state)
{
        struct fixture *f = *state;
        struct dset first = given_set(f, "1"), second = given_set(f, "2");
        struct target t = given_target(f, "car");
        settings_put(&f->tx, SETTING_PROOF, "60");
        struct action older = assigned(f, &first, &t);
        proof_begin(&f->tx, &older);
        assert_int_equal(older.status, ACTION_RUNNING);
        f->tx.now += 1000;
        struct action newer = assigned(f, &second, &t); /* supersedes the older one, … */
        older = open_of(f, older.id);
        assert_int_equal(older.status, ACTION_CANCELING);
        proof_begin(&f->tx, &older); /* … which the device has finished nevertheless */
        f->tx.now += 1000;
        proof_begin(&f->tx, &newer);
        f->tx.now += 60000;
        sql_run(&f->tx, "UPDATE target SET last_query_at=?", SQL_I(f->tx.now));
        deadline_look(&f->tx, &newer);
        deadline_look(&f->tx, &older);
        assert_int_equal(open_of(f, newer.id).status, ACTION_FINISHED);
        assert_int_equal(open_of(f, older.id).status, ACTION_FINISHED);
        assert_int_equal(now(f, &t).installed_ds, second.id);
        assert_int_equal(now(f, &t).status, TARGET_IN_SYNC);
}

static void a_look_finds_the_next_moment_to_look(void **state)
{
        struct fixture *f = *state;
        struct dset s = given_set(f, "1");
        struct target t = given_target(f, "car");
        settings_put(&f->tx, SETTING_TIMEOUT, "01:00:00");
        settings_put(&f->tx, SETTING_TIMEOUT_TOTAL, "03:00:00");
        struct action a = assigned(f, &s, &t);
        for (int hour = 1; hour < 3; hour++) { /* the device polls after 50 minutes of each */
                f->tx.now = NOON + hour * INT64_C(3600000);
                sql_run(&f->tx, "UPDATE target SET last_query_at=?", SQL_I(f->tx.now - 600000));
                deadline_look(&f->tx, &a);
                assert_true(a.is_active);
                assert_int_equal(
                        sql_int(&f->tx, 0, "SELECT due_at FROM action"), f->tx.now + 3000000);
        }
        f->tx.now = NOON + INT64_C(10800000);
        deadline_look(&f->tx, &a);
        assert_int_equal(a.status, ACTION_ERROR);
        assert_int_equal(now(f, &t).status, TARGET_ERROR);
        assert_int_equal(sql_int(&f->tx, 0, "SELECT count(due_at) FROM action"), 0);
}

/* ── events ── */

static void old_events_go_and_hooks_count_what_they_lost(void **state)
{
        struct fixture *f = *state;
        settings_put(&f->tx, SETTING_EVENTS, "true");
        sql_run(&f->tx,
                "INSERT INTO event(tenant, at, type, data) WITH RECURSIVE n(i) AS (SELECT 1 UNION "
                "ALL SELECT i+1 FROM n WHERE i<?) SELECT ?, 0, 'target.updated', '{}' FROM n",
                SQL_I(LIMIT_OTA_EVENTS + 5), SQL_I(f->tx.tenant));
        sql_run(&f->tx,
                "INSERT INTO web_hook(tenant, url, secret, types, enabled, last_event, failures, "
                "next_at, delivered, lost, created_by, created_at, modified_by, modified_at)"
                " VALUES(?, '', '', '', 1, 2, 0, 0, 0, 0, '', 0, '', 0)",
                SQL_I(f->tx.tenant));
        events_trim(&f->tx);
        assert_int_equal(sql_int(&f->tx, 0, "SELECT count(*) FROM event"), LIMIT_OTA_EVENTS);
        assert_int_equal(sql_int(&f->tx, 0, "SELECT min(id) FROM event"), 6);
        assert_int_equal(sql_int(&f->tx, 0, "SELECT lost FROM web_hook"), 3);
        assert_int_equal(sql_int(&f->tx, 0, "SELECT last FROM event_trimmed"), 5);
}

static void types_of_events_are_chosen_by_their_beginning(void **state)
{
        static const struct {
                const char *list, *type;
                bool fits;
        } cases[] = {{NULL, "a.b", true}, {"", "a.b", true}, {"*", "a.b", true}, {"a", "a.b", true},
                {"a.b", "a.b", true}, {"x, a", "a.b", true}, {"x", "a.b", false},
                {"a.", "a.b", false}, {"ac", "a.b", false}, {"a.b.c", "a.b", false},
                {",,", "a.b", true}};
        (void)state;
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_int_equal(event_fits(cases[i].list, cases[i].type), cases[i].fits);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_finished_action_installs_its_set),
                TEST(a_failed_action_may_be_assigned_again),
                TEST(an_old_report_does_not_undo_a_newer_installation),
                TEST(a_new_assignment_withdraws_the_older_one),
                TEST(a_migration_step_is_not_withdrawn),
                TEST(autoclose_closes_at_once),
                TEST(cancelling_falls_back_to_what_is_installed),
                TEST(confirmation_is_asked_for_and_given),
                TEST(long_messages_are_split),
                TEST(handling_follows_type_time_and_window),
                TEST(a_rollout_goes_group_by_group),
                TEST(the_error_threshold_is_strict),
                TEST(a_stopped_rollout_asks_its_devices),
                TEST(a_rollout_without_actions_is_deleted_for_good),
                TEST(a_large_rollout_goes_page_by_page),
                TEST(old_actions_are_cleaned_up_page_by_page),
                TEST(poll_intervals_are_read_and_overridden),
                TEST(of_two_proofs_the_later_installation_counts),
                TEST(a_look_finds_the_next_moment_to_look),
                TEST(old_events_go_and_hooks_count_what_they_lost),
                TEST(types_of_events_are_chosen_by_their_beginning),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
