/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/log.h"
#include "cloud/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define TICK_MS 60000
/* Messages without a time of their own are looked for among so many of the device's newest. */
#define UNTIMED_DEPTH "1000"
#define EXPIRE_STEP 2000
/* Measured with 5000 cars: more brings nothing, and one car fills whatever it gets. */
#define CACHE_KIB "4096"
/* Pages that wait in the write-ahead log before they go to their places, 8 MiB: the more, the more
 * writes to one page become one, and the longer the commit that moves them. */
#define CHECKPOINT_PAGES "2048"

static const char *const migrations[] = {
        "CREATE TABLE _position(id INTEGER PRIMARY KEY CHECK(id = 1), next_offset INTEGER NOT NULL,"
        " next_id INTEGER NOT NULL, commits INTEGER NOT NULL, stream INTEGER NOT NULL);"
        "INSERT INTO _position VALUES(1, 0, 1, 0, 0);"
        "CREATE TABLE _devices(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_seen "
        "INTEGER NOT NULL,"
        " last_seen INTEGER NOT NULL, last_time INTEGER NOT NULL, sequence INTEGER NOT NULL,"
        " highest INTEGER NOT NULL, version TEXT NOT NULL, messages INTEGER NOT NULL,"
        " duplicates INTEGER NOT NULL);"
        "CREATE VIEW devices AS SELECT name AS DeviceID, first_seen, last_seen, last_time, "
        "sequence AS Sequence,"
        " version AS SoftwareVersion, messages, duplicates FROM _devices;"
        "CREATE TABLE _kinds(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "INSERT INTO _kinds VALUES(1, '" STORE_KIND_TELEMETRY "');"
        "CREATE TABLE _messages(id INTEGER PRIMARY KEY, device INTEGER NOT NULL, time INTEGER NOT "
        "NULL,"
        " kind INTEGER NOT NULL, sequence INTEGER, version TEXT);"
        "CREATE INDEX _messages_device ON _messages(device, time);"
        "CREATE INDEX _messages_time ON _messages(time);"
        "CREATE TABLE _ticks(time INTEGER PRIMARY KEY, first_id INTEGER NOT NULL);"
        "CREATE TABLE _tables(name TEXT PRIMARY KEY COLLATE NOCASE, rows INTEGER NOT NULL) WITHOUT "
        "ROWID;"
        "CREATE TABLE dead_letter(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, topic TEXT NOT "
        "NULL,"
        " reason TEXT NOT NULL, payload BLOB NOT NULL);",
};

static const char *const statements[ST_N] = {
        [ST_MESSAGE] = "INSERT INTO _messages VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
        [ST_TWICE] = "SELECT 1 FROM _messages WHERE device = ?1 AND time = ?2 AND sequence = ?3",
        [ST_TWICE_UNTIMED] = "SELECT 1 FROM (SELECT sequence FROM _messages WHERE device = ?1"
                             " ORDER BY time DESC LIMIT " UNTIMED_DEPTH ") WHERE sequence = ?3",
        [ST_TWICE_UNNUMBERED] =
                "SELECT 1 FROM _messages WHERE device = ?1 AND time = ?2 AND sequence IS NULL",
        [ST_DEVICE_NEW] =
                "INSERT INTO _devices(id, last_seen, last_time, sequence, highest, version, "
                "messages,"
                " duplicates, name, first_seen) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        [ST_DEVICE] =
                ("UPDATE _devices SET last_seen = ?2, last_time = ?3, sequence = ?4, highest = ?5,"
                 " version = ?6, messages = ?7, duplicates = ?8 WHERE id = ?1"),
        [ST_TABLE_ROWS] = "UPDATE _tables SET rows = ?2 WHERE name = ?1",
        [ST_TICK] = "INSERT OR IGNORE INTO _ticks VALUES(?1, ?2)",
        [ST_REFUSE] = "INSERT INTO dead_letter VALUES(?1, ?2, ?3, ?4, ?5)",
        [ST_FORGET] = "DELETE FROM dead_letter WHERE id <= ?1",
        [ST_POSITION] =
                "UPDATE _position SET next_offset = ?1, next_id = ?2, commits = commits + 1",
};

/* ── opening ── */

