/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What the server does by itself, in passes of one transaction per rollout or filter: rollouts go
 * on, filters assign their set to new matches, old actions are cleaned up, poll times are written.
 */
struct ota;
/* One round over all tenants. */
void scheduler_round(struct ota *o);
/* Old closed actions, as the tenants configured it. Once a day. */
void scheduler_clean_up(struct ota *o);
