/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/stamps.h"

#include "base/clean.h"
#include "cloud/ota/database.h"

#include <stdlib.h>
#include <string.h>

#define N_TENANTS 4096
/* Pages of it that are never touched cost nothing. */
#define N_TARGETS ((size_t)1 << 22)

struct stamps {
        uint32_t any, all;
        uint32_t tenants[N_TENANTS];
        uint32_t targets[N_TARGETS];
};

struct stamps *stamps_new(void)
{
        return calloc(1, sizeof(struct stamps));
}

void stamps_free(struct stamps *s)
{
        free(s);
}

void stamps_end_all(struct stamps *s)
{
        s->any++;
        s->all++;
}

struct stamp stamps_now(const struct stamps *s, int64_t tenant, int64_t target)
{
        return (struct stamp){
                .any = s->any,
                .tenant = s->all + s->tenants[(uint64_t)tenant % N_TENANTS],
                .target = s->targets[(uint64_t)target % N_TARGETS],
        };
}

enum verb { VERB_NONE, VERB_INSERT, VERB_CHANGE, VERB_UNKNOWN };

/* What the statement does, and the table that it does it to. */
static enum verb read_verb(const char *sql, const char **ret_table)
{
        static const struct {
                const char *words;
                enum verb verb;
        } verbs[] = {{"SELECT ", VERB_NONE}, {"INSERT INTO ", VERB_INSERT},
                {"UPDATE ", VERB_CHANGE}, {"DELETE FROM ", VERB_CHANGE}};
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                size_t n = strlen(verbs[i].words);
                if (strncmp(sql, verbs[i].words, n) == 0) {
                        *ret_table = sql + n;
                        return verbs[i].verb;
                }
        }
        return VERB_UNKNOWN;
}

static bool is_table(const char *text, const char *name)
{
        size_t n = strlen(name);
        return strncmp(text, name, n) == 0 && (text[n] == ' ' || text[n] == '(' || !text[n]);
}

static bool ends_with(const char *text, const char *end)
{
        size_t n = strlen(text), m = strlen(end);
        return n >= m && strcmp(text + n - m, end) == 0;
}

/* The target whose row alone is written; 0: not known. */
static int64_t target_of(
        const char *sql, const char *table, const struct sql_arg *args, size_t n, int64_t device)
{
        bool is_by_id = is_table(table, "target") && ends_with(sql, " WHERE id=?") && n > 0 &&
                        args[n - 1].kind == SQL_KIND_INT;
        if (is_by_id)
                return args[n - 1].i;
        return is_table(table, "target") || is_table(table, "action") ? device : 0;
}

void stamps_note(struct stamps *s, const char *sql, const struct sql_arg *args, size_t n,
        int64_t tenant, int64_t device)
{
        const char *table = "";
        enum verb verb = read_verb(sql, &table);
        if (verb == VERB_NONE)
                return;
        s->any++;
        bool is_row = is_table(table, "target") || is_table(table, "tenant");
        if (verb == VERB_INSERT && is_row && !strstr(sql, " ON CONFLICT"))
                return; /* a new row has been asked for by nobody yet */
        if (verb != VERB_UNKNOWN && !is_row && !is_table(table, "action") &&
                !is_table(table, "setting"))
                return;
        int64_t target = target_of(sql, table, args, n, device);
        if (target)
                s->targets[(uint64_t)target % N_TARGETS]++;
        else if (tenant && verb != VERB_UNKNOWN)
                s->tenants[(uint64_t)tenant % N_TENANTS]++;
        else
                s->all++;
}
