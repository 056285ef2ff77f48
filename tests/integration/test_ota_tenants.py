# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Tenants and permissions on the update server: every route of the table, with another tenant's ids and with
users that have exactly its permission or everything but it."""
import json
import re
import subprocess

import pytest

from conftest import DRIVELINE
from test_ota import Server

SECRET = "seen-by-its-own-tenant-alone"
ROUTES = [line.split() + [""] for line in subprocess.run([str(DRIVELINE), "serve", "ota", "--routes"], capture_output=True,
          text=True, check=True, timeout=60).stdout.splitlines()] if DRIVELINE.exists() else []
MANAGEMENT = [(r[0], r[1], r[2]) for r in ROUTES if r[1].startswith("/rest/v1/")]
VERBS = ("CREATE_", "READ_", "UPDATE_", "DELETE_")
ENTITIES = ("TARGET", "TARGET_TYPE", "DISTRIBUTION_SET", "DISTRIBUTION_SET_TYPE", "SOFTWARE_MODULE",
            "SOFTWARE_MODULE_TYPE", "ROLLOUT", "TENANT_CONFIGURATION")
SINGLE = [v + e for v in VERBS for e in ENTITIES] + [
    "READ_TARGET_SECURITY_TOKEN", "READ_GATEWAY_SECURITY_TOKEN", "READ_SOFTWARE_MODULE_ARTIFACT", "APPROVE_ROLLOUT",
    "HANDLE_ROLLOUT"]
# Bodies to be tried in turn, until one is readable for the route: which one doesn't matter, what is refused comes
# before or after the body alike.
BODIES = [[], {}, {"value": "00:01:00"}, [1], ["x"], [{"id": 1}], {"id": 1}, {"confirmation": "confirmed"}, {"proved": True},
          {"name": "n", "query": "id==*"}, [{"key": "k", "value": "v"}], {"value": "v", "targetVisible": True},
          {"url": "http://127.0.0.1:9/", "secret": "0123456789abcdef"}, {"actionCancelationType": "none"},
          {"forceType": "forced"}]

# hawkBit loads these before it looks at the permission to change them, so that reading them is needed too.
READ_FIRST = {("PUT", "/rest/v1/targets/999999"), ("PUT", "/rest/v1/targettags/999999"), ("DELETE", "/rest/v1/targettags/999999"),
              ("PUT", "/rest/v1/distributionsettags/999999"), ("DELETE", "/rest/v1/distributionsettags/999999")}


def parts(path):
    return re.findall(r"([A-Za-z]+)/\{", path)


class World:
    """One of everything in the tenant of a user, each with SECRET in it, and their ids by the part of a path."""

    def __init__(self, server, user, tenant):
        self.server, self.user, self.tenant = server, user, tenant
        one = {"description": SECRET}
        make = self.make
        server.expect(204, "PUT", "/rest/v1/system/configs", {"authentication.gatewaytoken.enabled": True,
                      "authentication.gatewaytoken.key": f"gate {tenant}", "driveline.events.enabled": True}, user=user)
        sm_type = make("softwaremoduletypes", [{"key": "smt", "name": "smt", "maxAssignments": 1, **one}])[0]["id"]
        ds_type = make("distributionsettypes", [{"key": "dst", "name": "dst", "mandatorymodules": [{"id": sm_type}], **one}])
        module = make("softwaremodules", [{"name": "m", "version": "1", "type": "smt", **one}])[0]["id"]
        mark = "a-boundary"
        artifact = server.expect(201, "POST", f"/rest/v1/softwaremodules/{module}/artifacts", (
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n{SECRET}\r\n--{mark}--\r\n').encode(),
            user=user, headers={"Content-Type": f"multipart/form-data; boundary={mark}"})["id"]
        metadata = [{"key": "k", "value": SECRET}]
        server.expect(201, "POST", f"/rest/v1/softwaremodules/{module}/metadata", metadata, user=user)
        self.ds = make("distributionsets", [{"name": "d", "version": "1", "type": "dst", "modules": [{"id": module}],
                                             **one}])[0]["id"]
        server.expect(201, "POST", f"/rest/v1/distributionsets/{self.ds}/metadata", metadata, user=user)
        target_type = make("targettypes", [{"key": "tt", "name": "tt", **one}])[0]["id"]
        self.target = f"car-of-{tenant}"
        make("targets", [{"controllerId": self.target, "name": "car", "group": f"group-{SECRET}", **one}])
        server.expect(201, "POST", f"/rest/v1/targets/{self.target}/metadata", metadata, user=user)
        target_tag = make("targettags", [{"name": "tag", **one}])[0]["id"]
        set_tag = make("distributionsettags", [{"name": "tag", **one}])[0]["id"]
        target_filter = make("targetfilters", {"name": f"f {SECRET}", "query": "id==*"})["id"]
        server.expect(200, "POST", f"/rest/v1/targets/{self.target}/assignedDS", {"id": self.ds}, user=user)
        action = server.expect(200, "GET", "/rest/v1/actions", user=user)["content"][0]["id"]
        rollout = make("rollouts", {"name": "r", "distributionSetId": self.ds, "targetFilterQuery": "id==*", "amountGroups": 1,
                                    **one})["id"]
        group = server.expect(200, "GET", f"/rest/v1/rollouts/{rollout}/deploygroups", user=user)["content"][0]["id"]
        hook = make("webhooks", {"url": f"http://127.0.0.1:9/{SECRET}", "secret": SECRET})["id"]
        person = make("users", [{"name": f"person-of-{tenant}", "password": SECRET, **one}])[0]["id"]
        token = make("tokens", [{"name": "token"}])[0]["id"]
        self.ids = {
            "targets": self.target, "actions": action, "metadata": "k", "configs": "pollingTime", "targetgroups": "nobodys",
            "targettags": target_tag, "distributionsettags": set_tag, "targettypes": target_type,
            "softwaremoduletypes": sm_type, "compatibledistributionsettypes": ds_type[0]["id"],
            "distributionsettypes": ds_type[0]["id"], "mandatorymoduletypes": sm_type, "optionalmoduletypes": sm_type,
            "targetfilters": target_filter, "softwaremodules": module, "artifacts": artifact, "distributionsets": self.ds,
            "assignedSM": module, "rollouts": rollout, "deploygroups": group, "webhooks": hook, "users": person,
            "tokens": token}

    def make(self, what, body):
        return self.server.expect(201, "POST", f"/rest/v1/{what}", body, user=self.user)

    def path(self, template):
        found = template
        for part in parts(template):
            member = self.ds if "distributionsettags" in template else self.target
            value = member if part == "assigned" else self.ids[part]
            found = re.sub(rf"{part}/\{{[a-z]\}}", f"{part}/{value}", found, count=1)
        assert "{" not in found, f"what is {template}?"
        if "targetgroups" in found:
            found += "?group=nobodys&q=id==nobody"
        return found

    def everything(self):
        """All that the tenant can read by GET; of web-hooks, which count their deliveries, that they are there."""
        found = {path: self.server.call("GET", self.path(path), user=self.user)
                 for method, path, _ in MANAGEMENT if method == "GET" and "/events" not in path}
        return {path: answer[0] if "webhooks" in path else answer for path, answer in found.items()}


def answer(server, method, path, user):
    """(status, text) of the first body that is readable."""
    if method == "POST" and path.endswith("/artifacts"):
        mark = "b"
        body = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="g"\r\n\r\nx\r\n--{mark}--\r\n'.encode()
        status, document = server.call(method, path, body, user=user,
                                       headers={"Content-Type": f"multipart/form-data; boundary={mark}"})
        return status, json.dumps(document)
    for body in [None] if method == "GET" else BODIES:
        status, document = server.call(method, path, body, user=user)
        if status != 400:
            break
    return status, json.dumps(document) if not isinstance(document, bytes) else document.decode(errors="replace")


@pytest.fixture
def worlds(tmp_path):
    server = Server(tmp_path).start()
    yield World(server, "admin:admin", "DEFAULT"), World(server, "other:o", "OTHER")
    assert server.program.stop() == 0, server.program.text()[-3000:]


def test_no_route_shows_or_changes_what_is_another_tenants(worlds):
    """The stranger has one of everything himself, so that what he gets is told from what he may not."""
    victim, stranger = worlds
    before, tried = victim.everything(), 0
    assert sum(SECRET in str(a) for a in before.values()) > 20, "little is there to be seen"
    shared = {"configs", "targetgroups", "metadata"}  # names that every tenant has
    for method, path, _ in MANAGEMENT:
        if not set(parts(path)) - shared or parts(path)[0] in shared:
            continue
        tried += 1
        status, text = answer(victim.server, method, victim.path(path), stranger.user)
        assert SECRET not in text, (method, path, text)
        nothing_there = path.endswith(("/assignedDS", "/installedDS")) and method == "GET" and status == 204
        gone_already = (method, path) == ("DELETE", "/rest/v1/actions/{n}") and status == 204  # whether it was there or not
        assert status == 404 or nothing_there or gone_already, (method, path, status, text)
    assert tried > 90
    assert victim.everything() == before


def test_lists_hold_only_what_is_the_tenants_own(worlds):
    victim, stranger = worlds
    for method, path, _ in MANAGEMENT:
        if method != "GET" or parts(path) or "/events" in path:
            continue
        status, found = victim.server.call(method, victim.path(path), user=stranger.user)
        assert status == 200, path
        names = json.dumps(found)
        assert victim.target not in names and "person-of-DEFAULT" not in names and "gate DEFAULT" not in names, path
        if isinstance(found, dict) and "total" in found and not path.endswith("types"):
            mine = stranger.server.call(method, victim.path(path), user=victim.user)[1]
            assert not {e.get("id", e.get("controllerId")) for e in found["content"]} & \
                {e.get("id", e.get("controllerId")) for e in mine["content"]}, path


def test_a_mixed_path_reaches_nothing_of_another_tenant(worlds):
    """One's own parent with a stranger's child."""
    victim, stranger = worlds
    for method, path, _ in MANAGEMENT:
        named = [p for p in parts(path) if p not in ("metadata", "configs", "targetgroups")]
        if len(named) != 2:
            continue
        child = named[1]
        saved = stranger.ids.get(child), stranger.target, stranger.ds
        mixed = dict(stranger.ids)
        path_of_own = stranger.path(path)
        if child != "assigned":
            mixed[child] = victim.ids[child]
            stranger.ids, kept = mixed, stranger.ids
            target = stranger.path(path)
            stranger.ids = kept
        else:
            target = path_of_own.replace(stranger.target, victim.target) if "targettags" in path else \
                re.sub(r"\d+$", str(victim.ds), path_of_own)
        status, text = answer(victim.server, method, target, stranger.user)
        assert SECRET not in text or method != "GET", (method, path, text)
        # what is not in a list may be removed from it (nothing happens), or the list is closed
        assert status in (204, 403, 404, 423) if method == "DELETE" else status == 404, (method, target, status, text)
        assert saved == (stranger.ids.get(child), stranger.target, stranger.ds)
    assert victim.server.expect(200, "GET", f"/rest/v1/targets/{victim.target}/tags", user=victim.user) in ([], None)


def test_devices_reach_nothing_of_another_tenant(worlds):
    victim, stranger = worlds
    server = victim.server
    base = f"/OTHER/controller/v1/{stranger.target}"

    def device(path, tenant, method="GET", body=None):
        return server.call(method, path, body, user=None, headers={"Authorization": f"GatewayToken gate {tenant}"})[0]

    assert device(base, "OTHER") == 200
    assert device(base, "DEFAULT") == 401
    assert device(f"/DEFAULT/controller/v1/{victim.target}", "OTHER") == 401
    action, module = victim.ids["actions"], victim.ids["softwaremodules"]
    closed = {"status": {"execution": "closed", "result": {"finished": "success"}}}
    before = victim.everything()
    for path in (f"/deploymentBase/{action}", f"/cancelAction/{action}", f"/installedBase/{action}",
                 f"/confirmationBase/{action}", f"/softwaremodules/{module}/artifacts",
                 f"/softwaremodules/{module}/artifacts/f"):
        assert device(base + path, "OTHER") == 404, path
    for path in (f"/deploymentBase/{action}/feedback", f"/cancelAction/{action}/feedback"):
        assert device(base + path, "OTHER", "POST", closed) == 404, path
    assert victim.everything() == before


# ---- permissions -------------------------------------------------------------------------------------


def implies(have, due):
    return have == due or (due.endswith("_TYPE") and have == due[:-len("_TYPE")])


def without(due):
    return [p for p in SINGLE if not implies(p, due)]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with a user for each set of permissions that a route needs, and one for each that lacks one of them."""
    folder = tmp_path_factory.mktemp("guarded")
    users = {"boss": ["TENANT_ADMIN"], "lacks-all": []}
    for _, _, due in MANAGEMENT:
        for one in filter(None, re.split(r"[+|]", due)):
            if "|" not in due:
                users[f"lacks-{one}"] = without(one)
        if due:
            users["reads-" + re.sub(r"[+|]", "-", due)] = re.split(r"[+|]", due) + ["READ_TARGET", "READ_DISTRIBUTION_SET"]
            users["has-" + re.sub(r"[+|]", "-", due)] = re.split(r"[+|]", due) if "|" not in due else due.split("|")[:1]
    path = folder / "users"
    path.write_text("".join(f"{name}:p:DEFAULT:{','.join(roles)}\n" for name, roles in users.items()))
    path.chmod(0o600)
    server = Server(folder, "--users-file", path).start()
    yield World(server, "boss:p", "DEFAULT")
    assert server.program.stop() == 0, server.program.text()[-3000:]


