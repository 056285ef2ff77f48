/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/cbor.h"

#include "base/limits.h"

#include <math.h>
#include <string.h>

#define BREAK 0xFF

/* ── out ── */

static void put_head(struct buf *b, unsigned major, uint64_t n)
{
        unsigned char head[9];
        size_t len = n < 24 ? 1 : n <= 0xFF ? 2 : n <= 0xFFFF ? 3 : n <= 0xFFFFFFFF ? 5 : 9;
        static const unsigned char info[] = {0, 0, 24, 25, 0, 26, 0, 0, 0, 27};
        head[0] = (unsigned char)(major << 5 | (len == 1 ? n : info[len]));
        for (size_t i = 1; i < len; i++)
                head[i] = (unsigned char)(n >> 8 * (len - 1 - i));
        buf_add(b, head, len);
}

static void put_text(struct buf *b, const char *text, size_t len)
{
        put_head(b, 3, len);
        buf_add(b, text, len);
}

static void put_real(struct buf *b, double v)
{
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        unsigned char bytes[9] = {0xFB};
        for (int i = 0; i < 8; i++)
                bytes[1 + i] = (unsigned char)(bits >> 8 * (7 - i));
        buf_add(b, bytes, sizeof(bytes));
}

static void put_value(struct buf *b, const json_t *v);

static void put_links(struct buf *b, const json_t *links)
{
        const char *rel;
        json_t *link;
        put_text(b, "links", 5);
        buf_addc(b, (char)0x9F);
        json_object_foreach((json_t *)links, rel, link)
        {
                const char *href = json_text(link, "href", "");
                buf_addc(b, (char)0xBF);
                put_text(b, "rel", 3);
                put_text(b, rel, strlen(rel));
                put_text(b, "href", 4);
                put_text(b, href, strlen(href));
                buf_addc(b, (char)BREAK);
        }
        buf_addc(b, (char)BREAK);
}

static void put_object(struct buf *b, const json_t *object)
{
        const char *key;
        json_t *value;
        buf_addc(b, (char)0xBF);
        json_object_foreach((json_t *)object, key, value)
        {
                if (strcmp(key, "_links") == 0) {
                        put_links(b, value);
                        continue;
                }
                put_text(b, key, strlen(key));
                put_value(b, value);
        }
        buf_addc(b, (char)BREAK);
}

static void put_value(struct buf *b, const json_t *v)
{
        size_t i;
        json_t *element;
        switch (json_typeof(v)) {
        case JSON_OBJECT:
                put_object(b, v);
                break;
        case JSON_ARRAY:
                buf_addc(b, (char)0x9F);
                json_array_foreach((json_t *)v, i, element)
                {
                        put_value(b, element);
                }
                buf_addc(b, (char)BREAK);
                break;
        case JSON_STRING:
                put_text(b, json_string_value(v), json_string_length(v));
                break;
        case JSON_INTEGER:
                if (json_integer_value(v) >= 0)
                        put_head(b, 0, (uint64_t)json_integer_value(v));
                else
                        put_head(b, 1, (uint64_t)(-1 - json_integer_value(v)));
                break;
        case JSON_REAL:
                put_real(b, json_real_value(v));
                break;
        default:
                buf_addc(b, (char)(json_is_null(v) ? 0xF6 : json_is_true(v) ? 0xF5 : 0xF4));
        }
}

int cbor_encode(const json_t *value, struct buf *b)
{
        put_value(b, value);
        return b->error;
}

/* ── in ── */

struct reader {
        const unsigned char *at, *end;
        int depth;
};

static bool read_head(struct reader *r, unsigned *major, unsigned *info, uint64_t *n)
{
        if (r->at >= r->end)
                return false;
        *major = *r->at >> 5;
        *info = *r->at++ & 31;
        *n = *info;
        if (*info < 24 || *info == 31)
                return true;
        if (*info > 27)
                return false;
        size_t len = (size_t)1 << (*info - 24);
        if ((size_t)(r->end - r->at) < len)
                return false;
        *n = 0;
        for (size_t i = 0; i < len; i++)
                *n = *n << 8 | *r->at++;
        return true;
}

