# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Management: software modules, artifacts, distribution sets, their types; locks, soft deletion, invalidation, statistics; configuration.

Documents: hawkBit "Management API" (Software Modules, Distribution Sets, their types, System Configuration), "Features".
"""
import hashlib

import pytest

CONTENT = b"some software"

# ---- software modules and their types -------------------------------------------------------------------


def test_the_life_of_a_module(hb):
    """Software modules: POST, GET, PUT, DELETE."""
    made = hb.create("softwaremodules", name=hb.name("sm"), version="1", type="os", vendor="v", description="d")
    assert (made["type"], made["typeName"], made["locked"], made["deleted"], made["complete"], made["encrypted"]) == ("os", "OS", False, False, True, False)
    assert {"self", "artifacts", "type", "metadata"} <= set(hb.get(f"/softwaremodules/{made['id']}")["_links"])
    changed = hb.expect(200, "PUT", f"/softwaremodules/{made['id']}", {"vendor": "", "description": "new", "name": "ignored", "version": "ignored"})
    assert (changed["vendor"], changed["description"], changed["name"], changed["version"]) == ("", "new", made["name"], "1")
    hb.expect(204, "DELETE", f"/softwaremodules/{made['id']}")
    hb.refuse(404, "repo.entityNotFound", "GET", f"/softwaremodules/{made['id']}")


@pytest.mark.parametrize("members, status, code", [
    ({"name": None}, 400, "repo.constraintViolation"), ({"version": None}, 400, "repo.constraintViolation"), ({"type": None}, 400, "repo.constraintViolation"),
    ({"name": ""}, 400, "repo.constraintViolation"), ({"version": "x" * 65}, 400, "repo.constraintViolation"), ({"vendor": "x" * 257}, 400, "repo.constraintViolation"),
    ({"name": "<p>x</p>"}, 400, "repo.constraintViolation"), ({"type": "none-such"}, 404, "repo.entityNotFound"),
    ({"encrypted": True}, 400, "artifact.encryptionNotSupported"), ({"name": ["x"]}, 400, "rest.body.notReadable")])
def test_a_module_that_cannot_be(hb, members, status, code):
    """Software modules: name, version and type are required and bounded."""
    hb.refuse(status, code, "POST", "/softwaremodules", [{"name": hb.name(), "version": "1", "type": "os", **members}])


def test_a_module_exists_once(hb):
    """Software modules: name, version and type together are unique."""
    body = {"name": hb.name("sm"), "version": "1", "type": "os"}
    hb.create("softwaremodules", **body)
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/softwaremodules", [body])
    hb.create("softwaremodules", **{**body, "type": "application"})
    hb.create("softwaremodules", **{**body, "version": "2"})


KINDS = ("softwaremoduletypes", "distributionsettypes")


@pytest.mark.parametrize("kind", KINDS)
def test_the_life_of_a_type(hb, kind):
    """Types of modules and sets: PUT changes description and colour only."""
    made = hb.create(kind, key=hb.name("k"), name=hb.name("type"), description="d", maxAssignments=2)
    changed = hb.expect(200, "PUT", f"/{kind}/{made['id']}", {"description": "", "colour": "red", "name": "ignored", "key": "ignored"})
    assert (changed["description"], changed["colour"], changed["name"], changed["key"]) == ("", "red", made["name"], made["key"])
    hb.expect(204, "DELETE", f"/{kind}/{made['id']}")
    hb.refuse(404, "repo.entityNotFound", "GET", f"/{kind}/{made['id']}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [{"key": None}, {"name": None}, {"key": "k" * 65}, {"name": "n" * 129}, {"name": "<b>x</b>"}, {"colour": "c" * 17}])
def test_a_type_out_of_bounds(hb, kind, change):
    """Types: key and name are required and bounded."""
    hb.refuse(400, "repo.constraintViolation", "POST", f"/{kind}", [{"key": hb.name(), "name": hb.name(), "maxAssignments": 1, **change}])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("member", ["key", "name"])
def test_a_types_key_and_name_are_unique(hb, kind, member):
    """Types: 409."""
    made = hb.create(kind, key=hb.name("k"), name=hb.name("type"), maxAssignments=1)
    hb.refuse(409, "repo.entityAlreadyExists", "POST", f"/{kind}", [{"key": hb.name(), "name": hb.name(), "maxAssignments": 1, member: made[member]}])


def test_a_module_type_in_use_is_deleted_softly(hb):
    """Module types: deleted:true, left out of lists, its key stays taken."""
    kind = hb.create("softwaremoduletypes", key=hb.name("k"), name=hb.name("type"), maxAssignments=1)
    hb.module(kind["key"])
    hb.expect(204, "DELETE", f"/softwaremoduletypes/{kind['id']}")
    assert hb.get(f"/softwaremoduletypes/{kind['id']}")["deleted"] is True
    assert hb.found("softwaremoduletypes", f"key=={kind['key']}") == []
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/softwaremoduletypes", [{"key": kind["key"], "name": hb.name(), "maxAssignments": 1}])
    hb.refuse(400, "repo.constraintViolation", "POST", "/softwaremodules", [{"name": hb.name(), "version": "1", "type": kind["key"]}])


def test_the_module_types_of_a_set_type(hb):
    """Set types: mandatory and optional module types; one in both lists moves."""
    made = hb.create("distributionsettypes", key=hb.name("k"), name=hb.name("type"))["id"]
    module_type = hb.create("softwaremoduletypes", key=hb.name("m"), name=hb.name("mt"), maxAssignments=1)["id"]

    def lists():
        return tuple([t["id"] for t in hb.get(f"/distributionsettypes/{made}/{which}moduletypes")] for which in ("mandatory", "optional"))
    for which, wanted in (("mandatory", ([module_type], [])), ("optional", ([], [module_type]))):
        for _ in range(2):
            hb.expect(204, "POST", f"/distributionsettypes/{made}/{which}moduletypes", {"id": module_type})
        assert lists() == wanted and hb.get(f"/distributionsettypes/{made}/{which}moduletypes/{module_type}")["id"] == module_type
    hb.expect(204, "DELETE", f"/distributionsettypes/{made}/optionalmoduletypes/{module_type}")
    assert lists() == ([], [])
    hb.refuse(404, "repo.entityNotFound", "POST", f"/distributionsettypes/{made}/mandatorymoduletypes", {"id": 999999999})


def test_a_set_type_in_use_is_read_only(hb):
    """Set types: 403 entityReadOnly once a set has it."""
    os_type, = hb.found("softwaremoduletypes", "key==os")
    kind = hb.create("distributionsettypes", key=hb.name("k"), name=hb.name("type"), mandatorymodules=[{"id": os_type["id"]}])
    hb.ds([hb.module("os")], kind["key"])
    hb.refuse(403, "entityReadOnly", "POST", f"/distributionsettypes/{kind['id']}/optionalmoduletypes", {"id": os_type["id"]})
    hb.expect(200, "PUT", f"/distributionsettypes/{kind['id']}", {"description": "still"})


# ---- artifacts ------------------------------------------------------------------------------------------


def test_the_life_of_an_artifact(hb):
    """Artifacts: upload, list, read, download, delete."""
    module = hb.module()
    made = hb.upload(module, "a.bin", CONTENT)
    assert made["providedFilename"] == "a.bin" and made["size"] == len(CONTENT)
    assert made["hashes"] == {"sha1": hashlib.sha1(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest(), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    path = f"/softwaremodules/{module}/artifacts"
    assert [a["id"] for a in hb.get(path)] == [made["id"]] and set(hb.get(path)[0]["_links"]) == {"self"}
    assert "download" in hb.get(f"{path}?representation=full")[0]["_links"] and "download" in hb.get(f"{path}/{made['id']}")["_links"]
    answer = hb.call("GET", f"{path}/{made['id']}/download")
    assert answer.status == 200 and answer.body == CONTENT and answer.type == "application/octet-stream"
    assert hb.call("GET", f"{path}/{made['id']}/download", headers={"Range": "bytes=5-"}).body == CONTENT[5:]
    hb.expect(204, "DELETE", f"{path}/{made['id']}")
    hb.refuse(404, "repo.entityNotFound", "GET", f"{path}/{made['id']}")
    assert hb.get(path) == []


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("how", ["query", "field"])
def test_checksums_are_checked(hb, name, how):
    """Artifacts: md5sum, sha1sum, sha256sum, in the query or the form; case does not matter."""
    module = hb.module()
    right = hashlib.new(name, CONTENT).hexdigest().upper()
    more = {"query": f"?{name}sum={right}"} if how == "query" else {"fields": {f"{name}sum": right}}
    hb.upload(module, "good.bin", CONTENT, **more)
    wrong = {"query": f"?{name}sum={'0' * len(right)}"} if how == "query" else {"fields": {f"{name}sum": "0" * len(right)}}
    answer = hb.upload(module, "bad.bin", CONTENT, status=400, **wrong)
    assert answer.code == f"artifact.uploadFailed.checksum.{name}.match" and len(hb.get(f"/softwaremodules/{module}/artifacts")) == 1


@pytest.mark.parametrize("more", [{"query": "?filename=other.bin"}, {"fields": {"filename": "other.bin"}}])
def test_a_given_name_wins_over_the_parts(hb, more):
    """Artifacts: parameter filename."""
    assert hb.upload(hb.module(), "part.bin", CONTENT, **more)["providedFilename"] == "other.bin"


def test_a_name_exists_once_in_a_module(hb):
    """Artifacts: 409; the same bytes under another name are fine."""
    module = hb.module()
    hb.upload(module, "a.bin", CONTENT)
    assert hb.upload(module, "a.bin", b"other", status=409).code == "repo.entityAlreadyExists"
    hb.upload(module, "b.bin", CONTENT)


@pytest.mark.parametrize("name", ["", "x" * 257, "<b>x</b>.bin"])
def test_a_name_that_cannot_be(hb, name):
    """Artifacts: 400 for an empty, long or marked-up name."""
    assert hb.upload(hb.module(), name, CONTENT, status=400).status == 400


def test_an_empty_file_is_refused(hb):
    """Artifacts: 400."""
    module = hb.module()
    hb.upload(module, "empty.bin", b"", status=400)
    assert hb.get(f"/softwaremodules/{module}/artifacts") == []


@pytest.mark.parametrize("body, content_type, status", [(b"{}", "application/json", 415), (b"x", "multipart/form-data", 400),
                                                        (b"--m--\r\n", "multipart/form-data; boundary=m", 400)])
def test_an_upload_that_is_none(hb, body, content_type, status):
    """Artifacts: multipart/form-data with a part `file`."""
    assert hb.call("POST", f"/softwaremodules/{hb.module()}/artifacts", body, headers={"Content-Type": content_type}).status == status


def test_an_artifact_under_another_module(hb):
    """Artifacts: 404."""
    made = hb.upload(hb.module(), "a.bin", CONTENT)
    other = hb.module()
    for method, tail in (("GET", ""), ("GET", "/download"), ("DELETE", "")):
        assert hb.call(method, f"/softwaremodules/{other}/artifacts/{made['id']}{tail}").status == 404


def test_fifty_artifacts_are_enough(hb):
    """Quota: 50 artifacts a module."""
    module = hb.module()
    for i in range(50):
        hb.upload(module, f"{i}.bin", b"x")
    assert hb.upload(module, "one-more.bin", b"x", status=429).code == "quota.tooManyEntries"


def test_deleting_one_of_two_names_keeps_the_bytes(hb):
    """Artifacts: the file goes with its last name."""
    content = hb.name().encode()
    first, second = hb.module(), hb.module()
    one, two = hb.upload(first, "a.bin", content), hb.upload(second, "b.bin", content)
    hb.expect(204, "DELETE", f"/softwaremodules/{first}/artifacts/{one['id']}")
    assert hb.call("GET", f"/softwaremodules/{second}/artifacts/{two['id']}/download").body == content


def test_a_module_is_complete_with_enough_artifacts(hb):
    """Module types: minArtifacts."""
    kind = hb.create("softwaremoduletypes", key=hb.name("k"), name=hb.name("type"), maxAssignments=1, minArtifacts=1)
    module = hb.module(kind["key"])
    assert hb.get(f"/softwaremodules/{module}")["complete"] is False
    hb.upload(module, "a.bin", CONTENT)
    assert hb.get(f"/softwaremodules/{module}")["complete"] is True


# ---- distribution sets ----------------------------------------------------------------------------------


def test_the_life_of_a_set(hb):
    """Distribution sets: POST, GET, PUT, DELETE."""
    module = hb.module("os")
    made = hb.create("distributionsets", name=hb.name("ds"), version="1", type="os", description="d", modules=[{"id": module}, {"id": module}])
    assert (made["complete"], made["locked"], made["valid"], made["deleted"], made["requiredMigrationStep"]) == (True, False, True, False, False)
    assert [m["id"] for m in made["modules"]] == [module]
    changed = hb.expect(200, "PUT", f"/distributionsets/{made['id']}", {"name": made["name"] + "-x", "version": "2", "description": "", "type": "app",
                                                                        "requiredMigrationStep": True})
    assert (changed["name"], changed["version"], changed["type"], changed["requiredMigrationStep"]) == (made["name"] + "-x", "2", "os", True)
    hb.expect(204, "DELETE", f"/distributionsets/{made['id']}")
    hb.refuse(404, "repo.entityNotFound", "GET", f"/distributionsets/{made['id']}")
    assert hb.call("GET", f"/softwaremodules/{module}").status == 200


def test_the_default_type_of_sets(hb):
    """Distribution sets: without a type the tenant's default counts."""
    default = hb.get("/system/configs/default.ds.type")["value"]
    key = hb.get(f"/distributionsettypes/{default}")["key"]
    assert hb.create("distributionsets", name=hb.name("ds"), version="1")["type"] == key


