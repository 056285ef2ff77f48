/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/ota/cbor.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        json_t *v = cbor_decode(data, size);
        if (v) { /* what was read can be written */
                CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(16));
                if (cbor_encode(v, &b) < 0)
                        abort();
                json_decref(v);
        }
        return 0;
}
