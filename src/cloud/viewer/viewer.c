/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/viewer.h"

#include "base/clock.h"
#include "base/http_server.h"
#include "base/log.h"
#include "base/loop.h"
#include "cloud/config/config.h"
#include "cloud/page/asset.h"
#include "cloud/stream/stream.h"
#include "cloud/viewer/api.h"
#include "cloud/viewer/host.h"
#include "cloud/viewer/source_pipeline.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define N_FEEDS 3
#define REFILL_MS 1000
/* All targets are read at once, so with very many of them it is done less often: 2 % of the time.
 */
#define TARGETS_REST 50

struct viewer {
        const struct cloud_config *config;
        struct event_base *base;
        struct http_server *server;
        struct event *signals[2];
        struct event *refill; /* timer: looks whether store and update server know more devices */
        uint64_t targets_generation;
        int64_t targets_at; /* monotonic ms from when on they may be read again */
        bool has_history;   /* the store has told all that was before our tail of the stream */
        struct live_feed feeds[N_FEEDS];
        struct api api;
};

/* The page holds no inline script or style and loads nothing from elsewhere; this makes sure of it.
 */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                             "img-src 'self'; connect-src 'self'; "
                             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

extern const struct asset_table viewer_assets;

static void refuse_text(struct http_exchange *x, int status, const char *text)
{
        http_reply(x, status, "text/plain;charset=UTF-8", text, strlen(text));
}

static void handle(void *arg, struct http_exchange *x)
{
        struct viewer *v = arg;
        asset_add_headers(x, policy);
        if (!host_is_allowed(http_header(x, "Host"), v->config->viewer_listen))
                return refuse_text(x, 403,
                        "this server answers to loopback's names only: use http://127.0.0.1\n");
        if (strcmp(http_method(x), "GET") != 0 && strcmp(http_method(x), "HEAD") != 0) {
                http_add_header(x, "Allow", "GET, HEAD");
                return refuse_text(x, 405, "the viewer only reads\n");
        }
        if (strncmp(http_path(x), "/api/", 5) == 0)
                return api_answer(&v->api, x);
        const struct asset *a = asset_find(&viewer_assets, http_path(x));
        if (a)
                asset_reply(a, x);
        else
                refuse_text(x, 404, "there is no such file\n");
}

/* ── feeds ── */

static uint64_t rollouts_generation(void *arg)
{
        return source_ota_generation(((struct viewer *)arg)->api.ota);
}

static json_t *rollouts_read(void *arg)
{
        struct err err = ERR_INIT;
        json_t *rollouts = source_ota_rollouts(((struct viewer *)arg)->api.ota, &err);
        if (!rollouts)
                log_warning("cannot read the rollouts: %s", err.text);
        return rollouts;
}

static uint64_t pipelines_generation(void *arg)
{
        return source_pipeline_generation(((struct viewer *)arg)->config);
}

static json_t *pipelines_read(void *arg)
{
        struct err err = ERR_INIT;
        json_t *pipelines = source_pipeline_read(((struct viewer *)arg)->config, &err);
        if (!pipelines)
                log_warning("cannot read the pipelines: %s", err.text);
        return pipelines;
}

static uint64_t log_generation(void *arg)
{
        return source_log_generation(((struct viewer *)arg)->api.log);
}

static json_t *log_read(void *arg)
{
        return source_log_news(((struct viewer *)arg)->api.log);
}

static void set_up_feeds(struct viewer *v)
{
        v->feeds[0] = (struct live_feed){.name = "rollouts",
                .generation = rollouts_generation,
                .read = rollouts_read,
                .arg = v};
        v->feeds[1] = (struct live_feed){.name = "pipelines",
                .generation = pipelines_generation,
                .read = pipelines_read,
                .arg = v};
        v->feeds[2] = (struct live_feed){.name = "log",
                .only_news = true,
                .generation = log_generation,
                .read = log_read,
                .arg = v};
}

/* ── life ── */

/* The store may be behind the stream, or not there yet, when the viewer starts. */
static void fill_from_store(struct viewer *v)
{
        struct err err = ERR_INIT;
        uint64_t offset = 0;
        if (source_store_fill_fleet(v->api.store, v->api.fleet, &offset, &err) < 0)
                log_warning("cannot read the store's devices: %s", err.text);
        else
                v->has_history = offset >= live_first_offset(v->api.live);
}

