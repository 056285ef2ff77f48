/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* A software module: one piece of software in one version, of a module type, with its artifacts. */
#include "cloud/ota/tx.h"

struct module {
        int64_t id, type;
        const char *name, *version, *description, *vendor;
        bool is_locked, is_deleted;
};

bool module_find(struct tx *tx, int64_t id, struct module *ret);
int module_require(struct tx *tx, int64_t id, struct module *ret);
void module_touch(struct tx *tx, int64_t id);
