/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/pipeline/ledger.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static const char *const migrations[] = {
        "CREATE TABLE pipelines("
        " name TEXT PRIMARY KEY, language TEXT NOT NULL, branch TEXT NOT NULL,"
        " environment TEXT NOT NULL, deploy TEXT NOT NULL, target_filter TEXT NOT NULL,"
        " groups INTEGER NOT NULL, success_threshold INTEGER NOT NULL,"
        " error_threshold INTEGER NOT NULL, module_type TEXT NOT NULL, server TEXT NOT NULL,"
        " server_user TEXT NOT NULL, password_file TEXT NOT NULL, created_at INTEGER NOT NULL,"
        " last_commit TEXT);"
        "CREATE TABLE runs("
        " id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " pipeline TEXT NOT NULL REFERENCES pipelines(name) ON DELETE CASCADE,"
        " commit_id TEXT NOT NULL, author TEXT NOT NULL, message TEXT NOT NULL,"
        " origin TEXT NOT NULL, state TEXT NOT NULL, cause TEXT NOT NULL DEFAULT '',"
        " cancel INTEGER NOT NULL DEFAULT 0, queued_at INTEGER NOT NULL, started_at INTEGER,"
        " ended_at INTEGER);"
        "CREATE INDEX runs_by_state ON runs(state, pipeline, id);"
        "CREATE TABLE stages("
        " run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, position INTEGER NOT NULL,"
        " name TEXT NOT NULL, state TEXT NOT NULL, started_at INTEGER, ended_at INTEGER,"
        " cause TEXT NOT NULL DEFAULT '', PRIMARY KEY(run, position));"
        "CREATE TABLE artifacts("
        " run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, name TEXT NOT NULL,"
        " size INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY(run, name));"
        "CREATE TABLE deployments("
        " run INTEGER PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE, name TEXT NOT NULL,"
        " version TEXT NOT NULL, module_id INTEGER, set_id INTEGER, rollout_id INTEGER,"
        " state TEXT NOT NULL DEFAULT '', open INTEGER NOT NULL DEFAULT 0,"
        " targets INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
        " finished INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"
        " updated_at INTEGER);",
};

const char *run_state_to_string(enum run_state state)
{
        static const char *const names[RUN_STATE_N] = {
                "queued", "running", "succeeded", "failed", "canceled"};
        return names[state];
}

const char *stage_state_to_string(enum stage_state state)
{
        static const char *const names[STAGE_STATE_N] = {
                "waiting", "running", "succeeded", "failed", "canceled"};
        return names[state];
}

void ledger_fini(struct ledger *l)
{
        sqlite3_close(l->db);
        free(l->dir);
        *l = (struct ledger){0};
}

static int make_folders(const char *dir, struct err *err)
{
        static const char *const folders[] = {"repos", "runs", "inbox"};
        for (size_t i = 0; i < N_ELEMENTS(folders); i++) {
                CLEAN_MEM char *path = fs_join(dir, folders[i]);
                int r = path ? fs_mkdir_p(path, 0700, err)
                             : err_errno(err, -ENOMEM, "cannot make folders");
                if (r < 0)
                        return r;
        }
        return 0;
}

int ledger_open(const struct cloud_config *config, struct ledger *ret, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {.dir = cloud_path(config, CLOUD_PIPELINE_DIR)};
        CLEAN_MEM char *path = l.dir ? fs_join(l.dir, "pipeline.db") : NULL;
        if (!path)
                return err_errno(err, -ENOMEM, "cannot open the pipelines");
        int r = make_folders(l.dir, err);
        if (!r)
                r = db_open(path, migrations, N_ELEMENTS(migrations), false, &l.db, err);
        if (r < 0)
                return r;
        *ret = l;
        l = (struct ledger){0};
        return 0;
}

int ledger_open_readonly(const struct cloud_config *config, struct ledger *ret, struct err *err)
{
        CLEAN_LEDGER struct ledger l = {.dir = cloud_path(config, CLOUD_PIPELINE_DIR)};
        CLEAN_MEM char *path = l.dir ? fs_join(l.dir, "pipeline.db") : NULL;
        if (!path)
                return err_errno(err, -ENOMEM, "cannot open the pipelines");
        int r = db_open_readonly(path, &l.db, err);
        if (r < 0)
                return r == -ENOENT ? LEDGER_NONE : r;
        *ret = l;
        l = (struct ledger){0};
        return 0;
}

/* ── statements ── */

