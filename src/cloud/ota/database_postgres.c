/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * PostgreSQL through libpq: one connection, used without ever blocking for longer than the time
 * limits below.
 *
 * A unit that writes holds advisory locks until its end, in place of SQLite's one writer: the
 * server's lock shared and the device's own, or the server's alone (database.h). The statements
 * inside are read committed, so each sees what the holder before has committed. A unit that only
 * reads holds no lock, sees one snapshot, and is refused a write, upon which its caller begins it
 * again as a writer.
 *
 * A statement is prepared on the server at its first run with the types of its arguments, and again
 * when those differ or the connection is a new one. It runs when its arguments are bound, and its
 * rows are all fetched at once, so that other statements may run while they are read.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "cloud/ota/database_postgres.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* The types of arguments and results that matter here (pg_type.dat; they never change). */
#define OID_BOOL 16
#define OID_INT8 20
#define OID_TEXT 25
#define OID_FLOAT8 701

/* Keys of advisory locks: any numbers, but the same in every server of one database. */
#define LOCK_CLASS 0x44726976 /* "Driv" */
#define LOCK_LEADER 1
#define LOCK_UNITS 2

#define CHANNEL "driveline_ota"

struct postgres_statement {
        struct statement base;
        char *sql;        /* with $1, $2 … */
        unsigned name;    /* on the server */
        uint64_t session; /* of the connection that has it prepared; 0: none has */
        Oid *types;       /* it was prepared with */
        int n_args, room;
        int64_t n_changes;
        const char **values;
        char (*numbers)[32];
        PGresult *result;
        int row;
};

static struct postgres *of(struct database *d)
{
        return (struct postgres *)d;
}

static struct postgres_statement *pg(struct statement *s)
{
        return (struct postgres_statement *)s;
}

/* ── failures ── */

static enum database_failure failure_of(const char *state)
{
        static const struct {
                const char *state;
                enum database_failure failure;
        } known[] = {
                {"40001", DATABASE_CONFLICT},  /* serialization_failure */
                {"40P01", DATABASE_CONFLICT},  /* deadlock_detected */
                {"55P03", DATABASE_CONFLICT},  /* lock_not_available: lock_timeout */
                {"23505", DATABASE_CONFLICT},  /* unique_violation: looked for before, made since */
                {"23503", DATABASE_CONFLICT},  /* foreign_key_violation: found before, gone since */
                {"25006", DATABASE_READ_ONLY}, /* read_only_sql_transaction */
                {"53100", DATABASE_FULL},      /* disk_full */
                {"57P0", DATABASE_LOST},  /* admin_shutdown, crash_shutdown, cannot_connect_now */
                {"25P03", DATABASE_LOST}, /* idle_in_transaction_session_timeout */
                {"08", DATABASE_LOST},    /* connection exceptions */
        };
        for (size_t i = 0; state && i < N_ELEMENTS(known); i++) {
                if (strncmp(state, known[i].state, strlen(known[i].state)) == 0)
                        return known[i].failure;
        }
        return DATABASE_BROKEN;
}

static const char *one_line(char *text)
{
        size_t n = strcspn(text, "\n");
        text[n] = '\0';
        return text;
}

static const char *message_of(struct postgres *p, const PGresult *result)
{
        const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
        snprintf(p->message, sizeof(p->message), "%s",
                primary && *primary ? primary : PQerrorMessage(p->conn));
        return one_line(p->message);
}

static int lose(struct postgres *p, const char *why)
{
        if (p->conn) {
                log_error(
                        "the connection to PostgreSQL is lost: %s; the next request connects again",
                        why);
                PQfinish(p->conn);
        }
        p->conn = NULL;
        p->is_open = false;
        p->leads = false;
        p->base.foreign_changes++; /* what others change meanwhile is not heard */
        return database_fail(&p->base, DATABASE_LOST, "the database does not answer: %s", why);
}

static int fail(struct postgres *p, const PGresult *result)
{
        enum database_failure failure =
                failure_of(result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL);
        const char *message = message_of(p, result);
        if (failure == DATABASE_LOST || PQstatus(p->conn) == CONNECTION_BAD)
                return lose(p, message);
        return database_fail(&p->base, failure, "cannot use the database: %s", message);
}

/* ── waiting ── */

