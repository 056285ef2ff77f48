/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * buildspec.yml, how a repository wants to be built or tested and what of it a car gets:
 *
 *   version: 1                     # 0.2, CodeBuild's, is taken too
 *   environment: gcc-aarch64       # optional; else the pipeline's
 *   phases:
 *     pre_build:
 *       commands: ["gcc --version"]
 *     build:
 *       commands:
 *         - gcc -O2 -o app main.c
 *         - sh -c "./app --self-test > report.txt"
 *   artifacts:
 *     files: [app, data/map.bin]  # optional, also with patterns; manifest.xml is always in
 *
 * The phases install, pre_build, build and post_build run in this order whatever the file's, and a
 * command that fails ends the build. Commands are argument vectors (wire/manifest.h); there is no
 * shell unless a command calls one. An unknown key is an error, with its line, rather than a
 * setting that silently does nothing.
 */
#include "base/err.h"
#include "wire/manifest.h"
#include <stdbool.h>
#include <stddef.h>

enum build_phase { BUILD_INSTALL, BUILD_PRE_BUILD, BUILD_BUILD, BUILD_POST_BUILD, BUILD_PHASE_N };
const char *build_phase_to_string(enum build_phase phase);

struct build_step {
        enum build_phase phase;
        int line; /* in buildspec.yml; 0: from elsewhere */
        char *text;
        struct command words;
};

struct buildspec {
        char *environment;        /* NULL: not said */
        struct build_step *steps; /* in the order in which they run */
        size_t n_steps;
        char **files; /* patterns; none: everything */
        size_t n_files;
};

int buildspec_parse(const char *text, size_t len, struct buildspec *ret, struct err *err);
/* One command, as of a manifest's <build_command>. */
int buildspec_add(struct buildspec *spec, enum build_phase phase, const char *command, int line,
        struct err *err);
void buildspec_fini(struct buildspec *spec);
#define CLEAN_BUILDSPEC __attribute__((cleanup(buildspec_fini)))

/* `*` and `?` stay within a folder, `**` crosses them; no other byte is special. */
bool buildspec_matches(const char *pattern, const char *path);
