/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/json.h"
#include "tcu/deploy.h"
#include "tcu/slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static int given_dir(void **state)
{
        char path[] = "/tmp/tcu_test.XXXXXX";
        if (!mkdtemp(path))
                return -1;
        *state = strdup(path);
        return 0;
}

static int remove_dir(void **state)
{
        fs_remove_tree(*state, NULL);
        free(*state);
        return 0;
}

#define S(name) DEPLOY_STATE_##name
#define E(name) DEPLOY_EVENT_##name

static void only_the_drawn_transitions_exist(void **state)
{
        int n = 0;
        for (int s = 0; s < DEPLOY_STATE_N; s++)
                for (int e = 0; e < DEPLOY_EVENT_N; e++) {
                        enum deploy_state to = DEPLOY_STATE_N;
                        int r = deploy_next((enum deploy_state)s, (enum deploy_event)e, &to);
                        assert_true(r == 0 || r == -EPROTO);
                        assert_int_equal(to == DEPLOY_STATE_N, r != 0);
                        n += r == 0;
                }
        assert_int_equal(n, 18 + DEPLOY_STATE_N);
}

/* From every state the machine comes back to IDLE, whatever happens on the way. */
static void every_state_leads_home(void **state)
{
        bool home[DEPLOY_STATE_N] = {[S(IDLE)] = true};
        for (int round = 0; round < DEPLOY_STATE_N; round++)
                for (int s = 0; s < DEPLOY_STATE_N; s++)
                        for (int e = 0; e < DEPLOY_EVENT_N; e++) {
                                enum deploy_state to;
                                if (!deploy_next((enum deploy_state)s, (enum deploy_event)e, &to) &&
                                        home[to])
                                        home[s] = true;
                        }
        for (int s = 0; s < DEPLOY_STATE_N; s++)
                assert_true(home[s]);
}

/* After the switch nothing but a trial's end leads to a report: no way to a success without proof.
 */
static void no_success_without_a_trial(void **state)
{
        for (int s = 0; s < DEPLOY_STATE_N; s++) {
                enum deploy_state to;
                assert_int_equal(deploy_next((enum deploy_state)s, E(CONFIRMED), &to),
                        s == S(TRIAL) ? 0 : -EPROTO);
        }
}

static void nothing_is_cancelled_after_the_switch(void **state)
{
        for (int s = S(SWITCH); s < DEPLOY_STATE_N; s++) {
                enum deploy_state to;
                assert_int_equal(deploy_next((enum deploy_state)s, E(CANCELED), &to), -EPROTO);
        }
}

static void names_are_there_and_back(void **state)
{
        for (int s = 0; s < DEPLOY_STATE_N; s++) {
                enum deploy_state back;
                assert_int_equal(deploy_state_from_string(
                                         deploy_state_to_string((enum deploy_state)s), &back),
                        0);
                assert_int_equal(back, s);
        }
        enum deploy_state any;
        assert_int_equal(deploy_state_from_string("flying", &any), -EINVAL);
}

static struct deploy given_job(void)
{
        struct deploy d = {.slot_from = 'a', .slot_to = 'b', .size = 1234};
        snprintf(d.action, sizeof(d.action), "7");
        snprintf(d.version_from, sizeof(d.version_from), "1.0");
        snprintf(d.version_to, sizeof(d.version_to), "1.1");
        memset(d.hashes.sha256, 'a', sizeof(d.hashes.sha256) - 1);
        return d;
}

static void a_state_comes_back_as_it_was_written(void **state)
{
        CLEAN_MEM char *path = fs_join(*state, "state.json");
        struct deploy d = {0}, next = given_job(), back;
        assert_int_equal(deploy_commit(path, &d, &next, E(ASSIGNED), NULL), 0);
        snprintf(next.cause, sizeof(next.cause), "it \"said\"\n\xc3\x28");
        next.trial_starts = 2;
        next.outcome = DEPLOY_OUTCOME_ROLLED_BACK;
        assert_int_equal(deploy_save(path, &d, &next, NULL), 0);
        assert_int_equal(deploy_load(path, &back, NULL), 0);
        assert_int_equal(back.state, S(DOWNLOAD));
        assert_string_equal(back.action, "7");
        assert_int_equal(back.slot_from, 'a');
        assert_int_equal(back.slot_to, 'b');
        assert_int_equal(back.size, 1234);
        assert_int_equal(back.trial_starts, 2);
        assert_int_equal(back.outcome, DEPLOY_OUTCOME_ROLLED_BACK);
        assert_string_equal(back.hashes.sha256, d.hashes.sha256);
        assert_string_equal(back.version_to, "1.1");
}

static void a_step_that_cannot_be_written_does_not_happen(void **state)
{
        struct deploy d = {0}, next = given_job();
        struct err err = ERR_INIT;
        assert_true(deploy_commit("/nonexistent/state.json", &d, &next, E(ASSIGNED), &err) < 0);
        assert_int_equal(d.state, S(IDLE));
        assert_string_equal(d.action, "");
}