@pytest.mark.parametrize("due", sorted({r[2] for r in MANAGEMENT if r[2]}))
def test_a_route_needs_its_permission_and_no_other(guarded, due):
    """First all that must be refused, so that everything is still there."""
    routes = [(method, guarded.path(path)) for method, path, need in MANAGEMENT if need == due and "/events" not in path]
    for one in due.split("+") if "|" not in due else ["all"]:
        for method, path in routes:
            status, text = answer(guarded.server, method, path, f"lacks-{one}:p")
            assert status == 403, (one, method, path, status, text)
    user = "has-" + re.sub(r"[+|]", "-", due) + ":p"
    for method, path in routes:
        # absent ids: what is allowed would change the world that other tests need
        absent = re.sub(r"/(\d+|car-of-DEFAULT)(?=/|$)", "/999999", path.partition("?")[0]) + path[len(path.partition("?")[0]):]
        if "|" in due:
            absent = absent.replace("pollingTime", "default.ds.type")  # the key that each of them may read
        status, text = answer(guarded.server, method, absent, user)
        if (method, absent) in READ_FIRST:
            assert status == 403, (method, absent, status, text)
            status, text = answer(guarded.server, method, absent, user.replace("has-", "reads-"))
        assert status not in (401, 403), (method, absent, status, text)
