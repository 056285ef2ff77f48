/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/limits.h"
#include "cloud/rule/expression.h"

#include <errno.h>
#include <string.h>

int rule_filter_check(const char *filter, struct err *err)
{
        if (!*filter || strlen(filter) > LIMIT_TOPIC_BYTES)
                return err_set(err, -EINVAL, "is empty or too long");
        for (const char *level = filter;;) {
                size_t n = strcspn(level, "/");
                if (n > 1 && (memchr(level, '+', n) || memchr(level, '#', n)))
                        return err_set(
                                err, -EINVAL, "'+' and '#' must stand alone between slashes");
                if (n == 1 && *level == '#' && level[1])
                        return err_set(err, -EINVAL, "'#' must be at the end");
                if (!level[n])
                        return 0;
                level += n + 1;
        }
}

/* MQTT 3.1.1, 4.7: '#' also takes the level above; wildcards don't take topics that begin with '$'.
 */
bool rule_filter_matches(const char *filter, const char *topic)
{
        if (*topic == '$' && (*filter == '+' || *filter == '#'))
                return false;
        for (;;) {
                size_t f = strcspn(filter, "/"), t = strcspn(topic, "/");
                if (f == 1 && *filter == '#')
                        return true;
                bool is_any = f == 1 && *filter == '+';
                if (!is_any && (f != t || memcmp(filter, topic, f)))
                        return false;
                if (!topic[t])
                        return !filter[f] || !strcmp(filter + f, "/#");
                if (!filter[f])
                        return false;
                filter += f + 1;
                topic += t + 1;
        }
}

bool rule_takes_topic(const struct rule *rule, const char *topic)
{
        return rule_filter_matches(rule->filter, topic);
}
