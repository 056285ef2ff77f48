/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/unpack.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK_BYTES 65536

/* What has been let in so far. */
struct quota {
        uint64_t bytes, max_bytes;
        size_t files;
};

static int refuse(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct err *err, const char *fmt, ...)
{
        char text[ERR_TEXT_MAX];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        err_set(err, -EBADMSG, "%s", text);
        return UNPACK_REFUSED;
}

/* ── checking the file ── */

static int hash_fd(int fd, struct hash_set *ret, struct err *err)
{
        struct hasher *h = hasher_new();
        CLEAN_MEM char *chunk = malloc(CHUNK_BYTES);
        int r = h && chunk ? 0 : -ENOMEM;
        ssize_t n = 0;
        for (off_t at = 0; !r && (n = pread(fd, chunk, CHUNK_BYTES, at)) > 0; at += n)
                r = hasher_add(h, chunk, (size_t)n);
        if (!r && n < 0)
                r = -errno;
        if (!r)
                r = hasher_end(h, ret);
        hasher_free(h);
        return r ? err_errno(err, r, "cannot hash the package") : 0;
}

int unpack_check(int fd, uint64_t size, const struct hash_set *want, struct err *err)
{
        struct stat st;
        if (fstat(fd, &st))
                return err_errno(err, -errno, "cannot look at the package");
        if ((uint64_t)st.st_size != size)
                return refuse(err, "the package has %" PRIu64 " bytes, %" PRIu64 " were promised",
                        (uint64_t)st.st_size, size);
        struct hash_set is;
        int r = hash_fd(fd, &is, err);
        if (r)
                return r;
        const struct {
                const char *name, *want, *is;
        } kinds[] = {{"sha256", want->sha256, is.sha256}, {"sha1", want->sha1, is.sha1},
                {"md5", want->md5, is.md5}};
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                if (!kinds[i].want[0])
                        continue;
                if (strcmp(kinds[i].want, kinds[i].is))
                        return refuse(err, "the package's %s is %s, %s was promised", kinds[i].name,
                                kinds[i].is, kinds[i].want);
                return fsync(fd) ? err_errno(err, -errno, "cannot sync the package") : 0;
        }
        return refuse(err, "no hash was promised for the package");
}

/* ── names ── */

static int check_component(const char *part, size_t len, const char *name, struct err *err)
{
        if (!len)
                return refuse(err, "the name '%s' has an empty part", name);
        if (len > 255)
                return refuse(err, "the name '%s' has a part that is too long", name);
        if (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.')))
                return refuse(err, "the name '%s' climbs out of its folder", name);
        return 0;
}

/* `name` without a slash at its end, into `path`. */
static int check_name(const char *name, char path[LIMIT_PACKAGE_PATH_BYTES], struct err *err)
{
        size_t len = name ? strlen(name) : 0;
        while (len > 1 && name[len - 1] == '/')
                len--;
        if (!len)
                return refuse(err, "an entry has no name that can be read");
        if (len >= LIMIT_PACKAGE_PATH_BYTES)
                return refuse(err, "the name '%.60s…' is too long", name);
        if (name[0] == '/' || name[0] == '\\')
                return refuse(err, "the name '%s' is an absolute path", name);
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '\\')
                        return refuse(err, "a name has a control character or a backslash");
        size_t depth = 0;
        for (size_t at = 0; at <= len; depth++) {
                size_t part = strcspn(name + at, "/");
                if (at + part > len)
                        part = len - at;
                int r = check_component(name + at, part, name, err);
                if (r)
                        return r;
                at += part + 1;
        }
        if (depth > LIMIT_PACKAGE_DEPTH)
                return refuse(err, "the name '%s' is in too many folders", name);
        memcpy(path, name, len);
        path[len] = 0;
        return 0;
}

static int charge(struct quota *q, uint64_t bytes, struct err *err)
{
        if (++q->files > LIMIT_PACKAGE_FILES)
                return refuse(err, "the package has more than %d files", LIMIT_PACKAGE_FILES);
        if (bytes > q->max_bytes - q->bytes)
                return refuse(
                        err, "the package unpacks to more than %" PRIu64 " bytes", q->max_bytes);
        q->bytes += bytes;
        return 0;
}

/* ── writing ── */

