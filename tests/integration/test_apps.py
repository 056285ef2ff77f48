# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The vehicle apps as packages: built and started by their manifests, spoken to by lines. The plant is not
here (src/vehicle/app_loop_test.c drives them with it); these are the lines that a plant wouldn't send, and
the documents that speak about the apps."""
import importlib.util
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
APPS = ROOT / "apps"
NAMES = ["Engine", "Battery", "AirConditioning", "Airbag", "HeatSeats", "ABS"]


def manifest_field(app, name):
    found = re.search(rf"<{name}>(.*?)</{name}>", (app / "manifest.xml").read_text())
    return found.group(1) if found else ""


def build(app):
    command = shlex.split(manifest_field(app, "build_command"))
    if command:
        done = subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")


def copy(name, target):
    shutil.copytree(APPS / name, target, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    return target


@pytest.fixture(scope="module", params=["car-c", "car-python"])
def app(request, tmp_path_factory):
    folder = copy(request.param, tmp_path_factory.mktemp("app") / request.param)
    build(folder)
    return folder


def sensors(**changes):
    """A parked car's readings, as the Python app's own tests have them."""
    spec = importlib.util.spec_from_file_location("app_conftest", APPS / "car-python/conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.parked_car() | changes


def tick(t=0.0, report=True, **changes):
    return json.dumps({"t": t, "dt": 0.1, "report": report, "sensors": sensors(**changes)})


def run(app, text):
    """Runs the app over the text until it ends; its exit status, its lines and what it complained about."""
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run(shlex.split(manifest_field(app, "run_command")), cwd=app, input=data,
                          capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode(errors="replace")


def test_the_end_of_the_input_ends_the_app(app):
    assert run(app, "") == (0, [], "")


def test_a_tick_is_answered_with_every_actuator_and_telemetry_on_demand(app):
    status, lines, complaints = run(app, tick() + "\n" + tick(0.1, report=False) + "\n")
    assert (status, complaints) == (0, "")
    first, second = map(json.loads, lines)
    assert list(first["telemetry"]) == NAMES
    assert len(first["actuators"]) == 13
    assert list(second) == ["actuators"]


def test_the_answer_follows_the_sensors(app):
    status, lines, _ = run(app, "\n".join([
        tick(zone1_temperature_c=30.0, seat_heater1_c=20.0, seat2_occupied=True),
        tick(wheel1_speed_mps=6.0, wheel2_speed_mps=6.0, wheel3_speed_mps=4.0, wheel4_speed_mps=4.0,
             speed_mps=-0.0, seat1_airbag_ok=False)]) + "\n")
    first, second = map(json.loads, lines)
    assert status == 0
    assert first["actuators"]["zone1_hvac"] == -1 and first["actuators"]["zone3_hvac"] == 1
    assert first["actuators"]["seat_heater1_duty"] == 0, "a warm cabin needs no warm seat"
    assert first["actuators"]["airbag2_armed"] is True
    assert second["actuators"]["traction_control"] is True and second["telemetry"]["ABS"]["TractionControl"] is True
    assert second["actuators"]["airbag1_armed"] is False
    assert second["telemetry"]["Engine"]["Speed"] == 0


BROKEN = [b"", b"{", b"}", b"[]", b"null", b"7", b'"text"', b'{"t":0}', b'{"t":0,"sensors":{}}', b'{"t":0,"sensors":7}',
          b'{"t":0,"dt":0.1,"report":true,"sensors":{"speed_mps":1.0}}', b"\xff\xfe\x00\x01", b"{" * 5000, b"[" * 100000,
          b'{"t":' + b"9" * 200000, b'{"sensors":{"speed_mps":1e', b'{"t":0,"sensors":{"a":"\\',
          tick().replace("15.0", "1e999", 1).encode()]


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: repr(line[:24]))
def test_a_broken_line_is_told_and_the_next_one_is_answered(app, line):
    status, lines, complaints = run(app, line + b"\n" + tick().encode() + b"\n")
    assert status == 0
    assert json.loads(lines[0]) == {"actuators": {}}
    assert list(json.loads(lines[-1])["telemetry"]) == NAMES and len(lines) == 2
    assert complaints.startswith("car: ")


def test_a_last_line_without_its_end_is_answered(app):
    assert len(run(app, tick())[1]) == 1


def test_each_answer_is_sent_at_once(app):
    command = shlex.split(manifest_field(app, "run_command"))
    with subprocess.Popen(command, cwd=app, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for i in range(5):
            process.stdin.write(tick(i / 10) + "\n")
            process.stdin.flush()
            assert "telemetry" in json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(20) == 0


def test_sensors_that_come_later_are_ignored(app):
    status, lines, complaints = run(app, tick(lidar_m=3.5, mood="good", path=[1, {"x": None}]) + "\n")
    assert (status, complaints) == (0, "")
    assert list(json.loads(lines[0])["telemetry"]) == NAMES


def fields_of(telemetry, prefix=""):
    for name, value in telemetry.items():
        if isinstance(value, dict):
            yield from fields_of(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_each_field_is_documented_and_each_documented_field_is_sent(app):
    telemetry = json.loads(run(app, tick() + "\n")[1][0])["telemetry"]
    sent = {re.sub(r"(Zone|Seat|Wheel)\d\.", r"\1N.", field) for field in fields_of(telemetry)}
    page = (ROOT / "docs/signals.md").read_text()
    documented = set(re.findall(r"^\| `((?:%s)\.[\w.]+)` \|" % "|".join(NAMES), page, re.MULTILINE))
    assert sent == documented


def test_the_blend_is_one_constant(app):
    """What the demonstration's update changes: one place, one line."""
    places = [(path.name, line) for path in app.rglob("*") if path.suffix in (".c", ".h", ".py")
              for line in path.read_text().splitlines() if re.search(r"REGEN_BLEND( = | )0\.30$", line)]
    assert [name.split(".")[0] for name, _ in places] == ["regen"]


