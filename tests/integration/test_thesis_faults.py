# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The faults of the proof of concept that Driveline grew from, one test each, in the whole system.

It unzipped an artifact before its hash was known, killed processes by name, had no way back, opened its ports to
the world with default passwords, granted a device every topic, started a rollout before it was ready, slept two
seconds to wait for a certificate, and went silent during an update.
"""
import base64
import contextlib
import hashlib
import os
import pathlib
import shutil
import socket
import ssl
import stat
import subprocess
import threading
import time
import zipfile

import pytest

from conftest import (ROOT, SLOW, Cloud, child_pids, http_json, make_package, start_tcu,
                      thing_context, upload, wait_until)
from hawkbit_recorder import Recorder
from mqtt_client import Closed, Mqtt
from test_pipeline import C_MAIN, Repository, Server, manifest

APP = ROOT / "apps/car-python"


class Updates:
    """A car with the Python app at version 1.0.0, and updates for it."""

    def __init__(self, cloud, name, folder, server=None, app=APP):
        self.cloud, self.name, self.folder = cloud, name, folder
        self.files = cloud.create_thing(name)
        self.options = ["--trial-s", "1s", "--poll-s", "1s", *(["--server", server] if server else [])]
        self.app, self.car = app, None
        self.start()

    def start(self):
        self.car = start_tcu(self.cloud, self.name, *self.options, files=self.files, app=self.app)
        self.car.wait_version("1.0.0")

    def assign(self, package, version):
        """Assigns the package as `version`; where the update server keeps it."""
        distribution_set = upload(self.cloud, self.name, version, package)
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        kept = next(p for p in (self.cloud.data / "artifacts").rglob("*") if p.is_file() and digest.endswith(p.name[-32:]))
        return kept, lambda: self.cloud.api("POST", f"/rest/v1/distributionsets/{distribution_set}/assignedTargets",
                                            [{"id": self.name}])

    def events(self, version):
        return self.cloud.rows("Update", f"DeviceID = '{self.name}' AND \"To\" = '{version}'")

    def wait_outcome(self, version, timeout=30):
        return wait_until(lambda: next((e for e in self.events(version)
                                        if e["State"] in ("failed", "rolled_back", "confirmed")), None),
                          timeout, f"the outcome of {version} on {self.name}", every=0.1)

    def check_still_runs(self, version="1.0.0"):
        """The car sends on with that version, and never ran another one."""
        assert self.car.program.is_running()
        self.car.wait_telemetry(2)
        assert set(self.car.versions()) == {version}

    def current(self):
        return os.readlink(self.car.data / "slots/current")


@pytest.fixture
def make_car(shared_cloud, tmp_path):
    made = []

    def make(name, **kinds):
        made.append(Updates(shared_cloud, name, tmp_path, **kinds))
        return made[-1]
    yield make
    for one in made:
        if one.car.program.is_running():
            one.car.stop()


def package_of(folder, version, **kinds):
    return make_package(APP, folder / f"app-{version}.zip", version, **kinds)


def heavy_package(folder, version):
    """With a megabyte that doesn't compress."""
    package = package_of(folder, version)
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("ballast", os.urandom(1 << 20))
    return package


class HoldingProxy:
    """Forwards TCP, and lets only `limit` bytes of each connection come back until it is released."""

    def __init__(self, port, limit):
        self.target, self.limit, self.released = port, limit, threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.released.set()
        self.server.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.server.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._pump, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, self.limit), daemon=True).start()

    def _pump(self, source, sink, limit):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                sink.sendall(data)
                passed += len(data)
                if limit and passed > limit:
                    self.released.wait(60 * SLOW)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


# ---- "it unzipped an artifact inside the watched folder before its hash was known" ----------------------


