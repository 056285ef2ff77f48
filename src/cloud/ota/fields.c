/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/action.h"
#include "cloud/ota/filter.h"
#include "cloud/ota/rollout.h"
#include "cloud/ota/target.h"

/* Aliases in the statements: t target, a action, s set, m software module, d a map's row, r
 * rollout, g group, f filter, y any type, x action status, k tag. */

#define AUDIT(a)                                                                                   \
        {"createdat", FIELD_NUMBER, a ".created_at", NULL, NULL},                                  \
                {"createdby", FIELD_TEXT, a ".created_by", NULL, NULL},                            \
                {"lastmodifiedat", FIELD_NUMBER, a ".modified_at", NULL, NULL},                    \
        {                                                                                          \
                "lastmodifiedby", FIELD_TEXT, a ".modified_by", NULL, NULL                         \
        }
#define NAMED(a)                                                                                   \
        {"name", FIELD_TEXT, a ".name", NULL, NULL},                                               \
                {"description", FIELD_TEXT, a ".description", NULL, NULL}, AUDIT(a)
#define SORT_AUDIT(a)                                                                              \
        {"createdat", a ".created_at"}, {"createdby", a ".created_by"},                            \
                {"lastmodifiedat", a ".modified_at"},                                              \
        {                                                                                          \
                "lastmodifiedby", a ".modified_by"                                                 \
        }
#define SORT_NAMED(a)                                                                              \
        {"id", a ".id"}, {"name", a ".name"}, {"description", a ".description"}, SORT_AUDIT(a)
#define OF(table, column, ref) "(SELECT z." column " FROM " table " z WHERE z.id=" ref ")"

/* ── targets ── */

static const struct field target_fields[] = {
        {"id", FIELD_TEXT, "t.controller_id", NULL, NULL},
        {"controllerid", FIELD_TEXT, "t.controller_id", NULL, NULL},
        NAMED("t"),
        {"updatestatus", FIELD_WORD, "t.status", NULL, target_status_words},
        {"ipaddress", FIELD_TEXT, "t.address", NULL, NULL},
        {"group", FIELD_TEXT, "t.grp", NULL, NULL},
        {"lastcontrollerrequestat", FIELD_NUMBER, "t.last_query_at", NULL, NULL},
        {"attribute.", FIELD_MAP, "SELECT 1 FROM target_attribute d WHERE d.target=t.id", "d.value",
                NULL},
        {"metadata.", FIELD_MAP, "SELECT 1 FROM target_metadata d WHERE d.target=t.id", "d.value",
                NULL},
        {"assignedds.name", FIELD_TEXT, OF("ds", "name", "t.assigned_ds"), NULL, NULL},
        {"assignedds.version", FIELD_TEXT, OF("ds", "version", "t.assigned_ds"), NULL, NULL},
        {"installedds.name", FIELD_TEXT, OF("ds", "name", "t.installed_ds"), NULL, NULL},
        {"installedds.version", FIELD_TEXT, OF("ds", "version", "t.installed_ds"), NULL, NULL},
        {"type", FIELD_TEXT, OF("target_type", "key", "t.type"), NULL, NULL},
        {"type.key", FIELD_TEXT, OF("target_type", "key", "t.type"), NULL, NULL},
        {"type.name", FIELD_TEXT, OF("target_type", "name", "t.type"), NULL, NULL},
        {"type.id", FIELD_NUMBER, "t.type", NULL, NULL},
        {"targettype.key", FIELD_TEXT, OF("target_type", "key", "t.type"), NULL, NULL},
        {"targettype.name", FIELD_TEXT, OF("target_type", "name", "t.type"), NULL, NULL},
        {"targettype.id", FIELD_NUMBER, "t.type", NULL, NULL},
        {"autoconfirm", FIELD_BOOL, "CASE WHEN t.auto_confirm_at IS NULL THEN 0 ELSE 1 END", NULL,
                NULL},
        {"tag", FIELD_MANY,
                "SELECT 1 FROM tag_member e JOIN tag k ON k.id=e.tag AND k.kind=0 WHERE "
                "e.member=t.id",
                "k.name", NULL},
        {"tag.name", FIELD_MANY,
                "SELECT 1 FROM tag_member e JOIN tag k ON k.id=e.tag AND k.kind=0 WHERE "
                "e.member=t.id",
                "k.name", NULL},
        {0},
};
static const struct sort_field target_sorts[] = {
        {"id", "t.controller_id"},
        {"controllerid", "t.controller_id"},
        {"name", "t.name"},
        {"description", "t.description"},
        SORT_AUDIT("t"),
        {"updatestatus", "t.status"},
        {"ipaddress", "t.address"},
        {"group", "t.grp"},
        {"lastcontrollerrequestat", "t.last_query_at"},
        {"autoconfirm", "t.auto_confirm_at IS NOT NULL"},
        {"type", "t.type"},
        {"targettype", "t.type"},
        {"assignedds", "t.assigned_ds"},
        {"installedds", "t.installed_ds"},
        {0},
};
const struct entity_fields fields_target = {target_fields, target_sorts};
static const struct sort_field member_sorts[] = {SORT_NAMED("t"), {0}};
const struct entity_fields fields_tag_targets = {target_fields, member_sorts};
const struct entity_fields fields_set_targets = {target_fields, member_sorts};
const struct entity_fields fields_group_targets = {target_fields, member_sorts};

