/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Sending an artifact: whole, one range, several ranges or none of it, as its request's conditions
 * (If-Match, If-Range, Range) say. The same for devices and people.
 */
#include "cloud/ota/request.h"

struct artifact {
        int64_t id, module;
        const char *filename;
        int64_t size;
        const char *sha256, *sha1, *md5;
        int64_t created_at;
};

#define ARTIFACT_COLUMNS                                                                           \
        "a.id, a.module, a.filename, a.size, a.sha256, a.sha1, a.md5, a.created_by, "              \
        "a.created_at, "                                                                           \
        "a.modified_by, a.modified_at"
#define ARTIFACT_AUDIT_COLUMN 7
void artifact_read(struct sql_rows *r, struct artifact *a);

/* If-Match is there and doesn't name it. */
bool download_is_refused(struct request *q, const struct artifact *a);
/* Prepares the answer. -1 with a problem: 410 when the file is gone, 412. */
int download_reply(struct request *q, const struct artifact *a);
/* `attachment;filename=…`, the name quoted where it must be. */
const char *download_disposition(struct request *q, const char *filename);
