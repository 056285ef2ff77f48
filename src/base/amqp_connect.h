/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* One attempt to connect, in a thread of its own. */
#include "base/amqp_link.h"

#include <amqp.h>

/* Channels of a connection: one to consume, one to publish, one to ask for exchanges. */
#define AMQP_CHANNEL_CONSUME 1
#define AMQP_CHANNEL_PUBLISH 2
#define AMQP_CHANNEL_ASK 3

struct amqp_attempt;

/* `done` fd becomes readable when it ended. Options must outlive nothing: they are copied. */
struct amqp_attempt *amqp_attempt_start(const struct amqp_link_options *options);
int amqp_attempt_fd(const struct amqp_attempt *a);
/* After the end: the connection, which is the caller's then, or NULL with the reason. */
amqp_connection_state_t amqp_attempt_take(struct amqp_attempt *a, struct err *err);
/* At any time; an attempt that still runs ends by itself and takes its connection with it. */
void amqp_attempt_drop(struct amqp_attempt *a);
/* A method's refusal in the broker's words. */
void amqp_refusal(const amqp_method_t *method, char *text, size_t size);
