/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * One artifact from an update server to a file, resumed where it broke off.
 *
 * The file grows in place (`<action>.part`); beside it `<action>.etag` keeps the server's name for
 * the content, so that a resumption by Range is bound to the same content by If-Range. A transfer
 * asks for what is missing and ends in exactly one on_done. Nothing here judges the content: that
 * is for the hashes, which the caller has checked over the whole file afterwards.
 *
 * A transfer that brings less than DOWNLOAD_MIN_BYTES in DOWNLOAD_WINDOW_MS is broken off; one that
 * brings more than `size` is, too.
 */
#include "base/err.h"
#include "base/clean.h"
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define DOWNLOAD_WINDOW_MS 30000
#define DOWNLOAD_MIN_BYTES (30 * 1024)

enum download_result {
        DOWNLOAD_RESULT_DONE,    /* the file has `size` bytes */
        DOWNLOAD_RESULT_BROKEN,  /* the link: again later, with what is there */
        DOWNLOAD_RESULT_REFUSED, /* the server answered, but not with the artifact */
        DOWNLOAD_RESULT_FAILED,  /* again wouldn't help: the disk, or more bytes than promised */
        DOWNLOAD_RESULT_N
};
const char *download_result_to_string(enum download_result r);

struct download_options {
        const char *url;           /* of the artifact */
        const char *server;        /* the update server's, that alone sees the authorization */
        const char *authorization; /* NULL: none */
        SSL_CTX *tls;              /* borrowed */
        const char *path;          /* the .part file */
        const char *etag_path;
        uint64_t size;
        int timeout_ms; /* without a byte */
        /* `got` is what this transfer brought. The download may be freed from here. */
        void (*on_done)(
                void *arg, enum download_result result, uint64_t got, const struct err *err);
        void *arg;
};

struct download;
/* Texts are copied. on_done comes from the loop, never from here. */
int download_start(struct event_base *base, const struct download_options *options,
        struct download **ret_download, struct err *err);
void download_free(struct download *d);
CLEAN_DEFINE(download, download_free);

/* Bytes on disk so far. */
uint64_t download_have(const struct download *d);

/* True if both URLs have the same scheme, host and port. */
bool download_same_origin(const char *url, const char *other);
