/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once

/* The share of each braking that the motor is asked to do, 0…1. The friction brakes do the rest:
 * they turn it into heat, the motor returns it to the battery. */
#define REGEN_BLEND 0.30
