# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The update server as strangers see it: plain HTTP with the bodies of hawkBit's documents, devices of every
kind of proof, and Debian's swupdate from its first poll to the confirmed update."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import (DRIVELINE, Program, accepts, free_port, http_json, pause, run_verb, thing_context, upload,
                      wait_until)

ADMIN = "admin:admin"


class Server:
    """`driveline serve ota --listen …`: the update server alone."""

    def __init__(self, folder, *options):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options = options
        self.program = None

    def start(self):
        self.spawn()
        return self.wait()

    def spawn(self):
        self.program = Program([DRIVELINE, "serve", "ota", "--listen", f"127.0.0.1:{self.port}", "--data", self.data,
                                "--user", f"{ADMIN}:DEFAULT:TENANT_ADMIN", "--user", "reader:r:DEFAULT:READ_TARGET",
                                "--user", "other:o:OTHER:TENANT_ADMIN", *self.options], self.folder / "ota.log")

    def wait(self):
        wait_until(lambda: accepts(self.port), 10, "the update server")
        return self

    def call(self, method, path, body=None, headers=None, user=ADMIN, timeout=20):
        basic = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
        return http_json(method, self.url + path, body, {**basic, **(headers or {})}, timeout)

    # conftest.upload() takes whatever has an api()
    api = call

    def expect(self, status, method, path, body=None, **more):
        got, answer = self.call(method, path, body, **more)
        assert got == status, (method, path, got, answer)
        return answer

    def device(self, method, name, path="", body=None, token=None):
        headers = {"Authorization": token} if token else {}
        return http_json(method, f"{self.url}/DEFAULT/controller/v1/{name}{path}", body, headers)

    def configure(self, key, value):
        self.expect(204, "PUT", f"/rest/v1/system/configs/{key}", {"value": value})

    def gateway(self):
        self.configure("authentication.gatewaytoken.enabled", True)
        self.configure("authentication.gatewaytoken.key", "gate")
        return "GatewayToken gate"

    def module_with(self, name, version, content, filename="app.zip", module_type="application"):
        module = self.expect(201, "POST", "/rest/v1/softwaremodules",
                             [{"name": name, "version": version, "type": module_type}])[0]["id"]
        return module, self.upload(module, filename, content)

    def upload(self, module, filename, content, status=201, query=""):
        mark = "----a-boundary"
        body = (f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n").encode() + content + f"\r\n--{mark}--\r\n".encode()
        return self.expect(status, "POST", f"/rest/v1/softwaremodules/{module}/artifacts{query}", body,
                           headers={"Content-Type": f"multipart/form-data; boundary={mark}"}, timeout=60)

    def set_with(self, name, version, content, filename="app.zip"):
        module, _ = self.module_with(name, version, content, filename)
        return self.expect(201, "POST", "/rest/v1/distributionsets", [
            {"name": name, "version": version, "type": "app", "modules": [{"id": module}]}])[0]["id"]

    def rollout(self, **members):
        made = self.expect(201, "POST", "/rest/v1/rollouts", {"targetFilterQuery": "controllerId==*", **members})
        return made["id"]

    def rollout_is(self, rollout, status, timeout=10):
        return wait_until(lambda: (lambda r: r if r["status"] == status else None)(
            self.expect(200, "GET", f"/rest/v1/rollouts/{rollout}")), timeout, f"rollout {status}")


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path).start()
    yield s
    assert s.program.stop() == 0, s.program.text()[-3000:]


@pytest.fixture
def make_server(tmp_path):
    made = []

    def make(*options, name="server"):
        made.append(Server(tmp_path / name, *options))
        return made[-1].start()
    yield make
    for s in made:
        s.program.stop()


def closed(finished, *details):
    return {"status": {"execution": "closed", "result": {"finished": finished}, "details": list(details)}}


def action_of(poll):
    href = poll["_links"]["deploymentBase"]["href"]
    return int(href.rsplit("/", 1)[1].split("?")[0])


# ---- what the pipeline of the original proof of concept calls ------------------------------------------


