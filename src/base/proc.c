/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct proc {
        pid_t pid;
        int pidfd;
        bool running;
        int fd[3]; /* our ends of the pipes */
        struct event *on_end;
        struct event *on_grace;
        void (*on_exit)(void *arg, struct proc *proc, int status);
        void *arg;
};

pid_t proc_pid(const struct proc *proc)
{
        return proc->pid;
}

bool proc_is_running(const struct proc *proc)
{
        return proc->running;
}

int proc_stdin(struct proc *proc)
{
        return proc->fd[0];
}

int proc_stdout(struct proc *proc)
{
        return proc->fd[1];
}

int proc_stderr(struct proc *proc)
{
        return proc->fd[2];
}

void proc_close_stdin(struct proc *proc)
{
        if (proc->fd[0] >= 0)
                close(proc->fd[0]);
        proc->fd[0] = -1;
}

void proc_signal(struct proc *proc, int signal)
{
        if (proc->running)
                kill(-proc->pid, signal);
}

void proc_describe_status(int status, char *text, size_t size)
{
        if (WIFSIGNALED(status))
                snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
                        strsignal(WTERMSIG(status)));
        else
                snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
}

/* What is left of the group (a grandchild) must not outlive its leader, or it would keep the pipes.
 */
static int reap(struct proc *proc)
{
        int status = 0;
        kill(-proc->pid, SIGKILL);
        while (waitpid(proc->pid, &status, 0) < 0 && errno == EINTR)
                ;
        proc->running = false;
        return status;
}

static void drop_event(struct event **e)
{
        if (*e)
                event_free(*e);
        *e = NULL;
}

void proc_free(struct proc *proc)
{
        if (!proc)
                return;
        drop_event(&proc->on_end);
        drop_event(&proc->on_grace);
        if (proc->running)
                reap(proc);
        for (size_t i = 0; i < 3; i++)
                if (proc->fd[i] >= 0)
                        close(proc->fd[i]);
        if (proc->pidfd >= 0)
                close(proc->pidfd);
        free(proc);
}

static void ended(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct proc *proc = arg;
        int status = reap(proc);
        drop_event(&proc->on_grace);
        if (proc->on_exit)
                proc->on_exit(proc->arg, proc, status);
}

static void grace_over(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        proc_signal(arg, SIGKILL);
}

void proc_terminate(struct proc *proc, int grace_ms)
{
        if (!proc->running)
                return;
        proc_signal(proc, SIGTERM);
        struct timeval tv = {grace_ms / 1000, (grace_ms % 1000) * 1000};
        if (!proc->on_grace)
                proc->on_grace = evtimer_new(event_get_base(proc->on_end), grace_over, proc);
        if (proc->on_grace)
                evtimer_add(proc->on_grace, &tv);
}

/* ── the child's side: only async-signal-safe calls between fork and exec ── */

static void child_limit(int resource, rlim_t value)
{
        if (!value)
                return;
        struct rlimit limit = {value, value};
        setrlimit(resource, &limit);
}

static void child_fail(int report_fd)
{
        int e = errno;
        (void)!write(report_fd, &e, sizeof(e));
        _exit(127);
}

static void child_run(const struct proc_options *o, const int fds[3], int report_fd, pid_t parent)
{
        /* Dup in two steps: a source may be 0, 1 or 2 itself. */
        int high[3];
        for (int i = 0; i < 3; i++) {
                high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
                if (high[i] < 0)
                        child_fail(report_fd);
        }
        for (int i = 0; i < 3; i++)
                if (dup2(high[i], i) < 0)
                        child_fail(report_fd);
        setpgid(0, 0);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (int s = 1; s < NSIG; s++)
                signal(s, SIG_DFL);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(127);
        if (o->cwd && chdir(o->cwd) < 0)
                child_fail(report_fd);
        child_limit(RLIMIT_AS, o->max_memory_bytes);
        child_limit(RLIMIT_FSIZE, o->max_file_bytes);
        child_limit(RLIMIT_CPU, o->max_cpu_s);
        child_limit(RLIMIT_NPROC, o->max_processes);
        char *const *argv = (char *const *)(uintptr_t)o->argv;
        if (o->envp)
                execvpe(argv[0], argv, (char *const *)(uintptr_t)o->envp);
        else
                execvp(argv[0], argv);
        child_fail(report_fd);
}

