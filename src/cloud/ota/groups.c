/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/handlers.h"
#include "cloud/ota/target.h"

/* A group is a text at the target and nothing else; `a/b` is within `a`. Look-ups ignore case. */

int groups_list(struct request *q)
{
        json_t *names = json_array();
        CLEAN_ROWS struct sql_rows r = sql_open(&q->tx,
                "SELECT DISTINCT grp FROM target WHERE tenant=? AND grp IS NOT NULL ORDER BY grp",
                SQL_I(q->tx.tenant));
        while (sql_next(&r))
                json_array_append_new(names, json_string(sql_col_text(&r, 0)));
        return reply_json(q, 200, names);
}

static int check_group(struct request *q, const char *group)
{
        if (!*group)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "group must not be empty");
        if (shape_utf16_length(group) > 256)
                return tx_problem(&q->tx, PROBLEM_INTEGRITY, "group is too long");
        return 0;
}

static int list_members(struct request *q, const char *group)
{
        if (check_group(q, group) < 0)
                return -1;
        bool is_deep = request_flag(q, "subgroups");
        return list_reply(
                q, &(struct listing){.columns = TARGET_COLUMNS,
                           .from = "target t",
                           .where = is_deep ? "t.tenant=?1 AND (fold(t.grp)=fold(?2) OR"
                                              " substr(fold(t.grp), 1, length(?2)+1)=fold(?2)||'/')"
                                            : "t.tenant=?1 AND fold(t.grp)=fold(?2)",
                           .args = {SQL_I(q->tx.tenant), SQL_T(group)},
                           .n_args = 2,
                           .order = "t.id",
                           .row = target_row});
}

int group_members(struct request *q)
{
        return list_members(q, q->texts[0]);
}

int group_members_of_param(struct request *q)
{
        return list_members(q, request_param(q, "group"));
}

/* NULL group: none. Unknown ids are skipped. */
static int assign(struct request *q, const char *group)
{
        size_t i;
        json_t *id;
        if (group && check_group(q, group) < 0)
                return -1;
        json_array_foreach(q->body, i, id)
        {
                sql_run(&q->tx, "UPDATE target SET grp=? WHERE tenant=? AND controller_id=?",
                        SQL_T(group), SQL_I(q->tx.tenant), SQL_T(json_string_value(id)));
        }
        return reply_none(q, 204);
}

static int assign_query(struct request *q, const char *group)
{
        struct filter f;
        if (group && check_group(q, group) < 0)
                return -1;
        if (filter_compile(&q->tx, fields_target.fields, request_query(q), &f) < 0)
                return -1;
        struct sql_arg *args = arena_alloc(&q->arena, (f.n_args + 2) * sizeof(*args));
        args[0] = (struct sql_arg)SQL_T(group);
        args[1] = (struct sql_arg)SQL_I(q->tx.tenant);
        for (size_t i = 0; i < f.n_args; i++)
                args[i + 2] = f.args[i];
        const char *sql = arena_printf(
                &q->arena, "UPDATE target AS t SET grp=? WHERE t.tenant=? AND (%s)", f.sql);
        sql_run_args(&q->tx, sql, args, f.n_args + 2);
        return reply_none(q, 204);
}

int group_assign(struct request *q)
{
        return assign(q, q->texts[0]);
}

int group_assign_param(struct request *q)
{
        return assign(q, request_param(q, "group"));
}

int group_assign_query(struct request *q)
{
        return assign_query(q, q->texts[0]);
}

int group_assign_param_query(struct request *q)
{
        return assign_query(q, request_param(q, "group"));
}

int group_unassign(struct request *q)
{
        if (!q->body)
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "the list must not be empty");
        return assign(q, NULL);
}

int group_unassign_query(struct request *q)
{
        if (!request_query(q))
                return tx_problem(&q->tx, PROBLEM_CONSTRAINT, "q must not be null");
        return assign_query(q, NULL);
}
