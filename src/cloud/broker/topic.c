/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/broker/topic.h"

#include <string.h>

bool topic_is_kept(const char *topic)
{
        if (strncmp(topic, "device/", 7))
                return false;
        const char *vin = topic + 7, *slash = strchr(vin, '/');
        return slash && slash != vin && (!strcmp(slash, "/telemetry") || !strcmp(slash, "/update"));
}
