# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Where the update server does more than hawkBit: each behind a setting, each without effect until it is set."""
import datetime

import pytest

from conftest import wait_until
from test_ota import Server, action_of, closed


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path).start()
    yield s
    assert s.program.stop() == 0, s.program.text()[-3000:]


class Car:
    def __init__(self, server, name):
        self.server, self.name = server, name
        self.poll()

    def poll(self):
        return self.server.device("GET", self.name, token="GatewayToken gate")[1].get("_links", {})

    def offered(self, timeout=10):
        return wait_until(lambda: (lambda links: action_of({"_links": links}) if "deploymentBase" in links else None)(
            self.poll()), timeout, f"a deployment for {self.name}")

    def report(self, action, finished, *details, path="deploymentBase", execution="closed"):
        body = closed(finished, *details)
        body["status"]["execution"] = execution
        return self.server.device("POST", self.name, f"/{path}/{action}/feedback", body, "GatewayToken gate")[0]

    def target(self):
        return self.server.expect(200, "GET", f"/rest/v1/targets/{self.name}")


@pytest.fixture
def cars(server):
    server.gateway()
    return [Car(server, f"car-{n}") for n in range(1, 4)]


def assign(server, ds, *names, status=200, query="", **members):
    return server.expect(status, "POST", f"/rest/v1/distributionsets/{ds}/assignedTargets{query}",
                         [{"id": name, **members} for name in names])


def action_is(server, action, status, timeout=15):
    return wait_until(lambda: (lambda a: a if a["status"] == status else None)(
        server.expect(200, "GET", f"/rest/v1/actions/{action}")), timeout, f"action {action} {status}")


def history(server, car, action):
    rows = server.expect(200, "GET", f"/rest/v1/targets/{car}/actions/{action}/status?limit=100")["content"]
    return [(row["type"], " ".join(m or "" for m in row["messages"])) for row in rows]


