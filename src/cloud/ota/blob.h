/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The files behind the artifacts: each content is stored once, as `ab/abcdef…` by its SHA-256.
 *
 * A file is written while it arrives (upload.h), synced, and renamed; only then a row may name it. A file
 * whose last row goes is removed after the commit, so that a crash leaves a file too many, never
 * one too few. Uploads of one content at the same time can't be: there is one thread.
 */
#include "cloud/ota/upload.h"

/* Puts the upload's file in its place. Sets a problem (disk full among them) and returns -1. */
int blob_store(struct tx *tx, struct ota *o, struct upload *u);
/* Sets the problem of a file that could not be written; -1. */
int blob_failed(struct tx *tx, const struct err *err);
/* Removes a file just written that no row will name. */
void blob_discard(struct tx *tx, struct ota *o, const char *sha256);
/* Opens the file; -1 if it is gone. */
int blob_open(struct ota *o, struct arena *arena, const char *sha256);
/* Removes the files that `module`'s artifacts alone hold. */
void blob_forget_module(struct tx *tx, struct ota *o, int64_t module);
/* After the row of an artifact went: removes its file unless another living row holds it. */
void blob_forget(struct tx *tx, struct ota *o, const char *sha256);
