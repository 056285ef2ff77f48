/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/settings.h"

#include "cloud/ota/polling.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_VALUE_LENGTH 32768

const struct setting settings_table[] = {
        {SETTING_HEADER_ENABLED, SETTING_BOOL, "false"},
        {SETTING_HEADER_AUTHORITY, SETTING_TEXT, ""},
        {SETTING_TARGET_TOKEN, SETTING_BOOL, "false"},
        {SETTING_GATEWAY_ENABLED, SETTING_BOOL, "false"},
        {SETTING_GATEWAY_KEY, SETTING_TEXT, ""},
        {SETTING_POLLING_TIME, SETTING_POLLING, "00:05:00"},
        {SETTING_OVERDUE_TIME, SETTING_OVERDUE, "00:05:00"},
        {SETTING_POLL_COUNT, SETTING_INT, "3"},
        {SETTING_APPROVAL, SETTING_BOOL, "false"},
        {SETTING_AUTO_CLOSE, SETTING_BOOL, "false"},
        {SETTING_CLEANUP_EXPIRY, SETTING_LONG, "-1"},
        {SETTING_CLEANUP_STATUS, SETTING_TEXT, "CANCELED,ERROR"},
        {SETTING_CLEANUP_PERCENT, SETTING_INT, "0"},
        {SETTING_BATCH, SETTING_BOOL, "false"},
        {SETTING_CONFIRMATION, SETTING_BOOL, "false"},
        {SETTING_IMPLICIT_LOCK, SETTING_BOOL, "true"},
        {SETTING_CERTIFICATE, SETTING_BOOL, "false"},
        {SETTING_FINGERPRINTS, SETTING_TEXT, ""},
        {SETTING_SSL_HEADERS, SETTING_BOOL, "false"},
        {SETTING_TIMEOUT, SETTING_DURATION, ""},
        {SETTING_TIMEOUT_TOTAL, SETTING_DURATION, ""},
        {SETTING_PROOF, SETTING_DURATION, ""},
        {SETTING_PROOF_WITHIN, SETTING_DURATION, "01:00:00"},
        {SETTING_REINSTALL, SETTING_BOOL, "false"},
        {SETTING_NO_DOWNGRADE, SETTING_BOOL, "false"},
        {SETTING_EVENTS, SETTING_BOOL, "false"},
        {SETTING_HOOK_GIVE_UP, SETTING_DURATION, "24:00:00"},
        {0},
};

const struct setting *settings_find(const char *key)
{
        for (const struct setting *s = settings_table; s->key; s++) {
                if (strcmp(s->key, key) == 0)
                        return s;
        }
        return NULL;
}

/* ── what tenants have set ── */

#define N_SETTINGS (N_ELEMENTS(settings_table) - 1)

struct settings_cache {
        struct settings_cache *next;
        int64_t tenant;
        uint64_t foreign_changes; /* of the database when it was read */
        char *values[N_SETTINGS]; /* NULL: the default */
};

void settings_forget(struct database *d)
{
        struct settings_cache **head = database_settings(d);
        while (*head) {
                struct settings_cache *c = *head;
                *head = c->next;
                for (size_t i = 0; i < N_SETTINGS; i++)
                        free(c->values[i]);
                free(c);
        }
}

static struct settings_cache *load(struct tx *tx)
{
        struct settings_cache *c = calloc(1, sizeof(*c));
        if (!c)
                abort();
        c->tenant = tx->tenant;
        c->foreign_changes = database_foreign_changes(tx->database);
        CLEAN_ROWS struct sql_rows r =
                sql_open(tx, "SELECT key, value FROM setting WHERE tenant=?", SQL_I(tx->tenant));
        while (sql_next(&r)) {
                const struct setting *s = settings_find(sql_col_text(&r, 0));
                if (s)
                        c->values[s - settings_table] = strdup(sql_col_text(&r, 1));
        }
        c->next = *database_settings(tx->database);
        *database_settings(tx->database) = c;
        return c;
}

static const char *value_of(struct tx *tx, const struct setting *s)
{
        struct settings_cache *c = *database_settings(tx->database);
        if (c && c->foreign_changes != database_foreign_changes(tx->database)) {
                settings_forget(tx->database); /* another server may have set them */
                c = NULL;
        }
        while (c && c->tenant != tx->tenant)
                c = c->next;
        if (!c)
                c = load(tx);
        return arena_strdup(tx->arena, c->values[s - settings_table]);
}

const char *settings_text(struct tx *tx, const char *key)
{
        const struct setting *s = settings_find(key);
        const char *value = s ? value_of(tx, s) : NULL;
        if (value)
                return value;
        if (s && s->type == SETTING_POLLING && tx->polling_time)
                return tx->polling_time;
        if (s && strcmp(key, SETTING_CERTIFICATE) == 0 && tx->certificate_tenant &&
                strcasecmp(tx->certificate_tenant, tx->tenant_name) == 0)
                return "true";
        return s ? s->value : "";
}

bool settings_bool(struct tx *tx, const char *key)
{
        return strcmp(settings_text(tx, key), "true") == 0;
}

int64_t settings_int(struct tx *tx, const char *key)
{
        return strtoll(settings_text(tx, key), NULL, 10);
}

int64_t settings_duration(struct tx *tx, const char *key)
{
        int64_t ms = 0;
        return polling_parse_interval(settings_text(tx, key), &ms) == 0 && ms > 0 ? ms : 0;
}

bool settings_is_hidden(struct tx *tx, const struct setting *s)
{
        return strncmp(s->key, SETTING_OURS, strlen(SETTING_OURS)) == 0 && !value_of(tx, s);
}

/* ── conversion ── */