@pytest.mark.parametrize("members, status, code", [
    ({"name": None}, 400, "repo.constraintViolation"), ({"version": None}, 400, "repo.constraintViolation"), ({"version": "v" * 65}, 400, "repo.constraintViolation"),
    ({"description": "d" * 513}, 400, "repo.constraintViolation"), ({"type": "none-such"}, 404, "repo.entityNotFound"),
    ({"modules": [{"id": 999999999}]}, 404, "repo.entityNotFound"), ({"modules": {"id": 1}}, 400, "rest.body.notReadable"),
    ({"modules": [{"id": "x"}]}, 400, "rest.body.notReadable")])
def test_a_set_that_cannot_be(hb, members, status, code):
    """Distribution sets: name, version, type and modules are checked."""
    hb.refuse(status, code, "POST", "/distributionsets", [{"name": hb.name(), "version": "1", "type": "os", **members}])


@pytest.mark.parametrize("set_type, modules, complete", [("os", [], False), ("os", ["os"], True), ("os_app", ["os"], True), ("os_app", ["application"], False),
                                                         ("os_app", ["os", "application"], True), ("app", ["application"], True)])
def test_when_a_set_is_complete(hb, set_type, modules, complete):
    """Distribution sets: every mandatory module type is there."""
    assert hb.get(f"/distributionsets/{hb.ds([hb.module(m) for m in modules], set_type)}")["complete"] is complete


