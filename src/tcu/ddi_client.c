/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/ddi_client.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/http_client.h"
#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

struct letter {
        struct letter *next;
        char action[DDI_ID_SIZE];
        bool of_cancel;
        bool must_arrive;
        struct buf body;
};

struct ddi_client {
        struct ddi_client_options options;
        struct http_client *http;
        char *base_path; /* /{tenant}/controller/v1/{id} */
        struct http_call *look, *post, *attributes;
        struct ddi_poll poll;   /* of the look under way, then of the last one */
        struct letter *letters; /* oldest first; the first is under way if `post` */
        size_t n_letters;
        struct event *on_retry;
        int retry_ms;
        char why[ERR_TEXT_MAX];
};

static bool is_good(const struct http_answer *a)
{
        return a && a->status >= 200 && a->status < 300;
}

/* The reason why an exchange brought nothing. */
static void explain(
        const struct http_answer *a, const struct err *from, const char *what, struct err *err)
{
        if (from) {
                *err = *from;
                err_prefix(err, "%s", what);
        } else if (a->status == 401 || a->status == 403) {
                err_set(err, -EACCES,
                        "%s: the server refuses us (HTTP %d); check the certificate or the token",
                        what, a->status);
        } else {
                err_set(err, -EPROTO, "%s: the server answered HTTP %d", what, a->status);
        }
}

/* ── looking ── */

static void silence(struct ddi_client *c, const struct err *err)
{
        c->look = NULL;
        c->options.on_silence(c->options.arg, err);
}

static void news(struct ddi_client *c, const struct ddi_deployment *d, const struct ddi_cancel *k)
{
        struct ddi_news n = {.sleep_ms = c->poll.sleep_ms,
                .deployment = d,
                .cancel = k,
                .waits_for_confirmation = c->poll.confirmation != NULL,
                .wants_attributes = c->poll.config_data != NULL};
        c->look = NULL;
        c->options.on_news(c->options.arg, &n);
}

static void deployment_came(void *arg, const struct http_answer *a, const struct err *from)
{
        struct ddi_client *c = arg;
        struct err err = ERR_INIT;
        CLEAN_DDI_DEPLOYMENT struct ddi_deployment d = {0};
        if (a && (a->status == 404 || a->status == 410)) {
                news(c, NULL, NULL); /* withdrawn between the two requests */
        } else if (!is_good(a)) {
                explain(a, from, "cannot get the deployment", &err);
                silence(c, &err);
        } else if (ddi_deployment_parse(buf_text(a->body), a->body->len, &d, &err)) {
                silence(c, &err);
        } else {
                news(c, &d, NULL);
        }
}

static void cancel_came(void *arg, const struct http_answer *a, const struct err *from)
{
        struct ddi_client *c = arg;
        struct err err = ERR_INIT;
        struct ddi_cancel k;
        if (a && (a->status == 404 || a->status == 410)) {
                news(c, NULL, NULL);
        } else if (!is_good(a)) {
                explain(a, from, "cannot get the cancellation", &err);
                silence(c, &err);
        } else if (ddi_cancel_parse(buf_text(a->body), a->body->len, &k, &err)) {
                silence(c, &err);
        } else {
                news(c, NULL, &k);
        }
}

static int get(struct ddi_client *c, const char *target,
        void (*on_done)(void *, const struct http_answer *, const struct err *), struct err *err)
{
        static const char *const headers[] = {"Accept", "application/json", NULL};
        struct http_request r = {.method = "GET",
                .target = target,
                .headers = headers,
                .idle_timeout_ms = c->options.timeout_ms,
                .total_timeout_ms = 4 * c->options.timeout_ms,
                .max_body = LIMIT_DOCUMENT_BYTES * 4,
                .on_done = on_done,
                .arg = c};
        return http_client_request(c->http, &r, &c->look, err);
}

