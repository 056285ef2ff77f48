/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_client.h"
#include "base/limits.h"
#include "base/tls.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#define HTTP_CLIENT_IDLE_MS 30000
#define HTTP_CLIENT_MAX_HEADERS 16

struct http_client {
        struct event_base *base;
        struct evdns_base *dns;
        SSL_CTX *tls; /* NULL: plain */
        SSL_SESSION *session;
        char *scheme, *host,
                *prefix; /* `prefix`: path before every target, without a slash at its end */
        char *host_header;
        int port;
        char **headers; /* name, value, …, NULL */
        struct http_call *calls;
};

struct http_call {
        struct http_client *client;
        struct http_call *next;
        struct evhttp_connection *connection;
        struct bufferevent *bev;
        struct event *finish, *deadline;
        struct http_request request; /* only the call-backs and the ceiling are used later */
        int status;
        struct evkeyvalq *answer_headers; /* libevent's while in its call-back, else our copy */
        struct evkeyvalq kept_headers;
        struct buf body;
        struct err err;
        bool failed, ended, cancelled;
};

static const char *find_header(const struct http_answer *answer, const char *name)
{
        const struct http_call *call = answer->impl;
        return evhttp_find_header(call->answer_headers, name);
}

static struct http_answer answer_of(struct http_call *call)
{
        return (struct http_answer){call->status, &call->body, find_header, call};
}

/* Takes the call from its client, which may be freed then. */
static void call_part(struct http_call *call)
{
        for (struct http_call **at = &call->client->calls; *at; at = &(*at)->next)
                if (*at == call) {
                        *at = call->next;
                        break;
                }
        if (call->connection)
                evhttp_connection_free(call->connection);
        call->connection = NULL;
}

static void call_rest_free(struct http_call *call)
{
        if (call->finish)
                event_free(call->finish);
        if (call->deadline)
                event_free(call->deadline);
        evhttp_clear_headers(&call->kept_headers);
        buf_fini(&call->body);
        free(call);
}

static void call_free(struct http_call *call)
{
        call_part(call);
        call_rest_free(call);
}

/* The end is told from the loop, after libevent has left its own call-backs, so that the call may
 * be freed with its connection. */
static void end_later(struct http_call *call)
{
        if (call->ended)
                return;
        call->ended = true;
        event_active(call->finish, EV_TIMEOUT, 0);
}

static void fail(struct http_call *call, int code, const char *text)
{
        if (call->failed || call->ended)
                return;
        call->failed = true;
        err_set(&call->err, code, "%s://%s: %s", call->client->scheme, call->client->host_header,
                text);
        end_later(call);
}

static void finish(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct http_call *call = arg;
        call_part(call);
        if (!call->cancelled) {
                struct http_answer answer = answer_of(call);
                call->request.on_done(call->request.arg, call->failed ? NULL : &answer,
                        call->failed ? &call->err : NULL);
        }
        call_rest_free(call);
}

static void deadline_over(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        fail(arg, -ETIMEDOUT, "the exchange took too long");
}

static SSL *call_ssl(const struct http_call *call)
{
        return call->client->tls ? bufferevent_openssl_get_ssl(call->bev) : NULL;
}

/* What went wrong below HTTP: certificate, TLS, or the socket. */
static void fail_connection(struct http_call *call, int socket_error)
{
        SSL *ssl = call_ssl(call);
        long verdict = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
        if (verdict != X509_V_OK) {
                char text[160];
                snprintf(text, sizeof(text), "the server's certificate is not accepted: %s",
                        X509_verify_cert_error_string(verdict));
                fail(call, -EACCES, text);
                return;
        }
        unsigned long e = ssl ? bufferevent_get_openssl_error(call->bev) : 0;
        const char *reason = e ? ERR_reason_error_string(e) : NULL;
        if (reason)
                fail(call, -ECONNABORTED, reason);
        else if (socket_error)
                fail(call, -socket_error, evutil_socket_error_to_string(socket_error));
        else
                fail(call, -ECONNRESET, "the connection was lost or could not be made");
}

static void request_failed(enum evhttp_request_error error, void *arg)
{
        struct http_call *call = arg;
        switch (error) {
        case EVREQ_HTTP_TIMEOUT:
                fail(call, -ETIMEDOUT, "no answer in time");
                break;
        case EVREQ_HTTP_EOF:
                fail(call, -ECONNRESET, "the connection was closed within the answer");
                break;
        case EVREQ_HTTP_INVALID_HEADER:
                fail(call, -EPROTO, "the answer is no HTTP");
                break;
        case EVREQ_HTTP_DATA_TOO_LONG:
                fail(call, -E2BIG, "the answer is too large");
                break;
        case EVREQ_HTTP_BUFFER_ERROR:
        case EVREQ_HTTP_REQUEST_CANCEL:
                fail_connection(call, EVUTIL_SOCKET_ERROR());
                break;
        }
}

