/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/credentials.h"
#include "cloud/ota/ddi.h"
#include "cloud/ota/settings.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* The credentials of `Scheme token`: one blank, the scheme word as it is. NULL: another scheme. */
static const char *token_of(struct request *q, const char *scheme)
{
        const char *header = http_header(q->x, "Authorization");
        size_t n = strlen(scheme);
        if (!header || strncmp(header, scheme, n) != 0 || header[n] != ' ')
                return NULL;
        const char *token = header + n + 1;
        return *token && *token != ' ' ? token : NULL;
}

/* ── a certificate that our own listener checked ── */

static bool certificate_holds(struct request *q)
{
        struct ota *o = q->ota;
        const char *name = http_peer_cn(q->x);
        return !name || !o->is_certificate_active ||
               o->is_certificate_active(o->arg, name, http_peer_serial(q->x));
}

/* Is it one of a list of SHA-256 digests, with or without colons, in any case? */
static bool is_listed(const char *fingerprint, const char *list)
{
        size_t n = 0;
        for (const char *p = list;; p++) {
                if (*p == ':')
                        continue;
                if (isxdigit((unsigned char)*p)) {
                        bool is_same = n < 64 && tolower((unsigned char)*p) == fingerprint[n];
                        n = is_same || n > 64 ? n + 1 : 65; /* 65: another one */
                        continue;
                }
                if (n == 64)
                        return true;
                n = 0;
                if (!*p)
                        return false;
        }
}

/* Our listener checked that the certificate is of the CA; which ones are let in is the tenant's. */
static bool by_certificate(struct request *q)
{
        const char *name = http_peer_cn(q->x);
        if (!name || strcmp(name, q->texts[0]) != 0 || !settings_bool(&q->tx, SETTING_CERTIFICATE))
                return false;
        const char *list = settings_text(&q->tx, SETTING_FINGERPRINTS);
        const char *fingerprint = *list ? http_peer_fingerprint(q->x) : NULL;
        q->is_never_kept = *list; /* what is kept is found by the name alone */
        return (!*list || (fingerprint && is_listed(fingerprint, list))) && certificate_holds(q);
}

/* ── headers that a reverse proxy sets ── */

static bool is_one_of(const char *value, const char *list)
{
        for (const char *p = list; *p;) {
                size_t len = strcspn(p, ";,");
                size_t start = 0, end = len;
                while (start < end && isspace((unsigned char)p[start]))
                        start++;
                while (end > start && isspace((unsigned char)p[end - 1]))
                        end--;
                if (end > start && end - start == strlen(value) &&
                        strncasecmp(p + start, value, end - start) == 0)
                        return true;
                p += len + (p[len] != '\0');
        }
        return false;
}

/* NAME-0 or NAME-1 and on to the first gap. */
static bool has_numbered(struct request *q, const char *name, const char *allowed)
{
        for (int i = 0;; i++) {
                const char *one = http_header(q->x, arena_printf(&q->arena, "%s-%d", name, i));
                if (one && is_one_of(one, allowed))
                        return true;
                if (!one && i > 0)
                        return false;
        }
}

/* The list of the plain header, or else the numbered ones. */
static bool has_authority(struct request *q, const char *allowed)
{
        const char *list = http_header(q->x, "X-Authority");
        if (list) {
                for (const char *p = list; *p;) {
                        size_t len = strcspn(p, ";,");
                        const char *start = p + strspn(p, " \t");
                        size_t n = start < p + len ? (size_t)(p + len - start) : 0;
                        while (n && isspace((unsigned char)start[n - 1]))
                                n--;
                        if (n && is_one_of(arena_strndup(&q->arena, start, n), allowed))
                                return true;
                        p += len + (p[len] != '\0');
                }
                return false;
        }
        return has_numbered(q, "X-Authority", allowed);
}

/* hawkBit's names since 1.0.0, and those before, which many a proxy still sends. */
static bool by_proxy(struct request *q)
{
        const char *id = http_header(q->x, "X-Controller-Id");
        const char *old = http_header(q->x, "X-Ssl-Client-Cn");
        if ((!id && !old) || !settings_bool(&q->tx, SETTING_HEADER_ENABLED) ||
                !proxy_list_has(&q->ota->proxies, http_peer(q->x)))
                return false;
        const char *allowed = settings_text(&q->tx, SETTING_HEADER_AUTHORITY);
        if (id && strcmp(id, q->texts[0]) == 0 && has_authority(q, allowed))
                return true;
        return old && strcmp(old, q->texts[0]) == 0 && settings_bool(&q->tx, SETTING_SSL_HEADERS) &&
               has_numbered(q, "X-Ssl-Issuer-Hash", allowed);
}

/* ── tokens ── */

static bool by_target_token(struct request *q)
{
        const char *token = token_of(q, "TargetToken");
        if (!token || !settings_bool(&q->tx, SETTING_TARGET_TOKEN))
                return false;
        const char *due =
                sql_text(&q->tx, "SELECT token FROM target WHERE tenant=? AND controller_id=?",
                        SQL_I(q->tx.tenant), SQL_T(q->texts[0]));
        return due && secret_equals(due, token);
}

static bool by_gateway_token(struct request *q)
{
        const char *token = token_of(q, "GatewayToken");
        if (!token || !settings_bool(&q->tx, SETTING_GATEWAY_ENABLED))
                return false;
        const char *due = settings_text(&q->tx, SETTING_GATEWAY_KEY);
        return *due && secret_equals(due, token);
}

bool ddi_authenticate(struct request *q)
{
        if (!*q->texts[0])
                return false;
        bool is_ours = q->ota->certificate_tenant &&
                       strcasecmp(q->ota->certificate_tenant, q->tenant_in_path) == 0;
        q->tx.tenant = tenant_find(&q->tx, q->tenant_in_path, is_ours, &q->tx.tenant_name);
        q->tx.is_device = true;
        return q->tx.tenant &&
               (by_certificate(q) || by_proxy(q) || by_target_token(q) || by_gateway_token(q));
}
