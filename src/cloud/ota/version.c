/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/version.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A piece of a version that is not copied. */
struct piece {
        const char *text;
        size_t len;
};

static bool is_number(struct piece p)
{
        for (size_t i = 0; i < p.len; i++) {
                if (!isdigit((unsigned char)p.text[i]))
                        return false;
        }
        return p.len > 0;
}

static int compare_texts(struct piece a, struct piece b)
{
        int order = memcmp(a.text, b.text, a.len < b.len ? a.len : b.len);
        return order ? order : (a.len > b.len) - (a.len < b.len);
}

static struct piece without_zeros(struct piece p)
{
        while (p.len > 1 && *p.text == '0') {
                p.text++;
                p.len--;
        }
        return p;
}

static int compare_parts(struct piece a, struct piece b)
{
        bool is_a = is_number(a), is_b = is_number(b);
        if (is_a != is_b)
                return is_a ? -1 : 1;
        if (!is_a)
                return compare_texts(a, b);
        a = without_zeros(a);
        b = without_zeros(b);
        return a.len != b.len ? (a.len > b.len) - (a.len < b.len) : compare_texts(a, b);
}

/* Takes the part up to the next dot. False: nothing is left. */
static bool next_part(struct piece *rest, struct piece *ret)
{
        if (!rest->text)
                return false;
        const char *dot = memchr(rest->text, '.', rest->len);
        ret->text = rest->text;
        ret->len = dot ? (size_t)(dot - rest->text) : rest->len;
        rest->len -= dot ? ret->len + 1 : ret->len;
        rest->text = dot ? dot + 1 : NULL;
        return true;
}

/* `missing` stands for the parts that the shorter one lacks; NULL: the shorter is the older. */
static int compare_lists(struct piece a, struct piece b, const char *missing)
{
        const struct piece filler = {missing ? missing : "", missing ? strlen(missing) : 0};
        for (;;) {
                struct piece x = filler, y = filler;
                bool has_x = next_part(&a, &x), has_y = next_part(&b, &y);
                if (!has_x && !has_y)
                        return 0;
                if (has_x != has_y && !missing)
                        return has_x ? 1 : -1;
                int order = compare_parts(x, y);
                if (order)
                        return order;
        }
}

static void split(const char *text, struct piece *ret_core, struct piece *ret_pre)
{
        text += (*text == 'v' || *text == 'V') && isdigit((unsigned char)text[1]);
        size_t len = strcspn(text, "+"), core = strcspn(text, "-+");
        *ret_core = (struct piece){text, core};
        *ret_pre = core < len ? (struct piece){text + core + 1, len - core - 1}
                              : (struct piece){NULL, 0};
}

int version_compare(const char *a, const char *b)
{
        struct piece core_a, core_b, pre_a, pre_b;
        split(a, &core_a, &pre_a);
        split(b, &core_b, &pre_b);
        int order = compare_lists(core_a, core_b, "0");
        if (order)
                return order;
        if (!pre_a.text || !pre_b.text)
                return (pre_b.text != NULL) - (pre_a.text != NULL);
        return compare_lists(pre_a, pre_b, NULL);
}