def test_a_module_of_a_foreign_type(hb):
    """Distribution sets: 400 distributionset.modules.unsupported."""
    module = hb.module("application")
    hb.refuse(400, "distributionset.modules.unsupported", "POST", "/distributionsets", [{"name": hb.name(), "version": "1", "type": "os", "modules": [{"id": module}]}])
    assert hb.call("POST", f"/distributionsets/{hb.ds([], 'os')}/assignedSM", [{"id": module}]).status == 400


def test_the_modules_of_a_set(hb):
    """Distribution sets: assignedSM; beyond maxAssignments a module replaces its sibling."""
    ds, first, second = hb.ds([], "os"), hb.module("os"), hb.module("os")
    path = f"/distributionsets/{ds}/assignedSM"
    for _ in range(2):
        hb.expect(204, "POST", path, [{"id": first}])
    assert [m["id"] for m in hb.get(path)["content"]] == [first]
    hb.expect(204, "POST", path, [{"id": second}])
    assert [m["id"] for m in hb.get(path)["content"]] == [second]
    for _ in range(2):
        hb.expect(204, "DELETE", f"{path}/{second}")
    assert hb.get(path)["total"] == 0
    hb.refuse(404, "repo.entityNotFound", "POST", path, [{"id": 999999999}])


def test_a_set_exists_once(hb):
    """Distribution sets: name and version are unique within a type."""
    body = {"name": hb.name("ds"), "version": "1", "type": "os"}
    hb.create("distributionsets", **body)
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/distributionsets", [body])


