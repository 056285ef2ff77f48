/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "tcu/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int given_dir(void **state)
{
        char path[] = "/tmp/tcu_test.XXXXXX";
        if (!mkdtemp(path))
                return -1;
        *state = strdup(path);
        return 0;
}

static int remove_dir(void **state)
{
        fs_remove_tree(*state, NULL);
        free(*state);
        return 0;
}

struct item {
        const char *name;
        mode_t type;      /* 0: AE_IFREG */
        const char *text; /* or a link's target */
        mode_t mode;
};

static void given_zip(const char *path, const struct item *items, size_t n)
{
        struct archive *a = archive_write_new();
        assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        for (size_t i = 0; i < n; i++) {
                struct archive_entry *e = archive_entry_new();
                mode_t type = items[i].type ? items[i].type : AE_IFREG;
                archive_entry_set_pathname(e, items[i].name);
                archive_entry_set_filetype(e, type);
                archive_entry_set_perm(e, items[i].mode ? items[i].mode : 0644);
                size_t len = items[i].text && type == AE_IFREG ? strlen(items[i].text) : 0;
                archive_entry_set_size(e, (la_int64_t)len);
                if (type == AE_IFLNK)
                        archive_entry_set_symlink(e, items[i].text);
                assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
                if (len)
                        assert_int_equal(archive_write_data(a, items[i].text, len), len);
                archive_entry_free(e);
        }
        assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static int unpacked(const char *dir, const struct item *items, size_t n, struct err *err)
{
        CLEAN_MEM char *zip = fs_join(dir, "p.zip");
        CLEAN_MEM char *dest = fs_join(dir, "out");
        fs_remove_tree(dest, NULL);
        unlink(zip);
        given_zip(zip, items, n);
        CLEAN_FD int fd = open(zip, O_RDONLY);
        return unpack_zip(fd, dest, err);
}

static void expect_file(const char *dir, const char *name, const char *text, mode_t mode)
{
        CLEAN_MEM char *out = fs_join(dir, "out");
        CLEAN_MEM char *path = fs_join(out, name);
        CLEAN_BUF struct buf b = BUF_INIT(1000);
        struct stat st;
        assert_int_equal(fs_read(path, &b, NULL), 0);
        assert_string_equal(buf_text(&b), text);
        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode);
}

static void files_and_folders_come_out(void **state)
{
        const struct item items[] = {{"manifest.xml", 0, "m", 0644}, {"car", 0, "x", 04755},
                {"lib", AE_IFDIR, NULL, 0700}, {"lib/a/b.py", 0, "b", 0600},
                {"empty", 0, "", 0600}};
        struct err err = ERR_INIT;
        if (unpacked(*state, items, N_ELEMENTS(items), &err))
                fail_msg("%s", err.text);
        expect_file(*state, "manifest.xml", "m", 0644);
        expect_file(*state, "car", "x", 0755);
        expect_file(*state, "lib/a/b.py", "b", 0644);
        expect_file(*state, "empty", "", 0644);
}

static void what_climbs_or_links_is_refused_before_anything_is_written(void **state)
{
        static const struct {
                struct item item;
                const char *reason;
        } cases[] = {
                {{"../evil", 0, "x", 0}, "climbs out"},
                {{"a/../../evil", 0, "x", 0}, "climbs out"},
                {{"a/./b", 0, "x", 0}, "climbs out"},
                {{"/etc/evil", 0, "x", 0}, "absolute"},
                {{"a//b", 0, "x", 0}, "empty part"},
                {{"a\\..\\b", 0, "x", 0}, "climbs out"},
                {{"a\nb", 0, "x", 0}, "control character"},
                {{"l", AE_IFLNK, "/etc/passwd", 0}, "link"},
                {{"..", AE_IFDIR, NULL, 0}, "climbs out"},
        };
        CLEAN_MEM char *good = fs_join(*state, "out/good");
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct item items[] = {{"good", 0, "g", 0}, cases[i].item};
                struct err err = ERR_INIT;
                if (unpacked(*state, items, 2, &err) != UNPACK_REFUSED)
                        fail_msg("'%s' was taken", cases[i].item.name);
                if (!strstr(err.text, cases[i].reason))
                        fail_msg("'%s': %s", cases[i].item.name, err.text);
                assert_false(fs_exists(good));
        }
}

