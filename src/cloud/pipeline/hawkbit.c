/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/hawkbit.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/http_client.h"
#include "base/limits.h"
#include "base/tls.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define HAWKBIT_PATIENCE_MS 60000
#define HAWKBIT_FIRST_WAIT_MS 200
#define HAWKBIT_MAX_WAIT_MS 5000

struct hawkbit {
        struct event_base *base;
        struct http_client *client;
        SSL_CTX *tls;
        char *url;
        struct http_call *call;
        struct event *on_again;
        /* the call under way */
        char method[8];
        char *target;
        char *content_type;
        struct buf body;
        hawkbit_done done;
        void *arg;
        int64_t give_up_at;
        int wait_ms;
        struct err failure; /* why it is tried again, or could not be sent */
};

static void forget_call(struct hawkbit *h)
{
        free(h->target);
        free(h->content_type);
        h->target = h->content_type = NULL;
        buf_fini(&h->body);
}

void hawkbit_free(struct hawkbit *h)
{
        if (!h)
                return;
        if (h->call)
                http_call_cancel(h->call);
        if (h->on_again)
                event_free(h->on_again);
        http_client_free(h->client);
        SSL_CTX_free(h->tls);
        forget_call(h);
        free(h->url);
        free(h);
}

/* `Basic …`, malloc()ed. */
static int authorization(const char *user, const char *password_file, char **ret, struct err *err)
{
        CLEAN_BUF struct buf password = BUF_INIT(LIMIT_KIB(4)), both = BUF_INIT(LIMIT_KIB(8));
        int r = fs_read(password_file, &password, err);
        if (r < 0)
                return err_prefix(err, "password of the update server");
        buf_addf(&both, "%s:", user);
        buf_add(&both, buf_text(&password), strcspn(buf_text(&password), "\r\n"));
        if (both.error)
                return err_errno(err, both.error, "password of the update server");
        size_t size = 4 * (both.len / 3 + 1) + 8;
        char *text = malloc(size);
        if (!text)
                return err_errno(err, -ENOMEM, "password of the update server");
        memcpy(text, "Basic ", 6);
        EVP_EncodeBlock(
                (unsigned char *)text + 6, (const unsigned char *)buf_text(&both), (int)both.len);
        *ret = text;
        return 0;
}

static void send_call(struct hawkbit *h);

static void again(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct hawkbit *h = arg;
        if (h->failure.code && clock_mono_ms() >= h->give_up_at) {
                struct err failure = h->failure;
                hawkbit_done done = h->done;
                forget_call(h);
                done(h->arg, 0, NULL, &failure);
                return;
        }
        send_call(h);
}

static int connect_options(
        struct hawkbit *h, const char *user, const char *password_file, struct err *err)
{
        CLEAN_MEM char *secret = NULL;
        int r = authorization(user, password_file, &secret, err);
        if (r < 0)
                return r;
        if (!strncmp(h->url, "https:", 6)) {
                r = tls_client_new(NULL, NULL, NULL, &h->tls, err);
                if (r < 0)
                        return r;
        }
        const char *const headers[] = {"Authorization", secret, "Accept", "application/json", NULL};
        const struct http_client_options options = {
                .url = h->url, .tls = h->tls, .headers = headers};
        return http_client_new(h->base, &options, &h->client, err);
}

int hawkbit_new(struct event_base *base, const char *url, const char *user,
        const char *password_file, struct hawkbit **ret_hawkbit, struct err *err)
{
        CLEAN(hawkbit) struct hawkbit *h = calloc(1, sizeof(*h));
        if (!h)
                return err_errno(err, -ENOMEM, "cannot call the update server");
        h->base = base;
        h->url = strdup(url);
        h->on_again = evtimer_new(base, again, h);
        if (!h->url || !h->on_again)
                return err_errno(err, -ENOMEM, "cannot call the update server");
        int r = connect_options(h, user, password_file, err);
        if (r < 0)
                return r;
        *ret_hawkbit = TAKE(h);
        return 0;
}

static void wait_again(struct hawkbit *h, int ms)
{
        const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
        evtimer_add(h->on_again, &tv);
}

