/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Files: whole reads with a ceiling, writes that survive a power cut, trees.
 * Paths are borrowed. Messages name the path; "no space left" and "permission denied" say so.
 */
#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>
#include <sys/types.h>

/* Reads the whole file into `ret` (appended); -E2BIG beyond its ceiling. */
int fs_read(const char *path, struct buf *ret, struct err *err);
/* Writes all `len` bytes to a new file beside `path`, syncs it, renames it over `path` and syncs
 * the folder: after a crash `path` is the old file or the new one. */
int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err);
/* write(2) until all is written. */
int fs_write_all(int fd, const void *data, size_t len);
int fs_sync_dir(const char *path, struct err *err);
/* Makes the folder and those above it; fine if it is there. */
int fs_mkdir_p(const char *path, mode_t mode, struct err *err);
/* Removes the tree without following links; fine if it isn't there. */
int fs_remove_tree(const char *path, struct err *err);
/* fsync of each file and folder below and of `path` itself. */
int fs_sync_tree(const char *path, struct err *err);
bool fs_exists(const char *path);
/* Bytes that an unprivileged user may still write on that file system; -errno on failure. */
int fs_free_bytes(const char *path, uint64_t *ret_bytes);
/* `dir`/`name` as malloc()ed text; NULL when out of memory. */
char *fs_join(const char *dir, const char *name) MUST_CHECK;
/* The folder that holds this program's own file (`/proc/self/exe`), malloc()ed. */
char *fs_program_dir(void) MUST_CHECK;
