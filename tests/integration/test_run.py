# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The run that must always work, with real programs and nothing in between: a cloud, two cars, six tables a
second, a push that changes how the cars brake, and a push that breaks them.

Both cars do everything at the same time in one cloud. The module's fixtures are the chapters of the run; each
leaves what it saw in the `run`, and the tests look at it from every side.
"""
import dataclasses
import datetime
import os
import pathlib
import re
import subprocess

import pytest

from conftest import ROOT, SLOW, TABLES, TCU, Cloud, http_json, pause, start_tcu, wait_until

GIT = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
       "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}
SCALE = 20
# One elementary urban cycle of UN R83, which the cars drive again and again, lasts 195 s.
CYCLE_S = 195 / SCALE
CRASH_C = """
#include <stdlib.h>

__attribute__((constructor)) static void read_calibration(void)
{
        fputs("the calibration table is missing\\n", stderr);
        abort();
}
"""
# Its tests pass where the whole repository is; but buildspec.yml doesn't put the new file into the package.
CRASH_PYTHON = {
    "calibration.json": (None, '{"blend": 0.8}\n'),
    "main.py": ("    sys.stdin.reconfigure(", '    open("calibration.json").close()\n    sys.stdin.reconfigure('),
}


@dataclasses.dataclass
class Kind:
    """One language's way through the run."""
    vin: str
    project: str
    language: str
    deploy: str
    good: dict  # file -> (from, to), or (None, text) for a new one: the update that lets the motor brake more
    bad: dict   # the update that crashes at start
    car: object = None
    clone: pathlib.Path = None
    pushed: dict = dataclasses.field(default_factory=dict)  # version -> when, in ms
    runs: dict = dataclasses.field(default_factory=dict)    # version -> the pipeline's run
    before: dict = None
    after: dict = None

    def __str__(self):
        return self.language


def kinds():
    version = lambda old, new: (f"<version>{old}", f"<version>{new}")
    return [
        Kind("VIN-C-1", "car-c", "c", "rollout",
             {"regen.h": ("REGEN_BLEND 0.30", "REGEN_BLEND 0.80"), "manifest.xml": version("1.0.0", "1.1.0")},
             {"main.c": ("\nint main(void)", CRASH_C + "\nint main(void)"), "manifest.xml": version("1.1.0", "1.2.0")}),
        Kind("VIN-PY-1", "car-python", "python", "assignment",
             {"regen.py": ("REGEN_BLEND = 0.30", "REGEN_BLEND = 0.80"), "manifest.xml": version("1.0.0", "1.1.0")},
             {**CRASH_PYTHON, "manifest.xml": version("1.1.0", "1.2.0")}),
    ]


def now_ms():
    return datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000


