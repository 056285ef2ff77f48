/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * load_devices PORT COUNT GROUP-SIZE SEED RESULT-FILE: a fleet of devices in one process, which polls
 * an update server on loopback over DDI with the gateway token `gate`, one device after the other on
 * a few kept connections, and does what it is offered: reads the deployment, runs it, reports it.
 *
 * A device remembers what it ran and which of its reports were acknowledged, as a real one does on
 * its disk, and repeats a report until it is: so each action must run once however often the server
 * dies. Offered again what was acknowledged, it runs it again, and that shows. Two in a hundred
 * fail: six of the third group, one of each other.
 *
 * Every PROGRESS_STEP acknowledged reports a line `acknowledged N` goes to stdout. SIGTERM ends the
 * fleet once no report is open; then the file gets a line `device action runs acknowledged
 * success|failure` for each action of each device.
 */
#include "base/json.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_CONNECTIONS 16 /* fewer than devices */
#define MAX_DEVICES 100000
#define MAX_RUNS 4 /* different actions of one device */
#define PROGRESS_STEP 100
#define RETRY_MS 50
#define REQUEST_SECONDS 60

struct run {
        int64_t action;
        int times;
        bool is_acknowledged;
};

struct device {
        struct run runs[MAX_RUNS];
        int n_runs;
        int64_t offered; /* the action that is being read or reported; 0: it polls next */
        bool has_read;
        bool is_busy; /* a connection serves it */
};

struct fleet;
struct slot { /* a kept connection and the device that it serves */
        struct fleet *fleet;
        struct evhttp_connection *connection;
        struct event *retry;
        uint32_t device;
};

struct fleet {
        struct event_base *base;
        struct device *devices;
        uint32_t n, next, group_size, seed, n_acknowledged, n_open;
        int port;
        bool ends;
        struct slot slots[N_CONNECTIONS];
};

static void ask(struct slot *s);

static bool fails(const struct fleet *f, uint32_t device)
{
        uint32_t at = device + f->seed;
        return device / f->group_size == 2 ? at % 50 < 3 : at % 100 < 1;
}

static struct run *run_of(struct device *d, int64_t action)
{
        for (int i = 0; i < d->n_runs; i++) {
                if (d->runs[i].action == action)
                        return &d->runs[i];
        }
        if (d->n_runs == MAX_RUNS) {
                fprintf(stderr, "load_devices: a device was offered too many actions\n");
                exit(1);
        }
        d->runs[d->n_runs] = (struct run){.action = action};
        return &d->runs[d->n_runs++];
}

/* ── what answers mean ── */

static void take_poll(struct fleet *f, struct device *d, struct evbuffer *body)
{
        size_t n = evbuffer_get_length(body);
        json_t *j = json_loadb((const char *)evbuffer_pullup(body, -1), n, 0, NULL);
        const char *href = json_string_value(json_object_get(
                json_object_get(json_object_get(j, "_links"), "deploymentBase"), "href"));
        const char *id = href ? strstr(href, "deploymentBase/") : NULL;
        if (id) {
                d->offered = strtoll(id + strlen("deploymentBase/"), NULL, 10);
                d->has_read = false;
                f->n_open++;
        }
        json_decref(j);
}

/* The deployment is there: it is run, unless it was and only the acknowledgement is missing. */
static void take_deployment(struct device *d)
{
        struct run *r = run_of(d, d->offered);
        if (r->times == 0 || r->is_acknowledged)
                r->times++;
        d->has_read = true;
}

static void drop_offer(struct fleet *f, struct device *d)
{
        d->offered = 0;
        f->n_open--;
}

static void take_acknowledgement(struct fleet *f, struct device *d)
{
        struct run *r = run_of(d, d->offered);
        if (!r->is_acknowledged && ++f->n_acknowledged % PROGRESS_STEP == 0) {
                printf("acknowledged %u\n", f->n_acknowledged);
                fflush(stdout);
        }
        r->is_acknowledged = true;
        drop_offer(f, d);
}

/* 410: the report before this one arrived, its answer did not. False: to be asked again. */
static bool take_answer(struct fleet *f, struct device *d, int status, struct evbuffer *body)
{
        if (d->offered && d->has_read && (status == 200 || status == 410))
                take_acknowledgement(f, d);
        else if (d->offered && !d->has_read && status == 200)
                take_deployment(d);
        else if (d->offered && !d->has_read && status == 404)
                drop_offer(f, d);
        else if (!d->offered && status == 200)
                take_poll(f, d, body);
        else
                return false;
        return true;
}

/* ── asking ── */

/* The next device that nobody serves. */
static void take_turn(struct slot *s)
{
        struct fleet *f = s->fleet;
        f->devices[s->device].is_busy = false;
        do {
                s->device = f->next;
                f->next = (f->next + 1) % f->n;
        } while (f->devices[s->device].is_busy);
        f->devices[s->device].is_busy = true;
}

static void go_on(struct slot *s)
{
        struct fleet *f = s->fleet;
        if (f->ends && f->n_open == 0) {
                event_base_loopbreak(f->base);
                return;
        }
        if (!f->devices[s->device].offered)
                take_turn(s);
        ask(s);
}