static bool at_break(struct reader *r)
{
        if (r->at < r->end && *r->at == BREAK) {
                r->at++;
                return true;
        }
        return false;
}

static bool read_chunks(struct reader *r, struct buf *text, unsigned info, uint64_t n)
{
        unsigned major = 3;
        if (info != 31) {
                if (n > (uint64_t)(r->end - r->at) || buf_add(text, r->at, (size_t)n) < 0)
                        return false;
                r->at += n;
                return true;
        }
        while (!at_break(r)) {
                if (!read_head(r, &major, &info, &n) || major != 3 || info == 31)
                        return false;
                if (n > (uint64_t)(r->end - r->at) || buf_add(text, r->at, (size_t)n) < 0)
                        return false;
                r->at += n;
        }
        return true;
}

static json_t *read_item(struct reader *r);

static json_t *read_array(struct reader *r, unsigned info, uint64_t n)
{
        CLEAN_JSON json_t *array = json_array();
        for (uint64_t i = 0; info == 31 ? !at_break(r) : i < n; i++) {
                json_t *element = read_item(r);
                if (!element || json_array_append_new(array, element) < 0)
                        return NULL;
        }
        return TAKE(array);
}

static json_t *read_map(struct reader *r, unsigned info, uint64_t n)
{
        CLEAN_JSON json_t *map = json_object();
        for (uint64_t i = 0; info == 31 ? !at_break(r) : i < n; i++) {
                CLEAN_JSON json_t *key = read_item(r);
                json_t *value = json_is_string(key) ? read_item(r) : NULL;
                if (!value || json_object_set_new(map, json_string_value(key), value) < 0)
                        return NULL;
        }
        return TAKE(map);
}

static double half_float(uint64_t bits)
{
        int exponent = (int)(bits >> 10 & 31);
        double fraction = (double)(bits & 1023);
        double v = exponent == 0    ? ldexp(fraction, -24)
                   : exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                                    : ldexp(fraction + 1024, exponent - 25);
        return bits & 0x8000 ? -v : v;
}

static json_t *read_simple(unsigned info, uint64_t n)
{
        double v = 0;
        float f = 0;
        uint32_t bits32 = (uint32_t)n;
        switch (info) {
        case 20:
        case 21:
                return json_boolean(info == 21);
        case 22:
        case 23:
                return json_null();
        case 25:
                v = half_float(n);
                break;
        case 26:
                memcpy(&f, &bits32, sizeof(f));
                v = (double)f;
                break;
        case 27:
                memcpy(&v, &n, sizeof(v));
                break;
        default:
                return NULL;
        }
        return isfinite(v) ? json_real(v) : NULL;
}

static json_t *read_text(struct reader *r, unsigned info, uint64_t n)
{
        CLEAN_BUF struct buf text = BUF_INIT((size_t)(r->end - r->at) + 1);
        return read_chunks(r, &text, info, n) ? json_stringn(buf_text(&text), text.len) : NULL;
}

static json_t *read_item(struct reader *r)
{
        unsigned major, info;
        uint64_t n;
        if (!read_head(r, &major, &info, &n) || ++r->depth > LIMIT_JSON_DEPTH)
                return NULL;
        json_t *v = NULL;
        if (major == 0 && info != 31 && n <= INT64_MAX)
                v = json_integer((json_int_t)n);
        else if (major == 1 && info != 31 && n <= INT64_MAX)
                v = json_integer(-1 - (json_int_t)n);
        else if (major == 3)
                v = read_text(r, info, n);
        else if (major == 4)
                v = read_array(r, info, n);
        else if (major == 5)
                v = read_map(r, info, n);
        else if (major == 7)
                v = read_simple(info, n);
        r->depth--;
        return v;
}

json_t *cbor_decode(const void *data, size_t len)
{
        struct reader r = {.at = data, .end = (const unsigned char *)data + len};
        json_t *v = read_item(&r);
        if (v && r.at != r.end) {
                json_decref(v);
                return NULL;
        }
        return v;
}
