/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/message.h"
#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

static void member(struct buf *b, const char *name, const char *value)
{
        buf_addf(b, "\"%s\":", name);
        buf_add_json_string(b, value, strlen(value));
}

static void add_head(struct buf *b, const struct message_head *h)
{
        char time[CLOCK_ISO8601_SIZE];
        clock_iso8601(h->time_ms, time);
        buf_addc(b, '{');
        member(b, "DeviceID", h->device);
        buf_addf(b, ",\"Timestamp\":\"%s\",\"Sequence\":%" PRIu64 ",", time, h->sequence);
        member(b, "SoftwareVersion", h->version);
}

int message_telemetry(
        struct buf *b, const struct message_head *head, const char *telemetry, size_t len)
{
        add_head(b, head);
        buf_addc(b, ',');
        buf_add(b, telemetry + 1, len - 2);
        return buf_addc(b, '}');
}

int message_update(struct buf *b, const struct message_head *head, const struct message_event *e)
{
        add_head(b, head);
        buf_adds(b, ",\"Update\":{");
        member(b, "Action", e->action);
        buf_addc(b, ',');
        member(b, "State", e->state);
        buf_addc(b, ',');
        member(b, "From", e->from);
        buf_addc(b, ',');
        member(b, "To", e->to);
        buf_addc(b, ',');
        member(b, "Cause", e->cause);
        return buf_adds(b, "}}");
}
