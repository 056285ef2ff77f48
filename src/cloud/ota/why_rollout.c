/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/rollout.h"
#include "cloud/ota/rollout_rule.h"
#include "cloud/ota/why.h"

#include <stdlib.h>
#include <string.h>

/* Why rollouts and their groups stand where they stand (why.h). */

#define MAX_HOLDING 5 /* devices that are named as those that a group waits for */

/* ── what moves them ── */

static void add_call(struct tx *tx, struct why *w, int64_t rollout, const char *what,
        const char *verb, const char *call)
{
        why_add_move(w, what,
                verb ? arena_printf(
                               tx->arena, "driveline rollout %s %lld", verb, (long long)rollout)
                     : NULL,
                call ? "POST" : "DELETE",
                call ? arena_printf(tx->arena, "rollouts/%lld/%s", (long long)rollout, call)
                     : arena_printf(tx->arena, "rollouts/%lld", (long long)rollout));
}

static void say(struct why *w, const char *reason, const char *text)
{
        w->reason = reason;
        w->text = text;
}

/* ── groups ── */

static bool read_group(struct tx *tx, int64_t id, struct group *ret)
{
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS " FROM rollout_group g WHERE g.tenant=? AND g.id=?",
                SQL_I(tx->tenant), SQL_I(id));
        if (!sql_next(&rows))
                return false;
        group_read(&rows, ret);
        return true;
}

static const char *counts_text(struct tx *tx, const struct rollout *r, const struct group *g)
{
        struct rollout_counts c;
        rollout_count(tx, r, g->id, &c);
        return arena_printf(tx->arena,
                "group '%s' is %s: %lld of %lld finished, %lld failed, %lld under way; it goes on "
                "at "
                "%s %% finished and stops above %s %% failed",
                g->name, group_status_words[g->status], (long long)c.finished, (long long)c.total,
                (long long)c.error, (long long)c.running, g->success_condition, g->error_condition);
}

/* Some of the devices that the group waits for. */
static void add_holding(struct tx *tx, const struct group *g, struct why *w)
{
        CLEAN_ROWS struct sql_rows r = sql_open(tx,
                "SELECT t.controller_id, a.status, a.id FROM action a JOIN target t ON "
                "t.id=a.target"
                " WHERE a.rollout_group=? AND a.active=1 ORDER BY a.id LIMIT ?",
                SQL_I(g->id), SQL_I(MAX_HOLDING));
        while (sql_next(&r))
                why_line(w, arena_printf(tx->arena, "not done: '%s' (action %lld is %s)",
                                    sql_col_text(&r, 0), (long long)sql_col_int(&r, 2),
                                    action_status_words[sql_col_int(&r, 1)]));
}

static void why_running_group(
        struct tx *tx, const struct rollout *r, const struct group *g, struct why *w)
{
        bool takes_more = g->is_dynamic && g->total_targets < (int64_t)g->percentage;
        if (takes_more)
                say(w, "targets",
                        arena_printf(tx->arena, "takes targets that match: %lld of %lld are there",
                                (long long)g->total_targets, (long long)g->percentage));
        else
                say(w, "reports", "waits for reports of its devices");
        add_holding(tx, g, w);
        if (r->status == ROLLOUT_PAUSED)
                add_call(tx, w, r->id, "resume its rollout", "resume", "resume");
        else
                add_call(tx, w, r->id, "start the next group now", "next", "triggerNextGroup");
}

/* The window's part of an answer; false: it is open, or there is none. */
static bool wait_for_window(
        struct tx *tx, const struct rollout *r, const struct group *g, struct why *w)
{
        int64_t opens_at = 0;
        if (rollout_may_start(tx, r->id, g->id, &opens_at))
                return false;
        say(w, "start-window",
                opens_at ? arena_printf(tx->arena,
                                   "group '%s' waits for its start window, which opens at %s",
                                   g->name, why_time(tx, opens_at))
                         : arena_printf(tx->arena,
                                   "group '%s' waits for its start window, which never opens again",
                                   g->name));
        w->until = opens_at;
        add_call(tx, w, r->id, "start it now", "next", "triggerNextGroup");
        return true;
}

static bool is_next(struct tx *tx, const struct rollout *r, const struct group *g)
{
        return sql_int(tx, 0, "SELECT min(id) FROM rollout_group WHERE rollout=? AND status=?",
                       SQL_I(r->id), SQL_I(GROUP_SCHEDULED)) == g->id;
}

