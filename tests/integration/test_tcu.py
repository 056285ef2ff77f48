# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The agent alone, between a real broker, a hostile update server and apps that fail in every way."""
import io
import json
import os
import pathlib
import re
import signal
import ssl
import stat
import subprocess
import threading
import zipfile

import conftest
import pytest
from conftest import ROOT, TCU, Program, accepts, free_port, wait_until
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
        done = subprocess.run([TCU, "status", "--dir", self.dir, "--json"], capture_output=True, text=True,
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


# ---- the good way ------------------------------------------------------------------------------------


def test_an_update_is_installed_confirmed_and_reported(world):
    agent = world.agent()
    world.wait_version("1.0")
    wait_until(lambda: world.server.attributes, 5, "attributes")
    first = world.server.attributes[0]
    assert first["mode"] == "merge" and first["data"]["version"] == "1.0" and first["data"]["slot"] == "a"

    world.server.offer(3, "1.1", make_app("1.1"))
    assert world.wait_closed(3)[0] == "success"
    world.wait_version("1.1")
    assert world.server.executions(3) == ["proceeding", "download", "downloaded", "proceeding", "proceeding", "closed"]
    wait_until(lambda: [u["State"] for u in world.listener.updates("3")] ==
               ["downloading", "downloaded", "installing", "trial", "confirmed"], 5, "the events")
    assert {(u["From"], u["To"]) for u in world.listener.updates("3")} == {("1.0", "1.1")}
    assert agent.current() == "b"
    wait_until(lambda: not list((agent.dir / "download").iterdir()), 5, "an empty folder of downloads")
    wait_until(lambda: world.server.attributes[-1]["data"]["version"] == "1.1", 5, "new attributes")

    lines = agent.journal()
    assert re.match(r"\S+Z boot slot=a version=1.0 success$", lines[0])
    assert re.match(r"\S+Z update action=3 slot=b from=1.0 to=1.1 success", lines[1])
    assert not missing(world.listener.sequences())
    assert world.listener.sequences() == sorted(world.listener.sequences())
    agent.stop()
    agent.start()
    wait_until(lambda: len(agent.journal()) == 3, 5, "the second boot's line")
    assert "boot slot=b version=1.1 success" in agent.journal()[2]


def test_telemetry_has_a_gap_below_one_second_during_an_update(world):
    world.agent()
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1"))
    world.wait_closed(3)
    times = [(m["Timestamp"], m["SoftwareVersion"]) for m in world.listener.telemetry()]
    last_old = max(t for t, v in times if v == "1.0")
    first_new = min(t for t, v in times if v == "1.1")
    seconds = lambda t: float(t[14:16]) * 60 + float(t[17:23])
    assert (seconds(first_new) - seconds(last_old)) % 3600 < 1.0 * conftest.SLOW


def test_a_hint_polls_at_once(world):
    agent = world.agent("--poll-s", "1h")
    world.wait_version("1.0")
    wait_until(lambda: world.server.polls, 5, "the first poll")
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: agent.status().get("broker") == "connected", 5, "the connection")
    with Mqtt(world.broker.port, None, "hinter") as hinter:
        hinter.publish(f"device/{VIN}/poll", "now")
    assert world.wait_closed(3)[0] == "success"


def test_an_action_is_not_done_twice(world):
    agent = world.agent()
    world.wait_version("1.0")
    package = make_app("1.1")
    world.server.offer(3, "1.1", package)
    world.wait_closed(3)
    world.server.feedback.clear()
    world.server.offer(3, "1.1", package)  # a server that was restored from a backup
    assert world.wait_closed(3)[0] == "success"
    assert world.server.executions(3) == ["closed"]
    world.server.offer(4, "1.1", package)  # another action, the same content
    finished, details = world.wait_closed(4)
    assert finished == "success" and "already" in details
    assert agent.current() == "b" and world.server.executions(4) == ["closed"]


@pytest.mark.parametrize("kind", ["sha1", "md5"])
def test_an_older_hash_is_enough(world, kind):
    world.agent()
    world.server.offer(3, "1.1", make_app("1.1"), hashes=(kind,))
    assert world.wait_closed(3)[0] == "success"


# ---- packages that must not run -----------------------------------------------------------------------


