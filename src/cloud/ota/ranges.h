/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The Range header of a download (RFC 9110, 14.2), as strict as hawkBit: `bytes=` only, no blanks, and
 * one range that can't be served spoils all. Pure functions of text.
 */
#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 64

struct range_span {
        int64_t start, end; /* of the file's bytes, both inclusive; 0 <= start <= end < size */
};

/* The ranges that `header` asks of a file of `size` bytes, in the order of their starts, without
 * overlap; an end beyond the file is cut. Their number; 0: it can't be served (416). */
size_t ranges_read(const char *header, int64_t size, struct range_span ret[RANGES_MAX]);
