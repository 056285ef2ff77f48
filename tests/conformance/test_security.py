# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Security: proofs of identity of devices and users, tenants, permissions, hostile paths and bodies.

Documents: hawkBit "Security" (DDI authentication, Management permissions), "Multi-tenancy", "Quotas".
"""
import base64
import http.client

import pytest

from hawkbit import SLOW, Device, escape

# ---- devices (Security: DDI) ----------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "TargetToken", "TargetToken ", "TargetToken wrong", "targettoken {}", "TargetToken  {}", "{}", "Bearer {}", "Basic {}",
                                    "GatewayToken {}", "TargetToken {}x"])
def test_a_device_without_its_token(hb, header):
    """Target token: anything but the token in this very form is 401 without a body."""
    device = hb.device()
    token = device.headers["Authorization"].split()[1]
    device.headers = {} if header is None else {"Authorization": header.format(token)}
    for method, path in (("GET", ""), ("PUT", "/configData"), ("DELETE", "/nothing")):
        answer = device.call(method, path)
        assert answer.status == 401 and answer.body == b"" and "www-authenticate" not in answer.headers


def test_a_token_is_for_one_target(hb):
    """Target token: another target's token is refused, for every call."""
    mine, other = hb.device(), hb.device()
    mine.headers = other.headers
    assert mine.call("GET").status == 401


def test_a_changed_token_counts_at_once(hb):
    """Target token: a PUT of securityToken replaces it."""
    device = hb.device()
    hb.expect(200, "PUT", f"/targets/{device.id}", {"securityToken": "another-token"})
    assert device.call("GET").status == 401
    device.headers = {"Authorization": "TargetToken another-token"}
    assert device.call("GET").status == 200


def test_target_tokens_can_be_switched_off(hb):
    """Tenant configuration authentication.targettoken.enabled."""
    device = hb.device()
    hb.configure("authentication.targettoken.enabled", False)
    assert device.call("GET").status == 401


@pytest.mark.parametrize("header, status", [("GatewayToken {}", 200), ("GatewayToken {}x", 401), ("gatewaytoken {}", 401), ("GatewayToken", 401), ("GatewayToken  {}", 401),
                                            ("TargetToken {}", 401)])
def test_a_gateway_speaks_for_all(hb, header, status):
    """Gateway token: any controller of the tenant."""
    hb.configure("authentication.gatewaytoken.enabled", True)
    hb.configure("authentication.gatewaytoken.key", "gate-key")
    device = hb.device(poll=False)
    device.headers = {"Authorization": header.format("gate-key")}
    assert device.call("GET").status == status


def test_a_gateway_token_can_be_switched_off(hb):
    """Tenant configuration authentication.gatewaytoken.enabled."""
    hb.configure("authentication.gatewaytoken.key", "gate-key")
    hb.configure("authentication.gatewaytoken.enabled", False)
    device = hb.device(poll=False)
    device.headers = {"Authorization": "GatewayToken gate-key"}
    assert device.call("GET").status == 401


@pytest.mark.parametrize("headers, status", [
    ({"X-Controller-Id": "{id}", "X-Authority": "hash-one"}, 200), ({"X-Controller-Id": "{id}", "X-Authority": "HASH-TWO"}, 200),
    ({"X-Controller-Id": "{id}", "X-Authority": "other; hash-two"}, 200), ({"X-Controller-Id": "{id}", "X-Authority-1": "hash-one"}, 200),
    ({"X-Controller-Id": "{id}", "X-Authority-0": "other", "X-Authority-1": "hash-one"}, 200), ({"X-Controller-Id": "{id}", "X-Authority": "other"}, 401),
    ({"X-Controller-Id": "someone-else", "X-Authority": "hash-one"}, 401), ({"X-Authority": "hash-one"}, 401), ({"X-Controller-Id": "{id}"}, 401),
    ({"X-Controller-Id": "{id}", "X-Authority-2": "hash-one"}, 401)])
def test_headers_of_a_proxy(hb, headers, status):
    """Mutual TLS at a proxy: the common name and the issuer's hash in headers."""
    hb.configure("authentication.header.enabled", True)
    hb.configure("authentication.header.authority", "hash-one;hash-two")
    device = hb.device(poll=False)
    device.headers = {k: v.format(id=device.id) for k, v in headers.items()}
    assert device.call("GET").status == status


def test_headers_of_a_proxy_count_only_when_switched_on(hb):
    """Tenant configuration authentication.header.enabled."""
    device = hb.device(poll=False)
    hb.configure("authentication.header.authority", "hash-one")
    hb.configure("authentication.header.enabled", False)
    device.headers = {"X-Controller-Id": device.id, "X-Authority": "hash-one"}
    assert device.call("GET").status == 401


