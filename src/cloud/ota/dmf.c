/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/dmf_apply.h"
#include "cloud/ota/dmf_send.h"

#include <errno.h>
#include <string.h>

/* hawkBit's names and times (hawkbit.dmf.rabbitmq.*); with the same prefetch ratio to our one
 * consumer. */
#define EXCHANGE "dmf.exchange"
#define RECEIVER "dmf_receiver"
#define DEAD_EXCHANGE "dmf.connector.deadletter"
#define DEAD_QUEUE "dmf_connector_deadletter_ttl"
#define DEAD_TTL_MS (INT64_C(21) * 24 * 3600 * 1000)
#define PREFETCH 100

#define TICK_MS 250 /* maintenance windows open, letters were written */
#define SWEEP_S 60  /* what a look at single targets could have missed */
#define HOLD_S 1    /* a message that the database couldn't take is tried again */

struct dmf {
        struct ota *ota;
        struct dmf_sender sender;
        char vhost[AMQP_LINK_TEXT_SIZE];
        char *urls;
        struct event *tick, *sweep, *again, *hold;
        uint64_t held[PREFETCH];
        size_t n_held;
};

static const struct amqp_exchange exchanges[] = {{EXCHANGE}, {DEAD_EXCHANGE}};
static const struct amqp_queue queues[] = {
        {.name = DEAD_QUEUE, .ttl_ms = DEAD_TTL_MS, .bound_to = DEAD_EXCHANGE},
        {.name = RECEIVER, .dead_letter_exchange = DEAD_EXCHANGE, .bound_to = EXCHANGE},
};
static const struct amqp_topology topology = {.exchanges = exchanges,
        .n_exchanges = N_ELEMENTS(exchanges),
        .queues = queues,
        .n_queues = N_ELEMENTS(queues),
        .consume = RECEIVER,
        .prefetch = PREFETCH};

/* ── out ── */