def link_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("manifest.xml", MANIFEST % (PYTHON, "1"))
        info = zipfile.ZipInfo("main.py")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        package.writestr(info, "/etc/passwd")
    return out.getvalue()


BAD_PACKAGES = {
    "climbs": (make_app("9", more=[("../evil", "x")]), "climbs out"),
    "absolute": (make_app("9", more=[("/tmp/evil-of-driveline", "x")]), "absolute"),
    "link": (link_zip(), "link"),
    "bomb": (make_app("9", more=[("zeros", b"\0" * (64 << 20))]), "unpacks to more than"),
    "no zip": (b"this is no zip at all, but long enough to look at", "broken"),
    "no manifest": (make_zip([("main.py", GOOD)]), "manifest.xml"),
    "broken manifest": (make_app("9", manifest="<project><name>x</name>"), "manifest"),
    "entity manifest": (make_app("9", manifest="<!DOCTYPE p [<!ENTITY a 'b'>]><project><name>&a;</name>"
                                               "<run_command>x</run_command></project>"), "document type"),
    "shell": (make_app("9", manifest=(MANIFEST % (PYTHON, "9")).replace("main.py", "main.py; reboot")), "shell"),
    "no program": (make_app("9", manifest="<project><name>x</name><run_command>./car</run_command></project>"), "./car"),
}


def test_bad_packages_are_refused_with_their_reason(world):
    agent = world.agent()
    world.wait_version("1.0")
    for action, (name, (package, reason)) in enumerate(BAD_PACKAGES.items(), 10):
        world.server.offer(action, "9", package)
        finished, details = world.wait_closed(action)
        assert finished == "failure" and reason in details, f"{name}: {details}"
        assert "trial" not in [u["State"] for u in world.listener.updates(str(action))]
    assert agent.current() == "a" and world.listener.version() == "1.0"
    assert not (agent.dir / "slots/b").exists()
    assert not pathlib.Path("/tmp/evil-of-driveline").exists() and not (agent.dir / "slots/evil").exists()
    # None of them has cost a message, and a good one is taken after all of them.
    world.server.offer(99, "1.1", make_app("1.1"))
    assert world.wait_closed(99)[0] == "success"
    assert not missing(world.listener.sequences())


