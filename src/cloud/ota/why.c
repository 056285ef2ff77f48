/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/why.h"

#include "base/clock.h"
#include "cloud/ota/cron.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/polling.h"
#include "cloud/ota/settings.h"
#include "cloud/ota/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *why_time(struct tx *tx, int64_t ms)
{
        char text[CLOCK_ISO8601_SIZE];
        clock_iso8601(ms, text);
        return arena_strdup(tx->arena, text);
}

void why_line(struct why *w, const char *text)
{
        if (text && w->n_lines < WHY_MAX_LINES)
                w->lines[w->n_lines++] = text;
}

void why_add_move(
        struct why *w, const char *what, const char *verb, const char *method, const char *path)
{
        if (w->n_moves < WHY_MAX_MOVES)
                w->moves[w->n_moves++] = (struct why_move){what, verb, method, path};
}

static void set_reason(struct why *w, const char *reason, const char *text)
{
        w->reason = reason;
        w->text = text;
}

/* ── actions ── */

/* What an answer about an action is made of. */
struct about {
        struct tx *tx;
        struct action a;
        struct target t;
        const char *path; /* targets/{id}/actions/{id} */
        struct why *w;
};

static const char *path_of(struct tx *tx, const char *controller_id)
{
        CLEAN_BUF struct buf b = BUF_INIT(2048);
        buf_add_url(&b, controller_id);
        return arena_printf(tx->arena, "targets/%s", buf_text(&b));
}

static void add_withdrawal(struct about *b)
{
        why_add_move(b->w, "withdraw it",
                arena_printf(b->tx->arena, "driveline action cancel %lld", (long long)b->a.id),
                "DELETE", b->path);
}

static void add_force_quit(struct about *b)
{
        why_add_move(b->w, "end it without the device",
                arena_printf(
                        b->tx->arena, "driveline action cancel --force %lld", (long long)b->a.id),
                "DELETE", arena_printf(b->tx->arena, "%s?force=true", b->path));
}

static void last_message(struct about *b)
{
        const char *text = sql_text(b->tx,
                "SELECT m.text FROM action_status x JOIN action_message m ON m.status=x.id WHERE "
                "x.action=? ORDER BY x.id DESC, m.n DESC LIMIT 1",
                SQL_I(b->a.id));
        if (text)
                why_line(b->w, arena_printf(b->tx->arena, "last word: %s", text));
}

static int64_t next_poll(struct tx *tx, const struct target *t, bool *ret_is_overdue)
{
        int64_t late = 0;
        polling_parse_interval(settings_text(tx, SETTING_OVERDUE_TIME), &late);
        int64_t next = t->last_query_at + polling_interval_ms(tx, t->id, NULL);
        *ret_is_overdue = t->last_query_at && tx->now > next + late;
        return next;
}

static const char *seen_text(struct tx *tx, const struct target *t)
{
        return t->last_query_at ? arena_printf(tx->arena, "it polled last at %s",
                                          why_time(tx, t->last_query_at))
                                : "it polled never";
}

/* The device's own turn: to poll, to report, to answer. */
static void wait_for_device(struct about *b, const char *reason, const char *what)
{
        bool is_overdue = false;
        const char *seen = seen_text(b->tx, &b->t);
        int64_t next = next_poll(b->tx, &b->t, &is_overdue);
        const char *text = arena_printf(
                b->tx->arena, "waits for '%s' to %s; %s", b->t.controller_id, what, seen);
        if (!b->t.last_query_at)
                set_reason(b->w, "never-polled", text);
        else if (is_overdue)
                set_reason(b->w, "overdue",
                        arena_printf(b->tx->arena, "%s and is overdue since %s", text,
                                why_time(b->tx, next)));
        else
                set_reason(b->w, reason, text);
}

static bool wait_for_other(struct about *b)
{
        struct action next;
        if (!action_next(b->tx, b->t.id, &next) || next.id == b->a.id)
                return false;
        set_reason(b->w, "other-action",
                arena_printf(b->tx->arena,
                        "waits behind action %lld of the same target, which is %s",
                        (long long)next.id, next.weight > b->a.weight ? "heavier" : "older"));
        why_add_move(b->w, "see what that one waits for",
                arena_printf(b->tx->arena, "driveline why action/%lld", (long long)next.id), "GET",
                arena_printf(b->tx->arena, "actions/%lld/why", (long long)next.id));
        add_withdrawal(b);
        return true;
}

