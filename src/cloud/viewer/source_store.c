/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/source_store.h"

#include "base/clock.h"
#include "cloud/config/config.h"
#include "cloud/store/store.h"
#include "cloud/viewer/fleet.h"
#include "cloud/viewer/marker.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#define TABLE_UPDATE "Update"
/* A gap is looked for from a little before an update began until a little after it ended: the first
 * message of an old version that was taken back comes after the end. */
#define GAP_BEFORE_MS 5000
#define GAP_AFTER_MS 5000

struct source_store {
        char *path;
        struct store *store; /* NULL: not there yet */
};

int source_store_new(
        const struct cloud_config *config, struct source_store **ret_source, struct err *err)
{
        CLEAN(source_store) struct source_store *s = calloc(1, sizeof(*s));
        if (!s || !(s->path = cloud_path(config, CLOUD_STORE_DB)))
                return err_set(err, -ENOMEM, "out of memory");
        *ret_source = TAKE(s);
        return 0;
}

void source_store_free(struct source_store *s)
{
        if (!s)
                return;
        store_free(s->store);
        free(s->path);
        free(s);
}

#define NO_STORE 1
static int open_store(struct source_store *s, struct err *err)
{
        if (s->store)
                return 0;
        int r = store_open_readonly(s->path, &s->store, err);
        return r == -ENOENT ? NO_STORE : r;
}

/* ── the fleet ── */

static int note_device(void *arg, const struct store_device *device)
{
        struct fleet_device *d = fleet_find(arg, device->name, true);
        if (!d)
                return 0;
        if (device->last_seen_ms <= d->seen_ms) /* the stream knew more */
                return 0;
        d->seen_ms = device->last_seen_ms;
        if (device->software_version)
                fleet_copy_text(d->version, sizeof(d->version), device->software_version);
        return 0;
}

static void cell_text(const struct store_row *row, const char *column, char *text, size_t size)
{
        text[0] = '\0';
        for (size_t i = 0; i < row->n_cells; i++) {
                const struct telemetry_value *v = &row->cells[i].value;
                if (strcasecmp(row->cells[i].column, column) != 0)
                        continue;
                if (v->type == TELEMETRY_TEXT)
                        snprintf(text, size, "%.*s", (int)v->text.len, v->text.at);
                else if (v->type == TELEMETRY_NUMBER)
                        snprintf(text, size, "%.15g", v->number);
        }
}

static int note_update(void *arg, const struct store_row *row)
{
        struct fleet_update u = {.time_ms = row->time_ms};
        struct fleet_device *d = fleet_find(arg, row->device, false);
        if (!d)
                return 0;
        cell_text(row, "State", u.state, sizeof(u.state));
        cell_text(row, "From", u.from, sizeof(u.from));
        cell_text(row, "To", u.to, sizeof(u.to));
        cell_text(row, "Cause", u.cause, sizeof(u.cause));
        fleet_note_update(arg, d, &u);
        return 0;
}

int source_store_fill_fleet(
        struct source_store *s, struct fleet *fleet, uint64_t *ret_offset, struct err *err)
{
        struct store_range updates = {.table = TABLE_UPDATE,
                .to_ms = INT64_MAX,
                .newest_first = true,
                .limit = LIMIT_VIEWER_DEVICES};
        int r = open_store(s, err);
        *ret_offset = 0;
        if (r != 0)
                return r < 0 ? r : 0;
        *ret_offset = store_offset(s->store); /* before the rows: they may be newer, never older */
        r = store_devices(s->store, NULL, note_device, fleet, err);
        if (r < 0)
                return r;
        fleet_changed(fleet);
        r = store_rows(s->store, &updates, note_update, fleet, err);
        return r == -ENOENT ? 0 : r; /* no car was ever updated */
}

/* ── a device ── */

