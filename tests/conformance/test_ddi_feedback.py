# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""DDI: the deployment and its feedback, cancellation, confirmation, installedBase, and what they do to the action.

Documents: hawkBit "Direct Device Integration API" (deploymentBase, cancelAction, confirmationBase, installedBase), "Action
life cycle" and "Maintenance window".
"""
import time

import pytest

from hawkbit import feedback, wait_until

EXECUTIONS = ("closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download")
FINISHED = ("success", "failure", "none")


# ---- deploymentBase (DDI deployment action) -------------------------------------------------------------


def test_a_deployment_names_its_files(hb):
    """DDI deploymentBase: chunks with artifacts, hashes, size and links."""
    ds, module = hb.ds_with_file(b"0123456789", "app image.bin")
    device, action = hb.deployed(ds=ds)
    document = device.follow("deploymentBase")
    assert document["id"] == str(action) and document["deployment"]["download"] == document["deployment"]["update"] == "forced"
    chunk, = document["deployment"]["chunks"]
    file, = chunk["artifacts"]
    known = hb.get(f"/softwaremodules/{module}")
    assert (chunk["name"], chunk["version"], chunk["part"]) == (known["name"], known["version"], "bApp")
    assert file["filename"] == "app image.bin" and file["size"] == 10
    assert file["hashes"] == {"sha1": "87acec17cd9dcd20a716cc2cf67417b71c8a7016", "md5": "781e5e245d69b566979b86e28d23f2c7",
                              "sha256": "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"}
    assert {"download-http", "md5sum-http"} <= set(file["_links"])


def test_module_types_keep_their_key(hb):
    """DDI deploymentBase: `part` is the module type's key; application is told as bApp."""
    ds = hb.ds([hb.module("os"), hb.module("application")], "os_app")
    device, _ = hb.deployed(ds=ds)
    chunks = device.follow("deploymentBase")["deployment"]["chunks"]
    assert {c["part"] for c in chunks} == {"os", "bApp"} and all(c["artifacts"] == [] for c in chunks)


@pytest.mark.parametrize("members, download, update", [
    ({}, "forced", "forced"), ({"type": "forced"}, "forced", "forced"), ({"type": "soft"}, "attempt", "attempt"),
    ({"type": "downloadonly"}, "forced", "skip"), ({"type": "timeforced", "forcetime": 4102444800000}, "attempt", "attempt"),
    ({"type": "timeforced", "forcetime": 1000}, "forced", "forced"),
])
def test_how_urgent_a_deployment_is(hb, members, download, update):
    """DDI deploymentBase: download and update of forced, soft, timeforced and downloadonly."""
    device, _ = hb.deployed(**members)
    deployment = device.follow("deploymentBase")["deployment"]
    assert (deployment["download"], deployment["update"]) == (download, update)


def test_a_soft_action_can_be_forced(hb):
    """Management actions: PUT forceType=forced reaches the device."""
    device, action = hb.deployed(type="soft")
    before = device.links()["deploymentBase"]["href"]
    hb.expect(200, "PUT", f"/targets/{device.id}/actions/{action}", {"forceType": "forced"})
    assert device.follow("deploymentBase")["deployment"]["update"] == "forced"
    assert before.split("?")[0] == device.links()["deploymentBase"]["href"].split("?")[0]


def test_visible_metadata_goes_to_the_device(hb):
    """DDI deploymentBase: metadata of a module with targetVisible."""
    module = hb.module()
    hb.expect(201, "POST", f"/softwaremodules/{module}/metadata", [
        {"key": "shown", "value": "1", "targetVisible": True}, {"key": "hidden", "value": "2"}])
    device, _ = hb.deployed(ds=hb.ds([module]))
    assert device.follow("deploymentBase")["deployment"]["chunks"][0]["metadata"] == [{"key": "shown", "value": "1"}]


def test_without_visible_metadata_there_is_no_member(hb):
    """DDI deploymentBase: metadata is absent when there is none."""
    device, _ = hb.deployed()
    assert "metadata" not in device.follow("deploymentBase")["deployment"]["chunks"][0]


