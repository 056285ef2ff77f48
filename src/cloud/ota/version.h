/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The order of versions, as semver.org has it, for versions that aren't all semver's.
 *
 * A leading `v` and everything from a `+` on don't count. What is before the first `-` is split at
 * dots, and a missing part is 0: 1.2 equals 1.2.0. What is behind it is a pre-release, which is
 * older than the version itself: 2.0.0-rc.1 < 2.0.0. Parts of digits are compared as numbers of any
 * length, others as bytes, and a number is older than text: 1.9 < 1.10, rc.2 < rc.10, 1 < alpha. Of
 * two pre-releases that begin alike, the shorter is the older.
 */

/* Below, equal to or above 0. */
int version_compare(const char *a, const char *b);