def test_a_flipped_bit_is_never_unpacked(world):
    agent = world.agent()
    package = make_app("1.1")
    flipped = bytearray(package)
    flipped[len(flipped) // 2] ^= 1
    world.server.offer(3, "1.1", package, served=bytes(flipped))
    finished, details = world.wait_closed(3)
    assert finished == "failure" and "sha256" in details
    assert not (agent.dir / "slots/b").exists()


def test_another_length_than_promised_is_refused(world):
    agent = world.agent()
    package = make_app("1.1")
    world.server.offer(3, "1.1", package, served=package + b"x")
    wait_until(lambda: "were promised" in agent.program.text(), 10, "the refusal")
    world.server.offer(4, "1.1", package)
    assert world.wait_closed(4)[0] == "success"


# ---- apps that fail ------------------------------------------------------------------------------------


def check_rolled_back(world, agent, action, reason):
    finished, details = world.wait_closed(action)
    assert finished == "failure" and reason in details, details
    wait_until(lambda: (world.listener.updates(str(action)) or [{}])[-1].get("State") == "rolled_back", 5, "the event")
    assert reason in world.listener.updates(str(action))[-1]["Cause"]
    assert agent.current() == "a"
    world.wait_version("1.0")
    seen = len(world.listener.telemetry())
    wait_until(lambda: len(world.listener.telemetry()) > seen + 2, 5, "telemetry again")
    assert any("rolled_back" in line and reason in line for line in agent.journal())


def test_an_app_that_crashes_at_start_is_rolled_back_with_its_cause(world):
    agent = world.agent()
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1", CRASHES))
    check_rolled_back(world, agent, 3, "exited with status 1; it said: no brake module in this version")
    world.server.feedback.clear()
    world.server.offer(3, "1.1", make_app("1.1", CRASHES))  # the same action again isn't tried again
    assert world.wait_closed(3)[0] == "failure"
    assert world.server.executions(3) == ["closed"]


def test_an_app_that_never_answers_is_rolled_back(world):
    agent = world.agent("--answer-s", "400ms")
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1", SILENT))
    check_rolled_back(world, agent, 3, "did not answer within 400 ms")


def test_an_app_that_stops_reporting_is_rolled_back(world):
    agent = world.agent()
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1", NO_TELEMETRY))
    check_rolled_back(world, agent, 3, "sent only 1 telemetry messages")


def test_an_app_that_dies_is_started_again(world):
    agent = world.agent()
    world.wait_version("1.0")
    os.kill(agent.apps()[0], signal.SIGSEGV)
    seen = len(world.listener.telemetry())
    wait_until(lambda: len(world.listener.telemetry()) > seen + 3, 5, "telemetry of the next run")
    assert "was killed by signal 11" in agent.program.text()
    assert not missing(world.listener.sequences())


def test_an_app_that_only_prints_is_taken_at_the_rate_that_was_asked_for(world):
    agent = world.agent("--report-ms", "200", app=make_app("1.0", PRINTS))
    world.wait_version("1.0")
    before = len(world.listener.telemetry())
    conftest.pause(1.5)
    assert 4 <= len(world.listener.telemetry()) - before <= 8
    assert agent.status()["app"] == "running"


def test_a_first_app_that_cannot_be_installed_is_one_clear_line(world):
    agent = world.agent(app=make_zip([("main.py", GOOD)]), start=False).start()
    assert agent.program.wait() == 1
    assert "cannot install the app" in agent.program.text() and "manifest.xml" in agent.program.text()
    assert "boot slot=- version=0 failure: cannot install the app" in agent.journal()[0]


# ---- servers that fail ---------------------------------------------------------------------------------


def broken_after(world, count, times):
    """The artifact's transfer breaks after `count` bytes, `times` times."""
    left = [times]

    def quirk(h):
        if "/artifacts/" not in h.path or left[0] <= 0:
            return False
        left[0] -= 1
        data = world.server.offered[4]
        wanted = h.headers.get("Range")
        world.server.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted else 0
        h.send_response(206 if start else 200)
        h.send_header("Content-Length", str(len(data) - start))
        h.send_header("ETag", '"tag"')
        if start:
            h.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        h.end_headers()
        h.wfile.write(data[start:start + count])
        h.wfile.flush()
        h.close_connection = True
        return True
    world.server.quirk = quirk


def test_a_broken_download_is_resumed_where_it_broke(world):
    world.agent()
    package = make_app("1.1", more=[("ballast", os.urandom(30000))])
    broken_after(world, 10000, 2)
    world.server.offer(3, "1.1", package)
    assert world.wait_closed(3)[0] == "success"
    assert world.server.ranges[0] is None
    starts = [int(r[6:-1]) for r in world.server.ranges[1:]]
    assert starts[0] == 10000 and starts[1] == 20000


def test_a_download_goes_on_after_a_kill_of_the_agent(world):
    agent = world.agent()
    package = make_app("1.1", more=[("ballast", os.urandom(200000))])
    hold = threading.Event()

    def quirk(h):
        if "/artifacts/" not in h.path or hold.is_set():
            return False
        h.send_response(200)
        h.send_header("Content-Length", str(len(package)))
        h.end_headers()
        h.wfile.write(package[:100000])
        h.wfile.flush()
        hold.wait(10)
        h.close_connection = True
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", package)
    part = agent.dir / "download/3.part"
    wait_until(lambda: part.exists() and part.stat().st_size >= 50000, 10, "a part of the package")
    agent.kill()
    hold.set()
    agent.start()
    assert world.wait_closed(3)[0] == "success"
    assert world.server.ranges[-1].startswith("bytes=") and int(world.server.ranges[-1][6:-1]) >= 50000


def test_rubbish_errors_and_silence_of_the_server_do_no_harm(world):
    agent = world.agent()
    world.wait_version("1.0")
    release = threading.Event()
    asked = []

    def answer_with(status, body):
        def quirk(h):
            asked.append(h.path)
            world.server.send(h, status, body, "application/json")
            return True
        return quirk

    def hang(h):
        asked.append(h.path)
        release.wait(5)
        h.close_connection = True
        return True

    def no_http(h):
        asked.append(h.path)
        h.wfile.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        h.close_connection = True
        return True

    deep = b'{"a":' * 1000
    for quirk in (answer_with(500, b""), answer_with(200, b"<html>"), answer_with(200, deep), answer_with(401, b""),
                  answer_with(200, b'{"_links":{"deploymentBase":{"href":"http://evil.example/x"}}}'),
                  answer_with(200, b"x" * (2 << 20)), no_http, hang):
        asked.clear()
        world.server.quirk = quirk
        with Mqtt(world.broker.port, None, "hinter") as hinter:
            hinter.publish(f"device/{VIN}/poll", "")
        wait_until(lambda: asked, 10, "a request")
        wait_until(lambda: agent.why().startswith("update server: "), 10, "the reason in the status")
    world.server.quirk = None
    release.set()
    world.server.offer(3, "1.1", make_app("1.1"))
    assert world.wait_closed(3, 40)[0] == "success"
    assert not missing(world.listener.sequences())


def test_a_server_that_never_has_the_artifact_ends_in_a_failure(world):
    world.agent()

    def quirk(h):
        if "/artifacts/" not in h.path:
            return False
        world.server.send(h, 404)
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: "HTTP 404 for the artifact" in world.agents[0].program.text(), 10, "the refusal")
    wait_until(lambda: "404" in world.agents[0].why() or world.server.closed(3), 10, "the reason")
    world.server.offered = None
    wait_until(lambda: world.agents[0].state() == "idle", 10, "the end of an action that is gone")


