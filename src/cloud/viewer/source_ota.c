/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/viewer/source_ota.h"

#include "base/limits.h"
#include "cloud/ota/ota.h"
#include "cloud/viewer/fleet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROLLOUTS_SHOWN 30
#define ACTIONS_SHOWN 20

struct source_ota {
        const struct cloud_config *config;
        struct ota_view *view; /* NULL: nothing there yet */
};

int source_ota_new(
        const struct cloud_config *config, struct source_ota **ret_source, struct err *err)
{
        struct source_ota *s = calloc(1, sizeof(*s));
        if (!s)
                return err_set(err, -ENOMEM, "out of memory");
        s->config = config;
        *ret_source = s;
        return 0;
}

void source_ota_free(struct source_ota *s)
{
        if (!s)
                return;
        ota_view_free(s->view);
        free(s);
}

#define NO_OTA 1
static int open_view(struct source_ota *s, struct err *err)
{
        if (s->view)
                return 0;
        int r = ota_view_open(s->config, &s->view, err);
        return r == -ENOENT ? NO_OTA : r;
}

uint64_t source_ota_generation(struct source_ota *s)
{
        return open_view(s, NULL) == 0 ? ota_view_generation(s->view) : 0;
}

/* An answer that can't be had is left out: the page shows the rest. */
static void set_why(struct source_ota *s, json_t *o, const char *id)
{
        CLEAN_BUF struct buf why = BUF_INIT(LIMIT_DOCUMENT_BYTES);
        if (ota_why(s->view, id, &why, NULL) == 0)
                json_object_set_new(o, "why", json_string(buf_text(&why)));
}

json_t *source_ota_rollouts(struct source_ota *s, struct err *err)
{
        int r = open_view(s, err);
        if (r != 0)
                return r < 0 ? NULL : json_pack("{s:[]}", "rollouts");
        json_t *rollouts = ota_view_rollouts(s->view, ROLLOUTS_SHOWN, err), *o;
        size_t i;
        json_array_foreach(rollouts, i, o)
        {
                char id[40];
                snprintf(id, sizeof(id), "rollout/%" PRId64, json_int(o, "id", 0));
                if (strcmp(json_text(o, "status", ""), "finished") != 0)
                        set_why(s, o, id);
        }
        return rollouts ? json_pack("{s:o}", "rollouts", rollouts) : NULL;
}

json_t *source_ota_device(struct source_ota *s, const char *device, struct err *err)
{
        int r = open_view(s, err);
        if (r != 0)
                return r < 0 ? NULL : json_null();
        CLEAN_JSON json_t *targets = ota_view_targets(s->view, device, err);
        if (!targets)
                return NULL;
        if (json_array_size(targets) == 0)
                return json_null();
        CLEAN_JSON json_t *actions = ota_view_actions(s->view, device, ACTIONS_SHOWN, err);
        if (!actions)
                return NULL;
        json_t *o =
                json_pack("{s:O, s:O}", "target", json_array_get(targets, 0), "actions", actions);
        set_why(s, o, device);
        return o;
}

int source_ota_fill_fleet(struct source_ota *s, struct fleet *fleet, struct err *err)
{
        int r = open_view(s, err);
        if (r != 0)
                return r < 0 ? r : 0;
        CLEAN_JSON json_t *targets = ota_view_targets(s->view, NULL, err);
        if (!targets)
                return err && err->code ? err->code : -EIO;
        size_t i;
        json_t *target;
        json_array_foreach(targets, i, target)
        {
                struct fleet_device *d =
                        fleet_find(fleet, json_text(target, "controllerId", ""), true);
                if (d)
                        fleet_copy_text(d->assigned, sizeof(d->assigned),
                                json_text(target, "assignedVersion", ""));
        }
        fleet_changed(fleet);
        return 0;
}
