/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/sandbox.h"
#include "base/limits.h"
#include "cloud/pipeline/task.h"
#include "cloud/pipeline/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Debian reserves 65000-65533 and gives them to nobody, and a container that maps 65536 ids has
 * them. */
#define SANDBOX_FIRST_UID 65400
#define SANDBOX_LOOK_MS 200
#define SANDBOX_FOLDER "/build"
#define SANDBOX_TOOLS "/opt/driveline/bin"
#define SANDBOX_SHM_BYTES LIMIT_MIB(64)
#define SANDBOX_TRY_PROCESSES 16

struct sandbox {
        struct task *task;
        struct event_base *base;
        struct event *on_look;
        struct sandbox_limits limits;
        char *folder;
        void (*on_output)(void *arg, const char *data, size_t len);
        void (*on_done)(void *arg, const char *failure);
        void *arg;
        char stopped[128]; /* why we ended it; "" if we did not */
};

/* ── the argument vector ── */

struct words {
        const char *argv[512];
        size_t n;
        char text[64][96]; /* what had to be put together */
        size_t n_text;
        bool is_full;
};

static void add(struct words *w, const char *word)
{
        if (w->n + 1 >= N_ELEMENTS(w->argv))
                w->is_full = true;
        else
                w->argv[w->n++] = word;
}

/* Words up to a NULL. */
static void adds(struct words *w, ...)
{
        va_list ap;
        va_start(ap, w);
        for (const char *word; (word = va_arg(ap, const char *));)
                add(w, word);
        va_end(ap);
}

__attribute__((format(printf, 2, 3))) static const char *text(struct words *w, const char *fmt, ...)
{
        if (w->n_text == N_ELEMENTS(w->text)) {
                w->is_full = true;
                return "";
        }
        char *to = w->text[w->n_text++];
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(to, sizeof(w->text[0]), fmt, ap);
        va_end(ap);
        if (n < 0 || (size_t)n >= sizeof(w->text[0]))
                w->is_full = true;
        return to;
}

static void add_namespaces(struct words *w, const struct sandbox_host *host)
{
        adds(w, "bwrap", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                "--hostname", "build", "--die-with-parent", "--new-session", "--clearenv",
                "--cap-drop", "ALL", NULL);
        if (host->is_root) /* only for the step to the build's own user, see add_user() */
                adds(w, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add",
                        "CAP_SETPCAP", NULL);
        else if (host->has_proc)
                adds(w, "--unshare-user", "--disable-userns", NULL);
        else
                adds(w, "--unshare-user", NULL);
}

/* A parent that bubblewrap makes on its own is closed to all but its owner, who under root isn't
 * the build's user. */
static void add_dir(struct words *w, const char *path)
{
        adds(w, "--perms", "0755", "--dir", path, NULL);
}

/* Since Debian 12, /bin and the like are links into /usr; elsewhere they are folders. */
static void add_system(struct words *w)
{
        static const char *const roots[][2] = {{"/bin", "usr/bin"}, {"/sbin", "usr/sbin"},
                {"/lib", "usr/lib"}, {"/lib32", "usr/lib32"}, {"/lib64", "usr/lib64"},
                {"/libx32", "usr/libx32"}};
        static const char *const etc[] = {
                "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"};
        adds(w, "--ro-bind", "/usr", "/usr", NULL);
        add_dir(w, "/etc");
        for (size_t i = 0; i < N_ELEMENTS(roots); i++) {
                struct stat st;
                if (lstat(roots[i][0], &st) < 0)
                        continue;
                if (S_ISLNK(st.st_mode))
                        adds(w, "--symlink", roots[i][1], roots[i][0], NULL);
                else
                        adds(w, "--ro-bind", roots[i][0], roots[i][0], NULL);
        }
        for (size_t i = 0; i < N_ELEMENTS(etc); i++)
                adds(w, "--ro-bind-try", etc[i], etc[i], NULL);
}

