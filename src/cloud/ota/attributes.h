/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* What a device says about itself, key by key, over whichever interface. */
#include "base/json.h"
#include "cloud/ota/tx.h"

enum attributes_mode { ATTRIBUTES_MERGE, ATTRIBUTES_REPLACE, ATTRIBUTES_REMOVE };

/* `data` maps keys to texts, or to null to delete them. Merging and replacing answer the request
 * for attributes. -1 with a problem: a key or value can't be, or there are too many. */
int attributes_put(
        struct tx *tx, int64_t target, const json_t *data, enum attributes_mode mode) MUST_CHECK;
