/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* A message on its way in: a method, a header and as many pieces of body as it takes. */
#include "base/amqp_link.h"
#include "base/buf.h"

#include <amqp.h>
#include <amqp_framing.h>

#define AMQP_INCOMING_HEADERS 32 /* hawkBit's messages have four or five */

struct amqp_incoming {
        struct amqp_delivery delivery;
        struct amqp_header headers[AMQP_INCOMING_HEADERS];
        char *texts[2 * AMQP_INCOMING_HEADERS + 4]; /* what the delivery points to */
        size_t n_texts;
        struct buf body;
        uint64_t missing; /* of the body */
        char *message_id; /* NULL: none */
};

void amqp_incoming_clear(struct amqp_incoming *m);
/* The header frame; what can't be kept becomes the delivery's fault. */
void amqp_incoming_header(
        struct amqp_incoming *m, const amqp_basic_properties_t *p, uint64_t size, size_t max_body);
void amqp_incoming_body(struct amqp_incoming *m, const void *data, size_t len);
