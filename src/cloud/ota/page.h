/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The management page below /ui/: files from the program, without credentials. It holds no data; it
 * asks the Management API of the same origin with what the person typed in.
 */
#include <stdbool.h>

struct http_exchange;
struct ota;

/* Answers if the page is asked for; false: the request is somebody else's. */
bool page_answer(const struct ota *o, struct http_exchange *x);
