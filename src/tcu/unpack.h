/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The content of an update package onto disk, for driveline-unpack only (it alone links
 * libarchive).
 *
 * A package is a zip of plain files and folders. Anything that could reach out of its folder, or be
 * more than it seems, is refused before the first byte is written: absolute paths, `..`, empty and
 * over-long names, control characters, links, devices, names that occur twice, more files or more
 * bytes than limits.h allows, and more than UNPACK_RATIO bytes for each packed one. Files are made
 * with O_EXCL below descriptors of folders that we made ourselves; only the x bit of their mode is
 * kept.
 */
#include "base/err.h"
#include "base/hash.h"
#include <stdint.h>

#define UNPACK_RATIO 250

/* Results: 0, UNPACK_REFUSED with the reason in `err`, or -errno of our own trouble. */
#define UNPACK_REFUSED 1

/* Compares the file's size and its best hash (SHA-256, else SHA-1, else MD5) with what was
 * promised, and syncs it. */
int unpack_check(int fd, uint64_t size, const struct hash_set *hashes, struct err *err);
/* Unpacks the zip into the new folder `dest`, synced. On failure what was written stays; the caller
 * removes it. */
int unpack_zip(int fd, const char *dest, struct err *err);
/* The same from a folder, without its `.git`. */
int unpack_folder(const char *source, const char *dest, struct err *err);
