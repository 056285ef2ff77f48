/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/credentials.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

bool secret_equals(const char *a, const char *b)
{
        size_t n = strlen(a);
        return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

void credentials_wipe(struct credentials *c)
{
        OPENSSL_cleanse(c, sizeof(*c));
}

static enum credentials_kind parse_basic(const char *code, struct credentials *c)
{
        size_t len = strlen(code);
        if (len == 0 || len % 4 != 0 || len >= CREDENTIALS_SIZE || *code == ' ')
                return CREDENTIALS_NONE;
        int n = EVP_DecodeBlock((unsigned char *)c->text, (const unsigned char *)code, (int)len);
        n -= (code[len - 1] == '=') + (code[len - 2] == '=');
        if (n < 1)
                return CREDENTIALS_NONE;
        c->text[n] = '\0';
        char *colon = strchr(c->text, ':');
        if (!colon || strlen(c->text) != (size_t)n)
                return CREDENTIALS_NONE;
        *colon = '\0';
        c->name = c->text;
        c->secret = colon + 1;
        return CREDENTIALS_BASIC;
}

static enum credentials_kind parse_token(const char *token, struct credentials *c)
{
        size_t n = strlen(API_TOKEN_PREFIX);
        if (strlen(token) != API_TOKEN_SIZE - 1 || strncmp(token, API_TOKEN_PREFIX, n) != 0 ||
                strspn(token + n, "0123456789abcdef") != API_TOKEN_SIZE - 1 - n)
                return CREDENTIALS_NONE;
        memcpy(c->text, token, API_TOKEN_SIZE);
        c->secret = c->text;
        return CREDENTIALS_TOKEN;
}

enum credentials_kind credentials_parse(const char *header, struct credentials *ret)
{
        ret->kind = CREDENTIALS_NONE;
        ret->name = ret->secret = NULL;
        if (header && strncasecmp(header, "Basic ", 6) == 0)
                ret->kind = parse_basic(header + 6, ret);
        else if (header && strncasecmp(header, "Bearer ", 7) == 0)
                ret->kind = parse_token(header + 7, ret);
        return ret->kind;
}
