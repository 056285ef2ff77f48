/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* Any answer of the update server on stdout: as JSON, or a list as a table and an object as lines.
 */
#include "base/buf.h"

#include <stdbool.h>

/* An exit code. */
int api_print(const struct buf *answer, bool is_json);
