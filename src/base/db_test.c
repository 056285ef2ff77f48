/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/db.h"
#include "base/fs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *const migrations[] = {
        "CREATE TABLE car(name TEXT PRIMARY KEY)", "ALTER TABLE car ADD COLUMN colour TEXT"};

static char folder[64], path[96];

static int set_up(void **state)
{
        (void)state;
        snprintf(folder, sizeof(folder), "/tmp/db_test.XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof(path), "%s/x.db", folder);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        return fs_remove_tree(folder, NULL);
}

static void a_schema_is_raised_step_by_step(void **state)
{
        (void)state;
        CLEAN_DB sqlite3 *old = NULL, *new = NULL;
        assert_int_equal(0, db_open(path, migrations, 1, false, &old, NULL));
        assert_int_equal(0, db_exec(old, "INSERT INTO car VALUES('VIN1')", NULL));
        assert_int_equal(0, db_open(path, migrations, 2, false, &new, NULL));
        assert_int_equal(0, db_exec(new, "UPDATE car SET colour='red'", NULL));
        assert_int_equal(1, sqlite3_changes(new));
}

static void a_file_of_a_newer_version_is_refused(void **state)
{
        (void)state;
        CLEAN_DB sqlite3 *db = NULL, *older = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(0, db_open(path, migrations, 2, false, &db, NULL));
        assert_true(db_open(path, migrations, 1, false, &older, &err) < 0);
        assert_non_null(strstr(err.text, "newer"));
}

static void there_is_nothing_to_read_before_the_schema_is_there(void **state)
{
        (void)state;
        CLEAN_DB sqlite3 *empty = NULL, *db = NULL, *reader = NULL;
        assert_int_equal(-ENOENT, db_open_readonly(path, &reader, NULL));
        assert_int_equal(SQLITE_OK, sqlite3_open(path, &empty));
        assert_int_equal(0, db_exec(empty, "PRAGMA journal_mode=WAL", NULL));
        assert_int_equal(-ENOENT, db_open_readonly(path, &reader, NULL));
        assert_null(reader);
        assert_int_equal(0, db_open(path, migrations, 2, false, &db, NULL));
        assert_int_equal(0, db_open_readonly(path, &reader, NULL));
        assert_true(db_exec(reader, "INSERT INTO car VALUES('VIN1', 'red')", NULL) < 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                T(a_schema_is_raised_step_by_step),
                T(a_file_of_a_newer_version_is_refused),
                T(there_is_nothing_to_read_before_the_schema_is_there),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