def test_a_rollout_goes_from_upload_to_the_last_group(server):
    token = server.gateway()
    for name in ("car-1", "car-2", "car-3", "car-4"):
        assert server.device("GET", name, token=token)[0] == 200
    ds = server.set_with("app", "1.1.0", b"the new app")
    rollout = server.rollout(name="r", distributionSetId=ds, amountGroups=2,
                             successCondition={"condition": "THRESHOLD", "expression": "100"},
                             errorCondition={"condition": "THRESHOLD", "expression": "50"})
    # starting before it is ready is refused, so a pipeline that doesn't wait learns why
    status, answer = server.call("POST", f"/rest/v1/rollouts/{rollout}/start")
    assert status in (204, 400)
    if status == 400:
        assert answer["errorCode"] == "hawkbit.server.error.rollout.illegalState"
        server.rollout_is(rollout, "ready")
        server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    server.rollout_is(rollout, "running")
    groups = server.expect(200, "GET", f"/rest/v1/rollouts/{rollout}/deploygroups?representation=full")["content"]
    assert [g["status"] for g in groups] == ["running", "scheduled"]
    for wave in (("car-1", "car-2"), ("car-3", "car-4")):
        for car in wave:
            def offered(car=car):
                return "deploymentBase" in server.device("GET", car, token=token)[1]["_links"]
            wait_until(offered, 5, f"{car}'s deployment")
            action = action_of(server.device("GET", car, token=token)[1])
            assert server.device("POST", car, f"/deploymentBase/{action}/feedback", closed("success"), token)[0] == 200
    done = server.rollout_is(rollout, "finished")
    assert done["totalTargetsPerStatus"]["finished"] == 4


def test_the_error_threshold_pauses_before_the_next_group(server):
    token = server.gateway()
    for name in ("car-1", "car-2"):
        server.device("GET", name, token=token)
    ds = server.set_with("app", "1.1.0", b"bad")
    rollout = server.rollout(name="r", distributionSetId=ds, amountGroups=2,
                             errorCondition={"condition": "THRESHOLD", "expression": "10"})
    server.rollout_is(rollout, "ready")
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/start")
    server.rollout_is(rollout, "running")
    poll = wait_until(lambda: (lambda p: p if "deploymentBase" in p["_links"] else None)(
        server.device("GET", "car-1", token=token)[1]), 5, "car-1's deployment")
    server.device("POST", "car-1", f"/deploymentBase/{action_of(poll)}/feedback", closed("failure", "it crashed"), token)
    server.rollout_is(rollout, "paused")
    assert "deploymentBase" not in server.device("GET", "car-2", token=token)[1].get("_links", {})
    text = json.dumps(server.expect(200, "GET", f"/rest/v1/targets/car-1/actions/{action_of(poll)}/status"))
    assert "it crashed" in text
    server.expect(204, "POST", f"/rest/v1/rollouts/{rollout}/resume")
    wait_until(lambda: "deploymentBase" in server.device("GET", "car-2", token=token)[1].get("_links", {}), 5,
               "the second group after the resumption")


def test_a_direct_assignment_ends_in_sync(server):
    token = server.gateway()
    server.device("GET", "car-1", token=token)
    first, second = server.set_with("app", "1", b"1"), server.set_with("app", "2", b"2")
    made = server.expect(200, "POST", f"/rest/v1/distributionsets/{first}/assignedTargets",
                         [{"id": "car-1", "type": "forced"}])
    assert (made["assigned"], made["total"]) == (1, 1)
    old = made["assignedActions"][0]["id"]
    made = server.expect(200, "POST", "/rest/v1/targets/car-1/assignedDS", {"id": second, "type": "soft"})
    new = made["assignedActions"][0]["id"]
    # the older one has to be cancelled first, by hawkBit's order
    poll = server.device("GET", "car-1", token=token)[1]
    assert poll["_links"]["cancelAction"]["href"].endswith(f"/cancelAction/{old}")
    assert server.device("GET", "car-1", f"/cancelAction/{old}", token=token)[1]["cancelAction"]["stopId"] == str(old)
    server.device("POST", "car-1", f"/cancelAction/{old}/feedback", closed("success"), token)
    poll = server.device("GET", "car-1", token=token)[1]
    assert action_of(poll) == new
    deployment = server.device("GET", "car-1", f"/deploymentBase/{new}", token=token)[1]["deployment"]
    assert deployment["update"] == "attempt"
    server.device("POST", "car-1", f"/deploymentBase/{new}/feedback", closed("success"), token)
    assert server.expect(200, "GET", "/rest/v1/targets/car-1")["updateStatus"] == "in_sync"
    assert server.expect(200, "GET", "/rest/v1/targets/car-1/installedDS")["version"] == "2"
    assert server.device("POST", "car-1", f"/deploymentBase/{new}/feedback", closed("success"), token)[0] == 410