static void hear(struct postgres *p)
{
        PGnotify *n;
        while ((n = PQnotifies(p->conn))) {
                if (n->be_pid != PQbackendPID(p->conn))
                        p->base.foreign_changes++;
                PQfreemem(n);
        }
}

static int wait_for(struct postgres *p, short events, int64_t deadline)
{
        struct pollfd fd = {.fd = PQsocket(p->conn), .events = events};
        int64_t left = deadline - clock_mono_ms();
        int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (n < 0 && errno == EINTR)
                return 0;
        return n > 0 ? 0 : n < 0 ? -errno : -ETIMEDOUT;
}

/* The answer to what was sent; NULL when the connection is lost, which is then noted. Of several,
 * the last or the first that failed. */
static PGresult *take(struct postgres *p)
{
        int64_t deadline = clock_mono_ms() + LIMIT_DATABASE_ANSWER_MS;
        PGresult *last = NULL;
        for (;;) {
                int unsent = PQflush(p->conn);
                int r = 0;
                if (unsent == 0 && !PQisBusy(p->conn)) {
                        PGresult *next = PQgetResult(p->conn);
                        if (!next)
                                break;
                        bool is_failure = last && PQresultStatus(last) == PGRES_FATAL_ERROR;
                        PQclear(is_failure ? next : last);
                        last = is_failure ? last : next;
                        continue;
                }
                if (unsent >= 0)
                        r = wait_for(p, (short)(unsent ? POLLIN | POLLOUT : POLLIN), deadline);
                if (unsent < 0 || r < 0 || !PQconsumeInput(p->conn)) {
                        PQclear(last);
                        lose(p, r == -ETIMEDOUT ? "no answer in time" : message_of(p, NULL));
                        return NULL;
                }
        }
        hear(p);
        if (!last)
                lose(p, "no answer");
        return last;
}

