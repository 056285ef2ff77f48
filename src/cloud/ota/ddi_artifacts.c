/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/ddi.h"
#include "cloud/ota/download.h"
#include "cloud/ota/handlers.h"
#include "cloud/ota/module.h"

#include <string.h>
#include <strings.h>

#define MD5SUM_SUFFIX ".MD5SUM"

/* The target's open action (not one being withdrawn) whose set holds the module; 0: none. */
static int64_t action_with_module(struct request *q, const struct target *t, int64_t module)
{
        return sql_int(&q->tx, 0,
                "SELECT a.id FROM action a JOIN ds_module e ON e.ds=a.ds WHERE a.target=? AND "
                "a.active=1 AND"
                " a.status<>? AND e.module=? ORDER BY a.weight DESC, a.id LIMIT 1",
                SQL_I(t->id), SQL_I(ACTION_CANCELING), SQL_I(module));
}

static int not_assigned(struct request *q, const struct module *m)
{
        return tx_problem(&q->tx, PROBLEM_NOT_FOUND,
                "Software module %lld is not assigned to target '%s'", (long long)m->id,
                q->texts[0]);
}

int ddi_artifacts_list(struct request *q)
{
        struct target t;
        struct module m;
        if (ddi_require_target(q, &t) < 0 || module_require(&q->tx, q->ids[1], &m) < 0)
                return -1;
        bool is_installed = sql_int(&q->tx, 0, "SELECT 1 FROM ds_module WHERE ds=? AND module=?",
                SQL_I(t.installed_ds), SQL_I(m.id));
        if (!is_installed && !action_with_module(q, &t, m.id))
                return not_assigned(q, &m);
        json_t *list = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " ARTIFACT_COLUMNS " FROM artifact a WHERE a.module=? ORDER BY a.id",
                SQL_I(m.id));
        while (sql_next(&r)) {
                struct artifact a;
                artifact_read(&r, &a);
                json_array_append_new(list,
                        ddi_artifact_json(q, m.id, a.filename, a.size, a.sha1, a.md5, a.sha256));
        }
        return reply_json(q, 200, list);
}

/* By name without case; a plus in the path may stand for a blank, as in the links that we write. */
static bool find_file(struct request *q, int64_t module, const char *name, struct artifact *ret)
{
        char *blank = arena_strdup(&q->arena, name);
        for (char *p = blank; *p; p++)
                *p = (char)(*p == '+' ? ' ' : *p);
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT " ARTIFACT_COLUMNS
                " FROM artifact a WHERE a.module=?1 AND (fold(a.filename)=fold(?2) OR"
                " fold(a.filename)=fold(?3)) ORDER BY fold(a.filename)=fold(?2) DESC LIMIT 1",
                SQL_I(module), SQL_T(name), SQL_T(blank));
        if (!sql_next(&r))
                return false;
        artifact_read(&r, ret);
        return true;
}

/* The file of the path and the action that gives the right to it. `name` is the path's last part.
 */
static int require_file(
        struct request *q, const char *name, struct artifact *ret, int64_t *ret_action)
{
        struct target t;
        struct module m;
        if (ddi_require_target(q, &t) < 0 || module_require(&q->tx, q->ids[1], &m) < 0)
                return -1;
        bool is_there = find_file(q, m.id, name, ret);
        if (is_there && download_is_refused(q, ret))
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 412);
        *ret_action = action_with_module(q, &t, m.id);
        if (!*ret_action)
                return not_assigned(q, &m);
        if (!is_there)
                return problem_set_status(&q->problem, PROBLEM_EMPTY, 404);
        return 0;
}

static void log_download(struct request *q, int64_t action)
{
        action_log_text(&q->tx, action, ACTION_DOWNLOAD,
                arena_printf(&q->arena, "Update Server: Target downloads %s", q->path));
}

int ddi_artifact_get(struct request *q)
{
        struct artifact a;
        int64_t action = 0;
        if (require_file(q, q->texts[2], &a, &action) < 0 || download_reply(q, &a) < 0)
                return -1;
        /* ranges are not logged: streaming clients would use up the quota of the history */
        bool is_head = strcmp(http_method(q->x), "HEAD") == 0;
        if (is_head || !http_header(q->x, "Range"))
                log_download(q, action);
        return 0;
}

int ddi_artifact_md5(struct request *q)
{
        struct artifact a;
        int64_t action = 0;
        size_t len = strlen(q->texts[2]) - strlen(MD5SUM_SUFFIX);
        if (require_file(q, arena_strndup(&q->arena, q->texts[2], len), &a, &action) < 0)
                return -1;
        log_download(q, action);
        http_add_header(q->x, "Content-Disposition",
                arena_printf(&q->arena, "attachment;filename=%s" MD5SUM_SUFFIX, a.filename));
        q->status = 200;
        q->text = arena_printf(&q->arena, "%s  %s", a.md5, a.filename);
        q->text_type = media_type(MEDIA_TEXT);
        return 0;
}
