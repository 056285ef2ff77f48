# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""DDI: the poll, its links and intervals, content negotiation, ETag, configData.

Documents: hawkBit "Direct Device Integration API" (root resource, configData), "Polling" and "Tenant configuration".
"""
import json

import pytest

from hawkbit import Device, cbor_decode, cbor_encode, escape, feedback

# ---- the poll (DDI root resource) -----------------------------------------------------------------------


def test_a_poll_tells_when_to_poll_next(hb):
    """DDI root resource: config.polling.sleep is HH:MM:SS."""
    sleep = hb.device().poll()["config"]["polling"]["sleep"]
    assert len(sleep) == 8 and sleep[2] == sleep[5] == ":" and sleep.replace(":", "").isdigit()


def test_a_fresh_target_is_asked_for_its_attributes(hb):
    """DDI root resource: configData is offered until the device sent its attributes."""
    device = hb.device()
    assert set(device.links()) == {"configData"}
    device.configure({"hw": "1"})
    assert "_links" not in device.poll()


def test_the_first_poll_registers_a_known_target(hb):
    """DDI root resource: a target in UNKNOWN becomes REGISTERED by its first poll."""
    device = hb.device(poll=False)
    assert hb.target_of(device)["updateStatus"] == "unknown"
    device.poll()
    assert hb.target_of(device)["updateStatus"] == "registered"


def test_a_poll_shows_in_the_targets_poll_status(hb):
    """Management targets: pollStatus and lastControllerRequestAt exist once the device polled."""
    device = hb.device(poll=False)
    assert "pollStatus" not in hb.target_of(device)
    device.poll()
    target = hb.target_of(device)
    assert target["pollStatus"]["overdue"] is False
    assert target["pollStatus"]["nextExpectedRequestAt"] > target["pollStatus"]["lastRequestAt"]


def test_a_poll_stores_the_address(hb):
    """DDI root resource: the target's address is the client's."""
    device = hb.device()
    target = hb.target_of(device)
    assert target["address"] == f"http://{target['ipAddress']}"


def test_forwarded_for_gives_the_address(hb):
    """DDI behind a proxy: the first address of X-Forwarded-For is the device's."""
    device = hb.device(poll=False)
    device.get(X_Forwarded_For="10.11.12.13, 10.0.0.1")
    assert hb.target_of(device)["ipAddress"] == "10.11.12.13"


def test_links_are_absolute_and_have_the_host_of_the_request(hb):
    """DDI links: scheme and Host of the request."""
    device = hb.device()
    href = device.call("GET", headers={}).json["_links"]["configData"]["href"]
    assert href == f"{hb.server.base}{device.base}/configData"


def test_links_keep_the_tenant_as_it_was_written(hb):
    """DDI: the tenant matches without case, the links repeat its spelling."""
    device = hb.device()
    lower = Device(hb.server, device.id, "")
    lower.headers, lower.base = device.headers, device.base.replace(f"/{hb.server.tenant}/", f"/{hb.server.tenant.lower()}/")
    assert f"/{hb.server.tenant.lower()}/controller/v1/" in lower.links()["configData"]["href"]


@pytest.mark.parametrize("character", [":", "+", "@", "~", ",", "'", "(", "!", "$", "*", "ü"])
def test_a_controller_id_may_hold_special_characters(hb, character):
    """DDI: the id in a link is escaped but for letters, digits and - . _ ~"""
    device = hb.device(controllerId=hb.name() + character + "e")
    assert f"/{escape(device.id)}/configData" in device.links()["configData"]["href"]


def test_a_deployment_link_carries_the_hash(hb):
    """DDI root resource: deploymentBase/{id}?c={hash}, so that the ETag changes with the deployment."""
    device, action = hb.deployed()
    href = device.links()["deploymentBase"]["href"]
    before, _, tail = href.rpartition("/")
    number, _, mark = tail.partition("?c=")
    assert before.endswith("/deploymentBase") and int(number) == action and int(mark) is not None


def test_there_is_one_action_link_at_most(hb):
    """DDI root resource: of two open actions the older one's cancellation is served first."""
    device, first = hb.deployed()
    hb.assign(device.id, hb.ds())
    links = device.links()
    assert "cancelAction" in links and "deploymentBase" not in links
    assert links["cancelAction"]["href"].endswith(f"/cancelAction/{first}")