# ---- locks and soft deletion ----------------------------------------------------------------------------


def test_an_assigned_set_is_locked(hb):
    """Implicit lock: the set and its modules keep what they have, texts stay open."""
    ds, module = hb.ds_with_file()
    file = hb.get(f"/softwaremodules/{module}/artifacts")[0]["id"]
    hb.deployed(ds=ds)
    assert hb.get(f"/distributionsets/{ds}")["locked"] and hb.get(f"/softwaremodules/{module}")["locked"]
    hb.refuse(423, "locked", "POST", f"/distributionsets/{ds}/assignedSM", [{"id": hb.module()}])
    hb.refuse(423, "locked", "DELETE", f"/distributionsets/{ds}/assignedSM/{module}")
    hb.refuse(423, "locked", "PUT", f"/distributionsets/{ds}", {"requiredMigrationStep": True})
    hb.refuse(423, "locked", "DELETE", f"/softwaremodules/{module}/artifacts/{file}")
    hb.upload(module, "more.bin", status=423)
    hb.expect(200, "PUT", f"/distributionsets/{ds}", {"description": "open"})
    hb.expect(201, "POST", f"/softwaremodules/{module}/metadata", [{"key": "open", "value": "1"}])


def test_the_implicit_lock_can_be_switched_off(hb):
    """Tenant configuration implicit.lock.enabled."""
    hb.configure("implicit.lock.enabled", False)
    ds = hb.ds()
    hb.deployed(ds=ds)
    assert hb.get(f"/distributionsets/{ds}")["locked"] is False