static void add_tools(struct words *w, const struct environment *env)
{
        static const char *const tools[] = {"gcc", "cpp", "ar", "as", "ld", "nm", "objcopy",
                "objdump", "ranlib", "readelf", "size", "strip"};
        adds(w, "--setenv", "PATH", SANDBOX_TOOLS ":/usr/bin:/bin", NULL);
        if (!env->triplet)
                return;
        add_dir(w, "/opt");
        add_dir(w, "/opt/driveline");
        add_dir(w, SANDBOX_TOOLS);
        for (size_t i = 0; i < N_ELEMENTS(tools); i++)
                adds(w, "--symlink", text(w, "/usr/bin/%s-%s", env->triplet, tools[i]),
                        text(w, SANDBOX_TOOLS "/%s", tools[i]), NULL);
        adds(w, "--symlink", text(w, "/usr/bin/%s-gcc", env->triplet), SANDBOX_TOOLS "/cc", NULL);
        adds(w, "--setenv", "CC", text(w, "%s-gcc", env->triplet), NULL);
        adds(w, "--setenv", "AR", text(w, "%s-ar", env->triplet), NULL);
        adds(w, "--setenv", "STRIP", text(w, "%s-strip", env->triplet), NULL);
}

static void add_variables(struct words *w, const char *const *variables)
{
        adds(w, "--setenv", "HOME", "/tmp", "--setenv", "TMPDIR", "/tmp", "--setenv", "USER",
                "build", "--setenv", "LOGNAME", "build", "--setenv", "LANG", "C.UTF-8", "--setenv",
                "TZ", "UTC",
                /* A second build of a commit gives the same bytes. */
                "--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--setenv", "PYTHONHASHSEED", "0",
                "--setenv", "ZERO_AR_DATE", "1",
                /* What a failing test printed stands before its traceback, as on a terminal. */
                "--setenv", "PYTHONUNBUFFERED", "1", NULL);
        for (size_t i = 0; variables && variables[i]; i += 2)
                adds(w, "--setenv", variables[i], variables[i + 1], NULL);
}

static void add_folders(struct words *w, const struct sandbox_host *host, const char *folder)
{
        if (host->has_proc)
                adds(w, "--proc", "/proc", NULL);
        else
                adds(w, "--dir", "/proc", NULL);
        adds(w, "--dev", "/dev", "--perms", "1777", "--size", text(w, "%zu", SANDBOX_SHM_BYTES),
                "--tmpfs", "/dev/shm", "--remount-ro", "/dev", NULL);
        adds(w, "--perms", "1777", "--size", text(w, "%zu", LIMIT_BUILD_TMP_BYTES), "--tmpfs",
                "/tmp", NULL);
        if (folder)
                adds(w, "--bind", folder, SANDBOX_FOLDER, NULL);
        else
                adds(w, "--dir", SANDBOX_FOLDER, NULL);
        adds(w, "--remount-ro", "/", "--chdir", SANDBOX_FOLDER, "--", NULL);
}

static void add_user(struct words *w, const struct sandbox_host *host, int slot)
{
        if (host->is_root)
                adds(w, "/usr/bin/setpriv", text(w, "--reuid=%d", SANDBOX_FIRST_UID + slot),
                        text(w, "--regid=%d", SANDBOX_FIRST_UID + slot), "--clear-groups",
                        "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--", NULL);
}

/* An ordinary user's own hard limit may be lower than ours, and cannot be raised. */
static unsigned long long at_most_hard(int resource, int64_t value)
{
        struct rlimit now;
        if (getrlimit(resource, &now) == 0 && now.rlim_max != RLIM_INFINITY &&
                (rlim_t)value > now.rlim_max)
                return now.rlim_max;
        return (unsigned long long)value;
}

static void add_limit(struct words *w, const char *name, int resource, int64_t value)
{
        unsigned long long n = at_most_hard(resource, value);
        add(w, text(w, "--%s=%llu:%llu", name, n, n));
}