static int device_json(void *arg, const struct store_device *d)
{
        json_t **ret = arg;
        *ret = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "first_seen",
                (json_int_t)d->first_seen_ms, "last_seen", (json_int_t)d->last_seen_ms, "last_time",
                (json_int_t)d->last_time_ms, "sequence", (json_int_t)d->sequence, "messages",
                (json_int_t)d->messages, "duplicates", (json_int_t)d->duplicates, "version",
                d->software_version ? d->software_version : "");
        return 0;
}

static json_t *value_json(const struct telemetry_value *v)
{
        switch (v->type) {
        case TELEMETRY_BOOL:
                return json_boolean(v->boolean);
        case TELEMETRY_NUMBER:
                return json_real(v->number);
        case TELEMETRY_TEXT:
                return json_stringn(v->text.at, v->text.len);
        default:
                return json_null();
        }
}

static int last_json(void *arg, const struct store_row *row)
{
        json_t *o = json_object();
        for (size_t i = 0; i < row->n_cells; i++)
                json_object_set_new(o, row->cells[i].column, value_json(&row->cells[i].value));
        json_object_set_new(o, "time", json_integer(row->time_ms));
        return json_object_set_new(arg, row->table, o) < 0 ? -ENOMEM : 0;
}

/* What there is to draw: tables of numbers and booleans. */
static json_t *tables_json(const struct store_tables *tables)
{
        json_t *o = json_object();
        for (size_t i = 0; i < tables->n; i++) {
                const struct store_table *t = &tables->tables[i];
                json_t *columns = json_array();
                for (size_t c = 0; c < t->n_columns; c++) {
                        if (t->columns[c].type == TELEMETRY_NUMBER ||
                                t->columns[c].type == TELEMETRY_BOOL)
                                json_array_append_new(columns,
                                        json_pack("{s:s, s:s}", "name", t->columns[c].name, "type",
                                                telemetry_type_to_string(t->columns[c].type)));
                }
                json_object_set_new(o, t->name, columns);
        }
        return o;
}

int source_store_device(struct source_store *s, const char *device, json_t **ret, struct err *err)
{
        CLEAN_JSON json_t *o = NULL;
        CLEAN_STORE_TABLES struct store_tables tables = {0};
        *ret = NULL;
        int r = open_store(s, err);
        if (r != 0)
                return r < 0 ? r : 0;
        r = store_devices(s->store, device, device_json, &o, err);
        if (r < 0 || !o)
                return r == -ENOENT ? 0 : r;
        json_t *last = json_object();
        json_object_set_new(o, "last", last);
        if ((r = store_last(s->store, device, last_json, last, err)) < 0 ||
                (r = store_tables(s->store, &tables, err)) < 0)
                return r;
        json_object_set_new(o, "tables", tables_json(&tables));
        *ret = TAKE(o);
        return 0;
}

/* ── series ── */

/* Written as text at once: a thousand points of twenty columns as JSON values would be a megabyte.
 */
static void add_number(struct buf *b, double value)
{
        if (isnan(value))
                buf_adds(b, "null");
        else
                buf_addf(b, "%.9g", value);
}

static int add_series(struct buf *b, const struct series_query *q,
        const struct store_series *series, uint64_t offset)
{
        buf_addf(b,
                "{\"table\":\"%s\",\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"offset\":%" PRIu64
                ",\"columns\":[",
                q->table, q->from_ms, q->to_ms, offset);
        for (size_t c = 0; c < series->n_columns; c++) {
                buf_adds(b, c ? "," : "");
                buf_add_json_string(b, series->columns[c], strlen(series->columns[c]));
        }
        buf_adds(b, "],\"times\":[");
        for (size_t i = 0; i < series->n; i++)
                buf_addf(b, "%s%" PRId64, i ? "," : "", series->time_ms[i]);
        buf_adds(b, "],\"values\":[");
        for (size_t c = 0; c < series->n_columns; c++) {
                buf_adds(b, c ? ",[" : "[");
                for (size_t i = 0; i < series->n; i++) {
                        buf_adds(b, i ? "," : "");
                        add_number(b, series->values[i * series->n_columns + c]);
                }
                buf_addc(b, ']');
        }
        return buf_adds(b, "]}");
}

