/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
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

bool ddi_certificate_holds(struct request *q)
{
        struct ota *o = q->ota;
        const char *name = http_peer_cn(q->x);
        return !name || !o->is_certificate_active ||
               o->is_certificate_active(o->arg, name, http_peer_serial(q->x));
}

static bool by_certificate(struct request *q)
{
        const char *name = http_peer_cn(q->x), *tenant = q->ota->certificate_tenant;
        return name && tenant && strcmp(name, q->texts[0]) == 0 &&
               strcasecmp(tenant, q->tx.tenant_name) == 0 && ddi_certificate_holds(q);
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
        for (int i = 0;; i++) {
                const char *one = http_header(q->x, arena_printf(&q->arena, "X-Authority-%d", i));
                if (one && is_one_of(one, allowed))
                        return true;
                if (!one && i > 0)
                        return false;
        }
}

static bool by_proxy(struct request *q)
{
        const char *id = http_header(q->x, "X-Controller-Id");
        if (!id || strcmp(id, q->texts[0]) != 0 || !settings_bool(&q->tx, SETTING_HEADER_ENABLED))
                return false;
        return has_authority(q, settings_text(&q->tx, SETTING_HEADER_AUTHORITY));
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
