/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/repo.h"
#include "base/clean.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/task.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

const char *const repo_environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8",
        "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME=driveline",
        "GIT_AUTHOR_EMAIL=driveline@localhost", "GIT_COMMITTER_NAME=driveline",
        "GIT_COMMITTER_EMAIL=driveline@localhost", NULL};

static int git(
        const char *const *argv, const char *const *envp, struct buf *output, struct err *err)
{
        int r = task_run(argv, envp ? envp : repo_environment, NULL, output, err);
        if (r == -ENOENT)
                return err_set(err, r, "pipelines need git: apt-get install git");
        return r;
}

/* One line, without its end. */
static int git_line(const char *const *argv, char *line, size_t size, struct err *err)
{
        CLEAN_BUF struct buf out = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        int r = git(argv, NULL, &out, err);
        if (!r)
                task_last_line(&out, line, size);
        return r;
}

int repo_set_hook(const char *path, struct err *err)
{
        char program[PATH_MAX], hook[PATH_MAX], fresh[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
        if (n < 0)
                return err_errno(err, -errno, "cannot set the hook of '%s'", path);
        program[n] = 0;
        if (snprintf(hook, sizeof(hook), "%s/hooks/post-receive", path) >= (int)sizeof(hook) ||
                snprintf(fresh, sizeof(fresh), "%s.new", hook) >= (int)sizeof(fresh))
                return err_errno(err, -ENAMETOOLONG, "cannot set the hook of '%s'", path);
        (void)unlink(fresh);
        if (symlink(program, fresh) < 0 || rename(fresh, hook) < 0)
                return err_errno(err, -errno, "cannot set the hook of '%s'", path);
        return 0;
}

static int set_config(const char *path, const char *key, const char *value, struct err *err)
{
        const char *const argv[] = {"git", "--git-dir", path, "config", key, value, NULL};
        return git(argv, NULL, NULL, err);
}

int repo_create(const char *path, const char *branch, struct err *err)
{
        char first[PATH_MAX], hooks[PATH_MAX], most[32];
        if (snprintf(first, sizeof(first), "--initial-branch=%s", branch) >= (int)sizeof(first) ||
                snprintf(hooks, sizeof(hooks), "%s/hooks", path) >= (int)sizeof(hooks))
                return err_errno(err, -ENAMETOOLONG, "cannot make repository '%s'", path);
        snprintf(most, sizeof(most), "%zu", LIMIT_PUSH_BYTES);
        const char *const argv[] = {
                "git", "init", "--quiet", "--bare", "--template=", first, path, NULL};
        int r = git(argv, NULL, NULL, err);
        if (!r)
                r = set_config(path, "receive.maxInputSize", most, err);
        if (!r)
                r = set_config(path, "receive.fsckObjects", "true", err);
        if (!r)
                r = fs_mkdir_p(hooks, 0700, err);
        return r < 0 ? r : repo_set_hook(path, err);
}

/* Through an index of its own, so that `dir` needs no repository and gets none. */
static int seed_tree(const char *path, const char *dir, const char *index,
        char tree[REPO_COMMIT_SIZE], struct err *err)
{
        const char *envp[32];
        size_t n = 0;
        CLEAN_MEM char *variable = NULL;
        if (asprintf(&variable, "GIT_INDEX_FILE=%s", index) < 0)
                return err_errno(err, -ENOMEM, "cannot read '%s'", dir);
        for (; repo_environment[n]; n++)
                envp[n] = repo_environment[n];
        envp[n++] = variable;
        envp[n] = NULL;
        const char *const add[] = {
                "git", "--git-dir", path, "--work-tree", dir, "-C", dir, "add", "--all", ".", NULL};
        const char *const write[] = {"git", "--git-dir", path, "write-tree", NULL};
        CLEAN_BUF struct buf out = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        int r = git(add, envp, NULL, err);
        if (!r)
                r = git(write, envp, &out, err);
        if (!r)
                task_last_line(&out, tree, REPO_COMMIT_SIZE);
        return r;
}

int repo_seed(const char *path, const char *branch, const char *dir, struct err *err)
{
        char full[PATH_MAX], git_dir[PATH_MAX], index[PATH_MAX + 16], tree[REPO_COMMIT_SIZE],
                commit[REPO_COMMIT_SIZE], ref[256];
        struct stat st;
        if (!realpath(dir, full) || stat(full, &st) < 0)
                return err_errno(err, -errno, "cannot read '%s'", dir);
        if (!S_ISDIR(st.st_mode))
                return err_errno(err, -ENOTDIR, "cannot read '%s'", dir);
        if (!realpath(path, git_dir))
                return err_errno(err, -errno, "cannot open '%s'", path);
        snprintf(index, sizeof(index), "%s/seed.index", git_dir);
        int r = seed_tree(git_dir, full, index, tree, err);
        (void)unlink(index);
        if (r < 0)
                return err_prefix(err, "cannot take '%s' as the first commit", dir);
        const char *const make[] = {
                "git", "--git-dir", git_dir, "commit-tree", "-m", "Initial version", tree, NULL};
        r = git_line(make, commit, sizeof(commit), err);
        if (r < 0)
                return r;
        snprintf(ref, sizeof(ref), "refs/heads/%s", branch);
        const char *const update[] = {"git", "--git-dir", git_dir, "update-ref", ref, commit, NULL};
        return git(update, NULL, NULL, err);
}

int repo_head(const char *path, const char *branch, char commit[REPO_COMMIT_SIZE], struct err *err)
{
        char ref[256];
        CLEAN_BUF struct buf out = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        snprintf(ref, sizeof(ref), "refs/heads/%s", branch);
        const char *const argv[] = {
                "git", "--git-dir", path, "for-each-ref", "--format=%(objectname)", ref, NULL};
        int r = git(argv, NULL, &out, err);
        if (r < 0)
                return r;
        task_last_line(&out, commit, REPO_COMMIT_SIZE);
        return *commit ? 0 : REPO_EMPTY;
}

int repo_describe(const char *path, const char *commit, struct buf *ret_author,
        struct buf *ret_message, struct err *err)
{
        CLEAN_BUF struct buf out = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        const char *const argv[] = {"git", "--git-dir", path, "log", "-1", "--format=%an <%ae>%n%s",
                commit, "--", NULL};
        int r = git(argv, NULL, &out, err);
        if (r < 0)
                return r;
        const char *text = buf_text(&out), *end = strchr(text, '\n');
        if (!end)
                return err_set(err, -EINVAL, "commit '%s' has no author", commit);
        r = buf_add(ret_author, text, (size_t)(end - text));
        const char *message = end + 1;
        return r < 0 ? r : buf_add(ret_message, message, strcspn(message, "\n"));
}

int repo_commit_time(const char *path, const char *commit, int64_t *ret_s, struct err *err)
{
        char line[32];
        const char *const argv[] = {
                "git", "--git-dir", path, "log", "-1", "--format=%ct", commit, "--", NULL};
        int r = git_line(argv, line, sizeof(line), err);
        if (!r)
                *ret_s = strtoll(line, NULL, 10);
        return r;
}

/* ── what `git archive` wrote ── */

struct unpacking {
        struct archive *from;
        struct archive *to;
        const char *dir;
        int64_t bytes;
        int files;
};

static int copy_data(struct unpacking *u, struct err *err)
{
        const void *data;
        size_t len;
        la_int64_t offset;
        int r;
        while ((r = archive_read_data_block(u->from, &data, &len, &offset)) == ARCHIVE_OK) {
                u->bytes += (int64_t)len;
                if (u->bytes > (int64_t)LIMIT_BUILD_DISK_BYTES)
                        return err_set(err, -E2BIG, "the commit has more than %zu MiB",
                                LIMIT_BUILD_DISK_BYTES >> 20);
                if (archive_write_data_block(u->to, data, len, offset) < 0)
                        return err_set(err, -EIO, "%s", archive_error_string(u->to));
        }
        return r == ARCHIVE_EOF ? 0 : err_set(err, -EIO, "%s", archive_error_string(u->from));
}

static int unpack_entry(struct unpacking *u, struct archive_entry *entry, struct err *err)
{
        const char *name = archive_entry_pathname(entry);
        char path[PATH_MAX];
        if (!name || ++u->files > LIMIT_PACKAGE_FILES)
                return err_set(
                        err, -E2BIG, "the commit has more than %d files", LIMIT_PACKAGE_FILES);
        if (snprintf(path, sizeof(path), "%s/%s", u->dir, name) >= (int)sizeof(path))
                return err_errno(err, -ENAMETOOLONG, "'%s'", name);
        archive_entry_set_pathname(entry, path);
        archive_entry_unset_mtime(entry);
        if (archive_write_header(u->to, entry) != ARCHIVE_OK)
                return err_set(err, -EIO, "%s", archive_error_string(u->to));
        int r = archive_entry_size(entry) > 0 ? copy_data(u, err) : 0;
        if (!r && archive_write_finish_entry(u->to) != ARCHIVE_OK)
                return err_set(err, -EIO, "%s", archive_error_string(u->to));
        return r;
}

static int unpack_all(struct unpacking *u, const char *archive, struct err *err)
{
        struct archive_entry *entry;
        int r = archive_read_open_filename(u->from, archive, 65536);
        if (r != ARCHIVE_OK)
                return err_set(err, -EIO, "%s", archive_error_string(u->from));
        while ((r = archive_read_next_header(u->from, &entry)) == ARCHIVE_OK) {
                int e = unpack_entry(u, entry, err);
                if (e < 0)
                        return e;
        }
        return r == ARCHIVE_EOF ? 0 : err_set(err, -EIO, "%s", archive_error_string(u->from));
}

int repo_unpack(const char *archive, const char *dir, struct err *err)
{
        struct unpacking u = {
                .from = archive_read_new(), .to = archive_write_disk_new(), .dir = dir};
        if (!u.from || !u.to) {
                archive_read_free(u.from);
                archive_write_free(u.to);
                return err_errno(err, -ENOMEM, "cannot unpack the commit");
        }
        archive_read_support_format_tar(u.from);
        archive_write_disk_set_options(u.to, ARCHIVE_EXTRACT_PERM |
                                                     ARCHIVE_EXTRACT_SECURE_NODOTDOT |
                                                     ARCHIVE_EXTRACT_SECURE_SYMLINKS);
        int r = fs_mkdir_p(dir, 0755, err);
        if (!r)
                r = unpack_all(&u, archive, err);
        archive_read_free(u.from);
        if (archive_write_free(u.to) != ARCHIVE_OK && !r)
                r = err_set(err, -EIO, "cannot finish writing");
        return r < 0 ? err_prefix(err, "cannot unpack the commit") : 0;
}
