/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/shape.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static json_t *read_text(const json_t *raw)
{
        char text[64];
        if (json_is_string(raw))
                return json_copy((json_t *)raw);
        if (json_is_boolean(raw))
                return json_string(json_is_true(raw) ? "true" : "false");
        if (json_is_integer(raw))
                snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(raw));
        else if (json_is_real(raw))
                snprintf(text, sizeof(text), "%.15g", json_real_value(raw));
        else
                return NULL;
        return json_string(text);
}

/* Text for a number: digits with blanks around; "" is absent. */
static json_t *number_of_text(const char *text, int64_t min, int64_t max)
{
        char *end = NULL;
        while (isspace((unsigned char)*text))
                text++;
        if (!*text)
                return json_null();
        errno = 0;
        long long v = strtoll(text, &end, 10);
        if (errno || end == text)
                return NULL;
        while (isspace((unsigned char)*end))
                end++;
        return *end || v < min || v > max ? NULL : json_integer(v);
}

static json_t *read_integer(const json_t *raw, int64_t min, int64_t max)
{
        if (json_is_string(raw))
                return number_of_text(json_string_value(raw), min, max);
        if (json_is_integer(raw)) {
                json_int_t v = json_integer_value(raw);
                return v < min || v > max ? NULL : json_integer(v);
        }
        if (json_is_real(raw)) {
                double v = trunc(json_real_value(raw));
                return v < (double)min || v > (double)max || v >= 9.2e18
                               ? NULL
                               : json_integer((json_int_t)v);
        }
        return NULL;
}

static json_t *read_real(const json_t *raw)
{
        if (json_is_number(raw))
                return json_real(json_number_value(raw));
        if (!json_is_string(raw))
                return NULL;
        char *end = NULL;
        const char *text = json_string_value(raw);
        double v = strtod(text, &end);
        return end == text || *end || !isfinite(v) ? NULL : json_real(v);
}

static json_t *read_bool(const json_t *raw)
{
        if (json_is_boolean(raw))
                return json_boolean(json_is_true(raw));
        if (json_is_integer(raw))
                return json_boolean(json_integer_value(raw) != 0);
        if (!json_is_string(raw))
                return NULL;
        const char *text = json_string_value(raw);
        if (!*text)
                return json_null();
        if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "TRUE") == 0)
                return json_true();
        if (strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "FALSE") == 0)
                return json_false();
        return NULL;
}

static json_t *read_word(const struct shape *shape, const json_t *raw)
{
        const char *text = json_string_value(raw);
        for (size_t i = 0; text && shape->words[i]; i++) {
                if (strcmp(shape->words[i], text) == 0)
                        return json_string(text);
        }
        return NULL;
}

static json_t *read_map(const json_t *raw)
{
        if (!json_is_object(raw))
                return NULL;
        CLEAN_JSON json_t *map = json_object();
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)raw, key, value)
        {
                json_t *text = json_is_null(value) ? json_null() : read_text(value);
                if (!text || json_object_set_new(map, key, text) < 0)
                        return NULL;
        }
        return TAKE(map);
}

/* jansson's members by name: 0 fine, -1 not readable. */
static int read_member(const struct shape *member, const json_t *raw, json_t *into)
{
        const json_t *value = json_object_get(raw, member->name);
        if (!value && !(member->flags & SHAPE_NEEDED))
                return 0;
        if (json_is_null(value) && (member->flags & SHAPE_NULL_UNREADABLE))
                return -1;
        if (json_is_null(value) && (member->flags & SHAPE_NULL_BAD))
                return json_object_set_new(into, member->name, json_null());
        if (!value || json_is_null(value))
                return member->flags & SHAPE_NEEDED ? -1 : 0;
        json_t *read = shape_read(member, value);
        if (!read)
                return -1;
        if (json_is_null(read)) { /* "" for a number */
                json_decref(read);
                return member->flags & SHAPE_NEEDED ? -1 : 0;
        }
        return json_object_set_new(into, member->name, read);
}

static json_t *read_object(const struct shape *shape, const json_t *raw)
{
        if (!json_is_object(raw))
                return NULL;
        CLEAN_JSON json_t *object = json_object();
        for (const struct shape *m = shape->sub; m && m->name; m++) {
                if (read_member(m, raw, object) < 0)
                        return NULL;
        }
        return TAKE(object);
}

static json_t *read_array(const struct shape *shape, const json_t *raw)
{
        CLEAN_JSON json_t *array = json_array();
        if (!json_is_array(raw)) {
                if (!(shape->flags & SHAPE_SINGLE_OK))
                        return NULL;
                json_t *one = shape_read(shape->sub, raw);
                return one && json_array_append_new(array, one) == 0 ? TAKE(array) : NULL;
        }
        size_t i;
        json_t *value;
        json_array_foreach((json_t *)raw, i, value)
        {
                json_t *element = shape_read(shape->sub, value);
                if (!element || json_array_append_new(array, element) < 0)
                        return NULL;
        }
        return TAKE(array);
}