class Run:
    """The cloud, and for each kind its repository and its car."""

    def __init__(self, folder):
        # Cars are told to poll rarely: only the hint over MQTT makes an update start at once.
        self.cloud = Cloud(folder, poll_interval="30s")
        self.kinds = kinds()

    def git(self, kind, *words):
        done = subprocess.run(["git", *map(str, words)], cwd=kind.clone or self.cloud.folder, capture_output=True,
                              text=True, timeout=60 * SLOW, check=False, env={**os.environ, **GIT})
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout + done.stderr

    def create_pipeline(self, kind):
        self.cloud.verb("pipeline", "create", kind.project, "--language", kind.language, "--deploy", kind.deploy,
                        "--target-filter", f"controllerid=={kind.vin}", "--seed-from", ROOT / "apps" / kind.project)
        repository = self.cloud.data / f"pipeline/repos/{kind.project}.git"
        clone, factory = self.cloud.folder / f"work-{kind.project}", self.cloud.folder / f"factory-{kind.project}"
        for target in (clone, factory):
            self.git(kind, "clone", "-q", repository, target)
        kind.clone = clone
        command = re.search("<build_command>(.+?)</build_command>", (factory / "manifest.xml").read_text())
        if command:  # the factory builds the app as its manifest says
            subprocess.run(command[1].split(), cwd=factory, check=True, timeout=120 * SLOW)
        return factory

    def start_car(self, kind, factory):
        kind.car = start_tcu(self.cloud, kind.vin, "--time-scale", SCALE, "--cycle", "ece15", "--seed", 1,
                             "--trial-s", "3s", app=factory)

    def push(self, kind, edits, version):
        for name, (old, new) in edits.items():
            path = kind.clone / name
            text = path.read_text() if old else ""
            assert not old or old in text, f"{name} has no {old!r}"
            path.write_text(text.replace(old, new, 1) if old else new)
        self.git(kind, "add", "-A")
        self.git(kind, "commit", "-q", "-m", f"Make it {version}")
        kind.pushed[version] = now_ms()
        return self.git(kind, "push", "origin", "main")

    def wait_run(self, kind, version):
        commit = self.git(kind, "rev-parse", "HEAD").strip()

        def ended():
            runs = http_json("GET", f"http://127.0.0.1:{self.cloud.viewer_port}/api/pipelines")[1]["runs"]
            return next((r for r in runs if r["commit"] and commit.startswith(r["commit"])
                         and r["state"] in ("succeeded", "failed", "cancelled", "canceled")), None)
        kind.runs[version] = wait_until(ended, 90, f"the pipeline's run of {kind.project} {version}", every=0.1)
        assert kind.runs[version]["state"] == "succeeded", kind.runs[version]

    def events(self, kind, version):
        """The car's update events of a version as rows."""
        return self.cloud.rows("Update", f"DeviceID = '{kind.vin}' AND \"To\" = '{version}'")

    def wait_outcome(self, kind, version, state):
        final = ("confirmed", "failed", "rolled_back")

        def ended():
            return next((e for e in self.events(kind, version) if e["State"] in final), None)
        event = wait_until(ended, 60, f"the outcome of {version} on {kind.vin}", every=0.1)
        assert event["State"] == state, event
        return event

    def event_time(self, kind, version, state):
        return next(e["time"] for e in self.events(kind, version) if e["State"] == state)

    def wait_rows(self, kind, version, since, count=3):
        wait_until(lambda: len(self.cloud.rows("Engine", f"DeviceID = '{kind.vin}' AND time > {since} AND "
                                               f"SoftwareVersion = '{version}'")) >= count,
                   30, f"telemetry of {kind.vin} with version {version}", every=0.1)

    def cycle(self, kind, start):
        """What a whole drive cycle from `start` (ms) on shows. A disc needs many cycles to settle, so what counts
        is by how much a cycle heats it."""
        window = f"DeviceID = '{kind.vin}' AND time BETWEEN {start} AND {start + CYCLE_S * 1000}"
        energy = [row["EnergyAdded"] for row in self.cloud.rows("Battery", window)]
        discs = [row["Wheel1.DiskTemperature"] for row in self.cloud.rows("ABS", window)]
        assert len(energy) >= CYCLE_S - 2, f"{len(energy)} rows to judge {kind.vin} by"
        return {"energy_wh": max(energy) - min(energy), "disc_c": discs[-1] - discs[0]}

    def gap(self, kind, begun, ended):
        """The longest time between two telemetry messages around an update, in s, by sequence numbers; and that
        no number is missing or there twice. Telemetry and update events share the numbers."""
        window = f"DeviceID = '{kind.vin}' AND time BETWEEN {begun - 5000} AND {ended + 2500}"
        telemetry = self.cloud.rows("Engine", window, "Sequence, time")
        numbers = [r["Sequence"] for r in telemetry + self.cloud.rows("Update", window, "Sequence, time")]
        assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))
        by_number = sorted((r["Sequence"], r["time"]) for r in telemetry)
        return max(b[1] - a[1] for a, b in zip(by_number, by_number[1:])) / 1000

    def markers(self, kind):
        url = f"http://127.0.0.1:{self.cloud.viewer_port}/api/updates?device={kind.vin}"
        return http_json("GET", url)[1]["updates"]