def test_the_heavier_action_is_served_first(hb):
    """Action weight: with autoclose off the poll serves the highest weight, then the lowest id."""
    device, first = hb.deployed(weight=10)
    second = hb.assign(device.id, hb.ds(), weight=900)
    assert device.links()["deploymentBase"]["href"].split("?")[0].endswith(f"/{second}") and first < second


def test_installed_base_is_linked_after_success(hb):
    """DDI root resource: installedBase of the finished action, and configData again."""
    device, action = hb.deployed()
    device.report(action)
    links = device.links()
    assert links["installedBase"]["href"].endswith(f"/installedBase/{action}")
    assert "deploymentBase" not in links and "configData" in links


def test_reading_the_closed_deployment_takes_the_installed_link_away(hb):
    """DDI deploymentBase: a closed action is served and becomes 'retrieved', inactive."""
    device, action = hb.deployed()
    device.report(action)
    device.get(f"/deploymentBase/{action}")
    assert "installedBase" not in device.links()
    assert hb.action(device, action)["status"] == "retrieved" and hb.action(device, action)["active"] is False
    assert hb.target_of(device)["updateStatus"] == "in_sync"


def test_attributes_are_not_asked_for_after_a_failure(hb):
    """DDI root resource: only a success asks for configData again."""
    device, action = hb.deployed()
    device.configure({"a": "1"})
    device.report(action, finished="failure")
    assert "configData" not in device.links()


def test_the_operator_can_ask_for_attributes(hb):
    """Management targets: requestAttributes=true brings the configData link back."""
    device = hb.device()
    device.configure({"a": "1"})
    assert "configData" not in device.links()
    hb.get(f"/targets/{device.id}")
    hb.expect(200, "PUT", f"/targets/{device.id}", {"requestAttributes": True})
    assert "configData" in device.links()


def test_an_unknown_device_registers_itself(hb):
    """Plug and play: with a gateway token an unknown id becomes a target by polling."""
    hb.configure("authentication.gatewaytoken.enabled", True)
    hb.configure("authentication.gatewaytoken.key", "conformance-gateway")
    device = Device(hb.server, hb.name("plug"), "")
    device.headers = {"Authorization": "GatewayToken conformance-gateway"}
    device.poll()
    hb.keep("targets", device.id)
    target = hb.target_of(device)
    assert target["name"] == device.id and target["description"] == f"Plug and Play target: {device.id}"
    assert target["createdBy"] == "CONTROLLER_PLUG_AND_PLAY" and len(target["securityToken"]) == 32
    assert target["updateStatus"] == "registered" and target["requestAttributes"] is True


def test_an_id_that_is_too_long_cannot_register(hb):
    """Plug and play: an unknown id of more than 128 characters is no name."""
    hb.configure("authentication.gatewaytoken.enabled", True)
    hb.configure("authentication.gatewaytoken.key", "conformance-gateway")
    device = Device(hb.server, hb.name("long") + "x" * 128, "")
    device.headers = {"Authorization": "GatewayToken conformance-gateway"}
    answer = device.call("GET")
    assert (answer.status, answer.code) == (400, "repo.constraintViolation")


# ---- content negotiation (DDI content types) ------------------------------------------------------------


@pytest.mark.parametrize("accept, wanted", [
    (None, "application/hal+json"), ("*/*", "application/hal+json"), ("application/*", "application/hal+json"),
    ("application/json", "application/json"), ("application/hal+json", "application/hal+json"),
    ("application/cbor", "application/cbor"), ("application/cbor, application/json", "application/cbor"),
    ("application/json;q=0.5, application/cbor;q=0.9", "application/cbor"),
    ("application/json;q=0.9, application/cbor;q=0.5", "application/json"), ("text/html, application/json;q=0.1", "application/json"),
])
def test_a_poll_has_the_type_that_accept_asks_for(hb, accept, wanted):
    """DDI content types: hal+json by default, json and cbor on request, q values count."""
    answer = hb.device().call("GET", headers={"Accept": accept})
    assert answer.status == 200 and answer.type == wanted
    assert answer.headers["content-type"].replace(" ", "").lower().endswith("charset=utf-8")