static void a_name_twice_is_refused(void **state)
{
        const struct item same[] = {{"a", 0, "1", 0}, {"a", 0, "2", 0}};
        const struct item under[] = {{"a", 0, "1", 0}, {"a/b", 0, "2", 0}};
        struct err err = ERR_INIT;
        assert_int_equal(unpacked(*state, same, 2, &err), UNPACK_REFUSED);
        assert_non_null(strstr(err.text, "twice"));
        assert_int_equal(unpacked(*state, under, 2, &err), UNPACK_REFUSED);
}

static void too_many_files_are_refused(void **state)
{
        struct item *items = calloc(LIMIT_PACKAGE_FILES + 1, sizeof(*items));
        char(*names)[16] = calloc(LIMIT_PACKAGE_FILES + 1, sizeof(*names));
        for (size_t i = 0; i <= LIMIT_PACKAGE_FILES; i++) {
                snprintf(names[i], sizeof(names[i]), "f%zu", i);
                items[i] = (struct item){names[i], 0, "", 0};
        }
        struct err err = ERR_INIT;
        assert_int_equal(unpacked(*state, items, LIMIT_PACKAGE_FILES + 1, &err), UNPACK_REFUSED);
        assert_non_null(strstr(err.text, "more than"));
        free(items);
        free(names);
}

static void a_bomb_is_refused_before_anything_is_written(void **state)
{
        char *zeros = calloc(1, LIMIT_MIB(8) + 1);
        memset(zeros, '0', LIMIT_MIB(8));
        const struct item items[] = {{"good", 0, "g", 0}, {"zeros", 0, zeros, 0}};
        struct err err = ERR_INIT;
        assert_int_equal(unpacked(*state, items, 2, &err), UNPACK_REFUSED);
        assert_non_null(strstr(err.text, "unpacks to more than"));
        CLEAN_MEM char *out = fs_join(*state, "out");
        assert_false(fs_exists(out));
        free(zeros);
}

static void names_are_bounded(void **state)
{
        char deep[LIMIT_PACKAGE_PATH_BYTES + 100] = "", wide[300];
        for (int i = 0; i <= LIMIT_PACKAGE_DEPTH; i++)
                strncat(deep, "d/", sizeof(deep) - strlen(deep) - 1);
        strncat(deep, "f", sizeof(deep) - strlen(deep) - 1);
        memset(wide, 'w', sizeof(wide) - 1);
        wide[sizeof(wide) - 1] = 0;
        const struct item d = {deep, 0, "x", 0}, w = {wide, 0, "x", 0};
        assert_int_equal(unpacked(*state, &d, 1, NULL), UNPACK_REFUSED);
        assert_int_equal(unpacked(*state, &w, 1, NULL), UNPACK_REFUSED);
}

static void rubbish_and_other_archives_are_refused(void **state)
{
        CLEAN_MEM char *path = fs_join(*state, "p.zip");
        CLEAN_MEM char *dest = fs_join(*state, "out");
        static const char *const texts[] = {"", "hello", "PK\x03\x04rubbish", "PK\x05\x06"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                assert_int_equal(fs_write_atomic(path, texts[i], strlen(texts[i]), 0600, NULL), 0);
                CLEAN_FD int fd = open(path, O_RDONLY);
                assert_int_equal(unpack_zip(fd, dest, NULL), UNPACK_REFUSED);
        }
        struct archive *a = archive_write_new();
        assert_int_equal(archive_write_set_format_ustar(a), ARCHIVE_OK);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        archive_write_free(a);
        CLEAN_FD int tar = open(path, O_RDONLY);
        assert_int_equal(unpack_zip(tar, dest, NULL), UNPACK_REFUSED);
}

