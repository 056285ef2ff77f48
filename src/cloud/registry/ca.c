/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/registry/ca.h"
#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <string.h>

#define DAY_MS ((int64_t)24 * 3600 * 1000)
#define ROOT_DAYS 7300
#define OWN_DAYS 825 /* the longest that common clients take from a server */
#define RENEW_DAYS 30
/* A car's clock may be behind ours when it first connects. */
#define BACKDATE_MS DAY_MS

void ca_fini(struct ca *ca)
{
        X509_free(ca->cert);
        EVP_PKEY_free(ca->key);
        *ca = (struct ca){0};
}

static int open_pair(const struct cloud_config *config, const char *cert, const char *key,
        struct ca *ret, struct err *err)
{
        CLEAN_MEM char *cert_path = cloud_path(config, cert);
        CLEAN_MEM char *key_path = cloud_path(config, key);
        if (!cert_path || !key_path)
                return err_set(err, -ENOMEM, "out of memory");
        CLEAN_CA struct ca pair = {0};
        int r = certificate_read(cert_path, &pair.cert, err);
        if (!r)
                r = certificate_read_key(key_path, &pair.key, err);
        if (!r && !X509_check_private_key(pair.cert, pair.key))
                r = err_set(
                        err, -EINVAL, "'%s' and '%s' don't belong together", cert_path, key_path);
        if (r < 0)
                return r;
        *ret = pair;
        pair = (struct ca){0};
        return 0;
}

int ca_open(const struct cloud_config *config, struct ca *ret_ca, struct err *err)
{
        int r = open_pair(config, CLOUD_CA_CERT, CLOUD_CA_KEY, ret_ca, err);
        return r < 0 ? err_prefix(err, "cannot open the CA") : 0;
}

static int write_pair(const struct cloud_config *config, const char *cert, const char *key,
        const struct ca *pair, struct err *err)
{
        CLEAN_MEM char *cert_path = cloud_path(config, cert);
        CLEAN_MEM char *key_path = cloud_path(config, key);
        if (!cert_path || !key_path)
                return err_set(err, -ENOMEM, "out of memory");
        int r = certificate_write_key(key_path, pair->key, err);
        return r < 0 ? r : certificate_write(cert_path, pair->cert, err);
}

static bool exists(const struct cloud_config *config, const char *relative)
{
        CLEAN_MEM char *path = cloud_path(config, relative);
        return path && fs_exists(path);
}

static int make_root(const struct cloud_config *config, struct ca *ret, struct err *err)
{
        if (exists(config, CLOUD_CA_CERT))
                return err_set(err, -ENOENT,
                        "the CA's key '%s/%s' is missing: restore it from a backup, or start over "
                        "with another data folder",
                        config->data_dir, CLOUD_CA_KEY);
        CLEAN_CA struct ca root = {0};
        int64_t now = clock_now_ms();
        const struct certificate_spec spec = {
                .use = CERTIFICATE_CA,
                .common_name = "Driveline root CA",
                .not_before_ms = now - BACKDATE_MS,
                .not_after_ms = now + ROOT_DAYS * DAY_MS,
        };
        int r = certificate_key_new(&root.key, err);
        if (!r)
                r = certificate_sign(&spec, root.key, NULL, NULL, &root.cert, err);
        if (!r)
                r = write_pair(config, CLOUD_CA_CERT, CLOUD_CA_KEY, &root, err);
        if (r < 0)
                return r;
        *ret = root;
        root = (struct ca){0};
        return 0;
}

static int prepare_root(const struct cloud_config *config, struct ca *ret, struct err *err)
{
        if (exists(config, CLOUD_CA_CERT) && exists(config, CLOUD_CA_KEY))
                return ca_open(config, ret, err);
        return make_root(config, ret, err);
}

/* ── the server's names ── */

struct alt_names {
        char text[1024]; /* OpenSSL's notation */
        size_t len;
        const char *names[8];
        size_t n;
        char storage[4][256];
        size_t n_storage;
};

static bool is_ip(const char *name)
{
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
        ASN1_OCTET_STRING_free(ip);
        return ip != NULL;
}

/* Commas and the like would be read as further names by OpenSSL's notation. */
static bool is_plain(const char *name)
{
        return *name &&
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_") ==
                       strlen(name);
}

