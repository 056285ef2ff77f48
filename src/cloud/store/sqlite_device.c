/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/store/sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void devices_forget(struct store *s)
{
        for (size_t i = 0; i < s->devices_cap; i++)
                free(s->devices[i]);
        free(s->devices);
        s->devices = NULL;
        s->devices_cap = s->n_devices = 0;
        s->dirty = NULL;
        s->next_device_id = 1;
}

/* The slot where a device of that name is or belongs. */
static struct device **find(struct store *s, struct telemetry_text name, uint32_t hash)
{
        for (size_t i = hash & (s->devices_cap - 1);; i = (i + 1) & (s->devices_cap - 1)) {
                struct device *d = s->devices[i];
                if (!d || (d->hash == hash && !strncmp(d->name, name.at, name.len) &&
                                  !d->name[name.len]))
                        return &s->devices[i];
        }
}

/* Keeps a third of the slots free. */
static int grow(struct store *s)
{
        if (s->devices_cap && s->n_devices * 3 < s->devices_cap * 2)
                return 0;
        size_t cap = s->devices_cap ? s->devices_cap * 2 : 64;
        struct device **old = s->devices, **more = calloc(cap, sizeof(*more));
        if (!more)
                return -ENOMEM;
        size_t old_cap = s->devices_cap;
        s->devices = more;
        s->devices_cap = cap;
        for (size_t i = 0; i < old_cap; i++)
                if (old[i])
                        *find(s, (struct telemetry_text){old[i]->name, strlen(old[i]->name)},
                                old[i]->hash) = old[i];
        free(old);
        return 0;
}

int devices_get(struct store *s, struct telemetry_text name, struct device **ret, struct err *err)
{
        uint32_t hash = telemetry_hash(name.at, name.len);
        if (grow(s))
                return err_set(err, -ENOMEM, "out of memory");
        struct device **slot = find(s, name, hash);
        if (!*slot) {
                struct device *d = calloc(1, sizeof(*d));
                if (!d)
                        return err_set(err, -ENOMEM, "out of memory");
                memcpy(d->name, name.at,
                        name.len); /* at most LIMIT_THING_NAME_BYTES: the parser said so */
                d->hash = hash;
                d->id = s->next_device_id++;
                s->n_devices++;
                d->is_new = true;
                *slot = d;
        }
        *ret = *slot;
        return 0;
}

void devices_touch(struct store *s, struct device *d)
{
        if (d->is_dirty)
                return;
        d->is_dirty = true;
        d->next_dirty = s->dirty;
        s->dirty = d;
}

static void copy_text(char *to, size_t size, const unsigned char *from)
{
        snprintf(to, size, "%s", from ? (const char *)from : "");
}

int devices_load(struct store *s, struct err *err)
{
        devices_forget(s);
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db,
                "SELECT id, name, first_seen, last_seen, last_time, sequence, highest, version, "
                "messages, duplicates "
                "FROM _devices ORDER BY id",
                &st, err);
        if (r)
                return r;
        int step;
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
                const char *name = (const char *)sqlite3_column_text(st, 1);
                struct device *d;
                r = devices_get(s,
                        (struct telemetry_text){name ? name : "", name ? strlen(name) : 0}, &d,
                        err);
                if (r)
                        return r;
                d->id = sqlite3_column_int64(st, 0);
                s->next_device_id = d->id + 1;
                d->first_seen_ms = sqlite3_column_int64(st, 2);
                d->last_seen_ms = sqlite3_column_int64(st, 3);
                d->last_time_ms = sqlite3_column_int64(st, 4);
                d->sequence = sqlite3_column_int64(st, 5);
                d->highest = sqlite3_column_int64(st, 6);
                copy_text(d->software_version, sizeof(d->software_version),
                        sqlite3_column_text(st, 7));
                d->messages = sqlite3_column_int64(st, 8);
                d->duplicates = sqlite3_column_int64(st, 9);
                d->is_new = false;
        }
        return step == SQLITE_DONE ? 0 : db_error(s->db, err, "read the devices of the store");
}

static int flush_one(struct store *s, struct device *d, struct err *err)
{
        sqlite3_stmt *st = s->statements[d->is_new ? ST_DEVICE_NEW : ST_DEVICE];
        sqlite3_bind_int64(st, 1, d->id);
        sqlite3_bind_int64(st, 2, d->last_seen_ms);
        sqlite3_bind_int64(st, 3, d->last_time_ms);
        sqlite3_bind_int64(st, 4, d->sequence);
        sqlite3_bind_int64(st, 5, d->highest);
        sqlite3_bind_text(st, 6, d->software_version, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 7, d->messages);
        sqlite3_bind_int64(st, 8, d->duplicates);
        if (d->is_new) {
                sqlite3_bind_text(st, 9, d->name, -1, SQLITE_STATIC);
                sqlite3_bind_int64(st, 10, d->first_seen_ms);
        }
        int step = sqlite3_step(st);
        if (step != SQLITE_DONE)
                db_error(s->db, err, "write a device");
        sqlite3_reset(st);
        d->is_new = d->is_new && step != SQLITE_DONE;
        return step == SQLITE_DONE ? 0 : err ? err->code : -EIO;
}

int devices_flush(struct store *s, struct err *err)
{
        while (s->dirty) {
                struct device *d = s->dirty;
                int r = flush_one(s, d, err);
                if (r)
                        return r;
                d->is_dirty = false;
                s->dirty = d->next_dirty;
        }
        return 0;
}

/* ── for readers ── */

int store_devices(
        struct store *s, const char *device, store_device_fn *fn, void *arg, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db,
                "SELECT name, first_seen, last_seen, last_time, sequence, version, messages, "
                "duplicates "
                "FROM _devices WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
                &st, err);
        if (r)
                return r;
        sqlite3_bind_text(st, 1, device, -1, SQLITE_STATIC);
        int step;
        while ((step = sqlite3_step(st)) == SQLITE_ROW) {
                const char *version = (const char *)sqlite3_column_text(st, 5);
                struct store_device d = {
                        .name = (const char *)sqlite3_column_text(st, 0),
                        .first_seen_ms = sqlite3_column_int64(st, 1),
                        .last_seen_ms = sqlite3_column_int64(st, 2),
                        .last_time_ms = sqlite3_column_int64(st, 3),
                        .sequence = sqlite3_column_int64(st, 4),
                        .software_version = version ? version : "",
                        .messages = sqlite3_column_int64(st, 6),
                        .duplicates = sqlite3_column_int64(st, 7),
                };
                r = fn(arg, &d);
                if (r)
                        return r;
        }
        return step == SQLITE_DONE ? 0 : db_error(s->db, err, "read the devices of the store");
}
