/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/json.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

/* jansson's own depth limit is 2048 and fixed, so brackets outside strings are counted before. */
static bool too_deep(const char *text, size_t len)
{
        int depth = 0;
        bool in_string = false;
        for (size_t i = 0; i < len; i++) {
                char c = text[i];
                if (in_string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                in_string = false;
                } else if (c == '"') {
                        in_string = true;
                } else if (c == '{' || c == '[') {
                        if (++depth > LIMIT_JSON_DEPTH)
                                return true;
                } else if (c == '}' || c == ']') {
                        depth--;
                }
        }
        return false;
}

static json_t *parse(const char *text, size_t len, size_t flags, struct err *err)
{
        if (too_deep(text, len)) {
                err_set(err, -EINVAL, "JSON is nested deeper than %d", LIMIT_JSON_DEPTH);
                return NULL;
        }
        json_error_t e;
        json_t *value = json_loadb(text, len, JSON_DECODE_ANY | flags, &e);
        if (!value)
                err_set(err, -EINVAL, "bad JSON at line %d, column %d: %s", e.line, e.column,
                        e.text);
        return value;
}

json_t *json_parse(const char *text, size_t len, struct err *err)
{
        return parse(text, len, 0, err);
}

json_t *json_parse_strict(const char *text, size_t len, struct err *err)
{
        return parse(text, len, JSON_REJECT_DUPLICATES, err);
}

json_t *json_read_file(const char *path, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        if (fs_read(path, &text, err) < 0)
                return NULL;
        json_t *value = json_parse(buf_text(&text), text.len, err);
        if (!value)
                err_prefix(err, "'%s'", path);
        return value;
}

static int append(const char *text, size_t len, void *b)
{
        return buf_add(b, text, len);
}

int json_append(struct buf *b, const json_t *value)
{
        if (json_dump_callback(value, append, b, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
                return b->error ? b->error : (b->error = -EINVAL);
        return b->error;
}

int json_write_file(const char *path, const json_t *value, mode_t mode, struct err *err)
{
        CLEAN_BUF struct buf text = BUF_INIT(LIMIT_MIB(256));
        if (json_dump_callback(value, append, &text, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0)
                return err_errno(err, text.error ? text.error : -EINVAL, "cannot write '%s'", path);
        buf_addc(&text, '\n');
        return fs_write_atomic(path, buf_text(&text), text.len, mode, err);
}

const char *json_text(const json_t *object, const char *key, const char *fallback)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : fallback;
}

int64_t json_int(const json_t *object, const char *key, int64_t fallback)
{
        const json_t *v = json_object_get(object, key);
        return json_is_integer(v) ? json_integer_value(v) : fallback;
}

double json_number(const json_t *object, const char *key, double fallback)
{
        const json_t *v = json_object_get(object, key);
        return json_is_number(v) ? json_number_value(v) : fallback;
}

bool json_bool(const json_t *object, const char *key, bool fallback)
{
        const json_t *v = json_object_get(object, key);
        return json_is_boolean(v) ? json_is_true(v) : fallback;
}