def test_the_first_read_is_recorded(hb):
    """Action life cycle: GET deploymentBase makes the action 'retrieved', once."""
    device, action = hb.deployed()
    assert hb.action(device, action)["status"] == "running"
    device.follow("deploymentBase")
    device.follow("deploymentBase")
    assert hb.action(device, action)["status"] == "retrieved"
    newest, *older = hb.history(device, action)
    assert newest["type"] == "retrieved" and len(older) == 1
    assert newest["messages"] == ["Update Server: Target retrieved update action and should start now the download."]


@pytest.mark.parametrize("count, wanted", [(None, None), (0, None), (1, 1), (2, 2), (-1, 3), (1000, 3)])
def test_the_action_history_on_request(hb, count, wanted):
    """DDI deploymentBase: actionHistory=N newest messages; none by default, all for a negative number."""
    device, action = hb.deployed()
    device.report(action, "proceeding", "none", ["one"])
    device.report(action, "proceeding", "none", ["two"])
    document = device.get(f"/deploymentBase/{action}" + ("" if count is None else f"?actionHistory={count}"))
    if wanted is None:
        assert "actionHistory" not in document
    else:
        messages = document["actionHistory"]["messages"]
        assert messages[:2] == ["two", "one"][:wanted] and len(messages) == wanted
        assert document["actionHistory"]["status"] in ("RUNNING", "RETRIEVED")


@pytest.mark.parametrize("document", ["deploymentBase", "installedBase", "cancelAction", "confirmationBase"])
def test_an_unknown_action_is_not_found(hb, document):
    """DDI: 404 with the error document."""
    answer = hb.device().call("GET", f"/{document}/999999999")
    assert (answer.status, answer.code) == (404, "repo.entityNotFound")
    assert answer.json["info"] == {"type": "Action", "entityId": 999999999}


@pytest.mark.parametrize("document", ["deploymentBase", "installedBase", "cancelAction", "confirmationBase"])
def test_anothers_action_is_not_found(hb, document):
    """DDI: an action of another target is 404, without `info`."""
    _, action = hb.deployed()
    answer = hb.device().call("GET", f"/{document}/{action}")
    assert (answer.status, answer.code) == (404, "repo.entityNotFound") and "info" not in answer.json


def test_a_canceling_deployment_is_not_served(hb):
    """DDI deploymentBase: 404 without a body while the action is to be canceled."""
    device, action = hb.deployed()
    hb.cancel(device, action)
    answer = device.call("GET", f"/deploymentBase/{action}")
    assert answer.status == 404 and answer.body == b""


# ---- feedback (DDI deploymentBase feedback) -------------------------------------------------------------

ENTRY = {"canceled": "canceled", "rejected": "warning", "download": "download", "downloaded": "downloaded", "proceeding": "running",
         "scheduled": "running", "resumed": "running"}
DEFAULT_TEXT = {
    ("closed", "success"): "Update Server: Target reported CLOSED with OK!.", ("closed", "none"): "Update Server: Target reported CLOSED with OK!.",
    ("closed", "failure"): "Update Server: Target reported CLOSED with ERROR!.", "rejected": "Update Server: Target REJECTED update.",
    "download": "Update Server: Target confirmed download start.", "downloaded": "Update Server: Target confirmed download finished.",
    "canceled": "Update Server: Target confirmed cancellation..", "proceeding": "Update Server: Target reported PROCEEDING.",
    "scheduled": "Update Server: Target reported SCHEDULED.", "resumed": "Update Server: Target reported RESUMED."}


@pytest.mark.parametrize("finished", FINISHED)
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_what_a_report_does_to_the_action(hb, execution, finished):
    """DDI feedback: closed ends the action (failure: error), everything else is a note in its history."""
    device, action = hb.deployed()
    device.report(action, execution, finished)
    now, target, entry = hb.action(device, action), hb.target_of(device), hb.history(device, action)[0]
    if execution == "closed":
        wanted = "error" if finished == "failure" else "finished"
        assert (now["active"], now["status"], entry["type"]) == (False, wanted, wanted)
        assert target["updateStatus"] == ("error" if finished == "failure" else "in_sync")
    else:
        assert (now["active"], now["status"], entry["type"]) == (True, "running", ENTRY[execution])
        assert target["updateStatus"] == "pending"
    assert entry["messages"] == [DEFAULT_TEXT.get((execution, finished)) or DEFAULT_TEXT[execution]]