/* The group before lets the next one start, or there is none before. */
static bool is_its_turn(struct tx *tx, const struct rollout *r, const struct group *g)
{
        if (!is_next(tx, r, g))
                return false;
        int64_t before =
                sql_int(tx, 0, "SELECT max(id) FROM rollout_group WHERE rollout=? AND id<?",
                        SQL_I(r->id), SQL_I(g->id));
        struct group last;
        if (!before || !read_group(tx, before, &last) || last.status != GROUP_RUNNING)
                return true;
        struct rollout_counts c;
        rollout_count(tx, r, before, &c);
        int64_t due = strtoll(last.success_condition, NULL, 10);
        return c.total == 0 || c.finished * 100 >= due * c.total;
}

static void why_scheduled_group(
        struct tx *tx, const struct rollout *r, const struct group *g, struct why *w)
{
        if (r->status == ROLLOUT_PAUSED) {
                say(w, "rollout", "its rollout is paused");
                add_call(tx, w, r->id, "resume it", "resume", "resume");
                return;
        }
        if (is_its_turn(tx, r, g) && wait_for_window(tx, r, g, w))
                return;
        say(w, "previous-group", "waits for the group before it to reach its threshold");
        add_call(tx, w, r->id, "start the next group now", "next", "triggerNextGroup");
}

bool why_group(struct tx *tx, int64_t rollout, int64_t id, struct why *ret)
{
        struct group g;
        struct rollout r;
        *ret = (struct why){.kind = "group"};
        if (!read_group(tx, id, &g) || (rollout && g.rollout != rollout) ||
                !rollout_find(tx, g.rollout, &r))
                return false;
        ret->id = arena_printf(tx->arena, "%lld", (long long)id);
        ret->status = group_status_words[g.status];
        why_line(ret, arena_printf(tx->arena, "it is of rollout %lld '%s', which is %s",
                              (long long)r.id, r.name, rollout_status_words[r.status]));
        why_line(ret, counts_text(tx, &r, &g));
        switch (g.status) {
        case GROUP_CREATING:
        case GROUP_READY:
                say(ret, "rollout", "waits for the start of its rollout");
                why_add_move(ret, "see what that waits for",
                        arena_printf(tx->arena, "driveline why rollout/%lld", (long long)r.id),
                        "GET", arena_printf(tx->arena, "rollouts/%lld/why", (long long)r.id));
                break;
        case GROUP_SCHEDULED:
                why_scheduled_group(tx, &r, &g, ret);
                break;
        case GROUP_RUNNING:
                why_running_group(tx, &r, &g, ret);
                break;
        case GROUP_ERROR:
                say(ret, "error-threshold",
                        "too many of its devices failed; it isn't looked at again");
                if (r.status == ROLLOUT_PAUSED)
                        add_call(tx, ret, r.id, "go on with the next group", "resume", "resume");
                break;
        case GROUP_FINISHED:
                say(ret, "nothing", "it is over and waits for nothing");
                break;
        }
        return true;
}

/* ── rollouts ── */

static bool find_group_where(struct tx *tx, const struct rollout *r, const char *sql,
        enum group_status status, struct group *ret)
{
        int64_t id = sql_int_args(tx, 0, sql, SQL_ARGS(SQL_I(r->id), SQL_I(status)));
        return id && read_group(tx, id, ret);
}

#define FIRST_GROUP "SELECT min(id) FROM rollout_group WHERE rollout=? AND status=?"
#define LAST_GROUP "SELECT max(id) FROM rollout_group WHERE rollout=? AND status=?"

static void why_running(struct tx *tx, const struct rollout *r, struct why *w)
{
        struct group g, next;
        bool has_running = find_group_where(tx, r, LAST_GROUP, GROUP_RUNNING, &g);
        bool has_next = find_group_where(tx, r, FIRST_GROUP, GROUP_SCHEDULED, &next);
        if (has_next && is_its_turn(tx, r, &next) && wait_for_window(tx, r, &next, w)) {
        } else if (has_running && g.is_dynamic && g.total_targets < (int64_t)g.percentage) {
                say(w, "targets", "it is dynamic and takes targets that match");
        } else {
                say(w, "reports", "waits for reports of its devices");
                if (has_next)
                        add_call(tx, w, r->id, "start the next group now", "next",
                                "triggerNextGroup");
        }
        add_call(tx, w, r->id, "halt it", "pause", "pause");
}

