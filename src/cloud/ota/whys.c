/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/handlers.h"
#include "cloud/ota/why.h"

/* The routes of why.h. */

static json_t *move_json(const struct why_move *m)
{
        return json_pack("{s:s, s:s*, s:s, s:s}", "what", m->what, "verb", m->verb, "method",
                m->method, "path", m->path);
}

static int reply_why(struct request *q, const struct why *w)
{
        json_t *lines = json_array(), *moves = json_array();
        for (size_t i = 0; i < w->n_lines; i++)
                json_array_append_new(lines, json_string(w->lines[i]));
        for (size_t i = 0; i < w->n_moves; i++) {
                struct why_move m = w->moves[i];
                m.path = arena_printf(&q->arena, "/rest/v1/%s", m.path);
                json_array_append_new(moves, move_json(&m));
        }
        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "kind", w->kind, "id", w->id,
                "status", w->status, "reason", w->reason, "text", w->text, "details", lines,
                "moves", moves);
        if (w->until)
                add_int(j, "until", w->until);
        return reply_json(q, 200, j);
}

int action_why(struct request *q)
{
        struct why w;
        if (!why_action(&q->tx, q->ids[0], &w))
                return tx_not_found(&q->tx, "Action", q->ids[0]);
        return reply_why(q, &w);
}

int rollout_why(struct request *q)
{
        struct why w;
        if (!why_rollout(&q->tx, q->ids[0], &w))
                return tx_not_found(&q->tx, "Rollout", q->ids[0]);
        return reply_why(q, &w);
}

int rollout_group_why(struct request *q)
{
        struct why w;
        if (!why_group(&q->tx, q->ids[0], q->ids[1], &w))
                return tx_not_found(&q->tx, "RolloutGroup", q->ids[1]);
        return reply_why(q, &w);
}

int target_why(struct request *q)
{
        struct why w;
        if (!why_target(&q->tx, q->texts[0], &w))
                return tx_not_found_text(&q->tx, "Target", q->texts[0]);
        return reply_why(q, &w);
}