/* Ends the call by the loop, never from within hawkbit_call(). */
static void fail_soon(struct hawkbit *h)
{
        h->give_up_at = 0;
        wait_again(h, 0);
}

static void try_later(struct hawkbit *h)
{
        wait_again(h, h->wait_ms);
        h->wait_ms = h->wait_ms * 2 > HAWKBIT_MAX_WAIT_MS ? HAWKBIT_MAX_WAIT_MS : h->wait_ms * 2;
}

/* What the server says about a refusal: hawkBit's `message`, else its framework's `error`. */
static void explain(const struct hawkbit *h, int status, const json_t *body, struct err *err)
{
        if (status == 401)
                err_set(err, -EACCES, "the update server at %s refuses our user and password",
                        h->url);
        else
                err_set(err, -EPROTO, "the update server answered %d to %s %s: %s", status,
                        h->method, h->target,
                        json_text(body, "message", json_text(body, "error", "no reason given")));
}

static void answered(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct hawkbit *h = arg;
        h->call = NULL;
        int status = answer ? answer->status : 0;
        if (!answer || status == 502 || status == 503 || status == 504) {
                err_set(&h->failure, -ECONNREFUSED,
                        "the update server at %s cannot be reached: %s; is 'driveline up' running?",
                        h->url, answer ? "it is not ready" : err->text);
                try_later(h);
                return;
        }
        struct err reason = ERR_INIT;
        CLEAN_JSON json_t *body = NULL;
        if (answer->body->len)
                body = json_parse(buf_text(answer->body), answer->body->len, NULL);
        if (status >= 400)
                explain(h, status, body, &reason);
        hawkbit_done done = h->done;
        forget_call(h);
        done(h->arg, status, body, status >= 400 ? &reason : NULL);
}

static void send_call(struct hawkbit *h)
{
        const struct http_request request = {.method = h->method,
                .target = h->target,
                .body = h->content_type ? buf_text(&h->body) : NULL,
                .body_len = h->body.len,
                .content_type = h->content_type,
                .on_done = answered,
                .arg = h};
        if (http_client_request(h->client, &request, &h->call, &h->failure) < 0)
                fail_soon(h);
}

static void begin(struct hawkbit *h, const char *method, const char *target,
        const char *content_type, hawkbit_done done, void *arg)
{
        forget_call(h);
        snprintf(h->method, sizeof(h->method), "%s", method);
        h->target = strdup(target);
        h->content_type = content_type ? strdup(content_type) : NULL;
        h->body = BUF_INIT(LIMIT_BUILD_PACKAGE_BYTES + LIMIT_SMALL_FILE_BYTES);
        h->done = done;
        h->arg = arg;
        h->failure = ERR_INIT;
        h->give_up_at = clock_mono_ms() + HAWKBIT_PATIENCE_MS;
        h->wait_ms = HAWKBIT_FIRST_WAIT_MS;
}

static void start(struct hawkbit *h, int error)
{
        if (!h->target)
                error = -ENOMEM;
        if (error < 0) {
                err_errno(&h->failure, error, "cannot call the update server");
                fail_soon(h);
                return;
        }
        send_call(h);
}

void hawkbit_call(struct hawkbit *h, const char *method, const char *target, json_t *body,
        hawkbit_done done, void *arg)
{
        CLEAN_JSON json_t *owned = body;
        begin(h, method, target, owned ? "application/json" : NULL, done, arg);
        start(h, owned ? json_append(&h->body, owned) : 0);
}

void hawkbit_upload(struct hawkbit *h, int64_t module, const char *path, const char *name,
        const char *sha256, hawkbit_done done, void *arg)
{
        char target[128], boundary[33] = "", type[96];
        snprintf(target, sizeof(target), "/rest/v1/softwaremodules/%lld/artifacts?sha256sum=%s",
                (long long)module, sha256);
        int r = hash_random_hex(boundary, 16);
        snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
        begin(h, "POST", target, type, done, arg);
        buf_addf(&h->body,
                "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
                "Content-Type: application/octet-stream\r\n\r\n",
                boundary, name);
        if (!r)
                r = fs_read(path, &h->body, &h->failure);
        buf_addf(&h->body, "\r\n--%s--\r\n", boundary);
        start(h, r < 0 ? r : h->body.error);
}
