/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * A child process on the event loop.
 *
 * Commands are argument vectors; there is no shell. A child leads its own process group and dies
 * with its parent (PR_SET_PDEATHSIG). Its end is noticed through a pidfd, so no SIGCHLD handler and
 * no waiting loop; signals go to the pid that we started and to no other. All descriptors but the
 * three standard ones are closed in the child.
 */
#include "base/err.h"
#include "base/clean.h"
#include <event2/event.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/resource.h>

struct proc;

enum proc_stdio {
        PROC_STDIO_NULL,    /* /dev/null */
        PROC_STDIO_INHERIT, /* ours */
        PROC_STDIO_PIPE,    /* a pipe; our non-blocking end by proc_stdin/stdout/stderr() */
        PROC_STDIO_FD,      /* a descriptor given in the options (borrowed) */
};

struct proc_options {
        const char *const
                *argv; /* NULL-terminated; argv[0] is looked up in PATH if it has no slash */
        const char *const *envp; /* NULL: ours */
        const char *cwd;         /* NULL: ours */
        enum proc_stdio in, out, err;
        int in_fd, out_fd, err_fd; /* for PROC_STDIO_FD */
        /* 0: no limit of its own */
        rlim_t max_memory_bytes; /* RLIMIT_AS */
        rlim_t max_file_bytes;   /* RLIMIT_FSIZE */
        rlim_t max_cpu_s;        /* RLIMIT_CPU */
        rlim_t max_processes;    /* RLIMIT_NPROC */
        /* Called once from the loop after the child ended; `status` as of waitpid(2). It may
         * proc_free(). */
        void (*on_exit)(void *arg, struct proc *proc, int status);
        void *arg;
};

/* -ENOENT and the like of a failed exec are reported here, not as an exit status. */
int proc_spawn(struct event_base *base, const struct proc_options *options, struct proc **ret_proc,
        struct err *err);
/* Kills the group (SIGKILL) if it still runs, reaps it, closes the pipes. on_exit isn't called. */
void proc_free(struct proc *proc);
CLEAN_DEFINE(proc, proc_free);

pid_t proc_pid(const struct proc *proc);
bool proc_is_running(const struct proc *proc);
int proc_stdin(struct proc *proc); /* owned by proc; -1 if no pipe */
int proc_stdout(struct proc *proc);
int proc_stderr(struct proc *proc);
void proc_close_stdin(struct proc *proc);
/* Signals the whole group; fine if it has ended. */
void proc_signal(struct proc *proc, int signal);
/* SIGTERM to the group now, SIGKILL after `grace_ms` unless it ended before. on_exit tells the end.
 */
void proc_terminate(struct proc *proc, int grace_ms);
/* `exited with status 3`, `was killed by signal 11 (Segmentation fault)`, … into `text`. */
void proc_describe_status(int status, char *text, size_t size);
