/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/download.h"
#include "base/fs.h"
#include "base/http_client.h"

#include <errno.h>
#include <event2/http.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define ETAG_MAX 256

struct download {
        struct download_options options;
        char *url, *path, *etag_path;
        struct http_client *http;
        struct event *on_speed, *on_end;
        int fd;
        uint64_t have;        /* in the file */
        uint64_t got;         /* by this transfer */
        uint64_t last_window; /* `got` at the last look at the speed */
        enum download_result result;
        struct err err;
};

static const char *const result_names[DOWNLOAD_RESULT_N] = {"done", "broken", "refused", "failed"};

const char *download_result_to_string(enum download_result r)
{
        return result_names[r];
}

uint64_t download_have(const struct download *d)
{
        return d->have;
}

/* ── URLs ── */

static int port_of(const struct evhttp_uri *u)
{
        int port = evhttp_uri_get_port(u);
        if (port > 0)
                return port;
        const char *scheme = evhttp_uri_get_scheme(u);
        return scheme && !strcasecmp(scheme, "https") ? 443 : 80;
}

static bool same_text(const char *a, const char *b)
{
        return a && b && !strcasecmp(a, b);
}

bool download_same_origin(const char *url, const char *other)
{
        struct evhttp_uri *a = evhttp_uri_parse_with_flags(url, EVHTTP_URI_NONCONFORMANT);
        struct evhttp_uri *b = evhttp_uri_parse_with_flags(other, EVHTTP_URI_NONCONFORMANT);
        bool same = a && b && same_text(evhttp_uri_get_scheme(a), evhttp_uri_get_scheme(b)) &&
                    same_text(evhttp_uri_get_host(a), evhttp_uri_get_host(b)) &&
                    port_of(a) == port_of(b);
        if (a)
                evhttp_uri_free(a);
        if (b)
                evhttp_uri_free(b);
        return same;
}

/* The `scheme://host:port` of a URL, for a client of its own. */
static int origin_of(const char *url, struct buf *ret, struct err *err)
{
        struct evhttp_uri *u = evhttp_uri_parse_with_flags(url, EVHTTP_URI_NONCONFORMANT);
        const char *scheme = u ? evhttp_uri_get_scheme(u) : NULL;
        const char *host = u ? evhttp_uri_get_host(u) : NULL;
        int r = 0;
        if (!scheme || !host || (strcasecmp(scheme, "http") && strcasecmp(scheme, "https")))
                r = err_set(
                        err, -EINVAL, "the artifact's link '%.200s' is no http or https URL", url);
        else
                r = buf_addf(ret, "%s://%s:%d", scheme, host, port_of(u));
        if (u)
                evhttp_uri_free(u);
        return r;
}

/* ── the file ── */

static void etag_read(const struct download *d, char etag[ETAG_MAX])
{
        CLEAN_BUF struct buf b = BUF_INIT(ETAG_MAX - 1);
        etag[0] = 0;
        if (!fs_read(d->etag_path, &b, NULL) && strcspn(buf_text(&b), "\r\n") == b.len)
                snprintf(etag, ETAG_MAX, "%s", buf_text(&b));
}

static void etag_write(const struct download *d, const char *etag)
{
        /* A weak one says nothing about bytes. Losing the file costs only the If-Range. */
        if (etag && strlen(etag) < ETAG_MAX && strncmp(etag, "W/", 2))
                (void)fs_write_atomic(d->etag_path, etag, strlen(etag), 0600, NULL);
        else
                unlink(d->etag_path);
}

static int open_part(struct download *d, struct err *err)
{
        d->fd = open(d->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;
        if (d->fd < 0 || fstat(d->fd, &st))
                return err_errno(err, -errno, "cannot open '%s'", d->path);
        d->have = (uint64_t)st.st_size;
        if (d->have > d->options.size) {
                d->have = 0;
                if (ftruncate(d->fd, 0))
                        return err_errno(err, -errno, "cannot empty '%s'", d->path);
        }
        return 0;
}

/* ── the answer ── */

static int verdict(struct download *d, enum download_result result, int code, const char *text)
{
        if (!d->err.code)
                err_set(&d->err, code, "%s", text);
        d->result = result;
        return code;
}

static int start_over(struct download *d)
{
        d->have = 0;
        return ftruncate(d->fd, 0)
                       ? verdict(d, DOWNLOAD_RESULT_FAILED, -errno, "cannot empty the file")
                       : 0;
}

/* `Content-Range: bytes 100-199/200` must start where our file ends. */
static bool range_fits(const struct download *d, const char *range)
{
        uint64_t from, to, whole;
        return range &&
               sscanf(range, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &from, &to, &whole) == 3 &&
               from == d->have && whole == d->options.size;
}

static int headers_came(void *arg, const struct http_answer *a)
{
        struct download *d = arg;
        char text[96];
        if (a->status == 206) {
                if (range_fits(d, a->header(a, "Content-Range")))
                        return 0;
                (void)start_over(d);
                return verdict(d, DOWNLOAD_RESULT_REFUSED, -EPROTO,
                        "the server sent another part than was asked for");
        }
        if (a->status != 200) {
                if (a->status == 416)
                        (void)start_over(d);
                snprintf(text, sizeof(text), "the server answered HTTP %d for the artifact",
                        a->status);
                return verdict(d, DOWNLOAD_RESULT_REFUSED, -EPROTO, text);
        }
        const char *length = a->header(a, "Content-Length");
        if (length && strtoull(length, NULL, 10) != d->options.size) {
                snprintf(text, sizeof(text),
                        "the server offers %.20s bytes, %" PRIu64 " were promised", length,
                        d->options.size);
                return verdict(d, DOWNLOAD_RESULT_REFUSED, -EPROTO, text);
        }
        etag_write(d, a->header(a, "ETag"));
        return start_over(d);
}

static int data_came(void *arg, const void *data, size_t len)
{
        struct download *d = arg;
        if (len > d->options.size - d->have)
                return verdict(d, DOWNLOAD_RESULT_FAILED, -EFBIG,
                        "the server sends more bytes than it promised");
        for (size_t done = 0; done < len;) {
                ssize_t n = pwrite(d->fd, (const char *)data + done, len - done, (off_t)d->have);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        int code = -errno;
                        err_errno(&d->err, code, "cannot write '%s'", d->path);
                        return verdict(d, DOWNLOAD_RESULT_FAILED, code, "");
                }
                done += (size_t)n;
                d->have += (uint64_t)n;
                d->got += (uint64_t)n;
        }
        return 0;
}

