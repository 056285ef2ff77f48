/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/amqp_incoming.h"

#include <inttypes.h>
#include <string.h>

/* A header or property that is longer can't be one of ours. */
#define MAX_TEXT_BYTES 4096

void amqp_incoming_clear(struct amqp_incoming *m)
{
        for (size_t i = 0; i < m->n_texts; i++)
                free(m->texts[i]);
        buf_fini(&m->body);
        *m = (struct amqp_incoming){0};
}

/* A copy that lives as long as the message; NULL and a fault if it is no text. */
static char *keep(struct amqp_incoming *m, const void *data, size_t len)
{
        char *text = NULL;
        if (len > MAX_TEXT_BYTES || (len && memchr(data, 0, len)))
                m->delivery.fault = "a header is too long or no text";
        else if (m->n_texts < N_ELEMENTS(m->texts))
                text = malloc(len + 1);
        if (!text)
                return NULL;
        if (len)
                memcpy(text, data, len);
        text[len] = '\0';
        m->texts[m->n_texts++] = text;
        return text;
}

static char *keep_bytes(struct amqp_incoming *m, amqp_bytes_t bytes)
{
        return keep(m, bytes.bytes, bytes.len);
}

static int64_t number_of(const amqp_field_value_t *v)
{
        switch (v->kind) {
        case AMQP_FIELD_KIND_I8:
                return v->value.i8;
        case AMQP_FIELD_KIND_U8:
                return v->value.u8;
        case AMQP_FIELD_KIND_I16:
                return v->value.i16;
        case AMQP_FIELD_KIND_U16:
                return v->value.u16;
        case AMQP_FIELD_KIND_I32:
                return v->value.i32;
        case AMQP_FIELD_KIND_U32:
                return v->value.u32;
        default:
                return v->value.i64;
        }
}

/* A value as text; NULL for tables, lists and what else is none. */
static char *keep_value(struct amqp_incoming *m, const amqp_field_value_t *v)
{
        char number[32];
        switch (v->kind) {
        case AMQP_FIELD_KIND_UTF8:
        case AMQP_FIELD_KIND_BYTES:
                return keep_bytes(m, v->value.bytes);
        case AMQP_FIELD_KIND_BOOLEAN:
                return v->value.boolean ? keep(m, "true", 4) : keep(m, "false", 5);
        case AMQP_FIELD_KIND_I8:
        case AMQP_FIELD_KIND_U8:
        case AMQP_FIELD_KIND_I16:
        case AMQP_FIELD_KIND_U16:
        case AMQP_FIELD_KIND_I32:
        case AMQP_FIELD_KIND_U32:
        case AMQP_FIELD_KIND_I64:
                snprintf(number, sizeof(number), "%" PRId64, number_of(v));
                return keep(m, number, strlen(number));
        default:
                return NULL;
        }
}

static void add_header(struct amqp_incoming *m, const amqp_table_entry_t *entry)
{
        struct amqp_delivery *d = &m->delivery;
        if (d->n_headers == AMQP_INCOMING_HEADERS)
                return;
        const char *value = keep_value(m, &entry->value);
        const char *name = value ? keep_bytes(m, entry->key) : NULL;
        if (name)
                m->headers[d->n_headers++] = (struct amqp_header){.name = name, .value = value};
}

void amqp_incoming_header(
        struct amqp_incoming *m, const amqp_basic_properties_t *p, uint64_t size, size_t max_body)
{
        struct amqp_delivery *d = &m->delivery;
        if (p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG)
                d->content_type = keep_bytes(m, p->content_type);
        if (p->_flags & AMQP_BASIC_REPLY_TO_FLAG)
                d->reply_to = keep_bytes(m, p->reply_to);
        if (p->_flags & AMQP_BASIC_CORRELATION_ID_FLAG)
                d->correlation_id = keep_bytes(m, p->correlation_id);
        if (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
                m->message_id = keep_bytes(m, p->message_id);
        if (p->_flags & AMQP_BASIC_HEADERS_FLAG) {
                for (int i = 0; i < p->headers.num_entries; i++)
                        add_header(m, &p->headers.entries[i]);
        }
        d->headers = m->headers;
        m->missing = size;
        m->body = BUF_INIT(max_body);
        if (size > max_body)
                d->fault = "the message is too large";
}

void amqp_incoming_body(struct amqp_incoming *m, const void *data, size_t len)
{
        m->missing -= len < m->missing ? len : m->missing;
        if (!m->delivery.fault && buf_add(&m->body, data, len) < 0)
                m->delivery.fault = "the message is too large";
        m->delivery.body = buf_text(&m->body);
        m->delivery.len = m->body.len;
}