def test_the_buildspec_packs_what_the_app_needs(app, tmp_path):
    """A package of nothing but the listed artifacts runs."""
    spec = (app / "buildspec.yml").read_text()
    files = re.findall(r"^    - (\S+)$", spec.split("artifacts:")[1], re.MULTILINE)
    assert "manifest.xml" in files
    for name in files:
        shutil.copy(app / name, tmp_path / name)
    status, lines, complaints = run(tmp_path, tick() + "\n")
    assert (status, len(lines), complaints) == (0, 1, "")


def test_the_c_app_builds_the_same_by_manifest_and_buildspec():
    app = APPS / "car-c"
    assert f"      - {manifest_field(app, 'build_command')}\n" in (app / "buildspec.yml").read_text()


def test_the_c_app_lists_every_file():
    listed = set(re.findall(r"\w+\.c", manifest_field(APPS / "car-c", "build_command")))
    assert listed == {path.name for path in (APPS / "car-c").glob("*.c")}


# ---- docs/subsystem.md -------------------------------------------------------------------------------


def steps_of(name):
    """(verb, file, kind of block, text) of each block of the page that speaks about that app."""
    page = (ROOT / "docs/subsystem.md").read_text()
    return re.findall(rf"<!-- {name}: (create|change) (\S+) -->\n```(\w+)\n(.*?)```\n", page, re.DOTALL)


def carry_out(folder, verb, file, text):
    target = folder / file
    if verb == "create":
        assert not target.exists()
        target.write_text(text)
        return
    lines = text.splitlines()
    old = "\n".join(line[1:] for line in lines if line[0] != "+")
    new = "\n".join(line[1:] for line in lines if line[0] != "-")
    before = target.read_text()
    assert before.count(old) == 1, f"{file} has not exactly one:\n{old}"
    target.write_text(before.replace(old, new))


@pytest.mark.parametrize("name", ["car-c", "car-python"])
def test_the_documented_seventh_subsystem_works(name, tmp_path):
    folder = copy(name, tmp_path / name)
    steps = steps_of(name)
    assert len(steps) >= 4
    for verb, file, _, text in steps:
        carry_out(folder, verb, file, text)
    build(folder)
    if name == "car-python":
        done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder,
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout
    status, lines, complaints = run(folder, tick(wheel2_tyre_bar=1.85) + "\n")
    assert (status, complaints) == (0, "")
    telemetry = json.loads(lines[0])["telemetry"]
    assert list(telemetry) == NAMES + ["TirePressure"]
    assert telemetry["TirePressure"]["Wheel2"] == {"Pressure": 1.85, "Low": True}
    assert telemetry["TirePressure"]["Wheel4"] == {"Pressure": 2.5, "Low": False}
    assert manifest_field(folder, "version") == "1.1.0"