@pytest.mark.parametrize("accept", ["text/plain", "application/xml", "image/png"])
def test_a_type_that_is_not_served_is_refused(hb, accept):
    """DDI content types: 406 without a body."""
    answer = hb.device().call("GET", headers={"Accept": accept})
    assert answer.status == 406 and answer.body == b""


def test_a_cbor_poll_has_links_as_an_array(hb):
    """DDI CBOR: `links` of {rel, href} in place of `_links`."""
    device = hb.device()
    document = cbor_decode(device.call("GET", headers={"Accept": "application/cbor"}).body)
    assert [link["rel"] for link in document["links"]] == ["configData"] and "_links" not in document
    device.configure({"a": "1"})
    assert cbor_decode(device.call("GET", headers={"Accept": "application/cbor"}).body)["links"] == []


def test_a_cbor_deployment_says_the_same_as_json(hb):
    """DDI CBOR: deploymentBase has the same members, with links in each artifact."""
    ds, _ = hb.ds_with_file()
    device, action = hb.deployed(ds=ds)
    plain = device.get(f"/deploymentBase/{action}")
    packed = cbor_decode(device.call("GET", f"/deploymentBase/{action}", headers={"Accept": "application/cbor"}).body)
    file, packed_file = plain["deployment"]["chunks"][0]["artifacts"][0], packed["deployment"]["chunks"][0]["artifacts"][0]
    assert packed["links"] == [] and packed["id"] == plain["id"] == str(action)
    assert {link["rel"]: link["href"] for link in packed_file["links"]} == {k: v["href"] for k, v in file["_links"].items()}
    assert packed_file["hashes"] == file["hashes"] and packed_file["size"] == file["size"]


def test_a_cbor_cancel_document(hb):
    """DDI CBOR: cancelAction has no links."""
    device, action = hb.deployed()
    hb.cancel(device, action)
    answer = device.call("GET", f"/cancelAction/{action}", headers={"Accept": "application/cbor"})
    assert cbor_decode(answer.body) == {"id": str(action), "cancelAction": {"stopId": str(action)}}


def test_a_cbor_artifact_list(hb):
    """DDI CBOR: the artifact list too."""
    ds, module = hb.ds_with_file()
    device, _ = hb.deployed(ds=ds)
    answer = device.call("GET", f"/softwaremodules/{module}/artifacts", headers={"Accept": "application/cbor"})
    assert [a["filename"] for a in cbor_decode(answer.body)] == ["fw.bin"]


def test_a_cbor_confirmation_base(hb):
    """DDI CBOR: confirmationBase has links at the top and in autoConfirm."""
    answer = hb.device().call("GET", "/confirmationBase", headers={"Accept": "application/cbor"})
    document = cbor_decode(answer.body)
    assert document["autoConfirm"]["active"] is False and document["autoConfirm"]["links"] == []
    assert [link["rel"] for link in document["links"]] == ["activateAutoConfirm"]


def test_feedback_in_cbor_is_taken(hb):
    """DDI CBOR: requests may be CBOR."""
    device, action = hb.deployed()
    answer = device.call("POST", f"/deploymentBase/{action}/feedback", cbor_encode(feedback("closed", "success", ["done"])),
                         {"Content-Type": "application/cbor"})
    assert answer.status == 200 and hb.action(device, action)["status"] == "finished"
    assert hb.history(device, action)[0]["messages"] == ["done"]


def test_attributes_in_cbor_are_taken(hb):
    """DDI CBOR: configData."""
    device = hb.device()
    answer = device.call("PUT", "/configData", cbor_encode({"mode": "replace", "data": {"k": "v"}}), {"Content-Type": "application/cbor"})
    assert answer.status == 200 and hb.get(f"/targets/{device.id}/attributes") == {"k": "v"}


def test_broken_cbor_is_not_readable(hb):
    """DDI CBOR: a body that ends early."""
    answer = hb.device().call("PUT", "/configData", b"\xbf\x64data", {"Content-Type": "application/cbor"})
    assert (answer.status, answer.code) == (400, "rest.body.notReadable")


def test_errors_follow_accept(hb):
    """DDI CBOR: an error document in CBOR."""
    answer = hb.device().call("GET", "/deploymentBase/999999999", headers={"Accept": "application/cbor"})
    assert answer.status == 404 and answer.type == "application/cbor"
    assert cbor_decode(answer.body)["errorCode"] == "hawkbit.server.error.repo.entityNotFound"