static int headers_arrived(struct evhttp_request *req, void *arg)
{
        struct http_call *call = arg;
        if (call->ended)
                return -1;
        call->status = evhttp_request_get_response_code(req);
        call->answer_headers = evhttp_request_get_input_headers(req);
        int r = 0;
        if (call->request.on_headers) {
                struct http_answer answer = answer_of(call);
                r = call->request.on_headers(call->request.arg, &answer);
        }
        call->answer_headers = &call->kept_headers;
        if (r)
                fail(call, r < 0 ? r : -ECANCELED, "the answer was refused");
        return 0; /* the end comes by finish(), which frees the connection */
}

static void data_arrived(struct evhttp_request *req, void *arg)
{
        struct http_call *call = arg;
        struct evbuffer *in = evhttp_request_get_input_buffer(req);
        while (!call->ended && evbuffer_get_length(in)) {
                size_t n = evbuffer_get_contiguous_space(in);
                const void *data = evbuffer_pullup(in, (ev_ssize_t)n);
                int r = call->request.on_data(call->request.arg, data, n);
                evbuffer_drain(in, n);
                if (r)
                        fail(call, r < 0 ? r : -ECANCELED, "the answer's data was refused");
        }
}

static void keep_session(struct http_call *call)
{
        SSL *ssl = call_ssl(call);
        if (!ssl)
                return;
        SSL_SESSION_free(call->client->session);
        call->client->session = SSL_get1_session(ssl);
}

static void request_done(struct evhttp_request *req, void *arg)
{
        struct http_call *call = arg;
        if (call->ended)
                return;
        if (!req || !evhttp_request_get_response_code(req)) {
                fail_connection(call, EVUTIL_SOCKET_ERROR());
                return;
        }
        call->status = evhttp_request_get_response_code(req);
        struct evkeyval *h;
        TAILQ_FOREACH(h, evhttp_request_get_input_headers(req), next)
        evhttp_add_header(&call->kept_headers, h->key, h->value);
        struct evbuffer *in = evhttp_request_get_input_buffer(req);
        size_t n = evbuffer_get_length(in);
        if (!call->request.on_data && n && buf_add(&call->body, evbuffer_pullup(in, -1), n) < 0) {
                fail(call, call->body.error, "the answer is too large");
                return;
        }
        keep_session(call);
        end_later(call);
}

/* ── making a request ── */

static int command_of(const char *method, enum evhttp_cmd_type *ret)
{
        static const struct {
                const char *name;
                enum evhttp_cmd_type type;
        } commands[] = {{"GET", EVHTTP_REQ_GET}, {"POST", EVHTTP_REQ_POST}, {"PUT", EVHTTP_REQ_PUT},
                {"DELETE", EVHTTP_REQ_DELETE}, {"HEAD", EVHTTP_REQ_HEAD}};
        for (size_t i = 0; i < N_ELEMENTS(commands); i++)
                if (!strcmp(method, commands[i].name)) {
                        *ret = commands[i].type;
                        return 0;
                }
        return -EINVAL;
}

