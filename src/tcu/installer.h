/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Checking and unpacking a package in a process of its own, `driveline-unpack`.
 *
 * The file is somebody else's bytes: the code that reads its structure runs under limits on time
 * and memory, and when it dies the agent doesn't. It also takes the time of hashing and syncing out
 * of the loop that moves the car. Hashes are checked and the content unpacked through one
 * descriptor, so what is unpacked is what was checked.
 */
#include "base/err.h"
#include "base/clean.h"
#include "base/hash.h"
#include <event2/event.h>
#include <stdint.h>

enum installer_result {
        INSTALLER_RESULT_DONE,
        INSTALLER_RESULT_MISMATCH, /* not the file that was promised: size or hash */
        INSTALLER_RESULT_REFUSED,  /* the promised file, but no package that we take */
        INSTALLER_RESULT_FAILED,   /* the disk, or the program itself */
        INSTALLER_RESULT_N
};
const char *installer_result_to_string(enum installer_result r);

/* Exit statuses of driveline-unpack. */
#define INSTALLER_EXIT_DONE 0
#define INSTALLER_EXIT_FAILED 1
#define INSTALLER_EXIT_MISUSE 2
#define INSTALLER_EXIT_MISMATCH 3
#define INSTALLER_EXIT_REFUSED 4

struct installer_options {
        const char *command; /* that starts driveline-unpack; NULL: the one beside this program */
        const char *source;  /* a package, or a folder for a factory's app */
        const char *dest;    /* must not exist; NULL: check only */
        uint64_t size;       /* ignored without hashes */
        const struct hash_set *hashes; /* NULL: nothing to check */
        void (*on_done)(void *arg, enum installer_result result, const struct err *err);
        void *arg;
};

struct installer;
/* on_done comes once, from the loop; the installer may be freed from there. */
int installer_start(struct event_base *base, const struct installer_options *options,
        struct installer **ret_installer, struct err *err);
/* Kills what runs; on_done isn't called. */
void installer_free(struct installer *i);
CLEAN_DEFINE(installer, installer_free);