@pytest.mark.parametrize("content_type", ["application/hal+json", "text/plain", "application/xml", "application/octet-stream",
                                          "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("path", ["configData", "feedback"])
def test_a_request_of_another_type_is_refused(hb, path, content_type):
    """DDI content types: requests are JSON or CBOR, else 415."""
    device, action = hb.deployed()
    method, path = ("PUT", "/configData") if path == "configData" else ("POST", f"/deploymentBase/{action}/feedback")
    assert device.call(method, path, {"data": {}}, {"Content-Type": content_type}).status == 415


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "", "GET"), ("DELETE", "", "GET"), ("GET", "/configData", "PUT"), ("GET", "/installedBase", "PUT"),
    ("GET", "/deploymentBase/1/feedback", "POST"), ("PUT", "/cancelAction/1/feedback", "POST"), ("POST", "/deploymentBase/1", "GET"),
    ("POST", "/confirmationBase", "GET"), ("DELETE", "/confirmationBase/activateAutoConfirm", "POST"),
])
def test_a_wrong_method_names_the_right_one(hb, method, path, allow):
    """DDI methods: 405 with Allow."""
    answer = hb.device().call(method, path)
    # hawkBit reads activateAutoConfirm as an action's id too, where GET is allowed.
    assert answer.status == 405 and allow in answer.headers["allow"].replace(" ", "").split(",")


@pytest.mark.parametrize("path", ["/deploymentBase/abc", "/deploymentBase/1?c=abc", "/deploymentBase/1?actionHistory=abc",
                                  "/softwaremodules/abc/artifacts", "/cancelAction/x", "/installedBase/1.5",
                                  "/confirmationBase/activateAutoConfirm"])
def test_what_is_no_number_is_not_readable(hb, path):
    """DDI path and query values: 400 rest.body.notReadable."""
    answer = hb.device().call("GET", path)
    assert (answer.status, answer.code) == (400, "rest.body.notReadable")


@pytest.mark.parametrize("tail", ["/", "/nothing", "/deploymentBase", "/configData/", "/softwaremodules"])
def test_an_unknown_path_is_not_found(hb, tail):
    """DDI routing: a trailing slash or an unknown part is 404."""
    assert hb.device().call("GET", tail).status == 404


# ---- ETag and HEAD (DDI caching) ------------------------------------------------------------------------


def test_an_unchanged_poll_is_answered_304(hb):
    """DDI ETag: If-None-Match with the ETag of the answer before."""
    device = hb.device()
    tag = device.call("GET").headers["etag"]
    assert tag.startswith('"') and tag.endswith('"')
    answer = device.call("GET", headers={"If-None-Match": tag})
    assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == tag


@pytest.mark.parametrize("form, status", [("W/{}", 304), ('"x", {}', 304), ("*", 200), ('"x"', 200)])
def test_forms_of_if_none_match(hb, form, status):
    """DDI ETag: weak form and lists match, `*` does not."""
    device = hb.device()
    tag = device.call("GET").headers["etag"]
    assert device.call("GET", headers={"If-None-Match": form.format(tag)}).status == status


def test_the_etag_changes_with_the_deployment(hb):
    """DDI ETag: an assignment makes another document of the poll."""
    device = hb.device()
    tag = device.call("GET").headers["etag"]
    hb.assign(device.id, hb.ds())
    assert device.call("GET", headers={"If-None-Match": tag}).status == 200


def test_a_304_poll_counts_as_a_poll(hb):
    """DDI ETag: the poll is recorded whatever its answer."""
    device = hb.device(poll=False)
    device.configure({"a": "1"})
    other = hb.device()
    other.configure({"a": "1"})
    tag = other.call("GET").headers["etag"]
    assert device.call("GET", headers={"If-None-Match": tag}).status == 304
    assert hb.target_of(device)["updateStatus"] == "registered"


def test_head_of_a_poll(hb):
    """DDI: HEAD answers as GET, without a body."""
    answer = hb.device().call("HEAD")
    assert answer.status == 200 and answer.body == b"" and answer.type == "application/hal+json"


