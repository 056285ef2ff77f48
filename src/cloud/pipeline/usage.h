/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* What a running build uses, by looking: its processes in /proc and its folder. */
#include <stdint.h>
#include <sys/types.h>

/* Memory that `root` and its descendants do not share with files, in bytes. Pages that a fork
 * shares count for each process. */
int64_t usage_memory(pid_t root);
/* Bytes on disk below `path`; stops counting beyond `enough`. Links are not followed. */
int64_t usage_disk(const char *path, int64_t enough);
