/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf_send.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/dmf_message.h"
#include "cloud/ota/dmf_order.h"
#include "cloud/ota/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Targets looked at in one transaction, some 20 µs each, and letters. */
#define UNIT_TARGETS 100
#define UNIT_LETTERS 32
#define DUE_TARGETS 500
#define MAX_PINGS 256
#define CORRELATION_BYTES 16

struct dmf_waiting {
        struct dmf_waiting *next;
        int64_t tenant, target; /* target 0: by its name */
        char controller_id[];
};

struct dmf_sent {
        struct dmf_sent *next;
        uint64_t id;
        bool is_dirty; /* something changed for a target of it meanwhile */
        char *address;
        size_t n;
        struct dmf_order orders[];
};

struct dmf_ping {
        struct dmf_ping *next;
        char exchange[AMQP_LINK_TEXT_SIZE], tenant[AMQP_LINK_TEXT_SIZE], id[AMQP_LINK_TEXT_SIZE];
};

/* ── lists ── */

void dmf_sender_init(struct dmf_sender *s, struct ota *o)
{
        *s = (struct dmf_sender){.ota = o, .sweep_after = -1};
        s->waiting_tail = &s->waiting;
}

static void free_sent(struct dmf_sent **list)
{
        while (*list) {
                struct dmf_sent *m = *list;
                *list = m->next;
                free(m->address);
                free(m);
        }
}

static void free_waiting(struct dmf_waiting **list)
{
        while (*list) {
                struct dmf_waiting *w = *list;
                *list = w->next;
                free(w);
        }
}

void dmf_sender_lost(struct dmf_sender *s)
{
        free_sent(&s->sent);
        s->n_sent = 0;
        free_waiting(&s->parked);
        free_waiting(&s->waiting);
        s->waiting_tail = &s->waiting;
        s->n_waiting = 0;
        s->sweep_after = -1;
        while (s->pings) {
                struct dmf_ping *p = s->pings;
                s->pings = p->next;
                free(p);
        }
        s->n_pings = 0;
}

void dmf_sender_fini(struct dmf_sender *s)
{
        dmf_sender_lost(s);
        free_sent(&s->settled);
}

static void push(struct dmf_sender *s, struct dmf_waiting *w)
{
        w->next = NULL;
        *s->waiting_tail = w;
        s->waiting_tail = &w->next;
}

void dmf_sender_add(struct dmf_sender *s, int64_t tenant, const char *controller_id, int64_t target)
{
        size_t len = controller_id ? strlen(controller_id) : 0;
        if (!amqp_link_is_connected(s->link))
                return; /* all are looked at when it is */
        struct dmf_waiting *w =
                s->n_waiting < LIMIT_DMF_WAITING ? calloc(1, sizeof(*w) + len + 1) : NULL;
        if (!w) {
                dmf_sender_sweep(s);
                return;
        }
        w->tenant = tenant;
        w->target = target;
        if (len)
                memcpy(w->controller_id, controller_id, len);
        s->n_waiting++;
        push(s, w);
}

void dmf_sender_unpark(struct dmf_sender *s)
{
        while (s->parked) {
                struct dmf_waiting *w = s->parked;
                s->parked = w->next;
                push(s, w);
        }
        if (s->has_parked_letter)
                s->letter_after = 0;
        s->has_parked_letter = false;
}

void dmf_sender_sweep(struct dmf_sender *s)
{
        s->sweep_after = 0;
        s->letter_after = 0;
}

/* ── units of work ── */

struct unit {
        struct dmf_sender *sender;
        struct arena arena;
        struct problem problem;
        struct tx tx;
        struct dmf_orders orders;
        struct outgoing *outgoing, **tail;
        size_t n_outgoing, n_looked_at;
};

static void unit_begin(struct unit *u, struct dmf_sender *s)
{
        *u = (struct unit){.sender = s};
        u->tail = &u->outgoing;
        dmf_orders_init(&u->orders);
        ota_tx(s->ota, &u->tx, &u->arena, &u->problem, 0, "system");
}

static bool unit_commit(struct unit *u)
{
        if (!u->problem.code && tx_commit(&u->tx) == 0) {
                ota_tell(u->sender->ota, &u->tx);
                return true;
        }
        log_warning("DMF: %s", u->problem.message ? u->problem.message : "a transaction failed");
        tx_rollback(&u->tx);
        return false;
}

static void unit_end(struct unit *u)
{
        problem_fini(&u->problem);
        arena_fini(&u->arena);
}

/* ── what the broker confirmed ── */

