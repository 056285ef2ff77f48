/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/media.h"

#include "base/clean.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
        enum media media;
        const char *name, *sent;
} types[] = {
        /* the order is that of preference where the client has none */
        {MEDIA_HAL, "application/hal+json", "application/hal+json;charset=UTF-8"},
        {MEDIA_JSON, "application/json", "application/json;charset=UTF-8"},
        {MEDIA_CBOR, "application/cbor", "application/cbor;charset=UTF-8"},
        {MEDIA_TEXT, "text/plain", "text/plain;charset=UTF-8"},
        {MEDIA_BYTES, "application/octet-stream", "application/octet-stream"},
};

#define MAX_RANGES 16

struct range {
        char name[80];
        double q;
        int specificity; /* 0: any, 1: one type, 2: exact */
};

const char *media_type(enum media m)
{
        for (size_t i = 0; i < N_ELEMENTS(types); i++) {
                if (types[i].media == m)
                        return types[i].sent;
        }
        return NULL;
}

/* Copies one entry's type without parameters; false if it is no media range. */
static bool read_range(const char *text, size_t len, struct range *r)
{
        size_t n = 0, end = 0;
        r->q = 1;
        while (n < len && isspace((unsigned char)text[n]))
                n++;
        for (end = n; end < len && text[end] != ';' && !isspace((unsigned char)text[end]); end++)
                ;
        if (end - n == 0 || end - n >= sizeof(r->name))
                return false;
        memcpy(r->name, text + n, end - n);
        r->name[end - n] = '\0';
        for (const char *p = text + end; p < text + len; p++) {
                if (strncasecmp(p, "q=", 2) == 0 && (p[-1] == ';' || p[-1] == ' ')) {
                        r->q = strtod(p + 2, NULL);
                        break;
                }
        }
        const char *slash = strchr(r->name, '/');
        r->specificity = strcmp(r->name, "*/*") == 0         ? 0
                         : slash && strcmp(slash, "/*") == 0 ? 1
                                                             : 2;
        return slash && slash != r->name && slash[1];
}

static size_t read_ranges(const char *accept, struct range ranges[MAX_RANGES])
{
        size_t n = 0;
        for (const char *p = accept; *p && n < MAX_RANGES;) {
                const char *comma = strchr(p, ',');
                size_t len = comma ? (size_t)(comma - p) : strlen(p);
                if (read_range(p, len, &ranges[n]))
                        n++;
                p += len + (comma != NULL);
        }
        return n;
}

static bool matches(const struct range *r, const char *name)
{
        if (r->specificity == 0)
                return true;
        if (r->specificity == 1)
                return strncasecmp(r->name, name, strlen(r->name) - 1) == 0;
        return strcasecmp(r->name, name) == 0;
}

enum media media_choose(const char *accept, unsigned offered)
{
        struct range ranges[MAX_RANGES];
        static const struct range any = {"*/*", 1, 0};
        size_t n = 1;
        bool is_blank = !accept || !accept[strspn(accept, " \t")];
        if (is_blank)
                ranges[0] = any;
        else
                n = read_ranges(accept, ranges);
        const struct range *best = NULL;
        enum media chosen = 0;
        for (size_t i = 0; i < n; i++) {
                const struct range *r = &ranges[i];
                if (best && (r->q < best->q ||
                                    (r->q == best->q && r->specificity <= best->specificity)))
                        continue;
                for (size_t t = 0; t < N_ELEMENTS(types); t++) {
                        if ((offered & types[t].media) && r->q > 0 && matches(r, types[t].name)) {
                                best = r;
                                chosen = types[t].media;
                                break;
                        }
                }
        }
        return chosen;
}

bool media_wants_html(const char *accept)
{
        struct range ranges[MAX_RANGES];
        size_t n = accept ? read_ranges(accept, ranges) : 0;
        for (size_t i = 0; i < n; i++) {
                if (strcasecmp(ranges[i].name, "text/html") == 0)
                        return true;
        }
        return false;
}

bool media_is_vendor_json(const char *accept)
{
        size_t n = accept ? strcspn(accept, ",;") : 0;
        return n > 17 && accept[n] == '\0' && strncasecmp(accept, "application/", 12) == 0 &&
               strcasecmp(accept + n - 5, "+json") == 0 && !strpbrk(accept, " \t\r\n");
}

bool media_is_type(const char *content_type, const char *type)
{
        size_t n = strlen(type);
        if (!content_type || strncasecmp(content_type, type, n) != 0)
                return false;
        const char *rest = content_type + n + strspn(content_type + n, " \t");
        return *rest == '\0' || *rest == ';';
}

enum media media_of_content_type(const char *content_type)
{
        for (size_t i = 0; i < N_ELEMENTS(types); i++) {
                if (media_is_type(content_type, types[i].name))
                        return types[i].media;
        }
        return 0;
}
