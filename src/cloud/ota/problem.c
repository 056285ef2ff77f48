/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/problem.h"

#include "base/clock.h"

#include <string.h>

#define CODE "hawkbit.server.error."
#define REPO "org.eclipse.hawkbit.repository.exception."
#define REST "org.eclipse.hawkbit.rest.exception."

/* Names and statuses are hawkBit's, which clients compare. */
static const struct {
        int status;
        const char *code, *class;
} problems[PROBLEM_CODE_N] = {
        [PROBLEM_NOT_FOUND] = {404, CODE "repo.entityNotFound", REPO "EntityNotFoundException"},
        [PROBLEM_DELETED] = {404, CODE "deleted", REPO "DeletedException"},
        [PROBLEM_EXISTS] = {409, CODE "repo.entityAlreadyExists",
                REPO "EntityAlreadyExistsException"},
        [PROBLEM_READ_ONLY] = {403, CODE "entityReadOnly", REPO "EntityReadOnlyException"},
        [PROBLEM_PERMISSION] = {403, CODE "insufficientPermission",
                REPO "InsufficientPermissionException"},
        [PROBLEM_SORT_SYNTAX] = {400, CODE "rest.param.sortParamSyntax",
                REST "SortParameterSyntaxErrorException"},
        [PROBLEM_SORT_FIELD] = {400, CODE "rest.param.invalidField",
                REST "SortParameterUnsupportedFieldException"},
        [PROBLEM_SORT_DIRECTION] = {400, CODE "rest.param.invalidDirection",
                REST "SortParameterUnsupportedDirectionException"},
        [PROBLEM_RSQL_SYNTAX] = {400, CODE "rest.param.rsqlParamSyntax",
                REPO "RSQLParameterSyntaxException"},
        [PROBLEM_RSQL_FIELD] = {400, CODE "rest.param.rsqlInvalidField",
                REPO "RSQLParameterUnsupportedFieldException"},
        [PROBLEM_BODY] = {400, CODE "rest.body.notReadable", REST "MessageNotReadableException"},
        [PROBLEM_CONSTRAINT] = {400, CODE "repo.constraintViolation",
                "jakarta.validation.ConstraintViolationException"},
        [PROBLEM_UPLOAD] = {500, CODE "artifact.uploadFailed",
                REPO "ArtifactUploadFailedException"},
        [PROBLEM_MULTIPART] = {400, CODE "artifact.uploadFailed",
                REST "MultiPartFileUploadException"},
        [PROBLEM_ENCRYPTION] = {400, CODE "artifact.encryptionNotSupported",
                REPO "ArtifactEncryptionUnsupportedException"},
        [PROBLEM_MD5] = {400, CODE "artifact.uploadFailed.checksum.md5.match",
                REPO "InvalidMd5HashException"},
        [PROBLEM_SHA1] = {400, CODE "artifact.uploadFailed.checksum.sha1.match",
                REPO "InvalidSha1HashException"},
        [PROBLEM_SHA256] = {400, CODE "artifact.uploadFailed.checksum.sha256.match",
                REPO "InvalidSha256HashException"},
        [PROBLEM_BINARY_DELETED] = {410, CODE "artifact.binaryDeleted",
                REPO "ArtifactBinaryNoLongerExistsException"},
        [PROBLEM_QUOTA] = {429, CODE "quota.tooManyEntries",
                REPO "AssignmentQuotaExceededException"},
        [PROBLEM_FILE_SIZE] = {429, CODE "quota.fileSizeExceeded",
                REPO "FileSizeQuotaExceededException"},
        [PROBLEM_STORAGE] = {429, CODE "quota.storageExceeded",
                REPO "StorageQuotaExceededException"},
        [PROBLEM_NOT_CANCELABLE] = {405, CODE "action.notCancelable",
                REPO "CancelActionNotAllowedException"},
        [PROBLEM_NOT_FORCE_QUITABLE] = {405, CODE "action.notForceQuitable",
                REPO "ForceQuitActionNotAllowedException"},
        [PROBLEM_UNSUPPORTED_MODULE] = {400, CODE "distributionset.modules.unsupported",
                REPO "UnsupportedSoftwareModuleForThisDistributionSetException"},
        [PROBLEM_INCOMPLETE] = {400, CODE "distributionset.incomplete",
                REPO "IncompleteDistributionSetException"},
        [PROBLEM_INVALID_SET] = {400, CODE "distributionset.invalid",
                REPO "InvalidDistributionSetException"},
        [PROBLEM_ROLLOUT_STATE] = {400, CODE "rollout.illegalState",
                REPO "RolloutIllegalStateException"},
        [PROBLEM_CONFIG_VALUE] = {400, CODE "configValueInvalid",
                REPO "TenantConfigurationValidatorException"},
        [PROBLEM_CONFIG_KEY] = {400, CODE "configKeyInvalid",
                REPO "InvalidTenantConfigurationKeyException"},
        [PROBLEM_MAINTENANCE] = {400, CODE "maintenanceScheduleInvalid",
                REPO "InvalidMaintenanceScheduleException"},
        [PROBLEM_ATTRIBUTES] = {400, CODE "repo.invalidTargetAttributes",
                REPO "InvalidTargetAttributeException"},
        [PROBLEM_AUTO_CONFIRM_ACTIVE] = {409, CODE "repo.autoConfAlreadyActive",
                REPO "AutoConfirmationAlreadyActiveException"},
        [PROBLEM_AUTO_ASSIGN_TYPE] = {400, CODE "repo.invalidAutoAssignActionType",
                REPO "InvalidAutoAssignActionTypeException"},
        [PROBLEM_MULTI_ASSIGNMENT] = {400, CODE "multiAssignmentNotEnabled",
                REPO "MultiAssignmentIsNotEnabledException"},
        [PROBLEM_TARGET_TYPE_USED] = {409, CODE "target.type.used",
                REPO "TargetTypeInUseException"},
        [PROBLEM_TARGET_TYPE_INCOMPATIBLE] = {400, CODE "target.type.incompatible",
                REPO "IncompatibleTargetTypeException"},
        [PROBLEM_TARGET_TYPE_KEY_OR_NAME] = {400, CODE "target.type.keyOrNameRequired",
                REPO "TargetTypeKeyOrNameRequiredException"},
        [PROBLEM_LOCKED] = {423, CODE "locked", REPO "LockedException"},
        [PROBLEM_EVENTS_OFF] = {409, "driveline.server.error.eventsOff", NULL},
        [PROBLEM_DOWNGRADE] = {409, "driveline.server.error.downgrade", NULL},
        [PROBLEM_CONFLICT] = {409, CODE "repo.concurrentModification",
                REPO "ConcurrentModificationException"},
        [PROBLEM_STORAGE_FAILED] = {507, CODE "repo.genericError", REPO "GenericSpServerException"},
        [PROBLEM_INTEGRITY] = {400, NULL,
                "org.springframework.dao.DataIntegrityViolationException"},
        [PROBLEM_FRAMEWORK] = {500, NULL, NULL},
        [PROBLEM_EMPTY] = {500, NULL, NULL},
};

