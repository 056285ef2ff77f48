/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/fleet.h"

#include "cloud/stream/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fleet {
        struct fleet_device **devices; /* by name */
        size_t n, cap;
        size_t n_hidden; /* messages of devices beyond the limit */
        uint64_t generation;
};

static const char *const link_names[FLEET_LINK_N] = {"online", "stale", "offline", "never"};

const char *fleet_link_to_string(enum fleet_link link)
{
        return link_names[link];
}

enum fleet_link fleet_device_link(const struct fleet_device *d, int64_t now_ms)
{
        if (!d->seen_ms)
                return FLEET_LINK_NEVER;
        int64_t age = now_ms - d->seen_ms;
        return age <= FLEET_ONLINE_MS  ? FLEET_LINK_ONLINE
               : age <= FLEET_STALE_MS ? FLEET_LINK_STALE
                                       : FLEET_LINK_OFFLINE;
}

int fleet_new(struct fleet **ret_fleet)
{
        struct fleet *f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        *ret_fleet = f;
        return 0;
}

static void device_free(struct fleet_device *d)
{
        if (!d)
                return;
        free(d->update);
        free(d->name);
        free(d);
}

void fleet_free(struct fleet *f)
{
        if (!f)
                return;
        for (size_t i = 0; i < f->n; i++)
                device_free(f->devices[i]);
        free(f->devices);
        free(f);
}

void fleet_changed(struct fleet *f)
{
        f->generation++;
}

uint64_t fleet_generation(const struct fleet *f)
{
        return f->generation;
}

