/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tool/api_call.h"

#include "base/clean.h"
#include "base/fs.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/loop.h"
#include "base/tls.h"
#include "tool/mgmt.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define MAX_PASSWORD 256

struct exchange {
        struct event_base *base;
        const struct api_request *request;
        struct buf *answer;
        FILE *out; /* NULL: `answer` takes the body */
        int status, result;
        struct err *err;
};

/* ── the password ── */

static int ask_password(struct buf *ret, struct err *err)
{
        struct termios before, silent;
        char line[MAX_PASSWORD];
        FILE *tty = fopen("/dev/tty", "r+e");
        if (!tty || tcgetattr(fileno(tty), &before) < 0) {
                if (tty)
                        fclose(tty);
                return err_set(err, -ENOTTY,
                        "no terminal to ask for the password; give --password-file FILE");
        }
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        fputs("Password: ", tty);
        fflush(tty);
        tcsetattr(fileno(tty), TCSAFLUSH, &silent);
        bool is_read = fgets(line, sizeof(line), tty);
        tcsetattr(fileno(tty), TCSAFLUSH, &before);
        fputs("\n", tty);
        fclose(tty);
        if (is_read)
                buf_adds(ret, line);
        OPENSSL_cleanse(line, sizeof(line));
        return is_read ? 0 : err_set(err, -ECANCELED, "no password was given");
}

/* `Authorization` of user and password into `header`. */
static int basic_header(
        const struct api_server *s, const char *local_password, struct buf *header, struct err *err)
{
        CLEAN_BUF struct buf password = BUF_INIT(MAX_PASSWORD);
        CLEAN_BUF struct buf plain = BUF_INIT(LIMIT_KIB(1));
        unsigned char coded[LIMIT_KIB(2)];
        int r = local_password     ? buf_adds(&password, local_password)
                : s->password_file ? fs_read(s->password_file, &password, err)
                                   : ask_password(&password, err);
        if (r < 0)
                return r;
        buf_addf(&plain, "%s:%.*s", s->user ? s->user : "admin",
                (int)strcspn(buf_text(&password), "\r\n"), buf_text(&password));
        if (plain.error)
                return err_set(err, -E2BIG, "the user's name is too long");
        EVP_EncodeBlock(coded, (const unsigned char *)buf_text(&plain), (int)plain.len);
        buf_addf(header, "Basic %s", (const char *)coded);
        return 0;
}

/* ── the exchange ── */

static int on_headers(void *arg, const struct http_answer *answer)
{
        struct exchange *x = arg;
        const char *to = x->request->to;
        x->status = answer->status;
        if (!to || x->status >= 400)
                return 0;
        x->out = strcmp(to, "-") == 0 ? stdout : fopen(to, "we");
        if (x->out)
                return 0;
        x->result = err_set(x->err, -errno, "cannot write '%s': %s", to, strerror(errno));
        return x->result;
}

static int on_data(void *arg, const void *data, size_t len)
{
        struct exchange *x = arg;
        if (!x->out)
                return buf_add(x->answer, data, len);
        return fwrite(data, 1, len, x->out) == len ? 0 : -EIO;
}

static int refusal(struct exchange *x)
{
        CLEAN_JSON json_t *document = json_parse(buf_text(x->answer), x->answer->len, NULL);
        const char *text = json_text(document, "message", json_text(document, "error", NULL));
        const char *code = json_text(document, "errorCode", NULL);
        return err_set(x->err, -EREMOTEIO, "the update server refused (%d): %s%s%s%s", x->status,
                text ? text : "no reason given", code ? " (" : "", code ? code : "",
                code ? ")" : "");
}

static void on_done(void *arg, const struct http_answer *answer, const struct err *err)
{
        struct exchange *x = arg;
        event_base_loopbreak(x->base);
        if (x->result < 0)
                return;
        if (!answer)
                x->result = err_set(
                        x->err, err->code, "the update server does not answer: %s", err->text);
        else if (answer->status >= 400)
                x->result = refusal(x);
}

static int exchange(struct exchange *x, const char *url, SSL_CTX *tls, const char *authorization)
{
        const char *headers[] = {
                "Authorization", authorization, "Accept", "application/json", NULL};
        if (x->request->to) /* files come as what they are */
                headers[3] = "*/*";
        CLEAN(http_client) struct http_client *client = NULL;
        int r = http_client_new(x->base,
                &(struct http_client_options){.url = url, .tls = tls, .headers = headers}, &client,
                x->err);
        if (r < 0)
                return r;
        char length[24];
        /* evhttp writes the body of a DELETE, but not its length. */
        const char *more[] = {"Content-Length", length, NULL};
        bool is_delete = strcmp(x->request->method, "DELETE") == 0 && x->request->body_len > 0;
        snprintf(length, sizeof(length), "%zu", x->request->body_len);
        struct http_request request = {.method = x->request->method,
                .headers = is_delete ? more : NULL,
                .target = x->request->target,
                .body = x->request->body,
                .body_len = x->request->body_len,
                .content_type = x->request->content_type,
                .on_headers = on_headers,
                .on_data = on_data,
                .on_done = on_done,
                .arg = x};
        r = http_client_request(client, &request, NULL, x->err);
        if (r < 0)
                return r;
        event_base_dispatch(x->base);
        if (x->out && x->out != stdout && fclose(x->out) != 0 && x->result == 0)
                x->result = err_set(x->err, -errno, "cannot write '%s'", x->request->to);
        return x->result;
}

static int with_tls(
        struct exchange *x, const struct api_server *s, const char *url, const char *authorization)
{
        SSL_CTX *tls = NULL;
        if (strncmp(url, "https:", 6) == 0 &&
                tls_client_new(s->ca_file, NULL, NULL, &tls, x->err) < 0)
                return x->err->code;
        int r = exchange(x, url, tls, authorization);
        SSL_CTX_free(tls);
        return r;
}

int api_call(const struct verb_context *v, const struct api_server *server,
        const struct api_request *request, struct buf *answer, struct err *err)
{
        struct exchange x = {.request = request, .answer = answer, .err = err};
        CLEAN_BUF struct buf header = BUF_INIT(LIMIT_KIB(3));
        CLEAN_BUF struct buf url = BUF_INIT(LIMIT_KIB(1)), password = BUF_INIT(MAX_PASSWORD);
        int r = 0;
        if (!server->url)
                r = mgmt_local(v, &url, &password, err);
        else
                buf_adds(&url, server->url);
        bool is_local_admin = !server->url && !server->user && !server->password_file;
        if (r == 0 && server->authorization)
                buf_adds(&header, server->authorization);
        else if (r == 0)
                r = basic_header(server, is_local_admin ? buf_text(&password) : NULL, &header, err);
        if (r < 0)
                return r;
        x.base = event_base_new();
        if (!x.base)
                return err_set(err, -ENOMEM, "out of memory");
        r = with_tls(&x, server, buf_text(&url), buf_text(&header));
        loop_free(x.base);
        return r;
}
