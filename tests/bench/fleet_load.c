/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * fleet_load --port N --request FILE [options]: many devices that poll, each request for another one
 * of them, over plain HTTP or TLS, on kept connections or a new one for each poll. Prints a line of
 * JSON: rate, errors, how many TLS sessions were resumed, median and 99th percentile.
 *
 * `#` in the request stands for a number from 1 to --targets. With --rate requests are due at fixed
 * times, whatever happened to those before, and a latency counts from the time that was due: a
 * server that stops for a while is not spared the requests of that while.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
        MAX_THREADS = 64,
        MAX_REQUEST_BYTES = 4096,
        MAX_ANSWER_BYTES = 16384,
        LATENCY_STEP_NS = 10000, /* up to 2 s */
        N_LATENCIES = 200000,
};

static struct {
        int port, threads;
        double seconds, rate;
        uint64_t targets;
        const char *ca, *cert, *key;
        bool is_new;  /* a connection for each request */
        bool is_once; /* each target asks once, then it is over */
        char request[MAX_REQUEST_BYTES];
        size_t request_len;
        SSL_CTX *tls;
        int64_t start, end;
} arg = {.threads = 16, .seconds = 5, .targets = 1};

static atomic_uint_fast32_t latencies[N_LATENCIES];
static atomic_uint_fast64_t n_ok, n_errors, n_resumed, n_connections, next_target;

struct client {
        int fd, number;
        SSL *ssl;
        SSL_SESSION *session;
        uint64_t n;
};

static int64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void hang_up(struct client *c)
{
        if (c->ssl) {
                SSL_SESSION_free(c->session);
                c->session = SSL_get1_session(c->ssl); /* by now a ticket has come */
                SSL_shutdown(c->ssl);
                SSL_free(c->ssl);
        }
        c->ssl = NULL;
        if (c->fd >= 0)
                (void)close(c->fd);
        c->fd = -1;
}

