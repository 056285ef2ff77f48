/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/cron.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/view.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Everything that waits says what for, and which command moves it. */

static const char *when(struct tx *tx, int64_t ms)
{
        char text[CLOCK_ISO8601_SIZE];
        clock_iso8601(ms, text);
        return arena_strdup(tx->arena, text);
}

static void last_message(struct tx *tx, struct buf *b, const struct action *a)
{
        const char *text = sql_text(tx,
                "SELECT m.text FROM action_status x JOIN action_message m ON m.status=x.id WHERE "
                "x.action=?"
                " ORDER BY x.id DESC, m.n DESC LIMIT 1",
                SQL_I(a->id));
        if (text)
                buf_addf(b, "  last word: %s\n", text);
}

/* ── actions ── */

static void why_open(struct tx *tx, const struct action *a, const struct target *t, struct buf *b)
{
        long long id = a->id;
        struct cron_window w;
        const char *seen = t->last_query_at ? when(tx, t->last_query_at) : "never";
        switch (a->status) {
        case ACTION_WAIT_FOR_CONFIRMATION:
                buf_addf(b,
                        "  waits for the confirmation of '%s'\n  to confirm: driveline action "
                        "confirm %lld\n",
                        t->controller_id, id);
                break;
        case ACTION_CANCELING:
                buf_addf(b,
                        "  waits for '%s' to agree to the cancellation; it polled last at %s\n"
                        "  to end it without the device: driveline action cancel --force %lld\n",
                        t->controller_id, seen, id);
                break;
        case ACTION_RETRIEVED:
                buf_addf(b,
                        "  '%s' has read it and works on it; it polled last at %s\n  to withdraw "
                        "it: driveline action cancel %lld\n",
                        t->controller_id, seen, id);
                break;
        default:
                buf_addf(b,
                        "  waits for '%s' to poll; it polled last at %s\n  to withdraw it: "
                        "driveline action cancel %lld\n",
                        t->controller_id, seen, id);
        }
        if (a->schedule &&
                cron_window_at(a->schedule, a->duration, a->timezone, tx->now, &w) == 0 &&
                w.start > tx->now)
                buf_addf(b, "  installs only in its maintenance window, which opens at %s\n",
                        when(tx, w.start));
}

static int why_action(struct tx *tx, int64_t id, struct buf *b)
{
        struct action a;
        struct target t;
        if (!action_get(tx, id, &a) || !target_get(tx, a.target, &t))
                return -ENOENT;
        buf_addf(b, "action %lld of '%s' is %s\n", (long long)id, t.controller_id,
                action_status_words[a.status]);
        if (a.status == ACTION_SCHEDULED)
                buf_addf(b, "  waits for its rollout group\n  ask: driveline why rollout/%lld\n",
                        (long long)a.rollout);
        else if (a.is_active)
                why_open(tx, &a, &t, b);
        else
                buf_adds(b, "  it is closed and waits for nothing\n");
        last_message(tx, b, &a);
        return 0;
}

/* ── rollouts ── */

static void why_groups(struct tx *tx, const struct rollout *r, struct buf *b)
{
        CLEAN_ROWS struct sql_rows rows = sql_open(tx,
                "SELECT " GROUP_COLUMNS
                " FROM rollout_group g WHERE g.rollout=? AND g.status IN (?, ?) ORDER BY g.id",
                SQL_I(r->id), SQL_I(GROUP_RUNNING), SQL_I(GROUP_ERROR));
        while (sql_next(&rows)) {
                struct group g;
                struct rollout_counts c;
                group_read(&rows, &g);
                rollout_count(tx, r, g.id, &c);
                buf_addf(b,
                        "  group '%s' is %s: %lld of %lld finished, %lld failed, %lld under way; "
                        "it goes on at %s %%"
                        " finished and stops above %s %% failed\n",
                        g.name, group_status_words[g.status], (long long)c.finished,
                        (long long)c.total, (long long)c.error, (long long)c.running,
                        g.success_condition, g.error_condition);
        }
}

static const char *what_moves(const struct rollout *r)
{
        switch (r->status) {
        case ROLLOUT_READY:
                return r->start_at >= 0 ? "it starts by itself at its start time; to start it now: "
                                          "driveline rollout start"
                                        : "it waits for its start: driveline rollout start";
        case ROLLOUT_PAUSED:
                return "it is paused; to go on with the next group: driveline rollout resume";
        case ROLLOUT_WAITING_FOR_APPROVAL:
                return "it waits for approval: driveline rollout approve";
        case ROLLOUT_APPROVAL_DENIED:
                return "its approval was denied; it can only be deleted: driveline rollout delete";
        case ROLLOUT_RUNNING:
                return "it waits for reports of its devices; to halt it: driveline rollout pause";
        case ROLLOUT_CREATING:
        case ROLLOUT_STARTING:
        case ROLLOUT_STOPPING:
        case ROLLOUT_DELETING:
                return "the scheduler does that by itself; if nothing moves, the update server "
                       "does not run: driveline up";
        default:
                return NULL;
        }
}

static int why_rollout(struct tx *tx, int64_t id, struct buf *b)
{
        struct rollout r;
        if (!rollout_find(tx, id, &r))
                return -ENOENT;
        buf_addf(b, "rollout %lld '%s' is %s\n", (long long)id, r.name,
                rollout_status_words[r.status]);
        const char *text = what_moves(&r);
        bool has_id = text && strncmp(strrchr(text, ':') ? strrchr(text, ':') : "",
                                      ": driveline rollout", 19) == 0;
        if (!text)
                buf_adds(b, "  it waits for nothing\n");
        else if (has_id)
                buf_addf(b, "  %s %lld\n", text, (long long)id);
        else
                buf_addf(b, "  %s\n", text);
        why_groups(tx, &r, b);
        return 0;
}

/* ── targets ── */

static int why_target(struct tx *tx, const char *id, struct buf *b)
{
        struct target t;
        struct action a;
        if (!target_find(tx, id, &t))
                return -ENOENT;
        buf_addf(b, "target '%s' is %s\n", id, target_status_words[t.status]);
        if (!t.last_query_at)
                buf_addf(b, "  it never polled; start the car: driveline-tcu\n");
        if (action_next(tx, t.id, &a))
                return why_action(tx, a.id, b);
        buf_adds(b, "  no action is open for it\n");
        return 0;
}

int ota_why(struct ota_view *v, const char *id, struct buf *ret, struct err *err)
{
        struct view_unit u;
        int r;
        view_begin(v, &u);
        if (strncmp(id, "action/", 7) == 0)
                r = why_action(&u.tx, strtoll(id + 7, NULL, 10), ret);
        else if (strncmp(id, "rollout/", 8) == 0)
                r = why_rollout(&u.tx, strtoll(id + 8, NULL, 10), ret);
        else
                r = why_target(&u.tx, id, ret);
        int end = view_end(&u, err);
        if (end < 0)
                return end;
        return r < 0 ? err_set(err, r,
                               "the update server knows no '%s'; try action/ID, rollout/ID or a "
                               "car's name",
                               id)
                     : 0;
}