/* What there is to do is done now or, if that takes long, in the next turns of the loop. */
static void run(struct dmf *d)
{
        struct timeval at_once = {0};
        if (dmf_sender_run(&d->sender))
                evtimer_add(d->again, &at_once);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        run(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
        struct dmf *d = arg;
        (void)fd;
        (void)what;
        if (!amqp_link_is_connected(d->sender.link))
                return;
        dmf_sender_add_due(&d->sender);
        run(d);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
        struct dmf *d = arg;
        (void)fd;
        (void)what;
        dmf_sender_sweep(&d->sender);
}

void dmf_tell(void *dmf, int64_t tenant, const char *controller_id)
{
        struct dmf *d = dmf;
        struct timeval at_once = {0};
        dmf_sender_add(&d->sender, tenant, controller_id, 0);
        evtimer_add(d->again, &at_once); /* not within who tells */
}

static void on_settled(void *arg, uint64_t id, enum amqp_result result)
{
        dmf_sender_settled(&((struct dmf *)arg)->sender, id, result);
}

static void on_ready(void *arg)
{
        struct dmf *d = arg;
        dmf_sender_unpark(&d->sender);
        run(d);
}

/* ── in ── */

static void refuse(struct dmf *d, const struct amqp_delivery *m, const char *why)
{
        log_warning("DMF: a message was refused and is a dead letter now: %s", why);
        amqp_link_reject(d->sender.link, m->tag, false);
}

/* It goes back to the broker after a while, which gives it to us again. */
static void hold(struct dmf *d, const struct amqp_delivery *m, const char *why)
{
        struct timeval later = {.tv_sec = HOLD_S};
        log_warning("DMF: a message waits for the database: %s", why);
        if (d->n_held < PREFETCH)
                d->held[d->n_held++] = m->tag;
        evtimer_add(d->hold, &later);
}

static void on_hold_over(evutil_socket_t fd, short what, void *arg)
{
        struct dmf *d = arg;
        (void)fd;
        (void)what;
        for (size_t i = 0; i < d->n_held; i++)
                amqp_link_reject(d->sender.link, d->held[i], true);
        d->n_held = 0;
}

static void apply(struct dmf *d, const struct amqp_delivery *delivery, const struct dmf_message *m)
{
        struct arena arena = {0};
        struct problem problem = {0};
        struct tx tx;
        ota_tx(d->ota, &tx, &arena, &problem, 0, "CONTROLLER_PLUG_AND_PLAY");
        int r = dmf_apply(&tx, m, delivery->is_redelivered, d->vhost);
        if (r == 0 && !problem.code && tx_commit(&tx) == 0) {
                amqp_link_ack(d->sender.link, delivery->tag);
                if (m->kind == DMF_PING && m->correlation_id)
                        dmf_sender_ping(&d->sender, m->reply_to, tx.tenant_name, m->correlation_id);
                ota_tell(d->ota, &tx);
        } else {
                const char *why = problem.message ? problem.message : "the database failed";
                tx_rollback(&tx);
                if (problem.code == PROBLEM_STORAGE_FAILED || !problem.code)
                        hold(d, delivery, why);
                else
                        refuse(d, delivery, why);
        }
        problem_fini(&problem);
        arena_fini(&arena);
}

static void on_delivery(void *arg, const struct amqp_delivery *delivery)
{
        struct dmf *d = arg;
        struct dmf_message m = {0};
        struct err err = ERR_INIT;
        struct timeval at_once = {0};
        if (dmf_message_read(delivery, &m, &err) < 0) {
                refuse(d, delivery, err.text);
                return;
        }
        apply(d, delivery, &m);
        dmf_message_fini(&m);
        evtimer_add(d->again, &at_once);
}

/* ── life ── */

static void on_connected(void *arg)
{
        struct dmf *d = arg;
        dmf_sender_sweep(&d->sender);
        run(d);
}

static void on_disconnected(void *arg, const char *reason)
{
        struct dmf *d = arg;
        (void)reason;
        d->n_held = 0;
        dmf_sender_lost(&d->sender);
}

static int read_urls(struct dmf *d, const char *text, struct err *err)
{
        d->urls = strdup(text ? text : "");
        if (!d->urls)
                return err_set(err, -ENOMEM, "out of memory");
        char *rest = d->urls, *url;
        while ((url = strsep(&rest, ", "))) {
                size_t n = strlen(url);
                if (n == 0)
                        continue;
                if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
                        return err_set(err, -EINVAL,
                                "'%s' is no address to download from: it begins with http:// or "
                                "https://",
                                url);
                if (d->sender.n_urls == DMF_MAX_URLS)
                        return err_set(err, -EINVAL, "at most %d addresses to download from",
                                DMF_MAX_URLS);
                while (n && url[n - 1] == '/')
                        url[--n] = '\0';
                d->sender.urls[d->sender.n_urls++] = url;
        }
        return 0;
}

static int read_password(const char *path, struct buf *ret, struct err *err)
{
        if (!path)
                return err_set(err, -EINVAL, "the broker's password is missing: name its file");
        int r = fs_read(path, ret, err);
        if (r < 0)
                return r;
        if (ret->len)
                ret->data[strcspn(ret->data, "\r\n")] = '\0';
        return 0;
}

static struct event *timer(struct dmf *d, short flags, event_callback_fn callback)
{
        return event_new(d->ota->base, -1, flags, callback, d);
}

static int make_timers(struct dmf *d)
{
        struct timeval tick = {.tv_usec = TICK_MS * 1000}, sweep = {.tv_sec = SWEEP_S};
        d->tick = timer(d, EV_PERSIST, on_tick);
        d->sweep = timer(d, EV_PERSIST, on_sweep);
        d->again = timer(d, 0, on_again);
        d->hold = timer(d, 0, on_hold_over);
        if (!d->tick || !d->sweep || !d->again || !d->hold)
                return -ENOMEM;
        event_add(d->tick, &tick);
        event_add(d->sweep, &sweep);
        return 0;
}

static int open_link(struct dmf *d, const struct dmf_options *options, struct err *err)
{
        CLEAN_BUF struct buf password = BUF_INIT(LIMIT_KIB(4));
        struct amqp_link_options link = {.ca_file = options->ca_file,
                .topology = &topology,
                .max_body = LIMIT_DMF_MESSAGE_BYTES,
                .on_connected = on_connected,
                .on_disconnected = on_disconnected,
                .on_delivery = on_delivery,
                .on_settled = on_settled,
                .on_ready = on_ready,
                .arg = d};
        int r = amqp_address_parse(options->broker, &link.address, err);
        if (r == 0)
                r = read_password(options->password_file, &password, err);
        if (r < 0)
                return r;
        link.password = buf_text(&password);
        memcpy(d->vhost, link.address.vhost, sizeof(d->vhost));
        r = amqp_link_new(d->ota->base, &link, &d->sender.link, err);
        if (password.data)
                explicit_bzero(password.data, password.len);
        return r;
}

int dmf_new(struct ota *o, const struct dmf_options *options, struct dmf **ret_dmf, struct err *err)
{
        CLEAN(dmf) struct dmf *d = calloc(1, sizeof(*d));
        if (!d)
                return err_set(err, -ENOMEM, "out of memory");
        d->ota = o;
        dmf_sender_init(&d->sender, o);
        int r = read_urls(d, options->urls, err);
        if (r == 0 && make_timers(d) < 0)
                r = err_set(err, -ENOMEM, "out of memory");
        if (r == 0)
                r = open_link(d, options, err);
        if (r < 0)
                return err_prefix(err, "cannot set up DMF");
        *ret_dmf = TAKE(d);
        return 0;
}

static void drop_event(struct event *e)
{
        if (e)
                event_free(e);
}

void dmf_free(struct dmf *d)
{
        if (!d)
                return;
        amqp_link_free(d->sender.link);
        dmf_sender_fini(&d->sender);
        drop_event(d->tick);
        drop_event(d->sweep);
        drop_event(d->again);
        drop_event(d->hold);
        free(d->urls);
        free(d);
}
