# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""What integration tests share: real programs on free loopback ports in a temporary folder.

Nothing here sleeps: every wait is for a condition with a deadline, and says what it waited for. Programs
are stopped by pid, and what they logged is printed if the test failed. The plain functions are for tests
and for other scripts (tests/torture.py, tests/bench); the fixtures wrap them.
"""
import base64
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zipfile

try:
    import pytest
except ModuleNotFoundError:  # used as a module by a script
    pytest = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DRIVELINE_BUILD", ROOT / "build")).resolve()
# Sanitized builds and emulators take longer: every deadline is multiplied by this.
SLOW = float(os.environ.get("DRIVELINE_SLOW", "1"))
DRIVELINE = BUILD / "src/tool/driveline"
TCU = BUILD / "src/tool/driveline-tcu"
PLUGIN = BUILD / "src/cloud/broker/driveline_mosquitto.so"
TABLES = ("Engine", "Battery", "AirConditioning", "Airbag", "HeatSeats", "ABS")

_tick = threading.Event()


def wait_until(condition, timeout=10, what="the condition", every=0.02):
    """Waits until `condition()` is true and returns its value; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout * SLOW:g} s for {what}")
        _tick.wait(every)


def pause(seconds):
    """Lets time pass where time itself is what a test is about (a random moment, a rate); never to wait
    for something to happen."""
    _tick.wait(seconds)


def copy_for_everybody(program, folder):
    """A copy of the program that other users reach too; the sources may be below a home that they don't."""
    copy = pathlib.Path(shutil.copy(program, folder))
    copy.chmod(0o755)
    return copy


def free_port():
    return free_ports(1)[0]


def free_ports(count):
    """Different ports that are free on loopback right now. Not from the range of which the kernel gives
    out ports itself: another connection could take one before the program under test has it."""
    with contextlib.ExitStack() as held:
        ports = []
        while len(ports) < count:
            s = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", random.randrange(21000, 32000)))
                ports.append(s.getsockname()[1])
        return ports


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Program:
    """A program that was started: its pid, its log, its end."""

    def __init__(self, argv, log, env=None, cwd=None, stdin=subprocess.DEVNULL):
        self.argv = [str(a) for a in argv]
        self.log = pathlib.Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(self.argv, stdin=stdin, stdout=out, stderr=out, cwd=cwd,
                                          env={**os.environ, **(env or {})})
        self.pid = self.child.pid

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def is_running(self):
        return self.child.poll() is None

    def wait(self, timeout=20):
        return self.child.wait(timeout * SLOW)

    def wait_for_text(self, text, timeout=10):
        def seen():
            assert self.is_running() or text in self.text(), f"{self.argv[0]} ended:\n{self.text()[-3000:]}"
            return text in self.text()
        wait_until(seen, timeout, f"'{text}' from {self.argv[0]}")

    def kill(self):
        if self.is_running():
            self.child.send_signal(signal.SIGKILL)
        return self.child.wait()

    def stop(self, timeout=20):
        """SIGTERM; its exit status. One that doesn't end in time is killed, and that fails the test."""
        if self.is_running():
            self.child.terminate()
        try:
            return self.child.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.argv} did not end within {timeout * SLOW:g} s of SIGTERM") from None