static json_t *trimmed(json_t *text)
{
        const char *start = json_string_value(text);
        if (!start)
                return text;
        const char *end = start + strlen(start);
        while (start < end && (unsigned char)*start <= ' ')
                start++;
        while (end > start && (unsigned char)end[-1] <= ' ')
                end--;
        json_t *cut = json_stringn(start, (size_t)(end - start));
        json_decref(text);
        return cut;
}

json_t *shape_read(const struct shape *shape, const json_t *raw)
{
        switch (shape->type) {
        case SHAPE_TEXT:
                return shape->flags & SHAPE_TRIM ? trimmed(read_text(raw)) : read_text(raw);
        case SHAPE_LONG:
                return read_integer(raw, INT64_MIN, INT64_MAX);
        case SHAPE_INT:
                return read_integer(raw, INT32_MIN, INT32_MAX);
        case SHAPE_BOOL:
                return read_bool(raw);
        case SHAPE_REAL:
                return read_real(raw);
        case SHAPE_WORD:
                return read_word(shape, raw);
        case SHAPE_OBJECT:
                return read_object(shape, raw);
        case SHAPE_ARRAY:
                return read_array(shape, raw);
        case SHAPE_MAP:
                return read_map(raw);
        case SHAPE_ANY:
                return json_deep_copy(raw);
        case SHAPE_ANY_OBJECT:
                return json_is_object(raw) ? json_deep_copy(raw) : NULL;
        }
        return NULL;
}

/* ── bounds ── */

size_t shape_utf16_length(const char *text)
{
        size_t n = 0;
        for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
                if ((*p & 0xC0) != 0x80)
                        n += *p >= 0xF0 ? 2 : 1;
        }
        return n;
}

/* As hawkBit's parser sees it: an opening tag needs its end, a closing one alone is none, and
 * comments and instructions count even where they end nowhere. */
bool shape_has_markup(const char *text)
{
        for (const char *p = strchr(text, '<'); p; p = strchr(p + 1, '<')) {
                if (p[1] == '!' || p[1] == '?')
                        return true;
                if (isalpha((unsigned char)p[1]) && strchr(p, '>'))
                        return true;
        }
        return false;
}

static bool has_space(const char *text)
{
        for (const char *p = text; *p; p++) {
                if (isspace((unsigned char)*p))
                        return true;
        }
        return false;
}

static const char *check_text(const struct shape *s, const char *text, struct arena *arena)
{
        const char *name = s->name ? s->name : "value";
        if ((s->flags & SHAPE_NOT_EMPTY) && !*text)
                return arena_printf(arena, "%s must not be empty.", name);
        if (s->max > 0 && shape_utf16_length(text) > (size_t)s->max)
                return arena_printf(arena, "%s size must be between 0 and %.0f.", name, s->max);
        if ((s->flags & SHAPE_NO_SPACE) && has_space(text))
                return arena_printf(arena, "%s must not contain white space.", name);
        if ((s->flags & SHAPE_NO_MARKUP) && shape_has_markup(text))
                return arena_printf(arena, "%s must not contain HTML.", name);
        return NULL;
}

static const char *check_members(const struct shape *s, const json_t *value, struct arena *arena)
{
        for (const struct shape *m = s->sub; m && m->name; m++) {
                const json_t *member = json_object_get(value, m->name);
                if (!member && !(m->flags & SHAPE_REQUIRED))
                        continue;
                if (!member || json_is_null(member))
                        return arena_printf(arena, "%s must not be null.", m->name);
                const char *broken = shape_check(m, member, arena);
                if (broken)
                        return broken;
        }
        return NULL;
}

static const char *check_elements(const struct shape *s, const json_t *value, struct arena *arena)
{
        size_t i;
        json_t *element;
        if ((s->flags & SHAPE_NOT_EMPTY) && json_array_size(value) == 0)
                return arena_printf(arena, "%s must not be empty.", s->name ? s->name : "list");
        json_array_foreach((json_t *)value, i, element)
        {
                const char *broken = shape_check(s->sub, element, arena);
                if (broken)
                        return broken;
        }
        return NULL;
}

const char *shape_check(const struct shape *s, const json_t *value, struct arena *arena)
{
        if (s->type == SHAPE_TEXT && json_is_string(value))
                return check_text(s, json_string_value(value), arena);
        if (s->type == SHAPE_OBJECT)
                return check_members(s, value, arena);
        if (s->type == SHAPE_ARRAY)
                return check_elements(s, value, arena);
        if ((s->flags & SHAPE_RANGE) && json_is_number(value)) {
                double v = json_number_value(value);
                if (v < s->min || v > s->max)
                        return arena_printf(arena, "%s must be between %.0f and %.0f.", s->name,
                                s->min, s->max);
        }
        return NULL;
}