/* ── the parent's side ── */

struct stdio_ends {
        int child[3];
        int ours[3];
        bool close_child[3];
};

static int open_end(struct stdio_ends *ends, int i, enum proc_stdio kind, int fd)
{
        int pipe_fds[2];
        switch (kind) {
        case PROC_STDIO_INHERIT:
                ends->child[i] = i;
                return 0;
        case PROC_STDIO_FD:
                ends->child[i] = fd;
                return 0;
        case PROC_STDIO_NULL:
                ends->child[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
                ends->close_child[i] = true;
                return ends->child[i] < 0 ? -errno : 0;
        case PROC_STDIO_PIPE:
                if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                        return -errno;
                ends->child[i] = pipe_fds[i == 0 ? 0 : 1];
                ends->ours[i] = pipe_fds[i == 0 ? 1 : 0];
                ends->close_child[i] = true;
                fcntl(ends->ours[i], F_SETFL, O_NONBLOCK);
                return 0;
        }
        return -EINVAL;
}

static void close_ends(struct stdio_ends *ends, bool ours_too)
{
        for (int i = 0; i < 3; i++) {
                if (ends->close_child[i] && ends->child[i] >= 0)
                        close(ends->child[i]);
                ends->close_child[i] = false;
                if (ours_too && ends->ours[i] >= 0)
                        close(ends->ours[i]);
        }
}

/* The errno of a failed exec comes through a pipe that a successful exec closes. */
static int wait_for_exec(int fd)
{
        int e = 0;
        ssize_t n;
        do
                n = read(fd, &e, sizeof(e));
        while (n < 0 && errno == EINTR);
        return n == (ssize_t)sizeof(e) ? -e : 0;
}

static int start(const struct proc_options *o, struct stdio_ends *ends, pid_t *ret_pid)
{
        int report[2];
        if (pipe2(report, O_CLOEXEC) < 0)
                return -errno;
        pid_t parent = getpid();
        pid_t pid = fork();
        if (pid < 0) {
                int r = -errno;
                close(report[0]);
                close(report[1]);
                return r;
        }
        if (pid == 0)
                child_run(o, ends->child, report[1], parent);
        close(report[1]);
        setpgid(pid, pid); /* in both, so that it holds whoever runs first */
        int r = wait_for_exec(report[0]);
        close(report[0]);
        if (r < 0)
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        *ret_pid = pid;
        return r;
}

int proc_spawn(struct event_base *base, const struct proc_options *options, struct proc **ret_proc,
        struct err *err)
{
        struct stdio_ends ends = {.child = {-1, -1, -1}, .ours = {-1, -1, -1}};
        struct proc *proc = calloc(1, sizeof(*proc));
        if (!proc)
                return err_errno(err, -ENOMEM, "cannot start '%s'", options->argv[0]);
        int r = open_end(&ends, 0, options->in, options->in_fd);
        if (!r)
                r = open_end(&ends, 1, options->out, options->out_fd);
        if (!r)
                r = open_end(&ends, 2, options->err, options->err_fd);
        if (!r)
                r = start(options, &ends, &proc->pid);
        close_ends(&ends, r < 0);
        if (r < 0) {
                free(proc);
                return err_errno(err, r, "cannot start '%s'", options->argv[0]);
        }
        memcpy(proc->fd, ends.ours, sizeof(proc->fd));
        proc->running = true;
        proc->on_exit = options->on_exit;
        proc->arg = options->arg;
        proc->pidfd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
        if (proc->pidfd >= 0)
                proc->on_end = event_new(base, proc->pidfd, EV_READ, ended, proc);
        if (!proc->on_end || event_add(proc->on_end, NULL) < 0) {
                r = proc->pidfd < 0 ? -errno : -ENOMEM;
                proc_free(proc);
                return err_errno(err, r, "cannot watch '%s'", options->argv[0]);
        }
        *ret_proc = proc;
        return 0;
}
