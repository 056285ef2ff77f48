/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * Random sequences of what persons and devices may do to a target's actions, run through the
 * server's own handlers on a database and through the reference model (action_model.h); after each
 * step both must have given the same answer and stand the same.
 *
 *   ota_action_model_test [sequences [seed]]
 *
 * A sequence that parts them is shrunk to the shortest that still does, and printed; the seed is
 * fixed, so that each run does the same.
 */
#include "base/fs.h"
#include "cloud/ota/action_model.h"
#include "cloud/ota/bulk.h"
#include "cloud/ota/ddi.h"
#include "cloud/ota/deploy.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/server.h"
#include "cloud/ota/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCES 100000
#define SEED 20261122
#define MAX_STEPS 16
#define NOON INT64_C(1795345200000) /* 2026-11-22 11:00 UTC */
/* One hour on the day after NOON, and none after it. */
#define WINDOW "0 0 11 23 11 ? 2026"
#define WINDOW_ENDS (NOON + INT64_C(25) * 3600 * 1000)

enum step_kind {
        STEP_ASSIGN,
        STEP_OFFLINE,
        STEP_REPORT_INSTALLED,
        STEP_SCHEDULE,
        STEP_START,
        STEP_CANCEL,
        STEP_FORCE_QUIT,
        STEP_FORCE,
        STEP_DELETE,
        STEP_WITHDRAW_SET,
        STEP_POLL,
        STEP_GET_DEPLOYMENT,
        STEP_GET_CANCEL,
        STEP_GET_INSTALLED,
        STEP_FEEDBACK,
        STEP_CANCEL_FEEDBACK,
        STEP_CONFIRM,
        STEP_PERSON_CONFIRMS,
        STEP_AUTO_CONFIRM,
        STEP_FLOW,
        STEP_AUTO_CLOSE,
        STEP_TIME,
        STEP_KIND_N,
};
static const char *const step_names[] = {"assign set", "assign offline set", "device reports set",
        "schedule set", "start the group, action", "cancel action", "force quit action",
        "make forced, action", "delete action", "invalidate set", "poll", "GET deploymentBase",
        "GET cancelAction", "GET installedBase", "deploymentBase feedback on",
        "cancelAction feedback on", "device confirms", "person confirms", "auto-confirm",
        "confirmation flow", "auto-close", "time passes"};
/* What devices report is the most of it. */
static const int weights[STEP_KIND_N] = {[STEP_ASSIGN] = 16,
        [STEP_OFFLINE] = 2,
        [STEP_REPORT_INSTALLED] = 2,
        [STEP_SCHEDULE] = 4,
        [STEP_START] = 4,
        [STEP_CANCEL] = 8,
        [STEP_FORCE_QUIT] = 4,
        [STEP_FORCE] = 2,
        [STEP_DELETE] = 1,
        [STEP_WITHDRAW_SET] = 2,
        [STEP_POLL] = 6,
        [STEP_GET_DEPLOYMENT] = 8,
        [STEP_GET_CANCEL] = 4,
        [STEP_GET_INSTALLED] = 2,
        [STEP_FEEDBACK] = 20,
        [STEP_CANCEL_FEEDBACK] = 12,
        [STEP_CONFIRM] = 4,
        [STEP_PERSON_CONFIRMS] = 2,
        [STEP_AUTO_CONFIRM] = 3,
        [STEP_FLOW] = 3,
        [STEP_AUTO_CLOSE] = 2,
        [STEP_TIME] = 2};

struct step {
        enum step_kind kind;
        uint32_t which, a, b, c; /* action or set; what else the kind needs */
};

struct world {
        struct ota ota;
        struct database *database;
        struct arena arena;
        struct problem problem;
        struct tx tx;
        int64_t sets[MODEL_SETS + 1], rollout, group, target;
        char name[32];
        struct model model;
        char difference[512];
};

/* ── a generator of its own, the same everywhere ── */

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return (uint32_t)((random_state >> 16) % below);
}

static struct step random_step(void)
{
        int total = 0;
        struct step s = {.which = draw(1000), .a = draw(1000), .b = draw(1000), .c = draw(1000)};
        for (int i = 0; i < STEP_KIND_N; i++)
                total += weights[i];
        int at = (int)draw((uint32_t)total);
        while (at >= weights[s.kind])
                at -= weights[s.kind++];
        return s;
}

/* ── the server's side ── */

struct call {
        int (*handler)(struct request *q);
        int64_t action;
        json_t *body;
        const char *param, *value;
        bool is_device;
};