static int open_folder(int dir, const char *name)
{
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int make_folder(int dir, const char *name, int *ret_fd)
{
        if (mkdirat(dir, name, 0755) && errno != EEXIST)
                return -errno;
        int fd = open_folder(dir, name);
        if (fd < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

/* Opens (and makes) the folder that holds `path`'s last part, which it returns. */
static int walk(int root, char *path, int *ret_dir, const char **ret_last)
{
        CLEAN_FD int dir = fcntl(root, F_DUPFD_CLOEXEC, 0);
        if (dir < 0)
                return -errno;
        char *at = path;
        for (char *slash; (slash = strchr(at, '/')); at = slash + 1) {
                *slash = 0;
                int next = -1;
                int r = make_folder(dir, at, &next);
                *slash = '/';
                if (r)
                        return r;
                close(dir);
                dir = next;
        }
        *ret_last = at;
        *ret_dir = TAKE_FD(dir);
        return 0;
}

/* Trouble with a name that the package gives twice is the package's; the rest is ours. */
static int written(int code, const char *path, struct err *err)
{
        if (code == -EEXIST || code == -ENOTDIR || code == -EISDIR || code == -ELOOP)
                return refuse(err, "the name '%s' occurs twice", path);
        return err_errno(err, code, "cannot write '%s'", path);
}

static int make_file(int root, char *path, mode_t mode, int *ret_fd, struct err *err)
{
        CLEAN_FD int dir = -1;
        const char *last = NULL;
        int r = walk(root, path, &dir, &last);
        if (r)
                return written(r, path, err);
        int fd = openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                mode & 0111 ? 0755 : 0644);
        if (fd < 0)
                return written(-errno, path, err);
        *ret_fd = fd;
        return 0;
}

static int make_entry_folder(int root, char *path, struct err *err)
{
        CLEAN_FD int dir = -1, made = -1;
        const char *last = NULL;
        int r = walk(root, path, &dir, &last);
        if (!r)
                r = make_folder(dir, last, &made);
        return r ? written(r, path, err) : 0;
}

/* The new folder `dest`, open. */
static int make_dest(const char *dest, int *ret_fd, struct err *err)
{
        if (mkdir(dest, 0755))
                return err_errno(err, -errno, "cannot make '%s'", dest);
        int fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", dest);
        *ret_fd = fd;
        return 0;
}

/* ── zips ── */

struct reader {
        struct archive *archive;
};

static void reader_close(struct reader *r)
{
        if (r->archive)
                archive_read_free(r->archive);
}
#define CLEAN_READER __attribute__((cleanup(reader_close)))

static int broken(struct archive *a, struct err *err)
{
        const char *text = archive_error_string(a);
        return refuse(err, "the package is broken: %s", text ? text : "it can't be read");
}

static int reader_open(struct reader *r, int fd, struct err *err)
{
        if (lseek(fd, 0, SEEK_SET) < 0)
                return err_errno(err, -errno, "cannot read the package");
        r->archive = archive_read_new();
        if (!r->archive)
                return err_set(err, -ENOMEM, "out of memory");
        /* By the central directory only: what a streaming reader sees between can be another zip.
         */
        archive_read_support_format_zip_seekable(r->archive);
        return archive_read_open_fd(r->archive, fd, CHUNK_BYTES) == ARCHIVE_OK
                       ? 0
                       : broken(r->archive, err);
}

/* 0 with *ret_entry NULL at the end. */
static int next_entry(struct reader *r, struct archive_entry **ret_entry, struct err *err)
{
        *ret_entry = NULL;
        int n = archive_read_next_header(r->archive, ret_entry);
        if (n == ARCHIVE_EOF) {
                *ret_entry = NULL;
                return 0;
        }
        return n == ARCHIVE_OK ? 0 : broken(r->archive, err);
}

static int check_entry(struct archive_entry *e, struct quota *q,
        char path[LIMIT_PACKAGE_PATH_BYTES], struct err *err)
{
        int r = check_name(archive_entry_pathname(e), path, err);
        if (r)
                return r;
        mode_t type = archive_entry_filetype(e);
        if (archive_entry_hardlink(e) || archive_entry_symlink(e) || type == AE_IFLNK)
                return refuse(err, "'%s' is a link", path);
        if (type != AE_IFREG && type != AE_IFDIR)
                return refuse(err, "'%s' is neither a file nor a folder", path);
        if (archive_entry_is_encrypted(e))
                return refuse(err, "'%s' is encrypted", path);
        if (!archive_entry_size_is_set(e) && type == AE_IFREG)
                return refuse(err, "'%s' has no size", path);
        int64_t size = type == AE_IFREG ? archive_entry_size(e) : 0;
        if (size < 0)
                return refuse(err, "'%s' has no size", path);
        return charge(q, (uint64_t)size, err);
}

static int check_zip(int fd, struct quota *q, struct err *err)
{
        CLEAN_READER struct reader reader = {0};
        int r = reader_open(&reader, fd, err);
        for (;;) {
                struct archive_entry *e = NULL;
                char path[LIMIT_PACKAGE_PATH_BYTES];
                if (!r)
                        r = next_entry(&reader, &e, err);
                if (r || !e)
                        return r;
                r = check_entry(e, q, path, err);
        }
}

static int copy_data(
        struct reader *reader, int to, uint64_t size, const char *path, struct err *err)
{
        CLEAN_MEM char *chunk = malloc(CHUNK_BYTES);
        if (!chunk)
                return err_set(err, -ENOMEM, "out of memory");
        uint64_t sum = 0;
        for (;;) {
                la_ssize_t n = archive_read_data(reader->archive, chunk, CHUNK_BYTES);
                if (n < 0)
                        return broken(reader->archive, err);
                if (!n)
                        break;
                sum += (uint64_t)n;
                if (sum > size)
                        return refuse(err, "'%s' is larger than it says", path);
                int r = fs_write_all(to, chunk, (size_t)n);
                if (r)
                        return err_errno(err, r, "cannot write '%s'", path);
        }
        return sum == size ? 0 : refuse(err, "'%s' is shorter than it says", path);
}

static int unpack_entry(
        struct reader *reader, struct archive_entry *e, int root, struct quota *q, struct err *err)
{
        char path[LIMIT_PACKAGE_PATH_BYTES];
        int r = check_entry(e, q, path, err);
        if (r)
                return r;
        if (archive_entry_filetype(e) == AE_IFDIR)
                return make_entry_folder(root, path, err);
        CLEAN_FD int fd = -1;
        r = make_file(root, path, archive_entry_perm(e), &fd, err);
        if (r)
                return r;
        return copy_data(reader, fd, (uint64_t)archive_entry_size(e), path, err);
}

static int unpack_all(int fd, int root, struct quota *q, struct err *err)
{
        CLEAN_READER struct reader reader = {0};
        int r = reader_open(&reader, fd, err);
        for (;;) {
                struct archive_entry *e = NULL;
                if (!r)
                        r = next_entry(&reader, &e, err);
                if (r || !e)
                        return r;
                r = unpack_entry(&reader, e, root, q, err);
        }
}

int unpack_zip(int fd, const char *dest, struct err *err)
{
        struct stat st;
        if (fstat(fd, &st))
                return err_errno(err, -errno, "cannot look at the package");
        struct quota look = {.max_bytes = LIMIT_PACKAGE_UNPACKED_BYTES};
        uint64_t by_ratio = (uint64_t)st.st_size * UNPACK_RATIO;
        if (by_ratio < look.max_bytes)
                look.max_bytes = by_ratio;
        struct quota write = look;
        int r = check_zip(fd, &look, err);
        if (r)
                return r;
        CLEAN_FD int root = -1;
        r = make_dest(dest, &root, err);
        if (!r)
                r = unpack_all(fd, root, &write, err);
        if (!r)
                r = fs_sync_tree(dest, err);
        return r;
}

/* ── folders ── */

struct copy {
        int root; /* of the destination */
        struct quota quota;
        char path[LIMIT_PACKAGE_PATH_BYTES]; /* of what is being copied, below the root */
        struct err *err;
};

static int copy_file(struct copy *c, int dir, const char *name, const struct stat *st)
{
        int r = charge(&c->quota, (uint64_t)st->st_size, c->err);
        if (r)
                return r;
        CLEAN_FD int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (from < 0)
                return err_errno(c->err, -errno, "cannot read '%s'", c->path);
        CLEAN_FD int to = -1;
        r = make_file(c->root, c->path, st->st_mode, &to, c->err);
        if (r)
                return r;
        for (;;) {
                char chunk[8192];
                ssize_t n = read(from, chunk, sizeof(chunk));
                if (n <= 0)
                        return n ? err_errno(c->err, -errno, "cannot read '%s'", c->path) : 0;
                r = fs_write_all(to, chunk, (size_t)n);
                if (r)
                        return err_errno(c->err, r, "cannot write '%s'", c->path);
        }
}

static int copy_folder(struct copy *c, int dir);

static int copy_entry(struct copy *c, int dir, const char *name)
{
        struct stat st;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
                return err_errno(c->err, -errno, "cannot look at '%s'", name);
        size_t len = strlen(c->path);
        int n = snprintf(c->path + len, sizeof(c->path) - len, "%s%s", len ? "/" : "", name);
        if (n < 0 || (size_t)n >= sizeof(c->path) - len)
                return refuse(c->err, "the name '%.60s…' is too long", c->path);
        int r;
        if (S_ISREG(st.st_mode)) {
                r = copy_file(c, dir, name, &st);
        } else if (S_ISDIR(st.st_mode)) {
                int sub = open_folder(dir, name);
                r = sub < 0 ? err_errno(c->err, sub, "cannot read '%s'", c->path)
                            : copy_folder(c, sub);
        } else {
                r = refuse(c->err, "'%s' is neither a file nor a folder", c->path);
        }
        c->path[len] = 0;
        return r;
}

/* Takes `dir`. */
static int copy_folder(struct copy *c, int dir)
{
        DIR *d = fdopendir(dir);
        if (!d) {
                close(dir);
                return err_errno(c->err, -errno, "cannot read '%s'", c->path);
        }
        int r = 0;
        for (struct dirent *e; !r && (e = readdir(d));)
                if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, ".git"))
                        r = copy_entry(c, dirfd(d), e->d_name);
        closedir(d);
        return r;
}

int unpack_folder(const char *source, const char *dest, struct err *err)
{
        struct copy c = {
                .root = -1, .quota = {.max_bytes = LIMIT_PACKAGE_UNPACKED_BYTES}, .err = err};
        int from = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (from < 0)
                return err_errno(err, -errno, "cannot read '%s'", source);
        int r = make_dest(dest, &c.root, err);
        if (r) {
                close(from);
                return r;
        }
        r = copy_folder(&c, from);
        close(c.root);
        if (!r)
                r = fs_sync_tree(dest, err);
        return r;
}