@pytest.mark.parametrize("execution, finished, status", [
    ("downloaded", "none", "downloaded"), ("downloaded", "success", "downloaded"), ("closed", "success", "finished"),
    ("closed", "failure", "error"), ("download", "none", "running")])
def test_a_download_only_action(hb, execution, finished, status):
    """Download-only assignment: `downloaded` ends it."""
    device, action = hb.deployed(type="downloadonly")
    device.report(action, execution, finished)
    now = hb.action(device, action)
    assert now["status"] == status and now["active"] is (status == "running")
    if status == "downloaded":
        assert hb.target_of(device)["updateStatus"] == "in_sync"
        assert hb.call("GET", f"/targets/{device.id}/installedDS").status == 204
        device.report(action, status=410)


def test_success_installs_the_set(hb):
    """DDI feedback: closed/success makes the assigned set the installed one."""
    ds = hb.ds()
    device, action = hb.deployed(ds=ds)
    device.report(action)
    assert hb.get(f"/targets/{device.id}/installedDS")["id"] == hb.get(f"/targets/{device.id}/assignedDS")["id"] == ds
    assert hb.target_of(device)["installedAt"] > 0


def test_failure_takes_the_assignment_back(hb):
    """DDI feedback: closed/failure leaves no assigned set, so that the same can be assigned again."""
    ds = hb.ds()
    device, action = hb.deployed(ds=ds)
    device.report(action, finished="failure")
    assert hb.call("GET", f"/targets/{device.id}/assignedDS").status == 204
    assert hb.assign(device.id, ds) not in (None, action)


@pytest.mark.parametrize("finished", ["success", "failure"])
def test_a_closed_action_takes_no_more_reports(hb, finished):
    """DDI feedback: 410 Gone without a body."""
    device, action = hb.deployed()
    device.report(action, finished=finished)
    assert device.report(action, "proceeding", "none", status=410).body == b""


def test_messages_are_kept_in_their_order(hb):
    """DDI feedback: details, then the status code's text."""
    device, action = hb.deployed()
    device.report(action, "proceeding", "none", ["first", "second"], code=42)
    entry = hb.history(device, action)[0]
    assert entry["messages"] == ["first", "second", "Device reported status code: 42"] and entry["code"] == 42


def test_the_last_code_is_the_actions(hb):
    """DDI feedback: lastStatusCode is that of the last report; a report without one removes it."""
    device, action = hb.deployed()
    device.report(action, "proceeding", "none", code=200)
    assert hb.action(device, action)["lastStatusCode"] == 200
    device.report(action, "proceeding", "none")
    assert "lastStatusCode" not in hb.action(device, action)


def test_a_long_message_is_split(hb):
    """DDI feedback: messages of more than 512 characters become several."""
    device, action = hb.deployed()
    device.report(action, "proceeding", "none", ["x" * 1300])
    assert sorted(map(len, hb.history(device, action)[0]["messages"])) == [276, 512, 512]


@pytest.mark.parametrize("details, wanted", [([], ["Update Server: Target reported PROCEEDING."]), ([""], [""]),
                                             (None, ["Update Server: Target reported PROCEEDING."])])
def test_a_report_without_details(hb, details, wanted):
    """DDI feedback: a default message, unless there is one, be it empty."""
    device, action = hb.deployed()
    body = feedback("proceeding", "none")
    body["status"]["details"] = details
    device.post(f"/deploymentBase/{action}/feedback", body)
    assert hb.history(device, action)[0]["messages"] == wanted


@pytest.mark.parametrize("change", [{"id": "8"}, {"id": 8, "time": "20140511T121314"}, {"timestamp": 1627997501890}, {"timestamp": "1627997501890"},
                                    {"unknown": {"a": [1]}}])
def test_other_members_of_a_report_are_no_matter(hb, change):
    """DDI feedback: id and time of older clients are ignored, the timestamp may be text."""
    device, action = hb.deployed()
    device.post(f"/deploymentBase/{action}/feedback", {**feedback("proceeding", "none"), **change})


@pytest.mark.parametrize("change", [{"progress": {"cnt": 1, "of": 2}}, {"progress": {}}, {"code": "42"}, {"code": -1}, {"code": None}])
def test_other_members_of_a_status(hb, change):
    """DDI feedback: progress and code in any form."""
    device, action = hb.deployed()
    body = feedback("proceeding", "none")
    body["status"].update(change)
    device.post(f"/deploymentBase/{action}/feedback", body)


