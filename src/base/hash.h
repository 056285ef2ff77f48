/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* SHA-256, SHA-1 and MD5 in one pass (hawkBit names an artifact by all three); hex is lower case.
 */
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

#define HASH_SHA256_HEX_SIZE 65
#define HASH_SHA1_HEX_SIZE 41
#define HASH_MD5_HEX_SIZE 33

struct hash_set {
        char sha256[HASH_SHA256_HEX_SIZE];
        char sha1[HASH_SHA1_HEX_SIZE];
        char md5[HASH_MD5_HEX_SIZE];
};

struct hasher; /* a running computation */
struct hasher *hasher_new(void);
void hasher_free(struct hasher *h);
int hasher_add(struct hasher *h, const void *data, size_t len);
/* Ends the computation; `h` takes no more data. */
int hasher_end(struct hasher *h, struct hash_set *ret);

/* The three digests and the size of a file. */
int hash_file(const char *path, struct hash_set *ret, uint64_t *ret_size, struct err *err);
void hash_sha256(const void *data, size_t len, uint8_t ret[32]);
void hash_sha256_hex(const void *data, size_t len, char ret[HASH_SHA256_HEX_SIZE]);
/* HMAC-SHA256 (RFC 2104). */
void hash_hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len,
        char ret[HASH_SHA256_HEX_SIZE]);
void hash_md5_hex(const void *data, size_t len, char ret[HASH_MD5_HEX_SIZE]);
/* `text_size` must be 2 * len + 1. */
void hash_hex(const uint8_t *data, size_t len, char *text);
/* CRC-32C (Castagnoli, RFC 3720); start with 0 and chain. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t len);
/* Fills with bytes of the kernel's generator. */
int hash_random(void *data, size_t len);
/* `len` random bytes as 2 * len hex digits and a NUL. */
int hash_random_hex(char *text, size_t len);
