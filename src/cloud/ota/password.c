/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/password.h"

#include "base/hash.h"
#include "base/limits.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SALT_HEX 32
#define KEY_BYTES 32
#define FORMAT "$scrypt$ln=%u,r=%u,p=%u$"

struct stored {
        unsigned log_n, r, p;
        char salt[SALT_HEX + 1], hash[2 * KEY_BYTES + 1];
};

/* The salt goes in as its hex text: any bytes would do. */
static int derive(const char *password, const struct stored *s, char ret_hex[2 * KEY_BYTES + 1])
{
        unsigned char key[KEY_BYTES];
        if (EVP_PBE_scrypt(password, strlen(password), (const unsigned char *)s->salt, SALT_HEX,
                    UINT64_C(1) << s->log_n, s->r, s->p, LIMIT_PASSWORD_MEMORY, key,
                    sizeof(key)) != 1)
                return -EIO;
        hash_hex(key, sizeof(key), ret_hex);
        OPENSSL_cleanse(key, sizeof(key));
        return 0;
}

int password_hash(const char *password, char ret[PASSWORD_HASH_SIZE])
{
        struct stored s = {LIMIT_PASSWORD_LOG_N, LIMIT_PASSWORD_R, LIMIT_PASSWORD_P, "", ""};
        if (hash_random_hex(s.salt, SALT_HEX / 2) < 0 || derive(password, &s, s.hash) < 0)
                return -EIO;
        snprintf(ret, PASSWORD_HASH_SIZE, FORMAT "%s$%s", s.log_n, s.r, s.p, s.salt, s.hash);
        return 0;
}

static bool read_stored(const char *text, struct stored *s)
{
        int n = 0;
        /* field widths as SALT_HEX and 2 * KEY_BYTES */
        return text &&
               sscanf(text, FORMAT "%32[0-9a-f]$%64[0-9a-f]%n", &s->log_n, &s->r, &s->p, s->salt,
                       s->hash, &n) == 5 &&
               !text[n] && strlen(s->salt) == SALT_HEX && strlen(s->hash) == sizeof(s->hash) - 1 &&
               s->log_n > 0 && s->log_n < 32 && s->r > 0 && s->p > 0;
}

bool password_matches(const char *password, const char *stored)
{
        struct stored nobody = {LIMIT_PASSWORD_LOG_N, LIMIT_PASSWORD_R, LIMIT_PASSWORD_P,
                "00000000000000000000000000000000", ""};
        struct stored s = {0};
        char hash[2 * KEY_BYTES + 1] = "";
        bool is_readable = read_stored(stored, &s);
        int r = derive(password, is_readable ? &s : &nobody, hash);
        return r == 0 && is_readable && CRYPTO_memcmp(hash, s.hash, sizeof(hash)) == 0;
}

int password_generate(char ret[PASSWORD_GENERATED_SIZE])
{
        return hash_random_hex(ret, (PASSWORD_GENERATED_SIZE - 1) / 2);
}

const char *password_objection(const char *password)
{
        size_t len = strlen(password);
        if (len < LIMIT_PASSWORD_MIN_BYTES)
                return "a password has at least 8 characters";
        if (len > LIMIT_PASSWORD_BYTES)
                return "a password has at most 256 bytes";
        for (const char *p = password; *p; p++) {
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return "a password has no control characters";
        }
        return NULL;
}
