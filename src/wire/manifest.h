/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * manifest.xml, the note at the root of an update package that says how to build and run it:
 *
 *   <project>
 *     <name>car-c</name> <language>c</language> <compiler>gcc</compiler>
 *     <build_command>gcc -O2 -o car main.c -lm</build_command>
 *     <run_command>./car</run_command>
 *     <version>1.0.0</version>
 *   </project>
 *
 * `name` and `run_command` must be there; the others may be missing or empty; elements that are not
 * in this list are skipped, so that a manifest may carry more. A member twice, a document type (and
 * with it every entity of its own), another root, or more than LIMIT_DOCUMENT_BYTES is refused.
 * Text is trimmed. The struct owns its texts; a missing one is "" and never NULL.
 */
#include "base/err.h"
#include "base/clean.h"
#include <stddef.h>

struct manifest {
        char *name;
        char *language;
        char *compiler;
        char *build_command;
        char *run_command;
        char *version;
};

/* On failure `ret` is left alone. */
int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *err);
/* Reads `dir`/manifest.xml. */
int manifest_read(const char *dir, struct manifest *ret, struct err *err);
void manifest_fini(struct manifest *m);
#define CLEAN_MANIFEST __attribute__((cleanup(manifest_fini)))

/*
 * A command of the manifest as an argument vector. Blanks separate; '…' keeps everything, "…" and a
 * backslash keep the next special byte. There is no shell behind it, so whatever only a shell could
 * do (pipes, redirections, variables, patterns) is an error rather than a surprise.
 */
struct command {
        char **argv; /* NULL-terminated */
        size_t argc;
};

int command_parse(const char *text, struct command *ret, struct err *err);
void command_fini(struct command *c);
#define CLEAN_COMMAND __attribute__((cleanup(command_fini)))
