/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * Stages `rollout` and `assignment`: the distribution set goes to the cars.
 *
 * A rollout is created, and started only once the server says `ready`: until then it still sorts
 * cars into groups (`creating`) or waits for an approval, and a start would be refused. It is asked
 * again after 50 ms, 100 ms, … up to 2 s. Both stages are repeated safely: a rollout of this run is
 * found by its name, and a car that has the set assigned already is counted and left alone.
 */
#include "base/limits.h"
#include "cloud/pipeline/run.h"

#include <errno.h>
#include <string.h>

#define ROLLOUT_FIRST_WAIT_MS 50
#define ROLLOUT_MAX_WAIT_MS 500       /* while the server works on it */
#define ROLLOUT_APPROVAL_WAIT_MS 2000 /* while a person is asked */
#define ASSIGNMENT_PAGE 500           /* hawkBit's largest page */

struct rollout {
        char name[256];
        int64_t set_id;
        int64_t id;
        struct event *on_again;
        int wait_ms;
        char status[32];
        int64_t offset; /* of the page of cars that is assigned */
        int64_t assigned;
};

static void rollout_free(void *state)
{
        struct rollout *r = state;
        if (!r)
                return;
        if (r->on_again)
                event_free(r->on_again);
        free(r);
}

static void fail(struct run *run, const struct err *err)
{
        run_stage_done(run, err->text);
}

/* The state that the watch starts from: see watch.c. */
static void done(struct run *run, const char *state, int64_t targets)
{
        const struct rollout *o = run->state;
        struct err err = ERR_INIT;
        int r = ledger_exec(&run->host->ledger, &err,
                "UPDATE deployments SET state=?1, open=1, targets=?2, rollout_id=nullif(?3, 0) "
                "WHERE run=?4",
                "tiii", state, targets, o->id, run->id);
        run_stage_done(run, r < 0 ? err.text : NULL);
}

static int begin(struct run *run, event_callback_fn again, struct err *err)
{
        CLEAN_JSON json_t *row = NULL;
        struct rollout *o = calloc(1, sizeof(*o));
        if (!o)
                return err_errno(err, -ENOMEM, "cannot roll out");
        run->state = o;
        run->state_free = rollout_free;
        o->wait_ms = ROLLOUT_FIRST_WAIT_MS;
        o->on_again = evtimer_new(run->host->base, again, run);
        if (!o->on_again)
                return err_errno(err, -ENOMEM, "cannot roll out");
        int r = ledger_row(&run->host->ledger, err, &row,
                "SELECT set_id, rollout_id FROM deployments WHERE run=?1", "i", run->id);
        if (r < 0)
                return r;
        o->set_id = json_int(row, "set_id", 0);
        o->id = json_int(row, "rollout_id", 0);
        if (!o->set_id)
                return err_set(err, -ENOENT, "stage 'deploy' left no distribution set");
        snprintf(o->name, sizeof(o->name), "%s %s run %lld %.7s", run->manifest.name,
                run->manifest.version, (long long)run->id, run->commit);
        return run_open_hawkbit(run->host, &run->pipeline, &run->hawkbit, err);
}

/* ── which cars ── */

static void ask_targets(struct run *run, int64_t offset, int limit, hawkbit_done answered)
{
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(8));
        buf_addf(&target, "/rest/v1/targets?offset=%lld&limit=%d&q=", (long long)offset, limit);
        buf_add_url(&target, run->pipeline.target_filter);
        hawkbit_call(run->hawkbit, "GET", buf_text(&target), NULL, answered, run);
}

/* True when the stage goes on. */
static bool has_targets(struct run *run, int status, const json_t *body, const struct err *failure)
{
        struct err err = ERR_INIT;
        if (status != 200) {
                fail(run, failure);
                return false;
        }
        if (json_int(body, "total", 0) > 0)
                return true;
        err_set(&err, -ENOENT,
                "no car matches '%s': start one so that it registers, then 'driveline pipeline "
                "retry %lld'",
                run->pipeline.target_filter, (long long)run->id);
        fail(run, &err);
        return false;
}

