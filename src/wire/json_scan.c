/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/json_scan.h"
#include "base/utf8.h"
#include "base/limits.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct scan {
        const char *at;
        const char *end;
        int depth;
};

static int scan_value(struct scan *s, struct json_slice *ret_value);

static void skip_blanks(struct scan *s)
{
        while (s->at < s->end &&
                (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
                s->at++;
}

static bool take(struct scan *s, char c)
{
        if (s->at == s->end || *s->at != c)
                return false;
        s->at++;
        return true;
}

static bool take_word(struct scan *s, const char *word)
{
        size_t len = strlen(word);
        if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
                return false;
        s->at += len;
        return true;
}

static size_t take_digits(struct scan *s)
{
        const char *first = s->at;
        while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
                s->at++;
        return (size_t)(s->at - first);
}

/* Four hexadecimal digits, or -1. */
static int take_hex4(struct scan *s)
{
        if (s->end - s->at < 4)
                return -1;
        int value = 0;
        for (int i = 0; i < 4; i++) {
                char c = *s->at++;
                int digit = c >= '0' && c <= '9'   ? c - '0'
                            : c >= 'a' && c <= 'f' ? c - 'a' + 10
                            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                   : -1;
                if (digit < 0)
                        return -1;
                value = value * 16 + digit;
        }
        return value;
}

static bool take_escape(struct scan *s)
{
        if (s->at == s->end)
                return false;
        char c = *s->at++;
        if (c != 'u')
                return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
        int unit = take_hex4(s);
        if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
                return false;
        if (unit < 0xd800 || unit > 0xdbff)
                return true;
        if (!take_word(s, "\\u"))
                return false;
        int low = take_hex4(s);
        return low >= 0xdc00 && low <= 0xdfff;
}

static bool take_utf8(struct scan *s)
{
        size_t n = utf8_length((const unsigned char *)s->at, (size_t)(s->end - s->at));
        s->at += n;
        return n > 0;
}

static bool take_string(struct scan *s)
{
        if (!take(s, '"'))
                return false;
        while (s->at < s->end) {
                unsigned char c = (unsigned char)*s->at;
                if (c >= 0x80) {
                        if (!take_utf8(s))
                                return false;
                        continue;
                }
                s->at++;
                if (c == '"')
                        return true;
                if (c < 0x20 || (c == '\\' && !take_escape(s)))
                        return false;
        }
        return false;
}

/* A number as C's own text, because strtod() needs a terminator. NAN when it is absurdly long. */
static double to_double(const char *text, size_t len)
{
        char copy[64];
        if (len >= sizeof(copy))
                return NAN;
        memcpy(copy, text, len);
        copy[len] = '\0';
        return strtod(copy, NULL);
}

static bool fits_int64(const char *text, size_t len)
{
        char copy[64];
        if (len >= sizeof(copy))
                return false;
        memcpy(copy, text, len);
        copy[len] = '\0';
        errno = 0;
        (void)strtoll(copy, NULL, 10);
        return errno == 0;
}

static bool take_number(struct scan *s)
{
        const char *first = s->at;
        (void)take(s, '-');
        const char *digits = s->at;
        size_t n = take_digits(s);
        if (n == 0 || (n > 1 && *digits == '0'))
                return false;
        bool is_integer = true;
        if (take(s, '.')) {
                is_integer = false;
                if (take_digits(s) == 0)
                        return false;
        }
        if (take(s, 'e') || take(s, 'E')) {
                is_integer = false;
                if (!take(s, '+'))
                        (void)take(s, '-');
                if (take_digits(s) == 0)
                        return false;
        }
        size_t len = (size_t)(s->at - first);
        return is_integer ? fits_int64(first, len) : isfinite(to_double(first, len));
}

static int scan_members(struct scan *s, json_member_fn member, void *context)
{
        skip_blanks(s);
        if (take(s, '}'))
                return 0;
        for (;;) {
                skip_blanks(s);
                struct json_slice key = {.text = s->at + 1, .kind = JSON_KIND_STRING};
                if (!take_string(s))
                        return -EINVAL;
                key.len = (size_t)(s->at - 1 - key.text);
                skip_blanks(s);
                if (!take(s, ':'))
                        return -EINVAL;
                struct json_slice value;
                int r = scan_value(s, &value);
                if (r == 0 && member)
                        r = member(context, key, value);
                if (r < 0)
                        return r;
                skip_blanks(s);
                if (take(s, '}'))
                        return 0;
                if (!take(s, ','))
                        return -EINVAL;
        }
}

static int scan_elements(struct scan *s)
{
        skip_blanks(s);
        if (take(s, ']'))
                return 0;
        for (;;) {
                struct json_slice value;
                int r = scan_value(s, &value);
                if (r < 0)
                        return r;
                skip_blanks(s);
                if (take(s, ']'))
                        return 0;
                if (!take(s, ','))
                        return -EINVAL;
        }
}

static int scan_nested(struct scan *s, json_member_fn member, void *context)
{
        if (s->depth >= LIMIT_JSON_DEPTH)
                return -EINVAL;
        s->depth++;
        int r = *s->at++ == '{' ? scan_members(s, member, context) : scan_elements(s);
        s->depth--;
        return r;
}

static bool take_scalar(struct scan *s, enum json_kind *ret_kind)
{
        switch (*s->at) {
        case '"':
                *ret_kind = JSON_KIND_STRING;
                return take_string(s);
        case 't':
                *ret_kind = JSON_KIND_BOOL;
                return take_word(s, "true");
        case 'f':
                *ret_kind = JSON_KIND_BOOL;
                return take_word(s, "false");
        case 'n':
                *ret_kind = JSON_KIND_NULL;
                return take_word(s, "null");
        default:
                *ret_kind = JSON_KIND_NUMBER;
                return take_number(s);
        }
}

static int scan_value(struct scan *s, struct json_slice *ret_value)
{
        skip_blanks(s);
        if (s->at == s->end)
                return -EINVAL;
        ret_value->text = s->at;
        if (*s->at == '{' || *s->at == '[') {
                ret_value->kind = *s->at == '{' ? JSON_KIND_OBJECT : JSON_KIND_ARRAY;
                int r = scan_nested(s, NULL, NULL);
                if (r < 0)
                        return r;
        } else if (!take_scalar(s, &ret_value->kind)) {
                return -EINVAL;
        }
        ret_value->len = (size_t)(s->at - ret_value->text);
        return 0;
}

int json_scan_object(const char *text, size_t len, int depth, json_member_fn member, void *context)
{
        struct scan s = {.at = text, .end = text + len, .depth = depth};
        skip_blanks(&s);
        if (s.at == s.end || *s.at != '{')
                return -EINVAL;
        int r = scan_nested(&s, member, context);
        if (r < 0)
                return r;
        skip_blanks(&s);
        return s.at == s.end ? 0 : -EINVAL;
}

double json_slice_number(struct json_slice value)
{
        return to_double(value.text, value.len);
}

bool json_slice_equals(struct json_slice slice, const char *text)
{
        return strlen(text) == slice.len && memcmp(slice.text, text, slice.len) == 0;
}
