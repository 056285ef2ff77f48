/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the gateway of a target is to be told once, whatever becomes of the target: written with
 * what causes it, in one transaction, and sent when there is a broker (dmf.h). Of targets that are
 * not behind a gateway nothing is written.
 */
#include "cloud/ota/tx.h"

enum dmf_letter { DMF_LETTER_DELETED = 1, DMF_LETTER_ATTRIBUTES = 2 };

void dmf_letter_write(struct tx *tx, int64_t target, enum dmf_letter letter);
/* Drops those that nobody fetched for so long, as the broker's dead-letter queue does. */
#define DMF_LETTER_AGE_MS (INT64_C(21) * 24 * 3600 * 1000)
void dmf_letters_drop_old(struct tx *tx);