static bool is_address(const char *host)
{
        struct in6_addr any;
        return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static int prepare_tls(struct http_client *c, SSL **ret_ssl)
{
        SSL *ssl = SSL_new(c->tls);
        if (!ssl)
                return -ENOMEM;
        X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
        int good = is_address(c->host) ? X509_VERIFY_PARAM_set1_ip_asc(param, c->host)
                                       : X509_VERIFY_PARAM_set1_host(param, c->host, 0) &&
                                                 SSL_set_tlsext_host_name(ssl, c->host);
        if (!good) {
                SSL_free(ssl);
                return -EINVAL;
        }
        if (c->session)
                SSL_set_session(ssl, c->session);
        *ret_ssl = ssl;
        return 0;
}

static int open_connection(struct http_call *call)
{
        struct http_client *c = call->client;
        int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
        if (c->tls) {
                SSL *ssl = NULL;
                int r = prepare_tls(c, &ssl);
                if (r < 0)
                        return r;
                call->bev = bufferevent_openssl_socket_new(
                        c->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, flags);
                if (call->bev) /* a length or a hash tells a cut answer, whatever the goodbye was */
                        bufferevent_openssl_set_allow_dirty_shutdown(call->bev, 1);
                else
                        SSL_free(ssl);
        } else {
                call->bev = bufferevent_socket_new(c->base, -1, flags);
        }
        if (!call->bev)
                return -ENOMEM;
        call->connection = evhttp_connection_base_bufferevent_new(
                c->base, c->dns, call->bev, c->host, (ev_uint16_t)c->port);
        if (!call->connection) {
                bufferevent_free(call->bev);
                return -ENOMEM;
        }
        int idle =
                call->request.idle_timeout_ms ? call->request.idle_timeout_ms : HTTP_CLIENT_IDLE_MS;
        struct timeval tv = {idle / 1000, (idle % 1000) * 1000};
        evhttp_connection_set_timeout_tv(call->connection, &tv);
        evhttp_connection_set_max_headers_size(call->connection, LIMIT_HTTP_HEADER_BYTES);
        evhttp_connection_set_max_body_size(
                call->connection, call->request.on_data ? -1 : (ev_ssize_t)call->body.max);
        return 0;
}

static void add_headers(struct evkeyvalq *out, const char *const *headers)
{
        for (; headers && headers[0] && headers[1]; headers += 2) {
                evhttp_remove_header(out, headers[0]);
                evhttp_add_header(out, headers[0], headers[1]);
        }
}

/* Path and query of the request: a target that is an absolute URL must name our own server. */
static int target_of(struct http_client *c, const char *target, struct buf *ret, struct err *err)
{
        if (target[0] == '/' || !target[0])
                return buf_addf(ret, "%s%s", c->prefix, target);
        struct evhttp_uri *uri = evhttp_uri_parse_with_flags(target, EVHTTP_URI_NONCONFORMANT);
        const char *scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
        const char *host = uri ? evhttp_uri_get_host(uri) : NULL;
        int port = uri ? evhttp_uri_get_port(uri) : -1;
        int r = 0;
        if (!scheme || !host)
                r = err_set(err, -EINVAL, "'%s' is no URL", target);
        else if (strcasecmp(scheme, c->scheme) || strcasecmp(host, c->host) ||
                 (port < 0 ? (c->tls ? 443 : 80) : port) != c->port)
                r = err_set(err, -EXDEV, "'%s' leads away from %s://%s", target, c->scheme,
                        c->host_header);
        else
                r = buf_addf(ret, "%s%s%s",
                        evhttp_uri_get_path(uri) && *evhttp_uri_get_path(uri)
                                ? evhttp_uri_get_path(uri)
                                : "/",
                        evhttp_uri_get_query(uri) ? "?" : "",
                        evhttp_uri_get_query(uri) ? evhttp_uri_get_query(uri) : "");
        if (uri)
                evhttp_uri_free(uri);
        return r;
}

static int send_request(
        struct http_call *call, const struct http_request *request, const char *target)
{
        enum evhttp_cmd_type command;
        if (command_of(request->method, &command) < 0)
                return -EINVAL;
        struct evhttp_request *req = evhttp_request_new(request_done, call);
        if (!req)
                return -ENOMEM;
        struct evkeyvalq *out = evhttp_request_get_output_headers(req);
        evhttp_add_header(out, "Host", call->client->host_header);
        evhttp_add_header(out, "Connection", "close");
        add_headers(out, (const char *const *)call->client->headers);
        if (request->content_type)
                evhttp_add_header(out, "Content-Type", request->content_type);
        add_headers(out, request->headers);
        if (request->body)
                evbuffer_add(
                        evhttp_request_get_output_buffer(req), request->body, request->body_len);
        evhttp_request_set_error_cb(req, request_failed);
        evhttp_request_set_header_cb(req, headers_arrived);
        if (request->on_data)
                evhttp_request_set_chunked_cb(req, data_arrived);
        return evhttp_make_request(call->connection, req, command, target) ? -EIO : 0;
}

static struct http_call *call_new(struct http_client *client, const struct http_request *request)
{
        struct http_call *call = calloc(1, sizeof(*call));
        if (!call)
                return NULL;
        call->client = client;
        call->request = *request;
        call->body = BUF_INIT(request->max_body ? request->max_body : LIMIT_JSON_BODY_BYTES);
        TAILQ_INIT(&call->kept_headers);
        call->answer_headers = &call->kept_headers;
        call->next = client->calls;
        client->calls = call;
        call->finish = evtimer_new(client->base, finish, call);
        call->deadline = evtimer_new(client->base, deadline_over, call);
        if (!call->finish || !call->deadline) {
                call_free(call);
                return NULL;
        }
        return call;
}

int http_client_request(struct http_client *client, const struct http_request *request,
        struct http_call **ret_call, struct err *err)
{
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_HTTP_HEADER_BYTES);
        int r = target_of(client, request->target, &target, err);
        if (r < 0)
                return r;
        struct http_call *call = call_new(client, request);
        if (!call)
                return err_errno(err, -ENOMEM, "cannot ask '%s'", request->target);
        r = open_connection(call);
        if (!r)
                r = send_request(call, request, buf_text(&target));
        if (r < 0) {
                call_free(call);
                return err_errno(err, r, "cannot ask '%s'", request->target);
        }
        if (request->total_timeout_ms) {
                struct timeval tv = {request->total_timeout_ms / 1000,
                        (request->total_timeout_ms % 1000) * 1000};
                evtimer_add(call->deadline, &tv);
        }
        if (ret_call)
                *ret_call = call;
        return 0;
}