/* Runs a handler as dispatch() does and returns the status of the answer. */
static int serve(struct world *w, struct call c)
{
        struct param param = {c.param, c.value};
        struct request q = {.ota = &w->ota,
                .file = -1,
                .body = c.body,
                .texts = {w->name},
                .ids = {0, c.action},
                .params = &param,
                .n_params = c.param ? 1 : 0};
        q.tx = w->tx;
        q.tx.arena = &q.arena;
        q.tx.problem = &q.problem;
        q.tx.is_device = c.is_device;
        sql_run(&w->tx, "SAVEPOINT step");
        int r = c.handler(&q);
        w->tx.is_open = q.tx.is_open;
        if (w->tx.is_open && r < 0)
                sql_run(&w->tx, "ROLLBACK TO step");
        if (w->tx.is_open)
                sql_run(&w->tx, "RELEASE step");
        int status = r < 0 ? q.problem.status : q.status;
        json_decref(q.body);
        json_decref(q.reply);
        problem_fini(&q.problem);
        arena_fini(&q.arena);
        return status;
}

static struct target target_now(struct world *w)
{
        struct target t = {0};
        target_get(&w->tx, w->target, &t);
        return t;
}

static struct dset set_of(struct world *w, int set)
{
        struct dset s = {0};
        set_find(&w->tx, w->sets[set], &s);
        return s;
}

static struct action action_of(struct world *w, int64_t id)
{
        struct action a = {0};
        action_get(&w->tx, id, &a);
        return a;
}

static json_t *report(const struct step *s, int64_t at)
{
        json_t *body = json_pack("{s:{s:s, s:{s:s}}}", "status", "execution",
                model_executions[s->a % MODEL_EXECUTION_N], "result", "finished",
                model_finishes[s->b % 3]);
        if (at)
                json_object_set_new(body, "timestamp", json_integer(at));
        return body;
}

/* What the poll would link to: 0 nothing. */
static int64_t poll(struct world *w)
{
        struct request q = {.ota = &w->ota};
        struct action a;
        q.tx = w->tx;
        struct target t = target_now(w);
        bool has = ddi_next_action(&q, &t, &a);
        w->tx.is_open = q.tx.is_open;
        return has ? a.id : 0;
}

static int64_t schedule(struct world *w, const struct model_order *o)
{
        struct action a = {.target = w->target,
                .ds = w->sets[o->set],
                .status = ACTION_SCHEDULED,
                .type = o->type,
                .weight = o->weight,
                .rollout = w->rollout,
                .group = w->group};
        return action_insert(&w->tx, &a);
}

/* ── both sides take a step ── */

static bool differ(struct world *w, const char *what, int64_t server, int64_t model)
{
        if (server == model)
                return false;
        snprintf(w->difference, sizeof(w->difference), "%s: the server says %lld, the model %lld",
                what, (long long)server, (long long)model);
        return true;
}

static struct model_order order_of(const struct world *w, const struct step *s)
{
        static const int64_t order_weights[] = {1000, 1000, 10, 500};
        struct model_order o = {.set = 1 + (int)(s->which % MODEL_SETS),
                .type = (enum action_type)(s->a % 4),
                .weight = order_weights[s->b % 4],
                .confirm = (int)(s->c % 3) - 1};
        if (o.type == ACTION_TIMEFORCED)
                o.forced_time = w->model.now + (s->b % 2 ? 1000 : -1000);
        if (s->c % 5 == 0 && w->model.now < WINDOW_ENDS)
                o.window_ends = WINDOW_ENDS;
        return o;
}

static bool take_assign(struct world *w, const struct step *s)
{
        struct model_order o = order_of(w, s);
        struct dset set = set_of(w, o.set);
        struct deploy_order order = {.target = target_now(w),
                .type = o.type,
                .forced_time = o.forced_time,
                .weight = o.weight,
                .schedule = o.window_ends ? WINDOW : NULL,
                .duration = o.window_ends ? "01:00:00" : NULL,
                .timezone = o.window_ends ? "+00:00" : NULL,
                .confirm = o.confirm};
        int64_t id = deploy_online(&w->tx, &set, &order, "because");
        bool made = model_assign(&w->model, &o);
        if (made)
                model_last(&w->model)->id = id;
        return differ(w, "is there a new action", id != 0, made);
}

