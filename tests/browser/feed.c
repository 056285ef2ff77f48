/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * feed DATA_DIR: appends messages to a data folder's telemetry stream, as the broker's plugin
 * would. Reads lines `TIME_MS TOPIC PAYLOAD` from stdin (TIME_MS 0: now), answers each with its
 * offset.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "cloud/stream/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int append(struct stream_writer *w, char *line, struct err *err)
{
        char *rest = line;
        const char *time = strsep(&rest, " "), *topic = strsep(&rest, " ");
        uint64_t offset = 0;
        if (!rest)
                return err_set(err, -EINVAL, "a line has no time, topic and payload");
        int64_t at_ms = strtoll(time, NULL, 10);
        int r = stream_append(
                w, topic, rest, strlen(rest), at_ms ? at_ms : clock_now_ms(), &offset, err);
        if (r == 0) {
                printf("%" PRIu64 "\n", offset);
                fflush(stdout);
        }
        return r;
}

static int feed(const char *data_dir, struct err *err)
{
        CLEAN_MEM char *dir = fs_join(data_dir, STREAM_TELEMETRY);
        CLEAN(stream_writer) struct stream_writer *w = NULL;
        CLEAN_MEM char *line = NULL;
        struct stream_options options = {0};
        size_t cap = 0;
        ssize_t n;
        int r = stream_writer_open(dir, &options, &w, err);
        while (r == 0 && (n = getline(&line, &cap, stdin)) > 0) {
                line[n - 1] = '\0';
                r = append(w, line, err);
        }
        return r;
}

int main(int argc, char **argv)
{
        struct err err = ERR_INIT;
        if (argc != 2) {
                fputs("feed: name the data folder\n", stderr);
                return 2;
        }
        if (feed(argv[1], &err) < 0) {
                fprintf(stderr, "feed: %s\n", err.text);
                return 1;
        }
        return 0;
}