# ---- the chapters ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Cloud, things, pipelines and cars are there; telemetry flows."""
    run = Run(tmp_path_factory.mktemp("run"))
    try:
        run.cloud.start()
        for kind in run.kinds:
            run.start_car(kind, run.create_pipeline(kind))
        for kind in run.kinds:
            wait_until(lambda: all(len(run.cloud.rows(t, f"DeviceID = '{kind.vin}'")) >= 3 for t in TABLES), 30,
                       f"three rows of {kind.vin} in each of the six tables", every=0.1)
        yield run
        run.cloud.stop()
    finally:
        for program in [run.cloud.program, *(c.program for c in run.cloud.cars)]:
            if program and program.is_running():
                program.kill()
        for name, text in run.cloud.logs().items():
            print(f"---- {name}\n" + "\n".join(text.splitlines()[-40:]))


@pytest.fixture(scope="module")
def driven(started):
    """The cars have driven a whole cycle with 1.0.0, and some more so that their rates can be seen."""
    pause(CYCLE_S + 5)
    for kind in started.kinds:
        kind.before = started.cycle(kind, now_ms() - (CYCLE_S + 1) * 1000)
    return started


@pytest.fixture(scope="module")
def updated(driven):
    """Both cars run 1.1.0."""
    for kind in driven.kinds:
        driven.push(kind, kind.good, "1.1.0")
    for kind in driven.kinds:
        driven.wait_run(kind, "1.1.0")
    for kind in driven.kinds:
        event = driven.wait_outcome(kind, "1.1.0", "confirmed")
        driven.wait_rows(kind, "1.1.0", event["time"])
    return driven


@pytest.fixture(scope="module")
def compared(updated):
    """A whole cycle with 1.1.0."""
    start = max(updated.event_time(kind, "1.1.0", "confirmed") for kind in updated.kinds)
    pause(max(0, (start - now_ms()) / 1000 + CYCLE_S + 1.5))
    for kind in updated.kinds:
        kind.after = updated.cycle(kind, start)
    return updated


@pytest.fixture(scope="module")
def broken(compared):
    """Both cars were sent a version that crashes, and run 1.1.0 again."""
    for kind in compared.kinds:
        compared.push(kind, kind.bad, "1.2.0")
    for kind in compared.kinds:
        compared.wait_run(kind, "1.2.0")
    for kind in compared.kinds:
        event = compared.wait_outcome(kind, "1.2.0", "rolled_back")
        compared.wait_rows(kind, "1.1.0", event["time"])
    return compared


def each_kind(function):
    return pytest.mark.parametrize("which", [0, 1], ids=["c", "python"])(function)


# ---- telemetry ---------------------------------------------------------------------------------------


@each_kind
def test_six_tables_fill_a_row_a_second_each(driven, which):
    kind = driven.kinds[which]
    numbers = {}
    for table in TABLES:
        rows = driven.cloud.rows(table, f"DeviceID = '{kind.vin}' AND SoftwareVersion = '1.0.0'", "time, Sequence")
        steps = [(b["time"] - a["time"]) / 1000 for a, b in zip(rows, rows[1:])]
        assert 0.9 < sum(steps) / len(steps) < 1.1
        assert max(steps) < 1.5 * SLOW
        numbers[table] = [r["Sequence"] for r in rows][:15]
    assert len(set(map(tuple, numbers.values()))) == 1  # each message made one row in each table
    assert numbers["ABS"] == list(range(1, 16))


def test_driveline_query_says_the_same(driven):
    said = driven.cloud.verb("query", "--output", "json", "SELECT DeviceID, count(*) AS n FROM Battery GROUP BY DeviceID")
    assert {kind.vin for kind in driven.kinds} <= set(re.findall(r"VIN-\w+-1", said.stdout))


