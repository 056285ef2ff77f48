/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "wire/seam.h"
