/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

int fs_read(const char *path, struct buf *ret, struct err *err)
{
        CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_errno(err, -errno, "cannot read '%s'", path);
        for (;;) {
                char chunk[8192];
                ssize_t n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(err, -errno, "cannot read '%s'", path);
                if (!n)
                        return 0;
                int r = buf_add(ret, chunk, (size_t)n);
                if (r < 0)
                        return err_errno(err, r, "cannot read '%s' into memory", path);
        }
}

int fs_write_all(int fd, const void *data, size_t len)
{
        const char *p = data;
        while (len) {
                ssize_t n = write(fd, p, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

/* The folder part of `path` in `dir`, "." if it has none. */
static int dir_part(const char *path, char dir[PATH_MAX])
{
        const char *slash = strrchr(path, '/');
        size_t n = slash ? (size_t)(slash - path) : 0;
        if (n >= PATH_MAX)
                return -ENAMETOOLONG;
        if (!slash)
                memcpy(dir, ".", 2);
        else if (n == 0)
                memcpy(dir, "/", 2);
        else {
                memcpy(dir, path, n);
                dir[n] = 0;
        }
        return 0;
}

int fs_sync_dir(const char *path, struct err *err)
{
        CLEAN_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return err_errno(err, -errno, "cannot sync folder '%s'", path);
        return 0;
}

int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
        char dir[PATH_MAX], temp[PATH_MAX];
        int r = dir_part(path, dir);
        if (r < 0 || snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
                return err_errno(err, -ENAMETOOLONG, "cannot write '%s'", path);
        CLEAN_FD int fd = mkostemp(temp, O_CLOEXEC);
        if (fd < 0)
                return err_errno(err, -errno, "cannot write '%s'", path);
        r = fs_write_all(fd, data, len);
        if (!r && fchmod(fd, mode) < 0)
                r = -errno;
        if (!r && fsync(fd) < 0)
                r = -errno;
        if (!r && rename(temp, path) < 0)
                r = -errno;
        if (r < 0) {
                unlink(temp);
                return err_errno(err, r, "cannot write '%s'", path);
        }
        return fs_sync_dir(dir, err);
}

int fs_mkdir_p(const char *path, mode_t mode, struct err *err)
{
        char part[PATH_MAX];
        size_t len = strlen(path);
        if (len >= sizeof(part))
                return err_errno(err, -ENAMETOOLONG, "cannot make folder '%s'", path);
        memcpy(part, path, len + 1);
        for (size_t i = 1; i <= len; i++) {
                if (part[i] != '/' && part[i])
                        continue;
                char c = part[i];
                part[i] = 0;
                if (mkdir(part, mode) < 0 && errno != EEXIST)
                        return err_errno(err, -errno, "cannot make folder '%s'", part);
                part[i] = c;
        }
        struct stat st;
        if (stat(path, &st) < 0)
                return err_errno(err, -errno, "cannot make folder '%s'", path);
        if (!S_ISDIR(st.st_mode))
                return err_errno(err, -ENOTDIR, "cannot make folder '%s'", path);
        return 0;
}

/* Calls `each` for the entries of an open folder (takes `fd`); stops at the first failure. */
static int each_entry(int fd, int (*each)(int dir, const char *name, bool is_dir))
{
        DIR *dir = fdopendir(fd);
        if (!dir) {
                int r = -errno;
                close(fd);
                return r;
        }
        int r = 0;
        for (struct dirent *e; !r && (e = readdir(dir));) {
                if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
                        continue;
                struct stat st;
                if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        r = errno == ENOENT ? 0 : -errno;
                else
                        r = each(dirfd(dir), e->d_name, S_ISDIR(st.st_mode));
        }
        closedir(dir);
        return r;
}

static int remove_entry(int dir, const char *name, bool is_dir)
{
        if (is_dir) {
                /* A folder without our rights (0500) can still be emptied by its owner. */
                (void)fchmodat(dir, name, 0700, 0);
                int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
                int r = each_entry(fd, remove_entry);
                if (r < 0)
                        return r;
        }
        return unlinkat(dir, name, is_dir ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT ? -errno : 0;
}

int fs_remove_tree(const char *path, struct err *err)
{
        struct stat st;
        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : err_errno(err, -errno, "cannot remove '%s'", path);
        int r = remove_entry(AT_FDCWD, path, S_ISDIR(st.st_mode));
        return r < 0 ? err_errno(err, r, "cannot remove '%s'", path) : 0;
}

static int sync_entry(int dir, const char *name, bool is_dir)
{
        CLEAN_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return errno == ELOOP ? 0 : -errno; /* a link has no data of its own */
        if (is_dir) {
                int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (sub < 0)
                        return -errno;
                int r = each_entry(sub, sync_entry);
                if (r < 0)
                        return r;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

int fs_sync_tree(const char *path, struct err *err)
{
        struct stat st;
        if (lstat(path, &st) < 0)
                return err_errno(err, -errno, "cannot sync '%s'", path);
        int r = sync_entry(AT_FDCWD, path, S_ISDIR(st.st_mode));
        return r < 0 ? err_errno(err, r, "cannot sync '%s'", path) : 0;
}

bool fs_exists(const char *path)
{
        struct stat st;
        return lstat(path, &st) == 0;
}

int fs_free_bytes(const char *path, uint64_t *ret_bytes)
{
        struct statvfs vfs;
        if (statvfs(path, &vfs) < 0)
                return -errno;
        *ret_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
        return 0;
}

char *fs_join(const char *dir, const char *name)
{
        char *path = NULL;
        return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

char *fs_program_dir(void)
{
        char path[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
        if (n < 0)
                return NULL;
        path[n] = 0;
        char *slash = strrchr(path, '/');
        if (slash)
                *slash = 0;
        return strdup(path);
}
