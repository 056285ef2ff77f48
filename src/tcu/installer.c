/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/installer.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/proc.h"
#include "wire/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define PROGRAM "driveline-unpack"

struct installer {
        struct proc *proc;
        struct event *on_errors;
        struct buf errors;
        void (*on_done)(void *arg, enum installer_result result, const struct err *err);
        void *arg;
};

static const char *const result_names[INSTALLER_RESULT_N] = {
        "done", "mismatch", "refused", "failed"};

const char *installer_result_to_string(enum installer_result r)
{
        return result_names[r];
}

static void read_errors(struct installer *i)
{
        char chunk[1024];
        ssize_t n;
        while ((n = read(proc_stderr(i->proc), chunk, sizeof(chunk))) > 0)
                (void)buf_add(&i->errors, chunk, (size_t)n); /* the first 4 kB are enough */
        if (n == 0)
                event_del(i->on_errors);
}

static void errors_ready(evutil_socket_t fd, short what, void *arg)
{
        read_errors(arg);
}

/* The program's one line without its name, or how it died. */
static void explain(const struct installer *i, int status, struct err *err)
{
        char how[128];
        proc_describe_status(status, how, sizeof(how));
        const char *text = buf_text(&i->errors);
        if (!strncmp(text, PROGRAM ": ", strlen(PROGRAM ": ")))
                text += strlen(PROGRAM ": ");
        size_t len = strcspn(text, "\n");
        if (WIFEXITED(status) && len)
                err_set(err, -EBADMSG, "%.*s", (int)len, text);
        else
                err_set(err, -EIO, PROGRAM " %s%s%.*s", how, len ? ": " : "", (int)len, text);
}

static enum installer_result result_of(int status)
{
        if (!WIFEXITED(status))
                return INSTALLER_RESULT_REFUSED; /* its limits killed it: the package's doing */
        switch (WEXITSTATUS(status)) {
        case INSTALLER_EXIT_DONE:
                return INSTALLER_RESULT_DONE;
        case INSTALLER_EXIT_MISMATCH:
                return INSTALLER_RESULT_MISMATCH;
        case INSTALLER_EXIT_REFUSED:
                return INSTALLER_RESULT_REFUSED;
        default:
                return INSTALLER_RESULT_FAILED;
        }
}

static void exited(void *arg, struct proc *proc, int status)
{
        struct installer *i = arg;
        struct err err = ERR_INIT;
        read_errors(i);
        enum installer_result result = result_of(status);
        if (result != INSTALLER_RESULT_DONE)
                explain(i, status, &err);
        i->on_done(i->arg, result, result == INSTALLER_RESULT_DONE ? NULL : &err);
}

#define MAX_ARGS (LIMIT_COMMAND_WORDS + 16)

/* The words of the command that was configured, or of our own program's path. */
static int command_of(const struct installer_options *o, struct command *ret, struct err *err)
{
        if (o->command) {
                int r = command_parse(o->command, ret, err);
                if (r)
                        err_prefix(err, "the unpacker's command");
                return r;
        }
        CLEAN_MEM char *dir = fs_program_dir();
        struct command c = {calloc(2, sizeof(*c.argv)), 1};
        if (!dir || !c.argv || !(c.argv[0] = fs_join(dir, PROGRAM))) {
                free(c.argv);
                return err_set(err, -ENOMEM, "out of memory");
        }
        *ret = c;
        return 0;
}

static size_t add_hashes(const struct installer_options *o, const char **argv, size_t n, char *size,
        size_t size_size)
{
        const char *const pairs[] = {
                "--sha256", o->hashes->sha256, "--sha1", o->hashes->sha1, "--md5", o->hashes->md5};
        snprintf(size, size_size, "%" PRIu64, o->size);
        argv[n++] = "--size";
        argv[n++] = size;
        for (size_t k = 0; k < N_ELEMENTS(pairs); k += 2)
                if (pairs[k + 1][0]) {
                        argv[n++] = pairs[k];
                        argv[n++] = pairs[k + 1];
                }
        return n;
}

static int spawn(struct event_base *base, const struct installer_options *o, struct installer *i,
        struct err *err)
{
        CLEAN_COMMAND struct command command = {0};
        char size[24];
        const char *argv[MAX_ARGS] = {NULL};
        size_t n = 0;
        int r = command_of(o, &command, err);
        if (r)
                return r;
        while (n < command.argc) {
                argv[n] = command.argv[n];
                n++;
        }
        if (o->hashes)
                n = add_hashes(o, argv, n, size, sizeof(size));
        argv[n++] = "--";
        argv[n++] = o->source;
        argv[n++] = o->dest;
        struct proc_options p = {.argv = argv,
                .in = PROC_STDIO_NULL,
                .out = PROC_STDIO_NULL,
                .err = PROC_STDIO_PIPE,
                .on_exit = exited,
                .arg = i};
        return proc_spawn(base, &p, &i->proc, err);
}

int installer_start(struct event_base *base, const struct installer_options *options,
        struct installer **ret_installer, struct err *err)
{
        CLEAN(installer) struct installer *i = calloc(1, sizeof(*i));
        if (!i)
                return err_set(err, -ENOMEM, "out of memory");
        i->on_done = options->on_done;
        i->arg = options->arg;
        i->errors = BUF_INIT(LIMIT_KIB(4));
        int r = spawn(base, options, i, err);
        if (r)
                return r;
        i->on_errors = event_new(base, proc_stderr(i->proc), EV_READ | EV_PERSIST, errors_ready, i);
        if (!i->on_errors || event_add(i->on_errors, NULL))
                return err_set(err, -ENOMEM, "out of memory");
        *ret_installer = TAKE(i);
        return 0;
}

void installer_free(struct installer *i)
{
        if (i->on_errors)
                event_free(i->on_errors);
        if (i->proc)
                proc_free(i->proc);
        buf_fini(&i->errors);
        free(i);
}