static bool take_installed(struct world *w, const struct step *s)
{
        int set = 1 + (int)(s->which % MODEL_SETS);
        struct dset d = set_of(w, set);
        bool is_report = s->kind == STEP_REPORT_INSTALLED;
        int64_t newest = sql_int(&w->tx, 0, "SELECT max(id) FROM action");
        int64_t status = 201;
        if (is_report) {
                status = serve(w, (struct call){.handler = ddi_report_installed,
                                          .is_device = true,
                                          .body = json_pack("{s:s, s:s}", "name", d.name, "version",
                                                  d.version)});
        } else {
                struct target t = target_now(w);
                deploy_offline(&w->tx, &d, &t);
        }
        int64_t id = sql_int(&w->tx, 0, "SELECT max(id) FROM action WHERE id>?", SQL_I(newest));
        bool made =
                is_report ? model_report_installed(&w->model, set) : model_offline(&w->model, set);
        if (made)
                model_last(&w->model)->id = id;
        return differ(w, "is there a new action", id != 0, made) ||
               (is_report && differ(w, "the answer", status, made ? 201 : 200));
}

static struct model_action *find_scheduled(struct world *w)
{
        for (int i = 0; i < w->model.n; i++) {
                if (w->model.actions[i].status == ACTION_SCHEDULED)
                        return &w->model.actions[i];
        }
        return NULL;
}

static bool take_rollout(struct world *w, const struct step *s)
{
        struct model_action *a = find_scheduled(w);
        int confirm = (int)(s->c % 3) - 1;
        if (s->kind == STEP_SCHEDULE && !a) {
                struct model_order o = order_of(w, s);
                o.window_ends = 0;
                model_schedule(&w->model, &o);
                if (o.type == ACTION_TIMEFORCED)
                        model_last(&w->model)->forced_time = 0;
                model_last(&w->model)->id = schedule(w, &o);
        } else if (s->kind == STEP_START && a) {
                struct action real = action_of(w, a->id);
                if (s->a % 2)
                        bulk_start(&w->tx, w->group, real.ds, confirm, false, "because");
                else
                        deploy_scheduled(&w->tx, &real, confirm, false, "because");
                model_start(&w->model, a, confirm);
        }
        return false;
}

static bool take_of_target(struct world *w, const struct step *s)
{
        struct model *m = &w->model;
        bool is_on = s->a % 2;
        struct model_action *offered;
        switch (s->kind) {
        case STEP_WITHDRAW_SET:
                model_withdraw_set(m, 1 + (int)(s->which % MODEL_SETS), is_on);
                set_begin_withdrawal(&w->tx, w->sets[1 + s->which % MODEL_SETS], is_on);
                return false;
        case STEP_POLL:
                offered = model_poll(m);
                return differ(w, "what the poll offers", poll(w), offered ? offered->id : 0);
        case STEP_AUTO_CONFIRM:
                return differ(w, "the answer",
                        serve(w, (struct call){.handler = is_on ? ddi_auto_confirm_on
                                                                : ddi_auto_confirm_off,
                                         .is_device = true}),
                        model_auto_confirm(m, is_on));
        case STEP_FLOW:
                m->has_flow = is_on;
                settings_put(&w->tx, SETTING_CONFIRMATION, is_on ? "true" : "false");
                return false;
        case STEP_AUTO_CLOSE:
                m->closes = is_on;
                settings_put(&w->tx, SETTING_AUTO_CLOSE, is_on ? "true" : "false");
                return false;
        default:
                m->now = w->tx.now += INT64_C(13) * 3600 * 1000;
                return false;
        }
}

