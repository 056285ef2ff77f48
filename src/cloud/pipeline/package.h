/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The update package: a zip of a built folder with manifest.xml at its root.
 *
 * Its bytes depend on the files' names, contents and executable bits and on `mtime_s` alone:
 * entries are sorted, and owners, other times and the order of the folder are left out. It takes
 * plain files only, because that is all a car unpacks. Without patterns everything is in but what
 * never runs in a car: names that begin with a dot, `*.o`, `*.pyc`, `__pycache__`, and
 * buildspec.yml at the root. The process' time zone must be UTC (zip stores local time).
 */
#include "base/err.h"
#include "base/hash.h"
#include <stddef.h>
#include <stdint.h>

struct package {
        uint64_t size;
        struct hash_set hashes;
        size_t n_files;
};

/* Writes `path` anew. */
int package_write(const char *dir, char *const *patterns, size_t n_patterns, int64_t mtime_s,
        const char *path, struct package *ret, struct err *err);
