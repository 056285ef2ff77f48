# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Where the update server does more than hawkBit: each behind a setting, each without effect until it is set."""
import base64
import contextlib
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import re
import threading

import pytest

from conftest import ROOT, free_port, http_json, thing_context, upload, wait_until
from mqtt_client import Mqtt
from test_ota import ADMIN, Server, action_of, closed


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


def test_each_of_our_settings_is_documented():
    source = (ROOT / "src/cloud/ota/settings.h").read_text() + (ROOT / "src/cloud/ota/settings.c").read_text()
    keys = {key for key in re.findall(r'"(driveline\.[a-z.]+)"', source) if not key.endswith(".")}
    assert len(keys) >= 8
    document = (ROOT / "docs/update-server.md").read_text()
    assert [key for key in sorted(keys) if f"`{key}`" not in document] == []


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


# ---- why ---------------------------------------------------------------------------------------------------------


def why(server, path, status=200, **more):
    return server.expect(status, "GET", f"/rest/v1/{path}/why", **more)


def test_each_part_says_what_it_waits_for_and_the_move_works(server, cars):
    ds = server.set_with("app", "1", b"1")
    assert why(server, "targets/car-1")["reason"] == "nothing"
    rollout = server.rollout(name="r", distributionSetId=ds, amountGroups=3)
    server.rollout_is(rollout, "ready")
    answer = why(server, f"rollouts/{rollout}")
    assert answer["reason"] == "start"
    move = answer["moves"][0]
    assert move["verb"] == f"driveline rollout start {rollout}"
    server.expect(204, move["method"], move["path"])
    server.rollout_is(rollout, "running")
    groups = [g["id"] for g in server.expect(200, "GET", f"/rest/v1/rollouts/{rollout}/deploygroups")["content"]]
    action = cars[0].offered()
    assert why(server, f"rollouts/{rollout}")["reason"] == "reports"
    assert why(server, f"rollouts/{rollout}/deploygroups/{groups[0]}")["reason"] == "reports"
    later = why(server, f"rollouts/{rollout}/deploygroups/{groups[2]}")
    assert (later["reason"], later["status"]) == ("previous-group", "scheduled")
    answer = why(server, "targets/car-1")
    assert (answer["kind"], answer["id"], answer["reason"]) == ("action", str(action), "device-poll")
    assert why(server, f"actions/{action}") == {**answer, "details": [
        line for line in answer["details"] if not line.startswith("target ")]}
    scheduled = server.expect(200, "GET", "/rest/v1/targets/car-3/actions")["content"][0]["id"]
    answer = why(server, f"actions/{scheduled}")
    assert answer["reason"] == "group"
    assert server.expect(200, "GET", answer["moves"][0]["path"])["kind"] == "group"
    move = next(m for m in later["moves"] if m["path"].endswith("triggerNextGroup"))
    server.expect(204, move["method"], move["path"])
    cars[1].offered()
    move = next(m for m in why(server, f"actions/{action}")["moves"] if m["what"] == "withdraw it")
    server.expect(204, move["method"], move["path"])
    answer = why(server, f"actions/{action}")
    assert answer["reason"] == "cancel-answer"
    server.expect(204, answer["moves"][0]["method"], answer["moves"][0]["path"])
    assert why(server, f"actions/{action}")["reason"] == "nothing"
    for unknown in ("actions/9999", "rollouts/9999", f"rollouts/9999/deploygroups/{groups[0]}", "targets/nobody"):
        why(server, unknown, 404)
    why(server, f"rollouts/{rollout}", 403, user="reader:r")
    why(server, f"rollouts/{rollout}", 404, user="other:o")


# ---- events ------------------------------------------------------------------------------------------------------


