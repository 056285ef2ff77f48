# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Management: targets, their types, tags, groups, metadata and auto-confirmation; assignments, actions, target filters.

Documents: hawkBit "Management API" (Targets, Target Tags, Target Types, Target Filters, Actions), "Target State", "Features".
"""
import pytest

from hawkbit import CODE, escape, wait_until

# ---- targets --------------------------------------------------------------------------------------------


def test_the_life_of_a_target(hb):
    """Targets: POST, GET, PUT, DELETE."""
    controller_id = hb.name("life")
    made = hb.expect(201, "POST", "/targets", [{"controllerId": controller_id, "description": "d", "address": "https://10.0.0.5/x"}])[0]
    assert made["name"] == controller_id and made["updateStatus"] == "unknown" and made["ipAddress"] == "10.0.0.5"
    assert len(made["securityToken"]) == 32 and made["requestAttributes"] is True
    assert made["createdBy"] == hb.server.user and made["createdAt"] == made["lastModifiedAt"]
    changed = hb.expect(200, "PUT", f"/targets/{controller_id}", {"name": "n", "description": "", "securityToken": "t" * 10})
    assert (changed["name"], changed["description"], changed["securityToken"]) == ("n", "", "t" * 10)
    assert hb.get(f"/targets/{controller_id}")["lastModifiedAt"] >= made["lastModifiedAt"]
    hb.expect(204, "DELETE", f"/targets/{controller_id}")
    hb.refuse(404, "repo.entityNotFound", "GET", f"/targets/{controller_id}")
    hb.refuse(404, "repo.entityNotFound", "DELETE", f"/targets/{controller_id}")


def test_the_links_of_a_target(hb):
    """Targets: a single one has links to all that belongs to it, a listed one to itself."""
    controller_id = hb.target()["controllerId"]
    one = hb.get(f"/targets/{controller_id}")
    assert {"self", "assignedDS", "installedDS", "attributes", "actions", "metadata"} <= set(one["_links"])
    for name in ("self", "attributes", "actions", "metadata", "assignedDS"):
        path = one["_links"][name]["href"][len(hb.server.base) + len("/rest/v1"):]
        assert hb.call("GET", path).status in (200, 204)
    listed, = hb.found("targets", f"id=={controller_id}")
    assert set(listed["_links"]) == {"self"}


@pytest.mark.parametrize("members", [
    {"controllerId": ""}, {"controllerId": "a b"}, {"controllerId": "a\tb"}, {"controllerId": "x" * 257}, {"name": "x" * 129}, {"description": "x" * 513},
    {"securityToken": "x" * 129}, {"address": "x" * 513}, {"name": "<b>x</b>"}, {"description": "<script>x</script>"}])
def test_a_target_out_of_bounds(hb, members):
    """Targets: lengths, white space and markup are checked."""
    hb.refuse(400, "repo.constraintViolation", "POST", "/targets", [{"controllerId": hb.name(), **members}])


@pytest.mark.parametrize("members", [{"controllerId": "x" * 200}, {"name": "x" * 128}, {"description": "x" * 512}, {"name": "a < b & c"},
                                     {"securityToken": ""}, {"name": ""}, {"description": "ä€𝄞"}])
def test_a_target_within_its_bounds(hb, members):
    """Targets: the longest values are taken; an empty name or token means the default."""
    members = {"controllerId": hb.name(), **members}
    members["controllerId"] = (hb.name() + members["controllerId"])[:256]
    made = hb.create("targets", **members)
    assert made["name"] == (members.get("name") or members["controllerId"][:128]) and made["securityToken"]


def test_a_target_exists_once(hb):
    """Targets: 409 for an id that exists, in the store or in the request; ids differ by case."""
    controller_id = hb.target("Once")["controllerId"]
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/targets", [{"controllerId": controller_id}])
    other = hb.name()
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/targets", [{"controllerId": other}, {"controllerId": other}])
    assert hb.call("GET", f"/targets/{other}").status == 404
    hb.create("targets", controllerId=controller_id.swapcase())


def test_an_answer_keeps_the_requests_order(hb):
    """Targets: POST answers in the order of the request."""
    ids = [hb.name() for _ in range(5)][::-1]
    made = hb.expect(201, "POST", "/targets", [{"controllerId": i} for i in ids])
    for one in made:
        hb.keep("targets", one["controllerId"])
    assert [t["controllerId"] for t in made] == ids


@pytest.mark.parametrize("body", [{"name": ""}, {"securityToken": ""}, {"name": "x" * 129}])
def test_a_change_out_of_bounds_changes_nothing(hb, body):
    """Targets: PUT with one bad member."""
    controller_id = hb.target()["controllerId"]
    hb.refuse(400, "repo.constraintViolation", "PUT", f"/targets/{controller_id}", {"description": "new", **body})
    assert "description" not in hb.get(f"/targets/{controller_id}")


def test_attributes_cannot_be_unasked_for(hb):
    """Targets: PUT requestAttributes=false is refused without a body."""
    controller_id = hb.target()["controllerId"]
    answer = hb.call("PUT", f"/targets/{controller_id}", {"requestAttributes": False, "name": "new"})
    assert answer.status == 400 and answer.body == b"" and hb.get(f"/targets/{controller_id}")["name"] == controller_id


def test_a_change_of_nothing_leaves_the_stamp(hb):
    """Targets: PUT {} is 200 and lastModifiedAt stays."""
    target = hb.target()
    assert hb.expect(200, "PUT", f"/targets/{target['controllerId']}", {})["lastModifiedAt"] == target["lastModifiedAt"]


def test_a_deleted_target_takes_everything_with_it(hb):
    """Targets: deletion is hard: actions and token are gone."""
    device, action = hb.deployed()
    hb.expect(204, "DELETE", f"/targets/{device.id}")
    hb.refuse(404, "repo.entityNotFound", "GET", f"/actions/{action}")
    assert device.call("GET").status == 401
    again = hb.create("targets", controllerId=device.id)
    assert hb.as_device(again).headers != device.headers and device.call("GET").status == 401


@pytest.mark.parametrize("path", ["attributes", "actions", "tags", "metadata", "autoConfirm", "actions/1", "metadata/k"])
def test_parts_of_an_unknown_target(hb, path):
    """Targets: 404 for every sub-resource."""
    assert hb.call("GET", f"/targets/none-such/{path}").status == 404


@pytest.mark.parametrize("path", ["attributes", "assignedDS", "installedDS"])
def test_what_a_target_does_not_have(hb, path):
    """Targets: 204 without a body for what is absent."""
    answer = hb.call("GET", f"/targets/{hb.target()['controllerId']}/{path}")
    assert answer.status == 204 and answer.body == b"" and "content-type" not in answer.headers


# ---- metadata of targets, sets and modules --------------------------------------------------------------


def owner_of(hb, kind):
    if kind == "targets":
        return f"/targets/{hb.target()['controllerId']}/metadata"
    return f"/{kind}/{hb.ds() if kind == 'distributionsets' else hb.module()}/metadata"


OWNERS = ("targets", "distributionsets", "softwaremodules")


@pytest.mark.parametrize("kind", OWNERS)
def test_the_life_of_metadata(hb, kind):
    """Metadata: POST, GET, PUT, DELETE of entries."""
    path = owner_of(hb, kind)
    assert hb.call("POST", path, [{"key": "a", "value": "1"}, {"key": "b.c", "value": ""}]).status == 201
    page = hb.get(path)
    assert page["total"] == page["size"] == 2 and {e["key"]: e["value"] for e in page["content"]} == {"a": "1", "b.c": ""}
    assert all(("targetVisible" in e) is (kind == "softwaremodules") for e in page["content"])
    hb.expect(204, "PUT", f"{path}/a", {"value": "2", "targetVisible": True})
    assert hb.get(f"{path}/a", headers={"Accept": "application/json"})["value"] == "2"
    hb.expect(204, "PUT", f"{path}/new", {"value": "made", "targetVisible": False})
    hb.expect(204, "DELETE", f"{path}/a")
    assert {e["key"] for e in hb.get(path)["content"]} == {"b.c", "new"}
    hb.refuse(404, "repo.entityNotFound", "GET", f"{path}/a", headers={"Accept": "application/json"})
    hb.refuse(404, "repo.entityNotFound", "DELETE", f"{path}/a")


@pytest.mark.parametrize("kind, status", [("targets", 409), ("distributionsets", 201), ("softwaremodules", 201)])
def test_metadata_that_exists(hb, kind, status):
    """Metadata: POST of an existing key: a target refuses, sets and modules overwrite."""
    path = owner_of(hb, kind)
    hb.expect(201, "POST", path, [{"key": "a", "value": "1"}])
    assert hb.call("POST", path, [{"key": "a", "value": "2"}]).status == status
    assert hb.get(path)["content"][0]["value"] == ("1" if status == 409 else "2")


@pytest.mark.parametrize("kind", OWNERS)
def test_a_hundred_entries_of_metadata(hb, kind):
    """Quota: 100 entries of metadata."""
    path = owner_of(hb, kind)
    hb.expect(201, "POST", path, [{"key": f"k{i:03}", "value": "v"} for i in range(100)])
    hb.refuse(429, "quota.tooManyEntries", "POST", path, [{"key": "one-more", "value": "v"}])
    assert hb.get(path)["total"] == 100


@pytest.mark.parametrize("kind", OWNERS)
@pytest.mark.parametrize("body", [[], [{"key": "k" * 200, "value": "v"}], [{"key": "k", "value": "v" * 4001}]])
def test_metadata_out_of_bounds(hb, kind, body):
    """Metadata: keys of 128, values of 4000 characters, at least one entry."""
    assert hb.call("POST", owner_of(hb, kind), body).status == 400


@pytest.mark.parametrize("kind", ["targets", "distributionsets"])
def test_a_single_entry_is_json_only(hb, kind):
    """Metadata: a single entry of a target or set is not served as hal+json."""
    path = owner_of(hb, kind)
    hb.expect(201, "POST", path, [{"key": "a", "value": "1"}])
    assert hb.call("GET", f"{path}/a", headers={"Accept": "application/hal+json"}).status == 406


# ---- tags of targets and sets ---------------------------------------------------------------------------

TAGS = ("targettags", "distributionsettags")


def member_of(hb, kind):
    return hb.target()["controllerId"] if kind == "targettags" else hb.ds()


@pytest.mark.parametrize("kind", TAGS)
def test_the_life_of_a_tag(hb, kind):
    """Tags: POST, GET, PUT, DELETE."""
    tag = hb.create(kind, name=hb.name("tag"), description="d", colour="#ff0000")
    assert hb.get(f"/{kind}/{tag['id']}")["colour"] == "#ff0000"
    changed = hb.expect(200, "PUT", f"/{kind}/{tag['id']}", {"name": tag["name"] + "-x", "colour": "blue"})
    assert (changed["name"], changed["colour"], changed["description"]) == (tag["name"] + "-x", "blue", "d")
    hb.expect(204, "DELETE", f"/{kind}/{tag['id']}")
    hb.refuse(404, "repo.entityNotFound", "GET", f"/{kind}/{tag['id']}")


@pytest.mark.parametrize("kind", TAGS)
def test_members_of_a_tag(hb, kind):
    """Tags: assign and unassign one and many; twice is fine."""
    tag = hb.create(kind, name=hb.name("tag"))["id"]
    key = "controllerId" if kind == "targettags" else "id"
    members = [member_of(hb, kind) for _ in range(3)]

    def now():
        return {m[key] for m in hb.get(f"/{kind}/{tag}/assigned")["content"]}
    for _ in range(2):
        hb.expect(204, "POST", f"/{kind}/{tag}/assigned/{members[0]}")
    assert now() == {members[0]}
    hb.expect(204, "POST", f"/{kind}/{tag}/assigned", members)
    assert now() == set(members) and hb.get(f"/{kind}/{tag}/assigned?limit=1")["total"] == 3
    hb.expect(204, "DELETE", f"/{kind}/{tag}/assigned/{members[0]}")
    hb.expect(204, "DELETE", f"/{kind}/{tag}/assigned", members[1:])
    hb.expect(204, "DELETE", f"/{kind}/{tag}/assigned/{members[0]}")
    assert now() == set()


@pytest.mark.parametrize("kind", TAGS)
def test_an_unknown_member_spoils_the_call(hb, kind):
    """Tags: 404 and nothing is done."""
    tag = hb.create(kind, name=hb.name("tag"))["id"]
    unknown = "none-such" if kind == "targettags" else 999999999
    hb.refuse(404, "repo.entityNotFound", "POST", f"/{kind}/{tag}/assigned", [member_of(hb, kind), unknown])
    hb.refuse(404, "repo.entityNotFound", "POST", f"/{kind}/{tag}/assigned/{unknown}")
    assert hb.get(f"/{kind}/{tag}/assigned")["total"] == 0


@pytest.mark.parametrize("policy, status, done", [("FAIL", 404, 0), ("ON_WHAT_FOUND_AND_FAIL", 404, 1), ("ON_WHAT_FOUND_AND_SUCCESS", 204, 1)])
def test_what_to_do_about_unknown_targets(hb, policy, status, done):
    """Target tags: onNotFoundPolicy."""
    tag = hb.create("targettags", name=hb.name("tag"))["id"]
    answer = hb.call("POST", f"/targettags/{tag}/assigned?onNotFoundPolicy={policy}", [hb.target()["controllerId"], "none-such"])
    assert answer.status == status and hb.get(f"/targettags/{tag}/assigned")["total"] == done


@pytest.mark.parametrize("kind", TAGS)
@pytest.mark.parametrize("body", [{"name": ""}, {"name": "x" * 129}, {"name": "<i>x</i>"}, {"name": "n", "colour": "c" * 17},
                                  {"name": "n", "description": "d" * 513}])
def test_a_tag_out_of_bounds(hb, kind, body):
    """Tags: name, colour and description have lengths."""
    hb.refuse(400, "repo.constraintViolation", "POST", f"/{kind}", [body])


@pytest.mark.parametrize("kind", TAGS)
def test_a_tags_name_is_unique(hb, kind):
    """Tags: 409."""
    name = hb.create(kind, name=hb.name("tag"))["name"]
    hb.refuse(409, "repo.entityAlreadyExists", "POST", f"/{kind}", [{"name": name}])


def test_the_tags_of_a_target(hb):
    """Targets: /tags is a bare array; a deleted tag leaves it."""
    target, tag = hb.target()["controllerId"], hb.create("targettags", name=hb.name("tag"))
    assert hb.get(f"/targets/{target}/tags") == []
    hb.expect(204, "POST", f"/targettags/{tag['id']}/assigned/{target}")
    assert [t["name"] for t in hb.get(f"/targets/{target}/tags")] == [tag["name"]]
    hb.expect(204, "DELETE", f"/targettags/{tag['id']}")
    assert hb.get(f"/targets/{target}/tags") == []


# ---- target types ---------------------------------------------------------------------------------------


def test_the_life_of_a_target_type(hb):
    """Target types: POST, GET, PUT, DELETE; in use it cannot go."""
    kind = hb.create("targettypes", name=hb.name("type"), colour="red")
    assert kind["key"] == kind["name"] and kind["deleted"] is False
    hb.expect(200, "PUT", f"/targettypes/{kind['id']}", {"description": "d"})
    target = hb.target(targetType=kind["id"])
    assert target["targetType"] == kind["id"] and target["targetTypeName"] == kind["name"]
    hb.refuse(409, "target.type.used", "DELETE", f"/targettypes/{kind['id']}")
    hb.expect(200, "PUT", f"/targets/{target['controllerId']}", {"targetType": -1})
    hb.expect(204, "DELETE", f"/targettypes/{kind['id']}")
    hb.refuse(404, "repo.entityNotFound", "DELETE", f"/targettypes/{kind['id']}")


def test_a_target_gets_a_type(hb):
    """Targets: POST and DELETE /targettype."""
    kind, target = hb.create("targettypes", name=hb.name("type"))["id"], hb.target()["controllerId"]
    hb.expect(204, "POST", f"/targets/{target}/targettype", {"id": kind})
    assert hb.get(f"/targets/{target}")["targetType"] == kind
    for _ in range(2):
        hb.expect(204, "DELETE", f"/targets/{target}/targettype")
    assert "targetType" not in hb.get(f"/targets/{target}")
    hb.refuse(404, "repo.entityNotFound", "POST", f"/targets/{target}/targettype", {"id": 999999999})
    hb.refuse(400, "repo.constraintViolation", "POST", f"/targets/{target}/targettype", {})


def test_a_type_takes_compatible_sets_only(hb):
    """Target types: an assignment of another kind of set is refused as a whole."""
    app, = hb.found("distributionsettypes", "key==app")
    kind = hb.create("targettypes", name=hb.name("type"))["id"]
    target, ds = hb.target(targetType=kind)["controllerId"], hb.ds()
    hb.refuse(400, "target.type.incompatible", "POST", f"/targets/{target}/assignedDS", {"id": ds})
    hb.expect(204, "POST", f"/targettypes/{kind}/compatibledistributionsettypes", [{"id": app["id"]}])
    assert [t["key"] for t in hb.get(f"/targettypes/{kind}/compatibledistributionsettypes")] == ["app"]
    assert hb.assign(target, ds)
    hb.expect(204, "DELETE", f"/targettypes/{kind}/compatibledistributionsettypes/{app['id']}")
    assert hb.get(f"/targettypes/{kind}/compatibledistributionsettypes") == []


def test_a_target_type_needs_key_or_name(hb):
    """Target types: 400 target.type.keyOrNameRequired; names and keys are unique."""
    hb.refuse(400, "target.type.keyOrNameRequired", "POST", "/targettypes", [{"description": "d"}])
    kind = hb.create("targettypes", name=hb.name("type"))
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/targettypes", [{"name": kind["name"]}])


# ---- groups of targets ----------------------------------------------------------------------------------


def test_groups_of_targets(hb):
    """Target groups: a text with '/' between group and sub-group, looked up without case."""
    top = hb.name("Group")
    a, b, c = (hb.target(group=group)["controllerId"] for group in (top, f"{top}/east", f"{top}x"))

    def ids(path):
        return {t["controllerId"] for t in hb.get(path)["content"]}
    assert {top, f"{top}/east", f"{top}x"} <= set(hb.get("/targetgroups"))
    assert ids(f"/targetgroups/{top.lower()}/assigned") == {a}
    assert ids(f"/targetgroups/assigned?group={escape(top + '/east')}") == {b}
    assert ids(f"/targetgroups/assigned?group={top}&subgroups=true") == {a, b}
    assert ids(f"/targetgroups/assigned?group={hb.name('none')}") == set()
    hb.expect(204, "PUT", f"/targetgroups/{top}/assigned", [c, "none-such"])
    assert ids(f"/targetgroups/{top}/assigned") == {a, c}
    hb.expect(204, "PUT", f"/targetgroups?group={escape(top + '/west')}&q=id=={a}")
    assert ids(f"/targetgroups/assigned?group={escape(top + '/west')}") == {a}
    hb.expect(204, "DELETE", "/targetgroups/assigned", [a, b])
    hb.expect(204, "DELETE", f"/targetgroups?q=id=={c}")
    assert all("group" not in hb.get(f"/targets/{i}") for i in (a, b, c))


@pytest.mark.parametrize("method, path, status", [("GET", "/targetgroups/assigned", 400), ("GET", "/targetgroups/assigned?group=", 400),
                                                  ("DELETE", "/targetgroups", 400), ("PUT", "/targetgroups?group=x", 400)])
def test_a_call_on_groups_that_says_too_little(hb, method, path, status):
    """Target groups: group and q are required."""
    assert hb.call(method, path).status == status


# ---- auto-confirmation by the operator ------------------------------------------------------------------


def test_auto_confirmation_by_an_operator(hb):
    """Targets: autoConfirm, activate and deactivate."""
    path = f"/targets/{hb.target()['controllerId']}/autoConfirm"
    state = hb.get(path)
    assert state["active"] is False and set(state) == {"active", "_links"} and "activate" in state["_links"]
    hb.expect(204, "POST", f"{path}/activate", {"initiator": "me", "remark": "because"})
    state = hb.get(path)
    assert (state["active"], state["initiator"], state["remark"]) == (True, "me", "because") and "deactivate" in state["_links"]
    hb.refuse(409, "repo.autoConfAlreadyActive", "POST", f"{path}/activate", {})
    for _ in range(2):
        hb.expect(204, "POST", f"{path}/deactivate")


# ---- assignment -----------------------------------------------------------------------------------------


def test_a_set_is_assigned_to_many(hb):
    """Distribution sets: POST assignedTargets; unknown targets are skipped, assigned ones counted apart."""
    ds, (_, ids) = hb.ds(), hb.targets(3)
    first = hb.expect(200, "POST", f"/distributionsets/{ds}/assignedTargets", [{"id": ids[0]}])
    assert (first["assigned"], first["alreadyAssigned"], first["total"]) == (1, 0, 1) and len(first["assignedActions"]) == 1
    rest = hb.expect(200, "POST", f"/distributionsets/{ds}/assignedTargets", [{"id": i} for i in (*ids, "none-such")])
    assert (rest["assigned"], rest["alreadyAssigned"], rest["total"]) == (2, 1, 3)
    assert {t["controllerId"] for t in hb.get(f"/distributionsets/{ds}/assignedTargets")["content"]} == set(ids)


def test_an_assignment_has_defaults(hb):
    """Assignment: forced, weight 1000; the target is pending."""
    device, action = hb.deployed()
    shown = hb.action(device, action)
    assert (shown["forceType"], shown["weight"], shown["type"], shown["active"], shown["status"]) == ("forced", 1000, "update", True, "running")
    assert {"self", "target", "distributionset", "status"} <= set(shown["_links"]) and hb.target_of(device)["updateStatus"] == "pending"


def test_an_offline_assignment(hb):
    """Assignment: offline=true records what is installed already."""
    target, ds = hb.target()["controllerId"], hb.ds()
    action = hb.assign(target, ds, offline=True)
    shown = hb.get(f"/targets/{target}")
    assert shown["updateStatus"] == "in_sync" and "pollStatus" not in shown and hb.get(f"/targets/{target}/installedDS")["id"] == ds
    assert hb.get(f"/actions/{action}")["status"] == "finished"


def test_the_same_set_twice(hb):
    """Assignment: a set that is assigned makes no new action."""
    ds = hb.ds()
    device, _ = hb.deployed(ds=ds)
    answer = hb.expect(200, "POST", f"/targets/{device.id}/assignedDS", {"id": ds})
    assert (answer["assigned"], answer["alreadyAssigned"], answer["assignedActions"]) == (0, 1, [])


@pytest.mark.parametrize("members, code", [
    ({"type": "sometimes"}, "rest.body.notReadable"), ({"type": "FORCED"}, "rest.body.notReadable"), ({"weight": -1}, "repo.constraintViolation"),
    ({"weight": 1001}, "repo.constraintViolation"), ({"forcetime": "soon"}, "rest.body.notReadable"), ({"id": None}, "rest.body.notReadable")])
def test_an_assignment_that_cannot_be(hb, members, code):
    """Assignment: type, weight, forcetime."""
    hb.refuse(400, code, "POST", f"/targets/{hb.target()['controllerId']}/assignedDS", {"id": hb.ds(), **members})


@pytest.mark.parametrize("what, status, code", [("unknown", 404, "repo.entityNotFound"), ("incomplete", 400, "distributionset.incomplete"),
                                                ("invalid", 400, "distributionset.invalid"), ("deleted", 404, "deleted")])
def test_a_set_that_cannot_be_assigned(hb, what, status, code):
    """Assignment: the set must exist, be complete, valid and not deleted."""
    ds = 999999999 if what == "unknown" else hb.ds([]) if what == "incomplete" else hb.ds()
    if what == "invalid":
        hb.expect(204, "POST", f"/distributionsets/{ds}/invalidate", {"actionCancelationType": "none"})
    if what == "deleted":
        hb.deployed(ds=ds)
        hb.expect(204, "DELETE", f"/distributionsets/{ds}")
    hb.refuse(status, code, "POST", f"/targets/{hb.target()['controllerId']}/assignedDS", {"id": ds})


def test_two_sets_for_one_target_are_refused(hb):
    """Assignment: 400 multiAssignmentNotEnabled."""
    target, ds = hb.target()["controllerId"], hb.ds()
    hb.refuse(400, "multiAssignmentNotEnabled", "POST", f"/targets/{target}/assignedDS", [{"id": ds}, {"id": hb.ds()}])
    answer = hb.expect(200, "POST", f"/targets/{target}/assignedDS", [{"id": ds}, {"id": ds}])
    assert answer["assigned"] == answer["total"] == 1


# ---- actions --------------------------------------------------------------------------------------------


def test_an_action_in_its_lists(hb):
    """Actions: of the target and of the tenant; representation=full has links."""
    device, action = hb.deployed()
    assert [a["id"] for a in hb.get(f"/targets/{device.id}/actions")["content"]] == [action]
    compact, = hb.found("actions", f"id=={action}")
    full, = hb.found("actions", f"id=={action}", representation="full")
    assert set(compact["_links"]) == {"self"} and "target" in full["_links"]
    assert hb.get(f"/actions/{action}")["id"] == action


def test_cancel_and_force_quit(hb):
    """Actions: DELETE cancels, once; force=true ends what is canceling."""
    device, action = hb.deployed()
    path = f"/targets/{device.id}/actions/{action}"
    hb.refuse(405, "action.notForceQuitable", "DELETE", f"{path}?force=true")
    hb.expect(204, "DELETE", path)
    hb.refuse(405, "action.notCancelable", "DELETE", path)
    assert hb.action(device, action)["_links"]["canceledaction"]["href"].endswith(path)
    hb.expect(204, "DELETE", f"{path}?force=true")
    assert (hb.action(device, action)["status"], hb.action(device, action)["active"]) == ("canceled", False)
    assert hb.history(device, action)[0]["messages"] == ["Update Server: A force quit has been performed."]
    assert "_links" not in device.poll() or "cancelAction" not in device.links()


@pytest.mark.parametrize("kind, shown", [("soft", "forced"), ("downloadonly", "forced"), ("forced", "forced"), ("timeforced", "forced")])
def test_an_action_is_forced(hb, kind, shown):
    """Actions: PUT forceType=forced; nothing else can be set."""
    device, action = hb.deployed(type=kind, **({"forcetime": 4102444800000} if kind == "timeforced" else {}))
    path = f"/targets/{device.id}/actions/{action}"
    assert hb.action(device, action)["forceType"] == kind
    assert hb.expect(200, "PUT", path, {"forceType": "forced"})["forceType"] == shown
    hb.refuse(400, "repo.constraintViolation", "PUT", path, {"forceType": "soft"})
    hb.refuse(400, "rest.body.notReadable", "PUT", path, {"forceType": "whatever"})


def test_the_history_of_an_action(hb):
    """Actions: /status newest first, sortable, paged."""
    device, action = hb.deployed()
    device.report(action, "proceeding", "none", ["one"])
    device.report(action, "download", "none", ["two"])
    path = f"/targets/{device.id}/actions/{action}/status"
    assert [e["type"] for e in hb.get(path)["content"]] == ["download", "running", "running"]
    assert [e["messages"] for e in hb.get(f"{path}?sort=id:ASC&offset=1&limit=1")["content"]] == [["one"]]
    assert hb.get(path)["content"][-1]["messages"] == [f"Assignment initiated by user '{hb.server.user}'"]
    hb.refuse(400, "rest.param.invalidField", "GET", f"{path}?sort=type:ASC")


@pytest.mark.parametrize("method, part", [("GET", ""), ("DELETE", ""), ("PUT", ""), ("GET", "/status"), ("PUT", "/confirmation")])
def test_an_action_under_another_target(hb, method, part):
    """Actions: 404 without a body."""
    _, action = hb.deployed()
    body = {"": {"forceType": "forced"}, "/confirmation": {"confirmation": "denied"}}[part] if method == "PUT" else None
    answer = hb.call(method, f"/targets/{hb.target()['controllerId']}/actions/{action}{part}", body)
    assert answer.status == 404 and answer.body == b""


def test_old_actions_are_deleted(hb):
    """Actions: DELETE of a target's actions by number, by list or all but the last ones; of the tenant by id, list or q."""
    device, _ = hb.deployed()
    actions = []
    for _ in range(6):
        device.report(hb.get(f"/targets/{device.id}/actions?limit=1")["content"][0]["id"])
        actions.append(hb.assign(device.id, hb.ds()))

    def left():
        return {a["id"] for a in hb.get(f"/targets/{device.id}/actions")["content"]}
    hb.expect(204, "DELETE", f"/targets/{device.id}/actions?keepLast=5")
    assert left() == set(actions[1:])
    hb.expect(204, "DELETE", f"/targets/{device.id}/actions", [actions[1], 999999999])
    hb.expect(204, "DELETE", f"/actions/{actions[2]}")
    hb.expect(204, "DELETE", "/actions", [actions[3]])
    hb.expect(204, "DELETE", f"/actions?q=id=={actions[4]}")
    assert left() == {actions[5]}
    for bad in (("DELETE", "/actions"), ("DELETE", f"/targets/{device.id}/actions")):
        hb.refuse(400, "rest.body.notReadable", *bad)


