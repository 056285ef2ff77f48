/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/amqp_link.h"

#include "base/amqp_connect.h"
#include "base/amqp_incoming.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 15000
#define UPKEEP_S 5 /* heartbeats go both ways at least every 10 s */
/* Frames and messages of one turn of the loop; others want to be served too. */
#define FRAMES_A_TURN 128
#define DELIVERIES_A_TURN 8
/* Bytes that the broker hasn't taken yet, above which nothing more is written. */
#define MAX_UNSENT_BYTES (128 * 1024)
/* Exchanges whose presence is known, and how long an absence counts. */
#define MAX_EXCHANGES 1024
#define MISSING_MS 30000

enum channel_state { CHANNEL_OPEN, CHANNEL_OPENING, CHANNEL_SELECTING };

struct exchange {
        char name[AMQP_LINK_TEXT_SIZE];
        enum amqp_presence presence;
        int64_t until; /* missing: ask again after this time (monotonic) */
};

struct unconfirmed {
        uint64_t id, seq; /* id 0: free; seq: the channel's delivery tag */
        bool is_returned;
        char exchange[AMQP_LINK_TEXT_SIZE];
};

struct amqp_link {
        struct event_base *base;
        struct amqp_link_options options;
        char *password, *ca_file;
        struct amqp_attempt *attempt;
        amqp_connection_state_t connection; /* NULL: not connected */
        struct event *on_attempt, *on_read, *on_write, *on_upkeep, *on_retry, *on_again;
        int backoff_ms;
        char last_failure[AMQP_LINK_TEXT_SIZE];
        struct amqp_incoming delivery, returned;
        bool is_delivering, is_returning; /* header or body still to come */
        int n_deliveries;                 /* of this turn */
        enum channel_state publish, ask;
        bool is_blocked; /* the broker asked to publish nothing: it is short of memory or disk */
        struct unconfirmed unconfirmed[AMQP_LINK_UNCONFIRMED];
        size_t n_unconfirmed;
        uint64_t next_id, next_seq, epoch; /* epoch: tags of an older connection mean nothing */
        struct exchange *exchanges;
        size_t n_exchanges, asked; /* asked: index + 1 of the one that is asked for now */
        bool wants_ready;
};

/* Tags carry the connection in their upper half, so that those of a lost one are known. */
#define TAG_BITS 40
#define TAG_MASK ((UINT64_C(1) << TAG_BITS) - 1)

static void start(struct amqp_link *l);

/* ── the end of a connection ── */

static void drop_event(struct event **e)
{
        if (*e)
                event_free(*e);
        *e = NULL;
}

static void drop_connection(struct amqp_link *l)
{
        drop_event(&l->on_read);
        drop_event(&l->on_write);
        drop_event(&l->on_attempt);
        amqp_attempt_drop(TAKE(l->attempt));
        if (l->connection)
                amqp_destroy_connection(TAKE(l->connection));
        amqp_incoming_clear(&l->delivery);
        amqp_incoming_clear(&l->returned);
        memset(l->unconfirmed, 0, sizeof(l->unconfirmed));
        l->n_unconfirmed = l->n_exchanges = l->asked = 0;
        l->is_delivering = l->is_returning = l->is_blocked = false;
        l->epoch++;
}

/* Jitter of ±25 %, so that several servers don't come back in one instant. */
static void retry_later(struct amqp_link *l)
{
        uint16_t random = 0;
        (void)hash_random(&random, sizeof(random));
        int ms = l->backoff_ms * 3 / 4 + (int)((int64_t)l->backoff_ms / 2 * random / 65536);
        struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
        l->backoff_ms = l->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : l->backoff_ms * 2;
        evtimer_add(l->on_retry, &tv);
}

static void lose(struct amqp_link *l, const char *reason)
{
        char text[AMQP_LINK_TEXT_SIZE];
        snprintf(text, sizeof(text), "%s", reason);
        drop_connection(l);
        retry_later(l);
        log_warning("connection to the AMQP broker %s:%d lost: %s", l->options.address.host,
                l->options.address.port, text);
        l->options.on_disconnected(l->options.arg, text);
}

