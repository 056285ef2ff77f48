/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* How long it takes from the append to the stream until a query sees the message, with the role
 * running in a process of its own. For store_bench only. */
#include "base/buf.h"
#include "base/err.h"

struct bench_live {
        const char *dir; /* a data folder, made for this */
        int rate, seconds, devices;
        /* Writes the message of a car in that second. */
        void (*compose)(struct buf *b, int device, int second);
};

/* Prints the median, the 99th percentile and the longest. */
int bench_live(const struct bench_live *b, struct err *err);
