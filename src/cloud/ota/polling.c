/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/polling.h"

#include "base/hash.h"
#include "cloud/ota/filter.h"
#include "cloud/ota/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rule {
        const char *query; /* NULL: the default */
        int64_t ms;
        int deviation;
};

static int parse_clock(const char *text, int64_t *ret_ms)
{
        int64_t total = 0;
        bool is_negative = *text == '-';
        int parts = 0;
        text += is_negative;
        for (;;) {
                char *end = NULL;
                if (!isdigit((unsigned char)*text))
                        return -EINVAL;
                long v = strtol(text, &end, 10);
                if (v < 0 || v > 10000000 || ++parts > 3)
                        return -EINVAL;
                total = total * 60 + v;
                text = end;
                if (*text == '\0')
                        break;
                if (*text++ != ':')
                        return -EINVAL;
        }
        *ret_ms = (is_negative ? -total : total) * 1000;
        return 0;
}

static int parse_iso(const char *text, int64_t *ret_ms)
{
        double total = 0;
        bool in_time = false;
        int n = 0;
        for (text++; *text;) {
                char *end = NULL;
                if (*text == 'T') {
                        in_time = true;
                        text++;
                        continue;
                }
                double v = strtod(text, &end);
                if (end == text)
                        return -EINVAL;
                double unit = *end == 'D' && !in_time  ? 86400
                              : *end == 'H' && in_time ? 3600
                              : *end == 'M' && in_time ? 60
                              : *end == 'S' && in_time ? 1
                                                       : 0;
                if (unit == 0 || !(v >= -1e9 && v <= 1e9)) /* nor is it NaN */
                        return -EINVAL;
                total += v * unit;
                text = end + 1;
                n++;
        }
        *ret_ms = (int64_t)(total * 1000);
        return n ? 0 : -EINVAL;
}

int polling_parse_interval(const char *text, int64_t *ret_ms)
{
        return *text == 'P' ? parse_iso(text, ret_ms) : parse_clock(text, ret_ms);
}

static char *trimmed(struct tx *tx, const char *text, size_t len)
{
        while (len && isspace((unsigned char)*text)) {
                text++;
                len--;
        }
        while (len && isspace((unsigned char)text[len - 1]))
                len--;
        return arena_strndup(tx->arena, text, len);
}

/* `interval[~N%]` */
static int parse_spread_interval(char *text, struct rule *r)
{
        char *tilde = strchr(text, '~');
        if (tilde) {
                char *end = NULL;
                if (!isdigit((unsigned char)tilde[1]))
                        return -EINVAL;
                long percent = strtol(tilde + 1, &end, 10);
                if (end - tilde > 3 || strcmp(end, "%") != 0)
                        return -EINVAL;
                r->deviation = (int)percent;
                *tilde = '\0';
        }
        return polling_parse_interval(text, &r->ms) < 0 ? -EINVAL : 0;
}

static int parse_rule(struct tx *tx, const char *text, size_t len, bool is_first, struct rule *r)
{
        char *part = trimmed(tx, text, len);
        *r = (struct rule){0};
        if (!is_first) {
                char *arrow = strstr(part, "->");
                if (!arrow)
                        return -EINVAL;
                r->query = trimmed(tx, part, (size_t)(arrow - part));
                part = trimmed(tx, arrow + 2, strlen(arrow + 2));
        }
        return parse_spread_interval(part, r);
}

/* The text is cut at every comma, those in a filter too, as hawkBit cuts it. */
static int next_rule(struct tx *tx, const char **at, bool is_first, struct rule *r)
{
        size_t len = strcspn(*at, ",");
        int code = parse_rule(tx, *at, len, is_first, r);
        *at = (*at)[len] ? *at + len + 1 : NULL;
        return code;
}

int polling_check(struct tx *tx, const char *text)
{
        struct rule r;
        bool is_first = true;
        for (const char *at = text; at; is_first = false) {
                if (next_rule(tx, &at, is_first, &r) < 0 || r.ms < POLLING_MIN_MS ||
                        r.ms > POLLING_MAX_MS)
                        return tx_problem(
                                tx, PROBLEM_CONFIG_VALUE, "'%s' is no polling time", text);
                if (r.query && filter_check(tx, fields_target.fields, r.query) < 0)
                        return -1;
        }
        return 0;
}

int64_t polling_default_ms(struct tx *tx)
{
        struct rule r;
        const char *at = settings_text(tx, SETTING_POLLING_TIME);
        return next_rule(tx, &at, true, &r) < 0 ? 300000 : r.ms;
}

static bool rule_matches(struct tx *tx, const struct rule *r, int64_t target)
{
        struct filter f;
        if (filter_compile(tx, fields_target.fields, r->query, &f) < 0)
                return false;
        struct sql_arg *args = arena_alloc(tx->arena, (f.n_args + 1) * sizeof(*args));
        args[0] = (struct sql_arg)SQL_I(target);
        if (f.n_args)
                memcpy(args + 1, f.args, f.n_args * sizeof(*args));
        const char *text =
                arena_printf(tx->arena, "SELECT 1 FROM target t WHERE t.id=? AND (%s)", f.sql);
        return sql_int_args(tx, 0, text, args, f.n_args + 1);
}

int64_t polling_interval_ms(struct tx *tx, int64_t target, int *ret_deviation)
{
        struct rule fallback = {.ms = 300000}, r;
        const char *at = settings_text(tx, SETTING_POLLING_TIME);
        next_rule(tx, &at, true, &fallback);
        while (at) {
                if (next_rule(tx, &at, false, &r) == 0 && rule_matches(tx, &r, target)) {
                        fallback = r;
                        break;
                }
        }
        if (ret_deviation)
                *ret_deviation = fallback.deviation;
        return fallback.ms;
}

int64_t polling_spread(int64_t ms, int deviation)
{
        uint32_t random = 0;
        if (deviation <= 0 || hash_random(&random, sizeof(random)) < 0)
                return ms;
        int64_t room = ms * deviation / 100;
        return ms - room + (int64_t)random % (2 * room + 1);
}

void polling_format(int64_t ms, char text[POLLING_TEXT_SIZE])
{
        int64_t s = ms / 1000;
        if (s >= 86400)
                snprintf(text, POLLING_TEXT_SIZE, "PT%lldH%lldM%lldS", (long long)(s / 3600),
                        (long long)(s / 60 % 60), (long long)(s % 60));
        else
                snprintf(text, POLLING_TEXT_SIZE, "%02d:%02d:%02d", (int)(s / 3600),
                        (int)(s / 60 % 60), (int)(s % 60));
}
