/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "car.h"

/* The subsystems in the order of their telemetry. A new one is a file and a line here. */
#define SUBSYSTEMS(X)                                                                              \
        X(engine)                                                                                  \
        X(battery)                                                                                 \
        X(air_conditioning)                                                                        \
        X(airbag)                                                                                  \
        X(heat_seats)                                                                              \
        X(abs)

#define DECLARE(name) extern const struct subsystem name##_subsystem;
#define LIST(name) &name##_subsystem,

SUBSYSTEMS(DECLARE)

const struct subsystem *const subsystems[] = {SUBSYSTEMS(LIST) 0};
