/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/openapi_tables.h"

/* The documents that answers are made of. Members that both hawkBit's users and ours see; what
 * is ours alone says so in docs/hawkbit-differences.md. */
#define MEMBERS static const struct document_member
#define LINKS                                                                                      \
        {                                                                                          \
                "_links", "{any}"                                                                  \
        }
#define STAMPS                                                                                     \
        {"createdBy", "text"}, {"createdAt", "long"}, {"lastModifiedBy", "text"},                  \
        {                                                                                          \
                "lastModifiedAt", "long"                                                           \
        }
#define NAMED                                                                                      \
        {"name", "text!"},                                                                         \
        {                                                                                          \
                "description", "text"                                                              \
        }
#define END                                                                                        \
        {                                                                                          \
                0                                                                                  \
        }

MEMBERS error[] = {{"exceptionClass", "text"}, {"errorCode", "text"}, {"message", "text"},
        {"info", "{any}"}, {"timestamp", "any"}, {"status", "int"}, {"error", "text"}, END};
MEMBERS user_info[] = {{"tenant", "text!"}, {"username", "text!"}, {"permissions", "[text]!"},
        {"token", "text"}, END};
MEMBERS user[] = {{"id", "long!"}, NAMED, {"tenant", "text!"}, {"permissions", "[text]!"},
        {"password", "text"}, STAMPS, LINKS, END};
MEMBERS api_token[] = {{"id", "long!"}, {"name", "text!"}, {"owner", "text!"}, {"tenant", "text!"},
        {"permissions", "[text]"}, {"expiresAt", "long"}, {"lastUsedAt", "long"}, {"token", "text"},
        STAMPS, LINKS, END};
MEMBERS config_value[] = {
        {"value", "any!"}, {"global", "bool!"}, {"links", "[any]"}, STAMPS, LINKS, END};
MEMBERS poll_status[] = {
        {"lastRequestAt", "long!"}, {"nextExpectedRequestAt", "long!"}, {"overdue", "bool!"}, END};
MEMBERS target[] = {{"controllerId", "text!"}, NAMED, {"group", "text"},
        {"updateStatus", "unknown|in_sync|pending|error|registered!"},
        {"lastControllerRequestAt", "long"}, {"installedAt", "long"}, {"ipAddress", "text"},
        {"address", "text"}, {"pollStatus", "PollStatus"}, {"securityToken", "text"},
        {"requestAttributes", "bool!"}, {"targetType", "long"}, {"targetTypeName", "text"},
        {"autoConfirmActive", "bool"}, STAMPS, LINKS, END};
MEMBERS tag[] = {{"id", "long!"}, NAMED, {"colour", "text"}, STAMPS, LINKS, END};
MEMBERS target_type[] = {{"id", "long!"}, {"key", "text!"}, NAMED, {"colour", "text"},
        {"deleted", "bool!"}, STAMPS, LINKS, END};
MEMBERS module_type[] = {{"id", "long!"}, {"key", "text!"}, NAMED, {"colour", "text"},
        {"minArtifacts", "int!"}, {"maxAssignments", "int!"}, {"deleted", "bool!"}, STAMPS, LINKS,
        END};
MEMBERS set_type[] = {{"id", "long!"}, {"key", "text!"}, NAMED, {"colour", "text"},
        {"deleted", "bool!"}, STAMPS, LINKS, END};
MEMBERS window[] = {{"schedule", "text!"}, {"duration", "text!"}, {"timezone", "text!"},
        {"nextStartAt", "long"}, END};
MEMBERS action[] = {{"id", "long!"}, {"type", "update|cancel!"}, {"active", "bool!"},
        {"status", "finished|error|warning|running|canceled|canceling|retrieved|download|scheduled|"
                   "cancel_rejected|downloaded|wait_for_confirmation!"},
        {"forceTime", "long"}, {"forceType", "soft|forced|timeforced|downloadonly!"},
        {"weight", "int!"}, {"maintenanceWindow", "MaintenanceWindow"}, {"rollout", "long"},
        {"rolloutName", "text"}, {"lastStatusCode", "int"}, {"externalRef", "text"}, STAMPS, LINKS,
        END};
MEMBERS action_status[] = {{"id", "long!"}, {"type", "text!"}, {"messages", "[any]!"},
        {"reportedAt", "long!"}, {"timestamp", "long"}, {"code", "int"}, END};
