/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The update server: hawkBit's Management and DDI interfaces on one SQLite file, or a PostgreSQL
 * database, and a folder of artifacts.
 *
 * Persons and the pipeline use `/rest/v1` with Basic authentication, devices
 * `/{tenant}/controller/v1/{id}`. Each finished request is durable before its answer. One process
 * writes an SQLite file; any number of servers may share a PostgreSQL database and an artifacts
 * folder. Others read by `struct ota_view`, at any time, also while no server runs.
 *
 * As part of the cloud, plain HTTP is for loopback only, devices prove themselves on the TLS
 * listener with the certificate of the registry (common name = controller id), and what is new for
 * a device is hinted over the broker. Alone (`ota_serve_standalone`), it is a server of its own
 * with plain HTTP and users given on the command line, and behaves by hawkBit's defaults.
 */
#include "base/err.h"
#include "base/http_peers.h"
#include "base/json.h"
#include "cloud/config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ── servers: run until SIGTERM or SIGINT, then return 0 ── */

int ota_serve(const struct cloud_config *config, struct err *err);

struct ota_dmf {            /* gateways over AMQP: docs/dmf.md */
        const char *broker; /* amqp://user@host:5672/vhost; NULL or empty: off */
        const char *password_file, *ca_file;
        const char *urls; /* where devices download, with commas; NULL: the plain listener */
};

struct ota_standalone {
        const char *listen;               /* 127.0.0.1:8080; loopback only; NULL: TLS alone */
        const char *listen_tls;           /* any address; NULL: none */
        const char *cert_file, *key_file; /* for it */
        const char
                *client_ca; /* certificates of devices are checked by it; NULL: none are asked for
                                */
        const char *const *proxies; /* addresses or networks whose headers count */
        size_t n_proxies;           /* 0: loopback */
        bool uses_forwarded;        /* links by Forwarded and X-Forwarded-* of those */
        const char *data_dir;       /* ota.db and artifacts/ are made in it */
        const char *database;       /* postgresql://… in place of ota.db; NULL: none */
        const char *const *users;   /* `NAME:PASSWORD:TENANT:ROLES` each */
        size_t n_users;
        struct ota_dmf dmf;
        const char *users_file; /* the same, a line each; NULL: none */
        int login_failures;  /* wrong passwords in a row before the first wait; 0: never a wait */
        bool has_both_links; /* `download` beside `download-http` in deployments */
        struct http_limits limits; /* of each address; zeros: none */
        int stall_timeout_ms;      /* of a client within a request or an answer; 0: 20 s */
};
int ota_serve_standalone(const struct ota_standalone *options, struct err *err);

/* Writes every route as `METHOD path PERMISSIONS` lines, for documents and tests. */
void ota_print_routes(FILE *out);
/* The interface as an OpenAPI document, new; `driveline api` makes its commands of it. */
json_t *ota_openapi(void);

/* ── reading ── */

struct ota_view;

/* -ENOENT while there is no database yet. */
int ota_view_open(const struct cloud_config *config, struct ota_view **ret_view, struct err *err);
void ota_view_free(struct ota_view *v);
CLEAN_DEFINE(ota_view, ota_view_free);

/* Changes whenever another process has committed something; cheap enough to ask every second. */
uint64_t ota_view_generation(struct ota_view *v);

/* All return a new reference, or NULL with the reason; times are ms since 1970. */

/* [{"controllerId","name","status","installedVersion","assignedVersion","lastSeen","attributes":{…}}]
 * of the configured tenant, by controllerId; versions and lastSeen only where known.
 * `controller_id` NULL: all. A target with an open action has "action": its id, "actionStatus" and
 * "message". */
json_t *ota_view_targets(struct ota_view *v, const char *controller_id, struct err *err);
/* Newest first, at most `limit`:
 * [{"id","controllerId","status","active","from","to","distributionSet",
 * "rollout","rolloutName","createdAt","modifiedAt","messages":[{"at","type","text"}…]}]; messages
 * are oldest first, `from` only where a version was installed. `controller_id` NULL: of all
 * targets. */
json_t *ota_view_actions(
        struct ota_view *v, const char *controller_id, size_t limit, struct err *err);
/* Newest first, at most `limit`: [{"id","name","status","distributionSet","version","createdAt",
 * "totalTargets","counts":{"scheduled","running","error","finished","cancelled","notstarted"},
 * "groups":[{"id","name","status","totalTargets","counts":{…},"successThreshold","errorThreshold"}]}]
 */
json_t *ota_view_rollouts(struct ota_view *v, size_t limit, struct err *err);

/* What an action, a rollout or a target waits for, and the command that moves it, as lines of text.
 * `id` is `action/3`, `rollout/2` or a controller id. -ENOENT: there is none of that name. */
int ota_why(struct ota_view *v, const char *id, struct buf *ret, struct err *err);
