/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Checking passwords without stopping the event loop and without being worn down by guesses.
 *
 * One worker thread does all that scrypt does; the loop goes on. A request whose password must be
 * checked waits: login_check() says LOGIN_WAITS and keeps the exchange, and `resume` is called with
 * it later, from the loop. A password that was right is remembered for LIMIT_LOGIN_REMEMBER_MS, for
 * that peer alone, as a keyed digest of peer, name, stored hash and password: whoever calls often
 * pays once, and a changed password is another stored hash, hence forgotten at once.
 *
 * Wrong ones cost: each peer and name has LIMIT_LOGIN_FAILURES in a row, then one a while, and is
 * told 429 with the seconds to wait in between. Each peer may have LIMIT_LOGIN_QUEUE_PER_PEER
 * passwords waiting. What is remembered is looked at first, so nobody can lock out who is logged
 * in; and a wrong password costs the same time whether the name exists or not.
 */
#include "base/err.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_exchange;
struct login;
struct login_result;

struct login_options {
        int max_failures; /* in a row before the first wait; 0: never a wait */
        /* Takes the exchange back, and with it what was found out (login_result_free()). */
        void (*resume)(void *arg, struct http_exchange *x, struct login_result *result);
        void *arg;
};

/* What the worker did for one request. */
struct login_result {
        bool is_check; /* a password was checked: is_right says how; else `hashes` were made */
        bool is_right;
        char **passwords; /* as they were given */
        char **hashes;    /* their stored forms; NULL: it failed */
        size_t n;
};

int login_new(struct event_base *base, const struct login_options *options,
        struct login **ret_login, struct err *err);
/* Stops the worker; exchanges that wait are dropped (http_server_free() frees them). */
void login_free(struct login *l);

enum login_verdict { LOGIN_RIGHT, LOGIN_WRONG, LOGIN_WAITS, LOGIN_LIMITED };

/* May `peer` be the user `name`, whose password is stored as `stored` (NULL: there is no such
 * user)? LOGIN_WAITS keeps `x` until `resume`. LOGIN_LIMITED: try again in *ret_wait_s. */
enum login_verdict login_check(struct login *l, struct http_exchange *x, const char *peer,
        const char *name, const char *password, const char *stored, int *ret_wait_s);
/* Makes the stored forms of passwords; keeps `x` until `resume`. -EAGAIN: too much waits already.
 */
int login_hash(struct login *l, struct http_exchange *x, const char *peer,
        const char *const *passwords, size_t n);
void login_result_free(struct login_result *result);

/* The form in which a password that the server was started with is kept: a digest under a key that
 * this process alone has. It is checked in microseconds and never leaves memory. */
#define LOGIN_KEYED_SIZE 80
void login_keyed(const struct login *l, const char *password, char ret[LOGIN_KEYED_SIZE]);
