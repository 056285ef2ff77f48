/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* What the readers of the database share: view.c and why.c. */
#include "cloud/ota/ota.h"
#include "cloud/ota/tx.h"

struct ota_view {
        struct database *database;
        char *tenant;
        char *data_dir;
};

/* One look at the database; end it with view_end(), which says what went wrong, if anything did. */
struct view_unit {
        struct arena arena;
        struct problem problem;
        struct tx tx;
};
/* Where the cloud keeps the server's database, malloc()ed: see database.h. */
char *ota_database_of(const struct cloud_config *config);
void view_begin(struct ota_view *v, struct view_unit *u);
int view_end(struct view_unit *u, struct err *err);