static const struct field target_type_fields[] = {{"id", FIELD_NUMBER, "y.id", NULL, NULL},
        {"key", FIELD_TEXT, "y.key", NULL, NULL}, NAMED("y"), {0}};
static const struct sort_field target_type_sorts[] = {SORT_NAMED("y"), {"key", "y.key"}, {0}};
const struct entity_fields fields_target_type = {target_type_fields, target_type_sorts};

/* ── tags ── */

static const struct field tag_fields[] = {{"id", FIELD_NUMBER, "k.id", NULL, NULL},
        {"colour", FIELD_TEXT, "k.colour", NULL, NULL}, NAMED("k"), {0}};
static const struct sort_field tag_sorts[] = {SORT_NAMED("k"), {"colour", "k.colour"}, {0}};
const struct entity_fields fields_tag = {tag_fields, tag_sorts};

static const struct field filter_fields[] = {{"id", FIELD_NUMBER, "f.id", NULL, NULL},
        {"name", FIELD_TEXT, "f.name", NULL, NULL}, AUDIT("f"),
        {"autoassigndistributionset.name", FIELD_TEXT, OF("ds", "name", "f.auto_ds"), NULL, NULL},
        {"autoassigndistributionset.version", FIELD_TEXT, OF("ds", "version", "f.auto_ds"), NULL,
                NULL},
        {0}};
static const struct sort_field filter_sorts[] = {{"id", "f.id"}, {"name", "f.name"},
        SORT_AUDIT("f"), {"autoassigndistributionset", "f.auto_ds"}, {0}};
const struct entity_fields fields_filter = {filter_fields, filter_sorts};
static const struct sort_field member_filter_sorts[] = {
        {"id", "f.id"}, {"name", "f.name"}, SORT_AUDIT("f"), {0}};
const struct entity_fields fields_set_filters = {filter_fields, member_filter_sorts};

/* ── software ── */

static const struct field sm_type_fields[] = {{"id", FIELD_NUMBER, "y.id", NULL, NULL},
        {"key", FIELD_TEXT, "y.key", NULL, NULL}, NAMED("y"),
        {"maxassignments", FIELD_NUMBER, "y.max_assignments", NULL, NULL}, {0}};
static const struct sort_field sm_type_sorts[] = {
        SORT_NAMED("y"), {"key", "y.key"}, {"maxassignments", "y.max_assignments"}, {0}};
const struct entity_fields fields_sm_type = {sm_type_fields, sm_type_sorts};

