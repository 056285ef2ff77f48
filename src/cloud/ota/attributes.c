/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/attributes.h"

#include "base/limits.h"
#include "cloud/ota/shape.h"

#include <ctype.h>

/* What hawkBit takes in keys and values: printable ASCII but ~ and `, and white space. */
static bool is_attribute_text(const char *text)
{
        if (shape_utf16_length(text) > 128)
                return false;
        for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
                if (!isspace(*p) && (*p < '!' || *p > '}' || *p == '`'))
                        return false;
        }
        return true;
}

static int put_attribute(struct tx *tx, int64_t target, const char *key, const json_t *value)
{
        const char *text = json_string_value(value);
        if (!is_attribute_text(key) || (text && !is_attribute_text(text)))
                return tx_problem(
                        tx, PROBLEM_ATTRIBUTES, "The attribute '%.64s' is not valid", key);
        if (text)
                sql_run(tx,
                        "INSERT INTO target_attribute(target, key, value) VALUES(?1, ?2, ?3)"
                        " ON CONFLICT(target, key) DO UPDATE SET value=?3",
                        SQL_I(target), SQL_T(key), SQL_T(text));
        else
                sql_run(tx, "DELETE FROM target_attribute WHERE target=? AND key=?", SQL_I(target),
                        SQL_T(key));
        return 0;
}

static int put_attributes(struct tx *tx, int64_t target, const json_t *data, bool is_removal)
{
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)data, key, value)
        {
                if (put_attribute(tx, target, key, value) < 0)
                        return -1;
                if (is_removal)
                        sql_run(tx, "DELETE FROM target_attribute WHERE target=? AND key=?",
                                SQL_I(target), SQL_T(key));
        }
        return 0;
}

int attributes_put(struct tx *tx, int64_t target, const json_t *data, enum attributes_mode mode)
{
        if (mode == ATTRIBUTES_REPLACE)
                sql_run(tx, "DELETE FROM target_attribute WHERE target=?", SQL_I(target));
        if (put_attributes(tx, target, data, mode == ATTRIBUTES_REMOVE) < 0)
                return -1;
        if (sql_int(tx, 0, "SELECT count(*) FROM target_attribute WHERE target=?", SQL_I(target)) >
                LIMIT_OTA_PER_PARENT)
                return tx_problem(tx, PROBLEM_QUOTA, "Too many attributes");
        if (mode != ATTRIBUTES_REMOVE)
                sql_run(tx, "UPDATE target SET request_attributes=0 WHERE id=?", SQL_I(target));
        return 0;
}