def test_artifacts_are_stored_once_and_checked(server):
    content = os.urandom(300_000)
    one, made = server.module_with("a", "1", content)
    assert made["hashes"]["sha256"] == hashlib.sha256(content).hexdigest() and made["size"] == len(content)
    two, _ = server.module_with("b", "1", content, "other.bin")
    stored = [p for p in (server.data / "artifacts").rglob("*") if p.is_file()]
    assert [p.name for p in stored] == [hashlib.sha256(content).hexdigest()]
    server.upload(one, "bad.bin", content, 400, "?sha256sum=" + "0" * 64)
    server.upload(one, "app.zip", content, 409)
    basic = {"Authorization": "Basic " + base64.b64encode(ADMIN.encode()).decode()}
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", f"/rest/v1/softwaremodules/{one}/artifacts/{made['id']}/download",
                       headers={**basic, "Range": "bytes=1000-1999"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Range")) == (206, f"bytes 1000-1999/{len(content)}")
    assert answer.read() == content[1000:2000]
    server.expect(204, "DELETE", f"/rest/v1/softwaremodules/{one}")
    assert stored[0].exists()  # the other module still has it
    server.expect(204, "DELETE", f"/rest/v1/softwaremodules/{two}")
    assert not stored[0].exists()


# ---- who may do what -----------------------------------------------------------------------------------


def test_a_fresh_server_lets_no_device_in_and_no_stranger(server):
    for token in (None, "TargetToken x", "GatewayToken x", "Basic " + base64.b64encode(ADMIN.encode()).decode()):
        assert server.device("GET", "car-1", token=token)[0] == 401
    for user in (None, "admin:wrong", "nobody:x"):
        assert server.call("GET", "/rest/v1/targets", user=user)[0] == 401
    assert server.call("POST", "/rest/v1/targets", [{"controllerId": "x"}], user="reader:r")[0] == 403
    assert server.call("GET", "/rest/v1/targets", user="reader:r")[0] == 200


def test_tenants_do_not_see_each_other(server):
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "mine"}])
    assert server.call("GET", "/rest/v1/targets/mine", user="other:o")[0] == 404
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "mine"}], user="other:o")
    ds = server.set_with("app", "1", b"1")
    assert server.call("GET", f"/rest/v1/distributionsets/{ds}", user="other:o")[0] == 404


def test_a_target_token_opens_its_own_target_only(server):
    server.configure("authentication.targettoken.enabled", True)
    made = server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "a"}, {"controllerId": "b"}])
    token = "TargetToken " + made[0]["securityToken"]
    assert server.device("GET", "a", token=token)[0] == 200
    assert server.device("GET", "b", token=token)[0] == 401
    assert server.device("GET", "new", token=token)[0] == 401


def test_a_certificate_opens_its_own_target_until_it_is_deactivated(shared_cloud):
    cloud = shared_cloud
    files = cloud.create_thing("ota-cert")
    context = thing_context(files, "ota-cert")
    base = f"https://127.0.0.1:{cloud.https_port}/DEFAULT/controller/v1/"
    status, poll = http_json("GET", base + "ota-cert", context=context)
    assert status == 200 and poll["_links"]["configData"]["href"].startswith("https://")
    assert http_json("GET", base + "somebody-else", context=context)[0] == 401
    bare = ssl.create_default_context(cafile=files / "root-CA.crt")
    assert http_json("GET", base + "ota-cert", context=bare)[0] == 401
    # plain HTTP knows no certificates
    assert http_json("GET", f"http://127.0.0.1:{cloud.http_port}/DEFAULT/controller/v1/ota-cert")[0] == 401
    cloud.verb("thing", "deactivate", "ota-cert")
    wait_until(lambda: http_json("GET", base + "ota-cert", context=context)[0] == 401, 5, "the deactivation")


