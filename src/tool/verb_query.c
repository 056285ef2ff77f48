/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "cloud/config/config.h"
#include "cloud/store/store.h"
#include "tool/registry_session.h"
#include "tool/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM "driveline query"
#define QUERY_TIMEOUT_MS 60000

static const char usage[] =
        "driveline query [options] [SQL]\n\n"
        "Reads the store. With SQL, any one SELECT over the tables (one a subsystem, with "
        "DeviceID,\n"
        "time, Sequence, SoftwareVersion and its own columns; also devices and dead_letter):\n"
        "    driveline query 'SELECT time, Speed FROM Engine WHERE Speed > 50'\n"
        "With --table, the newest rows of a table, oldest first. With --gap, what the sequence "
        "numbers\n"
        "of a car say: messages lost, stored twice, and the longest gap. With nothing, the "
        "tables.\n"
        "Times are ISO 8601, or how long ago (90, 15m, 2h). docs/store.md has more.";

struct query {
        struct verb_context *context;
        const char *table, *device, *gap, *from, *to, *output;
        int64_t last_ms;
        int limit;
        enum rows_format format;
        int64_t from_ms, to_ms;
        struct rows rows;
};

static int begin_rows(void *arg, size_t n, const char *const *names)
{
        struct query *q = arg;
        return rows_begin(&q->rows, q->format, n, names);
}

static int add_row(void *arg, size_t n, const struct telemetry_value *values)
{
        struct query *q = arg;
        return rows_add(&q->rows, n, values);
}

static int run_sql(struct query *q, struct store *s, const char *sql, struct err *err)
{
        struct store_sql statement = {.sql = sql,
                .limit = (size_t)q->limit,
                .timeout_ms = QUERY_TIMEOUT_MS,
                .names = begin_rows,
                .row = add_row,
                .arg = q};
        int r = store_sql(s, &statement, err);
        if (r == -E2BIG)
                err_set(err, r, "too many rows for a table; use --limit, or --output csv");
        if (r >= 0)
                rows_end(&q->rows);
        if (r == STORE_MORE)
                fprintf(stderr, "%s: there are more rows; --limit 0 shows all\n", PROGRAM);
        return r < 0 ? r : 0;
}

static void add_quoted(struct buf *sql, const char *text, char quote)
{
        buf_addc(sql, quote);
        for (; *text; text++) {
                if (*text == quote)
                        buf_addc(sql, quote);
                buf_addc(sql, *text);
        }
        buf_addc(sql, quote);
}

/* The newest rows, turned round. The limit is in the statement, so no one is told that there are
 * more. */
static int run_table(struct query *q, struct store *s, struct err *err)
{
        CLEAN_BUF struct buf sql = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        buf_adds(&sql, "SELECT * FROM (SELECT * FROM ");
        add_quoted(&sql, q->table, '"');
        buf_addf(&sql, " WHERE time BETWEEN %" PRId64 " AND %" PRId64, q->from_ms, q->to_ms);
        if (q->device) {
                buf_adds(&sql, " AND DeviceID = ");
                add_quoted(&sql, q->device, '\'');
        }
        buf_addf(&sql, " ORDER BY time DESC LIMIT %d) ORDER BY time", q->limit ? q->limit : -1);
        if (sql.error)
                return err_set(err, sql.error, "the names are too long");
        return run_sql(q, s, sql.data, err);
}

static struct telemetry_value number(int64_t n)
{
        return (struct telemetry_value){.type = TELEMETRY_NUMBER, .number = (double)n};
}

static struct telemetry_value text(const char *t)
{
        return (struct telemetry_value){.type = TELEMETRY_TEXT, .text = {t, strlen(t)}};
}

static int run_gap(struct query *q, struct store *s, struct err *err)
{
        static const char *const names[] = {"DeviceID", "messages", "first_sequence",
                "last_sequence", "lost", "stored_twice", "restarts", "max_gap_s", "gap_from",
                "gap_to", "gap_from_sequence", "gap_to_sequence"};
        struct store_gap g;
        int r = store_gap(s, q->gap, q->from_ms, q->to_ms, &g, err);
        if (r)
                return r;
        char from[CLOCK_ISO8601_SIZE] = "", to[CLOCK_ISO8601_SIZE] = "";
        if (g.gap_to_ms) {
                clock_iso8601(g.gap_from_ms, from);
                clock_iso8601(g.gap_to_ms, to);
        }
        struct telemetry_value values[] = {text(q->gap), number(g.messages),
                number(g.first_sequence), number(g.last_sequence), number(g.lost),
                number(g.stored_twice), number(g.restarts),
                {.type = TELEMETRY_NUMBER, .number = (double)g.max_gap_ms / 1000}, text(from),
                text(to), number(g.gap_from_sequence), number(g.gap_to_sequence)};
        r = begin_rows(q, N_ELEMENTS(names), names);
        if (!r)
                r = add_row(q, N_ELEMENTS(values), values);
        if (r)
                return err_set(err, r, "out of memory");
        rows_end(&q->rows);
        return 0;
}