def test_the_outcome_is_told_until_the_server_takes_it(world):
    agent = world.agent()
    world.wait_version("1.0")

    def quirk(h):
        if not h.path.endswith("/feedback") or b'"closed"' not in h.body:
            return False
        world.server.send(h, 500)
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: agent.state() == "report", 10, "the state 'report'")
    wait_until(lambda: "isn't delivered" in agent.why(), 10, "the reason")
    agent.kill()
    agent.start()
    wait_until(lambda: "isn't delivered" in agent.why(), 10, "the reason")
    world.server.quirk = None
    assert world.wait_closed(3)[0] == "success"
    wait_until(lambda: agent.state() == "idle", 5, "rest")
    assert [u["State"] for u in world.listener.updates("3")].count("confirmed") == 1


@pytest.mark.parametrize("status", [404, 410])
def test_an_outcome_that_nobody_wants_is_dropped(world, status):
    agent = world.agent()
    told = []

    def quirk(h):
        if not h.path.endswith("/feedback") or b'"closed"' not in h.body:
            return False
        world.server.offered = None
        told.append(h.path)
        world.server.send(h, status)
        return True
    world.server.quirk = quirk
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: told, 10, "the outcome")
    wait_until(lambda: agent.state() == "idle", 10, "rest")
    assert agent.current() == "b" and len(told) == 1


def test_a_token_is_sent_and_a_wrong_one_is_named(world):
    world.server.token = "GatewayToken 0123456789abcdef"
    token = world.folder / "token"
    token.write_text("wrong\n")
    agent = world.agent("--gateway-token-file", token)
    wait_until(lambda: "HTTP 401" in agent.why(), 10, "the reason in the status")
    agent.stop()
    token.write_text("0123456789abcdef\n")
    agent.start()
    world.server.offer(3, "1.1", make_app("1.1"))
    assert world.wait_closed(3)[0] == "success"


# ---- permission and cancellation ------------------------------------------------------------------------


def test_a_closed_window_lets_it_download_and_wait(world):
    agent = world.agent()
    package = make_app("1.1")
    world.server.offer(3, "1.1", package, update="skip", window="unavailable")
    wait_until(lambda: "downloaded" in world.server.executions(3), 10, "the download")
    wait_until(lambda: "waits for permission" in agent.why(), 5, "the reason")
    agent.kill()
    agent.start()
    wait_until(lambda: "waits for permission" in agent.why(), 5, "the reason after a restart")
    assert agent.current() == "a"
    world.server.offer(3, "1.1", package, window="available")
    assert world.wait_closed(3)[0] == "success"
    assert world.server.ranges == [None]


def test_a_cancellation_is_obeyed_before_the_switch(world):
    agent = world.agent()
    world.server.offer(3, "1.1", make_app("1.1"), update="skip")
    wait_until(lambda: agent.state() == "wait", 10, "the state 'wait'")
    world.server.canceled = "3"
    wait_until(lambda: world.server.cancel_feedback, 10, "the answer")
    action, status = world.server.cancel_feedback[0]
    assert (action, status["execution"], status["result"]["finished"]) == ("3", "closed", "success")
    wait_until(lambda: agent.state() == "idle", 5, "rest")
    assert agent.current() == "a"
    wait_until(lambda: not list((agent.dir / "download").iterdir()), 5, "an empty folder of downloads")


