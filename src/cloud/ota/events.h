/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * What happened, for others to follow: a table of events that is written in the transaction of the
 * change itself, and that the event stream and the web-hooks (event_hub.h) are read from.
 *
 *   target.registered   {controllerId, by}                     a device came, or a person made it
 *   target.updated      {controllerId, what}                   data or attributes changed
 *   target.deleted      {controllerId}
 *   action.created      {id, controllerId, distributionSet, status, rollout?}
 *   action.status       {id, controllerId, distributionSet, status, rollout?}   still open
 *   action.finished     {id, controllerId, distributionSet, status, rollout?}   closed, however
 *   rollout.status      {id, name, status}
 *   rollout.group       {id, rollout, name, status, targets}
 *   distributionset.invalidated  {id, name, version}
 *   webhook.test        {hook}                                 for that hook only
 *
 * Nothing is written before a tenant sets `driveline.events.enabled`. A group that starts is one
 * event with the number of its targets, not one for each: what follows is reported by the devices
 * one by one. The newest LIMIT_OTA_EVENTS of a tenant are kept. Ids grow over all tenants and are
 * never given again.
 */
#include "cloud/ota/action.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/set.h"

bool events_are_on(struct tx *tx);
/* `data` is taken. `hook`: only for this one; 0: for all. */
void event_put(struct tx *tx, const char *type, int64_t hook, json_t *data);
void event_target(struct tx *tx, const char *type, const char *controller_id, const char *what);
void event_action(struct tx *tx, const char *type, const struct action *a);
void event_rollout(struct tx *tx, const struct rollout *r);
void event_group(struct tx *tx, int64_t group, enum group_status status);
void event_set(struct tx *tx, const char *type, const struct dset *s);

/* Permission that the reader of an event of this type needs. */
uint64_t event_permission(const char *type);
/* Does the type fit the list: `action, rollout.status`? A part stands for itself and for all that
 * begin with it and a dot; an empty list, NULL and `*` fit all. */
bool event_fits(const char *list, const char *type);
/* Drops what is beyond the limit; hooks that had not sent it yet count it as lost. */
void events_trim(struct tx *tx);