@pytest.mark.parametrize("body", [
    {}, {"status": None}, {"status": {}}, {"status": {"execution": "closed"}}, {"status": {"result": {"finished": "success"}}},
    {"status": {"execution": "closed", "result": {}}}, {"status": {"execution": "CLOSED", "result": {"finished": "success"}}},
    {"status": {"execution": "done", "result": {"finished": "success"}}}, {"status": {"execution": "closed", "result": {"finished": "yes"}}},
    {"status": {"execution": "closed", "result": {"finished": "success"}, "details": "text"}},
    {"status": {"execution": "closed", "result": {"finished": "success"}, "code": "x"}},
    {"status": {"execution": "closed", "result": {"finished": "success", "progress": 5}}}, [], "text"])
def test_a_report_that_cannot_be_read(hb, body):
    """DDI feedback: 400 rest.body.notReadable, and the action stays as it was."""
    device, action = hb.deployed()
    answer = device.call("POST", f"/deploymentBase/{action}/feedback", body)
    assert (answer.status, answer.code) == (400, "rest.body.notReadable")
    assert hb.action(device, action)["status"] == "running" and len(hb.history(device, action)) == 1


@pytest.mark.parametrize("path", ["deploymentBase/{}/feedback", "cancelAction/{}/feedback", "confirmationBase/{}/feedback"])
def test_a_report_on_an_unknown_action(hb, path):
    """DDI feedback: 404."""
    body = {"confirmation": "confirmed"} if path.startswith("confirmation") else feedback()
    answer = hb.device().call("POST", "/" + path.format(999999999), body)
    assert (answer.status, answer.code) == (404, "repo.entityNotFound")


def test_a_report_on_anothers_action(hb):
    """DDI feedback: 404, and nothing happens to it."""
    owner, action = hb.deployed()
    assert hb.device().call("POST", f"/deploymentBase/{action}/feedback", feedback()).status == 404
    assert hb.action(owner, action)["active"] is True


@pytest.mark.parametrize("details, code, status", [(50, None, 200), (51, None, 429), (49, 1, 200), (50, 1, 429)])
def test_messages_of_one_report_are_limited(hb, details, code, status):
    """Quota: 50 messages a status entry, the code's text counted."""
    device, action = hb.deployed()
    more = {} if code is None else {"code": code}
    answer = device.report(action, "proceeding", "none", ["m"] * details, status=status, **more)
    assert status == 200 or answer.code == "quota.tooManyEntries"


def test_reports_of_one_action_are_limited(hb):
    """Quota: 1000 status entries an action; the closing one is always taken."""
    device, action = hb.deployed()
    answer = None
    for _ in range(1000):
        answer = device.call("POST", f"/deploymentBase/{action}/feedback", feedback("proceeding", "none"))
        if answer.status != 200:
            break
    assert (answer.status, answer.code) == (429, "quota.tooManyEntries")
    device.report(action)
    assert hb.action(device, action)["status"] == "finished"


# ---- cancelAction (DDI cancel action) -------------------------------------------------------------------


def test_a_canceled_action_is_told_to_the_device(hb):
    """DDI cancelAction: the poll links it, the document says what to stop."""
    device, action = hb.deployed()
    hb.cancel(device, action)
    assert device.follow("cancelAction") == {"id": str(action), "cancelAction": {"stopId": str(action)}}
    assert hb.action(device, action)["status"] == "canceling" and hb.action(device, action)["type"] == "cancel"
    assert hb.history(device, action)[0]["type"] == "retrieved"


CANCEL_ENTRY = {"canceled": "warning", "rejected": "cancel_rejected"}


@pytest.mark.parametrize("finished", FINISHED)
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_what_an_answer_to_a_cancellation_does(hb, execution, finished):
    """DDI cancelAction feedback: closed ends it (failure: it goes on), rejected lets it go on, others are notes."""
    device, action = hb.deployed()
    hb.cancel(device, action)
    device.answer_cancel(action, execution, finished)
    now, entry = hb.action(device, action), hb.history(device, action)[0]
    if execution == "closed" and finished != "failure":
        assert (now["status"], now["active"], entry["type"]) == ("canceled", False, "canceled")
        assert hb.target_of(device)["updateStatus"] == "in_sync"
    elif execution == "closed" or execution == "rejected":
        assert (now["status"], now["active"]) == ("running", True)
        assert entry["type"] == ("error" if execution == "closed" else "cancel_rejected")
        assert "deploymentBase" in device.links()
    else:
        assert (now["status"], now["active"], entry["type"]) == ("canceling", True, CANCEL_ENTRY.get(execution, "running"))