def test_a_cancellation_is_rejected_when_it_is_too_late(world):
    agent = world.agent("--trial-s", "3s")
    world.wait_version("1.0")
    world.server.offer(3, "1.1", make_app("1.1"))
    wait_until(lambda: agent.state() == "trial", 10, "the trial")
    world.server.canceled = "3"
    wait_until(lambda: world.server.cancel_feedback, 10, "the answer")
    assert world.server.cancel_feedback[0][1]["execution"] == "rejected"
    assert world.wait_closed(3)[0] == "success"
    assert agent.current() == "b"


# ---- kills ----------------------------------------------------------------------------------------------


@pytest.fixture
def slow_unpacker(tmp_path):
    """An unpacker that unpacks only once a file is there: holds the agent in UNPACK (or the check before)."""
    script = tmp_path / "unpacker.py"
    gate = tmp_path / "gate"
    script.write_text(f"""
import os, pathlib, sys, threading
args = sys.argv[1:]
while len(args) - args.index("--") > 2 and not pathlib.Path({str(gate)!r}).exists():
    threading.Event().wait(0.02)
os.execv({str(TCU.parent / "driveline-unpack")!r}, ["driveline-unpack", *args])
""")
    return f"{PYTHON} -ISu '{script}'", gate


# The old app takes its time to stop: the agent stays in SWITCH, or in ROLLBACK, for a moment.
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GOOD + "signal.pause()\n"


def test_a_kill_in_any_state_ends_in_a_version_that_runs(world, slow_unpacker):
    command, gate = slow_unpacker
    gate.touch()
    agent = world.agent("--unpack-command", command, app=make_app("1.0", STUBBORN))
    world.wait_version("1.0")
    version = "1.0"
    plan = [("download", STUBBORN, True), ("wait", STUBBORN, True), ("unpack", STUBBORN, True),
            ("switch", STUBBORN, True), ("trial", STUBBORN, True), ("report", STUBBORN, True),
            ("trial", STUBBORN.replace('"telemetry"', '"nothing"'), None)]
    for action, (state, code, good) in enumerate(plan, 1):
        target = f"2.{action}"
        hold = threading.Event()

        def quirk(h, state=state, hold=hold):
            if (state == "download" and "/artifacts/" in h.path or
                    state == "report" and h.path.endswith("/feedback") and b'"closed"' in h.body) and not hold.is_set():
                hold.wait(20)
                h.close_connection = True
                return True
            return False
        world.server.quirk = quirk
        if state == "unpack":
            gate.unlink()
        world.server.offer(action, target, make_app(target, code), update="skip" if state == "wait" else "forced")
        wait_until(lambda: agent.state() == state, 15, f"the state '{state}'", every=0.003)
        agent.kill()
        hold.set()
        world.server.quirk = None
        gate.touch()
        assert (agent.dir / "slots" / agent.current() / "manifest.xml").exists()
        agent.start()
        if world.server.offered:
            world.server.options["update"] = "forced"
        if good is None:
            for _ in range(2):  # it takes the agent down again and again
                wait_until(lambda: agent.state() == "trial" and agent.apps(), 10, "the trial")
                agent.kill()
                agent.start()
            finished, details = world.wait_closed(action)
            assert finished == "failure" and "during the trial" in details, details
        else:
            assert world.wait_closed(action)[0] == "success"
            version = target
        world.wait_version(version)
    sequences = world.listener.sequences()
    assert not missing(sequences), missing(sequences)
    assert len(sequences) - len(set(sequences)) <= 16 * len(plan) * 2


def test_kills_at_random_moments_of_updates(world):
    import random
    chance = random.Random(7)
    agent = world.agent("--trial-s", "300ms")
    world.wait_version("1.0")
    for action in range(1, 9):
        bad = action % 3 == 0
        world.server.offer(action, f"3.{action}", make_app(f"3.{action}", CRASHES if bad else GOOD))
        conftest.pause(chance.uniform(0.0, 0.7))
        agent.kill()
        agent.start()
        finished, _ = world.wait_closed(action)
        assert finished == ("failure" if bad else "success")
    world.wait_version("3.8")
    assert not missing(world.listener.sequences())


