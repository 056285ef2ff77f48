/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/ddi.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Every document is given to all three readers: a server may answer anything anywhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        const char *text = (const char *)data;
        struct err err = ERR_INIT;
        CLEAN_DDI_POLL struct ddi_poll poll = {.sleep_ms = -1};
        if (!ddi_poll_parse(text, len, &poll, &err))
                assert(poll.sleep_ms >= -1);
        CLEAN_DDI_DEPLOYMENT struct ddi_deployment deployment = {0};
        if (!ddi_deployment_parse(text, len, &deployment, &err)) {
                const struct ddi_chunk *chunk;
                const struct ddi_artifact *artifact;
                assert(ddi_id_is_valid(deployment.id));
                if (!ddi_deployment_package(&deployment, &chunk, &artifact, &err))
                        assert(chunk && artifact);
        }
        struct ddi_cancel cancel;
        if (!ddi_cancel_parse(text, len, &cancel, &err))
                assert(ddi_id_is_valid(cancel.stop_id));
        return 0;
}