static bool call(struct client *c)
{
        struct sockaddr_in to = {.sin_family = AF_INET,
                .sin_port = htons((uint16_t)arg.port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int one = 1;

        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
                return false;
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        atomic_fetch_add(&n_connections, 1);
        if (!arg.tls)
                return true;
        c->ssl = SSL_new(arg.tls);
        if (!c->ssl || !SSL_set_fd(c->ssl, c->fd))
                return false;
        if (c->session)
                SSL_set_session(c->ssl, c->session);
        if (SSL_connect(c->ssl) != 1)
                return false;
        atomic_fetch_add(&n_resumed, (uint64_t)SSL_session_reused(c->ssl));
        return true;
}

static ssize_t put(struct client *c, const char *data, size_t len)
{
        return c->ssl ? SSL_write(c->ssl, data, (int)len) : send(c->fd, data, len, MSG_NOSIGNAL);
}

static ssize_t get(struct client *c, char *data, size_t size)
{
        return c->ssl ? SSL_read(c->ssl, data, (int)size) : recv(c->fd, data, size, 0);
}

/* The request with its number in place of `#`. */
static size_t write_request(char out[MAX_REQUEST_BYTES + 32])
{
        uint64_t n = atomic_fetch_add(&next_target, 1) % arg.targets + 1;
        char *mark = memchr(arg.request, '#', arg.request_len);

        if (!mark) {
                memcpy(out, arg.request, arg.request_len);
                return arg.request_len;
        }
        size_t before = (size_t)(mark - arg.request), after = arg.request_len - before - 1;
        memcpy(out, arg.request, before);
        int digits = snprintf(out + before, 24, "%llu", (unsigned long long)n);
        memcpy(out + before + digits, mark + 1, after);
        return before + (size_t)digits + after;
}

static bool read_answer(struct client *c)
{
        char answer[MAX_ANSWER_BYTES + 1];
        size_t len = 0;

        for (;;) {
                ssize_t n = get(c, answer + len, MAX_ANSWER_BYTES - len);
                if (n <= 0)
                        return false;
                len += (size_t)n;
                answer[len] = '\0';
                char *end = strstr(answer, "\r\n\r\n"),
                     *length = strcasestr(answer, "\r\nContent-Length:");
                if (!end || !length)
                        continue;
                if (len >= (size_t)(end + 4 - answer) + strtoul(length + 17, NULL, 10))
                        return strncmp(answer, "HTTP/1.1 200", 12) == 0;
        }
}

static void ask(struct client *c, int64_t due)
{
        char request[MAX_REQUEST_BYTES + 32];
        size_t len = write_request(request);
        bool is_fine =
                (c->fd >= 0 || call(c)) && put(c, request, len) == (ssize_t)len && read_answer(c);
        int64_t step = (now_ns() - due) / LATENCY_STEP_NS;

        atomic_fetch_add(&latencies[step < N_LATENCIES ? step : N_LATENCIES - 1], 1);
        atomic_fetch_add(is_fine ? &n_ok : &n_errors, 1);
        if (!is_fine || arg.is_new)
                hang_up(c);
}

static void *run(void *p)
{
        struct client *c = p;

        for (;;) {
                int64_t due = now_ns();
                if (arg.rate > 0) {
                        double at = ((double)c->n++ * arg.threads + c->number) / arg.rate;
                        due = arg.start + (int64_t)(at * 1e9);
                        struct timespec t = {due / 1000000000, due % 1000000000};
                        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
                                ;
                }
                if (due >= arg.end || (arg.is_once && next_target >= arg.targets))
                        break;
                ask(c, due);
        }
        hang_up(c);
        SSL_SESSION_free(c->session);
        return NULL;
}

static double percentile_ms(double share)
{
        uint64_t wanted = (uint64_t)((double)(n_ok + n_errors) * share), seen = 0;
        size_t step = 0;

        while (step < N_LATENCIES - 1 && (seen += latencies[step]) < wanted)
                step++;
        return (double)(step + 1) * LATENCY_STEP_NS / 1e6;
}

static void __attribute__((noreturn)) fail(const char *what)
{
        (void)fprintf(stderr, "fleet_load: %s\n", what);
        exit(1);
}

static void set_up_tls(void)
{
        if (!arg.ca)
                return;
        arg.tls = SSL_CTX_new(TLS_client_method());
        if (!arg.tls || !SSL_CTX_load_verify_locations(arg.tls, arg.ca, NULL))
                fail("cannot use the CA");
        SSL_CTX_set_verify(arg.tls, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_session_cache_mode(arg.tls, SSL_SESS_CACHE_CLIENT);
        if (arg.cert && (!SSL_CTX_use_certificate_chain_file(arg.tls, arg.cert) ||
                                !SSL_CTX_use_PrivateKey_file(arg.tls, arg.key, SSL_FILETYPE_PEM)))
                fail("cannot use the certificate");
}

static void read_request(const char *path)
{
        FILE *file = fopen(path, "rbe");

        if (!file)
                fail("cannot read the request");
        arg.request_len = fread(arg.request, 1, sizeof(arg.request), file);
        (void)fclose(file);
}

static void read_options(int argc, char **argv)
{
        static const struct option options[] = {{"port", 1, NULL, 'p'}, {"request", 1, NULL, 'r'},
                {"threads", 1, NULL, 't'}, {"seconds", 1, NULL, 's'}, {"rate", 1, NULL, 'R'},
                {"targets", 1, NULL, 'T'}, {"ca", 1, NULL, 'a'}, {"cert", 1, NULL, 'c'},
                {"key", 1, NULL, 'k'}, {"new", 0, NULL, 'n'}, {"once", 0, NULL, 'o'}, {0}};
        int o;

        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (o) {
                case 'p':
                        arg.port = atoi(optarg);
                        break;
                case 'r':
                        read_request(optarg);
                        break;
                case 't':
                        arg.threads = atoi(optarg);
                        break;
                case 's':
                        arg.seconds = strtod(optarg, NULL);
                        break;
                case 'R':
                        arg.rate = strtod(optarg, NULL);
                        break;
                case 'T':
                        arg.targets = strtoull(optarg, NULL, 10);
                        break;
                case 'a':
                        arg.ca = optarg;
                        break;
                case 'c':
                        arg.cert = optarg;
                        break;
                case 'k':
                        arg.key = optarg;
                        break;
                case 'o':
                        arg.is_once = true;
                        break;
                case 'n':
                        arg.is_new = true;
                        break;
                default:
                        exit(2);
                }
        }
        if (!arg.port || !arg.request_len || arg.threads < 1 || arg.threads > MAX_THREADS ||
                !arg.targets)
                fail("--port, --request, and at most 64 --threads");
}

int main(int argc, char **argv)
{
        struct client clients[MAX_THREADS];
        pthread_t threads[MAX_THREADS];

        (void)signal(SIGPIPE, SIG_IGN);
        read_options(argc, argv);
        set_up_tls();
        arg.start = now_ns();
        arg.end = arg.start + (int64_t)(arg.seconds * 1e9);
        for (int i = 0; i < arg.threads; i++) {
                clients[i] = (struct client){.fd = -1, .number = i};
                if (pthread_create(&threads[i], NULL, run, &clients[i]) != 0)
                        fail("cannot start a thread");
        }
        for (int i = 0; i < arg.threads; i++)
                (void)pthread_join(threads[i], NULL);
        double took = (double)(now_ns() - arg.start) / 1e9;
        printf("{\"per_second\": %.0f, \"errors\": %llu, \"connections\": %llu, \"resumed\": %llu, "
               "\"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
                (double)n_ok / took, (unsigned long long)n_errors,
                (unsigned long long)n_connections, (unsigned long long)n_resumed,
                percentile_ms(0.5), percentile_ms(0.99));
        SSL_CTX_free(arg.tls);
        return n_errors > 0;
}