# ---- the link -------------------------------------------------------------------------------------------


def test_what_was_measured_without_a_link_arrives_in_order(world):
    port = free_port()
    agent = world.agent(port=port)
    wait_until(lambda: agent.status().get("spooled", 0) > 10, 10, "messages in the spool")
    agent.kill()
    agent.start()
    wait_until(lambda: agent.status().get("spooled", 0) > 15, 10, "more messages in the spool")
    wait_until(lambda: "Connection refused" in agent.status()["broker"], 10, "the reason in the status")
    folder = world.folder / "late"
    folder.mkdir()
    late = Broker(folder, port).start()
    try:
        listener = Listener(port)
        wait_until(lambda: len(set(listener.sequences())) > 25, 40, "the messages")
        late.kill()
        conftest.pause(0.5)
        late.start()
        again = Listener(port)
        wait_until(lambda: len(again.sequences()) > 10, 40, "messages after the second connection")
        sequences = listener.sequences() + again.sequences()
        # Whoever listens later than the agent connects may miss the first; none is missing later on.
        assert again.sequences() == sorted(again.sequences())
        first = min(listener.sequences())
        assert listener.sequences() == list(range(first, first + len(listener.sequences())))
        assert len(sequences) - len(set(sequences)) <= 16
    finally:
        agent.kill()
        late.program.stop()


def spooled(agent):
    """The messages in the spool's files, oldest first."""
    found = []
    for path in sorted((agent.dir / "spool").glob("*.seg")):
        data, at = path.read_bytes(), 0
        while at + 24 <= len(data):
            size = int.from_bytes(data[at + 4:at + 8], "little")
            found.append(json.loads(data[at + 24:at + 24 + size]))
            at += 24 + size
    return found


def test_the_same_seed_gives_the_same_telemetry(world):
    def drive(name, seed):
        agent = Agent(world.folder / name, "--seed", seed, "--time-scale", "20", "--app", ROOT / "apps/car-python")
        world.agents.append(agent)
        agent.start()
        wait_until(lambda: agent.status().get("sequence", 0) >= 15, 20, "messages")
        agent.stop()
        return [{k: v for k, v in m.items() if k != "Timestamp"} for m in spooled(agent)[:15]]
    assert drive("one", "5") == drive("two", "5") != drive("three", "6")


def test_a_full_spool_loses_the_oldest_and_says_so(world):
    agent = world.agent("--time-scale", "100", "--report-ms", "10", "--spool-bytes", "65536", port=free_port())
    wait_until(lambda: agent.status().get("dropped", 0) > 0, 30, "dropped messages", every=0.2)
    status = agent.status()
    assert status["spool_bytes"] <= 65536 and status["spooled"] > 100


def make_certificates(folder, name):
    """A CA, a server's certificate and a thing's, by openssl."""
    def run(*words):
        subprocess.run(["openssl", *map(str, words)], cwd=folder, check=True, capture_output=True)
    folder.mkdir()
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
        "root-CA.crt", "-subj", "/CN=test CA", "-days", "2")
    for file, key, subject, extra in (("server.crt", "server.key", "/CN=localhost", "subjectAltName=IP:127.0.0.1"),
                                      (f"{name}.cert.pem", f"{name}.private.key", f"/CN={name}", "keyUsage=digitalSignature")):
        (folder / "ext").write_text(extra + "\n")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", "r.csr",
            "-subj", subject)
        run("x509", "-req", "-in", "r.csr", "-CA", "root-CA.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", file,
            "-days", "2", "-extfile", "ext")


