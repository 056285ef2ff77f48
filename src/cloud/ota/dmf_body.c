/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf_order.h"

#include "base/buf.h"
#include "base/json.h"

#include <ctype.h>
#include <string.h>

/* A body that grows beyond this can't be sent anyway. */
#define MAX_BODY (2 * AMQP_LINK_BODY_BYTES)

/* What the documents of one message share. */
struct writer {
        struct tx *tx;
        const struct dmf_order *first;
        const char *const *urls;
        size_t n_urls;
};

static const char *url_encode(struct tx *tx, const char *text)
{
        CLEAN_BUF struct buf b = BUF_INIT(MAX_BODY);
        buf_add_url(&b, text);
        return arena_strdup(tx->arena, buf_text(&b));
}

/* The protocol's name as hawkBit writes it: HTTP, HTTPS. */
static const char *protocol_of(struct tx *tx, const char *url)
{
        char *name = arena_strndup(tx->arena, url, strcspn(url, ":"));
        for (char *p = name; *p; p++)
                *p = (char)toupper((unsigned char)*p);
        return name;
}

/* The addresses are the ordinary ones of the device interface. */
static json_t *urls_of(struct writer *w, int64_t module, const char *filename)
{
        json_t *urls = json_object();
        for (size_t i = 0; i < w->n_urls; i++)
                json_object_set_new(urls, protocol_of(w->tx, w->urls[i]),
                        json_sprintf("%s/%s/controller/v1/%s/softwaremodules/%lld/artifacts/%s",
                                w->urls[i], w->first->tenant_name,
                                url_encode(w->tx, w->first->controller_id), (long long)module,
                                url_encode(w->tx, filename)));
        return urls;
}

static json_t *artifacts_of(struct writer *w, int64_t module)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(w->tx,
                "SELECT filename, size, md5, sha1, modified_at FROM artifact WHERE module=?"
                " ORDER BY id",
                SQL_I(module));
        while (sql_next(&r)) {
                const char *filename = sql_col_text(&r, 0);
                json_array_append_new(
                        list, json_pack("{s:s, s:o, s:{s:s, s:s}, s:I, s:I}", "filename", filename,
                                      "urls", urls_of(w, module, filename), "hashes", "md5",
                                      sql_col_text(&r, 2), "sha1", sql_col_text(&r, 3), "size",
                                      (json_int_t)sql_col_int(&r, 1), "lastModified",
                                      (json_int_t)sql_col_int(&r, 4)));
        }
        return list;
}

static json_t *metadata_of(struct writer *w, int64_t module)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(w->tx,
                "SELECT key, value FROM module_metadata WHERE module=? AND visible=1 ORDER BY key",
                SQL_I(module));
        while (sql_next(&r))
                json_array_append_new(list, json_pack("{s:s, s:s?}", "key", sql_col_text(&r, 0),
                                                    "value", sql_col_text(&r, 1)));
        return list;
}

static json_t *module_json(struct writer *w, struct sql_rows *r)
{
        int64_t id = sql_col_int(r, 0);
        json_t *j = json_pack("{s:I, s:s, s:s}", "moduleId", (json_int_t)id, "moduleType",
                sql_col_text(r, 1), "moduleVersion", sql_col_text(r, 2));
        if (sql_col_int(r, 3))
                json_object_set_new(j, "encrypted", json_true());
        json_object_set_new(j, "artifacts", artifacts_of(w, id));
        json_t *metadata = metadata_of(w, id);
        if (json_array_size(metadata) > 0)
                json_object_set_new(j, "metadata", metadata);
        else
                json_decref(metadata);
        return j;
}

static json_t *modules_of(struct writer *w, int64_t ds)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(w->tx,
                "SELECT m.id, y.key, m.version, m.encrypted FROM ds_module e JOIN module m ON"
                " m.id=e.module JOIN sm_type y ON y.id=m.type WHERE e.ds=? ORDER BY m.id",
                SQL_I(ds));
        while (sql_next(&r))
                json_array_append_new(list, module_json(w, &r));
        return list;
}

static json_t *batch_json(struct writer *w, const struct dmf_order *const *orders, size_t n)
{
        json_t *targets = json_array();
        for (size_t i = 0; i < n; i++)
                json_array_append_new(targets,
                        json_pack("{s:I, s:s, s:s}", "actionId", (json_int_t)orders[i]->action,
                                "controllerId", orders[i]->controller_id, "targetSecurityToken",
                                orders[i]->token));
        return json_pack("{s:I, s:o, s:o}", "timestamp", (json_int_t)w->tx->now, "targets", targets,
                "softwareModules", modules_of(w, orders[0]->ds));
}

static json_t *order_json(struct writer *w, const struct dmf_order *o)
{
        switch (o->topic) {
        case DMF_TOPIC_CANCEL:
                return json_pack("{s:I}", "actionId", (json_int_t)o->action);
        case DMF_TOPIC_ATTRIBUTES:
        case DMF_TOPIC_DELETED:
                return NULL;
        default:
                return json_pack("{s:I, s:s, s:o}", "actionId", (json_int_t)o->action,
                        "targetSecurityToken", o->token, "softwareModules", modules_of(w, o->ds));
        }
}

const char *dmf_order_body(struct tx *tx, const struct dmf_order *const *orders, size_t n,
        const char *const *urls, size_t n_urls)
{
        struct writer w = {.tx = tx, .first = orders[0], .urls = urls, .n_urls = n_urls};
        CLEAN_BUF struct buf text = BUF_INIT(MAX_BODY);
        CLEAN_JSON json_t *j = n > 1 ? batch_json(&w, orders, n) : order_json(&w, orders[0]);
        if (j)
                (void)json_append(&text, j);
        return arena_strdup(tx->arena, buf_text(&text));
}
