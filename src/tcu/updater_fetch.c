/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "tcu/updater_impl.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* How often a server may answer with something other than the artifact, or with a wrong one. A link
 * that breaks isn't counted: cars stand in garages for weeks. */
#define REFUSALS_MAX 5
#define MISMATCHES_MAX 2

static char *part_path(const struct updater *u, const char *suffix)
{
        char *path = NULL;
        if (asprintf(&path, "%s/%s.%s", u->download_dir, u->deploy.action, suffix) < 0)
                return NULL;
        return path;
}

/* The deployment is over before anything was switched. */
void updater_fail(struct updater *u, const char *cause)
{
        struct deploy next = u->deploy;
        next.outcome = DEPLOY_OUTCOME_FAILURE;
        next.announced = false;
        snprintf(next.cause, sizeof(next.cause), "%s", cause);
        updater_drop_work(u);
        if (u->deploy.state == DEPLOY_STATE_UNPACK) {
                /* What is there is of no use, and room for the spool is. */
                struct err err = ERR_INIT;
                if (slots_clear(u->slots, u->deploy.slot_to, &err))
                        log_warning("update: %s", err.text);
        }
        if (updater_commit(u, &next, DEPLOY_EVENT_FAILED))
                updater_begin_report(u);
}

/* ── downloading ── */

void updater_begin_download(struct updater *u);

void updater_retry_due(evutil_socket_t fd, short what, void *arg)
{
        updater_begin_download(arg);
}

static void download_again_later(struct updater *u)
{
        updater_timer(u->on_retry, updater_jitter(u->retry_ms));
        u->retry_ms =
                u->retry_ms * 2 > UPDATER_RETRY_MAX_MS ? UPDATER_RETRY_MAX_MS : u->retry_ms * 2;
}

static void package_checked(void *arg, enum installer_result result, const struct err *err)
{
        struct updater *u = arg;
        installer_free(u->installer);
        u->installer = NULL;
        CLEAN_MEM char *part = part_path(u, "part");
        if (result == INSTALLER_RESULT_MISMATCH) {
                log_warning("update: %s", err->text);
                if (part)
                        unlink(part);
                if (++u->mismatches >= MISMATCHES_MAX) {
                        updater_fail(u, err->text);
                        return;
                }
                download_again_later(u);
        } else if (result != INSTALLER_RESULT_DONE) {
                updater_fail(u, err->text);
        } else if (updater_step(u, DEPLOY_EVENT_VERIFIED)) {
                updater_tell(u, DDI_EXECUTION_DOWNLOADED, "package downloaded and verified");
                updater_emit(u, "downloaded");
                updater_resume(u);
        }
}

static void check_package(struct updater *u)
{
        CLEAN_MEM char *part = part_path(u, "part");
        struct err err = ERR_INIT;
        const struct installer_options o = {.command = u->options.unpacker,
                .source = part,
                .size = u->deploy.size,
                .hashes = &u->deploy.hashes,
                .on_done = package_checked,
                .arg = u};
        if (!part || installer_start(u->base, &o, &u->installer, &err))
                updater_fail(u, part ? err.text : "out of memory");
}

static void download_done(
        void *arg, enum download_result result, uint64_t got, const struct err *err)
{
        struct updater *u = arg;
        download_free(u->download);
        u->download = NULL;
        if (result == DOWNLOAD_RESULT_DONE) {
                check_package(u);
                return;
        }
        log_warning("update: download of action %s %s: %s", u->deploy.action,
                download_result_to_string(result), err->text);
        updater_note(u, "the download %s: %s", download_result_to_string(result), err->text);
        if (got)
                u->retry_ms = UPDATER_RETRY_MIN_MS;
        if (result == DOWNLOAD_RESULT_REFUSED)
                u->refusals++;
        if (result == DOWNLOAD_RESULT_FAILED || u->refusals >= REFUSALS_MAX)
                updater_fail(u, err->text);
        else
                download_again_later(u);
}

