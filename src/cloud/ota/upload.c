/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/upload.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/ota/media.h"
#include "cloud/ota/multipart.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INCOMING "incoming"
/* The frame around the file. */
#define MAX_UPLOAD_BYTES ((int64_t)(LIMIT_ARTIFACT_BYTES + LIMIT_MIB(1)))
/* A value of the form: a name of at most 256 characters. */
#define MAX_FIELD_BYTES LIMIT_KIB(2)
/* The kernel begins to write after so many bytes, so that the sync at the end is short. */
#define WRITE_EARLY LIMIT_MIB(8)
#define DAY_MS INT64_C(86400000)

static const char *const field_names[] = {"filename", "md5sum", "sha1sum", "sha256sum"};

/* ── the parts, as they come ── */

static int open_file(struct upload *u, struct err *err)
{
        static unsigned n;
        CLEAN_MEM char *dir = fs_join(u->ota->artifacts_dir, INCOMING);
        char name[48];
        snprintf(name, sizeof(name), "%d-%lld-%u", (int)getpid(), (long long)clock_now_ms(), n++);
        CLEAN_MEM char *path = dir ? fs_join(dir, name) : NULL;
        u->hasher = hasher_new();
        if (!path || !u->hasher)
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_mkdir_p(dir, 0700, err);
        if (r < 0)
                return r;
        u->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (u->fd < 0)
                return err_errno(err, -errno, "cannot write '%s'", path);
        u->path = TAKE(path);
        return 0;
}

/* Nothing of it stays; the rest of the body is read over. */
static void drop_file(struct upload *u)
{
        if (u->fd >= 0)
                close(u->fd);
        u->fd = -1;
        if (u->path)
                unlink(u->path);
        free(u->path);
        u->path = NULL;
}

static void fail(struct upload *u, int code, const char *what)
{
        if (!u->failure.code)
                err_errno(&u->failure, code, "cannot %s the artifact", what);
        drop_file(u);
}

static void begin(void *arg, const char *name, const char *filename)
{
        struct upload *u = arg;
        u->field = NULL;
        u->is_in_file = name && strcmp(name, "file") == 0;
        for (size_t i = 0; name && !filename && i < N_ELEMENTS(field_names); i++) {
                if (strcmp(name, field_names[i]) == 0 && !u->fields[i].name[0]) {
                        u->field = &u->fields[i];
                        snprintf(u->field->name, sizeof(u->field->name), "%s", name);
                        u->field->value = BUF_INIT(MAX_FIELD_BYTES);
                }
        }
        if (!u->is_in_file || u->failure.code)
                return;
        if (u->has_file) { /* the last one of that name counts */
                drop_file(u);
                hasher_free(u->hasher);
                free(u->filename);
                u->hasher = NULL;
                u->size = u->synced = 0;
        }
        u->has_file = true;
        u->filename = filename ? strdup(filename) : NULL;
        if (open_file(u, &u->failure) < 0)
                drop_file(u);
}

static void data(void *arg, const char *bytes, size_t len)
{
        struct upload *u = arg;
        if (u->field)
                buf_add(&u->field->value, bytes, len);
        if (!u->is_in_file)
                return;
        u->size += (int64_t)len;
        if (u->fd < 0)
                return;
        int r = fs_write_all(u->fd, bytes, len);
        if (r == 0)
                r = hasher_add(u->hasher, bytes, len);
        if (r < 0)
                fail(u, r, "write");
        else if (u->size - u->synced >= (int64_t)WRITE_EARLY) {
                (void)sync_file_range(u->fd, u->synced, u->size - u->synced, SYNC_FILE_RANGE_WRITE);
                u->synced = u->size;
        }
}

static void end(void *arg)
{
        struct upload *u = arg;
        u->is_in_file = false;
        u->field = NULL;
}

/* ── the sink ── */

static void sink_write(void *arg, const void *bytes, size_t len)
{
        struct upload *u = arg;
        if (u && u->parts)
                (void)multipart_add(u->parts, bytes, len); /* upload_end() asks again */
}