static void add_name(struct alt_names *a, const char *name)
{
        for (size_t i = 0; i < a->n; i++)
                if (!strcmp(a->names[i], name))
                        return;
        if (!is_plain(name) || a->n == N_ELEMENTS(a->names))
                return;
        int n = snprintf(a->text + a->len, sizeof(a->text) - a->len, "%s%s:%s", a->n ? "," : "",
                is_ip(name) ? "IP" : "DNS", name);
        if (n < 0 || (size_t)n >= sizeof(a->text) - a->len)
                return;
        a->len += (size_t)n;
        a->names[a->n++] = name;
}

/* The host part of `host:port` or `[v6]:port`; wildcard addresses name nobody. */
static void add_listener(struct alt_names *a, const char *listen)
{
        const char *colon = listen ? strrchr(listen, ':') : NULL;
        if (!colon || a->n_storage == N_ELEMENTS(a->storage))
                return;
        size_t n = (size_t)(colon - listen);
        if (n >= 2 && listen[0] == '[' && listen[n - 1] == ']') {
                listen++;
                n -= 2;
        }
        char *host = a->storage[a->n_storage];
        if (!n || n >= sizeof(a->storage[0]))
                return;
        memcpy(host, listen, n);
        host[n] = 0;
        if (!strcmp(host, "0.0.0.0") || !strcmp(host, "::"))
                return;
        a->n_storage++;
        add_name(a, host);
}

static void server_names(const struct cloud_config *config, struct alt_names *a)
{
        *a = (struct alt_names){0};
        add_name(a, "localhost");
        add_name(a, "127.0.0.1");
        add_name(a, "::1");
        char *host = a->storage[a->n_storage++];
        if (!gethostname(host, sizeof(a->storage[0]) - 1))
                add_name(a, host);
        add_listener(a, config->mqtt_listen);
        add_listener(a, config->https_listen);
}

static bool has_names(X509 *cert, const struct alt_names *a)
{
        for (size_t i = 0; i < a->n; i++) {
                const char *name = a->names[i];
                int known = is_ip(name) ? X509_check_ip_asc(cert, name, 0)
                                        : X509_check_host(cert, name, 0, 0, NULL);
                if (known != 1)
                        return false;
        }
        return true;
}

/* ── what the cloud proves itself with ── */

static bool is_good(const struct ca *pair, const struct ca *root, const struct alt_names *names)
{
        return certificate_not_after_ms(pair->cert) > clock_now_ms() + RENEW_DAYS * DAY_MS &&
               X509_verify(pair->cert, root->key) == 1 && (!names || has_names(pair->cert, names));
}

static int prepare_own(const struct cloud_config *config, const struct ca *root, const char *cert,
        const char *key, const char *common_name, const struct alt_names *names, struct err *err)
{
        CLEAN_CA struct ca own = {0};
        if (!open_pair(config, cert, key, &own, NULL) && is_good(&own, root, names))
                return 0;
        ca_fini(&own);
        int64_t now = clock_now_ms();
        const struct certificate_spec spec = {
                .use = names ? CERTIFICATE_SERVER : CERTIFICATE_CLIENT,
                .common_name = common_name,
                .alt_names = names ? names->text : NULL,
                .not_before_ms = now - BACKDATE_MS,
                .not_after_ms = now + OWN_DAYS * DAY_MS,
        };
        int r = certificate_key_new(&own.key, err);
        if (!r)
                r = certificate_sign(&spec, own.key, root->cert, root->key, &own.cert, err);
        return r < 0 ? r : write_pair(config, cert, key, &own, err);
}

int ca_prepare(const struct cloud_config *config, struct err *err)
{
        CLEAN_CA struct ca root = {0};
        int r = prepare_root(config, &root, err);
        if (r < 0)
                return r;
        struct alt_names names;
        server_names(config, &names);
        r = prepare_own(config, &root, CLOUD_SERVER_CERT, CLOUD_SERVER_KEY, "driveline-server",
                &names, err);
        if (r < 0)
                return r;
        return prepare_own(
                config, &root, CLOUD_CLIENT_CERT, CLOUD_CLIENT_KEY, CLOUD_CLIENT_NAME, NULL, err);
}

int ca_issue(const struct ca *ca, const char *name, EVP_PKEY *key, int days, X509 **ret_cert,
        struct err *err)
{
        int64_t now = clock_now_ms(), root_end = certificate_not_after_ms(ca->cert);
        struct certificate_spec spec = {
                .use = CERTIFICATE_CLIENT,
                .common_name = name,
                .not_before_ms = now - BACKDATE_MS,
                .not_after_ms = now + days * DAY_MS,
        };
        if (spec.not_after_ms > root_end)
                spec.not_after_ms = root_end;
        return certificate_sign(&spec, key, ca->cert, ca->key, ret_cert, err);
}
