/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The plant's own random numbers: small, fast and the same everywhere and for ever, because
 * telemetry must repeat to the byte. A 64-bit Weyl sequence through a mixing function (the shape of
 * SplitMix64). Its state is one word; copying it gives a second reader of the same numbers.
 */
#include <stdint.h>

struct random {
        uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
        uint64_t z = r->state += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
}

/* Evenly within [0, 1). */
static inline double random_unit(struct random *r)
{
        return (double)(random_next(r) >> 11) * 0x1p-53;
}

static inline double random_between(struct random *r, double low, double high)
{
        return low + (high - low) * random_unit(r);
}

/* About normal with that standard deviation, never beyond 3.5 of them: the sum of four even numbers
 * taken from one draw. */
static inline double random_noise(struct random *r, double deviation)
{
        uint64_t bits = random_next(r);
        int64_t sum = (int64_t)(bits & 0xffff) + (int64_t)(bits >> 16 & 0xffff) +
                      (int64_t)(bits >> 32 & 0xffff) + (int64_t)(bits >> 48);
        /* Each of the four has the variance 65536²/12. */
        return (double)(sum - 2 * 65535) * (deviation / 37837.2274);
}

/* Moves on by `n` numbers at once. */
static inline void random_skip(struct random *r, uint64_t n)
{
        r->state += n * 0x9e3779b97f4a7c15U;
}
