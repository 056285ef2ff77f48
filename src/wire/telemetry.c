/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/telemetry.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Four slots a column keep the chains short. */
#define SLOTS (4 * LIMIT_TELEMETRY_COLUMNS)
#define INDEX_DIGITS 12
/* Unescaped texts are never longer than the message, and there is at most one composed name a
 * column; the last index_name() may come before the column is refused. */
#define ARENA_BYTES                                                                                \
        (LIMIT_MESSAGE_BYTES + LIMIT_TELEMETRY_COLUMNS * LIMIT_TELEMETRY_NAME_BYTES + INDEX_DIGITS)

struct telemetry_memory {
        size_t used;
        uint32_t stamp; /* of this message: slots with another one are free */
        struct {
                uint32_t stamp;
                uint16_t group, column;
        } slots[SLOTS];
        char arena[ARENA_BYTES];
};

struct parser {
        const char *start, *p, *end;
        struct telemetry *t;
        char *arena, *arena_end;
        size_t n_loose;  /* scalars at the top, kept at the end of `columns` until the end of the
                            message */
        size_t path_len; /* `Wheel1.` while inside of Wheel1 */
        char path[LIMIT_TELEMETRY_NAME_BYTES];
        unsigned depth;
        const char *reason;
};

#define NO_GROUP LIMIT_TELEMETRY_GROUPS

const char *telemetry_type_to_string(enum telemetry_type type)
{
        static const char *const names[TELEMETRY_TYPE_N] = {"null", "boolean", "number", "text"};
        return names[type];
}

struct telemetry *telemetry_new(void)
{
        CLEAN(telemetry) struct telemetry *t = calloc(1, sizeof(*t));
        if (t)
                t->memory = calloc(1, sizeof(*t->memory));
        return t && t->memory ? TAKE(t) : NULL;
}

void telemetry_free(struct telemetry *t)
{
        if (!t)
                return;
        free(t->memory);
        free(t);
}

/* ── names ── */

static inline uint64_t load(const char *p, size_t n)
{
        uint64_t v = 0;
        memcpy(&v, p, n);
        return v;
}

/* Setting bit 5 makes letters equal in both cases. That it makes some other bytes equal too costs a
 * comparison now and then. */
static inline uint64_t mix(uint64_t h, uint64_t v)
{
        h = (h ^ (v | UINT64_C(0x2020202020202020))) * UINT64_C(0x9E3779B97F4A7C15);
        return h ^ (h >> 29);
}

uint32_t telemetry_hash(const char *name, size_t len)
{
        uint64_t h = len;
        if (len < 8)
                return (uint32_t)mix(h,
                        len < 4 ? load(name, len) : load(name, 4) | load(name + len - 4, 4) << 32);
        for (size_t i = 0; i + 8 < len; i += 8)
                h = mix(h, load(name + i, 8));
        return (uint32_t)mix(h, load(name + len - 8, 8));
}

