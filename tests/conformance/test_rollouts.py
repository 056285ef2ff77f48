# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Rollouts: grouping, thresholds, pause and resume, approval, stop, deletion, retry, next group, dynamic ones.

Documents: hawkBit "Rollout Management" (groups, success and error condition, emergency shutdown, approval, dynamic), "Management
API" (Rollouts). The scheduler works in passes: states are waited for.
"""
import time

import pytest

from hawkbit import wait_until


def conditions(success="100", error="80", then="NEXTGROUP"):
    return {"successCondition": {"condition": "THRESHOLD", "expression": success}, "successAction": {"action": then, "expression": ""},
            "errorCondition": {"condition": "THRESHOLD", "expression": error}, "errorAction": {"action": "PAUSE", "expression": ""}}


class Fleet:
    """Some targets, and a rollout over them."""

    def __init__(self, hb, n, **members):
        self.hb, (self.start, self.ids) = hb, hb.targets(n, "ro")
        self.query = f"controllerId=={self.start}*"
        self.id = hb.running(self.query, **{**conditions(), **members})

    def call(self, verb, status=204):
        return self.hb.expect(status, "POST", f"/rollouts/{self.id}/{verb}")

    def counts(self):
        return self.hb.get(f"/rollouts/{self.id}")["totalTargetsPerStatus"]

    def finish(self, *indexes, finished="success"):
        for i in indexes:
            self.hb.finish(self.ids[i], finished)

    def statuses(self):
        return [g["status"] for g in self.hb.groups(self.id)]

    def groups_are(self, *wanted):
        wait_until(lambda: self.statuses() == list(wanted), f"groups of rollout {self.id} to be {wanted}")


def ready(hb, n, **members):
    """A rollout that is ready, over n targets."""
    start, _ = hb.targets(n, "ro")
    rollout = hb.rollout(f"controllerId=={start}*", **members)
    hb.rollout_is(rollout, "ready", "waiting_for_approval")
    return rollout


# ---- creation and its answer ----------------------------------------------------------------------------


def test_a_new_rollout(hb):
    """Rollouts: POST answers `creating` with defaults; the scheduler makes it ready."""
    start, _ = hb.targets(2)
    ds = hb.ds()
    made = hb.expect(201, "POST", "/rollouts", {"name": hb.name("ro"), "targetFilterQuery": f"controllerId=={start}*", "distributionSetId": ds})
    hb.keep("rollouts", made["id"])
    assert (made["status"], made["totalTargets"], made["type"], made["weight"], made["dynamic"], made["deleted"]) == ("creating", 2, "forced", 1000, False, False)
    assert made["totalTargetsPerStatus"] == {"scheduled": 0, "running": 0, "error": 0, "finished": 0, "cancelled": 0, "notstarted": 2}
    assert {"start", "pause", "resume", "approve", "deny", "triggerNextGroup", "groups", "distributionset", "self"} <= set(made["_links"])
    hb.rollout_is(made["id"], "ready")


def test_default_conditions(hb):
    """Rollouts: success at 50 % starts the next group, errors above 50 % pause."""
    group, = hb.groups(ready(hb, 1))
    assert group["successCondition"] == {"condition": "THRESHOLD", "expression": "50"} and group["successAction"]["action"] == "NEXTGROUP"
    assert group["errorCondition"] == {"condition": "THRESHOLD", "expression": "50"} and group["errorAction"]["action"] == "PAUSE"
    assert (group["name"], group["targetPercentage"], group["totalTargets"]) == ("group-1", 100.0, 1)


@pytest.mark.parametrize("change, status, code", [
    ({"name": None}, 400, "repo.constraintViolation"), ({"name": ""}, 400, "repo.constraintViolation"), ({"name": "n" * 129}, 400, "repo.constraintViolation"),
    ({"name": "<b>n</b>"}, 400, "repo.constraintViolation"), ({"description": "d" * 513}, 400, "repo.constraintViolation"), ({"weight": 1001}, 400, "repo.constraintViolation"),
    ({"weight": -1}, 400, "repo.constraintViolation"), ({"amountGroups": -1}, 400, "repo.constraintViolation"), ({"amountGroups": 0}, 400, "repo.constraintViolation"),
    ({"amountGroups": 501}, 429, "quota.tooManyEntries"), ({"groups": []}, 400, "repo.constraintViolation"),
    ({"amountGroups": 2, "groups": [{"name": "g"}]}, 400, "repo.constraintViolation"), ({"groups": [{"name": "g", "targetPercentage": 50}]}, 400, "repo.constraintViolation"),
    ({"groups": [{"name": "g", "targetPercentage": 0.5}]}, 400, "repo.constraintViolation"), ({"groups": [{"name": "g", "targetPercentage": 101}]}, 400, "repo.constraintViolation"),
    ({"groups": [{"name": "g", "targetPercentage": 50}, {"name": "g"}]}, 409, "repo.entityAlreadyExists"),
    ({"dynamic": True, "groups": [{"name": "g"}]}, 400, "repo.constraintViolation"), ({"dynamicGroupTemplate": {"nameSuffix": "-x", "targetCount": 1}}, 400, "repo.constraintViolation"),
    ({"targetFilterQuery": None}, 400, "rest.param.rsqlParamSyntax"), ({"targetFilterQuery": "name="}, 400, "rest.param.rsqlParamSyntax"),
    ({"targetFilterQuery": "nothing==1"}, 400, "rest.param.rsqlInvalidField"), ({"targetFilterQuery": "controllerId==none-such-at-all"}, 400, "repo.constraintViolation"),
    ({"distributionSetId": None}, 404, "repo.entityNotFound"), ({"distributionSetId": 999999999}, 404, "repo.entityNotFound"),
    ({"type": "FORCED"}, 400, "rest.body.notReadable"), ({"type": "never"}, 400, "rest.body.notReadable"), ({"startAt": "soon"}, 400, "rest.body.notReadable"),
    ({"successCondition": {"condition": "threshold", "expression": "1"}}, 400, "rest.body.notReadable"), ({"amountGroups": "x"}, 400, "rest.body.notReadable")])
def test_a_rollout_that_cannot_be(hb, change, status, code):
    """Rollouts: every member of the creation is checked."""
    start, _ = hb.targets(2)
    hb.refuse(status, code, "POST", "/rollouts", {"name": hb.name("ro"), "targetFilterQuery": f"controllerId=={start}*", "distributionSetId": hb.ds(), **change})


@pytest.mark.parametrize("what, code", [("incomplete", "distributionset.incomplete"), ("invalid", "distributionset.invalid")])
def test_a_rollout_of_a_set_that_cannot_be_assigned(hb, what, code):
    """Rollouts: the set must be complete and valid."""
    ds = hb.ds([]) if what == "incomplete" else hb.ds()
    if what == "invalid":
        hb.expect(204, "POST", f"/distributionsets/{ds}/invalidate", {"actionCancelationType": "none"})
    start, _ = hb.targets(1)
    hb.refuse(400, code, "POST", "/rollouts", {"name": hb.name("ro"), "targetFilterQuery": f"controllerId=={start}*", "distributionSetId": ds})


def test_a_rollouts_name_is_unique(hb):
    """Rollouts: 409."""
    start, _ = hb.targets(1)
    name = hb.get(f"/rollouts/{hb.rollout(f'controllerId=={start}*')}")["name"]
    hb.refuse(409, "repo.entityAlreadyExists", "POST", "/rollouts", {"name": name, "targetFilterQuery": f"controllerId=={start}*", "distributionSetId": hb.ds()})


def test_name_and_description_can_change(hb):
    """Rollouts: PUT takes name and description only."""
    rollout = ready(hb, 1)
    changed = hb.expect(200, "PUT", f"/rollouts/{rollout}", {"name": hb.name("renamed"), "description": "new", "weight": 1})
    assert changed["description"] == "new" and changed["weight"] == 1000 and "renamed" in changed["name"]


# ---- grouping -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets, groups, wanted", [(10, 1, [10]), (10, 2, [5, 5]), (10, 3, [3, 4, 3]), (7, 2, [4, 3]), (3, 3, [1, 1, 1]), (5, 4, [1, 1, 2, 1]),
                                                     (2, 3, [1, 1, 0])])
def test_groups_of_equal_size(hb, targets, groups, wanted):
    """Rollout groups: amountGroups splits the targets; no target is in two groups, none is left out."""
    made = hb.groups(ready(hb, targets, amountGroups=groups))
    sizes = [g["totalTargets"] for g in made]
    assert [g["name"] for g in made] == [f"group-{i}" for i in range(1, groups + 1)] and sum(sizes) == targets
    assert max(sizes) - min(sizes) <= 1 and sorted(sizes) == sorted(wanted)


@pytest.mark.parametrize("percentages, wanted", [([20, 50, 100], [2, 5, 3]), ([50, 100], [5, 5]), ([10, 100], [1, 9]), ([33.3, 33.3, 33.4], [3, 3, 4])])
def test_groups_by_percentage(hb, percentages, wanted):
    """Rollout groups: targetPercentage of all, of what no group before took; together they must cover everything."""
    groups = [{"name": f"g{i}", "targetPercentage": p} for i, p in enumerate(percentages)]
    start, _ = hb.targets(10)
    answer = hb.call("POST", "/rollouts", {"name": hb.name("ro"), "targetFilterQuery": f"controllerId=={start}*", "distributionSetId": hb.ds(), "groups": groups})
    assert answer.status == 201, answer
    hb.keep("rollouts", answer.json["id"])
    hb.rollout_is(answer.json["id"], "ready")
    assert [g["totalTargets"] for g in hb.groups(answer.json["id"])] == wanted


def test_groups_by_filter(hb):
    """Rollout groups: a group's own filter picks among the rollout's targets."""
    start, ids = hb.targets(4)
    rollout = hb.rollout(f"controllerId=={start}*", groups=[{"name": "first", "targetFilterQuery": f"controllerId=={ids[3]}"}, {"name": "rest"}])
    hb.rollout_is(rollout, "ready")
    first, rest = hb.groups(rollout)
    assert (first["totalTargets"], rest["totalTargets"], first["targetFilterQuery"], rest["targetFilterQuery"]) == (1, 3, f"controllerId=={ids[3]}", "")
    assert [t["controllerId"] for t in hb.get(f"/rollouts/{rollout}/deploygroups/{first['id']}/targets")["content"]] == [ids[3]]
    hb.refuse(404, "repo.entityNotFound", "GET", f"/rollouts/{rollout}/deploygroups/999999999")


def test_targets_go_into_groups_in_the_order_of_their_creation(hb):
    """Rollout groups: older targets first."""
    start, ids = hb.targets(4)
    rollout = hb.rollout(f"controllerId=={start}*", amountGroups=2)
    hb.rollout_is(rollout, "ready")
    found = [[t["controllerId"] for t in hb.get(f"/rollouts/{rollout}/deploygroups/{g['id']}/targets")["content"]] for g in hb.groups(rollout)]
    assert found == [ids[:2], ids[2:]]


def test_later_targets_do_not_join(hb):
    """Rollouts: a static rollout is about the targets of its creation."""
    start, _ = hb.targets(2)
    rollout = hb.rollout(f"controllerId=={start}*")
    hb.create("targets", controllerId=f"{start}-late")
    assert hb.rollout_is(rollout, "ready")["totalTargets"] == 2


def test_a_groups_own_conditions(hb):
    """Rollout groups: own conditions, else the rollout's."""
    rollout = ready(hb, 2, **conditions("70", "30"), groups=[
        {"name": "own", "targetPercentage": 50, "successCondition": {"condition": "THRESHOLD", "expression": "10"}}, {"name": "other"}])
    own, other = hb.groups(rollout)
    assert own["successCondition"]["expression"] == "10" and own["errorCondition"]["expression"] == "30" and other["successCondition"]["expression"] == "70"


