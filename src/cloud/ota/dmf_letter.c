/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/dmf_letter.h"

void dmf_letter_write(struct tx *tx, int64_t target, enum dmf_letter letter)
{
        sql_run(tx,
                "INSERT INTO dmf_letter(tenant, controller_id, address, letter, created_at)"
                " SELECT t.tenant, t.controller_id, t.address, ?, ? FROM target t"
                " WHERE t.id=? AND t.address LIKE 'amqp:%'"
                " ON CONFLICT(tenant, controller_id, letter) DO UPDATE SET"
                " address=excluded.address, created_at=excluded.created_at",
                SQL_I(letter), SQL_I(tx->now), SQL_I(target));
}

void dmf_letters_drop_old(struct tx *tx)
{
        sql_run(tx, "DELETE FROM dmf_letter WHERE created_at<?",
                SQL_I(tx->now - DMF_LETTER_AGE_MS));
}
