/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the PostgreSQL driver's two files share: the connection (database_postgres.c) and the tables
 * (database_postgres_schema.c). Nobody else includes this.
 */
#include "cloud/ota/database_driver.h"

#include <libpq-fe.h>

struct postgres {
        struct database base;
        char *where;
        PGconn *conn; /* NULL: lost; the next unit connects again */
        bool is_readonly;
        bool is_open; /* a unit is */
        enum database_unit unit;
        bool has_changed;    /* the unit wrote something */
        bool leads;          /* holds the leader's lock, as long as the connection lasts */
        bool is_lost_told;   /* the log says so already */
        uint64_t session;    /* counts the connections; statements live as long as theirs */
        int64_t next_try_at; /* monotonic: not before this */
        unsigned n_names;    /* of statements */
        char message[400];   /* the last one of the server, one line */
};

/* Sends one or several statements; the last one's result, or NULL with the failure noted. */
PGresult *postgres_query(struct postgres *p, const char *sql);
int postgres_run(struct postgres *p, const char *sql);
/* First column of the only row; `fallback` if there is none, or it failed. */
int64_t postgres_int(struct postgres *p, const char *sql, int64_t fallback);
int postgres_connect(struct postgres *p);
/* Malloc()ed; NULL: too long. */
char *postgres_placeholders(const char *text, bool is_insert);

/* The reason of the last failure with the next step, as err. */
int postgres_explain(struct postgres *p, struct err *err);
/* Brings the tables to this program's version; of several servers that start at once, one by one.
 * A reader only compares. */
int postgres_migrate(struct postgres *p, struct err *err);
/* One of schema.c's migrations as PostgreSQL reads it, malloc()ed; NULL: too long. */
char *postgres_schema(const char *sql);
