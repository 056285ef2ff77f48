/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/config/config.h"
#include "cloud/supervisor/supervisor.h"
#include "tool/registry_session.h"
#include "tool/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

struct filter {
        const char *part; /* NULL: all */
        const char *text; /* NULL: all */
};

/* `2026-11-22T19:00:00.000Z info    ota: …`; Mosquitto's own lines have no program. */
static bool matches(const struct filter *f, const char *line)
{
        if (f->text && !strstr(line, f->text))
                return false;
        if (!f->part)
                return true;
        char ours[80];
        snprintf(ours, sizeof(ours), " %s: ", f->part);
        return strstr(line, ours) || (!strcmp(f->part, "mosquitto") && line[0] >= '0' &&
                                             line[0] <= '9' && !strchr(line, 'T'));
}

/* The last `n_lines` matching lines of the file, in a ring. */
static int print_tail(FILE *file, const struct filter *f, int n_lines)
{
        char **ring = calloc((size_t)n_lines + 1, sizeof(*ring));
        CLEAN_MEM char *line = NULL;
        size_t cap = 0, at = 0;
        if (!ring)
                return -ENOMEM;
        while (getline(&line, &cap, file) > 0) {
                if (!matches(f, line))
                        continue;
                free(ring[at]);
                ring[at] = strdup(line);
                at = (at + 1) % (size_t)(n_lines + 1);
        }
        free(ring[at]); /* one more than asked for marks where the ring begins */
        ring[at] = NULL;
        for (int i = 0; i <= n_lines; i++) {
                char *old = ring[(at + (size_t)i) % (size_t)(n_lines + 1)];
                if (old)
                        fputs(old, stdout);
                free(old);
        }
        free(ring);
        return 0;
}

static void print_new(FILE *file, const struct filter *f)
{
        CLEAN_MEM char *line = NULL;
        size_t cap = 0;
        clearerr(file);
        for (;;) {
                long at = ftell(file);
                ssize_t n = getline(&line, &cap, file);
                if (n <= 0)
                        break;
                if (line[n - 1] != '\n') { /* not written to its end yet */
                        fseek(file, at, SEEK_SET);
                        break;
                }
                if (matches(f, line))
                        fputs(line, stdout);
        }
        fflush(stdout);
}

static bool was_rotated(FILE *file, const char *path)
{
        struct stat ours, now;
        return fstat(fileno(file), &ours) == 0 && stat(path, &now) == 0 &&
               ours.st_ino != now.st_ino;
}

/* Until the reader goes away or a signal. */
static int follow(FILE **file, const char *path, const char *dir, const struct filter *f)
{
        CLEAN_FD int fd = inotify_init1(IN_CLOEXEC);
        if (fd < 0 || inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
                return -errno;
        while (!ferror(stdout)) {
                char events[4096];
                print_new(*file, f);
                if (was_rotated(*file, path)) {
                        FILE *next = fopen(path, "re");
                        if (next) {
                                fclose(*file);
                                *file = next;
                                continue;
                        }
                }
                if (read(fd, events, sizeof(events)) < 0 && errno != EINTR)
                        return -errno;
        }
        return 0;
}

int verb_logs(void *context, int argc, char **argv)
{
        struct verb_context *v = context;
        struct filter filter = {0};
        int lines = 50;
        bool following = false;
        const struct cli_option options[] = {
                OPTION_DATA(v),
                {"follow", 'f', CLI_FLAG, &following, NULL, "go on with new lines until Ctrl-C"},
                {"lines", 'n', CLI_INT, &lines, "N", "how many lines to begin with (50)"},
                {"part", 'p', CLI_TEXT, &filter.part, "NAME",
                        "only of ota, store, pipeline, viewer, mosquitto or up"},
                {"grep", 'g', CLI_TEXT, &filter.text, "TEXT", "only lines with this text"},
                {0},
        };
        const char *none[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline logs [options]\n\nPrints the cloud's log: the lines of all its "
                    "parts, oldest first.",
                    options, none, 0, &n, &code))
                return code;
        if (lines < 0 || lines > 1000000) {
                fprintf(stderr, "driveline logs: --lines takes 0 to 1000000\n");
                return CLI_MISUSE;
        }
        struct cloud_config config;
        struct err err = ERR_INIT;
        if (cloud_config_load(v->data_dir, &config, &err) < 0)
                return cli_fail("driveline logs", &err);
        CLEAN_MEM char *dir = cloud_path(&config, CLOUD_LOG_DIR);
        CLEAN_MEM char *path = cloud_path(&config, CLOUD_LOG_DIR "/driveline.log");
        cloud_config_fini(&config);
        FILE *file = path ? fopen(path, "re") : NULL;
        if (!file) {
                err_errno(&err, -errno,
                        "cannot read '%s' (has 'driveline up' run with this data folder?)",
                        path ? path : "");
                return cli_fail("driveline logs", &err);
        }
        int r = print_tail(file, &filter, lines);
        if (!r && following)
                r = follow(&file, path, dir, &filter);
        fclose(file);
        if (r < 0) {
                err_errno(&err, r, "cannot follow '%s'", path);
                return cli_fail("driveline logs", &err);
        }
        return CLI_OK;
}