static void poll_came(void *arg, const struct http_answer *a, const struct err *from)
{
        struct ddi_client *c = arg;
        struct err err = ERR_INIT;
        if (!is_good(a)) {
                explain(a, from, "cannot poll", &err);
                silence(c, &err);
                return;
        }
        ddi_poll_fini(&c->poll);
        if (ddi_poll_parse(buf_text(a->body), a->body->len, &c->poll, &err)) {
                silence(c, &err);
                return;
        }
        int r = 0;
        if (c->poll.cancel)
                r = get(c, c->poll.cancel, cancel_came, &err);
        else if (c->poll.deployment)
                r = get(c, c->poll.deployment, deployment_came, &err);
        else
                news(c, NULL, NULL);
        if (r)
                silence(c, &err);
}

void ddi_client_look(struct ddi_client *c)
{
        struct err err = ERR_INIT;
        if (!c->look && get(c, c->base_path, poll_came, &err))
                silence(c, &err);
}

bool ddi_client_is_looking(const struct ddi_client *c)
{
        return c->look != NULL;
}

/* ── telling ── */

static void letter_free(struct letter *l)
{
        buf_fini(&l->body);
        free(l);
}

static void send_first(struct ddi_client *c);

static void drop_first(struct ddi_client *c)
{
        struct letter *l = c->letters;
        c->letters = l->next;
        c->n_letters--;
        letter_free(l);
}

static void retry_later(struct ddi_client *c)
{
        uint16_t random = 0;
        (void)hash_random(&random, sizeof(random));
        int ms = c->retry_ms * 3 / 4 + c->retry_ms / 2 * random / 65536;
        struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
        evtimer_add(c->on_retry, &tv);
        c->retry_ms = c->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : c->retry_ms * 2;
}

static bool is_taken(const struct letter *l, const struct http_answer *a)
{
        return is_good(a) || (a && (a->status == 404 || a->status == 410)) ||
               (a && l->of_cancel && a->status == 405);
}

static void post_done(void *arg, const struct http_answer *a, const struct err *from)
{
        struct ddi_client *c = arg;
        struct letter *l = c->letters;
        c->post = NULL;
        bool taken = is_taken(l, a);
        if (!taken) {
                struct err err = ERR_INIT;
                explain(a, from, "cannot send feedback", &err);
                log_warning("%s", err.text);
                if (l->must_arrive) {
                        snprintf(c->why, sizeof(c->why), "%s", err.text);
                        retry_later(c);
                        return;
                }
        }
        char action[DDI_ID_SIZE];
        memcpy(action, l->action, sizeof(action));
        bool tell = l->must_arrive && taken && !l->of_cancel;
        if (taken) {
                c->why[0] = 0;
                c->retry_ms = RETRY_MIN_MS;
        }
        drop_first(c);
        send_first(c);
        if (tell)
                c->options.on_delivered(c->options.arg, action);
}

static void send_first(struct ddi_client *c)
{
        struct letter *l = c->letters;
        if (!l || c->post)
                return;
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(4));
        buf_addf(&target, "%s/%s/%s/feedback", c->base_path,
                l->of_cancel ? "cancelAction" : "deploymentBase", l->action);
        struct http_request r = {.method = "POST",
                .target = buf_text(&target),
                .body = buf_text(&l->body),
                .body_len = l->body.len,
                .content_type = "application/json",
                .idle_timeout_ms = c->options.timeout_ms,
                .total_timeout_ms = 4 * c->options.timeout_ms,
                .on_done = post_done,
                .arg = c};
        struct err err = ERR_INIT;
        if (http_client_request(c->http, &r, &c->post, &err)) {
                log_error("cannot send feedback: %s", err.text);
                retry_later(c);
        }
}

static void retry_due(evutil_socket_t fd, short what, void *arg)
{
        send_first(arg);
}

