/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/manifest.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        CLEAN_MANIFEST struct manifest m = {0};
        struct err err = ERR_INIT;
        if (manifest_parse((const char *)data, len, &m, &err)) {
                assert(err.code < 0 && err.text[0] && !m.name);
                return 0;
        }
        assert(m.name[0] && m.run_command[0] && m.version && m.language && m.compiler);
        CLEAN_COMMAND struct command c = {0};
        if (!command_parse(m.run_command, &c, &err))
                assert(c.argc && c.argv[0][0] && !c.argv[c.argc]);
        return 0;
}
