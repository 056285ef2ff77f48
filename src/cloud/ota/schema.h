/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The update server's tables: ota_migrations[i] leads from schema version i to i + 1. A migration
 * that has been released is never changed; a new one is added.
 */
extern const char *const ota_migrations[];
extern const int ota_n_migrations;
