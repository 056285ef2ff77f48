/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the gateways are to be told, read from the database: the difference between what an action
 * asks of its target now and what the target was told already (table dmf_told). So nothing is
 * forgotten when the server or the broker goes, and nothing needs to be noted when an action
 * changes.
 *
 * A target hears of its withdrawn actions first; while one of those is unanswered it hears of no
 * other. Then it is told its next action (action_next), once each step: CONFIRM, DOWNLOAD,
 * DOWNLOAD_AND_INSTALL.
 */
#include "base/amqp_link.h"
#include "cloud/ota/action.h"

enum dmf_topic {
        DMF_TOPIC_NONE,
        DMF_TOPIC_CONFIRM,
        DMF_TOPIC_DOWNLOAD,
        DMF_TOPIC_INSTALL,
        DMF_TOPIC_CANCEL,
        DMF_TOPIC_ATTRIBUTES, /* a letter */
        DMF_TOPIC_DELETED,    /* a letter */
};

struct dmf_order {
        struct dmf_order *next;
        enum dmf_topic topic;
        int64_t tenant, target; /* target 0: it is gone */
        const char *tenant_name, *controller_id, *address, *token;
        int64_t action, ds;
        int64_t again_at;           /* DOWNLOAD: when the window opens; 0: never */
        bool is_closed;             /* CANCEL: of an action that has ended */
        int64_t letter, created_at; /* of a letter */
};

struct dmf_orders {
        struct dmf_order *head, **tail;
        size_t n;
};

void dmf_orders_init(struct dmf_orders *list);
/* Appends what the target is to be told; of the arena. Sets tx->tenant. May end an action that has
 * no maintenance window left. */
void dmf_orders_of_target(struct tx *tx, int64_t tenant, const char *controller_id, int64_t target,
        struct dmf_orders *list);
/* Appends letters, the oldest first, that come after `after`. */
void dmf_orders_of_letters(struct tx *tx, int64_t after, int limit, struct dmf_orders *list);
/* The broker has it: writes down what was told. */
void dmf_order_told(struct tx *tx, const struct dmf_order *o);
/* The target's device may have forgotten everything: its open actions are told again. */
void dmf_orders_forget(struct tx *tx, int64_t target);

const char *dmf_topic_word(enum dmf_topic topic, bool is_batch);
/* The body, of the arena, `urls` being the server's own addresses; `n` orders for one message.
 * Sets tx->tenant. */
const char *dmf_order_body(struct tx *tx, const struct dmf_order *const *orders, size_t n,
        const char *const *urls, size_t n_urls);