def test_mutual_tls_to_broker_and_server(world):
    files = world.folder / "identity"
    make_certificates(files, VIN)
    folder = world.folder / "tls"
    folder.mkdir()
    broker = Broker(folder, lines=[f"cafile {files}/root-CA.crt", f"certfile {files}/server.crt",
                                   f"keyfile {files}/server.key", "require_certificate true",
                                   "use_identity_as_username true"]).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.crt", files / "server.key")
    context.load_verify_locations(files / "root-CA.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    server = DdiServer(VIN, context=context)
    try:
        client = ssl.create_default_context(cafile=files / "root-CA.crt")
        client.check_hostname = False
        client.load_cert_chain(files / f"{VIN}.cert.pem", files / f"{VIN}.private.key")
        listener = Listener(broker.port, client)
        agent = world.agent(port=broker.port, server=server.url, identity=files)
        wait_until(lambda: listener.version() == "1.0", 10, "telemetry over TLS")
        server.offer(3, "1.1", make_app("1.1"))
        assert wait_until(lambda: server.closed(3), 15, "the outcome")[0] == "success"
        wait_until(lambda: listener.version() == "1.1", 10, "telemetry of the new version")
        assert {m["DeviceID"] for m in listener.telemetry()} == {VIN}
        agent.stop()
        listener.client.close()
    finally:
        server.stop()
        broker.program.stop()


# ---- the command line -----------------------------------------------------------------------------------


def test_a_second_agent_in_the_same_folder_is_refused(world):
    world.agent()
    world.wait_version("1.0")
    second = Agent(world.folder)
    second.log = world.folder / "second.log"
    second.start()
    assert second.program.wait() == 1
    assert "another driveline-tcu works in" in second.program.text()


def test_a_stopped_agent_leaves_nothing_running_and_can_be_asked(world):
    agent = world.agent()
    world.wait_version("1.0")
    apps = agent.apps()
    assert len(apps) == 1
    agent.stop()
    assert not pathlib.Path(f"/proc/{apps[0]}").exists()
    assert not (agent.dir / "tcu.sock").exists()
    status = agent.status()
    assert status["app"] == "stopped" and "does not run" in status["why"] and status["version"] == "1.0"
    text = subprocess.run([TCU, "status", "--dir", agent.dir], capture_output=True, text=True, check=True).stdout
    assert "slot      a" in text and "why " in text


def test_a_person_can_drive(world):
    agent = world.agent("--interactive", "--time-scale", "10", start=False)
    agent.start(stdin=subprocess.PIPE)
    world.wait_version("1.0")
    say = lambda line: (agent.program.child.stdin.write(line.encode() + b"\n"), agent.program.child.stdin.flush())
    say("start")
    say("accelerate 60")
    wait_until(lambda: world.listener.telemetry()[-1]["Engine"]["Speed"] > 5, 10, "a moving car")
    say("brake 50")
    wait_until(lambda: world.listener.telemetry()[-1]["Engine"]["Speed"] < 0.5, 10, "a standing car")
    say("fly")
    agent.program.wait_for_text("also: status, quit")
    say("status")
    say("quit")
    assert agent.program.wait() == 0
    assert "km/h" in agent.program.text()


@pytest.mark.parametrize("argv, text", [
    ([], "which folder"),
    (["--dir", "x", "--log-level", "loud"], "--log-level"),
    (["--dir", "x"], "who is the car"),
    (["--dir", "x", "--id", "a/b"], "can't be a thing's name"),
    (["--dir", "x", "--id", "a", "--mqtt", "nowhere:0"], "--mqtt needs"),
    (["--dir", "x", "--id", "a", "--time-scale", "0"], "out of range"),
    (["--dir", "x", "--id", "a", "--server", "ftp://x"], "URL"),
    (["--dir", "x", "--id", "a", "--cycle", "nothing.csv"], "nothing.csv"),
    (["--dir", "x", "--identity", "."], "certificates"),
    (["--wings"], "unknown option"),
    (["status"], "which folder"),
    (["status", "--dir", "nothing-here"], "nothing-here"),
])
def test_misuse_is_one_clear_line(tmp_path, argv, text):
    done = subprocess.run([TCU, *argv], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode in (1, 2) and text in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_each_option_is_in_the_man_page():
    page = (ROOT / "man/driveline-tcu.1").read_text().replace("\\-", "-")
    for words in (["--help"], ["status", "--help"]):
        usage = subprocess.run([TCU, *words], capture_output=True, text=True, check=True).stdout
        for option in re.findall(r"^\s+(?:-\w,)?\s*(--[a-z-]+)", usage, re.M):
            assert option in page, f"{option} isn't documented"
    assert subprocess.run([TCU, "--version"], capture_output=True, text=True, check=True).stdout.startswith("driveline-tcu ")