/* ── rollout ── */

static void ask_status(struct run *run);

static void wait_again(struct run *run)
{
        struct rollout *o = run->state;
        bool is_asked = !strcmp(o->status, "waiting_for_approval");
        int ms = is_asked ? ROLLOUT_APPROVAL_WAIT_MS : o->wait_ms;
        const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
        o->wait_ms = o->wait_ms * 2 > ROLLOUT_MAX_WAIT_MS ? ROLLOUT_MAX_WAIT_MS : o->wait_ms * 2;
        evtimer_add(o->on_again, &tv);
}

static void again(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        ask_status(arg);
}

static void started(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        struct rollout *o = run->state;
        (void)body;
        if (status == 204 || status == 200) {
                run_log(run, "started");
                o->wait_ms = ROLLOUT_FIRST_WAIT_MS;
                wait_again(run);
        } else if (status == 400) { /* somebody else moved it: what it is now decides */
                run_log(run, "not started: %s", err->text);
                wait_again(run);
        } else {
                fail(run, err);
        }
}

static void start_rollout(struct run *run)
{
        const struct rollout *o = run->state;
        char target[64];
        snprintf(target, sizeof(target), "/rest/v1/rollouts/%lld/start", (long long)o->id);
        hawkbit_call(run->hawkbit, "POST", target, NULL, started, run);
}

/* Says what it waits for where `driveline why` and the page read it. */
static void note_waiting(struct run *run, const char *status)
{
        struct rollout *o = run->state;
        if (!strcmp(o->status, status))
                return;
        snprintf(o->status, sizeof(o->status), "%s", status);
        run_log(run, "rollout %lld is %s", (long long)o->id, status);
        (void)ledger_exec(&run->host->ledger, NULL, "UPDATE deployments SET state=?1 WHERE run=?2",
                "ti", status, run->id);
}

static void status_known(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        static const char *const begun[] = {"running", "paused", "finished"};
        static const char *const dead[] = {
                "stopping", "stopped", "deleting", "deleted", "approval_denied"};
        const char *state = json_text(body, "status", "");
        if (status != 200) {
                fail(run, err);
                return;
        }
        note_waiting(run, state);
        for (size_t i = 0; i < N_ELEMENTS(begun); i++)
                if (!strcmp(state, begun[i])) {
                        done(run, state, json_int(body, "totalTargets", 0));
                        return;
                }
        for (size_t i = 0; i < N_ELEMENTS(dead); i++)
                if (!strcmp(state, dead[i])) {
                        struct err why = ERR_INIT;
                        err_set(&why, -ECANCELED, "the rollout was not started: it is %s", state);
                        fail(run, &why);
                        return;
                }
        if (!strcmp(state, "ready"))
                start_rollout(run);
        else
                wait_again(run);
}

static void ask_status(struct run *run)
{
        const struct rollout *o = run->state;
        char target[64];
        snprintf(target, sizeof(target), "/rest/v1/rollouts/%lld", (long long)o->id);
        hawkbit_call(run->hawkbit, "GET", target, NULL, status_known, run);
}

static void follow(struct run *run, int64_t id)
{
        struct rollout *o = run->state;
        struct err err = ERR_INIT;
        o->id = id;
        int r = ledger_exec(&run->host->ledger, &err,
                "UPDATE deployments SET rollout_id=?1 WHERE run=?2", "ii", id, run->id);
        if (r < 0)
                fail(run, &err);
        else
                ask_status(run);
}

static void rollout_found(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        const struct rollout *o = run->state;
        const json_t *entry = json_array_get(json_object_get(body, "content"), 0);
        struct err taken = ERR_INIT;
        if (status != 200) {
                fail(run, err);
        } else if (entry && json_int(entry, "distributionSetId", 0) == o->set_id) {
                follow(run, json_int(entry, "id", 0));
        } else {
                err_set(&taken, -EEXIST, "another rollout has the name '%s'", o->name);
                fail(run, &taken);
        }
}