MEMBERS action_reference[] = {{"id", "long!"}, LINKS, END};
MEMBERS assignment_result[] = {{"assigned", "int!"}, {"alreadyAssigned", "int!"}, {"total", "int!"},
        {"assignedActions", "[ActionReference]!"}, END};
MEMBERS metadata_entry[] = {{"key", "text!"}, {"value", "text!"}, END};
MEMBERS module_metadata_entry[] = {
        {"key", "text!"}, {"value", "text!"}, {"targetVisible", "bool!"}, END};
MEMBERS auto_confirm[] = {{"active", "bool!"}, {"initiator", "text"}, {"remark", "text"},
        {"activatedAt", "long"}, LINKS, END};
MEMBERS target_filter[] = {{"id", "long!"}, {"name", "text!"}, {"query", "text!"},
        {"autoAssignDistributionSet", "long?"}, {"autoAssignActionType", "text?"},
        {"autoAssignWeight", "int?"}, {"confirmationRequired", "bool?"}, STAMPS, LINKS, END};
MEMBERS hashes[] = {{"sha1", "text!"}, {"md5", "text!"}, {"sha256", "text!"}, END};
MEMBERS artifact[] = {{"id", "long!"}, {"hashes", "Hashes!"}, {"providedFilename", "text!"},
        {"size", "long!"}, STAMPS, LINKS, END};
MEMBERS module[] = {{"id", "long!"}, NAMED, {"version", "text!"}, {"type", "text!"},
        {"typeName", "text!"}, {"vendor", "text"}, {"encrypted", "bool!"}, {"locked", "bool!"},
        {"deleted", "bool!"}, {"complete", "bool!"}, STAMPS, LINKS, END};
MEMBERS set[] = {{"id", "long!"}, NAMED, {"version", "text!"}, {"type", "text!"},
        {"typeName", "text!"}, {"locked", "bool!"}, {"deleted", "bool!"}, {"valid", "bool!"},
        {"complete", "bool!"}, {"requiredMigrationStep", "bool!"}, {"modules", "[SoftwareModule]!"},
        STAMPS, LINKS, END};
MEMBERS statistics[] = {
        {"actions", "{int}"}, {"rollouts", "{int}"}, {"totalAutoAssignments", "int"}, END};
MEMBERS counts[] = {{"scheduled", "int!"}, {"running", "int!"}, {"error", "int!"},
        {"finished", "int!"}, {"cancelled", "int!"}, {"notstarted", "int!"}, END};
MEMBERS condition[] = {{"condition", "THRESHOLD!"}, {"expression", "text"}, END};
MEMBERS condition_action[] = {{"action", "text!"}, {"expression", "text"}, END};
MEMBERS rollout[] = {{"id", "long!"}, NAMED, {"targetFilterQuery", "text!"},
        {"distributionSetId", "long!"},
        {"status", "creating|ready|paused|starting|stopped|stopping|running|finished|deleting|"
                   "deleted|waiting_for_approval|approval_denied!"},
        {"totalTargets", "long!"}, {"totalTargetsPerStatus", "Counts"}, {"totalGroups", "int"},
        {"startAt", "long"}, {"forcetime", "long"}, {"deleted", "bool!"},
        {"type", "soft|forced|timeforced|downloadonly!"}, {"weight", "int"}, {"dynamic", "bool"},
        {"approvalRemark", "text"}, {"approveDecidedBy", "text"},
        {"startWindow", "MaintenanceWindow"}, {"maintenanceWindow", "MaintenanceWindow"},
        {"actionTimeout", "text"}, {"allowDowngrade", "bool"}, {"reinstall", "bool"}, STAMPS, LINKS,
        END};
MEMBERS rollout_group[] = {{"id", "long!"}, NAMED,
        {"status", "creating|ready|scheduled|running|finished|error!"},
        {"targetPercentage", "real!"}, {"targetFilterQuery", "text!"}, {"totalTargets", "int!"},
        {"dynamic", "bool!"}, {"confirmationRequired", "bool"}, {"successCondition", "Condition"},
        {"successAction", "ConditionAction"}, {"errorCondition", "Condition"},
        {"errorAction", "ConditionAction"}, {"totalTargetsPerStatus", "Counts"},
        {"startWindow", "MaintenanceWindow"}, {"maintenanceWindow", "MaintenanceWindow"}, STAMPS,
        LINKS, END};