static const struct field ds_type_fields[] = {{"id", FIELD_NUMBER, "y.id", NULL, NULL},
        {"key", FIELD_TEXT, "y.key", NULL, NULL}, NAMED("y"), {0}};
static const struct sort_field ds_type_sorts[] = {SORT_NAMED("y"), {"key", "y.key"}, {0}};
const struct entity_fields fields_ds_type = {ds_type_fields, ds_type_sorts};

static const struct field module_fields[] = {
        {"id", FIELD_NUMBER, "m.id", NULL, NULL},
        NAMED("m"),
        {"version", FIELD_TEXT, "m.version", NULL, NULL},
        {"type", FIELD_TEXT, OF("sm_type", "key", "m.type"), NULL, NULL},
        {"type.key", FIELD_TEXT, OF("sm_type", "key", "m.type"), NULL, NULL},
        {"type.name", FIELD_TEXT, OF("sm_type", "name", "m.type"), NULL, NULL},
        {"type.id", FIELD_NUMBER, "m.type", NULL, NULL},
        {"metadata.", FIELD_MAP, "SELECT 1 FROM module_metadata d WHERE d.module=m.id", "d.value",
                NULL},
        {0},
};
static const struct sort_field module_sorts[] = {
        SORT_NAMED("m"), {"version", "m.version"}, {"type", "m.type"}, {"metadata", "m.id"}, {0}};
const struct entity_fields fields_module = {module_fields, module_sorts};
static const struct sort_field member_module_sorts[] = {
        SORT_NAMED("m"), {"version", "m.version"}, {"type", "m.type"}, {0}};
const struct entity_fields fields_set_modules = {module_fields, member_module_sorts};

static const struct field set_fields[] = {
        {"id", FIELD_NUMBER, "s.id", NULL, NULL},
        NAMED("s"),
        {"version", FIELD_TEXT, "s.version", NULL, NULL},
        {"type", FIELD_TEXT, OF("ds_type", "key", "s.type"), NULL, NULL},
        {"type.key", FIELD_TEXT, OF("ds_type", "key", "s.type"), NULL, NULL},
        {"type.name", FIELD_TEXT, OF("ds_type", "name", "s.type"), NULL, NULL},
        {"type.id", FIELD_NUMBER, "s.type", NULL, NULL},
        {"valid", FIELD_BOOL, "s.valid", NULL, NULL},
        {"complete", FIELD_COMPLETE, NULL, NULL, NULL},
        {"module.id", FIELD_MANY_NUMBER, "SELECT 1 FROM ds_module e WHERE e.ds=s.id", "e.module",
                NULL},
        {"module.name", FIELD_MANY,
                "SELECT 1 FROM ds_module e JOIN module m ON m.id=e.module WHERE e.ds=s.id",
                "m.name", NULL},
        {"metadata.", FIELD_MAP, "SELECT 1 FROM ds_metadata d WHERE d.ds=s.id", "d.value", NULL},
        {"tag", FIELD_MANY,
                "SELECT 1 FROM tag_member e JOIN tag k ON k.id=e.tag AND k.kind=1 WHERE "
                "e.member=s.id",
                "k.name", NULL},
        {"tag.name", FIELD_MANY,
                "SELECT 1 FROM tag_member e JOIN tag k ON k.id=e.tag AND k.kind=1 WHERE "
                "e.member=s.id",
                "k.name", NULL},
        {0},
};
static const struct sort_field set_sorts[] = {SORT_NAMED("s"), {"version", "s.version"},
        {"type", "s.type"}, {"valid", "s.valid"}, {"module", "s.id"}, {"tag", "s.id"},
        {"metadata", "s.id"}, {0}};
const struct entity_fields fields_set = {set_fields, set_sorts};
static const struct sort_field member_set_sorts[] = {SORT_NAMED("s"), {0}};
const struct entity_fields fields_tag_sets = {set_fields, member_set_sorts};

/* ── deployment ── */