static int list_tables(struct query *q, struct store *s, struct err *err)
{
        static const char *const names[] = {"table", "column", "type"};
        CLEAN_STORE_TABLES struct store_tables tables = {0};
        int r = store_tables(s, &tables, err);
        if (r)
                return r;
        r = begin_rows(q, N_ELEMENTS(names), names);
        for (size_t i = 0; !r && i < tables.n; i++)
                for (size_t k = 0; !r && k < tables.tables[i].n_columns; k++) {
                        const struct store_column *c = &tables.tables[i].columns[k];
                        struct telemetry_value values[] = {text(tables.tables[i].name),
                                text(c->name), text(telemetry_type_to_string(c->type))};
                        r = add_row(q, N_ELEMENTS(values), values);
                }
        if (r)
                return err_set(err, r, "out of memory");
        rows_end(&q->rows);
        return 0;
}

static int parse_times(struct query *q)
{
        int64_t now = clock_now_ms();
        q->from_ms = q->last_ms ? now - q->last_ms : INT64_MIN;
        q->to_ms = INT64_MAX;
        if (q->from && rows_parse_time(q->from, now, &q->from_ms)) {
                fprintf(stderr, "%s: --from: '%s' is no time\n", PROGRAM, q->from);
                return -EINVAL;
        }
        if (q->to && rows_parse_time(q->to, now, &q->to_ms)) {
                fprintf(stderr, "%s: --to: '%s' is no time\n", PROGRAM, q->to);
                return -EINVAL;
        }
        return 0;
}

static int run(struct query *q, const char *sql, struct err *err)
{
        struct cloud_config config;
        CLEAN(store) struct store *s = NULL;
        int r = cloud_config_load(q->context->data_dir, &config, err);
        if (r)
                return r;
        CLEAN_MEM char *path = cloud_path(&config, CLOUD_STORE_DB);
        cloud_config_fini(&config);
        r = path ? store_open_readonly(path, &s, err) : err_set(err, -ENOMEM, "out of memory");
        if (r)
                return r;
        if (sql)
                return run_sql(q, s, sql, err);
        if (q->gap)
                return run_gap(q, s, err);
        return q->table ? run_table(q, s, err) : list_tables(q, s, err);
}

int verb_query(void *context, int argc, char **argv)
{
        struct query q = {.context = context, .output = "table", .limit = 1000};
        const struct cli_option options[] = {
                {"table", 't', CLI_TEXT, &q.table, "TABLE", "show the newest rows of this table"},
                {"device", 'd', CLI_TEXT, &q.device, "DEVICE", "only this car's"},
                {"last", 'l', CLI_DURATION, &q.last_ms, "DURATION", "only from that long ago on"},
                {"gap", 0, CLI_TEXT, &q.gap, "DEVICE", "show what is missing of this car"},
                {"from", 0, CLI_TEXT, &q.from, "TIME", "only from then on, by the car's clock"},
                {"to", 0, CLI_TEXT, &q.to, "TIME", "only until then"},
                {"limit", 'n', CLI_INT, &q.limit, "N", "rows at most, 0: all (default 1000)"},
                {"output", 'o', CLI_TEXT, &q.output, "FORMAT", "table (the default), json or csv"},
                OPTION_DATA(q.context),
                {0},
        };
        const char *args[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv, usage, options, args, 1, &n, &code))
                return code;
        if (rows_format_from_string(PROGRAM, q.output, &q.format) || parse_times(&q))
                return CLI_MISUSE;
        if (q.limit < 0 || (n && (q.table || q.gap)) || (q.table && q.gap)) {
                fprintf(stderr, "%s: give one of SQL, --table and --gap, and a limit from 0 on\n",
                        PROGRAM);
                return CLI_MISUSE;
        }
        struct err err = ERR_INIT;
        int r = run(&q, n ? args[0] : NULL, &err);
        rows_fini(&q.rows);
        return r ? cli_fail(PROGRAM, &err) : CLI_OK;
}
