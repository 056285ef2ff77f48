# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Gateways over AMQP (hawkBit's Device Management Federation) against Debian's RabbitMQ, as strangers see it:
messages in at dmf.exchange, messages out at the exchange that the gateway named, and the Management interface."""
import socket
import time
import urllib.request

import pytest

from conftest import DRIVELINE, Program, wait_until
from rabbitmq import PASSWORD, Broker, Gateway
from test_ota import Server, action_of, closed

CONFIRMATION = "user.confirmation.flow.enabled"
BATCH = "batch.assignments.enabled"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dmf")


@pytest.fixture(scope="module")
def broker(folder):
    b = Broker(folder / "rabbitmq")
    b.start()
    yield b
    b.stop()


@pytest.fixture(scope="module")
def password(folder):
    path = folder / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def server(folder, broker, password):
    s = Server(folder / "server", "--dmf", broker.url(), "--dmf-password-file", password)
    s.start()
    s.program.wait_for_text("connected to the AMQP broker", 30)
    yield s
    assert s.program.stop() == 0, s.program.text()[-3000:]


names = iter(range(1, 1000))


@pytest.fixture
def gateway(server, broker, request):
    """A gateway of this test alone; its devices are gone afterwards, so that no other test hears of them."""
    g = Gateway(broker, f"gateway-{next(names)}")
    yield g
    for setting in (CONFIRMATION, BATCH):
        server.expect(204, "DELETE", f"/rest/v1/system/configs/{setting}")
    g.close()


def device(gateway, server, body=None):
    """A new device behind the gateway."""
    name = f"thing-{next(names)}"
    gateway.create(name, body)
    gateway.settle()
    server.expect(200, "GET", f"/rest/v1/targets/{name}")
    return name


def new_set(server, content=b"the update"):
    return server.set_with(f"set-{next(names)}", "1.0", content)


def assign(server, ds, *targets, **more):
    made = server.expect(200, "POST", f"/rest/v1/distributionsets/{ds}/assignedTargets",
                         [{"id": t, **more} for t in targets])
    return made["assignedActions"]


def assigned(gateway, server, thing, topic="DOWNLOAD_AND_INSTALL", ds=None, **more):
    """An assignment that has arrived at the gateway: its action."""
    action = assign(server, ds or new_set(server), thing, **more)[0]["id"]
    assert gateway.expect(topic, thing).body["actionId"] == action
    return action


def action_is(server, action, status, active):
    got = server.expect(200, "GET", f"/rest/v1/actions/{action}?representation=full")
    return (got["status"], got["active"]) == (status, active)


def history(server, thing, action):
    got = server.expect(200, "GET", f"/rest/v1/targets/{thing}/actions/{action}/status?limit=500")
    return got["content"]


def dead_letter(gateway):
    return wait_until(lambda: gateway.get("dmf_connector_deadletter_ttl"), 20, "a dead letter")


def refused(gateway, server, reason, send):
    """What `send` sends becomes a dead letter, and the log says why."""
    before = len(server.program.text())
    send()
    letter = dead_letter(gateway)
    assert letter.properties.headers["x-death"][0]["reason"] == "rejected"
    wait_until(lambda: reason in server.program.text()[before:], 5, f"'{reason}' in the log")
    return letter


# ---- things ---------------------------------------------------------------------------------------------


def test_a_gateway_registers_a_thing_with_name_type_and_attributes(gateway, server):
    server.expect(201, "POST", "/rest/v1/targettypes", [{"name": "truck", "key": "truck"}])
    thing = f"thing-{next(names)}"
    gateway.create(thing, {"name": "Big Truck", "type": "truck",
                           "attributeUpdate": {"attributes": {"vin": "JH4", "axles": 3}, "mode": "MERGE"}})
    gateway.settle()
    target = server.expect(200, "GET", f"/rest/v1/targets/{thing}")
    assert (target["name"], target["targetTypeName"]) == ("Big Truck", "truck")
    assert target["address"] == f"amqp:///{gateway.name}" and target["updateStatus"] == "registered"
    assert target["requestAttributes"] is False and target["securityToken"] and target["lastControllerRequestAt"]
    assert server.expect(200, "GET", f"/rest/v1/targets/{thing}/attributes") == {"vin": "JH4", "axles": "3"}
    # again with another name and without a type: the type stays; an empty one takes it away
    gateway.create(thing, {"name": "Bigger Truck"})
    gateway.create(thing, {"name": "", "type": "unknown type"})
    gateway.settle()
    target = server.expect(200, "GET", f"/rest/v1/targets/{thing}")
    assert (target["name"], target["targetTypeName"]) == ("Bigger Truck", "truck")
    assert "unknown type" in server.program.text()
    gateway.create(thing, {"type": ""})
    gateway.settle()
    assert "targetTypeName" not in server.expect(200, "GET", f"/rest/v1/targets/{thing}")


def test_a_removed_thing_is_gone_and_its_gateway_hears_of_it(gateway, server):
    thing = device(gateway, server)
    gateway.send("THING_REMOVED", thing)
    assert gateway.expect("THING_DELETED", thing).raw == b""
    server.expect(404, "GET", f"/rest/v1/targets/{thing}")


def test_a_target_that_a_person_deletes_is_announced_to_its_gateway(gateway, server):
    thing = device(gateway, server)
    server.expect(204, "DELETE", f"/rest/v1/targets/{thing}")
    got = gateway.expect("THING_DELETED", thing)
    assert got.headers == {"type": "THING_DELETED", "tenant": "DEFAULT", "thingId": thing} and got.raw == b""


def test_attributes_are_merged_replaced_and_removed(gateway, server):
    thing = device(gateway, server)

    def update(attributes, mode, expected):
        body = {"attributes": attributes, **({"mode": mode} if mode else {})}
        gateway.send("EVENT", thing, body, "UPDATE_ATTRIBUTES")
        gateway.settle()
        assert server.call("GET", f"/rest/v1/targets/{thing}/attributes")[1] == expected
    update({"a": "1", "b": 2}, None, {"a": "1", "b": "2"})
    update({"b": None, "c": True}, "MERGE", {"a": "1", "c": "true"})
    update({"d": "4", "e": "5"}, "REPLACE", {"d": "4", "e": "5"})
    update({"d": "whatever"}, "REMOVE", {"e": "5"})


def test_a_request_for_attributes_reaches_the_gateway_once_for_each_time_it_is_asked(gateway, server):
    thing = device(gateway, server)
    for _ in range(2):
        server.expect(200, "PUT", f"/rest/v1/targets/{thing}", {"requestAttributes": True})
        assert gateway.expect("REQUEST_ATTRIBUTES_UPDATE", thing).raw == b""
    gateway.send("EVENT", thing, {"attributes": {"a": "1"}}, "UPDATE_ATTRIBUTES")
    gateway.nothing_else()
    assert server.expect(200, "GET", f"/rest/v1/targets/{thing}")["requestAttributes"] is False


# ---- updates --------------------------------------------------------------------------------------------


def test_an_assignment_is_sent_with_modules_links_and_hashes_and_can_be_downloaded(gateway, server):
    server.configure("authentication.targettoken.enabled", True)
    thing = device(gateway, server)
    module, artifact = server.module_with(f"app-{next(names)}", "2.1", b"some bytes", "a file.bin")
    server.expect(201, "POST", f"/rest/v1/softwaremodules/{module}/metadata",
                  [{"key": "shown", "value": "yes", "targetVisible": True}, {"key": "hidden", "value": "no"}])
    ds = server.expect(201, "POST", "/rest/v1/distributionsets", [
        {"name": f"set-{next(names)}", "version": "1", "type": "app", "modules": [{"id": module}]}])[0]["id"]
    action = assign(server, ds, thing)[0]["id"]
    got = gateway.expect("DOWNLOAD_AND_INSTALL", thing)
    assert got.headers == {"type": "EVENT", "tenant": "DEFAULT", "topic": "DOWNLOAD_AND_INSTALL", "thingId": thing}
    assert got.properties.content_type == "application/json" and got.properties.delivery_mode == 2
    token = server.expect(200, "GET", f"/rest/v1/targets/{thing}")["securityToken"]
    url = got.body["softwareModules"][0]["artifacts"][0]["urls"]["HTTP"]
    assert got.body == {"actionId": action, "targetSecurityToken": token, "softwareModules": [{
        "moduleId": module, "moduleType": "application", "moduleVersion": "2.1",
        "artifacts": [{"filename": "a file.bin", "urls": {"HTTP": url}, "size": 10,
                       "hashes": {"md5": artifact["hashes"]["md5"], "sha1": artifact["hashes"]["sha1"]},
                       "lastModified": artifact["lastModifiedAt"]}],
        "metadata": [{"key": "shown", "value": "yes"}]}]}
    request = urllib.request.Request(url, headers={"Authorization": f"TargetToken {token}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.read() == b"some bytes"


def test_reports_become_history_and_the_last_one_ends_the_action(gateway, server):
    thing = device(gateway, server)
    ds = new_set(server)
    action = assigned(gateway, server, thing, ds=ds)
    gateway.status(action, "RETRIEVED", timestamp=1000)
    gateway.status(action, "DOWNLOAD", "half of it", timestamp=2000, softwareModuleId=17)
    gateway.status(action, "DOWNLOADED", timestamp=3000)
    gateway.status(action, "RUNNING", "one", "two", timestamp=4000, code=42)
    gateway.status(action, "WARNING", timestamp=5000)
    gateway.nothing_else()
    assert action_is(server, action, "running", True)
    running = next(r for r in history(server, thing, action) if r["type"] == "running")
    assert running["messages"] == ["one", "two"] and running["code"] == 42
    assert [r["timestamp"] for r in history(server, thing, action)][:5] == [5000, 4000, 3000, 2000, 1000]
    gateway.status(action, "FINISHED", "done", correlation_id="corr-1")
    assert gateway.expect("REQUEST_ATTRIBUTES_UPDATE", thing).raw == b""
    gateway.nothing_else()
    assert action_is(server, action, "finished", False)
    newest = history(server, thing, action)[0]
    assert newest["messages"] == ["done", "Update Server: DMF message correlation-id corr-1"]
    target = server.expect(200, "GET", f"/rest/v1/targets/{thing}")
    assert target["updateStatus"] == "in_sync" and target["requestAttributes"] is True
    assert server.expect(200, "GET", f"/rest/v1/targets/{thing}/installedDS")["id"] == ds
    # a closed action takes remarks, but no other end
    gateway.status(action, "ERROR", "too late")
    gateway.status(action, "WARNING", "a remark")
    gateway.nothing_else()
    assert action_is(server, action, "finished", False)
    assert history(server, thing, action)[0]["messages"] == ["a remark"]


def test_a_failed_update_puts_the_target_into_error(gateway, server):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    gateway.status(action, "ERROR", "no space left")
    gateway.nothing_else()
    assert action_is(server, action, "error", False)
    assert server.expect(200, "GET", f"/rest/v1/targets/{thing}")["updateStatus"] == "error"


def test_a_thing_that_comes_back_is_told_its_open_action_again(gateway, server, broker):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    gateway.nothing_else()
    gateway.create(thing)
    assert gateway.expect("DOWNLOAD_AND_INSTALL", thing).body["actionId"] == action
    other = Gateway(broker, f"gateway-{next(names)}")
    other.create(thing)
    assert other.expect("DOWNLOAD_AND_INSTALL", thing).body["actionId"] == action
    gateway.nothing_else()
    other.close()


def test_a_withdrawn_action_is_cancelled_on_the_device_before_the_next_is_sent(gateway, server):
    thing = device(gateway, server)
    first = assigned(gateway, server, thing)
    second = assign(server, new_set(server), thing)[0]["id"]
    got = gateway.expect("CANCEL_DOWNLOAD", thing)
    assert got.body == {"actionId": first} and got.headers["type"] == "EVENT"
    gateway.nothing_else()
    gateway.status(first, "CANCELED")
    assert gateway.expect("DOWNLOAD_AND_INSTALL", thing).body["actionId"] == second
    gateway.nothing_else()
    assert action_is(server, first, "canceled", False)
    assert history(server, thing, first)[0]["messages"] == [
        "Update Server: Cancellation completion is finished successfully."]


def test_a_device_may_reject_a_cancellation_and_hears_of_the_next_one(gateway, server):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    for _ in range(2):
        server.expect(204, "DELETE", f"/rest/v1/targets/{thing}/actions/{action}")
        gateway.expect("CANCEL_DOWNLOAD", thing)
        gateway.status(action, "CANCEL_REJECTED", "too late")
        gateway.nothing_else()
        assert action_is(server, action, "running", True)
    gateway.status(action, "FINISHED")
    gateway.expect("REQUEST_ATTRIBUTES_UPDATE", thing)
    assert action_is(server, action, "finished", False)


def test_a_force_quit_is_told_only_to_whom_the_cancellation_was_not(gateway, server):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    server.expect(204, "DELETE", f"/rest/v1/targets/{thing}/actions/{action}")
    gateway.expect("CANCEL_DOWNLOAD", thing)
    server.expect(204, "DELETE", f"/rest/v1/targets/{thing}/actions/{action}?force=true")
    gateway.nothing_else()
    server.configure("repository.actions.autoclose.enabled", True)
    try:
        first = assigned(gateway, server, thing)
        second = assign(server, new_set(server), thing)[0]["id"]  # closes the first without asking
        assert gateway.expect("CANCEL_DOWNLOAD", thing).body == {"actionId": first}
        assert gateway.expect("DOWNLOAD_AND_INSTALL", thing).body["actionId"] == second
    finally:
        server.configure("repository.actions.autoclose.enabled", False)
    gateway.nothing_else()


def test_an_answer_to_a_cancellation_that_nobody_asked_for_is_refused(gateway, server):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    refused(gateway, server, "is not being canceled", lambda: gateway.status(action, "CANCELED"))
    refused(gateway, server, "is not being canceled", lambda: gateway.status(action, "CANCEL_REJECTED"))
    assert action_is(server, action, "running", True)


def test_a_download_only_action_is_a_download_and_may_finish_later(gateway, server):
    thing = device(gateway, server)
    ds = new_set(server)
    action = assigned(gateway, server, thing, "DOWNLOAD", ds, type="downloadonly")
    gateway.status(action, "DOWNLOADED")
    gateway.expect("REQUEST_ATTRIBUTES_UPDATE", thing)
    gateway.nothing_else()
    assert action_is(server, action, "downloaded", False)
    gateway.status(action, "FINISHED")
    gateway.expect("REQUEST_ATTRIBUTES_UPDATE", thing)
    gateway.nothing_else()
    assert action_is(server, action, "finished", False)
    assert server.expect(200, "GET", f"/rest/v1/targets/{thing}/installedDS")["id"] == ds


def test_a_closed_maintenance_window_means_download_now_and_install_when_it_opens(gateway, server):
    thing = device(gateway, server)
    opens = time.gmtime(time.time() + 5)
    window = {"schedule": f"{opens.tm_sec} {opens.tm_min} {opens.tm_hour} {opens.tm_mday} {opens.tm_mon} ? "
                          f"{opens.tm_year}", "duration": "00:10:00", "timezone": "+00:00"}
    action = assigned(gateway, server, thing, "DOWNLOAD", maintenanceWindow=window)
    assert time.time() < time.mktime(opens) - time.timezone + 1
    assert gateway.expect("DOWNLOAD_AND_INSTALL", thing, 30).body["actionId"] == action
    assert time.time() >= time.mktime(opens) - time.timezone
    gateway.nothing_else()


def test_an_action_waits_for_its_confirmation(gateway, server):
    server.configure(CONFIRMATION, True)
    thing = device(gateway, server)
    action = assigned(gateway, server, thing, "CONFIRM")
    gateway.status(action, "DENIED", "not now")
    gateway.nothing_else()
    assert action_is(server, action, "wait_for_confirmation", True)
    gateway.status(action, "CONFIRMED", "now", code=7)
    assert gateway.expect("DOWNLOAD_AND_INSTALL", thing).body["actionId"] == action
    rows = history(server, thing, action)
    assert rows[0]["messages"][0] == "now" and rows[1]["messages"][0] == "not now"
    refused(gateway, server, "waits for no confirmation", lambda: gateway.status(action, "CONFIRMED"))


def test_auto_confirmation_is_switched_by_the_device(gateway, server):
    server.configure(CONFIRMATION, True)
    thing = device(gateway, server)
    action = assigned(gateway, server, thing, "CONFIRM")
    for _ in range(2):  # a second time changes nothing
        gateway.send("EVENT", thing, {"enabled": True, "initiator": "me", "remark": "always"}, "UPDATE_AUTO_CONFIRM")
    assert gateway.expect("DOWNLOAD_AND_INSTALL", thing).body["actionId"] == action
    state = server.expect(200, "GET", f"/rest/v1/targets/{thing}/autoConfirm")
    assert (state["active"], state["initiator"], state["remark"]) == (True, "me", "always")
    gateway.send("EVENT", thing, {"enabled": False}, "UPDATE_AUTO_CONFIRM")
    gateway.nothing_else()
    assert server.expect(200, "GET", f"/rest/v1/targets/{thing}/autoConfirm")["active"] is False


def test_batches_carry_the_targets_of_one_assignment(gateway, server):
    server.configure(BATCH, True)
    things = [device(gateway, server) for _ in range(5)]
    actions = {a["id"] for a in assign(server, new_set(server), *things)}
    got = gateway.expect("BATCH_DOWNLOAD_AND_INSTALL")
    assert got.thing is None and set(got.body) == {"timestamp", "targets", "softwareModules"}
    assert {t["controllerId"] for t in got.body["targets"]} == set(things)
    assert {t["actionId"] for t in got.body["targets"]} == actions
    assert all(len(t["targetSecurityToken"]) == 32 for t in got.body["targets"])
    assert got.body["softwareModules"][0]["artifacts"][0]["urls"]["HTTP"].startswith(server.url)
    gateway.nothing_else()
    # one target alone is told in the ordinary shape
    lone = device(gateway, server)
    assigned(gateway, server, lone)


def test_a_device_behind_a_gateway_may_poll_over_ddi_too(gateway, server):
    server.configure("authentication.targettoken.enabled", True)
    thing = device(gateway, server)
    token = "TargetToken " + server.expect(200, "GET", f"/rest/v1/targets/{thing}")["securityToken"]
    assert server.device("GET", thing, token=token)[0] == 200
    action = assigned(gateway, server, thing)  # its address is still the gateway's
    status, poll = server.device("GET", thing, token=token)
    assert status == 200 and action_of(poll) == action
    assert server.device("POST", thing, f"/deploymentBase/{action}/feedback", closed("success"), token)[0] == 200
    gateway.expect("REQUEST_ATTRIBUTES_UPDATE", thing)
    gateway.nothing_else()
    assert action_is(server, action, "finished", False)


# ---- what is refused ------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_the_servers_time(gateway, server):
    gateway.send("PING", correlation_id="ping-1")
    got = gateway.expect("PING_RESPONSE")
    assert got.properties.correlation_id == "ping-1" and got.properties.content_type == "text/plain"
    assert abs(int(got.raw) / 1000 - time.time()) < 60
    gateway.send("PING")  # without an id there is nothing to answer
    gateway.nothing_else()


def test_messages_that_make_no_sense_become_dead_letters_with_a_reason(gateway, server):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    event = {"topic": "UPDATE_ACTION_STATUS"}
    cases = [
        ("type '", lambda: gateway.send("NONSENSE", thing)),
        ("topic '", lambda: gateway.send("EVENT", thing, {}, "NONSENSE")),
        ("'type' is missing", lambda: gateway.send(None, thing)),
        ("'tenant' is missing", lambda: gateway.send("THING_CREATED", thing, headers={"tenant": None})),
        ("'thingId' is missing", lambda: gateway.send("THING_CREATED")),
        ("'reply_to' is missing", lambda: gateway.send("THING_CREATED", thing, reply_to=None)),
        ("white space", lambda: gateway.send("THING_CREATED", "a thing")),
        ("too long", lambda: gateway.send("THING_CREATED", "x" * 129)),
        ("no tenant 'NOBODY'", lambda: gateway.send("THING_CREATED", thing, headers={"tenant": "NOBODY"})),
        ("bad JSON", lambda: gateway.send("EVENT", None, b'{"actionId":', **event)),
        ("nested deeper", lambda: gateway.send("EVENT", None, b"[" * 1000, **event)),
        ("no object", lambda: gateway.send("EVENT", None, [1], **event)),
        ("not JSON", lambda: gateway.send("EVENT", None, {"actionId": action}, content_type="text/plain", **event)),
        ("body is missing", lambda: gateway.send("EVENT", None, **event)),
        ("'actionStatus'", lambda: gateway.send("EVENT", None, {"actionId": action, "actionStatus": "HAPPY"}, **event)),
        ("'actionId' is missing", lambda: gateway.send("EVENT", None, {"actionStatus": "RUNNING"}, **event)),
        ("'actionId' is no", lambda: gateway.send("EVENT", None, {"actionStatus": "ERROR", "actionId": "x"}, **event)),
        ("'message' is no", lambda: gateway.send(
            "EVENT", None, {"actionStatus": "ERROR", "actionId": action, "message": "x"}, **event)),
        ("Action", lambda: gateway.status(987654321, "FINISHED")),
        ("too many messages", lambda: gateway.status(action, "RUNNING", *["x"] * 51)),
        ("Target", lambda: gateway.send("THING_REMOVED", "nobody-knows-it")),
        ("attribute", lambda: gateway.send("EVENT", thing, {"attributes": {"a": []}}, "UPDATE_ATTRIBUTES")),
        ("'mode'", lambda: gateway.send("EVENT", thing, {"attributes": {}, "mode": "X"}, "UPDATE_ATTRIBUTES")),
        ("is not valid", lambda: gateway.send("EVENT", thing, {"attributes": {"~": "x"}}, "UPDATE_ATTRIBUTES")),
        ("Too many attributes", lambda: gateway.send(
            "EVENT", thing, {"attributes": {f"k{i}": "v" for i in range(101)}}, "UPDATE_ATTRIBUTES")),
        ("too large", lambda: gateway.send("EVENT", None, b" " * (3 << 20), **event)),
        ("no text", lambda: gateway.send("THING_CREATED", "x" * 5000)),
        ("no text", lambda: gateway.send("THING_CREATED", "a\0b")),
        ("no text", lambda: gateway.send("THING_CREATED", thing, headers={"tenant": {"a": {"b": "c"}}})),
    ]
    for reason, send in cases:
        refused(gateway, server, reason, send)
    gateway.nothing_else()
    assert action_is(server, action, "running", True)
    assert server.call("GET", f"/rest/v1/targets/{thing}/attributes")[0] == 204


def test_a_tenant_reaches_no_other_tenants_things(gateway, server, broker):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    foreign = Gateway(broker, f"gateway-{next(names)}", "OTHER")
    refused(foreign, server, "Action", lambda: foreign.status(action, "FINISHED"))
    refused(foreign, server, "Target", lambda: foreign.send("THING_REMOVED", thing))
    foreign.create(thing)  # the name is free in each tenant
    foreign.nothing_else()
    target = server.expect(200, "GET", f"/rest/v1/targets/{thing}", user="other:o")
    assert target["address"].endswith(foreign.name)
    assert server.expect(200, "GET", f"/rest/v1/targets/{thing}")["address"].endswith(gateway.name)
    assert action_is(server, action, "running", True)
    foreign.close()


def test_a_gateway_without_exchange_or_queue_holds_up_no_other(gateway, server, broker):
    nowhere, unbound = f"nowhere-{next(names)}", f"unbound-{next(names)}"
    gateway.channel.exchange_declare(unbound, "fanout", durable=True)
    gateway.create("lost-1", reply_to=nowhere)
    gateway.create("lost-2", reply_to=unbound)
    thing = device(gateway, server)
    ds = new_set(server)
    actions = {a["id"] for a in assign(server, ds, "lost-1", "lost-2", thing)}
    assert gateway.expect("DOWNLOAD_AND_INSTALL", thing).body["actionId"] in actions
    # they get what they missed when they come back properly
    for name in ("lost-1", "lost-2"):
        gateway.create(name)
        assert gateway.expect("DOWNLOAD_AND_INSTALL", name).body["actionId"] in actions
    # an exchange that goes takes nobody with it either
    gone = Gateway(broker, f"gateway-{next(names)}")
    other = device(gone, server)
    assigned(gone, server, other)
    gone.channel.exchange_delete(gone.name)
    gone.close()
    assign(server, new_set(server), other)
    assigned(gateway, server, device(gateway, server))
    gateway.nothing_else()


# ---- many -----------------------------------------------------------------------------------------------


def test_a_rollout_over_gateways_goes_from_group_to_group(gateway, server):
    count = 150
    prefix = f"fleet-{next(names)}"
    things = [f"{prefix}-{i}" for i in range(count)]
    for thing in things:
        gateway.create(thing)
    gateway.settle()
    ds = new_set(server)
    rollout = server.rollout(name=prefix, distributionSetId=ds, amountGroups=3,
                             targetFilterQuery=f"controllerId=={prefix}-*",
                             successCondition={"condition": "THRESHOLD", "expression": "100"})
    server.rollout_is(rollout, "ready", 30)
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    told = []
    group = gateway.collect(count // 3, 60)
    for left in (2, 1, 0):
        orders = [g for g in group if g.topic == "DOWNLOAD_AND_INSTALL"]
        assert len(orders) == count // 3
        gateway.nothing_else()  # the next group waits for this one
        told += [g.thing for g in orders]
        for g in orders:
            gateway.status(g.body["actionId"], "FINISHED")
        # each that has finished is asked for its attributes; the next group is told
        group = gateway.collect(count // 3 * (2 if left else 1), 60)
        assert sum(g.topic == "REQUEST_ATTRIBUTES_UPDATE" for g in group) == count // 3
    server.rollout_is(rollout, "finished", 30)
    assert sorted(told) == sorted(things)


# ---- what ends meanwhile --------------------------------------------------------------------------------


def test_no_message_is_lost_or_taken_twice_when_the_server_is_killed(gateway, server):
    thing = device(gateway, server)
    action = assigned(gateway, server, thing)
    for i in range(200):
        gateway.status(action, "RUNNING", f"report {i}", timestamp=1000 + i)
    wait_until(lambda: len(history(server, thing, action)) > 20, 30, "some reports")
    server.program.kill()
    for i in range(200, 250):
        gateway.status(action, "RUNNING", f"report {i}", timestamp=1000 + i)
    server.start()
    gateway.settle()
    stamps = sorted(r["timestamp"] for r in history(server, thing, action))
    assert stamps[:250] == list(range(1000, 1250)) and len(stamps) == 251
    # what the gateway knows it isn't told again
    gateway.nothing_else()


def test_what_was_assigned_while_the_broker_was_away_is_sent_when_it_is_back(gateway, server, broker):
    thing, other, removed = (device(gateway, server) for _ in range(3))
    action = assigned(gateway, server, thing)
    before = len(server.program.text())
    broker.kill()
    broker.start_server()
    wait_until(lambda: "connection to the AMQP broker" in server.program.text()[before:], 20, "the loss")
    # the server goes on without a broker, at once
    started = time.monotonic()
    later = assign(server, new_set(server), other)[0]["id"]
    server.expect(204, "DELETE", f"/rest/v1/targets/{thing}/actions/{action}")
    server.expect(204, "DELETE", f"/rest/v1/targets/{removed}")
    assert time.monotonic() - started < 5
    broker.wait()
    gateway.reconnect()
    # (the broker itself may repeat what it delivered just before its end)
    expected = {("CANCEL_DOWNLOAD", thing, action), ("DOWNLOAD_AND_INSTALL", other, later),
                ("THING_DELETED", removed, None)}
    seen = set()

    def all_seen():
        got = gateway.get()
        if got and got.topic != "PING_RESPONSE":
            seen.add((got.topic, got.thing, got.body["actionId"] if got.body else None))
        return expected <= seen
    wait_until(all_seen, 60, "what was missed")
    assert seen - expected <= {("DOWNLOAD_AND_INSTALL", thing, action)}
    gateway.nothing_else()
    text = server.program.text()[before:]
    assert text.count("no connection to the AMQP broker") <= 3 and "connected to the AMQP broker" in text


# ---- connections ----------------------------------------------------------------------------------------


def alone(folder, name, *options):
    return Server(folder / name, *options)


def test_a_broker_over_tls_is_used_only_with_the_right_ca(folder, broker, password):
    s = alone(folder, "tls", "--dmf", broker.url(tls=True), "--dmf-password-file", password,
              "--dmf-ca-file", broker.folder / "ca.pem")
    s.start()
    s.program.wait_for_text("connected to the AMQP broker", 30)
    assert s.program.stop() == 0
    other = Broker(folder / "other")  # not started: only its certificates count
    s = alone(folder, "tls-wrong", "--dmf", broker.url(tls=True), "--dmf-password-file", password,
              "--dmf-ca-file", other.folder / "ca.pem")
    s.start()
    s.program.wait_for_text("no connection to the AMQP broker", 30)
    assert s.program.stop() == 0


def test_a_wrong_password_or_a_silent_broker_holds_nothing_up(folder, broker):
    wrong = folder / "wrong-password"
    wrong.write_text("not it\n")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        for url in (broker.url(), f"amqp://x@127.0.0.1:{silent.getsockname()[1]}"):
            s = alone(folder, f"server-{next(names)}", "--dmf", url, "--dmf-password-file", wrong)
            s.start()
            for _ in range(20):
                started = time.monotonic()
                s.expect(200, "GET", "/rest/v1/targets")
                assert time.monotonic() - started < 3
            s.program.wait_for_text("no connection to the AMQP broker", 30)
            assert s.program.stop() == 0


@pytest.mark.parametrize("options,reason", [
    (["--dmf", "http://x"], "amqp://"),
    (["--dmf", "amqp://u:p@x"], "holds a password"),
    (["--dmf", "amqp://u@x:0"], "host and port"),
    (["--dmf", "amqp://u@x"], "password is missing"),
    (["--dmf", "amqps://u@x", "--dmf-password-file", "/dev/null"], "CA certificates"),
    (["--dmf", "amqp://u@x", "--dmf-password-file", "/dev/null", "--dmf-url", "ftp://x"], "http://"),
])
def test_a_wrong_option_is_explained(folder, options, reason):
    s = alone(folder, f"server-{next(names)}", *options)
    s.program = Program([DRIVELINE, "serve", "ota", "--listen", f"127.0.0.1:{s.port}", "--data", s.data, *options],
                        s.folder / "ota.log")
    assert s.program.wait() == 1
    assert reason in s.program.text()
