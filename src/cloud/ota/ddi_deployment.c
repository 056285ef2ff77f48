/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/ddi.h"
#include "cloud/ota/download.h"
#include "cloud/ota/handlers.h"

#include <stdlib.h>
#include <string.h>

#define MAX_HISTORY 100
#define SERVER_PREFIX "Update Server: "

/* ── chunks ── */

/* As hawkBit names the two types that older devices know. */
static const char *part_name(const char *key)
{
        return strcmp(key, "application") == 0 ? "bApp" : strcmp(key, "runtime") == 0 ? "jvm" : key;
}

/* Form encoding, in which hawkBit writes file names into links: a blank becomes a plus. */
static const char *form_encode(struct request *q, const char *text)
{
        char *out = arena_alloc(&q->arena, strlen(text) * 3 + 1);
        size_t n = 0;
        for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
                bool is_plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                                (*p >= '0' && *p <= '9') || strchr("-._*", *p);
                if (*p == ' ')
                        out[n++] = '+';
                else if (is_plain)
                        out[n++] = (char)*p;
                else
                        n += (size_t)snprintf(out + n, 4, "%%%02X", *p);
        }
        return out;
}

json_t *ddi_artifact_json(struct request *q, int64_t module, const char *filename, int64_t size,
        const char *sha1, const char *md5, const char *sha256)
{
        const char *href =
                arena_printf(&q->arena, "%s/%s/controller/v1/%s/softwaremodules/%lld/artifacts/%s",
                        request_origin(q), q->tx.tenant_name, url_part(q, q->texts[0]),
                        (long long)module, form_encode(q, filename));
        const char *md5_href = arena_printf(&q->arena, "%s.MD5SUM", href);
        json_t *links = json_object();
        if (q->ota->has_both_links) {
                json_object_set_new(links, "download", json_pack("{s:s}", "href", href));
                json_object_set_new(links, "md5sum", json_pack("{s:s}", "href", md5_href));
        }
        json_object_set_new(links, "download-http", json_pack("{s:s}", "href", href));
        json_object_set_new(links, "md5sum-http", json_pack("{s:s}", "href", md5_href));
        return json_pack("{s:s, s:{s:s, s:s, s:s}, s:I, s:o}", "filename", filename, "hashes",
                "sha1", sha1, "md5", md5, "sha256", sha256, "size", (json_int_t)size, "_links",
                links);
}

static json_t *artifacts_of(struct request *q, int64_t module)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " ARTIFACT_COLUMNS " FROM artifact a WHERE a.module=? ORDER BY a.id",
                SQL_I(module));
        while (sql_next(&r)) {
                struct artifact a;
                artifact_read(&r, &a);
                json_array_append_new(list,
                        ddi_artifact_json(q, module, a.filename, a.size, a.sha1, a.md5, a.sha256));
        }
        return list;
}

static json_t *metadata_of(struct request *q, int64_t module)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT key, value FROM module_metadata WHERE module=? AND visible=1 ORDER BY key",
                SQL_I(module));
        while (sql_next(&r))
                json_array_append_new(list, json_pack("{s:s, s:s?}", "key", sql_col_text(&r, 0),
                                                    "value", sql_col_text(&r, 1)));
        return list;
}

static json_t *chunk_json(struct request *q, struct sql_rows *r)
{
        int64_t id = sql_col_int(r, 0);
        json_t *j = json_pack("{s:s, s:s, s:s, s:o}", "part", part_name(sql_col_text(r, 3)),
                "version", sql_col_text(r, 2), "name", sql_col_text(r, 1), "artifacts",
                artifacts_of(q, id));
        json_t *metadata = metadata_of(q, id);
        if (json_array_size(metadata) > 0)
                json_object_set_new(j, "metadata", metadata);
        else
                json_decref(metadata);
        return j;
}

static json_t *chunks_of(struct request *q, int64_t ds)
{
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT m.id, m.name, m.version, y.key FROM ds_module e JOIN module m ON "
                "m.id=e.module JOIN"
                " sm_type y ON y.id=m.type WHERE e.ds=? ORDER BY m.id",
                SQL_I(ds));
        while (sql_next(&r))
                json_array_append_new(list, chunk_json(q, &r));
        return list;
}

/* ── history ── */