def test_lists_of_groups(hb):
    """Rollout groups: compact lacks the counts, paging works."""
    rollout = ready(hb, 3, amountGroups=3)
    assert "totalTargetsPerStatus" not in hb.groups(rollout, "compact")[0] and "totalTargetsPerStatus" in hb.groups(rollout)[0]
    page = hb.get(f"/rollouts/{rollout}/deploygroups?offset=1&limit=1")
    assert (page["total"], page["size"], page["content"][0]["name"]) == (3, 1, "group-2")
    assert [g["name"] for g in hb.get(f"/rollouts/{rollout}/deploygroups?q=name==group-3")["content"]] == ["group-3"]


# ---- states ---------------------------------------------------------------------------------------------


def test_a_start_reaches_the_first_group_only(hb):
    """Rollouts: the first group runs, later ones are scheduled and their devices notice nothing."""
    fleet = Fleet(hb, 4, amountGroups=2)
    fleet.groups_are("running", "scheduled")
    assert (fleet.counts()["running"], fleet.counts()["scheduled"]) == (2, 2)
    assert [hb.get(f"/targets/{i}")["updateStatus"] for i in fleet.ids] == ["pending"] * 2 + ["unknown"] * 2
    action = hb.get(f"/targets/{fleet.ids[0]}/actions")["content"][0]
    assert action["rollout"] == fleet.id and hb.get(f"/targets/{fleet.ids[2]}/actions")["content"][0]["status"] == "scheduled"