static bool wait_for_window(struct about *b)
{
        struct cron_window w;
        if (!b->a.schedule ||
                cron_window_at(b->a.schedule, b->a.duration, b->a.timezone, b->tx->now, &w) < 0 ||
                w.start <= b->tx->now)
                return false;
        set_reason(b->w, "maintenance-window",
                arena_printf(b->tx->arena,
                        "'%s' installs only in its maintenance window, which opens at %s",
                        b->t.controller_id, why_time(b->tx, w.start)));
        b->w->until = w.start;
        why_line(b->w, seen_text(b->tx, &b->t));
        add_withdrawal(b);
        return true;
}

static void wait_for_confirmation(struct about *b)
{
        set_reason(b->w, "confirmation",
                arena_printf(
                        b->tx->arena, "waits for the confirmation of '%s'", b->t.controller_id));
        why_add_move(b->w, "confirm",
                arena_printf(b->tx->arena, "driveline action confirm %lld", (long long)b->a.id),
                "PUT", arena_printf(b->tx->arena, "%s/confirmation", b->path));
        add_withdrawal(b);
}

static void wait_for_proof(struct about *b)
{
        b->w->until = b->a.proving_since + proof_within(b->tx);
        int64_t from = b->a.proving_since + settings_duration(b->tx, SETTING_PROOF);
        set_reason(b->w, "proof",
                arena_printf(b->tx->arena,
                        "'%s' reported success and has to prove it: waits for it to poll between "
                        "%s "
                        "and %s",
                        b->t.controller_id, why_time(b->tx, from), why_time(b->tx, b->w->until)));
        why_add_move(b->w, "prove or disprove it", NULL, "POST",
                arena_printf(b->tx->arena, "actions/%lld/proof", (long long)b->a.id));
}

static void add_deadline(struct about *b)
{
        int64_t silence = 0, total = 0, sign = 0, opened = 0;
        deadline_limits(b->tx, &b->a, &silence, &total);
        if (b->a.proving_since || (!silence && !total))
                return;
        deadline_signs(b->tx, &b->a, &sign, &opened);
        if (silence)
                why_line(b->w, arena_printf(b->tx->arena,
                                       "without a sign of the device it times out at %s",
                                       why_time(b->tx, sign + silence)));
        if (total)
                why_line(b->w, arena_printf(b->tx->arena, "it times out at %s in any case",
                                       why_time(b->tx, opened + total)));
}

static void why_open(struct about *b)
{
        if (b->a.proving_since) {
                wait_for_proof(b);
        } else if (b->a.status == ACTION_CANCELING) {
                wait_for_device(b, "cancel-answer", "agree to the cancellation");
                add_force_quit(b);
        } else if (b->a.status == ACTION_WAIT_FOR_CONFIRMATION) {
                wait_for_confirmation(b);
        } else if (!wait_for_other(b) && !wait_for_window(b)) {
                bool is_read = b->a.status != ACTION_RUNNING;
                wait_for_device(b, is_read ? "device-report" : "device-poll",
                        is_read ? "report its end; it has read it and works on it" : "poll");
                add_withdrawal(b);
        }
        add_deadline(b);
}

static void why_scheduled(struct about *b)
{
        long long rollout = b->a.rollout, group = b->a.group;
        set_reason(b->w, "group", "waits for its rollout group to start");
        why_add_move(b->w, "see what the group waits for",
                arena_printf(b->tx->arena, "driveline why group/%lld", group), "GET",
                arena_printf(b->tx->arena, "rollouts/%lld/deploygroups/%lld/why", rollout, group));
}

static void why_closed(struct about *b)
{
        set_reason(b->w, "nothing", "it is closed and waits for nothing");
        if (b->a.status == ACTION_ERROR)
                why_add_move(b->w, "assign the set again", NULL, "POST",
                        arena_printf(
                                b->tx->arena, "%s/assignedDS", path_of(b->tx, b->t.controller_id)));
}

