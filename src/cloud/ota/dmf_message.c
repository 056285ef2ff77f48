/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf_message.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_ADDRESS 512 /* what a target's address may be long (Management interface) */

static const struct kind {
        const char *type, *topic; /* topic NULL: any */
        enum dmf_kind kind;
        bool needs_thing, needs_body;
} kinds[] = {
        {"THING_CREATED", NULL, DMF_THING_CREATED, true, false},
        {"THING_REMOVED", NULL, DMF_THING_REMOVED, true, false},
        {"PING", NULL, DMF_PING, false, false},
        {"EVENT", "UPDATE_ATTRIBUTES", DMF_UPDATE_ATTRIBUTES, true, true},
        {"EVENT", "UPDATE_AUTO_CONFIRM", DMF_UPDATE_AUTO_CONFIRM, true, true},
        {"EVENT", "UPDATE_ACTION_STATUS", DMF_UPDATE_ACTION_STATUS, false, true},
};

static const char *const status_words[] = {"DOWNLOAD", "RETRIEVED", "RUNNING", "FINISHED", "ERROR",
        "WARNING", "CANCELED", "CANCEL_REJECTED", "DOWNLOADED", "CONFIRMED", "DENIED", NULL};
static const char *const mode_words[] = {"MERGE", "REPLACE", "REMOVE", NULL};

/* ── scalars ── */

static bool is_utf8(const char *text)
{
        size_t left = strlen(text);
        while (left > 0) {
                size_t n = utf8_length((const unsigned char *)text, left);
                if (n == 0)
                        return false;
                text += n;
                left -= n;
        }
        return true;
}

/* The index of the word, or -1. */
static int word_index(const char *const *words, const char *word)
{
        for (int i = 0; word && words[i]; i++) {
                if (strcmp(words[i], word) == 0)
                        return i;
        }
        return -1;
}

/* A whole number, also as text of digits; absent or null: DMF_NO_NUMBER. */
static int read_number(const json_t *body, const char *key, int64_t *ret, struct err *err)
{
        const json_t *v = json_object_get(body, key);
        const char *text = json_string_value(v);
        char *end = NULL;
        *ret = DMF_NO_NUMBER;
        if (!v || json_is_null(v))
                return 0;
        errno = 0;
        if (json_is_integer(v))
                *ret = json_integer_value(v);
        else if (text && *text)
                *ret = strtoll(text, &end, 10);
        if ((end && *end) || errno || *ret == DMF_NO_NUMBER)
                return err_set(err, -EINVAL, "'%s' is no whole number", key);
        return 0;
}

/* Absent or null: NULL. */
static int read_text(const json_t *body, const char *key, const char **ret, struct err *err)
{
        const json_t *v = json_object_get(body, key);
        *ret = json_string_value(v);
        if (v && !json_is_null(v) && !*ret)
                return err_set(err, -EINVAL, "'%s' is no text", key);
        return 0;
}

/* ── bodies ── */

/* Numbers and booleans become text, as over DDI. */
static json_t *attribute_text(const json_t *v)
{
        if (json_is_string(v) || json_is_null(v))
                return json_incref((json_t *)v);
        if (json_is_integer(v))
                return json_sprintf("%lld", (long long)json_integer_value(v));
        if (json_is_real(v))
                return json_sprintf("%.15g", json_real_value(v));
        if (json_is_boolean(v))
                return json_string(json_is_true(v) ? "true" : "false");
        return NULL;
}

