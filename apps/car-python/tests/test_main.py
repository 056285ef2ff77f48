# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The loop as the car sees it: lines in, lines out."""
import json
import pathlib
import subprocess
import sys

APP = pathlib.Path(__file__).resolve().parents[1]
NAMES = ["Engine", "Battery", "AirConditioning", "Airbag", "HeatSeats", "ABS"]


def tick(car, t=0.0, report=True):
    return json.dumps({"t": t, "dt": 0.1, "report": report, "sensors": car})


def run(text):
    return subprocess.run([sys.executable, "main.py"], input=text, capture_output=True, text=True, cwd=APP, timeout=20)


def test_the_end_of_the_input_ends_the_app():
    assert run("").returncode == 0


def test_telemetry_comes_when_it_is_asked_for(car):
    done = run(tick(car) + "\n" + tick(car, 0.1, report=False) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(first["telemetry"]) == NAMES
    assert len(first["actuators"]) == 13
    assert "telemetry" not in second and second["actuators"] == first["actuators"]


def test_a_broken_line_is_told_and_the_next_one_is_answered(car):
    broken = ["", "{", "[]", "null", '{"t":0}', '{"t":0,"sensors":{}}', '{"t":0,"sensors":7}',
              '{"t":0,"report":true,"sensors":{"speed_mps":"fast"}}', "[" * 5000]
    done = run("".join(line + "\n" for line in broken) + tick(car) + "\n")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[:-1] == ['{"actuators":{}}'] * len(broken)
    assert list(json.loads(lines[-1])["telemetry"]) == NAMES
    assert done.stderr.count("car: this line is no tick") == len(broken)


def test_bytes_that_are_no_text_spoil_only_their_line(car):
    done = subprocess.run([sys.executable, "main.py"], input=b"\xff\xfe\n" + tick(car).encode() + b"\n",
                          capture_output=True, cwd=APP, timeout=20)
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert json.loads(first) == {"actuators": {}}
    assert "telemetry" in json.loads(second)


def test_each_answer_is_sent_at_once(car):
    with subprocess.Popen([sys.executable, "main.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, cwd=APP) as app:
        for i in range(3):
            app.stdin.write(tick(car, i / 10) + "\n")
            app.stdin.flush()
            assert "telemetry" in json.loads(app.stdout.readline())
        app.stdin.close()
        assert app.wait(20) == 0
