/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/registry/certificate.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SERIAL_BYTES 16

int certificate_key_new(EVP_PKEY **ret_key, struct err *err)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        if (!key)
                return err_set(err, -EIO, "cannot make a key: %s", tls_reason());
        *ret_key = key;
        return 0;
}

/* Positive, never zero in its first byte, so that it has one length everywhere. */
static bool set_serial(X509 *cert)
{
        unsigned char bytes[SERIAL_BYTES];
        if (hash_random(bytes, sizeof(bytes)) < 0)
                return false;
        bytes[0] = (unsigned char)((bytes[0] & 0x3f) | 0x40);
        BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
        bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
        BN_free(number);
        return done;
}

static bool set_time(ASN1_TIME *t, int64_t ms)
{
        return ASN1_TIME_set(t, (time_t)(ms / 1000)) != NULL;
}

static bool set_subject(X509 *cert, const char *common_name)
{
        return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName,
                       MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1;
}

static bool add_extension(X509 *cert, X509V3_CTX *context, int nid, const char *value)
{
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, context, nid, value);
        bool done = e && X509_add_ext(cert, e, -1) == 1;
        X509_EXTENSION_free(e);
        return done;
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct certificate_spec *spec)
{
        bool ca = spec->use == CERTIFICATE_CA;
        X509V3_CTX context;
        X509V3_set_ctx(&context, issuer ? issuer : cert, cert, NULL, NULL, 0);
        bool done = add_extension(cert, &context, NID_basic_constraints,
                            ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
                    add_extension(cert, &context, NID_key_usage,
                            ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
                    add_extension(cert, &context, NID_subject_key_identifier, "hash") &&
                    add_extension(cert, &context, NID_authority_key_identifier, "keyid");
        if (done && !ca)
                done = add_extension(cert, &context, NID_ext_key_usage,
                        spec->use == CERTIFICATE_SERVER ? "serverAuth" : "clientAuth");
        if (done && spec->alt_names)
                done = add_extension(cert, &context, NID_subject_alt_name, spec->alt_names);
        return done;
}

int certificate_sign(const struct certificate_spec *spec, EVP_PKEY *key, X509 *issuer,
        EVP_PKEY *issuer_key, X509 **ret_cert, struct err *err)
{
        CLEAN_X509 X509 *cert = X509_new();
        if (!cert || !X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) ||
                !set_time(X509_getm_notBefore(cert), spec->not_before_ms) ||
                !set_time(X509_getm_notAfter(cert), spec->not_after_ms) ||
                !set_subject(cert, spec->common_name) ||
                !X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) ||
                !X509_set_pubkey(cert, key) || !add_extensions(cert, issuer, spec) ||
                !X509_sign(cert, issuer ? issuer_key : key, EVP_sha256()))
                return err_set(err, -EIO, "cannot make a certificate for '%s': %s",
                        spec->common_name, tls_reason());
        *ret_cert = cert;
        cert = NULL;
        return 0;
}

static int64_t time_ms(const ASN1_TIME *t)
{
        struct tm tm;
        return ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) * 1000 : 0;
}

int64_t certificate_not_after_ms(const X509 *cert)
{
        return time_ms(X509_get0_notAfter(cert));
}

int64_t certificate_not_before_ms(const X509 *cert)
{
        return time_ms(X509_get0_notBefore(cert));
}

/* Takes `bio`; `written` says whether filling it worked. */
static int write_bio(const char *path, BIO *bio, bool written, mode_t mode, struct err *err)
{
        char *data = NULL;
        long len = written ? BIO_get_mem_data(bio, &data) : 0;
        int r = len > 0 ? fs_write_atomic(path, data, (size_t)len, mode, err)
                        : err_set(err, -EIO, "cannot encode '%s': %s", path, tls_reason());
        BIO_free(bio);
        return r;
}

int certificate_write(const char *path, X509 *cert, struct err *err)
{
        BIO *bio = BIO_new(BIO_s_mem());
        return write_bio(path, bio, bio && PEM_write_bio_X509(bio, cert), 0644, err);
}

int certificate_write_key(const char *path, EVP_PKEY *key, struct err *err)
{
        BIO *bio = BIO_new(BIO_s_secmem());
        bool written = bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
        return write_bio(path, bio, written, 0600, err);
}

int certificate_write_public_key(const char *path, EVP_PKEY *key, struct err *err)
{
        BIO *bio = BIO_new(BIO_s_mem());
        return write_bio(path, bio, bio && PEM_write_bio_PUBKEY(bio, key), 0644, err);
}

/* Opens the file as a BIO over `text`, which must live as long. */
static int open_pem(const char *path, struct buf *text, BIO **ret_bio, struct err *err)
{
        int r = fs_read(path, text, err);
        if (r < 0)
                return r;
        *ret_bio = BIO_new_mem_buf(buf_text(text), (int)text->len);
        return *ret_bio ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int certificate_read(const char *path, X509 **ret_cert, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        BIO *bio = NULL;
        int r = open_pem(path, &text, &bio, err);
        if (r < 0)
                return r;
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        BIO_free(bio);
        if (!cert)
                return err_set(err, -EINVAL, "'%s' is no certificate: %s", path, tls_reason());
        *ret_cert = cert;
        return 0;
}

int certificate_read_key(const char *path, EVP_PKEY **ret_key, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        BIO *bio = NULL;
        int r = open_pem(path, &text, &bio, err);
        if (r < 0)
                return r;
        EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        BIO_free(bio);
        OPENSSL_cleanse(text.data, text.len);
        if (!key)
                return err_set(err, -EINVAL, "'%s' is no private key: %s", path, tls_reason());
        *ret_key = key;
        return 0;
}

int certificate_fingerprint(const X509 *cert, char text[65])
{
        unsigned char digest[32];
        unsigned n = 0;
        if (!X509_digest(cert, EVP_sha256(), digest, &n) || n != sizeof(digest))
                return -EIO;
        hash_hex(digest, sizeof(digest), text);
        return 0;
}