static int read_attributes(const json_t *update, struct dmf_message *m, struct err *err)
{
        const json_t *mode = json_object_get(update, "mode");
        const json_t *map = json_object_get(update, "attributes");
        const char *key;
        json_t *value;
        if (!json_is_object(map))
                return err_set(err, -EINVAL, "'attributes' is missing or no object");
        int index = mode && !json_is_null(mode) ? word_index(mode_words, json_string_value(mode))
                                                : DMF_MERGE;
        if (index < 0)
                return err_set(err, -EINVAL, "'mode' is not MERGE, REPLACE or REMOVE");
        m->mode = (enum dmf_mode)index;
        m->attributes = json_object();
        json_object_foreach((json_t *)map, key, value)
        {
                json_t *text = attribute_text(value);
                if (!text || json_object_set_new(m->attributes, key, text) < 0)
                        return err_set(err, -EINVAL, "attribute '%.64s' is no scalar", key);
        }
        return 0;
}

static int read_created(struct dmf_message *m, struct err *err)
{
        const json_t *update = json_object_get(m->body, "attributeUpdate");
        int r = read_text(m->body, "name", &m->name, err);
        if (r == 0)
                r = read_text(m->body, "type", &m->type, err);
        if (r == 0 && update && !json_is_null(update))
                r = read_attributes(update, m, err);
        return r;
}

static int read_auto_confirm(struct dmf_message *m, struct err *err)
{
        const json_t *enabled = json_object_get(m->body, "enabled");
        if (enabled && !json_is_boolean(enabled))
                return err_set(err, -EINVAL, "'enabled' is neither true nor false");
        m->is_enabled = json_is_true(enabled);
        int r = read_text(m->body, "initiator", &m->initiator, err);
        return r < 0 ? r : read_text(m->body, "remark", &m->remark, err);
}

static int read_status(struct dmf_message *m, struct err *err)
{
        const json_t *texts = json_object_get(m->body, "message");
        int status = word_index(status_words, json_text(m->body, "actionStatus", NULL));
        size_t i;
        json_t *text;
        if (status < 0)
                return err_set(err, -EINVAL, "'actionStatus' is missing or unknown");
        m->status = (enum dmf_status)status;
        if (read_number(m->body, "actionId", &m->action, err) < 0 ||
                read_number(m->body, "timestamp", &m->at, err) < 0 ||
                read_number(m->body, "code", &m->code, err) < 0)
                return -EINVAL;
        if (m->action == DMF_NO_NUMBER)
                return err_set(err, -EINVAL, "'actionId' is missing");
        if (m->code != DMF_NO_NUMBER && (m->code < INT32_MIN || m->code > INT32_MAX))
                return err_set(err, -EINVAL, "'code' is out of range");
        if (!texts || json_is_null(texts))
                return 0;
        if (!json_is_array(texts))
                return err_set(err, -EINVAL, "'message' is no array");
        json_array_foreach((json_t *)texts, i, text)
        {
                if (!json_is_string(text))
                        return err_set(err, -EINVAL, "'message' holds what is no text");
        }
        m->texts = texts;
        return 0;
}

static int read_body(const struct amqp_delivery *d, const struct kind *kind, struct dmf_message *m,
        struct err *err)
{
        bool is_used = kind->needs_body || (kind->kind == DMF_THING_CREATED && d->len > 0);
        if (!is_used)
                return 0;
        if (d->len == 0)
                return err_set(err, -EINVAL, "the body is missing");
        if (!d->content_type || !strcasestr(d->content_type, "json"))
                return err_set(err, -EINVAL, "the content type is not JSON");
        m->body = json_parse(d->body, d->len, err);
        if (!m->body)
                return -EINVAL;
        if (!json_is_object(m->body))
                return err_set(err, -EINVAL, "the body is no object");
        switch (kind->kind) {
        case DMF_THING_CREATED:
                return read_created(m, err);
        case DMF_UPDATE_ATTRIBUTES:
                return read_attributes(m->body, m, err);
        case DMF_UPDATE_AUTO_CONFIRM:
                return read_auto_confirm(m, err);
        case DMF_UPDATE_ACTION_STATUS:
                return read_status(m, err);
        default:
                return 0;
        }
}

/* ── headers ── */

static const char *header(const struct amqp_delivery *d, const char *name)
{
        for (size_t i = 0; i < d->n_headers; i++) {
                if (strcmp(d->headers[i].name, name) == 0)
                        return d->headers[i].value;
        }
        return NULL;
}

