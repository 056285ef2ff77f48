/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/api.h"

#include "base/clock.h"
#include "base/http_server.h"
#include "cloud/config/config.h"
#include "cloud/stream/stream.h"
#include "cloud/viewer/series_query.h"
#include "cloud/viewer/source_pipeline.h"
#include "cloud/viewer/sse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Twenty columns of 4000 points at 10 bytes. */
#define SERIES_MAX_BYTES LIMIT_MIB(4)
/* Records looked through for a car's last message. */
#define LAST_MESSAGE_RECORDS 5000

static void answer(struct http_exchange *x, int status, json_t *value)
{
        http_add_header(x, "Cache-Control", "no-store");
        http_reply_json(x, status, value);
}

static void refuse(struct http_exchange *x, const struct err *err)
{
        int status = err->code == -EINVAL ? 400 : err->code == -ENOENT ? 404 : 500;
        answer(x, status, json_pack("{s:s}", "error", err->text[0] ? err->text : "it failed"));
}

/* A document, or the reason why there is none. */
static void answer_or_refuse(struct http_exchange *x, json_t *value, const struct err *err)
{
        if (value)
                answer(x, 200, value);
        else
                refuse(x, err);
}

/* A non-negative number; `fallback` if absent or anything else. */
static int64_t param_number(struct http_exchange *x, const char *name, int64_t fallback)
{
        uint64_t value;
        const char *text = http_param(x, name);
        return sse_parse_id(text, &value) && value <= INT64_MAX ? (int64_t)value : fallback;
}

/* ── fleet ── */

static void parse_fleet_query(struct http_exchange *x, struct fleet_query *q)
{
        static const char *const sorts[FLEET_SORT_N] = {"name", "seen", "version"};
        const char *search = http_param(x, "search"), *state = http_param(x, "state");
        const char *sort = http_param(x, "sort");
        *q = (struct fleet_query){0};
        fleet_copy_text(q->search, sizeof(q->search), search ? search : "");
        fleet_copy_text(q->state, sizeof(q->state), state ? state : "");
        for (int i = 0; sort && i < FLEET_SORT_N; i++) {
                if (strcmp(sort, sorts[i]) == 0)
                        q->sort = i;
        }
        q->offset = (size_t)param_number(x, "offset", 0);
        q->limit = (size_t)param_number(x, "limit", 100);
}

static void get_fleet(struct api *a, struct http_exchange *x)
{
        struct fleet_query q;
        int64_t now_ms = clock_now_ms();
        parse_fleet_query(x, &q);
        json_t *page = fleet_page(a->fleet, &q, now_ms);
        json_object_set_new(page, "counts", fleet_counts(a->fleet, now_ms));
        answer(x, 200, page);
}

/* ── a device ── */

/* The message as the car sent it; NULL when the stream doesn't hold it any more. */
static json_t *last_message(struct api *a, const struct fleet_device *d)
{
        struct stream_position at = {.from = d->has_offset ? STREAM_FROM_OFFSET : STREAM_FROM_TIME,
                .offset = d->offset,
                .time_ms = d->seen_ms};
        CLEAN(stream_reader) struct stream_reader *reader = NULL;
        struct stream_record record;
        if (!d->seen_ms || stream_reader_open(a->stream_dir, &at, &reader, NULL) < 0)
                return NULL;
        for (int i = 0; i < LAST_MESSAGE_RECORDS && stream_next(reader, &record, NULL) == 0; i++) {
                char name[LIMIT_THING_NAME_BYTES + 1];
                const char *kind = fleet_split_topic(record.topic, name);
                if (kind && strcmp(kind, "telemetry") == 0 && strcmp(name, d->name) == 0)
                        return json_parse(record.payload, record.len, NULL);
        }
        return NULL;
}

static void get_device(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        const char *name = http_param(x, "device");
        CLEAN_JSON json_t *stored = NULL;
        if (series_check_device(name, &err) < 0)
                return refuse(x, &err);
        const struct fleet_device *d = fleet_find(a->fleet, name, false);
        if (!d) {
                err_set(&err, -ENOENT, "no car '%s' was ever heard of", name);
                return refuse(x, &err);
        }
        if (source_store_device(a->store, name, &stored, &err) < 0)
                return refuse(x, &err);
        json_t *ota = source_ota_device(a->ota, name, &err);
        if (!ota)
                return refuse(x, &err);
        json_t *o = fleet_device_json(d, clock_now_ms());
        json_t *message = last_message(a, d);
        json_object_set_new(o, "now", json_integer(clock_now_ms()));
        json_object_set_new(o, "stored", stored ? json_incref(stored) : json_null());
        json_object_set_new(o, "message", message ? message : json_null());
        json_object_set_new(o, "server", ota);
        answer(x, 200, o);
}