def test_the_page_is_served_and_knows_the_fleets_page(shared_cloud):
    status, page = shared_cloud.api("GET", "/ui/site.json")
    assert status == 200 and page["viewer"] == shared_cloud.config["viewer_listen"]


def test_a_list_of_targets_tells_their_sets_when_asked(server):
    dist = server.set_with("app", "1.0", b"content")
    server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "a"}, {"controllerId": "b"}])
    server.expect(200, "POST", f"/rest/v1/distributionsets/{dist}/assignedTargets", [{"id": "a"}])
    plain = server.expect(200, "GET", "/rest/v1/targets")["content"]
    assert not any(key.endswith("DistributionSet") for target in plain for key in target)
    first, second = server.expect(200, "GET", "/rest/v1/targets?withsets=true")["content"]
    assert first["assignedDistributionSet"] == {"id": dist, "name": "app", "version": "1.0"}
    assert not any(key.endswith("DistributionSet") for key in [*second, *(k for k in first if k.startswith("installed"))])


def test_verbs_list_and_why_says_what_moves(shared_cloud):
    cloud = shared_cloud
    files = cloud.create_thing("ota-why")
    http_json("GET", f"https://127.0.0.1:{cloud.https_port}/DEFAULT/controller/v1/ota-why",
              context=thing_context(files, "ota-why"))
    package = cloud.folder / "why.zip"
    package.write_bytes(b"not looked into by the server")
    ds = upload(cloud, "why-app", "7", package)
    made = cloud.api("POST", f"/rest/v1/distributionsets/{ds}/assignedTargets", [{"id": "ota-why"}])[1]
    action = made["assignedActions"][0]["id"]
    why = cloud.verb("why", f"action/{action}").stdout
    assert "waits for 'ota-why' to poll" in why and f"driveline action cancel {action}" in why
    assert "ota-why" in cloud.verb("target", "list").stdout
    assert "why-app:7" in cloud.verb("action", "list", "target.controllerid==ota-why").stdout
    cloud.verb("action", "cancel", action)
    assert "agree to the cancellation" in cloud.verb("why", "ota-why").stdout
    cloud.verb("action", "cancel", "--force", action)
    assert json.loads(cloud.verb("action", "list", "--output=json", "target.controllerid==ota-why").stdout)[0]["status"] == "canceled"
    made = cloud.api("POST", "/rest/v1/rollouts", {"name": "why", "distributionSetId": ds,
                                                   "targetFilterQuery": "id==ota-why"})[1]
    wait_until(lambda: "waits for its start" in cloud.verb("why", f"rollout/{made['id']}").stdout, 10, "ready")
    cloud.verb("rollout", "start", made["id"])
    wait_until(lambda: json.loads(cloud.verb("rollout", "show", "--output=json", made["id"]).stdout)["status"] == "running", 10,
               "running")
    cloud.verb("rollout", "pause", made["id"])
    assert "rollout resume" in cloud.verb("why", f"rollout/{made['id']}").stdout
    cloud.verb("rollout", "delete", made["id"])
    failed = cloud.verb("rollout", "start", "999999", check=False)
    assert failed.returncode == 1 and "404" in failed.stderr


def test_an_idle_poll_answered_from_memory_is_never_stale(server):
    server.configure("authentication.targettoken.enabled", True)
    token = server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "car-1"}])[0]["securityToken"]
    right = f"TargetToken {token}"
    server.expect(204, "PUT", "/rest/v1/system/configs/pollingTime", {"value": "00:02:00"})
    for _ in range(3):
        status, poll = server.device("GET", "car-1", token=right)
        assert status == 200 and poll["config"]["polling"]["sleep"] == "00:02:00" and "configData" in poll["_links"]
        assert server.device("GET", "car-1", token=right + "x")[0] == 401
    before = server.expect(200, "GET", "/rest/v1/targets/car-1")["lastControllerRequestAt"]
    server.expect(204, "PUT", "/rest/v1/system/configs/pollingTime", {"value": "00:03:00"})
    assert server.device("GET", "car-1", token=right)[1]["config"]["polling"]["sleep"] == "00:03:00"
    server.device("PUT", "car-1", "/configData", {"data": {"a": "b"}}, right)
    for _ in range(2):
        assert "_links" not in server.device("GET", "car-1", token=right)[1]
    assert server.expect(200, "GET", "/rest/v1/targets/car-1")["lastControllerRequestAt"] >= before
    ds = server.set_with("app", "1", b"1")
    server.expect(200, "POST", "/rest/v1/targets/car-1/assignedDS", {"id": ds})
    assert "deploymentBase" in server.device("GET", "car-1", token=right)[1]["_links"]
    server.expect(200, "PUT", "/rest/v1/targets/car-1", {"securityToken": "another"})
    assert server.device("GET", "car-1", token=right)[0] == 401
    server.expect(204, "DELETE", "/rest/v1/targets/car-1")
    assert server.device("GET", "car-1", token="TargetToken another")[0] == 401


