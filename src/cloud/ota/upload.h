/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * An artifact on its way in: the multipart body goes to a file as it arrives, with its hashes, and
 * never lies in memory.
 *
 * The file is in `incoming/` of the artifacts' folder under a name of its own until upload_keep()
 * moves it to its place; else it goes with the upload. Passwords are checked beside the loop, so a
 * file is taken from whoever shows credentials and goes again when they turn out wrong, at most
 * LIMIT_OTA_UPLOADS at once; a body without credentials is read over, so that its answer arrives. A process that is killed leaves its file behind;
 * upload_tidy() removes those that nobody has written to for a day.
 */
#include "base/hash.h"
#include "base/http_server.h"
#include "cloud/ota/server.h"

struct upload {
        struct ota *ota;
        struct multipart *parts;
        char *path; /* of the file; NULL: none was begun, or it is kept or gone */
        int fd;
        struct hasher *hasher;
        struct hash_set hashes; /* after upload_end() */
        int64_t size, synced;
        char *filename; /* of the part; NULL: it had none */
        bool has_file, is_in_file;
        struct upload_field {
                char name[16];
                struct buf value;
        } fields[4];                /* filename, md5sum, sha1sum, sha256sum */
        struct upload_field *field; /* that is read */
        struct err failure;         /* code 0: none */
};

/* http_server_options.on_body: gives the body of an upload a sink. */
void upload_on_body(void *ota, struct http_exchange *x);
/* After the body's end: closes file and hashes. -EINVAL: it was no whole multipart body, or the
 * request had none; else the reason is u->failure. */
int upload_end(struct upload *u);
/* A field of the form; NULL if it wasn't there. */
const char *upload_field(const struct upload *u, const char *name);
/* Syncs the file and moves it to `path`, whose folder is there. */
int upload_keep(struct upload *u, const char *path, struct err *err);
void upload_tidy(struct ota *o);