static const struct kind *find_kind(const struct amqp_delivery *d, struct err *err)
{
        const char *type = header(d, "type"), *topic = header(d, "topic");
        if (!type) {
                err_set(err, -EINVAL, "the header 'type' is missing");
                return NULL;
        }
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                const struct kind *k = &kinds[i];
                if (strcmp(k->type, type) == 0 &&
                        (!k->topic || (topic && strcmp(k->topic, topic) == 0)))
                        return k;
        }
        err_set(err, -EINVAL, "the type '%.64s' with the topic '%.64s' is unknown", type,
                topic ? topic : "");
        return NULL;
}

static int read_headers(const struct amqp_delivery *d, const struct kind *kind,
        struct dmf_message *m, struct err *err)
{
        m->kind = kind->kind;
        m->tenant = header(d, "tenant");
        m->thing = header(d, "thingId");
        m->reply_to = d->reply_to && *d->reply_to ? d->reply_to : NULL;
        m->correlation_id = d->correlation_id && *d->correlation_id ? d->correlation_id : NULL;
        if (!m->tenant || !*m->tenant || !is_utf8(m->tenant))
                return err_set(err, -EINVAL, "the header 'tenant' is missing or no text");
        if (m->thing && (!*m->thing || !is_utf8(m->thing)))
                return err_set(err, -EINVAL, "the header 'thingId' is empty or no text");
        if (kind->needs_thing && !m->thing)
                return err_set(err, -EINVAL, "the header 'thingId' is missing");
        if ((m->reply_to && !is_utf8(m->reply_to)) ||
                (m->correlation_id && !is_utf8(m->correlation_id)))
                return err_set(err, -EINVAL, "a property is no text");
        bool needs_reply =
                m->kind == DMF_THING_CREATED || (m->kind == DMF_PING && m->correlation_id);
        if (needs_reply && !m->reply_to)
                return err_set(err, -EINVAL, "the property 'reply_to' is missing");
        return 0;
}

int dmf_message_read(const struct amqp_delivery *d, struct dmf_message *ret, struct err *err)
{
        struct dmf_message m = {0};
        if (d->fault)
                return err_set(err, -EINVAL, "%s", d->fault);
        const struct kind *kind = find_kind(d, err);
        if (!kind)
                return -EINVAL;
        int r = read_headers(d, kind, &m, err);
        if (r == 0)
                r = read_body(d, kind, &m, err);
        if (r < 0)
                dmf_message_fini(&m);
        else
                *ret = m;
        return r;
}

void dmf_message_fini(struct dmf_message *m)
{
        json_decref(m->body);
        json_decref(m->attributes);
        *m = (struct dmf_message){0};
}

/* ── addresses ── */

char *dmf_address(const char *vhost, const char *exchange)
{
        CLEAN_BUF struct buf b = BUF_INIT(MAX_ADDRESS);
        buf_adds(&b, "amqp://");
        if (strcmp(vhost, "/") != 0)
                buf_add_url(&b, vhost);
        buf_addc(&b, '/');
        buf_add_url(&b, exchange);
        return b.error ? NULL : buf_take(&b);
}

static int hex_digit(char c)
{
        return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

int dmf_address_exchange(const char *address, char *ret, size_t size)
{
        size_t n = 0;
        if (strncasecmp(address, "amqp:", 5) != 0)
                return -EINVAL;
        const char *p = address + 5;
        if (strncmp(p, "//", 2) == 0)
                p += 2 + strcspn(p + 2, "/");
        p += *p == '/';
        for (; *p; p++) {
                char c = *p;
                if (c == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
                        c = (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
                        p += 2;
                }
                if (!c || n + 1 >= size)
                        return -EINVAL;
                ret[n++] = c;
        }
        ret[n] = '\0';
        return n ? 0 : -EINVAL;
}