def test_a_rollout_runs_to_its_end(hb):
    """Rollouts: each group's success starts the next; all done is finished."""
    fleet = Fleet(hb, 3, amountGroups=3)
    for i in range(3):
        fleet.groups_are(*["finished"] * i, "running", *["scheduled"] * (2 - i))
        fleet.finish(i)
    assert hb.rollout_is(fleet.id, "finished")["totalTargetsPerStatus"]["finished"] == 3


@pytest.mark.parametrize("threshold, finished, goes_on", [("50", 2, True), ("51", 2, False), ("25", 1, True), ("100", 3, False), ("0", 0, True), ("text", 3, False)])
def test_the_success_threshold(hb, threshold, finished, goes_on):
    """Success condition: finished/total >= x % starts the next group; text never does."""
    fleet = Fleet(hb, 5, **conditions(threshold), groups=[{"name": "a", "targetPercentage": 80}, {"name": "b"}])
    fleet.finish(*range(finished))
    if goes_on:
        fleet.groups_are("running", "running")
    else:
        settle(hb, fleet)
        assert fleet.statuses() == ["running", "scheduled"]


def settle(hb, fleet):
    """Lets the scheduler have passed: a second rollout, made now, got started by it."""
    other = Fleet(hb, 1)
    other.groups_are("running")
    assert fleet.id != other.id