@pytest.mark.parametrize("path", ["/NOSUCHTENANT/controller/v1/{}", "/{t}/controller/v1/", "/{t}/controller/v1", "/{t}/controller/v2/{}"])
def test_a_device_path_that_does_not_exist(hb, path):
    """DDI: an unknown tenant and a missing id are refused."""
    device = hb.device()
    assert hb.server.raw("GET", path.replace("{t}", hb.server.tenant).format(device.id), None, device.headers).status in (401, 404)


# ---- users (Security: Management) -----------------------------------------------------------------------


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("header", [None, "", "Basic", basic("nobody-knows:x"), basic("{user}:wrong"), basic("{user}"), basic(":"), "Basic ###", "Bearer {token}",
                                    "TargetToken {token}", "Digest x"])
@pytest.mark.parametrize("method, path", [("GET", "/targets"), ("POST", "/rollouts"), ("GET", "/nothing")])
def test_a_user_without_a_password(hb, method, path, header):
    """Management authentication: 401 with a challenge, on every path below /rest."""
    headers = {} if header is None else {"Authorization": header.replace("{token}", "x")}
    if header and "Basic " in header and "#" not in header and len(header) > 6:
        text = base64.b64decode(header[6:]).decode().replace("{user}", hb.server.user)
        headers = {"Authorization": basic(text)}
    answer = hb.server.raw(method, "/rest/v1" + path, b"" if method == "POST" else None, headers)
    assert answer.status == 401 and answer.headers["www-authenticate"] == 'Basic realm="hawkBit"'
    assert answer.json["status"] == 401 and answer.json["error"] == "Unauthorized"


@pytest.mark.parametrize("word", ["basic", "BASIC", "bAsIc"])
def test_the_scheme_in_any_case(hb, word):
    """Management authentication: the word Basic."""
    value = word + basic(f"{hb.server.user}:{hb.server.password}")[5:]
    assert hb.server.raw("GET", "/rest/v1/userinfo", None, {"Authorization": value}).status == 200


def test_a_device_token_is_no_user(hb):
    """Management authentication: a target token opens no /rest."""
    assert hb.server.raw("GET", "/rest/v1/targets", None, hb.device().headers).status == 401


def test_a_users_password_opens_no_device(hb):
    """DDI authentication: Basic credentials are refused."""
    device = hb.device()
    device.headers = hb.server.basic(hb.server.user, hb.server.password)
    assert device.call("GET").status == 401


# ---- permissions ----------------------------------------------------------------------------------------

READER_MAY = ("/targets", "/targettags", "/targetgroups", "/targetfilters", "/actions", "/userinfo")
READER_MAY_NOT = ("/distributionsets", "/softwaremodules", "/softwaremoduletypes", "/distributionsettypes", "/distributionsettags", "/rollouts",
                  "/system/configs/pollingTime")


@pytest.mark.parametrize("path", READER_MAY)
def test_what_a_reader_of_targets_may(hb, as_user, path):
    """Permission READ_TARGET."""
    assert hb.call("GET", path, credentials=as_user("reader")).status == 200


@pytest.mark.parametrize("path", READER_MAY_NOT)
def test_what_a_reader_of_targets_may_not(hb, as_user, path):
    """Permission READ_TARGET: 403 insufficientPermission elsewhere."""
    hb.refuse(403, "insufficientPermission", "GET", path, credentials=as_user("reader"))


@pytest.mark.parametrize("method, path, body", [
    ("POST", "/targets", [{"controllerId": "x"}]), ("DELETE", "/targets/{id}", None), ("PUT", "/targets/{id}", {"name": "x"}), ("POST", "/targettags", [{"name": "x"}]),
    ("POST", "/targets/{id}/metadata", [{"key": "k", "value": "v"}]), ("POST", "/targets/{id}/assignedDS", {"id": 1}), ("POST", "/targets/{id}/autoConfirm/activate", {}),
    ("PUT", "/system/configs/pollingTime", {"value": "00:05:00"}), ("POST", "/targetfilters", {"name": "x", "query": "name==x"}), ("DELETE", "/actions/1", None)])
def test_a_reader_changes_nothing(hb, as_user, method, path, body):
    """Permission READ_TARGET: writing is 403."""
    controller_id = hb.target()["controllerId"]
    hb.refuse(403, "insufficientPermission", method, path.replace("{id}", controller_id), body, credentials=as_user("reader"))
    assert hb.get(f"/targets/{controller_id}")["name"] == controller_id


