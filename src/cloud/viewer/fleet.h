/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the fleet list shows of each car, in memory: when it was last heard, its version, its charge
 * and its last update. Filled from the store when the viewer starts and from the stream's records
 * after that; a car that the update server knows but that never sent anything has a row too.
 *
 * A record costs a search by name and a look at a few bytes of the payload, so that thousands of
 * messages a second don't cost a JSON parse each; the document is parsed only when the version in
 * it looks changed. Bounded by LIMIT_VIEWER_DEVICES; a device beyond that isn't listed, only
 * counted.
 */
#include "base/clean.h"
#include "base/json.h"
#include "base/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_record;

/* A car sends once a second. Online: heard within 10 s; stale: within 5 min; offline: longer ago.
 */
enum fleet_link {
        FLEET_LINK_ONLINE,
        FLEET_LINK_STALE,
        FLEET_LINK_OFFLINE,
        FLEET_LINK_NEVER,
        FLEET_LINK_N
};
#define FLEET_ONLINE_MS 10000
#define FLEET_STALE_MS (5 * 60 * 1000)

#define FLEET_VERSION_SIZE 40

struct fleet_update {
        int64_t time_ms;
        char state[16]; /* as the car says: downloading … confirmed, failed, rolled_back */
        char from[FLEET_VERSION_SIZE], to[FLEET_VERSION_SIZE];
        char cause[160]; /* cut; the car's page has the whole */
};

struct fleet_device {
        char *name;
        int64_t seen_ms; /* when its last message came; 0: never */
        uint64_t offset; /* of its last telemetry in the stream, when has_offset */
        bool has_offset;
        float charge_percent;              /* negative: unknown */
        char version[FLEET_VERSION_SIZE];  /* empty: unknown */
        char assigned[FLEET_VERSION_SIZE]; /* what the update server wants it to run; empty: no wish
                                            */
        struct fleet_update *update;       /* NULL: none seen */
};

struct fleet;

int fleet_new(struct fleet **ret_fleet);
void fleet_free(struct fleet *f);
CLEAN_DEFINE(fleet, fleet_free);

/* NULL if there is none, or with `create` if it would be one too many. Borrowed from the fleet. */
struct fleet_device *fleet_find(struct fleet *f, const char *name, bool create);
/* Call after changing a device by hand, so that those who watch hear of it. */
void fleet_changed(struct fleet *f);
/* Takes over what a record of the stream says. The device, or NULL if the topic is none of a
 * device's. */
const struct fleet_device *fleet_note_record(struct fleet *f, const struct stream_record *record);
/* Takes over an update event's news, copied, unless they are older than the ones held. */
void fleet_note_update(struct fleet *f, struct fleet_device *d, const struct fleet_update *update);
/* Copies as much of `text` as fits into `size` bytes, whole UTF-8 characters only. */
void fleet_copy_text(char *to, size_t size, const char *text);

enum fleet_sort { FLEET_SORT_NAME, FLEET_SORT_SEEN, FLEET_SORT_VERSION, FLEET_SORT_N };
struct fleet_query {
        char search[LIMIT_THING_NAME_BYTES + 1]; /* part of name, version or update state */
        char state[16]; /* empty, or a link's name, "updating" or "failed" */
        enum fleet_sort sort;
        size_t offset, limit;
};

/* {"now", "matched", "offset", "rows": […]}; at most LIMIT_VIEWER_FLEET_ROWS rows. */
json_t *fleet_page(struct fleet *f, const struct fleet_query *q, int64_t now_ms);
/* {"all", "online", "stale", "offline", "never", "updating", "failed", "hidden"} */
json_t *fleet_counts(const struct fleet *f, int64_t now_ms);
json_t *fleet_device_json(const struct fleet_device *d, int64_t now_ms);
/* Grows with each change. */
uint64_t fleet_generation(const struct fleet *f);

const char *fleet_link_to_string(enum fleet_link link);
enum fleet_link fleet_device_link(const struct fleet_device *d, int64_t now_ms);
/* The device of a topic `device/{name}/{kind}` into `name`; the kind, or NULL for any other topic.
 */
const char *fleet_split_topic(const char *topic, char name[LIMIT_THING_NAME_BYTES + 1]);