@pytest.mark.parametrize("path", ["deploymentBase", "installedBase", "cancelAction", "confirmationBase"])
def test_every_document_has_an_etag(hb, path):
    """DDI ETag: on all documents but artifacts."""
    device, action = hb.deployed()
    if path == "installedBase":
        device.report(action)
    if path == "cancelAction":
        hb.cancel(device, action)
    full = "/confirmationBase" if path == "confirmationBase" else f"/{path}/{action}"
    device.call("GET", full)  # the first one changes the action's state, not its document
    tag = device.call("GET", full).headers["etag"]
    assert device.call("GET", full, headers={"If-None-Match": tag}).status == 304


# ---- polling intervals (tenant configuration pollingTime) -----------------------------------------------


@pytest.mark.parametrize("written, served", [
    ("00:01:00", "00:01:00"), ("23:59:59", "23:59:59"), ("00:00:30", "00:00:30"), ("02:30", "00:02:30"), ("90", "00:01:30"),
    ("PT1H30M", "01:30:00"), ("PT45S", "00:00:45"),
])
def test_a_polling_time_in_any_notation(hb, written, served):
    """Polling: HH:mm:ss, mm:ss, ss or ISO 8601; the device sees HH:mm:ss, the configuration what was written."""
    hb.configure("pollingTime", written)
    assert hb.device().poll()["config"]["polling"]["sleep"] == served
    assert hb.get("/system/configs/pollingTime")["value"] == written


def test_a_deviation_scatters_the_polls(hb):
    """Polling: ~N% is a random deviation around the interval."""
    hb.configure("pollingTime", "00:10:00~50%")
    device = hb.device()

    def seconds():
        h, m, s = device.poll()["config"]["polling"]["sleep"].split(":")
        return int(h) * 3600 + int(m) * 60 + int(s)
    found = {seconds() for _ in range(30)}
    assert len(found) > 1 and all(300 <= s <= 900 for s in found)


@pytest.mark.parametrize("query, matches", [
    ("controllerId=={id}", True), ("name==nobody*", False), ("attribute.hw==7", True), ("attribute.hw==8", False),
    ("controllerId=={id};attribute.hw==7", True), ("controllerId==nobody or attribute.hw==7", True), ("description!=none", True),
])
def test_an_override_is_for_the_targets_of_its_filter(hb, query, matches):
    """Polling: `default, filter -> interval`; the first filter that matches wins."""
    device = hb.device()
    device.configure({"hw": "7"})
    hb.configure("pollingTime", f"00:05:00, {query.format(id=device.id)} -> 00:02:00")
    assert device.poll()["config"]["polling"]["sleep"] == ("00:02:00" if matches else "00:05:00")


def test_the_first_matching_override_wins(hb):
    """Polling: overrides in their order."""
    device = hb.device()
    hb.configure("pollingTime", f"00:05:00, name==nobody -> 00:01:00, controllerId=={device.id} -> 00:02:00, name==* -> 00:03:00")
    assert device.poll()["config"]["polling"]["sleep"] == "00:02:00"


@pytest.mark.parametrize("written, code", [
    ("00:00:05", "configValueInvalid"), ("24:00:00", "configValueInvalid"), ("", "configValueInvalid"), ("soon", "configValueInvalid"),
    ("00:05:00,", "configValueInvalid"), ("00:05:00, -> 00:01:00", "rest.param.rsqlParamSyntax"), ("00:05:00, name==a ->", "configValueInvalid"),
    ("00:05:00~100%", "configValueInvalid"), ("00:05:00, name==a -> 00:00:01", "configValueInvalid"),
    ("00:05:00, name== -> 00:01:00", "rest.param.rsqlParamSyntax"), ("00:05:00, nothing==a -> 00:01:00", "rest.param.rsqlInvalidField"),
])
def test_a_polling_time_that_cannot_be_is_refused(hb, written, code):
    """Polling: bounds and syntax are checked when the value is set."""
    hb.refuse(400, code, "PUT", "/system/configs/pollingTime", {"value": written})


# ---- configData (DDI configData) ------------------------------------------------------------------------


def attributes(hb, device):
    answer = hb.call("GET", f"/targets/{device.id}/attributes")
    return answer.json if answer.status == 200 else {}


