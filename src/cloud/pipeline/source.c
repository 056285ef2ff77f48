/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Stage `source`: the commit's files in the run's folder, and what they say about themselves. */
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/run.h"
#include "cloud/pipeline/task.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SOURCE_TIMEOUT_MS 120000

/* Names and versions go into queries, file names and messages; hawkBit's columns bound their
 * length. */
static int check_word(const char *what, const char *text, size_t max, struct err *err)
{
        size_t n = strlen(text);
        if (!n)
                return err_set(err, -EINVAL, "manifest.xml has no <%s>", what);
        if (n > max)
                return err_set(
                        err, -EINVAL, "manifest.xml: <%s> has more than %zu letters", what, max);
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char)text[i]) && !(i && strchr("._+-", text[i])))
                        return err_set(err, -EINVAL,
                                "manifest.xml: <%s>%s</%s> may hold letters, digits and . _ + - "
                                "only, and begins with a letter or digit",
                                what, text, what);
        return 0;
}

/* A link could lead to any file of this machine, and a pipe would never end. */
static int check_plain(const struct run *run, const char *name, struct err *err)
{
        CLEAN_MEM char *path = fs_join(run->folder, name);
        struct stat st;
        if (!path)
                return err_errno(err, -ENOMEM, "cannot read %s", name);
        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : err_errno(err, -errno, "cannot read %s", name);
        return S_ISREG(st.st_mode) ? 1 : err_set(err, -EINVAL, "%s is no plain file", name);
}

static int read_manifest(struct run *run, struct err *err)
{
        manifest_fini(&run->manifest);
        int r = check_plain(run, "manifest.xml", err);
        if (r <= 0)
                return r < 0 ? r
                             : err_set(err, -ENOENT,
                                       "the repository has no manifest.xml at its root");
        r = manifest_read(run->folder, &run->manifest, err);
        if (!r)
                r = check_word("name", run->manifest.name, 100, err);
        if (!r)
                r = check_word("version", run->manifest.version, 60, err);
        if (r < 0)
                return r;
        const char *language = run->manifest.language;
        if (*language && strcasecmp(language, run->pipeline.language) != 0)
                return err_set(err, -EINVAL,
                        "manifest.xml says language '%s', but the pipeline is for '%s'", language,
                        run->pipeline.language);
        return 0;
}

static int read_buildspec(struct run *run, struct err *err)
{
        buildspec_fini(&run->spec);
        CLEAN_MEM char *path = fs_join(run->folder, "buildspec.yml");
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        if (!path)
                return err_errno(err, -ENOMEM, "cannot read buildspec.yml");
        int r = check_plain(run, "buildspec.yml", err);
        if (r <= 0)
                return r;
        r = fs_read(path, &text, err);
        if (!r)
                r = buildspec_parse(buf_text(&text), text.len, &run->spec, err);
        return r < 0 ? err_prefix(err, "buildspec.yml") : 0;
}

int run_read_commit(struct run *run, struct err *err)
{
        int r = read_manifest(run, err);
        if (!r)
                r = read_buildspec(run, err);
        if (r < 0)
                return r;
        const char *name =
                run->spec.environment ? run->spec.environment : run->pipeline.environment;
        return environment_find(name, &run->environment, err);
}

static void exported(void *arg, int status, bool timed_out)
{
        struct run *run = arg;
        struct err err = ERR_INIT;
        char archive[PATH_MAX], how[80];
        snprintf(archive, sizeof(archive), "%s/source.tar", run->dir);
        int r = 0;
        if (status != 0) {
                proc_describe_status(status, how, sizeof(how));
                r = err_set(
                        &err, -EIO, "'git archive' %s", timed_out ? "did not end in time" : how);
        }
        if (!r)
                r = repo_unpack(archive, run->folder, &err);
        (void)unlink(archive);
        if (!r)
                r = run_read_commit(run, &err);
        if (!r)
                run_log(run, "commit %s: '%s' version %s, environment %s", run->commit,
                        run->manifest.name, run->manifest.version, run->environment->name);
        run_stage_done(run, r < 0 ? err.text : NULL);
}

static void said(void *arg, const char *data, size_t len)
{
        run_output(arg, data, len);
}

static void drop(void *state)
{
        task_free(state);
}

static int start(struct run *run, struct err *err)
{
        char output[PATH_MAX];
        int r = fs_remove_tree(run->folder, err);
        if (r < 0)
                return r;
        if (snprintf(output, sizeof(output), "--output=%s/source.tar", run->dir) >=
                (int)sizeof(output))
                return err_errno(err, -ENAMETOOLONG, "cannot unpack the commit");
        const char *const argv[] = {"git", "--git-dir", run->repo, "-c", "tar.umask=0022",
                "archive", "--format=tar", output, run->commit, NULL};
        const struct task_options options = {.argv = argv,
                .envp = repo_environment,
                .timeout_ms = SOURCE_TIMEOUT_MS,
                .on_output = said,
                .on_done = exported,
                .arg = run};
        struct task *task = NULL;
        r = task_start(run->host->base, &options, &task, err);
        run->state = task;
        run->state_free = drop;
        return r;
}

const struct stage stage_source = {.name = "source", .start = start, .is_building = true};
