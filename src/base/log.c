/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/log.h"
#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024

static struct {
        const char *program;
        enum log_level level;
} the_log = {"", LOG_LEVEL_INFO};

static const char *const level_names[LOG_LEVEL_N] = {"error", "warning", "info", "debug"};

void log_setup(const char *program, enum log_level level)
{
        the_log.program = program;
        the_log.level = level;
}

int log_level_from_string(const char *text, enum log_level *ret_level)
{
        for (int i = 0; i < LOG_LEVEL_N; i++)
                if (!strcmp(text, level_names[i])) {
                        *ret_level = (enum log_level)i;
                        return 0;
                }
        return -EINVAL;
}

void log_write(enum log_level level, const char *fmt, ...)
{
        /* A supervisor reads the ready line, whatever the level is. */
        if (level > the_log.level && strncmp(fmt, LOG_READY_TEXT, strlen(LOG_READY_TEXT)))
                return;
        char line[LOG_LINE_MAX];
        char now[CLOCK_ISO8601_SIZE];
        clock_iso8601(clock_now_ms(), now);
        int n = snprintf(
                line, sizeof(line), "%s %-7s %s: ", now, level_names[level], the_log.program);
        va_list ap;
        va_start(ap, fmt);
        int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
        va_end(ap);
        if (m < 0)
                return;
        size_t end = (size_t)n + (size_t)m;
        if (end > sizeof(line) - 2)
                end = sizeof(line) - 2;
        for (size_t i = (size_t)n; i < end; i++)
                if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
                        line[i] = '?';
        line[end] = '\n';
        /* One write a line, so that the lines of several processes in one file do not mix. */
        (void)!write(STDERR_FILENO, line, end + 1);
}
