/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, int bits)
{
        return x << bits | x >> (64 - bits);
}

static inline void rounds(uint64_t v[4], int n)
{
        for (int i = 0; i < n; i++) {
                v[0] += v[1];
                v[2] += v[3];
                v[1] = rotate(v[1], 13) ^ v[0];
                v[3] = rotate(v[3], 16) ^ v[2];
                v[0] = rotate(v[0], 32);
                v[2] += v[1];
                v[0] += v[3];
                v[1] = rotate(v[1], 17) ^ v[2];
                v[3] = rotate(v[3], 21) ^ v[0];
                v[2] = rotate(v[2], 32);
        }
}

static inline void absorb(uint64_t v[4], uint64_t word)
{
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
}

void siphash128(const struct siphash_key *key, const void *data, size_t len, uint64_t ret[2])
{
        uint64_t k0 = key->k[0], k1 = key->k[1];
        uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du ^ 0xee,
                k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
        const uint8_t *p = data;
        uint64_t word = 0, last = (uint64_t)len << 56;
        for (size_t left = len; left >= 8; left -= 8, p += 8) {
                memcpy(&word, p, 8);
                absorb(v, le64toh(word));
        }
        for (size_t i = 0; i < len % 8; i++)
                last |= (uint64_t)p[i] << (8 * i);
        absorb(v, last);
        v[2] ^= 0xee;
        rounds(v, 4);
        ret[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
        v[1] ^= 0xdd;
        rounds(v, 4);
        ret[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}