/* Both answers to a step on one action. */
static void take_on_action(struct world *w, const struct step *s, struct model_action *a,
        int64_t *ret_server, int64_t *ret_model)
{
        struct model *m = &w->model;
        struct call c = {.action = a->id,
                .is_device = s->kind >= STEP_GET_DEPLOYMENT && s->kind != STEP_PERSON_CONFIRMS};
        int64_t at = s->c % 4 == 0 ? m->now - 1 - (int64_t)(s->c % 7) : 0;
        bool yes = s->a % 2, is_failure = s->b % 3 == 1;
        enum model_execution execution = (enum model_execution)(s->a % MODEL_EXECUTION_N);
        switch (s->kind) {
        case STEP_CANCEL:
        case STEP_FORCE_QUIT:
                c.handler = target_action_cancel;
                c.param = s->kind == STEP_FORCE_QUIT ? "force" : NULL;
                c.value = "true";
                *ret_model = model_cancel(m, a, s->kind == STEP_FORCE_QUIT);
                break;
        case STEP_FORCE:
                c.handler = NULL;
                *ret_model = model_force(m, a);
                break;
        case STEP_DELETE:
                action_delete(&w->tx, a->id);
                *ret_server = *ret_model = model_delete(m, a);
                return;
        case STEP_GET_DEPLOYMENT:
                c.handler = ddi_deployment;
                *ret_model = model_get_deployment(m, a);
                break;
        case STEP_GET_CANCEL:
                c.handler = ddi_cancel_action;
                *ret_model = model_get_cancel(m, a);
                break;
        case STEP_GET_INSTALLED:
                c.handler = ddi_installed_base;
                *ret_model = model_get_installed(m, a);
                break;
        case STEP_FEEDBACK:
                c.handler = ddi_feedback;
                c.body = report(s, at);
                *ret_model = model_feedback(m, a, execution, is_failure, at ? at : m->now);
                break;
        case STEP_CANCEL_FEEDBACK:
                c.handler = ddi_cancel_feedback;
                c.body = report(s, 0);
                *ret_model = model_cancel_feedback(m, a, execution, is_failure);
                break;
        default:
                c.handler =
                        s->kind == STEP_CONFIRM ? ddi_confirmation_feedback : target_action_confirm;
                c.body = json_pack("{s:s}", "confirmation", yes ? "confirmed" : "denied");
                *ret_model = model_confirm(m, a, yes);
                if (*ret_model == 200 && s->kind == STEP_PERSON_CONFIRMS)
                        *ret_model = 204;
        }
        if (c.handler) {
                *ret_server = serve(w, c);
        } else {
                struct action real = action_of(w, c.action);
                action_make_forced(&w->tx, &real);
                *ret_server = 200;
        }
}

static bool take_step(struct world *w, const struct step *s)
{
        struct model *m = &w->model;
        int64_t server = 0, model = 0;
        m->now = ++w->tx.now;
        switch (s->kind) {
        case STEP_ASSIGN:
                return m->n < MODEL_MAX_ACTIONS && take_assign(w, s);
        case STEP_OFFLINE:
        case STEP_REPORT_INSTALLED:
                return m->n < MODEL_MAX_ACTIONS && take_installed(w, s);
        case STEP_SCHEDULE:
        case STEP_START:
                return m->n < MODEL_MAX_ACTIONS && take_rollout(w, s);
        case STEP_WITHDRAW_SET:
        case STEP_POLL:
        case STEP_AUTO_CONFIRM:
        case STEP_FLOW:
        case STEP_AUTO_CLOSE:
        case STEP_TIME:
                return take_of_target(w, s);
        default:
                if (m->n == 0)
                        return false;
                take_on_action(w, s, &m->actions[s->which % (uint32_t)m->n], &server, &model);
                return differ(w, "the answer", server, model);
        }
}

/* ── do both stand the same? ── */

static bool target_differs(struct world *w)
{
        struct target t = target_now(w);
        const struct model *m = &w->model;
        return differ(w, "the target's status", t.status, (int)m->status) ||
               differ(w, "its assigned set", t.assigned_ds, w->sets[m->assigned]) ||
               differ(w, "its installed set", t.installed_ds, w->sets[m->installed]) ||
               differ(w, "when it was installed", t.installed_at, m->installed_at) ||
               differ(w, "whether attributes are asked for", t.request_attributes,
                       m->request_attributes) ||
               differ(w, "whether it confirms by itself", t.auto_confirm_at != 0, m->auto_confirms);
}

static bool is_defined(bool is_active, int status)
{
        static const bool open[] = {[ACTION_RUNNING] = true,
                [ACTION_RETRIEVED] = true,
                [ACTION_CANCELING] = true,
                [ACTION_WAIT_FOR_CONFIRMATION] = true};
        static const bool closed[ACTION_WAIT_FOR_CONFIRMATION + 1] = {[ACTION_FINISHED] = true,
                [ACTION_ERROR] = true,
                [ACTION_CANCELED] = true,
                [ACTION_DOWNLOADED] = true,
                [ACTION_SCHEDULED] = true,
                [ACTION_RETRIEVED] = true}; /* a closed action that was read again */
        return is_active ? open[status] : closed[status];
}

