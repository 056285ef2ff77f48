/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/tls.h"
#include "base/clean.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

const char *tls_reason(void)
{
        unsigned long e = ERR_peek_last_error();
        ERR_clear_error();
        const char *text = e ? ERR_reason_error_string(e) : NULL;
        return text ? text : "unknown reason";
}

static int load_identity(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct err *err)
{
        if (!SSL_CTX_use_certificate_chain_file(ctx, cert_file))
                return err_set(
                        err, -EINVAL, "cannot use certificate '%s': %s", cert_file, tls_reason());
        if (!SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM))
                return err_set(
                        err, -EINVAL, "cannot use private key '%s': %s", key_file, tls_reason());
        return 0;
}

static int new_context(const SSL_METHOD *method, SSL_CTX **ret_ctx, struct err *err)
{
        SSL_CTX *ctx = SSL_CTX_new(method);
        if (!ctx)
                return err_set(err, -ENOMEM, "cannot set up TLS: %s", tls_reason());
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
        *ret_ctx = ctx;
        return 0;
}

int tls_server_new(const char *cert_file, const char *key_file, const char *ca_file,
        enum tls_peer peer, SSL_CTX **ret_ctx, struct err *err)
{
        SSL_CTX *ctx = NULL;
        int r = new_context(TLS_server_method(), &ctx, err);
        if (r < 0)
                return r;
        r = load_identity(ctx, cert_file, key_file, err);
        if (!r && peer != TLS_PEER_NONE) {
                STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_file);
                if (!names || !SSL_CTX_load_verify_locations(ctx, ca_file, NULL))
                        r = err_set(err, -EINVAL, "cannot use CA '%s': %s", ca_file, tls_reason());
                SSL_CTX_set_client_CA_list(ctx, names); /* takes it, NULL too */
                SSL_CTX_set_verify(ctx,
                        SSL_VERIFY_PEER |
                                (peer == TLS_PEER_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                        NULL);
        }
        static const unsigned char session_context[] = "driveline";
        SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1);
        if (r < 0) {
                SSL_CTX_free(ctx);
                return r;
        }
        *ret_ctx = ctx;
        return 0;
}

int tls_client_new(const char *ca_file, const char *cert_file, const char *key_file,
        SSL_CTX **ret_ctx, struct err *err)
{
        SSL_CTX *ctx = NULL;
        int r = new_context(TLS_client_method(), &ctx, err);
        if (r < 0)
                return r;
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        int trusted = ca_file ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
                              : SSL_CTX_set_default_verify_paths(ctx);
        if (!trusted)
                r = err_set(err, -EINVAL, "cannot use CA '%s': %s", ca_file ? ca_file : "(system)",
                        tls_reason());
        if (!r && cert_file)
                r = load_identity(ctx, cert_file, key_file, err);
        if (r < 0) {
                SSL_CTX_free(ctx);
                return r;
        }
        *ret_ctx = ctx;
        return 0;
}

bool tls_certificate_identity(
        X509 *cert, char *cn, size_t cn_size, char *serial, size_t serial_size)
{
        X509_NAME *name = X509_get_subject_name(cert);
        int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
        if (at < 0)
                return false;
        /* Two common names could be read differently by different programs; an embedded NUL too. */
        if (X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
                return false;
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
        bool fits = n > 0 && (size_t)n < cn_size && !memchr(utf8, 0, (size_t)n);
        if (fits) {
                memcpy(cn, utf8, (size_t)n);
                cn[n] = 0;
        }
        OPENSSL_free(utf8);
        if (!fits)
                return false;
        BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
        char *hex = number ? BN_bn2hex(number) : NULL;
        fits = hex && strlen(hex) < serial_size;
        for (size_t i = 0; fits && i <= strlen(hex); i++)
                serial[i] = hex[i] >= 'A' && hex[i] <= 'F' ? (char)(hex[i] + 32) : hex[i];
        OPENSSL_free(hex);
        BN_free(number);
        return fits;
}

bool tls_peer_identity(SSL *ssl, char *cn, size_t cn_size, char *serial, size_t serial_size)
{
        if (!ssl || SSL_get_verify_result(ssl) != X509_V_OK)
                return false;
        X509 *cert = SSL_get1_peer_certificate(ssl);
        if (!cert)
                return false;
        bool known = tls_certificate_identity(cert, cn, cn_size, serial, serial_size);
        X509_free(cert);
        return known;
}
