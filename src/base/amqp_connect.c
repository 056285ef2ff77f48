/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/amqp_connect.h"

#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define CONNECT_S 5 /* TCP and TLS; login; each declaration */
#define HEARTBEAT_S 20
#define FRAME_BYTES (128 * 1024)
/* The kernel charges the overhead of its buffers to this too; what we leave in it is half at most.
 */
#define SEND_BUFFER_BYTES (1024 * 1024)

struct amqp_attempt {
        atomic_int users; /* the loop and the thread; who lets go last frees it */
        int done_fd;
        struct amqp_address address;
        char *password, *ca_file;
        const struct amqp_topology *topology;
        amqp_connection_state_t connection;
        struct err err;
};

static void unref(struct amqp_attempt *a)
{
        if (atomic_fetch_sub(&a->users, 1) != 1)
                return;
        if (a->connection)
                amqp_destroy_connection(a->connection);
        if (a->done_fd >= 0)
                close(a->done_fd);
        if (a->password)
                explicit_bzero(a->password, strlen(a->password));
        free(a->password);
        free(a->ca_file);
        free(a);
}

/* ── reasons ── */

void amqp_refusal(const amqp_method_t *method, char *text, size_t size)
{
        amqp_bytes_t reason = {0};
        if (method->id == AMQP_CONNECTION_CLOSE_METHOD)
                reason = ((amqp_connection_close_t *)method->decoded)->reply_text;
        else if (method->id == AMQP_CHANNEL_CLOSE_METHOD)
                reason = ((amqp_channel_close_t *)method->decoded)->reply_text;
        snprintf(text, size, "%.*s", (int)reason.len, reason.len ? (char *)reason.bytes : "");
        if (!*text)
                snprintf(text, size, "the broker closed the connection");
}

static int check(amqp_rpc_reply_t reply, const char *what, struct err *err)
{
        char text[AMQP_LINK_TEXT_SIZE];
        switch (reply.reply_type) {
        case AMQP_RESPONSE_NORMAL:
                return 0;
        case AMQP_RESPONSE_SERVER_EXCEPTION:
                amqp_refusal(&reply.reply, text, sizeof(text));
                return err_set(err, -EACCES, "%s: %s", what, text);
        case AMQP_RESPONSE_LIBRARY_EXCEPTION:
                return err_set(err, -EIO, "%s: %s", what, amqp_error_string2(reply.library_error));
        default:
                return err_set(err, -EPROTO, "%s: no answer", what);
        }
}

/* ── steps ── */

static amqp_socket_t *new_socket(struct amqp_attempt *a)
{
        if (!a->address.is_tls)
                return amqp_tcp_socket_new(a->connection);
        amqp_socket_t *socket = amqp_ssl_socket_new(a->connection);
        if (!socket)
                return NULL;
        amqp_ssl_socket_set_verify_peer(socket, 1);
        amqp_ssl_socket_set_verify_hostname(socket, 1);
        amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
        if (amqp_ssl_socket_set_cacert(socket, a->ca_file) != AMQP_STATUS_OK) {
                err_set(&a->err, -EINVAL, "cannot read the CA certificates '%s'", a->ca_file);
                return NULL;
        }
        return socket;
}

static int open_socket(struct amqp_attempt *a)
{
        struct timeval limit = {.tv_sec = CONNECT_S};
        a->connection = amqp_new_connection();
        amqp_socket_t *socket = a->connection ? new_socket(a) : NULL;
        if (!socket)
                return a->err.code ? a->err.code : err_set(&a->err, -ENOMEM, "out of memory");
        int r = amqp_socket_open_noblock(socket, a->address.host, a->address.port, &limit);
        if (r != AMQP_STATUS_OK)
                return err_set(&a->err, -ECONNREFUSED, "cannot connect: %s", amqp_error_string2(r));
        int size = SEND_BUFFER_BYTES;
        (void)setsockopt(
                amqp_get_sockfd(a->connection), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        return 0;
}

static int login(struct amqp_attempt *a)
{
        struct timeval limit = {.tv_sec = CONNECT_S};
        amqp_set_handshake_timeout(a->connection, &limit);
        amqp_set_rpc_timeout(a->connection, &limit);
        int r = check(amqp_login(a->connection, a->address.vhost, AMQP_CHANNEL_ASK, FRAME_BYTES,
                              HEARTBEAT_S, AMQP_SASL_METHOD_PLAIN, a->address.user, a->password),
                "cannot log in", &a->err);
        for (amqp_channel_t c = AMQP_CHANNEL_CONSUME; r == 0 && c <= AMQP_CHANNEL_ASK; c++) {
                amqp_channel_open(a->connection, c);
                r = check(amqp_get_rpc_reply(a->connection), "cannot open a channel", &a->err);
        }
        return r;
}

static int declare_queue(struct amqp_attempt *a, const struct amqp_queue *q)
{
        amqp_table_entry_t entries[2];
        amqp_table_t arguments = {.entries = entries};
        if (q->dead_letter_exchange)
                entries[arguments.num_entries++] = (amqp_table_entry_t){
                        .key = amqp_cstring_bytes("x-dead-letter-exchange"),
                        .value = {.kind = AMQP_FIELD_KIND_UTF8,
                                .value.bytes = amqp_cstring_bytes(q->dead_letter_exchange)}};
        if (q->ttl_ms)
                entries[arguments.num_entries++] =
                        (amqp_table_entry_t){.key = amqp_cstring_bytes("x-message-ttl"),
                                .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = q->ttl_ms}};
        amqp_queue_declare(a->connection, AMQP_CHANNEL_CONSUME, amqp_cstring_bytes(q->name), 0, 1,
                0, 0, arguments);
        int r = check(amqp_get_rpc_reply(a->connection), "cannot declare a queue", &a->err);
        if (r < 0)
                return r;
        amqp_queue_bind(a->connection, AMQP_CHANNEL_CONSUME, amqp_cstring_bytes(q->name),
                amqp_cstring_bytes(q->bound_to), amqp_empty_bytes, amqp_empty_table);
        return check(amqp_get_rpc_reply(a->connection), "cannot bind a queue", &a->err);
}