def test_a_reader_sees_no_security_token(hb, as_user):
    """Permission READ_TARGET_SECURITY_TOKEN."""
    controller_id = hb.target()["controllerId"]
    assert "securityToken" not in hb.get(f"/targets/{controller_id}", credentials=as_user("reader"))
    assert "securityToken" in hb.get(f"/targets/{controller_id}")


@pytest.mark.parametrize("path, status", [("/softwaremodules", 200), ("/distributionsets", 200), ("/softwaremoduletypes", 200), ("/distributionsettags", 200),
                                          ("/targets", 403), ("/rollouts", 403), ("/actions", 403), ("/system/configs/pollingTime", 403)])
def test_what_a_repository_admin_may(hb, as_user, path, status):
    """Role REPOSITORY_ADMIN."""
    assert hb.call("GET", path, credentials=as_user("repo")).status == status


@pytest.mark.parametrize("path, status", [("/rollouts", 200), ("/targets", 403), ("/distributionsets", 403), ("/system/configs", 403)])
def test_what_a_rollout_admin_may(hb, as_user, path, status):
    """Role ROLLOUT_ADMIN."""
    assert hb.call("GET", path, credentials=as_user("rollouts")).status == status


def test_a_rollout_admin_starts_but_does_not_create(hb, as_user):
    """Role ROLLOUT_ADMIN: creating needs to read sets too."""
    who = as_user("rollouts")
    start, _ = hb.targets(1)
    body = {"name": hb.name("ro"), "targetFilterQuery": f"controllerId=={start}*", "distributionSetId": hb.ds()}
    hb.refuse(403, "insufficientPermission", "POST", "/rollouts", body, credentials=who)
    rollout = hb.rollout(f"controllerId=={start}*")
    hb.rollout_is(rollout, "ready")
    hb.expect(204, "POST", f"/rollouts/{rollout}/start", credentials=who)


@pytest.mark.parametrize("path", ["/targets", "/distributionsets", "/rollouts", "/system/configs", "/softwaremodules", "/targettypes", "/actions"])
def test_a_user_without_permissions(hb, as_user, path):
    """Permissions: nothing but userinfo."""
    who = as_user("nobody")
    hb.refuse(403, "insufficientPermission", "GET", path, credentials=who)
    assert hb.get("/userinfo", credentials=who)["permissions"] == []


@pytest.mark.parametrize("body, status", [(b"{", 400), (b"[{}]", 403), (b"[]", 403)])
def test_a_broken_body_is_told_before_the_permission(hb, as_user, body, status):
    """Management: the order of checks."""
    assert hb.call("POST", "/targets", body, headers={"Content-Type": "application/json"}, credentials=as_user("reader")).status == status


# ---- tenants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["targets", "softwaremodules", "distributionsets", "targettags", "targetfilters", "rollouts", "targettypes", "distributionsettypes"])
def test_another_tenants_entities_do_not_exist(hb, as_user, kind):
    """Multi-tenancy: 404 by id, absent from lists, for reading and writing."""
    who = as_user("other")
    start, ids = hb.targets(1)
    number = {"targets": lambda: ids[0], "softwaremodules": hb.module, "distributionsets": hb.ds, "rollouts": lambda: hb.rollout(f"controllerId=={start}*"),
              "targetfilters": lambda: hb.target_filter("name==x")["id"],
              }.get(kind, lambda: hb.create(kind, name=hb.name("t"), key=hb.name("k"))["id"])()
    for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        hb.refuse(404, "repo.entityNotFound", method, f"/{kind}/{number}", body, credentials=who)
    query = f"id=={number}"
    assert hb.get(f"/{kind}?q={escape(query)}", credentials=who)["total"] == 0 or kind == "targetfilters"
    assert hb.call("GET", f"/{kind}/{number}").status == 200


def test_names_are_free_in_every_tenant(hb, as_user):
    """Multi-tenancy: the same controller id in two tenants."""
    controller_id = hb.target()["controllerId"]
    who = as_user("other")
    hb.expect(201, "POST", "/targets", [{"controllerId": controller_id}], credentials=who)
    hb.expect(204, "DELETE", f"/targets/{controller_id}", credentials=who)
    assert hb.call("GET", f"/targets/{controller_id}").status == 200


def test_a_set_of_another_tenant_cannot_be_assigned(hb, as_user):
    """Multi-tenancy: references in bodies too."""
    controller_id, who = hb.name("mt"), as_user("other")
    hb.expect(201, "POST", "/targets", [{"controllerId": controller_id}], credentials=who)
    hb.refuse(404, "repo.entityNotFound", "POST", f"/targets/{controller_id}/assignedDS", {"id": hb.ds()}, credentials=who)
    hb.expect(204, "DELETE", f"/targets/{controller_id}", credentials=who)


