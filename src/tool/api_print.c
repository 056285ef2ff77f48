/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tool/api_print.h"

#include "base/clean.h"
#include "base/cli.h"
#include "base/json.h"
#include "tool/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 9 /* what is left of hawkBit's documents fits a wide terminal with these */

/* Members that a table has no room for. */
static bool is_hidden(const char *name)
{
        static const char *const hidden[] = {"_links", "createdBy", "createdAt", "lastModifiedBy",
                "lastModifiedAt", "securityToken", "description", "requestAttributes"};
        for (size_t i = 0; i < N_ELEMENTS(hidden); i++) {
                if (strcmp(hidden[i], name) == 0)
                        return true;
        }
        return false;
}

/* Text of a value; nested ones as JSON in one line. The caller frees it. */
static char *text_of(const json_t *value)
{
        if (!value || json_is_null(value))
                return strdup("");
        if (json_is_string(value))
                return strdup(json_string_value(value));
        return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
}

static size_t columns_of(const json_t *list, const char *names[MAX_COLUMNS])
{
        size_t n = 0, i;
        const char *name;
        json_t *one, *value;
        json_array_foreach((json_t *)list, i, one)
        {
                json_object_foreach(one, name, value)
                {
                        size_t j = 0;
                        while (j < n && strcmp(names[j], name) != 0)
                                j++;
                        bool is_plain = !json_is_object(value) && !json_is_array(value);
                        if (j == n && n < MAX_COLUMNS && is_plain && !is_hidden(name))
                                names[n++] = name;
                }
        }
        return n;
}

static int add_row(struct rows *rows, const json_t *one, size_t n, const char *const *names)
{
        struct telemetry_value values[MAX_COLUMNS];
        char *texts[MAX_COLUMNS];
        for (size_t i = 0; i < n; i++) {
                const json_t *value = names ? json_object_get(one, names[i]) : one;
                texts[i] = text_of(value);
                values[i] = (struct telemetry_value){.type = TELEMETRY_TEXT,
                        .text = {.at = texts[i], .len = texts[i] ? strlen(texts[i]) : 0}};
        }
        int r = rows_add(rows, n, values);
        for (size_t i = 0; i < n; i++)
                free(texts[i]);
        return r;
}

static int print_table(const json_t *list)
{
        const char *names[MAX_COLUMNS], *one_name[] = {"value"};
        struct rows rows = {0};
        size_t n = columns_of(list, names), i;
        json_t *one;
        bool has_objects = n > 0;
        if (!has_objects)
                n = 1;
        int r = rows_begin(&rows, ROWS_TABLE, n, has_objects ? names : one_name);
        json_array_foreach((json_t *)list, i, one)
        {
                if (r == 0)
                        r = add_row(&rows, one, n, has_objects ? names : NULL);
        }
        if (r == 0)
                rows_end(&rows);
        else
                fprintf(stderr, "driveline api: too much for a table; take --output json\n");
        rows_fini(&rows);
        return r == 0 ? CLI_OK : CLI_FAILED;
}

static void print_object(const json_t *object)
{
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)object, name, value)
        {
                CLEAN_MEM char *text = text_of(value);
                if (strcmp(name, "_links") != 0)
                        printf("%-24s %s\n", name, text ? text : "");
        }
}

int api_print(const struct buf *answer, bool is_json)
{
        struct err err = ERR_INIT;
        CLEAN_JSON json_t *document = json_parse(buf_text(answer), answer->len, &err);
        if (!document) { /* text, such as a sum */
                fwrite(answer->data, 1, answer->len, stdout);
                return CLI_OK;
        }
        const json_t *content = json_object_get(document, "content");
        if (is_json) {
                json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
                putchar('\n');
        } else if (json_is_array(content) || json_is_array(document)) {
                return print_table(content ? content : document);
        } else {
                print_object(document);
        }
        return CLI_OK;
}