static int prepare(struct ledger *l, const char *sql, const char *types, va_list ap,
        sqlite3_stmt **ret_stmt, struct err *err)
{
        sqlite3_stmt *s = NULL;
        int r = db_prepare(l->db, sql, &s, err);
        for (int i = 0; !r && types[i]; i++) {
                if (types[i] == 't')
                        r = sqlite3_bind_text(
                                s, i + 1, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
                else
                        r = sqlite3_bind_int64(s, i + 1, va_arg(ap, int64_t));
                if (r != SQLITE_OK)
                        r = db_error(l->db, err, "bind a parameter");
        }
        if (r < 0) {
                sqlite3_finalize(s);
                return r;
        }
        *ret_stmt = s;
        return 0;
}

int ledger_exec(struct ledger *l, struct err *err, const char *sql, const char *types, ...)
{
        CLEAN_STMT sqlite3_stmt *s = NULL;
        va_list ap;
        va_start(ap, types);
        int r = prepare(l, sql, types, ap, &s, err);
        va_end(ap);
        if (r < 0)
                return r;
        return sqlite3_step(s) == SQLITE_DONE ? 0 : db_error(l->db, err, "write pipeline.db");
}

/* Authors, messages and the end of a build's output come from a pusher: they need not be UTF-8, and
 * must not move a terminal's cursor. */
static json_t *clean_text(const char *text)
{
        CLEAN_BUF struct buf quoted = BUF_INIT(LIMIT_SMALL_FILE_BYTES);
        CLEAN_MEM char *copy = strdup(text);
        for (char *c = copy; c && *c; c++)
                if (((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f)
                        *c = '?';
        if (!copy || buf_add_json_string(&quoted, copy, strlen(copy)) < 0)
                return NULL;
        return json_loadb(buf_text(&quoted), quoted.len, JSON_DECODE_ANY, NULL);
}

static json_t *column(sqlite3_stmt *s, int i)
{
        switch (sqlite3_column_type(s, i)) {
        case SQLITE_INTEGER:
                return json_integer(sqlite3_column_int64(s, i));
        case SQLITE_TEXT:
                return clean_text((const char *)sqlite3_column_text(s, i));
        default:
                return json_null();
        }
}

static json_t *row(sqlite3_stmt *s)
{
        json_t *object = json_object();
        for (int i = 0; object && i < sqlite3_column_count(s); i++)
                json_object_set_new(object, sqlite3_column_name(s, i), column(s, i));
        return object;
}

static json_t *rows(struct ledger *l, sqlite3_stmt *s, struct err *err)
{
        CLEAN_JSON json_t *list = json_array();
        int r;
        while ((r = sqlite3_step(s)) == SQLITE_ROW)
                if (json_array_append_new(list, row(s)) < 0) {
                        err_errno(err, -ENOMEM, "cannot read pipeline.db");
                        return NULL;
                }
        if (r != SQLITE_DONE) {
                db_error(l->db, err, "read pipeline.db");
                return NULL;
        }
        return TAKE(list);
}

json_t *ledger_rows(struct ledger *l, struct err *err, const char *sql, const char *types, ...)
{
        CLEAN_STMT sqlite3_stmt *s = NULL;
        va_list ap;
        va_start(ap, types);
        int r = prepare(l, sql, types, ap, &s, err);
        va_end(ap);
        return r < 0 ? NULL : rows(l, s, err);
}

int ledger_row(struct ledger *l, struct err *err, json_t **ret_row, const char *sql,
        const char *types, ...)
{
        CLEAN_STMT sqlite3_stmt *s = NULL;
        va_list ap;
        va_start(ap, types);
        int r = prepare(l, sql, types, ap, &s, err);
        va_end(ap);
        if (r < 0)
                return r;
        r = sqlite3_step(s);
        if (r == SQLITE_DONE)
                return LEDGER_NONE;
        if (r != SQLITE_ROW)
                return db_error(l->db, err, "read pipeline.db");
        *ret_row = row(s);
        return *ret_row ? 0 : err_errno(err, -ENOMEM, "cannot read pipeline.db");
}

/* ── pipelines ── */

int ledger_pipeline(struct ledger *l, const char *name, struct pipeline *ret, struct err *err)
{
        CLEAN_JSON json_t *o = NULL;
        int r = ledger_row(l, err, &o, "SELECT * FROM pipelines WHERE name=?1", "t", name);
        if (r == LEDGER_NONE)
                return err_set(err, -ENOENT,
                        "there is no pipeline '%s': 'driveline pipeline list' shows them", name);
        if (r < 0)
                return r;
        struct pipeline p = {.groups = (int)json_int(o, "groups", 1),
                .success_threshold = (int)json_int(o, "success_threshold", 50),
                .error_threshold = (int)json_int(o, "error_threshold", 50)};
        const struct {
                const char *key;
                char *to;
                size_t size;
        } texts[] = {{"name", p.name, sizeof(p.name)}, {"language", p.language, sizeof(p.language)},
                {"branch", p.branch, sizeof(p.branch)},
                {"environment", p.environment, sizeof(p.environment)},
                {"deploy", p.deploy, sizeof(p.deploy)},
                {"target_filter", p.target_filter, sizeof(p.target_filter)},
                {"module_type", p.module_type, sizeof(p.module_type)},
                {"server", p.server, sizeof(p.server)},
                {"server_user", p.server_user, sizeof(p.server_user)},
                {"password_file", p.password_file, sizeof(p.password_file)}};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                snprintf(texts[i].to, texts[i].size, "%s", json_text(o, texts[i].key, ""));
        *ret = p;
        return 0;
}

/* ── runs ── */

static int insert_run(struct ledger *l, const struct run_request *q, struct err *err)
{
        int r = ledger_exec(l, err,
                "INSERT INTO runs(pipeline, commit_id, author, message, origin, state, queued_at)"
                " VALUES(?1, ?2, ?3, ?4, ?5, 'queued', ?6)",
                "ttttti", q->pipeline, q->commit, q->author, q->message, q->origin, clock_now_ms());
        return r;
}

int ledger_add_run(
        struct ledger *l, const struct run_request *request, int64_t *ret_run, struct err *err)
{
        int r = db_exec(l->db, "BEGIN IMMEDIATE", err);
        if (r < 0)
                return r;
        r = insert_run(l, request, err);
        int64_t run = sqlite3_last_insert_rowid(l->db);
        if (!r)
                r = ledger_exec(l, err, "UPDATE pipelines SET last_commit=?1 WHERE name=?2", "tt",
                        request->commit, request->pipeline);
        if (!r)
                r = db_exec(l->db, "COMMIT", err);
        if (r < 0) {
                sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
                return r;
        }
        *ret_run = run;
        return 0;
}

int ledger_run_state(
        struct ledger *l, int64_t run, enum run_state state, const char *cause, struct err *err)
{
        const char *sql =
                state == RUN_RUNNING
                        ? "UPDATE runs SET state=?1, cause=?2, started_at=coalesce(started_at, ?3)"
                          " WHERE id=?4"
                        : "UPDATE runs SET state=?1, cause=?2, ended_at=?3 WHERE id=?4";
        return ledger_exec(l, err, sql, "ttii", run_state_to_string(state), cause ? cause : "",
                clock_now_ms(), run);
}

int ledger_stage_state(struct ledger *l, int64_t run, int position, enum stage_state state,
        const char *cause, struct err *err)
{
        const char *sql =
                state == STAGE_RUNNING
                        ? "UPDATE stages SET state=?1, cause=?2, started_at=?3, ended_at=NULL"
                          " WHERE run=?4 AND position=?5"
                : state == STAGE_WAITING
                        ? "UPDATE stages SET state=?1, cause=?2, started_at=NULL, ended_at=NULL"
                          " WHERE ?3 AND run=?4 AND position=?5"
                        : "UPDATE stages SET state=?1, cause=?2, ended_at=?3 WHERE run=?4 AND "
                          "position=?5";
        return ledger_exec(l, err, sql, "ttiii", stage_state_to_string(state), cause ? cause : "",
                clock_now_ms(), run, (int64_t)position);
}

int ledger_wake(struct ledger *l, struct err *err)
{
        char random[17];
        int r = hash_random_hex(random, 8);
        if (r < 0)
                return err_errno(err, r, "cannot wake the pipeline server");
        CLEAN_MEM char *path = NULL;
        if (asprintf(&path, "%s/inbox/%s", l->dir, random) < 0)
                return err_errno(err, -ENOMEM, "cannot wake the pipeline server");
        return fs_write_atomic(path, "", 0, 0600, err);
}

int ledger_lock(struct ledger *l, int *ret_fd, struct err *err)
{
        CLEAN_MEM char *path = fs_join(l->dir, "lock");
        CLEAN_FD int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        if (fd < 0)
                return err_errno(err, -errno, "cannot open the lock of '%s'", l->dir);
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(fd, F_OFD_SETLK, &all) < 0)
                return err_set(err, -EBUSY, "another pipeline server works on '%s'", l->dir);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

bool ledger_is_served(const struct ledger *l)
{
        CLEAN_MEM char *path = fs_join(l->dir, "lock");
        CLEAN_FD int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        return fd >= 0 && fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;
}

char *ledger_run_dir(const struct ledger *l, int64_t run)
{
        char *path = NULL;
        return asprintf(&path, "%s/runs/%lld", l->dir, (long long)run) < 0 ? NULL : path;
}