static bool is_fine(const PGresult *result)
{
        ExecStatusType status = PQresultStatus(result);
        return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static PGresult *keep_fine(struct postgres *p, PGresult *result)
{
        if (result && !is_fine(result)) {
                fail(p, result);
                PQclear(result);
                return NULL;
        }
        return result;
}

PGresult *postgres_query(struct postgres *p, const char *sql)
{
        if (!p->conn) {
                database_fail(&p->base, DATABASE_LOST, "the database does not answer");
                return NULL;
        }
        if (!PQsendQuery(p->conn, sql)) {
                lose(p, message_of(p, NULL));
                return NULL;
        }
        return keep_fine(p, take(p));
}

int postgres_run(struct postgres *p, const char *sql)
{
        PGresult *result = postgres_query(p, sql);
        PQclear(result);
        return result ? 0 : -1;
}

int64_t postgres_int(struct postgres *p, const char *sql, int64_t fallback)
{
        PGresult *result = postgres_query(p, sql);
        int64_t v = fallback;
        if (result && PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
                v = PQftype(result, 0) == OID_BOOL ? *PQgetvalue(result, 0, 0) == 't'
                                                   : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
        return v;
}

/* ── connections ── */

static void ignore_notice(void *arg, const PGresult *result)
{
        (void)arg;
        (void)result;
}

/* Plans are for short statements with an index each: compiling them to machine code costs more than
 * they do. The server ends what hangs, and lets go of a lock whose holder went away. */
static int set_up_session(struct postgres *p)
{
        char sql[512];
        snprintf(sql, sizeof(sql),
                "SET client_encoding='UTF8'; SET jit=off; SET random_page_cost=1.1;"
                " SET statement_timeout=%d; SET lock_timeout=%d;"
                " SET idle_in_transaction_session_timeout=%d;"
                " SET tcp_keepalives_idle=10; SET tcp_keepalives_interval=5;"
                " SET tcp_keepalives_count=3;%s",
                LIMIT_DATABASE_STATEMENT_MS, LIMIT_DATABASE_LOCK_MS, LIMIT_DATABASE_IDLE_MS,
                p->is_readonly ? " SET default_transaction_read_only=on" : " LISTEN " CHANNEL);
        return postgres_run(p, sql);
}

int postgres_connect(struct postgres *p)
{
        const char *const keys[] = {"dbname", "connect_timeout", "application_name",
                "tcp_user_timeout", "keepalives_idle", NULL};
        char connect[16], user[16];
        snprintf(connect, sizeof(connect), "%d", LIMIT_DATABASE_CONNECT_MS / 1000);
        snprintf(user, sizeof(user), "%d", LIMIT_DATABASE_ANSWER_MS);
        const char *const values[] = {p->where, connect, "driveline", user, "10", NULL};
        if (clock_mono_ms() < p->next_try_at)
                return database_fail(&p->base, DATABASE_LOST, "the database does not answer");
        p->conn = PQconnectdbParams(keys, values, 1);
        if (!p->conn || PQstatus(p->conn) != CONNECTION_OK || PQsetnonblocking(p->conn, 1) != 0) {
                const char *why = p->conn ? message_of(p, NULL) : "out of memory";
                database_fail(&p->base, DATABASE_LOST, "cannot connect to PostgreSQL: %s", why);
                PQfinish(p->conn);
                p->conn = NULL;
                p->next_try_at = clock_mono_ms() + LIMIT_DATABASE_RETRY_MS;
                return -1;
        }
        PQsetNoticeReceiver(p->conn, ignore_notice, NULL);
        p->session++;
        p->base.foreign_changes++;
        return set_up_session(p);
}

static void postgres_close(struct database *d)
{
        struct postgres *p = of(d);
        PQfinish(p->conn);
        free(p->where);
        free(p);
}

/* ── units ── */

static int connected(struct postgres *p)
{
        if (p->conn && PQstatus(p->conn) == CONNECTION_OK)
                return 0;
        if (p->conn)
                lose(p, message_of(p, NULL));
        bool was_told = p->is_lost_told;
        int r = postgres_connect(p);
        if (r < 0 && !was_told)
                log_error("%s: trying again every %d ms", p->base.reason.text,
                        LIMIT_DATABASE_RETRY_MS);
        else if (r == 0 && p->session > 1)
                log_info("connected to PostgreSQL again");
        p->is_lost_told = r < 0;
        return r;
}

static int begin(struct postgres *p, enum database_unit unit, uint64_t key)
{
        char sql[256];
        if (unit == DATABASE_READING || p->is_readonly)
                return postgres_run(p, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        if (unit == DATABASE_DEVICE || unit == DATABASE_TIMES)
                snprintf(sql, sizeof(sql),
                        "BEGIN; SELECT pg_advisory_xact_lock_shared(%d, %d),"
                        " pg_advisory_xact_lock(%" PRId64 ")",
                        LOCK_CLASS, LOCK_UNITS, (int64_t)key);
        else
                snprintf(sql, sizeof(sql), "BEGIN; SELECT pg_advisory_xact_lock(%d, %d)",
                        LOCK_CLASS, LOCK_UNITS);
        return postgres_run(p, sql);
}

static void postgres_rollback(struct database *d)
{
        struct postgres *p = of(d);
        if (p->conn && p->is_open && PQtransactionStatus(p->conn) != PQTRANS_IDLE)
                (void)postgres_run(p, "ROLLBACK");
        p->is_open = false;
}

static int postgres_begin(struct database *d, enum database_unit unit, uint64_t key)
{
        struct postgres *p = of(d);
        bool is_fresh = !p->conn;
        if (connected(p) < 0)
                return -1;
        p->unit = unit;
        int r = begin(p, unit, key);
        /* A connection that broke while nobody looked costs one more try, no request. */
        if (r < 0 && p->base.failure == DATABASE_LOST && !is_fresh && connected(p) == 0)
                r = begin(p, unit, key);
        p->is_open = true;
        p->has_changed = false;
        if (r < 0) {
                enum database_failure failure = p->base.failure;
                postgres_rollback(d);
                p->base.failure = failure;
        }
        return r;
}

static int postgres_commit(struct database *d)
{
        struct postgres *p = of(d);
        bool is_told = p->has_changed && p->unit != DATABASE_TIMES;
        PGresult *result = postgres_query(p, is_told ? "NOTIFY " CHANNEL "; COMMIT" : "COMMIT");
        if (!result)
                return -1;
        bool is_done = strcmp(PQcmdStatus(result), "COMMIT") == 0;
        PQclear(result);
        p->is_open = false;
        return is_done ? 0
                       : database_fail(d, DATABASE_BROKEN, "the database undid what was written");
}

/* ── statements ── */

/* `?7` becomes $7, and `?` the number after the highest so far; what is quoted stays. */
char *postgres_placeholders(const char *text, bool is_insert)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(8));
        unsigned n = 0;
        char quote = '\0';
        for (const char *p = text; *p; p++) {
                if (quote || *p == '\'' || *p == '"') {
                        quote = !quote ? *p : *p == quote ? '\0' : quote;
                        buf_addc(&b, *p);
                } else if (*p == '?') {
                        unsigned number = (unsigned)strtoul(p + 1, NULL, 10);
                        bool is_numbered = p[1] >= '0' && p[1] <= '9';
                        buf_addc(&b, '$');
                        if (!is_numbered)
                                buf_addf(&b, "%u", ++n);
                        else if (number > n)
                                n = number;
                } else {
                        buf_addc(&b, *p);
                }
        }
        if (is_insert)
                buf_adds(&b, " RETURNING id");
        return b.error ? NULL : buf_take(&b);
}

static struct statement *postgres_prepare(struct database *d, const char *text, bool is_insert)
{
        struct postgres_statement *s = calloc(1, sizeof(*s));
        if (!s || !(s->sql = postgres_placeholders(text, is_insert)))
                abort();
        s->name = ++of(d)->n_names;
        return &s->base;
}

static void forget_on_server(struct postgres *p, const struct postgres_statement *s)
{
        char sql[48];
        if (!p->conn || s->session != p->session || PQtransactionStatus(p->conn) == PQTRANS_INERROR)
                return;
        snprintf(sql, sizeof(sql), "DEALLOCATE s%u", s->name);
        (void)postgres_run(p, sql);
}

static void postgres_finalize(struct statement *base)
{
        struct postgres_statement *s = pg(base);
        if (!base->database->is_closing)
                forget_on_server(of(base->database), s);
        PQclear(s->result);
        free(s->sql);
        free(s->types);
        free(s->values);
        free(s->numbers);
        free(s);
}

/* What was there is of the run before. */
static void grow(struct postgres_statement *s, size_t n)
{
        free(s->types);
        free(s->values);
        free(s->numbers);
        s->types = calloc(n, sizeof(*s->types));
        s->values = calloc(n, sizeof(*s->values));
        s->numbers = calloc(n, sizeof(*s->numbers));
        if (!s->types || !s->values || !s->numbers)
                abort();
        s->room = (int)n;
}

static Oid type_of(const struct sql_arg *arg)
{
        return arg->kind == SQL_KIND_TEXT   ? OID_TEXT
               : arg->kind == SQL_KIND_REAL ? OID_FLOAT8
                                            : OID_INT8;
}

static const char *value_of(const struct sql_arg *arg, char number[32])
{
        switch (arg->kind) {
        case SQL_KIND_INT:
                snprintf(number, 32, "%" PRId64, arg->i);
                return number;
        case SQL_KIND_REAL:
                snprintf(number, 32, "%.17g", arg->d);
                return number;
        case SQL_KIND_TEXT:
                return arg->t;
        default:
                return NULL;
        }
}

/* Prepares if it isn't with these types on this connection. */
static int make_ready(struct postgres *p, struct postgres_statement *s, const struct sql_arg *args)
{
        char name[16];
        bool is_ready = s->session == p->session;
        for (int i = 0; i < s->n_args; i++) {
                Oid type = type_of(&args[i]);
                is_ready = is_ready && s->types[i] == type;
                s->types[i] = type;
        }
        if (is_ready)
                return 0;
        if (s->session == p->session) { /* with other types */
                forget_on_server(p, s);
                s->session = 0;
        }
        snprintf(name, sizeof(name), "s%u", s->name);
        if (!PQsendPrepare(p->conn, name, s->sql, s->n_args, s->types))
                return lose(p, message_of(p, NULL));
        PGresult *result = keep_fine(p, take(p));
        PQclear(result);
        s->session = result ? p->session : 0;
        return result ? 0 : -1;
}

static void count_changes(struct postgres *p, struct postgres_statement *s)
{
        const char *what = PQcmdStatus(s->result);
        s->n_changes =
                strncmp(what, "SELECT", 6) == 0 ? 0 : strtoll(PQcmdTuples(s->result), NULL, 10);
        p->has_changed = p->has_changed || s->n_changes > 0;
}

static void run(struct postgres *p, struct postgres_statement *s, const struct sql_arg *args)
{
        char name[16];
        if (!p->conn || make_ready(p, s, args) < 0)
                return;
        snprintf(name, sizeof(name), "s%u", s->name);
        for (int i = 0; i < s->n_args; i++)
                s->values[i] = value_of(&args[i], s->numbers[i]);
        if (!PQsendQueryPrepared(p->conn, name, s->n_args, s->values, NULL, NULL, 0)) {
                lose(p, message_of(p, NULL));
                return;
        }
        s->result = keep_fine(p, take(p));
        if (s->result)
                count_changes(p, s);
}

static void postgres_bind(struct statement *base, const struct sql_arg *args, size_t n)
{
        struct postgres_statement *s = pg(base);
        s->row = -1;
        s->n_changes = 0;
        s->n_args = (int)n;
        if ((int)n > s->room)
                grow(s, n);
        run(of(base->database), s, args);
}

static int postgres_step(struct statement *base)
{
        struct postgres_statement *s = pg(base);
        if (!s->result)
                return -1;
        s->row++;
        return s->row < PQntuples(s->result) ? 1 : 0;
}

static void postgres_reset(struct statement *base)
{
        struct postgres_statement *s = pg(base);
        PQclear(s->result);
        s->result = NULL;
}

static int64_t postgres_changes(struct statement *s)
{
        return pg(s)->n_changes;
}

static int64_t postgres_insert_id(struct statement *s)
{
        const PGresult *result = pg(s)->result;
        return result && PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
}

/* ── columns ── */

static int64_t postgres_column_int(struct statement *s, int column)
{
        const PGresult *result = pg(s)->result;
        const char *value = PQgetvalue(result, pg(s)->row, column);
        return PQftype(result, column) == OID_BOOL ? *value == 't' : strtoll(value, NULL, 10);
}

static double postgres_column_real(struct statement *s, int column)
{
        return strtod(PQgetvalue(pg(s)->result, pg(s)->row, column), NULL);
}

static bool postgres_column_is_null(struct statement *s, int column)
{
        return PQgetisnull(pg(s)->result, pg(s)->row, column) != 0;
}

static const char *postgres_column_text(struct statement *s, int column)
{
        return postgres_column_is_null(s, column) ? NULL
                                                  : PQgetvalue(pg(s)->result, pg(s)->row, column);
}

/* ── who changed something ── */

/* The next transaction's number moves with every writer of the whole server: that says too much at
 * times, and never too little. */
static uint64_t postgres_generation(struct database *d)
{
        return (uint64_t)postgres_int(
                of(d), "SELECT hashtextextended(pg_current_snapshot()::text, 0)", 0);
}

static bool postgres_leads(struct database *d)
{
        struct postgres *p = of(d);
        char sql[96];
        if (connected(p) < 0)
                return false;
        if (p->leads) /* the lock is the connection's: asking anything shows whether that holds */
                return postgres_run(p, "SELECT 1") == 0;
        snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock(%d, %d)", LOCK_CLASS, LOCK_LEADER);
        p->leads = postgres_int(p, sql, 0) == 1;
        if (p->leads)
                log_info("this server takes the steps of rollouts from here on");
        return p->leads;
}

static const struct database_driver driver = {
        .close = postgres_close,
        .begin = postgres_begin,
        .commit = postgres_commit,
        .rollback = postgres_rollback,
        .prepare = postgres_prepare,
        .finalize = postgres_finalize,
        .bind = postgres_bind,
        .step = postgres_step,
        .reset = postgres_reset,
        .changes = postgres_changes,
        .insert_id = postgres_insert_id,
        .column_int = postgres_column_int,
        .column_real = postgres_column_real,
        .column_text = postgres_column_text,
        .column_is_null = postgres_column_is_null,
        .generation = postgres_generation,
        .leads = postgres_leads,
};

int database_postgres_open(
        const char *where, bool is_readonly, struct database **ret_database, struct err *err)
{
        struct postgres *p = calloc(1, sizeof(*p));
        if (!p || !(p->where = strdup(where))) {
                free(p);
                return err_set(err, -ENOMEM, "out of memory");
        }
        p->base.driver = &driver;
        p->is_readonly = is_readonly;
        int r = postgres_connect(p) < 0 ? postgres_explain(p, err) : postgres_migrate(p, err);
        if (r < 0) {
                postgres_close(&p->base);
                return r;
        }
        *ret_database = &p->base;
        return 0;
}