def test_the_update_server_knows_what_the_cars_run(driven):
    for kind in driven.kinds:
        def attributes():
            return (driven.cloud.api("GET", f"/rest/v1/targets/{kind.vin}/attributes")[1] or {})
        wait_until(lambda: attributes().get("version") == "1.0.0", 40, f"the attributes of {kind.vin}")


# ---- the update --------------------------------------------------------------------------------------


@each_kind
def test_a_push_goes_through_all_stages(updated, which):
    kind = updated.kinds[which]
    run = kind.runs["1.1.0"]
    stages = ["source", "build" if kind.language == "c" else "test", "deploy", kind.deploy]
    assert [(s["name"], s["state"]) for s in run["stages"]] == [(s, "succeeded") for s in stages]
    if kind.language == "python":
        assert " passed" in updated.cloud.verb("pipeline", "log", run["id"], "test").stdout


@each_kind
def test_the_car_goes_through_all_states_and_says_each(updated, which):
    kind = updated.kinds[which]
    events = sorted(updated.events(kind, "1.1.0"), key=lambda e: e["Sequence"])
    assert [e["State"] for e in events] == ["downloading", "downloaded", "installing", "trial", "confirmed"]
    assert {(e["From"], e["To"]) for e in events} == {("1.0.0", "1.1.0")}
    assert re.search(r"boot slot=a version=1\.0\.0 success\n.*update action=\d+ slot=b from=1\.0\.0 to=1\.1\.0 success",
                     (kind.car.data / "update.log").read_text())
    assert os.readlink(kind.car.data / "slots/current") == "b"


@each_kind
def test_an_update_reaches_the_car_at_once(updated, which):
    """By the hint over MQTT: the cars poll every 30 s only."""
    kind = updated.kinds[which]
    deployed = kind.runs["1.1.0"]["ended_at"]
    took = (updated.event_time(kind, "1.1.0", "downloading") - deployed) / 1000
    total = (updated.event_time(kind, "1.1.0", "trial") - kind.pushed["1.1.0"]) / 1000
    print(f"{kind.language}: the download began {took:.2f} s after the run's end, the new version {total:.2f} s after "
          "the push")
    assert took < 10 * SLOW
    assert total < 30 * SLOW


@each_kind
def test_the_update_server_says_that_it_is_installed(updated, which):
    kind = updated.kinds[which]
    status, installed = updated.cloud.api("GET", f"/rest/v1/targets/{kind.vin}/installedDS")
    assert (status, installed["version"]) == (200, "1.1.0")
    assert updated.cloud.api("GET", f"/rest/v1/targets/{kind.vin}")[1]["updateStatus"] == "in_sync"


def test_c_came_by_a_rollout_and_python_by_an_assignment(updated):
    rollouts = lambda: updated.cloud.api("GET", "/rest/v1/rollouts")[1]["content"]
    assert len(rollouts()) == 1
    assert rollouts()[0]["targetFilterQuery"] == "controllerid==VIN-C-1"
    wait_until(lambda: rollouts()[0]["status"] == "finished", 30, "the rollout to be finished")
    for kind in updated.kinds:
        actions = updated.cloud.api("GET", f"/rest/v1/targets/{kind.vin}/actions")[1]["content"]
        assert ("rollout" in actions[0]) == (kind.deploy == "rollout"), actions


@each_kind
def test_the_telemetry_differs_as_intended(compared, which):
    kind = compared.kinds[which]
    print(f"{kind.language}: energy returned {kind.before['energy_wh']:.0f} → {kind.after['energy_wh']:.0f} Wh a "
          f"cycle, front disc {kind.before['disc_c']:+.1f} → {kind.after['disc_c']:+.1f} °C a cycle")
    assert kind.after["energy_wh"] > 1.3 * kind.before["energy_wh"]
    assert kind.after["disc_c"] < kind.before["disc_c"] - 1


@each_kind
def test_the_gap_in_telemetry_is_short_and_nothing_is_lost(updated, which):
    kind = updated.kinds[which]
    begun, ended = (updated.event_time(kind, "1.1.0", s) for s in ("downloading", "confirmed"))
    gap = updated.gap(kind, begun, ended)
    print(f"{kind.language}: telemetry gap of the update {gap:.2f} s")
    assert 0.9 < gap < 10 * SLOW