def test_a_lock_is_set_and_taken_by_hand(hb):
    """Distribution sets: PUT locked; unlocking leaves the modules locked."""
    module = hb.module()
    ds = hb.ds([module])
    assert hb.expect(200, "PUT", f"/distributionsets/{ds}", {"locked": True})["locked"] is True
    assert hb.get(f"/softwaremodules/{module}")["locked"] is True
    hb.refuse(423, "locked", "DELETE", f"/softwaremodules/{module}")
    assert hb.expect(200, "PUT", f"/distributionsets/{ds}", {"locked": False})["locked"] is False
    assert hb.get(f"/softwaremodules/{module}")["locked"] is True
    assert hb.expect(200, "PUT", f"/softwaremodules/{module}", {"locked": False})["locked"] is False


def test_a_used_set_is_deleted_softly(hb):
    """Distribution sets: readable by id, in no list, its name stays taken; its actions go on."""
    ds = hb.ds()
    shown = hb.get(f"/distributionsets/{ds}")
    device, action = hb.deployed(ds=ds)
    for _ in range(2):
        hb.expect(204, "DELETE", f"/distributionsets/{ds}")
    assert hb.get(f"/distributionsets/{ds}")["deleted"] is True and hb.found("distributionsets", f"id=={ds}") == []
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/distributionsets", [{"name": shown["name"], "version": shown["version"], "type": shown["type"]}])
    device.report(action)
    assert hb.get(f"/targets/{device.id}/installedDS")["id"] == ds


