/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/event_hub.h"
#include "cloud/ota/server.h"

#include "base/clock.h"
#include "cloud/ota/poll_cache.h"
#include "cloud/ota/due.h"

#include <ctype.h>

void ota_tx(struct ota *o, struct tx *tx, struct arena *arena, struct problem *problem,
        int64_t tenant, const char *user)
{
        *tx = (struct tx){
                .database = o->database,
                .arena = arena,
                .problem = problem,
                .now = clock_now_ms(),
                .tenant = tenant,
                .user = user,
                .polling_time = o->polling_time,
                .certificate_tenant = o->certificate_tenant,
                .stamps = o->polls ? poll_cache_stamps(o->polls) : NULL,
        };
}

void ota_listen(struct ota *o, void (*tell)(void *arg, int64_t tenant, const char *controller_id),
        void *arg)
{
        if (o->n_listeners < OTA_MAX_LISTENERS)
                o->listeners[o->n_listeners++] = (struct ota_listener){tell, arg};
}

void ota_tell(struct ota *o, struct tx *tx)
{
        for (struct tx_tell *t = tx->tells; t; t = t->next) {
                for (size_t i = 0; i < o->n_listeners; i++)
                        o->listeners[i].tell(o->listeners[i].arg, tx->tenant, t->controller_id);
        }
        tx->tells = NULL;
        for (struct tx_due *d = tx->dues; d && o->due; d = d->next)
                due_add(o->due, d->kind, d->id, tx->tenant, d->delay_ms);
        tx->dues = NULL;
        if (tx->has_events)
                event_hub_wake(o->hub);
        tx->has_events = false;
}

/* ── what a fresh tenant has ── */

static int64_t add_sm_type(struct tx *tx, int64_t tenant, const char *key, const char *name,
        const char *description, int64_t max)
{
        return sql_insert(tx,
                "INSERT INTO sm_type(tenant, key, name, description, min_artifacts, "
                "max_assignments,"
                " created_by, created_at, modified_by, modified_at)"
                " VALUES(?1, ?2, ?3, ?4, 0, ?5, 'system', ?6, 'system', ?6)",
                SQL_I(tenant), SQL_T(key), SQL_T(name), SQL_T(description), SQL_I(max),
                SQL_I(tx->now));
}

static int64_t add_ds_type(
        struct tx *tx, int64_t tenant, const char *key, const char *name, const char *description)
{
        return sql_insert(tx,
                "INSERT INTO ds_type(tenant, key, name, description, created_by, created_at, "
                "modified_by,"
                " modified_at) VALUES(?1, ?2, ?3, ?4, 'system', ?5, 'system', ?5)",
                SQL_I(tenant), SQL_T(key), SQL_T(name), SQL_T(description), SQL_I(tx->now));
}

static void allow(struct tx *tx, int64_t ds_type, int64_t sm_type, bool is_mandatory)
{
        sql_run(tx, "INSERT INTO ds_type_module(ds_type, sm_type, mandatory) VALUES(?, ?, ?)",
                SQL_I(ds_type), SQL_I(sm_type), SQL_I(is_mandatory));
}

static int64_t tenant_create(struct tx *tx, const char *name)
{
        int64_t tenant = sql_insert(tx, "INSERT INTO tenant(name) VALUES(?)", SQL_T(name));
        int64_t os = add_sm_type(tx, tenant, "os", "OS", "Core firmware or operating system", 1);
        int64_t app = add_sm_type(
                tx, tenant, "application", "Application", "Application Addons", INT32_MAX);
        int64_t os_only =
                add_ds_type(tx, tenant, "os", "OS only", "Default type with Firmware/OS only.");
        int64_t app_only =
                add_ds_type(tx, tenant, "app", "App(s) only", "Default type with app(s) only.");
        int64_t both = add_ds_type(tx, tenant, "os_app", "OS with app(s)",
                "Default type with Firmware/OS and optional app(s).");
        allow(tx, os_only, os, true);
        allow(tx, app_only, app, true);
        allow(tx, both, os, true);
        allow(tx, both, app, false);
        sql_run(tx, "UPDATE tenant SET default_ds_type=? WHERE id=?", SQL_I(both), SQL_I(tenant));
        return tenant;
}

int64_t tenant_find(struct tx *tx, const char *name, bool create, const char **ret_name)
{
        char *upper = arena_strdup(tx->arena, name);
        for (char *p = upper; *p; p++)
                *p = (char)toupper((unsigned char)*p);
        *ret_name = upper;
        int64_t id = sql_int(tx, 0, "SELECT id FROM tenant WHERE name=?", SQL_T(upper));
        return id || !create ? id : tenant_create(tx, upper);
}