bool why_action(struct tx *tx, int64_t id, struct why *ret)
{
        struct about b = {.tx = tx, .w = ret};
        *ret = (struct why){.kind = "action"};
        if (!action_get(tx, id, &b.a) || !target_get(tx, b.a.target, &b.t))
                return false;
        ret->id = arena_printf(tx->arena, "%lld", (long long)id);
        ret->status = action_status_words[b.a.status];
        b.path = arena_printf(
                tx->arena, "%s/actions/%lld", path_of(tx, b.t.controller_id), (long long)id);
        why_line(ret, arena_printf(tx->arena, "it is for '%s'", b.t.controller_id));
        if (b.a.is_active)
                why_open(&b);
        else if (b.a.status == ACTION_SCHEDULED)
                why_scheduled(&b);
        else
                why_closed(&b);
        last_message(&b);
        return true;
}

/* ── targets ── */

bool why_target(struct tx *tx, const char *controller_id, struct why *ret)
{
        struct target t;
        struct action a;
        bool is_overdue = false;
        if (!target_find(tx, controller_id, &t))
                return false;
        int64_t open = sql_int(tx, 0,
                "SELECT id FROM action WHERE target=? AND active=1 AND proving_since IS NOT NULL"
                " ORDER BY id LIMIT 1",
                SQL_I(t.id));
        if (action_next(tx, t.id, &a))
                open = a.id;
        if (open) {
                bool is_there = why_action(tx, open, ret);
                why_line(ret, arena_printf(tx->arena, "target '%s' is %s", t.controller_id,
                                      target_status_words[t.status]));
                return is_there;
        }
        *ret = (struct why){
                .kind = "target", .id = t.controller_id, .status = target_status_words[t.status]};
        int64_t next = next_poll(tx, &t, &is_overdue);
        if (!t.last_query_at)
                set_reason(ret, "never-polled",
                        "it never polled, and no action is open for it; start the car: "
                        "driveline-tcu");
        else if (is_overdue)
                set_reason(ret, "overdue",
                        arena_printf(tx->arena,
                                "%s and is overdue since %s; no action is open for it",
                                seen_text(tx, &t), why_time(tx, next)));
        else
                set_reason(ret, "nothing", "no action is open for it");
        why_add_move(ret, "assign a set", NULL, "POST",
                arena_printf(tx->arena, "%s/assignedDS", path_of(tx, t.controller_id)));
        return true;
}

/* ── text ── */

void why_print(const struct why *w, struct buf *b)
{
        buf_addf(b, "%s %s is %s\n  %s\n", w->kind, w->id, w->status, w->text);
        for (size_t i = 0; i < w->n_lines; i++)
                buf_addf(b, "  %s\n", w->lines[i]);
        for (size_t i = 0; i < w->n_moves; i++) {
                const struct why_move *m = &w->moves[i];
                if (m->verb)
                        buf_addf(b, "  to %s: %s\n", m->what, m->verb);
                else
                        buf_addf(b, "  to %s: %s /rest/v1/%s\n", m->what, m->method, m->path);
        }
}

static bool answer_for(struct tx *tx, const char *id, struct why *w)
{
        if (strncmp(id, "action/", 7) == 0)
                return why_action(tx, strtoll(id + 7, NULL, 10), w);
        if (strncmp(id, "rollout/", 8) == 0)
                return why_rollout(tx, strtoll(id + 8, NULL, 10), w);
        if (strncmp(id, "group/", 6) == 0)
                return why_group(tx, 0, strtoll(id + 6, NULL, 10), w);
        return why_target(tx, id, w);
}

int ota_why(struct ota_view *v, const char *id, struct buf *ret, struct err *err)
{
        struct view_unit u;
        struct why w;
        view_begin(v, &u);
        bool is_there = answer_for(&u.tx, id, &w);
        if (is_there)
                why_print(&w, ret);
        int end = view_end(&u, err);
        if (end < 0)
                return end;
        return is_there ? 0
                        : err_set(err, -ENOENT,
                                  "the update server knows no '%s'; try action/ID, rollout/ID, "
                                  "group/ID or a car's name",
                                  id);
}