static json_t *history_of(struct request *q, const struct action *a, int64_t n)
{
        json_t *messages = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT m.text FROM action_status x JOIN action_message m ON m.status=x.id WHERE "
                "x.action=?"
                " AND substr(m.text, 1, 15)<>'" SERVER_PREFIX "' ORDER BY x.id DESC, m.n LIMIT ?",
                SQL_I(a->id), SQL_I(n < 0 || n > MAX_HISTORY ? MAX_HISTORY : n));
        while (sql_next(&r))
                json_array_append_new(messages, json_string(sql_col_text(&r, 0)));
        return messages;
}

static void add_history(struct request *q, json_t *j, const struct action *a)
{
        const char *text = request_param(q, "actionHistory");
        int64_t n = text && *text ? strtoll(text, NULL, 10) : 0;
        if (n == 0)
                return;
        json_t *messages = history_of(q, a, n);
        if (json_array_size(messages) == 0) {
                json_decref(messages);
                return;
        }
        char *status = arena_strdup(&q->arena, action_status_words[a->status]);
        for (char *p = status; *p; p++)
                *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        json_object_set_new(j, "actionHistory",
                json_pack("{s:s, s:o}", "status", status, "messages", messages));
}

/* ── documents ── */

static json_t *deployment_document(struct request *q, const struct action *a, const char *key)
{
        const char *download, *update, *window;
        action_handling(&q->tx, a, &download, &update, &window);
        json_t *deployment = json_pack("{s:s, s:s, s:s*, s:o}", "download", download, "update",
                update, "maintenanceWindow", window, "chunks", chunks_of(q, a->ds));
        json_t *j = json_object();
        json_object_set_new(j, "id", json_sprintf("%lld", (long long)a->id));
        json_object_set_new(j, key, deployment);
        add_history(q, j, a);
        if (q->media == MEDIA_CBOR)
                json_object_set_new(j, "_links", json_object());
        return j;
}

static bool is_withdrawn(const struct action *a)
{
        return a->status == ACTION_CANCELING || a->status == ACTION_CANCELED;
}

/* Notes that the device read it, once in a row; not when it is done with it. */
static void note_retrieval(struct request *q, struct action *a, const char *text)
{
        int64_t last = sql_int(&q->tx, -1,
                "SELECT type FROM action_status WHERE action=? ORDER BY id DESC LIMIT 1",
                SQL_I(a->id));
        if (last == ACTION_RETRIEVED || a->proving_since)
                return;
        action_log_text(&q->tx, a->id, ACTION_RETRIEVED, text);
        if (!is_withdrawn(a))
                action_set_status(&q->tx, a, ACTION_RETRIEVED, a->is_active);
}

int ddi_deployment(struct request *q)
{
        struct target t;
        struct action a;
        if (ddi_require_target(q, &t) < 0 || ddi_require_action(q, &t, &a) < 0)
                return -1;
        /* a rollout's later group: reading it early would take it out of its group's start */
        if (is_withdrawn(&a) || a.status == ACTION_WAIT_FOR_CONFIRMATION ||
                a.status == ACTION_SCHEDULED)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        if (action_end_without_window(&q->tx, &a)) {
                tx_commit(&q->tx); /* the end counts, though the answer is a 404 */
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        }
        json_t *document =
                deployment_document(q, &a, "deployment"); /* shows the state before this read */
        note_retrieval(q, &a,
                "Update Server: Target retrieved update action and should start now the download.");
        return reply_json(q, 200, document);
}

int ddi_installed_base(struct request *q)
{
        struct target t;
        struct action a;
        if (ddi_require_target(q, &t) < 0 || ddi_require_action(q, &t, &a) < 0)
                return -1;
        if (a.is_active || is_withdrawn(&a) || a.status == ACTION_SCHEDULED)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        return reply_json(q, 200, deployment_document(q, &a, "deployment"));
}

int ddi_confirmation_action(struct request *q)
{
        struct target t;
        struct action a;
        if (ddi_require_target(q, &t) < 0 || ddi_require_action(q, &t, &a) < 0)
                return -1;
        if (a.status != ACTION_WAIT_FOR_CONFIRMATION)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        return reply_json(q, 200, deployment_document(q, &a, "confirmation"));
}

int ddi_cancel_action(struct request *q)
{
        struct target t;
        struct action a;
        if (ddi_require_target(q, &t) < 0 || ddi_require_action(q, &t, &a) < 0)
                return -1;
        if (!is_withdrawn(&a))
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        note_retrieval(q, &a,
                "Update Server: Target retrieved cancel action and should start now the "
                "cancellation.");
        const char *id = arena_printf(&q->arena, "%lld", (long long)a.id);
        return reply_json(
                q, 200, json_pack("{s:s, s:{s:s}}", "id", id, "cancelAction", "stopId", id));
}