def test_a_half_file_never_runs(make_car, shared_cloud, tmp_path):
    proxy = HoldingProxy(shared_cloud.https_port, 300_000)
    try:
        one = make_car("HALF-1", server=f"https://127.0.0.1:{proxy.port}")
        _, assign = one.assign(heavy_package(tmp_path, "1.1.0"), "1.1.0")
        assign()
        part = lambda: [p for p in (one.car.data / "download").glob("*") if p.stat().st_size > 100_000]
        wait_until(part, 20, "half of the package")
        one.car.program.kill()
        assert one.current() == "a" and not (one.car.data / "slots/b").exists()
        one.start()  # with the half file still there
        one.check_still_runs()
        assert one.current() == "a" and not (one.car.data / "slots/b").exists()
        proxy.released.set()
        assert one.wait_outcome("1.1.0")["State"] == "confirmed"
        one.car.wait_version("1.1.0")
    finally:
        proxy.close()


def test_a_truncated_artifact_never_runs(make_car, tmp_path):
    one = make_car("TRUNCATED-1")
    kept, assign = one.assign(heavy_package(tmp_path, "1.1.0"), "1.1.0")
    kept.chmod(0o600)
    os.truncate(kept, kept.stat().st_size // 2)
    assign()
    wait_until(lambda: one.events("1.1.0"), 20, "the car's attempt")
    one.check_still_runs()
    assert {e["State"] for e in one.events("1.1.0")} <= {"downloading", "failed"}
    assert one.current() == "a" and not (one.car.data / "slots/b").exists()


def test_a_flipped_bit_is_refused_before_anything_is_unpacked(make_car, tmp_path):
    one = make_car("FLIPPED-1")
    kept, assign = one.assign(heavy_package(tmp_path, "1.1.0"), "1.1.0")
    content = bytearray(kept.read_bytes())
    content[-len(content) // 3] ^= 1  # within the ballast: it would unpack, and even run
    kept.chmod(0o600)
    kept.write_bytes(content)
    assign()
    outcome = one.wait_outcome("1.1.0")
    assert outcome["State"] == "failed" and "sha256" in outcome["Cause"], outcome
    assert [e["State"] for e in one.events("1.1.0")] == ["downloading", "failed"]
    assert not (one.car.data / "slots/b").exists()
    one.check_still_runs()


def test_a_path_that_climbs_out_is_refused(make_car, tmp_path):
    one = make_car("CLIMBS-1")
    package = package_of(tmp_path, "1.1.0")
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("../../evil.py", "print('out')\n")
    _, assign = one.assign(package, "1.1.0")
    assign()
    outcome = one.wait_outcome("1.1.0")
    assert outcome["State"] == "failed" and "climbs out" in outcome["Cause"], outcome
    assert not list(one.car.data.parent.rglob("evil.py"))
    one.check_still_runs()


def test_a_version_that_does_not_work_is_taken_back(make_car, tmp_path):
    one = make_car("BACK-1")
    _, assign = one.assign(package_of(tmp_path, "1.1.0", crash=True), "1.1.0")
    assign()
    outcome = one.wait_outcome("1.1.0")
    assert outcome["State"] == "rolled_back" and "this version crashes at start" in outcome["Cause"], outcome
    one.check_still_runs()


# ---- "it granted a device every topic" ------------------------------------------------------------------


def refused(function):
    with pytest.raises((Closed, ssl.SSLError, OSError)):
        function()
    return True


def test_a_foreign_client_id_is_refused(shared_cloud):
    context = thing_context(shared_cloud.create_thing("ID-1"), "ID-1")
    shared_cloud.create_thing("ID-2")
    assert refused(lambda: Mqtt(shared_cloud.mqtt_port, context, "ID-2"))
    assert refused(lambda: Mqtt(shared_cloud.mqtt_port, context, ""))
    assert refused(lambda: Mqtt(shared_cloud.mqtt_port, context, "driveline-cloud"))
    Mqtt(shared_cloud.mqtt_port, context, "ID-1").disconnect()


def test_a_device_publishes_only_to_its_own_topics(shared_cloud):
    context = thing_context(shared_cloud.create_thing("TOPIC-1"), "TOPIC-1")
    shared_cloud.create_thing("TOPIC-2")
    lie = '{"DeviceID":"TOPIC-2","Timestamp":"2026-01-01T00:00:00Z","Sequence":1,"Engine":{"Speed":1}}'
    for topic in ("device/TOPIC-2/telemetry", "device/TOPIC-2/update", "device/TOPIC-2/poll", "device/TOPIC-1/poll", "any"):
        mqtt = Mqtt(shared_cloud.mqtt_port, context, "TOPIC-1")
        assert refused(lambda: mqtt.publish(topic, lie)), topic
    with Mqtt(shared_cloud.mqtt_port, context, "TOPIC-1") as mqtt:
        assert mqtt.subscribe("device/TOPIC-2/poll") == mqtt.subscribe("#") == 0x80
        # On its own topic it can't speak for another one either.
        mqtt.publish("device/TOPIC-1/telemetry", lie)
        wait_until(lambda: shared_cloud.rows("dead_letter", "reason LIKE '%TOPIC-2%'"), 10, "the dead letter")
    assert not shared_cloud.rows("Engine", "DeviceID = 'TOPIC-2'")


# ---- "it started a rollout before it was ready" ---------------------------------------------------------


def test_the_pipeline_waits_for_ready(tmp_path):
    """Against an update server whose rollouts stay `creating` for a while."""
    recorder = Recorder()
    recorder.polls_until_ready = 5
    server = Server(tmp_path, recorder).start()
    try:
        Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
        server.wait_succeeded(1)
        assert recorder.started_while == ["ready"]
        assert len(recorder.seen("GET", r"/rollouts/1$")) > 5
    finally:
        assert server.program.stop() == 0
        recorder.stop()


# ---- "it killed processes by name" ----------------------------------------------------------------------


def test_no_process_is_killed_by_name(tmp_path):
    """Bystanders with the names of everything that is stopped live through an update and the cloud's end."""
    names = ("mosquitto", "driveline", "driveline-tcu", "python3", "main.py", "car")
    bystanders = {}
    cloud = Cloud(tmp_path / "cloud")
    try:
        for name in names:
            (tmp_path / "bystanders").mkdir(exist_ok=True)
            program = tmp_path / "bystanders" / name
            shutil.copy("/bin/sleep", program)
            bystanders[name] = subprocess.Popen([name, "600"], executable=program)
        cloud.start()
        one = Updates(cloud, "NAMES-1", tmp_path)
        _, assign = one.assign(package_of(tmp_path, "1.1.0"), "1.1.0")
        assign()
        assert one.wait_outcome("1.1.0")["State"] == "confirmed"
        one.car.stop()
        cloud.stop()
        assert {name: child.poll() for name, child in bystanders.items()} == {name: None for name in names}
    finally:
        for program in (cloud.program, *(car.program for car in cloud.cars)):
            if program and program.is_running():
                program.kill()
        for child in bystanders.values():
            child.kill()
            child.wait()


# ---- "it opened its ports to the world with default passwords" ------------------------------------------


def descendants(pid):
    found = [pid]
    for child in child_pids(pid):
        found += descendants(child)
    return found


def sockets_of(pid):
    """Inodes of a process's sockets."""
    found = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            name = os.readlink(fd)
            if name.startswith("socket:["):
                found.add(name[8:-1])
    return found


def listeners_of(pid):
    """Where a process waits for others: {(table, address, port)} of TCP listeners and of UDP sockets."""
    inodes, found = sockets_of(pid), set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in inodes and (table.startswith("udp") or words[3] == "0A"):
                address, port = words[1].split(":")
                found.add((table, address, int(port, 16)))
    return found


def test_nothing_listens_that_is_not_declared_and_only_on_loopback(make_car, shared_cloud):
    one = make_car("LISTENS-1")
    cloud_listens = set().union(*map(listeners_of, descendants(shared_cloud.program.pid)))
    declared = {shared_cloud.mqtt_port, shared_cloud.http_port, shared_cloud.https_port, shared_cloud.viewer_port}
    loopback = "0100007F"  # 127.0.0.1 as the kernel prints it
    assert cloud_listens == {("tcp", loopback, port) for port in declared}
    assert set().union(*map(listeners_of, descendants(one.car.program.pid))) == set()


def test_there_is_no_default_password(tmp_path):
    passwords = []
    for name in ("one", "two"):
        cloud = Cloud(tmp_path / name).start()
        try:
            path = cloud.data / "secrets/admin.password"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(cloud.data.stat().st_mode) & 0o077 == 0 or stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            passwords.append(path.read_text().strip())
            for secret in cloud.data.rglob("*.key"):
                assert stat.S_IMODE(secret.stat().st_mode) == 0o600, secret
            url = f"http://127.0.0.1:{cloud.http_port}/rest/v1/targets"
            assert http_json("GET", url)[0] == 401
            for guess in ("admin:admin", "admin:", "admin:password", "root:root", "hawkbit:isawesome!"):
                token = base64.b64encode(guess.encode()).decode()
                assert http_json("GET", url, headers={"Authorization": f"Basic {token}"})[0] == 401
            assert cloud.api("GET", "/rest/v1/targets")[0] == 200
        finally:
            cloud.stop()
    assert passwords[0] != passwords[1] and min(map(len, passwords)) >= 16


# ---- "it slept two seconds to wait for a certificate" ---------------------------------------------------


def test_a_thing_can_be_used_at_once(shared_cloud):
    took = []
    for i in range(5):
        began = time.monotonic()
        files = shared_cloud.create_thing(f"AT-ONCE-{i}")
        with Mqtt(shared_cloud.mqtt_port, thing_context(files, f"AT-ONCE-{i}"), f"AT-ONCE-{i}") as mqtt:
            mqtt.publish(f"device/AT-ONCE-{i}/telemetry", "{}")
        took.append(time.monotonic() - began)
    print("from 'thing create' to an acknowledged message: " + ", ".join(f"{t:.2f} s" for t in took))
    assert min(took) < 1.0 * SLOW


def test_the_sources_sleep_nowhere_and_run_no_shell():
    forbidden = (" sleep(", "usleep(", "nanosleep(", " system(", " popen(", "pkill", "killall", "\"sh\", \"-c\"")
    found = [f"{path.relative_to(ROOT)}: {line.strip()}"
             for path in (ROOT / "src").rglob("*.c") for line in path.read_text().splitlines()
             if any(word in line for word in forbidden) and not line.strip().startswith(("*", "/*", "//"))
             and not path.name.endswith("_test.c")]
    assert not found


# ---- "it went silent during an update" ------------------------------------------------------------------


def test_the_gap_of_an_update_is_a_measured_number(make_car, shared_cloud, tmp_path):
    one = make_car("GAP-1")
    one.car.wait_telemetry(3)
    _, assign = one.assign(package_of(tmp_path, "1.1.0"), "1.1.0")
    assign()
    assert one.wait_outcome("1.1.0")["State"] == "confirmed"
    one.car.wait_version("1.1.0")
    one.car.wait_telemetry(3)
    rows = shared_cloud.rows("Engine", f"DeviceID = '{one.name}'", "Sequence, time")
    numbers = [r["Sequence"] for r in rows] + shared_cloud.sequences("Update", one.name)
    assert set(range(1, max(numbers) - 1)) <= set(numbers) and len(numbers) == len(set(numbers))
    gap = max(b["time"] - a["time"] for a, b in zip(rows, rows[1:])) / 1000
    print(f"telemetry gap of the update: {gap:.2f} s")
    assert 0.9 < gap < 10 * SLOW
    url = f"http://127.0.0.1:{shared_cloud.viewer_port}/api/updates?device={one.name}"
    marker = http_json("GET", url)[1]["updates"][-1]
    assert marker["gap"]["lost"] == 0 and 900 < marker["gap"]["ms"] < 10000 * SLOW
    said = shared_cloud.verb("query", "--gap", one.name, "--output", "json")
    assert "max_gap" in said.stdout or "gap" in said.stdout, said.stdout
