/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* The parts of the HTTP server that need no socket: heads, chunks, peers, and the hash of heads. */
#include "base/clean.h"
#include "base/http_chunks.h"
#include "base/http_head.h"
#include "base/http_peers.h"
#include "base/siphash.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* ── heads ── */

static int parse(const char *text, struct http_head *h)
{
        static char copy[8192];
        size_t len = strlen(text);
        assert_true(len < sizeof(copy));
        memcpy(copy, text, len + 1);
        assert_int_equal(http_head_length(copy, len, 0), len);
        return http_head_parse(copy, len, h);
}

static void a_head_is_cut_into_its_words(void **state)
{
        (void)state;
        struct http_head h;
        assert_int_equal(0, parse("PUT /a%20b?c=d HTTP/1.1\r\nHost: x\r\nx-y:\t z \r\n"
                                  "Content-Length: 12\r\nExpect: 100-continue\r\n\r\n",
                                    &h));
        assert_string_equal("PUT", h.method);
        assert_string_equal("/a%20b?c=d", h.target);
        assert_string_equal("z", http_head_field(&h, "X-Y"));
        assert_null(http_head_field(&h, "X"));
        assert_int_equal(12, h.length);
        assert_true(h.keeps_alive && h.expects_continue && !h.is_chunked);
        assert_int_equal(0, parse("GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n", &h));
        assert_true(h.keeps_alive && h.minor == 0);
        assert_int_equal(0, parse("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", &h));
        assert_false(h.keeps_alive);
}