static void rollout_created(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        const struct rollout *o = run->state;
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(4)), query = BUF_INIT(LIMIT_KIB(1));
        if (status == 201 && json_int(body, "id", 0)) {
                run_log(run, "rollout %lld '%s' created", (long long)json_int(body, "id", 0),
                        o->name);
                follow(run, json_int(body, "id", 0));
        } else if (status == 409) {
                buf_addf(&query, "name=='%s'", o->name);
                buf_adds(&target, "/rest/v1/rollouts?representation=full&q=");
                buf_add_url(&target, buf_text(&query));
                hawkbit_call(run->hawkbit, "GET", buf_text(&target), NULL, rollout_found, run);
        } else {
                run_stage_done(run,
                        err ? err->text : "the update server's answer has no id of the rollout");
        }
}

static void create_rollout(struct run *run)
{
        const struct rollout *o = run->state;
        const struct pipeline *p = &run->pipeline;
        char success[16], error[16];
        snprintf(success, sizeof(success), "%d", p->success_threshold);
        snprintf(error, sizeof(error), "%d", p->error_threshold);
        json_t *body = json_pack(
                "{s:s,s:s,s:s,s:I,s:i,s:s,s:{s:s,s:s},s:{s:s,s:s},s:{s:s,s:s},s:{s:s,s:s}}", "name",
                o->name, "description", "made by a driveline pipeline", "targetFilterQuery",
                p->target_filter, "distributionSetId", (json_int_t)o->set_id, "amountGroups",
                p->groups, "type", "forced", "successCondition", "condition", "THRESHOLD",
                "expression", success, "successAction", "action", "NEXTGROUP", "expression", "",
                "errorCondition", "condition", "THRESHOLD", "expression", error, "errorAction",
                "action", "PAUSE", "expression", "");
        hawkbit_call(run->hawkbit, "POST", "/rest/v1/rollouts", body, rollout_created, run);
}

static void rollout_targets(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        if (has_targets(run, status, body, err))
                create_rollout(run);
}

static int start_rollout_stage(struct run *run, struct err *err)
{
        int r = begin(run, again, err);
        if (r < 0)
                return r;
        const struct rollout *o = run->state;
        if (o->id)
                ask_status(run);
        else
                ask_targets(run, 0, 1, rollout_targets);
        return 0;
}

const struct stage stage_rollout = {.name = "rollout", .start = start_rollout_stage};

/* ── assignment ── */

static void ask_page(struct run *run);

static void page_assigned(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        struct rollout *o = run->state;
        if (status != 200) {
                fail(run, err);
                return;
        }
        o->assigned += json_int(body, "total", 0);
        o->offset += ASSIGNMENT_PAGE;
        ask_page(run);
}

static void assign_page(struct run *run, const json_t *cars)
{
        const struct rollout *o = run->state;
        json_t *body = json_array();
        char target[96];
        size_t i;
        json_t *car;
        json_array_foreach(cars, i, car) json_array_append_new(body,
                json_pack("{s:s,s:s}", "id", json_text(car, "controllerId", ""), "type", "forced"));
        snprintf(target, sizeof(target), "/rest/v1/distributionsets/%lld/assignedTargets",
                (long long)o->set_id);
        hawkbit_call(run->hawkbit, "POST", target, body, page_assigned, run);
}

static void page_known(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        const struct rollout *o = run->state;
        const json_t *cars = json_object_get(body, "content");
        if (!has_targets(run, status, body, err))
                return;
        if (json_array_size(cars)) {
                assign_page(run, cars);
                return;
        }
        run_log(run, "assigned to %lld cars", (long long)o->assigned);
        done(run, "running", o->assigned);
}

static void ask_page(struct run *run)
{
        const struct rollout *o = run->state;
        ask_targets(run, o->offset, ASSIGNMENT_PAGE, page_known);
}

static void unused(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        (void)arg;
}

static int start_assignment(struct run *run, struct err *err)
{
        int r = begin(run, unused, err);
        if (!r)
                ask_page(run);
        return r;
}

const struct stage stage_assignment = {.name = "assignment", .start = start_assignment};
