/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/database_driver.h"

#include "cloud/ota/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int database_fail(struct database *d, enum database_failure failure, const char *fmt, ...)
{
        va_list ap;
        d->failure = failure;
        va_start(ap, fmt);
        vsnprintf(d->reason.text, sizeof(d->reason.text), fmt, ap);
        va_end(ap);
        return -1;
}

enum database_failure database_failure(const struct database *d, const char **ret_text)
{
        if (ret_text)
                *ret_text = d->reason.text;
        return d->failure;
}

/* ── life ── */

bool database_is_url(const char *where)
{
        return strncmp(where, "postgresql://", 13) == 0;
}

int database_open(const char *where, struct database **ret_database, struct err *err)
{
        return database_is_url(where) ? database_postgres_open(where, false, ret_database, err)
                                      : database_sqlite_open(where, false, ret_database, err);
}

int database_open_readonly(const char *where, struct database **ret_database, struct err *err)
{
        return database_is_url(where) ? database_postgres_open(where, true, ret_database, err)
                                      : database_sqlite_open(where, true, ret_database, err);
}

static void finalize(struct statement *s)
{
        char *text = s->text;
        s->database->driver->finalize(s);
        free(text);
}

static void drop_statements(struct database *d)
{
        for (size_t i = 0; i < DATABASE_BUCKETS; i++) {
                struct statement **link = &d->buckets[i];
                while (*link) {
                        struct statement *s = *link;
                        if (s->is_busy) {
                                link = &s->next;
                                continue;
                        }
                        *link = s->next;
                        finalize(s);
                        d->n_statements--;
                }
        }
}

void database_free(struct database *d)
{
        if (!d)
                return;
        settings_forget(d);
        d->is_closing = true;
        drop_statements(d);
        d->driver->close(d);
}

struct settings_cache **database_settings(struct database *d)
{
        return &d->settings;
}

/* ── units ── */

int database_begin(struct database *d, enum database_unit unit, uint64_t key)
{
        d->failure = DATABASE_FINE;
        return d->driver->begin(d, unit, key);
}

int database_commit(struct database *d)
{
        return d->driver->commit(d);
}

void database_rollback(struct database *d)
{
        d->driver->rollback(d);
}

uint64_t database_foreign_changes(const struct database *d)
{
        return d->foreign_changes;
}

bool database_leads(struct database *d)
{
        return d->driver->leads(d);
}

uint64_t database_generation(struct database *d)
{
        return d->driver->generation(d);
}

/* ── statements ── */

static size_t bucket_of(const char *text)
{
        uint64_t h = 1469598103934665603u; /* FNV-1a */
        for (const char *p = text; *p; p++)
                h = (h ^ (unsigned char)*p) * 1099511628211u;
        return (size_t)(h % DATABASE_BUCKETS);
}

static struct statement *prepare(
        struct database *d, struct statement **bucket, const char *text, bool is_insert)
{
        if (d->n_statements >= DATABASE_MAX_STATEMENTS)
                drop_statements(d);
        struct statement *s = d->driver->prepare(d, text, is_insert);
        if (!s)
                return NULL;
        *s = (struct statement){.next = *bucket,
                .database = d,
                .text = strdup(text),
                .is_insert = is_insert,
                .is_busy = true};
        if (!s->text)
                abort();
        *bucket = s;
        d->n_statements++;
        return s;
}

struct statement *database_prepare(struct database *d, const char *text, bool is_insert)
{
        struct statement **bucket = &d->buckets[bucket_of(text)];
        for (struct statement *s = *bucket; s; s = s->next) {
                if (!s->is_busy && s->is_insert == is_insert && strcmp(s->text, text) == 0) {
                        s->is_busy = true;
                        return s;
                }
        }
        return prepare(d, bucket, text, is_insert);
}

void database_bind(struct statement *s, const struct sql_arg *args, size_t n)
{
        s->database->driver->bind(s, args, n);
}

int database_step(struct statement *s)
{
        return s->database->driver->step(s);
}

void database_reset(struct statement *s)
{
        s->database->driver->reset(s);
        s->is_busy = false;
}

const char *database_text(const struct statement *s)
{
        return s->text;
}

int64_t database_changes(struct statement *s)
{
        return s->database->driver->changes(s);
}

int64_t database_insert_id(struct statement *s)
{
        return s->database->driver->insert_id(s);
}

int64_t database_column_int(struct statement *s, int column)
{
        return s->database->driver->column_int(s, column);
}

double database_column_real(struct statement *s, int column)
{
        return s->database->driver->column_real(s, column);
}

const char *database_column_text(struct statement *s, int column)
{
        return s->database->driver->column_text(s, column);
}

bool database_column_is_null(struct statement *s, int column)
{
        return s->database->driver->column_is_null(s, column);
}