@pytest.mark.parametrize("finished, status", [("success", "finished"), ("failure", "error")])
def test_a_device_may_have_finished_before_it_saw_the_cancellation(hb, finished, status):
    """Action life cycle: a closing deployment feedback counts while canceling."""
    device, action = hb.deployed()
    hb.cancel(device, action)
    device.report(action, finished=finished)
    assert hb.action(device, action)["status"] == status


def test_cancelling_falls_back_to_what_is_installed(hb):
    """Action life cycle: after a cancellation the assigned set is the installed one."""
    first = hb.ds()
    device, action = hb.deployed(ds=first)
    device.report(action)
    second = hb.assign(device.id, hb.ds())
    hb.cancel(device, second)
    device.answer_cancel(second)
    assert hb.get(f"/targets/{device.id}/assignedDS")["id"] == first
    assert hb.target_of(device)["updateStatus"] == "in_sync"


@pytest.mark.parametrize("state", ["running", "finished", "error"])
def test_only_a_canceling_action_takes_an_answer_to_a_cancellation(hb, state):
    """DDI cancelAction feedback: 405 action.notCancelable."""
    device, action = hb.deployed()
    if state != "running":
        device.report(action, finished="failure" if state == "error" else "success")
    answer = device.answer_cancel(action, status=405)
    assert answer.code == "action.notCancelable"


@pytest.mark.parametrize("state", ["running", "finished"])
def test_without_a_cancellation_there_is_no_document(hb, state):
    """DDI cancelAction: 404 without a body."""
    device, action = hb.deployed()
    if state == "finished":
        device.report(action)
    answer = device.call("GET", f"/cancelAction/{action}")
    assert answer.status == 404 and answer.body == b""


def test_a_canceled_action_can_be_confirmed_again(hb):
    """DDI cancelAction feedback: an answer for an action that is canceled already is taken."""
    device, action = hb.deployed()
    hb.cancel(device, action)
    device.answer_cancel(action)
    device.answer_cancel(action)
    assert device.call("GET", f"/cancelAction/{action}").status == 200
    device.report(action, status=410)


def test_messages_of_a_cancellation(hb):
    """DDI cancelAction feedback: the server's text first, then details, then the code, then the end."""
    device, action = hb.deployed()
    hb.cancel(device, action)
    device.answer_cancel(action, details=["stopped"], code=7)
    assert hb.history(device, action)[0]["messages"] == [
        "Update Server: Cancellation confirmed.", "stopped", "Device reported status code: 7",
        "Update Server: Cancellation completion is finished successfully."]
    assert "lastStatusCode" not in hb.action(device, action)


def test_a_new_assignment_supersedes_the_old(hb):
    """Assignment: other open actions of the target are canceled, the new one can be read at once."""
    device, old = hb.deployed()
    new = hb.assign(device.id, hb.ds())
    assert hb.action(device, old)["status"] == "canceling"
    assert hb.history(device, old)[0]["messages"] == ["Update Server: cancel obsolete action due to new update"]
    assert device.get(f"/deploymentBase/{new}")["id"] == str(new)
    device.answer_cancel(old)
    assert device.links()["deploymentBase"]["href"].split("?")[0].endswith(f"/{new}")
    assert hb.target_of(device)["updateStatus"] == "pending"


def test_autoclose_ends_the_old_at_once(hb):
    """Tenant configuration repository.actions.autoclose.enabled: superseded actions are canceled without asking."""
    hb.configure("repository.actions.autoclose.enabled", True)
    device, old = hb.deployed()
    new = hb.assign(device.id, hb.ds())
    assert (hb.action(device, old)["status"], hb.action(device, old)["active"]) == ("canceled", False)
    assert device.links()["deploymentBase"]["href"].split("?")[0].endswith(f"/{new}")


