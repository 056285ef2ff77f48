/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/clock.h"
#include "cloud/config/config.h"
#include "cloud/stream/stream.h"
#include "tool/registry_session.h"
#include "tool/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM "driveline stream"

struct reading {
        struct verb_context *context;
        const char *from, *output;
        int limit;
        bool follows;
        enum rows_format format;
};

/* latest, start, an offset, or a time. */
static int parse_position(const char *text, struct stream_position *ret)
{
        char *end = NULL;
        if (!strcmp(text, "latest") || !strcmp(text, "start")) {
                ret->from = *text == 'l' ? STREAM_FROM_LATEST : STREAM_FROM_START;
                return 0;
        }
        ret->offset = strtoull(text, &end, 10);
        if (*text >= '0' && *text <= '9' && !*end) {
                ret->from = STREAM_FROM_OFFSET;
                return 0;
        }
        ret->from = STREAM_FROM_TIME;
        return rows_parse_time(text, clock_now_ms(), &ret->time_ms);
}

static char *stream_dir(const struct verb_context *v, struct err *err)
{
        struct cloud_config config;
        if (cloud_config_load(v->data_dir, &config, err))
                return NULL;
        char *dir = cloud_path(&config, STREAM_TELEMETRY);
        cloud_config_fini(&config);
        if (!dir)
                (void)err_set(err, -ENOMEM, "out of memory");
        return dir;
}

static int print_record(const struct stream_record *record, enum rows_format format)
{
        CLEAN_BUF struct buf b = BUF_INIT(4 * LIMIT_MESSAGE_BYTES);
        char time[CLOCK_ISO8601_SIZE];
        clock_iso8601(record->time_ms, time);
        if (format == ROWS_JSON) {
                buf_addf(&b,
                        "{\"offset\":%" PRIu64 ",\"time\":%" PRId64 ",\"topic\":", record->offset,
                        record->time_ms);
                buf_add_json_string(&b, record->topic, strlen(record->topic));
                buf_adds(&b, ",\"payload\":");
                buf_add_json_string(&b, record->payload, record->len);
                buf_adds(&b, "}");
        } else {
                buf_addf(&b, "%" PRIu64 " %s %s ", record->offset, time, record->topic);
                const unsigned char *p = record->payload;
                for (size_t i = 0; i < record->len; i++)
                        buf_addc(&b, p[i] < 0x20 || p[i] == 0x7f ? '?' : (char)p[i]);
        }
        puts(buf_text(&b));
        return ferror(stdout) ? -EPIPE : b.error;
}

static int wait_for_more(struct stream_reader *reader)
{
        struct pollfd p = {.fd = stream_reader_fd(reader), .events = POLLIN};
        fflush(stdout);
        return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int read_stream(const struct reading *reading, struct stream_reader *reader, struct err *err)
{
        for (int n = 0; !reading->limit || n < reading->limit;) {
                struct stream_record record;
                int r = stream_next(reader, &record, err);
                if (r < 0)
                        return r;
                if (r == STREAM_EMPTY && !reading->follows)
                        break;
                n += r != STREAM_EMPTY;
                r = r == STREAM_EMPTY ? wait_for_more(reader)
                                      : print_record(&record, reading->format);
                if (r)
                        return err_errno(err, r, "cannot print the stream");
        }
        struct stream_skipped skipped = stream_reader_skipped(reader);
        if (skipped.missing || skipped.corrupt)
                fprintf(stderr,
                        "%s: %" PRIu64 " records are missing, %" PRIu64 " places are damaged\n",
                        PROGRAM, skipped.missing, skipped.corrupt);
        return 0;
}

static int read_verb(void *context, int argc, char **argv, bool follows)
{
        struct reading reading = {.context = context,
                .from = follows ? "latest" : "start",
                .output = "table",
                .follows = follows};
        const struct cli_option options[] = {
                {"from", 0, CLI_TEXT, &reading.from, "POSITION",
                        "latest, start, an offset, an ISO 8601 time or how long ago (15m)"},
                {"limit", 'n', CLI_INT, &reading.limit, "N", "records at most"},
                {"output", 'o', CLI_TEXT, &reading.output, "FORMAT",
                        "table (the default) or json: an object a line"},
                OPTION_DATA(reading.context),
                {0},
        };
        const char *args[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    follows ? "driveline stream tail [options]\n\nPrints what is appended to the "
                              "stream from now on, until Ctrl-C."
                            : "driveline stream read [options]\n\nPrints the records of the stream "
                              "from its start or --from on, to its end.",
                    options, args, 0, &n, &code))
                return code;
        struct stream_position position = {0};
        if (rows_format_from_string(PROGRAM, reading.output, &reading.format))
                return CLI_MISUSE;
        if (parse_position(reading.from, &position)) {
                fprintf(stderr, "%s: '%s' is no position; see --help\n", PROGRAM, reading.from);
                return CLI_MISUSE;
        }
        struct err err = ERR_INIT;
        CLEAN(stream_reader) struct stream_reader *reader = NULL;
        CLEAN_MEM char *dir = stream_dir(reading.context, &err);
        int r = dir ? stream_reader_open(dir, &position, &reader, &err) : err.code;
        if (!r)
                r = read_stream(&reading, reader, &err);
        return r ? cli_fail(PROGRAM, &err) : CLI_OK;
}