static char fold(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool telemetry_same_name(struct telemetry_text a, struct telemetry_text b)
{
        if (a.len != b.len)
                return false;
        if (!memcmp(a.at, b.at, a.len))
                return true;
        for (size_t i = 0; i < a.len; i++)
                if (fold(a.at[i]) != fold(b.at[i]))
                        return false;
        return true;
}

static void forget_names(struct telemetry_memory *m)
{
        m->used = 0;
        if (!++m->stamp) { /* once in four billion messages */
                memset(m->slots, 0, sizeof(m->slots));
                m->stamp = 1;
        }
}

/* Remembers the column `index` of a group; false if the group has one of that name already. */
static bool remember_name(struct telemetry *t, size_t group, size_t index)
{
        struct telemetry_memory *m = t->memory;
        const struct telemetry_column *c = &t->columns[index];
        for (size_t i = (c->hash ^ group * 0x9E3779B1u) % SLOTS;; i = (i + 1) % SLOTS) {
                if (m->slots[i].stamp != m->stamp) {
                        m->slots[i].stamp = m->stamp;
                        m->slots[i].group = (uint16_t)group;
                        m->slots[i].column = (uint16_t)index;
                        return true;
                }
                const struct telemetry_column *other = &t->columns[m->slots[i].column];
                if (m->slots[i].group == group && other->hash == c->hash &&
                        telemetry_same_name(other->name, c->name))
                        return false;
        }
}

/* ── reading ── */

static int fail(struct parser *ps, const char *reason)
{
        if (!ps->reason)
                ps->reason = reason;
        return -EBADMSG;
}

static inline void skip_space(struct parser *ps)
{
        while (ps->p < ps->end &&
                (*ps->p == ' ' || *ps->p == '\n' || *ps->p == '\r' || *ps->p == '\t'))
                ps->p++;
}

/* What comes after blanks, -1 at the end. */
static inline int peek(struct parser *ps)
{
        skip_space(ps);
        return ps->p < ps->end ? (unsigned char)*ps->p : -1;
}

static int hex4(struct parser *ps, unsigned *ret)
{
        unsigned v = 0;
        if (ps->end - ps->p < 4)
                return fail(ps, "unfinished escape");
        for (int i = 0; i < 4; i++) {
                char c = *ps->p++;
                unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                                 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                 : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                        : 16;
                if (digit > 15)
                        return fail(ps, "bad \\u escape");
                v = v * 16 + digit;
        }
        *ret = v;
        return 0;
}

static void put_utf8(struct parser *ps, unsigned c)
{
        if (c < 0x80) {
                *ps->arena++ = (char)c;
                return;
        }
        if (c < 0x800) {
                *ps->arena++ = (char)(0xc0 | c >> 6);
        } else {
                if (c < 0x10000) {
                        *ps->arena++ = (char)(0xe0 | c >> 12);
                } else {
                        *ps->arena++ = (char)(0xf0 | c >> 18);
                        *ps->arena++ = (char)(0x80 | (c >> 12 & 63));
                }
                *ps->arena++ = (char)(0x80 | (c >> 6 & 63));
        }
        *ps->arena++ = (char)(0x80 | (c & 63));
}

static int read_unicode_escape(struct parser *ps)
{
        unsigned c, low;
        if (hex4(ps, &c))
                return -EBADMSG;
        if (c >= 0xd800 && c < 0xdc00) {
                if (ps->end - ps->p < 2 || ps->p[0] != '\\' || ps->p[1] != 'u')
                        return fail(ps, "half a surrogate pair");
                ps->p += 2;
                if (hex4(ps, &low))
                        return -EBADMSG;
                if (low < 0xdc00 || low > 0xdfff)
                        return fail(ps, "half a surrogate pair");
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        } else if (c >= 0xdc00 && c < 0xe000) {
                return fail(ps, "half a surrogate pair");
        }
        if (!c)
                return fail(ps, "NUL in a text"); /* no table or program behind us expects it */
        put_utf8(ps, c);
        return 0;
}

/* Behind the backslash. */
static int read_escape(struct parser *ps)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        if (ps->p == ps->end)
                return fail(ps, "unfinished text");
        char c = *ps->p++;
        if (c == 'u')
                return read_unicode_escape(ps);
        const char *found = c ? strchr(from, c) : NULL;
        if (!found)
                return fail(ps, "bad escape");
        *ps->arena++ = to[found - from];
        return 0;
}

/* What a byte of a text is: plain, the end of the plain, bad, or the first of several. */
enum byte_class { PLAIN, STOP, CONTROL, WIDE };
static const uint8_t byte_classes[256] = {
        [0 ... 0x1f] = CONTROL,
        ['"'] = STOP,
        ['\\'] = STOP,
        [0x80 ... 0xff] = WIDE,
};

/* Goes over bytes that mean themselves, up to a quote or a backslash. */
static int scan_plain(struct parser *ps)
{
        for (const char *end = ps->end; ps->p < end;) {
                const char *p = ps->p;
                while (p < end && byte_classes[(unsigned char)*p] == PLAIN)
                        p++;
                ps->p = p;
                if (p == end)
                        break;
                enum byte_class c = byte_classes[(unsigned char)*p];
                if (c == STOP)
                        return 0;
                if (c == CONTROL)
                        return fail(ps, "control character in a text");
                size_t n = utf8_length((const unsigned char *)p, (size_t)(end - p));
                if (!n)
                        return fail(ps, "bad UTF-8");
                ps->p += n;
        }
        return fail(ps, "unfinished text");
}

