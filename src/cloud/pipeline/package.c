/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/package.h"
#include "base/clean.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/buildspec.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PACKAGE_MANIFEST "manifest.xml"
#define PACKAGE_MAX_DEPTH 64

/* Paths below the folder, '/' between names. */
struct list {
        char **paths;
        size_t n;
        char *const *patterns;
        size_t n_patterns;
        bool *used; /* for each pattern */
};

static void list_fini(struct list *l)
{
        for (size_t i = 0; i < l->n; i++)
                free(l->paths[i]);
        free(l->paths);
        free(l->used);
}

static bool ends_with(const char *text, const char *end)
{
        size_t n = strlen(text), m = strlen(end);
        return n >= m && !strcmp(text + n - m, end);
}

static bool is_left_out(const char *path, const char *name)
{
        return name[0] == '.' || ends_with(name, ".o") || ends_with(name, ".pyc") ||
               !strcmp(name, "__pycache__") || !strcmp(path, "buildspec.yml");
}

static bool is_wanted(struct list *l, const char *path, const char *name)
{
        bool wanted = !strcmp(path, PACKAGE_MANIFEST);
        if (!l->n_patterns)
                return wanted || !is_left_out(path, name);
        for (size_t i = 0; i < l->n_patterns; i++)
                if (buildspec_matches(l->patterns[i], path))
                        wanted = l->used[i] = true;
        return wanted;
}

static int list_add(struct list *l, const char *path, struct err *err)
{
        if (l->n == LIMIT_PACKAGE_FILES)
                return err_set(err, -E2BIG, "more than %d files", LIMIT_PACKAGE_FILES);
        char **paths = reallocarray(l->paths, l->n + 1, sizeof(*paths));
        if (!paths)
                return err_errno(err, -ENOMEM, "'%s'", path);
        l->paths = paths;
        paths[l->n] = strdup(path);
        return paths[l->n] ? (l->n++, 0) : err_errno(err, -ENOMEM, "'%s'", path);
}

static int walk(struct list *l, int fd, const char *prefix, int depth, struct err *err);

static int visit(
        struct list *l, int dir, const char *prefix, const char *name, int depth, struct err *err)
{
        char path[LIMIT_PACKAGE_PATH_BYTES];
        struct stat st;
        if (snprintf(path, sizeof(path), "%s%s", prefix, name) >= (int)sizeof(path) - 1)
                return err_set(err, -ENAMETOOLONG, "'%s%s': the path is too long", prefix, name);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return err_errno(err, -errno, "'%s'", path);
        if (S_ISDIR(st.st_mode)) {
                if (!l->n_patterns && is_left_out(path, name))
                        return 0;
                int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (sub < 0)
                        return err_errno(err, -errno, "'%s'", path);
                memcpy(path + strlen(path), "/", 2);
                return walk(l, sub, path, depth + 1, err);
        }
        if (!is_wanted(l, path, name))
                return 0;
        if (!S_ISREG(st.st_mode))
                return err_set(err, -EINVAL,
                        "'%s' is no plain file: a car takes neither links nor devices", path);
        return list_add(l, path, err);
}

/* Takes `fd`. */
static int walk(struct list *l, int fd, const char *prefix, int depth, struct err *err)
{
        DIR *dir = depth < PACKAGE_MAX_DEPTH ? fdopendir(fd) : NULL;
        if (!dir) {
                close(fd);
                return err_set(err, -E2BIG, "'%s': folders are nested too deeply", prefix);
        }
        int r = 0;
        for (struct dirent *e; !r && (e = readdir(dir));)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        r = visit(l, dirfd(dir), prefix, e->d_name, depth, err);
        closedir(dir);
        return r;
}

/* The manifest first, so that whoever reads the zip as a stream knows early what it is. */
static int by_name(const void *a, const void *b)
{
        const char *x = *(char *const *)a, *y = *(char *const *)b;
        bool mx = !strcmp(x, PACKAGE_MANIFEST), my = !strcmp(y, PACKAGE_MANIFEST);
        return mx != my ? my - mx : strcmp(x, y);
}

