# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""What the tests of the agent alone share: apps, a broker with a listener, a hostile update server, the agent."""
import io
import json
import os
import pathlib
import subprocess
import threading
import zipfile

import conftest
import pytest
from conftest import TCU, Program, accepts, free_port, wait_until
from ddi_server import DdiServer
from mqtt_client import Closed, Mqtt

VIN = "TCU-TEST-1"
PYTHON = "/usr/bin/python3"

# The smallest app that keeps the seam: answers each line, and reports its own version.
GOOD = """
import json, sys
for line in sys.stdin:
    tick = json.loads(line)
    answer = {"actuators": {}}
    if tick["report"]:
        answer["telemetry"] = {"Engine": {"Speed": tick["sensors"]["speed_mps"], "T": tick["t"]}}
    print(json.dumps(answer), flush=True)
"""
CRASHES = "import sys\nsys.exit('no brake module in this version')\n"
SILENT = "import sys\nfor line in sys.stdin: pass\n"
PRINTS = """
import json, time, threading
n = 0
while True:
    n += 1
    print(json.dumps({"Engine": {"Speed": n}}), flush=True)
    threading.Event().wait(0.02)
"""
NO_TELEMETRY = """
import sys
n = 0
for line in sys.stdin:
    n += 1
    print('{"actuators":{},"telemetry":{"Engine":{"Speed":1}}}' if n == 1 else '{"actuators":{}}', flush=True)
"""
MANIFEST = """<project><name>car</name><language>python</language><compiler/><build_command/>
<run_command>%s -ISu main.py</run_command><version>%s</version></project>"""


def make_zip(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files:
            package.writestr(name, content)
    return out.getvalue()


def make_app(version, code=GOOD, manifest=None, more=()):
    manifest = manifest or MANIFEST % (PYTHON, version)
    return make_zip([("manifest.xml", manifest), ("main.py", code), *more])


class Broker:
    """A plain Mosquitto that everybody may use, and a listener on all it carries."""

    def __init__(self, folder, port=None, lines=()):
        self.folder = pathlib.Path(folder)
        self.port = port or free_port()
        self.conf = self.folder / "mosquitto.conf"
        self.conf.write_text(f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
                             f"max_inflight_messages 0\n" + "".join(line + "\n" for line in lines))
        self.program = None

    def start(self):
        self.program = Program(["mosquitto", "-c", self.conf], self.folder / "mosquitto.log")
        wait_until(lambda: accepts(self.port), 10, "the broker")
        return self

    def kill(self):
        self.program.kill()


class Listener:
    """Everything that cars publish, as it comes."""

    def __init__(self, port, context=None):
        self.messages = []
        self.client = Mqtt(port, context, "listener", keepalive=0, timeout=None)
        self.client.subscribe("device/+/telemetry")
        self.client.subscribe("device/+/update")
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while True:
                topic, payload = self.client.receive()
                self.messages.append((topic, json.loads(payload)))
        except (Closed, OSError, ValueError):
            pass

    def telemetry(self):
        return [m for topic, m in list(self.messages) if topic.endswith("/telemetry")]

    def updates(self, action=None):
        return [m["Update"] for topic, m in list(self.messages)
                if topic.endswith("/update") and action in (None, m["Update"]["Action"])]

    def sequences(self):
        return [m["Sequence"] for _, m in list(self.messages)]

    def version(self):
        found = self.telemetry()
        return found[-1]["SoftwareVersion"] if found else None


class Agent:
    def __init__(self, folder, *options, app=None, port=None, server=None, identity=None):
        self.folder = pathlib.Path(folder)
        self.dir = self.folder / "car"
        self.log = self.folder / "agent.log"
        self.argv = [TCU, "--dir", self.dir, "--report-ms", "100", "--trial-s", "700ms", "--poll-s", "200ms",
                     "--answer-s", "2s", "--timeout-s", "1s", "--log-level", "debug"]
        self.argv += ["--identity", identity] if identity else ["--id", VIN]
        if app is not None:
            (self.folder / "factory.zip").write_bytes(app)
            self.argv += ["--app", self.folder / "factory.zip"]
        self.argv += ["--mqtt", f"127.0.0.1:{port}"] if port else []
        self.argv += ["--server", server] if server else []
        self.argv += options
        self.program = None

    def start(self, **kinds):
        self.program = Program(self.argv, self.log, **kinds)
        return self

    def kill(self):
        self.program.kill()

    def stop(self):
        assert self.program.stop() == 0, self.program.text()[-2000:]

    def state(self):
        try:
            return json.loads((self.dir / "state.json").read_text())["state"]
        except (OSError, ValueError):
            return "idle"

    def status(self):
        done = subprocess.run([TCU, "status", "--dir", self.dir, "--output", "json"], capture_output=True, text=True,
                              check=False, timeout=20)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def why(self):
        return self.status().get("why", "")

    def current(self):
        return os.readlink(self.dir / "slots/current")

    def journal(self):
        path = self.dir / "update.log"
        return path.read_text().splitlines() if path.exists() else []

    def apps(self):
        return [p for p in conftest.child_pids(self.program.pid)
                if "main.py" in conftest.command_line(p)]


class World:
    def __init__(self, folder):
        self.folder, self.agents = folder, []
        self.broker = Broker(folder).start()
        self.listener = Listener(self.broker.port)
        self.server = DdiServer(VIN)

    def agent(self, *options, app=None, start=True, **kinds):
        kinds = {"port": self.broker.port, "server": self.server.url, **kinds}
        agent = Agent(self.folder, *options, app=make_app("1.0") if app is None else app, **kinds)
        self.agents.append(agent)
        return agent.start() if start else agent

    def wait_version(self, version, timeout=15):
        wait_until(lambda: self.listener.version() == version, timeout, f"telemetry of version {version}")

    def wait_closed(self, action, timeout=20):
        return wait_until(lambda: self.server.closed(action), timeout, f"the outcome of action {action}")

    def close(self):
        for agent in self.agents:
            if agent.program and agent.program.is_running():
                agent.program.kill()
        self.server.stop()
        self.listener.client.close()
        if self.broker.program.is_running():
            self.broker.program.stop()


@pytest.fixture
def world(tmp_path, request):
    w = World(tmp_path)
    yield w
    w.close()
    if conftest._failed(request):
        for agent in w.agents:
            print(agent.program.text()[-6000:])


def missing(sequences):
    return sorted(set(range(1, max(sequences) + 1)) - set(sequences))