/* The rest of a text whose beginning is `from` … `p`, put together in the arena. */
static int read_escaped(struct parser *ps, const char *from, struct telemetry_text *ret)
{
        char *begin = ps->arena;
        for (;;) {
                /* The arena has room for a whole message, and escapes only shrink. */
                size_t n = (size_t)(ps->p - from);
                memcpy(ps->arena, from, n);
                ps->arena += n;
                if (*ps->p++ == '"')
                        break;
                if (read_escape(ps))
                        return -EBADMSG;
                from = ps->p;
                if (scan_plain(ps))
                        return -EBADMSG;
        }
        *ret = (struct telemetry_text){begin, (size_t)(ps->arena - begin)};
        return 0;
}

/* At the opening quote. */
static int read_text(struct parser *ps, struct telemetry_text *ret)
{
        const char *from = ++ps->p;
        if (scan_plain(ps))
                return -EBADMSG;
        if (*ps->p == '\\')
                return read_escaped(ps, from, ret);
        *ret = (struct telemetry_text){from, (size_t)(ps->p - from)};
        ps->p++;
        return 0;
}

static inline bool is_digit(const struct parser *ps)
{
        return ps->p < ps->end && *ps->p >= '0' && *ps->p <= '9';
}

/* mantissa * 10^exponent */
struct decimal {
        uint64_t mantissa;
        int digits; /* significant ones that were seen; the mantissa holds the first 19 */
        int64_t exponent;
};

static inline void take_digits(struct parser *ps, struct decimal *d, int64_t step)
{
        for (; is_digit(ps); ps->p++) {
                if (d->digits < 19) {
                        d->mantissa = d->mantissa * 10 + (uint64_t)(*ps->p - '0');
                        d->digits += d->mantissa != 0;
                        d->exponent += step;
                } else {
                        d->digits++;
                        d->exponent += step + 1;
                }
        }
}

static int read_exponent(struct parser *ps, struct decimal *d)
{
        ps->p++;
        bool negative = ps->p < ps->end && *ps->p == '-';
        if (ps->p < ps->end && (*ps->p == '-' || *ps->p == '+'))
                ps->p++;
        if (!is_digit(ps))
                return fail(ps, "bad number");
        int64_t e = 0;
        for (; is_digit(ps); ps->p++)
                if (e < 1000000)
                        e = e * 10 + (*ps->p - '0');
        d->exponent += negative ? -e : e;
        return 0;
}

/* Correct in all cases, and slow; for the few numbers that take_digits() can't hold exactly. */
static int read_number_slowly(struct parser *ps, const char *from, double *ret)
{
        size_t n = (size_t)(ps->p - from);
        if ((size_t)(ps->arena_end - ps->arena) < n + 1)
                return fail(ps, "number too long");
        memcpy(ps->arena, from, n);
        ps->arena[n] = 0;
        *ret = strtod(ps->arena, NULL);
        return *ret - *ret == 0 ? 0 : fail(ps, "number too large");
}

static int read_number(struct parser *ps, double *ret)
{
        static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
                1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        const char *from = ps->p;
        struct decimal d = {0};
        bool negative = *ps->p == '-';
        ps->p += negative;
        if (!is_digit(ps))
                return fail(ps, "bad value");
        if (*ps->p == '0' && ps->end - ps->p > 1 && ps->p[1] >= '0' && ps->p[1] <= '9')
                return fail(ps, "number with a leading zero");
        take_digits(ps, &d, 0);
        if (ps->p < ps->end && *ps->p == '.') {
                ps->p++;
                if (!is_digit(ps))
                        return fail(ps, "bad number");
                take_digits(ps, &d, -1);
        }
        if (ps->p < ps->end && (*ps->p == 'e' || *ps->p == 'E') && read_exponent(ps, &d))
                return -EBADMSG;
        /* Both the mantissa and the power are exact, so one rounding gives the nearest double. */
        if (d.mantissa > UINT64_C(1) << 53 || d.exponent < -22 || d.exponent > 22)
                return read_number_slowly(ps, from, ret);
        double v = (double)d.mantissa;
        v = d.exponent < 0 ? v / powers[-d.exponent] : v * powers[d.exponent];
        *ret = negative ? -v : v;
        return 0;
}

