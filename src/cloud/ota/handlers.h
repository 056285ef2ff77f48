/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#pragma once
/* What routes.c needs of each resource: its handlers and the shapes of its bodies. */
#include "cloud/ota/request.h"

/* ── shapes that several resources share ── */
extern const struct shape shape_id_array[];           /* [{"id":1}], not empty */
extern const struct shape shape_id_object[];          /* {"id":1} */
extern const struct shape shape_text_array[];         /* ["dev1"], not empty */
extern const struct shape shape_text_array_or_none[]; /* the same, or no body */
extern const struct shape shape_number_array[];       /* [1], not empty */

/* targets.c */
extern const struct shape shape_target_create[], shape_target_update[], shape_target_type_ref[],
        shape_auto_confirm[];
int targets_list(struct request *q);
int targets_create(struct request *q);
int target_show(struct request *q);
int target_update(struct request *q);
int target_remove(struct request *q);
int target_need_readable(struct request *q); /* `first` of PUT: READ_TARGET and the 404 */
int target_set_type(struct request *q);
int target_unset_type(struct request *q);
int target_attributes(struct request *q);
int target_assigned_set(struct request *q);
int target_installed_set(struct request *q);
int target_tags(struct request *q);
int target_auto_confirm(struct request *q);
int target_auto_confirm_on(struct request *q);
int target_auto_confirm_off(struct request *q);
json_t *target_row(struct request *q, struct sql_rows *r); /* for listings of TARGET_COLUMNS */

/* groups.c */
int groups_list(struct request *q);
int group_members(struct request *q);
int group_members_of_param(struct request *q);
int group_assign(struct request *q);
int group_assign_param(struct request *q);
int group_assign_query(struct request *q);
int group_assign_param_query(struct request *q);
int group_unassign(struct request *q);
int group_unassign_query(struct request *q);

/* metadata.c: of targets, modules and sets */
extern const struct shape shape_metadata_create[], shape_metadata_update[];
int target_metadata_list(struct request *q);
int target_metadata_create(struct request *q);
int target_metadata_show(struct request *q);
int target_metadata_update(struct request *q);
int target_metadata_remove(struct request *q);
int module_metadata_list(struct request *q);
int module_metadata_create(struct request *q);
int module_metadata_show(struct request *q);
int module_metadata_update(struct request *q);
int module_metadata_remove(struct request *q);
int set_metadata_list(struct request *q);
int set_metadata_create(struct request *q);
int set_metadata_show(struct request *q);
int set_metadata_update(struct request *q);
int set_metadata_remove(struct request *q);

/* tags.c: of targets and sets */
extern const struct shape shape_tag_create[], shape_tag_update[];
int target_tags_list(struct request *q);
int target_tags_create(struct request *q);
int target_tag_show(struct request *q);
int target_tag_update(struct request *q);
int target_tag_remove(struct request *q);
int target_tag_members(struct request *q);
int target_tag_assign_one(struct request *q);
int target_tag_unassign_one(struct request *q);
int target_tag_assign(struct request *q);
int target_tag_unassign(struct request *q);
int set_tags_list(struct request *q);
int set_tags_create(struct request *q);
int set_tag_show(struct request *q);
int set_tag_update(struct request *q);
int set_tag_remove(struct request *q);
int set_tag_members(struct request *q);
int set_tag_assign_one(struct request *q);
int set_tag_unassign_one(struct request *q);
int set_tag_assign(struct request *q);
int set_tag_unassign(struct request *q);
int target_tag_need_readable(struct request *q);
int set_tag_need_readable(struct request *q);
json_t *tag_row(struct request *q, struct sql_rows *r);
#define TAG_COLUMNS                                                                                \
        "k.id, k.name, k.description, k.colour, k.kind, k.created_by, k.created_at, "              \
        "k.modified_by, k.modified_at"

/* types.c */
extern const struct shape shape_target_type_create[], shape_target_type_update[],
        shape_sm_type_create[], shape_type_update[], shape_ds_type_create[];
json_t *ds_type_json(struct request *q, int64_t id); /* with the self link */
int target_types_list(struct request *q);
int target_types_create(struct request *q);
int target_type_show(struct request *q);
int target_type_update(struct request *q);
int target_type_remove(struct request *q);
int target_type_sets_list(struct request *q);
int target_type_sets_add(struct request *q);
int target_type_sets_remove(struct request *q);
int sm_types_list(struct request *q);
int sm_types_create(struct request *q);
int sm_type_show(struct request *q);
int sm_type_update(struct request *q);
int sm_type_remove(struct request *q);
int ds_types_list(struct request *q);
int ds_types_create(struct request *q);
int ds_type_show(struct request *q);
int ds_type_update(struct request *q);
int ds_type_remove(struct request *q);
int ds_type_mandatory_list(struct request *q);
int ds_type_mandatory_show(struct request *q);
int ds_type_mandatory_add(struct request *q);
int ds_type_mandatory_remove(struct request *q);
int ds_type_optional_list(struct request *q);
int ds_type_optional_show(struct request *q);
int ds_type_optional_add(struct request *q);
int ds_type_optional_remove(struct request *q);

/* modules.c */
extern const struct shape shape_module_create[], shape_module_update[];
int modules_list(struct request *q);
int modules_create(struct request *q);
int module_show(struct request *q);
int module_update(struct request *q);
int module_remove(struct request *q);
json_t *module_row(struct request *q, struct sql_rows *r);
#define MODULE_FROM "module m JOIN sm_type my ON my.id=m.type"
#define MODULE_COLUMNS                                                                             \
        "m.id, m.name, m.version, m.description, m.vendor, m.encrypted, m.locked, m.deleted, "     \
        "my.key, "                                                                                 \
        "my.name, my.min_artifacts, m.created_by, m.created_at, m.modified_by, m.modified_at"

