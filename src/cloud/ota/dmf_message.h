/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Messages of the Device Management Federation (DMF) that come from a gateway, as structs. Pure:
 * headers and body in, a message or the reason of its refusal out.
 *
 *   header type          topic                  body
 *   THING_CREATED                               none or {"name","type","attributeUpdate":{…}}
 *   THING_REMOVED                               none
 *   PING                                        none
 *   EVENT                UPDATE_ATTRIBUTES      {"attributes":{…},"mode":"MERGE"}
 *   EVENT                UPDATE_AUTO_CONFIRM    {"enabled":true,"initiator","remark"}
 *   EVENT                UPDATE_ACTION_STATUS   {"actionId","actionStatus","timestamp","message":[…],"code"}
 */
#include "base/amqp_link.h"
#include "base/json.h"

enum dmf_kind {
        DMF_THING_CREATED,
        DMF_THING_REMOVED,
        DMF_PING,
        DMF_UPDATE_ATTRIBUTES,
        DMF_UPDATE_AUTO_CONFIRM,
        DMF_UPDATE_ACTION_STATUS,
};

enum dmf_status { /* actionStatus */
        DMF_DOWNLOAD,
        DMF_RETRIEVED,
        DMF_RUNNING,
        DMF_FINISHED,
        DMF_ERROR,
        DMF_WARNING,
        DMF_CANCELED,
        DMF_CANCEL_REJECTED,
        DMF_DOWNLOADED,
        DMF_CONFIRMED,
        DMF_DENIED,
};

enum dmf_mode { DMF_MERGE, DMF_REPLACE, DMF_REMOVE };

#define DMF_NO_NUMBER INT64_MIN

/* Texts are borrowed from the delivery and from `body`. */
struct dmf_message {
        enum dmf_kind kind;
        const char *tenant;
        const char *thing;          /* NULL: none, which only some kinds may lack */
        const char *reply_to;       /* NULL: none; THING_CREATED and PING with an id have it */
        const char *correlation_id; /* NULL: none */
        json_t *body;               /* owned; NULL: none */
        /* THING_CREATED */
        const char *name, *type; /* NULL: not said; an empty type takes it away */
        /* THING_CREATED and UPDATE_ATTRIBUTES: values are texts, or null to delete; NULL: none */
        json_t *attributes; /* owned */
        enum dmf_mode mode;
        /* UPDATE_AUTO_CONFIRM */
        bool is_enabled;
        const char *initiator, *remark; /* NULL: not said */
        /* UPDATE_ACTION_STATUS */
        int64_t action;
        enum dmf_status status;
        int64_t at, code;    /* DMF_NO_NUMBER: not said */
        const json_t *texts; /* array of strings; NULL: none */
};

/* -EINVAL with the reason, in words for the log; `ret` needs no end then. */
int dmf_message_read(
        const struct amqp_delivery *d, struct dmf_message *ret, struct err *err) MUST_CHECK;
void dmf_message_fini(struct dmf_message *m);

/* The address that a target with this reply exchange has: `amqp://<vhost>/<exchange>`, malloc()ed,
 * and the exchange of such an address; -EINVAL: it is another kind of address. */
char *dmf_address(const char *vhost, const char *exchange);
int dmf_address_exchange(const char *address, char *ret, size_t size);