def test_a_migration_step_is_not_superseded(hb):
    """Distribution sets: requiredMigrationStep keeps its action open beside a new one."""
    device, old = hb.deployed(ds=hb.ds(requiredMigrationStep=True))
    new = hb.assign(device.id, hb.ds())
    assert hb.action(device, old)["status"] == "running"
    assert device.links()["deploymentBase"]["href"].split("?")[0].endswith(f"/{old}")
    device.report(old)
    assert device.links()["deploymentBase"]["href"].split("?")[0].endswith(f"/{new}")


# ---- installedBase (DDI installed action) ---------------------------------------------------------------


def test_the_installed_deployment_can_be_read_again(hb):
    """DDI installedBase: the same document as deploymentBase, and nothing is recorded."""
    ds, _ = hb.ds_with_file()
    device, action = hb.deployed(ds=ds)
    device.report(action)
    rows = len(hb.history(device, action))
    document = device.follow("installedBase")
    assert document["id"] == str(action) and document["deployment"]["chunks"][0]["artifacts"][0]["filename"] == "fw.bin"
    assert len(hb.history(device, action)) == rows and hb.action(device, action)["status"] == "finished"
    assert "messages" in device.get(f"/installedBase/{action}?actionHistory=5")["actionHistory"]


@pytest.mark.parametrize("state", ["running", "canceling", "canceled"])
def test_what_is_not_installed_has_no_installed_base(hb, state):
    """DDI installedBase: 404 while the action is open or canceled."""
    device, action = hb.deployed()
    if state != "running":
        hb.cancel(device, action)
    if state == "canceled":
        device.answer_cancel(action)
    assert device.call("GET", f"/installedBase/{action}").status == 404


def test_a_device_reports_what_it_has(hb):
    """DDI PUT installedBase: name and version of a set make a finished action."""
    made = hb.get(f"/distributionsets/{hb.ds()}")
    device = hb.device()
    body = {"name": made["name"].upper(), "version": made["version"]}
    assert device.call("PUT", "/installedBase", body).status == 201
    assert hb.get(f"/targets/{device.id}/installedDS")["id"] == made["id"]
    assert hb.target_of(device)["updateStatus"] == "in_sync"
    assert device.call("PUT", "/installedBase", body).status == 200


def test_while_an_update_is_pending_the_report_changes_nothing(hb):
    """DDI PUT installedBase: 200 without effect."""
    device, action = hb.deployed()
    other = hb.get(f"/distributionsets/{hb.ds()}")
    assert device.call("PUT", "/installedBase", {"name": other["name"], "version": other["version"]}).status == 200
    assert hb.call("GET", f"/targets/{device.id}/installedDS").status == 204 and hb.action(device, action)["active"]


def test_an_unknown_set_is_not_installed(hb):
    """DDI PUT installedBase: 404."""
    answer = hb.device().call("PUT", "/installedBase", {"name": hb.name("none"), "version": "1"})
    assert (answer.status, answer.code) == (404, "repo.entityNotFound")


@pytest.mark.parametrize("body, code", [({"name": "x"}, "rest.body.notReadable"), ({"version": "1"}, "rest.body.notReadable"),
                                        ({"name": None, "version": "1"}, "repo.constraintViolation")])
def test_a_report_of_an_installed_set_needs_both(hb, body, code):
    """DDI PUT installedBase: name and version."""
    answer = hb.device().call("PUT", "/installedBase", body)
    assert (answer.status, answer.code) == (400, code)


# ---- confirmation (DDI confirmationBase, tenant configuration user.confirmation.flow.enabled) -----------


@pytest.fixture
def flow(hb):
    hb.configure("user.confirmation.flow.enabled", True)
    return hb


def test_an_action_waits_for_its_confirmation(flow):
    """Confirmation flow: the poll links confirmationBase in place of deploymentBase."""
    device, action = flow.deployed()
    assert flow.action(device, action)["status"] == "wait_for_confirmation"
    links = device.links()
    assert "deploymentBase" not in links and f"/confirmationBase/{action}?c=" in links["confirmationBase"]["href"]
    document = device.follow("confirmationBase")
    assert document["id"] == str(action) and len(document["confirmation"]["chunks"]) == 1
    assert flow.target_of(device)["updateStatus"] == "pending"


