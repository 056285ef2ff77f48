/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/http_impl.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 500
#define TELL_EVERY_MS 10000
#define IDLE_MS 60000

/* ── the server ── */

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
        struct http_server *s = arg;
        struct http_connection *c = LIST_FIRST(&s->connections);
        (void)fd;
        (void)what;
        s->now_ms = clock_mono_ms();
        while (c) {
                struct http_connection *next = LIST_NEXT(c, link);
                http_connection_check(c);
                c = next;
        }
        http_peers_tidy(s->peers, s->now_ms);
        struct http_listener *l;
        SLIST_FOREACH(l, &s->listeners, link)
        evconnlistener_enable(l->socket); /* it rests when there were no descriptors */
}

/* Connections must not use up the descriptors that files and databases need. */
static size_t most_connections(void)
{
        struct rlimit r;
        size_t wanted = LIMIT_HTTP_CONNECTIONS + LIMIT_HTTP_SPARE_FILES;
        if (getrlimit(RLIMIT_NOFILE, &r) < 0)
                return 256;
        if (r.rlim_cur < wanted) {
                r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
                (void)setrlimit(RLIMIT_NOFILE, &r);
                (void)getrlimit(RLIMIT_NOFILE, &r);
        }
        if (r.rlim_cur >= wanted)
                return LIMIT_HTTP_CONNECTIONS;
        return r.rlim_cur > 2 * LIMIT_HTTP_SPARE_FILES ? r.rlim_cur - LIMIT_HTTP_SPARE_FILES
                                                       : r.rlim_cur / 2;
}

int http_server_new(struct event_base *base, const struct http_server_options *options,
        struct http_server **ret_server, struct err *err)
{
        struct http_server *s = calloc(1, sizeof(*s));
        const struct timeval period = {.tv_usec = SWEEP_MS * 1000};
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->base = base;
        s->options = *options;
        if (s->options.idle_timeout_ms == 0)
                s->options.idle_timeout_ms = IDLE_MS;
        if (s->options.stall_timeout_ms == 0)
                s->options.stall_timeout_ms = LIMIT_HTTP_STALL_MS;
        s->max_connections = most_connections();
        s->peers = http_peers_new(&options->limits);
        s->sweep = event_new(base, -1, EV_PERSIST, on_sweep, s);
        if (!s->peers || !s->sweep || event_add(s->sweep, &period) < 0) {
                http_server_free(s);
                return err_set(err, -ENOMEM, "out of memory");
        }
        *ret_server = s;
        return 0;
}

void http_server_free(struct http_server *s)
{
        if (!s)
                return;
        s->is_closing = true;
        while (!SLIST_EMPTY(&s->listeners)) {
                struct http_listener *l = SLIST_FIRST(&s->listeners);
                SLIST_REMOVE_HEAD(&s->listeners, link);
                evconnlistener_free(l->socket);
                free(l);
        }
        while (!LIST_EMPTY(&s->connections))
                http_connection_free(LIST_FIRST(&s->connections));
        while (!LIST_EMPTY(&s->exchanges))
                http_exchange_free(LIST_FIRST(&s->exchanges));
        while (!LIST_EMPTY(&s->streams)) {
                struct http_stream *stream = LIST_FIRST(&s->streams);
                LIST_REMOVE(stream, link);
                free(stream);
        }
        if (s->sweep)
                event_free(s->sweep);
        http_peers_free(s->peers);
        free(s);
}

/* ── listeners ── */

static int split_address(const char *address, char host[128], char port[8], struct err *err)
{
        const char *colon = strrchr(address, ':');
        const char *start = address;
        size_t len = colon ? (size_t)(colon - address) : 0;
        if (len > 2 && address[0] == '[' && colon[-1] == ']') {
                start++;
                len -= 2;
        }
        char *end = NULL;
        long n = colon ? strtol(colon + 1, &end, 10) : -1;
        if (len == 0 || len >= 128 || end == colon + 1 || *end || n < 0 || n > 65535)
                return err_set(
                        err, -EINVAL, "'%s' is no address: write it as 127.0.0.1:8080", address);
        memcpy(host, start, len);
        host[len] = '\0';
        snprintf(port, 8, "%d", (int)n);
        return 0;
}

/* Says why connections are refused, but not for each of them. */
static void tell_full(struct http_server *s)
{
        int64_t now = clock_mono_ms();
        if (s->told_ms && now - s->told_ms < TELL_EVERY_MS)
                return;
        s->told_ms = now;
        log_warning("%zu connections are open and new ones are refused: raise the limit of open "
                    "files (ulimit -n) or put a proxy before this server",
                s->n_connections);
}

static void on_connection(struct evconnlistener *socket, evutil_socket_t fd,
        struct sockaddr *address, int len, void *arg)
{
        struct http_listener *l = arg;
        (void)socket;
        (void)len;
        if (l->server->n_connections < l->server->max_connections) {
                http_connection_new(l, fd, address);
                return;
        }
        close(fd);
        tell_full(l->server);
}

static void on_accept_error(struct evconnlistener *socket, void *arg)
{
        struct http_listener *l = arg;
        tell_full(l->server);
        evconnlistener_disable(socket); /* until the next sweep */
}

static int port_of(struct evconnlistener *socket)
{
        struct sockaddr_storage ss = {0};
        socklen_t len = sizeof(ss);
        if (getsockname(evconnlistener_get_fd(socket), (struct sockaddr *)&ss, &len) < 0)
                return -1;
        if (ss.ss_family == AF_INET6)
                return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
        return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

/* The first of the host's addresses that can be bound; NULL with errno. */
static struct evconnlistener *bind_one(struct http_listener *l, const char *host, const char *port)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
        struct evconnlistener *socket = NULL;
        if (getaddrinfo(host, port, &hints, &list) != 0) {
                errno = EADDRNOTAVAIL;
                return NULL;
        }
        for (struct addrinfo *a = list; a && !socket; a = a->ai_next) {
                errno = 0;
                socket = evconnlistener_new_bind(l->server->base, on_connection, l,
                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                        SOMAXCONN, a->ai_addr, (int)a->ai_addrlen);
        }
        int code = errno;
        freeaddrinfo(list);
        errno = code;
        return socket;
}

int http_server_listen(struct http_server *server, const char *address, SSL_CTX *tls, int *ret_port,
        struct err *err)
{
        char host[128], port[8];
        int r = split_address(address, host, port, err);
        if (r < 0)
                return r;
        struct http_listener *l = calloc(1, sizeof(*l));
        if (!l)
                return err_set(err, -ENOMEM, "out of memory");
        *l = (struct http_listener){.server = server, .tls = tls};
        l->socket = bind_one(l, host, port);
        if (!l->socket) {
                int code = errno ? -errno : -EADDRNOTAVAIL;
                free(l);
                if (code == -EADDRINUSE)
                        return err_set(err, code,
                                "cannot listen on %s: the port is taken; stop the program that "
                                "uses it or set another one in driveline.conf",
                                address);
                return err_errno(err, code, "cannot listen on %s", address);
        }
        evconnlistener_set_error_cb(l->socket, on_accept_error);
        SLIST_INSERT_HEAD(&server->listeners, l, link);
        if (ret_port)
                *ret_port = port_of(l->socket);
        return 0;
}