void problem_fini(struct problem *p)
{
        json_decref(p->info);
        *p = (struct problem){0};
}

int problem_set(struct problem *p, struct arena *a, enum problem_code code, const char *fmt, ...)
{
        if (p->code)
                return -1;
        p->code = code;
        p->status = problems[code].status;
        if (fmt) {
                va_list ap;
                va_start(ap, fmt);
                p->message = arena_vprintf(a, fmt, ap);
                va_end(ap);
        }
        return -1;
}

int problem_set_status(struct problem *p, enum problem_code code, int status)
{
        if (p->code)
                return -1;
        p->code = code;
        p->status = status;
        return -1;
}

static const char *reason(int status)
{
        switch (status) {
        case 400:
                return "Bad Request";
        case 401:
                return "Unauthorized";
        case 403:
                return "Forbidden";
        case 404:
                return "Not Found";
        case 405:
                return "Method Not Allowed";
        case 406:
                return "Not Acceptable";
        case 415:
                return "Unsupported Media Type";
        case 429:
                return "Too Many Requests";
        default:
                return "Internal Server Error";
        }
}

static json_t *framework_document(const struct problem *p, int64_t now, bool is_cbor)
{
        char time[CLOCK_ISO8601_SIZE + 8];
        clock_iso8601(now, time);
        char *z = strchr(time, 'Z');
        if (z)
                memcpy(z, "+00:00", sizeof("+00:00"));
        json_t *stamp = is_cbor ? json_integer(now) : json_string(time);
        return json_pack("{s:o, s:i, s:s}", "timestamp", stamp, "status", p->status, "error",
                reason(p->status));
}

json_t *problem_document(const struct problem *p, int64_t now, bool is_cbor)
{
        if (p->code == PROBLEM_EMPTY)
                return NULL;
        if (p->code == PROBLEM_FRAMEWORK)
                return framework_document(p, now, is_cbor);
        return json_pack("{s:s*, s:s*, s:s*, s:O*}", "exceptionClass", problems[p->code].class,
                "errorCode", problems[p->code].code, "message", p->message, "info", p->info);
}