class Stream:
    """An open event stream, read in a thread."""

    def __init__(self, server, query="", last=None, user=ADMIN):
        self.events, self.status = [], None
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode(), "Accept": "text/event-stream"}
        self.connection.request("GET", f"/rest/v1/events{query}", headers={
            **headers, **({"Last-Event-ID": str(last)} if last is not None else {})})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.socket = self.connection.sock or self.answer.fp.raw._sock
        self.thread = threading.Thread(target=self.read, daemon=True)
        if self.status == 200:
            self.thread.start()

    def read(self):
        fields = {}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while True:
                line = self.answer.readline().decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    self.events.append((int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
                    fields = {}
                elif not fields:
                    return
                else:
                    fields = {}

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(2)
        self.connection.close()

    def types(self):
        return [kind for _, kind, _ in self.events]

    def wait_for(self, kind, match=lambda data: True):
        return wait_until(lambda: next((event for event in self.events if event[1] == kind and match(event[2]["data"])), None),
                          15, f"an event {kind}; there are {self.types()}")


@pytest.fixture
def listen(server):
    opened = []

    def make(*args, **more):
        opened.append(Stream(server, *args, **more))
        return opened[-1]
    yield make
    assert server.program.stop() == 0  # also with all of them open
    for stream in opened:
        stream.close()


def test_no_events_are_recorded_before_the_setting_says_so(server, listen):
    stream = listen()
    assert stream.status == 409
    answer = server.expect(409, "POST", "/rest/v1/webhooks", {"url": "http://127.0.0.1:1/", "secret": "x" * 16})
    assert answer["errorCode"] == "driveline.server.error.eventsOff" and "driveline.events.enabled" in answer["message"]


def test_the_stream_tells_what_happens_and_goes_on_where_it_was(server, listen):
    server.gateway()
    server.configure("driveline.events.enabled", True)
    stream = listen()
    assert stream.answer.getheader("Content-Type").startswith("text/event-stream")
    cars = [Car(server, f"car-{n}") for n in (1, 2)]
    stream.wait_for("target.registered", lambda data: data["controllerId"] == "car-2")
    ds = server.set_with("app", "1", b"1")
    rollout = server.rollout(name="r", distributionSetId=ds, amountGroups=1)
    stream.wait_for("rollout.status", lambda data: data["status"] == "ready")
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    group = stream.wait_for("rollout.group", lambda data: data["status"] == "running")
    assert (group[2]["data"]["targets"], group[2]["data"]["rollout"]) == (2, rollout)
    for car in cars:
        car.report(car.offered(), "success" if car.name == "car-1" else "failure")
    done = stream.wait_for("action.finished", lambda data: data["status"] == "error")
    assert done[2]["data"]["controllerId"] == "car-2" and done[0] == done[2]["id"]
    assert stream.types().count("action.finished") == 2 and "action.status" not in stream.types()
    server.expect(204, "POST", f"/rest/v1/distributionsets/{ds}/invalidate", {"actionCancelationType": "none"})
    last = stream.wait_for("distributionset.invalidated")[0]
    ids = [number for number, _, _ in stream.events]
    assert ids == sorted(set(ids)) and 0 not in ids
    again = listen(last=group[0])
    again.wait_for("distributionset.invalidated")
    assert [e[0] for e in again.events if e[0] <= last] == [i for i in ids if group[0] < i <= last]
    some = listen("?types=rollout.status,distributionset&since=0")
    some.wait_for("distributionset.invalidated")
    assert set(some.types()) == {"rollout.status", "distributionset.invalidated"}


def test_a_stream_shows_only_what_its_reader_may_see(server, listen):
    server.configure("driveline.events.enabled", True)
    server.expect(204, "PUT", "/rest/v1/system/configs/driveline.events.enabled", {"value": True}, user="other:o")
    reader, other = listen(user="reader:r"), listen(user="other:o")
    ds = server.set_with("app", "1", b"1")
    server.expect(204, "POST", f"/rest/v1/distributionsets/{ds}/invalidate", {"actionCancelationType": "none"})
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "seen"}])
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "theirs"}], user="other:o")
    reader.wait_for("target.registered")
    other.wait_for("target.registered")
    assert reader.types() == ["target.registered"] and reader.events[0][2]["data"]["controllerId"] == "seen"
    assert other.types() == ["target.registered"] and other.events[0][2]["data"]["controllerId"] == "theirs"