/* artifacts.c */
int artifacts_list(struct request *q);
int artifact_upload(struct request *q);
int artifact_show(struct request *q);
int artifact_remove(struct request *q);
int artifact_download(struct request *q);

/* sets.c */
extern const struct shape shape_set_create[], shape_set_update[], shape_invalidate[];
int sets_list(struct request *q);
int sets_create(struct request *q);
int set_show(struct request *q);
int set_update(struct request *q);
int set_remove(struct request *q);
int set_modules_list(struct request *q);
int set_modules_add(struct request *q);
int set_modules_remove(struct request *q);
int set_assigned_targets(struct request *q);
int set_installed_targets(struct request *q);
int set_auto_filters(struct request *q);
int set_statistics(struct request *q);
int set_statistics_rollouts(struct request *q);
int set_statistics_actions(struct request *q);
int set_statistics_auto(struct request *q);
int set_invalidate_request(struct request *q);
json_t *set_row(struct request *q, struct sql_rows *r);
json_t *set_json(struct request *q, int64_t id); /* with all links; NULL: none */

/* assignments.c */
extern const struct shape shape_assign_to_target[], shape_assign_targets[];
int target_assign(struct request *q);
int set_assign(struct request *q);

/* hooks.c: events */
extern const struct shape shape_hook[];
int events_stream(struct request *q);
int hooks_list(struct request *q);
int hook_create(struct request *q);
int hook_show(struct request *q);
int hook_remove(struct request *q);
int hook_test(struct request *q);
int hook_enable(struct request *q);

/* whys.c */
int action_why(struct request *q);
int rollout_why(struct request *q);
int rollout_group_why(struct request *q);
int target_why(struct request *q);

/* actions.c */
extern const struct shape shape_force_type[], shape_confirmation[], shape_action_ids[],
        shape_proof[];
int action_prove(struct request *q);
int actions_list(struct request *q);
int action_show(struct request *q);
int action_remove(struct request *q);
int actions_remove(struct request *q);
int target_actions_list(struct request *q);
int target_actions_remove(struct request *q);
int target_action_show(struct request *q);
int target_action_update(struct request *q);
int target_action_cancel(struct request *q);
int target_action_confirm(struct request *q);
int target_action_history(struct request *q);

/* filters.c */
extern const struct shape shape_filter_create[], shape_filter_update[], shape_auto_assign[];
int filters_list(struct request *q);
int filter_create(struct request *q);
int filter_show(struct request *q);
int filter_update(struct request *q);
int filter_remove(struct request *q);
int filter_auto_show(struct request *q);
int filter_auto_set(struct request *q);
int filter_auto_remove(struct request *q);
json_t *filter_row(struct request *q, struct sql_rows *r);
#define FILTER_COLUMNS                                                                             \
        "f.id, f.name, f.query, f.auto_ds, f.auto_type, f.auto_weight, f.auto_confirm, "           \
        "f.created_by, "                                                                           \
        "f.created_at, f.modified_by, f.modified_at"

/* rollouts.c */
extern const struct shape shape_rollout_create[], shape_rollout_update[];
int rollouts_list(struct request *q);
int rollouts_create(struct request *q);
int rollout_show(struct request *q);
int rollout_update(struct request *q);
int rollout_remove(struct request *q);
int rollout_start_request(struct request *q);
int rollout_pause_request(struct request *q);
int rollout_resume_request(struct request *q);
int rollout_stop_request(struct request *q);
int rollout_next_request(struct request *q);
int rollout_approve_request(struct request *q);
int rollout_deny_request(struct request *q);
int rollout_retry_request(struct request *q);
int rollout_groups_list(struct request *q);
int rollout_group_show(struct request *q);
int rollout_group_targets(struct request *q);

/* config.c */
extern const struct shape shape_config_value[], shape_config_map[];
int configs_list(struct request *q);
int configs_update(struct request *q);
int config_show(struct request *q);
int config_update(struct request *q);
int config_remove(struct request *q);
int userinfo_show(struct request *q);

/* users.c, api_tokens.c: ours, not hawkBit's */
extern const struct shape shape_user_create[], shape_user_update[], shape_api_token_create[];
extern const struct entity_fields fields_user, fields_api_token;
int users_list(struct request *q);
int users_create(struct request *q);
int user_show(struct request *q);
int user_update(struct request *q);
int user_remove(struct request *q);
int api_tokens_list(struct request *q);
int api_tokens_create(struct request *q);
int api_token_show(struct request *q);
int api_token_remove(struct request *q);

/* ddi_poll.c, ddi_deployment.c, ddi_feedback.c, ddi_confirmation.c, ddi_artifacts.c */
extern const struct shape shape_feedback[], shape_config_data[], shape_installed[],
        shape_ddi_confirmation[];
int ddi_poll(struct request *q);
int ddi_deployment(struct request *q);
int ddi_feedback(struct request *q);
int ddi_config_data(struct request *q);
int ddi_cancel_action(struct request *q);
int ddi_cancel_feedback(struct request *q);
int ddi_installed_base(struct request *q);
int ddi_report_installed(struct request *q);
int ddi_confirmation_base(struct request *q);
int ddi_confirmation_action(struct request *q);
int ddi_confirmation_feedback(struct request *q);
int ddi_auto_confirm_on(struct request *q);
int ddi_auto_confirm_off(struct request *q);
int ddi_artifacts_list(struct request *q);
int ddi_artifact_get(struct request *q);
int ddi_artifact_md5(struct request *q);
