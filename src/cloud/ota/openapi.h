/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* The interface described for machines (OpenAPI 3), made from the route table and the shapes of
 * bodies. */
#include "base/json.h"
#include "cloud/ota/route.h"

#include <stdbool.h>

/* A new document of the tables asked for. */
json_t *openapi_document(bool has_management, bool has_devices);
/* The same for persons: a plain page that lists every route. Text of `b`. */
int openapi_page(struct buf *b);
