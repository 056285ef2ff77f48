/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/slots.h"
#include "base/fs.h"
#include "base/json.h"
#include "wire/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct slots {
        char *dir;
        char *path[2];
        char *mark[2];
};

static int index_of(char slot)
{
        return slot == 'b';
}

int slots_open(const char *dir, struct slots **ret_slots, struct err *err)
{
        CLEAN(slots) struct slots *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->dir = strdup(dir);
        s->path[0] = fs_join(dir, "a");
        s->path[1] = fs_join(dir, "b");
        s->mark[0] = fs_join(dir, "a.json");
        s->mark[1] = fs_join(dir, "b.json");
        if (!s->dir || !s->path[0] || !s->path[1] || !s->mark[0] || !s->mark[1])
                return err_set(err, -ENOMEM, "out of memory");
        int r = fs_mkdir_p(dir, 0700, err);
        if (r)
                return r;
        *ret_slots = TAKE(s);
        return 0;
}

void slots_close(struct slots *s)
{
        for (int i = 0; i < 2; i++) {
                free(s->path[i]);
                free(s->mark[i]);
        }
        free(s->dir);
        free(s);
}

char slots_other(char slot)
{
        return slot == 'a' ? 'b' : 'a';
}

const char *slots_path(const struct slots *s, char slot)
{
        return s->path[index_of(slot)];
}

int slots_info(const struct slots *s, char slot, struct slot_info *ret)
{
        struct stat st;
        if (lstat(s->path[index_of(slot)], &st) || !S_ISDIR(st.st_mode))
                return -ENOENT;
        if (!fs_exists(s->mark[index_of(slot)]))
                return -ENOENT;
        CLEAN_JSON json_t *j = json_read_file(s->mark[index_of(slot)], NULL);
        if (!j || !json_bool(j, "complete", false))
                return -ENOENT;
        snprintf(ret->version, sizeof(ret->version), "%s", json_text(j, "version", "0"));
        snprintf(ret->sha256, sizeof(ret->sha256), "%s", json_text(j, "sha256", ""));
        snprintf(ret->action, sizeof(ret->action), "%s", json_text(j, "action", ""));
        return 0;
}

static bool is_complete(const struct slots *s, char slot)
{
        struct slot_info info;
        return slots_info(s, slot, &info) == 0;
}

char slots_current(const struct slots *s)
{
        CLEAN_MEM char *link = fs_join(s->dir, "current");
        char target[4] = "";
        if (!link || readlink(link, target, sizeof(target) - 1) != 1)
                return 0;
        if (target[0] != 'a' && target[0] != 'b')
                return 0;
        return is_complete(s, target[0]) ? target[0] : 0;
}

int slots_clear(struct slots *s, char slot, struct err *err)
{
        if (slots_current(s) == slot)
                return err_set(err, -EBUSY, "slot '%c' is the one that runs", slot);
        if (unlink(s->mark[index_of(slot)]) && errno != ENOENT)
                return err_errno(err, -errno, "cannot remove '%s'", s->mark[index_of(slot)]);
        int r = fs_sync_dir(s->dir, err); /* the mark must be gone before the content goes */
        if (r)
                return r;
        return fs_remove_tree(s->path[index_of(slot)], err);
}

/* The unpacker has synced the slot before; this comes after it and must last as long. */
static int make_executable(const char *path, struct err *err)
{
        CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fchmod(fd, 0755) || fsync(fd))
                return err_errno(err, -errno, "cannot make '%s' executable", path);
        return 0;
}

static int check_program(const char *dir, const char *program, struct err *err)
{
        if (!strchr(program, '/'))
                return 0; /* the system's, by PATH */
        if (program[0] == '/')
                return access(program, X_OK)
                               ? err_errno(err, -errno, "manifest: run_command needs '%s'", program)
                               : 0;
        CLEAN_MEM char *path = fs_join(dir, program);
        struct stat st;
        if (!path || strstr(program, "..") || lstat(path, &st) || !S_ISREG(st.st_mode))
                return err_set(err, -ENOENT,
                        "manifest: run_command names '%s', which the package doesn't have",
                        program);
        return st.st_mode & 0100 ? 0 : make_executable(path, err);
}

int slots_check(
        const struct slots *s, char slot, char version[DEPLOY_VERSION_SIZE], struct err *err)
{
        const char *dir = s->path[index_of(slot)];
        CLEAN_MANIFEST struct manifest m = {0};
        CLEAN_COMMAND struct command c = {0};
        int r = manifest_read(dir, &m, err);
        if (!r && (r = command_parse(m.run_command, &c, err)))
                err_prefix(err, "manifest: run_command");
        if (!r)
                r = check_program(dir, c.argv[0], err);
        if (!r && version)
                snprintf(version, DEPLOY_VERSION_SIZE, "%s", m.version[0] ? m.version : "0");
        return r;
}

int slots_complete(struct slots *s, char slot, const struct slot_info *info, struct err *err)
{
        CLEAN_JSON json_t *j = json_pack("{s:b,s:s,s:s,s:s}", "complete", 1, "version",
                info->version, "sha256", info->sha256, "action", info->action);
        if (!j)
                return err_set(err, -EINVAL, "version of slot '%c' is no UTF-8", slot);
        int r = fs_sync_dir(s->dir, err);
        if (r)
                return r;
        return json_write_file(s->mark[index_of(slot)], j, 0600, err);
}

int slots_select(struct slots *s, char slot, struct err *err)
{
        if (!is_complete(s, slot))
                return err_set(err, -ENOENT, "slot '%c' is not complete", slot);
        if (slots_current(s) == slot)
                return 0;
        CLEAN_MEM char *link = fs_join(s->dir, "current");
        CLEAN_MEM char *fresh = fs_join(s->dir, "current.new");
        if (!link || !fresh)
                return err_set(err, -ENOMEM, "out of memory");
        char target[2] = {slot};
        if (unlink(fresh) && errno != ENOENT)
                return err_errno(err, -errno, "cannot remove '%s'", fresh);
        if (symlink(target, fresh) || rename(fresh, link))
                return err_errno(err, -errno, "cannot make slot '%c' current", slot);
        return fs_sync_dir(s->dir, err);
}

char slots_repair(struct slots *s, char preferred, struct err *err)
{
        char current = slots_current(s);
        if (current)
                return current;
        const char order[] = {
                preferred ? preferred : 'a', slots_other(preferred ? preferred : 'a')};
        for (size_t i = 0; i < 2; i++)
                if (is_complete(s, order[i]) && !slots_select(s, order[i], err))
                        return order[i];
        return 0;
}
