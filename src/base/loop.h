/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The end of an event loop.
 *
 * libevent frees a bufferevent (so also an HTTP connection) in a deferred callback of its loop. A
 * loop that was stopped by a signal never gets there, and event_base_free() drops the callback. So
 * a program that ends frees its objects first and its loop last, by this.
 */
#include <event2/event.h>

/* Lets what is pending happen once, without waiting, and frees the loop. NULL is fine. */
static inline void loop_free(struct event_base *base)
{
        if (!base)
                return;
        event_base_loop(base, EVLOOP_NONBLOCK);
        event_base_free(base);
}
