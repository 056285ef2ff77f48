/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/store/bench_live.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/config/config.h"
#include "cloud/store/store.h"
#include "cloud/stream/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 20000

struct live {
        const struct bench_live *bench;
        struct stream_writer *writer;
        struct store *store;
        char *store_path;
        struct buf message;
        int n, n_sent, n_seen;
        int64_t *us; /* when it was sent, then how long it took */
};

static pid_t start_role(const char *dir)
{
        pid_t pid = fork();
        if (pid)
                return pid;
        char *copy = strdup(dir);
        struct cloud_config config = {.data_dir = copy};
        log_setup("store", LOG_LEVEL_ERROR);
        int r = store_serve(&config, NULL);
        free(copy);
        _exit(r ? 1 : 0);
}

static int send_due(struct live *l, int64_t from_us, struct err *err)
{
        const struct bench_live *b = l->bench;
        int64_t due = (clock_mono_us() - from_us) * b->rate / 1000000;
        int r = 0;
        for (; !r && l->n_sent < l->n && l->n_sent < due; l->n_sent++) {
                char topic[64];
                int device = l->n_sent % b->devices;
                b->compose(&l->message, device, l->n_sent / b->devices);
                snprintf(topic, sizeof(topic), "device/BENCH%012d/telemetry", device);
                l->us[l->n_sent] = clock_mono_us();
                r = stream_append(l->writer, topic, l->message.data, l->message.len, clock_now_ms(),
                        NULL, err);
        }
        return r;
}

/* Offsets begin at 1: the message i has the offset i + 1, and is there when the position is behind
 * it. */
static void look(struct live *l)
{
        if (!l->store && store_open_readonly(l->store_path, &l->store, NULL))
                return;
        uint64_t next = store_offset(l->store);
        int64_t now = clock_mono_us();
        for (; (uint64_t)l->n_seen + 1 < next && l->n_seen < l->n_sent; l->n_seen++)
                l->us[l->n_seen] = now - l->us[l->n_seen];
}

static int run(struct live *l, struct err *err)
{
        int64_t from = clock_mono_us(),
                end = from + (l->bench->seconds * 1000 + WAIT_MS) * INT64_C(1000);
        while (l->n_seen < l->n) {
                struct pollfd none = {.fd = -1};
                int r = send_due(l, from, err);
                if (r)
                        return r;
                look(l);
                (void)poll(&none, 1, 1);
                if (clock_mono_us() > end)
                        return err_set(
                                err, -ETIMEDOUT, "%d of %d messages came through", l->n_seen, l->n);
        }
        return 0;
}

static int compare(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

static void report(struct live *l)
{
        qsort(l->us, (size_t)l->n, sizeof(*l->us), compare);
        printf("append to query at %d messages/s: median %.1f ms, p99 %.1f ms, longest %.1f ms\n",
                l->bench->rate, (double)l->us[l->n / 2] / 1e3,
                (double)l->us[(int64_t)l->n * 99 / 100] / 1e3, (double)l->us[l->n - 1] / 1e3);
}

static int set_up(struct live *l, struct err *err)
{
        const struct bench_live *b = l->bench;
        struct stream_options options = {0};
        l->n = b->rate * b->seconds;
        l->message = BUF_INIT(LIMIT_MESSAGE_BYTES);
        l->us = calloc((size_t)l->n + 1, sizeof(*l->us));
        l->store_path = fs_join(b->dir, CLOUD_STORE_DB);
        CLEAN_MEM char *stream_dir = fs_join(b->dir, STREAM_TELEMETRY);
        if (!l->us || !l->store_path || !stream_dir)
                return err_set(err, -ENOMEM, "out of memory");
        return stream_writer_open(stream_dir, &options, &l->writer, err);
}

int bench_live(const struct bench_live *b, struct err *err)
{
        struct live l = {.bench = b};
        int r = set_up(&l, err);
        if (!r) {
                pid_t role = start_role(b->dir);
                r = role < 0 ? err_errno(err, -errno, "cannot start the role") : run(&l, err);
                if (role > 0) {
                        kill(role, SIGTERM);
                        waitpid(role, NULL, 0);
                }
        }
        if (!r)
                report(&l);
        stream_writer_free(l.writer);
        store_free(l.store);
        buf_fini(&l.message);
        free(l.store_path);
        free(l.us);
        return r;
}