def shifted(hours):
    """A window of an hour that begins `hours` from now."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    return {"schedule": f"0 {at.minute} {at.hour} * * ?", "duration": "01:00:00", "timezone": "+00:00"}


# ---- settings ------------------------------------------------------------------------------------------------


def test_our_settings_are_listed_only_where_they_are_set(server):
    def listed():
        return [key for key in server.expect(200, "GET", "/rest/v1/system/configs") if key.startswith("driveline.")]
    assert listed() == []
    assert server.expect(200, "GET", "/rest/v1/system/configs/driveline.action.timeout")["value"] == ""
    server.configure("driveline.action.timeout", "36:00:00")
    assert listed() == ["driveline.action.timeout"]
    for bad in ("tomorrow", "-00:00:01", True):
        server.expect(400, "PUT", "/rest/v1/system/configs/driveline.action.timeout", {"value": bad})
    server.expect(204, "DELETE", "/rest/v1/system/configs/driveline.action.timeout")
    assert listed() == []


# ---- time-outs -----------------------------------------------------------------------------------------------


def test_an_action_of_a_silent_device_becomes_an_error(server, cars):
    quiet, lively = cars[:2]
    ds = server.set_with("app", "1", b"1")
    actions = [made["id"] for made in assign(server, ds, quiet.name, lively.name)["assignedActions"]]
    quiet_one = quiet.offered()
    lively_one = next(a for a in actions if a != quiet_one)
    server.configure("driveline.action.timeout", "3")  # counts for what is open already

    def timed_out():
        lively.poll()
        return server.expect(200, "GET", f"/rest/v1/actions/{quiet_one}")["status"] == "error"
    wait_until(timed_out, 20, "the quiet car's time-out")
    assert server.expect(200, "GET", f"/rest/v1/actions/{lively_one}")["active"]
    assert any(kind == "error" and "no sign of the target for 00:00:03" in text
               for kind, text in history(server, quiet.name, quiet_one))
    assert quiet.target()["updateStatus"] == "error"
    assert "deploymentBase" not in quiet.poll() and quiet.report(quiet_one, "success") == 410


def test_the_total_time_out_counts_whatever_the_device_says(server, cars):
    server.configure("driveline.action.timeout.total", "2")
    assign(server, server.set_with("app", "1", b"1"), "car-1")
    action = cars[0].offered()

    def ended():
        cars[0].report(action, "none", "still at it", execution="proceeding")
        return server.expect(200, "GET", f"/rest/v1/actions/{action}")["status"] == "error"
    wait_until(ended, 20, "the end")
    assert "not done after 00:00:02" in history(server, "car-1", action)[0][1]


def test_a_withdrawn_action_that_nobody_answers_is_closed_as_canceled(server, cars):
    assign(server, server.set_with("app", "1", b"1"), "car-1")
    action = cars[0].offered()
    server.expect(204, "DELETE", f"/rest/v1/targets/car-1/actions/{action}")
    server.configure("driveline.action.timeout", "1")
    action_is(server, action, "canceled")


def test_a_rollouts_own_time_out_counts_for_its_threshold(server, cars):
    ds = server.set_with("app", "1", b"1")
    rollout = server.rollout(name="r", distributionSetId=ds, amountGroups=3, actionTimeout="00:00:01",
                             errorCondition={"condition": "THRESHOLD", "expression": "50"})
    assert server.rollout_is(rollout, "ready")["actionTimeout"] == "00:00:01"
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    assert server.rollout_is(rollout, "paused", 20)["totalTargetsPerStatus"]["error"] == 1
    server.expect(400, "POST", "/rest/v1/rollouts", {"name": "x", "distributionSetId": ds, "amountGroups": 1,
                                                     "targetFilterQuery": "id==*", "actionTimeout": "soon"})


# ---- proof ---------------------------------------------------------------------------------------------------


def test_success_counts_when_the_device_came_back(server, cars):
    server.configure("driveline.action.proof", "1")
    ds = server.set_with("app", "1", b"1")
    assign(server, ds, "car-1")
    car = cars[0]
    action = car.offered()
    assert car.report(action, "success", "done") == 200
    shown = server.expect(200, "GET", f"/rest/v1/actions/{action}")
    assert (shown["status"], shown["active"]) == ("running", True)
    assert car.target()["updateStatus"] == "pending"
    assert "deploymentBase" not in car.poll()  # it is done as far as the device is concerned

    def proved():
        car.poll()
        return server.expect(200, "GET", f"/rest/v1/actions/{action}")["status"] == "finished"
    wait_until(proved, 60, "the proof")
    assert car.target()["updateStatus"] == "in_sync"
    rows = history(server, "car-1", action)
    assert rows[0][0] == "finished" and "polled again" in rows[0][1]


def test_a_device_that_never_comes_back_has_failed(server, cars):
    server.configure("driveline.action.proof", "1")
    server.configure("driveline.action.proof.within", "2")
    assign(server, server.set_with("app", "1", b"1"), "car-1")
    action = cars[0].offered()
    cars[0].report(action, "success")
    action_is(server, action, "error", 20)
    assert "never came back" in history(server, "car-1", action)[0][1]
    assert server.call("GET", "/rest/v1/targets/car-1/installedDS")[0] == 204


def test_others_may_prove_or_disprove(server, cars):
    server.configure("driveline.action.proof", "01:00:00")
    ds = server.set_with("app", "1", b"1")
    assign(server, ds, *(car.name for car in cars))
    actions = [car.offered() for car in cars]
    server.expect(400, "POST", f"/rest/v1/actions/{actions[0]}/proof", {"proved": True})  # it waits for none yet
    for car, action in zip(cars, actions):
        car.report(action, "success")
    server.expect(204, "POST", f"/rest/v1/actions/{actions[0]}/proof", {"proved": True, "reason": "telemetry is fine"})
    assert server.expect(200, "GET", f"/rest/v1/actions/{actions[0]}")["status"] == "finished"
    server.expect(204, "POST", f"/rest/v1/actions/{actions[1]}/proof", {"proved": False, "reason": "it overheats"})
    assert server.expect(200, "GET", f"/rest/v1/actions/{actions[1]}")["status"] == "error"
    assert "it overheats" in history(server, "car-2", actions[1])[0][1]
    assert cars[2].report(actions[2], "failure", "rolled back") == 200  # the device itself takes it back
    assert server.expect(200, "GET", f"/rest/v1/actions/{actions[2]}")["status"] == "error"


# ---- again, and back -----------------------------------------------------------------------------------------


def test_a_set_is_installed_again_when_asked(server, cars):
    ds = server.set_with("app", "1", b"1")
    assign(server, ds, "car-1")
    cars[0].report(cars[0].offered(), "success")
    assert assign(server, ds, "car-1")["alreadyAssigned"] == 1
    assert assign(server, ds, "car-1", reinstall=True)["assigned"] == 1
    cars[0].report(cars[0].offered(), "success")
    made = server.expect(200, "POST", "/rest/v1/targets/car-1/assignedDS?reinstall=true", {"id": ds})
    assert made["assigned"] == 1
    cars[0].report(cars[0].offered(), "success")
    server.configure("driveline.assignment.reinstall", True)
    assert assign(server, ds, "car-1")["assigned"] == 1
    assert assign(server, ds, "car-1", reinstall=False)["alreadyAssigned"] == 1


def test_a_rollout_installs_again_when_asked(server, cars):
    ds = server.set_with("app", "1", b"1")
    assign(server, ds, "car-1")
    cars[0].report(cars[0].offered(), "success")
    for again in (False, True):
        rollout = server.rollout(name=f"again-{again}", distributionSetId=ds, targetFilterQuery="id==car-1",
                                 **({"reinstall": True} if again else {}))
        server.rollout_is(rollout, "ready")
        server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
        if again:
            cars[0].report(cars[0].offered(), "success")
        server.rollout_is(rollout, "finished")


def installed(server, cars, version, *names):
    ds = server.set_with("app", version, version.encode())
    assign(server, ds, *names)
    for car in cars:
        if car.name in names:
            car.report(car.offered(), "success")
    return ds


def test_no_car_goes_back_unless_told_to(server, cars):
    server.configure("driveline.downgrade.prevent", True)
    installed(server, cars, "1.10.0", "car-1")
    older = server.set_with("app", "1.9.0", b"older")
    newer = server.set_with("app", "1.10.1-rc.1", b"newer")
    for _ in range(2):
        answer = assign(server, older, "car-1", status=409)
        assert answer["errorCode"] == "driveline.server.error.downgrade"
        assert "'app' would go back from 1.10.0 to 1.9.0" in answer["message"] and "allowDowngrade" in answer["message"]
        server.expect(409, "POST", "/rest/v1/targets/car-1/assignedDS", {"id": older})
    assert assign(server, older, "car-2")["assigned"] == 1  # it has nothing that would be older
    assert assign(server, newer, "car-1")["assigned"] == 1
    cars[0].report(cars[0].offered(), "success")
    assert assign(server, older, "car-1", allowDowngrade=True)["assigned"] == 1
    cars[0].report(cars[0].offered(), "failure")
    made = server.expect(200, "POST", "/rest/v1/targets/car-1/assignedDS?allowDowngrade=true", {"id": older})
    assert made["assigned"] == 1


def test_a_rollout_goes_on_without_those_that_would_go_back(server, cars):
    installed(server, cars, "2.0", "car-1", "car-2")
    server.configure("driveline.downgrade.prevent", True)
    older = server.set_with("app", "1.0", b"older")
    rollout = server.rollout(name="back", distributionSetId=older, amountGroups=1)
    server.rollout_is(rollout, "ready")
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    cars[2].report(cars[2].offered(), "success")
    done = server.rollout_is(rollout, "finished")
    assert (done["totalTargetsPerStatus"]["cancelled"], done["totalTargetsPerStatus"]["finished"]) == (2, 1)
    action = server.expect(200, "GET", "/rest/v1/targets/car-1/actions")["content"][0]
    assert action["status"] == "canceled"
    assert "would go back from 2.0 to 1.0" in history(server, "car-1", action["id"])[0][1]
    assert cars[0].target()["updateStatus"] == "in_sync"
    told = server.rollout(name="told", distributionSetId=older, targetFilterQuery="id==car-1", allowDowngrade=True)
    assert server.rollout_is(told, "ready")["allowDowngrade"] is True
    server.expect(204, "POST", f"/rest/v1/rollouts/{told}/start")
    cars[0].offered()


def test_an_auto_assignment_passes_over_those_that_would_go_back(server, cars):
    installed(server, cars, "2.0", "car-1")
    server.configure("driveline.downgrade.prevent", True)
    older = server.set_with("app", "1.0", b"older")
    made = server.expect(201, "POST", "/rest/v1/targetfilters", {"name": "all", "query": "id==car-*"})
    server.expect(200, "POST", f"/rest/v1/targetfilters/{made['id']}/autoAssignDS", {"id": older})
    cars[1].offered()
    skipped = wait_until(lambda: [a for a in server.expect(200, "GET", "/rest/v1/targets/car-1/actions")["content"]
                                  if a["status"] == "canceled"], 10, "the note on car-1")
    assert "would go back" in history(server, "car-1", skipped[0]["id"])[0][1]


# ---- when rollouts go on -------------------------------------------------------------------------------------


def test_groups_start_in_their_window_only_or_when_a_person_says_so(server, cars):
    ds = server.set_with("app", "1", b"1")
    window = shifted(3)
    rollout = server.rollout(name="night", distributionSetId=ds, amountGroups=3, startWindow=window)
    assert server.rollout_is(rollout, "ready")["startWindow"] == window
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    server.rollout_is(rollout, "running")
    counts = server.expect(200, "GET", f"/rest/v1/rollouts/{rollout}")["totalTargetsPerStatus"]
    assert (counts["scheduled"], counts["running"]) == (3, 0)
    assert "deploymentBase" not in cars[0].poll()
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/triggerNextGroup")
    cars[0].report(cars[0].offered(), "success")
    groups = f"/rest/v1/rollouts/{rollout}/deploygroups?representation=full"
    wait_until(lambda: server.expect(200, "GET", groups)["content"][0]["status"] == "finished", 10, "the first group")
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/pause")
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/resume")
    states = [g["status"] for g in server.expect(200, "GET", groups)["content"]]
    assert states == ["finished", "scheduled", "scheduled"]
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/triggerNextGroup")
    cars[1].offered()


def test_windows_of_groups_take_the_rollouts_place_and_reach_the_actions(server, cars):
    ds = server.set_with("app", "1", b"1")
    open_now, later = shifted(0), shifted(5)
    open_now["schedule"] = "0 * * * * ?"
    rollout = server.rollout(name="w", distributionSetId=ds, startWindow=later, maintenanceWindow=later, groups=[
        {"name": "a", "targetPercentage": 34, "startWindow": open_now,
         "successCondition": {"condition": "THRESHOLD", "expression": "0"}},
        {"name": "b", "targetPercentage": 33, "startWindow": open_now, "maintenanceWindow": open_now},
        {"name": "c", "targetPercentage": 100}])
    server.rollout_is(rollout, "ready")
    groups = server.expect(200, "GET", f"/rest/v1/rollouts/{rollout}/deploygroups")["content"]
    assert [("startWindow" in g, "maintenanceWindow" in g) for g in groups] == [(True, False), (True, True), (False, False)]
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    first, second = cars[0].offered(), cars[1].offered()
    closed_one = server.device("GET", "car-1", f"/deploymentBase/{first}", token="GatewayToken gate")[1]["deployment"]
    open_one = server.device("GET", "car-2", f"/deploymentBase/{second}", token="GatewayToken gate")[1]["deployment"]
    assert (closed_one["update"], closed_one["maintenanceWindow"]) == ("skip", "unavailable")
    assert (open_one["update"], open_one["maintenanceWindow"]) == ("forced", "available")
    for car, action in zip(cars, (first, second)):
        car.report(action, "success")
    groups = f"/rest/v1/rollouts/{rollout}/deploygroups"
    wait_until(lambda: [g["status"] for g in server.expect(200, "GET", groups)["content"]]
               == ["finished", "finished", "scheduled"], 10, "the third group waits")
    assert server.expect(200, "GET", f"/rest/v1/rollouts/{rollout}")["status"] == "running"


@pytest.mark.parametrize("window", [{"schedule": "0 0 2 ? * SUN"}, {**shifted(1), "duration": "25:00:00"},
                                    {**shifted(1), "schedule": "every night"}])
def test_a_window_that_is_none_is_refused(server, cars, window):
    ds = server.set_with("app", "1", b"1")
    for member in ("startWindow", "maintenanceWindow"):
        answer = server.expect(400, "POST", "/rest/v1/rollouts", {
            "name": "x", "distributionSetId": ds, "amountGroups": 1, "targetFilterQuery": "id==*", member: window})
        assert answer["errorCode"] == "hawkbit.server.error.maintenanceScheduleInvalid"