int source_store_series(
        struct source_store *s, const struct series_query *q, struct buf *ret, struct err *err)
{
        CLEAN_STORE_SERIES struct store_series series = {0};
        const char *columns[LIMIT_VIEWER_COLUMNS];
        uint64_t offset = 0;
        for (size_t i = 0; i < q->n_columns; i++)
                columns[i] = q->columns[i];
        struct store_range range = {.device = q->device,
                .table = q->table,
                .from_ms = q->from_ms,
                .to_ms = q->to_ms,
                .columns = columns,
                .n_columns = q->n_columns,
                .limit = q->points};
        int r = open_store(s, err);
        if (r == 0) {
                offset = store_offset(
                        s->store); /* before the rows: what comes between comes twice, not never */
                r = store_series(s->store, &range, &series, err);
        }
        if (r < 0 && r != -ENOENT)
                return r;
        if (add_series(ret, q, &series, offset) < 0)
                return err_set(err, ret->error, "the series is too large");
        return 0;
}

/* ── updates ── */

static int add_step(void *arg, const struct store_row *row)
{
        char action[32], state[16], from[FLEET_VERSION_SIZE], to[FLEET_VERSION_SIZE], cause[1024];
        cell_text(row, "Action", action, sizeof(action));
        cell_text(row, "State", state, sizeof(state));
        cell_text(row, "From", from, sizeof(from));
        cell_text(row, "To", to, sizeof(to));
        cell_text(row, "Cause", cause, sizeof(cause));
        struct marker_step step = {.time_ms = row->time_ms,
                .action = action,
                .state = state,
                .from = from,
                .to = to,
                .cause = cause};
        return marker_list_add(arg, &step);
}

/* The longest silence around the update, in the time that no neighbour claims. */
static int add_gap(struct source_store *s, const char *device, const struct marker_list *l,
        size_t i, json_t *o, struct err *err)
{
        const struct marker *m = &l->items[i];
        struct store_gap gap;
        int64_t from = m->started_ms - GAP_BEFORE_MS;
        int64_t to = m->ended_ms ? m->ended_ms + GAP_AFTER_MS : clock_now_ms() + GAP_AFTER_MS;
        if (i > 0 && l->items[i - 1].ended_ms > from)
                from = l->items[i - 1].ended_ms;
        if (i + 1 < l->n && l->items[i + 1].started_ms < to)
                to = l->items[i + 1].started_ms;
        int r = store_gap(s->store, device, from, to, &gap, err);
        if (r < 0)
                return r;
        if (gap.max_gap_ms > 0)
                json_object_set_new(o, "gap",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "ms",
                                (json_int_t)gap.max_gap_ms, "from", (json_int_t)gap.gap_from_ms,
                                "to", (json_int_t)gap.gap_to_ms, "from_sequence",
                                (json_int_t)gap.gap_from_sequence, "to_sequence",
                                (json_int_t)gap.gap_to_sequence, "lost", (json_int_t)gap.lost));
        return 0;
}

json_t *source_store_updates(
        struct source_store *s, const char *device, int64_t from_ms, int64_t to_ms, struct err *err)
{
        CLEAN_MARKER_LIST struct marker_list list = {0};
        CLEAN_JSON json_t *array = json_array();
        struct store_range range = {
                .device = device, .table = TABLE_UPDATE, .from_ms = from_ms, .to_ms = to_ms};
        int r = open_store(s, err);
        if (r == 0)
                r = store_rows(s->store, &range, add_step, &list, err);
        if (r < 0 && r != -ENOENT)
                return NULL;
        for (size_t i = 0; i < list.n; i++) {
                json_t *o = marker_json(&list.items[i]);
                if (json_array_append_new(array, o) < 0) {
                        err_set(err, -ENOMEM, "out of memory");
                        return NULL;
                }
                if (add_gap(s, device, &list, i, o, err) < 0)
                        return NULL;
        }
        return TAKE(array);
}