static void get_series(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        struct series_query q;
        CLEAN_BUF struct buf text = BUF_INIT(SERIES_MAX_BYTES);
        struct series_params params = {.device = http_param(x, "device"),
                .table = http_param(x, "table"),
                .columns = http_param(x, "columns"),
                .from = http_param(x, "from"),
                .to = http_param(x, "to"),
                .points = http_param(x, "points")};
        if (series_query_parse(&q, &params, clock_now_ms(), &err) < 0 ||
                source_store_series(a->store, &q, &text, &err) < 0)
                return refuse(x, &err);
        http_add_header(x, "Cache-Control", "no-store");
        http_reply(x, 200, "application/json;charset=UTF-8", text.data, text.len);
}

static void get_updates(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        const char *name = http_param(x, "device");
        int64_t now_ms = clock_now_ms(), from = 0, to = 0;
        if (series_check_device(name, &err) < 0 ||
                series_parse_time(http_param(x, "from"), now_ms, 0, &from, &err) < 0 ||
                series_parse_time(http_param(x, "to"), now_ms, INT64_MAX / 4, &to, &err) < 0)
                return refuse(x, &err);
        json_t *updates = source_store_updates(a->store, name, from, to, &err);
        answer_or_refuse(x, updates ? json_pack("{s:o}", "updates", updates) : NULL, &err);
}

/* ── rollouts, pipelines, log ── */

static void get_rollouts(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        answer_or_refuse(x, source_ota_rollouts(a->ota, &err), &err);
}

static void get_pipelines(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        answer_or_refuse(x, source_pipeline_read(a->config, &err), &err);
}

static void get_run(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        int64_t run = param_number(x, "run", -1);
        if (run < 0) {
                err_set(&err, -EINVAL, "the parameter 'run' must be the number of a run");
                return refuse(x, &err);
        }
        answer_or_refuse(
                x, source_pipeline_run(a->config, run, http_param(x, "stage"), &err), &err);
}

static void get_log(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        int64_t max = param_number(x, "lines", 300);
        if (max > LIMIT_VIEWER_LOG_LINES)
                max = LIMIT_VIEWER_LOG_LINES;
        answer_or_refuse(
                x, source_log_tail(a->log, http_param(x, "part"), (size_t)max, &err), &err);
}

/* ── events ── */

/* `feeds` is a list of names with commas; a name that is none is left out. */
static unsigned parse_feeds(const struct live *l, const char *text)
{
        unsigned feeds = 0;
        while (text && *text) {
                char name[32];
                size_t len = strcspn(text, ",");
                if (len < sizeof(name)) {
                        memcpy(name, text, len);
                        name[len] = '\0';
                        feeds |= live_feed_bit(l, name);
                }
                text += len + (text[len] == ',');
        }
        return feeds;
}

static void get_events(struct api *a, struct http_exchange *x)
{
        struct err err = ERR_INIT;
        struct live_request request = {.feeds = parse_feeds(a->live, http_param(x, "feeds"))};
        const char *device = http_param(x, "device"), *last = http_header(x, "Last-Event-ID");
        if (device) {
                if (series_check_device(device, &err) < 0)
                        return refuse(x, &err);
                fleet_copy_text(request.device, sizeof(request.device), device);
        }
        request.has_from = sse_parse_id(last, &request.from) ||
                           sse_parse_id(http_param(x, "from"), &request.from);
        request.wants_fleet = http_param(x, "fleet") != NULL;
        parse_fleet_query(x, &request.fleet);
        if (strcmp(http_method(x), "GET") != 0)
                return http_reply(x, 200, "text/event-stream", NULL, 0);
        live_subscribe(a->live, x, &request);
}

/* ── where the other page is ── */

static void get_site(struct api *a, struct http_exchange *x)
{
        answer(x, 200, json_pack("{s:s}", "updates", a->config->http_listen));
}

static const struct {
        const char *path;
        void (*answer)(struct api *a, struct http_exchange *x);
} routes[] = {
        {"/api/fleet", get_fleet},
        {"/api/device", get_device},
        {"/api/series", get_series},
        {"/api/updates", get_updates},
        {"/api/rollouts", get_rollouts},
        {"/api/pipelines", get_pipelines},
        {"/api/run", get_run},
        {"/api/log", get_log},
        {"/api/events", get_events},
        {"/api/site", get_site},
};

void api_answer(struct api *a, struct http_exchange *x)
{
        for (size_t i = 0; i < N_ELEMENTS(routes); i++) {
                if (strcmp(http_path(x), routes[i].path) == 0)
                        return routes[i].answer(a, x);
        }
        answer(x, 404,
                json_pack("{s:s}", "error", "there is no such thing; docs/viewer.md has the list"));
}
