/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16

static void skip_blanks(struct json_reader *r)
{
        r->at += strspn(r->at, " \t\r\n");
}

static bool take(struct json_reader *r, char c)
{
        skip_blanks(r);
        if (*r->at != c)
                return false;
        r->at++;
        return true;
}

static bool take_word(struct json_reader *r, const char *word)
{
        skip_blanks(r);
        size_t len = strlen(word);
        if (strncmp(r->at, word, len) != 0)
                return false;
        r->at += len;
        return true;
}

/* The text between quotes. Names of sensors have no escapes, so what stands there is kept as it is.
 */
static bool read_string(struct json_reader *r, const char **ret_text, size_t *ret_len)
{
        if (!take(r, '"'))
                return false;
        const char *first = r->at;
        while (*r->at && *r->at != '"') {
                if (*r->at == '\\' && r->at[1])
                        r->at++;
                r->at++;
        }
        if (*r->at != '"')
                return false;
        *ret_text = first;
        *ret_len = (size_t)(r->at - first);
        r->at++;
        return true;
}

bool json_enter(struct json_reader *r)
{
        return take(r, '{');
}

int json_next(struct json_reader *r, char name[JSON_NAME_SIZE])
{
        if (take(r, '}'))
                return 0;
        (void)take(r, ',');
        const char *text;
        size_t len;
        if (!read_string(r, &text, &len) || !take(r, ':'))
                return -1;
        /* A name that is too long is none of ours. */
        if (len >= JSON_NAME_SIZE)
                len = 0;
        memcpy(name, text, len);
        name[len] = '\0';
        return 1;
}

bool json_read_number(struct json_reader *r, double *ret_number)
{
        skip_blanks(r);
        if (*r->at != '-' && (*r->at < '0' || *r->at > '9'))
                return false;
        char *end;
        *ret_number = strtod(r->at, &end);
        r->at = end;
        return isfinite(*ret_number);
}

static bool read_flag(struct json_reader *r, double *ret_number)
{
        if (take_word(r, "true"))
                *ret_number = 1;
        else if (take_word(r, "false"))
                *ret_number = 0;
        else
                return false;
        return true;
}

static bool skip_nested(struct json_reader *r, int depth);

static bool skip_value(struct json_reader *r, int depth)
{
        const char *text;
        size_t len;
        double number;
        skip_blanks(r);
        if (*r->at == '{' || *r->at == '[')
                return depth < DEPTH_MAX && skip_nested(r, depth + 1);
        if (*r->at == '"')
                return read_string(r, &text, &len);
        return read_flag(r, &number) || take_word(r, "null") || json_read_number(r, &number);
}

static bool skip_nested(struct json_reader *r, int depth)
{
        char close = *r->at++ == '{' ? '}' : ']';
        char name[JSON_NAME_SIZE];
        for (bool is_first = true; !take(r, close); is_first = false) {
                if (close == '}') {
                        if (json_next(r, name) <= 0)
                                return false;
                } else if (!is_first && !take(r, ',')) {
                        return false;
                }
                if (!skip_value(r, depth))
                        return false;
        }
        return true;
}

bool json_skip(struct json_reader *r)
{
        return skip_value(r, 0);
}

bool json_read_values(struct json_reader *r, struct json_values *ret_values)
{
        char name[JSON_NAME_SIZE];
        ret_values->n = ret_values->last = 0;
        if (!json_enter(r))
                return false;
        int more;
        while ((more = json_next(r, name)) > 0) {
                double number;
                if (!read_flag(r, &number) && !json_read_number(r, &number)) {
                        if (!json_skip(r))
                                return false;
                        continue;
                }
                if (ret_values->n == JSON_VALUES_MAX)
                        continue;
                memcpy(ret_values->value[ret_values->n].name, name, sizeof(name));
                ret_values->value[ret_values->n++].number = number;
        }
        return more == 0;
}

bool json_at_end(struct json_reader *r)
{
        skip_blanks(r);
        return *r->at == '\0';
}

bool json_find(struct json_values *values, const char *name, double *ret_number)
{
        for (int i = 0; i < values->n; i++) {
                int at = (values->last + i) % values->n;
                if (strcmp(values->value[at].name, name) != 0)
                        continue;
                values->last = at;
                *ret_number = values->value[at].number;
                return true;
        }
        return false;
}

void json_clear(struct json_writer *w)
{
        w->len = 0;
        w->needs_comma = w->is_full = false;
        w->text[0] = '\0';
}

static void add(struct json_writer *w, const char *text)
{
        size_t len = strlen(text);
        if (len >= sizeof(w->text) - w->len) {
                w->is_full = true;
                return;
        }
        memcpy(w->text + w->len, text, len + 1);
        w->len += len;
}

static void add_name(struct json_writer *w, const char *name)
{
        if (w->needs_comma)
                add(w, ",");
        w->needs_comma = true;
        if (!name)
                return;
        add(w, "\"");
        add(w, name);
        add(w, "\":");
}

void json_open(struct json_writer *w, const char *name)
{
        add_name(w, name);
        add(w, "{");
        w->needs_comma = false;
}

void json_close(struct json_writer *w)
{
        add(w, "}");
        w->needs_comma = true;
}

void json_number(struct json_writer *w, const char *name, double number, int decimals)
{
        char text[64];
        snprintf(text, sizeof(text), "%.*f", decimals, number);
        /* Digits that are all 0 want no sign. */
        bool is_minus_zero = text[0] == '-' && text[strspn(text, "-0.")] == '\0';
        add_name(w, name);
        add(w, text + is_minus_zero);
}

void json_flag(struct json_writer *w, const char *name, bool flag)
{
        add_name(w, name);
        add(w, flag ? "true" : "false");
}

void json_numbered(char text[JSON_NAME_SIZE], const char *name, int number)
{
        int head = (int)strcspn(name, "%");
        snprintf(text, JSON_NAME_SIZE, "%.*s%d%s", head, name, number,
                name[head] ? name + head + 1 : "");
}

void json_open_of(struct json_writer *w, const char *name, int number)
{
        char text[JSON_NAME_SIZE];
        json_numbered(text, name, number);
        json_open(w, text);
}

void json_number_of(struct json_writer *w, const char *name, int number, double value, int decimals)
{
        char text[JSON_NAME_SIZE];
        json_numbered(text, name, number);
        json_number(w, text, value, decimals);
}

void json_flag_of(struct json_writer *w, const char *name, int number, bool flag)
{
        char text[JSON_NAME_SIZE];
        json_numbered(text, name, number);
        json_flag(w, text, flag);
}