static void lose_status(struct amqp_link *l, int status)
{
        lose(l, amqp_error_string2(status));
}

/* ── exchanges ── */

static struct exchange *find_exchange(struct amqp_link *l, const char *name)
{
        for (size_t i = 0; i < l->n_exchanges; i++) {
                if (strcmp(l->exchanges[i].name, name) == 0)
                        return &l->exchanges[i];
        }
        return NULL;
}

static void set_missing(struct exchange *e)
{
        e->presence = AMQP_MISSING;
        e->until = clock_mono_ms() + MISSING_MS;
}

/* Asks for the next one of which nothing is known. */
static void ask_next(struct amqp_link *l)
{
        if (!l->connection || l->ask != CHANNEL_OPEN || l->asked)
                return;
        for (size_t i = 0; i < l->n_exchanges; i++) {
                if (l->exchanges[i].presence != AMQP_ASKING)
                        continue;
                amqp_exchange_declare_t question = {
                        .exchange = amqp_cstring_bytes(l->exchanges[i].name),
                        .type = amqp_cstring_bytes("fanout"),
                        .passive = 1};
                l->asked = i + 1;
                /* a failure shows at the next read */
                (void)amqp_send_method(
                        l->connection, AMQP_CHANNEL_ASK, AMQP_EXCHANGE_DECLARE_METHOD, &question);
                return;
        }
}

static void answered(struct amqp_link *l, bool is_there)
{
        if (!l->asked)
                return;
        struct exchange *e = &l->exchanges[l->asked - 1];
        l->asked = 0;
        if (is_there)
                e->presence = AMQP_THERE;
        else
                set_missing(e);
        l->wants_ready = true;
        ask_next(l);
}

enum amqp_presence amqp_link_exchange(struct amqp_link *l, const char *name)
{
        if (!l->connection || !*name || strlen(name) >= AMQP_LINK_TEXT_SIZE)
                return AMQP_MISSING;
        struct exchange *e = find_exchange(l, name);
        if (e && (e->presence != AMQP_MISSING || clock_mono_ms() < e->until))
                return e->presence;
        if (!e && l->n_exchanges == MAX_EXCHANGES) {
                if (l->asked)
                        return AMQP_ASKING; /* the table is not to move now */
                l->n_exchanges = 0;
        }
        if (!e) {
                e = &l->exchanges[l->n_exchanges++];
                *e = (struct exchange){0};
                memcpy(e->name, name, strlen(name) + 1);
        }
        e->presence = AMQP_ASKING;
        ask_next(l);
        return AMQP_ASKING;
}

/* ── publishing ── */

bool amqp_link_is_connected(const struct amqp_link *l)
{
        return l->connection != NULL;
}

static int unsent_bytes(struct amqp_link *l)
{
        int n = 0;
        return ioctl(amqp_get_sockfd(l->connection), SIOCOUTQ, &n) < 0 ? 0 : n;
}

bool amqp_link_may_publish(struct amqp_link *l)
{
        if (!l->connection || l->publish != CHANNEL_OPEN || l->is_blocked ||
                l->n_unconfirmed == AMQP_LINK_UNCONFIRMED)
                return false;
        if (unsent_bytes(l) <= MAX_UNSENT_BYTES)
                return true;
        event_add(l->on_write, NULL);
        return false;
}

