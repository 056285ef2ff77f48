/* SPDX-License-Identifier: Apache-2.0
 * Copyright The Driveline authors */
#include "cloud/ota/schema.h"

/* Who made and who last changed a row; every entity that hawkBit shows has them. */
#define AUDIT                                                                                      \
        "created_by TEXT NOT NULL, created_at INTEGER NOT NULL, "                                  \
        "modified_by TEXT NOT NULL, modified_at INTEGER NOT NULL"
/* AUTOINCREMENT: an id that was deleted is never given again, since clients keep ids. */
#define ID "id INTEGER PRIMARY KEY AUTOINCREMENT"
#define TENANT "tenant INTEGER NOT NULL REFERENCES tenant(id)"

static const char first[] =
        "CREATE TABLE tenant(" ID ", name TEXT NOT NULL UNIQUE, default_ds_type INTEGER);"
        "CREATE TABLE setting(" TENANT ", key TEXT NOT NULL, value TEXT NOT NULL, " AUDIT
        ", PRIMARY KEY(tenant, key)) WITHOUT ROWID;"

        /* software */
        "CREATE TABLE sm_type(" ID ", " TENANT ", key TEXT NOT NULL, name TEXT NOT NULL,"
        " description TEXT, colour TEXT, min_artifacts INTEGER NOT NULL, max_assignments INTEGER "
        "NOT NULL,"
        " deleted INTEGER NOT NULL DEFAULT 0, " AUDIT
        ", UNIQUE(tenant, key), UNIQUE(tenant, name));"
        "CREATE TABLE ds_type(" ID ", " TENANT ", key TEXT NOT NULL, name TEXT NOT NULL,"
        " description TEXT, colour TEXT, deleted INTEGER NOT NULL DEFAULT 0, " AUDIT
        ", UNIQUE(tenant, key), UNIQUE(tenant, name));"
        "CREATE TABLE ds_type_module(ds_type INTEGER NOT NULL REFERENCES ds_type(id) ON DELETE "
        "CASCADE,"
        " sm_type INTEGER NOT NULL REFERENCES sm_type(id), mandatory INTEGER NOT NULL,"
        " PRIMARY KEY(ds_type, sm_type));"
        "CREATE TABLE module(" ID ", " TENANT ", type INTEGER NOT NULL REFERENCES sm_type(id),"
        " name TEXT NOT NULL, version TEXT NOT NULL, description TEXT, vendor TEXT,"
        " encrypted INTEGER NOT NULL DEFAULT 0, locked INTEGER NOT NULL DEFAULT 0,"
        " deleted INTEGER NOT NULL DEFAULT 0, " AUDIT ", UNIQUE(tenant, type, name, version));"
        "CREATE TABLE module_metadata(module INTEGER NOT NULL REFERENCES module(id) ON DELETE "
        "CASCADE,"
        " key TEXT NOT NULL, value TEXT, visible INTEGER NOT NULL, PRIMARY KEY(module, key));"
        "CREATE TABLE artifact(" ID ", " TENANT ","
        " module INTEGER NOT NULL REFERENCES module(id) ON DELETE CASCADE, filename TEXT NOT NULL,"
        " size INTEGER NOT NULL, sha256 TEXT NOT NULL, sha1 TEXT NOT NULL, md5 TEXT NOT "
        "NULL, " AUDIT ", UNIQUE(module, filename));"
        "CREATE INDEX artifact_by_sha256 ON artifact(sha256);"
        "CREATE TABLE ds(" ID ", " TENANT ", type INTEGER NOT NULL REFERENCES ds_type(id),"
        " name TEXT NOT NULL, version TEXT NOT NULL, description TEXT,"
        " migration INTEGER NOT NULL DEFAULT 0, locked INTEGER NOT NULL DEFAULT 0,"
        " valid INTEGER NOT NULL DEFAULT 1, deleted INTEGER NOT NULL DEFAULT 0, " AUDIT
        ", UNIQUE(tenant, name, version, type));"
        "CREATE TABLE ds_module(ds INTEGER NOT NULL REFERENCES ds(id) ON DELETE CASCADE,"
        " module INTEGER NOT NULL REFERENCES module(id), PRIMARY KEY(ds, module));"
        "CREATE INDEX ds_module_by_module ON ds_module(module);"
        "CREATE TABLE ds_metadata(ds INTEGER NOT NULL REFERENCES ds(id) ON DELETE CASCADE,"
        " key TEXT NOT NULL, value TEXT, PRIMARY KEY(ds, key));"

        /* targets */
        "CREATE TABLE target_type(" ID ", " TENANT ", key TEXT NOT NULL, name TEXT NOT NULL,"
        " description TEXT, colour TEXT, " AUDIT ", UNIQUE(tenant, key), UNIQUE(tenant, name));"
        "CREATE TABLE target_type_ds_type("
        " target_type INTEGER NOT NULL REFERENCES target_type(id) ON DELETE CASCADE,"
        " ds_type INTEGER NOT NULL REFERENCES ds_type(id) ON DELETE CASCADE,"
        " PRIMARY KEY(target_type, ds_type));"
        "CREATE TABLE target(" ID ", " TENANT ", controller_id TEXT NOT NULL, name TEXT NOT NULL,"
        " description TEXT, address TEXT, token TEXT NOT NULL, grp TEXT,"
        " type INTEGER REFERENCES target_type(id), status INTEGER NOT NULL, last_query_at INTEGER,"
        " installed_at INTEGER, request_attributes INTEGER NOT NULL DEFAULT 1,"
        " assigned_ds INTEGER REFERENCES ds(id), installed_ds INTEGER REFERENCES ds(id),"
        " auto_confirm_at INTEGER, auto_confirm_initiator TEXT, auto_confirm_remark TEXT,"
        " auto_confirm_by TEXT, " AUDIT ", UNIQUE(tenant, controller_id));"
        "CREATE INDEX target_by_assigned ON target(assigned_ds);"
        "CREATE INDEX target_by_installed ON target(installed_ds);"
        "CREATE INDEX target_by_type ON target(type);"
        "CREATE TABLE target_attribute(target INTEGER NOT NULL REFERENCES target(id) ON DELETE "
        "CASCADE,"
        " key TEXT NOT NULL, value TEXT, PRIMARY KEY(target, key)) WITHOUT ROWID;"
        "CREATE TABLE target_metadata(target INTEGER NOT NULL REFERENCES target(id) ON DELETE "
        "CASCADE,"
        " key TEXT NOT NULL, value TEXT, PRIMARY KEY(target, key)) WITHOUT ROWID;"

        /* tags of targets (kind 0) and of sets (kind 1) */
        "CREATE TABLE tag(" ID ", " TENANT ", kind INTEGER NOT NULL, name TEXT NOT NULL,"
        " description TEXT, colour TEXT, " AUDIT ", UNIQUE(tenant, kind, name));"
        "CREATE TABLE tag_member(tag INTEGER NOT NULL REFERENCES tag(id) ON DELETE CASCADE,"
        " member INTEGER NOT NULL, PRIMARY KEY(tag, member)) WITHOUT ROWID;"
        "CREATE INDEX tag_member_by_member ON tag_member(member);"

        "CREATE TABLE filter(" ID ", " TENANT ", name TEXT NOT NULL, query TEXT NOT NULL,"
        " auto_ds INTEGER REFERENCES ds(id) ON DELETE SET NULL, auto_type INTEGER, auto_weight "
        "INTEGER,"
        " auto_confirm INTEGER, auto_by TEXT, " AUDIT ", UNIQUE(tenant, name));"

        /* deployment */
        "CREATE TABLE rollout(" ID ", " TENANT ", name TEXT NOT NULL, description TEXT,"
        " query TEXT NOT NULL, ds INTEGER NOT NULL REFERENCES ds(id), status INTEGER NOT NULL,"
        " type INTEGER NOT NULL, forced_time INTEGER NOT NULL, start_at INTEGER, weight INTEGER "
        "NOT NULL,"
        " dynamic INTEGER NOT NULL, dynamic_suffix TEXT, dynamic_count INTEGER, confirm INTEGER,"
        " created_before INTEGER NOT NULL, total_targets INTEGER NOT NULL, approval_remark TEXT,"
        " decided_by TEXT, started_by TEXT, is_self_approved INTEGER NOT NULL DEFAULT 0, deleted "
        "INTEGER NOT NULL DEFAULT 0,"
        " filled_at INTEGER NOT NULL DEFAULT 0, " AUDIT ", UNIQUE(tenant, name));"
        "CREATE INDEX rollout_by_status ON rollout(status);"
        "CREATE INDEX rollout_by_ds ON rollout(ds);"
        "CREATE TABLE rollout_group(" ID ", " TENANT ","
        " rollout INTEGER NOT NULL REFERENCES rollout(id) ON DELETE CASCADE, name TEXT NOT NULL,"
        " description TEXT, status INTEGER NOT NULL, query TEXT NOT NULL, percentage REAL NOT NULL,"
        " success_condition TEXT NOT NULL, success_action INTEGER NOT NULL, success_action_expr "
        "TEXT,"
        " error_condition TEXT NOT NULL, error_action_expr TEXT, confirm INTEGER,"
        " dynamic INTEGER NOT NULL, total_targets INTEGER NOT NULL,"
        " success_fired INTEGER NOT NULL DEFAULT 0, " AUDIT ", UNIQUE(rollout, name));"
        "CREATE TABLE rollout_target("
        " rollout_group INTEGER NOT NULL REFERENCES rollout_group(id) ON DELETE CASCADE,"
        " target INTEGER NOT NULL REFERENCES target(id) ON DELETE CASCADE,"
        " PRIMARY KEY(rollout_group, target)) WITHOUT ROWID;"
        "CREATE INDEX rollout_target_by_target ON rollout_target(target);"
        "CREATE TABLE action(" ID ", " TENANT ","
        " target INTEGER NOT NULL REFERENCES target(id) ON DELETE CASCADE,"
        " ds INTEGER NOT NULL REFERENCES ds(id), active INTEGER NOT NULL, status INTEGER NOT NULL,"
        " type INTEGER NOT NULL, forced_time INTEGER NOT NULL, weight INTEGER NOT NULL,"
        " rollout INTEGER REFERENCES rollout(id), rollout_group INTEGER REFERENCES "
        "rollout_group(id),"
        " schedule TEXT, duration TEXT, timezone TEXT, external_ref TEXT, initiated_by TEXT,"
        " last_code INTEGER, from_version TEXT, " AUDIT ");"
        "CREATE INDEX action_by_target ON action(target, active);"
        "CREATE INDEX action_by_ds ON action(ds, status);"
        "CREATE INDEX action_by_rollout ON action(rollout, status) WHERE rollout IS NOT NULL;"
        "CREATE INDEX action_by_group ON action(rollout_group, status) WHERE rollout_group IS NOT "
        "NULL;"
        "CREATE TABLE action_status(" ID ","
        " action INTEGER NOT NULL REFERENCES action(id) ON DELETE CASCADE, type INTEGER NOT NULL,"
        " occurred_at INTEGER NOT NULL, code INTEGER, created_by TEXT NOT NULL,"
        " created_at INTEGER NOT NULL);"
        "CREATE INDEX action_status_by_action ON action_status(action);"
        "CREATE TABLE action_message("
        " status INTEGER NOT NULL REFERENCES action_status(id) ON DELETE CASCADE,"
        " n INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY(status, n)) WITHOUT ROWID;";

