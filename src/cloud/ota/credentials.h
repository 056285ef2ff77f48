/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What an Authorization header of the Management API says: a name and a password (Basic), or an API
 * token (Bearer). Nothing is checked here but the form. The texts are secrets: wipe them with
 * credentials_wipe() when done.
 */
#include <stdbool.h>

#define CREDENTIALS_SIZE 1024
#define API_TOKEN_PREFIX "dl_"
#define API_TOKEN_SIZE 68 /* the prefix, 256 bits as hex, a NUL */

enum credentials_kind { CREDENTIALS_NONE, CREDENTIALS_BASIC, CREDENTIALS_TOKEN };

struct credentials {
        enum credentials_kind kind;
        const char *name;   /* BASIC; within `text` */
        const char *secret; /* the password or the whole token; within `text` */
        char text[CREDENTIALS_SIZE];
};

/* `header` NULL or malformed: CREDENTIALS_NONE. The scheme word may be in any case, exactly one
 * blank follows, base64 is padded and holds a colon (all as hawkBit has it). */
enum credentials_kind credentials_parse(const char *header, struct credentials *ret);
void credentials_wipe(struct credentials *c);
/* Same time for every wrong guess of the same length. */
bool secret_equals(const char *a, const char *b);