static int declare(struct amqp_attempt *a)
{
        const struct amqp_topology *t = a->topology;
        int r = 0;
        for (size_t i = 0; r == 0 && i < t->n_exchanges; i++) {
                amqp_exchange_declare(a->connection, AMQP_CHANNEL_CONSUME,
                        amqp_cstring_bytes(t->exchanges[i].name), amqp_cstring_bytes("fanout"), 0,
                        1, 0, 0, amqp_empty_table);
                r = check(amqp_get_rpc_reply(a->connection), "cannot declare an exchange", &a->err);
        }
        for (size_t i = 0; r == 0 && i < t->n_queues; i++)
                r = declare_queue(a, &t->queues[i]);
        return r;
}

/* Consuming comes last: from then on frames arrive that are the loop's. */
static int consume(struct amqp_attempt *a)
{
        amqp_confirm_select(a->connection, AMQP_CHANNEL_PUBLISH);
        int r = check(amqp_get_rpc_reply(a->connection), "cannot ask for confirmations", &a->err);
        if (r < 0)
                return r;
        amqp_basic_qos(a->connection, AMQP_CHANNEL_CONSUME, 0, (uint16_t)a->topology->prefetch, 0);
        r = check(amqp_get_rpc_reply(a->connection), "cannot limit deliveries", &a->err);
        if (r < 0)
                return r;
        amqp_basic_consume(a->connection, AMQP_CHANNEL_CONSUME,
                amqp_cstring_bytes(a->topology->consume), amqp_empty_bytes, 0, 0, 0,
                amqp_empty_table);
        return check(amqp_get_rpc_reply(a->connection), "cannot consume", &a->err);
}

static void *run(void *arg)
{
        struct amqp_attempt *a = arg;
        uint64_t one = 1;
        int r = open_socket(a);
        if (r == 0)
                r = login(a);
        if (r == 0)
                r = declare(a);
        if (r == 0)
                r = consume(a);
        if (r < 0 && a->connection) {
                amqp_destroy_connection(a->connection);
                a->connection = NULL;
        }
        (void)!write(a->done_fd, &one, sizeof(one));
        unref(a);
        return NULL;
}

/* ── for the loop ── */

/* Signals are the loop's. */
static int start_thread(struct amqp_attempt *a)
{
        pthread_t thread;
        pthread_attr_t attributes;
        sigset_t all, before;
        sigfillset(&all);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = pthread_create(&thread, &attributes, run, a);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return -r;
}

struct amqp_attempt *amqp_attempt_start(const struct amqp_link_options *options)
{
        struct amqp_attempt *a = calloc(1, sizeof(*a));
        if (!a)
                return NULL;
        a->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        a->address = options->address;
        a->topology = options->topology;
        a->password = strdup(options->password);
        a->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
        atomic_store(&a->users, 2);
        if (a->done_fd < 0 || !a->password || (options->ca_file && !a->ca_file) ||
                start_thread(a) < 0) {
                atomic_store(&a->users, 1);
                unref(a);
                return NULL;
        }
        return a;
}

int amqp_attempt_fd(const struct amqp_attempt *a)
{
        return a->done_fd;
}

amqp_connection_state_t amqp_attempt_take(struct amqp_attempt *a, struct err *err)
{
        uint64_t count;
        (void)!read(a->done_fd, &count, sizeof(count));
        if (!a->connection)
                *err = a->err;
        return TAKE(a->connection);
}

void amqp_attempt_drop(struct amqp_attempt *a)
{
        if (a)
                unref(a);
}
