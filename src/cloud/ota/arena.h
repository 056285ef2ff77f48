/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Memory that lives as long as one request: taken piece by piece, dropped at once.
 *
 * Running out of memory ends the program: each finished request is durable and the supervisor
 * starts the server again, so a restart is the recovery, and no handler needs a path for a failed
 * strdup(). What a request may hold is bounded by the limits on bodies, pages and list lengths.
 */
#include <stdarg.h>
#include <stddef.h>

struct arena_block;
struct arena {
        struct arena_block *head;
};

void arena_fini(struct arena *a);
/* Zeroed, aligned for any type. Never NULL. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *text); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *text, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
        __attribute__((format(printf, 2, 0)));
