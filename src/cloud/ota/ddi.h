/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/*
 * The device interface: what its handlers share. A device is one target of one tenant, which the
 * path names and its credentials prove; a target that is unknown registers itself by its first
 * poll.
 */
#include "cloud/ota/action.h"
#include "cloud/ota/request.h"

/* Is the caller the target of the path? Sets q->tx.tenant. */
bool ddi_authenticate(struct request *q);
/* The target of the path, made if it is new; its poll is noted. -1 with a problem. */
int ddi_register(struct request *q, struct target *ret);
/* The target of the path, which must be there. */
int ddi_require_target(struct request *q, struct target *ret);
/* The action of the path, which must be the target's. */
int ddi_require_action(struct request *q, const struct target *t, struct action *ret);
/* {"href": "<origin>/<tenant>/controller/v1/<id>/…"}; the tenant as the device spelled it. */
json_t *ddi_link(struct request *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The number after ?c=: it changes when what the action asks of the device does. */
int32_t ddi_fingerprint(struct request *q, const struct action *a);
/* One artifact as devices see it. */
json_t *ddi_artifact_json(struct request *q, int64_t module, const char *filename, int64_t size,
        const char *sha1, const char *md5, const char *sha256);
/* What the target is offered now, once those without a window to come have ended. */
bool ddi_next_action(struct request *q, const struct target *t, struct action *ret);
