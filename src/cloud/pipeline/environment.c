/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/environment.h"
#include "base/clean.h"
#include "base/fs.h"

#include <errno.h>
#include <string.h>

#if defined(__x86_64__)
#define X86_PACKAGES "gcc libc6-dev"
#define X86_HEADER "/usr/include/stdio.h"
#else
#define X86_PACKAGES "gcc-x86-64-linux-gnu libc6-dev-amd64-cross"
#define X86_HEADER "/usr/x86_64-linux-gnu/include/stdio.h"
#endif
#if defined(__aarch64__)
#define ARM_PACKAGES "gcc libc6-dev"
#define ARM_HEADER "/usr/include/stdio.h"
#else
#define ARM_PACKAGES "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
#define ARM_HEADER "/usr/aarch64-linux-gnu/include/stdio.h"
#endif

static const struct environment environments[] = {
        {"gcc-x86_64", "c", "x86_64-linux-gnu", X86_PACKAGES,
                {"/usr/bin/x86_64-linux-gnu-gcc", X86_HEADER}},
        {"gcc-aarch64", "c", "aarch64-linux-gnu", ARM_PACKAGES,
                {"/usr/bin/aarch64-linux-gnu-gcc", ARM_HEADER}},
        {"python", "python", NULL, "python3 python3-pytest",
                {"/usr/bin/python3", "/usr/lib/python3/dist-packages/pytest"}},
};

int environment_find(const char *name, const struct environment **ret, struct err *err)
{
        for (size_t i = 0; i < N_ELEMENTS(environments); i++)
                if (!strcmp(environments[i].name, name)) {
                        *ret = &environments[i];
                        return 0;
                }
        return err_set(err, -EINVAL,
                "there is no build environment '%s': there are gcc-x86_64, gcc-aarch64 and python",
                name);
}

int environment_check(const struct environment *env, struct err *err)
{
        for (size_t i = 0; i < N_ELEMENTS(env->needs) && env->needs[i]; i++)
                if (access(env->needs[i], R_OK) < 0)
                        return err_set(err, -ENOENT,
                                "build environment '%s' needs '%s': apt-get install %s", env->name,
                                env->needs[i], env->packages);
        return 0;
}