static struct dmf_sent *take_sent(struct dmf_sender *s, uint64_t id)
{
        for (struct dmf_sent **p = &s->sent; *p; p = &(*p)->next) {
                if ((*p)->id == id) {
                        struct dmf_sent *m = *p;
                        *p = m->next;
                        s->n_sent--;
                        return m;
                }
        }
        return NULL;
}

void dmf_sender_settled(struct dmf_sender *s, uint64_t id, enum amqp_result result)
{
        struct dmf_sent *m = take_sent(s, id);
        if (!m)
                return; /* the answer to a ping */
        for (size_t i = 0; i < m->n && (m->is_dirty || result == AMQP_LOST); i++) {
                if (m->orders[i].target)
                        dmf_sender_add(s, m->orders[i].tenant, NULL, m->orders[i].target);
                else
                        s->letter_after = 0;
        }
        if (result == AMQP_DELIVERED) {
                m->next = s->settled;
                s->settled = m;
        } else {
                m->next = NULL;
                free_sent(&m);
        }
}

/* Written in one go for all that were confirmed in a turn of the loop. */
static void write_settled(struct dmf_sender *s)
{
        struct unit u;
        if (!s->settled)
                return;
        unit_begin(&u, s);
        u.tx.is_quiet = true; /* polls are told nothing of it */
        for (struct dmf_sent *m = s->settled; m; m = m->next) {
                for (size_t i = 0; i < m->n; i++) {
                        m->orders[i].address = m->address;
                        dmf_order_told(&u.tx, &m->orders[i]);
                }
        }
        (void)unit_commit(&u); /* if not, they are told once more */
        unit_end(&u);
        free_sent(&s->settled);
}

/* ── looking for orders ── */

static struct dmf_sent *sent_to(struct dmf_sender *s, int64_t target, int64_t letter)
{
        for (struct dmf_sent *m = s->sent; m; m = m->next) {
                for (size_t i = 0; i < m->n; i++) {
                        if (target ? m->orders[i].target == target : m->orders[i].letter == letter)
                                return m;
                }
        }
        return NULL;
}

static bool has_room(const struct unit *u)
{
        return u->sender->n_sent + u->orders.n < AMQP_LINK_UNCONFIRMED &&
               u->n_looked_at < UNIT_TARGETS;
}

static void look_at_waiting(struct unit *u)
{
        struct dmf_sender *s = u->sender;
        while (s->waiting && has_room(u)) {
                struct dmf_waiting *w = s->waiting;
                s->waiting = w->next;
                if (!s->waiting)
                        s->waiting_tail = &s->waiting;
                s->n_waiting--;
                u->n_looked_at++;
                dmf_orders_of_target(&u->tx, w->tenant, *w->controller_id ? w->controller_id : NULL,
                        w->target, &u->orders);
                free(w);
        }
}

struct page {
        int64_t ids[UNIT_TARGETS], tenants[UNIT_TARGETS];
        size_t n;
};

static void read_page(struct unit *u, struct page *page)
{
        CLEAN_ROWS struct sql_rows r = sql_open(&u->tx,
                "SELECT t.id, t.tenant FROM target t WHERE t.address LIKE 'amqp:%' AND t.id>?"
                " ORDER BY t.id LIMIT ?",
                SQL_I(u->sender->sweep_after), SQL_I(UNIT_TARGETS));
        while (page->n < UNIT_TARGETS && sql_next(&r)) {
                page->ids[page->n] = sql_col_int(&r, 0);
                page->tenants[page->n++] = sql_col_int(&r, 1);
        }
}

static void look_at_next_of_all(struct unit *u)
{
        struct dmf_sender *s = u->sender;
        struct page page = {0};
        if (s->sweep_after < 0 || !has_room(u))
                return;
        read_page(u, &page);
        if (page.n == 0)
                s->sweep_after = -1;
        for (size_t i = 0; i < page.n && has_room(u); i++) {
                u->n_looked_at++;
                s->sweep_after = page.ids[i];
                dmf_orders_of_target(&u->tx, page.tenants[i], NULL, page.ids[i], &u->orders);
        }
}

/* ── from orders to messages ── */

struct outgoing {
        struct outgoing *next;
        const struct dmf_order **orders;
        size_t n;
        char exchange[AMQP_LINK_TEXT_SIZE];
        bool is_batch_wanted;
        const char *body;
};

/* One whose exchange is asked for waits for the answer; without the exchange it is found again by
 * the next look at all. */
static void park(struct dmf_sender *s, const struct dmf_order *o)
{
        if (o->letter) {
                s->has_parked_letter = true;
                return;
        }
        for (struct dmf_waiting *w = s->parked; w; w = w->next) {
                if (w->target == o->target)
                        return;
        }
        struct dmf_waiting *w = calloc(1, sizeof(*w) + 1);
        if (!w)
                return;
        w->tenant = o->tenant;
        w->target = o->target;
        w->next = s->parked;
        s->parked = w;
        s->n_waiting++;
}