static int take_lock(struct store *s, const char *path, struct err *err)
{
        CLEAN_MEM char *lock = NULL;
        if (asprintf(&lock, "%s.lock", path) < 0)
                return err_set(err, -ENOMEM, "out of memory");
        s->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (s->lock_fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", lock);
        if (flock(s->lock_fd, LOCK_EX | LOCK_NB))
                return err_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno,
                        "store '%s' is being written by another process", path);
        return 0;
}

static int read_number(struct store *s, const char *sql, int64_t *ret, struct err *err)
{
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db, sql, &st, err);
        if (!r && sqlite3_step(st) != SQLITE_ROW)
                r = db_error(s->db, err, "read the store");
        if (!r)
                *ret = sqlite3_column_int64(st, 0);
        return r;
}

static int load_kinds(struct store *s, struct err *err)
{
        for (size_t i = 0; i < s->n_kinds; i++)
                free(s->kinds[i].name);
        s->n_kinds = 0;
        CLEAN_STMT sqlite3_stmt *st = NULL;
        int r = db_prepare(s->db, "SELECT id, name FROM _kinds ORDER BY id", &st, err);
        while (!r && sqlite3_step(st) == SQLITE_ROW && s->n_kinds < N_ELEMENTS(s->kinds)) {
                s->kinds[s->n_kinds].id = sqlite3_column_int64(st, 0);
                s->kinds[s->n_kinds].name = strdup((const char *)sqlite3_column_text(st, 1));
                if (!s->kinds[s->n_kinds++].name)
                        r = err_set(err, -ENOMEM, "out of memory");
        }
        return r;
}

/* Everything that the writer keeps in memory, from the file. */
static int load(struct store *s, struct err *err)
{
        int64_t offset = 0, stream = 0;
        int r = schema_load(s, err);
        if (!r)
                r = devices_load(s, err);
        if (!r)
                r = load_kinds(s, err);
        if (!r)
                r = read_number(s, "SELECT next_offset FROM _position", &offset, err);
        if (!r)
                r = read_number(s, "SELECT next_id FROM _position", &s->next_id, err);
        if (!r)
                r = read_number(
                        s, "SELECT coalesce(max(time), 0) FROM _ticks", &s->last_tick_ms, err);
        if (!r)
                r = read_number(
                        s, "SELECT coalesce(max(id), 0) FROM dead_letter", &s->dead_letters, err);
        if (!r)
                r = read_number(s, "SELECT stream FROM _position", &stream, err);
        s->offset = (uint64_t)offset;
        s->stream = (uint64_t)stream;
        s->is_stale = r != 0;
        return r;
}

int store_open(const char *path, struct store **ret_store, struct err *err)
{
        CLEAN(store) struct store *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->lock_fd = -1;
        int r = take_lock(s, path, err);
        if (!r) /* not durable in a power cut: the stream has what is lost, and the position goes
                   back with it */
                r = db_open(path, migrations, N_ELEMENTS(migrations), false, &s->db, err);
        if (!r)
                r = db_exec(s->db,
                        "PRAGMA cache_size=-" CACHE_KIB
                        "; PRAGMA wal_autocheckpoint=" CHECKPOINT_PAGES,
                        err);
        for (int i = 0; !r && i < ST_N; i++)
                r = db_prepare(s->db, statements[i], &s->statements[i], err);
        if (!r)
                r = load(s, err);
        if (r)
                return r;
        *ret_store = TAKE(s);
        return 0;
}

void store_free(struct store *s)
{
        if (!s)
                return;
        if (s->in_batch)
                store_rollback(s);
        schema_forget(s);
        devices_forget(s);
        for (size_t i = 0; i < s->n_kinds; i++)
                free(s->kinds[i].name);
        for (int i = 0; i < ST_N; i++)
                sqlite3_finalize(s->statements[i]);
        sqlite3_close(s->db);
        if (s->lock_fd >= 0)
                close(s->lock_fd);
        free(s);
}

uint64_t store_stream(const struct store *s)
{
        return s->stream;
}

int store_set_stream(struct store *s, uint64_t id, struct err *err)
{
        if (id == s->stream)
                return 0;
        uint64_t offset = s->stream ? 0 : s->offset;
        int r = store_exec_made(s,
                sqlite3_mprintf("UPDATE _position SET stream = %lld, next_offset = %lld",
                        (long long)id, (long long)offset),
                err);
        if (r)
                return r;
        s->stream = id;
        s->offset = offset;
        return 0;
}

