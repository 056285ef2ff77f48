/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The internal CA and what the cloud proves itself with: files below the data folder (config.h).
 *
 * Each key is written before its certificate, and a certificate counts only with its key: what a
 * crash left half done is made again. The root's key is the exception that is never made again
 * while its certificate is there, since every thing's certificate would die with it.
 */
#include "cloud/config/config.h"
#include "cloud/registry/certificate.h"

struct ca {
        X509 *cert;
        EVP_PKEY *key;
};

#define CLEAN_CA __attribute__((cleanup(ca_fini)))
void ca_fini(struct ca *ca);

/* Makes what is missing or about to expire. The caller holds the registry's lock. */
int ca_prepare(const struct cloud_config *config, struct err *err);
int ca_open(const struct cloud_config *config, struct ca *ret_ca, struct err *err);
/* A client certificate for `key`, of `days` from now on but not beyond the CA's own end. */
int ca_issue(const struct ca *ca, const char *name, EVP_PKEY *key, int days, X509 **ret_cert,
        struct err *err);