static int read_word(struct parser *ps, const char *word, size_t len)
{
        if ((size_t)(ps->end - ps->p) < len || memcmp(ps->p, word, len))
                return fail(ps, "bad value");
        ps->p += len;
        return 0;
}

/* `c` is the first byte of the value, as peek() gave it. */
static int read_scalar(struct parser *ps, int c, struct telemetry_value *ret)
{
        switch (c) {
        case -1:
                return fail(ps, "the message ends too early");
        case '"':
                ret->type = TELEMETRY_TEXT;
                return read_text(ps, &ret->text);
        case 't':
        case 'f':
                ret->type = TELEMETRY_BOOL;
                ret->boolean = c == 't';
                return c == 't' ? read_word(ps, "true", 4) : read_word(ps, "false", 5);
        case 'n':
                ret->type = TELEMETRY_NULL;
                return read_word(ps, "null", 4);
        default:
                ret->type = TELEMETRY_NUMBER;
                return read_number(ps, &ret->number);
        }
}

/* ── flattening ── */

static int check_name(struct parser *ps, struct telemetry_text name)
{
        if (!name.len)
                return fail(ps, "empty name");
        if (name.len > LIMIT_TELEMETRY_NAME_BYTES - ps->path_len)
                return fail(ps, "name too long");
        /* Only an escape can have brought one in, and what had an escape is in the arena. */
        bool is_slice = name.at >= ps->start && name.at < ps->end;
        for (size_t i = 0; !is_slice && i < name.len; i++)
                if ((unsigned char)name.at[i] < 0x20)
                        return fail(ps, "control character in a name");
        return 0;
}

/* The whole name of a column: a slice of the message, or composed of the path and `name`. */
static struct telemetry_text full_name(struct parser *ps, struct telemetry_text name)
{
        if (!ps->path_len)
                return name;
        char *to = ps->arena;
        memcpy(to, ps->path, ps->path_len);
        memcpy(to + ps->path_len, name.at, name.len);
        size_t len = ps->path_len + name.len;
        ps->arena += len;
        return (struct telemetry_text){to, len};
}

static int add_column(struct parser *ps, size_t group, struct telemetry_text name,
        const struct telemetry_value *value)
{
        struct telemetry *t = ps->t;
        if (t->n_columns + ps->n_loose >= LIMIT_TELEMETRY_COLUMNS)
                return fail(ps, "too many columns");
        size_t index = group == NO_GROUP ? LIMIT_TELEMETRY_COLUMNS - ++ps->n_loose : t->n_columns++;
        struct telemetry_column *c = &t->columns[index];
        c->name = full_name(ps, name);
        c->hash = telemetry_hash(c->name.at, c->name.len);
        c->value = *value;
        return remember_name(t, group, index) ? 0 : fail(ps, "a name comes twice");
}

static int read_nested(struct parser *ps, size_t group);

/* A value of the group, called `name` below the path. */
static int read_value(struct parser *ps, size_t group, struct telemetry_text name)
{
        int c = peek(ps);
        if (c != '{' && c != '[') {
                struct telemetry_value value;
                return read_scalar(ps, c, &value) ? -EBADMSG : add_column(ps, group, name, &value);
        }
        size_t before = ps->path_len;
        if (before + name.len + 1 >= LIMIT_TELEMETRY_NAME_BYTES)
                return fail(ps, "name too long");
        memcpy(ps->path + before, name.at, name.len);
        ps->path[before + name.len] = '.';
        ps->path_len += name.len + 1;
        int r = read_nested(ps, group);
        ps->path_len = before;
        return r;
}

