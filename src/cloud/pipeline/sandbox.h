/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Where strangers' build commands run: bubblewrap around one command at a time.
 *
 * Inside there is no network, /usr is read-only, /build (the run's folder) is writable and /tmp and
 * /dev/shm are private and bounded; nothing of /home, /root, /etc (but what the tools need) or of
 * the data folder is there. Processes, IPC and the host's name are private, the environment is
 * empty but for what we set, there are no capabilities and no way to gain any.
 *
 * Under root the command runs as a user id of its own (one for each parallel build), because the
 * kernel doesn't count root's processes; under an ordinary user it runs in a user namespace that
 * can have no further ones. The kernel bounds one process's memory, one file's size and the number
 * of processes; the sum of memory and of the folder's size is bounded by looking several times a
 * second, which needs no control group and thus no right that a container might lack.
 */
#include "base/buf.h"
#include "base/clean.h"
#include "base/err.h"
#include "cloud/pipeline/environment.h"
#include <event2/event.h>
#include <stdint.h>

struct sandbox_limits {
        int64_t wall_ms;
        int64_t memory_bytes; /* of one process and of all together */
        int64_t processes;
        int64_t file_bytes;
        int64_t disk_bytes;
};

/* Whether and how bubblewrap works on this machine. */
struct sandbox_host {
        bool is_ready;
        bool is_root;
        bool has_proc; /* a /proc of its own may be mounted */
};

/* Tries it (some 50 ms). On failure `err` says what to do. */
int sandbox_probe(struct sandbox_host *ret, struct err *err);

struct sandbox; /* one command under way */

struct sandbox_options {
        const struct sandbox_host *host;
        const struct environment *environment;
        const char *folder; /* becomes /build; sandbox_own() was called on it */
        int slot;           /* which parallel build: 0… */
        const char *const *argv;
        const char *const *variables; /* name, value, …, NULL; for the environment */
        struct sandbox_limits limits;
        void (*on_output)(void *arg, const char *data, size_t len);
        /* Once. `failure` is NULL when the command exited with 0; else it reads after the command's
         * name: `exited with status 2`, `was stopped: it used more than 512 MiB of memory`. */
        void (*on_done)(void *arg, const char *failure);
        void *arg;
};

/* Gives the tree to the user that builds in `slot` (under root; else nothing is to be done). */
int sandbox_own(const struct sandbox_host *host, const char *folder, int slot, struct err *err);
int sandbox_start(struct event_base *base, const struct sandbox_options *options,
        struct sandbox **ret_sandbox, struct err *err);
/* Ends the command and all that it started; on_done isn't called. */
void sandbox_free(struct sandbox *s);
CLEAN_DEFINE(sandbox, sandbox_free);
