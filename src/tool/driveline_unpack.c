/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/* Checks a package and unpacks it: the part of the agent that reads somebody else's bytes, in a
 * process that may die without harm. See tcu/installer.h for how the agent uses it. */
#include "base/clean.h"
#include "base/cli.h"
#include "base/limits.h"
#include "tcu/installer.h"
#include "tcu/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* The sanitizer's own memory map is larger than any sensible limit. */
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ADDRESS_SANITIZER
#endif
#endif

static const char *arg_size, *arg_sha256, *arg_sha1, *arg_md5;

static const struct cli_option options[] = {
        {"size", 0, CLI_TEXT, &arg_size, "BYTES", "the package must have this size"},
        {"sha256", 0, CLI_TEXT, &arg_sha256, "HEX", "the package must have this hash"},
        {"sha1", 0, CLI_TEXT, &arg_sha1, "HEX", "the same; looked at if there is no better hash"},
        {"md5", 0, CLI_TEXT, &arg_md5, "HEX", "the same"}, {0}};

static const char usage[] =
        "driveline-unpack [options] [--] SOURCE [DEST]\n\n"
        "Checks the package SOURCE by its size and hash, and unpacks it into the new folder DEST.\n"
        "SOURCE is a zip of plain files and folders, or a folder itself; without DEST it is only\n"
        "checked. Exit status: 0 done, 1 failed, 2 misuse, 3 not the promised file, 4 refused.";

static void limit(int resource, rlim_t value)
{
        const struct rlimit l = {value, value};
        (void)setrlimit(resource, &l);
}

/* Whatever the package makes the readers do, it ends here. */
static void confine(void)
{
        limit(RLIMIT_CORE, 0);
        limit(RLIMIT_CPU, 300);
        limit(RLIMIT_FSIZE, LIMIT_PACKAGE_UNPACKED_BYTES);
#ifndef UNDER_ADDRESS_SANITIZER
        limit(RLIMIT_AS, LIMIT_MIB(256));
#endif
        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int exit_code(int r, int refused)
{
        return r == 0 ? INSTALLER_EXIT_DONE : r > 0 ? refused : INSTALLER_EXIT_FAILED;
}

static int take_hash(const char *text, char *to, size_t size)
{
        if (!text)
                return 0;
        return (size_t)snprintf(to, size, "%s", text) < size ? 0 : -EINVAL;
}

static int check(int fd, struct err *err)
{
        struct hash_set want = {0};
        char *end = NULL;
        errno = 0;
        uint64_t size = arg_size ? strtoull(arg_size, &end, 10) : 0;
        if (!arg_size || errno || !end || *end ||
                take_hash(arg_sha256, want.sha256, sizeof(want.sha256)) ||
                take_hash(arg_sha1, want.sha1, sizeof(want.sha1)) ||
                take_hash(arg_md5, want.md5, sizeof(want.md5)))
                return err_set(
                        err, -EINVAL, "a hash needs --size with a number, and its whole length");
        return unpack_check(fd, size, &want, err);
}

static int run(const char *source, const char *dest, struct err *err)
{
        CLEAN_FD int fd = open(source, O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st)) {
                err_errno(err, -errno, "cannot open '%s'", source);
                return INSTALLER_EXIT_FAILED;
        }
        bool promised = arg_size || arg_sha256 || arg_sha1 || arg_md5;
        int r = promised ? check(fd, err) : 0;
        if (r || !dest)
                return exit_code(r, INSTALLER_EXIT_MISMATCH);
        r = S_ISDIR(st.st_mode) ? unpack_folder(source, dest, err) : unpack_zip(fd, dest, err);
        return exit_code(r, INSTALLER_EXIT_REFUSED);
}

int main(int argc, char **argv)
{
        static char name[] = "driveline-unpack";
        const char *args[2] = {0};
        size_t n = 0;
        int status = 0;
        argv[0] = name;
        if (cli_parse(argc, argv, usage, options, args, 2, &n, &status))
                return status;
        if (!n) {
                fprintf(stderr, "driveline-unpack: which package? see --help\n");
                return INSTALLER_EXIT_MISUSE;
        }
        (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names in packages are UTF-8 */
        confine();
        struct err err = ERR_INIT;
        status = run(args[0], args[1], &err);
        if (status)
                (void)cli_fail(name, &err);
        return status;
}