/* `"name":` of a member. */
static int read_name(struct parser *ps, struct telemetry_text *ret)
{
        if (peek(ps) != '"')
                return fail(ps, "a name is missing");
        if (read_text(ps, ret) || check_name(ps, *ret))
                return -EBADMSG;
        if (peek(ps) != ':')
                return fail(ps, "':' is missing");
        ps->p++;
        return 0;
}

/* Behind a member: 1: another one follows, 0: `close` ended them. */
static int read_separator(struct parser *ps, int close)
{
        int c = peek(ps);
        if (c != ',' && c != close)
                return fail(ps, c < 0 ? "the message ends too early" : "',' is missing");
        ps->p++;
        return c == ',';
}

/* The name of an array's member. `digits` lives as long as the call; a column without a path before
 * its name needs it for longer. */
static struct telemetry_text index_name(
        struct parser *ps, unsigned index, char digits[INDEX_DIGITS])
{
        size_t n = (size_t)snprintf(digits, INDEX_DIGITS, "%u", index);
        int c = peek(ps);
        if (ps->path_len || c == '{' || c == '[')
                return (struct telemetry_text){digits, n};
        memcpy(ps->arena, digits, n);
        ps->arena += n;
        return (struct telemetry_text){ps->arena - n, n};
}

static int read_array(struct parser *ps, size_t group)
{
        for (unsigned i = 0;; i++) {
                char digits[INDEX_DIGITS];
                struct telemetry_text name = index_name(ps, i, digits);
                int r = check_name(ps, name);
                if (!r)
                        r = read_value(ps, group, name);
                if (!r)
                        r = read_separator(ps, ']');
                if (r <= 0)
                        return r;
        }
}

static int read_object(struct parser *ps, size_t group)
{
        for (;;) {
                struct telemetry_text name;
                if (read_name(ps, &name))
                        return -EBADMSG;
                int r = read_value(ps, group, name);
                if (!r)
                        r = read_separator(ps, '}');
                if (r <= 0)
                        return r;
        }
}

/* At the bracket of an object or array that belongs to a group. */
static int read_nested(struct parser *ps, size_t group)
{
        char open = *ps->p++;
        char close = open == '{' ? '}' : ']';
        if (++ps->depth > LIMIT_JSON_DEPTH)
                return fail(ps, "nested too deeply");
        int r = 0;
        if (peek(ps) == close)
                ps->p++;
        else
                r = open == '{' ? read_object(ps, group) : read_array(ps, group);
        ps->depth--;
        return r;
}

/* ── the envelope and the groups ── */

static int add_group(struct telemetry *t, struct telemetry_text name)
{
        uint32_t hash = telemetry_hash(name.at, name.len);
        for (size_t i = 0; i < t->n_groups; i++)
                if (t->groups[i].hash == hash && telemetry_same_name(t->groups[i].name, name))
                        return -EEXIST;
        if (t->n_groups == LIMIT_TELEMETRY_GROUPS)
                return -E2BIG;
        t->groups[t->n_groups++] = (struct telemetry_group){name, hash, t->n_columns, 0};
        return 0;
}

static int read_group(struct parser *ps, struct telemetry_text name)
{
        struct telemetry *t = ps->t;
        int r = add_group(t, name);
        if (r)
                return fail(ps, r == -EEXIST ? "a subsystem comes twice" : "too many subsystems");
        size_t group = t->n_groups - 1;
        r = read_nested(ps, group);
        t->groups[group].n = t->n_columns - t->groups[group].first;
        return r;
}

static bool is_name(struct telemetry_text name, const char *text, size_t len)
{
        return name.len == len && !memcmp(name.at, text, len);
}
#define IS_NAME(name, literal) is_name(name, literal, sizeof(literal) - 1)

static int take_device_id(struct parser *ps, const struct telemetry_value *v)
{
        struct telemetry *t = ps->t;
        if (v->type != TELEMETRY_TEXT)
                return fail(ps, "DeviceID is no text");
        if (!v->text.len || v->text.len > LIMIT_THING_NAME_BYTES)
                return fail(ps, "DeviceID is empty or too long");
        if (t->has_device_id)
                return fail(ps, "DeviceID comes twice");
        t->has_device_id = true;
        t->device_id = v->text;
        return 0;
}