/* ── batches ── */

/* Runs a prepared statement without a result. */
static int run(struct store *s, sqlite3_stmt *st, const char *what, struct err *err)
{
        int step = sqlite3_step(st);
        int r = step == SQLITE_DONE ? 0 : db_error(s->db, err, what);
        sqlite3_reset(st);
        return r;
}

int store_begin(struct store *s, struct err *err)
{
        int r = s->is_stale ? load(s, err) : 0;
        if (!r)
                r = db_exec(s->db, "BEGIN IMMEDIATE", err);
        s->in_batch = !r;
        return r;
}

static int flush_rows(struct store *s, struct err *err)
{
        int r = 0;
        for (size_t i = 0; !r && i < s->n_tables; i++) {
                struct table *t = &s->tables[i];
                if (!t->is_dirty)
                        continue;
                sqlite3_bind_text(s->statements[ST_TABLE_ROWS], 1, t->name, -1, SQLITE_STATIC);
                sqlite3_bind_int64(s->statements[ST_TABLE_ROWS], 2, t->rows);
                r = run(s, s->statements[ST_TABLE_ROWS], "count the rows", err);
                t->is_dirty = false;
        }
        return r;
}

int store_commit(struct store *s, uint64_t next_offset, struct err *err)
{
        sqlite3_stmt *position = s->statements[ST_POSITION];
        int r = devices_flush(s, err);
        if (!r)
                r = flush_rows(s, err);
        sqlite3_bind_int64(position, 1, (int64_t)next_offset);
        sqlite3_bind_int64(position, 2, s->next_id);
        if (!r)
                r = run(s, position, "write the position", err);
        if (!r)
                r = db_exec(s->db, "COMMIT", err);
        if (r) {
                store_rollback(s);
                return r;
        }
        s->in_batch = false;
        s->offset = next_offset;
        return 0;
}

void store_rollback(struct store *s)
{
        /* SQLite has rolled back by itself after some failures. */
        if (!sqlite3_get_autocommit(s->db))
                (void)db_exec(s->db, "ROLLBACK", NULL);
        s->in_batch = false;
        s->is_stale = true;
}

/* ── messages ── */

/* Where each column of a message goes. */
struct plan {
        struct table *tables[LIMIT_TELEMETRY_GROUPS]; /* NULL: not there yet */
        uint16_t columns[LIMIT_TELEMETRY_COLUMNS];    /* NO_COLUMN: not there yet, or null */
        bool has_new;
};

static int check_type(const struct table *t, const struct column *known,
        const struct telemetry_column *c, struct err *err)
{
        if (c->value.type == known->type || c->value.type == TELEMETRY_NULL)
                return 0;
        (void)err_set(err, -EINVAL, "column '%s.%s' holds %s, not %s", t->name, known->name,
                telemetry_type_to_string(known->type), telemetry_type_to_string(c->value.type));
        return STORE_REFUSED;
}

static uint16_t find_column(struct table *t, size_t position, const struct telemetry_column *c)
{
        uint16_t hint = t->hints[position];
        if (hint < t->n_columns && t->columns[hint].hash == c->hash) {
                const char *name = t->columns[hint].name;
                if (!strncmp(name, c->name.at, c->name.len) && !name[c->name.len])
                        return hint;
        }
        uint16_t found = schema_column(t, c->name, c->hash);
        t->hints[position] = found;
        return found;
}

static int plan_group(
        struct store *s, const struct telemetry *m, size_t g, struct plan *plan, struct err *err)
{
        const struct telemetry_group *group = &m->groups[g];
        struct table *t = plan->tables[g] = schema_table(s, group->name, group->hash);
        size_t n_new = 0;
        int r = t ? 0 : schema_check_table(s, group->name, err);
        for (size_t i = 0; !r && i < group->n; i++) {
                const struct telemetry_column *c = &m->columns[group->first + i];
                uint16_t at = t ? find_column(t, i, c) : NO_COLUMN;
                plan->columns[group->first + i] = at;
                if (at != NO_COLUMN)
                        r = check_type(t, &t->columns[at], c, err);
                else if (c->value.type != TELEMETRY_NULL)
                        r = schema_check_column(t, ++n_new, c->name, err);
        }
        plan->has_new = plan->has_new || !t || n_new;
        return r;
}

