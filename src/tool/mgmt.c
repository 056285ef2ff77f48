/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tool/mgmt.h"

#include "base/clean.h"
#include "base/fs.h"
#include "base/http_client.h"
#include "base/limits.h"
#include "base/loop.h"
#include "cloud/config/config.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PASSWORD 256
#define CALL_TIMEOUT_MS 30000

struct call {
        struct event_base *base;
        int result;
        json_t *document;
        struct err *err;
};

static void read_refusal(struct call *c, const struct http_answer *answer)
{
        CLEAN_JSON json_t *document = json_parse(buf_text(answer->body), answer->body->len, NULL);
        const char *text = json_text(document, "message", NULL);
        if (!text)
                text = json_text(document, "error", "no reason given");
        c->result = err_set(
                c->err, -EREMOTEIO, "the update server refused (%d): %s", answer->status, text);
}

static void on_done(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct call *c = arg;
        event_base_loopbreak(c->base);
        if (!answer) {
                c->result = err_set(c->err, err->code,
                        "the update server does not answer (%s); start it with 'driveline up'",
                        err->text);
                return;
        }
        if (answer->status >= 400)
                read_refusal(c, answer);
        else if (answer->body->len)
                c->document = json_parse(buf_text(answer->body), answer->body->len, c->err);
        if (answer->status < 400 && answer->body->len && !c->document)
                c->result = -EBADMSG;
}

static int read_authorization(
        const struct cloud_config *config, char text[2 * MAX_PASSWORD], struct err *err)
{
        CLEAN_MEM char *path = cloud_path(config, CLOUD_ADMIN_PASSWORD);
        CLEAN_BUF struct buf password = BUF_INIT(MAX_PASSWORD);
        unsigned char plain[MAX_PASSWORD + 8];
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_read(path, &password, err);
        if (r < 0)
                return r;
        int n = snprintf((char *)plain, sizeof(plain), "admin:%.*s",
                (int)strcspn(buf_text(&password), "\r\n"), buf_text(&password));
        memcpy(text, "Basic ", 6);
        EVP_EncodeBlock((unsigned char *)text + 6, plain, n);
        return 0;
}

static int run_call(const struct cloud_config *config, const char *method, const char *target,
        const char *body, struct call *c)
{
        char authorization[2 * MAX_PASSWORD] = "", url[256], path[2048];
        int r = read_authorization(config, authorization, c->err);
        if (r < 0)
                return r;
        const char *headers[] = {
                "Authorization", authorization, "Accept", "application/json", NULL};
        snprintf(url, sizeof(url), "http://%s/rest/v1", config->http_listen);
        if ((size_t)snprintf(path, sizeof(path), "/%s", target) >= sizeof(path))
                return err_set(c->err, -E2BIG, "the query is too long");
        CLEAN(http_client) struct http_client *client = NULL;
        r = http_client_new(c->base, &(struct http_client_options){.url = url, .headers = headers},
                &client, c->err);
        if (r < 0)
                return r;
        struct http_request request = {.method = method,
                .target = path,
                .body = body,
                .body_len = body ? strlen(body) : 0,
                .content_type = body ? "application/json" : NULL,
                .total_timeout_ms = CALL_TIMEOUT_MS,
                .on_done = on_done,
                .arg = c};
        r = http_client_request(client, &request, NULL, c->err);
        if (r < 0)
                return r;
        event_base_dispatch(c->base);
        return c->result;
}

int mgmt_local(const struct verb_context *v, struct buf *url, struct buf *password, struct err *err)
{
        struct cloud_config config;
        int r = cloud_config_load(v->data_dir, &config, err);
        if (r < 0)
                return r;
        CLEAN_MEM char *path = cloud_path(&config, CLOUD_ADMIN_PASSWORD);
        buf_addf(url, "http://%s", config.http_listen);
        r = path ? fs_read(path, password, err) : err_set(err, -ENOMEM, "out of memory");
        cloud_config_fini(&config);
        return r;
}

int mgmt_call(const struct verb_context *v, const char *method, const char *target,
        const char *body, json_t **ret, struct err *err)
{
        struct cloud_config config;
        int r = cloud_config_load(v->data_dir, &config, err);
        if (r < 0)
                return r;
        struct event_base *base = event_base_new();
        struct call c = {.base = base, .err = err};
        r = base ? run_call(&config, method, target, body, &c)
                 : err_set(err, -ENOMEM, "out of memory");
        loop_free(base);
        cloud_config_fini(&config);
        if (r < 0 || !ret)
                json_decref(c.document);
        else
                *ret = c.document;
        return r;
}
