/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* Server-sent events as text (WHATWG HTML, section 9.2): pure framing, no I/O. */
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* Appends one event. Line ends inside `data` become further data lines, so nothing that a device
 * sent can end the event and begin another one. `id` NULL: the event has none, and the client keeps
 * the last one. */
int sse_add_event(
        struct buf *b, const char *name, const uint64_t *id, const char *data, size_t len);

/* Reads an id that we gave out, as Last-Event-ID brings it back. False for NULL and anything else.
 */
bool sse_parse_id(const char *text, uint64_t *ret_id);