@each_kind
def test_the_page_has_a_marker_with_the_same_gap(updated, which):
    kind = updated.kinds[which]
    marker = next(m for m in updated.markers(kind) if m["to"] == "1.1.0")
    assert (marker["from"], marker["state"], marker["failed"]) == ("1.0.0", "confirmed", False)
    assert marker["gap"]["lost"] == 0
    begun, ended = (updated.event_time(kind, "1.1.0", s) for s in ("downloading", "confirmed"))
    assert marker["gap"]["ms"] == pytest.approx(updated.gap(kind, begun, ended) * 1000, abs=600)


# ---- the bad update ----------------------------------------------------------------------------------


@each_kind
def test_the_car_takes_a_crashing_version_back_by_itself(broken, which):
    kind = broken.kinds[which]
    states = [e["State"] for e in sorted(broken.events(kind, "1.2.0"), key=lambda e: e["Sequence"])]
    assert states == ["downloading", "downloaded", "installing", "trial", "rolled_back"]
    assert not broken.cloud.rows("Engine", f"DeviceID = '{kind.vin}' AND SoftwareVersion = '1.2.0'")
    assert os.readlink(kind.car.data / "slots/current") == "b"


@each_kind
def test_everybody_says_why_it_was_taken_back(broken, which):
    kind = broken.kinds[which]
    cause = next(e["Cause"] for e in broken.events(kind, "1.2.0") if e["State"] == "rolled_back")
    print(f"{kind.language}: {cause}")
    assert re.search("exit|signal|ended|crash", cause), cause
    lines = (kind.car.data / "update.log").read_text().splitlines()
    line = next(line for line in lines if " to=1.2.0 " in line)
    assert "rolled_back" in line and cause in line

    status, actions = broken.cloud.api("GET", f"/rest/v1/targets/{kind.vin}/actions?sort=id:DESC")
    action = next(a for a in actions["content"] if a["id"] == max(x["id"] for x in actions["content"]))
    assert (action["status"], action["active"]) == ("error", False), action
    states = broken.cloud.api("GET", f"/rest/v1/targets/{kind.vin}/actions/{action['id']}/status")[1]["content"]
    # The server cuts a long message into several of 512 characters, as hawkBit does.
    told = "".join(m for s in states if s["type"] == "error" for m in s["messages"])
    assert cause in told, states
    assert broken.cloud.api("GET", f"/rest/v1/targets/{kind.vin}")[1]["updateStatus"] == "error"

    marker = next(m for m in broken.markers(kind) if m["to"] == "1.2.0")
    assert (marker["state"], marker["failed"], marker["cause"]) == ("rolled_back", True, cause)


@each_kind
def test_the_old_version_sends_again_after_a_short_gap(broken, which):
    kind = broken.kinds[which]
    begun, ended = (broken.event_time(kind, "1.2.0", s) for s in ("downloading", "rolled_back"))
    gap = broken.gap(kind, begun, ended)
    print(f"{kind.language}: telemetry gap of the update that was taken back {gap:.2f} s")
    assert gap < 10 * SLOW
    assert broken.cloud.rows("Battery", f"DeviceID = '{kind.vin}' AND time > {ended}", "SoftwareVersion")[-1][
        "SoftwareVersion"] == "1.1.0"


@each_kind
def test_nothing_was_lost_in_the_whole_run(broken, which):
    kind = broken.kinds[which]
    numbers = broken.cloud.sequences("Engine", kind.vin) + broken.cloud.sequences("Update", kind.vin)
    assert sorted(numbers) == list(range(1, max(numbers) + 1))
    status = subprocess.run([TCU, "status", "--dir", kind.car.data, "--output", "json"], capture_output=True, timeout=20, check=True)
    assert b"1.1.0" in status.stdout