/* Makes the tables and columns that a message is the first to have. */
static int make_new(struct store *s, const struct telemetry *m, struct err *err)
{
        int r = 0;
        for (size_t g = 0; !r && g < m->n_groups; g++) {
                const struct telemetry_group *group = &m->groups[g];
                struct table *t = schema_table(s, group->name, group->hash);
                bool is_new = !t;
                if (!t)
                        r = schema_add_table(s, group, &t, err);
                for (size_t i = group->first; !r && i < group->first + group->n; i++) {
                        const struct telemetry_column *c = &m->columns[i];
                        if (c->value.type == TELEMETRY_NULL ||
                                schema_column(t, c->name, c->hash) != NO_COLUMN)
                                continue;
                        r = schema_add_column(s, t, c, err);
                        is_new = true;
                }
                if (!r && is_new) {
                        log_info("columns of table '%s' now: %zu", t->name, t->n_columns);
                        r = schema_publish(s, t, err);
                }
        }
        return r;
}

static int prepare_insert(struct store *s, struct table *t, struct err *err)
{
        sqlite3_str *sql = sqlite3_str_new(s->db);
        sqlite3_str_appendf(sql, "INSERT INTO \"_data_%w\" VALUES(?", t->name);
        for (size_t i = 0; i < t->n_columns; i++)
                sqlite3_str_appendall(sql, ",?");
        sqlite3_str_appendall(sql, ")");
        char *text = sqlite3_str_finish(sql);
        int r = text ? db_prepare(s->db, text, &t->insert, err)
                     : err_set(err, -ENOMEM, "out of memory");
        sqlite3_free(text);
        return r;
}

static void bind_value(sqlite3_stmt *st, int at, const struct telemetry_value *v)
{
        switch (v->type) {
        case TELEMETRY_NUMBER:
                sqlite3_bind_double(st, at, v->number);
                break;
        case TELEMETRY_BOOL:
                sqlite3_bind_int(st, at, v->boolean);
                break;
        case TELEMETRY_TEXT:
                sqlite3_bind_text(st, at, v->text.at, (int)v->text.len, SQLITE_STATIC);
                break;
        default:
                sqlite3_bind_null(st, at);
        }
}

static int insert_group(struct store *s, const struct telemetry *m, size_t g,
        const struct plan *plan, int64_t id, struct err *err)
{
        const struct telemetry_group *group = &m->groups[g];
        struct table *t = plan->tables[g];
        int r = t->insert ? 0 : prepare_insert(s, t, err);
        if (r)
                return r;
        sqlite3_clear_bindings(t->insert);
        sqlite3_bind_int64(t->insert, 1, id);
        for (size_t i = group->first; i < group->first + group->n; i++)
                if (plan->columns[i] != NO_COLUMN)
                        bind_value(t->insert, plan->columns[i] + 2, &m->columns[i].value);
        t->rows++;
        t->is_dirty = true;
        return run(s, t->insert, "store a row", err);
}

static int kind_id(struct store *s, const char *kind, int64_t *ret, struct err *err)
{
        for (size_t i = 0; i < s->n_kinds; i++)
                if (!strcmp(s->kinds[i].name, kind)) {
                        *ret = s->kinds[i].id;
                        return 0;
                }
        *ret = 0;
        if (s->n_kinds == N_ELEMENTS(s->kinds))
                return 0; /* enough to tell telemetry from the rest */
        int r = store_exec_made(
                s, sqlite3_mprintf("INSERT OR IGNORE INTO _kinds(name) VALUES('%q')", kind), err);
        return r ? r : load_kinds(s, err) ? err->code : kind_id(s, kind, ret, err);
}

static int insert_message(struct store *s, const struct telemetry *m, const struct device *d,
        int64_t kind, int64_t time_ms, struct err *err)
{
        sqlite3_stmt *st = s->statements[ST_MESSAGE];
        sqlite3_bind_int64(st, 1, s->next_id);
        sqlite3_bind_int64(st, 2, d->id);
        sqlite3_bind_int64(st, 3, time_ms);
        sqlite3_bind_int64(st, 4, kind);
        if (m->has_sequence)
                sqlite3_bind_int64(st, 5, m->sequence);
        else
                sqlite3_bind_null(st, 5);
        if (m->has_software_version)
                sqlite3_bind_text(
                        st, 6, m->software_version.at, (int)m->software_version.len, SQLITE_STATIC);
        else
                sqlite3_bind_null(st, 6);
        return run(s, st, "store a message", err);
}