def test_a_confirmed_action_is_deployed(flow):
    """DDI confirmationBase feedback: confirmed."""
    device, action = flow.deployed()
    device.confirm(action, details=["yes"], code=11)
    assert flow.action(device, action)["status"] == "running" and flow.action(device, action)["lastStatusCode"] == 11
    messages = flow.history(device, action)[0]["messages"]
    assert messages[0] == "yes" and messages[-1] == "Confirmation status code: 11"
    device.follow("deploymentBase")


def test_a_denied_action_keeps_waiting(flow):
    """DDI confirmationBase feedback: denied."""
    device, action = flow.deployed()
    device.confirm(action, "denied")
    assert flow.action(device, action)["status"] == "wait_for_confirmation" and "confirmationBase" in device.links()


@pytest.mark.parametrize("what", ["deployment", "feedback"])
def test_before_its_confirmation_there_is_no_deployment(flow, what):
    """Confirmation flow: 404 without a body."""
    device, action = flow.deployed()
    answer = device.call("GET", f"/deploymentBase/{action}") if what == "deployment" else device.report(action, status=404)
    assert answer.status == 404 and answer.body == b""


@pytest.mark.parametrize("state, status", [("running", 404), ("canceling", 404), ("closed", 410)])
def test_only_a_waiting_action_can_be_confirmed(flow, state, status):
    """DDI confirmationBase feedback: 404 for one that runs, 410 for a closed one, both without a body."""
    device, action = flow.deployed()
    if state == "canceling":
        flow.cancel(device, action)
    else:
        device.confirm(action)
    if state == "closed":
        device.report(action)
    assert device.confirm(action, status=status).body == b""


@pytest.mark.parametrize("body", [{}, {"confirmation": None}, {"confirmation": "maybe"}, {"confirmation": "CONFIRMED"},
                                  {"confirmation": "confirmed", "details": "text"}])
def test_a_confirmation_that_cannot_be_read(flow, body):
    """DDI confirmationBase feedback: 400."""
    device, action = flow.deployed()
    assert device.call("POST", f"/confirmationBase/{action}/feedback", body).status == 400


def test_an_assignment_may_need_no_confirmation(flow):
    """Confirmation flow: confirmationRequired=false."""
    device, action = flow.deployed(confirmationRequired=False)
    assert flow.action(device, action)["status"] == "running" and "deploymentBase" in device.links()


def test_without_the_flow_no_confirmation_is_needed(hb):
    """Confirmation flow: confirmationRequired counts only while the flow is on."""
    device, action = hb.deployed(confirmationRequired=True)
    assert hb.action(device, action)["status"] == "running"


def test_the_state_of_auto_confirmation(hb):
    """DDI confirmationBase: autoConfirm and the link that changes it."""
    device = hb.device()
    document = device.get("/confirmationBase")
    assert document["autoConfirm"] == {"active": False, "activatedAt": 0}
    assert document["_links"]["activateAutoConfirm"]["href"].endswith("/confirmationBase/activateAutoConfirm")
    device.post("/confirmationBase/activateAutoConfirm", {"initiator": "me", "remark": "night shift"})
    document = device.get("/confirmationBase")
    assert document["autoConfirm"]["active"] and document["autoConfirm"]["initiator"] == "me"
    assert document["autoConfirm"]["remark"] == "night shift" and "deactivateAutoConfirm" in document["_links"]
    device.post("/confirmationBase/deactivateAutoConfirm", {})
    assert device.get("/confirmationBase")["autoConfirm"]["active"] is False


def test_auto_confirmation_is_activated_once(hb):
    """DDI activateAutoConfirm: 409 when it is active; deactivating twice is fine."""
    device = hb.device()
    device.post("/confirmationBase/activateAutoConfirm", {})
    assert device.post("/confirmationBase/activateAutoConfirm", {}, status=409).code == "repo.autoConfAlreadyActive"
    for _ in range(2):
        device.post("/confirmationBase/deactivateAutoConfirm", {})


def test_auto_confirmation_confirms_what_waits(flow):
    """DDI activateAutoConfirm: waiting actions are confirmed, later ones run at once."""
    device, action = flow.deployed()
    device.post("/confirmationBase/activateAutoConfirm", {"initiator": "me"})
    assert flow.action(device, action)["status"] == "running"
    assert flow.target_of(device)["autoConfirmActive"] is True
    later = flow.assign(device.id, flow.ds())
    assert flow.action(device, later)["status"] == "running"