# ---- target filters and auto-assignment -----------------------------------------------------------------


def test_the_life_of_a_target_filter(hb):
    """Target filters: POST takes one object; nulls are written."""
    made = hb.target_filter("name==x*")
    assert {made[k] for k in ("autoAssignDistributionSet", "autoAssignActionType", "autoAssignWeight")} == {None}
    changed = hb.expect(200, "PUT", f"/targetfilters/{made['id']}", {"query": "name==y*"})
    assert changed["query"] == "name==y*" and changed["name"] == made["name"]
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/targetfilters", {"name": made["name"], "query": "name==x"})
    hb.expect(204, "DELETE", f"/targetfilters/{made['id']}")
    hb.refuse(404, "repo.entityNotFound", "DELETE", f"/targetfilters/{made['id']}")


@pytest.mark.parametrize("body, code", [
    ({"name": "x"}, "repo.constraintViolation"), ({"query": "name==x"}, "repo.constraintViolation"), ({"name": "", "query": "name==x"}, "repo.constraintViolation"),
    ({"name": "x", "query": "x" * 1025}, None), ({"name": "x", "query": "nothing==1"}, "rest.param.rsqlInvalidField"),
    ({"name": "x", "query": "name="}, "rest.param.rsqlParamSyntax"), ([{"name": "x", "query": "name==x"}], "rest.body.notReadable")])