def test_a_module_in_a_set_is_deleted_softly(hb):
    """Software modules: readable, still in its set, its file is gone."""
    ds, module = hb.ds_with_file()
    file = hb.get(f"/softwaremodules/{module}/artifacts")[0]["id"]
    hb.expect(204, "DELETE", f"/softwaremodules/{module}")
    assert hb.get(f"/softwaremodules/{module}")["deleted"] is True and hb.found("softwaremodules", f"id=={module}") == []
    assert [m["id"] for m in hb.get(f"/distributionsets/{ds}/assignedSM")["content"]] == [module]
    hb.refuse(410, "artifact.binaryDeleted", "GET", f"/softwaremodules/{module}/artifacts/{file}/download")


# ---- invalidation and statistics ------------------------------------------------------------------------


@pytest.mark.parametrize("how, status, active", [("none", "running", True), ("soft", "canceling", True), ("force", "canceled", False)])
def test_invalidation(hb, how, status, active):
    """Distribution sets: invalidate with actionCancelationType none, soft, force."""
    ds = hb.ds()
    device, action = hb.deployed(ds=ds)
    hb.expect(204, "POST", f"/distributionsets/{ds}/invalidate", {"actionCancelationType": how})
    assert (hb.action(device, action)["status"], hb.action(device, action)["active"]) == (status, active)
    assert hb.get(f"/distributionsets/{ds}")["valid"] is False
    for call in (("PUT", f"/distributionsets/{ds}", {"description": "x"}), ("POST", f"/distributionsets/{ds}/metadata", [{"key": "k", "value": "v"}]),
                 ("POST", f"/distributionsets/{ds}/assignedTargets", [{"id": device.id}])):
        hb.refuse(400, "distributionset.invalid", *call)


def test_invalidation_ends_auto_assignments(hb):
    """Distribution sets: a filter loses its invalid set."""
    ds, made = hb.ds(), hb.target_filter(f"controllerId=={hb.name()}")
    hb.expect(200, "POST", f"/targetfilters/{made['id']}/autoAssignDS", {"id": ds})
    hb.expect(204, "POST", f"/distributionsets/{ds}/invalidate", {"actionCancelationType": "none"})
    assert hb.call("GET", f"/targetfilters/{made['id']}/autoAssignDS").status == 204


@pytest.mark.parametrize("body, complete, code", [({}, True, "rest.body.notReadable"), ({"actionCancelationType": "SOFT"}, True, "rest.body.notReadable"),
                                                  ({"actionCancelationType": None}, True, "rest.body.notReadable"),
                                                  ({"actionCancelationType": "soft"}, False, "distributionset.incomplete")])
def test_an_invalidation_that_cannot_be(hb, body, complete, code):
    """Distribution sets: the type is required, the set must be complete."""
    hb.refuse(400, code, "POST", f"/distributionsets/{hb.ds() if complete else hb.ds([])}/invalidate", body)


