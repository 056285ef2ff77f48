/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Why a request was refused, as a client will read it.
 *
 * A problem is one of four shapes: hawkBit's own document (exceptionClass, errorCode, message,
 * info); the web framework's document (timestamp, status, error); a data-integrity document without
 * a code; or no body at all. Code that decides says which problem with problem_set() and returns
 * its result, which is always negative; whoever answers the request writes the document.
 */
#include "base/json.h"
#include "cloud/ota/arena.h"

enum problem_code {
        PROBLEM_NONE,
        PROBLEM_NOT_FOUND,
        PROBLEM_DELETED,
        PROBLEM_EXISTS,
        PROBLEM_READ_ONLY,
        PROBLEM_PERMISSION,
        PROBLEM_SORT_SYNTAX,
        PROBLEM_SORT_FIELD,
        PROBLEM_SORT_DIRECTION,
        PROBLEM_RSQL_SYNTAX,
        PROBLEM_RSQL_FIELD,
        PROBLEM_BODY, /* unreadable body, or any parameter of the wrong type */
        PROBLEM_CONSTRAINT,
        PROBLEM_UPLOAD,
        PROBLEM_MULTIPART,
        PROBLEM_ENCRYPTION,
        PROBLEM_MD5,
        PROBLEM_SHA1,
        PROBLEM_SHA256,
        PROBLEM_BINARY_DELETED,
        PROBLEM_QUOTA,
        PROBLEM_FILE_SIZE,
        PROBLEM_STORAGE,
        PROBLEM_NOT_CANCELABLE,
        PROBLEM_NOT_FORCE_QUITABLE,
        PROBLEM_UNSUPPORTED_MODULE,
        PROBLEM_INCOMPLETE,
        PROBLEM_INVALID_SET,
        PROBLEM_ROLLOUT_STATE,
        PROBLEM_CONFIG_VALUE,
        PROBLEM_CONFIG_KEY,
        PROBLEM_MAINTENANCE,
        PROBLEM_ATTRIBUTES,
        PROBLEM_AUTO_CONFIRM_ACTIVE,
        PROBLEM_AUTO_ASSIGN_TYPE,
        PROBLEM_MULTI_ASSIGNMENT,
        PROBLEM_TARGET_TYPE_USED,
        PROBLEM_TARGET_TYPE_INCOMPATIBLE,
        PROBLEM_TARGET_TYPE_KEY_OR_NAME,
        PROBLEM_LOCKED,
        PROBLEM_EVENTS_OFF,     /* ours: nothing is recorded */
        PROBLEM_DOWNGRADE,      /* ours: the set is older than what the target has */
        PROBLEM_CONFLICT,       /* several servers on one database, and too many tries */
        PROBLEM_STORAGE_FAILED, /* ours: the disk is full or broken */
        /* without an errorCode */
        PROBLEM_INTEGRITY,
        PROBLEM_FRAMEWORK, /* timestamp, status, error */
        PROBLEM_EMPTY,
        PROBLEM_CODE_N,
};

struct problem {
        enum problem_code code;
        int status;
        const char *message; /* NULL: left out */
        json_t *info;        /* owned */
};

void problem_fini(struct problem *p);
/* Sets it unless one is set already (the first reason counts). Returns -1. */
int problem_set(struct problem *p, struct arena *a, enum problem_code code, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
int problem_set_status(struct problem *p, enum problem_code code, int status);
/* The document; NULL for one without a body. `is_cbor`: the time as a number. */
json_t *problem_document(const struct problem *p, int64_t now, bool is_cbor);