static int verb_read(void *context, int argc, char **argv)
{
        return read_verb(context, argc, argv, false);
}

static int verb_tail(void *context, int argc, char **argv)
{
        return read_verb(context, argc, argv, true);
}

static struct telemetry_value number(uint64_t n)
{
        return (struct telemetry_value){.type = TELEMETRY_NUMBER, .number = (double)n};
}

static int print_stat(const struct stream_stat *s, enum rows_format format)
{
        static const char *const names[] = {
                "first_offset", "next_offset", "first_time", "last_time", "bytes", "segments"};
        char first[CLOCK_ISO8601_SIZE] = "", last[CLOCK_ISO8601_SIZE] = "";
        CLEAN_ROWS struct rows rows = {0};
        if (s->last_time_ms) {
                clock_iso8601(s->first_time_ms, first);
                clock_iso8601(s->last_time_ms, last);
        }
        struct telemetry_value values[] = {number(s->first_offset), number(s->next_offset),
                {.type = TELEMETRY_TEXT, .text = {first, strlen(first)}},
                {.type = TELEMETRY_TEXT, .text = {last, strlen(last)}}, number(s->bytes),
                number(s->segments)};
        if (s->last_time_ms == 0)
                values[2].type = values[3].type = TELEMETRY_NULL;
        int r = rows_begin(&rows, format, N_ELEMENTS(names), names);
        if (!r)
                r = rows_add(&rows, N_ELEMENTS(values), values);
        rows_end(&rows);
        return r;
}

static int verb_stat(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        const char *output = "table", *args[1];
        const struct cli_option options[] = {
                {"output", 'o', CLI_TEXT, &output, "FORMAT", "table (the default), json or csv"},
                OPTION_DATA(v),
                {0},
        };
        size_t n;
        int code;
        enum rows_format format;
        if (cli_parse(argc, argv, "driveline stream stat [options]\n\nSays what the stream holds.",
                    options, args, 0, &n, &code))
                return code;
        if (rows_format_from_string(PROGRAM, output, &format))
                return CLI_MISUSE;
        struct err err = ERR_INIT;
        struct stream_stat stat;
        CLEAN_MEM char *dir = stream_dir(v, &err);
        int r = dir ? stream_stat(dir, &stat, &err) : err.code;
        if (!r && print_stat(&stat, format))
                r = err_set(&err, -ENOMEM, "out of memory");
        return r ? cli_fail(PROGRAM, &err) : CLI_OK;
}

int verb_stream(void *context, int argc, char **argv)
{
        static const struct cli_verb verbs[] = {
                {"read", "print records from a position to the end", verb_read},
                {"tail", "print records as they come", verb_tail},
                {"stat", "say what the stream holds", verb_stat},
                {0},
        };
        return cli_dispatch(PROGRAM, verbs, context, argc - 1, argv + 1);
}