@pytest.mark.parametrize("threshold, failed, pauses", [("50", 2, False), ("49", 2, True), ("0", 1, True), ("100", 3, False), ("text", 3, False)])
def test_the_error_threshold(hb, threshold, failed, pauses):
    """Error condition: errors/total > y % pauses the rollout (emergency shutdown)."""
    fleet = Fleet(hb, 5, **conditions("100", threshold), groups=[{"name": "a", "targetPercentage": 80}, {"name": "b"}])
    fleet.finish(*range(failed), finished="failure")
    if pauses:
        hb.rollout_is(fleet.id, "paused")
        assert fleet.statuses() == ["error", "scheduled"]
    else:
        settle(hb, fleet)
        assert fleet.statuses() == ["running", "scheduled"] and hb.get(f"/rollouts/{fleet.id}")["status"] == "running"


def test_resume_after_an_error_starts_the_next_group(hb):
    """Rollouts: resume goes on with the group after the failed one."""
    fleet = Fleet(hb, 2, amountGroups=2, **conditions("100", "0"))
    fleet.finish(0, finished="failure")
    hb.rollout_is(fleet.id, "paused")
    fleet.call("resume")
    fleet.groups_are("error", "running")
    fleet.finish(1)
    hb.rollout_is(fleet.id, "finished")


def test_a_last_group_that_fails_ends_the_rollout(hb):
    """Rollouts: with no further group an error finishes it."""
    fleet = Fleet(hb, 1, **conditions("100", "0"))
    fleet.finish(0, finished="failure")
    hb.rollout_is(fleet.id, "finished")
    assert fleet.statuses() == ["error"]


def test_failures_below_the_threshold_let_it_go_on(hb):
    """Rollouts: a group whose actions are all closed is finished, whatever their ends."""
    fleet = Fleet(hb, 2, amountGroups=2, **conditions("100", "100"))
    fleet.finish(0, finished="failure")
    fleet.groups_are("finished", "running")


