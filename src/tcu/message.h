/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The messages of the car: what the app measured, or what the updater did, with the members that
 * the agent itself adds (DeviceID, Timestamp, Sequence, SoftwareVersion). Text in, text out.
 */
#include "base/buf.h"
#include "tcu/deploy.h"
#include <stdint.h>

struct message_head {
        const char *device;
        int64_t time_ms;
        uint64_t sequence;
        const char *version; /* of the app that runs */
};

/* `telemetry` is the app's JSON object, checked by seam_parse_answer(): it holds none of our names.
 * Its bytes go out as they came, since a number that is read and printed again is another number.
 */
int message_telemetry(
        struct buf *b, const struct message_head *head, const char *telemetry, size_t len);

/* `state` as of the contract: downloading, downloaded, installing, trial, confirmed, failed or
 * rolled_back; `cause` "" where there is none. */
struct message_event {
        const char *action, *state, *from, *to, *cause;
};
int message_update(struct buf *b, const struct message_head *head, const struct message_event *e);