/* Set inside, because the number of processes is counted for each user namespace on its own. */
static void add_limits(struct words *w, const struct sandbox_limits *l)
{
        add(w, "/usr/bin/prlimit");
        add_limit(w, "nproc", RLIMIT_NPROC, l->processes);
        add_limit(w, "as", RLIMIT_AS, l->memory_bytes);
        add_limit(w, "fsize", RLIMIT_FSIZE, l->file_bytes);
        adds(w, "--core=0:0", "--", NULL);
}

static void build_argv(struct words *w, const struct sandbox_options *o)
{
        add_namespaces(w, o->host);
        add_system(w);
        add_tools(w, o->environment);
        add_variables(w, o->variables);
        add_folders(w, o->host, o->folder);
        add_user(w, o->host, o->slot);
        add_limits(w, &o->limits);
        for (size_t i = 0; o->argv[i]; i++)
                add(w, o->argv[i]);
        w->argv[w->n] = NULL;
}

/* ── does it work here ── */

static int probe(const struct sandbox_host *host, struct err *err)
{
        static const struct environment plain = {.name = "none"};
        const char *const argv[] = {"/bin/true", NULL};
        const struct sandbox_options o = {.host = host,
                .environment = &plain,
                .argv = argv,
                .limits = {.processes = SANDBOX_TRY_PROCESSES,
                        .memory_bytes = (int64_t)LIMIT_MIB(1024),
                        .file_bytes = (int64_t)LIMIT_MIB(1)}};
        struct words *w = calloc(1, sizeof(*w));
        if (!w)
                return err_errno(err, -ENOMEM, "cannot try the sandbox");
        build_argv(w, &o);
        int r = task_run(w->argv, NULL, NULL, NULL, err);
        free(w);
        return r;
}

int sandbox_probe(struct sandbox_host *ret, struct err *err)
{
        struct err first = ERR_INIT, second = ERR_INIT;
        struct sandbox_host host = {.is_ready = true, .is_root = geteuid() == 0, .has_proc = true};
        int r = probe(&host, &first);
        if (r < 0 && first.code != -ENOENT) {
                host.has_proc =
                        false; /* a container may hide parts of /proc and thus forbid a new one */
                r = probe(&host, &second);
        }
        if (!r) {
                *ret = host;
                return 0;
        }
        if (first.code == -ENOENT)
                return err_set(err, -ENOENT, "builds need bubblewrap: apt-get install bubblewrap");
        const char *advice =
                "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or run as root";
        if (strstr(first.text, "make / slave")) /* so bubblewrap says in a plain chroot */
                advice = "the root folder of a chroot must be a mount: mount --bind ROOT ROOT "
                         "before";
        else if (host.is_root)
                advice = "give the container CAP_SYS_ADMIN, or run as an ordinary user";
        return err_set(err, -EPERM, "builds cannot be shut in on this machine (%s): %s", first.text,
                advice);
}

/* ── the folder's owner ── */

static int own_tree(int fd, uid_t uid)
{
        DIR *dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return -errno;
        }
        int r = fchown(dirfd(dir), uid, uid) < 0 ? -errno : 0;
        for (struct dirent *e; !r && (e = readdir(dir));) {
                struct stat st;
                if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
                        continue;
                if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                        fchownat(dirfd(dir), e->d_name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0) {
                        r = -errno;
                } else if (S_ISDIR(st.st_mode)) {
                        int sub = openat(dirfd(dir), e->d_name,
                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        r = sub < 0 ? -errno : own_tree(sub, uid);
                }
        }
        closedir(dir);
        return r;
}

int sandbox_own(const struct sandbox_host *host, const char *folder, int slot, struct err *err)
{
        if (!host->is_root)
                return 0;
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r = fd < 0 ? -errno : own_tree(fd, (uid_t)(SANDBOX_FIRST_UID + slot));
        return r < 0 ? err_errno(err, r, "cannot give '%s' to the build's user", folder) : 0;
}

/* ── one command ── */

