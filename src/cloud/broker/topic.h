/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* The topics that mean something to the cloud. */
#include <stdbool.h>

/* `device/{VIN}/telemetry` and `device/{VIN}/update`: what goes into the stream. */
bool topic_is_kept(const char *topic);