def test_configuration_is_the_tenants_own(hb, as_user):
    """Multi-tenancy: a setting of one tenant is not the other's."""
    who = as_user("other")
    before = hb.get("/system/configs/maintenanceWindowPollCount", credentials=who)
    hb.configure("maintenanceWindowPollCount", 42)
    assert hb.get("/system/configs/maintenanceWindowPollCount", credentials=who) == before


def test_a_token_of_one_tenant_opens_no_other(hb, as_user):
    """Multi-tenancy: DDI under another tenant's name."""
    as_user("other")
    device = hb.device()
    tenant = hb.server.extra_users["other"][2]
    foreign = Device(hb.server, device.id, "")
    foreign.headers, foreign.base = device.headers, device.base.replace(f"/{hb.server.tenant}/", f"/{tenant}/")
    assert foreign.call("GET").status == 401


# ---- hostile paths and bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/rest/v1//targets", "/rest/v1/targets/a%2Fb", "/rest/v1/targets/a;b=c", "/rest/v1/targets/a%0Ab", "/rest/v1/targets/a%00b",
                                  "/rest/v1/targets/a%5Cb", "/rest/v1/targets/%25", "/rest/v1/targets/a%3Bb"])
def test_a_path_with_a_trick(hb, path):
    """Firewall: //, encoded slashes, semicolons and control characters are refused."""
    assert hb.server.raw("GET", path, None, hb.server.basic(hb.server.user, hb.server.password)).status == 400


@pytest.mark.parametrize("path", ["/rest/v1/../v1/targets", "/rest/v1/targets/../../../etc/passwd", "/rest/v1/%2e%2e/targets", "/DEFAULT/controller/v1/../../rest/v1/targets",
                                  "/../../etc/passwd"])
def test_a_path_that_climbs(hb, path):
    """Firewall: dot segments lead nowhere."""
    answer = hb.server.raw("GET", path, None, None)
    assert answer.status in (400, 401, 404) and b"root:" not in answer.body


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "....//x"])
def test_a_file_name_that_climbs(hb, name):
    """Artifacts: the name of an upload is a label, never a path."""
    module = hb.module()
    answer = hb.upload(module, "x.bin", b"content", query=f"?filename={escape(name)}")
    assert hb.call("GET", f"/softwaremodules/{module}/artifacts/{answer['id']}/download").body == b"content"


@pytest.mark.parametrize("text", ["'; DROP TABLE target;--", "%' OR '1'='1", "\\", "a\\'b", "$(id)", "{{7*7}}", "\u202e", "😀"])
def test_text_is_only_text(hb, text):
    """Injection: what looks like a command is stored and found as it is."""
    target = hb.target(description=text)
    assert hb.get(f"/targets/{target['controllerId']}")["description"] == text
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    query = f"id=={target['controllerId']};description=='{quoted}'"
    found = hb.call("GET", f"/targets?q={escape(query)}")
    assert found.status == 200 and found.json["total"] <= 1


@pytest.mark.parametrize("depth", [50, 1500])
def test_a_deep_filter(hb, depth):
    """RSQL: deep nesting is answered or refused, and the server lives on."""
    answer = hb.call("GET", f"/targets?q={'(' * depth}name==x{')' * depth}")
    assert answer.status in (200, 400, 414, 431) and hb.call("GET", "/userinfo").status == 200


@pytest.mark.parametrize("body", [b"[" * 100000, b'{"a":' * 100000, b'[{"controllerId":"' + b"x" * 1000000 + b'"}]', b"\x00" * 1000, b"\xff\xfe" * 1000])
def test_a_hostile_body(hb, body):
    """Management bodies: refused with a status of their own, and the server lives on."""
    assert hb.call("POST", "/targets", body, headers={"Content-Type": "application/json"}).status in (400, 413, 429)
    assert hb.call("GET", "/userinfo").status == 200


@pytest.mark.parametrize("line", ["GET /rest/v1/userinfo HTTP/9.9", "GET  HTTP/1.1", "\x00\x01\x02", "GET /" + "a" * 100000 + " HTTP/1.1", "POST / HTTP/1.1\r\nContent-Length: -1"])
def test_a_request_that_is_none(hb, line):
    """HTTP: garbage is refused or cut off, and the server lives on."""
    connection = http.client.HTTPConnection(hb.server.netloc, timeout=20 * SLOW) if not hb.server.is_tls else http.client.HTTPSConnection(hb.server.netloc)
    connection.connect()
    try:
        connection.sock.sendall(line.encode("latin-1") + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        first = connection.sock.recv(4096)
        assert first == b"" or first.split()[1][:1] in (b"4", b"5")
    except ConnectionError:
        pass
    finally:
        connection.close()
    assert hb.call("GET", "/userinfo").status == 200