static void every_truncation_is_refused(void **state)
{
        const struct item items[] = {
                {"manifest.xml", 0, "some text that is there", 0}, {"car", 0, "x", 0755}};
        struct err err = ERR_INIT;
        assert_int_equal(unpacked(*state, items, 2, &err), 0);
        CLEAN_MEM char *zip = fs_join(*state, "p.zip");
        CLEAN_MEM char *dest = fs_join(*state, "out");
        struct stat st;
        assert_int_equal(stat(zip, &st), 0);
        for (off_t len = st.st_size - 1; len >= 0; len--) {
                assert_int_equal(truncate(zip, len), 0);
                assert_int_equal(fs_remove_tree(dest, NULL), 0);
                CLEAN_FD int fd = open(zip, O_RDONLY);
                assert_int_equal(unpack_zip(fd, dest, &err), UNPACK_REFUSED);
        }
}

static void hashes_and_sizes_are_compared(void **state)
{
        CLEAN_MEM char *path = fs_join(*state, "f");
        assert_int_equal(fs_write_atomic(path, "abc", 3, 0600, NULL), 0);
        CLEAN_FD int fd = open(path, O_RDONLY);
        struct hash_set good = {
                .sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
        struct hash_set sha1 = {.sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d"};
        struct hash_set md5 = {.md5 = "900150983cd24fb0d6963f7d28e17f72"};
        struct hash_set best = good, none = {0};
        memcpy(best.md5, "00000000000000000000000000000000", 33); /* the better hash decides */
        assert_int_equal(unpack_check(fd, 3, &good, NULL), 0);
        assert_int_equal(unpack_check(fd, 3, &sha1, NULL), 0);
        assert_int_equal(unpack_check(fd, 3, &md5, NULL), 0);
        assert_int_equal(unpack_check(fd, 3, &best, NULL), 0);
        assert_int_equal(unpack_check(fd, 4, &good, NULL), UNPACK_REFUSED);
        assert_int_equal(unpack_check(fd, 3, &none, NULL), UNPACK_REFUSED);
        good.sha256[0] = '0';
        sha1.sha1[0] = '0';
        md5.md5[0] = '0';
        assert_int_equal(unpack_check(fd, 3, &good, NULL), UNPACK_REFUSED);
        assert_int_equal(unpack_check(fd, 3, &sha1, NULL), UNPACK_REFUSED);
        assert_int_equal(unpack_check(fd, 3, &md5, NULL), UNPACK_REFUSED);
}

static void a_folder_is_copied_without_its_repository(void **state)
{
        CLEAN_MEM char *source = fs_join(*state, "app");
        CLEAN_MEM char *git = fs_join(source, ".git");
        CLEAN_MEM char *lib = fs_join(source, "lib");
        CLEAN_MEM char *file = fs_join(lib, "f");
        CLEAN_MEM char *link = fs_join(source, "link");
        CLEAN_MEM char *dest = fs_join(*state, "out");
        assert_int_equal(fs_mkdir_p(git, 0700, NULL), 0);
        assert_int_equal(fs_mkdir_p(lib, 0700, NULL), 0);
        assert_int_equal(fs_write_atomic(file, "x", 1, 0755, NULL), 0);
        struct err err = ERR_INIT;
        if (unpack_folder(source, dest, &err))
                fail_msg("%s", err.text);
        expect_file(*state, "lib/f", "x", 0755);
        CLEAN_MEM char *copied = fs_join(dest, ".git");
        assert_false(fs_exists(copied));
        assert_int_equal(symlink("/etc/passwd", link), 0);
        assert_int_equal(fs_remove_tree(dest, NULL), 0);
        assert_int_equal(unpack_folder(source, dest, &err), UNPACK_REFUSED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, given_dir, remove_dir)
        const struct CMUnitTest tests[] = {
                T(files_and_folders_come_out),
                T(what_climbs_or_links_is_refused_before_anything_is_written),
                T(a_name_twice_is_refused),
                T(too_many_files_are_refused),
                T(a_bomb_is_refused_before_anything_is_written),
                T(names_are_bounded),
                T(rubbish_and_other_archives_are_refused),
                T(every_truncation_is_refused),
                T(hashes_and_sizes_are_compared),
                T(a_folder_is_copied_without_its_repository),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
