/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Guarded variables: what is still owned at the end of the scope is released.
 *
 * `CLEAN(slot) struct slot *s = slot_new(…);` calls slot_free(s) when `s` leaves its scope; TAKE(s)
 * hands the pointer over and leaves NULL behind. A guarded variable always has an initializer and
 * no goto crosses it. A module with a `x_free(struct x *)` says CLEAN_DEFINE(x, x_free) in its
 * header.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEAN(name) __attribute__((cleanup(name##_freep)))
#define CLEAN_DEFINE(name, free_function)                                                          \
        static inline void name##_freep(struct name **p)                                           \
        {                                                                                          \
                if (*p)                                                                            \
                        free_function(*p);                                                         \
        }                                                                                          \
        struct name

/* For memory of malloc(): `CLEAN_MEM char *text = NULL;` */
#define CLEAN_MEM __attribute__((cleanup(clean_memp)))
static inline void clean_memp(void *p)
{
        free(*(void **)p);
}

/* For descriptors; -1 is "none". */
#define CLEAN_FD __attribute__((cleanup(clean_fdp)))
static inline void clean_fdp(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

#define CLEAN_FILE __attribute__((cleanup(clean_filep)))
static inline void clean_filep(FILE **f)
{
        if (*f)
                fclose(*f);
}

#define TAKE(p)                                                                                    \
        __extension__({                                                                            \
                __typeof__(p) taken_ = (p);                                                        \
                (p) = NULL;                                                                        \
                taken_;                                                                            \
        })

static inline int take_fd(int *fd)
{
        int taken = *fd;
        *fd = -1;
        return taken;
}
#define TAKE_FD(fd) take_fd(&(fd))

#define MUST_CHECK __attribute__((warn_unused_result))
#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
