/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
/*
 * Stage `deploy`: the package as an artifact of a software module in a distribution set.
 *
 *   pack → module → artifact → set
 *
 * Module and set say in their description which commit they come from. Whatever exists already with
 * that description is ours (an earlier try of this run, or the run that this one repeats) and is
 * used again if the bytes agree; anything else of the same name and version is a conflict, because
 * a version that once left for the cars must not change its contents.
 */
#include "base/fs.h"
#include "base/limits.h"
#include "cloud/pipeline/package.h"
#include "cloud/pipeline/run.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct deploy {
        char file[256]; /* the artifact's name */
        char description[256];
        struct package package;
        int64_t module_id;
        int64_t set_id;
};

static void fail(struct run *run, const struct err *err)
{
        run_stage_done(run, err->text);
}

static void fail_exists(struct run *run)
{
        struct err err = ERR_INIT;
        err_set(&err, -EEXIST, "version %s of '%s' exists already: raise <version> in manifest.xml",
                run->manifest.version, run->manifest.name);
        fail(run, &err);
}

static bool set_type_is_os(const struct run *run)
{
        return !strcmp(run->pipeline.module_type, "os");
}

/* Remembers an id as soon as it is known. */
static int save(struct run *run, const char *column, int64_t id, struct err *err)
{
        char sql[96];
        snprintf(sql, sizeof(sql), "UPDATE deployments SET %s=?1 WHERE run=?2", column);
        return ledger_exec(&run->host->ledger, err, sql, "ii", id, run->id);
}

/* ── packing ── */

static int record(struct run *run, struct err *err)
{
        struct deploy *d = run->state;
        struct ledger *l = &run->host->ledger;
        int r = ledger_exec(l, err,
                "INSERT OR REPLACE INTO artifacts(run, name, size, sha256) VALUES(?1, ?2, ?3, ?4)",
                "itit", run->id, d->file, (int64_t)d->package.size, d->package.hashes.sha256);
        if (!r)
                r = ledger_exec(l, err,
                        "INSERT OR IGNORE INTO deployments(run, name, version) VALUES(?1, ?2, ?3)",
                        "itt", run->id, run->manifest.name, run->manifest.version);
        return r;
}

static int pack(struct run *run, struct err *err)
{
        struct deploy *d = run->state;
        snprintf(d->file, sizeof(d->file), "%s-%s.zip", run->manifest.name, run->manifest.version);
        snprintf(d->description, sizeof(d->description), "driveline pipeline %s, commit %s",
                run->pipeline.name, run->commit);
        int r = package_write(run->folder, run->spec.files, run->spec.n_files, run->commit_time_s,
                run->package, &d->package, err);
        if (r < 0)
                return r;
        run_log(run, "package %s: %zu files, %llu bytes, sha256 %s", d->file, d->package.n_files,
                (unsigned long long)d->package.size, d->package.hashes.sha256);
        return record(run, err);
}

/* ── the three calls, each with its look-up ── */

static void find(struct run *run, const char *collection, hawkbit_done done)
{
        char query[512];
        CLEAN_BUF struct buf target = BUF_INIT(LIMIT_KIB(4));
        snprintf(query, sizeof(query), "name=='%s';version=='%s'", run->manifest.name,
                run->manifest.version);
        buf_addf(&target, "/rest/v1/%s?limit=50&q=", collection);
        buf_add_url(&target, query);
        hawkbit_call(run->hawkbit, "GET", buf_text(&target), NULL, done, run);
}

/* The entry of a list that has our description and the type; 0 if there is none. */
static int64_t find_ours(const struct run *run, const json_t *body, const char *type)
{
        const struct deploy *d = run->state;
        size_t i;
        json_t *entry;
        json_array_foreach(json_object_get(body, "content"), i, entry)
        {
                if (!strcmp(json_text(entry, "description", ""), d->description) &&
                        !strcmp(json_text(entry, "version", ""), run->manifest.version) &&
                        !strcmp(json_text(entry, "type", type), type))
                        return json_int(entry, "id", 0);
        }
        return 0;
}

/* The id of the only entry in a creation's answer. */
static int64_t created_id(const json_t *body)
{
        return json_int(json_array_get(body, 0), "id", 0);
}

