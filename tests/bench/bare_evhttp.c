/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * bare_evhttp PORT: an evhttp of libevent whose handler does nothing but answer, with the headers
 * and the body of an idle poll. What a server that makes a request of everything can't exceed on
 * this machine.
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>

static void answer(struct evhttp_request *req, void *arg)
{
        static const char *const headers[][2] = {
                {"ETag", "\"0d171b852dc990ba368b676187b2f2304\""},
                {"X-Content-Type-Options", "nosniff"},
                {"X-XSS-Protection", "0"},
                {"Cache-Control", "no-cache, no-store, max-age=0, must-revalidate"},
                {"Pragma", "no-cache"},
                {"Expires", "0"},
                {"X-Frame-Options", "DENY"},
                {"Content-Type", "application/hal+json;charset=UTF-8"},
        };
        static const char body[] = "{\"config\":{\"polling\":{\"sleep\":\"00:05:00\"}}}";
        struct evkeyvalq *out = evhttp_request_get_output_headers(req);

        (void)arg;
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
                evhttp_add_header(out, headers[i][0], headers[i][1]);
        evbuffer_add(evhttp_request_get_output_buffer(req), body, sizeof(body) - 1);
        evhttp_send_reply(req, 200, "OK", NULL);
}

int main(int argc, char **argv)
{
        struct event_base *base = event_base_new();
        struct evhttp *http = base ? evhttp_new(base) : NULL;

        if (argc != 2 || !http ||
                evhttp_bind_socket(http, "127.0.0.1", (ev_uint16_t)atoi(argv[1])) < 0) {
                (void)fprintf(stderr, "usage: bare_evhttp PORT (which must be free)\n");
                return 1;
        }
        evhttp_set_gencb(http, answer, NULL);
        event_base_dispatch(base); /* until SIGTERM */
        evhttp_free(http);
        event_base_free(base);
        return 0;
}