/* 1: the message is there already; 0: not; < 0: failed. A number above all before is always new. */
static int is_twice(
        struct store *s, const struct telemetry *m, const struct device *d, struct err *err)
{
        if (d->is_new || (m->has_sequence && m->sequence > d->highest) ||
                (!m->has_sequence && !m->has_time))
                return 0;
        sqlite3_stmt *st = s->statements[!m->has_sequence ? ST_TWICE_UNNUMBERED
                                         : m->has_time    ? ST_TWICE
                                                          : ST_TWICE_UNTIMED];
        sqlite3_bind_int64(st, 1, d->id);
        if (m->has_time)
                sqlite3_bind_int64(st, 2, m->time_ms);
        if (m->has_sequence)
                sqlite3_bind_int64(st, 3, m->sequence);
        int step = sqlite3_step(st);
        int r = step == SQLITE_ROW    ? 1
                : step == SQLITE_DONE ? 0
                                      : db_error(s->db, err, "look for a message");
        sqlite3_reset(st);
        return r;
}

static void note_device(struct store *s, struct device *d, const struct telemetry *m,
        int64_t time_ms, int64_t received_ms)
{
        if (!d->first_seen_ms)
                d->first_seen_ms = received_ms;
        d->last_seen_ms = received_ms;
        d->last_time_ms = time_ms;
        d->messages++;
        if (m->has_sequence) {
                d->sequence = m->sequence;
                if (m->sequence > d->highest)
                        d->highest = m->sequence;
        }
        if (m->has_software_version)
                snprintf(d->software_version, sizeof(d->software_version), "%.*s",
                        (int)m->software_version.len, m->software_version.at);
        devices_touch(s, d);
}

static int note_tick(struct store *s, int64_t received_ms, struct err *err)
{
        if (received_ms >= s->last_tick_ms && received_ms < s->last_tick_ms + TICK_MS)
                return 0;
        s->last_tick_ms = received_ms;
        sqlite3_bind_int64(s->statements[ST_TICK], 1, received_ms);
        sqlite3_bind_int64(s->statements[ST_TICK], 2, s->next_id);
        return run(s, s->statements[ST_TICK], "note the time", err);
}

static int plan_message(
        struct store *s, const struct telemetry *m, struct plan *plan, struct err *err)
{
        int r = 0;
        plan->has_new = false;
        for (size_t g = 0; !r && g < m->n_groups; g++)
                r = plan_group(s, m, g, plan, err);
        return r;
}

static int insert_all(struct store *s, const struct telemetry *m, const struct plan *plan,
        struct device *d, int64_t kind, int64_t received_ms, struct err *err)
{
        int64_t time_ms = m->has_time ? m->time_ms : received_ms;
        int r = note_tick(s, received_ms, err);
        if (!r)
                r = insert_message(s, m, d, kind, time_ms, err);
        for (size_t g = 0; !r && g < m->n_groups; g++)
                r = insert_group(s, m, g, plan, s->next_id, err);
        if (r)
                return r;
        s->next_id++;
        note_device(s, d, m, time_ms, received_ms);
        return 0;
}

int store_put(struct store *s, const struct telemetry *m, const char *kind, int64_t received_ms,
        struct err *err)
{
        struct plan plan;
        struct device *d;
        int64_t kind_number;
        if (!m->has_device_id) {
                (void)err_set(err, -EINVAL, "DeviceID is missing");
                return STORE_REFUSED;
        }
        int r = plan_message(s, m, &plan, err);
        if (!r)
                r = devices_get(s, m->device_id, &d, err);
        if (r)
                return r;
        r = is_twice(s, m, d, err);
        if (r > 0) {
                d->duplicates++;
                d->last_seen_ms = received_ms;
                devices_touch(s, d);
                return STORE_DUPLICATE;
        }
        if (!r && plan.has_new) {
                r = make_new(s, m, err);
                if (!r)
                        r = plan_message(s, m, &plan, err);
        }
        if (!r)
                r = kind_id(s, kind, &kind_number, err);
        return r ? r : insert_all(s, m, &plan, d, kind_number, received_ms, err);
}

