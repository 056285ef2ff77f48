/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The app's answer line. What the seam accepts goes into the car's message as it stands, so the
 * JSON library must accept it as well. */
#include "base/json.h"
#include "wire/seam.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *line = (const char *)data;
        struct seam_actuators actuators = seam_actuators_default();
        struct seam_answer answer;
        if (seam_parse_answer(line, size, &actuators, &answer, NULL) < 0)
                return 0;
        CLEAN_JSON json_t *whole = json_parse(line, size, NULL);
        if (!whole)
                abort();
        if (!(actuators.regen_torque_fraction >= 0 && actuators.regen_torque_fraction <= 1))
                abort();
        if (answer.telemetry) {
                CLEAN_JSON json_t *telemetry =
                        json_parse(answer.telemetry, answer.telemetry_len, NULL);
                if (!json_is_object(telemetry) || json_object_size(telemetry) == 0)
                        abort();
        }
        return 0;
}