def test_a_target_filter_that_cannot_be(hb, body, code):
    """Target filters: name and query are required, the query is checked."""
    answer = hb.call("POST", "/targetfilters", body)
    assert answer.status == 400 and code in (None, answer.code)


def test_matching_targets_get_the_set(hb):
    """Auto-assignment: targets that match, now or later, get the set once."""
    start, ids = hb.targets(2)
    ds, made = hb.ds(), hb.target_filter(f"controllerId=={start}*")
    path = f"/targetfilters/{made['id']}/autoAssignDS"
    assert hb.call("GET", path).status == 204
    hb.expect(200, "POST", path, {"id": ds, "type": "soft", "weight": 300})
    assert hb.get(path)["id"] == ds and hb.get(f"/targetfilters/{made['id']}")["autoAssignWeight"] == 300

    def has(target):
        return hb.call("GET", f"/targets/{target}/assignedDS").status == 200
    late = hb.create("targets", controllerId=f"{start}-late")["controllerId"]
    wait_until(lambda: all(map(has, (*ids, late))), "the set to be assigned")
    action = hb.get(f"/targets/{ids[0]}/actions")["content"][0]
    assert (action["forceType"], action["weight"]) == ("soft", 300)
    history = hb.get(f"/targets/{ids[0]}/actions/{action['id']}/status")["content"]
    assert history[-1]["messages"] == [f"Auto assignment by target filter: {made['name']}"]
    assert [f["id"] for f in hb.get(f"/distributionsets/{ds}/autoAssignTargetFilters")["content"]] == [made["id"]]
    hb.expect(204, "DELETE", path)
    hb.expect(204, "DELETE", path)
    assert hb.get(f"/targets/{ids[0]}/assignedDS")["id"] == ds


