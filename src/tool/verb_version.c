/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "base/cli.h"
#include "tool/verb.h"

#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>

int verb_version(void *context, int argc, char **argv)
{
        (void)context;
        static const struct cli_option options[] = {{0}};
        const char *none[1];
        size_t n;
        int code;
        if (cli_parse(argc, argv,
                    "driveline version\n\nPrints the version of Driveline and of its libraries.",
                    options, none, 0, &n, &code))
                return code;
        printf("driveline %s\nlibevent %s, %s, SQLite %s, jansson %s\n", DRIVELINE_VERSION,
                event_get_version(), OpenSSL_version(OPENSSL_VERSION), sqlite3_libversion(),
                JANSSON_VERSION);
        return CLI_OK;
}
