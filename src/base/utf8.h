/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
#include <stddef.h>

/* Length of the UTF-8 sequence at `s`, of which `left` > 0 bytes may be read (RFC 3629: shortest
 * form, no surrogates, up to U+10FFFF); 0: there is none. Inline for the parsers that call it for
 * each byte. */
static inline size_t utf8_length(const unsigned char *s, size_t left)
{
        if (s[0] < 0x80)
                return 1;
        size_t n = s[0] >= 0xf0 && s[0] <= 0xf4   ? 4
                   : s[0] >= 0xe0 && s[0] <= 0xef ? 3
                   : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
                                                  : 0;
        if (!n || n > left)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
                (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}
