/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
        assert(code < 0);
        if (!err)
                return code;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        return err->code = code;
}

int err_errno(struct err *err, int code, const char *fmt, ...)
{
        assert(code < 0);
        if (!err)
                return code;
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof(err->text))
                snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", strerror(-code));
        return err->code = code;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
        if (!err)
                return -EIO;
        char old[ERR_TEXT_MAX];
        memcpy(old, err->text, sizeof(old));
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof(err->text))
                snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", old);
        return err->code ? err->code : (err->code = -EIO);
}
