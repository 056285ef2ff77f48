/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/watch.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

#define WATCH_MIN_MS 500
#define WATCH_MAX_MS 10000
#define WATCH_MOST 20 /* the newest open deployments; older ones will hardly move */

struct watch {
        struct run_host *host;
        struct event *on_round;
        struct event *on_next; /* a client must not be freed from its own callback */
        int wait_ms;
        bool has_changed; /* in this round */
        bool is_silent;   /* the server's absence was told once */
        json_t *round;    /* rows still to be asked */
        size_t next;
        struct hawkbit *hawkbit;
        /* the deployment that is asked now */
        int64_t run;
        int64_t set_id;
        int64_t installed;
};

static void next(struct watch *w)
{
        event_active(w->on_next, EV_TIMEOUT, 0);
}

void watch_free(struct watch *w)
{
        if (!w)
                return;
        if (w->on_round)
                event_free(w->on_round);
        if (w->on_next)
                event_free(w->on_next);
        hawkbit_free(w->hawkbit);
        json_decref(w->round);
        free(w);
}

static void rest(struct watch *w)
{
        w->wait_ms = w->has_changed ? WATCH_MIN_MS : w->wait_ms * 2;
        if (w->wait_ms > WATCH_MAX_MS)
                w->wait_ms = WATCH_MAX_MS;
        const struct timeval tv = {w->wait_ms / 1000, (w->wait_ms % 1000) * 1000};
        json_decref(w->round);
        w->round = NULL;
        evtimer_add(w->on_round, &tv);
}

static void store(struct watch *w, const char *state, bool is_open, const int64_t counts[4])
{
        struct err err = ERR_INIT;
        struct ledger *l = &w->host->ledger;
        int r = ledger_exec(l, &err,
                "UPDATE deployments SET state=?1, open=?2, targets=?3, running=?4, finished=?5, "
                "failed=?6,"
                " updated_at=unixepoch()*1000 WHERE run=?7 AND NOT (state=?1 AND open=?2 AND "
                "targets=?3"
                " AND running=?4 AND finished=?5 AND failed=?6)",
                "tiiiiii", state, (int64_t)is_open, counts[0], counts[1], counts[2], counts[3],
                w->run);
        if (r < 0)
                log_error("run %lld: %s", (long long)w->run, err.text);
        else if (sqlite3_changes(l->db) > 0)
                w->has_changed = true;
}

/* Whether this answer counts; a server that is away is told once. */
static bool is_answer(struct watch *w, int status, const struct err *err)
{
        if (status == 200 || status == 404) {
                w->is_silent = false;
                return status == 200;
        }
        if (!w->is_silent)
                log_warning("cannot follow run %lld: %s", (long long)w->run,
                        err ? err->text : "no answer");
        w->is_silent = true;
        return false;
}

static void rollout_known(void *arg, int status, json_t *body, const struct err *err)
{
        struct watch *w = arg;
        const json_t *n = json_object_get(body, "totalTargetsPerStatus");
        const char *state = json_text(body, "status", "");
        const int64_t counts[4] = {json_int(body, "totalTargets", 0),
                json_int(n, "running", 0) + json_int(n, "scheduled", 0), json_int(n, "finished", 0),
                json_int(n, "error", 0)};
        const int64_t none[4] = {0};
        bool is_over = !strcmp(state, "finished") || !strcmp(state, "stopped") ||
                       !strcmp(state, "deleted");
        /* A rollout may end by its error threshold while cars still work: their answers count, too.
         */
        if (is_answer(w, status, err))
                store(w, state, !is_over || counts[1] > 0, counts);
        else if (status == 404)
                store(w, "deleted", false, none);
        next(w);
}

static void assigned_known(void *arg, int status, json_t *body, const struct err *err)
{
        struct watch *w = arg;
        int64_t targets = json_int(body, "total", 0);
        int64_t running = targets > w->installed ? targets - w->installed : 0;
        const int64_t counts[4] = {targets, running, w->installed, 0}, none[4] = {0};
        if (is_answer(w, status, err))
                store(w, running ? "running" : "finished", running > 0, counts);
        else if (status == 404)
                store(w, "deleted", false, none);
        next(w);
}

static void installed_known(void *arg, int status, json_t *body, const struct err *err)
{
        struct watch *w = arg;
        char target[96];
        if (!is_answer(w, status, err)) {
                next(w);
                return;
        }
        w->installed = json_int(body, "total", 0);
        snprintf(target, sizeof(target), "/rest/v1/distributionsets/%lld/assignedTargets?limit=1",
                (long long)w->set_id);
        hawkbit_call(w->hawkbit, "GET", target, NULL, assigned_known, w);
}

static int ask(struct watch *w, const json_t *row, struct err *err)
{
        struct pipeline p;
        char target[96];
        w->run = json_int(row, "run", 0);
        w->set_id = json_int(row, "set_id", 0);
        int64_t rollout = json_int(row, "rollout_id", 0);
        int r = ledger_pipeline(&w->host->ledger, json_text(row, "pipeline", ""), &p, err);
        if (!r)
                r = run_open_hawkbit(w->host, &p, &w->hawkbit, err);
        if (r < 0)
                return r;
        if (rollout) {
                snprintf(target, sizeof(target), "/rest/v1/rollouts/%lld", (long long)rollout);
                hawkbit_call(w->hawkbit, "GET", target, NULL, rollout_known, w);
        } else {
                snprintf(target, sizeof(target),
                        "/rest/v1/distributionsets/%lld/installedTargets?limit=1",
                        (long long)w->set_id);
                hawkbit_call(w->hawkbit, "GET", target, NULL, installed_known, w);
        }
        return 0;
}

static void ask_next(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct watch *w = arg;
        hawkbit_free(w->hawkbit);
        w->hawkbit = NULL;
        while (w->next < json_array_size(w->round)) {
                struct err err = ERR_INIT;
                if (ask(w, json_array_get(w->round, w->next++), &err) == 0)
                        return;
                (void)is_answer(w, 0, &err);
        }
        rest(w);
}

static void begin_round(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct watch *w = arg;
        w->round = ledger_rows(&w->host->ledger, NULL,
                "SELECT d.run, r.pipeline, d.set_id, d.rollout_id FROM deployments d"
                " JOIN runs r ON r.id=d.run WHERE d.open ORDER BY d.run DESC LIMIT ?1",
                "i", (int64_t)WATCH_MOST);
        w->next = 0;
        w->has_changed = false;
        if (json_array_size(w->round)) {
                next(w);
                return;
        }
        json_decref(w->round); /* nothing to do: watch_wake() calls again */
        w->round = NULL;
}

void watch_wake(struct watch *w)
{
        const struct timeval now = {0, 0};
        w->wait_ms = WATCH_MIN_MS;
        if (!w->round)
                evtimer_add(w->on_round, &now);
}

int watch_new(struct run_host *host, struct watch **ret_watch, struct err *err)
{
        CLEAN(watch) struct watch *w = calloc(1, sizeof(*w));
        if (!w)
                return err_errno(err, -ENOMEM, "cannot watch deployments");
        w->host = host;
        w->on_round = evtimer_new(host->base, begin_round, w);
        w->on_next = evtimer_new(host->base, ask_next, w);
        if (!w->on_round || !w->on_next)
                return err_errno(err, -ENOMEM, "cannot watch deployments");
        watch_wake(w);
        *ret_watch = TAKE(w);
        return 0;
}
