/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* Keys and certificates as OpenSSL has them: made, signed, read and written as PEM. ECDSA P-256
 * only. */
#include "base/buf.h"
#include "base/err.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>

#define CLEAN_PKEY __attribute__((cleanup(pkey_freep)))
static inline void pkey_freep(EVP_PKEY **p)
{
        EVP_PKEY_free(*p);
}
#define CLEAN_X509 __attribute__((cleanup(x509_freep)))
static inline void x509_freep(X509 **p)
{
        X509_free(*p);
}

enum certificate_use { CERTIFICATE_CA, CERTIFICATE_SERVER, CERTIFICATE_CLIENT };

struct certificate_spec {
        enum certificate_use use;
        const char *common_name;
        const char *alt_names; /* OpenSSL's notation: `DNS:localhost,IP:127.0.0.1`; NULL: none */
        int64_t not_before_ms, not_after_ms; /* whole seconds are kept */
};

int certificate_key_new(EVP_PKEY **ret_key, struct err *err);
/* Signs `key` as the spec says; `issuer` NULL: by itself. The serial number is 16 random bytes. */
int certificate_sign(const struct certificate_spec *spec, EVP_PKEY *key, X509 *issuer,
        EVP_PKEY *issuer_key, X509 **ret_cert, struct err *err);
int64_t certificate_not_after_ms(const X509 *cert);
int64_t certificate_not_before_ms(const X509 *cert);

int certificate_write(const char *path, X509 *cert, struct err *err);        /* mode 0644 */
int certificate_write_key(const char *path, EVP_PKEY *key, struct err *err); /* PKCS#8, mode 0600 */
int certificate_write_public_key(const char *path, EVP_PKEY *key, struct err *err);
/* -ENOENT when there is no such file. */
int certificate_read(const char *path, X509 **ret_cert, struct err *err);
int certificate_read_key(const char *path, EVP_PKEY **ret_key, struct err *err);
/* SHA-256 of the DER form as hex. */
int certificate_fingerprint(const X509 *cert, char text[65]);