def test_streams_are_bounded_and_hold_no_server_back(server, listen):
    server.configure("driveline.events.enabled", True)
    opened = [listen() for _ in range(33)]
    assert [stream.status for stream in opened] == [200] * 32 + [429]
    assert opened[-1].answer.getheader("Retry-After")
    opened[0].close()
    wait_until(lambda: listen().status == 200, 15, "room for another stream")
    # the server's end, with 32 of them open, is checked by the fixture


class Receiver:
    """What a web-hook points to. `status` is what it answers; an answer of 0 cuts the connection."""

    def __init__(self):
        self.requests, self.status = [], 200
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.requests.append((self.path, dict(self.headers), body, owner.status))
                if not owner.status:
                    self.connection.close()
                    return
                self.send_response(owner.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?from=driveline"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def events(self, answered=200):
        return [event for _, _, body, status in list(self.requests) if status == answered
                for event in json.loads(body)["events"]]


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


SECRET = "a secret of enough length"


def given_hook(server, url, *types):
    server.configure("driveline.events.enabled", True)
    return server.expect(201, "POST", "/rest/v1/webhooks", {"url": url, "secret": SECRET, "types": list(types)})["id"]


def hook(server, number):
    return server.expect(200, "GET", f"/rest/v1/webhooks/{number}")


def test_a_hook_gets_signed_events_of_its_types(server, receiver):
    number = given_hook(server, receiver.url, "target")
    server.set_with("app", "1", b"1")
    for name in ("a", "b"):
        server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": name}])
    server.expect(204, "POST", f"/rest/v1/webhooks/{number}/test")
    wait_until(lambda: len(receiver.events()) == 3, 15, "three events")
    assert [event["type"] for event in receiver.events()] == ["target.registered"] * 2 + ["webhook.test"]
    path, headers, body, _ = receiver.requests[0]
    assert path == "/hook?from=driveline" and headers["Content-Type"].startswith("application/json")
    assert headers["X-Driveline-Signature"] == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    shown = wait_until(lambda: (lambda h: h if h["delivered"] == 3 else None)(hook(server, number)), 5, "the count")
    assert SECRET not in json.dumps(shown) and shown["enabled"] and shown["failures"] == 0
    assert server.expect(200, "GET", "/rest/v1/webhooks")["total"] == 1
    server.expect(404, "GET", f"/rest/v1/webhooks/{number}", user="other:o")
    server.expect(403, "GET", f"/rest/v1/webhooks/{number}", user="reader:r")
    server.expect(204, "DELETE", f"/rest/v1/webhooks/{number}")
    server.expect(404, "GET", f"/rest/v1/webhooks/{number}")


@pytest.mark.parametrize("broken", [500, 302, 0])
def test_what_a_hook_refuses_is_sent_again(server, receiver, broken):
    receiver.status = broken
    number = given_hook(server, receiver.url)
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "a"}])
    failing = wait_until(lambda: (lambda h: h if h["failures"] >= 2 else None)(hook(server, number)), 20, "two failures")
    assert failing["enabled"] and failing["reason"]
    assert not broken or str(broken) in failing["reason"]
    receiver.status = 200
    wait_until(lambda: receiver.events(), 20, "the delivery")
    assert [event["data"]["controllerId"] for event in receiver.events()] == ["a"]
    assert {path for path, _, _, _ in receiver.requests} == {"/hook?from=driveline"}  # no redirect was followed
    wait_until(lambda: "reason" not in hook(server, number), 5, "the recovery")


def test_nothing_for_a_hook_is_lost_over_a_kill(server, receiver):
    receiver.status = 503
    given_hook(server, receiver.url)
    for name in ("a", "b"):
        server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": name}])
    wait_until(lambda: receiver.requests, 15, "the first attempt")
    server.program.kill()
    receiver.status = 200
    server.start()
    wait_until(lambda: len(receiver.events()) >= 2, 60, "the delivery after the restart")
    assert [event["data"]["controllerId"] for event in receiver.events()] == ["a", "b"]


