/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Passwords as they are stored: scrypt (RFC 7914) with a salt of its own each, written with its
 * parameters as `$scrypt$ln=14,r=8,p=1$SALT$HASH` (hex), so that stronger ones can follow.
 *
 * Hashing and checking take LIMIT_PASSWORD_LOG_N's time and memory on purpose (some 50 ms, 16 MiB):
 * the event loop leaves both to login.h's worker.
 */
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PASSWORD_HASH_SIZE 160
#define PASSWORD_GENERATED_SIZE 33 /* 128 random bits as hex and a NUL */

/* -EIO: no memory for scrypt, or no random bytes. */
int password_hash(const char *password, char ret[PASSWORD_HASH_SIZE]);
/* NULL or unreadable `stored`: false, after the same time. */
bool password_matches(const char *password, const char *stored);
int password_generate(char ret[PASSWORD_GENERATED_SIZE]);
/* Why it may not be anybody's password, for a person; NULL: it may. */
const char *password_objection(const char *password);
