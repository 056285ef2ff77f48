# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""kill -9 of each process once while telemetry flows: no acknowledged message is lost, none is stored twice.

Beside a car, a client sends numbered messages and notes each one that the broker acknowledged; what was not
acknowledged it sends again, as QoS 1 asks for. tests/torture.py does the same at random, hundreds of times.
"""
import contextlib
import datetime
import json
import os
import signal
import sqlite3
import subprocess
import threading

import pytest

from conftest import ROOT, TABLES, TCU, Cloud, accepts, child_pids, command_line, start_tcu, thing_context, wait_until
from mqtt_client import Mqtt

CAR, LOAD = "KEEP-CAR", "KEEP-LOAD"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


class Sender(threading.Thread):
    """Sends without end, ten messages at a time, and knows what was acknowledged."""

    def __init__(self, port, files):
        super().__init__(daemon=True)
        self.port, self.context = port, thing_context(files, LOAD)
        self.ended, self.acknowledged, self.last, self.connections = threading.Event(), set(), 0, 0

    def message(self, number):
        moment = START + datetime.timedelta(milliseconds=10 * number)
        return json.dumps({"DeviceID": LOAD, "Timestamp": moment.isoformat(timespec="milliseconds")[:-6] + "Z",
                           "Sequence": number, "SoftwareVersion": "1.0.0", "Battery": {"EnergyAdded": number}})

    def run(self):
        open_numbers = []
        while not self.ended.is_set():
            with contextlib.suppress(OSError, TimeoutError), \
                    Mqtt(self.port, self.context, LOAD, timeout=5) as mqtt:
                self.connections += 1
                while not self.ended.is_set():
                    if not open_numbers:
                        open_numbers = list(range(self.last + 1, self.last + 11))
                        self.last += 10
                    sent = [(n, mqtt.send_publish(f"device/{LOAD}/telemetry", self.message(n))) for n in open_numbers]
                    for number, identifier in sent:
                        mqtt.wait_acknowledged(identifier)
                        self.acknowledged.add(number)
                        open_numbers.remove(number)
                    self.ended.wait(0.05)
            self.ended.wait(0.05)


class World:
    def __init__(self, folder):
        self.cloud = Cloud(folder).start()
        self.files = self.cloud.create_thing(CAR)
        self.sender = Sender(self.cloud.mqtt_port, self.cloud.create_thing(LOAD))
        self.sender.start()
        self.car = None
        self.start_car()

    def start_car(self):
        self.car = start_tcu(self.cloud, CAR, "--report-ms", 200, files=self.files, app=ROOT / "apps/car-python")

    def app_pid(self):
        found = [pid for pid in child_pids(self.car.program.pid) if "main.py" in command_line(pid)]
        return found[0] if found else None

    def check_goes_on(self):
        """Both senders get on: what was acknowledged until now and some more is in the store."""
        goal = max(self.sender.acknowledged, default=0) + 20
        wait_until(lambda: max(self.sender.acknowledged, default=0) > goal, 30, "the broker to acknowledge again")
        self.car.wait_telemetry(5, timeout=30)
        self.check_load()

    def check_load(self):
        acknowledged = set(self.sender.acknowledged)
        wait_until(lambda: acknowledged <= set(self.cloud.sequences("Battery", LOAD)), 30,
                   "every acknowledged message in the store", every=0.2)
        stored = self.cloud.sequences("Battery", LOAD)
        assert len(stored) == len(set(stored)), "a message is stored twice"

    def check_car(self):
        """From the first number to the newest none is missing and none is there twice, in any table."""
        for table in TABLES:
            numbers = self.cloud.sequences(table, CAR)
            assert numbers == list(range(1, numbers[-1] + 1)), f"{table}: {numbers}"

    def close(self):
        self.sender.ended.set()
        self.sender.join(20)
        for program in (self.car.program, self.cloud.program):
            if program.is_running():
                program.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    one = World(tmp_path_factory.mktemp("keep"))
    try:
        one.check_goes_on()
        yield one
    finally:
        one.close()
        for name, text in one.cloud.logs().items():
            print(f"---- {name}\n" + "\n".join(text.splitlines()[-30:]))


@pytest.mark.parametrize("part", ["mosquitto", "store", "ota", "pipeline", "viewer"])
def test_a_killed_part_of_the_cloud_is_started_again(world, part):
    before = world.cloud.children()
    os.kill(before[part], signal.SIGKILL)
    wait_until(lambda: world.cloud.children().get(part) not in (None, before[part]), 20, f"another {part}")
    world.check_goes_on()
    after = world.cloud.children()
    assert {p: pid for p, pid in after.items() if p != part} == {p: pid for p, pid in before.items() if p != part}
    said = world.cloud.verb("logs", "--lines", 1000).stdout
    assert part in said
    for port in (world.cloud.mqtt_port, world.cloud.http_port, world.cloud.https_port, world.cloud.viewer_port):
        wait_until(lambda port=port: accepts(port), 20, f"port {port}")


def test_a_killed_app_is_started_again(world):
    before = wait_until(world.app_pid, 10, "the app")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: world.app_pid() not in (None, before), 20, "another app")
    world.check_goes_on()
    world.check_car()


def test_a_killed_agent_goes_on_where_it_was(world):
    app = wait_until(world.app_pid, 10, "the app")
    world.car.program.kill()
    wait_until(lambda: not command_line(app), 10, "the end of its app")  # no orphan goes on driving
    world.start_car()
    world.check_goes_on()
    world.check_car()


def test_a_killed_supervisor_takes_its_parts_with_it_and_starts_again(world):
    parts = list(world.cloud.children().values())
    assert len(parts) == 5
    world.cloud.program.kill()
    wait_until(lambda: not any(map(command_line, parts)), 10, "the end of the parts")
    world.cloud.start()
    world.check_goes_on()


def test_what_was_measured_while_the_cloud_was_away_arrives(world):
    world.cloud.program.stop()
    before = max(world.cloud.sequences("Battery", CAR))
    wait_until(lambda: spooled(world.car) >= 10, 20, "messages in the car's spool", every=0.1)
    world.cloud.start()
    world.check_goes_on()
    world.check_car()
    # The car's clock tells that they were measured meanwhile, a message each 0.2 s.
    times = [r["time"] for r in world.cloud.rows("Battery", f"DeviceID = '{CAR}' AND Sequence > {before - 5}", "time")]
    assert max(b - a for a, b in zip(times, times[1:])) < 1000


def spooled(car):
    done = subprocess.run([TCU, "status", "--dir", car.data, "--output", "json"], capture_output=True, text=True, timeout=20,
                          check=True)
    return json.loads(done.stdout)["spooled"]


def test_in_the_end_nothing_is_lost_and_nothing_is_twice(world):
    assert world.car.stop() == 0
    world.sender.ended.set()
    world.sender.join(20)
    world.check_load()
    world.check_car()
    assert world.cloud.program.stop() == 0
    with contextlib.closing(sqlite3.connect(world.cloud.data / "store.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM dead_letter").fetchone() == (0,)
    print(f"{len(world.sender.acknowledged)} acknowledged messages over {world.sender.connections} connections, "
          f"{world.cloud.sequences('Battery', CAR)[-1]} of the car")
