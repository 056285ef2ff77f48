/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The cloud's configuration: one data folder, one file `driveline.conf` in it (`key = value`, `#`
 * comments), one table in config.c that drives parsing, `driveline config --help` and the sample
 * file. An unknown key or a bad value is an error that names file and line. All fields have
 * defaults; the file needn't exist. Strings are owned by the struct.
 */
#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct cloud_config {
        char *data_dir;      /* absolute */
        char *mqtt_listen;   /* 127.0.0.1:8883   MQTT over mutual TLS */
        char *http_listen;   /* 127.0.0.1:8080   update server, plain HTTP, loopback only */
        char *https_listen;  /* 127.0.0.1:8443   update server for devices, TLS, client certificates
                              */
        char *viewer_listen; /* 127.0.0.1:8088   the page */
        char *tenant;        /* DEFAULT */
        char *ota_database;  /* postgresql://… of the update server; "": the file ota.db */
        int64_t stream_max_age_ms;  /* 7 d */
        int64_t stream_max_bytes;   /* 2 GiB */
        int64_t store_max_age_ms;   /* 30 d */
        int64_t poll_interval_ms;   /* 30 s: what the update server tells devices */
        char *trusted_proxies;      /* 127.0.0.0/8,::1: whose headers count */
        char *forwarded_headers;    /* off: links by Forwarded and X-Forwarded-* of those */
        int64_t login_failures;     /* 10: wrong passwords in a row before the first wait */
        int64_t peer_connections;   /* 100: of one address at once, https_listen; 0: any number */
        int64_t peer_reads;         /* 200 a second */
        int64_t peer_writes;        /* 50 a second */
        int64_t stall_timeout_ms;   /* 20 s: a client that stands still within a request */
        int64_t build_timeout_ms;   /* 10 min, a phase of a pipeline stage */
        int64_t build_memory_bytes; /* 2 GiB */
        int64_t build_processes;    /* 256 */
        char *log_level;
        char *dmf_broker;  /* amqp://user@host:5672/vhost: gateways over AMQP; empty: none */
        char *dmf_ca_file; /* whom an amqps:// broker's certificate comes from; empty: unset */
        char *dmf_url;     /* where their devices download; empty: http_listen */
};

/* Reads `data_dir`/driveline.conf over the defaults. */
int cloud_config_load(const char *data_dir, struct cloud_config *ret_config, struct err *err);
void cloud_config_fini(struct cloud_config *c);
/* A path below the data folder, malloc()ed: cloud_path(c, "ca/root-CA.crt"). */
char *cloud_path(const struct cloud_config *c, const char *relative);

/* The sample file: every key with its default and meaning, commented out. */
int cloud_config_sample(struct buf *ret);
/* `127.0.0.1:8883` or `[::1]:8883` into host and port. */
int cloud_address_split(const char *address, char *host, size_t host_size, int *ret_port);

/* The layout below the data folder that more than one part relies on: */
#define CLOUD_CA_CERT "ca/root-CA.crt"
#define CLOUD_CA_KEY "ca/root-CA.key"
#define CLOUD_SERVER_CERT                                                                          \
        "ca/server.crt" /* subjectAltName: localhost, 127.0.0.1, ::1, the host's name */
#define CLOUD_SERVER_KEY "ca/server.key"
#define CLOUD_CLIENT_CERT "ca/driveline-cloud.crt" /* the cloud's own MQTT identity */
#define CLOUD_CLIENT_KEY "ca/driveline-cloud.key"
#define CLOUD_CLIENT_NAME "driveline-cloud"
#define CLOUD_ADMIN_PASSWORD                                                                       \
        "secrets/admin.password"                  /* one line; user `admin` of the update server */
#define CLOUD_DMF_PASSWORD "secrets/dmf.password" /* one line; of the AMQP broker's user */
#define CLOUD_REGISTRY_DB "registry.db"
#define CLOUD_ACCESS                                                                               \
        "broker/access.json" /* what the broker's plugin enforces, written by the registry */
#define CLOUD_STREAM_DIR "stream"
#define CLOUD_STORE_DB "store.db"
#define CLOUD_OTA_DB "ota.db"
#define CLOUD_ARTIFACTS_DIR "artifacts" /* ab/abcdef… by SHA-256 */
#define CLOUD_PIPELINE_DIR "pipeline"   /* pipeline.db, repos/, runs/, inbox/ */
#define CLOUD_LOG_DIR "log"