static bool is_reachable(struct unit *u, const struct dmf_order *o, char *exchange)
{
        struct dmf_sender *s = u->sender;
        struct dmf_sent *busy = sent_to(s, o->target, o->letter);
        if (busy) {
                busy->is_dirty = true;
                return false;
        }
        if (dmf_address_exchange(o->address, exchange, AMQP_LINK_TEXT_SIZE) < 0)
                return false;
        enum amqp_presence presence = amqp_link_exchange(s->link, exchange);
        if (presence == AMQP_ASKING)
                park(s, o);
        return presence == AMQP_THERE;
}

/* A message that the order may join. */
static struct outgoing *find_batch(struct unit *u, const struct dmf_order *o)
{
        for (struct outgoing *m = u->outgoing; m; m = m->next) {
                const struct dmf_order *first = m->orders[0];
                if (m->is_batch_wanted && first->topic == o->topic && first->tenant == o->tenant &&
                        first->ds == o->ds && strcmp(first->address, o->address) == 0)
                        return m;
        }
        return NULL;
}

static bool wants_batch(struct unit *u, const struct dmf_order *o)
{
        if (o->topic != DMF_TOPIC_DOWNLOAD && o->topic != DMF_TOPIC_INSTALL)
                return false;
        u->tx.tenant = o->tenant;
        return settings_bool(&u->tx, SETTING_BATCH);
}

static void add_outgoing(struct unit *u, const struct dmf_order *o)
{
        char exchange[AMQP_LINK_TEXT_SIZE];
        if (!is_reachable(u, o, exchange))
                return;
        bool is_batch_wanted = wants_batch(u, o);
        struct outgoing *m = is_batch_wanted ? find_batch(u, o) : NULL;
        if (!m) {
                m = arena_alloc(&u->arena, sizeof(*m));
                m->orders = arena_alloc(&u->arena, u->orders.n * sizeof(*m->orders));
                m->is_batch_wanted = is_batch_wanted;
                memcpy(m->exchange, exchange, sizeof(exchange));
                *u->tail = m;
                u->tail = &m->next;
        }
        m->orders[m->n++] = o;
}

static void write_bodies(struct unit *u)
{
        for (struct dmf_order *o = u->orders.head; o; o = o->next)
                add_outgoing(u, o);
        for (struct outgoing *m = u->outgoing; m; m = m->next)
                m->body =
                        dmf_order_body(&u->tx, m->orders, m->n, u->sender->urls, u->sender->n_urls);
}

/* ── publishing ── */

static void remember(struct dmf_sender *s, const struct outgoing *m, uint64_t id)
{
        struct dmf_sent *sent = calloc(1, sizeof(*sent) + m->n * sizeof(sent->orders[0]));
        char *address = strdup(m->orders[0]->address);
        if (!sent || !address) { /* it is sent again some time */
                free(sent);
                free(address);
                return;
        }
        sent->id = id;
        sent->address = address;
        for (size_t i = 0; i < m->n; i++) {
                const struct dmf_order *o = m->orders[i];
                sent->orders[sent->n++] = (struct dmf_order){.topic = o->topic,
                        .tenant = o->tenant,
                        .target = o->target,
                        .action = o->action,
                        .again_at = o->again_at,
                        .is_closed = o->is_closed,
                        .letter = o->letter,
                        .created_at = o->created_at};
        }
        sent->next = s->sent;
        s->sent = sent;
        s->n_sent++;
}

static int publish_one(struct dmf_sender *s, const struct outgoing *m, uint64_t *ret_id)
{
        const struct dmf_order *o = m->orders[0];
        char correlation[2 * CORRELATION_BYTES + 1] = "";
        struct amqp_header headers[4];
        size_t n = 0;
        const char *topic = dmf_topic_word(o->topic, m->n > 1);
        headers[n++] = (struct amqp_header){"type", topic ? "EVENT" : "THING_DELETED"};
        headers[n++] = (struct amqp_header){"tenant", o->tenant_name};
        if (topic)
                headers[n++] = (struct amqp_header){"topic", topic};
        if (m->n == 1)
                headers[n++] = (struct amqp_header){"thingId", o->controller_id};
        (void)hash_random_hex(correlation, CORRELATION_BYTES);
        const struct amqp_message message = {.exchange = m->exchange,
                .headers = headers,
                .n_headers = n,
                .content_type = "application/json",
                .correlation_id = correlation,
                .body = m->body,
                .len = strlen(m->body)};
        return amqp_link_publish(s->link, &message, ret_id);
}