void sandbox_free(struct sandbox *s)
{
        if (!s)
                return;
        if (s->on_look)
                event_free(s->on_look);
        task_free(s->task);
        free(s->folder);
        free(s);
}

static void describe(const struct sandbox *s, int status, bool timed_out, char *how, size_t size)
{
        if (*s->stopped)
                snprintf(how, size, "was stopped: %s", s->stopped);
        else if (timed_out)
                snprintf(how, size, "was stopped: it took more than %lld s",
                        (long long)s->limits.wall_ms / 1000);
        else if (WIFSIGNALED(status))
                proc_describe_status(status, how, size);
        else if (WEXITSTATUS(status) == 127)
                snprintf(how, size, "was not found in the build environment");
        else if (WEXITSTATUS(status) == 128 + SIGXFSZ)
                snprintf(how, size, "was stopped: it wrote a file of more than %lld MiB",
                        (long long)s->limits.file_bytes >> 20);
        else if (WEXITSTATUS(status) > 128) /* how bubblewrap tells a signal */
                snprintf(how, size, "was killed by signal %d (%s)", WEXITSTATUS(status) - 128,
                        strsignal(WEXITSTATUS(status) - 128));
        else
                snprintf(how, size, "exited with status %d", WEXITSTATUS(status));
}

static void command_ended(void *arg, int status, bool timed_out)
{
        struct sandbox *s = arg;
        char how[256];
        event_del(s->on_look);
        describe(s, status, timed_out, how, sizeof(how));
        bool worked = !*s->stopped && !timed_out && status == 0;
        s->on_done(s->arg, worked ? NULL : how);
}

static void command_output(void *arg, const char *data, size_t len)
{
        struct sandbox *s = arg;
        s->on_output(s->arg, data, len);
}

static void look(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        struct sandbox *s = arg;
        const struct sandbox_limits *l = &s->limits;
        if (usage_memory(task_pid(s->task)) > l->memory_bytes)
                snprintf(s->stopped, sizeof(s->stopped), "it used more than %lld MiB of memory",
                        (long long)l->memory_bytes >> 20);
        else if (usage_disk(s->folder, l->disk_bytes) > l->disk_bytes)
                snprintf(s->stopped, sizeof(s->stopped), "it wrote more than %lld MiB",
                        (long long)l->disk_bytes >> 20);
        if (*s->stopped)
                task_kill(s->task);
}

static int spawn(struct sandbox *s, const struct sandbox_options *o, struct err *err)
{
        struct words *w = calloc(1, sizeof(*w));
        if (!w)
                return err_errno(err, -ENOMEM, "cannot start '%s'", o->argv[0]);
        build_argv(w, o);
        const struct task_options options = {.argv = w->argv,
                .timeout_ms = o->limits.wall_ms,
                .on_output = command_output,
                .on_done = command_ended,
                .arg = s};
        int r = w->is_full ? err_errno(err, -E2BIG, "cannot start '%s'", o->argv[0])
                           : task_start(s->base, &options, &s->task, err);
        free(w);
        return r;
}

int sandbox_start(struct event_base *base, const struct sandbox_options *options,
        struct sandbox **ret_sandbox, struct err *err)
{
        CLEAN(sandbox) struct sandbox *s = calloc(1, sizeof(*s));
        if (!s)
                return err_errno(err, -ENOMEM, "cannot start '%s'", options->argv[0]);
        s->base = base;
        s->limits = options->limits;
        s->on_output = options->on_output;
        s->on_done = options->on_done;
        s->arg = options->arg;
        s->folder = strdup(options->folder);
        s->on_look = event_new(base, -1, EV_PERSIST, look, s);
        const struct timeval often = {0, SANDBOX_LOOK_MS * 1000};
        if (!s->folder || !s->on_look || event_add(s->on_look, &often) < 0)
                return err_errno(err, -ENOMEM, "cannot start '%s'", options->argv[0]);
        int r = spawn(s, options, err);
        if (r < 0)
                return r;
        *ret_sandbox = TAKE(s);
        return 0;
}
