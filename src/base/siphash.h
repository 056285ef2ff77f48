/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * SipHash-2-4 with 128 bits (Aumasson and Bernstein): a fast hash under a secret key. Who doesn't
 * know the key can't make two inputs that collide, so 128 bits may stand for the input itself.
 */
#include <stddef.h>
#include <stdint.h>

struct siphash_key {
        uint64_t k[2]; /* random */
};

void siphash128(const struct siphash_key *key, const void *data, size_t len, uint64_t ret[2]);