static void sink_free(void *arg)
{
        struct upload *u = arg;
        if (!u)
                return;
        u->ota->n_uploads--;
        drop_file(u);
        multipart_free(u->parts);
        hasher_free(u->hasher);
        for (size_t i = 0; i < N_ELEMENTS(u->fields); i++)
                buf_fini(&u->fields[i].value);
        free(u->filename);
        free(u);
}

static struct upload *upload_new(struct ota *o, const char *content_type)
{
        struct upload *u = calloc(1, sizeof(*u));
        if (!u)
                return NULL;
        u->ota = o;
        o->n_uploads++;
        u->fd = -1;
        const struct multipart_reader reader = {.begin = begin, .data = data, .end = end, .arg = u};
        u->parts = multipart_new(content_type, &reader);
        return u;
}

/* POST …/softwaremodules/{id}/artifacts */
static bool is_upload(struct http_exchange *x)
{
        static const char prefix[] = "/rest/v1/softwaremodules/";
        const char *path = http_path(x);
        if (strcmp(http_method(x), "POST") != 0 || strncmp(path, prefix, sizeof(prefix) - 1) != 0)
                return false;
        const char *id = path + sizeof(prefix) - 1;
        return strcmp(id + strcspn(id, "/"), "/artifacts") == 0;
}

void upload_on_body(void *ota, struct http_exchange *x)
{
        const char *type = http_header(x, "Content-Type");
        if (!is_upload(x))
                return;
        struct ota *o = ota;
        bool is_wanted =
                http_header(x, "Authorization") && media_is_type(type, "multipart/form-data");
        if (is_wanted && o->n_uploads >= LIMIT_OTA_UPLOADS) {
                http_add_header(x, "Retry-After", "10");
                http_reply(x, 503, NULL, NULL, 0);
                return;
        }
        const struct http_sink sink = {.write = sink_write,
                .free = sink_free,
                .arg = is_wanted ? upload_new(o, type) : NULL,
                .max = MAX_UPLOAD_BYTES};
        http_set_sink(x, &sink);
}

/* ── afterwards ── */

int upload_end(struct upload *u)
{
        if (!u || !u->parts || !multipart_is_whole(u->parts))
                return -EINVAL;
        for (size_t i = 0; i < N_ELEMENTS(u->fields); i++) {
                if (u->fields[i].value.error)
                        return -EINVAL;
        }
        if (u->hasher && !u->failure.code && hasher_end(u->hasher, &u->hashes) < 0)
                fail(u, -EIO, "compute the hashes of");
        hasher_free(u->hasher); /* a request may be run again, and asks again then */
        u->hasher = NULL;
        return u->failure.code;
}

const char *upload_field(const struct upload *u, const char *name)
{
        for (size_t i = 0; i < N_ELEMENTS(u->fields); i++) {
                if (strcmp(u->fields[i].name, name) == 0)
                        return buf_text(&u->fields[i].value);
        }
        return NULL;
}

int upload_keep(struct upload *u, const char *path, struct err *err)
{
        CLEAN_MEM char *dir = strdup(path);
        if (!dir)
                return err_set(err, -ENOMEM, "out of memory");
        *strrchr(dir, '/') = '\0';
        if (fsync(u->fd) < 0)
                return err_errno(err, -errno, "cannot write '%s'", u->path);
        if (rename(u->path, path) < 0)
                return err_errno(err, -errno, "cannot write '%s'", path);
        free(u->path);
        u->path = NULL;
        return fs_sync_dir(dir, err);
}

void upload_tidy(struct ota *o)
{
        CLEAN_MEM char *dir = fs_join(o->artifacts_dir, INCOMING);
        DIR *d = dir ? opendir(dir) : NULL;
        struct dirent *e;
        while (d && (e = readdir(d))) {
                struct stat st;
                if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
                        clock_now_ms() - (int64_t)st.st_mtime * 1000 > DAY_MS)
                        (void)unlinkat(dirfd(d), e->d_name, 0);
        }
        if (d)
                closedir(d);
}