static const char *convert_bool(const json_t *value)
{
        static const char *const yes[] = {"true", "on", "yes", "1"};
        static const char *const no[] = {"false", "off", "no", "0"};
        char word[8] = "";
        if (json_is_boolean(value))
                return json_is_true(value) ? "true" : "false";
        const char *text = json_string_value(value);
        if (!text)
                return NULL;
        text += strspn(text, " \t");
        size_t len = strcspn(text, " \t");
        if (len >= sizeof(word) || text[len + strspn(text + len, " \t")])
                return NULL;
        memcpy(word, text, len);
        for (int i = 0; i < 4; i++) {
                if (strcasecmp(word, yes[i]) == 0)
                        return "true";
                if (strcasecmp(word, no[i]) == 0)
                        return "false";
        }
        return NULL;
}

static bool number_of(const json_t *value, long long *ret)
{
        if (json_is_integer(value)) {
                *ret = json_integer_value(value);
                return true;
        }
        if (json_is_real(value)) {
                double d = json_real_value(value);
                if (d <= -9.2e18 || d >= 9.2e18)
                        return false;
                *ret = (long long)d;
                return true;
        }
        const char *text = json_string_value(value);
        if (!text)
                return false;
        text += strspn(text, " \t");
        /* 0x10 is sixteen, but 010 is ten less two only in C */
        const char *digits = text + strspn(text, "+-");
        int base = strncasecmp(digits, "0x", 2) == 0 ? 16 : digits[0] == '#' ? 0 : 10;
        char *end = NULL;
        errno = 0;
        *ret = strtoll(text, &end, base);
        return end != text && !errno && !end[strspn(end, " \t")];
}

static const char *convert_number(struct tx *tx, const json_t *value, int64_t min, int64_t max)
{
        long long v = 0;
        if (!number_of(value, &v) || v < min || v > max)
                return NULL;
        return arena_printf(tx->arena, "%lld", v);
}

static const char *scalar_text(struct tx *tx, const json_t *value)
{
        if (json_is_string(value))
                return arena_strdup(tx->arena, json_string_value(value));
        if (json_is_boolean(value))
                return json_is_true(value) ? "true" : "false";
        if (json_is_integer(value))
                return arena_printf(tx->arena, "%lld", (long long)json_integer_value(value));
        if (json_is_real(value))
                return arena_printf(tx->arena, "%.15g", json_real_value(value));
        return NULL;
}

static const char *convert_text(struct tx *tx, const json_t *value)
{
        if (!json_is_array(value))
                return scalar_text(tx, value);
        const char *joined = "";
        size_t i;
        json_t *element;
        json_array_foreach((json_t *)value, i, element)
        {
                const char *text = scalar_text(tx, element);
                if (!text)
                        return NULL;
                joined = arena_printf(tx->arena, "%s%s%s", joined, i ? "," : "", text);
        }
        return joined;
}

static const char *convert_overdue(struct tx *tx, const json_t *value)
{
        int64_t ms = 0;
        const char *text = convert_text(tx, value);
        if (!text)
                return NULL;
        if (polling_parse_interval(text, &ms) < 0) {
                if (!*text)
                        return NULL;
                tx_problem(tx, PROBLEM_BODY, "'%s' is no duration", text);
                return NULL;
        }
        return ms < 0 ? NULL : text;
}

/* Empty, or a time of 0 and more. */
static const char *convert_duration(struct tx *tx, const json_t *value)
{
        int64_t ms = 0;
        const char *text = convert_text(tx, value);
        bool is_fine = text && (!*text || (polling_parse_interval(text, &ms) == 0 && ms >= 0));
        return is_fine ? text : NULL;
}

const char *settings_convert(struct tx *tx, const struct setting *s, const json_t *value)
{
        const char *text = NULL;
        switch (s->type) {
        case SETTING_BOOL:
                text = convert_bool(value);
                break;
        case SETTING_INT:
                text = convert_number(tx, value, INT32_MIN, INT32_MAX);
                break;
        case SETTING_LONG:
                text = convert_number(tx, value, INT64_MIN, INT64_MAX);
                break;
        case SETTING_TEXT:
                text = convert_text(tx, value);
                break;
        case SETTING_POLLING:
                text = convert_text(tx, value);
                if (text && polling_check(tx, text) < 0)
                        text = NULL;
                break;
        case SETTING_OVERDUE:
                text = convert_overdue(tx, value);
                break;
        case SETTING_DURATION:
                text = convert_duration(tx, value);
                break;
        }
        if (!text)
                tx_problem(
                        tx, PROBLEM_CONFIG_VALUE, "The given value is not valid for '%s'", s->key);
        else if (strlen(text) > MAX_VALUE_LENGTH)
                text = (tx_problem(tx, PROBLEM_CONSTRAINT, "The value is too long"), NULL);
        return text;
}

void settings_put(struct tx *tx, const char *key, const char *value)
{
        settings_forget(tx->database);
        sql_run(tx,
                "INSERT INTO setting(tenant, key, value, created_by, created_at, modified_by, "
                "modified_at)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?4, ?5) ON CONFLICT(tenant, key) DO UPDATE SET "
                "value=?3,"
                " modified_by=?4, modified_at=?5 WHERE setting.value IS DISTINCT FROM ?3",
                SQL_I(tx->tenant), SQL_T(key), SQL_T(value), SQL_T(tx->user), SQL_I(tx->now));
}

void settings_remove(struct tx *tx, const char *key)
{
        settings_forget(tx->database);
        sql_run(tx, "DELETE FROM setting WHERE tenant=? AND key=?", SQL_I(tx->tenant), SQL_T(key));
}

int64_t settings_overdue_before(struct tx *tx)
{
        int64_t overdue = 0;
        polling_parse_interval(settings_text(tx, SETTING_OVERDUE_TIME), &overdue);
        return tx->now - polling_default_ms(tx) - overdue;
}
