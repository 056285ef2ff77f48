/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What a gateway's message does to the database: one transaction each, by the rules of the device
 * interface. A message that came before (the server ended between its commit and its
 * acknowledgement) changes nothing a second time.
 */
#include "cloud/ota/dmf_message.h"
#include "cloud/ota/tx.h"

/* 0; -1 with a problem: PROBLEM_STORAGE_FAILED is worth another try, any other says why the message
 * is refused. Sets tx->tenant; a PING changes nothing. */
int dmf_apply(struct tx *tx, const struct dmf_message *m, bool is_redelivered, const char *vhost);
/* UPDATE_ACTION_STATUS (dmf_status.c). */
int dmf_apply_status(struct tx *tx, const struct dmf_message *m, bool is_redelivered);
