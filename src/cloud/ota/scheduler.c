/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/scheduler.h"

#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/auto_assign.h"
#include "cloud/ota/deadline.h"
#include "cloud/ota/dmf_letter.h"
#include "cloud/ota/due.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/server.h"
#include "cloud/ota/set.h"
#include "cloud/ota/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void unit_begin(struct unit *u, struct ota *o, int64_t tenant)
{
        *u = (struct unit){0};
        ota_tx(o, &u->tx, &u->arena, &u->problem, tenant, "system");
}

void unit_end(struct unit *u, struct ota *o, const char *what)
{
        if (u->problem.code || tx_commit(&u->tx) < 0) {
                log_warning("%s: %s", what, u->problem.message ? u->problem.message : "failed");
                tx_rollback(&u->tx);
        } else {
                ota_tell(o, &u->tx);
        }
        problem_fini(&u->problem);
        arena_fini(&u->arena);
}

struct id_list {
        int64_t *ids, *tenants;
        size_t n;
};

/* Reads and ends the transaction, so that each of the rows can have its own. */
static struct id_list read_ids(struct tx *tx, const char *sql)
{
        struct id_list list = {0};
        size_t room = 0;
        tx->unit = DATABASE_READING;
        struct sql_rows r = sql_open(tx, sql);
        while (sql_next(&r)) {
                if (list.n == room) {
                        size_t more = room ? room * 2 : 16;
                        int64_t *ids = arena_alloc(tx->arena, more * sizeof(*ids));
                        int64_t *tenants = arena_alloc(tx->arena, more * sizeof(*tenants));
                        if (list.n) {
                                memcpy(ids, list.ids, list.n * sizeof(*ids));
                                memcpy(tenants, list.tenants, list.n * sizeof(*tenants));
                        }
                        list.ids = ids;
                        list.tenants = tenants;
                        room = more;
                }
                list.ids[list.n] = sql_col_int(&r, 0);
                list.tenants[list.n++] = sql_col_int(&r, 1);
        }
        sql_close(&r);
        (void)tx_commit(tx);
        return list;
}

/* ── rollouts ── */

static void pass_rollout(struct ota *o, int64_t id, int64_t tenant)
{
        struct unit u;
        struct rollout r;
        unit_begin(&u, o, tenant);
        if (rollout_find(&u.tx, id, &r))
                rollout_pass(&u.tx, &r);
        unit_end(&u, o, "a rollout's pass");
}

static void pass_rollouts(struct ota *o)
{
        struct unit u;
        unit_begin(&u, o, 0);
        /* creating, starting, running, deleting, stopping; ready with a start time */
        struct id_list list = read_ids(&u.tx, "SELECT id, tenant FROM rollout WHERE status IN (0, "
                                              "3, 5, 7, 11) OR (status=1 AND start_at IS NOT"
                                              " NULL) ORDER BY id");
        for (size_t i = 0; i < list.n; i++)
                pass_rollout(o, list.ids[i], list.tenants[i]);
        unit_end(&u, o, "the rollouts");
}

/* ── sets that are withdrawn ── */

static void pass_set(struct ota *o, int64_t id, int64_t tenant)
{
        struct unit u;
        unit_begin(&u, o, tenant);
        set_withdraw_actions(&u.tx, id);
        unit_end(&u, o, "a set's withdrawal");
}

static void pass_sets(struct ota *o)
{
        struct unit u;
        unit_begin(&u, o, 0);
        struct id_list list =
                read_ids(&u.tx, "SELECT id, tenant FROM ds WHERE withdrawal<>0 ORDER BY id");
        for (size_t i = 0; i < list.n; i++)
                pass_set(o, list.ids[i], list.tenants[i]);
        unit_end(&u, o, "the sets");
}

/* ── auto-assignment ── */

static void pass_filters(struct ota *o)
{
        struct unit u;
        unit_begin(&u, o, 0);
        struct id_list list = read_ids(
                &u.tx, "SELECT id, tenant FROM filter WHERE auto_ds IS NOT NULL ORDER BY id");
        for (size_t i = 0; i < list.n; i++)
                auto_assign_round(o, list.ids[i], list.tenants[i]);
        unit_end(&u, o, "the auto-assignments");
}

static void clean_page(struct ota *o, int64_t after, int64_t tenant);

void scheduler_pass(void *ota, enum due_kind kind, int64_t id, int64_t tenant)
{
        if (kind == DUE_ROLLOUT)
                pass_rollout(ota, id, tenant);
        else if (kind == DUE_FILTER)
                auto_assign_step(ota, id, tenant);
        else if (kind == DUE_SET)
                pass_set(ota, id, tenant);
        else
                clean_page(ota, id, tenant);
}

void scheduler_round(struct ota *o)
{
        deadline_round(o);
        pass_rollouts(o);
        pass_sets(o);
        pass_filters(o);
}

/* ── clean-up ── */

static bool names_status(const char *list, const char *word)
{
        size_t n = strlen(word);
        for (const char *p = list; *p;) {
                size_t len = strcspn(p, ",");
                size_t start = strspn(p, " ");
                if (len - start >= n && strncasecmp(p + start, word, n) == 0 &&
                        strspn(p + start + n, " ") + start + n == len)
                        return true;
                p += len + (p[len] == ',');
        }
        return false;
}

/* What is old and closed in the statuses that the tenant named, of the actions up to `end`. */
static void clean_some(struct tx *tx, int64_t after, int64_t end)
{
        int64_t expiry = settings_int(tx, SETTING_CLEANUP_EXPIRY);
        const char *words = settings_text(tx, SETTING_CLEANUP_STATUS);
        for (int i = 0; expiry >= 0 && action_status_words[i]; i++) {
                if (names_status(words, action_status_words[i]))
                        sql_run(tx,
                                "DELETE FROM action WHERE tenant=? AND id>? AND id<=? AND status=? "
                                "AND active=0 AND modified_at<?",
                                SQL_I(tx->tenant), SQL_I(after), SQL_I(end), SQL_I(i),
                                SQL_I(tx->now - expiry));
        }
}

/* A page of the tenant's actions, oldest first; the next page is due at once. */
static void clean_page(struct ota *o, int64_t after, int64_t tenant)
{
        struct unit u;
        unit_begin(&u, o, tenant);
        int64_t end = 0;
        if (settings_int(&u.tx, SETTING_CLEANUP_EXPIRY) >= 0) {
                end = sql_int(&u.tx, 0,
                        "SELECT id FROM action WHERE tenant=? AND id>? ORDER BY id LIMIT 1 OFFSET "
                        "?",
                        SQL_I(tenant), SQL_I(after), SQL_I(LIMIT_OTA_BULK_PAGE - 1));
                clean_some(&u.tx, after, end ? end : INT64_MAX);
        }
        unit_end(&u, o, "the clean-up");
        if (end)
                due_add(o->due, DUE_CLEAN_UP, end, tenant, 0);
}

void scheduler_clean_up(struct ota *o)
{
        struct unit u;
        unit_begin(&u, o, 0);
        struct id_list list = read_ids(&u.tx, "SELECT id, 0 FROM tenant");
        for (size_t i = 0; i < list.n; i++)
                clean_page(o, 0, list.ids[i]);
        unit_end(&u, o, "the clean-up");
        unit_begin(&u, o, 0);
        dmf_letters_drop_old(&u.tx);
        unit_end(&u, o, "the clean-up of letters to gateways");
}