@pytest.mark.parametrize("mode, data, wanted", [
    (None, {"b": "3", "c": "4"}, {"a": "1", "b": "3", "c": "4"}), ("merge", {"c": "4"}, {"a": "1", "b": "2", "c": "4"}),
    ("merge", {"a": None}, {"b": "2"}), ("replace", {"c": "4"}, {"c": "4"}), ("replace", {"c": "4", "d": None}, {"c": "4"}),
    ("remove", {"a": ""}, {"b": "2"}), ("remove", {"a": "", "zzz": "1"}, {"b": "2"}), ("merge", {"n": 5}, {"a": "1", "b": "2", "n": "5"}),
    ("merge", {"t": True}, {"a": "1", "b": "2", "t": "true"}), ("merge", {"": "empty"}, {"": "empty", "a": "1", "b": "2"}),
    ("merge", {"k" * 128: "v" * 128}, {"a": "1", "b": "2", "k" * 128: "v" * 128}),
    ("replace", {"sign": "a-b_c!@#$%^&*()+=[]{}|;:'\",.<>/\\? x"}, {"sign": "a-b_c!@#$%^&*()+=[]{}|;:'\",.<>/\\? x"}),
])
def test_attributes_are_merged_replaced_or_removed(hb, mode, data, wanted):
    """DDI configData: mode merge (default), replace, remove."""
    device = hb.device()
    device.configure({"a": "1", "b": "2"})
    device.configure(data, mode)
    assert attributes(hb, device) == wanted


@pytest.mark.parametrize("mode, cleared", [("merge", True), ("replace", True), ("remove", False)])
def test_which_modes_answer_the_request_for_attributes(hb, mode, cleared):
    """DDI configData: merge and replace clear requestAttributes, remove does not."""
    device = hb.device()
    device.configure({"a": "1"}, mode)
    assert hb.target_of(device)["requestAttributes"] is not cleared


@pytest.mark.parametrize("data", [{"k" * 129: "v"}, {"k": "v" * 129}, {"k": "ä"}, {"k~": "v"}, {"k": "`"}, {"k" * 129: None}])
def test_an_attribute_out_of_bounds_spoils_the_call(hb, data):
    """DDI configData: keys and values of at most 128 plain characters."""
    device = hb.device()
    answer = device.call("PUT", "/configData", {"data": {"good": "1", **data}})
    assert (answer.status, answer.code) == (400, "repo.invalidTargetAttributes") and attributes(hb, device) == {}


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": None}, {"data": []}, {"data": "x"}, {"data": {"k": ["v"]}},
                                  {"data": {"k": {}}}, {"mode": "append", "data": {"k": "v"}}, {"mode": "MERGE", "data": {"k": "v"}}, []])
def test_config_data_that_cannot_be_read(hb, body):
    """DDI configData: 400 rest.body.notReadable."""
    answer = hb.device().call("PUT", "/configData", body)
    assert (answer.status, answer.code) == (400, "rest.body.notReadable")


def test_old_members_of_config_data_are_ignored(hb):
    """DDI configData: older clients send id, time and status too."""
    device = hb.device()
    body = {"id": "", "time": "20140511T121314", "status": {"result": {"finished": "success"}, "execution": "closed", "details": []}}
    assert device.call("PUT", "/configData", {**body, "data": {"k": "v"}}).status == 200
    assert attributes(hb, device) == {"k": "v"}


def test_more_than_a_hundred_attributes_are_too_many(hb):
    """Quota: 100 attributes a target; nothing of the call is stored."""
    device = hb.device()
    device.configure({f"k{i}": "v" for i in range(100)})
    answer = device.call("PUT", "/configData", {"data": {"one-more": "v"}})
    assert (answer.status, answer.code) == (429, "quota.tooManyEntries")
    assert len(attributes(hb, device)) == 100
    device.configure({"k1": "changed"})


def test_config_data_leaves_the_operators_stamp_alone(hb):
    """Management targets: lastModifiedAt counts the operator's changes only."""
    device = hb.device()
    before = hb.target_of(device)["lastModifiedAt"]
    device.configure({"a": "1"})
    assert hb.target_of(device)["lastModifiedAt"] == before


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b"nul", b"{'a':1}", json.dumps("text").encode()])
def test_broken_json_is_not_readable(hb, body):
    """DDI requests: 400 rest.body.notReadable."""
    answer = hb.device().call("PUT", "/configData", body)
    assert (answer.status, answer.code) == (400, "rest.body.notReadable")
