/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * poll_load PORT CONNECTIONS SECONDS REQUEST-FILE: asks an HTTP server on loopback the same thing
 * over and over, one request at a time on each of some kept connections, and prints one line of
 * JSON with the rate, the median and the 99th percentile. The file holds the request's bytes as
 * they are sent. An answer that isn't 200 counts as an error; the first one's head is shown.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
        MAX_CONNECTIONS = 256,
        MAX_ANSWER_BYTES = 65536,
        /* Latencies in steps of 10 us up to 1 s; slower ones count as 1 s. */
        LATENCY_STEP_NS = 10000,
        N_LATENCIES = 100000,
};

struct connection {
        int fd;
        int64_t asked_at;
        size_t length;
        char answer[MAX_ANSWER_BYTES + 1];
};

struct load {
        char request[8192];
        size_t request_size;
        int epoll;
        uint64_t n_ok, n_errors;
        uint32_t latencies[N_LATENCIES];
        struct connection *connections;
};

static int64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void __attribute__((noreturn)) fail(const char *what)
{
        (void)fprintf(stderr, "poll_load: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void ask(struct load *load, struct connection *c)
{
        c->asked_at = now_ns();
        c->length = 0;
        if (send(c->fd, load->request, load->request_size, MSG_NOSIGNAL) !=
                (ssize_t)load->request_size)
                fail("cannot send");
}

static void connection_open(struct load *load, struct connection *c, uint16_t port)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        int one = 1;

        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                fail("cannot connect");
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
                fail("cannot watch a connection");
        ask(load, c);
}

/* True once head and body are there. evhttp always sends a Content-Length. */
static bool answer_is_complete(const struct connection *c)
{
        const char *end = strstr(c->answer, "\r\n\r\n");
        const char *length;

        if (!end)
                return false;
        length = strcasestr(c->answer, "\r\nContent-Length:");
        if (!length || length > end)
                return true;
        return c->length >= (size_t)(end + 4 - c->answer) +
                                    strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
}

static void count_answer(struct load *load, const struct connection *c)
{
        int64_t step = (now_ns() - c->asked_at) / LATENCY_STEP_NS;

        load->latencies[step < N_LATENCIES ? step : N_LATENCIES - 1]++;
        if (strncmp(c->answer, "HTTP/1.1 200", 12) == 0) {
                load->n_ok++;
                return;
        }
        if (load->n_errors++ == 0)
                (void)fprintf(stderr, "poll_load: the server answered: %.300s\n", c->answer);
}

static void on_readable(struct load *load, struct connection *c)
{
        ssize_t n = recv(c->fd, c->answer + c->length, MAX_ANSWER_BYTES - c->length, 0);

        if (n <= 0)
                fail("the server closed a connection");
        c->length += (size_t)n;
        c->answer[c->length] = '\0';
        if (!answer_is_complete(c))
                return;
        count_answer(load, c);
        ask(load, c);
}

static void run_for(struct load *load, double seconds)
{
        int64_t end = now_ns() + (int64_t)(seconds * 1e9);
        struct epoll_event events[MAX_CONNECTIONS];

        while (now_ns() < end) {
                int n = epoll_wait(load->epoll, events, MAX_CONNECTIONS, 1000);

                if (n < 0 && errno != EINTR)
                        fail("cannot wait");
                for (int i = 0; i < n; i++)
                        on_readable(load, events[i].data.ptr);
        }
}

static double percentile_ms(const struct load *load, double share)
{
        uint64_t wanted = (uint64_t)((double)(load->n_ok + load->n_errors) * share), seen = 0;
        size_t step = 0;

        while (step < N_LATENCIES - 1 && (seen += load->latencies[step]) < wanted)
                step++;
        return (double)(step + 1) * LATENCY_STEP_NS / 1e6;
}

static void read_request(struct load *load, const char *path)
{
        FILE *file = fopen(path, "rbe");

        if (!file)
                fail(path);
        load->request_size = fread(load->request, 1, sizeof(load->request), file);
        (void)fclose(file);
}

int main(int argc, char **argv)
{
        static struct load load;
        int n_connections = argc == 5 ? atoi(argv[2]) : 0;
        double seconds = argc == 5 ? strtod(argv[3], NULL) : 0;

        if (n_connections < 1 || n_connections > MAX_CONNECTIONS || seconds <= 0) {
                (void)fprintf(stderr, "usage: poll_load PORT CONNECTIONS SECONDS REQUEST-FILE\n");
                return 2;
        }
        read_request(&load, argv[4]);
        load.epoll = epoll_create1(EPOLL_CLOEXEC);
        load.connections = calloc((size_t)n_connections, sizeof(*load.connections));
        if (load.epoll < 0 || !load.connections)
                fail("cannot start");
        for (int i = 0; i < n_connections; i++)
                connection_open(&load, &load.connections[i], (uint16_t)atoi(argv[1]));
        run_for(&load, seconds);
        printf("{\"per_second\": %.0f, \"errors\": %llu, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
                (double)load.n_ok / seconds, (unsigned long long)load.n_errors,
                percentile_ms(&load, 0.5), percentile_ms(&load, 0.99));
        free(load.connections);
        return load.n_errors > 0;
}
