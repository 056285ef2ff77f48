/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* A gateway's message: lines `name: value` up to an empty one, then the body. The properties are
 * among the lines. What reads as a message must keep what its kind promises. */
#include "cloud/ota/arena.h"
#include "cloud/ota/dmf_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADERS 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        struct arena arena;
        struct amqp_header headers[MAX_HEADERS];
        struct amqp_delivery delivery;
};

static void add_line(struct input *in, char *line)
{
        struct amqp_delivery *d = &in->delivery;
        char *value = strstr(line, ": ");
        if (!value)
                return;
        *value = '\0';
        value += 2;
        if (strcmp(line, "content-type") == 0)
                d->content_type = value;
        else if (strcmp(line, "reply-to") == 0)
                d->reply_to = value;
        else if (strcmp(line, "correlation-id") == 0)
                d->correlation_id = value;
        else if (d->n_headers < MAX_HEADERS)
                in->headers[d->n_headers++] = (struct amqp_header){line, value};
}

static void read_input(struct input *in, const uint8_t *data, size_t size)
{
        const uint8_t *end;
        while (size && (end = memchr(data, '\n', size)) && end != data) {
                add_line(in, arena_strndup(&in->arena, (const char *)data, (size_t)(end - data)));
                size -= (size_t)(end + 1 - data);
                data = end + 1;
        }
        if (size) { /* the empty line */
                data++;
                size--;
        }
        in->delivery.headers = in->headers;
        in->delivery.body = (const char *)data;
        in->delivery.len = size;
}

static void check(const struct dmf_message *m)
{
        bool has_map = m->kind == DMF_UPDATE_ATTRIBUTES || m->kind == DMF_THING_CREATED;
        if (!m->tenant || (m->kind == DMF_THING_CREATED && (!m->thing || !m->reply_to)) ||
                (m->kind == DMF_UPDATE_ATTRIBUTES && !m->attributes) ||
                (m->attributes && !has_map) ||
                (m->kind == DMF_UPDATE_ACTION_STATUS && m->action == DMF_NO_NUMBER))
                abort();
}

/* The exchange that an address is made of comes out of it again. */
static void check_address(const char *exchange)
{
        char back[AMQP_LINK_TEXT_SIZE];
        CLEAN_MEM char *address = dmf_address("/", exchange);
        if (address && *exchange && strlen(exchange) < sizeof(back) &&
                (dmf_address_exchange(address, back, sizeof(back)) < 0 ||
                        strcmp(back, exchange) != 0))
                abort();
        (void)dmf_address_exchange(exchange, back, sizeof(back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = {0};
        struct dmf_message m;
        struct amqp_address broker;
        struct err err = ERR_INIT;
        read_input(&in, data, size);
        if (dmf_message_read(&in.delivery, &m, &err) == 0) {
                check(&m);
                if (m.reply_to)
                        check_address(m.reply_to);
                dmf_message_fini(&m);
        } else if (!*err.text) {
                abort();
        }
        char *text = arena_strndup(&in.arena, (const char *)data, size);
        if (amqp_address_parse(text, &broker, NULL) == 0 && (!*broker.host || broker.port < 1))
                abort();
        arena_fini(&in.arena);
        return 0;
}