static void retry_later(struct slot *s)
{
        struct timeval wait = {.tv_usec = RETRY_MS * 1000};
        event_add(s->retry, &wait);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        ask(arg);
}

static void on_answer(struct evhttp_request *req, void *arg)
{
        struct slot *s = arg;
        int status = req ? evhttp_request_get_response_code(req) : 0;
        struct evbuffer *body = req ? evhttp_request_get_input_buffer(req) : NULL;
        struct device *d = &s->fleet->devices[s->device];
        if (status && take_answer(s->fleet, d, status, body))
                go_on(s);
        else
                retry_later(s);
}

static struct evhttp_request *new_request(struct slot *s)
{
        struct evhttp_request *req = evhttp_request_new(on_answer, s);
        struct evkeyvalq *headers = req ? evhttp_request_get_output_headers(req) : NULL;
        if (!headers) {
                fprintf(stderr, "load_devices: out of memory\n");
                exit(1);
        }
        evhttp_add_header(headers, "Host", "127.0.0.1");
        evhttp_add_header(headers, "Authorization", "GatewayToken gate");
        return req;
}

static void ask(struct slot *s)
{
        struct fleet *f = s->fleet;
        struct device *d = &f->devices[s->device];
        struct evhttp_request *req = new_request(s);
        char path[160];
        int n = snprintf(path, sizeof(path), "/DEFAULT/controller/v1/dev%05u", s->device);
        bool reports = d->offered && d->has_read;
        if (d->offered)
                snprintf(path + n, sizeof(path) - (size_t)n, "/deploymentBase/%lld%s",
                        (long long)d->offered, reports ? "/feedback" : "");
        if (reports) {
                evhttp_add_header(
                        evhttp_request_get_output_headers(req), "Content-Type", "application/json");
                evbuffer_add_printf(evhttp_request_get_output_buffer(req),
                        "{\"status\":{\"execution\":\"closed\",\"result\":{\"finished\":\"%s\"},"
                        "\"details\":[\"run\"]}}",
                        fails(f, s->device) ? "failure" : "success");
        }
        if (evhttp_make_request(
                    s->connection, req, reports ? EVHTTP_REQ_POST : EVHTTP_REQ_GET, path) < 0)
                retry_later(s);
}

/* ── the fleet ── */

static void on_end(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        ((struct fleet *)arg)->ends = true;
}

static bool open_slots(struct fleet *f)
{
        for (uint32_t i = 0; i < N_CONNECTIONS; i++) {
                struct slot *s = &f->slots[i];
                *s = (struct slot){.fleet = f, .device = i};
                f->devices[i].is_busy = true;
                s->connection = evhttp_connection_base_new(
                        f->base, NULL, "127.0.0.1", (ev_uint16_t)f->port);
                s->retry = event_new(f->base, -1, 0, on_retry, s);
                if (!s->connection || !s->retry)
                        return false;
                evhttp_connection_set_timeout(s->connection, REQUEST_SECONDS);
        }
        f->next = N_CONNECTIONS % f->n;
        for (uint32_t i = 0; i < N_CONNECTIONS; i++)
                ask(&f->slots[i]);
        return true;
}

static bool write_results(const struct fleet *f, const char *path)
{
        FILE *out = fopen(path, "we");
        if (!out)
                return false;
        for (uint32_t i = 0; i < f->n; i++) {
                const struct device *d = &f->devices[i];
                for (int k = 0; k < d->n_runs; k++)
                        fprintf(out, "dev%05u %lld %d %d %s\n", i, (long long)d->runs[k].action,
                                d->runs[k].times, d->runs[k].is_acknowledged,
                                fails(f, i) ? "failure" : "success");
        }
        return fclose(out) == 0;
}

static void fini(struct fleet *f)
{
        for (uint32_t i = 0; i < N_CONNECTIONS; i++) {
                if (f->slots[i].connection)
                        evhttp_connection_free(f->slots[i].connection);
                if (f->slots[i].retry)
                        event_free(f->slots[i].retry);
        }
        event_base_free(f->base);
        free(f->devices);
}

int main(int argc, char **argv)
{
        static struct fleet f;
        if (argc != 6) {
                fprintf(stderr, "usage: load_devices PORT COUNT GROUP-SIZE SEED RESULT-FILE\n");
                return 2;
        }
        f.port = atoi(argv[1]);
        f.n = (uint32_t)strtoul(argv[2], NULL, 10);
        f.group_size = (uint32_t)strtoul(argv[3], NULL, 10);
        f.seed = (uint32_t)strtoul(argv[4], NULL, 10);
        if (f.n <= N_CONNECTIONS || f.n > MAX_DEVICES || f.group_size == 0)
                return 2;
        signal(SIGPIPE, SIG_IGN);
        f.devices = calloc(f.n, sizeof(*f.devices));
        f.base = event_base_new();
        struct event *end = f.base ? evsignal_new(f.base, SIGTERM, on_end, &f) : NULL;
        if (!f.devices || !end || event_add(end, NULL) < 0 || !open_slots(&f)) {
                fprintf(stderr, "load_devices: out of memory\n");
                return 1;
        }
        event_base_dispatch(f.base);
        event_free(end);
        bool is_written = write_results(&f, argv[5]);
        fini(&f);
        return is_written ? 0 : 1;
}