static int check_list(const struct list *l, struct err *err)
{
        if (!l->n || strcmp(l->paths[0], PACKAGE_MANIFEST) != 0)
                return err_set(err, -ENOENT, "there is no manifest.xml at the root");
        for (size_t i = 0; i < l->n_patterns; i++)
                if (!l->used[i])
                        return err_set(
                                err, -ENOENT, "artifacts: no file matches '%s'", l->patterns[i]);
        return 0;
}

static int write_data(struct archive *a, int fd, int64_t size, struct err *err)
{
        char chunk[65536];
        int64_t left = size;
        while (left > 0) {
                ssize_t n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return err_errno(err, n < 0 ? -errno : -EIO, "cannot read");
                if (archive_write_data(a, chunk, (size_t)n) != n)
                        return err_set(err, -EIO, "%s", archive_error_string(a));
                left -= n;
        }
        return 0;
}

static int write_file(struct archive *a, int dir, const char *path, int64_t mtime_s, int64_t *total,
        struct err *err)
{
        CLEAN_FD int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_errno(err, -errno, "cannot read");
        *total += st.st_size;
        if (*total > (int64_t)LIMIT_PACKAGE_UNPACKED_BYTES)
                return err_set(err, -E2BIG, "the package would have more than %zu MiB unpacked",
                        LIMIT_PACKAGE_UNPACKED_BYTES >> 20);
        struct archive_entry *entry = archive_entry_new();
        if (!entry)
                return err_errno(err, -ENOMEM, "cannot pack");
        archive_entry_set_pathname(entry, path);
        archive_entry_set_size(entry, st.st_size);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, st.st_mode & 0111 ? 0755 : 0644);
        archive_entry_set_mtime(entry, mtime_s, 0);
        int r = 0;
        if (archive_write_header(a, entry) != ARCHIVE_OK)
                r = err_set(err, -EIO, "%s", archive_error_string(a));
        else
                r = write_data(a, fd, st.st_size, err);
        archive_entry_free(entry);
        return r;
}

static int write_zip(
        const struct list *l, int dir, int64_t mtime_s, const char *path, struct err *err)
{
        struct archive *a = archive_write_new();
        if (!a)
                return err_errno(err, -ENOMEM, "cannot write '%s'", path);
        archive_write_set_format_zip(a);
        int r = 0;
        int64_t total = 0;
        if (archive_write_open_filename(a, path) != ARCHIVE_OK)
                r = err_set(err, -EIO, "cannot write '%s': %s", path, archive_error_string(a));
        for (size_t i = 0; !r && i < l->n; i++)
                if (write_file(a, dir, l->paths[i], mtime_s, &total, err) < 0)
                        r = err_prefix(err, "'%s'", l->paths[i]);
        if (!r && archive_write_close(a) != ARCHIVE_OK)
                r = err_set(err, -EIO, "cannot write '%s': %s", path, archive_error_string(a));
        archive_write_free(a);
        return r;
}

static int gather(struct list *l, const char *dir, struct err *err)
{
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_errno(err, -errno, "cannot read '%s'", dir);
        int r = walk(l, fd, "", 0, err);
        if (r < 0)
                return r;
        if (l->n)
                qsort(l->paths, l->n, sizeof(*l->paths), by_name);
        return check_list(l, err);
}

int package_write(const char *dir, char *const *patterns, size_t n_patterns, int64_t mtime_s,
        const char *path, struct package *ret, struct err *err)
{
        struct list l = {.patterns = patterns, .n_patterns = n_patterns};
        struct package p = {0};
        l.used = calloc(n_patterns + 1, sizeof(*l.used));
        CLEAN_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = l.used && fd >= 0 ? gather(&l, dir, err)
                                  : err_errno(err, -errno, "cannot read '%s'", dir);
        if (!r)
                r = write_zip(&l, fd, mtime_s, path, err);
        p.n_files = l.n;
        list_fini(&l);
        if (!r)
                r = hash_file(path, &p.hashes, &p.size, err);
        if (!r && p.size > LIMIT_BUILD_PACKAGE_BYTES)
                r = err_set(err, -E2BIG, "the package has more than %zu MiB",
                        LIMIT_BUILD_PACKAGE_BYTES >> 20);
        if (r < 0)
                return err_prefix(err, "package");
        *ret = p;
        return 0;
}
