/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/answer.h"

#include "base/hash.h"
#include "base/limits.h"
#include "cloud/ota/cbor.h"
#include "cloud/ota/poll_cache.h"
#include "cloud/ota/request.h"

#include <string.h>

static const char html_page[] = "<html><body><h1>Whitelabel Error Page</h1><p>This application has "
                                "no page for this.</p></body></html>";

static void add_security_headers(struct request *q, bool is_304)
{
        if (strncmp(q->path, "/rest", 5) != 0 && !q->tenant_in_path)
                return;
        http_add_header(q->x, "X-Content-Type-Options", "nosniff");
        http_add_header(q->x, "X-XSS-Protection", "0");
        if (!is_304) {
                http_add_header(
                        q->x, "Cache-Control", "no-cache, no-store, max-age=0, must-revalidate");
                http_add_header(q->x, "Pragma", "no-cache");
                http_add_header(q->x, "Expires", "0");
        }
        http_add_header(q->x, "X-Frame-Options", "DENY");
}

static int append(const char *data, size_t len, void *b)
{
        return buf_add(b, data, len);
}

static int serialize(const json_t *value, enum media media, struct buf *b)
{
        if (media == MEDIA_CBOR)
                return cbor_encode(value, b);
        /* nine digits hold a float exactly, and those are the only fractions here */
        return json_dump_callback(
                value, append, b, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
}

/* Errors are JSON unless HAL was named. */
static enum media error_media(const char *accept)
{
        enum media m = media_choose(accept, MEDIA_HAL | MEDIA_JSON | MEDIA_CBOR);
        if (!m && accept && strcasestr(accept, "text/event-stream"))
                return MEDIA_JSON; /* an EventSource asks for nothing else, and a person reads it */
        return m == MEDIA_HAL && !(accept && strcasestr(accept, "hal+json")) ? MEDIA_JSON : m;
}

static void answer_problem(struct request *q)
{
        const char *accept = http_header(q->x, "Accept");
        struct problem *p = &q->problem;
        enum media media = error_media(accept);
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(1));
        add_security_headers(q, false);
        if (!media && p->code != PROBLEM_FRAMEWORK &&
                (p->code != PROBLEM_EMPTY || p->status == 406)) {
                p->status = 406; /* what we would say cannot be said in the wanted type */
                p->code = PROBLEM_EMPTY;
        }
        bool is_page = !media && media_wants_html(accept) &&
                       (p->code == PROBLEM_FRAMEWORK || p->status == 406);
        if (is_page) {
                http_reply(q->x, p->status, "text/html;charset=UTF-8", html_page,
                        sizeof(html_page) - 1);
                return;
        }
        bool is_vendor = !media && p->code == PROBLEM_FRAMEWORK && media_is_vendor_json(accept);
        CLEAN_JSON json_t *document =
                media || is_vendor ? problem_document(p, q->tx.now, media == MEDIA_CBOR) : NULL;
        if (document && serialize(document, media, &b) == 0)
                http_reply(q->x, p->status, is_vendor ? accept : media_type(media), buf_text(&b),
                        b.len);
        else
                http_reply(q->x, p->status, NULL, NULL, 0);
}

/* One of the list, weak or strong; `*` doesn't match, as with hawkBit. */
static bool etag_matches(const char *header, const char *etag)
{
        return header && strstr(header, etag);
}

static void answer_bytes(struct request *q, const char *type, const char *data, size_t len)
{
        bool is_get = strcmp(http_method(q->x), "GET") == 0;
        if (is_get && q->status >= 200 && q->status < 300 &&
                !(q->route && q->route->flags & ROUTE_NO_ETAG)) {
                char md5[HASH_MD5_HEX_SIZE], etag[HASH_MD5_HEX_SIZE + 8];
                hash_md5_hex(data, len, md5);
                snprintf(etag, sizeof(etag), "\"0%s\"", md5);
                http_add_header(q->x, "ETag", etag);
                if (etag_matches(http_header(q->x, "If-None-Match"), etag)) {
                        add_security_headers(q, true);
                        http_reply(q->x, 304, NULL, NULL, 0);
                        return;
                }
                add_security_headers(q, false);
                if (q->idle_target && q->ota->polls)
                        poll_cache_keep(q->ota->polls, q, type, etag, data, len);
        } else {
                add_security_headers(q, false);
        }
        http_reply(q->x, q->status, type, data, len);
}

void answer(struct request *q)
{
        CLEAN_BUF struct buf b = BUF_INIT(LIMIT_MIB(64));
        if (q->problem.code) {
                answer_problem(q);
        } else if (q->file >= 0) {
                add_security_headers(q, false);
                http_reply_file(
                        q->x, q->status, q->file_type, q->file, q->file_offset, q->file_length);
                q->file = -1;
        } else if (q->bytes) {
                answer_bytes(q, q->text_type, q->bytes, q->bytes_len);
        } else if (q->text) {
                answer_bytes(q, q->text_type, q->text, strlen(q->text));
        } else if (q->reply) {
                if (serialize(q->reply, q->media, &b) < 0)
                        q->status = 500;
                answer_bytes(q, media_type(q->media), buf_text(&b), b.len);
        } else {
                answer_bytes(q, NULL, "", 0);
        }
}