/* Index of `name`, or of where it belongs. */
static size_t search(const struct fleet *f, const char *name, bool *ret_found)
{
        size_t low = 0, high = f->n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int c = strcmp(f->devices[middle]->name, name);
                if (c == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (c < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_found = false;
        return low;
}

static int grow(struct fleet *f)
{
        if (f->n < f->cap)
                return 0;
        size_t cap = f->cap ? f->cap * 2 : 64;
        struct fleet_device **devices =
                reallocarray(f->devices, cap, sizeof(struct fleet_device *));
        if (!devices)
                return -ENOMEM;
        f->devices = devices;
        f->cap = cap;
        return 0;
}

struct fleet_device *fleet_find(struct fleet *f, const char *name, bool create)
{
        bool found;
        size_t at = search(f, name, &found);
        if (found)
                return f->devices[at];
        if (!create)
                return NULL;
        if (f->n >= LIMIT_VIEWER_DEVICES || grow(f) < 0) {
                f->n_hidden++;
                return NULL;
        }
        struct fleet_device *d = calloc(1, sizeof(*d));
        if (!d || !(d->name = strdup(name))) {
                device_free(d);
                return NULL;
        }
        d->charge_percent = -1;
        memmove(f->devices + at + 1, f->devices + at, (f->n - at) * sizeof(struct fleet_device *));
        f->devices[at] = d;
        f->n++;
        f->generation++;
        return d;
}

/* ── from the stream ── */

const char *fleet_split_topic(const char *topic, char name[LIMIT_THING_NAME_BYTES + 1])
{
        if (strncmp(topic, "device/", 7) != 0)
                return NULL;
        const char *start = topic + 7, *slash = strchr(start, '/');
        if (!slash || slash == start || slash - start > LIMIT_THING_NAME_BYTES)
                return NULL;
        memcpy(name, start, (size_t)(slash - start));
        name[slash - start] = '\0';
        return slash + 1;
}

static const char *skip_blanks(const char *at, const char *end)
{
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
                at++;
        return at;
}

/* What follows the first `key` with its colon, up to `size` - 1 bytes of it. False: not there. */
static bool peek(const struct stream_record *r, const char *key, char *text, size_t size)
{
        const char *end = (const char *)r->payload + r->len;
        const char *at = memmem(r->payload, r->len, key, strlen(key));
        if (!at)
                return false;
        at = skip_blanks(at + strlen(key), end);
        if (at == end || *at != ':')
                return false;
        at = skip_blanks(at + 1, end);
        size_t n = (size_t)(end - at) < size - 1 ? (size_t)(end - at) : size - 1;
        memcpy(text, at, n);
        text[n] = '\0';
        return true;
}

void fleet_copy_text(char *to, size_t size, const char *text)
{
        if (to == text)
                return;
        size_t n = strnlen(text, size - 1);
        while (text[n] && n > 0 &&
                ((unsigned char)text[n] & 0xC0) == 0x80) /* not within a character */
                n--;
        memcpy(to, text, n);
        to[n] = '\0';
}

/* The bytes say only that something may have changed: a nested member could have the same name. */
static void note_version(struct fleet_device *d, const struct stream_record *r)
{
        char text[FLEET_VERSION_SIZE + 3];
        size_t len = strlen(d->version);
        if (!peek(r, "\"SoftwareVersion\"", text, sizeof(text)) || text[0] != '"')
                return;
        if (len && strncmp(text + 1, d->version, len) == 0 && text[len + 1] == '"')
                return;
        CLEAN_JSON json_t *document = json_parse(r->payload, r->len, NULL);
        fleet_copy_text(d->version, sizeof(d->version), json_text(document, "SoftwareVersion", ""));
}

static void note_charge(struct fleet_device *d, const struct stream_record *r)
{
        char text[32], *end = text;
        if (!peek(r, "\"StateOfCharge\"", text, sizeof(text)))
                return;
        float percent = strtof(text, &end);
        if (end != text && percent >= 0 && percent <= 100)
                d->charge_percent = percent;
}

void fleet_note_update(struct fleet *f, struct fleet_device *d, const struct fleet_update *update)
{
        if (d->update && d->update->time_ms > update->time_ms)
                return;
        if (!d->update && !(d->update = malloc(sizeof(*d->update))))
                return;
        *d->update = *update;
        f->generation++;
}

static void note_update_message(
        struct fleet *f, struct fleet_device *d, const struct stream_record *r)
{
        CLEAN_JSON json_t *document = json_parse(r->payload, r->len, NULL);
        const json_t *member = json_object_get(document, "Update");
        if (!json_is_object(member))
                return;
        struct fleet_update u = {.time_ms = r->time_ms};
        fleet_copy_text(u.state, sizeof(u.state), json_text(member, "State", ""));
        fleet_copy_text(u.from, sizeof(u.from), json_text(member, "From", ""));
        fleet_copy_text(u.to, sizeof(u.to), json_text(member, "To", ""));
        fleet_copy_text(u.cause, sizeof(u.cause), json_text(member, "Cause", ""));
        fleet_note_update(f, d, &u);
        fleet_copy_text(
                d->version, sizeof(d->version), json_text(document, "SoftwareVersion", d->version));
}

const struct fleet_device *fleet_note_record(struct fleet *f, const struct stream_record *r)
{
        char name[LIMIT_THING_NAME_BYTES + 1];
        const char *kind = fleet_split_topic(r->topic, name);
        if (!kind)
                return NULL;
        struct fleet_device *d = fleet_find(f, name, true);
        if (!d)
                return NULL;
        if (strcmp(kind, "telemetry") == 0) {
                d->offset = r->offset;
                d->has_offset = true;
                note_version(d, r);
                note_charge(d, r);
        } else if (strcmp(kind, "update") == 0) {
                note_update_message(f, d, r);
        }
        if (r->time_ms > d->seen_ms)
                d->seen_ms = r->time_ms;
        f->generation++;
        return d;
}

/* ── what is shown ── */

static bool is_updating(const struct fleet_device *d)
{
        static const char *const states[] = {"downloading", "downloaded", "installing", "trial"};
        for (size_t i = 0; d->update && i < N_ELEMENTS(states); i++) {
                if (strcmp(d->update->state, states[i]) == 0)
                        return true;
        }
        return false;
}

static bool is_failed(const struct fleet_device *d)
{
        return d->update && (strcmp(d->update->state, "failed") == 0 ||
                                    strcmp(d->update->state, "rolled_back") == 0);
}

json_t *fleet_device_json(const struct fleet_device *d, int64_t now_ms)
{
        json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "device", d->name, "link",
                link_names[fleet_device_link(d, now_ms)], "version", d->version, "assigned",
                d->assigned);
        json_object_set_new(o, "seen", d->seen_ms ? json_integer(d->seen_ms) : json_null());
        json_object_set_new(o, "charge",
                d->charge_percent < 0 ? json_null() : json_real((double)d->charge_percent));
        if (d->update)
                json_object_set_new(o, "update",
                        json_pack("{s:s, s:s, s:s, s:s, s:I}", "state", d->update->state, "from",
                                d->update->from, "to", d->update->to, "cause", d->update->cause,
                                "time", (json_int_t)d->update->time_ms));
        return o;
}

static bool has_state(const struct fleet_device *d, const char *state, int64_t now_ms)
{
        if (!state[0])
                return true;
        if (strcmp(state, "updating") == 0)
                return is_updating(d);
        if (strcmp(state, "failed") == 0)
                return is_failed(d);
        return strcmp(state, link_names[fleet_device_link(d, now_ms)]) == 0;
}

static bool matches(const struct fleet_device *d, const struct fleet_query *q, int64_t now_ms)
{
        if (!has_state(d, q->state, now_ms))
                return false;
        return !q->search[0] || strcasestr(d->name, q->search) ||
               strcasestr(d->version, q->search) ||
               (d->update && strcasestr(d->update->state, q->search));
}

static int by_seen(const void *a, const void *b)
{
        const struct fleet_device *x = *(struct fleet_device *const *)a,
                                  *y = *(struct fleet_device *const *)b;
        if (x->seen_ms != y->seen_ms)
                return x->seen_ms < y->seen_ms ? 1 : -1;
        return strcmp(x->name, y->name);
}

static int by_version(const void *a, const void *b)
{
        const struct fleet_device *x = *(struct fleet_device *const *)a,
                                  *y = *(struct fleet_device *const *)b;
        int c = strverscmp(y->version, x->version);
        return c ? c : strcmp(x->name, y->name);
}

static json_t *rows_of(
        struct fleet_device *const *list, size_t n, const struct fleet_query *q, int64_t now_ms)
{
        json_t *rows = json_array();
        size_t limit = q->limit < LIMIT_VIEWER_FLEET_ROWS ? q->limit : LIMIT_VIEWER_FLEET_ROWS;
        for (size_t i = q->offset; i < n && i - q->offset < limit; i++)
                json_array_append_new(rows, fleet_device_json(list[i], now_ms));
        return rows;
}

json_t *fleet_page(struct fleet *f, const struct fleet_query *q, int64_t now_ms)
{
        CLEAN_MEM struct fleet_device **list = calloc(f->n + 1, sizeof(struct fleet_device *));
        size_t n = 0;
        for (size_t i = 0; list && i < f->n; i++) {
                if (matches(f->devices[i], q, now_ms))
                        list[n++] = f->devices[i];
        }
        if (list && q->sort != FLEET_SORT_NAME)
                qsort(list, n, sizeof(struct fleet_device *),
                        q->sort == FLEET_SORT_SEEN ? by_seen : by_version);
        return json_pack("{s:I, s:I, s:I, s:o}", "now", (json_int_t)now_ms, "matched",
                (json_int_t)n, "offset", (json_int_t)q->offset, "rows",
                rows_of(list, n, q, now_ms));
}

json_t *fleet_counts(const struct fleet *f, int64_t now_ms)
{
        json_int_t links[FLEET_LINK_N] = {0}, updating = 0, failed = 0;
        for (size_t i = 0; i < f->n; i++) {
                links[fleet_device_link(f->devices[i], now_ms)]++;
                updating += is_updating(f->devices[i]);
                failed += is_failed(f->devices[i]);
        }
        json_t *o = json_pack("{s:I, s:I, s:I, s:I}", "all", (json_int_t)f->n, "updating", updating,
                "failed", failed, "hidden", (json_int_t)f->n_hidden);
        for (int i = 0; i < FLEET_LINK_N; i++)
                json_object_set_new(o, link_names[i], json_integer(links[i]));
        return o;
}