static int send_message(struct amqp_link *l, const struct amqp_message *m, uint64_t id)
{
        amqp_table_entry_t entries[AMQP_INCOMING_HEADERS];
        amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG |
                                               AMQP_BASIC_DELIVERY_MODE_FLAG |
                                               AMQP_BASIC_MESSAGE_ID_FLAG,
                .delivery_mode = AMQP_DELIVERY_PERSISTENT};
        char number[32];
        for (size_t i = 0; i < m->n_headers; i++)
                entries[i] = (amqp_table_entry_t){.key = amqp_cstring_bytes(m->headers[i].name),
                        .value = {.kind = AMQP_FIELD_KIND_UTF8,
                                .value.bytes = amqp_cstring_bytes(m->headers[i].value)}};
        p.headers = (amqp_table_t){.num_entries = (int)m->n_headers, .entries = entries};
        snprintf(number, sizeof(number), "%" PRIu64, id); /* by which a return is recognized */
        p.message_id = amqp_cstring_bytes(number);
        if (m->content_type) {
                p._flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
                p.content_type = amqp_cstring_bytes(m->content_type);
        }
        if (m->correlation_id) {
                p._flags |= AMQP_BASIC_CORRELATION_ID_FLAG;
                p.correlation_id = amqp_cstring_bytes(m->correlation_id);
        }
        return amqp_basic_publish(l->connection, AMQP_CHANNEL_PUBLISH,
                amqp_cstring_bytes(m->exchange), amqp_empty_bytes, 1, 0, &p,
                (amqp_bytes_t){.len = m->len, .bytes = (void *)(uintptr_t)m->body});
}

int amqp_link_publish(struct amqp_link *l, const struct amqp_message *m, uint64_t *ret_id)
{
        if (m->len > AMQP_LINK_BODY_BYTES || m->n_headers > AMQP_INCOMING_HEADERS)
                return -E2BIG;
        if (!amqp_link_may_publish(l) || amqp_link_exchange(l, m->exchange) != AMQP_THERE)
                return -EAGAIN;
        struct unconfirmed *u = l->unconfirmed;
        while (u->id)
                u++;
        uint64_t id = ++l->next_id;
        int r = send_message(l, m, id);
        if (r != AMQP_STATUS_OK) {
                event_active(l->on_read, EV_READ, 0); /* the loss is found there */
                return -EIO;
        }
        *u = (struct unconfirmed){.id = id, .seq = ++l->next_seq};
        memcpy(u->exchange, m->exchange, strlen(m->exchange) + 1);
        l->n_unconfirmed++;
        *ret_id = id;
        return 0;
}

static void settle(struct amqp_link *l, struct unconfirmed *u, enum amqp_result result)
{
        uint64_t id = u->id;
        struct exchange *e = result == AMQP_UNROUTED ? find_exchange(l, u->exchange) : NULL;
        if (e)
                set_missing(e);
        *u = (struct unconfirmed){0};
        l->n_unconfirmed--;
        l->wants_ready = true;
        l->options.on_settled(l->options.arg, id, result);
}

static void confirmed(struct amqp_link *l, uint64_t seq, bool is_multiple, bool is_taken)
{
        for (size_t i = 0; i < AMQP_LINK_UNCONFIRMED; i++) {
                struct unconfirmed *u = &l->unconfirmed[i];
                if (u->id && (is_multiple ? u->seq <= seq || seq == 0 : u->seq == seq))
                        settle(l, u,
                                !is_taken        ? AMQP_LOST
                                : u->is_returned ? AMQP_UNROUTED
                                                 : AMQP_DELIVERED);
        }
}

/* ── channels that the broker closed: they are opened again ── */