/* Beyond hawkBit: deadlines of actions and what rollouts may be told (deadline.h, rollout_rule.h).
 */
static const char better[] =
        "ALTER TABLE action ADD COLUMN due_at INTEGER;"
        "ALTER TABLE action ADD COLUMN proving_since INTEGER;"
        "CREATE INDEX action_by_due ON action(due_at) WHERE due_at IS NOT NULL;"
        "CREATE TABLE rollout_rule("
        " rollout INTEGER NOT NULL REFERENCES rollout(id) ON DELETE CASCADE,"
        " rollout_group INTEGER NOT NULL, start_schedule TEXT, start_duration TEXT,"
        " start_timezone TEXT, schedule TEXT, duration TEXT, timezone TEXT, timeout TEXT,"
        " allows_downgrade INTEGER NOT NULL, reinstall INTEGER NOT NULL,"
        " wants_next INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(rollout, rollout_group));";

/* Lists and plans over 100 000 targets go by these, a page at a time. */
static const char scale[] = "CREATE INDEX target_by_id ON target(tenant, id);"
                            "CREATE INDEX target_by_name ON target(tenant, name);"
                            "CREATE INDEX target_by_status ON target(tenant, status, id);"
                            "CREATE INDEX action_by_id ON action(tenant, id);";
