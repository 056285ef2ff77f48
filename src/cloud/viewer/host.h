/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * Who may be meant by a request's Host header.
 *
 * A page on the internet can make its own name resolve to 127.0.0.1 and then read a loopback server
 * as its own origin (DNS rebinding). Its requests still carry its name in Host, so only names that
 * can't be anybody else's are answered: loopback's, and the address that the configuration says to
 * listen on.
 */
#include <stdbool.h>

/* `host` is the header as sent, with or without a port; NULL (no header) is refused. `listen` is
 * the configured `address:port`. */
bool host_is_allowed(const char *host, const char *listen);