static void publish(struct unit *u)
{
        struct dmf_sender *s = u->sender;
        for (struct outgoing *m = u->outgoing; m; m = m->next) {
                const struct dmf_order *o = m->orders[0];
                uint64_t id = 0;
                int r = publish_one(s, m, &id);
                if (r == 0) {
                        remember(s, m, id);
                        u->n_outgoing++;
                        continue;
                }
                if (r == -E2BIG)
                        log_warning("DMF: action %" PRId64 " is too large for a message; '%s' can "
                                    "fetch it over DDI",
                                o->action, o->controller_id);
                for (size_t i = 0; i < m->n && r == -EAGAIN; i++) {
                        if (m->orders[i]->target)
                                dmf_sender_add(s, m->orders[i]->tenant, NULL, m->orders[i]->target);
                        else
                                s->letter_after = 0;
                }
        }
}

static size_t run_unit(struct dmf_sender *s)
{
        struct unit u;
        size_t done = 0;
        unit_begin(&u, s);
        dmf_orders_of_letters(&u.tx, s->letter_after, UNIT_LETTERS, &u.orders);
        for (struct dmf_order *o = u.orders.head; o; o = o->next)
                s->letter_after = o->letter;
        size_t n_letters = u.orders.n;
        look_at_waiting(&u);
        look_at_next_of_all(&u);
        write_bodies(&u);
        if (unit_commit(&u)) {
                publish(&u);
                done = u.n_outgoing + u.n_looked_at + n_letters;
        }
        unit_end(&u);
        return done;
}

/* ── pings ── */

void dmf_sender_ping(
        struct dmf_sender *s, const char *exchange, const char *tenant, const char *correlation_id)
{
        struct dmf_ping *p = s->n_pings < MAX_PINGS ? calloc(1, sizeof(*p)) : NULL;
        if (!p)
                return;
        snprintf(p->exchange, sizeof(p->exchange), "%s", exchange);
        snprintf(p->tenant, sizeof(p->tenant), "%s", tenant);
        snprintf(p->id, sizeof(p->id), "%s", correlation_id);
        p->next = s->pings;
        s->pings = p;
        s->n_pings++;
}

static void answer_ping(struct dmf_sender *s, const struct dmf_ping *p)
{
        char now[32];
        uint64_t id;
        const struct amqp_header headers[] = {{"type", "PING_RESPONSE"}, {"tenant", p->tenant}};
        snprintf(now, sizeof(now), "%" PRId64, clock_now_ms());
        const struct amqp_message message = {.exchange = p->exchange,
                .headers = headers,
                .n_headers = N_ELEMENTS(headers),
                .content_type = "text/plain",
                .correlation_id = p->id,
                .body = now,
                .len = strlen(now)};
        if (amqp_link_publish(s->link, &message, &id) < 0)
                log_debug("DMF: a ping is not answered");
}

/* Those whose exchange is asked for stay. */
static void answer_pings(struct dmf_sender *s)
{
        struct dmf_ping **next = &s->pings;
        while (*next && amqp_link_may_publish(s->link)) {
                struct dmf_ping *p = *next;
                enum amqp_presence presence = amqp_link_exchange(s->link, p->exchange);
                if (presence == AMQP_ASKING) {
                        next = &p->next;
                        continue;
                }
                if (presence == AMQP_THERE)
                        answer_ping(s, p);
                *next = p->next;
                s->n_pings--;
                free(p);
        }
}

/* ── turns ── */

void dmf_sender_add_due(struct dmf_sender *s)
{
        struct unit u;
        unit_begin(&u, s);
        {
                CLEAN_ROWS struct sql_rows r = sql_open(&u.tx,
                        "SELECT d.target, t.tenant, d.action FROM dmf_told d JOIN target t"
                        " ON t.id=d.target WHERE d.again_at<=? LIMIT ?",
                        SQL_I(u.tx.now), SQL_I(DUE_TARGETS));
                while (sql_next(&r)) {
                        dmf_sender_add(s, sql_col_int(&r, 1), NULL, sql_col_int(&r, 0));
                        sql_run(&u.tx, "UPDATE dmf_told SET again_at=NULL WHERE action=?",
                                SQL_I(sql_col_int(&r, 2)));
                }
        }
        (void)unit_commit(&u);
        unit_end(&u);
}

bool dmf_sender_run(struct dmf_sender *s)
{
        if (!amqp_link_is_connected(s->link))
                return false;
        write_settled(s);
        answer_pings(s);
        if (!amqp_link_may_publish(s->link))
                return false; /* on_ready goes on */
        return run_unit(s) > 0;
}
