/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Whether a database of another process has changed, without opening it: the size and the time of
 * change of the file and of its write-ahead log. Costs two stat(2) and takes no lock. It may change
 * without a commit (a checkpoint), which only means one look too many.
 */
#include <stdint.h>

uint64_t generation_of_db(const char *path);