static int take_time(struct parser *ps, const struct telemetry_value *v)
{
        struct telemetry *t = ps->t;
        char text[CLOCK_ISO8601_SIZE + 8];
        if (v->type != TELEMETRY_TEXT || v->text.len >= sizeof(text))
                return fail(ps, "Timestamp is no ISO 8601 text");
        if (t->has_time)
                return fail(ps, "Timestamp comes twice");
        memcpy(text, v->text.at, v->text.len);
        text[v->text.len] = 0;
        if (clock_parse_iso8601(text, &t->time_ms))
                return fail(ps, "Timestamp is no ISO 8601 text");
        t->has_time = true;
        return 0;
}

static int take_sequence(struct parser *ps, const struct telemetry_value *v)
{
        struct telemetry *t = ps->t;
        if (v->type != TELEMETRY_NUMBER || v->number < 1 || v->number > 9007199254740992.0 ||
                v->number != (double)(int64_t)v->number)
                return fail(ps, "Sequence is no whole number from 1 on");
        if (t->has_sequence)
                return fail(ps, "Sequence comes twice");
        t->has_sequence = true;
        t->sequence = (int64_t)v->number;
        return 0;
}

static int take_software_version(struct parser *ps, const struct telemetry_value *v)
{
        struct telemetry *t = ps->t;
        if (v->type != TELEMETRY_TEXT || v->text.len > LIMIT_VERSION_BYTES)
                return fail(ps, "SoftwareVersion is no text, or too long");
        if (t->has_software_version)
                return fail(ps, "SoftwareVersion comes twice");
        t->has_software_version = true;
        t->software_version = v->text;
        return 0;
}

/* A scalar at the top: part of the envelope, or a column of the group for the rest. */
static int take_top(struct parser *ps, struct telemetry_text name, const struct telemetry_value *v)
{
        if (IS_NAME(name, "DeviceID"))
                return take_device_id(ps, v);
        if (IS_NAME(name, "Timestamp"))
                return take_time(ps, v);
        if (IS_NAME(name, "Sequence"))
                return take_sequence(ps, v);
        if (IS_NAME(name, "SoftwareVersion"))
                return take_software_version(ps, v);
        return add_column(ps, NO_GROUP, name, v);
}

static int read_top(struct parser *ps)
{
        if (peek(ps) != '{')
                return fail(ps, "the message is no object");
        ps->p++;
        ps->depth = 1;
        if (peek(ps) == '}') {
                ps->p++;
                return 0;
        }
        for (;;) {
                struct telemetry_text name;
                struct telemetry_value value;
                if (read_name(ps, &name))
                        return -EBADMSG;
                int c = peek(ps);
                int r = c == '{' || c == '[' ? read_group(ps, name) : read_scalar(ps, c, &value);
                if (!r && c != '{' && c != '[')
                        r = take_top(ps, name, &value);
                if (!r)
                        r = read_separator(ps, '}');
                if (r <= 0)
                        return r;
        }
}

/* The scalars of the top become a group of their own, in their order. */
static int gather_loose(struct parser *ps)
{
        struct telemetry *t = ps->t;
        size_t n = ps->n_loose;
        if (!n)
                return 0;
        struct telemetry_text name = {TELEMETRY_MESSAGE_GROUP, sizeof(TELEMETRY_MESSAGE_GROUP) - 1};
        if (add_group(t, name))
                return fail(ps, "too many subsystems, or one that is called Message");
        /* They lie backwards at the end of the array. Turned there, they can be moved down. */
        struct telemetry_column *loose = &t->columns[LIMIT_TELEMETRY_COLUMNS - n];
        for (size_t i = 0; i < n / 2; i++) {
                struct telemetry_column c = loose[i];
                loose[i] = loose[n - 1 - i];
                loose[n - 1 - i] = c;
        }
        memmove(&t->columns[t->n_columns], loose, n * sizeof(*loose));
        t->n_columns += n;
        t->groups[t->n_groups - 1].n = n;
        return 0;
}

