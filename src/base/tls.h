/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* TLS contexts of OpenSSL with our defaults: TLS 1.2 and up, peer checked, no renegotiation. */
#include "base/err.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

enum tls_peer {
        TLS_PEER_NONE,     /* clients need no certificate */
        TLS_PEER_OPTIONAL, /* a client's certificate is checked if it shows one */
        TLS_PEER_REQUIRED,
};

/* For servers. `ca_file` may be NULL with TLS_PEER_NONE. Free with SSL_CTX_free(). */
int tls_server_new(const char *cert_file, const char *key_file, const char *ca_file,
        enum tls_peer peer, SSL_CTX **ret_ctx, struct err *err);
/* For clients. `ca_file` NULL: the system's store; `cert_file` and `key_file` may both be NULL. */
int tls_client_new(const char *ca_file, const char *cert_file, const char *key_file,
        SSL_CTX **ret_ctx, struct err *err);
/* The peer's verified certificate: its common name into `cn` and its serial number as lower-case
 * hex into `serial`. False if it showed none or it was not accepted. */
bool tls_peer_identity(SSL *ssl, char *cn, size_t cn_size, char *serial, size_t serial_size);
/* The same from a certificate. */
bool tls_certificate_identity(
        X509 *cert, char *cn, size_t cn_size, char *serial, size_t serial_size);
/* The reason of OpenSSL's last failure in this thread, for messages. */
const char *tls_reason(void);