int store_refuse(struct store *s, const char *topic, const void *payload, size_t len,
        int64_t received_ms, const char *reason, struct err *err)
{
        sqlite3_stmt *st = s->statements[ST_REFUSE], *forget = s->statements[ST_FORGET];
        if (len > LIMIT_DEAD_LETTER_BYTES)
                len = LIMIT_DEAD_LETTER_BYTES;
        sqlite3_bind_int64(st, 1, ++s->dead_letters);
        sqlite3_bind_int64(st, 2, received_ms);
        sqlite3_bind_text(st, 3, topic, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 4, reason, -1, SQLITE_STATIC);
        sqlite3_bind_blob(st, 5, len ? payload : "", (int)len, SQLITE_STATIC);
        int r = run(s, st, "keep a dead letter", err);
        sqlite3_bind_int64(forget, 1, s->dead_letters - LIMIT_DEAD_LETTERS);
        return r ? r : run(s, forget, "remove old dead letters", err);
}

/* ── retention ── */

static int delete_rows(struct store *s, int64_t below, struct err *err)
{
        int r = 0;
        for (size_t i = 0; !r && i < s->n_tables; i++) {
                struct table *t = &s->tables[i];
                r = store_exec_made(s,
                        sqlite3_mprintf("DELETE FROM \"_data_%w\" WHERE _id < %lld", t->name,
                                (long long)below),
                        err);
                if (!r && sqlite3_changes(s->db)) {
                        t->rows -= sqlite3_changes(s->db);
                        t->is_dirty = true;
                }
        }
        if (!r)
                r = store_exec_made(s,
                        sqlite3_mprintf("DELETE FROM _messages WHERE id < %lld", (long long)below),
                        err);
        return r;
}

/* What is old enough: messages below `cut`, of which those below `step` are enough for one time. */
struct old {
        int64_t cut, step;
        int64_t has_letters;
};

static int find_old(struct store *s, int64_t before_ms, struct old *ret, struct err *err)
{
        char sql[160];
        int64_t first = 0;
        snprintf(sql, sizeof(sql),
                "SELECT coalesce(max(first_id), 0) FROM _ticks WHERE time <= %lld",
                (long long)before_ms);
        int r = read_number(s, sql, &ret->cut, err);
        if (!r)
                r = read_number(s, "SELECT coalesce(min(id), 9223372036854775807) FROM _messages",
                        &first, err);
        snprintf(sql, sizeof(sql),
                "SELECT coalesce(min(time), %lld) < %lld FROM (SELECT time FROM dead_letter ORDER "
                "BY id LIMIT 1)",
                (long long)before_ms, (long long)before_ms);
        if (!r)
                r = read_number(s, sql, &ret->has_letters, err);
        ret->step = ret->cut;
        if (first >= ret->cut)
                ret->step = 0;
        else if (ret->cut - first > EXPIRE_STEP)
                ret->step = first + EXPIRE_STEP;
        return r;
}

static int delete_old(struct store *s, int64_t before_ms, const struct old *old, struct err *err)
{
        int r = old->step ? delete_rows(s, old->step, err) : 0;
        if (!r)
                r = store_exec_made(s,
                        sqlite3_mprintf("DELETE FROM _ticks WHERE first_id < %lld;"
                                        "DELETE FROM dead_letter WHERE time < %lld",
                                (long long)old->step, (long long)before_ms),
                        err);
        return r;
}

int store_expire(struct store *s, int64_t before_ms, struct err *err)
{
        struct old old = {0};
        int r = s->is_stale ? load(s, err) : 0;
        if (!r)
                r = find_old(s, before_ms, &old, err);
        if (r || (!old.step && !old.has_letters))
                return r;
        r = store_begin(s, err);
        if (r)
                return r;
        r = delete_old(s, before_ms, &old, err);
        if (r) {
                store_rollback(s);
                return r;
        }
        r = store_commit(s, s->offset, err);
        return r ? r : old.step && old.step < old.cut ? STORE_MORE_TO_DELETE : 0;
}

int store_tune(struct store *s, struct err *err)
{
        if (s->next_id < 2 * s->tuned_id || s->next_id <= 1)
                return 0;
        /* A sample is enough to tell a table with a row a second from one with a row a month. */
        int r = db_exec(s->db, "PRAGMA analysis_limit=200; ANALYZE", err);
        if (!r)
                s->tuned_id = s->next_id;
        return r;
}