def test_success_may_pause(hb):
    """Success action PAUSE: every group waits for resume."""
    fleet = Fleet(hb, 2, amountGroups=2, **conditions(then="PAUSE"))
    fleet.finish(0)
    hb.rollout_is(fleet.id, "paused")
    hb.refuse(400, "rollout.illegalState", "POST", f"/rollouts/{fleet.id}/triggerNextGroup")
    fleet.call("resume")
    fleet.groups_are("finished", "running")


def test_a_paused_rollout_starts_no_group(hb):
    """Rollouts: pause stops the evaluation, devices go on."""
    fleet = Fleet(hb, 2, amountGroups=2)
    fleet.call("pause")
    hb.rollout_is(fleet.id, "paused")
    fleet.finish(0)
    settle(hb, fleet)
    assert fleet.statuses()[1] == "scheduled" and fleet.counts()["finished"] == 1
    fleet.call("resume")
    fleet.groups_are("finished", "running")


def test_the_next_group_on_request(hb):
    """Rollouts: triggerNextGroup regardless of thresholds, while there is one."""
    fleet = Fleet(hb, 2, amountGroups=2)
    fleet.call("triggerNextGroup")
    fleet.groups_are("running", "running")
    hb.refuse(400, "rollout.illegalState", "POST", f"/rollouts/{fleet.id}/triggerNextGroup")


@pytest.mark.parametrize("verb", ["pause", "resume", "triggerNextGroup", "approve", "deny"])
def test_what_a_ready_rollout_refuses(hb, verb):
    """Rollouts: 400 rollout.illegalState."""
    hb.refuse(400, "rollout.illegalState", "POST", f"/rollouts/{ready(hb, 1)}/{verb}")


@pytest.mark.parametrize("verb", ["start", "resume", "approve", "deny"])
def test_what_a_running_rollout_refuses(hb, verb):
    """Rollouts: 400 rollout.illegalState."""
    fleet = Fleet(hb, 1)
    hb.refuse(400, "rollout.illegalState", "POST", f"/rollouts/{fleet.id}/{verb}")


@pytest.mark.parametrize("verb", ["start", "pause", "resume", "stop", "triggerNextGroup", "approve", "deny", "retry"])
def test_an_unknown_rollout(hb, verb):
    """Rollouts: 404."""
    hb.refuse(404, "repo.entityNotFound", "POST", f"/rollouts/999999999/{verb}")
    hb.refuse(400, "rest.body.notReadable", "POST", f"/rollouts/abc/{verb}")


def test_a_stop_before_the_start(hb):
    """Rollouts: stop is possible from ready."""
    rollout = ready(hb, 1)
    hb.expect(204, "POST", f"/rollouts/{rollout}/stop")
    hb.rollout_is(rollout, "stopped")


def test_a_stop_cancels_what_runs(hb):
    """Rollouts: running actions are canceled, scheduled ones are taken away."""
    fleet = Fleet(hb, 2, amountGroups=2)
    fleet.call("stop")
    hb.rollout_is(fleet.id, "stopped")
    assert hb.get(f"/targets/{fleet.ids[0]}/actions")["content"][0]["status"] == "canceling"
    assert hb.get(f"/targets/{fleet.ids[1]}/actions")["total"] == 0 and fleet.counts()["notstarted"] == 1


def test_a_rollout_that_never_started_is_deleted_for_good(hb):
    """Rollouts: DELETE frees the name."""
    rollout = ready(hb, 1)
    hb.expect(204, "DELETE", f"/rollouts/{rollout}")
    wait_until(lambda: hb.call("GET", f"/rollouts/{rollout}").status == 404, "the rollout to be gone")


def test_a_started_rollout_is_deleted_softly(hb):
    """Rollouts: readable by id, in no list; its running actions are canceled without asking."""
    fleet = Fleet(hb, 1)
    hb.expect(204, "DELETE", f"/rollouts/{fleet.id}")
    assert hb.rollout_is(fleet.id, "deleted")["deleted"] is True
    assert hb.found("rollouts", f"id=={fleet.id}") == [] and hb.get(f"/targets/{fleet.ids[0]}")["updateStatus"] == "in_sync"
    assert hb.get(f"/targets/{fleet.ids[0]}/actions")["content"][0]["status"] == "canceled"
    hb.refuse(403, "entityReadOnly", "PUT", f"/rollouts/{fleet.id}", {"description": "x"})