class Cloud:
    """`driveline up` in a data folder of its own."""

    def __init__(self, folder, **config):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "cloud"
        self.data.mkdir(parents=True, exist_ok=True)
        self.mqtt_port, self.http_port, self.https_port, self.viewer_port = free_ports(4)
        self.config = {
            "mqtt_listen": f"127.0.0.1:{self.mqtt_port}",
            "http_listen": f"127.0.0.1:{self.http_port}",
            "https_listen": f"127.0.0.1:{self.https_port}",
            "viewer_listen": f"127.0.0.1:{self.viewer_port}",
            "poll_interval": "5s",
            **config,
        }
        (self.data / "driveline.conf").write_text("".join(f"{k} = {v}\n" for k, v in self.config.items()))
        self.program = None
        self.cars = []

    # ---- life cycle

    def start(self, timeout=30):
        self.spawn()
        self.wait_ready(timeout)
        return self

    def spawn(self):
        self.program = Program([DRIVELINE, "up", "--data", self.data], self.folder / "up.log")

    def wait_ready(self, timeout=30):
        ready_file = self.data / "up.json"

        def ready():
            assert self.program.is_running(), f"driveline up ended:\n{self.program.text()[-3000:]}"
            # A killed cloud leaves its file behind: it counts only with the pid of this one.
            with contextlib.suppress(OSError, ValueError):
                return json.loads(ready_file.read_text())["pid"] == self.program.pid
        wait_until(ready, timeout, "the cloud to be ready")

    def stop(self):
        for car in reversed(self.cars):
            if car.program.is_running():
                car.stop()
        if self.program and self.program.is_running():
            status = self.program.stop()
            assert status == 0, f"driveline up ended with status {status}:\n{self.program.text()[-3000:]}"

    def children(self):
        """{name: pid} of what `driveline up` started: mosquitto, ota, store, pipeline, viewer."""
        found = {}
        for pid in child_pids(self.program.pid):
            argv = command_line(pid)
            if argv and "serve" in argv:
                found[argv[argv.index("serve") + 1]] = pid
            elif argv and pathlib.Path(argv[0]).name == "mosquitto":
                found["mosquitto"] = pid
        return found

    # ---- client side

    def verb(self, *words, check=True, timeout=60, stdin=None):
        """Runs a verb of driveline on this data folder; its CompletedProcess."""
        return run_verb(self.data, *words, check=check, timeout=timeout, stdin=stdin)

    def password(self):
        return (self.data / "secrets/admin.password").read_text().strip()

    def api(self, method, path, body=None, headers=None, timeout=20):
        """A call of the Management API as admin: (status, decoded JSON or None)."""
        token = base64.b64encode(f"admin:{self.password()}".encode()).decode()
        return http_json(method, f"http://127.0.0.1:{self.http_port}{path}", body,
                         {"Authorization": f"Basic {token}", **(headers or {})}, timeout)

    def create_thing(self, name):
        """Makes a thing; the folder with its files."""
        files = self.folder / "things" / name
        files.mkdir(parents=True, exist_ok=True)
        self.verb("thing", "create", name, "--out", files)
        return files

    def rows(self, table, where="1", columns="*"):
        """Rows of a telemetry table as dicts, oldest first; none if there is no such table yet."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data}/store.db?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            try:
                found = db.execute(f'SELECT {columns} FROM "{table}" WHERE {where} ORDER BY time').fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise
            return [dict(row) for row in found]

    def sequences(self, table, device):
        return [row["Sequence"] for row in self.rows(table, f"DeviceID = '{device}'", "Sequence")]

    def start_tcu(self, name, *options, **kinds):
        return start_tcu(self, name, *options, **kinds)

    def logs(self):
        texts = {self.program.log.name: self.program.text()} if self.program else {}
        for path in sorted((self.data / "log").glob("**/*")):
            if path.is_file():
                texts[str(path.relative_to(self.data))] = path.read_text(errors="replace")
        for car in self.cars:
            texts[car.program.log.name] = car.program.text()
        return texts


class Car:
    """A `driveline-tcu` with the identity of a thing."""

    def __init__(self, cloud, name, program, data):
        self.cloud, self.name, self.program, self.data = cloud, name, program, data

    def stop(self):
        return self.program.stop()

    def versions(self):
        return [row["SoftwareVersion"] for row in self.cloud.rows("Battery", f"DeviceID = '{self.name}'")]

    def wait_version(self, version, timeout=30):
        wait_until(lambda: (self.versions() or [None])[-1] == version, timeout,
                   f"telemetry of {self.name} with version {version}", every=0.1)

    def wait_telemetry(self, more=3, timeout=20):
        """Waits for `more` messages than are stored now; their last sequence number."""
        before = max(self.cloud.sequences("Battery", self.name), default=0)
        return wait_until(
            lambda: (lambda s: s[-1] if s and s[-1] >= before + more else None)(
                self.cloud.sequences("Battery", self.name)),
            timeout, f"{more} more messages of {self.name}", every=0.1)


def start_tcu(cloud, name, *options, files=None, app=None, binary=None, wrapper=(), env=None):
    """Starts a car as the thing `name` (made if `files` isn't given) with the app of a folder or zip."""
    files = files or cloud.create_thing(name)
    data = cloud.folder / "cars" / name
    data.mkdir(parents=True, exist_ok=True)
    argv = [*wrapper, binary or TCU, "--dir", data, "--identity", files,
            "--mqtt", f"127.0.0.1:{cloud.mqtt_port}", "--server", f"https://127.0.0.1:{cloud.https_port}",
            *(["--app", app] if app else []), *options]
    car = Car(cloud, name, Program(argv, cloud.folder / f"{name}.log", env=env), data)
    cloud.cars.append(car)
    return car


# ---- updates -----------------------------------------------------------------------------------------

CRASH = "import sys\nsys.exit('this version crashes at start')\n"


def make_package(source, target, version, crash=False, edit=None):
    """A zip of an app's folder as an update package. `edit(name, bytes)` may change a file on the way; with
    `crash` every Python file that the manifest runs ends at once."""
    source = pathlib.Path(source)
    command = re.search(r"<run_command>(.*?)</run_command>", (source / "manifest.xml").read_text()).group(1).split()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for path in sorted(p for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            name, content = str(path.relative_to(source)), path.read_bytes()
            if name == "manifest.xml":
                content = re.sub(rb"<version>.*?</version>", b"<version>%s</version>" % version.encode(), content)
            if crash and any(pathlib.PurePath(word) == pathlib.PurePath(name) for word in command):
                content = CRASH.encode()
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, path.stat().st_mode << 16
            package.writestr(info, edit(name, content) if edit else content)
    return target


def upload(cloud, name, version, package, module_type="application", set_type="app"):
    """Software module, artifact and distribution set by the Management API; the set's id."""
    status, modules = cloud.api("POST", "/rest/v1/softwaremodules",
                                [{"name": name, "version": version, "type": module_type}])
    assert status == 201, modules
    module = modules[0]["id"]
    boundary = "driveline-boundary-of-a-test"
    body = (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}-{version}.zip"\r\n'
            "Content-Type: application/zip\r\n\r\n").encode() + pathlib.Path(package).read_bytes() + \
        f"\r\n--{boundary}--\r\n".encode()
    status, artifact = cloud.api("POST", f"/rest/v1/softwaremodules/{module}/artifacts", body,
                                 {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert status == 201, artifact
    status, sets = cloud.api("POST", "/rest/v1/distributionsets", [
        {"name": name, "version": version, "type": set_type, "modules": [{"id": module}]}])
    assert status == 201, sets
    return sets[0]["id"]


# ---- small tools -------------------------------------------------------------------------------------


def run_verb(data, *words, check=True, timeout=60, stdin=None, env=None):
    done = subprocess.run([str(DRIVELINE), *map(str, words), "--data", str(data)], input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, text=True,
                          timeout=timeout * SLOW, check=False, env={**os.environ, **(env or {})})
    assert not check or done.returncode == 0, f"driveline {words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def http_json(method, url, body=None, headers=None, timeout=20, context=None):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={
        **({"Content-Type": "application/json"} if data is not None else {}), **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=timeout * SLOW, context=context) as answer:
            status, raw = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, raw = error.code, error.read()
    try:
        return status, json.loads(raw) if raw else None
    except ValueError:
        return status, raw


def thing_context(files, name):
    """TLS as the thing, trusting only the cloud's CA."""
    files = pathlib.Path(files)
    context = ssl.create_default_context(cafile=files / "root-CA.crt")
    context.load_cert_chain(files / f"{name}.cert.pem", files / f"{name}.private.key")
    return context


def child_pids(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def command_line(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    return []


# ---- fixtures ----------------------------------------------------------------------------------------

if pytest:

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(item, call):
        outcome = yield
        setattr(item, f"report_{call.when}", outcome.get_result())

    def _failed(request):
        return any(getattr(request.node, f"report_{when}", None) is not None
                   and getattr(request.node, f"report_{when}").failed for when in ("setup", "call"))

    def _print_logs(cloud):
        for name, text in cloud.logs().items():
            print(f"---- {name}\n" + "\n".join(text.splitlines()[-60:]))

    @pytest.fixture
    def make_cloud(tmp_path, request):
        """Makes clouds (not started) that end with the test: make_cloud("name", poll_interval="1s")."""
        clouds = []

        def make(name="one", **config):
            clouds.append(Cloud(tmp_path / name, **config))
            return clouds[-1]
        yield make
        try:
            for cloud in clouds:
                cloud.stop()
        finally:
            for cloud in clouds:
                if cloud.program and cloud.program.is_running():
                    cloud.program.kill()
            if _failed(request):
                for cloud in clouds:
                    _print_logs(cloud)

    @pytest.fixture
    def driveline(make_cloud):
        """A running cloud."""
        return make_cloud().start()

    # A module's tests that only read share one running cloud; they use things of their own.
    @pytest.fixture(scope="module")
    def shared_cloud(tmp_path_factory):
        cloud = Cloud(tmp_path_factory.mktemp("shared"))
        cloud.start()
        yield cloud
        cloud.stop()
