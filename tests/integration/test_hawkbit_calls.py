# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""A deployment script written from hawkBit's documents (tests/interop/hawkbit_calls.py), against our update server."""
import hashlib
import json
import subprocess
import sys

import pytest

from conftest import DRIVELINE, ROOT, SLOW, Program, accepts, free_port, http_json, wait_until

TOKEN = {"Authorization": "GatewayToken gate"}


class Script:
    def __init__(self, folder):
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.program = Program([DRIVELINE, "serve", "ota", "--listen", self.url[7:], "--data", folder / "data",
                                "--user", "admin:admin:DEFAULT:TENANT_ADMIN"], folder / "ota.log")
        wait_until(lambda: accepts(int(self.url.rsplit(":", 1)[1])), 20, "the update server")
        for key, value in (("enabled", True), ("key", "gate")):
            assert self.api("PUT", f"/system/configs/authentication.gatewaytoken.{key}", {"value": value})[0] == 204

    def api(self, method, path, body=None):
        return http_json(method, f"{self.url}/rest/v1{path}", body, {"Authorization": "Basic YWRtaW46YWRtaW4="})

    def device(self, method, name, path="", body=None):
        return http_json(method, f"{self.url}/DEFAULT/controller/v1/{name}{path}", body, TOKEN)

    def run(self, *options):
        (self.folder / "app.zip").write_bytes(b"the app")
        done = subprocess.run([sys.executable, ROOT / "tests/interop/hawkbit_calls.py", "--url", self.url, "--name", "app",
                               "--version", "1.0.0", "--file", self.folder / "app.zip", *options],
                              capture_output=True, text=True, timeout=120 * SLOW, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def update(self, name):
        """The device does what the server asks for and reports success; the document that it got."""
        link = wait_until(lambda: self.device("GET", name)[1].get("_links", {}).get("deploymentBase"), 30, f"an update for {name}")
        document = http_json("GET", link["href"], None, TOKEN)[1]
        assert self.device("POST", name, f"/deploymentBase/{document['id']}/feedback", {
            "status": {"execution": "closed", "result": {"finished": "success"}}})[0] == 200
        return document


@pytest.fixture
def script(tmp_path):
    s = Script(tmp_path)
    yield s
    assert s.program.stop() == 0, s.program.text()[-3000:]


def test_a_script_assigns_a_set_to_a_target(script):
    assert script.device("GET", "car-1")[0] == 200
    made = script.run("--target", "car-1")
    assert made["assignment"]["assigned"] == 1
    artifact = script.update("car-1")["deployment"]["chunks"][0]["artifacts"][0]
    assert artifact["hashes"]["sha256"] == hashlib.sha256(b"the app").hexdigest() == made["artifact"]["hashes"]["sha256"]
    assert script.api("GET", "/targets/car-1/installedDS")[1]["id"] == made["distributionSet"]


def test_a_script_rolls_a_set_out_in_groups(script):
    for name in ("car-1", "car-2", "car-3"):
        assert script.device("GET", name)[0] == 200
    made = script.run("--filter", "controllerId==car-*", "--groups", "3")
    for name in ("car-1", "car-2", "car-3"):
        script.update(name)
    wait_until(lambda: script.api("GET", f"/rollouts/{made['rollout']}")[1]["status"] == "finished", 30, "the rollout's end")