/* What happened, and who wants to be told (events.h, event_hub.h). */
static const char events[] =
        "CREATE TABLE event(" ID ", " TENANT ", at INTEGER NOT NULL, type TEXT NOT NULL,"
        " hook INTEGER, data TEXT NOT NULL);"
        "CREATE INDEX event_by_tenant ON event(tenant, id);"
        "CREATE TABLE event_trimmed(tenant INTEGER PRIMARY KEY REFERENCES tenant(id),"
        " last INTEGER NOT NULL);"
        "CREATE TABLE web_hook(" ID ", " TENANT ", url TEXT NOT NULL, secret TEXT NOT NULL,"
        " types TEXT NOT NULL, enabled INTEGER NOT NULL, reason TEXT, last_event INTEGER NOT NULL,"
        " failures INTEGER NOT NULL, failing_since INTEGER, next_at INTEGER NOT NULL,"
        " delivered INTEGER NOT NULL, lost INTEGER NOT NULL, " AUDIT ");";
/* Actions of an invalidated set that are still to be withdrawn: 1 by asking, 2 at once. */
static const char withdrawal[] =
        "ALTER TABLE ds ADD COLUMN withdrawal INTEGER NOT NULL DEFAULT 0;"
        "CREATE INDEX ds_by_withdrawal ON ds(withdrawal) WHERE withdrawal<>0;";