/* what hawkBit doesn't have */
MEMBERS move[] = {{"what", "text!"}, {"verb", "text"}, {"method", "text!"}, {"path", "text!"}, END};
MEMBERS why[] = {{"kind", "text!"}, {"id", "text!"}, {"status", "text!"}, {"reason", "text!"},
        {"text", "text!"}, {"until", "long"}, {"details", "[text]!"}, {"moves", "[Move]!"}, END};
MEMBERS web_hook[] = {{"id", "long!"}, {"url", "text!"}, {"types", "[text]!"}, {"enabled", "bool!"},
        {"reason", "text"}, {"failures", "long!"}, {"failingSince", "long"},
        {"nextAttemptAt", "long"}, {"lastEvent", "long!"}, {"delivered", "long"}, {"lost", "long"},
        STAMPS, LINKS, END};

/* devices */
MEMBERS polling[] = {{"sleep", "text!"}, END};
MEMBERS controller_config[] = {{"polling", "Polling!"}, END};
MEMBERS controller_base[] = {{"config", "ControllerConfig!"}, LINKS, END};
MEMBERS device_artifact[] = {
        {"filename", "text!"}, {"hashes", "Hashes!"}, {"size", "long!"}, LINKS, END};
MEMBERS chunk[] = {{"part", "text!"}, {"version", "text!"}, {"name", "text!"},
        {"encrypted", "bool"}, {"artifacts", "[DeviceArtifact]!"}, {"metadata", "[MetadataEntry]"},
        END};
MEMBERS deployment[] = {{"download", "forced|attempt|skip!"}, {"update", "forced|attempt|skip!"},
        {"maintenanceWindow", "available|unavailable"}, {"chunks", "[Chunk]!"}, END};
MEMBERS action_history[] = {{"status", "text!"}, {"messages", "[text]"}, END};
MEMBERS deployment_base[] = {{"id", "text!"}, {"deployment", "Deployment!"},
        {"actionHistory", "ActionHistory"}, LINKS, END};
MEMBERS confirmation_action[] = {{"id", "text!"}, {"confirmation", "Deployment!"},
        {"actionHistory", "ActionHistory"}, LINKS, END};
MEMBERS stop[] = {{"stopId", "text!"}, END};
MEMBERS cancel_action[] = {{"id", "text!"}, {"cancelAction", "Stop!"}, END};
MEMBERS confirmation_base[] = {{"autoConfirm", "AutoConfirm!"}, LINKS, END};

const struct document documents[] = {{"Error", error}, {"UserInfo", user_info},
        {"ConfigValue", config_value}, {"PollStatus", poll_status}, {"Target", target},
        {"Tag", tag}, {"TargetType", target_type}, {"SoftwareModuleType", module_type},
        {"DistributionSetType", set_type}, {"MaintenanceWindow", window}, {"Action", action},
        {"ActionStatus", action_status}, {"ActionReference", action_reference},
        {"AssignmentResult", assignment_result}, {"MetadataEntry", metadata_entry},
        {"ModuleMetadataEntry", module_metadata_entry}, {"AutoConfirm", auto_confirm},
        {"TargetFilter", target_filter}, {"Hashes", hashes}, {"Artifact", artifact},
        {"SoftwareModule", module}, {"DistributionSet", set}, {"Statistics", statistics},
        {"Counts", counts}, {"Condition", condition}, {"ConditionAction", condition_action},
        {"Rollout", rollout}, {"RolloutGroup", rollout_group}, {"Polling", polling},
        {"ControllerConfig", controller_config}, {"ControllerBase", controller_base},
        {"DeviceArtifact", device_artifact}, {"Chunk", chunk}, {"Deployment", deployment},
        {"ActionHistory", action_history}, {"DeploymentBase", deployment_base},
        {"ConfirmationAction", confirmation_action}, {"Stop", stop},
        {"CancelAction", cancel_action}, {"ConfirmationBase", confirmation_base}, {"Move", move},
        {"Why", why}, {"User", user}, {"ApiToken", api_token}, {"WebHook", web_hook}, {0}};
