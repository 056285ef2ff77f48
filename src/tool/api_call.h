/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* One request to an update server, ours or any that speaks hawkBit's interfaces, waited for. */
#include "base/buf.h"
#include "base/err.h"
#include "tool/verb.h"

struct api_server {
        const char *url;           /* NULL: the cloud of the data folder */
        const char *user;          /* NULL: admin */
        const char *password_file; /* NULL: asked for on the terminal; of the cloud: its own */
        const char *ca_file;       /* for https; NULL: the system's certificates */
        const char *authorization; /* a whole header in place of user and password; may be NULL */
};

struct api_request {
        const char *method, *target;
        const char *content_type; /* NULL: no body */
        const void *body;
        size_t body_len;
        const char *to; /* file that the body goes to; "-": stdout; NULL: into `answer` */
};

/* 0 for a status below 400; else `err` has the server's own message. */
int api_call(const struct verb_context *v, const struct api_server *server,
        const struct api_request *request, struct buf *answer, struct err *err);