/* Who may call the Management API. Login names carry no tenant, so they are unique over all; a
 * token's owner is a name because users of the command line have no row. */
static const char accounts[] =
        "CREATE TABLE account(" ID ", " TENANT ", name TEXT NOT NULL UNIQUE, password TEXT NOT "
        "NULL, roles TEXT NOT NULL, description TEXT, " AUDIT ");"
        "CREATE INDEX account_by_tenant ON account(tenant);"
        "CREATE TABLE api_token(" ID ", " TENANT ", name TEXT NOT NULL, owner TEXT NOT NULL,"
        " sha256 TEXT NOT NULL UNIQUE, roles TEXT, expires_at INTEGER, used_at INTEGER, " AUDIT
        ", UNIQUE(tenant, owner, name));";

/* The order in which they came, which SQLite's rowid told alone. */
static const char ordered[] =
        "ALTER TABLE ds_module ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE ds_metadata ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE module_metadata ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
        "UPDATE ds_module SET seq=rowid;"
        "UPDATE ds_metadata SET seq=rowid;"
        "UPDATE module_metadata SET seq=rowid;";

/* Gateways (DMF): what each action's device was told over AMQP, and what is to be told once. */
static const char dmf[] =
        "CREATE INDEX target_by_amqp ON target(id) WHERE address LIKE 'amqp:%';"
        "CREATE TABLE dmf_told("
        " action INTEGER NOT NULL PRIMARY KEY REFERENCES action(id) ON DELETE CASCADE,"
        " target INTEGER NOT NULL, topic INTEGER NOT NULL, cancel INTEGER NOT NULL,"
        " again_at INTEGER);"
        "CREATE INDEX dmf_told_by_target ON dmf_told(target);"
        "CREATE INDEX dmf_told_by_time ON dmf_told(again_at) WHERE again_at IS NOT NULL;"
        "CREATE TABLE dmf_letter(" ID ", " TENANT ", controller_id TEXT NOT NULL,"
        " address TEXT NOT NULL, letter INTEGER NOT NULL, created_at INTEGER NOT NULL,"
        " UNIQUE(tenant, controller_id, letter));";

const char *const ota_migrations[] = {
        first, better, scale, events, withdrawal, accounts, ordered, dmf};
const int ota_n_migrations = sizeof(ota_migrations) / sizeof(ota_migrations[0]);