def test_a_start_in_the_past_starts_by_itself(hb):
    """Rollouts: startAt."""
    start, _ = hb.targets(1)
    rollout = hb.rollout(f"controllerId=={start}*", startAt=1000)
    hb.rollout_is(rollout, "running")


def test_a_start_in_the_future_waits(hb):
    """Rollouts: startAt to come; a start by hand is possible."""
    rollout = ready(hb, 1, startAt=int(time.time() * 1000) + 3600000)
    hb.expect(204, "POST", f"/rollouts/{rollout}/start")
    hb.rollout_is(rollout, "running")


@pytest.mark.parametrize("kind, update", [("soft", "attempt"), ("forced", "forced"), ("downloadonly", "skip")])
def test_the_type_of_a_rollout(hb, kind, update):
    """Rollouts: soft, forced and downloadonly reach the device."""
    fleet = Fleet(hb, 1, type=kind, weight=321)
    device = hb.as_device(hb.get(f"/targets/{fleet.ids[0]}"))
    assert device.follow("deploymentBase")["deployment"]["update"] == update
    assert hb.get(f"/targets/{fleet.ids[0]}/actions")["content"][0]["weight"] == 321


def test_a_download_only_rollout_finishes_with_the_download(hb):
    """Rollouts: DOWNLOADED counts as finished."""
    fleet = Fleet(hb, 1, type="downloadonly")
    device = hb.as_device(hb.get(f"/targets/{fleet.ids[0]}"))
    device.report(hb.get(f"/targets/{fleet.ids[0]}/actions")["content"][0]["id"], "downloaded", "none")
    assert hb.rollout_is(fleet.id, "finished")["totalTargetsPerStatus"]["finished"] == 1


def test_a_target_that_has_the_set_is_skipped(hb):
    """Rollouts: an action for a set that is assigned already is finished at once."""
    ds, (start, ids) = hb.ds(), hb.targets(1)
    hb.assign(ids[0], ds, offline=True)
    rollout = hb.rollout(f"controllerId=={start}*", ds, **conditions())
    hb.rollout_is(rollout, "ready")
    hb.expect(204, "POST", f"/rollouts/{rollout}/start")
    hb.rollout_is(rollout, "finished")


def test_a_deleted_target_shrinks_the_rollout(hb):
    """Rollouts: deleting targets of a running group lets it finish."""
    fleet = Fleet(hb, 2, **conditions())
    fleet.finish(0)
    hb.expect(204, "DELETE", f"/targets/{fleet.ids[1]}")
    hb.rollout_is(fleet.id, "finished")


# ---- approval, retry, dynamic rollouts, confirmation ----------------------------------------------------


@pytest.mark.parametrize("verb, status", [("approve", "ready"), ("deny", "approval_denied")])
def test_approval(hb, verb, status):
    """Rollout approval: waiting_for_approval until approved or denied, with a remark."""
    hb.configure("rollout.approval.enabled", True)
    rollout = ready(hb, 1)
    assert hb.get(f"/rollouts/{rollout}")["status"] == "waiting_for_approval"
    hb.refuse(400, "rollout.illegalState", "POST", f"/rollouts/{rollout}/start")
    hb.refuse(400, "repo.constraintViolation", "POST", f"/rollouts/{rollout}/{verb}?remark={'r' * 256}")
    hb.expect(204, "POST", f"/rollouts/{rollout}/{verb}?remark=seen")
    shown = hb.rollout_is(rollout, status)
    assert (shown["approvalRemark"], shown["approveDecidedBy"]) == ("seen", hb.server.user)
    if verb == "approve":
        hb.expect(204, "POST", f"/rollouts/{rollout}/start")
        hb.rollout_is(rollout, "running")