static void reopen(struct amqp_link *l, amqp_channel_t channel)
{
        amqp_channel_close_ok_t ok = {0};
        amqp_channel_open_t open = {.out_of_band = amqp_empty_bytes};
        (void)amqp_send_method(l->connection, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
        (void)amqp_send_method(l->connection, channel, AMQP_CHANNEL_OPEN_METHOD, &open);
}

static void publish_closed(struct amqp_link *l, const char *reason)
{
        log_info("AMQP: the broker refused a publication: %s", reason);
        l->publish = CHANNEL_OPENING;
        l->next_seq = 0;
        l->is_returning = false;
        for (size_t i = 0; i < l->n_exchanges; i++) {
                if (l->exchanges[i].presence == AMQP_THERE) /* one of them isn't any more */
                        l->exchanges[i].presence = AMQP_ASKING;
        }
        for (size_t i = 0; i < AMQP_LINK_UNCONFIRMED; i++) {
                if (l->unconfirmed[i].id)
                        settle(l, &l->unconfirmed[i], AMQP_LOST);
        }
        reopen(l, AMQP_CHANNEL_PUBLISH);
        ask_next(l);
}

static void channel_opened(struct amqp_link *l, amqp_channel_t channel)
{
        amqp_confirm_select_t select = {0};
        if (channel == AMQP_CHANNEL_ASK) {
                l->ask = CHANNEL_OPEN;
                ask_next(l);
        } else if (channel == AMQP_CHANNEL_PUBLISH) {
                l->publish = CHANNEL_SELECTING;
                (void)amqp_send_method(l->connection, channel, AMQP_CONFIRM_SELECT_METHOD, &select);
        }
}

static void on_channel_close(struct amqp_link *l, amqp_channel_t channel, amqp_method_t *method)
{
        char text[AMQP_LINK_TEXT_SIZE];
        amqp_refusal(method, text, sizeof(text));
        if (channel == AMQP_CHANNEL_ASK) {
                l->ask = CHANNEL_OPENING;
                reopen(l, channel);
                answered(l, false);
        } else if (channel == AMQP_CHANNEL_PUBLISH) {
                publish_closed(l, text);
        } else {
                lose(l, text);
        }
}

/* ── frames ── */

static void begin_delivery(struct amqp_link *l, const amqp_basic_deliver_t *d)
{
        amqp_incoming_clear(&l->delivery);
        l->delivery.delivery.tag = (l->epoch << TAG_BITS) | (d->delivery_tag & TAG_MASK);
        l->delivery.delivery.is_redelivered = d->redelivered;
        l->is_delivering = true;
}

static void on_connection_method(struct amqp_link *l, amqp_method_t *m)
{
        char text[AMQP_LINK_TEXT_SIZE];
        if (m->id == AMQP_CONNECTION_BLOCKED_METHOD) {
                log_warning("the AMQP broker is short of memory or disk: nothing is published");
                l->is_blocked = true;
        } else if (m->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
                l->is_blocked = false;
                l->wants_ready = true;
        } else if (m->id == AMQP_CONNECTION_CLOSE_METHOD) {
                amqp_refusal(m, text, sizeof(text));
                lose(l, text);
        }
}

static void on_method(struct amqp_link *l, amqp_channel_t channel, amqp_method_t *m)
{
        const amqp_basic_ack_t *ack = m->decoded;
        const amqp_basic_nack_t *nack = m->decoded;
        switch (m->id) {
        case AMQP_BASIC_DELIVER_METHOD:
                begin_delivery(l, m->decoded);
                break;
        case AMQP_BASIC_RETURN_METHOD:
                amqp_incoming_clear(&l->returned);
                l->is_returning = true;
                break;
        case AMQP_BASIC_ACK_METHOD:
                confirmed(l, ack->delivery_tag, ack->multiple, true);
                break;
        case AMQP_BASIC_NACK_METHOD:
                confirmed(l, nack->delivery_tag, nack->multiple, false);
                break;
        case AMQP_EXCHANGE_DECLARE_OK_METHOD:
                answered(l, true);
                break;
        case AMQP_CHANNEL_OPEN_OK_METHOD:
                channel_opened(l, channel);
                break;
        case AMQP_CONFIRM_SELECT_OK_METHOD:
                l->publish = CHANNEL_OPEN;
                l->wants_ready = true;
                break;
        case AMQP_CHANNEL_CLOSE_METHOD:
                on_channel_close(l, channel, m);
                break;
        case AMQP_BASIC_CANCEL_METHOD:
                lose(l, "the queue was deleted");
                break;
        default:
                on_connection_method(l, m);
        }
}

static void delivered(struct amqp_link *l)
{
        l->is_delivering = false;
        l->n_deliveries++;
        l->options.on_delivery(l->options.arg, &l->delivery.delivery);
        amqp_incoming_clear(&l->delivery);
}

static void returned(struct amqp_link *l)
{
        uint64_t id = l->returned.message_id ? strtoull(l->returned.message_id, NULL, 10) : 0;
        l->is_returning = false;
        for (size_t i = 0; i < AMQP_LINK_UNCONFIRMED; i++) {
                if (id && l->unconfirmed[i].id == id)
                        l->unconfirmed[i].is_returned = true;
        }
        amqp_incoming_clear(&l->returned);
}

static void on_content(struct amqp_link *l, const amqp_frame_t *f)
{
        bool is_delivery = f->channel == AMQP_CHANNEL_CONSUME;
        struct amqp_incoming *m = is_delivery ? &l->delivery : &l->returned;
        if (!(is_delivery ? l->is_delivering : l->is_returning))
                return;
        if (f->frame_type == AMQP_FRAME_HEADER)
                amqp_incoming_header(m, f->payload.properties.decoded,
                        f->payload.properties.body_size, is_delivery ? l->options.max_body : 0);
        else
                amqp_incoming_body(m, f->payload.body_fragment.bytes, f->payload.body_fragment.len);
        if (m->missing == 0)
                (is_delivery ? delivered : returned)(l);
}

static void on_frame(struct amqp_link *l, amqp_frame_t *f)
{
        amqp_channel_t channel = f->channel;
        if (f->frame_type == AMQP_FRAME_METHOD)
                on_method(l, channel, &f->payload.method);
        else if (f->frame_type == AMQP_FRAME_HEADER || f->frame_type == AMQP_FRAME_BODY)
                on_content(l, f);
        if (l->connection)
                amqp_maybe_release_buffers_on_channel(l->connection, channel);
}

/* Reads what is there; true if more may be. */
static bool read_frames(struct amqp_link *l)
{
        struct timeval now = {0};
        l->n_deliveries = 0;
        for (int i = 0; i < FRAMES_A_TURN && l->n_deliveries < DELIVERIES_A_TURN; i++) {
                amqp_frame_t frame;
                int r = amqp_simple_wait_frame_noblock(l->connection, &frame, &now);
                if (r == AMQP_STATUS_TIMEOUT)
                        return false;
                if (r != AMQP_STATUS_OK) {
                        lose_status(l, r);
                        return false;
                }
                on_frame(l, &frame);
                if (!l->connection)
                        return false;
        }
        return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        struct amqp_link *l = arg;
        (void)fd;
        (void)what;
        if (!l->connection)
                return;
        if (read_frames(l)) {
                struct timeval at_once = {0};
                evtimer_add(l->on_again, &at_once);
        }
        if (l->connection && l->wants_ready) {
                l->wants_ready = false;
                l->options.on_ready(l->options.arg);
        }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
        struct amqp_link *l = arg;
        (void)fd;
        (void)what;
        l->options.on_ready(l->options.arg);
}

/* ── life ── */

static void on_upkeep(evutil_socket_t fd, short what, void *arg)
{
        on_readable(fd, what, arg); /* librabbitmq sends and misses heartbeats when it reads */
}

static int take_over(struct amqp_link *l, amqp_connection_state_t connection)
{
        int fd = amqp_get_sockfd(connection);
        l->connection = connection;
        l->publish = l->ask = CHANNEL_OPEN;
        l->next_seq = 0;
        l->backoff_ms = BACKOFF_MIN_MS;
        l->last_failure[0] = '\0';
        l->on_read = event_new(l->base, fd, EV_READ | EV_PERSIST, on_readable, l);
        l->on_write = event_new(l->base, fd, EV_WRITE, on_writable, l);
        return l->on_read && l->on_write && event_add(l->on_read, NULL) == 0 ? 0 : -ENOMEM;
}

/* An attempt that fails as the one before is not worth another line. */
static void attempt_failed(struct amqp_link *l, const struct err *err)
{
        bool is_new = strncmp(l->last_failure, err->text, sizeof(l->last_failure) - 1) != 0;
        log_write(is_new ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG,
                "no connection to the AMQP broker %s:%d: %s; trying again", l->options.address.host,
                l->options.address.port, err->text);
        snprintf(l->last_failure, sizeof(l->last_failure), "%s", err->text);
        retry_later(l);
}

static void on_attempt_done(evutil_socket_t fd, short what, void *arg)
{
        struct amqp_link *l = arg;
        struct err err = ERR_INIT;
        (void)fd;
        (void)what;
        amqp_connection_state_t connection = amqp_attempt_take(l->attempt, &err);
        drop_event(&l->on_attempt);
        amqp_attempt_drop(TAKE(l->attempt));
        if (!connection) {
                attempt_failed(l, &err);
        } else if (take_over(l, connection) < 0) {
                lose(l, "out of memory");
        } else {
                log_info("connected to the AMQP broker %s:%d", l->options.address.host,
                        l->options.address.port);
                l->options.on_connected(l->options.arg);
                on_readable(-1, 0, l); /* frames that came with the last answer */
        }
}

static void start(struct amqp_link *l)
{
        struct err err = ERR_INIT;
        l->attempt = amqp_attempt_start(&l->options);
        if (l->attempt)
                l->on_attempt = event_new(
                        l->base, amqp_attempt_fd(l->attempt), EV_READ, on_attempt_done, l);
        if (l->on_attempt) {
                event_add(l->on_attempt, NULL);
                return;
        }
        amqp_attempt_drop(TAKE(l->attempt));
        err_set(&err, -ENOMEM, "cannot start a thread");
        attempt_failed(l, &err);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        start(arg);
}

static int init(struct amqp_link *l, struct event_base *base, const struct amqp_link_options *o)
{
        struct timeval upkeep = {.tv_sec = UPKEEP_S};
        l->base = base;
        l->options = *o;
        l->backoff_ms = BACKOFF_MIN_MS;
        l->options.password = l->password = strdup(o->password);
        l->options.ca_file = l->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
        l->exchanges = calloc(MAX_EXCHANGES, sizeof(*l->exchanges));
        l->on_upkeep = event_new(base, -1, EV_PERSIST, on_upkeep, l);
        l->on_retry = evtimer_new(base, on_retry, l);
        l->on_again = evtimer_new(base, on_readable, l);
        if (!l->password || (o->ca_file && !l->ca_file) || !l->exchanges || !l->on_upkeep ||
                !l->on_retry || !l->on_again)
                return -ENOMEM;
        return event_add(l->on_upkeep, &upkeep);
}

int amqp_link_new(struct event_base *base, const struct amqp_link_options *options,
        struct amqp_link **ret_link, struct err *err)
{
        if (options->address.is_tls && !options->ca_file)
                return err_set(err, -EINVAL,
                        "a broker over TLS (amqps) needs a file with the CA certificates");
        CLEAN(amqp_link) struct amqp_link *l = calloc(1, sizeof(*l));
        if (!l || init(l, base, options) < 0)
                return err_set(err, -ENOMEM, "out of memory");
        start(l);
        *ret_link = TAKE(l);
        return 0;
}

void amqp_link_free(struct amqp_link *l)
{
        amqp_connection_close_t goodbye = {.reply_code = 200};
        if (!l)
                return;
        if (l->connection && unsent_bytes(l) == 0)
                (void)amqp_send_method(l->connection, 0, AMQP_CONNECTION_CLOSE_METHOD, &goodbye);
        drop_connection(l);
        drop_event(&l->on_upkeep);
        drop_event(&l->on_retry);
        drop_event(&l->on_again);
        free(l->exchanges);
        free(l->ca_file);
        if (l->password)
                explicit_bzero(l->password, strlen(l->password));
        free(l->password);
        free(l);
}

/* ── answers to what was consumed ── */

static bool is_current(const struct amqp_link *l, uint64_t tag)
{
        return l->connection && tag >> TAG_BITS == (l->epoch & (UINT64_MAX >> TAG_BITS));
}

void amqp_link_ack(struct amqp_link *l, uint64_t tag)
{
        amqp_basic_ack_t ack = {.delivery_tag = tag & TAG_MASK};
        if (is_current(l, tag))
                (void)amqp_send_method(
                        l->connection, AMQP_CHANNEL_CONSUME, AMQP_BASIC_ACK_METHOD, &ack);
}

void amqp_link_reject(struct amqp_link *l, uint64_t tag, bool requeue)
{
        amqp_basic_reject_t reject = {.delivery_tag = tag & TAG_MASK, .requeue = requeue};
        if (is_current(l, tag))
                (void)amqp_send_method(
                        l->connection, AMQP_CHANNEL_CONSUME, AMQP_BASIC_REJECT_METHOD, &reject);
}
