/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "base/clean.h"
#include "cloud/pipeline/package.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static char root[] = "/tmp/driveline-package.XXXXXX";

/* "root/folder/name" in a buffer that the next call but three overwrites. */
static const char *at(const char *folder, const char *name)
{
        static char paths[4][PATH_MAX];
        static unsigned next;
        char *path = paths[next++ % 4];
        snprintf(path, PATH_MAX, "%s/%s/%s", root, folder, name);
        return path;
}

static void given_file(const char *folder, const char *name, const char *text, mode_t mode)
{
        char dir[PATH_MAX];
        snprintf(dir, sizeof(dir), "%s", at(folder, name));
        *strrchr(dir, '/') = 0;
        assert_int_equal(fs_mkdir_p(dir, 0755, NULL), 0);
        assert_int_equal(fs_write_atomic(at(folder, name), text, strlen(text), mode, NULL), 0);
}

static int pack(
        const char *folder, char *const *patterns, size_t n, struct package *ret, struct err *err)
{
        char dir[PATH_MAX], zip[PATH_MAX];
        snprintf(dir, sizeof(dir), "%s/%s", root, folder);
        snprintf(zip, sizeof(zip), "%s/%s.zip", root, folder);
        return package_write(dir, patterns, n, 1790000000, zip, ret, err);
}

/* The names in a zip, with ' ' between them. */
static void list(const char *folder, char *names, size_t size)
{
        char zip[PATH_MAX];
        struct archive_entry *entry;
        struct archive *a = archive_read_new();
        snprintf(zip, sizeof(zip), "%s/%s.zip", root, folder);
        archive_read_support_format_zip(a);
        assert_int_equal(archive_read_open_filename(a, zip, 4096), ARCHIVE_OK);
        *names = 0;
        for (size_t n = 0; archive_read_next_header(a, &entry) == ARCHIVE_OK;)
                n += (size_t)snprintf(
                        names + n, size - n, "%s%s", n ? " " : "", archive_entry_pathname(entry));
        archive_read_free(a);
}

static void the_same_contents_give_the_same_bytes(void **state)
{
        struct package first = {0}, second = {0}, third = {0};
        given_file("one", "manifest.xml", "<project/>", 0644);
        given_file("one", "b/two.txt", "2", 0640);
        given_file("one", "a.txt", "1", 0600);
        given_file("one", "run", "#", 0700);
        /* The same in another order, with other times and other owner's bits. */
        given_file("two", "run", "#", 0755);
        given_file("two", "a.txt", "1", 0644);
        given_file("two", "manifest.xml", "<project/>", 0600);
        given_file("two", "b/two.txt", "2", 0644);
        const struct timespec old[2] = {{1000000000, 5}, {1000000000, 5}};
        assert_int_equal(utimensat(AT_FDCWD, at("two", "a.txt"), old, 0), 0);
        assert_int_equal(pack("one", NULL, 0, &first, NULL), 0);
        assert_int_equal(pack("two", NULL, 0, &second, NULL), 0);
        assert_string_equal(first.hashes.sha256, second.hashes.sha256);
        assert_int_equal(first.n_files, 4);
        given_file("two", "run", "#", 0644);
        assert_int_equal(pack("two", NULL, 0, &third, NULL), 0);
        assert_string_not_equal(first.hashes.sha256, third.hashes.sha256);
}

static void what_never_runs_in_a_car_is_left_out(void **state)
{
        char names[512];
        struct package p;
        given_file("full", "manifest.xml", "<project/>", 0644);
        given_file("full", "main.py", "", 0644);
        given_file("full", "main.o", "", 0644);
        given_file("full", ".gitignore", "", 0644);
        given_file("full", ".cache/x", "", 0644);
        given_file("full", "__pycache__/main.pyc", "", 0644);
        given_file("full", "buildspec.yml", "", 0644);
        given_file("full", "data/buildspec.yml", "", 0644);
        assert_int_equal(pack("full", NULL, 0, &p, NULL), 0);
        list("full", names, sizeof(names));
        assert_string_equal(names, "manifest.xml data/buildspec.yml main.py");
}

static void patterns_choose_and_the_manifest_is_always_in(void **state)
{
        char names[512];
        struct package p;
        struct err err = ERR_INIT;
        char bin[] = "bin/**", objects[] = "*.o", lib[] = "lib/*";
        char *const patterns[] = {bin, objects}, *const missing[] = {bin, lib};
        given_file("some", "manifest.xml", "<project/>", 0644);
        given_file("some", "bin/a/car", "", 0755);
        given_file("some", "x.o", "", 0644);
        given_file("some", "x.c", "", 0644);
        assert_int_equal(pack("some", patterns, 2, &p, NULL), 0);
        list("some", names, sizeof(names));
        assert_string_equal(names, "manifest.xml bin/a/car x.o");
        assert_int_equal(pack("some", missing, 2, &p, &err), -ENOENT);
        assert_non_null(strstr(err.text, "no file matches 'lib/*'"));
}

static void folders_that_no_car_could_take_are_refused(void **state)
{
        struct package p;
        struct err err = ERR_INIT;
        given_file("bare", "x", "", 0644);
        assert_int_equal(pack("bare", NULL, 0, &p, &err), -ENOENT);
        assert_non_null(strstr(err.text, "manifest.xml"));
        given_file("link", "manifest.xml", "<project/>", 0644);
        assert_int_equal(symlink("/etc/passwd", at("link", "leak")), 0);
        assert_int_equal(pack("link", NULL, 0, &p, &err), -EINVAL);
        assert_non_null(strstr(err.text, "'leak'"));
        given_file("pipe", "manifest.xml", "<project/>", 0644);
        assert_int_equal(mkfifo(at("pipe", "fifo"), 0644), 0);
        assert_int_equal(pack("pipe", NULL, 0, &p, &err), -EINVAL);
        assert_true(pack("absent", NULL, 0, &p, &err) < 0);
}

static int set_up(void **state)
{
        setenv("TZ", "UTC", 1);
        tzset();
        return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
        return fs_remove_tree(root, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_same_contents_give_the_same_bytes),
                cmocka_unit_test(what_never_runs_in_a_car_is_left_out),
                cmocka_unit_test(patterns_choose_and_the_manifest_is_always_in),
                cmocka_unit_test(folders_that_no_car_could_take_are_refused),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
