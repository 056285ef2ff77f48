/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/store/ingest.h"

#include <errno.h>
#include <string.h>

int ingest_init(struct ingest *in, struct store *store, struct rule_set *rules, struct err *err)
{
        *in = (struct ingest){.store = store, .rules = *rules};
        *rules = (struct rule_set){0};
        in->message = telemetry_new();
        in->selected = telemetry_new();
        if (in->message && in->selected)
                return 0;
        ingest_fini(in);
        return err_set(err, -ENOMEM, "out of memory");
}

void ingest_fini(struct ingest *in)
{
        rule_set_fini(&in->rules);
        telemetry_free(in->message);
        telemetry_free(in->selected);
        *in = (struct ingest){0};
}

/* `device/NAME/…` is NAME's own; what is said there must be about NAME. */
static int check_topic(
        const struct stream_record *record, const struct telemetry *m, struct err *err)
{
        static const char prefix[] = "device/";
        if (!m->has_device_id)
                return err_set(err, -EINVAL, "DeviceID is missing");
        if (strncmp(record->topic, prefix, sizeof(prefix) - 1))
                return 0;
        const char *name = record->topic + sizeof(prefix) - 1;
        size_t len = strcspn(name, "/");
        if (len == m->device_id.len && !memcmp(name, m->device_id.at, len))
                return 0;
        return err_set(err, -EINVAL, "DeviceID '%.*s' on a topic of '%.*s'", (int)m->device_id.len,
                m->device_id.at, (int)len, name);
}

static int refuse(struct ingest *in, const struct stream_record *record, const struct err *reason,
        struct err *err)
{
        in->refused++;
        return store_refuse(in->store, record->topic, record->payload, record->len, record->time_ms,
                reason->text, err);
}

static const char *last_level(const char *topic)
{
        const char *slash = strrchr(topic, '/');
        return slash ? slash + 1 : topic;
}

int ingest_record(struct ingest *in, const struct stream_record *record, struct err *err)
{
        const struct telemetry *m = NULL;
        const struct rule_entry *rule = NULL;
        struct err reason = ERR_INIT;
        if (!rule_set_takes_topic(&in->rules, record->topic)) {
                in->ignored++;
                return 0;
        }
        int r = telemetry_parse(in->message, record->payload, record->len, &reason);
        if (!r)
                r = check_topic(record, in->message, &reason);
        if (!r)
                r = rule_set_apply(&in->rules, record->topic, record->time_ms, in->message,
                        in->selected, &m, &rule, &reason);
        if (r < 0)
                return refuse(in, record, &reason, err);
        if (r == RULE_NO_MATCH) {
                in->ignored++;
                return 0;
        }
        r = store_put(in->store, m, last_level(record->topic), record->time_ms, &reason);
        if (r == STORE_REFUSED)
                return refuse(in, record, &reason, err);
        if (r < 0) {
                if (err)
                        *err = reason;
                return r;
        }
        in->duplicates += r == STORE_DUPLICATE;
        in->stored += r == 0;
        return 0;
}

/* From `record`, which was read before the batch began, on. */
static int ingest_all(struct ingest *in, struct stream_reader *reader, struct stream_record *record,
        size_t max, size_t *ret_n, struct err *err)
{
        int r = 0;
        for (*ret_n = 0; !r && *ret_n < max; ++*ret_n) {
                if (*ret_n)
                        r = stream_next(reader, record, err);
                if (!r)
                        r = ingest_record(in, record, err);
                if (r == STREAM_EMPTY)
                        return 0;
        }
        return r;
}

int ingest_batch(
        struct ingest *in, struct stream_reader *reader, size_t max, size_t *ret_n, struct err *err)
{
        struct stream_record record;
        *ret_n = 0;
        int r = stream_next(reader, &record, err);
        if (r)
                return r == STREAM_EMPTY ? 0 : r;
        r = store_begin(in->store, err);
        if (r)
                return r;
        r = ingest_all(in, reader, &record, max, ret_n, err);
        if (!r)
                return store_commit(in->store, stream_reader_offset(reader), err);
        store_rollback(in->store);
        return r;
}
