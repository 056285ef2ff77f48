/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/usage.h"
#include "base/clean.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define USAGE_MAX_PROCESSES 65536

struct entry {
        pid_t pid;
        pid_t parent;
        bool is_ours;
};

/* Reads a small file of /proc; false when the process has gone. */
static bool read_proc(pid_t pid, const char *name, char *text, size_t size)
{
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
        if (n <= 0)
                return false;
        text[n] = 0;
        return true;
}

/* `PID (name) STATE PPID …`, where the name may hold blanks and parentheses. */
static pid_t parent_of(pid_t pid)
{
        char text[512];
        if (!read_proc(pid, "stat", text, sizeof(text)))
                return 0;
        const char *end = strrchr(text, ')');
        int parent = 0;
        if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
                return 0;
        return parent;
}

static size_t list_processes(struct entry **ret)
{
        DIR *dir = opendir("/proc");
        struct entry *list = NULL;
        size_t n = 0, cap = 0;
        for (struct dirent *e; dir && n < USAGE_MAX_PROCESSES && (e = readdir(dir));) {
                pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
                if (pid <= 0)
                        continue;
                if (n == cap) {
                        struct entry *more = reallocarray(list, cap ? cap * 2 : 256, sizeof(*list));
                        if (!more)
                                break;
                        list = more;
                        cap = cap ? cap * 2 : 256;
                }
                list[n++] = (struct entry){.pid = pid, .parent = parent_of(pid)};
        }
        if (dir)
                closedir(dir);
        *ret = list;
        return n;
}

static int by_pid(const void *a, const void *b)
{
        return ((const struct entry *)a)->pid - ((const struct entry *)b)->pid;
}

/* A child may stand before its parent once pids have wrapped, so until nothing changes any more. */
static void mark_descendants(struct entry *list, size_t n, pid_t root)
{
        bool changed = true;
        if (n)
                qsort(list, n, sizeof(*list), by_pid);
        for (size_t i = 0; i < n; i++)
                list[i].is_ours = list[i].pid == root;
        while (changed) {
                changed = false;
                for (size_t i = 0; i < n; i++) {
                        if (list[i].is_ours)
                                continue;
                        const struct entry key = {.pid = list[i].parent};
                        const struct entry *parent = bsearch(&key, list, n, sizeof(*list), by_pid);
                        if (parent && parent->is_ours)
                                changed = list[i].is_ours = true;
                }
        }
}

static int64_t field_kib(const char *text, const char *name)
{
        const char *p = strstr(text, name);
        return p ? strtoll(p + strlen(name), NULL, 10) : 0;
}

int64_t usage_memory(pid_t root)
{
        CLEAN_MEM struct entry *list = NULL;
        size_t n = list_processes(&list);
        mark_descendants(list, n, root);
        int64_t kib = 0;
        for (size_t i = 0; i < n; i++) {
                char text[4096];
                if (list[i].is_ours && read_proc(list[i].pid, "status", text, sizeof(text)))
                        kib += field_kib(text, "\nRssAnon:") + field_kib(text, "\nVmSwap:");
        }
        return kib * 1024;
}

/* A build may nest folders deeper than there are descriptors; what is below isn't counted, and
 * cannot be packed or run either. */
#define USAGE_MAX_DEPTH 100

static int64_t add_folder(int fd, int64_t enough, int depth)
{
        DIR *dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return 0;
        }
        int64_t sum = 0;
        for (struct dirent *e; sum <= enough && (e = readdir(dir));) {
                struct stat st;
                if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
                        fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                sum += (int64_t)st.st_blocks * 512;
                if (!S_ISDIR(st.st_mode) || depth == USAGE_MAX_DEPTH)
                        continue;
                int sub = openat(
                        dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (sub >= 0)
                        sum += add_folder(sub, enough - sum, depth + 1);
        }
        closedir(dir);
        return sum;
}

int64_t usage_disk(const char *path, int64_t enough)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? 0 : add_folder(fd, enough, 0);
}
