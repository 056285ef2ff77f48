/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * Stands in for libFuzzer: gives every file of the folders (or files) named on the command line to
 * the target, and besides them what has broken parsers most often: nothing at all, and each input
 * cut short and with one byte changed. So the corpora run as ordinary tests in every build.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
        /* Enough to reach each field of a small document, and no minutes for a large one. */
        MAX_MUTATIONS = 64,
        MAX_INPUT_BYTES = 4 * 1024 * 1024,
};

static size_t n_replayed;

/* A heap copy of exactly the input's size, so that AddressSanitizer sees a read past its end. */
static void replay(const uint8_t *data, size_t size)
{
        uint8_t *copy = calloc(1, size > 0 ? size : 1);

        if (!copy)
                abort();
        if (size > 0)
                memcpy(copy, data, size);
        (void)LLVMFuzzerTestOneInput(copy, size);
        free(copy);
}

static void replay_cut_short(const uint8_t *data, size_t size)
{
        size_t step = size / MAX_MUTATIONS + 1;

        for (size_t length = 0; length < size; length += step)
                replay(data, length);
}

static void replay_with_changed_bytes(uint8_t *data, size_t size)
{
        static const uint8_t masks[] = {0x01, 0x20, 0x80, 0xff};
        size_t step = size / MAX_MUTATIONS + 1;

        for (size_t at = 0; at < size; at += step) {
                uint8_t mask = masks[at / step % sizeof(masks)];

                data[at] ^= mask;
                replay(data, size);
                data[at] ^= mask;
        }
}

static uint8_t *read_whole(const char *path, size_t size)
{
        uint8_t *data = malloc(size > 0 ? size : 1);
        FILE *file = fopen(path, "rbe");

        if (!data || !file || fread(data, 1, size, file) != size) {
                (void)fprintf(stderr, "cannot read '%s': %s\n", path, strerror(errno));
                exit(1);
        }
        (void)fclose(file);
        return data;
}

static int on_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
        uint8_t *data;

        (void)position;
        if (type != FTW_F)
                return 0;
        if (status->st_size > MAX_INPUT_BYTES) {
                (void)fprintf(stderr, "'%s' is too large for a corpus\n", path);
                exit(1);
        }
        data = read_whole(path, (size_t)status->st_size);
        replay(data, (size_t)status->st_size);
        replay_cut_short(data, (size_t)status->st_size);
        replay_with_changed_bytes(data, (size_t)status->st_size);
        free(data);
        n_replayed++;
        return 0;
}

int main(int argc, char **argv)
{
        replay(NULL, 0);
        for (int i = 1; i < argc; i++) {
                if (nftw(argv[i], on_entry, 16, FTW_PHYS) != 0) {
                        (void)fprintf(stderr, "cannot walk '%s': %s\n", argv[i], strerror(errno));
                        return 1;
                }
        }
        if (argc > 1 && n_replayed == 0) {
                (void)fprintf(stderr, "no input in '%s'\n", argv[1]);
                return 1;
        }
        printf("replayed %zu inputs\n", n_replayed);
        return 0;
}