def test_an_operator_can_confirm(flow):
    """Management actions: PUT confirmation."""
    device, action = flow.deployed()
    path = f"/targets/{device.id}/actions/{action}/confirmation"
    flow.expect(204, "PUT", path, {"confirmation": "denied"})
    assert flow.action(device, action)["status"] == "wait_for_confirmation"
    flow.expect(204, "PUT", path, {"confirmation": "confirmed", "code": 3, "details": ["by hand"]})
    assert flow.action(device, action)["status"] == "running"
    assert flow.call("PUT", path, {"confirmation": "confirmed"}).status == 404


def test_switching_the_flow_off_releases_nothing(flow):
    """Confirmation flow: what waits goes on waiting."""
    device, action = flow.deployed()
    flow.configure("user.confirmation.flow.enabled", False)
    assert "confirmationBase" in device.links()
    device.confirm(action)
    assert "deploymentBase" in device.links()


# ---- maintenance windows --------------------------------------------------------------------------------


def window(start_in_s, duration):
    t = time.gmtime(time.time() + start_in_s)
    return {"schedule": f"{t.tm_sec} {t.tm_min} {t.tm_hour} {t.tm_mday} {t.tm_mon} ? {t.tm_year}", "duration": duration, "timezone": "+00:00"}


def test_outside_the_window_the_device_may_download_only(hb):
    """Maintenance window: update=skip, maintenanceWindow=unavailable before it opens."""
    device, action = hb.deployed(maintenanceWindow=window(3600, "00:10:00"))
    deployment = device.follow("deploymentBase")["deployment"]
    assert (deployment["download"], deployment["update"], deployment["maintenanceWindow"]) == ("forced", "skip", "unavailable")
    shown = hb.action(device, action)["maintenanceWindow"]
    assert shown["duration"] == "00:10:00" and abs(shown["nextStartAt"] / 1000 - time.time() - 3600) < 60 * 60


def test_in_the_window_the_device_may_install(hb):
    """Maintenance window: maintenanceWindow=available while it is open."""
    device, _ = hb.deployed(maintenanceWindow={"schedule": "0 0 * * * ?", "duration": "01:00:00", "timezone": "+00:00"})
    deployment = device.follow("deploymentBase")["deployment"]
    assert (deployment["update"], deployment["maintenanceWindow"]) == ("forced", "available")


def test_before_a_window_the_device_polls_more_often(hb):
    """Maintenance window: polls are spread over the time until it opens (maintenanceWindowPollCount)."""
    hb.configure("pollingTime", "12:00:00")
    hb.configure("maintenanceWindowPollCount", 4)
    device, _ = hb.deployed(maintenanceWindow=window(3600, "00:10:00"))
    h, m, s = map(int, device.poll()["config"]["polling"]["sleep"].split(":"))
    assert 600 <= h * 3600 + m * 60 + s <= 910


def test_an_action_without_a_further_window_is_canceled(hb):
    """Maintenance window: when no window is left, the poll cancels the action."""
    device, action = hb.deployed(maintenanceWindow=window(3, "00:00:01"))
    wait_until(lambda: "deploymentBase" not in device.links(), "the window to be over", 30)
    assert hb.action(device, action)["type"] == "cancel"


@pytest.mark.parametrize("change", [
    {"schedule": ""}, {"schedule": "0 0 3 * *"}, {"schedule": "0 0 0 1 1 ? 2015"}, {"schedule": "nonsense"}, {"duration": "PT10M"}, {"duration": "24:00:00"},
    {"duration": ""}, {"timezone": "Europe/Berlin"}, {"timezone": "+25:00"}, {"schedule": None}, {"duration": None}, {"timezone": None}])
def test_a_window_that_cannot_be(hb, change):
    """Maintenance window: 400 maintenanceScheduleInvalid."""
    device = hb.device()
    body = {"id": hb.ds(), "maintenanceWindow": {**window(3600, "00:10:00"), **change}}
    hb.refuse(400, "maintenanceScheduleInvalid", "POST", f"/targets/{device.id}/assignedDS", body)


def test_an_empty_window_is_none(hb):
    """Maintenance window: `{}` means that there is none."""
    device, action = hb.deployed(maintenanceWindow={})
    assert "maintenanceWindow" not in device.follow("deploymentBase")["deployment"]
    assert "maintenanceWindow" not in hb.action(device, action)
