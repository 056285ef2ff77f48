/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/ddi.h"
#include "base/json.h"
#include "base/limits.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const handling_names[DDI_HANDLING_N] = {"forced", "attempt", "skip"};
static const char *const finished_names[DDI_FINISHED_N] = {"none", "success", "failure"};
static const char *const execution_names[DDI_EXECUTION_N] = {"closed", "proceeding", "canceled",
        "scheduled", "rejected", "resumed", "downloaded", "download"};

const char *ddi_handling_to_string(enum ddi_handling h)
{
        return handling_names[h];
}

const char *ddi_finished_to_string(enum ddi_finished f)
{
        return finished_names[f];
}

const char *ddi_execution_to_string(enum ddi_execution e)
{
        return execution_names[e];
}

bool ddi_id_is_valid(const char *id)
{
        size_t len = strlen(id);
        if (!len || len >= DDI_ID_SIZE || id[0] == '.')
                return false;
        for (size_t i = 0; i < len; i++)
                if (!isascii(id[i]) || (!isalnum((unsigned char)id[i]) && !strchr("-_.", id[i])))
                        return false;
        return true;
}

/* Ids are texts in DDI; a number is what a sloppy server means by it. */
static int take_id(const json_t *object, const char *key, char ret[DDI_ID_SIZE], struct err *err)
{
        const json_t *value = json_object_get(object, key);
        char number[24];
        const char *id = json_string_value(value);
        if (json_is_integer(value)) {
                snprintf(
                        number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
                id = number;
        }
        if (!id)
                return err_set(err, -EINVAL, "no '%s'", key);
        if (!ddi_id_is_valid(id))
                return err_set(err, -EINVAL, "'%s' is no plain id", key);
        snprintf(ret, DDI_ID_SIZE, "%s", id);
        return 0;
}

static int take_text(const json_t *object, const char *key, char **ret, struct err *err)
{
        const char *text = json_text(object, key, NULL);
        if (!text)
                return 0;
        if (strlen(text) > LIMIT_DDI_TEXT_BYTES)
                return err_set(err, -E2BIG, "'%s' is too long", key);
        *ret = strdup(text);
        return *ret ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int take_link(const json_t *document, const char *rel, char **ret, struct err *err)
{
        const json_t *links = json_object_get(document, "_links");
        return take_text(json_object_get(links, rel), "href", ret, err);
}

static json_t *parse_object(const char *text, size_t len, const char *what, struct err *err)
{
        json_t *document = json_parse(text, len, err);
        if (!document) {
                err_prefix(err, "%s", what);
                return NULL;
        }
        if (json_is_object(document))
                return document;
        json_decref(document);
        err_set(err, -EINVAL, "%s: no JSON object", what);
        return NULL;
}

/* ── poll ── */

static int take_number(const char **p, int64_t *ret)
{
        int n = 0;
        for (*ret = 0; isdigit((unsigned char)**p); (*p)++) {
                if (++n > 7)
                        return -EINVAL;
                *ret = *ret * 10 + (**p - '0');
        }
        return n ? 0 : -EINVAL;
}

/* P[nD][T[nH][nM][nS]] */
static int parse_iso_duration(const char *p, int64_t *ret_ms)
{
        static const struct {
                char unit;
                bool is_time;
                int64_t ms;
        } units[] = {{'D', false, 86400000}, {'H', true, 3600000}, {'M', true, 60000},
                {'S', true, 1000}};
        bool in_time = false;
        int64_t sum = 0;
        size_t next = 0;
        p++;
        if (!*p)
                return -EINVAL;
        while (*p) {
                int64_t n;
                if (*p == 'T' && !in_time && p[1]) {
                        in_time = true;
                        p++;
                        continue;
                }
                if (take_number(&p, &n))
                        return -EINVAL;
                while (next < N_ELEMENTS(units) &&
                        (units[next].unit != *p || units[next].is_time != in_time))
                        next++;
                if (next == N_ELEMENTS(units))
                        return -EINVAL;
                sum += n * units[next++].ms;
                p++;
        }
        *ret_ms = sum;
        return 0;
}

int ddi_sleep_parse(const char *text, int64_t *ret_ms)
{
        const char *p = text;
        int64_t h, m, s;
        if (*p == 'P')
                return parse_iso_duration(p, ret_ms);
        if (take_number(&p, &h) || *p++ != ':' || take_number(&p, &m) || *p++ != ':' ||
                take_number(&p, &s) || *p || m > 59 || s > 59)
                return -EINVAL;
        *ret_ms = ((h * 60 + m) * 60 + s) * 1000;
        return 0;
}

static int poll_read(const json_t *document, struct ddi_poll *p, struct err *err)
{
        const json_t *polling = json_object_get(json_object_get(document, "config"), "polling");
        const char *sleep = json_text(polling, "sleep", "");
        if (ddi_sleep_parse(sleep, &p->sleep_ms))
                p->sleep_ms = -1;
        int r = take_link(document, "deploymentBase", &p->deployment, err);
        if (!r)
                r = take_link(document, "cancelAction", &p->cancel, err);
        if (!r)
                r = take_link(document, "confirmationBase", &p->confirmation, err);
        if (!r)
                r = take_link(document, "configData", &p->config_data, err);
        return r;
}

int ddi_poll_parse(const char *text, size_t len, struct ddi_poll *ret, struct err *err)
{
        CLEAN_JSON json_t *document = parse_object(text, len, "poll", err);
        if (!document)
                return -EINVAL;
        struct ddi_poll p = {.sleep_ms = -1};
        int r = poll_read(document, &p, err);
        if (r) {
                ddi_poll_fini(&p);
                err_prefix(err, "poll");
                return r;
        }
        *ret = p;
        return 0;
}

void ddi_poll_fini(struct ddi_poll *p)
{
        free(p->deployment);
        free(p->cancel);
        free(p->confirmation);
        free(p->config_data);
        *p = (struct ddi_poll){.sleep_ms = -1};
}

/* ── deployment ── */

static int take_handling(
        const json_t *object, const char *key, enum ddi_handling *ret, struct err *err)
{
        const char *name = json_text(object, key, NULL);
        if (!name)
                return err_set(err, -EINVAL, "no '%s'", key);
        for (int i = 0; i < DDI_HANDLING_N; i++)
                if (!strcmp(name, handling_names[i])) {
                        *ret = (enum ddi_handling)i;
                        return 0;
                }
        return err_set(err, -EINVAL, "'%s' is none of forced, attempt, skip", key);
}

static int take_hash(const json_t *hashes, const char *key, char *ret, size_t size, struct err *err)
{
        const char *hex = json_text(hashes, key, "");
        size_t len = strlen(hex);
        if (!len)
                return 0;
        if (len != size - 1 || strspn(hex, "0123456789abcdefABCDEF") != len)
                return err_set(err, -EINVAL, "'%s' is no hash", key);
        for (size_t i = 0; i <= len; i++)
                ret[i] = (char)tolower((unsigned char)hex[i]);
        return 0;
}

static int read_artifact(const json_t *object, struct ddi_artifact *a, struct err *err)
{
        int r = take_text(object, "filename", &a->filename, err);
        if (r)
                return r;
        int64_t size = json_int(object, "size", -1);
        if (size < 0)
                return err_set(
                        err, -EINVAL, "artifact '%s' has no size", a->filename ? a->filename : "");
        if ((uint64_t)size > LIMIT_ARTIFACT_BYTES)
                return err_set(err, -EFBIG, "artifact '%s' of %" PRId64 " bytes is larger than %zu",
                        a->filename ? a->filename : "", size, LIMIT_ARTIFACT_BYTES);
        a->size = (uint64_t)size;
        const json_t *hashes = json_object_get(object, "hashes");
        struct hash_set *h = &a->hashes;
        r = take_hash(hashes, "sha256", h->sha256, sizeof(h->sha256), err);
        if (!r)
                r = take_hash(hashes, "sha1", h->sha1, sizeof(h->sha1), err);
        if (!r)
                r = take_hash(hashes, "md5", h->md5, sizeof(h->md5), err);
        if (!r)
                r = take_link(object, "download", &a->download, err);
        if (!r)
                r = take_link(object, "download-http", &a->download_http, err);
        return r;
}

/* Room for the items of `array`, each of `item_size`; NULL with *ret_n 0 for none. */
static int room_for(const json_t *array, size_t item_size, void **ret_items, struct err *err)
{
        size_t n = json_array_size(array);
        if (n > LIMIT_DDI_ITEMS)
                return err_set(err, -E2BIG, "more than %d parts", LIMIT_DDI_ITEMS);
        *ret_items = n ? calloc(n, item_size) : NULL;
        return n && !*ret_items ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static int read_chunk(const json_t *object, struct ddi_chunk *c, struct err *err)
{
        int r = take_text(object, "part", &c->part, err);
        if (!r)
                r = take_text(object, "name", &c->name, err);
        if (!r)
                r = take_text(object, "version", &c->version, err);
        const json_t *artifacts = json_object_get(object, "artifacts");
        if (!r)
                r = room_for(artifacts, sizeof(*c->artifacts), (void **)&c->artifacts, err);
        for (size_t i = 0; !r && i < json_array_size(artifacts); i++) {
                c->n_artifacts = i + 1;
                r = read_artifact(json_array_get(artifacts, i), &c->artifacts[i], err);
        }
        return r;
}

static int deployment_read(const json_t *document, struct ddi_deployment *d, struct err *err)
{
        int r = take_id(document, "id", d->id, err);
        if (r)
                return r;
        const json_t *deployment = json_object_get(document, "deployment");
        if (!json_is_object(deployment))
                return err_set(err, -EINVAL, "no 'deployment'");
        r = take_handling(deployment, "download", &d->download, err);
        if (!r)
                r = take_handling(deployment, "update", &d->update, err);
        d->window_closed =
                !strcmp(json_text(deployment, "maintenanceWindow", "available"), "unavailable");
        const json_t *chunks = json_object_get(deployment, "chunks");
        if (!r)
                r = room_for(chunks, sizeof(*d->chunks), (void **)&d->chunks, err);
        for (size_t i = 0; !r && i < json_array_size(chunks); i++) {
                d->n_chunks = i + 1;
                r = read_chunk(json_array_get(chunks, i), &d->chunks[i], err);
        }
        return r;
}

int ddi_deployment_parse(const char *text, size_t len, struct ddi_deployment *ret, struct err *err)
{
        CLEAN_JSON json_t *document = parse_object(text, len, "deployment", err);
        if (!document)
                return -EINVAL;
        struct ddi_deployment d = {0};
        int r = deployment_read(document, &d, err);
        if (r) {
                ddi_deployment_fini(&d);
                err_prefix(err, "deployment");
                return r;
        }
        *ret = d;
        return 0;
}

static void chunk_fini(struct ddi_chunk *c)
{
        for (size_t i = 0; i < c->n_artifacts; i++) {
                free(c->artifacts[i].filename);
                free(c->artifacts[i].download);
                free(c->artifacts[i].download_http);
        }
        free(c->artifacts);
        free(c->part);
        free(c->name);
        free(c->version);
}

void ddi_deployment_fini(struct ddi_deployment *d)
{
        for (size_t i = 0; i < d->n_chunks; i++)
                chunk_fini(&d->chunks[i]);
        free(d->chunks);
        *d = (struct ddi_deployment){0};
}

static bool is_zip(const struct ddi_artifact *a)
{
        size_t len = a->filename ? strlen(a->filename) : 0;
        return len > 4 && !strcasecmp(a->filename + len - 4, ".zip");
}

int ddi_deployment_package(const struct ddi_deployment *d, const struct ddi_chunk **ret_chunk,
        const struct ddi_artifact **ret_artifact, struct err *err)
{
        size_t n = 0, n_zips = 0;
        for (size_t i = 0; i < d->n_chunks; i++)
                for (size_t k = 0; k < d->chunks[i].n_artifacts; k++) {
                        const struct ddi_artifact *a = &d->chunks[i].artifacts[k];
                        n++;
                        n_zips += is_zip(a);
                        if (n > 1 && !is_zip(a))
                                continue;
                        *ret_chunk = &d->chunks[i];
                        *ret_artifact = a;
                }
        if (!n)
                return err_set(err, -ENOENT, "deployment has no artifact");
        if (n > 1 && n_zips != 1)
                return err_set(err, -EEXIST,
                        "deployment has %zu artifacts and %zu of them are zips; one update package "
                        "is expected",
                        n, n_zips);
        return 0;
}

/* ── cancellation ── */

int ddi_cancel_parse(const char *text, size_t len, struct ddi_cancel *ret, struct err *err)
{
        CLEAN_JSON json_t *document = parse_object(text, len, "cancellation", err);
        if (!document)
                return -EINVAL;
        struct ddi_cancel c = {0};
        int r = take_id(document, "id", c.id, err);
        if (!r)
                r = take_id(json_object_get(document, "cancelAction"), "stopId", c.stop_id, err);
        if (r) {
                err_prefix(err, "cancellation");
                return r;
        }
        *ret = c;
        return 0;
}

/* ── what the car sends ── */

int ddi_feedback_write(struct buf *b, const struct ddi_feedback *f)
{
        buf_adds(b, "{\"id\":");
        buf_add_json_string(b, f->action, strlen(f->action));
        buf_addf(b, ",\"timestamp\":%" PRId64 ",\"status\":{\"execution\":\"%s\"", f->timestamp_ms,
                execution_names[f->execution]);
        buf_addf(b, ",\"result\":{\"finished\":\"%s\"},\"details\":[", finished_names[f->finished]);
        if (f->details && *f->details)
                buf_add_json_string(b, f->details, strlen(f->details));
        return buf_adds(b, "]}}");
}

int ddi_config_data_write(struct buf *b, const char *const *pairs)
{
        buf_adds(b, "{\"mode\":\"merge\",\"data\":{");
        for (size_t i = 0; pairs[i] && pairs[i + 1]; i += 2) {
                if (i)
                        buf_addc(b, ',');
                buf_add_json_string(b, pairs[i], strlen(pairs[i]));
                buf_addc(b, ':');
                buf_add_json_string(b, pairs[i + 1], strlen(pairs[i + 1]));
        }
        return buf_adds(b, "}}");
}
