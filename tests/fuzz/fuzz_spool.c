/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/spool.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct spool_scan scan, again;
        spool_scan(data, len, &scan);
        assert(scan.good_bytes <= len);
        assert(!scan.records == !scan.good_bytes);
        assert(!scan.records || scan.last - scan.first + 1 == scan.records);
        /* What is kept of a damaged segment is whole. */
        spool_scan(data, scan.good_bytes, &again);
        assert(again.records == scan.records && again.good_bytes == scan.good_bytes && !again.torn);
        return 0;
}