/* Room for the rest of the package and for about what it unpacks to. */
static int check_room(struct updater *u, const char *part, struct err *err)
{
        struct stat st;
        uint64_t have = stat(part, &st) ? 0 : (uint64_t)st.st_size, free_bytes = 0;
        uint64_t rest = have < u->deploy.size ? u->deploy.size - have : 0;
        uint64_t need = rest + u->deploy.size + LIMIT_UPDATE_SPARE_BYTES;
        int r = fs_free_bytes(u->download_dir, &free_bytes);
        if (r)
                return err_errno(err, r, "cannot look for room in '%s'", u->download_dir);
        if (free_bytes < need)
                return err_set(err, -ENOSPC,
                        "no room for the update: %" PRIu64 " bytes are needed and %" PRIu64
                        " are free",
                        need, free_bytes);
        return 0;
}

void updater_begin_download(struct updater *u)
{
        if (u->deploy.state != DEPLOY_STATE_DOWNLOAD || u->download || u->installer || !u->url)
                return;
        CLEAN_MEM char *part = part_path(u, "part");
        CLEAN_MEM char *etag = part_path(u, "etag");
        struct err err = ERR_INIT;
        int r = part && etag ? check_room(u, part, &err) : err_set(&err, -ENOMEM, "out of memory");
        const struct download_options o = {.url = u->url,
                .server = u->options.url,
                .authorization = u->options.authorization,
                .tls = u->options.tls,
                .path = part,
                .etag_path = etag,
                .size = u->deploy.size,
                .timeout_ms = u->options.timeout_ms,
                .on_done = download_done,
                .arg = u};
        if (!r)
                r = download_start(u->base, &o, &u->download, &err);
        if (r)
                updater_fail(u, err.text);
}

/* The link to use: by convention `download` is https and comes first, but one that leads to the
 * server we already know is the one our certificate or token is good for. */
const char *updater_pick_link(const struct updater *u, const struct ddi_artifact *a)
{
        if (a->download && download_same_origin(a->download, u->options.url))
                return a->download;
        if (a->download_http && download_same_origin(a->download_http, u->options.url))
                return a->download_http;
        return a->download ? a->download : a->download_http;
}

/* ── unpacking ── */

static int complete_slot(struct updater *u, struct err *err)
{
        struct slot_info info = {0};
        snprintf(info.version, sizeof(info.version), "%s", u->deploy.version_to);
        snprintf(info.sha256, sizeof(info.sha256), "%s", u->deploy.hashes.sha256);
        snprintf(info.action, sizeof(info.action), "%s", u->deploy.action);
        return slots_complete(u->slots, u->deploy.slot_to, &info, err);
}

static void unpacked(void *arg, enum installer_result result, const struct err *from)
{
        struct updater *u = arg;
        struct err err = ERR_INIT;
        installer_free(u->installer);
        u->installer = NULL;
        if (result == INSTALLER_RESULT_MISMATCH) {
                log_warning("update: %s", from->text);
                updater_remove_downloads(u);
                if (updater_step(u, DEPLOY_EVENT_LOST))
                        updater_resume(u);
        } else if (result != INSTALLER_RESULT_DONE) {
                updater_fail(u, from->text);
        } else if (slots_check(u->slots, u->deploy.slot_to, NULL, &err)) {
                updater_fail(u, err.text);
        } else if (complete_slot(u, &err)) {
                updater_stall(u, &err);
        } else if (updater_step(u, DEPLOY_EVENT_UNPACKED)) {
                updater_resume(u);
        }
}

void updater_begin_unpack(struct updater *u)
{
        CLEAN_MEM char *part = part_path(u, "part");
        struct err err = ERR_INIT;
        if (u->installer)
                return;
        if (!part || slots_clear(u->slots, u->deploy.slot_to, &err)) {
                updater_stall(u, &err);
                return;
        }
        if (!fs_exists(part)) {
                if (updater_step(u, DEPLOY_EVENT_LOST))
                        updater_resume(u);
                return;
        }
        const struct installer_options o = {.command = u->options.unpacker,
                .source = part,
                .dest = slots_path(u->slots, u->deploy.slot_to),
                .size = u->deploy.size,
                .hashes = &u->deploy.hashes,
                .on_done = unpacked,
                .arg = u};
        if (installer_start(u->base, &o, &u->installer, &err))
                updater_fail(u, err.text);
}