@pytest.mark.parametrize("members, code", [({"type": "timeforced"}, "repo.invalidAutoAssignActionType"), ({"weight": 1001}, "repo.constraintViolation"),
                                           ({"type": "nonsense"}, "rest.body.notReadable"), ({"id": 999999999}, "repo.entityNotFound")])
def test_an_auto_assignment_that_cannot_be(hb, members, code):
    """Auto-assignment: type, weight and set are checked."""
    made = hb.target_filter(f"controllerId=={hb.name()}")
    answer = hb.call("POST", f"/targetfilters/{made['id']}/autoAssignDS", {"id": hb.ds(), **members})
    assert answer.status in (400, 404) and answer.code == code


def test_an_auto_assignment_without_a_set_removes_it(hb):
    """Auto-assignment: POST {} takes the set away."""
    made = hb.target_filter(f"controllerId=={hb.name()}")
    path = f"/targetfilters/{made['id']}/autoAssignDS"
    hb.expect(200, "POST", path, {"id": hb.ds()})
    hb.expect(200, "POST", path, {})
    assert hb.call("GET", path).status == 204


def test_the_error_codes_have_their_prefix(hb):
    """Errors: codes begin with hawkbit.server.error."""
    assert hb.call("GET", "/targets/none-such").json["errorCode"].startswith(CODE)
