/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The running update server: its database, its users, its listeners and its timers. One thread, one
 * event loop; handlers and the scheduler run to their end one after another.
 */
#include "base/http_server.h"
#include "cloud/ota/auth.h"
#include "cloud/ota/proxy.h"
#include "cloud/ota/tx.h"

#include <event2/event.h>

struct due;        /* what has a pass to come (due.h) */
struct event_hub;  /* event streams and web-hooks (event_hub.h) */
struct sweeps;     /* how far auto-assignments are (auto_assign.h) */
struct poll_cache; /* answers to idle polls (poll_cache.h) */
struct seen;       /* polls whose time is still to be written (seen.h) */

#define OTA_MAX_LISTENERS 4

struct ota {
        struct event_base *base;
        struct database *database;
        struct http_server *http;
        struct login *login;
        struct user *users; /* those of the start */
        size_t n_users;
        char *artifacts_dir;
        char *polling_time;       /* default of `pollingTime`; NULL: hawkBit's */
        bool has_both_links;      /* `download` beside `download-http` */
        char *viewer_address;     /* of the fleet's page, which ours links to; NULL: none */
        char *certificate_tenant; /* lets devices with a certificate in unless it says no; NULL: none
                                     does */
        struct proxy_list proxies; /* whose headers count */
        bool uses_forwarded;       /* links are as the proxies' clients asked */
        struct seen *seen;
        struct due *due;
        struct event_hub *hub; /* NULL where nobody is served */
        struct sweeps *sweeps;
        struct poll_cache *polls;
        size_t n_uploads; /* on their way in (upload.h) */
        /* Is a certificate that our CA signed still active? NULL: each is. */
        bool (*is_certificate_active)(void *arg, const char *name, const char *serial);
        void *arg;
        /* Who is told that something waits for a device. */
        struct ota_listener {
                void (*tell)(void *arg, int64_t tenant, const char *controller_id);
                void *arg;
        } listeners[OTA_MAX_LISTENERS];
        size_t n_listeners;
        int64_t scheduler_ms;
};

/* A unit of work as `user` in a tenant; `arena` and `problem` are the caller's. */
void ota_tx(struct ota *o, struct tx *tx, struct arena *arena, struct problem *problem,
        int64_t tenant, const char *user);
/* Id of the tenant, made with its types on first use if `create`; 0: unknown. */
int64_t tenant_find(struct tx *tx, const char *name, bool create, const char **ret_name);
void ota_listen(struct ota *o, void (*tell)(void *arg, int64_t tenant, const char *controller_id),
        void *arg);
/* After a commit: tells the devices that wait, and who follows events. */
void ota_tell(struct ota *o, struct tx *tx);

void dispatch(void *arg, struct http_exchange *x); /* handles one HTTP request */
/* Handles it from the start once more, now that the worker is done; takes `result`. */
void dispatch_again(void *arg, struct http_exchange *x, struct login_result *result);