static void what_two_readers_could_read_differently_is_refused(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int status;
        } cases[] = {
                {"GET / HTTP/1.1\nHost: x\n\n", 400},
                {"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
                {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n",
                        501},
                {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nHost: x\001\r\n\r\n", 400},
                {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
                {"GET /a b HTTP/1.1\r\n\r\n", 400},
                {"GET  HTTP/1.1\r\n\r\n", 400},
                {"GET /\r\n\r\n", 400},
                {"G{T / HTTP/1.1\r\n\r\n", 400},
                {"GET / HTTP/2.0\r\n\r\n", 505},
                {"GET / HTTP/1.1\r\nExpect: wonders\r\n\r\n", 417},
        };
        struct http_head h;
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int status = parse(cases[i].text, &h);
                if (status != cases[i].status)
                        fail_msg("%d for %s", status, cases[i].text);
        }
}

static void a_head_has_a_number_of_fields_and_an_end(void **state)
{
        (void)state;
        char text[4096] = "GET / HTTP/1.1\r\n";
        struct http_head h;
        for (int i = 0; i < LIMIT_HTTP_FIELDS + 1; i++)
                strncat(text, "a: b\r\n", sizeof(text) - strlen(text) - 1);
        strncat(text, "\r\n", sizeof(text) - strlen(text) - 1);
        assert_int_equal(431, parse(text, &h));
        const char *whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
        size_t len = strlen(whole) - 4;
        for (size_t n = 0; n < len; n++)
                assert_int_equal(0, http_head_length(whole, n, 0));
        for (size_t from = 0; from < len; from++)
                assert_int_equal(len, http_head_length(whole, len + 4, from));
}

/* ── chunks ── */

/* The body that comes out when `text` arrives in pieces of `size`; -1: refused. */
static int dechunk(const char *text, size_t size, char *out, size_t *ret_used)
{
        struct http_chunks c = {0};
        size_t at = 0, len = strlen(text), n = 0;
        while (at < len && c.state != CHUNK_DONE) {
                size_t piece = len - at < size ? len - at : size, skip = 0, body = 0;
                int64_t used = http_chunks_step(&c, text + at, piece, &skip, &body);
                if (used < 0)
                        return -1;
                assert_true(used > 0 && (size_t)used <= piece && skip + body <= (size_t)used);
                memcpy(out + n, text + at + skip, body);
                n += body;
                at += (size_t)used;
        }
        out[n] = '\0';
        *ret_used = at;
        return c.state == CHUNK_DONE;
}

static void chunks_come_in_pieces_of_any_size(void **state)
{
        (void)state;
        const char *text = "5\r\nhello\r\n1;a=b\r\n \r\n05\r\nworld\r\n0\r\nX: y\r\n\r\nNEXT";
        char out[100];
        size_t used;
        for (size_t size = 1; size < strlen(text); size++) {
                assert_int_equal(1, dechunk(text, size, out, &used));
                assert_string_equal("hello world", out);
                assert_string_equal("NEXT", text + used);
        }
}

static void bad_chunks_are_refused(void **state)
{
        (void)state;
        static const char *const cases[] = {
                "zz\r\n", "\r\n", "5\r\nhelloX", "-1\r\n", "1000000000000000\r\n", "5 x"};
        char out[100];
        size_t used;
        for (size_t i = 0; i < N_ELEMENTS(cases) - 1; i++)
                assert_int_equal(-1, dechunk(cases[i], 3, out, &used));
        assert_int_equal(0, dechunk(cases[N_ELEMENTS(cases) - 1], 3, out, &used));
}

/* ── peers ── */

static const struct sockaddr *address(const char *text)
{
        static union {
                struct sockaddr any;
                struct sockaddr_in four;
                struct sockaddr_in6 six;
        } a;
        memset(&a, 0, sizeof(a));
        if (inet_pton(AF_INET, text, &a.four.sin_addr) == 1)
                a.four.sin_family = AF_INET;
        else if (inet_pton(AF_INET6, text, &a.six.sin6_addr) == 1)
                a.six.sin6_family = AF_INET6;
        return &a.any;
}

static void an_address_has_so_many_connections(void **state)
{
        (void)state;
        const struct http_limits limits = {.connections = 2, .spares_loopback = true};
        struct http_peers *p = http_peers_new(&limits);
        struct http_peer *a = http_peers_enter(p, address("192.0.2.1"));
        assert_non_null(a);
        assert_ptr_equal(a, http_peers_enter(p, address("::ffff:192.0.2.1")));
        assert_null(http_peers_enter(p, address("192.0.2.1")));
        assert_non_null(http_peers_enter(p, address("192.0.2.2")));
        assert_non_null(http_peers_enter(p, address("2001:db8::1")));
        assert_non_null(http_peers_enter(p, address("2001:db8::2")));
        assert_null(http_peers_enter(p, address("2001:db8::3"))); /* the same /64 */
        for (int i = 0; i < 10; i++)
                assert_non_null(http_peers_enter(p, address("127.0.0.1")));
        http_peers_leave(p, a, 5000);
        assert_ptr_equal(a, http_peers_enter(p, address("192.0.2.1")));
        http_peers_free(p);
}

static void a_second_has_so_many_requests(void **state)
{
        (void)state;
        const struct http_limits limits = {.reads = 10, .writes = 2};
        struct http_peers *p = http_peers_new(&limits);
        struct http_peer *a = http_peers_enter(p, address("127.0.0.1"));
        int64_t now = 1000000;
        for (int i = 0; i < 10; i++)
                assert_true(http_peer_may(p, a, true, now));
        assert_false(http_peer_may(p, a, true, now + 99));
        assert_true(http_peer_may(p, a, true, now + 100));
        assert_false(http_peer_may(p, a, true, now + 100));
        assert_true(http_peer_may(p, a, false, now + 100)); /* writes are counted apart */
        assert_true(http_peer_may(p, a, false, now + 100));
        assert_false(http_peer_may(p, a, false, now + 100));
        http_peers_tidy(p, now + 5000); /* it has a connection: it stays */
        assert_true(http_peer_may(p, a, true, now + 5000));
        http_peers_leave(p, a, now + 5000);
        http_peers_tidy(p, now + 10000);
        http_peers_free(p);
}

/* ── the hash ── */

static void siphash_is_that_of_openssl(void **state)
{
        (void)state;
        struct siphash_key key;
        uint8_t raw[16], data[200];
        for (size_t i = 0; i < sizeof(raw); i++)
                raw[i] = (uint8_t)i;
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (uint8_t)(i * 7);
        memcpy(&key, raw, sizeof(key)); /* on a little-endian machine, as all of ours */
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
        for (size_t len = 0; len <= sizeof(data); len++) {
                uint64_t ours[2];
                uint8_t theirs[16];
                size_t n = 0;
                EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
                assert_int_equal(1, EVP_MAC_init(ctx, raw, sizeof(raw), NULL));
                assert_int_equal(1, EVP_MAC_update(ctx, data, len));
                assert_int_equal(1, EVP_MAC_final(ctx, theirs, &n, sizeof(theirs)));
                EVP_MAC_CTX_free(ctx);
                siphash128(&key, data, len, ours);
                assert_memory_equal(theirs, ours, 16);
        }
        EVP_MAC_free(mac);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_head_is_cut_into_its_words),
                cmocka_unit_test(what_two_readers_could_read_differently_is_refused),
                cmocka_unit_test(a_head_has_a_number_of_fields_and_an_end),
                cmocka_unit_test(chunks_come_in_pieces_of_any_size),
                cmocka_unit_test(bad_chunks_are_refused),
                cmocka_unit_test(an_address_has_so_many_connections),
                cmocka_unit_test(a_second_has_so_many_requests),
                cmocka_unit_test(siphash_is_that_of_openssl),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