static void finish(struct run *run, int64_t set_id)
{
        struct err err = ERR_INIT;
        run_log(run, "distribution set %lld", (long long)set_id);
        int r = save(run, "set_id", set_id, &err);
        run_stage_done(run, r < 0 ? err.text : NULL);
}

static void set_found(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        int64_t id = status == 200 ? find_ours(run, body, set_type_is_os(run) ? "os" : "app") : 0;
        if (status != 200)
                fail(run, err);
        else if (!id)
                fail_exists(run);
        else
                finish(run, id);
}

static void set_created(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        if (status == 201 && created_id(body))
                finish(run, created_id(body));
        else if (status == 409)
                find(run, "distributionsets", set_found);
        else
                run_stage_done(
                        run, err ? err->text : "the update server's answer has no id of the set");
}

static void create_set(struct run *run)
{
        const struct deploy *d = run->state;
        json_t *body = json_pack("[{s:s,s:s,s:s,s:s,s:[{s:I}]}]", "name", run->manifest.name,
                "version", run->manifest.version, "type", set_type_is_os(run) ? "os" : "app",
                "description", d->description, "modules", "id", (json_int_t)d->module_id);
        hawkbit_call(run->hawkbit, "POST", "/rest/v1/distributionsets", body, set_created, run);
}

static void artifacts_found(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        const struct deploy *d = run->state;
        if (status != 200) {
                fail(run, err);
                return;
        }
        size_t i;
        json_t *entry;
        json_array_foreach(body, i, entry)
        {
                const char *sha256 = json_text(json_object_get(entry, "hashes"), "sha256", "");
                if (!strcmp(sha256, d->package.hashes.sha256)) {
                        run_log(run, "the artifact is there already");
                        create_set(run);
                        return;
                }
        }
        fail_exists(run);
}

static void uploaded(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        const struct deploy *d = run->state;
        char target[96];
        (void)body;
        if (status == 201) {
                run_log(run, "artifact uploaded");
                create_set(run);
        } else if (status == 409 ||
                   status == 423) { /* of that name, or the module was sealed by an assignment */
                snprintf(target, sizeof(target),
                        "/rest/v1/softwaremodules/%lld/artifacts?representation=full",
                        (long long)d->module_id);
                hawkbit_call(run->hawkbit, "GET", target, NULL, artifacts_found, run);
        } else {
                fail(run, err);
        }
}

static void upload(struct run *run, int64_t module_id)
{
        struct deploy *d = run->state;
        struct err err = ERR_INIT;
        d->module_id = module_id;
        run_log(run, "software module %lld", (long long)module_id);
        if (save(run, "module_id", module_id, &err) < 0) {
                fail(run, &err);
                return;
        }
        hawkbit_upload(run->hawkbit, module_id, run->package, d->file, d->package.hashes.sha256,
                uploaded, run);
}

static void module_found(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        int64_t id = status == 200 ? find_ours(run, body, run->pipeline.module_type) : 0;
        if (status != 200)
                fail(run, err);
        else if (!id)
                fail_exists(run);
        else
                upload(run, id);
}

static void module_created(void *arg, int status, json_t *body, const struct err *err)
{
        struct run *run = arg;
        if (status == 201 && created_id(body))
                upload(run, created_id(body));
        else if (status == 409)
                find(run, "softwaremodules", module_found);
        else
                run_stage_done(run,
                        err ? err->text : "the update server's answer has no id of the module");
}

static int start(struct run *run, struct err *err)
{
        struct deploy *d = calloc(1, sizeof(*d));
        if (!d)
                return err_errno(err, -ENOMEM, "cannot deploy");
        run->state = d;
        run->state_free = free;
        /* Again, as the build may have written it: what is packed is what the update is called. */
        int r = run_read_commit(run, err);
        if (!r)
                r = pack(run, err);
        if (!r)
                r = run_open_hawkbit(run->host, &run->pipeline, &run->hawkbit, err);
        if (r < 0)
                return r;
        json_t *body = json_pack("[{s:s,s:s,s:s,s:s}]", "name", run->manifest.name, "version",
                run->manifest.version, "type", run->pipeline.module_type, "description",
                d->description);
        hawkbit_call(run->hawkbit, "POST", "/rest/v1/softwaremodules", body, module_created, run);
        return 0;
}

const struct stage stage_deploy = {.name = "deploy", .start = start};
