/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Stages `build` and `test`: the commands of buildspec.yml, or of the manifest, in the sandbox. */
#include "base/clock.h"
#include "base/limits.h"
#include "cloud/pipeline/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BUILD_TEST_COMMAND "python3 -m pytest -q -p no:cacheprovider"
#define BUILD_TESTS_MAX_DEPTH 16
#define BUILD_CAUSE_LINES 6

struct build {
        struct sandbox *sandbox;
        size_t next; /* step */
        int64_t phase_ends_at;
        int64_t began_at;
};

static void build_free(void *state)
{
        struct build *b = state;
        if (!b)
                return;
        sandbox_free(b->sandbox);
        free(b);
}

/* The newest lines of the output, indented, behind the cause: what a person would look up first. */
static void add_tail(const struct run *run, struct buf *cause)
{
        const char *data = buf_text(&run->tail);
        size_t end = run->tail.len, start;
        while (end && (unsigned char)data[end - 1] <= ' ')
                end--;
        start = end;
        for (int lines = 0; start; start--)
                if (data[start - 1] == '\n' && ++lines == BUILD_CAUSE_LINES)
                        break;
        while (start < end) {
                const char *stop = memchr(data + start, '\n', end - start);
                size_t n = stop ? (size_t)(stop - data) - start : end - start;
                buf_adds(cause, "\n  ");
                buf_add(cause, data + start, n);
                start += n + 1;
        }
}

static void run_next(struct run *run);

static void command_done(void *arg, const char *failure)
{
        struct run *run = arg;
        struct build *b = run->state;
        const struct build_step *step = &run->spec.steps[b->next++];
        sandbox_free(b->sandbox);
        b->sandbox = NULL;
        if (!failure) {
                run_log(run, "done in %.1f s", (double)(clock_mono_ms() - b->began_at) / 1000);
                run_next(run);
                return;
        }
        CLEAN_BUF struct buf cause = BUF_INIT(LIMIT_KIB(8));
        buf_addf(&cause, "phase %s: '%.300s' %s", build_phase_to_string(step->phase), step->text,
                failure);
        add_tail(run, &cause);
        run_stage_done(run, buf_text(&cause));
}

static void command_output(void *arg, const char *data, size_t len)
{
        run_output(arg, data, len);
}

static int start_command(struct run *run, struct err *err)
{
        struct build *b = run->state;
        const struct build_step *step = &run->spec.steps[b->next];
        const struct cloud_config *c = run->host->config;
        char date[32];
        snprintf(date, sizeof(date), "%lld", (long long)run->commit_time_s);
        const char *const variables[] = {"SOURCE_DATE_EPOCH", date, "DRIVELINE_COMMIT", run->commit,
                "DRIVELINE_VERSION", run->manifest.version, NULL};
        b->began_at = clock_mono_ms();
        if (!b->next || run->spec.steps[b->next - 1].phase != step->phase)
                b->phase_ends_at = b->began_at + c->build_timeout_ms;
        int64_t left = b->phase_ends_at - b->began_at;
        const struct sandbox_options options = {.host = &run->host->sandbox,
                .environment = run->environment,
                .folder = run->folder,
                .slot = run->slot,
                .argv = (const char *const *)step->words.argv,
                .variables = variables,
                .limits = {.wall_ms = left > 0 ? left : 1,
                        .memory_bytes = c->build_memory_bytes,
                        .processes = c->build_processes,
                        .file_bytes = (int64_t)LIMIT_BUILD_FILE_BYTES,
                        .disk_bytes = (int64_t)LIMIT_BUILD_DISK_BYTES},
                .on_output = command_output,
                .on_done = command_done,
                .arg = run};
        buf_clear(&run->tail);
        run_log(run, "%s: %s", build_phase_to_string(step->phase), step->text);
        return sandbox_start(run->host->base, &options, &b->sandbox, err);
}

static void run_next(struct run *run)
{
        const struct build *b = run->state;
        struct err err = ERR_INIT;
        if (b->next == run->spec.n_steps)
                run_stage_done(run, NULL);
        else if (start_command(run, &err) < 0)
                run_stage_done(run, err.text);
}

static bool is_test(const char *name)
{
        size_t n = strlen(name);
        return n > 3 && !strcmp(name + n - 3, ".py") &&
               (!strncmp(name, "test_", 5) || (n > 8 && !strcmp(name + n - 8, "_test.py")));
}

/* Takes `fd`. */
static bool has_tests(int fd, int depth)
{
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        bool found = false;
        if (!dir) {
                if (fd >= 0)
                        close(fd);
                return false;
        }
        for (struct dirent *e; !found && (e = readdir(dir));) {
                struct stat st;
                if (e->d_name[0] == '.' ||
                        fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (S_ISREG(st.st_mode))
                        found = is_test(e->d_name);
                else if (S_ISDIR(st.st_mode) && depth < BUILD_TESTS_MAX_DEPTH)
                        found = has_tests(openat(dirfd(dir), e->d_name,
                                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                                depth + 1);
        }
        closedir(dir);
        return found;
}

/* Without a buildspec.yml the language says what is to be done. */
static int default_steps(struct run *run, struct err *err)
{
        if (!strcmp(run->pipeline.language, "c")) {
                if (!*run->manifest.build_command)
                        return err_set(err, -EINVAL,
                                "manifest.xml has no <build_command> and there is no "
                                "buildspec.yml");
                if (buildspec_add(&run->spec, BUILD_BUILD, run->manifest.build_command, 0, err) < 0)
                        return err_prefix(err, "manifest.xml: build_command");
                return 0;
        }
        if (!has_tests(open(run->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), 0)) {
                run_log(run, "no tests (test_*.py, *_test.py): nothing to run");
                return 0;
        }
        return buildspec_add(&run->spec, BUILD_BUILD, BUILD_TEST_COMMAND, 0, err);
}

static int start(struct run *run, struct err *err)
{
        struct build *b = calloc(1, sizeof(*b));
        if (!b)
                return err_errno(err, -ENOMEM, "cannot build");
        run->state = b;
        run->state_free = build_free;
        int r = run->spec.n_steps ? 0 : default_steps(run, err);
        if (!r)
                r = environment_check(run->environment, err);
        if (!r && !run->host->sandbox.is_ready)
                r = sandbox_probe(&run->host->sandbox, err);
        if (!r)
                r = sandbox_own(&run->host->sandbox, run->folder, run->slot, err);
        if (r < 0)
                return r;
        run_next(run);
        return 0;
}

const struct stage stage_build = {.name = "build", .start = start, .is_building = true};
const struct stage stage_test = {.name = "test", .start = start, .is_building = true};
