/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * One request on its way through the server.
 *
 * dispatch.c fills it in the order in which hawkBit looks at things (credentials, route, method,
 * media types, parameters, body, sorting, permission, bounds) and calls the route's handler. The
 * handler returns 0 with the answer in `status` and `reply`, `text` or `file`, or -1 with a problem
 * set; then everything that it wrote is undone. All of it lives until the answer was sent.
 */
#include "base/http_server.h"
#include "cloud/ota/auth.h"
#include "cloud/ota/filter.h"
#include "cloud/ota/media.h"
#include "cloud/ota/route.h"
#include "cloud/ota/server.h"
#include "cloud/ota/shape.h"
#include "cloud/ota/tx.h"

#define REQUEST_MAX_IDS 4

struct param {
        const char *name, *value; /* decoded */
};

struct request {
        struct ota *ota;
        struct http_exchange *x;
        struct arena arena;
        struct problem problem;
        struct tx tx;
        const struct route *route;
        const struct user *user; /* Management only: `caller` once it is known */
        struct user caller;
        const struct login_result *login; /* what the worker found out; NULL: begun just now */
        const char *origin;               /* of links; NULL: not asked for yet */
        bool is_never_kept;               /* its answer may not answer others */
        bool is_waiting;  /* the exchange waits for the worker and comes again; don't answer */
        const char *path; /* as sent */
        const char *tenant_in_path;         /* DDI: as the device spelled it */
        const char *texts[REQUEST_MAX_IDS]; /* decoded path parts, in order */
        int64_t ids[REQUEST_MAX_IDS];       /* of those that are numbers */
        struct param *params;
        size_t n_params;
        json_t *body; /* of the route's shape; NULL without one */
        int64_t offset, limit;
        const char *sort; /* compiled; NULL: the default order */
        int n_runs;       /* 1, or more when it is run again (tx_needs_another_run) */
        bool is_full;     /* representation=full */
        enum media media; /* of the answer */
        /* the answer */
        bool is_answered; /* the handler did it: a stream */
        int status;
        json_t *reply;
        const char *text, *text_type;
        /* Of a poll that had nothing to tell: its target; 0: no such answer (poll_cache.h). */
        int64_t idle_target;
        bool is_idle_by_filter;   /* and whether the interval came out of filters */
        uint64_t foreign_changes; /* of the database when this run began */
        char *bytes;              /* malloc()ed, of text_type; in place of text */
        size_t bytes_len;
        int file; /* descriptor or -1 */
        int64_t file_offset, file_length;
        const char *file_type;
};

/* First value of a query parameter; NULL if absent. */
const char *request_param(const struct request *q, const char *name);
/* `q`, several joined by comma; NULL if absent. */
const char *request_query(struct request *q);
bool request_flag(const struct request *q, const char *name);
bool request_may(const struct request *q, uint64_t permissions);
/* Sets the problem of a missing permission and returns -1. */
int request_forbid(struct request *q);

/* `https://host:port` and a prefix, as the client wrote it: to us, or to the proxy before us. */
const char *request_origin(struct request *q);
/* The numeric address of the client, before the proxies that are believed. */
const char *request_peer(struct request *q);

/* ── answers ── */
int reply_json(struct request *q, int status, json_t *value); /* takes `value`; returns 0 */
int reply_none(struct request *q, int status);                /* returns 0 */

/* {"href": "<origin>/rest/v1/…"} */
json_t *link_to(struct request *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
json_t *named_link_to(struct request *q, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
const char *url_part(struct request *q, const char *text); /* percent-encoded */
/* createdBy, createdAt, lastModifiedBy, lastModifiedAt from four columns that begin at `column`. */
void add_audit(json_t *object, struct sql_rows *r, int column);
void add_text(json_t *object, const char *key, const char *value); /* not if NULL */
void add_int(json_t *object, const char *key, int64_t value);
void add_bool(json_t *object, const char *key, bool value);

/* ── lists ── */
struct listing {
        const char *columns, *from;
        const char *count_from; /* what is enough for the total, where `from` joins; or NULL */
        const char *where;      /* with ? for `args` */
        struct sql_arg args[4];
        size_t n_args;
        const char *order; /* where the request has no sort */
        json_t *(*row)(struct request *q, struct sql_rows *r);
        /* With a `q` the total counts all rows (saved filters do that). */
        bool is_total_unfiltered;
        /* Sets only: decides `complete`, which is applied to the page. */
        bool (*is_complete)(struct request *q, struct sql_rows *r);
};
int list_reply(struct request *q, const struct listing *l);
json_t *page_of(json_t *content, int64_t total); /* takes `content` */
