/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)4096)

struct arena_block {
        struct arena_block *next;
        size_t used, size;
        max_align_t data[];
};

void arena_fini(struct arena *a)
{
        while (a->head) {
                struct arena_block *b = a->head;
                a->head = b->next;
                free(b);
        }
}

static struct arena_block *block_new(size_t size)
{
        struct arena_block *b = NULL;
        if (size < SIZE_MAX - sizeof(*b))
                b = calloc(1, sizeof(*b) + size);
        if (!b)
                abort();
        b->size = size;
        return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
        size_t need = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
        if (need < size)
                abort();
        struct arena_block *b = a->head;
        if (!b || b->size - b->used < need) {
                b = block_new(need > BLOCK_SIZE ? need : BLOCK_SIZE);
                if (a->head && need > BLOCK_SIZE / 4) { /* keep filling the block before */
                        b->next = a->head->next;
                        a->head->next = b;
                } else {
                        b->next = a->head;
                        a->head = b;
                }
        }
        void *p = (char *)b->data + b->used;
        b->used += need;
        return p;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
        char *copy = arena_alloc(a, len + 1);
        memcpy(copy, text, len);
        return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
        return text ? arena_strndup(a, text, strlen(text)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
        va_list again;
        va_copy(again, ap);
        int n = vsnprintf(NULL, 0, fmt, ap);
        if (n < 0)
                abort();
        char *text = arena_alloc(a, (size_t)n + 1);
        vsnprintf(text, (size_t)n + 1, fmt, again);
        va_end(again);
        return text;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        char *text = arena_vprintf(a, fmt, ap);
        va_end(ap);
        return text;
}