int ddi_client_tell(
        struct ddi_client *c, const struct ddi_feedback *f, bool of_cancel, bool must_arrive)
{
        struct letter **at = &c->letters;
        for (; *at; at = &(*at)->next)
                if (must_arrive && (*at)->must_arrive && (*at)->of_cancel == of_cancel &&
                        !strcmp((*at)->action, f->action))
                        return 0;
        if (c->n_letters >= LIMIT_DDI_LETTERS && !must_arrive)
                return -ENOSPC;
        struct letter *l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->of_cancel = of_cancel;
        l->must_arrive = must_arrive;
        l->body = BUF_INIT(LIMIT_KIB(16));
        snprintf(l->action, sizeof(l->action), "%s", f->action);
        int r = ddi_feedback_write(&l->body, f);
        if (r) {
                letter_free(l);
                return r;
        }
        *at = l;
        c->n_letters++;
        if (!evtimer_pending(c->on_retry, NULL))
                send_first(c);
        return 0;
}

/* ── attributes ── */

static void attributes_done(void *arg, const struct http_answer *a, const struct err *from)
{
        struct ddi_client *c = arg;
        c->attributes = NULL;
        if (is_good(a))
                return;
        struct err err = ERR_INIT;
        explain(a, from, "cannot send attributes", &err);
        log_warning("%s", err.text); /* the server asks again with the next poll */
}

void ddi_client_send_attributes(struct ddi_client *c, const char *const *pairs)
{
        if (c->attributes || !c->poll.config_data)
                return;
        CLEAN_BUF struct buf body = BUF_INIT(LIMIT_KIB(16));
        struct err err = ERR_INIT;
        if (ddi_config_data_write(&body, pairs))
                return;
        struct http_request r = {.method = "PUT",
                .target = c->poll.config_data,
                .body = buf_text(&body),
                .body_len = body.len,
                .content_type = "application/json",
                .idle_timeout_ms = c->options.timeout_ms,
                .total_timeout_ms = 4 * c->options.timeout_ms,
                .on_done = attributes_done,
                .arg = c};
        if (http_client_request(c->http, &r, &c->attributes, &err))
                log_warning("cannot send attributes: %s", err.text);
}

const char *ddi_client_why(const struct ddi_client *c)
{
        return c->why;
}

/* ── life ── */

static int make_http(struct event_base *base, struct ddi_client *c, struct err *err)
{
        const struct ddi_client_options *o = &c->options;
        const char *const headers[] = {"User-Agent", "driveline-tcu/" DRIVELINE_VERSION,
                o->authorization ? "Authorization" : NULL, o->authorization, NULL};
        struct http_client_options h = {.url = o->url, .tls = o->tls, .headers = headers};
        return http_client_new(base, &h, &c->http, err);
}

int ddi_client_new(struct event_base *base, const struct ddi_client_options *options,
        struct ddi_client **ret_client, struct err *err)
{
        CLEAN(ddi_client) struct ddi_client *c = calloc(1, sizeof(*c));
        if (!c)
                return err_set(err, -ENOMEM, "out of memory");
        c->options = *options;
        c->retry_ms = RETRY_MIN_MS;
        c->poll.sleep_ms = -1;
        CLEAN_BUF struct buf path = BUF_INIT(LIMIT_KIB(2));
        buf_addc(&path, '/');
        buf_add_url(&path, options->tenant);
        buf_adds(&path, "/controller/v1/");
        buf_add_url(&path, options->id);
        c->base_path = path.error ? NULL : buf_take(&path);
        c->on_retry = evtimer_new(base, retry_due, c);
        if (!c->base_path || !c->on_retry)
                return err_set(err, -ENOMEM, "out of memory");
        int r = make_http(base, c, err);
        if (r)
                return r;
        *ret_client = TAKE(c);
        return 0;
}

void ddi_client_free(struct ddi_client *c)
{
        if (c->http)
                http_client_free(c->http);
        while (c->letters)
                drop_first(c);
        if (c->on_retry)
                event_free(c->on_retry);
        ddi_poll_fini(&c->poll);
        free(c->base_path);
        free(c);
}