def test_a_retry_is_about_the_failed(hb):
    """Rollouts: retry makes a rollout over the failed targets of a finished one."""
    fleet = Fleet(hb, 3, **conditions("100", "100"))
    hb.refuse(400, "repo.constraintViolation", "POST", f"/rollouts/{fleet.id}/retry")
    fleet.finish(0, 1)
    fleet.finish(2, finished="failure")
    name = hb.rollout_is(fleet.id, "finished")["name"]
    made = hb.expect(201, "POST", f"/rollouts/{fleet.id}/retry")
    hb.keep("rollouts", made["id"])
    assert made["name"] == name + "_retry" and hb.rollout_is(made["id"], "ready")["totalTargets"] == 1
    group, = hb.groups(made["id"])
    assert [t["controllerId"] for t in hb.get(f"/rollouts/{made['id']}/deploygroups/{group['id']}/targets")["content"]] == [fleet.ids[2]]
    hb.refuse(409, "repo.entityAlreadyExists", "POST", f"/rollouts/{fleet.id}/retry")


def test_a_retry_without_failures(hb):
    """Rollouts: nothing failed, nothing to retry."""
    fleet = Fleet(hb, 1)
    fleet.finish(0)
    hb.rollout_is(fleet.id, "finished")
    hb.refuse(400, "repo.constraintViolation", "POST", f"/rollouts/{fleet.id}/retry")


def test_a_dynamic_rollout_takes_later_targets(hb):
    """Dynamic rollouts: a further group is filled with targets that come later."""
    start, _ = hb.targets(1, "dyn")
    rollout = hb.rollout(f"controllerId=={start}*", amountGroups=1, dynamic=True, dynamicGroupTemplate={"nameSuffix": "-dyn", "targetCount": 2}, **conditions())
    shown = hb.rollout_is(rollout, "ready")
    assert shown["dynamic"] is True and shown["totalGroups"] == 2
    static, dynamic = hb.groups(rollout)
    assert (static["dynamic"], dynamic["dynamic"], dynamic["name"]) == (False, True, "group-2-dyn")
    late = hb.create("targets", controllerId=f"{start}-late")["controllerId"]
    hb.expect(204, "POST", f"/rollouts/{rollout}/start")
    hb.rollout_is(rollout, "running")
    wait_until(lambda: hb.get(f"/targets/{late}/actions")["total"] == 1, "the late target to be taken in", 120)


def test_groups_may_need_confirmation(hb):
    """Rollout groups: confirmationRequired per group, else the rollout's, while the flow is on."""
    hb.configure("user.confirmation.flow.enabled", True)
    fleet = Fleet(hb, 2, confirmationRequired=True, groups=[{"name": "a", "targetPercentage": 50, "confirmationRequired": False}, {"name": "b"}])
    assert [g["confirmationRequired"] for g in hb.groups(fleet.id)] == [False, True]
    assert hb.get(f"/targets/{fleet.ids[0]}/actions")["content"][0]["status"] == "running"
    fleet.call("triggerNextGroup")
    wait_until(lambda: hb.get(f"/targets/{fleet.ids[1]}/actions")["content"][0]["status"] == "wait_for_confirmation", "the action to wait")


@pytest.mark.parametrize("how, status", [("soft", "stopped"), ("force", "deleted"), ("none", "running")])
def test_invalidating_the_set_of_a_rollout(hb, how, status):
    """Distribution sets: invalidation stops, deletes or leaves the set's rollouts."""
    ds = hb.ds()
    start, _ = hb.targets(1)
    rollout = hb.running(f"controllerId=={start}*", ds, **conditions())
    hb.expect(204, "POST", f"/distributionsets/{ds}/invalidate", {"actionCancelationType": how})
    hb.rollout_is(rollout, status)
    assert hb.get(f"/distributionsets/{ds}/statistics")["rollouts"]["total"] == 1


@pytest.mark.parametrize("query, found", [("id=={id}", True), ("status==running", True), ("status=in=(ready,running)", True), ("status==paused", False),
                                          ("distributionset.id=={ds}", True), ("name=={name}", True), ("description=is=null", True), ("createdat=gt=0", True),
                                          ("distributionset.version==1.0", True), ("distributionset.name==none-such", False)])
def test_which_rollouts_a_filter_finds(hb, query, found):
    """RSQL on rollouts."""
    fleet = Fleet(hb, 1)
    shown = hb.get(f"/rollouts/{fleet.id}")
    query = query.format(id=fleet.id, ds=shown["distributionSetId"], name=shown["name"])
    assert bool(hb.found("rollouts", f"name=={shown['name']};({query})")) is found
