/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The JSON interface below /api/, as docs/viewer.md describes it. Every answer is made at once; a
 * refused request is answered with {"error": reason} and 400, 404 or 500.
 */
#include "cloud/viewer/fleet.h"
#include "cloud/viewer/live.h"
#include "cloud/viewer/source_log.h"
#include "cloud/viewer/source_ota.h"
#include "cloud/viewer/source_store.h"

struct cloud_config;
struct http_exchange;

struct api {
        const struct cloud_config *config;
        struct fleet *fleet;
        struct live *live;
        struct source_store *store;
        struct source_log *log;
        struct source_ota *ota;
        char *stream_dir;
};

/* Answers a GET whose path begins with /api/. */
void api_answer(struct api *a, struct http_exchange *x);