static void why_paused(struct tx *tx, const struct rollout *r, struct why *w)
{
        struct group g;
        int64_t latest = sql_int(tx, 0,
                "SELECT max(id) FROM rollout_group WHERE rollout=? AND status IN (?, ?, ?)",
                SQL_I(r->id), SQL_I(GROUP_RUNNING), SQL_I(GROUP_FINISHED), SQL_I(GROUP_ERROR));
        bool has_latest = latest && read_group(tx, latest, &g);
        if (has_latest && g.status == GROUP_ERROR)
                say(w, "error-threshold",
                        arena_printf(tx->arena,
                                "it is paused: more than %s %% of group '%s' failed",
                                g.error_condition, g.name));
        else if (has_latest && g.success_action == GROUP_PAUSE && g.has_fired)
                say(w, "success-pause",
                        arena_printf(tx->arena,
                                "it is paused, as asked for after the success of group '%s'",
                                g.name));
        else
                say(w, "paused", "it is paused by a person");
        add_call(tx, w, r->id, "go on", "resume", "resume");
        add_call(tx, w, r->id, "end it", "stop", "stop");
}

static void why_ready(struct tx *tx, const struct rollout *r, struct why *w)
{
        if (r->start_at > tx->now) {
                say(w, "start-time",
                        arena_printf(
                                tx->arena, "it starts by itself at %s", why_time(tx, r->start_at)));
                w->until = r->start_at;
        } else if (r->start_at >= 0) {
                say(w, "scheduler", "its start time has come: the scheduler starts it");
        } else {
                say(w, "start", "it waits for its start");
        }
        add_call(tx, w, r->id, "start it now", "start", "start");
}

static void why_stopped(struct tx *tx, const struct rollout *r, struct why *w)
{
        int64_t open = sql_int(
                tx, 0, "SELECT count(*) FROM action WHERE rollout=? AND active=1", SQL_I(r->id));
        if (!open) {
                say(w, "nothing", "it is stopped and waits for nothing");
                return;
        }
        say(w, "cancel-answer",
                arena_printf(tx->arena, "waits for %lld devices to agree to the cancellation",
                        (long long)open));
        add_call(tx, w, r->id, "end it without the devices", "delete", NULL);
}

static void why_deciding(struct tx *tx, const struct rollout *r, struct why *w)
{
        if (r->status == ROLLOUT_APPROVAL_DENIED) {
                say(w, "denied", "its approval was denied; it can only be stopped or deleted");
                add_call(tx, w, r->id, "delete it", "delete", NULL);
                return;
        }
        say(w, "approval", "it waits for approval");
        add_call(tx, w, r->id, "approve it", "approve", "approve");
        add_call(tx, w, r->id, "deny it", "deny", "deny");
}

static void why_state(struct tx *tx, const struct rollout *r, struct why *w)
{
        switch (r->status) {
        case ROLLOUT_READY:
                why_ready(tx, r, w);
                break;
        case ROLLOUT_PAUSED:
                why_paused(tx, r, w);
                break;
        case ROLLOUT_RUNNING:
                why_running(tx, r, w);
                break;
        case ROLLOUT_STOPPED:
                why_stopped(tx, r, w);
                break;
        case ROLLOUT_WAITING_FOR_APPROVAL:
        case ROLLOUT_APPROVAL_DENIED:
                why_deciding(tx, r, w);
                break;
        case ROLLOUT_CREATING:
        case ROLLOUT_STARTING:
        case ROLLOUT_STOPPING:
        case ROLLOUT_DELETING:
                say(w, "scheduler",
                        "the scheduler does that by itself; if nothing moves, the update server "
                        "does "
                        "not run: driveline up");
                break;
        case ROLLOUT_FINISHED:
        case ROLLOUT_DELETED:
                say(w, "nothing", "it is over and waits for nothing");
                break;
        }
}

bool why_rollout(struct tx *tx, int64_t id, struct why *ret)
{
        struct rollout r;
        *ret = (struct why){.kind = "rollout"};
        if (!rollout_find(tx, id, &r))
                return false;
        ret->id = arena_printf(tx->arena, "%lld", (long long)id);
        ret->status = rollout_status_words[r.status];
        why_line(ret, arena_printf(tx->arena, "it is '%s'", r.name));
        why_state(tx, &r, ret);
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS
                " FROM rollout_group g WHERE g.rollout=? AND g.status IN (?, ?) ORDER BY g.id",
                SQL_I(id), SQL_I(GROUP_RUNNING), SQL_I(GROUP_ERROR));
        while (sql_next(&rows)) {
                struct group g;
                group_read(&rows, &g);
                why_line(ret, counts_text(tx, &r, &g));
        }
        return true;
}
