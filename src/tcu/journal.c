/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/journal.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "tcu/deploy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

static int open_log(const char *dir, int *ret_fd, struct err *err)
{
        CLEAN_MEM char *path = fs_join(dir, "update.log");
        CLEAN_MEM char *old = fs_join(dir, "update.log.1");
        if (!path || !old)
                return err_set(err, -ENOMEM, "out of memory");
        struct stat st;
        if (!stat(path, &st) && st.st_size >= JOURNAL_MAX_BYTES && rename(path, old))
                return err_errno(err, -errno, "cannot rotate '%s'", path);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        *ret_fd = fd;
        return 0;
}

int journal_write(const char *dir, struct err *err, const char *fmt, ...)
{
        CLEAN_FD int fd = -1;
        int r = open_log(dir, &fd, err);
        if (r)
                return r;
        char now[CLOCK_ISO8601_SIZE], text[DEPLOY_CAUSE_SIZE + 512];
        clock_iso8601(clock_now_ms(), now);
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = ' '; /* one event, one line, whatever the app has printed */
        CLEAN_BUF struct buf line = BUF_INIT(sizeof(text) + sizeof(now) + 2);
        buf_addf(&line, "%s %s\n", now, text);
        r = fs_write_all(fd, buf_text(&line), line.len);
        if (!r && fdatasync(fd))
                r = -errno;
        return r ? err_errno(err, r, "cannot write update.log") : 0;
}