static void end(struct download *d)
{
        struct err err = d->err; /* the download may be freed before its reason is read */
        d->options.on_done(d->options.arg, d->result, d->got, err.code ? &err : NULL);
}

static void answer_done(void *arg, const struct http_answer *a, const struct err *err)
{
        struct download *d = arg;
        char text[96];
        evtimer_del(d->on_speed);
        if (!d->err.code && err) {
                d->err = *err;
                d->result = DOWNLOAD_RESULT_BROKEN;
        } else if (!d->err.code && d->have < d->options.size) {
                snprintf(text, sizeof(text),
                        "the transfer ended after %" PRIu64 " of %" PRIu64 " bytes", d->have,
                        d->options.size);
                verdict(d, DOWNLOAD_RESULT_BROKEN, -EPIPE, text);
        }
        end(d);
}

static void end_due(evutil_socket_t fd, short what, void *arg)
{
        end(arg);
}

static void look_at_speed(evutil_socket_t fd, short what, void *arg)
{
        struct download *d = arg;
        if (d->got - d->last_window >= DOWNLOAD_MIN_BYTES) {
                d->last_window = d->got;
                return;
        }
        verdict(d, DOWNLOAD_RESULT_BROKEN, -ETIMEDOUT, "the transfer is too slow");
        http_client_free(d->http);
        d->http = NULL;
        evtimer_del(d->on_speed);
        event_active(d->on_end, EV_TIMEOUT, 0);
}

/* ── starting ── */

static int request(struct event_base *base, struct download *d, struct err *err)
{
        const struct download_options *o = &d->options;
        CLEAN_BUF struct buf origin = BUF_INIT(1024);
        int r = origin_of(d->url, &origin, err);
        if (r)
                return r;
        bool trusted = o->authorization && download_same_origin(d->url, o->server);
        const char *const all[] = {"User-Agent", "driveline-tcu/" DRIVELINE_VERSION,
                trusted ? "Authorization" : NULL, o->authorization, NULL};
        struct http_client_options h = {.url = buf_text(&origin), .tls = o->tls, .headers = all};
        r = http_client_new(base, &h, &d->http, err);
        if (r)
                return r;
        char range[48], etag[ETAG_MAX];
        snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", d->have);
        etag_read(d, etag);
        const char *const headers[] = {"Accept", "*/*", d->have ? "Range" : NULL, range,
                etag[0] ? "If-Range" : NULL, etag, NULL};
        struct http_request q = {.method = "GET",
                .target = d->url,
                .headers = headers,
                .idle_timeout_ms = o->timeout_ms,
                .on_headers = headers_came,
                .on_data = data_came,
                .on_done = answer_done,
                .arg = d};
        return http_client_request(d->http, &q, NULL, err);
}

static int begin(struct event_base *base, struct download *d, struct err *err)
{
        const struct timeval window = {
                DOWNLOAD_WINDOW_MS / 1000, (DOWNLOAD_WINDOW_MS % 1000) * 1000};
        d->on_speed = event_new(base, -1, EV_PERSIST, look_at_speed, d);
        d->on_end = evtimer_new(base, end_due, d);
        if (!d->url || !d->path || !d->etag_path || !d->on_speed || !d->on_end)
                return err_set(err, -ENOMEM, "out of memory");
        int r = open_part(d, err);
        if (r)
                return r;
        if (d->have == d->options.size) {
                event_active(d->on_end, EV_TIMEOUT, 0);
                return 0;
        }
        event_add(d->on_speed, &window);
        return request(base, d, err);
}

int download_start(struct event_base *base, const struct download_options *options,
        struct download **ret_download, struct err *err)
{
        CLEAN(download) struct download *d = calloc(1, sizeof(*d));
        if (!d)
                return err_set(err, -ENOMEM, "out of memory");
        d->options = *options;
        d->fd = -1;
        d->url = strdup(options->url);
        d->path = strdup(options->path);
        d->etag_path = strdup(options->etag_path);
        int r = begin(base, d, err);
        if (r)
                return r;
        *ret_download = TAKE(d);
        return 0;
}

void download_free(struct download *d)
{
        if (d->http)
                http_client_free(d->http);
        if (d->on_speed)
                event_free(d->on_speed);
        if (d->on_end)
                event_free(d->on_end);
        if (d->fd >= 0)
                close(d->fd);
        free(d->url);
        free(d->path);
        free(d->etag_path);
        free(d);
}