static void a_wrong_event_changes_nothing(void **state)
{
        CLEAN_MEM char *path = fs_join(*state, "state.json");
        struct deploy d = {0}, next = given_job();
        assert_int_equal(deploy_commit(path, &d, &next, E(CONFIRMED), NULL), -EPROTO);
        assert_false(fs_exists(path));
}

static void the_past_is_remembered_and_bounded(void **state)
{
        CLEAN_MEM char *path = fs_join(*state, "state.json");
        struct deploy d = {0};
        for (int i = 1; i <= DEPLOY_PAST_N + 4; i++) {
                struct deploy next = d;
                snprintf(next.action, sizeof(next.action), "%d", i);
                snprintf(next.cause, sizeof(next.cause), "cause %d", i);
                next.outcome = DEPLOY_OUTCOME_FAILURE;
                assert_int_equal(deploy_commit(path, &d, &next, E(SETTLED), NULL), 0);
                next = d;
                assert_int_equal(deploy_commit(path, &d, &next, E(REPORTED), NULL), 0);
                assert_int_equal(d.state, S(IDLE));
                assert_string_equal(d.action, "");
        }
        struct deploy back;
        assert_int_equal(deploy_load(path, &back, NULL), 0);
        assert_null(deploy_past_find(&back, "4"));
        const struct deploy_past *p = deploy_past_find(&back, "20");
        assert_non_null(p);
        assert_int_equal(p->outcome, DEPLOY_OUTCOME_FAILURE);
        assert_string_equal(p->cause, "cause 20");
}

static void a_state_that_makes_no_sense_is_put_aside(void **state)
{
        static const char *const texts[] = {"", "{", "[]", "{}",
                "{\"format\":2,\"state\":\"idle\"}", "{\"format\":1,\"state\":\"flying\"}",
                "{\"format\":1,\"state\":\"trial\",\"size\":0}",
                "{\"format\":1,\"state\":\"switch\",\"size\":1,\"action\":\"../"
                "x\",\"slot_from\":\"a\",\"slot_to\":\"b\",\"outcome\":\"none\"}",
                "{\"format\":1,\"state\":\"switch\",\"size\":1,\"action\":\"3\",\"slot_from\":"
                "\"a\",\"slot_to\":\"a\",\"outcome\":\"none\"}",
                "{\"format\":1,\"state\":\"report\",\"size\":1,\"action\":\"3\",\"slot_from\":"
                "\"a\",\"slot_to\":\"b\",\"outcome\":\"none\"}"};
        CLEAN_MEM char *path = fs_join(*state, "state.json");
        CLEAN_MEM char *aside = fs_join(*state, "state.json.bad");
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                struct err err = ERR_INIT;
                struct deploy d;
                assert_int_equal(fs_write_atomic(path, texts[i], strlen(texts[i]), 0600, NULL), 0);
                if (deploy_load(path, &d, &err) != DEPLOY_FORGOTTEN)
                        fail_msg("case %zu was taken", i);
                assert_int_equal(d.state, S(IDLE));
                assert_false(fs_exists(path));
                assert_true(fs_exists(aside));
                assert_true(err.text[0]);
        }
}

/* ── the model: every step of an update, cut off after each of them ── */

struct car {
        struct slots *slots;
        struct deploy deploy;
        char *path;
        int steps_left; /* the process dies when they are used up */
};

static void maybe_die(struct car *c)
{
        if (c->steps_left-- <= 0)
                _exit(77);
}

static void step(struct car *c, enum deploy_event event)
{
        struct deploy next = c->deploy;
        struct err err = ERR_INIT;
        maybe_die(c);
        if (event == E(FAILED) || event == E(CONFIRMED))
                next.outcome =
                        event == E(FAILED) ? DEPLOY_OUTCOME_ROLLED_BACK : DEPLOY_OUTCOME_SUCCESS;
        if (deploy_commit(c->path, &c->deploy, &next, event, &err))
                fail_msg("%s", err.text);
        maybe_die(c);
}

/* What the updater does in a state, with the app's part decided by `is_bad`. */
static void act(struct car *c, bool is_bad)
{
        struct slot_info info = {.version = "new"};
        struct err err = ERR_INIT;
        CLEAN_MEM char *file = fs_join(slots_path(c->slots, 'b'), "file");
        switch (c->deploy.state) {
        case S(DOWNLOAD):
                step(c, E(VERIFIED));
                break;
        case S(WAIT):
                step(c, E(ALLOWED));
                break;
        case S(UNPACK):
                assert_int_equal(slots_clear(c->slots, 'b', &err), 0);
                maybe_die(c);
                assert_int_equal(fs_mkdir_p(slots_path(c->slots, 'b'), 0700, NULL), 0);
                maybe_die(c);
                assert_int_equal(fs_write_atomic(file, "new", 3, 0600, NULL), 0);
                maybe_die(c);
                assert_int_equal(slots_complete(c->slots, 'b', &info, &err), 0);
                step(c, E(UNPACKED));
                break;
        case S(SWITCH):
                assert_int_equal(slots_select(c->slots, 'b', &err), 0);
                step(c, E(SWITCHED));
                break;
        case S(TRIAL):
                step(c, is_bad ? E(FAILED) : E(CONFIRMED));
                break;
        case S(ROLLBACK):
                assert_int_equal(slots_select(c->slots, 'a', &err), 0);
                step(c, E(ROLLED_BACK));
                break;
        case S(REPORT):
                step(c, E(REPORTED));
                break;
        default:
                break;
        }
}