def test_statistics_of_a_set(hb):
    """Distribution sets: counts of actions, rollouts and auto-assignments."""
    ds = hb.ds()
    empty = {"actions": {"total": 0}, "rollouts": {"total": 0}, "totalAutoAssignments": 0}
    assert hb.get(f"/distributionsets/{ds}/statistics") == empty
    device, action = hb.deployed(ds=ds)
    device.report(action)
    hb.deployed(ds=ds)
    assert hb.get(f"/distributionsets/{ds}/statistics")["actions"] == {"FINISHED": 1, "RUNNING": 1, "total": 2}
    assert hb.get(f"/distributionsets/{ds}/statistics/actions") == {"actions": {"FINISHED": 1, "RUNNING": 1, "total": 2}}
    for part in ("rollouts", "autoassignments"):
        assert hb.get(f"/distributionsets/{ds}/statistics/{part}") == {}


# ---- configuration of the tenant, and the user ----------------------------------------------------------


def test_the_configuration_lists_every_key(hb):
    """System configuration: value, global and links for every key."""
    configs = hb.get("/system/configs")
    assert {"authentication.header.enabled", "authentication.targettoken.enabled", "pollingTime", "pollingOverdueTime", "rollout.approval.enabled",
            "repository.actions.autoclose.enabled", "user.confirmation.flow.enabled", "implicit.lock.enabled", "default.ds.type"} <= set(configs)
    assert all({"value", "global"} <= set(entry) for entry in configs.values())


def test_a_setting_is_the_tenants_until_it_is_deleted(hb):
    """System configuration: global is false once set; DELETE brings the default back."""
    path = "/system/configs/maintenanceWindowPollCount"
    hb.configure("maintenanceWindowPollCount", 7)
    assert (hb.get(path)["value"], hb.get(path)["global"]) == (7, False) and hb.get(path)["createdBy"] == hb.server.user
    hb.expect(204, "DELETE", path)
    assert (hb.get(path)["value"], hb.get(path)["global"]) == (3, True)


def test_several_settings_at_once(hb):
    """System configuration: PUT of a map, all or nothing."""
    hb.configure("maintenanceWindowPollCount", 5)
    hb.expect(204, "PUT", "/system/configs", {"maintenanceWindowPollCount": 6})
    hb.refuse(400, "configValueInvalid", "PUT", "/system/configs", {"maintenanceWindowPollCount": 9, "pollingTime": "never"})
    assert hb.get("/system/configs/maintenanceWindowPollCount")["value"] == 6


@pytest.mark.parametrize("key, value, code", [
    ("none.such", True, "configKeyInvalid"), ("PollingTime", "00:05:00", "configKeyInvalid"), ("multi.assignments.enabled", True, "configKeyInvalid"),
    ("rollout.approval.enabled", "maybe", "configValueInvalid"), ("rollout.approval.enabled", 1, "configValueInvalid"), ("rollout.approval.enabled", "", "configValueInvalid"),
    ("maintenanceWindowPollCount", "many", "configValueInvalid"), ("maintenanceWindowPollCount", True, "configValueInvalid"),
    ("action.cleanup.auto.expiry", "soon", "configValueInvalid"), ("default.ds.type", "os", "configValueInvalid"), ("pollingTime", {}, "configValueInvalid"),
    ("pollingTime", None, "rest.body.notReadable"), ("pollingOverdueTime", "later", "rest.body.notReadable")])
def test_a_setting_that_cannot_be(hb, key, value, code):
    """System configuration: unknown keys and values of the wrong type."""
    hb.refuse(400, code, "PUT", f"/system/configs/{key}", {"value": value})


@pytest.mark.parametrize("value, wanted", [(True, True), ("true", True), ("ON", True), (" yes ", True), ("1", True), ("off", False), ("no", False), ("0", False)])
def test_a_boolean_setting_in_words(hb, value, wanted):
    """System configuration: booleans may be text."""
    hb.configure("rollout.approval.enabled", value)
    assert hb.get("/system/configs/rollout.approval.enabled")["value"] is wanted


def test_who_is_asking(hb):
    """User info: tenant, name and permissions."""
    info = hb.get("/userinfo")
    assert info["tenant"] == hb.server.tenant and info["username"] == hb.server.user and info["permissions"]