def test_a_hook_that_fails_for_too_long_is_disabled_and_may_be_enabled_again(server, receiver):
    server.configure("driveline.webhook.giveup", "1")
    number = given_hook(server, f"http://127.0.0.1:{free_port()}/")
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "a"}])
    shown = wait_until(lambda: (lambda h: None if h["enabled"] else h)(hook(server, number)), 30, "the end")
    assert "disabled" in shown["reason"] and shown["failures"] >= 2
    server.expect(204, "POST", f"/rest/v1/webhooks/{number}/enable")
    assert hook(server, number)["enabled"]


@pytest.mark.parametrize("body", [
    {"url": "ftp://host/", "secret": SECRET}, {"url": "http://", "secret": SECRET}, {"url": "http://u:p@host/", "secret": SECRET},
    {"url": "http://host/\r\nX: y", "secret": SECRET}, {"url": "http://host/", "secret": "short"},
    {"url": "http://host/", "secret": SECRET, "types": ["a b"]}, {"secret": SECRET}])
def test_a_hook_that_is_none_is_refused(server, body):
    server.configure("driveline.events.enabled", True)
    server.expect(400, "POST", "/rest/v1/webhooks", body)


# ---- hints: poll now ---------------------------------------------------------------------------------------------


def test_whatever_waits_for_a_car_is_hinted_at_once(shared_cloud, tmp_path):
    cloud, name = shared_cloud, "hinted"
    files = cloud.create_thing(name)
    context = thing_context(files, name)
    package = tmp_path / "app.zip"
    package.write_bytes(b"whatever")
    sets = [upload(cloud, "hint-app", version, package) for version in ("1", "2", "3")]

    def expect(status, *call):
        got, answer = cloud.api(*call)
        assert got == status, (call, got, answer)
        return answer

    def device(method, path="", body=None):
        return http_json(method, f"https://127.0.0.1:{cloud.https_port}/DEFAULT/controller/v1/{name}{path}", body,
                         context=context)[1]
    device("GET")
    device("PUT", "/configData", {"data": {"a": "b"}})
    with Mqtt(cloud.mqtt_port, context, name) as mqtt:
        mqtt.subscribe(f"device/{name}/poll")
        mqtt.socket.settimeout(30)

        def hinted(what):
            topic = mqtt.receive()[0]
            assert topic == f"device/{name}/poll", what

        def assign(ds, kind="forced"):
            made = expect(200, "POST", f"/rest/v1/targets/{name}/assignedDS", {"id": ds, "type": kind})
            return made["assignedActions"][0]["id"]
        action = assign(sets[0], "soft")
        hinted("assignment")
        expect(200, "PUT", f"/rest/v1/targets/{name}/actions/{action}", {"forceType": "forced"})
        hinted("forced")
        expect(204, "DELETE", f"/rest/v1/targets/{name}/actions/{action}")
        hinted("cancel")
        device("POST", f"/cancelAction/{action}/feedback", closed("success"))
        expect(200, "PUT", f"/rest/v1/targets/{name}", {"requestAttributes": True})
        hinted("requestAttributes")
        expect(204, "PUT", "/rest/v1/system/configs/user.confirmation.flow.enabled", {"value": True})
        action = assign(sets[1])
        hinted("assignment that waits for a confirmation")
        expect(204, "PUT", f"/rest/v1/targets/{name}/actions/{action}/confirmation", {"confirmation": "confirmed"})
        hinted("confirmation")
        device("POST", f"/deploymentBase/{action}/feedback", closed("success"))
        expect(204, "PUT", "/rest/v1/system/configs/user.confirmation.flow.enabled", {"value": False})
        made = expect(201, "POST", "/rest/v1/rollouts", {"name": "hints", "distributionSetId": sets[2],
                                                         "targetFilterQuery": f"id=={name}"})
        wait_until(lambda: cloud.api("GET", f"/rest/v1/rollouts/{made['id']}")[1]["status"] == "ready", 15, "ready")
        expect(204, "POST", f"/rest/v1/rollouts/{made['id']}/start")
        hinted("group start")
        expect(204, "POST", f"/rest/v1/rollouts/{made['id']}/stop")
        hinted("stopped rollout")