# ---- bad input and bad times -----------------------------------------------------------------------------


def raw(port, data, timeout=5):
    """Bytes in, bytes out."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        out = b""
        with contextlib.suppress(OSError):  # the server may hang up in the middle of rubbish
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(65536):
                out += chunk
        return out


@pytest.mark.parametrize("data", [
    b"\x00\x01\x02\x03\r\n\r\n",
    b"GET /rest/v1/targets\r\n\r\n",
    b"GET /DEFAULT/controller/v1/%2e%2e%2fx HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /rest/v1/targets HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
    b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /rest/v1/targets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
], ids=["bytes", "no-version", "escaped-path", "negative-length", "long-line", "many-headers", "trace", "bad-chunk"])
def test_rubbish_is_answered_and_the_server_goes_on(server, data):
    answer = raw(server.port, data)
    assert answer == b"" or answer.split(b" ")[1][:1] in (b"4", b"5"), answer[:200]
    assert server.call("GET", "/rest/v1/targets")[0] == 200


def test_bad_documents_change_nothing(server):
    bodies = [b"{", b"[{]", b"[" * 5000, b'[{"controllerId":' + b'"x"' * 3 + b"}]", b'[{"controllerId":"a"},{}]',
              b"\xff\xfe", b"null", b'[{"controllerId":{"a":1}}]', json.dumps([{"controllerId": "x" * 300}]).encode()]
    for body in bodies:
        assert server.call("POST", "/rest/v1/targets", body)[0] == 400, body[:40]
    assert server.expect(200, "GET", "/rest/v1/targets")["total"] == 0


def test_a_kill_loses_no_answered_request(make_server):
    server = make_server()
    token = server.gateway()
    for round_number in range(5):
        names = [f"k{round_number}-{i}" for i in range(10)]
        answered = []

        def create(names=names, answered=answered):
            for name in names:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if server.call("POST", "/rest/v1/targets", [{"controllerId": name}])[0] == 201:
                        answered.append(name)
        worker = threading.Thread(target=create)
        worker.start()
        pause(0.01 * round_number)
        os.kill(server.program.pid, signal.SIGKILL)
        server.program.wait()
        worker.join()
        server.start()
        for name in answered:
            assert server.call("GET", f"/rest/v1/targets/{name}")[0] == 200, name
    assert server.device("GET", "car-1", token=token)[0] == 200


def test_a_full_disk_is_a_5xx_and_leaves_nothing_half(tmp_path):
    """A file size limit of the process is a disk that takes no more."""
    server = Server(tmp_path)
    server.data.mkdir(parents=True)
    argv = ["/usr/bin/prlimit", "--fsize=1000000", "--", str(DRIVELINE), "serve", "ota", "--listen",
            f"127.0.0.1:{server.port}", "--data", str(server.data), "--user", f"{ADMIN}:DEFAULT:TENANT_ADMIN"]
    server.program = Program(argv, tmp_path / "ota.log")
    try:
        wait_until(lambda: accepts(server.port), 10, "the update server")
        module = server.expect(201, "POST", "/rest/v1/softwaremodules",
                               [{"name": "big", "version": "1", "type": "application"}])[0]["id"]
        answer = server.upload(module, "big.bin", os.urandom(3_000_000), 507)
        assert "not stored" in answer["message"]
        assert server.expect(200, "GET", f"/rest/v1/softwaremodules/{module}/artifacts") == []
        assert not [p for p in (server.data / "artifacts").rglob("*") if p.is_file()]
        server.upload(module, "small.bin", b"small")
    finally:
        server.program.stop()


def test_it_refuses_to_listen_beyond_loopback_and_says_when_a_port_is_taken(tmp_path, server):
    done = subprocess.run([str(DRIVELINE), "serve", "ota", "--listen", "0.0.0.0:8080", "--data", str(tmp_path / "x")],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and "loopback" in done.stderr
    done = subprocess.run([str(DRIVELINE), "serve", "ota", "--listen", f"127.0.0.1:{server.port}", "--data",
                           str(tmp_path / "y")], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and "taken" in done.stderr
    done = run_verb(tmp_path, "serve", "ota", "--user", "a:b:T:NO_SUCH_ROLE", "--listen", "127.0.0.1:1", check=False)
    assert done.returncode == 1 and "NO_SUCH_ROLE" in done.stderr


# ---- Debian's swupdate -----------------------------------------------------------------------------------


def cpio_crc(entries):
    """The archive that swupdate takes: new portable format with checksums."""
    out = b""
    for number, (name, content) in enumerate([*entries, ("TRAILER!!!", b"")], 1):
        last = name == "TRAILER!!!"
        fields = [0 if last else number, 0 if last else 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0,
                  len(name) + 1, sum(content) & 0xFFFFFFFF]
        head = b"070702" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        out += head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)
    return out + b"\0" * (-len(out) % 512)


class Signer:
    """A key and a certificate for e-mail protection, which swupdate asks for."""

    def __init__(self, folder, name):
        self.key, self.cert = folder / f"{name}.key", folder / f"{name}.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.cert,
                        "-days", "30", "-subj", f"/CN={name}", "-addext", "extendedKeyUsage=emailProtection"],
                       check=True, capture_output=True, timeout=60)

    def sign(self, folder, text):
        description, signature = folder / "sw-description", folder / "sw-description.sig"
        description.write_bytes(text)
        subprocess.run(["openssl", "cms", "-sign", "-in", description, "-out", signature, "-signer", self.cert, "-inkey",
                        self.key, "-outform", "DER", "-nosmimecap", "-binary"], check=True, capture_output=True, timeout=60)
        return signature.read_bytes()


def make_swu(folder, signer, version, payload, installed):
    text = f"""software = {{
  version = "{version}";
  hardware-compatibility: [ "1.0" ];
  files: ( {{ filename = "payload"; path = "{installed}"; type = "rawfile"; sha256 = "{hashlib.sha256(payload).hexdigest()}"; }} );
}};
""".encode()
    return cpio_crc([("sw-description", text), ("sw-description.sig", signer.sign(folder, text)), ("payload", payload)])


@contextlib.contextmanager
def swupdate(server, folder, signer, token, *more):
    (folder / "tmp").mkdir(exist_ok=True)
    client = Program(["swupdate", "-v", "-k", signer.cert, "-H", "test:1.0", "-u",
                      f"-t DEFAULT -u {server.url} -i sw-1 -k {token} -p 1 {' '.join(more)}"], folder / "swupdate.log",
                     env={"TMPDIR": str(folder / "tmp")})
    try:
        yield client
    except BaseException:
        print(client.text()[-6000:])
        raise
    finally:
        client.stop()


needs_swupdate = pytest.mark.skipif(not shutil.which("swupdate"), reason="swupdate is not installed")


def offer_swu(server, tmp_path, signer):
    server.configure("authentication.targettoken.enabled", True)
    token = server.expect(201, "POST", "/rest/v1/targets", [{"controllerId": "sw-1"}])[0]["securityToken"]
    payload, installed = os.urandom(200_000), tmp_path / "installed.bin"
    ds = server.set_with("firmware", "2.0", make_swu(tmp_path, signer, "2.0", payload, installed), "fw.swu")
    action = server.expect(200, "POST", f"/rest/v1/distributionsets/{ds}/assignedTargets",
                           [{"id": "sw-1", "type": "forced"}])["assignedActions"][0]["id"]
    return token, payload, installed, action


def history(server, action):
    rows = server.expect(200, "GET", f"/rest/v1/targets/sw-1/actions/{action}/status?limit=500")["content"]
    return [r["type"] for r in rows]


@needs_swupdate
def test_swupdate_installs_a_signed_image_and_confirms_it(server, tmp_path):
    signer = Signer(tmp_path, "release")
    token, payload, installed, action = offer_swu(server, tmp_path, signer)
    with swupdate(server, tmp_path, signer, token):
        wait_until(lambda: installed.exists() and installed.read_bytes() == payload, 40, "the image to be installed")
        wait_until(lambda: "download" in history(server, action), 10, "the download in the history")
    # "rebooted": it is told that the new version works, and says so
    with swupdate(server, tmp_path, signer, token, "-c 2"):
        wait_until(lambda: server.expect(200, "GET", "/rest/v1/targets/sw-1")["updateStatus"] == "in_sync", 40,
                   "swupdate to confirm the update")
    assert server.expect(200, "GET", "/rest/v1/targets/sw-1/installedDS")["version"] == "2.0"
    assert history(server, action)[0] == "finished"


def let_swupdate_work(server, folder, signer, token, condition, what):
    """Debian's swupdate was seen to wait for ever after it had refused an image whose download was still under way. Who
    runs it has a watchdog, as here: started anew it takes the same action up again."""
    for attempt in range(4):
        with swupdate(server, folder, signer, token) as client:
            try:
                wait_until(condition, 15 + 15 * attempt, what)
                return
            except TimeoutError:
                if attempt == 3:
                    raise
                print(client.text()[-2000:])


@needs_swupdate
def test_swupdate_refuses_a_foreign_signature_and_reports_it(server, tmp_path):
    signer, foreign = Signer(tmp_path, "release"), Signer(tmp_path, "foreign")
    token, _, installed, action = offer_swu(server, tmp_path, foreign)
    let_swupdate_work(server, tmp_path, signer, token,
                      lambda: server.expect(200, "GET", "/rest/v1/targets/sw-1")["updateStatus"] == "error",
                      "swupdate to report the failure")
    assert not installed.exists()
    assert history(server, action)[0] == "error"
    assert server.expect(200, "GET", f"/rest/v1/targets/sw-1/actions/{action}")["active"] is False


@needs_swupdate
def test_swupdate_obeys_a_cancellation(server, tmp_path):
    signer = Signer(tmp_path, "release")
    token, _, installed, action = offer_swu(server, tmp_path, signer)
    server.expect(204, "DELETE", f"/rest/v1/targets/sw-1/actions/{action}")
    with swupdate(server, tmp_path, signer, token):
        wait_until(lambda: history(server, action)[0] == "canceled", 60, "swupdate to agree")
    assert not installed.exists()
    shown = server.expect(200, "GET", f"/rest/v1/targets/sw-1/actions/{action}")
    assert (shown["status"], shown["active"]) == ("canceled", False)


class BreakingProxy:
    """Passes connections on to the server, and cuts the first one that has carried `after` bytes of an answer."""

    def __init__(self, port, after):
        self.port, self.after, self.ranges, self.cuts = port, after, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server), daemon=True).start()

    def _ask(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.ranges += [line.decode() for line in data.split(b"\r\n") if line.lower().startswith(b"range:")]
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client, server):
        carried = 0
        with contextlib.suppress(OSError):
            while data := server.recv(16384):
                carried += len(data)
                if carried > self.after and not self.cuts:
                    self.cuts += 1
                    break
                client.sendall(data)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self):
        self.listener.close()


@needs_swupdate
def test_swupdate_resumes_a_broken_download(server, tmp_path):
    signer = Signer(tmp_path, "release")
    token, payload, installed, _ = offer_swu(server, tmp_path, signer)
    proxy = BreakingProxy(server.port, 80_000)
    try:
        with swupdate(proxy, tmp_path, signer, token, "-r 5", "-w 1"):
            wait_until(lambda: installed.exists() and installed.read_bytes() == payload, 60, "the image to be installed")
    finally:
        proxy.close()
    assert proxy.cuts == 1
    starts = [int(re.search(r"bytes=(\d+)-", line)[1]) for line in proxy.ranges]
    assert any(0 < start <= 80_000 for start in starts), proxy.ranges
