/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The reason of a failure, as a person, a log or an update server will read it.
 *
 * A function returns 0 when it worked, -errno when it failed, and a positive value for a named
 * condition of its own. Where the reason will be read by somebody, its last parameter is a
 * `struct err *`, which the caller owns (usually on its stack) and may be NULL. Each layer puts its
 * part in front: `deployment 42: cannot write slot 'b': no space left on device`.
 * Style: lower case, no full stop, what failed first, names in single quotes, next step last.
 */
#include <stdarg.h>

#define ERR_TEXT_MAX 512

struct err {
        int code;                /* the -errno of the innermost failure; 0: no failure yet */
        char text[ERR_TEXT_MAX]; /* always terminated; cut if longer */
};

#define ERR_INIT ((struct err){0})

/* Sets the text and returns `code`, which must be negative, so that `return err_set(…)` reads well.
 */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Like err_set() with `: <strerror(-code)>` at the end. */
int err_errno(struct err *err, int code, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* Puts `<text>: ` before what is there and returns err->code (or -EIO when err is NULL or unset).
 */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