void http_call_cancel(struct http_call *call)
{
        call->cancelled = true;
        end_later(call);
}

/* ── the client ── */

static int copy_headers(struct http_client *c, const char *const *headers)
{
        size_t n = 0;
        while (headers && headers[n])
                n++;
        if (n > 2 * HTTP_CLIENT_MAX_HEADERS)
                return -E2BIG;
        c->headers = calloc(n + 1, sizeof(*c->headers));
        for (size_t i = 0; c->headers && i < n; i++)
                if (!(c->headers[i] = strdup(headers[i])))
                        return -ENOMEM;
        return c->headers ? 0 : -ENOMEM;
}

static int take_url(struct http_client *c, const char *url, struct err *err)
{
        struct evhttp_uri *uri = evhttp_uri_parse(url);
        const char *scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
        const char *host = uri ? evhttp_uri_get_host(uri) : NULL;
        const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
        int r = 0;
        if (!scheme || !host || !*host || (strcmp(scheme, "http") && strcmp(scheme, "https"))) {
                r = err_set(err, -EINVAL, "'%s' is no http:// or https:// URL", url);
        } else {
                bool secure = !strcmp(scheme, "https");
                c->port = evhttp_uri_get_port(uri) < 0 ? (secure ? 443 : 80)
                                                       : evhttp_uri_get_port(uri);
                c->scheme = strdup(scheme);
                size_t n = strlen(host);
                bool brackets = host[0] == '[' && host[n - 1] == ']';
                c->host = brackets ? strndup(host + 1, n - 2) : strdup(host);
                n = path ? strlen(path) : 0;
                while (n && path[n - 1] == '/')
                        n--;
                c->prefix = strndup(path ? path : "", n);
                if (asprintf(&c->host_header, "%s:%d", host, c->port) < 0)
                        c->host_header = NULL;
                if (!c->scheme || !c->host || !c->prefix || !c->host_header)
                        r = err_errno(err, -ENOMEM, "cannot use '%s'", url);
        }
        if (uri)
                evhttp_uri_free(uri);
        return r;
}

int http_client_new(struct event_base *base, const struct http_client_options *options,
        struct http_client **ret_client, struct err *err)
{
        struct http_client *c = calloc(1, sizeof(*c));
        if (!c)
                return err_errno(err, -ENOMEM, "cannot use '%s'", options->url);
        c->base = base;
        int r = take_url(c, options->url, err);
        if (!r && copy_headers(c, options->headers) < 0)
                r = err_errno(err, -ENOMEM, "cannot use '%s'", options->url);
        if (!r && !strcmp(c->scheme, "https")) {
                if (options->tls)
                        c->tls = options->tls;
                else
                        r = err_set(err, -EINVAL, "'%s' needs a CA to check the server by",
                                options->url);
        }
        if (!r && !is_address(c->host)) {
                /* Without a resolver of its own libevent would block the loop in getaddrinfo(3). */
                c->dns = evdns_base_new(
                        base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        }
        if (r < 0) {
                http_client_free(c);
                return r;
        }
        *ret_client = c;
        return 0;
}

void http_client_free(struct http_client *c)
{
        if (!c)
                return;
        while (c->calls)
                call_free(c->calls);
        if (c->dns)
                evdns_base_free(c->dns, 0);
        SSL_SESSION_free(c->session);
        for (char **h = c->headers; h && *h; h++)
                free(*h);
        free(c->headers);
        free(c->scheme);
        free(c->host);
        free(c->prefix);
        free(c->host_header);
        free(c);
}