static void empty(struct telemetry *t)
{
        t->has_device_id = t->has_time = t->has_sequence = t->has_software_version = false;
        t->n_groups = t->n_columns = 0;
        forget_names(t->memory);
}

int telemetry_parse(struct telemetry *t, const char *message, size_t len, struct err *err)
{
        empty(t);
        if (len > LIMIT_MESSAGE_BYTES)
                return err_set(err, -EBADMSG, "message of %zu bytes is too long", len);
        struct parser ps;
        ps.start = ps.p = message;
        ps.end = message + len;
        ps.t = t;
        ps.arena = t->memory->arena;
        ps.arena_end = t->memory->arena + sizeof(t->memory->arena);
        ps.n_loose = ps.path_len = 0;
        ps.reason = NULL;
        int r = read_top(&ps);
        if (!r && peek(&ps) >= 0)
                r = fail(&ps, "something follows the message");
        if (!r)
                r = gather_loose(&ps);
        t->memory->used = (size_t)(ps.arena - t->memory->arena);
        return r ? err_set(err, r, "%s at byte %zu", ps.reason, (size_t)(ps.p - ps.start)) : 0;
}

/* ── composing ── */

void telemetry_copy_envelope(struct telemetry *t, const struct telemetry *from)
{
        empty(t);
        t->has_device_id = from->has_device_id;
        t->device_id = from->device_id;
        t->has_time = from->has_time;
        t->time_ms = from->time_ms;
        t->has_sequence = from->has_sequence;
        t->sequence = from->sequence;
        t->has_software_version = from->has_software_version;
        t->software_version = from->software_version;
}

int telemetry_add(struct telemetry *t, struct telemetry_text group, struct telemetry_text name,
        struct telemetry_value value)
{
        if (!name.len || name.len > LIMIT_TELEMETRY_NAME_BYTES ||
                t->n_columns == LIMIT_TELEMETRY_COLUMNS)
                return -E2BIG;
        if (!t->n_groups || !telemetry_same_name(t->groups[t->n_groups - 1].name, group)) {
                int r = add_group(t, group);
                if (r)
                        return r;
        }
        size_t index = t->n_columns;
        t->columns[index] =
                (struct telemetry_column){name, telemetry_hash(name.at, name.len), value};
        if (!remember_name(t, t->n_groups - 1, index))
                return -EEXIST;
        t->n_columns++;
        t->groups[t->n_groups - 1].n++;
        return 0;
}

int telemetry_add_joined(struct telemetry *t, struct telemetry_text group,
        struct telemetry_text prefix, struct telemetry_text name, struct telemetry_value value)
{
        struct telemetry_memory *m = t->memory;
        size_t len = prefix.len + 1 + name.len;
        if (len > LIMIT_TELEMETRY_NAME_BYTES || len > sizeof(m->arena) - m->used)
                return -E2BIG;
        char *to = m->arena + m->used;
        memcpy(to, prefix.at, prefix.len);
        to[prefix.len] = '.';
        memcpy(to + prefix.len + 1, name.at, name.len);
        m->used += len;
        return telemetry_add(t, group, (struct telemetry_text){to, len}, value);
}

const struct telemetry_group *telemetry_group(const struct telemetry *t, const char *name)
{
        struct telemetry_text text = {name, strlen(name)};
        uint32_t hash = telemetry_hash(name, text.len);
        for (size_t i = 0; i < t->n_groups; i++)
                if (t->groups[i].hash == hash && telemetry_same_name(t->groups[i].name, text))
                        return &t->groups[i];
        return NULL;
}

const struct telemetry_column *telemetry_column(
        const struct telemetry *t, const struct telemetry_group *group, const char *name)
{
        struct telemetry_text text = {name, strlen(name)};
        uint32_t hash = telemetry_hash(name, text.len);
        for (size_t i = group->first; i < group->first + group->n; i++)
                if (t->columns[i].hash == hash && telemetry_same_name(t->columns[i].name, text))
                        return &t->columns[i];
        return NULL;
}