static bool actions_differ(struct world *w)
{
        int i = 0;
        CLEAN_ROWS struct sql_rows r = sql_open(&w->tx,
                "SELECT a.id, a.ds, a.active, a.status, a.type, (SELECT x.type FROM action_status "
                "x "
                "WHERE x.action=a.id ORDER BY x.id DESC LIMIT 1) FROM action a WHERE a.target=? "
                "ORDER BY a.id",
                SQL_I(w->target));
        for (; sql_next(&r); i++) {
                const struct model_action *a = &w->model.actions[i];
                int64_t last = sql_col_is_null(&r, 5) ? -1 : sql_col_int(&r, 5);
                if (i >= w->model.n)
                        break;
                if (differ(w, "the action's id", sql_col_int(&r, 0), a->id) ||
                        differ(w, "its set", sql_col_int(&r, 1), w->sets[a->set]) ||
                        differ(w, "whether it is open", sql_col_int(&r, 2), a->is_active) ||
                        differ(w, "its status", sql_col_int(&r, 3), (int)a->status) ||
                        differ(w, "its type", sql_col_int(&r, 4), (int)a->type) ||
                        differ(w, "its newest row of history", last, (int)a->last_row) ||
                        differ(w, "whether its state is defined",
                                is_defined(a->is_active, (int)a->status), 1))
                        return true;
        }
        return differ(w, "how many actions there are (at least)", i, w->model.n);
}

/* ── sequences ── */

static void begin_sequence(struct world *w, uint64_t number)
{
        w->tx.now = NOON;
        snprintf(w->name, sizeof(w->name), "car%llu", (unsigned long long)number);
        w->model = (struct model){.now = NOON,
                .status = TARGET_REGISTERED,
                .request_attributes = true,
                .has_flow = number % 4 == 1,
                .closes = number % 8 == 2};
        settings_put(&w->tx, SETTING_CONFIRMATION, w->model.has_flow ? "true" : "false");
        settings_put(&w->tx, SETTING_AUTO_CLOSE, w->model.closes ? "true" : "false");
        w->target = target_create(&w->tx, w->name, NULL, "token", TARGET_REGISTERED);
}

static void end_sequence(struct world *w)
{
        struct target t = target_now(w);
        if (!w->tx.is_open || t.id == 0)
                return;
        tx_rollback(&w->tx);
        arena_fini(&w->arena);
        problem_fini(&w->problem);
}

/* True if both sides part; *ret_at is the step that did it. */
static bool run_sequence(
        struct world *w, uint64_t number, const struct step *steps, size_t n, size_t *ret_at)
{
        bool parts = false;
        begin_sequence(w, number);
        for (size_t i = 0; i < n && !parts; i++) {
                *ret_at = i;
                parts = take_step(w, &steps[i]) || target_differs(w) || actions_differ(w) ||
                        differ(w, "the database", w->problem.code, PROBLEM_NONE);
        }
        end_sequence(w);
        return parts;
}

/* Leaves out what isn't needed for both to part. Returns how many steps are left. */
static size_t shrink(struct world *w, uint64_t number, struct step *steps, size_t n)
{
        size_t at;
        for (size_t i = n; i > 0; i--) {
                struct step fewer[MAX_STEPS];
                memcpy(fewer, steps, (i - 1) * sizeof(*steps));
                memcpy(fewer + i - 1, steps + i, (n - i) * sizeof(*steps));
                if (run_sequence(w, number, fewer, n - 1, &at)) {
                        n = at + 1;
                        memcpy(steps, fewer, n * sizeof(*steps));
                        if (i > n)
                                i = n + 1;
                }
        }
        return n;
}

static void print_step(const struct step *s)
{
        printf("  %s", step_names[s->kind]);
        if (s->kind <= STEP_SCHEDULE || s->kind == STEP_WITHDRAW_SET)
                printf(" %u", 1 + s->which % MODEL_SETS);
        else if (s->kind < STEP_AUTO_CONFIRM && s->kind != STEP_POLL && s->kind != STEP_START)
                printf(" #%u", s->which);
        if (s->kind == STEP_FEEDBACK || s->kind == STEP_CANCEL_FEEDBACK)
                printf(" %s/%s", model_executions[s->a % MODEL_EXECUTION_N],
                        model_finishes[s->b % 3]);
        printf("  (a=%u b=%u c=%u)\n", s->a, s->b, s->c);
}