static void given_car(struct car *c, const char *dir, int steps)
{
        CLEAN_MEM char *slots_dir = fs_join(dir, "slots");
        *c = (struct car){.path = fs_join(dir, "state.json"), .steps_left = steps};
        struct err err = ERR_INIT;
        assert_int_equal(slots_open(slots_dir, &c->slots, &err), 0);
        assert_int_equal(deploy_load(c->path, &c->deploy, &err), 0);
}

static void car_fini(struct car *c)
{
        slots_close(c->slots);
        free(c->path);
}

/* Runs the update in a process that dies after `steps`; true if it came to its end before. */
static bool run_until(const char *dir, int steps, bool is_bad)
{
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid) {
                struct car c;
                given_car(&c, dir, steps);
                if (deploy_past_find(&c.deploy, "7"))
                        _exit(0); /* it died behind the last step */
                if (c.deploy.state == S(IDLE)) {
                        c.deploy = given_job();
                        step(&c, E(ASSIGNED));
                }
                while (c.deploy.state != S(IDLE))
                        act(&c, is_bad);
                _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77));
        return WEXITSTATUS(status) == 0;
}

/* The version that would run if the agent started now; fails for none or a half one. */
static char runnable_slot(const char *dir)
{
        struct car c;
        given_car(&c, dir, 1000);
        char slot = slots_repair(c.slots, c.deploy.slot_from, NULL);
        assert_true(slot == 'a' || slot == 'b');
        CLEAN_MEM char *file = fs_join(slots_path(c.slots, slot), "file");
        assert_true(fs_exists(file));
        car_fini(&c);
        return slot;
}

static void given_old_version(const char *dir)
{
        struct car c;
        struct slot_info info = {.version = "old"};
        given_car(&c, dir, 1000);
        assert_int_equal(fs_mkdir_p(slots_path(c.slots, 'a'), 0700, NULL), 0);
        CLEAN_MEM char *file = fs_join(slots_path(c.slots, 'a'), "file");
        assert_int_equal(fs_write_atomic(file, "old", 3, 0600, NULL), 0);
        assert_int_equal(slots_complete(c.slots, 'a', &info, NULL), 0);
        assert_int_equal(slots_select(c.slots, 'a', NULL), 0);
        car_fini(&c);
}

static void check_every_crash(const char *dir, bool is_bad)
{
        for (int steps = 0;; steps++) {
                char sub[128];
                snprintf(sub, sizeof(sub), "%s/%d", dir, steps);
                assert_int_equal(fs_mkdir_p(sub, 0700, NULL), 0);
                given_old_version(sub);
                bool done = run_until(sub, steps, is_bad);
                runnable_slot(sub);
                /* The next start finds its way, even if it dies twice more on it. */
                if (!done && !run_until(sub, 3, is_bad)) {
                        runnable_slot(sub);
                        (void)run_until(sub, 5, is_bad);
                        runnable_slot(sub);
                }
                while (!run_until(sub, 1000, is_bad))
                        ;
                assert_int_equal(runnable_slot(sub), is_bad ? 'a' : 'b');
                if (done)
                        return;
        }
}

static void a_crash_at_any_step_of_a_good_update_leaves_a_whole_version(void **state)
{
        check_every_crash(*state, false);
}

static void a_crash_at_any_step_of_a_bad_update_leaves_a_whole_version(void **state)
{
        check_every_crash(*state, true);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, given_dir, remove_dir)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_the_drawn_transitions_exist),
                cmocka_unit_test(every_state_leads_home),
                cmocka_unit_test(no_success_without_a_trial),
                cmocka_unit_test(nothing_is_cancelled_after_the_switch),
                cmocka_unit_test(names_are_there_and_back),
                T(a_state_comes_back_as_it_was_written),
                T(a_step_that_cannot_be_written_does_not_happen),
                T(a_wrong_event_changes_nothing),
                T(the_past_is_remembered_and_bounded),
                T(a_state_that_makes_no_sense_is_put_aside),
                T(a_crash_at_any_step_of_a_good_update_leaves_a_whole_version),
                T(a_crash_at_any_step_of_a_bad_update_leaves_a_whole_version),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