static void on_refill(evutil_socket_t fd, short what, void *arg)
{
        struct viewer *v = arg;
        struct err err = ERR_INIT;
        if (!v->has_history)
                fill_from_store(v);
        int64_t began = clock_mono_ms();
        uint64_t generation = source_ota_generation(v->api.ota);
        if (generation == v->targets_generation || began < v->targets_at)
                return;
        v->targets_generation = generation;
        if (source_ota_fill_fleet(v->api.ota, v->api.fleet, &err) < 0)
                log_warning("cannot read the update server's targets: %s", err.text);
        v->targets_at = clock_mono_ms() + (clock_mono_ms() - began) * TARGETS_REST;
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
        event_base_loopbreak(arg);
}

static int set_up_events(struct viewer *v, struct err *err)
{
        static const int numbers[] = {SIGTERM, SIGINT};
        struct timeval every = {.tv_sec = REFILL_MS / 1000};
        v->base = event_base_new();
        if (!v->base)
                return err_set(err, -ENOMEM, "out of memory");
        for (int i = 0; i < 2; i++) {
                v->signals[i] = evsignal_new(v->base, numbers[i], on_signal, v->base);
                if (!v->signals[i] || event_add(v->signals[i], NULL) < 0)
                        return err_set(err, -ENOMEM, "out of memory");
        }
        v->refill = event_new(v->base, -1, EV_PERSIST, on_refill, v);
        if (!v->refill || event_add(v->refill, &every) < 0)
                return err_set(err, -ENOMEM, "out of memory");
        return 0;
}

/* The tail begins before the history is read, so nothing falls between the two. */
static int set_up_sources(struct viewer *v, struct err *err)
{
        struct api *a = &v->api;
        a->config = v->config;
        a->stream_dir = cloud_path(v->config, STREAM_TELEMETRY);
        if (!a->stream_dir || fleet_new(&a->fleet) < 0)
                return err_set(err, -ENOMEM, "out of memory");
        int r = source_store_new(v->config, &a->store, err);
        if (r < 0 || (r = source_log_new(v->config, &a->log, err)) < 0 ||
                (r = source_ota_new(v->config, &a->ota, err)) < 0)
                return r;
        set_up_feeds(v);
        struct live_options options = {.base = v->base,
                .fleet = a->fleet,
                .stream_dir = a->stream_dir,
                .feeds = v->feeds,
                .n_feeds = N_FEEDS};
        r = live_new(&options, &a->live, err);
        if (r < 0)
                return r;
        on_refill(-1, 0, v);
        return 0;
}

static int listen_http(struct viewer *v, struct err *err)
{
        struct http_server_options options = {.max_body = LIMIT_KIB(1), .handle = handle, .arg = v};
        int r = http_server_new(v->base, &options, &v->server, err);
        if (r < 0)
                return r;
        return http_server_listen(v->server, v->config->viewer_listen, NULL, NULL, err);
}

static void viewer_fini(struct viewer *v)
{
        live_free(v->api.live); /* ends its streams, which are the server's */
        http_server_free(v->server);
        source_store_free(v->api.store);
        source_log_free(v->api.log);
        source_ota_free(v->api.ota);
        fleet_free(v->api.fleet);
        free(v->api.stream_dir);
        for (int i = 0; i < 2; i++) {
                if (v->signals[i])
                        event_free(v->signals[i]);
        }
        if (v->refill)
                event_free(v->refill);
        loop_free(v->base);
}

int viewer_serve(const struct cloud_config *config, struct err *err)
{
        struct viewer v = {.config = config};
        signal(SIGPIPE, SIG_IGN);
        int r = set_up_events(&v, err);
        if (r == 0)
                r = set_up_sources(&v, err);
        if (r == 0)
                r = listen_http(&v, err);
        if (r == 0) {
                log_ready("the page is at http://%s/", config->viewer_listen);
                event_base_dispatch(v.base);
        }
        viewer_fini(&v);
        return r;
}