static int fail(struct world *w, uint64_t number, uint64_t seed, struct step *steps, size_t n)
{
        size_t at = 0;
        n = shrink(w, number, steps, n);
        run_sequence(w, number, steps, n, &at);
        printf("sequence %llu of seed %llu parts the server from the model (flow %s, auto-close "
               "%s):\n",
                (unsigned long long)number, (unsigned long long)seed,
                number % 4 == 1 ? "on" : "off", number % 8 == 2 ? "on" : "off");
        for (size_t i = 0; i < n; i++)
                print_step(&steps[i]);
        printf("then %s\n", w->difference);
        return 1;
}

/* ── the world ── */

static int64_t add_set(struct world *w, int n)
{
        const char *version = arena_printf(&w->arena, "%d", n);
        int64_t module = sql_int(&w->tx, 0, "SELECT id FROM module LIMIT 1");
        int64_t type = sql_int(&w->tx, 0, "SELECT id FROM ds_type WHERE key='os'");
        struct dset s = {.type = type};
        s.id = sql_insert(&w->tx,
                "INSERT INTO ds(tenant, type, name, version, migration, created_by, created_at, "
                "modified_by, modified_at) VALUES(?, ?, 'set', ?, ?, '', 0, '', 0)",
                SQL_I(w->tx.tenant), SQL_I(type), SQL_T(version), SQL_I(n == MODEL_MIGRATION));
        set_add_module(&w->tx, &s, module);
        return s.id;
}

static void add_rollout(struct world *w)
{
        w->rollout = sql_insert(&w->tx,
                "INSERT INTO rollout(tenant, name, query, ds, status, type, forced_time, weight, "
                "dynamic, created_before, total_targets, created_by, created_at, modified_by, "
                "modified_at) VALUES(?, 'r', 'id==*', ?, 5, 0, 0, 1000, 0, 0, 0, '', 0, '', 0)",
                SQL_I(w->tx.tenant), SQL_I(w->sets[1]));
        w->group = sql_insert(&w->tx,
                "INSERT INTO rollout_group(tenant, rollout, name, status, query, percentage, "
                "success_condition, success_action, error_condition, dynamic, total_targets, "
                "created_by, created_at, modified_by, modified_at) VALUES(?, ?, 'g', 1, '', 100, "
                "'50', 0, '50', 0, 0, '', 0, '', 0)",
                SQL_I(w->tx.tenant), SQL_I(w->rollout));
}

static bool open_world(struct world *w, const char *dir)
{
        struct err err = ERR_INIT;
        const char *name;
        char path[96];
        snprintf(path, sizeof(path), "%s/ota.db", dir);
        if (database_open(path, &w->database, &err) < 0) {
                fprintf(stderr, "%s\n", err.text);
                return false;
        }
        w->ota.database = w->database;
        w->tx = (struct tx){.database = w->database,
                .arena = &w->arena,
                .problem = &w->problem,
                .now = NOON,
                .user = "admin"};
        w->tx.tenant = tenant_find(&w->tx, "default", true, &name);
        w->tx.tenant_name = "DEFAULT";
        sql_insert(&w->tx,
                "INSERT INTO module(tenant, type, name, version, created_by, created_at, "
                "modified_by, modified_at) VALUES(?, (SELECT id FROM sm_type WHERE key='os'), 'm', "
                "'1', '', 0, '', 0)",
                SQL_I(w->tx.tenant));
        for (int n = 1; n <= MODEL_SETS; n++)
                w->sets[n] = add_set(w, n);
        add_rollout(w);
        bool is_made = tx_commit(&w->tx) == 0 && !w->problem.code;
        arena_fini(&w->arena);
        return is_made;
}

static int run_all(struct world *w, uint64_t count, uint64_t seed)
{
        for (uint64_t i = 0; i < count; i++) {
                struct step steps[MAX_STEPS];
                random_state = (seed + i) * 0x9E3779B97F4A7C15u + 1;
                size_t n = 1 + draw(MAX_STEPS - 4), at;
                for (size_t k = 0; k < n; k++)
                        steps[k] = random_step();
                if (run_sequence(w, i, steps, n, &at))
                        return fail(w, i, seed, steps, at + 1);
        }
        printf("%llu sequences of seed %llu: server and model agree\n", (unsigned long long)count,
                (unsigned long long)seed);
        return 0;
}

int main(int argc, char **argv)
{
        static struct world w;
        char dir[] = "/tmp/driveline-model-XXXXXX";
        uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : SEQUENCES;
        uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : SEED;
        if (!mkdtemp(dir))
                return 2;
        int r = open_world(&w, dir) ? run_all(&w, count, seed) : 2;
        database_free(w.database);
        fs_remove_tree(dir, NULL);
        return r;
}