static const struct field action_fields[] = {
        {"id", FIELD_NUMBER, "a.id", NULL, NULL},
        {"active", FIELD_BOOL, "a.active", NULL, NULL},
        {"status", FIELD_WORD, "a.status", NULL, action_status_words},
        {"laststatuscode", FIELD_NUMBER, "a.last_code", NULL, NULL},
        AUDIT("a"),
        {"weight", FIELD_NUMBER, "a.weight", NULL, NULL},
        {"externalref", FIELD_TEXT, "a.external_ref", NULL, NULL},
        {"target.controllerid", FIELD_TEXT, OF("target", "controller_id", "a.target"), NULL, NULL},
        {"target.name", FIELD_TEXT, OF("target", "name", "a.target"), NULL, NULL},
        {"target.updatestatus", FIELD_WORD, OF("target", "status", "a.target"), NULL,
                target_status_words},
        {"target.address", FIELD_TEXT, OF("target", "address", "a.target"), NULL, NULL},
        {"distributionset.id", FIELD_NUMBER, "a.ds", NULL, NULL},
        {"distributionset.name", FIELD_TEXT, OF("ds", "name", "a.ds"), NULL, NULL},
        {"distributionset.version", FIELD_TEXT, OF("ds", "version", "a.ds"), NULL, NULL},
        {"rollout.id", FIELD_NUMBER, "a.rollout", NULL, NULL},
        {"rollout.name", FIELD_TEXT, OF("rollout", "name", "a.rollout"), NULL, NULL},
        {"rolloutgroup.id", FIELD_NUMBER, "a.rollout_group", NULL, NULL},
        {"rolloutgroup.name", FIELD_TEXT, OF("rollout_group", "name", "a.rollout_group"), NULL,
                NULL},
        {0},
};
static const struct sort_field action_sorts[] = {{"id", "a.id"}, {"active", "a.active"},
        {"status", "a.status"}, {"laststatuscode", "a.last_code"}, SORT_AUDIT("a"),
        {"weight", "a.weight"}, {"externalref", "a.external_ref"}, {"target", "a.target"},
        {"distributionset", "a.ds"}, {"rollout", "a.rollout"}, {"rolloutgroup", "a.rollout_group"},
        {0}};
const struct entity_fields fields_action = {action_fields, action_sorts};

static const struct sort_field status_sorts[] = {{"id", "x.id"}, {"timestamp", "x.occurred_at"},
        {"reportedat", "x.created_at"}, {"createdat", "x.created_at"},
        {"createdby", "x.created_by"}, {0}};
const struct entity_fields fields_action_status = {NULL, status_sorts};

static const struct field rollout_fields[] = {
        {"id", FIELD_NUMBER, "r.id", NULL, NULL},
        NAMED("r"),
        {"status", FIELD_WORD, "r.status", NULL, rollout_status_words},
        {"distributionset.id", FIELD_NUMBER, "r.ds", NULL, NULL},
        {"distributionset.name", FIELD_TEXT, OF("ds", "name", "r.ds"), NULL, NULL},
        {"distributionset.version", FIELD_TEXT, OF("ds", "version", "r.ds"), NULL, NULL},
        {"distributionset.type.key", FIELD_TEXT,
                "(SELECT y.key FROM ds z JOIN ds_type y ON y.id=z.type WHERE z.id=r.ds)", NULL,
                NULL},
        {0},
};
static const struct sort_field rollout_sorts[] = {
        SORT_NAMED("r"), {"status", "r.status"}, {"distributionset", "r.ds"}, {0}};
const struct entity_fields fields_rollout = {rollout_fields, rollout_sorts};

static const struct field group_fields[] = {
        {"id", FIELD_NUMBER, "g.id", NULL, NULL}, NAMED("g"), {0}};
/* by the names of a rollout's fields */
static const struct sort_field group_sorts[] = {SORT_NAMED("g"), {"status", "g.status"}, {0}};
const struct entity_fields fields_group = {group_fields, group_sorts};
