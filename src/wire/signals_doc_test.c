/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* docs/signals.md says of each sensor and actuator what the tables say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/limits.h"
#include "wire/seam.h"

#include <ctype.h>
#include <string.h>

/* The start of the signal's row; the number of one of several alike is written as N there. */
static void row_of(const struct seam_signal *signal, struct buf *row)
{
        buf_clear(row);
        buf_adds(row, "\n| `");
        const char *name = signal->name;
        for (size_t i = 0; name[i]; i++) {
                /* Not the 2 of a unit such as mps2. */
                bool is_number = isdigit((unsigned char)name[i]) && name[i + 1] == '_';
                buf_addc(row, is_number ? 'N' : name[i]);
        }
        if (signal->type == SEAM_TYPE_BOOL)
                buf_adds(row, "` | bool | |");
        else
                buf_addf(row, "` | %s | %g … %g |", signal->unit[0] ? signal->unit : "1",
                        signal->minimum, signal->maximum);
}

static void check_table(const struct seam_signal *table, size_t n)
{
        CLEAN_BUF struct buf page = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        struct err err = ERR_INIT;
        if (fs_read(DRIVELINE_SOURCE "/docs/signals.md", &page, &err) < 0)
                fail_msg("%s", err.text);
        CLEAN_BUF struct buf row = BUF_INIT(LIMIT_KIB(1));
        for (size_t i = 0; i < n; i++) {
                row_of(&table[i], &row);
                if (!strstr(buf_text(&page), buf_text(&row)))
                        fail_msg("docs/signals.md has no row:%s", buf_text(&row));
        }
}

static void each_sensor_is_documented(void **state)
{
        size_t n;
        const struct seam_signal *table = seam_sensor_table(&n);
        check_table(table, n);
}

static void each_actuator_is_documented(void **state)
{
        size_t n;
        const struct seam_signal *table = seam_actuator_table(&n);
        check_table(table, n);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_sensor_is_documented),
                cmocka_unit_test(each_actuator_is_documented),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
