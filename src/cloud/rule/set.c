/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/fs.h"
#include "base/json.h"
#include "cloud/rule/expression.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64

static const struct {
        const char *name, *sql;
} defaults[] = {
        {"telemetry", "SELECT * FROM 'device/+/telemetry'"},
        {"update", "SELECT * FROM 'device/+/update'"},
};

static bool is_rule_name(const char *name, size_t len)
{
        static const char allowed[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        return len && len <= NAME_MAX_BYTES && strspn(name, allowed) >= len;
}

static char *rule_path(const char *dir, const char *name)
{
        char file[NAME_MAX_BYTES + 8];
        snprintf(file, sizeof(file), "%.*s.json", NAME_MAX_BYTES, name);
        return fs_join(dir, file);
}

/* ── reading ── */

static int set_add(struct rule_set *set, const char *name, size_t name_len, const char *sql,
        const struct err *reason)
{
        struct rule_entry *more = realloc(set->entries, (set->n + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;
        set->entries = more;
        struct rule_entry *e = &set->entries[set->n];
        *e = (struct rule_entry){.name = strndup(name, name_len), .sql = strdup(sql ? sql : "")};
        set->n++;
        struct err err = reason ? *reason : ERR_INIT;
        if (sql && rule_parse(sql, &e->rule, &err) == 0)
                return e->name && e->sql ? 0 : -ENOMEM;
        e->reason = strdup(err.text);
        return e->name && e->sql && e->reason ? 0 : -ENOMEM;
}

static int load_file(struct rule_set *set, const char *dir, const char *file, size_t name_len)
{
        CLEAN_MEM char *path = fs_join(dir, file);
        if (!path)
                return -ENOMEM;
        struct err err = ERR_INIT;
        CLEAN_JSON json_t *document = json_read_file(path, &err);
        const char *sql = document ? json_text(document, "sql", NULL) : NULL;
        if (document && !sql)
                err_set(&err, -EINVAL, "'%s' has no text \"sql\"", path);
        return set_add(set, file, name_len, sql, &err);
}

static int compare_entries(const void *a, const void *b)
{
        return strcmp(((const struct rule_entry *)a)->name, ((const struct rule_entry *)b)->name);
}

static int load_folder(DIR *d, const char *dir, struct rule_set *set)
{
        int r = 0;
        for (struct dirent *e; !r && (e = readdir(d));) {
                size_t len = strlen(e->d_name);
                if (len <= 5 || strcmp(e->d_name + len - 5, ".json") ||
                        !is_rule_name(e->d_name, len - 5))
                        continue;
                r = set->n < LIMIT_RULES ? load_file(set, dir, e->d_name, len - 5) : -E2BIG;
        }
        if (set->n)
                qsort(set->entries, set->n, sizeof(*set->entries), compare_entries);
        return r;
}

static int load_defaults(struct rule_set *set)
{
        int r = 0;
        for (size_t i = 0; !r && i < N_ELEMENTS(defaults); i++)
                r = set_add(set, defaults[i].name, strlen(defaults[i].name), defaults[i].sql, NULL);
        return r;
}

int rule_set_load(const char *dir, struct rule_set *ret, struct err *err)
{
        CLEAN_RULE_SET struct rule_set set = {0};
        DIR *d = opendir(dir);
        if (!d && errno != ENOENT)
                return err_errno(err, -errno, "cannot read rules in '%s'", dir);
        int r = d ? load_folder(d, dir, &set) : load_defaults(&set);
        if (d)
                closedir(d);
        if (r == -E2BIG)
                return err_set(err, r, "more than %d rules in '%s'", LIMIT_RULES, dir);
        if (r)
                return err_set(err, r, "out of memory");
        *ret = set;
        set = (struct rule_set){0};
        return 0;
}

void rule_set_fini(struct rule_set *set)
{
        for (size_t i = 0; i < set->n; i++) {
                rule_free(set->entries[i].rule);
                free(set->entries[i].name);
                free(set->entries[i].sql);
                free(set->entries[i].reason);
        }
        free(set->entries);
        *set = (struct rule_set){0};
}

/* ── applying ── */

int rule_set_apply(struct rule_set *set, const char *topic, int64_t time_ms,
        const struct telemetry *in, struct telemetry *scratch, const struct telemetry **ret_message,
        const struct rule_entry **ret_entry, struct err *err)
{
        for (size_t i = 0; i < set->n; i++) {
                struct rule_entry *e = &set->entries[i];
                if (!e->rule || !rule_takes_topic(e->rule, topic))
                        continue;
                int r = rule_apply(e->rule, topic, time_ms, in, scratch, ret_message, err);
                if (r == RULE_NO_MATCH)
                        continue;
                *ret_entry = e;
                return r;
        }
        return RULE_NO_MATCH;
}

bool rule_set_takes_topic(const struct rule_set *set, const char *topic)
{
        for (size_t i = 0; i < set->n; i++)
                if (set->entries[i].rule && rule_takes_topic(set->entries[i].rule, topic))
                        return true;
        return false;
}

/* ── writing ── */

static int write_rule(const char *dir, const char *name, const char *sql, struct err *err)
{
        CLEAN_MEM char *path = rule_path(dir, name);
        CLEAN_JSON json_t *document = json_pack("{s:s}", "sql", sql);
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        if (!document)
                return err_set(err, -EINVAL, "the rule is no UTF-8 text");
        return json_write_file(path, document, 0600, err);
}

int rule_set_init(const char *dir, struct err *err)
{
        if (fs_exists(dir))
                return 0;
        int r = fs_mkdir_p(dir, 0700, err);
        for (size_t i = 0; !r && i < N_ELEMENTS(defaults); i++)
                r = write_rule(dir, defaults[i].name, defaults[i].sql, err);
        return r;
}

int rule_create(const char *dir, const char *name, const char *sql, bool replace, struct err *err)
{
        if (!is_rule_name(name, strlen(name)))
                return err_set(err, -EINVAL,
                        "'%s' is no name for a rule: use letters, digits, '-' and '_', at most %d",
                        name, NAME_MAX_BYTES);
        CLEAN(rule) struct rule *rule = NULL;
        int r = rule_parse(sql, &rule, err);
        if (!r)
                r = rule_set_init(dir, err);
        if (r)
                return r;
        CLEAN_MEM char *path = rule_path(dir, name);
        if (!path)
                return err_set(err, -ENOMEM, "out of memory");
        if (!replace && fs_exists(path))
                return err_set(err, -EEXIST, "rule '%s' exists; --replace replaces it", name);
        return write_rule(dir, name, sql, err);
}

int rule_delete(const char *dir, const char *name, struct err *err)
{
        int r = rule_set_init(dir, err);
        if (r)
                return r;
        CLEAN_MEM char *path = is_rule_name(name, strlen(name)) ? rule_path(dir, name) : NULL;
        if (!path || (unlink(path) && errno == ENOENT))
                return err_set(err, -ENOENT,
                        "there is no rule '%s'; `driveline rule list` names them", name);
        if (fs_exists(path))
                return err_errno(err, -EACCES, "cannot remove '%s'", path);
        return 0;
}
